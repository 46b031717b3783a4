//! A host that writes and reads registers at random while a run is under way, as AXI4-Lite allows it.

use crate::bridge::Control;
use crate::cases::Draw;
use crate::rtl::offset;
use spec::regs::{COUNTERS_OFFSET, Counters, ID, REGISTERS};

/// The master of the control bus.
pub struct Meddler {
    draw: Draw,
    control: Control,
    /// A write response or a read answer is awaited.
    writing: bool,
    reading: bool,
    /// The interrupt was switched off, and is switched on again before anything else.
    silenced: bool,
    /// The run is over: nothing new is begun.
    finishing: bool,
    /// Offsets of registers that hold these values whatever is written.
    holds: [(u32, u32); 3],
    /// What was not as it should be.
    pub(crate) violation: Option<String>,
    /// Writes that were made.
    pub writes: u64,
}

impl Meddler {
    /// One that draws from `draw`.
    pub fn new(draw: Draw) -> Self {
        Self {
            draw,
            control: Control { rst_n: 1, ..Control::default() },
            writing: false,
            reading: false,
            silenced: false,
            finishing: false,
            holds: [(0, ID); 3],
            violation: None,
            writes: 0,
        }
    }

    /// A run starts. Some registers hold these values.
    pub(crate) fn begin(&mut self, holds: [(u32, u32); 3]) {
        self.holds = holds;
    }

    /// What the host drives in the next cycle of the run.
    pub(crate) fn control(&mut self) -> &mut Control {
        let (d, c) = (&mut self.draw, &mut self.control);
        if !self.writing && !self.silenced && d.chance(20) {
            let register = REGISTERS[d.between(0, REGISTERS.len() as u32 - 1) as usize];
            c.awaddr = if d.chance(90) { register.offset } else { d.between(0, 63) * 4 };
            c.wdata = if d.chance(50) { d.between(0, 3) } else { d.between(0, 0x7fff_fffe) };
            let first = if c.awaddr == offset("interrupt") { 0 } else { d.between(0, 2) };
            (c.awvalid, c.wvalid) = [(1, 1), (1, 0), (0, 1)][first as usize];
            self.writing = true;
            self.silenced = c.awaddr == offset("interrupt") && c.wdata & 1 == 0;
        } else if !self.writing && self.silenced {
            (c.awaddr, c.wdata, c.awvalid, c.wvalid) = (offset("interrupt"), 1, 1, 1);
            self.writing = true;
            self.silenced = false;
        } else if c.awvalid != c.wvalid && d.chance(30) {
            (c.awvalid, c.wvalid) = (1, 1);
        }
        if !self.reading && d.chance(20) {
            c.araddr = match d.between(0, 2) {
                0 => self.holds[d.between(0, 2) as usize].0,
                1 => COUNTERS_OFFSET + 4 * d.between(0, 2 * Counters::ALL.len() as u32 - 1),
                _ => d.between(0, 63) * 4,
            };
            c.arvalid = 1;
            self.reading = true;
        }
        c.bready = d.chance(50).into();
        c.rready = d.chance(50).into();
        c
    }

    /// Sees what the accelerator answered in this cycle.
    pub(crate) fn answered(&mut self) {
        let c = &mut self.control;
        // Responses are to what was asked in an earlier cycle.
        if c.bvalid == 1 && !(self.writing && c.awvalid == 0 && c.wvalid == 0) {
            self.violation.get_or_insert("a response to a register write that was not made".into());
        }
        if c.rvalid == 1 && !(self.reading && c.arvalid == 0) {
            self.violation.get_or_insert("an answer to a register read that was not made".into());
        }
        if c.bvalid == 1 && c.bready == 1 {
            self.writing = false;
        }
        if c.rvalid == 1 && c.rready == 1 {
            self.reading = false;
            let held = self.holds.iter().find(|(at, _)| *at == c.araddr);
            if let Some((at, want)) = held
                && c.rdata != *want
            {
                let got = c.rdata;
                self.violation.get_or_insert(format!("register {at:#x} reads {got:#x}, not {want:#x}"));
            }
        }
        if c.awvalid == 1 && c.awready == 1 {
            c.awvalid = 0;
            c.wvalid = 0;
            self.writes += 1;
        }
        if c.arvalid == 1 && c.arready == 1 {
            c.arvalid = 0;
        }
    }

    /// After the run: what the host drives until all that it has begun is over. The half of a write that is left makes it
    /// one that does nothing.
    pub(crate) fn finish(&mut self) -> Option<&mut Control> {
        let c = &mut self.control;
        if !self.finishing {
            self.finishing = true;
            match (c.awvalid, c.wvalid) {
                (1, 0) => c.wdata = (c.awaddr == offset("interrupt")).into(),
                (0, 1) => c.awaddr = offset("id"),
                _ => {}
            }
            if c.awvalid != c.wvalid {
                (c.awvalid, c.wvalid) = (1, 1);
            }
        }
        c.bready = 1;
        c.rready = 1;
        (self.writing || self.reading).then_some(c)
    }
}

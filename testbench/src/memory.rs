//! The memory at the pins of the RTL: what `spec::memory` says, cycle by cycle.

use crate::touches::Touches;
use spec::isa::{Instruction, Store};
use spec::{MemorySpec, Program, memory::Channel};
use std::collections::VecDeque;
use std::ops::Range;

const PAGE: usize = 4096;

/// The bytes, allocated where they are touched. What was never written reads as zero.
pub struct Bytes(Vec<Option<Box<[u8; PAGE]>>>);

impl Default for Bytes {
    fn default() -> Self {
        Self(vec![None; 1 << 20])
    }
}

impl Bytes {
    /// Reads `out.len()` bytes from `address` on.
    pub fn read(&self, address: u32, out: &mut [u8]) {
        for (k, byte) in out.iter_mut().enumerate() {
            let at = address.wrapping_add(k as u32) as usize;
            *byte = self.0[at / PAGE].as_ref().map_or(0, |page| page[at % PAGE]);
        }
    }

    /// Writes those bytes whose strobe is set.
    pub fn write(&mut self, address: u32, data: &[u8], strobe: impl Fn(usize) -> bool) {
        for (k, byte) in data.iter().enumerate() {
            if strobe(k) {
                let at = address.wrapping_add(k as u32) as usize;
                self.0[at / PAGE].get_or_insert_with(|| Box::new([0; PAGE]))[at % PAGE] = *byte;
            }
        }
    }

    /// The memory before a run of `program`.
    pub fn load(program: &Program) -> Self {
        let mut bytes = Self::default();
        bytes.write(program.base, &program.code, |_| true);
        for segment in &program.data {
            bytes.write(segment.address, &segment.bytes, |_| true);
        }
        bytes
    }
}

/// The bytes that the stores of a program may write.
pub struct Writable {
    stores: Vec<Store>,
    code: Range<u64>,
    /// The program was written over.
    pub wrote_code: bool,
}

impl Writable {
    /// Those of this program.
    pub fn by(program: &Program) -> Self {
        let stores = program.instructions().flatten().filter_map(|i| match i {
            Instruction::Store(i) => Some(i),
            _ => None,
        });
        let base = u64::from(program.base);
        Self { stores: stores.collect(), code: base..base + program.code.len() as u64, wrote_code: false }
    }

    /// A byte is written: whether a store names it.
    fn write(&mut self, address: u32) -> bool {
        self.wrote_code |= self.code.contains(&u64::from(address));
        self.stores.iter().any(|i| {
            // Runs may go round the addresses more than once.
            let (bytes, pitch, last) =
                (u64::from(i.run_bytes), u64::from(i.run_pitch), u64::from(i.runs).saturating_sub(1));
            let first = u64::from(address.wrapping_sub(i.dst));
            (0..).map(|round| first + (round << 32)).take_while(|at| *at < last * pitch + bytes).any(|at| {
                let run = at.checked_div(pitch).unwrap_or(0).min(last);
                at - run * pitch < bytes
            })
        })
    }
}

/// What the memory drives on the read and write channels in one cycle.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub struct Answers {
    /// `arready`
    pub arready: u8,
    /// `rvalid`
    pub rvalid: u8,
    /// `rlast`
    pub rlast: u8,
    /// `rresp`
    pub rresp: u8,
    /// `awready`
    pub awready: u8,
    /// `wready`
    pub wready: u8,
    /// `bvalid`
    pub bvalid: u8,
    /// `bresp`
    pub bresp: u8,
}

/// What the RTL drives on the read and write channels in one cycle.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct Requests {
    /// `araddr`
    pub araddr: u32,
    /// `awaddr`
    pub awaddr: u32,
    /// `arlen`
    pub arlen: u8,
    /// `arvalid`
    pub arvalid: u8,
    /// `rready`
    pub rready: u8,
    /// `awlen`
    pub awlen: u8,
    /// `awvalid`
    pub awvalid: u8,
    /// `wvalid`
    pub wvalid: u8,
    /// `wlast`
    pub wlast: u8,
    /// `bready`
    pub bready: u8,
}

/// A beat of write data with its strobes.
type Beat = (Vec<u8>, u64);

/// A burst at the data port.
struct Burst {
    write: bool,
    address: u32,
    beats: u32,
    passed: u32,
    /// The response.
    response: u8,
}

/// One port's state; see `spec::memory` for the rules.
pub struct Memory<'a> {
    spec: &'a MemorySpec,
    bus: u32,
    interval: u64,
    /// The contents.
    pub bytes: Bytes,
    reads: VecDeque<(u64, u32, u32)>,
    writes: VecDeque<(u64, u32, u32)>,
    /// With early data: beats that were taken, and after how many of them, and when, each burst was over.
    early: VecDeque<Beat>,
    ends: VecDeque<(u64, u32)>,
    taken: u32,
    unfinished_reads: u32,
    unfinished_writes: u32,
    current: Option<Burst>,
    /// Earliest cycle of the next beat, or of the next burst.
    next: u64,
    read_held: bool,
    /// From when each can be given, and what it is.
    responses: VecDeque<(u64, u8)>,
    response_held: bool,
    /// A beat came that no rule of AXI allows, and which.
    pub violation: Option<String>,
    /// What was read and written, if that is to be counted.
    pub touches: Option<Touches>,
    /// What may be written, if that is to be checked.
    pub writable: Option<Writable>,
    /// The cycle from which it answers nothing more.
    pub silent_from: u64,
    /// What the RTL drove on channels that were not ready: it must stay.
    waiting: Requests,
    waiting_data: ([u8; 64], u64),
}

impl<'a> Memory<'a> {
    /// A memory with these contents behind a bus of `bus` bytes.
    pub fn new(spec: &'a MemorySpec, bus: u32, bytes: Bytes) -> Self {
        Self {
            spec,
            bus,
            interval: spec.beat_interval(bus),
            bytes,
            reads: VecDeque::new(),
            writes: VecDeque::new(),
            early: VecDeque::new(),
            ends: VecDeque::new(),
            taken: 0,
            unfinished_reads: 0,
            unfinished_writes: 0,
            current: None,
            next: 0,
            read_held: false,
            responses: VecDeque::new(),
            response_held: false,
            violation: None,
            touches: None,
            writable: None,
            silent_from: u64::MAX,
            waiting: Requests::default(),
            waiting_data: ([0; 64], 0),
        }
    }

    /// Cycle `t`: answers `requests`, and moves on. `data` is write data on entry, read data on return.
    pub fn cycle(
        &mut self,
        t: u64,
        requests: &Requests,
        wdata: &[u8],
        strobe: u64,
        rdata: &mut [u8],
    ) -> Answers {
        let mut a = Answers::default();
        self.check_stable(t, requests, wdata, strobe);
        let silent = t >= self.silent_from;
        let free = |channel| !silent && !self.spec.stalled(channel, t);
        if self.current.is_none() && t >= self.next {
            let read = self.reads.front().map_or(u64::MAX, |r| r.0);
            let write = self.write_ready();
            if read.min(write) <= t {
                let write = write < read;
                if write {
                    self.ends.pop_front();
                }
                let queue = if write { &mut self.writes } else { &mut self.reads };
                self.current = queue.pop_front().map(|(_, address, beats)| Burst {
                    write,
                    address,
                    beats,
                    passed: 0,
                    response: 0,
                });
            }
        }
        a.arready = (free(Channel::ReadAddress) && self.unfinished_reads < self.spec.outstanding).into();
        a.awready = (free(Channel::WriteAddress) && self.unfinished_writes < self.spec.outstanding).into();
        let (mut read_done, mut write_done) = (false, false);
        let early = self.spec.early_data;
        if early {
            a.wready = free(Channel::WriteData).into();
            if a.wready & requests.wvalid == 1 {
                self.early.push_back((wdata.to_vec(), strobe));
                self.taken += 1;
                if requests.wlast == 1 {
                    self.ends.push_back((t, std::mem::take(&mut self.taken)));
                }
            }
        }
        if let Some(burst) = &mut self.current
            && t >= self.next
        {
            let address = burst.address.wrapping_add(burst.passed * self.bus);
            let last = burst.passed + 1 == burst.beats;
            let fault = self.spec.faulty(u64::from(address), self.bus);
            let passes = if burst.write {
                let mut beat = None;
                if early {
                    beat = self.early.pop_front();
                } else {
                    a.wready = free(Channel::WriteData).into();
                    if a.wready & requests.wvalid == 1 {
                        beat = Some((wdata.to_vec(), strobe));
                    }
                }
                if let Some((wdata, strobe)) = &beat {
                    let strobe = *strobe;
                    self.bytes.write(address, wdata, |k| strobe >> k & 1 == 1);
                    if let Some(touches) = &mut self.touches {
                        touches.write(address, |k| strobe >> k & 1 == 1);
                    }
                    if let Some(writable) = &mut self.writable {
                        for k in (0..self.bus).filter(|k| strobe >> k & 1 == 1) {
                            let at = address.wrapping_add(k);
                            if !writable.write(at) {
                                self.violation.get_or_insert(format!("cycle {t}: no store writes {at:#x}"));
                            }
                        }
                    }
                    if fault {
                        burst.response = self.spec.error(u64::from(address));
                    }
                    if !early && (requests.wlast == 1) != last {
                        self.violation.get_or_insert(format!(
                            "cycle {t}: wlast is {} on beat {}",
                            requests.wlast, burst.passed
                        ));
                    }
                }
                beat.is_some()
            } else {
                if self.read_held || free(Channel::ReadData) {
                    a.rvalid = 1;
                    a.rlast = last.into();
                    a.rresp = if fault { self.spec.error(u64::from(address)) } else { 0 };
                    self.bytes.read(address, rdata);
                }
                let passes = a.rvalid == 1 && requests.rready == 1;
                self.read_held = a.rvalid == 1 && !passes;
                if let (true, Some(touches)) = (passes, &mut self.touches) {
                    touches.read(address);
                }
                passes
            };
            if passes {
                burst.passed += 1;
                self.next = t + self.interval;
                if last {
                    if burst.write {
                        self.responses.push_back((t + u64::from(self.spec.latency), burst.response));
                    } else {
                        read_done = true;
                    }
                    self.current = None;
                }
            }
        }
        if let Some((ready, fault)) = self.responses.front()
            && *ready <= t
            && (self.response_held || free(Channel::WriteResponse))
        {
            a.bvalid = 1;
            a.bresp = *fault;
            self.response_held = requests.bready == 0;
            if requests.bready == 1 {
                self.responses.pop_front();
                write_done = true;
            }
        }
        if requests.arvalid == 1 && a.arready == 1 {
            let beats = u32::from(requests.arlen) + 1;
            self.check_burst(t, requests.araddr, beats);
            self.reads.push_back((t + u64::from(self.spec.latency), requests.araddr, beats));
            self.unfinished_reads += 1;
        }
        if requests.awvalid == 1 && a.awready == 1 {
            let beats = u32::from(requests.awlen) + 1;
            self.check_burst(t, requests.awaddr, beats);
            self.writes.push_back((t + 1, requests.awaddr, beats));
            self.unfinished_writes += 1;
        }
        self.unfinished_reads -= u32::from(read_done);
        self.unfinished_writes -= u32::from(write_done);
        self.waiting = Requests {
            arvalid: requests.arvalid & (1 - a.arready),
            awvalid: requests.awvalid & (1 - a.awready),
            wvalid: requests.wvalid & (1 - a.wready),
            ..*requests
        };
        if self.waiting.wvalid == 1 {
            self.waiting_data.0[..wdata.len()].copy_from_slice(wdata);
            self.waiting_data.1 = strobe;
        }
        a
    }

    /// What is offered stays as it is until it is taken.
    fn check_stable(&mut self, t: u64, now: &Requests, wdata: &[u8], strobe: u64) {
        let was = &self.waiting;
        let read = (now.arvalid, now.araddr, now.arlen) == (1, was.araddr, was.arlen);
        let write = (now.awvalid, now.awaddr, now.awlen) == (1, was.awaddr, was.awlen);
        let data = (now.wvalid, now.wlast) == (1, was.wlast)
            && (was.wvalid == 0
                || (wdata, strobe) == (&self.waiting_data.0[..wdata.len()], self.waiting_data.1));
        for (channel, waited, same) in
            [("AR", was.arvalid, read), ("AW", was.awvalid, write), ("W", was.wvalid, data)]
        {
            if waited == 1 && !same {
                self.violation.get_or_insert(format!(
                    "cycle {t}: {channel} changes before it is taken, from {was:?} to {now:?}"
                ));
            }
        }
        if now.wvalid == 1 && (strobe == 0 || strobe.checked_shr(self.bus).unwrap_or(0) != 0) {
            self.violation.get_or_insert(format!("cycle {t}: a beat with strobes {strobe:#x}"));
        }
    }

    /// The run is over: nothing may be asked any more, nor be unanswered.
    pub fn over(&mut self, requests: &Requests) {
        let (reads, writes) = (self.unfinished_reads, self.unfinished_writes);
        let asked = requests.arvalid + requests.awvalid + requests.wvalid != 0;
        if asked || reads + writes != 0 || !self.early.is_empty() {
            self.violation.get_or_insert(format!(
                "the run is over, but {reads} reads and {writes} writes are unfinished, {requests:?}"
            ));
        }
    }

    /// From when the next write burst can be served.
    fn write_ready(&mut self) -> u64 {
        let Some(&(ready, address, beats)) = self.writes.front() else { return u64::MAX };
        if !self.spec.early_data {
            return ready;
        }
        let Some(&(t, taken)) = self.ends.front() else { return u64::MAX };
        if taken != beats {
            self.violation.get_or_insert(format!(
                "cycle {t}: wlast is on beat {taken} of the {beats} of the burst at {address:#x}"
            ));
        }
        ready.max(t + 1)
    }

    fn check_burst(&mut self, t: u64, address: u32, beats: u32) {
        let crosses = address % PAGE as u32 + beats * self.bus > PAGE as u32;
        if crosses || !address.is_multiple_of(self.bus) {
            self.violation.get_or_insert(format!(
                "cycle {t}: a burst of {beats} beats at {address:#x} crosses 4 KiB or is unaligned"
            ));
        }
    }
}

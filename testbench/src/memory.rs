//! The memory at the pins of the RTL: what `spec::memory` says, cycle by cycle.

use crate::touches::Touches;
use spec::{MemorySpec, Program, memory::Channel};
use std::collections::VecDeque;

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
#[derive(Clone, Copy, Default)]
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

/// A burst at the data port.
struct Burst {
    write: bool,
    address: u32,
    beats: u32,
    passed: u32,
    faulty: bool,
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
    unfinished_reads: u32,
    unfinished_writes: u32,
    current: Option<Burst>,
    /// Earliest cycle of the next beat, or of the next burst.
    next: u64,
    read_held: bool,
    responses: VecDeque<(u64, bool)>,
    response_held: bool,
    /// A beat came that no rule of AXI allows, and which.
    pub violation: Option<String>,
    /// What was read and written, if that is to be counted.
    pub touches: Option<Touches>,
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
            unfinished_reads: 0,
            unfinished_writes: 0,
            current: None,
            next: 0,
            read_held: false,
            responses: VecDeque::new(),
            response_held: false,
            violation: None,
            touches: None,
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
        let free = |channel| !self.spec.stalled(channel, t);
        if self.current.is_none() && t >= self.next {
            let read = self.reads.front().map_or(u64::MAX, |r| r.0);
            let write = self.writes.front().map_or(u64::MAX, |w| w.0);
            if read.min(write) <= t {
                let write = write < read;
                let queue = if write { &mut self.writes } else { &mut self.reads };
                self.current = queue.pop_front().map(|(_, address, beats)| Burst {
                    write,
                    address,
                    beats,
                    passed: 0,
                    faulty: false,
                });
            }
        }
        a.arready = (free(Channel::ReadAddress) && self.unfinished_reads < self.spec.outstanding).into();
        a.awready = (free(Channel::WriteAddress) && self.unfinished_writes < self.spec.outstanding).into();
        let (mut read_done, mut write_done) = (false, false);
        if let Some(burst) = &mut self.current
            && t >= self.next
        {
            let address = burst.address.wrapping_add(burst.passed * self.bus);
            let last = burst.passed + 1 == burst.beats;
            let fault = self.spec.faulty(u64::from(address), self.bus);
            let passes = if burst.write {
                a.wready = free(Channel::WriteData).into();
                let passes = a.wready == 1 && requests.wvalid == 1;
                if passes {
                    self.bytes.write(address, wdata, |k| strobe >> k & 1 == 1);
                    if let Some(touches) = &mut self.touches {
                        touches.write(address, |k| strobe >> k & 1 == 1);
                    }
                    burst.faulty |= fault;
                    if (requests.wlast == 1) != last {
                        self.violation.get_or_insert(format!(
                            "cycle {t}: wlast is {} on beat {}",
                            requests.wlast, burst.passed
                        ));
                    }
                }
                passes
            } else {
                if self.read_held || free(Channel::ReadData) {
                    a.rvalid = 1;
                    a.rlast = last.into();
                    a.rresp = if fault { 2 } else { 0 };
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
                        self.responses.push_back((t + u64::from(self.spec.latency), burst.faulty));
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
            a.bresp = if *fault { 2 } else { 0 };
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
        a
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

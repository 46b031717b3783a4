//! The load engine: a requester that runs ahead, cutting an instruction's runs into bursts, and a writer that lays
//! the arriving bytes down in the buffers, with padding.

use crate::memory::{Burst, Client};
use crate::{NEVER, Queue, Shared, Time};
use spec::{Config, config, isa::Load};

/// Cuts runs of bytes in memory into AXI bursts: no burst crosses a run's end or a 4 KiB boundary.
#[derive(Default)]
pub(crate) struct Runs {
    address: u64,
    run_left: u64,
    run_start: u64,
    run_bytes: u64,
    run_pitch: u64,
    pub runs: u32,
}

impl Runs {
    pub fn new(address: u32, run_bytes: u32, runs: u32, run_pitch: u32) -> Self {
        Self {
            address: u64::from(address),
            run_left: u64::from(run_bytes),
            run_start: u64::from(address),
            run_bytes: u64::from(run_bytes),
            run_pitch: u64::from(run_pitch),
            runs,
        }
    }

    /// Position in the bus word of the next byte.
    pub fn lane(&self, bus_bytes: u32) -> u32 {
        (self.address % u64::from(bus_bytes)) as u32
    }

    /// Address (aligned), beats and bytes of the next burst.
    pub fn next(&mut self, config: &Config) -> (u64, u32, u64) {
        let bus = u64::from(config.bus_bytes());
        let phase = self.address % bus;
        let wanted = (phase + self.run_left).div_ceil(bus);
        let to_boundary = (4096 - (self.address - phase) % 4096) / bus;
        let beats = wanted.min(to_boundary).min(u64::from(config.burst_beats));
        let bytes = (beats * bus - phase).min(self.run_left);
        let address = self.address - phase;
        // Addresses are 32 bits wide and wrap.
        self.address = (self.address + bytes) & 0xffff_ffff;
        self.run_left -= bytes;
        if self.run_left == 0 {
            self.runs -= 1;
            self.run_start = (self.run_start + self.run_pitch) & 0xffff_ffff;
            self.address = self.run_start;
            self.run_left = self.run_bytes;
        }
        (address, beats as u32, bytes)
    }
}

pub(crate) struct Requester<'a> {
    config: &'a Config,
    pub queue: Queue<Load>,
    runs: Runs,
    /// When the requester next looks at its queue, or presents its next burst.
    ready: Time,
}

impl<'a> Requester<'a> {
    pub fn new(config: &'a Config) -> Self {
        Self { config, queue: Queue::new(config::QUEUE_DEPTH), runs: Runs::default(), ready: 0 }
    }

    pub fn pop_time(&self, shared: &Shared, writer: &Writer) -> Time {
        match self.queue.served() {
            Some((served, load)) if self.runs.runs == 0 => self
                .ready
                .max(served)
                .max(shared.store_to_load.available(load.pop_prev).saturating_add(1))
                .max(shared.compute_to_load.available(load.pop_next).saturating_add(1))
                .max(writer.window.room()),
            _ => NEVER,
        }
    }

    pub fn pop(&mut self, t: Time, shared: &mut Shared, writer: &mut Writer) {
        let Some((_, &load)) = self.queue.head() else { return };
        self.queue.pop(t);
        shared.store_to_load.pop(load.pop_prev);
        shared.compute_to_load.pop(load.pop_next);
        self.runs = Runs::new(load.src, load.run_bytes, load.runs, load.run_pitch);
        self.ready = if load.runs == 0 { t + 1 } else { t + 2 };
        writer.window.push(t, load);
        writer.advance(shared);
    }

    pub fn request_time(&self) -> Time {
        if self.runs.runs == 0 { NEVER } else { self.ready }
    }

    pub fn grant(&mut self, t: Time) -> Burst {
        let (address, beats, _) = self.runs.next(self.config);
        self.ready = if self.runs.runs == 0 { t + 1 } else { t + 2 };
        Burst { client: Client::Load, address, beats }
    }

    pub fn quiet_from(&self) -> Time {
        self.ready.max(self.queue.quiet_from())
    }
}

/// Where the writer is in a row.
#[derive(Clone, Copy, PartialEq)]
enum Phase {
    PadLeft,
    Data,
    PadRight,
    Done,
}

pub(crate) struct Writer<'a> {
    config: &'a Config,
    pub window: Queue<Load>,
    load: Load,
    busy: bool,
    phase: Phase,
    /// From when each instruction is complete.
    pub completed: Vec<Time>,
    /// Next cycle in which the writer can act.
    at: Time,
    /// Bytes left in this phase of the row.
    left: u32,
    row: u32,
    address: u32,
    /// Bytes between words of the destination buffer.
    stride: u32,
    runs_left: u32,
    run_left: u32,
    run_start: u32,
    /// Position in the bus word of the next byte of the run.
    lane: u32,
}

impl<'a> Writer<'a> {
    pub fn new(config: &'a Config) -> Self {
        Self {
            config,
            window: Queue::new(config::LOAD_WINDOW),
            load: Load::default(),
            busy: false,
            phase: Phase::Done,
            completed: Vec::new(),
            at: 0,
            left: 0,
            row: 0,
            address: 0,
            stride: 1,
            runs_left: 0,
            run_left: 0,
            run_start: 0,
            lane: 0,
        }
    }

    /// Does all that needs no data: takes instructions, writes padding.
    pub fn advance(&mut self, shared: &mut Shared) {
        loop {
            if !self.busy {
                let Some((visible, &load)) = self.window.head() else { return };
                // The cycle after makes the first piece.
                let t = self.at.max(visible);
                self.window.pop(t);
                self.start(load);
                self.at = t + 2;
            }
            match self.phase {
                Phase::Data => return,
                Phase::Done => {
                    // An instruction that has nothing to write is found out in that cycle.
                    self.complete(shared);
                }
                Phase::PadLeft | Phase::PadRight => {
                    // A piece up to the end of the first word, then words.
                    let more = self.left.saturating_sub(self.room());
                    self.at += 1 + Time::from(more.div_ceil(self.stride));
                    self.address = self.address.wrapping_add(self.left) & 0xff_ffff;
                    self.next_phase(shared);
                }
            }
        }
    }

    fn start(&mut self, load: Load) {
        self.busy = true;
        self.load = load;
        self.row = load.dst;
        self.address = load.dst;
        self.stride = match load.buffer {
            0 => self.config.abuf_stride(),
            1 => self.config.wbuf_stride(),
            _ => self.config.pbuf_stride(),
        };
        self.runs_left = load.runs;
        self.run_left = load.run_bytes;
        self.run_start = load.src;
        self.lane = load.src % self.config.bus_bytes();
        self.phase = self.first_phase();
        self.left = self.phase_bytes();
    }

    fn first_phase(&self) -> Phase {
        if self.load.pad_left != 0 {
            Phase::PadLeft
        } else if self.runs_left != 0 {
            Phase::Data
        } else if self.load.pad_right != 0 {
            Phase::PadRight
        } else {
            Phase::Done
        }
    }

    fn phase_bytes(&self) -> u32 {
        match self.phase {
            Phase::PadLeft => self.load.pad_left,
            Phase::Data => self.load.row_bytes,
            Phase::PadRight => self.load.pad_right,
            Phase::Done => 0,
        }
    }

    /// Bytes up to the end of the destination word.
    fn room(&self) -> u32 {
        self.stride - (self.address & (self.stride - 1))
    }

    /// The last byte of a phase has been written in cycle `at - 1`.
    fn next_phase(&mut self, shared: &mut Shared) {
        let pad_right = self.load.pad_right != 0;
        self.phase = match self.phase {
            Phase::PadLeft if self.runs_left != 0 => Phase::Data,
            Phase::PadLeft | Phase::Data if pad_right => Phase::PadRight,
            _ if self.runs_left == 0 => return self.complete(shared),
            _ => {
                self.row = self.row.wrapping_add(self.load.dst_pitch) & 0xff_ffff;
                self.address = self.row;
                self.first_phase()
            }
        };
        self.left = self.phase_bytes();
    }

    /// The instruction is complete with the cycle before `at`.
    fn complete(&mut self, shared: &mut Shared) {
        self.busy = false;
        self.phase = Phase::Done;
        self.completed.push(self.at);
        if self.load.push_next {
            shared.load_to_compute.push(self.at - 1);
            if shared.load_to_compute.overflow() {
                shared.fault.raise(self.at, spec::Status::TokenOverflow);
            }
        }
    }

    /// Up to `beats` bus words are offered from cycle `valid` on, one a cycle: how many of them are consumed one a
    /// cycle because each is one piece, and the cycle of the last. The last word of a run is left to [`Self::beat`].
    pub fn stream(&mut self, valid: Time, beats: u32, shared: &mut Shared) -> Option<(u32, Time)> {
        let bus = self.config.bus_bytes();
        let Load { row_bytes, dst_pitch, pad_left, pad_right, .. } = self.load;
        let places = self.address | self.row | row_bytes | dst_pitch | self.left | self.lane;
        let whole = places & (bus - 1) == 0 && self.stride >= bus && pad_left == 0 && pad_right == 0;
        let count = beats.min(self.run_left.div_ceil(bus)).saturating_sub(1);
        if self.phase != Phase::Data || !whole || count == 0 {
            return None;
        }
        let bytes = count * bus;
        self.count_bytes(bytes, shared);
        self.run_left -= bytes;
        let place = u64::from(row_bytes - self.left) + u64::from(bytes);
        let (rows, offset) = (place / u64::from(row_bytes), (place % u64::from(row_bytes)) as u32);
        self.row = (u64::from(self.row) + rows * u64::from(dst_pitch)) as u32 & 0xff_ffff;
        self.address = self.row.wrapping_add(offset) & 0xff_ffff;
        self.left = row_bytes - offset;
        self.at = self.at.max(valid) + Time::from(count);
        Some((count, self.at - 1))
    }

    fn count_bytes(&self, bytes: u32, shared: &mut Shared) {
        let counter = match self.load.buffer {
            0 => &mut shared.counters.read_input,
            1 => &mut shared.counters.read_weight,
            _ => &mut shared.counters.read_param,
        };
        *counter += u64::from(bytes);
    }

    /// A bus word is offered from cycle `valid` on: the cycle in which it is consumed.
    pub fn beat(&mut self, valid: Time, shared: &mut Shared) -> Time {
        self.at = self.at.max(valid);
        let bus = self.config.bus_bytes();
        self.count_bytes(bus, shared);
        loop {
            let n = self.room().min(self.left).min(self.run_left).min(bus - self.lane);
            let t = self.at;
            self.at += 1;
            self.address = self.address.wrapping_add(n) & 0xff_ffff;
            self.left -= n;
            self.run_left -= n;
            self.lane += n;
            let run_over = self.run_left == 0;
            let consumed = run_over || self.lane == bus;
            if consumed {
                self.lane = 0;
            }
            if run_over {
                self.runs_left -= 1;
                self.run_start = self.run_start.wrapping_add(self.load.run_pitch);
                self.run_left = self.load.run_bytes;
                self.lane = self.run_start & (bus - 1);
            }
            // The stream may end inside a row; then the row ends there.
            if self.left == 0 || self.runs_left == 0 {
                if self.left > 0 && self.load.pad_right != 0 {
                    // The first piece of what follows is not made ahead.
                    self.at += 1;
                }
                self.next_phase(shared);
                self.advance(shared);
            }
            if consumed {
                return t;
            }
        }
    }

    pub fn quiet_from(&self) -> Time {
        self.at
    }
}

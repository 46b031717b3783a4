//! The compute engine: the lister that turns rectangles into tiles of pixels, the feeder that streams a tile's
//! operands into the array, and the drain.

use crate::{NEVER, Queue, Shared, Time};
use spec::isa::{Instruction, Rect, Taps};
use spec::{Config, Counters, Status, config, timing};

#[derive(Clone, Copy)]
enum Idle {
    Load,
    Store,
    Setup,
    Fetch,
    Tail,
}

pub(crate) struct Compute {
    pub queue: Queue<Instruction>,
    rows: u32,
    gap: Time,
    drain_start: Time,
    taps: Tile,
    /// Pixels listed for the tile being filled.
    filled: u32,
    /// Earliest cycle of the lister's next step.
    lister: Time,
    /// First cycle after the feeder's last.
    feeder: Time,
    /// When the last operand of the last tile was issued.
    issued: Option<Time>,
    /// When the drain of the last tile is complete.
    drained: Option<Time>,
    /// Pushes that the tile being filled makes when it is drained.
    push_prev: bool,
    push_next: bool,
}

/// The timing of one tile's reduction.
#[derive(Clone, Copy, Default)]
struct Tile {
    /// Cycles, if nothing stalls.
    cycles: Time,
    /// Operands.
    operands: Time,
    /// Cycles and operands of the last word.
    last_cycles: Time,
    last_operands: Time,
    /// Drain steps.
    drain: Time,
}

impl Tile {
    fn new(taps: &Taps, config: &Config) -> Self {
        let segments = Time::from(taps.n_ky) * Time::from(taps.n_kx);
        let (n, longs) = (Time::from(taps.word_len), Time::from(taps.longs));
        let shorts = Time::from(taps.words) - longs;
        let rows = Time::from(config.rows);
        let last_operands = if shorts > 0 { n - 1 } else { n };
        Self {
            cycles: segments * (longs * n.max(rows) + shorts * rows.max(n.saturating_sub(1))),
            operands: segments * (longs * n + shorts * n.saturating_sub(1)),
            last_cycles: last_operands.max(rows),
            last_operands,
            drain: Time::from(taps.chunks) * rows,
        }
    }
}

impl Compute {
    pub fn new(config: &Config) -> Self {
        Self {
            queue: Queue::new(config::QUEUE_DEPTH),
            rows: config.rows,
            gap: Time::from(timing::tile_gap(config)),
            drain_start: Time::from(timing::issue_to_drain(config)),
            taps: Tile::default(),
            filled: 0,
            lister: 0,
            feeder: 0,
            issued: None,
            drained: None,
            push_prev: false,
            push_next: false,
        }
    }

    /// From when neither feeder nor drain has work.
    fn array_idle(&self) -> Time {
        self.feeder.max(self.drained.map_or(0, |t| t + 1))
    }

    pub fn pop_time(&self, shared: &Shared) -> Time {
        let Some((visible, instruction)) = self.queue.head() else { return NEVER };
        let ready = self.lister.max(visible);
        match instruction {
            Instruction::Quant(_) => ready.max(self.array_idle()),
            Instruction::Rect(rect) => ready
                .max(shared.load_to_compute.available(rect.pop_prev))
                .max(shared.store_to_compute.available(rect.pop_next)),
            _ => ready,
        }
    }

    pub fn execute(&mut self, t: Time, shared: &mut Shared) {
        let Some((visible, instruction)) = self.queue.head() else { return };
        self.queue.pop(t);
        self.idle(self.lister, visible, Idle::Fetch, &mut shared.counters);
        let from = self.lister.max(visible);
        self.lister = t + 1;
        match instruction {
            Instruction::Taps(taps) => {
                self.idle(from, t + 1, Idle::Setup, &mut shared.counters);
                self.taps = Tile::new(&taps, shared.config);
            }
            Instruction::Rect(rect) => {
                let loaded = shared.load_to_compute.available(rect.pop_prev).max(from);
                let stored = shared.store_to_compute.available(rect.pop_next).max(loaded);
                self.idle(from, loaded, Idle::Load, &mut shared.counters);
                self.idle(loaded, stored, Idle::Store, &mut shared.counters);
                self.idle(stored, t + 1, Idle::Setup, &mut shared.counters);
                shared.load_to_compute.pop(rect.pop_prev);
                shared.store_to_compute.pop(rect.pop_next);
                self.list(&rect, shared);
            }
            _ => self.idle(from, t + 1, Idle::Setup, &mut shared.counters),
        }
    }

    /// Lists a rectangle's pixels; every full tile is fed and drained.
    fn list(&mut self, rect: &Rect, shared: &mut Shared) {
        let mut left = u64::from(rect.nx) * u64::from(rect.ny);
        while left > 0 {
            let n = left.min(u64::from(self.rows - self.filled));
            left -= n;
            self.filled += n as u32;
            let listed = self.lister + n;
            if left == 0 {
                self.push_prev |= rect.push_prev;
                self.push_next |= rect.push_next;
            }
            self.idle(self.lister, listed, Idle::Setup, &mut shared.counters);
            self.lister = listed;
            if self.filled == self.rows || (left == 0 && !rect.chain) {
                self.feed(shared);
            }
        }
    }

    /// Feeds the listed tile, which the feeder can take from cycle `lister` on.
    fn feed(&mut self, shared: &mut Shared) {
        let tile = self.taps;
        // The cycle in which the feeder takes it is the last of the tile before, or an idle one.
        let start = (self.lister + 1).max(self.feeder);
        self.idle(self.lister, start, Idle::Setup, &mut shared.counters);
        self.lister = start;
        let natural = start + tile.cycles - tile.last_cycles + tile.last_operands - 1;
        let issued = self.issued.map_or(natural, |t| natural.max(t + self.gap));
        let stall = issued - natural;
        self.feeder = start + tile.cycles + stall;
        self.issued = Some(issued);
        let counters = &mut shared.counters;
        counters.busy += tile.operands;
        counters.idle_feed += tile.cycles - tile.operands;
        counters.idle_drain += stall;

        let drained = issued + self.drain_start + tile.drain - 1 + Time::from(timing::DRAIN_TO_WRITE);
        self.drained = Some(drained);
        self.filled = 0;
        if std::mem::take(&mut self.push_prev) {
            shared.compute_to_load.push(drained);
        }
        if std::mem::take(&mut self.push_next) {
            shared.compute_to_store.push(drained);
        }
        if shared.compute_to_load.overflow() || shared.compute_to_store.overflow() {
            shared.fault.raise(drained, Status::TokenOverflow);
        }
    }

    /// Attributes the cycles `from..to`, as far as the feeder is idle in them.
    fn idle(&self, from: Time, to: Time, cause: Idle, counters: &mut Counters) {
        let cycles = to.saturating_sub(from.max(self.feeder));
        let counter = match cause {
            Idle::Load => &mut counters.idle_load,
            Idle::Store => &mut counters.idle_store,
            Idle::Setup => &mut counters.idle_setup,
            Idle::Fetch => &mut counters.idle_fetch,
            Idle::Tail => &mut counters.idle_tail,
        };
        *counter += cycles;
    }

    /// Attributes what is left of a run of `cycles` after the last instruction.
    pub fn finish(&mut self, cycles: Time, ended: Time, counters: &mut Counters) {
        let ended = ended.min(cycles).max(self.lister);
        self.idle(self.lister, ended, Idle::Fetch, counters);
        self.idle(ended, cycles, Idle::Tail, counters);
    }

    pub fn quiet_from(&self) -> Time {
        self.lister.max(self.array_idle())
    }
}

//! The compute engine: the lister that turns rectangles into tiles of pixels, the feeder that streams a tile's
//! operands into the array, and the drain.

use crate::{NEVER, Queue, Shared, Time};
use spec::isa::{Depth, Instruction, Rect, Taps};
use spec::{Config, Counters, Mark, Status, config, timing};

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
    /// The reductions are by channel.
    depth: bool,
    reduction: Reduction,
    drain_end: Time,
    /// Pixels listed for the tile being filled.
    filled: u32,
    /// Earliest cycle of the lister's next step.
    lister: Time,
    /// From when the end of the program is known.
    pub ended: Time,
    /// First cycle after the feeder's last.
    feeder: Time,
    /// When the next tile's last operand can be issued: the last one's, and the gap that its reduction wants.
    earliest: Time,
    /// When the drain of the last tile is complete.
    drained: Option<Time>,
    /// From when each instruction is complete.
    pub completed: Vec<Time>,
    /// Rectangles whose last pixels are in the tile being filled.
    open: Vec<usize>,
    /// Pushes that the tile being filled makes when it is drained.
    push_prev: bool,
    push_next: bool,
}

/// What determines the time of a tile's reduction.
#[derive(Clone, Copy, Default)]
struct Reduction {
    /// Segments of the kernel.
    segments: Time,
    /// Turns of a segment: words or, by channel, phases; the long ones and the others, which are one shorter.
    longs: Time,
    shorts: Time,
    /// Operands or, by channel, taps of a long turn.
    length: Time,
    chunks: Time,
}

/// The timing of one tile's reduction.
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

impl Reduction {
    fn taps(i: &Taps) -> Self {
        Self {
            segments: Time::from(i.n_ky) * Time::from(i.n_kx),
            longs: i.longs.into(),
            shorts: (i.words - i.longs).into(),
            length: i.word_len.into(),
            chunks: i.chunks.into(),
        }
    }

    fn depth(i: &Depth) -> Self {
        Self {
            segments: Time::from(i.n_ky) * Time::from(i.n_kx),
            longs: i.longs.into(),
            shorts: (i.phases - i.longs).into(),
            length: i.taps.into(),
            chunks: i.chunks.into(),
        }
    }

    /// A tile of `pixels` pixels in an array of `rows`.
    fn tile(&self, depth: bool, pixels: Time, rows: Time) -> Tile {
        let cycles = |operands: Time| if depth { operands + pixels - 1 } else { operands.max(rows) };
        let short = self.length.saturating_sub(1);
        let last_operands = if self.shorts > 0 { short } else { self.length };
        Tile {
            cycles: self.segments * (self.longs * cycles(self.length) + self.shorts * cycles(short)),
            operands: self.segments * (self.longs * self.length + self.shorts * short),
            last_cycles: cycles(last_operands),
            last_operands,
            drain: self.chunks * rows,
        }
    }
}

impl Compute {
    pub fn new(config: &Config) -> Self {
        Self {
            queue: Queue::new(config::QUEUE_DEPTH),
            rows: config.rows,
            depth: false,
            reduction: Reduction::default(),
            drain_end: Time::from(timing::drain_to_write(config)),
            filled: 0,
            lister: 0,
            ended: NEVER,
            feeder: 0,
            earliest: 0,
            drained: None,
            completed: Vec::new(),
            open: Vec::new(),
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
            Instruction::Quant(_) | Instruction::Post(_) | Instruction::Table(_) => {
                ready.max(self.array_idle())
            }
            Instruction::Rect(rect) => ready
                .max(self.queue.served().map_or(NEVER, |(served, _)| served))
                .max(shared.load_to_compute.available(rect.pop_prev).saturating_add(1))
                .max(shared.store_to_compute.available(rect.pop_next).saturating_add(1)),
            _ => ready,
        }
    }

    pub fn execute(&mut self, t: Time, shared: &mut Shared) {
        let Some((visible, &instruction)) = self.queue.head() else { return };
        let served = self.queue.served().map_or(NEVER, |(served, _)| served);
        self.queue.pop(t);
        self.idle_without(visible, &mut shared.counters);
        let from = self.lister.max(visible);
        self.lister = t + 1;
        self.completed.push(t + 1);
        match instruction {
            Instruction::Taps(taps) => {
                self.idle(from, t + 1, Idle::Setup, &mut shared.counters);
                self.reduction = Reduction::taps(&taps);
            }
            Instruction::Depth(depth) => {
                self.idle(from, t + 1, Idle::Setup, &mut shared.counters);
                self.reduction = Reduction::depth(&depth);
            }
            Instruction::Quant(quant) => {
                self.idle(from, t + 1, Idle::Setup, &mut shared.counters);
                self.depth = quant.depth;
                if quant.layer != shared.marks.last().map_or(0, |m| m.layer) {
                    let counters = Counters { cycles: t + 1, ..shared.counters };
                    shared.marks.push(Mark::new(quant.layer, counters));
                }
            }
            Instruction::Rect(rect) => {
                // Which tokens are missing is seen a cycle later.
                let seen = from.max(served);
                let loaded = (shared.load_to_compute.available(rect.pop_prev) + 1).max(seen);
                let stored = (shared.store_to_compute.available(rect.pop_next) + 1).max(loaded);
                self.idle(from, seen, Idle::Setup, &mut shared.counters);
                self.idle(seen, loaded, Idle::Load, &mut shared.counters);
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
        let row = u64::from(rect.nx);
        let mut left = row * u64::from(rect.ny);
        // What is listed after the limit does not matter.
        while left > 0 && self.lister <= shared.limit {
            let reach = if self.depth { (left - 1) % row + 1 } else { left };
            let n = reach.min(u64::from(self.rows - self.filled));
            left -= n;
            self.filled += n as u32;
            let listed = self.lister + n;
            if left == 0 {
                self.push_prev |= rect.push_prev;
                self.push_next |= rect.push_next;
            }
            self.idle(self.lister, listed, Idle::Setup, &mut shared.counters);
            self.lister = listed;
            let row_over = self.depth && n == reach;
            if self.filled == self.rows || row_over || (left == 0 && !rect.chain) {
                self.feed(shared);
            }
        }
        let rect = self.completed.len() - 1;
        self.completed[rect] = self.drained.filter(|_| self.filled == 0).map_or(NEVER, |t| t + 1);
        if self.filled != 0 {
            self.open.push(rect);
        }
    }

    /// Feeds the listed tile, which the feeder can take from cycle `lister` on.
    fn feed(&mut self, shared: &mut Shared) {
        let config = shared.config;
        let tile = self.reduction.tile(self.depth, self.filled.into(), self.rows.into());
        let gap = Time::from(timing::tile_gap(config, self.depth));
        let drain_start = Time::from(timing::issue_to_drain(config, self.depth));
        // The cycle in which the feeder takes it is the last of the tile before, or an idle one.
        let start = (self.lister + 1).max(self.feeder);
        self.idle(self.lister, start, Idle::Setup, &mut shared.counters);
        self.lister = start;
        let natural = start + tile.cycles - tile.last_cycles + tile.last_operands - 1;
        let issued = natural.max(self.earliest);
        let stall = issued - natural;
        self.feeder = start + tile.cycles + stall;
        self.earliest = issued + gap;
        let counters = &mut shared.counters;
        counters.busy += tile.operands;
        counters.idle_feed += tile.cycles - tile.operands;
        counters.idle_drain += stall;

        let drained = issued + drain_start + tile.drain - 1 + self.drain_end;
        self.drained = Some(drained);
        self.filled = 0;
        if !self.open.is_empty() {
            self.open.drain(..).for_each(|rect| self.completed[rect] = drained + 1);
        }
        if std::mem::take(&mut self.push_prev) {
            shared.compute_to_load.push(drained);
        }
        if std::mem::take(&mut self.push_next) {
            shared.compute_to_store.push(drained);
        }
        if shared.compute_to_load.overflow() || shared.compute_to_store.overflow() {
            shared.fault.raise(drained + 1, Status::TokenOverflow);
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

    /// Attributes the cycles before `to` for which there is no instruction.
    pub fn idle_without(&self, to: Time, counters: &mut Counters) {
        let ended = self.ended.min(to).max(self.lister);
        self.idle(self.lister, ended, Idle::Fetch, counters);
        self.idle(ended, to, Idle::Tail, counters);
    }

    pub fn quiet_from(&self) -> Time {
        self.lister.max(self.array_idle()).max(self.queue.quiet_from())
    }
}

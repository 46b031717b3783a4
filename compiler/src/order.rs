//! Turns operations in reading order into a program: who waits for whom, what is loaded ahead, and the tokens.

use std::collections::BTreeMap;

use spec::isa::{Engine, Instruction};

use crate::CompileError;

/// Instructions per engine that are dispatched ahead of those that wait, by estimate.
const AHEAD: usize = 7;
/// Operations that one may overtake in reading order. This and [`SLACK`] bound the tokens that wait to be popped.
const WINDOW: usize = 64;
/// Who waits for something long past waits for what is this many operations before it in reading order instead.
const SLACK: usize = 48;

/// What operations must not use at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Place {
    Memory,
    Activations(u32),
    Weights,
    Params,
    /// The one port of an activation buffer that reads.
    ReadPort(u32),
    /// The one port of an activation buffer that writes.
    WritePort(u32),
}

/// Places with their numbers.
const PLACES: usize = 12;

impl Place {
    fn index(self) -> usize {
        match self {
            Self::Memory => 0,
            Self::Weights => 1,
            Self::Params => 2,
            Self::Activations(buffer) => 3 + buffer as usize,
            Self::ReadPort(buffer) => 6 + buffer as usize,
            Self::WritePort(buffer) => 9 + buffer as usize,
        }
    }
}

/// Part of a place that an operation uses: bytes, or words of the weight and parameter buffers.
#[derive(Clone, Copy, Debug)]
pub struct Touch {
    place: Place,
    lo: i64,
    hi: i64,
}

impl Touch {
    /// `lo..hi` of `place`.
    pub fn new(place: Place, lo: i64, hi: i64) -> Self {
        Self { place, lo, hi }
    }

    /// All of a port.
    pub fn port(place: Place) -> Self {
        Self::new(place, 0, 1)
    }
}

/// An instruction without tokens, and what it touches. Two engines that touch the same place always conflict: of two
/// that share one, one writes it and the other reads it.
#[derive(Clone, Debug)]
pub struct Op {
    /// The instruction.
    pub instruction: Instruction,
    /// What it reads and writes.
    pub touches: Vec<Touch>,
    /// Estimated cycles.
    pub cycles: i64,
}

const LOAD: usize = 0;
const COMPUTE: usize = 1;
const STORE: usize = 2;
const ENGINES: [usize; 3] = [LOAD, COMPUTE, STORE];

fn engine_of(instruction: &Instruction) -> usize {
    match instruction.form().engine {
        Engine::Load => LOAD,
        Engine::Store => STORE,
        Engine::Compute | Engine::Fetch => COMPUTE,
    }
}

/// Which operation of an engine touched each place of a buffer last.
#[derive(Default)]
struct LastTouch(BTreeMap<i64, (i64, usize)>);

impl LastTouch {
    fn latest(&self, lo: i64, hi: i64) -> Option<usize> {
        let before = self.0.range(..lo).next_back().filter(|(_, (end, _))| *end > lo);
        before.into_iter().chain(self.0.range(lo..hi)).map(|(_, (_, index))| *index).max()
    }

    fn set(&mut self, lo: i64, hi: i64, index: usize) {
        if let Some((&start, &(end, old))) = self.0.range(..lo).next_back()
            && end > lo
        {
            self.0.insert(start, (lo, old));
            if end > hi {
                self.0.insert(hi, (end, old));
            }
        }
        while let Some((&start, &(end, old))) = self.0.range(lo..hi).next() {
            self.0.remove(&start);
            if end > hi {
                self.0.insert(hi, (end, old));
            }
        }
        self.0.insert(lo, (hi, index));
    }
}

/// An engine's operations: what each waits for, by engine, as an index into that engine's operations.
struct Stream {
    ops: Vec<Op>,
    /// Places in reading order.
    places: Vec<usize>,
    waits: Vec<[Option<usize>; 3]>,
    /// Whom each operation tells of its completion.
    tells: Vec<[bool; 3]>,
}

/// The instructions with tokens in program order, and the estimated cycles.
pub fn order(ops: Vec<Op>) -> Result<(Vec<Instruction>, i64), CompileError> {
    let mut streams = dependences(ops);
    let (sequence, cycles) = interleave(&streams)?;
    let mut next = [0; 3];
    let mut instructions = Vec::with_capacity(sequence.len());
    for engine in sequence {
        let index = next[engine];
        next[engine] += 1;
        let stream = &mut streams[engine];
        let mut instruction = stream.ops[index].instruction;
        let (waits, tells) = (stream.waits[index], stream.tells[index]);
        let pop = |of: usize| u32::from(waits[of].is_some());
        match &mut instruction {
            Instruction::Load(i) => {
                (i.pop_prev, i.pop_next) = (pop(STORE), pop(COMPUTE));
                i.push_next = tells[COMPUTE];
            }
            Instruction::Rect(i) => {
                (i.pop_prev, i.pop_next) = (pop(LOAD), pop(STORE));
                (i.push_prev, i.push_next) = (tells[LOAD], tells[STORE]);
            }
            Instruction::Store(i) => {
                i.pop_prev = pop(COMPUTE);
                (i.push_prev, i.push_next) = (tells[COMPUTE], tells[LOAD]);
            }
            _ => {}
        }
        instructions.push(instruction);
    }
    Ok((instructions, cycles))
}

/// Finds what each operation must wait for. An operation waits only if it needs a later completion than all before
/// it on its engine; so every wait is for exactly one token.
fn dependences(ops: Vec<Op>) -> [Stream; 3] {
    let mut streams =
        ENGINES.map(|_| Stream { ops: Vec::new(), places: Vec::new(), waits: Vec::new(), tells: Vec::new() });
    let mut touched: [[LastTouch; 3]; PLACES] = Default::default();
    for (place, op) in ops.into_iter().enumerate() {
        let engine = engine_of(&op.instruction);
        let mut waits = [None; 3];
        for touch in &op.touches {
            // What is stored was computed after whatever was loaded to the same place.
            for other in ENGINES.into_iter().filter(|e| *e != engine && (engine, *e) != (STORE, LOAD)) {
                let last = touched[touch.place.index()][other].latest(touch.lo, touch.hi);
                waits[other] = waits[other].max(last);
            }
            let index = streams[engine].ops.len();
            touched[touch.place.index()][engine].set(touch.lo, touch.hi, index);
        }
        streams[engine].ops.push(op);
        streams[engine].places.push(place);
        streams[engine].waits.push(waits);
        streams[engine].tells.push([false; 3]);
    }
    // Only the end of a chain of rectangles can tell of its completion.
    let mut chain_end = vec![0; streams[COMPUTE].ops.len()];
    let mut end = 0;
    for (i, op) in streams[COMPUTE].ops.iter().enumerate().rev() {
        if matches!(op.instruction, Instruction::Rect(r) if !r.chain) {
            end = i;
        }
        chain_end[i] = end;
    }
    for engine in ENGINES {
        let mut reached = [None; 3];
        for i in 0..streams[engine].ops.len() {
            for other in ENGINES {
                let Some(wait) = streams[engine].waits[i][other].take_if(|w| Some(*w) > reached[other])
                else {
                    streams[engine].waits[i][other] = None;
                    continue;
                };
                let past = streams[engine].places[i].saturating_sub(SLACK);
                let recent = streams[other].places.partition_point(|p| *p < past).saturating_sub(1);
                let end = |w: usize| if other == COMPUTE { chain_end[w] } else { w };
                let (wait, recent) = (end(wait), end(wait.max(recent)));
                // The chain of a recent rectangle may not be over yet.
                let past = streams[other].places[recent] < streams[engine].places[i];
                let wait = if past { recent } else { wait };
                reached[other] = Some(wait);
                streams[engine].waits[i][other] = Some(wait);
                streams[other].tells[wait][engine] = true;
            }
        }
    }
    streams
}

/// The order in which to dispatch: that operation next whose engine's queue has room for it first, by estimate.
fn interleave(streams: &[Stream; 3]) -> Result<(Vec<usize>, i64), CompileError> {
    let total = streams.iter().map(|s| s.ops.len()).sum();
    let mut sequence = Vec::with_capacity(total);
    let mut starts: [Vec<i64>; 3] = Default::default();
    let mut ends: [Vec<i64>; 3] = Default::default();
    while sequence.len() < total {
        let first = ENGINES.iter().filter_map(|&e| streams[e].places.get(starts[e].len())).min();
        let window = first.map_or(0, |place| place + WINDOW);
        let ready = |engine: usize| {
            let next = starts[engine].len();
            let waits = streams[engine].waits.get(next)?;
            let hidden = streams[engine].places[next] >= window;
            if hidden || ENGINES.iter().any(|&e| waits[e].is_some_and(|w| w >= starts[e].len())) {
                return None;
            }
            Some(next.checked_sub(AHEAD).map_or(0, |i| starts[engine][i]))
        };
        let Some((_, engine)) = ENGINES.into_iter().filter_map(|e| Some((ready(e)?, e))).min() else {
            return Err(CompileError::internal());
        };
        let index = starts[engine].len();
        let waits = streams[engine].waits[index];
        let needed = ENGINES.iter().filter_map(|&e| Some(ends[e][waits[e]?])).max().unwrap_or(0);
        let start = needed.max(ends[engine].last().copied().unwrap_or(0));
        starts[engine].push(start);
        ends[engine].push(start + streams[engine].ops[index].cycles);
        sequence.push(engine);
    }
    let cycles = ends.iter().filter_map(|e| e.last()).max().copied().unwrap_or(0);
    Ok((sequence, cycles))
}

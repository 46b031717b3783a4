//! Instruction fetch: reads the program in batches and dispatches it, in order, to the engines' queues.

use crate::memory::{Burst, Client};
use crate::{Fault, NEVER, Queue, Time};
use spec::isa::{self, Engine, INSTRUCTION_BYTES, Instruction};
use spec::{Config, Program, Status, timing};
use std::ops::Range;

/// Instructions that the fetch buffer holds.
const BUFFER: usize = 16;

pub(crate) struct Fetch<'a> {
    program: &'a Program,
    instructions: Vec<Result<Instruction, isa::DecodeError>>,
    bus_bytes: usize,
    batch: usize,
    requested: usize,
    /// When each batch was requested.
    requests: Vec<Time>,
    /// Earliest cycle of the next request.
    free: Time,
    /// Bytes that have arrived, in all.
    arrived_bytes: usize,
    /// From when each instruction can be taken out of the buffer; it can be dispatched in the next cycle.
    arrived: Vec<Time>,
    /// When each instruction was dispatched.
    dispatched: Vec<Time>,
    ended: bool,
    setup: isa::Setup,
    /// An error of the program was seen.
    failed: bool,
}

impl<'a> Fetch<'a> {
    pub fn new(config: &Config, program: &'a Program, fault: &mut Fault) -> Self {
        if !program.base.is_multiple_of(isa::PROGRAM_ALIGN) {
            fault.raise(0, Status::Misaligned);
        } else if program.is_empty() {
            fault.raise(0, Status::Truncated);
        }
        Self {
            program,
            instructions: program.instructions().collect(),
            bus_bytes: config.bus_bytes() as usize,
            batch: timing::fetch_batch(config) as usize,
            requested: 0,
            requests: Vec::new(),
            free: 0,
            arrived_bytes: 0,
            arrived: Vec::new(),
            dispatched: Vec::new(),
            ended: false,
            setup: isa::Setup::default(),
            failed: false,
        }
    }

    pub fn request_time(&self) -> Time {
        if self.ended || self.requested >= self.program.len() as usize {
            return NEVER;
        }
        // Room for a whole batch: `dispatched >= requested + batch - BUFFER`.
        match (self.requested + self.batch).checked_sub(BUFFER + 1) {
            None => self.free,
            Some(k) => self.dispatched.get(k).map_or(NEVER, |t| self.free.max(t + 1)),
        }
    }

    pub fn grant(&mut self, t: Time) -> Burst {
        let count = self.batch.min(self.program.len() as usize - self.requested);
        let address = u64::from(self.program.base) + (self.requested * INSTRUCTION_BYTES) as u64;
        self.requested += count;
        self.requests.push(t);
        self.free = t + 1;
        let beats = (count * INSTRUCTION_BYTES).div_ceil(self.bus_bytes);
        Burst { client: Client::Fetch, address, beats: beats as u32 }
    }

    /// A beat passes in cycle `t`.
    pub fn beat(&mut self, t: Time) {
        self.arrived_bytes += self.bus_bytes;
        while self.arrived.len() < self.arrived_bytes / INSTRUCTION_BYTES {
            self.arrived.push(t + 1);
        }
    }

    fn next(&self) -> Option<(Time, &Result<Instruction, isa::DecodeError>)> {
        let k = self.dispatched.len();
        Some((*self.arrived.get(k)? + 1, self.instructions.get(k)?))
    }

    pub fn dispatch_time<L: Copy, C: Copy, S: Copy>(
        &self,
        load: &Queue<L>,
        compute: &Queue<C>,
        store: &Queue<S>,
    ) -> Time {
        if self.ended || self.failed {
            return NEVER;
        }
        let after = self.dispatched.last().map_or(0, |t| t + 1);
        if self.dispatched.len() == self.program.len() as usize {
            return after; // truncated
        }
        match self.next() {
            None => NEVER,
            Some((arrived, Err(_))) => arrived.max(after),
            Some((arrived, Ok(i))) => {
                let room = match i.form().engine {
                    Engine::Fetch => 0,
                    Engine::Load => load.room(),
                    Engine::Compute => compute.room(),
                    Engine::Store => store.room(),
                };
                arrived.max(after).max(room)
            }
        }
    }

    /// Dispatches the next instruction in cycle `t`.
    pub fn dispatch(&mut self, t: Time, config: &Config, fault: &mut Fault) -> Option<Instruction> {
        let (instruction, status) = match self.next() {
            None => (None, Some(Status::Truncated)),
            Some((_, Err(_))) => (None, Some(Status::IllegalInstruction)),
            Some((_, &Ok(i))) => (Some(i), i.fault(config, &self.setup)),
        };
        if let Some(i) = &instruction {
            self.dispatched.push(t);
            self.setup.see(i);
        }
        if let Some(status) = status {
            self.failed = true;
            fault.raise(t, status);
        } else if let Some(Instruction::End(_)) = instruction {
            self.ended = true;
        }
        instruction
    }

    /// The instructions of each batch that has arrived, when it was requested, and from when all of it can be
    /// dispatched.
    pub fn batches(&self) -> impl Iterator<Item = (Range<usize>, Time, Time)> {
        self.requests.iter().enumerate().filter_map(|(k, &t)| {
            let first = k * self.batch;
            let end = (first + self.batch).min(self.instructions.len());
            Some((first..end, t, *self.arrived.get(end - 1)? + 1))
        })
    }

    /// Instructions that were dispatched.
    pub fn dispatched(&self) -> impl Iterator<Item = &Instruction> {
        self.instructions.iter().flatten().take(self.dispatched.len())
    }

    pub fn ended(&self) -> bool {
        self.ended
    }

    pub fn quiet_from(&self) -> Time {
        let head = self.next().filter(|_| !self.ended).map_or(0, |(arrived, _)| arrived);
        let arrived = self.arrived.last().copied().unwrap_or(0);
        self.dispatched.last().map_or(0, |t| t + 1).max(arrived).max(head)
    }
}

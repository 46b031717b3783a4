//! The exact cycle model: what cycle counter and every other counter of the RTL will read after a program, for any
//! config and any memory behaviour. It advances by events (bursts, instructions, tiles), never cycle by cycle.
//!
//! Conventions: cycle 0 is the first in which the accelerator is busy. A *time* is the first cycle in which
//! something holds; what a register takes over in cycle `t` is visible from `t + 1`. `NEVER` stands for "not
//! known yet". The file names are those of the RTL modules in crate `hdl`.

mod compute;
mod fetch;
mod fill;
mod load;
mod memory;
mod store;
mod trace;

pub use fill::{Level, Part, fills};
pub use trace::{Span, trace};

use compute::Compute;
use fetch::Fetch;
use load::{Requester, Writer};
use memory::{Memory, Served};
use spec::{Config, Counters, Mark, MemorySpec, Program, Run, Status, isa::Engine, memory::MemoryError};
use store::Store;

/// A cycle, counted from the start of the run.
type Time = u64;

/// Later than everything: not known yet.
const NEVER: Time = Time::MAX;

/// One direction of dependence tokens between two engines.
#[derive(Default)]
struct Tokens {
    /// When each token can be popped, in the order of the pushes.
    visible: Vec<Time>,
    popped: usize,
}

impl Tokens {
    /// A push in cycle `t`.
    fn push(&mut self, t: Time) {
        // Into a register, into the count.
        self.visible.push(t + 2);
    }

    /// From when no token is on its way.
    fn quiet_from(&self) -> Time {
        self.visible.last().copied().unwrap_or(0)
    }

    /// The first cycle in which `count` tokens are there; an instruction that waits for them is taken in the next.
    fn available(&self, count: u32) -> Time {
        match count as usize {
            0 => 0,
            n => self.visible.get(self.popped + n - 1).copied().unwrap_or(NEVER),
        }
    }

    fn pop(&mut self, count: u32) {
        self.popped += count as usize;
    }

    /// Whether the counter in the RTL would be over its 16 bits.
    fn overflow(&self) -> bool {
        self.visible.len() - self.popped > usize::from(u16::MAX)
    }
}

/// The queue in front of an engine.
struct Queue<I> {
    /// Instructions with the cycle from which the engine sees them.
    entries: std::collections::VecDeque<(Time, I)>,
    pops: Vec<Time>,
    depth: usize,
}

impl<I: Copy> Queue<I> {
    fn new(depth: u32) -> Self {
        Self { entries: Default::default(), pops: Vec::new(), depth: depth as usize }
    }

    fn push(&mut self, t: Time, instruction: I) {
        // Into the memory, out of it, into the head's register.
        self.entries.push_back((t + 3, instruction));
    }

    /// The first cycle in which there is room for the next push.
    fn room(&self) -> Time {
        let pushed = self.pops.len() + self.entries.len();
        match pushed.checked_sub(self.depth) {
            None => 0,
            Some(k) => self.pops.get(k).map_or(NEVER, |t| t + 1),
        }
    }

    fn head(&self) -> Option<(Time, &I)> {
        self.entries.front().map(|(visible, instruction)| (*visible, instruction))
    }

    /// Like [`Self::head`], with the first cycle in which its tokens, if they are there, have been seen to be.
    fn served(&self) -> Option<(Time, &I)> {
        let after = self.pops.last().map_or(0, |t| t + 1);
        self.head().map(|(visible, instruction)| (visible.max(after) + 1, instruction))
    }

    fn pop(&mut self, t: Time) {
        self.entries.pop_front();
        self.pops.push(t);
    }

    fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// From when no word is on its way to the head.
    fn quiet_from(&self) -> Time {
        self.entries.back().map_or(0, |(visible, _)| *visible)
    }
}

/// The first error of a run.
#[derive(Default)]
struct Fault(Option<(Time, Status)>);

impl Fault {
    /// An error in cycle `t`. Of several in one cycle the first of this order counts.
    fn raise(&mut self, t: Time, status: Status) {
        let rank = |status| match status {
            Status::ReadError => 0,
            Status::WriteError => 1,
            Status::TokenOverflow => 2,
            _ => 3,
        };
        if self.0.is_none_or(|(first, other)| (t, rank(status)) < (first, rank(other))) {
            self.0 = Some((t, status));
        }
    }

    /// The first one up to cycle `t`.
    fn by(&self, t: Time) -> Option<(Time, Status)> {
        self.0.filter(|(first, _)| *first <= t)
    }
}

/// What the components share.
struct Shared<'a> {
    config: &'a Config,
    /// The cycle in which the run is stopped, if it is not over before.
    limit: Time,
    counters: Counters,
    fault: Fault,
    load_to_compute: Tokens,
    compute_to_load: Tokens,
    compute_to_store: Tokens,
    store_to_compute: Tokens,
    store_to_load: Tokens,
    marks: Vec<Mark>,
}

/// The events, in the order in which those of one cycle are handled.
#[derive(Clone, Copy, PartialEq)]
enum Event {
    AcceptRead,
    AcceptWrite,
    Port,
    GrantFetch,
    GrantLoad,
    Dispatch,
    PopLoad,
    Compute,
    PopStore,
    Gather,
}

/// Predicts one run of `program`.
pub fn run(config: &Config, program: &Program, memory: &MemorySpec) -> Result<Run, MemoryError> {
    simulate(config, program, memory, |_| {})
}

/// What knows, after a run, when each instruction was at work.
struct Engines<'a> {
    fetch: &'a Fetch<'a>,
    requester: &'a Requester<'a>,
    writer: &'a Writer<'a>,
    compute: &'a Compute,
    store: &'a Store<'a>,
    bus: &'a Memory<'a>,
}

/// Runs `program`, and shows `seen` the engines as they are at its end.
fn simulate(
    config: &Config,
    program: &Program,
    memory: &MemorySpec,
    seen: impl FnOnce(Engines<'_>),
) -> Result<Run, MemoryError> {
    memory.check(config.bus_bytes())?;
    let mut shared = Shared {
        config,
        limit: if program.limit == 0 { NEVER } else { program.limit.into() },
        counters: Counters::default(),
        fault: Fault::default(),
        load_to_compute: Tokens::default(),
        compute_to_load: Tokens::default(),
        compute_to_store: Tokens::default(),
        store_to_compute: Tokens::default(),
        store_to_load: Tokens::default(),
        marks: Vec::new(),
    };
    let mut fetch = Fetch::new(config, program, &mut shared.fault);
    let mut requester = Requester::new(config);
    let mut writer = Writer::new(config);
    let mut compute = Compute::new(config);
    let mut store = Store::new(config);
    let mut bus = Memory::new(config, memory);
    let mut last = Event::Dispatch;
    let mut served = Served::Fetch;
    let (mut dispatch, mut pop_load, mut pop_compute, mut pop_store, mut gather) = (0, 0, 0, 0, 0);

    let stop = loop {
        // What the last event cannot have changed is still known.
        match last {
            Event::AcceptRead | Event::GrantFetch => {}
            Event::GrantLoad => pop_load = requester.pop_time(&shared, &writer),
            Event::AcceptWrite => (pop_store, gather) = (store.pop_time(&shared), store.gather_time()),
            Event::Port if served == Served::Fetch => {
                dispatch = fetch.dispatch_time(&requester.queue, &compute.queue, &store.queue);
            }
            Event::Port if served == Served::Load => {
                pop_load = requester.pop_time(&shared, &writer);
                pop_compute = compute.pop_time(&shared);
            }
            _ => {
                dispatch = fetch.dispatch_time(&requester.queue, &compute.queue, &store.queue);
                pop_load = requester.pop_time(&shared, &writer);
                pop_compute = compute.pop_time(&shared);
                (pop_store, gather) = (store.pop_time(&shared), store.gather_time());
            }
        }
        let slot = bus.grant_time();
        let events = [
            (bus.accept_read_time(), Event::AcceptRead),
            (bus.accept_write_time(&store), Event::AcceptWrite),
            (bus.port_time(), Event::Port),
            (fetch.request_time().max(slot), Event::GrantFetch),
            (requester.request_time().max(slot), Event::GrantLoad),
            (dispatch, Event::Dispatch),
            (pop_load, Event::PopLoad),
            (pop_compute, Event::Compute),
            (pop_store, Event::PopStore),
            (gather, Event::Gather),
        ];
        let mut next = events[0];
        for event in events {
            if event.0 < next.0 {
                next = event;
            }
        }
        let (t, event) = next;
        last = event;
        // What else happens in the cycle of an error may be an error that counts more.
        if t == NEVER || t > shared.limit || shared.fault.0.is_some_and(|(first, _)| first < t) {
            break t;
        }
        match event {
            Event::AcceptRead => bus.accept_read(t),
            Event::AcceptWrite => bus.accept_write(t, &mut store),
            Event::Port => served = bus.serve(t, &mut fetch, &mut writer, &mut store, &mut shared),
            Event::GrantFetch => bus.grant(t, fetch.grant(t)),
            Event::GrantLoad => bus.grant(t, requester.grant(t)),
            Event::Dispatch => {
                match fetch.dispatch(t, config, &mut shared.fault) {
                    Some(spec::isa::Instruction::Load(i)) => requester.queue.push(t, i),
                    Some(spec::isa::Instruction::Store(i)) => store.queue.push(t, i),
                    Some(i) if i.form().engine == Engine::Compute => compute.queue.push(t, i),
                    Some(_) => compute.ended = t + 1,
                    None => {}
                };
            }
            Event::PopLoad => requester.pop(t, &mut shared, &mut writer),
            Event::Compute => compute.execute(t, &mut shared),
            Event::PopStore => store.pop(t, &mut shared),
            Event::Gather => store.gather(t, memory, &mut shared),
        }
    };
    seen(Engines {
        fetch: &fetch,
        requester: &requester,
        writer: &writer,
        compute: &compute,
        store: &store,
        bus: &bus,
    });
    if let Some((first, status)) = shared.fault.by(shared.limit) {
        return Ok(stopped(shared, first + 1, status));
    }
    if stop != NEVER {
        let limit = shared.limit;
        return Ok(stopped(shared, limit + 1, Status::Timeout));
    }

    // Nothing can happen any more: the accelerator is quiet from the cycle in which the last change is visible.
    let quiet = [
        fetch.quiet_from(),
        requester.quiet_from(),
        writer.quiet_from(),
        compute.quiet_from(),
        store.quiet_from(),
        bus.quiet_from(),
        shared.load_to_compute.quiet_from(),
        shared.compute_to_load.quiet_from(),
        shared.compute_to_store.quiet_from(),
        shared.store_to_compute.quiet_from(),
        shared.store_to_load.quiet_from(),
    ];
    // It is over a cycle later.
    let last = quiet.into_iter().fold(0, Time::max) + 1;
    if last >= shared.limit {
        let limit = shared.limit;
        return Ok(stopped(shared, limit + 1, Status::Timeout));
    }
    let done =
        fetch.ended() && requester.queue.is_empty() && compute.queue.is_empty() && store.queue.is_empty();
    if !done {
        return Ok(stopped(shared, last + 1, Status::Deadlock));
    }
    compute.idle_without(last + 1, &mut shared.counters);
    shared.counters.cycles = last + 1;
    Ok(Run { status: Status::Ok, counters: shared.counters, output: None, marks: shared.marks })
}

/// A run that an error stopped: its counters are those of the cycle in which the error was seen, or later.
fn stopped(shared: Shared, cycles: Time, status: Status) -> Run {
    let counters = Counters { cycles, ..shared.counters };
    Run { status, counters, output: None, marks: shared.marks }
}

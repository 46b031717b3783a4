//! Runs the tests' programs on mutants of the RTL; `testbench/mutation/run.py` makes them.
//!
//!     mutants rtl CONFIG.toml DIRECTORY          writes the design
//!     mutants run CONFIG.toml MUTANTS.v D N,N... a line each: number, tab, which program noticed, or `survives`;
//!                                                D programs and as many faults are drawn for what the others leave
//!
//! A program notices a mutant if the run differs from the design's in status, counters, marks, output or what registers read,
//! or hangs or breaks a bus rule. That the design's own runs equal model and reference is what the tests of those names show.

// Each of the tests has what they share as a module.
#![allow(clippy::duplicate_mod)]

use spec::layer::Layer;
use spec::regs::REGISTERS;
use spec::{Config, ConfigSpec, MemorySpec, Program, Run, Status};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use testbench::cases::{Case, Draw, random_memory};
use testbench::{Rtl, faults};

#[allow(dead_code, unused_imports)]
#[path = "../../tests/depth.rs"]
mod depth;
mod long;
#[allow(dead_code, unused_imports)]
#[path = "../../tests/post.rs"]
mod post;
#[allow(dead_code, unused_imports)]
#[path = "../../tests/tokens.rs"]
mod tokens;
mod wild;

/// A name and runs without a reset between them.
type Item = (String, Vec<(Program, MemorySpec)>);

const LAYERS: &[&str] = &[
    "conv cin=3 h=6 w=5 cout=7 k=3 pad=1",
    "conv cin=5 h=7 w=6 cout=9 k=1 stride=3",
    "conv cin=4 h=9 w=9 cout=6 k=3 dil=2 pad=2 relu",
    "conv cin=12 h=6 w=5 cout=8 kh=1 kw=5 pl=2 pr=1 groups=4",
    "conv cin=6 h=8 w=8 cout=6 k=3 pad=1 groups=6",
    "fc in=100 out=13",
];

/// Programs that take longer are left out, but for those that push all tokens or count to the end.
const MOST_CYCLES: u64 = 45_000;
const WHOLE_CYCLES: u64 = 3_000_000;

/// Programs that end with an error, each followed by one that does not.
const BAD: &[&[&str]] = &[
    &["load src=0 run_bytes=16 runs=1 row_bytes=16"],
    &["rect pop_prev=1 nx=1 ny=1", "end"],
    &["rect pop_next=2 nx=1 ny=1", "end"],
    &["load pop_next=1 src=0 run_bytes=16 runs=1 row_bytes=16", "end"],
    &["load pop_prev=1 src=0 run_bytes=16 runs=1 row_bytes=16", "end"],
    &["store pop_prev=1 seg_bytes=4 run_bytes=4 runs=1", "end"],
    &["store seg_bytes=0 run_bytes=4 runs=1", "end"],
    &["load src=0 run_bytes=0 runs=1 row_bytes=16", "end"],
    &["rect nx=0 ny=1", "end"],
];

fn battery(config: &Config) -> Result<Vec<Item>, String> {
    let slow =
        MemorySpec { stall_percent: 40, stall_seed: 5, latency: 7, outstanding: 2, ..MemorySpec::default() };
    let good = Case::new(config.clone(), LAYERS[0].parse().map_err(|e| format!("{e}"))?, slow.clone(), 3)?;
    let mut items = Vec::new();
    for index in 0..6 {
        let d = &mut Draw::new(7, index);
        if let Some(program) = std::iter::repeat_with(|| post::program(d, config)).take(50).flatten().next() {
            items.push((format!("post {index}"), vec![(program, random_memory(d, config))]));
        }
        let program = depth::random_program(d, config);
        items.push((format!("depth {index}"), vec![(program, random_memory(d, config))]));
        let program = tokens::Passes::random(d, config).program;
        items.push((format!("tokens {index}"), vec![(program, random_memory(d, config))]));
    }
    for (text, seed) in LAYERS.iter().zip(3..) {
        let layer: Layer = text.parse().map_err(|e| format!("{e}"))?;
        let case = Case::new(config.clone(), layer, slow.clone(), seed)?;
        items.push(((*text).to_owned(), vec![(case.program, slow.clone())]));
    }
    for lines in BAD {
        let mut code = Vec::new();
        for line in *lines {
            let instruction: spec::isa::Instruction = line.parse().map_err(|e| format!("{line}: {e}"))?;
            code.extend(instruction.encode().map_err(|e| format!("{line}: {e}"))?);
        }
        let bad = Program { base: 0x1000, code, ..Program::default() };
        items.push((
            format!("error: {}", lines[0]),
            vec![(bad, slow.clone()), (good.program.clone(), slow.clone())],
        ));
    }
    for (index, (name, field)) in wild::fields().enumerate() {
        let d = &mut Draw::new(11, index as u64);
        for bad in std::iter::repeat_with(|| wild::refused(d, config, name, field)).take(8).flatten() {
            items.push((format!("refused {name}, by {field}"), vec![(bad, slow.clone())]));
        }
    }
    // Limits that are reached, and some that are not, but would be without their highest bit.
    for bit in 0..32 {
        let d = &mut Draw::new(12, bit);
        let limit = 1 << bit | d.between(0, 1000);
        let limited = Program { limit, ..good.program.clone() };
        items.push((
            format!("limit {limit}"),
            vec![(limited, slow.clone()), (good.program.clone(), slow.clone())],
        ));
    }
    for index in 0..8 {
        let d = &mut Draw::new(13, index);
        let program = wild::program(d, config)?;
        let limited = Program { limit: d.between(1, 40_000), ..program.clone() };
        let memory = random_memory(d, config);
        items.push((format!("wild {index}"), vec![(program, memory.clone())]));
        items.push((format!("wild {index}, limit {}", limited.limit), vec![(limited, memory)]));
    }
    let memory = MemorySpec { latency: 1, ..MemorySpec::default() };
    let long = [
        long::tokens(long::TOKENS)?,
        long::vectors(config)?,
        long::counts()?,
        long::pieces(&mut Draw::new(16, 0), config)?,
    ];
    let halves = vec![("sums of halves".to_owned(), post::halves(config))];
    for (name, program) in long.into_iter().flatten().chain(halves) {
        items.push((name, vec![(program, memory.clone())]));
    }
    for index in 0..12 {
        let case = Case::random(9, index, config);
        if case.layer.padded_macs() < 60_000 {
            items.push((format!("random {index}"), vec![(case.program, case.memory)]));
        }
    }
    Ok(items)
}

/// A program for the mutants that the battery leaves, and the cycles that it may take: one of [`long::whole`]; a layer, a
/// wild program with a limit or without one, one of the other tests' programs; some draws are none.
fn drawn(config: &Config, index: u64) -> Result<Option<(Item, u64)>, String> {
    if index < long::WHOLE
        && let Some((name, program)) = long::whole()?.into_iter().nth(index as usize)
    {
        let memory = MemorySpec { latency: 1, ..MemorySpec::default() };
        return Ok(Some(((name, vec![(program, memory)]), WHOLE_CYCLES)));
    }
    let d = &mut Draw::new(14, index);
    let program = match index % 6 {
        0 => {
            let case = Case::random(14, index, config);
            let item = (format!("random layer {index}"), vec![(case.program, case.memory)]);
            return Ok((case.layer.padded_macs() < 60_000).then_some((item, MOST_CYCLES)));
        }
        1 | 2 => Some(wild::program(d, config)?),
        3 => Some(Program { limit: d.between(1, 40_000), ..wild::program(d, config)? }),
        4 if d.chance(50) => Some(depth::random_program(d, config)),
        4 => Some(tokens::Passes::random(d, config).program),
        _ => post::program(d, config),
    };
    let memory = random_memory(d, config);
    Ok(program.map(|program| ((format!("drawn {index}"), vec![(program, memory)]), MOST_CYCLES)))
}

/// Runs one after the other, and what all registers read before and after each.
fn runs(rtl: &Rtl, item: &Item, limit: u64) -> Option<(Vec<Run>, Vec<u32>)> {
    let mut session = rtl.session(item.1.first().map_or(0, |(_, memory)| memory.stall_seed)).ok()?;
    session.audit = true;
    let (mut runs, mut read) = (Vec::new(), Vec::new());
    for (program, memory) in &item.1 {
        for pattern in [0xa5a5_5a5a, 0x5a5a_a5a5] {
            let written = ["program", "instructions", "limit", "interrupt"];
            for register in REGISTERS.iter().filter(|r| written.contains(&r.name)) {
                session.write(register.offset, pattern ^ register.offset);
                read.push(session.read(register.offset));
            }
        }
        runs.push(session.run(program, memory, limit).ok()?);
        // The limit is the testbench's.
        read.extend(REGISTERS.iter().filter(|r| r.name != "limit").map(|r| session.read(r.offset)));
    }
    Some((runs, read))
}

fn same(a: &[Run], b: &[Run]) -> bool {
    a.len() == b.len()
        && a.iter().zip(b).all(|(a, b)| {
            (a.status, &a.counters, &a.marks, &a.output) == (b.status, &b.counters, &b.marks, &b.output)
        })
}

/// An item, what the design does with it, and the cycles that a mutant is given.
struct Trial {
    item: Item,
    runs: Vec<Run>,
    read: Vec<u32>,
    limit: u64,
}

impl Trial {
    /// None: it takes the design more than `most` cycles.
    fn new(rtl: &Rtl, item: Item, most: u64) -> Result<Option<Self>, String> {
        let (runs, read) =
            runs(rtl, &item, most).ok_or_else(|| format!("{}: the design itself fails", item.0))?;
        let limited = |((program, _), run): (&(Program, MemorySpec), &Run)| {
            program.limit == 0 && run.status == Status::Timeout
        };
        if item.1.iter().zip(&runs).any(limited) {
            return Ok(None);
        }
        let limit = 2 * runs.iter().map(|r| r.counters.cycles).max().unwrap_or(0) + 1000;
        Ok(Some(Self { item, runs, read, limit }))
    }

    /// Whether a mutant does something else.
    fn notices(&self, mutant: &Rtl) -> bool {
        !runs(mutant, &self.item, self.limit)
            .is_some_and(|(got, read)| same(&self.runs, &got) && self.read == read)
    }
}

/// What the mutants are tried on.
struct Trials<'a> {
    config: &'a Config,
    battery: Vec<Trial>,
    more: Vec<OnceLock<Result<Option<Trial>, String>>>,
}

impl Trials<'_> {
    /// The name of what notices the mutant.
    fn notice(&self, rtl: &mut Rtl, mutant: u32) -> Result<Option<String>, String> {
        rtl.select(mutant);
        if let Some(trial) = self.battery.iter().find(|t| t.notices(rtl)) {
            return Ok(Some(trial.item.0.clone()));
        }
        for (index, trial) in (0..).zip(&self.more) {
            let trial = trial.get_or_init(|| {
                rtl.select(0);
                let trial = match drawn(self.config, index)? {
                    Some((item, most)) => Trial::new(rtl, item, most)?,
                    None => None,
                };
                if faults::run(rtl, self.config, 15, index).is_err() {
                    return Err(format!("fault {index}: the design itself fails"));
                }
                Ok(trial)
            });
            rtl.select(mutant);
            if let Some(trial) = trial.as_ref().map_err(String::clone)?
                && trial.notices(rtl)
            {
                return Ok(Some(trial.item.0.clone()));
            }
            if faults::run(rtl, self.config, 15, index).is_err() {
                return Ok(Some(format!("fault {index}")));
            }
        }
        Ok(None)
    }
}

fn compare(config: &Config, verilog: &str, draws: u64, mutants: &[u32]) -> Result<(), String> {
    let new = || Rtl::with_mutants(config, verilog).map_err(|e| e.to_string());
    let rtl = new()?;
    let battery = battery(config)?.into_iter().map(|item| Trial::new(&rtl, item, MOST_CYCLES));
    let mut battery: Vec<Trial> = battery.filter_map(Result::transpose).collect::<Result<_, _>>()?;
    battery.sort_by_key(|trial| trial.limit);
    // The design itself must not be noticed.
    if let Some(trial) = battery.iter().find(|t| t.notices(&rtl)) {
        return Err(format!("{}: two runs of the design differ", trial.item.0));
    }
    let trials = Trials { config, battery, more: (0..draws).map(|_| OnceLock::new()).collect() };
    let next = AtomicUsize::new(0);
    let work = || -> Result<(), String> {
        let mut rtl = new()?;
        while let Some(&mutant) = mutants.get(next.fetch_add(1, Ordering::Relaxed)) {
            println!("{mutant}\t{}", trials.notice(&mut rtl, mutant)?.as_deref().unwrap_or("survives"));
        }
        Ok(())
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        handles.into_iter().try_for_each(|h| h.join().map_err(|_| "a worker panicked".to_owned())?)
    })
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let config = |path: &str| -> Result<Config, String> {
        let text = std::fs::read_to_string(path).map_err(|e| format!("{path}: {e}"))?;
        let spec = ConfigSpec::from_toml(&text).map_err(|e| e.to_string())?;
        Config::new("mutants", spec).map_err(|e| e.to_string())
    };
    let done = match words[..] {
        ["rtl", path, directory] => config(path).and_then(|c| {
            let written = hdl::tools::write(&hdl::koch::design(&c), Path::new(directory));
            written.map(|_| ()).map_err(|e| format!("{directory}: {e}"))
        }),
        ["run", path, verilog, draws, list] => config(path).and_then(|c| {
            let text = std::fs::read_to_string(verilog).map_err(|e| format!("{verilog}: {e}"))?;
            let numbers: Result<Vec<u32>, _> = list.split(',').map(str::parse).collect();
            let draws = draws.parse().map_err(|e| format!("{draws}: {e}"))?;
            compare(&c, &text, draws, &numbers.map_err(|e| format!("{list}: {e}"))?)
        }),
        _ => Err("mutants rtl CONFIG DIRECTORY, or mutants run CONFIG MUTANTS DRAWS N,N...".to_owned()),
    };
    if let Err(e) = done {
        eprintln!("mutants: {e}");
        std::process::exit(2);
    }
}

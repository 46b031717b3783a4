//! The spans of a run fit the run and the program.

use cyclemodel::{Span, run, trace};
use spec::isa::Engine;
use spec::layer::Layer;
use spec::{Config, ConfigSpec, MemorySpec, Program, Status};

const LAYERS: [&str; 6] = [
    "fc in=256 out=40 relu",
    "conv cin=3 h=23 w=23 cout=12 k=7 stride=2 pad=3",
    "conv cin=24 h=13 w=13 cout=20 k=3 pad=1",
    "conv cin=32 h=9 w=9 cout=8 k=1",
    "conv cin=24 h=12 w=12 cout=24 k=3 pad=1 groups=24",
    "conv cin=70 h=6 w=6 cout=50 k=3 pad=2 dil=2",
];

fn programs() -> impl Iterator<Item = (Config, Program, String)> {
    let configs = ["tiny", "default"].into_iter().map(|name| {
        Config::new(name, ConfigSpec::named(name).expect("a named config")).expect("a legal config")
    });
    configs.flat_map(|config| {
        LAYERS.map(|text| {
            let layer: Layer = text.parse().expect("a layer");
            let plan = compiler::plan(&layer, &config).unwrap_or_else(|e| panic!("{text}: {e}"));
            let program = compiler::assemble(&plan, None).expect("a program");
            (config.clone(), program, format!("{text} on {}", config.name))
        })
    })
}

/// Every instruction has its spans, and those of an engine are in order.
fn check(program: &Program, spans: &[Span], cycles: u64, what: &str) {
    let mut fetched = vec![0; program.instructions().count()];
    let mut executed = fetched.clone();
    for span in spans {
        assert!(span.start < span.end && span.end <= cycles, "{what}: {span:?} in {cycles} cycles");
        let times = if span.engine == Engine::Fetch { &mut fetched } else { &mut executed };
        span.instructions.clone().for_each(|k| times[k] += 1);
    }
    assert!(fetched.iter().all(|&n| n == 1), "{what}: {fetched:?}");
    for (instruction, times) in program.instructions().zip(executed) {
        let engine = instruction.expect("an instruction").form().engine;
        assert_eq!(times, u32::from(engine != Engine::Fetch), "{what}: {engine:?}");
    }
    for engine in [Engine::Fetch, Engine::Load, Engine::Compute, Engine::Store] {
        let of: Vec<&Span> = spans.iter().filter(|s| s.engine == engine).collect();
        for pair in of.windows(2) {
            let (a, b) = (pair[0], pair[1]);
            assert!(a.instructions.end <= b.instructions.start, "{what}: {a:?} {b:?}");
            assert!(a.start < b.start, "{what}: {a:?} {b:?}");
            // Rectangles end with the drain, which the lister is ahead of.
            assert!(engine == Engine::Compute || a.end <= b.end, "{what}: {a:?} {b:?}");
        }
    }
    // The engines start before all of a batch is there.
    let batch = |k| spans.iter().find(|s| s.engine == Engine::Fetch && s.instructions.contains(&k));
    for span in spans.iter().filter(|s| s.engine != Engine::Fetch) {
        assert!(batch(span.instructions.start).is_some_and(|f| f.start < span.start), "{what}: {span:?}");
    }
}

#[test]
fn every_instruction_has_its_span() {
    let memories = [
        MemorySpec::default(),
        MemorySpec { latency: 3, stall_seed: 5, stall_percent: 30, ..MemorySpec::default() },
    ];
    for (config, program, what) in programs() {
        for memory in &memories {
            let (traced, spans) = trace(&config, &program, memory).expect("a legal memory");
            let plain = run(&config, &program, memory).expect("a legal memory");
            assert_eq!(traced.status, Status::Ok, "{what}");
            assert_eq!((&traced.counters, &traced.marks), (&plain.counters, &plain.marks), "{what}");
            check(&program, &spans, plain.counters.cycles, &what);
        }
    }
}

#[test]
fn a_stopped_run_has_what_was_complete() {
    let (config, mut program, what) = programs().next().expect("a program");
    let end = program.code.len() - spec::isa::INSTRUCTION_BYTES;
    program.code.truncate(end);
    let (traced, spans) = trace(&config, &program, &MemorySpec::default()).expect("a legal memory");
    assert_eq!(traced.status, Status::Truncated, "{what}");
    assert!(!spans.is_empty() && spans.iter().all(|s| s.end <= traced.counters.cycles), "{what}: {spans:?}");
}

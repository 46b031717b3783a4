//! The suite: one list of cases, every machine, all equal.

use spec::layer::Layer;
use spec::{Config, MemorySpec};
use testbench::Rtl;
use testbench::cases::{Case, random_config};

fn memories() -> [MemorySpec; 3] {
    let stalls = |latency, percent| MemorySpec {
        latency,
        stall_percent: percent,
        stall_seed: 11,
        outstanding: 2,
        ..MemorySpec::default()
    };
    [MemorySpec::default(), stalls(1, 50), stalls(100, 20)]
}

const LAYERS: &[&str] = &[
    "conv cin=1 h=1 w=1 cout=1 k=1",
    "conv cin=1 h=9 w=9 cout=3 k=3 pad=1",
    "conv cin=3 h=17 w=19 cout=8 k=7 stride=2 pad=3",
    "conv cin=3 h=23 w=23 cout=6 k=11 stride=4",
    "conv cin=8 h=13 w=13 cout=9 k=3 pad=1 relu",
    "conv cin=5 h=7 w=6 cout=33 k=1 stride=3",
    "conv cin=4 h=12 w=12 cout=8 k=3 dil=3 pad=3",
    "conv cin=12 h=6 w=5 cout=8 kh=1 kw=5 pl=2 pr=1 groups=4",
    "conv cin=6 h=8 w=8 cout=6 k=3 pad=1 groups=6",
    "conv cin=32 h=9 w=9 cout=32 k=3 stride=2 pad=1 groups=32",
    "conv cin=64 h=12 w=12 cout=12 k=1 stride=2",
    "conv cin=32 h=9 w=7 cout=8 k=1 sh=2 sw=3 batch=2",
    "conv cin=7 h=9 w=4 cout=5 kh=5 kw=2 sh=2 pt=3 pb=1 batch=3",
    "conv cin=2 h=2 w=3 cout=2 k=3 pad=2",
    "conv cin=40 h=10 w=10 cout=40 k=3 pad=1",
    "fc in=300 out=37",
    "fc in=64 out=20 batch=11 relu",
];

#[test]
fn the_suite_on_named_configs() {
    for name in ["tiny", "default"] {
        let config = Config::named(name).expect("a named config");
        let rtl = Rtl::new(&config, None).unwrap_or_else(|e| panic!("{e}"));
        for text in LAYERS {
            let layer: Layer = text.parse().unwrap_or_else(|e| panic!("{e}"));
            for memory in memories() {
                let case = Case::new(config.clone(), layer, memory, 5)
                    .unwrap_or_else(|e| panic!("{text} on {name}: {e}"));
                let outcome = case.run(&rtl).unwrap_or_else(|e| panic!("{text} on {name}: {e}"));
                assert_eq!(outcome.difference(), None, "{text} on {name}, {:?}", case.memory);
                assert_eq!(
                    outcome.rtl.counters.busy + outcome.rtl.counters.idle(),
                    outcome.rtl.counters.cycles,
                    "{text} on {name}: every cycle has one cause"
                );
            }
        }
    }
}

#[test]
fn a_small_campaign() {
    for index in 0..4 {
        let config = random_config(20, index);
        let rtl = Rtl::new(&config, None).unwrap_or_else(|e| panic!("{e}"));
        for k in 0..30 {
            let case = Case::random(20, index * 100 + k, &config);
            let outcome = case.run(&rtl).unwrap_or_else(|e| panic!("{} on {config:?}: {e}", case.layer));
            assert_eq!(outcome.difference(), None, "{} on {config:?}, {:?}", case.layer, case.memory);
        }
    }
}

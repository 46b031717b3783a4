//! Random programs on the RTL, the model and the machine without time.

use reference::machine::{self, Order};
use spec::{Config, Program, Status};
use testbench::Rtl;
use testbench::cases::{Draw, random_memory};

/// Runs `cases` programs that `draw` makes; it may have to try more than once for one that fits.
pub fn campaign(
    config: &Config,
    seed: u64,
    cases: u64,
    draw: impl Fn(&mut Draw, &Config) -> Option<Program>,
) {
    let rtl = Rtl::new(config, None).unwrap_or_else(|e| panic!("{e}"));
    for index in 0..cases {
        let d = &mut Draw::new(seed, index);
        let program = std::iter::repeat_with(|| draw(d, config)).flatten().next().expect("one that fits");
        let memory = random_memory(d, config);
        let what = || {
            let code: Vec<String> = program.instructions().flatten().map(|i| i.to_string()).collect();
            format!("case {index} of seed {seed} on {config:?}, {memory:?}:\n{}", code.join("\n"))
        };
        let want = machine::run(config, &program, Order::Random(index))
            .unwrap_or_else(|e| panic!("{e}, {}", what()));
        let model = cyclemodel::run(config, &program, &memory).unwrap_or_else(|e| panic!("{e}"));
        let limit = testbench::limit(model.counters.cycles);
        let run = rtl.run(&program, &memory, limit).unwrap_or_else(|e| panic!("{e}, {}", what()));
        assert_eq!((run.status, model.status), (Status::Ok, Status::Ok), "{}", what());
        assert_eq!((run.counters, &run.marks), (model.counters, &model.marks), "{}", what());
        assert_eq!(run.counters.busy + run.counters.idle(), run.counters.cycles, "{}", what());
        let got = run.output.unwrap_or_default();
        let wrong = want.iter().zip(&got).position(|(a, b)| a != b);
        assert_eq!((wrong, got.len()), (None, want.len()), "{}", what());
    }
}

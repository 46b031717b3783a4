//! Random networks: every tensor in memory as the reference says, every cycle and counter as the model says, with all
//! tensors stored and with those that fit kept on chip.

use compiler::program::compile;
use reference::machine::{self, Order};
use spec::Config;
use spec::rng::{in_range, splitmix64};
use testbench::Rtl;
use testbench::cases::{Draw, random_config, random_memory};
use testbench::networks::random_network;

/// Runs networks `first..first + count` on `config`; gives how many the buffers could hold, of twice as many.
fn check(config: &Config, rtl: Option<&Rtl>, first: u64, count: u64) -> u64 {
    let mut ran = 0;
    for seed in first..first + count {
        let mut d = Draw::new(7, seed);
        let network = random_network(&mut d, 1 + (seed % 12) as u32);
        let memory = random_memory(&mut d, config);
        let mut state = seed;
        splitmix64(&mut state);
        let (lo, hi) = network.tensors[0].range();
        let input: Vec<i32> = (0..network.tensors[0].len()).map(|_| in_range(&mut state, lo, hi)).collect();
        for chain in [false, true] {
            let Ok(compiled) = compile(&network, config, chain) else { continue };
            let network = &compiled.lowered.network;
            let context = || format!("seed {seed} chain {chain}\n{}{network}\n{compiled}", config.to_toml());
            let want = network.run(input.clone()).unwrap_or_else(|e| panic!("{e}"));
            let steps = 0..compiled.lowered.steps.len();
            let program = compiled
                .program(steps, Some(&[(network.inputs[0], &input)]))
                .unwrap_or_else(|e| panic!("{e}\n{}", context()));
            let compare = |machine: &str, bytes: &[u8]| {
                for (id, values) in want.iter().enumerate() {
                    let (Some(values), Some(got)) = (values, compiled.elements(id, bytes)) else { continue };
                    if let Some(at) = (0..values.len()).find(|&i| got[i] != values[i]) {
                        let (got, want) = (got[at], values[at]);
                        panic!("{machine}: tensor {id} element {at} is {got}, not {want}\n{}", context());
                    }
                }
            };
            for order in [Order::Program, Order::LoadsFirst, Order::LoadsLast, Order::Random(seed)] {
                let bytes = machine::run(config, &program, order);
                compare(
                    &format!("{order:?}"),
                    &bytes.unwrap_or_else(|e| panic!("{order:?}: {e}\n{}", context())),
                );
            }
            ran += 1;
            let Some(rtl) = rtl else { continue };
            let model = cyclemodel::run(config, &program, &memory).unwrap_or_else(|e| panic!("{e}"));
            let traffic = compiled.traffic(0..compiled.lowered.steps.len()).unwrap_or_else(|e| panic!("{e}"));
            let moved = traffic.iter().fold([0; 4], |sum, t| {
                let step = [t.input, t.weight, t.param, t.output];
                std::array::from_fn(|i| sum[i] + step[i])
            });
            let c = &model.counters;
            let counted = [c.read_input, c.read_weight, c.read_param, c.written];
            assert_eq!(moved, counted, "{}", context());
            let limit = testbench::limit(model.counters.cycles);
            let run = rtl.run(&program, &memory, limit).unwrap_or_else(|e| panic!("{e}\n{}", context()));
            compare("RTL", run.output.as_deref().unwrap_or_default());
            assert_eq!((run.status, &run.marks), (model.status, &model.marks), "{}", context());
            assert_eq!(run.counters, model.counters, "{}", context());
        }
    }
    ran
}

#[test]
fn random_networks_compute_what_the_reference_does() {
    for (index, name) in ["default", "tiny", "square"].into_iter().enumerate() {
        let config = Config::named(name).unwrap_or_else(|e| panic!("{e}"));
        assert!(check(&config, None, 1000 * index as u64, 60) >= 90, "{name}");
    }
    let configs = (0..80).map(|index| random_config(9, index)).filter(|c| c.post && c.by_channel);
    let ran: u64 = configs.enumerate().map(|(i, c)| check(&c, None, 5000 + 10 * i as u64, 10)).sum();
    assert!(ran >= 200, "{ran} networks fitted");
}

#[test]
fn random_networks_run_alike_on_the_rtl_and_the_model() {
    for (name, count) in [("tiny", 80), ("default", 24)] {
        let config = Config::named(name).unwrap_or_else(|e| panic!("{e}"));
        let rtl = Rtl::new(&config, None).unwrap_or_else(|e| panic!("{e}"));
        let ran = check(&config, Some(&rtl), 0, count);
        assert!(ran >= count, "{ran} networks fitted {name}");
    }
}

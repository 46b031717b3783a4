//! Programs of random layers on random configs, executed on byte arrays in every order that their tokens allow, must
//! compute what the reference computes.

use reference::machine::{self, Order};
use spec::config::{ConfigSpec, Size};
use spec::layer::{Layer, LayerData, LayerSpec};
use spec::rng::{in_range, splitmix64};
use spec::{Config, MemorySpec, Status};

fn pick(state: &mut u64, values: &[u32]) -> u32 {
    values[in_range(state, 0, values.len() as i32 - 1) as usize]
}

fn upto(state: &mut u64, most: u32) -> u32 {
    in_range(state, 0, most as i32) as u32
}

fn random_config(state: &mut u64) -> Config {
    let named = ["default", "tiny", "snowflake", "square"];
    let base = ConfigSpec::named(named[upto(state, 3) as usize]).unwrap();
    loop {
        let size = |state: &mut u64, least: u32| {
            let most = 1 << pick(state, &[4, 8, 11, 13, 16]);
            Some(Size(u64::from(least + upto(state, most))))
        };
        let cols = pick(state, &[4, 8, 12, 16, 32, 64]);
        let lanes = 1 << upto(state, 4.min(cols.trailing_zeros()));
        let spec = ConfigSpec {
            rows: Some(1 + upto(state, 15)),
            cols: Some(cols),
            lanes: Some(lanes),
            operand_bits: Some(pick(state, &[8, 8, 16])),
            ibuf: size(state, 1 << 10),
            wbuf: size(state, 1 << 10),
            obuf: size(state, 512),
            pbuf: size(state, 2 * cols * 8),
            bus_bits: Some(pick(state, &[32, 64, 128, 256, 512])),
            ..ConfigSpec::default()
        };
        let spec = if upto(state, 3) == 0 { base.clone() } else { spec.over(base.clone()) };
        if let Ok(config) = Config::new("random", spec) {
            return config;
        }
    }
}

fn random_layer(state: &mut u64, most_macs: u64) -> Layer {
    loop {
        let (kh, kw) = (pick(state, &[1, 1, 2, 3, 3, 5, 7]), pick(state, &[1, 1, 2, 3, 3, 5, 7]));
        let (dh, dw) = (pick(state, &[1, 1, 1, 2, 3]), pick(state, &[1, 1, 1, 2, 3]));
        let groups = pick(state, &[1, 1, 1, 2, 3, 8]);
        let channels = [1, 2, 3, 4, 7, 8, 16, 20, 33];
        let mut spec = LayerSpec {
            cin: groups * pick(state, &channels),
            cout: groups * pick(state, &channels),
            h: 1 + upto(state, 20),
            w: 1 + upto(state, 20),
            kh,
            kw,
            sh: pick(state, &[1, 1, 1, 2, 3]),
            sw: pick(state, &[1, 1, 1, 2, 3]),
            pt: upto(state, dh * (kh - 1)),
            pl: upto(state, dw * (kw - 1)),
            pb: upto(state, dh * (kh - 1)),
            pr: upto(state, dw * (kw - 1)),
            dh,
            dw,
            groups,
            batch: pick(state, &[1, 1, 1, 2, 3]),
            relu: upto(state, 1) == 1,
        };
        match upto(state, 9) {
            0 => {
                spec = LayerSpec {
                    cin: 1 + upto(state, 3000),
                    cout: 1 + upto(state, 200),
                    batch: 1 + upto(state, 9),
                    ..LayerSpec::default()
                };
            }
            1 => spec.cout = 1 + upto(state, 300),
            2 => (spec.kh, spec.kw, spec.pt, spec.pl, spec.pb, spec.pr) = (1, 1, 0, 0, 0, 0),
            3 => spec.w += upto(state, 200),
            _ => {}
        }
        match Layer::new(spec) {
            Ok(layer) if layer.padded_macs() <= most_macs => return layer,
            _ => {}
        }
    }
}

/// Runs a layer in several orders; `None` if the config is too small for it.
fn check(layer: &Layer, config: &Config, seed: u64) -> Option<String> {
    let plan = match compiler::plan(layer, config) {
        Ok(plan) => plan,
        Err(e) => {
            assert!(e.to_string().contains("buffer"), "{layer} on {}: {e}", config.to_toml());
            return None;
        }
    };
    let data = LayerData::random(layer, config.operand_bits, seed).unwrap();
    let context = || format!("{plan}\n{}seed {seed}", config.to_toml());
    let program = compiler::assemble(&plan, Some(&data)).unwrap_or_else(|e| panic!("{e}\n{}", context()));
    let code = compiler::assemble(&plan, None).unwrap();
    assert_eq!((program.len(), program.output), (code.len(), code.output));
    let timed = cyclemodel::run(config, &code, &MemorySpec::default()).unwrap();
    assert_eq!(timed.status, Status::Ok, "{}", context());
    let want = reference::conv(layer, &data);
    for order in [Order::Program, Order::LoadsFirst, Order::LoadsLast, Order::Random(seed)] {
        let run = machine::run(config, &program, order);
        let bytes = run.unwrap_or_else(|e| panic!("{order:?}: {e}\n{}", context()));
        let got = compiler::unpack_output(&data.quant, &bytes);
        if let Some(at) = (0..want.len()).find(|&i| got[i] != want[i]) {
            panic!("{order:?}: output {at} is {} instead of {}\n{}", got[at], want[at], context());
        }
    }
    Some(plan.strategy().to_owned())
}

fn random_cases(first: u64, count: u64, most_macs: u64) {
    let mut strategies = std::collections::BTreeMap::<String, u32>::new();
    for seed in first..first + count {
        let mut state = seed;
        splitmix64(&mut state);
        let config = random_config(&mut state);
        let layer = random_layer(&mut state, most_macs);
        *strategies.entry(check(&layer, &config, seed).unwrap_or_default()).or_default() += 1;
    }
    println!("{strategies:#?}");
    let refused = strategies.get("").copied().unwrap_or(0);
    assert!(u64::from(refused) * 4 < count, "{refused} of {count} refused");
}

#[test]
fn random_layers_compute_what_the_reference_does() {
    let count = std::env::var("KOCH_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(600);
    let first = std::env::var("KOCH_SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(0);
    random_cases(first, count, 1 << 20);
}

#[test]
fn typical_layers_compute_what_the_reference_does() {
    for text in [
        "conv cin=3 h=32 w=32 cout=64 k=7 stride=2 pad=3",
        "conv cin=32 h=13 w=13 cout=96 k=3 pad=1 relu",
        "conv cin=64 h=14 w=14 cout=40 k=3 pad=1 dil=2",
        "conv cin=64 h=28 w=28 cout=64 k=1",
        "conv cin=64 h=14 w=14 cout=128 k=1 stride=2 batch=2",
        "conv cin=96 h=15 w=15 cout=96 k=3 pad=1 groups=96",
        "conv cin=48 h=9 w=9 cout=64 k=3 pad=1 groups=2 batch=2",
        "conv cin=1 h=1 w=1 cout=3 kh=1 kw=2 pl=2 pr=2 dil=3",
        "fc in=1024 out=1000",
        "fc in=300 out=77 batch=16",
    ] {
        let layer: Layer = text.parse().unwrap();
        for name in Config::names() {
            check(&layer, &Config::named(&name).unwrap(), 1).unwrap_or_else(|| panic!("{text} on {name}"));
        }
    }
}

#[test]
fn extreme_layers_are_planned_or_refused() {
    for text in [
        "fc in=65535 out=65535",
        "fc in=65535 out=1 batch=65535",
        "fc in=1 out=1 batch=65535",
        "conv cin=1 h=65535 w=65535 cout=1 k=1",
        "conv cin=1 h=60000 w=3 cout=1 k=3 pad=1",
        "conv cin=1 h=3 w=65535 cout=1 k=255 pad=254",
        "conv cin=65535 h=1 w=1 cout=65535 k=1 groups=65535",
        "conv cin=65535 h=1 w=1 cout=1 k=255 pad=254",
        "conv cin=2048 h=255 w=255 cout=16 k=255 dil=255 stride=255 pad=64770",
        "conv cin=65535 h=255 w=255 cout=1 k=1 stride=255",
        "conv cin=512 h=28 w=28 cout=512 k=3 pad=1 batch=64",
    ] {
        let layer: Layer = text.parse().unwrap_or_else(|e| panic!("{e}"));
        for name in ["default", "tiny"] {
            let config = Config::named(name).unwrap();
            match compiler::plan(&layer, &config) {
                Ok(plan) => {
                    assert!(!plan.to_string().is_empty());
                    if plan.cycles() < 1 << 24 {
                        compiler::assemble(&plan, None).unwrap_or_else(|e| panic!("{plan}: {e}"));
                    }
                }
                Err(e) => assert!(e.to_string().contains("; use "), "{text}: {e}"),
            }
        }
    }
}

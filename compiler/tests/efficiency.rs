//! Cycles of single layers from a cold start, by the cycle model: what the plans must reach.

use spec::layer::Layer;
use spec::{Config, MemorySpec, Status};

struct Measured {
    efficiency: f64,
    roofline: f64,
    traffic: f64,
    text: String,
}

fn measure(text: &str, config: &Config) -> Measured {
    let layer: Layer = text.parse().unwrap();
    let plan = compiler::plan(&layer, config).unwrap();
    let program = compiler::assemble(&plan, None).unwrap();
    let run = cyclemodel::run(config, &program, &MemorySpec::default()).unwrap();
    assert_eq!(run.status, Status::Ok, "{plan}");
    let c = run.counters;
    let once = compiler::once_only_bytes(&layer, config) as f64;
    let ideal = layer.useful_macs() as f64 / config.peak() as f64;
    let moved = c.bytes_read() - c.read_program + c.written;
    let cycles = c.cycles as f64;
    let efficiency = ideal / cycles;
    let roofline = ideal.max(once / f64::from(config.bus_bytes())) / cycles;
    let traffic = moved as f64 / once;
    let idle: Vec<String> = spec::Counters::ALL[1..8]
        .iter()
        .zip(&c.values()[1..8])
        .map(|((name, _), value)| format!("{name} {:.2}", 100.0 * *value as f64 / cycles))
        .collect();
    let text = format!(
        "{plan}\n  {} cycles: efficiency {:.2} %, roofline {:.2} %, traffic {traffic:.3}, {} instructions\n",
        c.cycles,
        100.0 * efficiency,
        100.0 * roofline,
        program.len()
    ) + &format!("  {}\n", idle.join(", "));
    Measured { efficiency, roofline, traffic, text }
}

#[test]
fn layers_reach_their_goals_on_the_default_config() {
    let config = Config::named("default").unwrap();
    let mut misses = Vec::new();
    for (text, goal) in [
        ("conv cin=64 h=56 w=56 cout=64 k=3 pad=1", 97.5),
        ("conv cin=3 h=224 w=224 cout=64 k=7 stride=2 pad=3", 97.0),
        ("conv cin=256 h=56 w=56 cout=64 k=1", 97.0),
        ("conv cin=512 h=7 w=7 cout=2048 k=1", 95.0),
        ("conv cin=192 h=13 w=13 cout=192 k=3 pad=1", 91.0),
        ("conv cin=256 h=14 w=14 cout=256 k=3 pad=1", 93.0),
        ("fc in=2048 out=1000", 97.0),
    ] {
        let m = measure(text, &config);
        println!("{}", m.text);
        let reached = 100.0 * if text.starts_with("fc") { m.roofline } else { m.efficiency };
        if reached < goal || m.traffic > 1.01 {
            misses.push(format!("{text}: {reached:.2} of {goal} %, traffic {:.3}", m.traffic));
        }
    }
    assert!(misses.is_empty(), "{misses:#?}");
}

//! Cycles of the layers on standard input, one a line, on the config named by the first argument.

use std::io::BufRead as _;
use std::time::Instant;

use spec::layer::Layer;
use spec::{Config, MemorySpec};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let name = std::env::args().nth(1).unwrap_or("default".into());
    let config = Config::named(&name)?;
    let (mut ideal_sum, mut roof_sum, mut cycle_sum) = (0.0, 0.0, 0.0);
    println!("  cycles  estimate  effic  roofl  traffic  instr  plan+assemble/model us  layer, strategy");
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let layer: Layer = line.parse()?;
        let start = Instant::now();
        let plan = match compiler::plan(&layer, &config) {
            Ok(plan) => plan,
            Err(e) => {
                println!("{line}: {e}");
                continue;
            }
        };
        let planned = start.elapsed().as_micros();
        let program = compiler::assemble(&plan, None)?;
        let assembled = start.elapsed().as_micros();
        let run = cyclemodel::run(&config, &program, &MemorySpec::default())?;
        let modelled = start.elapsed().as_micros();
        let c = run.counters;
        let once = compiler::once_only_bytes(&layer, &config) as f64;
        let ideal = layer.useful_macs() as f64 / config.peak() as f64;
        let roof = ideal.max(once / f64::from(config.bus_bytes()));
        let moved = (c.bytes_read() - c.read_program + c.written) as f64;
        let cycles = c.cycles as f64;
        (ideal_sum, roof_sum, cycle_sum) = (ideal_sum + ideal, roof_sum + roof, cycle_sum + cycles);
        println!(
            "{:8} {:9} {:6.2} {:6.2} {:8.3} {:6} {planned}+{}/{} {line}, {}{}",
            c.cycles,
            plan.cycles(),
            100.0 * ideal / cycles,
            100.0 * roof / cycles,
            moved / once,
            program.len(),
            assembled - planned,
            modelled - assembled,
            plan.strategy(),
            if run.status == spec::Status::Ok { String::new() } else { format!(" {}", run.status) }
        );
    }
    println!(
        "{cycle_sum:8} cycles: efficiency {:.2}, roofline {:.2}",
        100.0 * ideal_sum / cycle_sum,
        100.0 * roof_sum / cycle_sum
    );
    Ok(())
}

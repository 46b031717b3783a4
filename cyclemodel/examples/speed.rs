//! Scratch: time of the model.
use spec::layer::Layer;
fn main() {
    let config = spec::Config::named("default").unwrap();
    for text in std::env::args().skip(1) {
        let layer: Layer = text.parse().unwrap();
        let plan = compiler::plan(&layer, &config).unwrap();
        let program = compiler::assemble(&plan, None).unwrap();
        for p in [0, 20] {
            let memory = spec::MemorySpec { stall_percent: p, ..Default::default() };
            let mut times = Vec::new();
            let mut cycles = 0;
            for _ in 0..200 {
                let t = std::time::Instant::now();
                cycles = cyclemodel::run(&config, &program, &memory).unwrap().counters.cycles;
                times.push(t.elapsed().as_secs_f64());
            }
            times.sort_by(f64::total_cmp);
            println!(
                "{text} stall {p}: {cycles} cycles, median {:.1} us, {:.2e} cycles/s",
                times[100] * 1e6,
                cycles as f64 / times[100]
            );
        }
    }
}

//! Scratch: one layer on RTL, model and reference.
use spec::{Config, MemorySpec, layer::*};
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let config = Config::named(&args[1]).unwrap();
    let layer: Layer = args[2].parse().unwrap();
    let memory = MemorySpec {
        stall_percent: args.get(3).map_or(0, |s| s.parse().unwrap()),
        stall_seed: 7,
        ..MemorySpec::default()
    };
    let plan = compiler::plan(&layer, &config).unwrap();
    println!("{plan}");
    let data = LayerData::random(&layer, config.operand_bits, 1).unwrap();
    let program = compiler::assemble(&plan, Some(&data)).unwrap();
    let t = std::time::Instant::now();
    let model = cyclemodel::run(&config, &program, &memory).unwrap();
    println!("model {:?} {} {:?}", t.elapsed(), model.status, model.counters);
    let eff = layer.useful_macs() as f64 / (config.peak() as f64 * model.counters.cycles as f64);
    let once = compiler::once_only_bytes(&layer, &config);
    let bound =
        (layer.useful_macs() as f64 / config.peak() as f64).max(once as f64 / f64::from(config.bus_bytes()));
    println!(
        "efficiency {:.2} roofline {:.2} traffic {:.4} instructions {}",
        eff * 100.0,
        bound / model.counters.cycles as f64 * 100.0,
        (model.counters.bytes_read() - model.counters.read_program + model.counters.written) as f64
            / once as f64,
        program.len()
    );
    if args.get(4).is_some() {
        return;
    }
    let t = std::time::Instant::now();
    let trace = std::env::var_os("TRACE").map(Into::into);
    let rtl = testbench::Rtl::new(&config, trace).unwrap_or_else(|e| panic!("{e}"));
    println!("build {:?}", t.elapsed());
    let t = std::time::Instant::now();
    let run = rtl.run(&program, &memory, model.counters.cycles * 2 + 10000).unwrap_or_else(|e| panic!("{e}"));
    println!("rtl {:?} {} {:?}", t.elapsed(), run.status, run.counters);
    for ((name, _), (a, b)) in
        spec::Counters::ALL.iter().zip(run.counters.values().into_iter().zip(model.counters.values()))
    {
        if a != b {
            println!("  {name}: rtl {a} model {b}");
        }
    }
    let expected = reference::conv(&layer, &data);
    let got = compiler::unpack_output(&data.quant, run.output.as_deref().unwrap());
    let wrong = expected.iter().zip(&got).filter(|(a, b)| a != b).count();
    println!("wrong outputs: {wrong} of {}", expected.len());
    if wrong > 0 {
        let at = expected.iter().zip(&got).position(|(a, b)| a != b).unwrap();
        println!(
            "first {at}: want {:?} got {:?}",
            &expected[at..(at + 16).min(expected.len())],
            &got[at..(at + 16).min(got.len())]
        );
    }
}

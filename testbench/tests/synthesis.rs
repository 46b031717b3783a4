//! After synthesis: the smallest config's whole board as ECP5 cells, in Verilator, against the cycle model and the
//! reference. The RAM's and the multiplier's models are ours (`bitstreams/sim/ecp5.v`), the others Yosys's.

use bitstreams::{Board, Driver, flow};
use compiler::network::Network;
use compiler::npy;
use spec::layer::{Layer, LayerData};
use spec::{Config, ConfigSpec, Size, Status};
use std::path::Path;
use std::time::{Duration, Instant};
use testbench::SimulatedBoard;
use testbench::bridge::cache_dir;

const LIMIT: Duration = Duration::from_secs(1200);

fn board() -> (Board, Config) {
    let board = Board::find("ulx3s-85f").expect("a board");
    let spec = ConfigSpec {
        rows: Some(1),
        lanes: Some(1),
        obuf: Some(Size(4 << 10)),
        ..ConfigSpec::named("tiny").expect("tiny")
    };
    (board, Config::new("mapped", spec).expect("a config"))
}

fn driver(board: &Board, config: &Config) -> Driver<SimulatedBoard> {
    let files = flow::mapped(&cache_dir(), board, config).expect("Yosys maps it");
    let port = SimulatedBoard::of("mapped", files, 1).expect("the model builds");
    Driver::connect(port, config).expect("the board answers")
}

#[test]
#[ignore = "a quarter of an hour: make postsynthesis"]
fn mapped_netlist_is_exact() {
    let (board, config) = board();
    let memory = board.memory_spec(&config);
    let begin = Instant::now();
    let mut driver = driver(&board, &config);
    println!("| run | cycles | outputs | cycles, counters |\n| --- | ---: | --- | --- |");
    for text in
        ["conv cin=3 h=5 w=7 cout=6 k=3 pad=1", "fc in=40 out=12", "conv cin=8 h=6 w=6 cout=8 k=3 groups=8"]
    {
        let layer: Layer = text.parse().expect("a layer");
        let data = LayerData::random(&layer, config.operand_bits, 7).expect("numbers");
        let plan = compiler::plan(&layer, &config).expect("a plan");
        let program = compiler::assemble(&plan, Some(&data)).expect("a program");
        driver.load(&program, |_| ()).expect("loaded");
        let run = driver.run(&program, LIMIT).expect("a run");
        let model = cyclemodel::run(&config, &program, &memory).expect("the model");
        assert_eq!(run.status, Status::Ok, "{text}");
        assert_eq!(run.counters, model.counters, "{text}");
        let outputs = compiler::unpack_output(&data.quant, run.output.as_deref().unwrap_or_default());
        assert_eq!(outputs, reference::conv(&layer, &data), "{text}");
        println!("| {text} | {} | equal | equal |", run.counters.cycles);
    }
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/models");
    let network = Network::load(&models.join("digits-int8-qoperator.onnx")).expect("the digits network");
    let images = npy::load(&models.join("digits-test-images.npy")).expect("the digits");
    let compiled = compiler::program::compile(&network, &config, true).expect("a program");
    let network = &compiled.lowered.network;
    let values = network.run(network.quantise_input(&images, 0).expect("an image")).expect("the reference");
    let given: Vec<_> = network.inputs.iter().filter_map(|&id| Some((id, values[id].as_deref()?))).collect();
    let program = compiled.program(0..compiled.lowered.steps.len(), Some(&given)).expect("a program");
    driver.load(&program, |_| ()).expect("loaded");
    let run = driver.run(&program, LIMIT).expect("a run");
    let model = cyclemodel::run(&config, &program, &memory).expect("the model");
    assert_eq!(run.counters, model.counters, "digits");
    let bytes = run.output.as_deref().unwrap_or_default();
    let mut compared = 0;
    for step in &compiled.lowered.steps {
        let (Some(want), Some(got)) = (&values[step.output], compiled.elements(step.output, bytes)) else {
            continue;
        };
        assert_eq!(&got, want, "{}", network.tensors[step.output].name);
        compared += 1;
    }
    assert!(compared > 0);
    println!("| digits, {} steps | {} | equal | equal |", compiled.lowered.steps.len(), run.counters.cycles);
    eprintln!("{:.0} s", begin.elapsed().as_secs_f64());
}

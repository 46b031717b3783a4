//! A network that its buffers are too small for: the RTL spills what the plan says.

use compiler::network::Network;
use compiler::npy;
use compiler::program::compile;
use spec::config::{Config, ConfigSpec, Size};
use spec::{MemorySpec, Status};
use std::path::Path;
use testbench::Rtl;

/// ResNet-56 with buffers of one map of its first stage each, padding left out: most of those maps cross the bus, twice and
/// more, and everything smaller stays on chip.
#[test]
fn spills_are_those_of_the_plan() {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/models");
    let network = Network::load(&models.join("resnet56-cifar10-int8-qoperator.onnx")).expect("a network");
    let kib = |n: u64| Some(Size(n << 10));
    let small = ConfigSpec { ibuf: kib(16), obuf: kib(16), rbuf: kib(16), ..ConfigSpec::default() };
    let named = ConfigSpec::named("default").expect("a named config");
    let config = Config::new("small", small.over(named)).expect("a legal config");
    let compiled = compile(&network, &config, true).expect("a program");
    let network = &compiled.lowered.network;
    let images = npy::load(&models.join("cifar10-test-200-images.npy")).expect("images");
    let input = network.quantise_input(&images, 7).expect("an image");
    let want = network.run(input.clone()).expect("all tensors");
    let steps = 0..compiled.lowered.steps.len();
    let program = compiled.program(steps, Some(&[(network.inputs[0], &input)])).expect("a program");

    let spills = compiled.spills();
    assert!(spills.len() > 10, "{spills:?}");
    assert!(spills.iter().all(|s| compiled.chip(s.tensor).is_none()));
    let bytes = |ids: &[usize]| ids.iter().map(|&id| network.tensors[id].len() as u64).sum::<u64>();
    let planned = [
        bytes(&network.inputs) + spills.iter().map(|s| s.read).sum::<u64>(),
        bytes(&network.outputs).next_multiple_of(16) + spills.iter().map(|s| s.written).sum::<u64>(),
    ];

    let memory = MemorySpec::default();
    let model = cyclemodel::run(&config, &program, &memory).expect("a run");
    let rtl = Rtl::new(&config, None).expect("the RTL");
    let run = rtl.run(&program, &memory, testbench::limit(model.counters.cycles)).expect("a run");
    assert_eq!((run.status, &run.counters), (Status::Ok, &model.counters));
    assert_eq!(
        [run.counters.read_input, run.counters.written],
        planned,
        "input and spills, spills and output"
    );
    let output = run.output.as_deref().unwrap_or_default();
    let mut seen = 0;
    for (id, values) in want.iter().enumerate() {
        let (Some(values), Some(got)) = (values, compiled.elements(id, output)) else { continue };
        assert_eq!(*values, got, "tensor {id}");
        seen += 1;
    }
    assert!(seen > spills.len(), "{seen} tensors in memory");
    println!(
        "{} spilled tensors, {planned:?} bytes in and out, {} cycles",
        spills.len(),
        run.counters.cycles
    );
}

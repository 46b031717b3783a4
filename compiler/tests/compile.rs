//! Whole networks, executed on byte arrays, must compute what the reference of the graph computes.

use std::path::{Path, PathBuf};

use compiler::network::Network;
use compiler::program::{Compiled, compile};
use reference::machine::{self, Order};
use spec::{Config, MemorySpec, Status};

fn shared(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/models").join(file)
}

/// Runs an image in the orders given and compares every tensor in memory; the number of tensors compared.
fn check(compiled: &Compiled, input: &[i32], orders: &[Order]) -> usize {
    let network = &compiled.lowered.network;
    let want = network.run(input.to_vec()).unwrap_or_else(|e| panic!("{e}"));
    let steps = 0..compiled.lowered.steps.len();
    let program = compiled.program(steps.clone(), Some(&[(network.inputs[0], input)])).unwrap();
    let code = compiled.program(steps, None).unwrap();
    assert_eq!(program.code, code.code);
    let timed = cyclemodel::run(&compiled.config, &code, &MemorySpec::default()).unwrap();
    assert_eq!(timed.status, Status::Ok);
    println!("{} cycles", timed.counters.cycles);
    let mut compared = 0;
    for order in orders {
        let bytes = machine::run(&compiled.config, &program, *order)
            .unwrap_or_else(|e| panic!("{order:?}: {e}\n{compiled}"));
        compared = 0;
        for (id, values) in want.iter().enumerate() {
            let (Some(values), Some(got)) = (values, compiled.elements(id, &bytes)) else { continue };
            if let Some(at) = (0..values.len()).find(|&i| got[i] != values[i]) {
                panic!(
                    "{order:?}: tensor {} element {at}: {} instead of {}",
                    network.tensors[id].name, got[at], values[at]
                );
            }
            compared += 1;
        }
    }
    compared
}

fn network(file: &str, config: &str, chain: bool, images: &str, orders: &[Order]) -> (Compiled, usize) {
    let network = Network::load(&shared(file)).unwrap_or_else(|e| panic!("{e}"));
    let config = Config::named(config).unwrap();
    let compiled = compile(&network, &config, chain).unwrap_or_else(|e| panic!("{e}"));
    let array = compiler::npy::load(&shared(images)).unwrap_or_else(|e| panic!("{e}"));
    let input = network.quantise_input(&array, 0).unwrap_or_else(|e| panic!("{e}"));
    let compared = check(&compiled, &input, orders);
    (compiled, compared)
}

#[test]
fn digits_compute_what_the_graph_does() {
    for config in ["default", "tiny", "square"] {
        let orders = [Order::Program, Order::LoadsFirst, Order::LoadsLast, Order::Random(3)];
        for chain in [false, true] {
            let (compiled, compared) =
                network("digits-int8-qoperator.onnx", config, chain, "digits-test-images.npy", &orders);
            println!("{config}: {compared} tensors\n{compiled}");
        }
    }
}

#[test]
fn resnet56_computes_what_the_graph_does() {
    for chain in [false, true] {
        let (_, compared) = network(
            "resnet56-cifar10-int8-qoperator.onnx",
            "default",
            chain,
            "cifar10-test-200-images.npy",
            &[Order::Program, Order::LoadsFirst],
        );
        println!("{compared} tensors");
    }
}

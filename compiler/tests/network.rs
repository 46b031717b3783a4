//! Whole networks against ONNX Runtime: every quantised tensor of ResNet-56 on one image, its classes on 200, both in
//! QOperator and in QDQ form, and the digits network. All bit for bit.

mod fixture;
use fixture::*;

use std::fs::File;
use std::io::Read;

use compiler::network::Network;
use compiler::npy::{self, Tensor, Values};
use compiler::onnx::{ImportError, Model};

fn network(name: &str) -> Network {
    Network::load(&workspace(&format!("../shared/models/{name}.onnx"))).unwrap()
}

/// The classes that a network gives images.
fn classes(network: &Network, images: &Tensor, range: std::ops::Range<usize>) -> Vec<usize> {
    range
        .map(|i| {
            let values = network.run(network.quantise_input(images, i).unwrap()).unwrap();
            let outputs = network.host_outputs(&values).unwrap();
            let y = outputs[0].1.as_floats().unwrap();
            assert_eq!(outputs[0].1.shape, [1, 10]);
            (0..10).rev().max_by(|&a, &b| y[a].total_cmp(&y[b])).unwrap()
        })
        .collect()
}

#[test]
fn every_tensor_of_resnet56_follows_from_the_image() {
    let images = array("cifar10-test-200-images");
    let fixture = Fixture::load();
    let network = network("resnet56-cifar10-int8-qoperator");
    let values = network.run(network.quantise_input(&images, 0).unwrap()).unwrap();
    for row in &fixture.rows {
        // The view of the last map as a vector is the same tensor here.
        for name in [&row[2], &row[3], &row[4]].into_iter().filter(|n| !n.is_empty()) {
            let stored = if name == "view_quantized" { "avg_pool2d_quantized" } else { name };
            let id = network.tensors.iter().position(|t| t.name == stored).unwrap();
            assert!(values[id].as_ref() == Some(&nhwc(fixture.tensor(name))), "{name} of {}", row[0]);
        }
    }
    assert_eq!(network.nodes.len(), 57 + 27 + 1 + 1);
}

#[test]
fn resnet56_classifies_as_onnx_runtime_does() {
    let (images, labels) = (array("cifar10-test-200-images"), labels("cifar10-test-200-labels"));
    let network = network("resnet56-cifar10-int8-qoperator");
    let halves = std::thread::scope(|scope| {
        let second = scope.spawn(|| classes(&network, &images, 100..200));
        [classes(&network, &images, 0..100), second.join().unwrap()]
    });
    let right = halves.concat().iter().zip(&labels).filter(|(a, b)| a == b).count();
    assert_eq!(right, 188, "of 200");
}

/// The QDQ form was quantised with another scale behind the pooling; all before it is the same.
#[test]
fn the_qdq_form_is_fused_as_onnx_runtime_does() {
    let qdq = network("resnet56-cifar10-int8-qdq");
    let qoperator = network("resnet56-cifar10-int8-qoperator");
    assert_eq!(qdq.nodes.len(), qoperator.nodes.len());
    for (a, b) in qdq.nodes.iter().zip(&qoperator.nodes).take(57 + 27) {
        assert!(a.kind == b.kind && (a.y_min, a.y_max) == (b.y_min, b.y_max), "{} and {}", a.name, b.name);
    }
    let images = array("cifar10-test-200-images");
    let expected = Operators::open().tensor("resnet56-qdq.y");
    for i in [0, 7, 19, 42, 100, 199] {
        let values = qdq.run(qdq.quantise_input(&images, i).unwrap()).unwrap();
        let logits = &qdq.host_outputs(&values).unwrap()[0].1;
        assert_eq!(logits.values, expected.image(i).unwrap().values, "image {i}");
    }
}

/// Networks of one operator or a few, with inputs and ONNX Runtime's outputs: `scripts/make_operator_vectors.py`.
struct Operators(zip::ZipArchive<File>);

impl Operators {
    fn open() -> Self {
        let file = File::open(workspace("compiler/tests/fixtures/operators.zip")).unwrap();
        Self(zip::ZipArchive::new(file).unwrap())
    }

    fn cases(&self) -> Vec<String> {
        let names = self.0.file_names().map(|name| name.unwrap().into_owned());
        names.filter_map(|name| name.strip_suffix(".onnx").map(str::to_owned)).collect()
    }

    fn bytes(&mut self, name: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.0.by_name(name).unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    }

    fn tensor(&mut self, name: &str) -> Tensor {
        npy::read(&self.bytes(&format!("{name}.npy"))[..]).unwrap()
    }
}

/// Entry `i` of the first dimension, which comes before the batch.
fn entry(tensor: &Tensor, i: usize) -> Tensor {
    let image = tensor.image(i).unwrap();
    Tensor { shape: image.shape[1..].to_vec(), ..image }
}

/// Averages that often lie halfway between two integers: there ONNX Runtime's binary32 sums, whose terms are rounded
/// products with the scale, fall to either side, and so may be one apart from a rounded sum.
const HALVES: [&str; 3] = ["average_ties_quarter", "average_ties_half", "average_ties_last"];

#[test]
fn operators_equal_onnx_runtime() {
    let mut archive = Operators::open();
    let mut failures = Vec::new();
    for case in archive.cases() {
        let model = Model::parse(&archive.bytes(&format!("{case}.onnx"))).unwrap();
        let (x, y) = (archive.tensor(&format!("{case}.x")), archive.tensor(&format!("{case}.y")));
        for i in 0..x.shape[0] {
            let run = || {
                let network = Network::from_model(&model)?;
                let values = network.run(network.quantise_input(&entry(&x, i), 0)?)?;
                Ok(network.host_outputs(&values)?.remove(0).1)
            };
            let run: Result<Tensor, ImportError> = run();
            let expected = entry(&y, i);
            match run {
                Err(e) => failures.push(format!("{case}: {e}")),
                Ok(got) if got.shape != expected.shape => {
                    failures.push(format!("{case}: {:?}, {:?} wanted", got.shape, expected.shape));
                }
                Ok(got) => {
                    let count = elements(&got.shape);
                    let wrong = match (&got.values, &expected.values) {
                        (Values::Ints(a), Values::Ints(b)) => {
                            let differ = a.iter().zip(b).filter(|(a, b)| a != b).count();
                            let by_one = a.iter().zip(b).all(|(a, b)| a.abs_diff(*b) <= 1);
                            if HALVES.contains(&case.as_str()) && by_one && differ <= count / 20 {
                                continue;
                            }
                            differ
                        }
                        (Values::Floats(a), Values::Floats(b)) => {
                            a.iter().zip(b).filter(|(a, b)| a != b).count()
                        }
                        _ => usize::MAX,
                    };
                    if wrong != 0 {
                        failures.push(format!("{case}, input {i}: {wrong} of {count} elements differ"));
                    }
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn elements(shape: &[usize]) -> usize {
    shape.iter().product()
}

/// Outputs of ONNX Runtime 1.31.1 for the first four digits; then all, which it classifies without an error.
#[test]
fn digits_equal_onnx_runtime() {
    let expected = [
        [85, 53, 74, 109, 100, 85, 78, 27, 80, 203],
        [72, 48, 59, 115, 69, 62, 67, 62, 222, 130],
        [69, 77, 92, 56, 205, 80, 92, 124, 58, 84],
        [69, 33, 43, 89, 39, 238, 100, 75, 83, 84],
    ];
    let (network, images) = (network("digits-int8-qoperator"), array("digits-test-images"));
    for (i, expected) in expected.iter().enumerate() {
        let values = network.run(network.quantise_input(&images, i).unwrap()).unwrap();
        assert_eq!(values[network.outputs[0]].as_deref(), Some(&expected[..]), "image {i}");
    }
    assert_eq!(classes(&network, &images, 0..images.shape[0]), labels("digits-test-labels"));

    let (layer, data) =
        model("digits-int8-qoperator").layer_for_image("node_linear_quant", &images, 3).unwrap();
    assert_eq!(layer.to_string(), "fc in=32 out=10");
    assert_eq!(reference::conv(&layer, &data), expected[3]);
}

#[test]
fn a_network_prints_as_a_table() {
    let text = network("digits-int8-qoperator").to_string();
    let lines: Vec<&str> = text.lines().collect();
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ");
    assert_eq!(lines[0], "network digits-int8-qoperator");
    assert_eq!(words(lines[1]), "tensor size type scale zero range operator inputs name");
    assert!(words(lines[2]).starts_with("%0 8x8x1 u8 ") && words(lines[2]).ends_with(" input x_quantized"));
    assert!(words(lines[3]).ends_with(" 0..255 conv cin=1 h=8 w=8 cout=16 k=3 pad=1 %0 node_Conv_50_quant"));
    assert!(words(lines[5]).ends_with(" max k=2x2 stride=2x2 %2 node_max_pool2d"), "{text}");
    assert!(words(lines[8]).ends_with(" fc in=32 out=10 %5 node_linear_quant"), "{text}");
    assert_eq!(lines[9], "outputs %6");
    assert!(lines[10].starts_with("host x_QuantizeLinear: QuantizeLinear \"x\" to U8, scale "));
    assert_eq!(lines[11..], ["host y_DequantizeLinear: DequantizeLinear to float"]);
}

#[test]
fn one_error_lists_all_that_is_not_supported() {
    let mut model = model("resnet56-cifar10-int8-qoperator");
    for name in ["node_add_2_quant", "node_add_19_quant"] {
        model.nodes.iter_mut().find(|n| n.name == name).unwrap().op = "LRN".to_owned();
    }
    let error = Network::from_model(&model).unwrap_err().to_string();
    let remedy =
        "this operator is not supported: quantise a network without it, or cut the network before it";
    let lines: Vec<String> =
        [2, 19].map(|i| format!("  node node_add_{i}_quant (LRN): {remedy}")).into_iter().collect();
    assert_eq!(error, format!("2 nodes cannot be imported:\n{}", lines.join("\n")));
    let error =
        Network::load(&workspace("../shared/models/resnet56-cifar10-float.onnx")).unwrap_err().to_string();
    assert!(error.contains("(Conv): input 0 is not quantised: put a QuantizeLinear"), "{error}");
}

#[test]
fn graphs_that_are_none_are_refused() {
    let base = model("digits-int8-qoperator");
    let message = |change: &dyn Fn(&mut Model)| {
        let mut model = base.clone();
        change(&mut model);
        Network::from_model(&model).unwrap_err().to_string()
    };
    for (message, wanted) in [
        (message(&|m| m.nodes[1].inputs[0] = m.nodes[4].outputs[0].clone()), "depends on itself"),
        (message(&|m| m.nodes[2].outputs = m.nodes[1].outputs.clone()), "two nodes compute tensor"),
        (message(&|m| m.nodes[1].inputs[0] = "nothing".into()), "no node computes tensor \"nothing\""),
        (message(&|m| m.nodes[1].inputs.truncate(4)), "input \"\" is not a constant"),
        (message(&|m| m.inputs[0].shape = vec![Some(1), Some(1), Some(1 << 40), Some(8)]), "at most 65535"),
        (message(&|m| m.inputs[0].shape = vec![None, Some(1), Some(65535), Some(65535)]), "536870912 in all"),
        (message(&|m| m.inputs[0].shape = vec![Some(1), None, Some(8), Some(8)]), "fixed size wanted"),
        (message(&|m| m.inputs[0].shape = vec![Some(4), Some(1), Some(8), Some(8)]), "one image"),
        (message(&|m| m.inputs[0].ty = None), "its type is not supported"),
        (message(&|m| m.outputs = vec!["x".into()]), "is not computed from quantised tensors"),
    ] {
        assert!(message.contains(wanted), "{message}\n{wanted}");
    }
}

/// A changed byte may go unnoticed; it must not panic, neither at import nor when the network runs.
#[test]
fn damaged_networks_do_not_panic() {
    let mut archive = Operators::open();
    let mut runs = 0;
    for case in archive.cases() {
        let bytes = archive.bytes(&format!("{case}.onnx"));
        let x = entry(&archive.tensor(&format!("{case}.x")), 0);
        for at in (0..bytes.len()).step_by(bytes.len() / 40 + 1) {
            for change in [0x01, 0x55, 0x80] {
                let mut damaged = bytes.clone();
                damaged[at] ^= change;
                let Ok(network) = Model::parse(&damaged).and_then(|m| Network::from_model(&m)) else {
                    continue;
                };
                let _ = network.to_string();
                if let Ok(input) = network.quantise_input(&x, 0) {
                    let values = network.run(input).unwrap();
                    network.host_outputs(&values).unwrap();
                    runs += 1;
                }
            }
        }
    }
    assert!(runs > 1000, "{runs}");
}

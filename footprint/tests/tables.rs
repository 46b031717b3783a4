//! Tables of layers as graphs: the same sizes as the networks that they were made of.

use std::path::Path;

use footprint::lives::{Sharing, Storage, lives};
use footprint::{Graph, Op, Role, table, training};

fn load(name: &str) -> Graph {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/networks");
    table::load(&dir.join(format!("{name}.csv"))).unwrap_or_else(|e| panic!("{e}"))
}

/// Sums of two columns.
fn stated(name: &str) -> [u64; 2] {
    let path = format!("{}/../../shared/networks/{name}.csv", env!("CARGO_MANIFEST_DIR"));
    let mut sums = [0; 2];
    let mut reader = csv::Reader::from_path(path).unwrap();
    let head = reader.headers().unwrap().clone();
    for row in reader.records() {
        let row = row.unwrap();
        for (sum, column) in sums.iter_mut().zip(["MACs", "weights"]) {
            let at = head.iter().position(|name| name == column).unwrap();
            *sum += row[at].parse::<u64>().unwrap_or(0);
        }
    }
    sums
}

/// Multiplications and weights as the tables say them (in a table without biases, recurrent layers have theirs), sums and
/// concatenations as the networks have them; every tensor but the last is read.
#[test]
fn tables_are_their_networks() {
    for (name, sums, concats) in [
        ("alexnet", 0, 0),
        ("googlenet", 0, 9),
        ("mobilenetv1", 0, 0),
        ("mobilenetv2", 10, 0),
        ("resnet50", 16, 0),
        ("squeezenet", 0, 8),
        ("vgg16", 0, 0),
        ("ds2_gru800", 0, 0),
    ] {
        let graph = load(name);
        assert_eq!([graph.macs(), graph.elements(Role::Weight)], stated(name), "{name}");
        let count = |op: &Op| graph.steps.iter().filter(|s| s.op == *op).count();
        assert_eq!((count(&Op::Add), count(&Op::Concat)), (sums, concats), "{name}");
        for (id, tensor) in graph.tensors.iter().enumerate().filter(|(_, t)| t.role == Role::Activation) {
            let read = graph.steps.iter().any(|s| s.inputs.contains(&id)) || graph.outputs.contains(&id);
            assert!(read, "{name}: nobody reads {}", tensor.name);
        }
    }
}

/// ResNet-50's blocks are tied as in the network: 16.63 million activations, and in use at a time what the ONNX file needs.
#[test]
fn resnet_50_needs_what_its_file_does() {
    let graph = load("resnet50");
    assert_eq!(graph.counted(), 16_633_344);
    let storage = Storage { batch: 1, bits: 32, vector: 1 };
    // Three maps of a first block's sum, and one less and a small one where the sum is in place of an operand.
    assert_eq!(lives(&graph, &storage, Sharing::Lives).peak(), 4 * 56 * 56 * (256 + 256 + 256));
    assert_eq!(lives(&graph, &storage, Sharing::InPlace).peak(), 4 * 56 * 56 * (256 + 256 + 64));
    let trained = training::backward(&graph);
    assert!(trained.steps.len() > 2 * graph.steps.len());
}

/// What does not fit together is refused, and says where.
#[test]
fn damaged_tables_are_refused() {
    let head = "name,op,C_in,H_in,W_in,K,H_out,W_out,R,S,stride_h,stride_w,MACs,act_in,act_out,inputs\n";
    let good = "n0,Conv,3,8,8,4,8,8,3,3,1,1,6912,192,256,x\nn1,Relu,4,8,8,4,8,8,,,,,0,256,256,r0\n";
    let graph = table::parse("good", &format!("{head}{good}")).unwrap();
    assert_eq!((graph.steps.len(), graph.macs()), (2, 6912));
    for (from, to, said) in [
        ("r0", "r7,", "found record with"),
        ("256,256,r0", "256,256,nobody;r0", "line 3: n1: no row before it makes its input `nobody`"),
        ("0,256,256", "0,250,256", "line 3: n1: act_in is 250, but its inputs have 256 elements"),
        ("192,256", "192,255", "line 2: n0: act_out is 255, its sizes make 256"),
        ("Relu", "Frobnicate", "line 3: n1: operator Frobnicate is not one"),
        ("C_in", "Cin", "no column `C_in`"),
        ("8,3,3,1,1", "8,4000000000,4000000000,1,1", "line 2: n0: "),
        ("Conv,3", "Conv,three", "line 2: n0: C_in is `three`: a whole number"),
    ] {
        let text = format!("{head}{good}").replacen(from, to, 1);
        let error = table::parse("bad", &text).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}

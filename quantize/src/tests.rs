//! Small networks through quantisation: they must still compute what they did, and what cannot be quantised is named.

use std::collections::HashMap;

use compiler::network::{Network, OpKind};
use compiler::npy::{self, Type, Values};
use compiler::onnx::Model;
use prost::Message;

use crate::proto::{self, Attribute, ValueInfo, data_type};
use crate::{prepared, quantize, run};

/// A network as it is built.
struct Net {
    graph: proto::Graph,
    seed: u32,
    opset: i64,
    end: &'static str,
}

impl Net {
    fn new() -> Self {
        let inputs = vec![ValueInfo::of_floats("x", &[1, 4, 8, 8])];
        Self { graph: proto::Graph { inputs, ..Default::default() }, seed: 1, opset: 13, end: "x" }
    }

    fn random(&mut self) -> f32 {
        self.seed = self.seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.seed >> 8) as f32 / (1 << 23) as f32 - 1.0
    }

    fn floats(&mut self, name: &str, shape: &[usize], values: &[f32]) -> String {
        let bytes = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.graph.initializers.push(proto::Tensor::of_bytes(name, data_type::FLOAT, shape, bytes));
        name.into()
    }

    fn weights(&mut self, name: &str, shape: &[usize]) -> String {
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| self.random() * 0.5).collect();
        self.floats(name, shape, &values)
    }

    fn ints(&mut self, name: &str, values: &[i64]) -> String {
        let bytes = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        self.graph.initializers.push(proto::Tensor::of_bytes(name, data_type::INT64, &[values.len()], bytes));
        name.into()
    }

    fn op(&mut self, op: &str, inputs: &[&str], y: &'static str, attributes: Vec<Attribute>) -> &'static str {
        self.graph.nodes.push(proto::Node {
            inputs: inputs.iter().map(|&i| i.into()).collect(),
            outputs: vec![y.into()],
            name: format!("{y}_node"),
            op: op.into(),
            attributes,
            domain: String::new(),
        });
        self.end = y;
        y
    }

    fn conv(&mut self, x: &str, y: &'static str, cin: usize, cout: usize) -> &'static str {
        let w = self.weights(&format!("{y}_w"), &[cout, cin, 3, 3]);
        let b = self.weights(&format!("{y}_b"), &[cout]);
        self.op("Conv", &[x, &w, &b], y, vec![Attribute::of_ints("pads", &[1; 4])])
    }

    fn bn(&mut self, x: &str, y: &'static str, channels: usize) -> &'static str {
        let [scale, bias, mean] = ["s", "b", "m"].map(|p| self.weights(&format!("{y}_{p}"), &[channels]));
        let var = self.floats(&format!("{y}_v"), &[channels], &vec![0.3; channels]);
        self.op("BatchNormalization", &[x, &scale, &bias, &mean, &var], y, vec![])
    }

    fn bytes(&self) -> Vec<u8> {
        let mut graph = self.graph.clone();
        graph.outputs = vec![ValueInfo::of_floats(self.end, &[])];
        graph.outputs[0].ty = None;
        let opset = proto::Opset { domain: None, version: Some(self.opset) };
        proto::Model { ir_version: Some(8), producer_name: None, graph: Some(graph), opsets: vec![opset] }
            .encode_to_vec()
    }

    /// The network after quantisation, and how far it is from what it was, of the largest output.
    fn quantised(&mut self) -> (Network, f32) {
        let values = (0..3 * 4 * 64).map(|_| self.random()).collect();
        let images = npy::Tensor::floats(&[3, 4, 8, 8], values);
        let (bytes, _) = quantize(self.bytes(), &images, 10).unwrap();
        let network = Network::from_model(&Model::parse(&bytes).unwrap()).unwrap();
        let (_, onnx) = prepared(proto::Model::decode(&self.bytes()[..]).unwrap(), self.bytes());
        let runner = run::Runner::new(onnx, "x").unwrap();
        let (mut worst, mut largest) = (0.0f32, 0.0f32);
        for i in 0..3 {
            let want = runner.run(&images.image(i).unwrap(), &[self.end.into()]).unwrap().remove(0);
            let Values::Floats(want) = want.values else { panic!("floats wanted") };
            let values = network.run(network.quantise_input(&images, i).unwrap()).unwrap();
            let outputs = network.host_outputs(&values).unwrap();
            let got = outputs[0].1.as_floats().unwrap();
            assert_eq!(got.len(), want.len());
            for (a, b) in got.iter().zip(&want) {
                (worst, largest) = (worst.max((a - b).abs()), largest.max(b.abs()));
            }
        }
        (network, worst / largest)
    }

    fn refused(&self, images: &npy::Tensor) -> String {
        quantize(self.bytes(), images, 10).unwrap_err().to_string()
    }
}

fn kinds(network: &Network) -> HashMap<String, usize> {
    let mut kinds = HashMap::new();
    for node in &network.nodes {
        *kinds.entry(node.kind.to_string().split(' ').next().unwrap_or_default().to_owned()).or_insert(0) +=
            1;
    }
    kinds
}

#[test]
fn normalisations_and_limits_fold() {
    let mut n = Net::new();
    n.conv("x", "c1", 4, 8);
    n.bn("c1", "n1", 8);
    n.op("Relu", &["n1"], "r1", vec![]);
    n.conv("r1", "c2", 8, 8);
    let (lo, hi) = (n.floats("lo", &[], &[0.0]), n.floats("hi", &[], &[1.0]));
    n.op("Clip", &["c2", &lo, &hi], "r2", vec![]);
    n.op("GlobalAveragePool", &["r2"], "g", vec![]);
    n.op("Flatten", &["g"], "f", vec![]);
    let (w, b) = (n.weights("w", &[8, 5]), n.weights("b", &[5]));
    n.op("MatMul", &["f", &w], "m", vec![]);
    n.op("Add", &["m", &b], "y", vec![]);
    let (network, error) = n.quantised();
    assert_eq!(network.nodes.len(), 4, "{network}");
    assert!(error < 0.04, "{error}");
}

#[test]
fn a_normalisation_of_its_own_becomes_a_depthwise_convolution() {
    let mut n = Net::new();
    n.conv("x", "c1", 4, 8);
    n.bn("c1", "n1", 8);
    n.op("Relu", &["n1"], "r1", vec![]);
    n.op("Concat", &["c1", "r1"], "k", vec![Attribute::of_int("axis", 1)]);
    n.bn("k", "n2", 16);
    n.op("Relu", &["n2"], "r2", vec![]);
    n.conv("r2", "y", 16, 4);
    let (network, error) = n.quantised();
    assert_eq!(kinds(&network).get("depthwise"), Some(&2), "{network}");
    assert!(error < 0.04, "{error}");
}

/// A ReLU is the saturation at its zero point: where others of a concatenation are negative, it keeps a scale of its own.
#[test]
fn inputs_of_a_concatenation_share_its_scale_unless_they_saturate() {
    for (other, shared) in [(false, true), (true, false)] {
        let mut n = Net::new();
        n.conv("x", "c1", 4, 4);
        n.op("Relu", &["c1"], "r1", vec![]);
        let pool = [("kernel_shape", [3, 3].as_slice()), ("pads", [1; 4].as_slice())];
        n.op("MaxPool", &["r1"], "p1", pool.map(|(k, v)| Attribute::of_ints(k, v)).to_vec());
        n.conv("x", "c2", 4, 4);
        if !other {
            n.op("Relu", &["c2"], "r2", vec![]);
        }
        let second = n.end;
        n.op("Concat", &["p1", second], "k", vec![Attribute::of_int("axis", 1)]);
        n.conv("k", "y", 8, 4);
        let (network, error) = n.quantised();
        assert_eq!(!kinds(&network).contains_key("table"), shared, "{network}");
        assert!(error < 0.04, "{error}");
    }
}

#[test]
fn a_relu_after_a_concatenation_limits_its_inputs() {
    let mut n = Net::new();
    n.conv("x", "c1", 4, 4);
    n.conv("x", "c2", 4, 4);
    n.op("Concat", &["c1", "c2"], "k", vec![Attribute::of_int("axis", 1)]);
    n.op("Relu", &["k"], "r", vec![]);
    n.conv("r", "y", 8, 4);
    let (network, error) = n.quantised();
    assert!(!kinds(&network).contains_key("table"), "{network}");
    assert!(
        network.tensors.iter().filter(|t| t.c == 4 && t.name.starts_with('c')).all(|t| t.zero == 0),
        "{network}"
    );
    assert!(error < 0.04, "{error}");
}

#[test]
fn a_relu_that_cannot_fold_is_a_table_and_one_after_pooling_moves() {
    let mut n = Net::new();
    n.conv("x", "c1", 4, 8);
    n.op("Relu", &["c1"], "r1", vec![]);
    n.op("Add", &["c1", "r1"], "a", vec![]);
    n.conv("a", "c2", 8, 8);
    let half = [("kernel_shape", [2, 2].as_slice()), ("strides", [2, 2].as_slice())];
    n.op("MaxPool", &["c2"], "p", half.map(|(k, v)| Attribute::of_ints(k, v)).to_vec());
    n.op("Relu", &["p"], "r2", vec![]);
    n.conv("r2", "y", 8, 4);
    let (network, error) = n.quantised();
    assert_eq!(kinds(&network).get("table"), Some(&1), "{network}");
    let pool = network.nodes.iter().find(|n| matches!(n.kind, OpKind::MaxPool { .. })).unwrap();
    assert_eq!(network.tensors[pool.output].zero, 0, "{network}");
    assert!(error < 0.04, "{error}");
}

#[test]
fn functions_means_and_sums_survive() {
    let mut n = Net::new();
    let (mean, deviation) =
        (n.floats("mean", &[1, 4, 1, 1], &[0.1, 0.2, 0.3, 0.4]), n.floats("dev", &[], &[0.5]));
    n.op("Sub", &["x", &mean], "s", vec![]);
    n.op("Div", &["s", &deviation], "d", vec![]);
    n.conv("d", "c1", 4, 8);
    n.op("LeakyRelu", &["c1"], "l", vec![Attribute::of_float("alpha", 0.2)]);
    n.op("ReduceMean", &["l"], "g", vec![Attribute::of_ints("axes", &[-2, -1])]);
    n.op("Sigmoid", &["g"], "e", vec![]);
    n.op("Mul", &["l", "e"], "m", vec![]);
    n.op("Identity", &["m"], "i", vec![]);
    n.op("Sum", &["i", "l", "c1"], "t", vec![]);
    let pool = [("kernel_shape", [2, 2].as_slice()), ("strides", [2, 2].as_slice())];
    n.op("AveragePool", &["t"], "p", pool.map(|(k, v)| Attribute::of_ints(k, v)).to_vec());
    n.op("Transpose", &["p"], "tr", vec![Attribute::of_ints("perm", &[0, 2, 3, 1])]);
    let shape = n.ints("shape", &[1, -1]);
    n.op("Reshape", &["tr", &shape], "f", vec![]);
    let (w, b) = (n.weights("w", &[6, 128]), n.weights("b", &[6]));
    n.op("Gemm", &["f", &w, &b], "z", vec![Attribute::of_int("transB", 1)]);
    n.op("Softmax", &["z"], "y", vec![Attribute::of_int("axis", -1)]);
    let (network, error) = n.quantised();
    assert_eq!(kinds(&network).get("depthwise"), Some(&1), "{network}");
    assert!(error < 0.1, "{error}");
}

#[test]
fn what_cannot_be_quantised_is_said() {
    let images = npy::Tensor::floats(&[1, 4, 8, 8], vec![0.5; 256]);
    let mut said = String::new();
    let mut n = Net::new();
    n.op("Elu", &["x"], "t", vec![]);
    n.conv("t", "c", 4, 4);
    n.op("LRN", &["c"], "y", vec![]);
    said += &format!("{}\n", n.refused(&images));
    n = Net::new();
    n.op("Softmax", &["x"], "s", vec![]);
    n.op("Relu", &["s"], "y", vec![]);
    said += &format!("{}\n", n.refused(&images));
    n = Net::new();
    n.conv("x", "y", 4, 4);
    said += &format!("{}\n", n.refused(&npy::Tensor::floats(&[1, 3, 8, 8], vec![0.5; 192])));
    said += &format!("{}\n", n.refused(&npy::Tensor::ints(&[1, 4, 8, 8], Type::I8, vec![5; 256])));
    said += &format!("{}\n", n.refused(&npy::Tensor::floats(&[0, 4, 8, 8], vec![])));
    said += &format!("{}\n", n.refused(&npy::Tensor::floats(&[1, 4, 8, 8], vec![f32::NAN; 256])));
    n.opset = 6;
    said += &format!("{}\n", n.refused(&images));
    n = Net::new();
    let low = n.floats("low", &[], &[1.0]);
    n.op("Clip", &["x", &low], "y", vec![]);
    said += &format!("{}\n", n.refused(&images));
    n = Net::new();
    n.conv("x", "a", 4, 4);
    n.op("Sub", &["a", "x"], "y", vec![]);
    said += &format!("{}\n", n.refused(&images));
    said += &format!("{}\n", quantize(b"nothing".to_vec(), &images, 1).unwrap_err());
    assert_eq!(said.trim_end(), SAID.trim(), "{said}");
}

const SAID: &str = "
2 nodes cannot be quantised; use a network without them:
  t_node (Elu): not supported
  y_node (LRN): not supported
1 node cannot be quantised; use a network without it:
  s_node (Softmax): only supported at the end
images of shape [1, 3, 8, 8] (F32): the network takes [1, 4, 8, 8]; give float32 NCHW, or uint8 NCHW or NHWC, which is divided by 255
images of shape [1, 4, 8, 8] (I8): the network takes [1, 4, 8, 8]; give float32 NCHW, or uint8 NCHW or NHWC, which is divided by 255
0 images to calibrate with: at least 1 wanted; give more
image 0 holds NaN: finite numbers wanted; check the file
opset 6: at least 7 wanted; export the model anew
1 node cannot be quantised; use a network without it:
  y_node (Clip): limits (1.0, inf): 0 must be between them
1 node cannot be quantised; use a network without it:
  y_node (Sub): a difference or quotient of two tensors
not an ONNX file: failed to decode Protobuf message: invalid wire type value: 6; give a float .onnx model
";

#[test]
fn maps_grow_shrink_and_part() {
    let mut n = Net::new();
    n.conv("x", "c1", 4, 8);
    n.op("HardSwish", &["c1"], "h", vec![]);
    // Up, as in a U-Net.
    let (w, b) = (n.weights("tw", &[8, 6, 4, 4]), n.weights("tb", &[6]));
    let up = [Attribute::of_ints("strides", &[2, 2]), Attribute::of_ints("pads", &[1; 4])];
    n.op("ConvTranspose", &["h", &w, &b], "t", up.to_vec());
    n.bn("t", "tn", 6);
    n.op("Relu", &["tn"], "tr", vec![]);
    let factors = n.floats("factors", &[4], &[1.0, 1.0, 2.0, 2.0]);
    n.op("Resize", &["h", "", &factors], "r", vec![Attribute::of_text("mode", "nearest")]);
    n.op("Concat", &["tr", "r"], "k", vec![Attribute::of_int("axis", 1)]);
    let pads = n.ints("pads", &[0, 0, 1, 0, 0, 0, 0, 2]);
    n.op("Pad", &["k", &pads], "p", vec![]);
    let (from, to, axis) = (n.ints("from", &[-12]), n.ints("to", &[14]), n.ints("axis", &[1]));
    n.op("Slice", &["p", &from, &to, &axis], "s", vec![]);
    let parts = n.ints("parts", &[5, 7]);
    n.op("Split", &["s", &parts], "s1", vec![Attribute::of_int("axis", 1)]);
    n.graph.nodes.last_mut().unwrap().outputs.push("s2".into());
    n.op("Tanh", &["s2"], "th", vec![]);
    n.op("Concat", &["th", "s1"], "y", vec![Attribute::of_int("axis", 1)]);
    n.opset = 14;
    let (network, error) = n.quantised();
    let kinds = kinds(&network);
    assert_eq!((kinds["conv"], kinds["interleave"], kinds["pad"]), (5, 2, 1), "{network}");
    assert!(error < 0.05, "{error}");

    let mut n = Net::new();
    let w = n.weights("w", &[4, 2, 2, 2]);
    n.op("ConvTranspose", &["x", &w], "t", vec![Attribute::of_int("group", 2)]);
    let images = npy::Tensor::floats(&[1, 4, 8, 8], vec![0.5; 256]);
    assert!(n.refused(&images).contains("t_node (ConvTranspose): groups of a transposed convolution"));
}

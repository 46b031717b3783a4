//! The QOperator file.

use std::collections::{HashMap, HashSet};

use crate::graph::{Graph, Node, Op, Window};
use crate::proto::{self, Attribute, ValueInfo, data_type};
use crate::ranges::Scale;
use crate::{QuantizeError, Result};

const OPSET: i64 = 17;
const IR_VERSION: i64 = 8;
/// Of ONNX Runtime's own operators.
const MICROSOFT: &str = "com.microsoft";
/// Largest bias, with room for the sum that it is added to.
const LARGEST_BIAS: f64 = (1 << 30) as f64;

struct Emitter<'a> {
    graph: &'a Graph,
    scales: &'a HashMap<String, Scale>,
    nodes: Vec<proto::Node>,
    initializers: Vec<proto::Tensor>,
    /// Names of tensors in the file that are taken.
    taken: HashSet<String>,
}

/// The file of a graph whose tensors have these scales.
pub fn model(graph: &Graph, scales: &HashMap<String, Scale>) -> Result<proto::Model> {
    let taken = graph.outputs.iter().map(|(name, _)| name.clone()).chain([graph.input.clone()]).collect();
    let mut e = Emitter { graph, scales, nodes: Vec::new(), initializers: Vec::new(), taken };
    let (scale, zero) = e.scale_of(&graph.input);
    let quantised = e.quantised(&graph.input);
    e.push(
        format!("{}_quantize", graph.input),
        "QuantizeLinear",
        vec![graph.input.clone(), scale, zero],
        quantised,
    );
    for node in &graph.nodes {
        e.node(node)?;
    }
    // Each quantised tensor is dequantised once.
    let mut outputs = Vec::new();
    for (name, tensor) in &graph.outputs {
        let softmax = graph.nodes.iter().find(|n| n.output == *tensor && matches!(n.op, Op::Softmax(_)));
        let from = softmax.map_or(tensor, |n| &n.inputs[0]);
        let real = if softmax.is_some() { format!("{name}_logits") } else { name.clone() };
        let (scale, zero) = e.scale_of(from);
        let inputs = vec![e.quantised(from), scale, zero];
        e.push(format!("{name}_dequantize"), "DequantizeLinear", inputs, real.clone());
        if let Some(Node { op: Op::Softmax(axis), name: node, .. }) = softmax {
            e.push(node.clone(), "Softmax", vec![real], name.clone());
            e.attribute(Attribute::of_int("axis", *axis));
        }
        outputs.push(ValueInfo::of_floats(name, &graph.shapes[tensor]));
    }
    let opset =
        |domain: &str, version: i64| proto::Opset { domain: Some(domain.into()), version: Some(version) };
    let input = ValueInfo::of_floats(&graph.input, &graph.shapes[&graph.input]);
    Ok(proto::Model {
        ir_version: Some(IR_VERSION),
        producer_name: Some("koch".into()),
        opsets: vec![opset("", OPSET), opset(MICROSOFT, 1)],
        graph: Some(proto::Graph {
            nodes: e.nodes,
            name: Some("koch".into()),
            initializers: e.initializers,
            inputs: vec![input],
            outputs,
        }),
    })
}

impl Emitter<'_> {
    fn quantised(&self, tensor: &str) -> String {
        let mut name = format!("{tensor}_quantized");
        while self.taken.contains(&name) {
            name.push('_');
        }
        name
    }

    fn push(&mut self, name: String, op: &str, inputs: Vec<String>, output: String) {
        self.nodes.push(proto::Node {
            inputs,
            outputs: vec![output],
            name,
            op: op.into(),
            ..Default::default()
        });
    }

    /// Adds an attribute to the last node.
    fn attribute(&mut self, attribute: Attribute) {
        self.nodes.last_mut().expect("a node was pushed").attributes.push(attribute);
    }

    fn microsoft(&mut self) {
        self.nodes.last_mut().expect("a node was pushed").domain = MICROSOFT.into();
    }

    fn initializer(&mut self, name: String, ty: i32, shape: &[usize], bytes: Vec<u8>) -> String {
        if self.taken.insert(name.clone()) {
            self.initializers.push(proto::Tensor::of_bytes(&name, ty, shape, bytes));
        }
        name
    }

    /// Names of the scale and the zero point of a tensor.
    fn scale_of(&mut self, tensor: &str) -> (String, String) {
        let Scale { scale, zero } = self.scales[tensor];
        let bytes = scale.to_le_bytes().to_vec();
        (
            self.initializer(format!("{tensor}_scale"), data_type::FLOAT, &[], bytes),
            self.initializer(format!("{tensor}_zero_point"), data_type::UINT8, &[], vec![zero]),
        )
    }

    /// A quantised tensor with its scale and zero point.
    fn operand(&mut self, tensor: &str) -> [String; 3] {
        let (scale, zero) = self.scale_of(tensor);
        [self.quantised(tensor), scale, zero]
    }

    /// Weights with their scales and zero points, and the bias. The file has weights by input and output if they are
    /// `turned`.
    fn weights(
        &mut self,
        node: &Node,
        weights: &[f32],
        shape: &[usize],
        bias: &[f32],
        turned: bool,
    ) -> Result<[String; 4]> {
        let (x, y) = (self.scales[&node.inputs[0]].scale, self.scales[&node.output].scale);
        let (x, y) = (f64::from(x), f64::from(y));
        let each = weights.len() / shape[0].max(1);
        let mut ints = Vec::with_capacity(weights.len());
        let (mut scales, mut biases) = (Vec::new(), Vec::new());
        for (row, &bias) in weights.chunks_exact(each.max(1)).zip(bias) {
            let largest = row.iter().fold(0.0f32, |m, w| m.max(w.abs()));
            if !largest.is_finite() || !bias.is_finite() {
                return Err(QuantizeError::new(format!(
                    "node {}: weights or biases are not finite; check the model",
                    node.name
                )));
            }
            // A scale so small that the bias or the multiplier leaves its range would only be that of weights that do not
            // count.
            let least = (f64::from(bias.abs()) / (x * LARGEST_BIAS)).max(y / x * 2f64.powi(-40)).max(1e-30);
            let scale = (f64::from(largest) / 127.0).max(least) as f32;
            ints.extend(row.iter().map(|w| (w / scale).round_ties_even().clamp(-127.0, 127.0) as i8 as u8));
            biases
                .extend((f64::from(bias) / (x * f64::from(scale))).round_ties_even().to_i32().to_le_bytes());
            scales.extend(scale.to_le_bytes());
        }
        let channels = [shape[0]];
        let mut shape = shape.to_vec();
        if turned {
            let (inputs, map) = (shape[1], each / shape[1].max(1));
            let pairs = (0..inputs).flat_map(|k| (0..channels[0]).map(move |n| (n, k)));
            ints = pairs.flat_map(|(n, k)| ints[(n * inputs + k) * map..][..map].to_vec()).collect();
            shape.swap(0, 1);
        }
        let name = |what: &str| format!("{}_{what}", node.output);
        Ok([
            self.initializer(name("weight"), data_type::INT8, &shape, ints),
            self.initializer(name("weight_scale"), data_type::FLOAT, &channels, scales),
            self.initializer(name("weight_zero_point"), data_type::INT8, &channels, vec![0; channels[0]]),
            self.initializer(name("bias"), data_type::INT32, &channels, biases),
        ])
    }

    /// A constant of integers that a node needs.
    fn ints(&mut self, node: &Node, what: &str, values: &[i64]) -> String {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.initializer(format!("{}_{what}", node.output), data_type::INT64, &[values.len()], bytes)
    }

    /// An operator without a quantised form, on the dequantised first input and `more`.
    fn real(&mut self, node: &Node, name: &str, op: &str, more: Vec<String>) {
        let from = format!("{}_dequantized_input", node.output);
        let operand = self.operand(&node.inputs[0]).to_vec();
        self.push(format!("{name}_input"), "DequantizeLinear", operand, from.clone());
        self.push(name.to_owned(), op, [vec![from], more].concat(), format!("{}_real", node.output));
    }

    /// The end of what [`Self::real`] begins.
    fn requantised(&mut self, node: &Node, name: String) {
        let [y, scale, zero] = self.operand(&node.output);
        let inputs = vec![format!("{}_real", node.output), scale, zero];
        self.push(format!("{name}_output"), "QuantizeLinear", inputs, y);
    }

    fn window(&mut self, window: &Window, dilations: bool) {
        self.attribute(Attribute::of_ints("kernel_shape", &window.kernel));
        self.attribute(Attribute::of_ints("strides", &window.strides));
        self.attribute(Attribute::of_ints("pads", &window.pads));
        if dilations {
            self.attribute(Attribute::of_ints("dilations", &window.dilations));
        }
    }

    fn node(&mut self, node: &Node) -> Result<()> {
        if matches!(node.op, Op::Softmax(_)) {
            return Ok(());
        }
        let name = format!("{}_quant", node.name);
        let [x, x_scale, x_zero] = self.operand(&node.inputs[0]);
        let [y, y_scale, y_zero] = self.operand(&node.output);
        let one = || vec![x.clone(), x_scale.clone(), x_zero.clone(), y_scale.clone(), y_zero.clone()];
        match &node.op {
            Op::Conv { weights, shape, bias, window, transposed: Some(extra), .. } => {
                let [w, w_scale, w_zero, _] = self.weights(node, weights, shape, bias, true)?;
                let real = format!("{w}_dequantize");
                self.push(real.clone(), "DequantizeLinear", vec![w, w_scale, w_zero], real.clone());
                self.attribute(Attribute::of_int("axis", 1));
                let bytes = bias.iter().flat_map(|b| b.to_le_bytes()).collect();
                let bias = format!("{}_float_bias", node.output);
                let bias = self.initializer(bias, data_type::FLOAT, &shape[..1], bytes);
                self.real(node, &name, "ConvTranspose", vec![real, bias]);
                self.window(window, true);
                self.attribute(Attribute::of_ints("output_padding", extra));
                self.requantised(node, name);
            }
            Op::Function(op, attributes) => {
                self.real(node, &name, op, vec![]);
                attributes.iter().for_each(|a| self.attribute(a.clone()));
                self.requantised(node, name);
            }
            Op::Conv { weights, shape, bias, window, group, .. } => {
                let [w, w_scale, w_zero, bias] = self.weights(node, weights, shape, bias, false)?;
                let inputs = vec![x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, bias];
                self.push(name, "QLinearConv", inputs, y);
                self.window(window, true);
                self.attribute(Attribute::of_int("group", *group as i64));
            }
            Op::Dense { weights, shape, bias } => {
                let [w, w_scale, w_zero, bias] = self.weights(node, weights, shape, bias, false)?;
                let inputs = vec![x, x_scale, x_zero, w, w_scale, w_zero, bias, y_scale, y_zero];
                self.push(name, "QGemm", inputs, y);
                self.microsoft();
                self.attribute(Attribute::of_int("transB", 1));
            }
            Op::Clip | Op::LeakyRelu(_) => {
                let alpha = match (&node.op, node.limits) {
                    (Op::LeakyRelu(alpha), _) => *alpha,
                    (_, Some((0.0, _))) => 0.0,
                    // The range does the rest.
                    _ => 1.0,
                };
                self.push(name, "QLinearLeakyRelu", one(), y);
                self.microsoft();
                self.attribute(Attribute::of_float("alpha", alpha));
            }
            Op::Sigmoid => {
                self.push(name, "QLinearSigmoid", one(), y);
                self.microsoft();
            }
            Op::MaxPool(window) => {
                self.push(name, "MaxPool", vec![x], y);
                self.window(window, true);
                self.attribute(Attribute::of_int("ceil_mode", window.ceil.into()));
            }
            Op::AveragePool(window, count_pads) => {
                if window.dilations != [1, 1] {
                    return Err(QuantizeError::new(format!(
                        "node {}: dilations {:?} of an average: [1, 1] wanted; use a network without them",
                        node.name, window.dilations
                    )));
                }
                self.push(name, "QLinearAveragePool", one(), y);
                self.microsoft();
                self.window(window, false);
                self.attribute(Attribute::of_int("ceil_mode", window.ceil.into()));
                self.attribute(Attribute::of_int("count_include_pad", (*count_pads).into()));
            }
            Op::GlobalAveragePool => {
                self.push(name, "QLinearGlobalAveragePool", one(), y);
                self.microsoft();
                self.attribute(Attribute::of_int("channels_last", 0));
            }
            Op::Add | Op::Mul => {
                let second = self.operand(&node.inputs[1]);
                let inputs = [vec![x, x_scale, x_zero], second.to_vec(), vec![y_scale, y_zero]].concat();
                self.push(name, if node.op == Op::Add { "QLinearAdd" } else { "QLinearMul" }, inputs, y);
                self.microsoft();
            }
            Op::Concat(axis) => {
                let mut inputs = vec![y_scale, y_zero];
                for input in &node.inputs {
                    inputs.extend(self.operand(input));
                }
                self.push(name, "QLinearConcat", inputs, y);
                self.microsoft();
                self.attribute(Attribute::of_int("axis", *axis));
            }
            Op::Reshape => {
                let shape: Vec<i64> = self.graph.shapes[&node.output].iter().map(|&n| n as i64).collect();
                let shape = self.ints(node, "shape", &shape);
                self.push(name, "Reshape", vec![x, shape], y);
            }
            Op::Resize([down, right]) => {
                let factors = [1.0, 1.0, *down as f32, *right as f32].map(f32::to_le_bytes).concat();
                let name_of = format!("{}_factors", node.output);
                let factors = self.initializer(name_of, data_type::FLOAT, &[4], factors);
                self.push(name, "Resize", vec![x, String::new(), factors], y);
                self.attribute(Attribute::of_text("mode", "nearest"));
                self.attribute(Attribute::of_text("coordinate_transformation_mode", "asymmetric"));
                self.attribute(Attribute::of_text("nearest_mode", "floor"));
            }
            Op::Pad([t, l, b, r]) => {
                let pads = self.ints(node, "pads", &[0, 0, *t, *l, 0, 0, *b, *r]);
                self.push(name, "Pad", vec![x, pads, x_zero], y);
            }
            Op::Slice(from, to) => {
                let range = [("from", *from), ("to", *to), ("axis", 1)];
                let range = range.map(|(what, n)| self.ints(node, what, &[n])).to_vec();
                self.push(name, "Slice", [vec![x], range].concat(), y);
            }
            Op::Transpose(perm) => {
                self.push(name, "Transpose", vec![x], y);
                self.attribute(Attribute::of_ints("perm", perm));
            }
            Op::Affine { .. } | Op::Softmax(_) => {
                return Err(QuantizeError::new(format!(
                    "node {} was not folded: please report it",
                    node.name
                )));
            }
        }
        Ok(())
    }
}

/// As `as i32`, named for what it does here: it saturates.
trait ToI32 {
    fn to_i32(self) -> i32;
}

impl ToI32 for f64 {
    fn to_i32(self) -> i32 {
        self as i32
    }
}

//! From an ONNX graph to the operators that are quantised: constants computed, batch normalisations folded, limits of
//! ReLU and Clip with what they limit.

use std::collections::{HashMap, HashSet};

use compiler::npy::{self, Type, Values};

use crate::proto::{self, data_type};
use crate::run::Computed;
use crate::{QuantizeError, Result};

/// The first opset whose operators mean what they mean here.
const FIRST_OPSET: i64 = 7;
/// What can be quantised, as far as the name says.
const SUPPORTED: [&str; 35] = [
    "Add",
    "AveragePool",
    "BatchNormalization",
    "Cast",
    "Clip",
    "Concat",
    "Conv",
    "ConvTranspose",
    "Div",
    "Flatten",
    "Gemm",
    "GlobalAveragePool",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "LeakyRelu",
    "MatMul",
    "MaxPool",
    "Mul",
    "Neg",
    "Pad",
    "ReduceMean",
    "Relu",
    "Reshape",
    "Resize",
    "Sigmoid",
    "Slice",
    "Softmax",
    "Split",
    "Squeeze",
    "Sub",
    "Sum",
    "Tanh",
    "Transpose",
    "Unsqueeze",
];

/// A pooling window, or that of a convolution.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    pub kernel: [i64; 2],
    pub strides: [i64; 2],
    /// Top, left, bottom, right.
    pub pads: [i64; 4],
    pub dilations: [i64; 2],
    pub ceil: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// Weights are `[outputs][inputs of a group][rows][columns]`.
    Conv {
        weights: Vec<f32>,
        shape: [usize; 4],
        bias: Vec<f32>,
        window: Window,
        group: usize,
        /// The output padding of a ConvTranspose, which has one group.
        transposed: Option<[i64; 2]>,
    },
    /// Weights are `[outputs][inputs]`.
    Dense {
        weights: Vec<f32>,
        shape: [usize; 2],
        bias: Vec<f32>,
    },
    /// x × scale + offset by channel. None is left in a [`Graph`].
    Affine {
        scale: Vec<f32>,
        offset: Vec<f32>,
    },
    /// Only the node's limits.
    Clip,
    LeakyRelu(f32),
    Sigmoid,
    /// A function of one element that has no quantised operator, with its attributes.
    Function(String, Vec<proto::Attribute>),
    MaxPool(Window),
    AveragePool(Window, bool),
    GlobalAveragePool,
    Add,
    Mul,
    Concat(i64),
    Reshape,
    Transpose(Vec<i64>),
    /// Each pixel, so many times down and right.
    Resize([usize; 2]),
    /// Zeros around a map: top, left, bottom, right.
    Pad([i64; 4]),
    /// Channels from the first to before the second.
    Slice(i64, i64),
    Softmax(i64),
}

impl Op {
    /// Whether elements are only chosen or moved, so that the output has the input's scale.
    pub fn keeps_scale(&self) -> bool {
        matches!(
            self,
            Self::MaxPool(_)
                | Self::Reshape
                | Self::Transpose(_)
                | Self::Resize(_)
                | Self::Pad(_)
                | Self::Slice(..)
        )
    }
}

#[derive(Clone, Debug)]
pub struct Node {
    pub name: String,
    pub op: Op,
    pub inputs: Vec<String>,
    pub output: String,
    /// The output is clipped to these, 0 among them.
    pub limits: Option<(f32, f32)>,
}

#[derive(Debug)]
pub struct Graph {
    pub input: String,
    /// Names in the file, and the tensors of the graph that they are.
    pub outputs: Vec<(String, String)>,
    pub nodes: Vec<Node>,
    pub shapes: HashMap<String, Vec<usize>>,
    /// Tensors that the file does not have.
    added: HashSet<String>,
}

impl Graph {
    /// Tensors whose ranges are to be measured.
    pub fn measured_names(&self) -> Vec<String> {
        let real =
            self.nodes.iter().filter(|n| !matches!(n.op, Op::Softmax(_)) && !self.added.contains(&n.output));
        real.map(|n| n.output.clone()).collect()
    }

    /// How often each tensor is read, outputs counted.
    pub fn readers(&self) -> HashMap<&str, usize> {
        let mut readers = HashMap::new();
        let outputs = self.outputs.iter().map(|(_, tensor)| tensor);
        for name in self.nodes.iter().flat_map(|n| &n.inputs).chain(outputs) {
            *readers.entry(name.as_str()).or_insert(0) += 1;
        }
        readers
    }
}

/// An ONNX graph, checked as far as it can be without running it.
pub struct Source {
    pub input: String,
    /// Of the input; `None` where the file leaves it open.
    pub shape: Vec<Option<usize>>,
    outputs: Vec<String>,
    nodes: Vec<proto::Node>,
    constants: HashMap<String, npy::Tensor>,
    /// Tensors that do not depend on the input, or only on its shape.
    fixed: HashSet<String>,
    opset: i64,
}

impl Source {
    pub fn new(model: proto::Model) -> Result<Self> {
        let opset = model.opsets.iter().find(|o| is_onnx(o.domain.as_deref().unwrap_or_default()));
        let opset = opset.and_then(|o| o.version).unwrap_or(1);
        if opset < FIRST_OPSET {
            return Err(QuantizeError::new(format!(
                "opset {opset}: at least {FIRST_OPSET} wanted; export the model anew"
            )));
        }
        let graph = model
            .graph
            .ok_or_else(|| QuantizeError::new("the file has no graph: give a float .onnx model"))?;
        let mut constants = HashMap::new();
        let mut fixed = HashSet::new();
        for tensor in &graph.initializers {
            fixed.insert(tensor.name.clone());
            if let Some(value) = constant(tensor)? {
                constants.insert(tensor.name.clone(), value);
            }
        }
        let inputs: Vec<_> = graph.inputs.iter().filter(|i| !fixed.contains(&i.name)).collect();
        let [input] = inputs[..] else {
            return Err(QuantizeError::new(format!(
                "{} network inputs: one wanted; cut the network",
                inputs.len()
            )));
        };
        let ty = input.ty.as_ref().and_then(|t| t.tensor.as_ref());
        if ty.and_then(|t| t.elem_type) != Some(data_type::FLOAT) {
            return Err(QuantizeError::new(format!(
                "input {:?} is not float32: give a float model",
                input.name
            )));
        }
        let dims = ty.and_then(|t| t.shape.as_ref()).map(|s| &s.dims[..]).unwrap_or_default();
        let shape: Vec<Option<usize>> =
            dims.iter().map(|d| d.value.and_then(|n| usize::try_from(n).ok()).filter(|&n| n > 0)).collect();
        if !matches!(shape.len(), 2 | 4) {
            return Err(QuantizeError::new(format!(
                "input {:?} of rank {}: 2 or 4 (NCHW) wanted; export it so",
                input.name,
                shape.len()
            )));
        }
        let outputs: Vec<String> = graph.outputs.into_iter().map(|o| o.name).collect();
        let nodes = reached(graph.nodes, &outputs);
        for node in &nodes {
            let given = node.inputs.iter().filter(|i| !i.is_empty());
            if node.op == "Constant" {
                if let (Some(name), Some(tensor)) = (node.outputs.first(), node.tensor("value")) {
                    constants.extend(constant(tensor)?.map(|value| (name.clone(), value)));
                } else if let Some(name) = node.outputs.first() {
                    constants.extend(scalar(node).map(|value| (name.clone(), value)));
                }
            }
            if matches!(node.op.as_str(), "Shape" | "Size") || given.clone().all(|i| fixed.contains(i)) {
                fixed.extend(node.outputs.iter().cloned());
            }
        }
        let source = Self { input: input.name.clone(), shape, outputs, nodes, constants, fixed, opset };
        let unsupported = |n: &&proto::Node| !is_onnx(&n.domain) || !SUPPORTED.contains(&n.op.as_str());
        list(source.real().filter(unsupported).map(|n| format!("{} ({}): not supported", title(n), n.op)))?;
        Ok(source)
    }

    /// Nodes that compute something of the input.
    fn real(&self) -> impl Iterator<Item = &proto::Node> {
        self.nodes.iter().filter(|n| n.outputs.first().is_none_or(|o| !self.fixed.contains(o)))
    }

    /// Every tensor that a node computes, for an image.
    pub fn computed_names(&self) -> Vec<String> {
        let known = |name: &&String| !name.is_empty() && !self.constants.contains_key(*name);
        let computed = self.nodes.iter().filter(|n| n.op != "Constant");
        let outputs = |n: &'_ proto::Node| if n.op == "Split" { n.outputs.len() } else { 1 };
        computed.flat_map(|n| n.outputs.iter().take(outputs(n)).filter(known)).cloned().collect()
    }

    /// The operators, with what every tensor is for an image of `shape`.
    pub fn lower(mut self, values: &HashMap<String, Computed>, shape: Vec<usize>) -> Result<Graph> {
        let mut shapes: HashMap<String, Vec<usize>> = HashMap::from([(self.input.clone(), shape)]);
        for (name, computed) in values {
            shapes.insert(name.clone(), computed.shape.clone());
            if self.fixed.contains(name) {
                let ty = if matches!(computed.values, Values::Floats(_)) { Type::F32 } else { Type::I64 };
                let tensor =
                    npy::Tensor { shape: computed.shape.clone(), ty, values: computed.values.clone() };
                self.constants.insert(name.clone(), tensor);
            }
        }
        let mut lowering = Lowering {
            source: &self,
            shapes,
            same: HashMap::new(),
            nodes: Vec::new(),
            added: HashSet::new(),
        };
        let mut errors = Vec::new();
        let mut unknown: HashSet<&str> = HashSet::new();
        for node in self.real() {
            if let Err(e) = lowering.node(node) {
                // What follows from another node's error is not worth a line.
                if !node.inputs.iter().any(|i| unknown.contains(i.as_str())) {
                    errors.push(format!("{} ({}): {e}", title(node), node.op));
                }
                unknown.extend(node.outputs.iter().map(String::as_str));
            }
        }
        list(errors.into_iter())?;
        let outputs = self.outputs.iter().map(|name| (name.clone(), lowering.name(name))).collect();
        let Lowering { shapes, nodes, added, .. } = lowering;
        let mut graph = Graph { input: self.input.clone(), outputs, nodes, shapes, added };
        graph.fold()?;
        graph.check()?;
        Ok(graph)
    }
}

/// One error of all that is wrong.
fn list(errors: impl Iterator<Item = String>) -> Result<()> {
    let errors: Vec<String> = errors.collect();
    let (count, them) = match errors.len() {
        0 => return Ok(()),
        1 => ("1 node".to_owned(), "it"),
        n => (format!("{n} nodes"), "them"),
    };
    Err(QuantizeError::new(format!(
        "{count} cannot be quantised; use a network without {them}:\n  {}",
        errors.join("\n  ")
    )))
}

/// Whether a domain is that of the standard's operators.
pub fn is_onnx(domain: &str) -> bool {
    matches!(domain, "" | "ai.onnx")
}

/// How a node is called in errors and in the output.
fn title(node: &proto::Node) -> String {
    if node.name.is_empty() { node.outputs.first().cloned().unwrap_or_default() } else { node.name.clone() }
}

/// The nodes that outputs depend on.
fn reached(nodes: Vec<proto::Node>, outputs: &[String]) -> Vec<proto::Node> {
    let mut wanted: HashSet<String> = outputs.iter().cloned().collect();
    let mut kept = Vec::new();
    for node in nodes.into_iter().rev() {
        if node.outputs.iter().any(|o| wanted.contains(o)) {
            wanted.extend(node.inputs.iter().cloned());
            kept.push(node);
        }
    }
    kept.reverse();
    kept
}

/// A tensor of floats or integers; `None` for other types, which nothing here needs.
fn constant(tensor: &proto::Tensor) -> Result<Option<npy::Tensor>> {
    let fail = |what: &str| QuantizeError::new(format!("initializer {:?}: {what}", tensor.name));
    if tensor.location == Some(1) {
        return Err(fail("its data are in another file; save the model as one file"));
    }
    let shape: Option<Vec<usize>> = tensor.dims.iter().map(|&n| usize::try_from(n).ok()).collect();
    let shape = shape.ok_or_else(|| fail("negative size; export the model anew"))?;
    let count = shape.iter().try_fold(1usize, |all, &n| all.checked_mul(n));
    let count = count.ok_or_else(|| fail("too many elements; export the model anew"))?;
    fn bytes<const N: usize, T>(raw: &[u8], of: impl Fn([u8; N]) -> T) -> Vec<T> {
        raw.chunks_exact(N).filter_map(|b| b.try_into().ok()).map(of).collect()
    }
    let saturate = |n: i64| n.clamp(i32::MIN.into(), i32::MAX.into()) as i32;
    let raw = tensor.raw.as_deref();
    let (ty, values) = match tensor.data_type.unwrap_or(0) {
        data_type::FLOAT => {
            let floats = raw.map_or_else(|| tensor.floats.clone(), |raw| bytes(raw, f32::from_le_bytes));
            (Type::F32, Values::Floats(floats))
        }
        data_type::DOUBLE => {
            let doubles = raw.map_or_else(|| tensor.doubles.clone(), |raw| bytes(raw, f64::from_le_bytes));
            (Type::F32, Values::Floats(doubles.into_iter().map(|x| x as f32).collect()))
        }
        data_type::INT32 => {
            let ints = raw.map_or_else(|| tensor.int32s.clone(), |raw| bytes(raw, i32::from_le_bytes));
            (Type::I32, Values::Ints(ints))
        }
        data_type::INT64 => {
            let ints = raw.map_or_else(|| tensor.int64s.clone(), |raw| bytes(raw, i64::from_le_bytes));
            (Type::I64, Values::Ints(ints.into_iter().map(saturate).collect()))
        }
        _ => return Ok(None),
    };
    let held = match &values {
        Values::Floats(x) => x.len(),
        Values::Ints(x) => x.len(),
    };
    if held != count {
        return Err(fail(&format!("{held} elements, but its shape is {shape:?}; export the model anew")));
    }
    Ok(Some(npy::Tensor { shape, ty, values }))
}

/// The value of a Constant node that is no tensor.
fn scalar(node: &proto::Node) -> Option<npy::Tensor> {
    if let Some(x) = node.float("value_float") {
        return Some(npy::Tensor::floats(&[], vec![x]));
    }
    if let Some(x) = node.floats("value_floats") {
        return Some(npy::Tensor::floats(&[x.len()], x.to_vec()));
    }
    let ints =
        |x: &[i64]| x.iter().map(|&x| x.clamp(i32::MIN.into(), i32::MAX.into()) as i32).collect::<Vec<_>>();
    if let Some(x) = node.int("value_int") {
        return Some(npy::Tensor::ints(&[], Type::I64, ints(&[x])));
    }
    let x = node.ints("value_ints")?;
    Some(npy::Tensor::ints(&[x.len()], Type::I64, ints(x)))
}

struct Lowering<'a> {
    source: &'a Source,
    shapes: HashMap<String, Vec<usize>>,
    /// Tensors that are others.
    same: HashMap<String, String>,
    nodes: Vec<Node>,
    added: HashSet<String>,
}

impl Lowering<'_> {
    fn name(&self, name: &str) -> String {
        self.same.get(name).cloned().unwrap_or_else(|| name.to_owned())
    }

    fn shape(&self, name: &str) -> Result<&[usize]> {
        let shape = self.shapes.get(name).map(Vec::as_slice);
        shape.ok_or_else(|| QuantizeError::new(format!("no node computes {name:?}; export the model anew")))
    }

    fn constant(&self, node: &proto::Node, index: usize) -> Option<&npy::Tensor> {
        self.source.constants.get(node.inputs.get(index)?)
    }

    fn floats(&self, node: &proto::Node, index: usize) -> Result<&[f32]> {
        let floats = self.constant(node, index).and_then(npy::Tensor::as_floats);
        floats.ok_or_else(|| QuantizeError::new(format!("input {index} is not a float32 constant")))
    }

    fn has(&self, node: &proto::Node, index: usize) -> bool {
        node.inputs.get(index).is_some_and(|i| !i.is_empty())
    }

    fn push(&mut self, node: &proto::Node, op: Op, inputs: Vec<String>) {
        let output = node.outputs[0].clone();
        self.nodes.push(Node { name: title(node), op, inputs, output, limits: None });
    }

    /// The output of another node that `node` needs.
    fn add(
        &mut self,
        node: &proto::Node,
        what: &str,
        op: Op,
        inputs: Vec<String>,
        shape: Vec<usize>,
    ) -> String {
        let output = format!("{}_{what}", node.outputs[0]);
        let name = format!("{}_{what}", title(node));
        self.shapes.insert(output.clone(), shape);
        self.added.insert(output.clone());
        self.nodes.push(Node { name, op, inputs, output: output.clone(), limits: None });
        output
    }

    fn node(&mut self, node: &proto::Node) -> Result<()> {
        let first = node.inputs.first().ok_or_else(|| QuantizeError::new("no input"))?;
        let (x, y) = (self.name(first), node.outputs[0].clone());
        if let Some(second) = node.outputs.iter().skip(1).find(|o| {
            !o.is_empty()
                && node.op != "Split"
                && self.source.nodes.iter().any(|n| n.inputs.contains(o))
                && !self.source.fixed.contains(*o)
        }) {
            return Err(QuantizeError::new(format!("its second output {second:?} is read")));
        }
        let op = match node.op.as_str() {
            "Cast" if node.int("to") != Some(data_type::FLOAT.into()) => {
                return Err(QuantizeError::new("to another type than float32"));
            }
            "Identity" | "Cast" => {
                self.same.insert(y, x);
                return Ok(());
            }
            "Conv" => self.conv(node, &x)?,
            "ConvTranspose" => self.conv_transpose(node, &x)?,
            "BatchNormalization" => {
                let [scale, bias, mean, var] = [1, 2, 3, 4].map(|i| self.floats(node, i));
                let (scale, bias, mean, var) = (scale?, bias?, mean?, var?);
                let channels = self.shape(&x)?.get(1).copied().unwrap_or(0);
                if [scale, bias, mean, var].iter().any(|p| p.len() != channels) {
                    return Err(QuantizeError::new(format!("parameters are not of {channels} channels")));
                }
                let epsilon = f64::from(node.float("epsilon").unwrap_or(1e-5));
                let factors =
                    || (0..channels).map(|c| f64::from(scale[c]) / (f64::from(var[c]) + epsilon).sqrt());
                let offset =
                    factors().enumerate().map(|(c, f)| (f64::from(bias[c]) - f64::from(mean[c]) * f) as f32);
                Op::Affine { offset: offset.collect(), scale: factors().map(|f| f as f32).collect() }
            }
            "Relu" | "Clip" => {
                let limits = if node.op == "Relu" { (0.0, f32::INFINITY) } else { self.clip(node)? };
                if !(limits.0 <= 0.0 && limits.1 >= 0.0) {
                    return Err(QuantizeError::new(format!("limits {limits:?}: 0 must be between them")));
                }
                self.push(node, Op::Clip, vec![x]);
                self.nodes.last_mut().expect("pushed").limits = Some(limits);
                return Ok(());
            }
            "LeakyRelu" => Op::LeakyRelu(node.float("alpha").unwrap_or(0.01)),
            "Sigmoid" => Op::Sigmoid,
            "Tanh" | "HardSigmoid" | "HardSwish" => Op::Function(node.op.clone(), node.attributes.clone()),
            "MaxPool" => Op::MaxPool(self.window(node, &x, None)?),
            "AveragePool" => {
                let counted = node.int("count_include_pad").unwrap_or(0) != 0;
                Op::AveragePool(self.window(node, &x, None)?, counted)
            }
            "GlobalAveragePool" => Op::GlobalAveragePool,
            "ReduceMean" => return self.mean(node, x),
            "Add" | "Sub" | "Mul" | "Div" | "Sum" | "Neg" => return self.arithmetic(node),
            "Concat" => {
                if node.inputs.iter().any(|i| self.source.fixed.contains(i)) {
                    return Err(QuantizeError::new("one of the inputs is constant"));
                }
                let rank = self.shape(&x)?.len() as i64;
                let axis = node.int("axis").unwrap_or(1);
                let inputs = node.inputs.iter().map(|i| self.name(i)).collect();
                self.push(node, Op::Concat(if axis < 0 { axis + rank } else { axis }), inputs);
                return Ok(());
            }
            "Gemm" | "MatMul" => self.dense(node, &x)?,
            "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze" => Op::Reshape,
            "Transpose" => {
                let rank = self.shape(&x)?.len() as i64;
                Op::Transpose(node.ints("perm").map_or_else(|| (0..rank).rev().collect(), <[i64]>::to_vec))
            }
            "Pad" if self.numbers(node, 1, "pads").is_some_and(|p| p.iter().all(|&p| p == 0)) => {
                self.same.insert(y, x);
                return Ok(());
            }
            "Pad" => self.pad(node)?,
            "Resize" => self.resize(node, &x)?,
            "Slice" => self.slice(node, &x)?,
            "Split" => {
                let axis = node.int("axis").unwrap_or(0);
                self.channels(axis, &x)?;
                let mut from = 0;
                for output in &node.outputs {
                    let to = from + self.shape(output)?[1] as i64;
                    let (name, op) = (format!("{}_{from}", title(node)), Op::Slice(from, to));
                    let (inputs, output) = (vec![x.clone()], output.clone());
                    self.nodes.push(Node { name, op, inputs, output, limits: None });
                    from = to;
                }
                return Ok(());
            }
            "Softmax" => {
                let rank = self.shape(&x)?.len() as i64;
                let axis = node.int("axis").unwrap_or(if self.source.opset < 13 { 1 } else { -1 });
                let axis = if axis < 0 { axis + rank } else { axis };
                let after: usize = self.shape(&x)?.iter().skip(axis as usize + 1).product();
                if self.source.opset < 13 && after != 1 {
                    return Err(QuantizeError::new("softmax over several dimensions"));
                }
                Op::Softmax(axis)
            }
            other => return Err(QuantizeError::new(format!("operator {other}"))),
        };
        self.push(node, op, vec![x]);
        Ok(())
    }

    fn clip(&self, node: &proto::Node) -> Result<(f32, f32)> {
        let limit = |index: usize, attribute: &str, default: f32| -> Result<f32> {
            if !self.has(node, index) {
                return Ok(node.float(attribute).unwrap_or(default));
            }
            match self.floats(node, index)? {
                [x] => Ok(*x),
                _ => Err(QuantizeError::new(format!("limit {index} is not one number"))),
            }
        };
        Ok((limit(1, "min", f32::NEG_INFINITY)?, limit(2, "max", f32::INFINITY)?))
    }

    fn window(&self, node: &proto::Node, x: &str, kernel: Option<[i64; 2]>) -> Result<Window> {
        let &[_, _, h, w] = self.shape(x)? else {
            return Err(QuantizeError::new("only maps (rank 4) are supported"));
        };
        let pair = |name: &str, default: [i64; 2]| match node.ints(name) {
            None | Some([]) => Ok(default),
            Some(&[a, b]) if a > 0 && b > 0 => Ok([a, b]),
            Some(other) => Err(QuantizeError::new(format!("{name} {other:?}: two positive numbers wanted"))),
        };
        let kernel = pair("kernel_shape", kernel.unwrap_or([0, 0]))?;
        let (strides, dilations) = (pair("strides", [1, 1])?, pair("dilations", [1, 1])?);
        let same = |i: usize, size: usize| {
            let size = size as i64;
            let out = (size + strides[i] - 1) / strides[i];
            ((out - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + 1 - size).max(0)
        };
        let (down, right) = (same(0, h), same(1, w));
        let pads = match (node.text("auto_pad").unwrap_or("NOTSET"), node.ints("pads")) {
            ("VALID", _) | ("NOTSET", None | Some([])) => [0; 4],
            ("NOTSET", Some(&[t, l, b, r])) => [t, l, b, r],
            ("SAME_UPPER", _) => [down / 2, right / 2, down - down / 2, right - right / 2],
            ("SAME_LOWER", _) => [down - down / 2, right - right / 2, down / 2, right / 2],
            (auto, pads) => return Err(QuantizeError::new(format!("auto_pad {auto} with pads {pads:?}"))),
        };
        Ok(Window { kernel, strides, pads, dilations, ceil: node.int("ceil_mode").unwrap_or(0) != 0 })
    }

    fn conv(&self, node: &proto::Node, x: &str) -> Result<Op> {
        let weights = self.floats(node, 1)?.to_vec();
        let Some(&[cout, cin, kh, kw]) = self.constant(node, 1).map(|w| &w.shape[..]) else {
            return Err(QuantizeError::new("only convolutions of maps (weights of rank 4) are supported"));
        };
        let bias = if self.has(node, 2) { self.floats(node, 2)?.to_vec() } else { vec![0.0; cout] };
        if bias.len() != cout {
            return Err(QuantizeError::new(format!("{} biases for {cout} channels", bias.len())));
        }
        let window = self.window(node, x, Some([kh as i64, kw as i64]))?;
        let group = usize::try_from(node.int("group").unwrap_or(1)).unwrap_or(0);
        Ok(Op::Conv { weights, shape: [cout, cin, kh, kw], bias, window, group, transposed: None })
    }

    fn conv_transpose(&self, node: &proto::Node, x: &str) -> Result<Op> {
        let w = self.floats(node, 1)?;
        let Some(&[cin, cout, kh, kw]) = self.constant(node, 1).map(|w| &w.shape[..]) else {
            return Err(QuantizeError::new("only convolutions of maps (weights of rank 4) are supported"));
        };
        if node.int("group").unwrap_or(1) != 1 {
            return Err(QuantizeError::new("groups of a transposed convolution"));
        }
        let at = |(n, k): (usize, usize)| &w[(k * cout + n) * kh * kw..][..kh * kw];
        let pairs = (0..cout).flat_map(|n| (0..cin).map(move |k| (n, k)));
        let weights = pairs.flat_map(at).copied().collect();
        let bias = if self.has(node, 2) { self.floats(node, 2)?.to_vec() } else { vec![0.0; cout] };
        if bias.len() != cout {
            return Err(QuantizeError::new(format!("{} biases for {cout} channels", bias.len())));
        }
        let mut window = self.window(node, x, Some([kh as i64, kw as i64]))?;
        let extra = match node.ints("output_padding") {
            None | Some([]) => [0, 0],
            Some(&[a, b]) => [a, b],
            Some(other) => {
                return Err(QuantizeError::new(format!("output_padding {other:?}: two numbers wanted")));
            }
        };
        let mode = node.text("auto_pad").unwrap_or("NOTSET");
        if node.ints("output_shape").is_some() || mode.starts_with("SAME") {
            let (from, to) = (self.shape(x)?, self.shape(&node.outputs[0])?);
            for i in 0..2 {
                let reach = (window.kernel[i] - 1) * window.dilations[i] + 1;
                let full = window.strides[i] * (from[2 + i] as i64 - 1) + extra[i] + reach;
                let pads = full - to[2 + i] as i64;
                let before = if mode == "SAME_UPPER" { pads / 2 } else { pads - pads / 2 };
                (window.pads[i], window.pads[2 + i]) = (before, pads - before);
            }
        }
        if window.pads.iter().any(|&p| p < 0) {
            return Err(QuantizeError::new(format!("pads {:?}: 0 or more wanted", window.pads)));
        }
        let shape = [cout, cin, kh, kw];
        Ok(Op::Conv { weights, shape, bias, window, group: 1, transposed: Some(extra) })
    }

    /// Numbers that are input `index` of a node, or its attribute.
    fn numbers(&self, node: &proto::Node, index: usize, attribute: &str) -> Option<Vec<i64>> {
        match self.constant(node, index).and_then(npy::Tensor::as_ints) {
            Some(ints) => Some(ints.iter().map(|&v| v.into()).collect()),
            None => node.ints(attribute).map(<[i64]>::to_vec),
        }
    }

    fn pad(&self, node: &proto::Node) -> Result<Op> {
        let value = match self.constant(node, 2).and_then(npy::Tensor::as_floats) {
            Some(&[value]) => value,
            _ => node.float("value").unwrap_or(0.0),
        };
        let pads = self.numbers(node, 1, "pads").unwrap_or_default();
        match (&pads[..], node.text("mode").unwrap_or("constant"), self.has(node, 3)) {
            (&[0, 0, t, l, 0, 0, b, r], "constant", false) if value == 0.0 && t.min(l).min(b).min(r) >= 0 => {
                Ok(Op::Pad([t, l, b, r]))
            }
            _ => Err(QuantizeError::new(format!(
                "pads {pads:?}, value {value}: rows and columns of zeros around a map wanted"
            ))),
        }
    }

    fn resize(&self, node: &proto::Node, x: &str) -> Result<Op> {
        let old = self.source.opset < 11;
        let text = |name: &str, default: &'static str| node.text(name).unwrap_or(default).to_owned();
        let from = text("coordinate_transformation_mode", if old { "asymmetric" } else { "half_pixel" });
        let round = text("nearest_mode", if old { "floor" } else { "round_prefer_floor" });
        // With a whole factor, these read the pixel that the output pixel lies in.
        let alike = matches!(
            (from.as_str(), round.as_str()),
            ("asymmetric", "floor") | ("half_pixel", "round_prefer_floor" | "round_prefer_ceil")
        );
        let (from, to) = (self.shape(x)?, self.shape(&node.outputs[0])?);
        let factor = |i: usize| to[i].checked_div(from[i]).filter(|f| f * from[i] == to[i]);
        match (text("mode", "nearest").as_str(), from.len()) {
            ("nearest", 4) if alike && from[..2] == to[..2] => match (factor(2), factor(3)) {
                (Some(down), Some(right)) => Ok(Op::Resize([down, right])),
                _ => Err(QuantizeError::new(format!("from {from:?} to {to:?}: whole factors wanted"))),
            },
            (mode, _) => Err(QuantizeError::new(format!(
                "mode {mode}: nearest of rows and columns wanted, asymmetric with floor or half_pixel"
            ))),
        }
    }

    fn slice(&self, node: &proto::Node, x: &str) -> Result<Op> {
        let numbers = |index, name: &str| self.numbers(node, index, name);
        let (starts, ends) = (numbers(1, "starts"), numbers(2, "ends"));
        let axes = numbers(3, "axes").unwrap_or_else(|| vec![0]);
        let steps = numbers(4, "steps").unwrap_or_else(|| vec![1]);
        let (Some(&[start]), Some(&[end]), &[axis], &[1]) =
            (starts.as_deref(), ends.as_deref(), &axes[..], &steps[..])
        else {
            return Err(QuantizeError::new("more than one range of channels, or in steps"));
        };
        let channels = self.channels(axis, x)?;
        let place = |v: i64| if v < 0 { v + channels } else { v }.clamp(0, channels);
        let (start, end) = (place(start), place(end));
        if start >= end {
            return Err(QuantizeError::new(format!("channels {start} to {end}: one or more wanted")));
        }
        Ok(Op::Slice(start, end))
    }

    /// How many channels a tensor has, if `axis` is theirs.
    fn channels(&self, axis: i64, x: &str) -> Result<i64> {
        let shape = self.shape(x)?;
        let axis = if axis < 0 { axis + shape.len() as i64 } else { axis };
        match (axis, shape.get(1)) {
            (1, Some(&channels)) => Ok(channels as i64),
            _ => Err(QuantizeError::new(format!(
                "along axis {axis} of shape {shape:?}: only channels can be cut"
            ))),
        }
    }

    fn dense(&self, node: &proto::Node, x: &str) -> Result<Op> {
        let w = self.floats(node, 1)?;
        let shape = self.constant(node, 1).map(|w| w.shape.clone()).unwrap_or_default();
        let turned = node.int("transB").unwrap_or(0) != 0;
        if self.shape(x)?.len() != 2 || shape.len() != 2 || node.int("transA").unwrap_or(0) != 0 {
            return Err(QuantizeError::new(format!(
                "input of rank {} and weights of shape {shape:?}: rank 2 wanted, the input not transposed",
                self.shape(x)?.len()
            )));
        }
        let [outputs, inputs] = if turned { [shape[0], shape[1]] } else { [shape[1], shape[0]] };
        let (alpha, beta) = (node.float("alpha").unwrap_or(1.0), node.float("beta").unwrap_or(1.0));
        let at = |n: usize, k: usize| if turned { w[n * inputs + k] } else { w[k * outputs + n] };
        let weights = (0..outputs).flat_map(|n| (0..inputs).map(move |k| (n, k)));
        let weights = weights.map(|(n, k)| alpha * at(n, k)).collect();
        let bias = match self.has(node, 2) {
            false => vec![0.0; outputs],
            true => match self.floats(node, 2)? {
                [b] => vec![beta * b; outputs],
                b if b.len() == outputs => b.iter().map(|b| beta * b).collect(),
                b => return Err(QuantizeError::new(format!("{} biases for {outputs} outputs", b.len()))),
            },
        };
        Ok(Op::Dense { weights, shape: [outputs, inputs], bias })
    }

    fn mean(&mut self, node: &proto::Node, x: String) -> Result<()> {
        let axes: Option<Vec<i64>> = match self.constant(node, 1).and_then(npy::Tensor::as_ints) {
            Some(axes) => Some(axes.iter().map(|&a| a.into()).collect()),
            None => node.ints("axes").map(<[i64]>::to_vec),
        };
        let shape = self.shape(&x)?.to_vec();
        let mut axes: Vec<i64> =
            axes.unwrap_or_default().iter().map(|&a| if a < 0 { a + 4 } else { a }).collect();
        axes.sort_unstable();
        if shape.len() != 4 || axes != [2, 3] {
            return Err(QuantizeError::new("a mean of other dimensions than rows and columns of NCHW"));
        }
        if node.int("keepdims").unwrap_or(1) != 0 {
            self.push(node, Op::GlobalAveragePool, vec![x]);
        } else {
            let shape = vec![shape[0], shape[1], 1, 1];
            let pooled = self.add(node, "pooled", Op::GlobalAveragePool, vec![x], shape);
            self.push(node, Op::Reshape, vec![pooled]);
        }
        Ok(())
    }

    fn arithmetic(&mut self, node: &proto::Node) -> Result<()> {
        let y = &node.outputs[0];
        let op = node.op.as_str();
        let fixed = |i: &&String| self.source.fixed.contains(*i);
        let real: Vec<String> = node.inputs.iter().filter(|i| !fixed(i)).map(|i| self.name(i)).collect();
        if node.inputs.iter().any(|i| fixed(&i)) || op == "Neg" {
            let [x] = &real[..] else {
                return Err(QuantizeError::new("more than one input, and a constant"));
            };
            let channels = self.shape(x)?.get(1).copied().unwrap_or(0);
            let (place, numbers) = match node.inputs.iter().position(|i| fixed(&i)) {
                None => (1, vec![-1.0; channels]),
                Some(place) if node.inputs.len() == 2 => (place, self.by_channel(node, place, x)?),
                Some(_) => return Err(QuantizeError::new("a constant among more than two inputs")),
            };
            let ones = vec![1.0; channels];
            let zeros = vec![0.0; channels];
            let negative = |v: &[f32]| v.iter().map(|x| -x).collect::<Vec<_>>();
            let (scale, offset) = match (op, place) {
                ("Add" | "Sum", _) => (ones, numbers),
                ("Sub", 1) => (ones, negative(&numbers)),
                ("Sub", _) => (negative(&ones), numbers),
                ("Mul" | "Neg", _) => (numbers, zeros),
                ("Div", 1) => (numbers.iter().map(|x| 1.0 / x).collect(), zeros),
                _ => return Err(QuantizeError::new("a constant divided by a tensor")),
            };
            if scale.iter().any(|x| !x.is_finite()) {
                return Err(QuantizeError::new("a division by 0"));
            }
            self.push(node, Op::Affine { scale, offset }, real);
            return Ok(());
        }
        match (op, &real[..]) {
            ("Sum", [x]) => {
                self.same.insert(y.clone(), x.clone());
            }
            ("Add" | "Sum" | "Mul", [_, _]) => {
                self.push(node, if op == "Mul" { Op::Mul } else { Op::Add }, real);
            }
            ("Sum", [first, middle @ .., last]) => {
                let mut sum = first.clone();
                let shape = self.shape(y)?.to_vec();
                for (i, x) in middle.iter().enumerate() {
                    sum = self.add(node, &format!("part{i}"), Op::Add, vec![sum, x.clone()], shape.clone());
                }
                self.push(node, Op::Add, vec![sum, last.clone()]);
            }
            _ => return Err(QuantizeError::new("a difference or quotient of two tensors")),
        }
        Ok(())
    }

    /// Constant `index` of a node as a number for each channel of `x`.
    fn by_channel(&self, node: &proto::Node, index: usize, x: &str) -> Result<Vec<f32>> {
        let floats = self.floats(node, index)?;
        let of = self.shape(x)?;
        let channels = of.get(1).copied().unwrap_or(0);
        if let [one] = floats {
            return Ok(vec![*one; channels]);
        }
        let shape = self.constant(node, index).map(|t| t.shape.clone()).unwrap_or_default();
        let first = of.len().checked_sub(shape.len());
        let fits = first.is_some_and(|first| {
            shape.iter().enumerate().all(|(i, &n)| if first + i == 1 { n == channels } else { n == 1 })
        });
        if !fits {
            return Err(QuantizeError::new(format!(
                "a constant of shape {shape:?} with a tensor of shape {of:?}: one number, or one a channel, wanted"
            )));
        }
        Ok(floats.to_vec())
    }
}

impl Graph {
    /// Folds scales and offsets by channel, and limits, into the nodes before them.
    fn fold(&mut self) -> Result<()> {
        let mut readers: HashMap<String, usize> =
            self.readers().into_iter().map(|(name, count)| (name.to_owned(), count)).collect();
        let once = |readers: &HashMap<String, usize>, name: &str| readers.get(name) == Some(&1);
        let mut nodes: Vec<Node> = Vec::new();
        let mut makers: HashMap<String, usize> = HashMap::new();
        let mut same: HashMap<String, String> = HashMap::new();
        for mut node in std::mem::take(&mut self.nodes) {
            for input in &mut node.inputs {
                if let Some(name) = same.get(input) {
                    input.clone_from(name);
                }
            }
            let before =
                node.inputs.first().filter(|x| once(&readers, x)).and_then(|x| makers.get(x)).copied();
            let folded = match (&node.op, before) {
                (Op::Affine { scale, offset }, Some(i)) if nodes[i].limits.is_none() => {
                    affine(&mut nodes[i].op, scale, offset).then_some(i)
                }
                (Op::Clip, Some(mut i)) => {
                    // What only moves or chooses elements has the limits of what is before it.
                    let mut moved = false;
                    while nodes[i].op.keeps_scale() && once(&readers, &nodes[i].inputs[0]) {
                        let Some(&earlier) = makers.get(&nodes[i].inputs[0]) else { break };
                        (i, moved) = (earlier, true);
                    }
                    let limit = !nodes[i].op.keeps_scale() && !matches!(nodes[i].op, Op::Softmax(_));
                    let (lo, hi) = node.limits.expect("a clip has limits");
                    if limit {
                        let (a, b) = nodes[i].limits.unwrap_or((f32::NEG_INFINITY, f32::INFINITY));
                        nodes[i].limits = Some((lo.max(a), hi.min(b)));
                    }
                    if limit && moved {
                        let x = node.inputs.swap_remove(0);
                        readers.insert(x.clone(), readers.get(&node.output).copied().unwrap_or(0));
                        same.insert(node.output, x);
                        continue;
                    }
                    limit.then_some(i)
                }
                _ => None,
            };
            match folded {
                Some(i) => {
                    makers.insert(node.output.clone(), i);
                    nodes[i].output = node.output;
                }
                None => {
                    makers.insert(node.output.clone(), nodes.len());
                    nodes.push(node);
                }
            }
        }
        for (_, tensor) in &mut self.outputs {
            if let Some(name) = same.get(tensor) {
                tensor.clone_from(name);
            }
        }
        // What is left of them: on a vector a part of the fully connected layer behind, on a map a depthwise convolution.
        for i in 0..nodes.len() {
            let Op::Affine { scale, offset } = &nodes[i].op else { continue };
            let (scale, offset) = (scale.clone(), offset.clone());
            if self.shapes.get(&nodes[i].output).is_some_and(|s| s.len() == 4) {
                let channels = scale.len();
                let window =
                    Window { kernel: [1, 1], strides: [1, 1], pads: [0; 4], dilations: [1, 1], ceil: false };
                nodes[i].op = Op::Conv {
                    weights: scale,
                    shape: [channels, 1, 1, 1],
                    bias: offset,
                    window,
                    group: channels,
                    transposed: None,
                };
                continue;
            }
            let name = nodes[i].output.clone();
            let next =
                nodes.iter().position(|n| n.inputs.contains(&name) && matches!(n.op, Op::Dense { .. }));
            let (Some(next), true, None) = (next, once(&readers, &name), nodes[i].limits) else {
                list([format!("{}: a scale by element of a vector", nodes[i].name)].into_iter())?;
                continue;
            };
            let x = nodes[i].inputs[0].clone();
            nodes[next].inputs[0] = x;
            if let Op::Dense { weights, shape: [_, inputs], bias } = &mut nodes[next].op {
                for (row, bias) in weights.chunks_exact_mut(*inputs).zip(bias) {
                    *bias += row.iter().zip(&offset).map(|(w, o)| w * o).sum::<f32>();
                    row.iter_mut().zip(&scale).for_each(|(w, s)| *w *= s);
                }
            }
        }
        nodes.retain(|n| !matches!(n.op, Op::Affine { .. }));
        self.nodes = nodes;
        Ok(())
    }

    /// A softmax is left to the host, so nothing may follow it.
    fn check(&self) -> Result<()> {
        let made: HashSet<&String> = self.nodes.iter().map(|n| &n.output).chain([&self.input]).collect();
        if let Some((name, _)) = self.outputs.iter().find(|(_, tensor)| !made.contains(tensor)) {
            return Err(QuantizeError::new(format!(
                "output {name:?} does not depend on the input: remove it from the model"
            )));
        }
        let read: HashSet<&String> = self.nodes.iter().flat_map(|n| &n.inputs).collect();
        let inner = self.nodes.iter().filter(|n| matches!(n.op, Op::Softmax(_)) && read.contains(&n.output));
        list(inner.map(|n| format!("{} (Softmax): only supported at the end", n.name)))
    }
}

/// Folds a scale and an offset by channel into the node before.
fn affine(op: &mut Op, scale: &[f32], offset: &[f32]) -> bool {
    let (weights, bias) = match op {
        Op::Conv { weights, bias, .. } | Op::Dense { weights, bias, .. } => (weights, bias),
        Op::Affine { scale, offset } => (scale, offset),
        _ => return false,
    };
    let each = weights.len() / bias.len().max(1);
    for (i, w) in weights.iter_mut().enumerate() {
        *w *= scale[i / each];
    }
    for (c, b) in bias.iter_mut().enumerate() {
        *b = *b * scale[c] + offset[c];
    }
    true
}

//! Layers as people count them: an operator with the normalisations and functions behind it.

use footprint::{Graph, Op, Role, Step, TensorId};

/// One box of a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// Its steps, in their order; the first one names it.
    pub steps: Vec<usize>,
    /// What the operator is called: `conv 3x3`.
    pub operator: String,
    /// What is behind it: `Relu`.
    pub functions: Vec<String>,
    /// Sizes of its output, for one image.
    pub shape: Vec<u64>,
    /// Multiplications with a sum, for one image.
    pub macs: u64,
    /// Elements of its weights, normalisations too.
    pub weights: u64,
}

/// A tensor that a layer hands to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Who makes it: a layer, or nobody where it is an input of the network.
    pub from: Option<usize>,
    /// Who reads it; nobody where it is an output of the network.
    pub to: Option<usize>,
    /// Which.
    pub tensor: TensorId,
}

/// A network as layers.
#[derive(Clone, Debug, PartialEq)]
pub struct Layers {
    /// In an order in which they can be computed.
    pub layers: Vec<Layer>,
    /// By their reader.
    pub edges: Vec<Edge>,
}

/// Whether the step belongs to the one before it, if that one's output goes nowhere else.
fn follows(step: &Step) -> bool {
    matches!(step.op, Op::Function(_) | Op::Norm | Op::View) && step.inputs.len() == 1
}

/// What people call the operator.
fn operator(graph: &Graph, step: &Step) -> String {
    let sizes = |sizes: &[u64]| sizes.iter().map(ToString::to_string).collect::<Vec<_>>().join("×");
    match &step.op {
        Op::Conv(conv) => {
            let channels = step.inputs.first().and_then(|&id| graph.tensors[id].shape.get(1).copied());
            let kind = match (conv.transposed, conv.groups) {
                (true, _) => "transposed conv",
                (_, 1) => "conv",
                (_, groups) if Some(groups) == channels => "depthwise conv",
                _ => "grouped conv",
            };
            format!("{kind} {}", sizes(&conv.kernel))
        }
        Op::Dense(_) if !matches!(step.operator.as_str(), "GRU" | "LSTM" | "RNN") => "fully connected".into(),
        Op::Product(_) => "product".into(),
        Op::Add => "add".into(),
        Op::Mul => "multiply".into(),
        Op::Concat => "concat".into(),
        Op::Pool { window, largest } => {
            let kind = if *largest { "max pool" } else { "average pool" };
            let side = (1..=*window).find(|side| side * side >= *window).unwrap_or(0);
            if side * side == *window {
                format!("{kind} {side}×{side}")
            } else {
                format!("{kind} of {window}")
            }
        }
        Op::Dense(_) | Op::Norm | Op::Function(_) | Op::View | Op::Move | Op::Reduce | Op::Across => {
            step.operator.clone()
        }
    }
}

impl Layers {
    /// Layers of the steps of a graph.
    pub fn new(graph: &Graph) -> Self {
        let mut readers = vec![0usize; graph.tensors.len()];
        graph.steps.iter().flat_map(|s| &s.inputs).for_each(|&id| readers[id] += 1);
        graph.outputs.iter().for_each(|&id| readers[id] += 1);
        let mut layers: Vec<Layer> = Vec::new();
        let mut edges: Vec<Edge> = Vec::new();
        let mut maker: Vec<Option<usize>> = vec![None; graph.tensors.len()];
        for (at, step) in graph.steps.iter().enumerate() {
            let weight = |&&id: &&TensorId| matches!(graph.tensors[id].role, Role::Weight | Role::Norm);
            let weights =
                step.parameters.iter().filter(weight).map(|&id| graph.tensors[id].elements()).sum::<u64>();
            let shape = step.outputs.first().map_or(vec![], |&id| graph.tensors[id].shape.clone());
            let before = step.inputs.first().filter(|&&id| follows(step) && readers[id] == 1);
            let place = match before.and_then(|&id| maker[id]) {
                Some(place) => {
                    let layer = &mut layers[place];
                    layer.steps.push(at);
                    layer.functions.push(step.operator.clone());
                    layer.shape = shape;
                    layer.macs += step.macs;
                    layer.weights += weights;
                    place
                }
                None => {
                    let mut read = step.inputs.clone();
                    read.sort_unstable();
                    read.dedup();
                    let edge = |tensor| Edge { from: maker[tensor], to: Some(layers.len()), tensor };
                    edges.extend(read.into_iter().map(edge));
                    layers.push(Layer {
                        steps: vec![at],
                        operator: operator(graph, step),
                        functions: vec![],
                        shape,
                        macs: step.macs,
                        weights,
                    });
                    layers.len() - 1
                }
            };
            step.outputs.iter().for_each(|&id| maker[id] = Some(place));
        }
        edges.extend(graph.outputs.iter().map(|&tensor| Edge { from: maker[tensor], to: None, tensor }));
        Self { layers, edges }
    }
}

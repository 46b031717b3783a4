//! From an ONNX graph to a [`Network`]: nodes are taken in order, each turning the values that it reads into the value
//! that it gives.
//!
//! A value between a DequantizeLinear and a QuantizeLinear is real: what computes it is kept until the QuantizeLinear
//! tells the scale of the result, and becomes one quantised operator, as ONNX Runtime fuses it.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use spec::layer::{Layer, LayerSpec, Quant};
use spec::requant::check_multiplier;

use super::view::View;
use super::{ConvData, HostOp, Network, Node, OpKind, TensorId, TensorInfo, Window};
use crate::npy::{Tensor, Type, Values, elements};
use crate::onnx::{self, Attribute, ImportError, Model, geometry};
use crate::table::{Map, Scale, table};

mod emit;
mod nodes;

/// A constant, of the file or folded.
type Constant<'a> = Rc<Cow<'a, Tensor>>;
type Result<T> = std::result::Result<T, ImportError>;

/// Elements of all tensors and weights of the largest network that is imported: a run holds each as four bytes.
const MOST_ELEMENTS: usize = 1 << 29;
/// Most dimensions of a tensor, and most functions one after the other without a QuantizeLinear.
const MOST_STEPS: usize = 16;
/// Largest factor of a Resize and stride of a ConvTranspose.
const MOST_SCALE: u32 = 16;

/// How the host makes an input of the network of an array.
#[derive(Clone, Debug)]
pub(super) struct Feed {
    /// Name in the file.
    pub(super) name: String,
    /// Where the elements of the file's tensor are in the network's.
    pub(super) view: View,
    /// Element type in the file: float where the host quantises.
    pub(super) ty: Type,
    /// What the host does to floats before it quantises them.
    pub(super) maps: Vec<Map>,
    /// How it quantises them.
    pub(super) scale: Scale,
}

/// How the host makes an output of the file.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) name: String,
    pub(super) tensor: TensorId,
    pub(super) view: View,
    pub(super) steps: Vec<HostStep>,
}

/// One operator on the host.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum HostStep {
    Dequantise(Scale),
    Quantise(Scale, Type),
    Map(Map),
    Softmax(usize),
    /// Of integers, which stand for reals as `x` says, to integers as `y` says.
    QuantisedSoftmax {
        axis: usize,
        x: Scale,
        y: Scale,
        ty: Type,
    },
    ArgMax {
        axis: usize,
        keep: bool,
    },
    Shape(Vec<usize>),
}

/// A quantised tensor of the file: a tensor of the network and where its elements are.
#[derive(Clone, Debug)]
struct Act {
    id: TensorId,
    view: View,
}

/// An [`Act`] with what its elements stand for where it is used.
#[derive(Clone, Debug)]
struct Operand {
    act: Act,
    scale: Scale,
}

/// Quantised constants.
#[derive(Clone, Debug)]
struct Weights<'a> {
    tensor: Constant<'a>,
    scales: Vec<f32>,
    zeros: Vec<i32>,
    /// The dimension that scales and zero points belong to where there are several.
    axis: usize,
}

#[derive(Clone, Debug)]
enum Bias<'a> {
    None,
    /// In units of input scale × weight scale.
    Ints(Constant<'a>),
    Floats(Constant<'a>),
    /// Floats as int32 with scales of their own.
    Scaled(Rc<Weights<'a>>),
}

/// One of the inputs of an Add, Mul or Concat.
#[derive(Clone, Debug)]
enum Term<'a> {
    Act(Operand),
    Constant(Rc<Weights<'a>>),
}

/// What computes a real value.
#[derive(Clone, Debug)]
enum Kind<'a> {
    Copy(Operand),
    Conv {
        node: &'a onnx::Node,
        x: Operand,
        w: Rc<Weights<'a>>,
        bias: Bias<'a>,
    },
    /// Weights are `[cin, cout / groups, kh, kw]`.
    ConvTranspose {
        node: &'a onnx::Node,
        x: Operand,
        w: Rc<Weights<'a>>,
        bias: Bias<'a>,
    },
    /// Weights are `[features, outputs]` if `turned`.
    Dense {
        x: Operand,
        w: Rc<Weights<'a>>,
        bias: Bias<'a>,
        turned: bool,
        alpha: f32,
    },
    Add(Term<'a>, Term<'a>),
    Mul(Term<'a>, Term<'a>),
    Concat {
        inputs: Vec<Operand>,
        axis: i64,
    },
    AveragePool {
        node: &'a onnx::Node,
        x: Operand,
    },
    /// Mean over the map, of rank 4 or 2.
    Mean {
        x: Operand,
        channels_last: bool,
        keep: bool,
    },
}

/// A value between DequantizeLinear and QuantizeLinear.
#[derive(Clone, Debug)]
struct Real<'a> {
    name: &'a str,
    kind: Kind<'a>,
    maps: Vec<Map>,
    /// Nodes that may as well come after the QuantizeLinear: MaxPool and what only moves elements.
    after: Vec<&'a onnx::Node>,
}

/// What a name of the graph stands for.
#[derive(Clone, Debug)]
enum Value<'a> {
    Constant(Constant<'a>),
    Weights(Rc<Weights<'a>>),
    Quantised(Act),
    Real(Box<Real<'a>>),
    /// A float input of the network.
    Fed {
        name: &'a str,
        size: [usize; 3],
        view: View,
        maps: Vec<Map>,
    },
    /// A value on the host after the network, with its sizes.
    Host {
        tensor: TensorId,
        view: View,
        steps: Vec<HostStep>,
        shape: Vec<usize>,
    },
    /// What an unsupported node would give.
    Unknown,
}

/// Imports what `wanted` tensors depend on. `given` stands for the shape and type of a tensor, wherever in the graph it
/// is, or of an input whose size the file leaves open.
pub(crate) fn import(model: &Model, given: Option<(&str, &Tensor)>, wanted: &[String]) -> Result<Network> {
    let mut importer = Importer::new(model);
    let name = given.map(|(name, _)| name);
    let nodes = order(model, name, wanted)?;
    let read: HashSet<&String> = nodes.iter().flat_map(|n| &n.inputs).chain(wanted).collect();
    for input in &model.inputs {
        if name != Some(&input.name) && read.contains(&input.name) {
            importer.input(&nodes, input)?;
        }
    }
    if let Some((name, tensor)) = given {
        let shape = tensor.shape.iter().map(|&n| Some(n)).collect();
        let name = model.name_of(name).unwrap_or_default();
        importer.declare(&nodes, name, tensor.ty, shape)?;
    }
    let mut errors = Vec::new();
    for node in nodes {
        let unknown =
            node.inputs.iter().any(|name| matches!(importer.values.get(name.as_str()), Some(Value::Unknown)));
        let error = match importer.node(node) {
            Ok(true) => continue,
            Ok(false) => Some(ImportError::new(
                "this operator is not supported: quantise a network without it, or cut the network before it",
            )),
            // What follows from another node's error is not worth a line.
            Err(error) => Some(error).filter(|_| !unknown),
        };
        errors.extend(error.map(|e| e.in_node(node).to_string()));
        importer.give_all(node, Value::Unknown);
    }
    match &errors[..] {
        [] => importer.finish(wanted),
        [error] => Err(ImportError::new(error)),
        _ => Err(ImportError::new(format!(
            "{} nodes cannot be imported:\n  {}",
            errors.len(),
            errors.join("\n  ")
        ))),
    }
}

/// The nodes that `wanted` tensors depend on, each after those whose outputs it reads. What computes `given` is left
/// out.
fn order<'a>(model: &'a Model, given: Option<&str>, wanted: &[String]) -> Result<Vec<&'a onnx::Node>> {
    let mut makers: HashMap<&str, usize> = HashMap::new();
    for (i, node) in model.nodes.iter().enumerate() {
        for output in node.outputs.iter().filter(|o| !o.is_empty()) {
            if makers.insert(output, i).is_some() {
                return Err(ImportError::new(format!("two nodes compute tensor {output:?}: rename one")));
            }
        }
    }
    let maker = |name: &str| makers.get(name).copied().filter(|_| given != Some(name));
    let mut nodes = Vec::new();
    let (mut entered, mut left) = (HashSet::new(), HashSet::new());
    let mut stack: Vec<usize> = wanted.iter().rev().filter_map(|name| maker(name)).collect();
    while let Some(&i) = stack.last() {
        if entered.insert(i) {
            for name in model.nodes[i].inputs.iter().rev() {
                match maker(name) {
                    Some(from) if left.contains(&from) => {}
                    Some(from) if entered.contains(&from) => {
                        let name = &model.nodes[from].name;
                        return Err(ImportError::new(format!(
                            "node {name} depends on itself: the graph must have no cycle"
                        )));
                    }
                    Some(from) => stack.push(from),
                    None => {}
                }
            }
        } else {
            stack.pop();
            if left.insert(i) {
                nodes.push(&model.nodes[i]);
            }
        }
    }
    Ok(nodes)
}

struct Importer<'a> {
    model: &'a Model,
    values: HashMap<&'a str, Value<'a>>,
    network: Network,
    elements: usize,
}

impl<'a> Importer<'a> {
    fn new(model: &'a Model) -> Self {
        let network = Network {
            name: model.name.clone(),
            tensors: Vec::new(),
            nodes: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            constants: BTreeMap::new(),
            host: Vec::new(),
            feeds: Vec::new(),
            results: Vec::new(),
        };
        Self { model, values: HashMap::new(), network, elements: 0 }
    }

    // ---- inputs and outputs ----

    fn input(&mut self, nodes: &[&'a onnx::Node], input: &'a onnx::Input) -> Result<()> {
        let fail = |what: String| ImportError::new(format!("network input {:?}: {what}", input.name));
        let ty = input.ty.ok_or_else(|| fail("its type is not supported: use float32 or uint8".into()))?;
        self.declare(nodes, &input.name, ty, input.shape.clone()).map_err(|e| fail(e.to_string()))
    }

    /// A tensor that the host gives, of the file's type and shape.
    fn declare(
        &mut self,
        nodes: &[&'a onnx::Node],
        name: &'a str,
        ty: Type,
        mut shape: Vec<Option<usize>>,
    ) -> Result<()> {
        if shape.len() > 1 && shape[0].is_none() {
            shape[0] = Some(1);
        }
        let shown = onnx::show(&shape, Some(ty));
        let fail = || {
            ImportError::new(format!(
                "shape {shown}: one image of rank 2 to 4 and fixed size wanted; export it so"
            ))
        };
        let sizes: Vec<usize> = shape.into_iter().collect::<Option<_>>().ok_or_else(fail)?;
        if sizes.contains(&0) {
            return Err(fail());
        }
        let (size, view) = match sizes[..] {
            [1, c] => ([1, 1, c], View::vector(2, 1, c)),
            [1, w, c] => ([1, w, c], View::nhwc([1, w, c]).reshape(&[1, w, c]).ok_or_else(fail)?),
            [1, h, w, c] if turned_to_nchw(nodes, name) => ([h, w, c], View::nhwc([h, w, c])),
            [1, c, h, w] => ([h, w, c], View::nchw([h, w, c])),
            _ => return Err(fail()),
        };
        let value = if ty == Type::F32 {
            Value::Fed { name, size, view, maps: Vec::new() }
        } else {
            let scale = Scale { scale: 1.0, ..scale_of(1.0, 0, ty)? };
            let id = self.tensor(name, size, ty, &scale)?;
            self.network.inputs.push(id);
            let feed = Feed { name: name.to_owned(), view: view.clone(), ty, maps: Vec::new(), scale };
            self.network.feeds.push(feed);
            Value::Quantised(Act { id, view })
        };
        self.values.insert(name, value);
        Ok(())
    }

    fn finish(mut self, wanted: &[String]) -> Result<Network> {
        for name in wanted {
            let (tensor, view, steps) = match self.value(name)? {
                Value::Quantised(act) => (act.id, act.view, Vec::new()),
                value => match self.on_host(&value) {
                    Some(Value::Host { tensor, view, steps, .. }) => (tensor, view, steps),
                    _ => {
                        return Err(ImportError::new(format!(
                            "output {name:?} is not computed from quantised tensors: quantise what computes it \
                             (QuantizeLinear, or a quantised operator)"
                        )));
                    }
                },
            };
            self.network.outputs.push(tensor);
            self.network.results.push(Outcome { name: name.clone(), tensor, view, steps });
        }
        Ok(self.network)
    }

    /// A real value as one that the host computes, where it can.
    fn on_host(&self, value: &Value<'a>) -> Option<Value<'a>> {
        match value {
            Value::Host { .. } => Some(value.clone()),
            Value::Quantised(act) => Some(Value::Host {
                tensor: act.id,
                view: act.view.clone(),
                steps: Vec::new(),
                shape: act.view.shape(),
            }),
            Value::Real(real) => match &**real {
                Real { kind: Kind::Copy(x), maps, after, .. } if after.is_empty() => Some(Value::Host {
                    tensor: x.act.id,
                    view: x.act.view.clone(),
                    steps: [
                        vec![HostStep::Dequantise(x.scale)],
                        maps.iter().map(|&m| HostStep::Map(m)).collect(),
                    ]
                    .concat(),
                    shape: x.act.view.shape(),
                }),
                _ => None,
            },
            _ => None,
        }
    }

    // ---- tensors and nodes of the network ----

    fn tensor(&mut self, name: &str, [h, w, c]: [usize; 3], ty: Type, scale: &Scale) -> Result<TensorId> {
        let size = |n: usize| u32::try_from(n).ok().filter(|&n| n <= spec::layer::MAX_SIZE);
        let (Some(h32), Some(w32), Some(c32)) = (size(h), size(w), size(c)) else {
            return Err(ImportError::new(format!(
                "tensor {name} of {h} × {w} × {c}: at most {} each allowed; split the tensor",
                spec::layer::MAX_SIZE
            )));
        };
        self.count(h * w * c, name)?;
        let (scale, zero) = (scale.scale, scale.zero);
        self.network.tensors.push(TensorInfo {
            name: name.to_owned(),
            h: h32,
            w: w32,
            c: c32,
            ty,
            scale,
            zero,
        });
        Ok(self.network.tensors.len() - 1)
    }

    /// Refuses more elements than a workstation holds.
    fn count(&mut self, more: usize, name: &str) -> Result<()> {
        self.elements = self.elements.saturating_add(more);
        if self.elements > MOST_ELEMENTS {
            return Err(ImportError::new(format!(
                "{name} of {more} elements: at most {MOST_ELEMENTS} in all tensors and weights allowed; use smaller \
                 maps"
            )));
        }
        Ok(())
    }

    fn size(&self, id: TensorId) -> [usize; 3] {
        let t = &self.network.tensors[id];
        [t.h, t.w, t.c].map(|n| n as usize)
    }

    fn ty(&self, id: TensorId) -> Type {
        self.network.tensors[id].ty
    }

    /// What a tensor's elements stand for, as far as it says itself.
    fn scale(&self, id: TensorId) -> Scale {
        let t = &self.network.tensors[id];
        let (lo, hi) = t.range();
        Scale { scale: t.scale, zero: t.zero, lo, hi }
    }

    /// Adds a node whose outputs `y` describes, its range narrowed to what the node may give.
    fn add(
        &mut self,
        name: &str,
        kind: OpKind,
        inputs: Vec<TensorId>,
        size: [usize; 3],
        (ty, y): (Type, &Scale),
        label: &str,
    ) -> Result<TensorId> {
        let output = self.tensor(label, size, ty, y)?;
        self.network.nodes.push(Node {
            name: name.to_owned(),
            kind,
            inputs,
            output,
            y_min: y.lo,
            y_max: y.hi,
        });
        Ok(output)
    }

    /// The same tensor with the channels that `axis` runs over in the order of memory.
    fn channels(&mut self, name: &str, act: &Act, axis: usize) -> Result<Act> {
        let places = act.view.places_of(axis);
        self.pick(name, act, axis, &places)
    }

    /// The channels of `places` along `axis`.
    fn pick(&mut self, name: &str, act: &Act, axis: usize, places: &[usize]) -> Result<Act> {
        let [h, w, c] = self.size(act.id);
        let map: Option<Vec<u32>> = places.iter().map(|&p| u32::try_from(p).ok().filter(|_| p < c)).collect();
        let map = map.filter(|m| !m.is_empty() && act.view.pixels_beside(axis, h * w, c)).ok_or_else(|| {
            ImportError::new(format!(
                "dimension {axis} of a tensor of shape {:?} does not hold the channels of a map: only whole \
                 channels can be moved, cut or joined",
                act.view.shape()
            ))
        })?;
        if map.iter().copied().eq(0..c as u32) {
            return Ok(act.clone());
        }
        let view = act.view.with_channels(axis, c, map.len());
        let (ty, scale) = (self.ty(act.id), self.scale(act.id));
        let label = self.network.tensors[act.id].name.clone();
        let size = [h, w, map.len()];
        let id = self.add(name, OpKind::Channels(map), vec![act.id], size, (ty, &scale), &label)?;
        Ok(Act { id, view })
    }

    /// A tensor of rank 4 as a map, channels in order.
    fn map(&mut self, name: &str, act: &Act, channels_last: bool) -> Result<Act> {
        let axis = if channels_last { 3 } else { 1 };
        let size = self.size(act.id);
        if !act.view.is_map(axis, size) {
            let [h, w, c] = size;
            return Err(ImportError::new(format!(
                "input of shape {:?} is not a map {} of {h} × {w} pixels and {c} channels: rank 4 wanted, rows and \
                 columns as the operator before gives them",
                act.view.shape(),
                if channels_last { "NHWC" } else { "NCHW" },
            )));
        }
        self.channels(name, act, axis)
    }

    /// A table on every element; nothing where it changes nothing.
    fn tabulate(
        &mut self,
        name: &str,
        act: &Act,
        (ty, y): (Type, &Scale),
        label: &str,
        f: impl Fn(i32) -> i32,
    ) -> Result<Act> {
        let from = &self.network.tensors[act.id];
        let same = from.ty == ty && from.scale.to_bits() == y.scale.to_bits() && from.zero == y.zero;
        let (bits, signed, (lo, hi)) = (from.bits(), from.signed(), from.range());
        if same && (lo..=hi).all(|x| f(x) == x) {
            return Ok(act.clone());
        }
        if bits != 8 || !matches!(ty, Type::U8 | Type::I8) {
            return Err(ImportError::new(format!(
                "from {:?} to {ty:?}: functions of one element are supported for 8 bits only",
                from.ty
            )));
        }
        let kind = OpKind::Table(table(signed, f));
        let id = self.add(name, kind, vec![act.id], self.size(act.id), (ty, y), label)?;
        Ok(Act { id, view: act.view.clone() })
    }

    // ---- values ----

    fn value(&self, name: &str) -> Result<Value<'a>> {
        if let Some(value) = self.values.get(name) {
            return Ok(value.clone());
        }
        match self.model.constants.get(name) {
            Some(tensor) => Ok(Value::Constant(Rc::new(Cow::Borrowed(tensor)))),
            None => Err(ImportError::new(format!(
                "no node computes tensor {name:?}, and it is no constant of a supported type: feed it or export it \
                 as an initializer"
            ))),
        }
    }

    fn give(&mut self, node: &'a onnx::Node, value: Value<'a>) -> Result<()> {
        let steps = match &value {
            Value::Real(real) => real.maps.len().max(real.after.len()),
            Value::Fed { maps, .. } => maps.len(),
            Value::Host { steps, .. } => steps.len(),
            _ => 0,
        };
        if steps > MOST_STEPS {
            return Err(ImportError::new(format!(
                "{steps} operators without a QuantizeLinear: at most {MOST_STEPS} allowed; quantise between them"
            )));
        }
        if let Some(name) = node.outputs.first() {
            self.values.insert(name, value);
        }
        Ok(())
    }

    fn give_all(&mut self, node: &'a onnx::Node, value: Value<'a>) {
        for name in &node.outputs {
            self.values.insert(name, value.clone());
        }
    }

    fn has(&self, node: &onnx::Node, index: usize) -> bool {
        node.inputs.get(index).is_some_and(|name| !name.is_empty())
    }

    fn of(&self, node: &onnx::Node, index: usize) -> Result<Value<'a>> {
        match node.inputs.get(index).map(String::as_str) {
            None | Some("") => Err(ImportError::new(format!("input {index} is missing"))),
            Some(name) => self.value(name),
        }
    }

    fn constant(&self, node: &onnx::Node, index: usize) -> Result<Constant<'a>> {
        match self.of(node, index) {
            Ok(Value::Constant(tensor)) => Ok(tensor),
            _ => Err(ImportError::new(format!(
                "input {:?} is not a constant of a supported type: export it as an initializer",
                node.inputs.get(index).map(String::as_str).unwrap_or_default()
            ))),
        }
    }

    fn optional(&self, node: &onnx::Node, index: usize) -> Result<Option<Constant<'a>>> {
        if self.has(node, index) { self.constant(node, index).map(Some) } else { Ok(None) }
    }

    fn constant_ints(&self, node: &onnx::Node, index: usize) -> Result<Vec<i32>> {
        let tensor = self.constant(node, index)?;
        tensor
            .as_ints()
            .map(<[i32]>::to_vec)
            .ok_or_else(|| ImportError::new(format!("input {index} is float, integers wanted")))
    }

    /// The scale and zero point that are inputs `index` and `index + 1`, and the type of the elements.
    fn quantisation(&self, node: &onnx::Node, index: usize) -> Result<(Scale, Type)> {
        let scale = self.constant(node, index)?;
        let Some(&[scale]) = scale.as_floats() else {
            return Err(ImportError::new(format!(
                "input {index} must be one float32 scale: quantise activations per tensor"
            )));
        };
        let (zero, ty) = match self.optional(node, index + 1)? {
            None if node.int("output_dtype", 0)? != 0 => {
                return Err(ImportError::new(
                    "output_dtype without a zero point: give a zero point of that type",
                ));
            }
            None => (0, Type::U8),
            Some(zero) => match (zero.as_ints(), zero.ty) {
                (Some(&[zero]), ty) => (zero, ty),
                _ => {
                    return Err(ImportError::new(format!(
                        "input {} must be one zero point: quantise activations per tensor",
                        index + 1
                    )));
                }
            },
        };
        Ok((scale_of(scale, zero, ty)?, ty))
    }

    /// Input `index` of a quantised operator, with its scale and zero point in the two inputs after it.
    fn operand(&self, node: &onnx::Node, index: usize) -> Result<Operand> {
        let (scale, ty) = self.quantisation(node, index + 1)?;
        let act = self.act(node, index)?;
        self.is(&act, ty)?;
        Ok(Operand { act, scale })
    }

    fn is(&self, act: &Act, ty: Type) -> Result<()> {
        match self.ty(act.id) {
            given if given == ty => Ok(()),
            given => Err(ImportError::new(format!("input is {given:?}, {ty:?} wanted"))),
        }
    }

    fn act(&self, node: &onnx::Node, index: usize) -> Result<Act> {
        match self.of(node, index)? {
            Value::Quantised(act) => Ok(act),
            _ => {
                Err(ImportError::new(format!("input {index} is not quantised: quantise it to 8 or 16 bits")))
            }
        }
    }

    fn term(&self, node: &onnx::Node, index: usize) -> Result<Term<'a>> {
        if matches!(self.of(node, index)?, Value::Constant(_)) {
            return Ok(Term::Constant(self.weights(node, index, 0)?));
        }
        self.operand(node, index).map(Term::Act)
    }

    /// Constants at input `index` of a quantised operator, with scales and zero points in the two inputs after it.
    fn weights(&self, node: &onnx::Node, index: usize, axis: usize) -> Result<Rc<Weights<'a>>> {
        let tensor = self.constant(node, index)?;
        let scales = self.constant(node, index + 1)?;
        let zeros = self.optional(node, index + 2)?;
        Weights::new(tensor, &scales, zeros.as_deref().map(|z| &**z), axis)
    }

    /// Input `index` of an operator on real numbers, as a quantised tensor that was dequantised.
    fn real(&self, node: &onnx::Node, index: usize) -> Result<Operand> {
        match self.of(node, index)? {
            Value::Real(real) => match *real {
                Real { kind: Kind::Copy(x), maps, after, .. } if maps.is_empty() && after.is_empty() => Ok(x),
                _ => Err(ImportError::new(format!(
                    "input {index} is not quantised: put a QuantizeLinear and a DequantizeLinear after node {}",
                    real.name
                ))),
            },
            _ => Err(ImportError::new(format!(
                "input {index} is not quantised: put a QuantizeLinear and a DequantizeLinear before it"
            ))),
        }
    }

    fn real_term(&self, node: &onnx::Node, index: usize) -> Result<Term<'a>> {
        match self.of(node, index)? {
            Value::Weights(w) => Ok(Term::Constant(w)),
            _ => self.real(node, index).map(Term::Act),
        }
    }

    fn real_weights(&self, node: &onnx::Node, index: usize) -> Result<Rc<Weights<'a>>> {
        match self.of(node, index)? {
            Value::Weights(w) => Ok(w),
            _ => Err(ImportError::new(format!(
                "input {index} is not a quantised constant: put a DequantizeLinear after int8 weights"
            ))),
        }
    }

    /// The bias that is input `index` of an operator on real numbers.
    fn real_bias(&self, node: &onnx::Node, index: usize) -> Result<Bias<'a>> {
        if !self.has(node, index) {
            return Ok(Bias::None);
        }
        match self.of(node, index)? {
            Value::Weights(w) if w.tensor.ty == Type::I32 && w.zeros.iter().all(|&z| z == 0) => {
                Ok(Bias::Scaled(w))
            }
            Value::Constant(tensor) if tensor.ty == Type::F32 => Ok(Bias::Floats(tensor)),
            _ => Err(ImportError::new(format!(
                "bias (input {index}) must be a float constant or one of int32 with a DequantizeLinear of zero point 0"
            ))),
        }
    }
}

impl<'a> Weights<'a> {
    fn new(tensor: Constant<'a>, scales: &Tensor, zeros: Option<&Tensor>, axis: usize) -> Result<Rc<Self>> {
        let scales = scales.as_floats().map(<[f32]>::to_vec).filter(|s| !s.is_empty());
        let scales = scales.ok_or_else(|| ImportError::new("the float32 weight scale is missing"))?;
        let zeros = zeros.and_then(Tensor::as_ints).map_or_else(|| vec![0], <[i32]>::to_vec);
        if tensor.as_ints().is_none() {
            return Err(ImportError::new(format!("weights are {:?}: quantise them to int8", tensor.ty)));
        }
        let along = tensor.shape.get(axis).copied();
        for (what, len) in [("weight scales", scales.len()), ("weight zero points", zeros.len())] {
            if len != 1 && Some(len) != along {
                return Err(ImportError::new(format!(
                    "{len} {what}: 1 or {} wanted, for dimension {axis} of weights of shape {:?}",
                    along.unwrap_or(1),
                    tensor.shape
                )));
            }
        }
        Ok(Rc::new(Self { tensor, scales, zeros, axis }))
    }

    /// The elements less their zero points, which must fit the signed type of their width.
    fn centred(&self) -> Result<(Vec<i32>, u32)> {
        let bits = match self.tensor.ty {
            Type::U8 | Type::I8 => 8,
            Type::U16 | Type::I16 => 16,
            other => return Err(ImportError::new(format!("weights are {other:?}: quantise them to int8"))),
        };
        let (lo, hi) = (-1 << (bits - 1), (1 << (bits - 1)) - 1);
        let inner: usize = self.tensor.shape.iter().skip(self.axis + 1).product();
        let values = self.tensor.as_ints().unwrap_or_default();
        let mut centred = Vec::with_capacity(values.len());
        for (values, zero) in values.chunks(inner.max(1)).zip(self.zeros.iter().cycle()) {
            centred.extend(values.iter().map(|v| v.wrapping_sub(*zero)));
            if let Some(v) = values.iter().find(|v| !(lo..=hi).contains(&v.wrapping_sub(*zero))) {
                return Err(ImportError::new(format!(
                    "weight {v} with weight zero point {zero}: a difference of {lo} to {hi} wanted; quantise weights \
                     symmetrically"
                )));
            }
        }
        Ok((centred, bits))
    }

    /// Scale of output channel `c`.
    fn scale(&self, c: usize) -> f32 {
        self.scales[c % self.scales.len()]
    }
}

/// What the integers of a type stand for.
fn scale_of(scale: f32, zero: i32, ty: Type) -> Result<Scale> {
    let (lo, hi) = match ty {
        Type::U8 => (0, u8::MAX.into()),
        Type::I8 => (i8::MIN.into(), i8::MAX.into()),
        Type::U16 => (0, u16::MAX.into()),
        Type::I16 => (i16::MIN.into(), i16::MAX.into()),
        _ => return Err(ImportError::new(format!("activations are {ty:?}: quantise them to 8 or 16 bits"))),
    };
    Ok(Scale { scale, zero, lo, hi })
}

/// Whether an input goes through a Transpose from NHWC to NCHW before anything else looks at its dimensions.
fn turned_to_nchw(nodes: &[&onnx::Node], name: &str) -> bool {
    let mut name = name;
    for node in nodes {
        if node.inputs.first().is_some_and(|i| i == name) {
            match node.op.as_str() {
                "Transpose" => {
                    return matches!(node.attributes.get("perm"), Some(Attribute::Ints(p)) if p[..] == [0, 3, 1, 2]);
                }
                "QuantizeLinear" | "DequantizeLinear" | "Identity" | "Cast" | "Add" | "Sub" | "Mul"
                | "Div" => {
                    name = node.outputs.first().map_or(name, String::as_str);
                }
                _ => return node.int("channels_last", 0).is_ok_and(|v| v != 0),
            }
        }
    }
    false
}

//! ONNX files: reading them, finding a node, and turning a quantised node into a layer with its numbers.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use rten_onnx::onnx::{
    AttributeType, DataLocation, DataType, ModelProto, NodeProto, TensorProto, ValueInfoProto,
};
use spec::layer::{Layer, LayerData, LayerSpec};

use crate::network::OpKind;
use crate::network::import::import;
use crate::npy::{TO_NCHW, Tensor, Type, Values, elements};

/// Why a file, node or array could not be imported, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportError(String);

impl ImportError {
    /// An error that says `message`.
    pub fn new(message: impl fmt::Display) -> Self {
        Self(message.to_string())
    }

    /// The same error, naming its file.
    pub fn in_file(self, path: &Path) -> Self {
        Self(format!("{}: {}", path.display(), self.0))
    }

    /// The same error, naming its node.
    pub fn in_node(self, node: &Node) -> Self {
        Self(format!("node {} ({}): {}", node.name, node.op, self.0))
    }
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ImportError {}

type Result<T> = std::result::Result<T, ImportError>;

/// A node's attribute, of the kinds that import uses.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Attribute {
    Int(i64),
    Float(f32),
    Text(String),
    Ints(Vec<i64>),
    Floats(Vec<f32>),
    Tensor(Tensor),
    Other,
}

/// One operator of the graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Its name, or that of its first output if it has none.
    pub name: String,
    /// Operator type, without domain: `QLinearConv`.
    pub op: String,
    /// Names of input tensors; empty for an optional one left out.
    pub inputs: Vec<String>,
    /// Names of output tensors.
    pub outputs: Vec<String>,
    /// Attributes by name.
    pub attributes: HashMap<String, Attribute>,
}

impl Node {
    /// An integer attribute, or `default` if absent.
    pub fn int(&self, name: &str, default: i64) -> Result<i64> {
        match self.attributes.get(name) {
            None => Ok(default),
            Some(Attribute::Int(v)) => Ok(*v),
            Some(other) => Err(ImportError::new(format!("attribute {name} is {other:?}, an integer wanted"))),
        }
    }

    /// Refuses an integer attribute other than `value`, which is also its default.
    pub(crate) fn only(&self, name: &str, value: i64) -> Result<()> {
        match self.int(name, value)? {
            v if v == value => Ok(()),
            v => Err(ImportError::new(format!("{name}={v}: only {value} is supported; export the model so"))),
        }
    }

    /// A float attribute, or `default` if absent.
    pub(crate) fn float(&self, name: &str, default: f32) -> Result<f32> {
        match self.attributes.get(name) {
            None => Ok(default),
            Some(Attribute::Float(v)) => Ok(*v),
            Some(other) => Err(ImportError::new(format!("attribute {name} is {other:?}, a float wanted"))),
        }
    }

    /// An attribute that is a list of integers, if there is one.
    pub fn integers(&self, name: &str) -> Result<Option<&[i64]>> {
        match self.attributes.get(name) {
            None => Ok(None),
            Some(Attribute::Ints(v)) => Ok(Some(v)),
            Some(other) => Err(ImportError::new(format!("attribute {name} is {other:?}, integers wanted"))),
        }
    }

    pub(crate) fn ints<const N: usize>(&self, name: &str, default: [u32; N]) -> Result<[u32; N]> {
        let values = match self.attributes.get(name) {
            None => return Ok(default),
            Some(Attribute::Ints(v)) => v,
            Some(other) => {
                return Err(ImportError::new(format!("attribute {name} is {other:?}, {N} integers wanted")));
            }
        };
        let parsed: Option<Vec<u32>> = values.iter().map(|&v| u32::try_from(v).ok()).collect();
        parsed.and_then(|v| v.try_into().ok()).ok_or_else(|| {
            ImportError::new(format!(
                "{name}={values:?}: {N} integers of 0 or more wanted (two-dimensional maps)"
            ))
        })
    }
}

/// A named input of the network. `None` for a size that the file leaves open.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// Tensor name.
    pub name: String,
    /// Element type, where it is one that import understands.
    pub ty: Option<Type>,
    /// Sizes, the batch first.
    pub shape: Vec<Option<usize>>,
}

/// An ONNX graph in memory.
#[derive(Clone, Debug)]
pub struct Model {
    /// Name of the file, without directory and extension; empty if there is none.
    pub name: String,
    /// Operators, each after those whose outputs it reads.
    pub nodes: Vec<Node>,
    /// Constants by tensor name.
    pub constants: HashMap<String, Tensor>,
    /// Inputs of the network, constants excluded.
    pub inputs: Vec<Input>,
    /// Names of the network's outputs.
    pub outputs: Vec<String>,
    /// Version of the standard operators.
    pub opset: i64,
    /// Shapes that the file states for tensors inside the network.
    shapes: HashMap<String, Vec<Option<usize>>>,
}

impl Model {
    /// Reads an ONNX file.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path)
            .map_err(|e| ImportError::new(format!("{e}; give the path of an ONNX file")).in_file(path))?;
        let mut model = Self::parse(&bytes).map_err(|e| e.in_file(path))?;
        model.name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(model)
    }

    /// Reads the bytes of an ONNX file.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        if !lengths_fit(bytes, Message::Model, MOST_NESTED) {
            return Err(ImportError::new(
                "not an ONNX file, or a damaged one: a length reaches beyond its end; fetch it again",
            ));
        }
        let model =
            ModelProto::parse_buf(bytes).map_err(|e| ImportError::new(format!("not an ONNX file: {e}")))?;
        let standard = |domain: &Option<String>| matches!(domain.as_deref(), None | Some("" | "ai.onnx"));
        let opset =
            model.opset_import.iter().find(|o| standard(&o.domain)).and_then(|o| o.version).unwrap_or(1);
        let graph = model.graph.ok_or_else(|| ImportError::new("not an ONNX file: it holds no graph"))?;
        let mut constants = HashMap::new();
        for proto in &graph.initializer {
            let name = proto.name.clone().unwrap_or_default();
            // Constants of other types are left out: only a node that reads one is refused.
            if let Some(tensor) =
                tensor(proto).map_err(|e| ImportError::new(format!("tensor {name}: {e}")))?
            {
                constants.insert(name, tensor);
            }
        }
        let inputs = graph.input.iter().map(input).filter(|i| !constants.contains_key(&i.name)).collect();
        let shapes = graph
            .value_info
            .iter()
            .map(input)
            .filter(|i| !i.shape.is_empty())
            .map(|i| (i.name, i.shape))
            .collect();
        let outputs: Vec<String> = graph.output.iter().filter_map(|o| o.name.clone()).collect();
        if outputs.is_empty() {
            // Outputs follow nodes and constants in the file.
            return Err(ImportError::new("not an ONNX file, or cut short: its graph has no output"));
        }
        let mut nodes = Vec::new();
        for proto in graph.node {
            let mut node = node(proto)?;
            match (node.op.as_str(), node.attributes.remove("value"), node.outputs.first()) {
                ("Constant", Some(Attribute::Tensor(tensor)), Some(output)) => {
                    constants.insert(output.clone(), tensor);
                }
                ("Constant", None, Some(output)) => {
                    if let Some(tensor) = plain_constant(&node) {
                        constants.insert(output.clone(), tensor);
                    }
                }
                (_, value, _) => {
                    node.attributes.extend(value.map(|v| ("value".to_owned(), v)));
                    nodes.push(node);
                }
            }
        }
        Ok(Self { name: String::new(), nodes, constants, inputs, outputs, opset, shapes })
    }

    /// The node of that name. The error lists close names, or all that can be a layer.
    pub fn node(&self, name: &str) -> Result<&Node> {
        if let Some(node) = self.nodes.iter().find(|n| n.name == name) {
            return Ok(node);
        }
        let mut close: Vec<(usize, &str)> = self
            .nodes
            .iter()
            .map(|n| (if n.name.contains(name) { 0 } else { distance(name, &n.name) }, n.name.as_str()))
            .filter(|&(d, _)| d <= name.len() / 3)
            .collect();
        close.sort_unstable();
        let (what, names): (_, Vec<&str>) = if close.is_empty() || name.is_empty() {
            ("QLinearConv and QGemm nodes", self.layer_nodes().map(|n| n.name.as_str()).collect())
        } else {
            ("close names", close.into_iter().map(|(_, n)| n).take(5).collect())
        };
        let list = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        Err(ImportError::new(format!("no node {name:?} in the network; {what}: {list}")))
    }

    /// The nodes that [`Model::layer`] accepts.
    pub fn layer_nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|n| matches!(n.op.as_str(), "QLinearConv" | "QGemm" | "QLinearMatMul"))
    }

    /// The layer that node `name` is, with its real numbers, for one image of `array`.
    ///
    /// `array` is, first match taken:
    /// - the node's own quantised input, NCHW or `[N, features]`, of the node's element type;
    /// - the network's input, NCHW or NHWC, of the network's element type, or uint8 where that is float: such pixels
    ///   are divided by 255. The network is then run up to the node;
    /// - the node's own quantised input, NHWC.
    pub fn layer_for_image(&self, name: &str, array: &Tensor, image: usize) -> Result<(Layer, LayerData)> {
        let node = self.node(name)?;
        let (tensor, ty, cin) = self.layer_input(node).map_err(|e| e.in_node(node))?;
        let image = array.image(image)?;
        let rank = if node.op.contains("Conv") { 4 } else { 2 };
        let own_shape = self
            .shapes
            .get(tensor)
            .cloned()
            .unwrap_or_else(|| [vec![None, cin], vec![None; rank - 2]].concat());
        let is_own = |t: &Tensor| t.ty == ty && fits(&t.shape, &own_shape);
        let nchw = (image.shape.len() == 4).then(|| image.permute(TO_NCHW));
        if let Some((input, feed)) = self.feed(&image).or_else(|| self.feed(nchw.as_ref()?)) {
            let network = import(self, Some((input, &feed)), &[tensor.to_owned()])?;
            let values = network.run(network.quantise_input(&feed, 0)?)?;
            let own = network.host_outputs(&values)?.pop().map(|(_, own)| own);
            // The node's own map size is seldom in the file, so only now is it known which of the two this is.
            let own = own.filter(|own| !(is_own(&image) && own.shape == image.shape));
            return self.layer(name, own.as_ref().unwrap_or(&image));
        }
        if let Some(own) = [Some(&image), nchw.as_ref()].into_iter().flatten().find(|t| is_own(t)) {
            return self.layer(name, own);
        }
        let network: Vec<String> = self.inputs.iter().map(|i| show(&i.shape, i.ty)).collect();
        Err(ImportError::new(format!(
            "array of shape {:?} ({:?}) is neither the node's input {} nor the network's {}: \
             give one of them, NCHW or NHWC, as .npy",
            array.shape,
            array.ty,
            show(&own_shape, Some(ty)),
            network.join(", ")
        ))
        .in_node(node))
    }

    /// An image as the network's only input: its name and value, if shape and type fit.
    fn feed(&self, image: &Tensor) -> Option<(&str, Tensor)> {
        let [input] = &self.inputs[..] else { return None };
        if !fits(&image.shape, &input.shape) {
            return None;
        }
        let value = match (&image.values, image.ty, input.ty?) {
            (_, given, wanted) if given == wanted => image.clone(),
            (Values::Ints(pixels), Type::U8, Type::F32) => {
                Tensor::floats(&image.shape, pixels.iter().map(|&p| p as f32 / 255.0).collect())
            }
            _ => return None,
        };
        Some((&input.name, value))
    }

    /// The layer that node `name` (a convolution, or fully connected) is, for `input`: quantised, NCHW or
    /// `[1, features]`.
    ///
    /// The multipliers are ONNX Runtime's: f32(f32(sx × sw) ÷ sy), with alpha × sx for sx in `QGemm`. A ReLU that was
    /// folded into saturation shows as `y_zero == y_min`; `relu` stays off.
    pub fn layer(&self, name: &str, input: &Tensor) -> Result<(Layer, LayerData)> {
        let node = self.node(name)?;
        let (tensor, ty, _) = self.layer_input(node).map_err(|e| e.in_node(node))?;
        if input.ty != ty {
            return Err(ImportError::new(format!("input is {:?}, {ty:?} wanted", input.ty)).in_node(node));
        }
        let output = self.layer_output(node).map_err(|e| e.in_node(node))?;
        let network = import(self, Some((tensor, input)), &[output.to_owned()])?;
        let (layer, data) = match network.node(&node.name).map(|n| &n.kind) {
            Some(OpKind::Conv { layer, data } | OpKind::Depthwise { layer, data }) => (*layer, data),
            _ => return Err(not_a_layer().in_node(node)),
        };
        let data = data.on(network.quantise_input(input, 0)?);
        data.check(&layer).map_err(|e| ImportError::new(e).in_node(node))?;
        Ok((layer, data))
    }

    /// The quantised tensor that a layer's node reads, its type, and its channels or features.
    fn layer_input<'a>(&'a self, node: &'a Node) -> Result<(&'a str, Type, Option<usize>)> {
        let missing = || ImportError::new("an input is missing: the file is damaged");
        let input = node.inputs.first().ok_or_else(missing)?;
        let (tensor, source, zero, weights) = match node.op.as_str() {
            "QLinearConv" | "QGemm" | "QLinearMatMul" => (input, node, 2, node.inputs.get(3)),
            "Conv" | "Gemm" | "MatMul" => {
                let maker = |name: &str| {
                    let makes = |n: &&Node| n.op == "DequantizeLinear" && n.outputs.iter().any(|o| o == name);
                    self.nodes.iter().find(makes)
                };
                let source = maker(input).ok_or_else(|| {
                    ImportError::new(
                        "its input is not quantised: put a QuantizeLinear and a DequantizeLinear before it",
                    )
                })?;
                let weights = node.inputs.get(1).and_then(|w| maker(w)).and_then(|n| n.inputs.first());
                (source.inputs.first().ok_or_else(missing)?, source, 2, weights)
            }
            _ => return Err(not_a_layer()),
        };
        let ty = source.inputs.get(zero).and_then(|z| self.constants.get(z)).map_or(Type::U8, |z| z.ty);
        let shape = weights.and_then(|w| self.constants.get(w)).map(|w| &w.shape[..]);
        let cin = match (shape, node.op.as_str()) {
            (Some(&[_, cin, _, _]), _) => {
                usize::try_from(node.int("group", 1)?).ok().map(|g| g.saturating_mul(cin))
            }
            (Some(&[_, n]), "QGemm" | "Gemm") if node.int("transB", 0)? != 0 => Some(n),
            (Some(&[n, _]), _) => Some(n),
            _ => None,
        };
        Ok((tensor, ty, cin))
    }

    /// The quantised tensor that comes of a layer's node: its own output or that of the QuantizeLinear behind it.
    fn layer_output<'a>(&'a self, node: &'a Node) -> Result<&'a str> {
        let fail = || ImportError::new("its output is not quantised: put a QuantizeLinear behind it");
        let mut output = node.outputs.first().ok_or_else(fail)?;
        if node.op.starts_with('Q') {
            return Ok(output);
        }
        for _ in 0..self.nodes.len() {
            let reader = self.nodes.iter().find(|n| n.inputs.contains(output)).ok_or_else(fail)?;
            output = reader.outputs.first().ok_or_else(fail)?;
            if reader.op == "QuantizeLinear" {
                return Ok(output);
            }
        }
        Err(fail())
    }

    /// The name of an input or of a tensor that a node reads or computes, as the graph holds it.
    pub(crate) fn name_of(&self, name: &str) -> Option<&str> {
        let names = self.nodes.iter().flat_map(|n| n.inputs.iter().chain(&n.outputs));
        self.inputs.iter().map(|i| &i.name).chain(names).find(|n| *n == name).map(String::as_str)
    }
}

fn not_a_layer() -> ImportError {
    ImportError::new(
        "not a QLinearConv or QGemm, nor another convolution or product: choose a node of that kind",
    )
}

/// The window of a convolution or pooling node on an NCHW `shape`, as a layer with `cin` channels in and, for now, 1
/// channel out. `kernel` where the attribute may be left out.
pub(crate) fn geometry(node: &Node, shape: &[usize], kernel: Option<[usize; 2]>) -> Result<LayerSpec> {
    let &[batch, cin, h, w] = shape else {
        return Err(ImportError::new(format!("input of shape {shape:?}: NCHW wanted")));
    };
    let default = match kernel {
        Some([kh, kw]) => [size(kh)?, size(kw)?],
        None => [0, 0],
    };
    let [kh, kw] = node.ints("kernel_shape", default)?;
    let [sh, sw] = node.ints("strides", [1, 1])?;
    let [dh, dw] = node.ints("dilations", [1, 1])?;
    let [mut pt, mut pl, mut pb, mut pr] = node.ints("pads", [0; 4])?;
    let (h, w) = (size(h)?, size(w)?);
    match node.attributes.get("auto_pad") {
        None => {}
        Some(Attribute::Text(mode)) => match mode.as_str() {
            "" | "NOTSET" => {}
            "VALID" => [pt, pl, pb, pr] = [0; 4],
            "SAME_UPPER" | "SAME_LOWER" => {
                let upper = mode == "SAME_UPPER";
                (pt, pb) = same(h, kh, sh, dh, upper)?;
                (pl, pr) = same(w, kw, sw, dw, upper)?;
            }
            _ => return Err(ImportError::new(format!("auto_pad={mode}: NOTSET, VALID or SAME_* wanted"))),
        },
        Some(other) => return Err(ImportError::new(format!("auto_pad is {other:?}, a text wanted"))),
    }
    let (batch, cin) = (size(batch)?, size(cin)?);
    Ok(LayerSpec { cin, h, w, kh, kw, sh, sw, pt, pl, pb, pr, dh, dw, batch, ..LayerSpec::default() })
}

/// Padding before and after for `ceil(size / stride)` outputs; an odd one goes after if `upper`.
fn same(size: u32, kernel: u32, stride: u32, dilation: u32, upper: bool) -> Result<(u32, u32)> {
    let [size, kernel, stride, dilation] = [size, kernel, stride, dilation].map(u64::from);
    if size == 0 || kernel == 0 || stride == 0 {
        return Err(ImportError::new("map, kernel or stride of 0: use 1 or more"));
    }
    let total = ((size.div_ceil(stride) - 1) * stride + dilation * (kernel - 1) + 1).saturating_sub(size);
    let small = u32::try_from(total / 2).map_err(ImportError::new)?;
    let large = u32::try_from(total.div_ceil(2)).map_err(ImportError::new)?;
    Ok(if upper { (small, large) } else { (large, small) })
}

pub(crate) fn size(n: usize) -> Result<u32> {
    u32::try_from(n)
        .map_err(|_| ImportError::new(format!("size {n}: at most {} allowed; split the tensor", u32::MAX)))
}

/// A matrix of `columns` columns, rows and columns exchanged.
pub(crate) fn transpose(values: &[i32], columns: usize) -> Vec<i32> {
    (0..columns).flat_map(|c| values.iter().skip(c).step_by(columns).copied()).collect()
}

/// Whether a batch of one has the stated shape, whatever batch that states.
fn fits(shape: &[usize], stated: &[Option<usize>]) -> bool {
    shape.len() == stated.len() && shape.iter().zip(stated).skip(1).all(|(&n, s)| s.is_none_or(|s| s == n))
}

/// A shape and type for a reader.
pub(crate) fn show(shape: &[Option<usize>], ty: Option<Type>) -> String {
    let sizes: Vec<String> = shape.iter().map(|n| n.map_or("?".to_owned(), |n| n.to_string())).collect();
    let ty = ty.map_or("other type".to_owned(), |ty| format!("{ty:?}"));
    format!("[{}] ({ty})", sizes.join(", "))
}

/// Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &cb) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(ca != cb);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// Messages inside each other in the deepest file that is read.
const MOST_NESTED: u32 = 32;

/// Messages of an ONNX file that hold others.
#[derive(Clone, Copy)]
enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    ValueInfo,
    Type,
    TensorType,
    SequenceType,
    Shape,
    Tensor,
    Leaf,
    /// Numbers one after the other, of varying length.
    Varints,
    /// Numbers of so many bytes.
    Words(usize),
}

/// Whether every length in a protobuf message lies inside it, which the reader of ONNX files relies on.
fn lengths_fit(mut bytes: &[u8], message: Message, depth: u32) -> bool {
    if let Message::Words(size) = message {
        return bytes.len().is_multiple_of(size);
    }
    while !bytes.is_empty() {
        if matches!(message, Message::Varints) {
            if varint(&mut bytes).is_none() {
                return false;
            }
            continue;
        }
        let Some(tag) = varint(&mut bytes) else { return false };
        let len = match tag & 7 {
            0 => match varint(&mut bytes) {
                Some(_) => 0,
                None => return false,
            },
            1 => 8,
            2 => match varint(&mut bytes) {
                Some(len) => len,
                None => return false,
            },
            5 => 4,
            _ => return false,
        };
        let split = usize::try_from(len).ok().and_then(|len| bytes.split_at_checked(len));
        let Some((field, rest)) = split else { return false };
        let inner = match (message, tag >> 3) {
            (Message::Model, 7) | (Message::Attribute, 6 | 11) => Message::Graph,
            (Message::Graph, 1) => Message::Node,
            (Message::Graph, 11..=13) => Message::ValueInfo,
            (Message::Graph, 5) | (Message::Attribute, 5 | 10) => Message::Tensor,
            (Message::Model, 8 | 14) | (Message::Tensor, 13) | (Message::Shape, 1) => Message::Leaf,
            (Message::Tensor, 1 | 5 | 7) | (Message::Attribute, 8) => Message::Varints,
            (Message::Tensor, 4) | (Message::Attribute, 7) => Message::Words(4),
            (Message::Tensor, 10) => Message::Words(8),
            (Message::Node, 5) => Message::Attribute,
            (Message::ValueInfo, 2) => Message::Type,
            (Message::Type, 1) => Message::TensorType,
            (Message::Type, 4) => Message::SequenceType,
            (Message::SequenceType, 1) => Message::Type,
            (Message::TensorType, 2) => Message::Shape,
            _ => {
                bytes = rest;
                continue;
            }
        };
        if tag & 7 == 2 && (depth == 0 || !lengths_fit(field, inner, depth - 1)) {
            return false;
        }
        bytes = rest;
    }
    true
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn element_type(ty: DataType) -> Option<Type> {
    Some(match ty {
        DataType::UINT8 => Type::U8,
        DataType::INT8 => Type::I8,
        DataType::UINT16 => Type::U16,
        DataType::INT16 => Type::I16,
        DataType::INT32 => Type::I32,
        DataType::INT64 => Type::I64,
        DataType::FLOAT => Type::F32,
        _ => return None,
    })
}

/// The tensor, or `None` if its type is not one that import understands.
fn tensor(proto: &TensorProto) -> Result<Option<Tensor>> {
    let Some(ty) = proto.data_type.and_then(element_type) else { return Ok(None) };
    if proto.data_location == Some(DataLocation::EXTERNAL) {
        return Err(ImportError::new("its data is in another file: save the model as one file"));
    }
    let shape: Option<Vec<usize>> = proto.dims.iter().map(|&n| usize::try_from(n).ok()).collect();
    let shape = shape
        .ok_or_else(|| ImportError::new(format!("shape {:?}: sizes of 0 or more wanted", proto.dims)))?;
    let raw = proto.raw_data.as_ref().map(|r| r.borrow());
    let values = match (raw.as_deref().map(Vec::as_slice), ty) {
        (Some(raw), Type::F32) => Values::Floats(chunks(raw, f32::from_le_bytes)?),
        (Some(raw), Type::U8) => Values::Ints(chunks(raw, |b| u8::from_le_bytes(b).into())?),
        (Some(raw), Type::I8) => Values::Ints(chunks(raw, |b| i8::from_le_bytes(b).into())?),
        (Some(raw), Type::U16) => Values::Ints(chunks(raw, |b| u16::from_le_bytes(b).into())?),
        (Some(raw), Type::I16) => Values::Ints(chunks(raw, |b| i16::from_le_bytes(b).into())?),
        (Some(raw), Type::I32) => Values::Ints(chunks(raw, i32::from_le_bytes)?),
        (Some(raw), Type::I64) => Values::Ints(narrow(&chunks(raw, i64::from_le_bytes)?)),
        (None, Type::F32) => Values::Floats(proto.float_data.clone()),
        (None, Type::I64) => Values::Ints(narrow(&proto.int64_data)),
        (None, _) => Values::Ints(proto.int32_data.clone()),
    };
    let len = match &values {
        Values::Ints(v) => v.len(),
        Values::Floats(v) => v.len(),
    };
    if elements(&shape) != Some(len) {
        return Err(ImportError::new(format!("{len} elements for shape {shape:?}: the file is damaged")));
    }
    Ok(Some(Tensor { shape, ty, values }))
}

fn chunks<const N: usize, T>(raw: &[u8], read: impl Fn([u8; N]) -> T) -> Result<Vec<T>> {
    match raw.as_chunks::<N>() {
        (chunks, []) => Ok(chunks.iter().map(|&c| read(c)).collect()),
        _ => Err(ImportError::new(format!("{} bytes for elements of {N}: the file is damaged", raw.len()))),
    }
}

/// Saturates: an int64 constant is a shape or an axis, and a slice's "to the end" is its largest value.
fn narrow(values: &[i64]) -> Vec<i32> {
    values.iter().map(|&v| v.clamp(i32::MIN.into(), i32::MAX.into()) as i32).collect()
}

fn input(info: &ValueInfoProto) -> Input {
    let tensor = info.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
    let dims = tensor.and_then(|t| t.shape.as_ref()).map(|s| &s.dim[..]).unwrap_or_default();
    Input {
        name: info.name.clone().unwrap_or_default(),
        ty: tensor.and_then(|t| t.elem_type).and_then(element_type),
        shape: dims.iter().map(|d| d.dim_value.and_then(|n| usize::try_from(n).ok())).collect(),
    }
}

/// The value of a Constant node that is no tensor.
fn plain_constant(node: &Node) -> Option<Tensor> {
    let ints = |shape: &[usize], v: &[i64]| Tensor::ints(shape, Type::I64, narrow(v));
    node.attributes.iter().find_map(|(name, value)| match (name.as_str(), value) {
        ("value_int", Attribute::Int(v)) => Some(ints(&[], &[*v])),
        ("value_ints", Attribute::Ints(v)) => Some(ints(&[v.len()], v)),
        ("value_float", Attribute::Float(v)) => Some(Tensor::floats(&[], vec![*v])),
        ("value_floats", Attribute::Floats(v)) => Some(Tensor::floats(&[v.len()], v.clone())),
        _ => None,
    })
}

fn node(proto: NodeProto) -> Result<Node> {
    let name =
        proto.name.filter(|n| !n.is_empty()).or_else(|| proto.output.first().cloned()).unwrap_or_default();
    let attributes = proto
        .attribute
        .into_iter()
        .map(|a| {
            let value = match a.r#type {
                Some(AttributeType::FLOATS) => Attribute::Floats(a.floats),
                Some(AttributeType::TENSOR) => {
                    let value = a.t.as_ref().map(tensor).transpose();
                    let value = value.map_err(|e| ImportError::new(format!("node {name}: {e}")))?;
                    value.flatten().map_or(Attribute::Other, Attribute::Tensor)
                }
                Some(AttributeType::INT) => Attribute::Int(a.i.unwrap_or(0)),
                Some(AttributeType::FLOAT) => Attribute::Float(a.f.unwrap_or(0.0)),
                Some(AttributeType::STRING) => Attribute::Text(a.s.unwrap_or_default()),
                Some(AttributeType::INTS) => Attribute::Ints(a.ints),
                _ => Attribute::Other,
            };
            Ok((a.name.unwrap_or_default(), value))
        })
        .collect::<Result<_>>()?;
    let op = proto.op_type.unwrap_or_default();
    Ok(Node { name, op, inputs: proto.input, outputs: proto.output, attributes })
}

/// A dimension of `rank`, counted from the end where negative.
pub(crate) fn axis(axis: i64, rank: usize) -> Result<usize> {
    let found = if axis < 0 { axis.saturating_add(rank as i64) } else { axis };
    usize::try_from(found).ok().filter(|&a| a < rank).ok_or_else(|| {
        ImportError::new(format!("axis={axis}: {} to {} allowed", -(rank as i64), rank as i64 - 1))
    })
}

/// ONNX's Reshape: -1 is what remains, 0 copies the size unless `allow_zero`.
pub(crate) fn reshape(from: &[usize], to: &[i32], allow_zero: bool) -> Result<Vec<usize>> {
    let fail =
        || ImportError::new(format!("shape {from:?} cannot become {to:?}: equal element counts wanted"));
    let mut shape = Vec::new();
    let mut open = None;
    for (i, &n) in to.iter().enumerate() {
        shape.push(match n {
            -1 if open.is_none() => {
                open = Some(i);
                1
            }
            0 if !allow_zero => *from.get(i).ok_or_else(fail)?,
            n => usize::try_from(n).map_err(|_| fail())?,
        });
    }
    let total = elements(from).ok_or_else(fail)?;
    if let Some(i) = open {
        let known = elements(&shape).filter(|&n| n != 0).ok_or_else(fail)?;
        shape[i] = total / known;
    }
    if elements(&shape) == Some(total) { Ok(shape) } else { Err(fail()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reshapes() {
        assert_eq!(reshape(&[2, 3, 4], &[-1, 4], false).unwrap(), [6, 4]);
        assert_eq!(reshape(&[2, 3, 4], &[0, 12], false).unwrap(), [2, 12]);
        assert_eq!(reshape(&[2, 3, 4], &[24], true).unwrap(), [24]);
        for bad in [&[5, -1][..], &[-1, -1], &[-2, 12], &[0, 0, 0, 0], &[7]] {
            assert!(reshape(&[2, 3, 4], bad, false).is_err(), "{bad:?}");
        }
    }
}

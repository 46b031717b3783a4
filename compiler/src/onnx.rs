//! ONNX files: reading them, finding a node, and turning a quantised node into a layer with its numbers.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use rten_onnx::onnx::{
    AttributeType, DataLocation, DataType, ModelProto, NodeProto, TensorProto, ValueInfoProto,
};
use spec::layer::{Layer, LayerData, LayerSpec, Quant};

use crate::interpret;
use crate::npy::{TO_NCHW, TO_NHWC, Tensor, Type, Values, elements};

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

    fn ints<const N: usize>(&self, name: &str, default: [u32; N]) -> Result<[u32; N]> {
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
    /// Operators, each after those whose outputs it reads.
    pub nodes: Vec<Node>,
    /// Constants by tensor name.
    pub constants: HashMap<String, Tensor>,
    /// Inputs of the network, constants excluded.
    pub inputs: Vec<Input>,
    /// Names of the network's outputs.
    pub outputs: Vec<String>,
    /// Shapes that the file states for tensors inside the network.
    shapes: HashMap<String, Vec<Option<usize>>>,
}

impl Model {
    /// Reads an ONNX file.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path)
            .map_err(|e| ImportError::new(format!("{e}; give the path of an ONNX file")).in_file(path))?;
        Self::parse(&bytes).map_err(|e| e.in_file(path))
    }

    /// Reads the bytes of an ONNX file.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let model =
            ModelProto::parse_buf(bytes).map_err(|e| ImportError::new(format!("not an ONNX file: {e}")))?;
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
        let nodes = graph.node.into_iter().map(node).collect();
        Ok(Self { nodes, constants, inputs, outputs, shapes })
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
        self.nodes.iter().filter(|n| matches!(n.op.as_str(), "QLinearConv" | "QGemm"))
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
        let operands = self.operands(node)?;
        let image = array.image(image)?;
        let tensor = &node.inputs[0];
        let own_shape = self.shapes.get(tensor).cloned().unwrap_or_else(|| operands.input_shape());
        let is_own = |t: &Tensor| t.ty == operands.ty && fits(&t.shape, &own_shape);
        let nchw = (image.shape.len() == 4).then(|| image.permute(TO_NCHW));
        if let Some((input, feed)) = self.feed(&image).or_else(|| self.feed(nchw.as_ref()?)) {
            let mut tensors = interpret::run(self, [(input.to_owned(), feed)].into(), &[tensor])?;
            // The node's own map size is seldom in the file, so only now is it known which of the two this is.
            let own = tensors.remove(tensor).filter(|own| !(is_own(&image) && own.shape == image.shape));
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
            show(&own_shape, Some(operands.ty)),
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

    /// The layer that node `name` (`QLinearConv` or `QGemm`) is, for `input`: quantised, NCHW or `[N, features]`.
    ///
    /// The multipliers are ONNX Runtime's: f32(f32(sx × sw) ÷ sy), with alpha × sx for sx in `QGemm`. A ReLU that was
    /// folded into saturation shows as `y_zero == y_min`; `relu` stays off.
    pub fn layer(&self, name: &str, input: &Tensor) -> Result<(Layer, LayerData)> {
        let node = self.node(name)?;
        self.layer_of(node, input)
    }

    pub(crate) fn layer_of(&self, node: &Node, input: &Tensor) -> Result<(Layer, LayerData)> {
        self.operands(node)?.layer(node, input).map_err(|e| e.in_node(node))
    }

    fn operands(&self, node: &Node) -> Result<Operands<'_>> {
        Operands::new(self, node).map_err(|e| e.in_node(node))
    }

    /// The constant that is input `index` of `node`; `None` if the input is left out.
    pub(crate) fn constant(&self, node: &Node, index: usize) -> Result<Option<&Tensor>> {
        match node.inputs.get(index).map(String::as_str) {
            None | Some("") => Ok(None),
            Some(name) => self.constants.get(name).map(Some).ok_or_else(|| {
                ImportError::new(format!(
                    "input {name:?} is not a constant of a supported type: export it as an initializer"
                ))
            }),
        }
    }

    /// The one float that is input `index` of `node`.
    pub(crate) fn scale(&self, node: &Node, index: usize) -> Result<f32> {
        match self.constant(node, index)?.and_then(Tensor::as_floats) {
            Some(&[scale]) => Ok(scale),
            _ => {
                Err(ImportError::new(format!("input {index} must be one float32 scale: quantise per tensor")))
            }
        }
    }

    /// The zero point that is input `index` of `node`, and its type; uint8 0 if left out.
    pub(crate) fn zero_point(&self, node: &Node, index: usize) -> Result<(i32, Type)> {
        match self.constant(node, index)? {
            None => Ok((0, Type::U8)),
            Some(Tensor { ty, values: Values::Ints(v), .. }) if v.len() == 1 => Ok((v[0], *ty)),
            Some(_) => {
                Err(ImportError::new(format!("input {index} must be one zero point: quantise per tensor")))
            }
        }
    }
}

/// The constant operands of a `QLinearConv` or `QGemm`.
struct Operands<'a> {
    weights: &'a Tensor,
    bias: Option<&'a Tensor>,
    ty: Type,
    x_zero: i32,
    y_zero: i32,
    multipliers: Vec<f32>,
    /// Input channels.
    cin: usize,
    cout: usize,
    /// Whether a `QGemm` holds its weights as `[features, outputs]`.
    transposed: bool,
}

impl<'a> Operands<'a> {
    fn new(model: &'a Model, node: &Node) -> Result<Self> {
        let conv = match node.op.as_str() {
            "QLinearConv" => true,
            "QGemm" => false,
            _ => return Err(ImportError::new("not a QLinearConv or QGemm: choose a node of that kind")),
        };
        let missing = |what| move || ImportError::new(format!("{what} is missing"));
        let weights = model.constant(node, 3)?.ok_or_else(missing("the weight input"))?;
        if !matches!(weights.ty, Type::I8 | Type::I16) {
            return Err(ImportError::new(format!("weights are {:?}: quantise them to int8", weights.ty)));
        }
        let zeros = model.constant(node, 5)?.and_then(Tensor::as_ints).unwrap_or_default();
        if let Some(zero) = zeros.iter().find(|&&z| z != 0) {
            return Err(ImportError::new(format!(
                "weight zero point {zero}: only 0 is supported; quantise weights symmetrically"
            )));
        }
        let (y_scale, y_zero, bias, alpha) = if conv { (6, 7, 8, None) } else { (7, 8, 6, Some("alpha")) };
        if model.constant(node, y_scale)?.is_none() {
            return Err(ImportError::new(
                "float output: only a quantised output is supported; export a y_scale",
            ));
        }
        let alpha = match alpha.and_then(|a| node.attributes.get(a)) {
            Some(Attribute::Float(alpha)) => *alpha,
            _ => 1.0,
        };
        let (sx, sy) = (alpha * model.scale(node, 1)?, model.scale(node, y_scale)?);
        let sw = model
            .constant(node, 4)?
            .and_then(Tensor::as_floats)
            .ok_or_else(missing("the float32 weight scale"))?;
        let (x_zero, ty) = model.zero_point(node, 2)?;
        let (y_zero, y_ty) = model.zero_point(node, y_zero)?;
        if ty != y_ty {
            return Err(ImportError::new(format!(
                "input is {ty:?}, output {y_ty:?}: quantise both to the same type"
            )));
        }
        let transposed = !conv && node.int("transB", 0)? == 0;
        let (cin, cout) = match (&weights.shape[..], conv, transposed) {
            (&[m, c, _, _], true, _) => {
                let cin = usize::try_from(node.int("group", 1)?).ok().and_then(|g| g.checked_mul(c));
                (cin.ok_or_else(|| ImportError::new("group out of range: use 1 or more"))?, m)
            }
            (&[k, n], false, true) => (k, n),
            (&[n, k], false, false) => (k, n),
            (shape, ..) => {
                return Err(ImportError::new(format!(
                    "weights of shape {shape:?}: [cout, cin, kh, kw] wanted for QLinearConv, rank 2 for QGemm"
                )));
            }
        };
        if sw.len() != 1 && sw.len() != cout {
            return Err(ImportError::new(format!("{} weight scales: 1 or {cout} wanted", sw.len())));
        }
        let multipliers = (0..cout).map(|c| (sx * sw[if sw.len() == 1 { 0 } else { c }]) / sy).collect();
        let bias = model.constant(node, bias)?;
        Ok(Self { weights, bias, ty, x_zero, y_zero, multipliers, cin, cout, transposed })
    }

    fn input_shape(&self) -> Vec<Option<usize>> {
        let map = self.weights.shape.len() - 2;
        [vec![None, Some(self.cin)], vec![None; map]].concat()
    }

    fn layer(self, node: &Node, input: &Tensor) -> Result<(Layer, LayerData)> {
        if input.ty != self.ty {
            return Err(ImportError::new(format!("input is {:?}, {:?} wanted", input.ty, self.ty)));
        }
        let (operand_bits, signed) = match self.ty {
            Type::U8 => (8, false),
            Type::I8 => (8, true),
            Type::U16 => (16, false),
            Type::I16 => (16, true),
            other => {
                return Err(ImportError::new(format!(
                    "activations are {other:?}: quantise them to 8 or 16 bits"
                )));
            }
        };
        let ints = |t: &Tensor| t.as_ints().map(<[i32]>::to_vec).unwrap_or_default();
        let wrong_input = || {
            let want = show(&self.input_shape(), Some(self.ty));
            ImportError::new(format!("input of shape {:?}: {want} wanted", input.shape))
        };
        let (spec, x, weights) = match (&input.shape[..], &self.weights.shape[..]) {
            (&[_, c, _, _], &[_, _, kh, kw]) if c == self.cin => {
                let spec = LayerSpec {
                    cout: size(self.cout)?,
                    groups: size(self.group(node)?)?,
                    ..geometry(node, &input.shape, Some([kh, kw]))?
                };
                (spec, ints(&input.permute(TO_NHWC)), ints(&self.weights.permute(TO_NHWC)))
            }
            (&[rows, columns], &[..]) if self.weights.shape.len() == 2 => {
                let turned = node.int("transA", 0)? != 0;
                let (batch, cin) = if turned { (columns, rows) } else { (rows, columns) };
                if cin != self.cin {
                    return Err(wrong_input());
                }
                let x = if turned { transpose(&ints(input), columns) } else { ints(input) };
                let weights = if self.transposed {
                    transpose(&ints(self.weights), self.cout)
                } else {
                    ints(self.weights)
                };
                let spec = LayerSpec {
                    cin: size(cin)?,
                    cout: size(self.cout)?,
                    batch: size(batch)?,
                    ..LayerSpec::default()
                };
                (spec, x, weights)
            }
            _ => return Err(wrong_input()),
        };
        let layer = Layer::new(spec).map_err(ImportError::new)?;
        let bias = match self.bias.and_then(Tensor::as_ints) {
            None => vec![0; self.cout],
            Some(&[one]) => vec![one; self.cout],
            Some(all) => all.to_vec(),
        };
        let mut quant =
            Quant { operand_bits, signed, x_zero: self.x_zero, y_zero: self.y_zero, y_min: 0, y_max: 0 };
        (quant.y_min, quant.y_max) = quant.activation_range();
        let data = LayerData { input: x, weights, bias, multipliers: self.multipliers, quant };
        data.check(&layer).map_err(ImportError::new)?;
        Ok((layer, data))
    }

    fn group(&self, node: &Node) -> Result<usize> {
        usize::try_from(node.int("group", 1)?).map_err(ImportError::new)
    }
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

fn size(n: usize) -> Result<u32> {
    u32::try_from(n)
        .map_err(|_| ImportError::new(format!("size {n}: at most {} allowed; split the tensor", u32::MAX)))
}

/// A matrix of `columns` columns, rows and columns exchanged.
fn transpose(values: &[i32], columns: usize) -> Vec<i32> {
    (0..columns).flat_map(|c| values.iter().skip(c).step_by(columns).copied()).collect()
}

/// Whether a batch of one has the stated shape, whatever batch that states.
fn fits(shape: &[usize], stated: &[Option<usize>]) -> bool {
    shape.len() == stated.len() && shape.iter().zip(stated).skip(1).all(|(&n, s)| s.is_none_or(|s| s == n))
}

fn show(shape: &[Option<usize>], ty: Option<Type>) -> String {
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

fn node(proto: NodeProto) -> Node {
    let name =
        proto.name.filter(|n| !n.is_empty()).or_else(|| proto.output.first().cloned()).unwrap_or_default();
    let attributes = proto
        .attribute
        .into_iter()
        .map(|a| {
            let value = match a.r#type {
                Some(AttributeType::INT) => Attribute::Int(a.i.unwrap_or(0)),
                Some(AttributeType::FLOAT) => Attribute::Float(a.f.unwrap_or(0.0)),
                Some(AttributeType::STRING) => Attribute::Text(a.s.unwrap_or_default()),
                Some(AttributeType::INTS) => Attribute::Ints(a.ints),
                _ => Attribute::Other,
            };
            (a.name.unwrap_or_default(), value)
        })
        .collect();
    let op = proto.op_type.unwrap_or_default();
    Node { name, op, inputs: proto.input, outputs: proto.output, attributes }
}

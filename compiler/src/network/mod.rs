//! A network as the machine sees it: a graph of quantised operators on NHWC tensors of one image.
//!
//! [`Network::load`] makes it of an ONNX file, in QOperator or QDQ form. [`Network::run`] executes it in plain loops,
//! equal to ONNX Runtime on x86 bit for bit.

pub(crate) mod import;
mod run;
mod view;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use spec::layer::{Layer, LayerData, Quant};

use crate::npy::Type;
use crate::onnx::{ImportError, Model};

/// Index into [`Network::tensors`].
pub type TensorId = usize;

/// A quantised tensor of one image, height × width × channels, channels fastest. A vector is 1 × 1 × channels.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorInfo {
    /// Name of the tensor in the file; one that the importer adds has the name of what it is made from.
    pub name: String,
    /// Rows.
    pub h: u32,
    /// Columns.
    pub w: u32,
    /// Channels.
    pub c: u32,
    /// Element type: 8 or 16 bits.
    pub ty: Type,
    /// The real number that a step stands for.
    pub scale: f32,
    /// The element that stands for 0.
    pub zero: i32,
}

impl TensorInfo {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.h as usize * self.w as usize * self.c as usize
    }

    /// Whether there are none; an imported tensor has some.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bits of an element: 8 or 16.
    pub fn bits(&self) -> u32 {
        if matches!(self.ty, Type::U8 | Type::I8) { 8 } else { 16 }
    }

    /// Whether elements are signed.
    pub fn signed(&self) -> bool {
        matches!(self.ty, Type::I8 | Type::I16)
    }

    /// Smallest and largest element of the type.
    pub fn range(&self) -> (i32, i32) {
        let quant = Quant {
            operand_bits: self.bits(),
            signed: self.signed(),
            x_zero: 0,
            y_zero: 0,
            y_min: 0,
            y_max: 0,
        };
        quant.activation_range()
    }
}

/// The numbers of a convolution, as in [`LayerData`] without the input.
#[derive(Clone, Debug, PartialEq)]
pub struct ConvData {
    /// Weights, `[cout][kh][kw][cin / groups]`, zero point 0; a network's copies share them.
    pub weights: Arc<Vec<i32>>,
    /// Per output channel, in units of input scale × weight scale; no zero point is folded in.
    pub bias: Vec<i32>,
    /// Per output channel: f32(f32(input scale × weight scale) ÷ output scale).
    pub multipliers: Vec<f32>,
    /// Number format. `y_min..=y_max` is what a fused ReLU or Clip leaves of the type's range.
    pub quant: Quant,
}

impl ConvData {
    /// The numbers of one layer run on `input`, `[h][w][cin]`.
    pub fn on(&self, input: Vec<i32>) -> LayerData {
        let Self { weights, bias, multipliers, quant } = self.clone();
        LayerData { input, weights: weights.to_vec(), bias, multipliers, quant }
    }
}

/// A pooling window: output (oh, ow) sees rows `oh * sh - pt + r * dh` and columns `ow * sw - pl + k * dw` of the map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// Kernel rows.
    pub kh: u32,
    /// Kernel columns.
    pub kw: u32,
    /// Stride down.
    pub sh: u32,
    /// Stride right.
    pub sw: u32,
    /// Padding rows above the map.
    pub pt: u32,
    /// Padding columns left of the map.
    pub pl: u32,
    /// Padding rows below the map; windows may reach beyond them where sizes were rounded up (`ceil_mode`).
    pub pb: u32,
    /// Padding columns right of the map; as `pb`.
    pub pr: u32,
    /// Distance of two kernel rows.
    pub dh: u32,
    /// Distance of two kernel columns.
    pub dw: u32,
    /// Output rows.
    pub out_h: u32,
    /// Output columns.
    pub out_w: u32,
}

/// What a node does. a and b are its inputs' elements as they are, zero points not subtracted unless said so; results
/// are clipped to [`Node::y_min`]` ..= `[`Node::y_max`]. Sums and products are of binary32, `fma` rounds once, `round` is
/// to nearest, ties to even.
#[derive(Clone, Debug, PartialEq)]
pub enum OpKind {
    /// Dense or grouped convolution, or fully connected: then `layer` is 1 × 1 on a 1 × 1 map and `layer.cin` is the
    /// whole input, in the order that it has in memory.
    Conv {
        /// Shape.
        layer: Layer,
        /// Numbers.
        data: ConvData,
    },
    /// Convolution by channel: `cin`, `cout` and `groups` are equal.
    Depthwise {
        /// Shape.
        layer: Layer,
        /// Numbers.
        data: ConvData,
    },
    /// Largest element of a window; padding is never the largest.
    MaxPool {
        /// Kernel, stride, padding and output size.
        window: Window,
    },
    /// Mean of a window: the sum of a − zero, requantised as [`Average`] says. One of the whole map is a
    /// [`OpKind::GlobalAveragePool`].
    AveragePool {
        /// Kernel, stride, padding and output size.
        window: Window,
        /// Whether the count is always that of the kernel, not of the elements inside the map.
        count_include_pad: bool,
        /// Scale of the input.
        scale: f32,
        /// Zero point of the input.
        zero: i32,
        /// Scale of the output.
        y_scale: f32,
        /// Zero point of the output.
        y_zero: i32,
    },
    /// Mean of each channel: y = round(f32(Σ a − zero) × multiplier) + y_zero, the sum in int32.
    GlobalAveragePool {
        /// Zero point of the input.
        zero: i32,
        /// Input scale ÷ (output scale × elements of the map).
        multiplier: f32,
        /// Zero point of the output.
        y_zero: i32,
    },
    /// Sum of two inputs: y = round(fma(a, ra, fma(b, rb, offset))). The second may be 1 × 1 × channels; it then counts
    /// for every pixel.
    Add {
        /// Factor of the first input: its scale ÷ output scale.
        ra: f32,
        /// Factor of the second input.
        rb: f32,
        /// All zero points: y_zero − fma(ra, a_zero, rb × b_zero).
        offset: f32,
    },
    /// Product of two inputs: y = round(f32(f32((a − a_zero) × (b − b_zero)) × scale) + f32(y_zero)), the zero point
    /// added before rounding to an integer. The second may be 1 × 1 × channels.
    Mul {
        /// f32(f32(a scale × b scale) ÷ output scale).
        scale: f32,
        /// Zero point of the first input.
        a_zero: i32,
        /// Zero point of the second input.
        b_zero: i32,
        /// Zero point of the output.
        y_zero: i32,
    },
    /// A function of one element of 8 bits: the output's bits by the input's bits.
    Table(Box<[u8; 256]>),
    /// Channels of all inputs, one input after the other. Inputs have the output's scale and zero point.
    Concat,
    /// Output channel i is input channel `[i]`.
    Channels(Vec<u32>),
    /// Pixels of all inputs: (h, w) is pixel (h ÷ `down`, w ÷ `right`), rounded down, of input number
    /// (h mod `down`) × `right` + w mod `right`. Inputs have the output's scale and zero point.
    Interleave {
        /// Rows of the output for one of an input.
        down: u32,
        /// Columns of the output for one of an input.
        right: u32,
    },
    /// Rows and columns of one value around the map.
    Pad {
        /// Rows above.
        pt: u32,
        /// Columns left.
        pl: u32,
        /// Rows below.
        pb: u32,
        /// Columns right.
        pr: u32,
        /// The value.
        value: i32,
    },
}

/// How the sum of a window's elements, less their zero point, becomes an output of an average:
/// y = round(f32(sum + bias) × multiplier) + y_zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Average {
    /// What is added to the sum.
    pub bias: i32,
    /// f32(scale ÷ (count × y_scale)).
    pub multiplier: f32,
    /// What is added in the end.
    pub y_zero: i32,
}

impl Average {
    /// By the number of elements that a window has inside a map of `h` × `w`, for a node that averages; [`None`] for
    /// any other.
    ///
    /// ONNX Runtime computes Σ (a − zero) × scale ÷ count ÷ y_scale + y_zero in binary32 and rounds that. The zero point
    /// thus decides which of two integers is even. Where it is a whole multiple of 1 ÷ multiplier, which is where ties
    /// are common, it is part of the bias.
    pub fn of(kind: &OpKind, [h, w]: [u32; 2]) -> Option<impl Fn(u32) -> Self> {
        let &OpKind::AveragePool { window: o, count_include_pad, scale, y_scale, y_zero, .. } = kind else {
            return None;
        };
        let all = o.kh * o.kw;
        let inside = |out: u32, stride: u32, kernel: u32, size: u32| (out - 1) * stride + kernel <= size;
        let full = [o.pt, o.pl, o.pb, o.pr] == [0; 4]
            && inside(o.out_h, o.sh, o.kh, h)
            && inside(o.out_w, o.sw, o.kw, w);
        let count = move |taps: u32| if count_include_pad { all } else { taps };
        let steps = move |taps: u32| f64::from(count(taps)) * f64::from(y_scale) / f64::from(scale);
        // Those of every count are whole if those of one are.
        let unit = steps(if full { all } else { 1 });
        let bias = unit * f64::from(y_zero);
        let whole =
            (bias - bias.round()).abs() <= 1e-6 * bias.abs() && unit * f64::from(all) < f64::from(1 << 20);
        Some(move |taps: u32| {
            let multiplier = (1.0 / steps(taps)) as f32;
            if whole {
                Self { bias: (f64::from(y_zero) * steps(taps)).round() as i32, multiplier, y_zero: 0 }
            } else {
                Self { bias: 0, multiplier, y_zero }
            }
        })
    }
}

/// An operator.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Name of the node in the file; one that the importer adds has the name of the node that needs it.
    pub name: String,
    /// What it does.
    pub kind: OpKind,
    /// What it reads.
    pub inputs: Vec<TensorId>,
    /// What it writes.
    pub output: TensorId,
    /// Smallest output: that of the type, or what a fused ReLU or Clip leaves.
    pub y_min: i32,
    /// Largest output.
    pub y_max: i32,
}

/// An operator of the file that is left to the host, before the first node or after the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostOp {
    /// Name of the node in the file.
    pub name: String,
    /// What it does, for a reader.
    pub what: String,
}

/// A typed, quantised network for one image.
#[derive(Clone, Debug)]
pub struct Network {
    /// Name of the file, without directory and extension.
    pub name: String,
    /// All tensors.
    pub tensors: Vec<TensorInfo>,
    /// Operators, each after those whose outputs it reads.
    pub nodes: Vec<Node>,
    /// Tensors that the host gives.
    pub inputs: Vec<TensorId>,
    /// Tensors that the host reads. One of them may be an input or a constant.
    pub outputs: Vec<TensorId>,
    /// Values of tensors that never change.
    pub constants: BTreeMap<TensorId, Vec<i32>>,
    /// What is left to the host, in the order of the file.
    pub host: Vec<HostOp>,
    /// How the host makes each input.
    feeds: Vec<import::Feed>,
    /// How the host makes the outputs of the file.
    results: Vec<import::Outcome>,
}

impl Network {
    /// Imports an ONNX file.
    pub fn load(path: &Path) -> Result<Self, ImportError> {
        Self::from_model(&Model::load(path)?).map_err(|e| e.in_file(path))
    }

    /// Imports an ONNX graph.
    ///
    /// One error lists all operators that are not supported.
    pub fn from_model(model: &Model) -> Result<Self, ImportError> {
        import::import(model, None, &model.outputs)
    }

    /// A network that needs nothing of the host: its one input is given as it is.
    pub fn new(
        name: &str,
        tensors: Vec<TensorInfo>,
        nodes: Vec<Node>,
        input: TensorId,
        outputs: Vec<TensorId>,
    ) -> Self {
        Self {
            name: name.to_owned(),
            tensors,
            nodes,
            inputs: vec![input],
            outputs,
            constants: BTreeMap::new(),
            host: Vec::new(),
            feeds: Vec::new(),
            results: Vec::new(),
        }
    }

    /// The node of that name which computes something of its own, not one that the importer added for it.
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().rfind(|n| n.name == name)
    }
}

/// A table: a row for each node, with its output.
impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "network {}", self.name)?;
        let tensor = |id: TensorId| format!("%{id}");
        let head = ["tensor", "size", "type", "scale", "zero", "range", "operator", "inputs", "name"];
        let mut rows = vec![head.map(str::to_owned)];
        let row = |id: TensorId, range: String, what: String, inputs: String, name: &str| {
            let t = &self.tensors[id];
            [
                tensor(id),
                format!("{}x{}x{}", t.h, t.w, t.c),
                format!("{:?}", t.ty).to_lowercase(),
                format!("{:e}", t.scale),
                t.zero.to_string(),
                range,
                what,
                inputs,
                name.to_owned(),
            ]
        };
        for &id in &self.inputs {
            rows.push(row(id, String::new(), "input".into(), String::new(), &self.tensors[id].name));
        }
        for &id in self.constants.keys() {
            rows.push(row(id, String::new(), "constant".into(), String::new(), &self.tensors[id].name));
        }
        for node in &self.nodes {
            let range = format!("{}..{}", node.y_min, node.y_max);
            let inputs: Vec<String> = node.inputs.iter().map(|&id| tensor(id)).collect();
            rows.push(row(node.output, range, node.kind.to_string(), inputs.join(" "), &node.name));
        }
        let widths: [usize; 9] =
            std::array::from_fn(|i| rows.iter().map(|r| r[i].chars().count()).max().unwrap_or(0));
        for row in rows {
            let cells: Vec<String> =
                row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
            writeln!(f, "{}", cells.join("  ").trim_end())?;
        }
        let outputs: Vec<String> = self.outputs.iter().map(|&id| tensor(id)).collect();
        writeln!(f, "outputs {}", outputs.join(" "))?;
        for op in &self.host {
            writeln!(f, "host {}: {}", op.name, op.what)?;
        }
        Ok(())
    }
}

impl fmt::Display for OpKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conv { layer, .. } => write!(f, "{layer}"),
            Self::Depthwise { layer, .. } => write!(f, "depthwise {layer}"),
            Self::MaxPool { window } => write!(f, "max {window}"),
            Self::AveragePool { window, count_include_pad: false, .. } => write!(f, "average {window}"),
            Self::AveragePool { window, .. } => write!(f, "average {window} padding counts"),
            Self::GlobalAveragePool { .. } => f.write_str("average all"),
            Self::Add { .. } => f.write_str("add"),
            Self::Mul { .. } => f.write_str("mul"),
            Self::Table(_) => f.write_str("table"),
            Self::Concat => f.write_str("concat"),
            Self::Channels(_) => f.write_str("channels"),
            Self::Interleave { down, right } => write!(f, "interleave {down}x{right}"),
            Self::Pad { pt, pl, pb, pr, value } => {
                write!(f, "pad pt={pt} pl={pl} pb={pb} pr={pr} value={value}")
            }
        }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kh, kw, sh, sw, pt, pl, pb, pr, dh, dw, .. } = self;
        write!(f, "k={kh}x{kw} stride={sh}x{sw}")?;
        if [pt, pl, pb, pr].into_iter().any(|&p| p != 0) {
            write!(f, " pt={pt} pl={pl} pb={pb} pr={pr}")?;
        }
        if (*dh, *dw) != (1, 1) {
            write!(f, " dil={dh}x{dw}")?;
        }
        Ok(())
    }
}

//! One convolution or fully connected layer: its shape ([`Layer`]), its text form, and its numbers ([`LayerData`]).

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use crate::requant::check_multiplier;
use crate::rng::{in_range, unit};

/// Largest channel count, map side, group count and batch.
pub const MAX_SIZE: u32 = 65_535;
/// Largest kernel side, stride and dilation.
pub const MAX_STEP: u32 = 255;

/// The shape of a layer as its author gives it, not yet checked: see [`Layer::new`].
///
/// The default is a 1 × 1 kernel, stride 1, no padding, and 1 for every size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LayerSpec {
    /// Input channels.
    pub cin: u32,
    /// Input rows.
    pub h: u32,
    /// Input columns.
    pub w: u32,
    /// Output channels.
    pub cout: u32,
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
    /// Padding rows below the map.
    pub pb: u32,
    /// Padding columns right of the map.
    pub pr: u32,
    /// Dilation down: the distance of two kernel rows.
    pub dh: u32,
    /// Dilation right.
    pub dw: u32,
    /// Channel groups; `cin` for depthwise.
    pub groups: u32,
    /// Images.
    pub batch: u32,
    /// Whether outputs below the output zero point become the zero point.
    pub relu: bool,
}

impl Default for LayerSpec {
    fn default() -> Self {
        Self {
            cin: 1,
            h: 1,
            w: 1,
            cout: 1,
            kh: 1,
            kw: 1,
            sh: 1,
            sw: 1,
            pt: 0,
            pl: 0,
            pb: 0,
            pr: 0,
            dh: 1,
            dw: 1,
            groups: 1,
            batch: 1,
            relu: false,
        }
    }
}

/// The shape of a layer, checked: sizes are in range, the output is not empty, every tensor has fewer than 2^32
/// elements. Dereferences to its [`LayerSpec`].
///
/// A fully connected layer is a 1 × 1 convolution on a 1 × 1 map.
///
/// ```
/// let layer: spec::layer::Layer = "conv cin=192 h=13 w=13 cout=192 k=3 pad=1".parse()?;
/// assert_eq!((layer.out_h(), layer.out_w()), (13, 13));
/// assert_eq!(layer.useful_macs(), 37 * 37 * 192 * 192);
/// # Ok::<(), spec::layer::LayerError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Layer(LayerSpec);

impl Deref for Layer {
    type Target = LayerSpec;

    fn deref(&self) -> &LayerSpec {
        &self.0
    }
}

impl Layer {
    /// Checks a shape.
    pub fn new(spec: LayerSpec) -> Result<Self, LayerError> {
        let s = &spec;
        let sizes = [
            ("cin", s.cin),
            ("h", s.h),
            ("w", s.w),
            ("cout", s.cout),
            ("groups", s.groups),
            ("batch", s.batch),
        ];
        let steps = [("kh", s.kh), ("kw", s.kw), ("sh", s.sh), ("sw", s.sw), ("dh", s.dh), ("dw", s.dw)];
        let limited = sizes.map(|x| (x, MAX_SIZE)).into_iter().chain(steps.map(|x| (x, MAX_STEP)));
        for ((name, value), max) in limited {
            if !(1..=max).contains(&value) {
                let remedy = match name {
                    _ if value == 0 => "use 1 or more",
                    "sh" | "sw" | "dh" | "dw" => "use a smaller one",
                    _ => "split the layer",
                };
                return Err(LayerError::new(
                    format!("{name}={value}"),
                    format!("1 to {max} allowed"),
                    remedy,
                ));
            }
        }
        let reach_h = s.dh * (s.kh - 1);
        let reach_w = s.dw * (s.kw - 1);
        for (name, pad, reach) in
            [("pt", s.pt, reach_h), ("pb", s.pb, reach_h), ("pl", s.pl, reach_w), ("pr", s.pr, reach_w)]
        {
            if pad > reach {
                return Err(LayerError::new(
                    format!("{name}={pad}"),
                    format!("at most {reach} allowed, one less than the dilated kernel"),
                    "use less padding or a larger kernel",
                ));
            }
        }
        for (axis, size, reach, key) in
            [("rows", s.h + s.pt + s.pb, reach_h, "h"), ("columns", s.w + s.pl + s.pr, reach_w, "w")]
        {
            if size <= reach {
                return Err(LayerError::new(
                    format!("padded map of {size} {axis}"),
                    format!("at least {} wanted, the dilated kernel", reach + 1),
                    format!("use a larger {key}, more padding or a smaller kernel"),
                ));
            }
        }
        for (name, value) in [("cin", s.cin), ("cout", s.cout)] {
            if value % s.groups != 0 {
                return Err(LayerError::new(
                    format!("groups={}", s.groups),
                    format!("a divisor of {name}={value} wanted"),
                    format!("change groups or {name}"),
                ));
            }
        }
        let layer = Self(spec);
        let tensors = [
            ("input", [s.batch, s.h, s.w, s.cin]),
            ("weights", [s.cout, s.kh, s.kw, s.cin / s.groups]),
            ("output", [s.batch, layer.out_h(), layer.out_w(), s.cout]),
        ];
        for (name, shape) in tensors {
            let elements = shape.iter().map(|&n| u128::from(n)).product::<u128>();
            if elements > u128::from(u32::MAX) {
                return Err(LayerError::new(
                    format!("{name} of {elements} elements"),
                    format!("at most {} allowed", u32::MAX),
                    "split the layer or use a smaller batch",
                ));
            }
        }
        Ok(layer)
    }

    /// Output rows.
    pub fn out_h(&self) -> u32 {
        (self.h + self.pt + self.pb - self.dh * (self.kh - 1) - 1) / self.sh + 1
    }

    /// Output columns.
    pub fn out_w(&self) -> u32 {
        (self.w + self.pl + self.pr - self.dw * (self.kw - 1) - 1) / self.sw + 1
    }

    /// Input channels that one output channel sees.
    pub fn group_cin(&self) -> u32 {
        self.cin / self.groups
    }

    /// Output channels of one group.
    pub fn group_cout(&self) -> u32 {
        self.cout / self.groups
    }

    /// Input elements, batch included.
    pub fn input_len(&self) -> usize {
        self.batch as usize * self.h as usize * self.w as usize * self.cin as usize
    }

    /// Input elements that some output depends on: strides may leave out rows and columns.
    pub fn needed_len(&self) -> usize {
        let axis = |size: u32, outs: u32, kernel: u32, stride: u32, dilation: u32, pad: u32| {
            let mut needed = vec![false; size as usize];
            for at in (0..outs).flat_map(|o| (0..kernel).map(move |k| o * stride + k * dilation)) {
                if let Some(needed) = at.checked_sub(pad).and_then(|at| needed.get_mut(at as usize)) {
                    *needed = true;
                }
            }
            needed.into_iter().filter(|needed| *needed).count()
        };
        let rows = axis(self.h, self.out_h(), self.kh, self.sh, self.dh, self.pt);
        let columns = axis(self.w, self.out_w(), self.kw, self.sw, self.dw, self.pl);
        self.batch as usize * rows * columns * self.cin as usize
    }

    /// Weight elements, bias excluded.
    pub fn weight_len(&self) -> usize {
        self.cout as usize * self.kh as usize * self.kw as usize * self.group_cin() as usize
    }

    /// Output elements, batch included.
    pub fn output_len(&self) -> usize {
        self.batch as usize * self.out_h() as usize * self.out_w() as usize * self.cout as usize
    }

    /// Products of the whole batch, those with zero padding excluded.
    pub fn useful_macs(&self) -> u64 {
        let rows = taps_inside(self.h, self.out_h(), self.kh, self.sh, self.dh, self.pt);
        let columns = taps_inside(self.w, self.out_w(), self.kw, self.sw, self.dw, self.pl);
        rows * columns * self.macs_per_tap()
    }

    /// Products of the whole batch, those with zero padding included.
    pub fn padded_macs(&self) -> u64 {
        let rows = u64::from(self.out_h()) * u64::from(self.kh);
        let columns = u64::from(self.out_w()) * u64::from(self.kw);
        rows * columns * self.macs_per_tap()
    }

    fn macs_per_tap(&self) -> u64 {
        u64::from(self.batch) * u64::from(self.cout) * u64::from(self.group_cin())
    }

    fn is_fc(&self) -> bool {
        let fc = LayerSpec {
            cin: self.cin,
            cout: self.cout,
            batch: self.batch,
            relu: self.relu,
            ..LayerSpec::default()
        };
        self.0 == fc
    }
}

/// Pairs (output position, kernel position) along one axis whose input position `o*stride + k*dilation - pad` lies
/// in `0..size`.
fn taps_inside(size: u32, out: u32, kernel: u32, stride: u32, dilation: u32, pad: u32) -> u64 {
    (0..kernel)
        .map(|k| {
            let offset = k * dilation;
            // First position at or after 0, and first at or after `size`.
            let start = pad.saturating_sub(offset).div_ceil(stride).min(out);
            let end = (size + pad).saturating_sub(offset).div_ceil(stride).min(out);
            u64::from(end.saturating_sub(start))
        })
        .sum()
}

/// Why a layer or its text form was refused: the value, the limit it breaks, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerError {
    value: String,
    limit: String,
    remedy: String,
}

impl LayerError {
    fn new(value: impl Into<String>, limit: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { value: value.into(), limit: limit.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for LayerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "layer: {}: {}; {}", self.value, self.limit, self.remedy)
    }
}

impl std::error::Error for LayerError {}

type Field = fn(&mut LayerSpec) -> &mut u32;

const CONV_KEYS: &str =
    "cin h w cout k (or kh kw), stride (or sh sw), pad (or pt pl pb pr), dil (or dh dw), groups, batch, relu";
const FC_KEYS: &str = "in out batch relu";

/// The numbers that `key` sets in a `conv` or `fc` text; `None` if there is no such key.
fn fields(kind: &str, key: &str) -> Option<&'static [(&'static str, Field)]> {
    macro_rules! fields {
        ($($name:ident)+) => { Some(&[$((stringify!($name), |s: &mut LayerSpec| &mut s.$name)),+]) };
    }
    match (kind, key) {
        ("conv", "cin") | ("fc", "in") => fields!(cin),
        ("conv", "cout") | ("fc", "out") => fields!(cout),
        (_, "batch") => fields!(batch),
        ("fc", _) => None,
        (_, "h") => fields!(h),
        (_, "w") => fields!(w),
        (_, "k") => fields!(kh kw),
        (_, "kh") => fields!(kh),
        (_, "kw") => fields!(kw),
        (_, "stride") => fields!(sh sw),
        (_, "sh") => fields!(sh),
        (_, "sw") => fields!(sw),
        (_, "pad") => fields!(pt pl pb pr),
        (_, "pt") => fields!(pt),
        (_, "pl") => fields!(pl),
        (_, "pb") => fields!(pb),
        (_, "pr") => fields!(pr),
        (_, "dil") => fields!(dh dw),
        (_, "dh") => fields!(dh),
        (_, "dw") => fields!(dw),
        (_, "groups") => fields!(groups),
        _ => None,
    }
}

/// Parses `conv cin=192 h=13 w=13 cout=192 k=3 pad=1` or `fc in=2048 out=1000`.
///
/// Keys of `conv`: `cin h w cout`, `k` or `kh kw`, and, with their defaults, `stride=1` or `sh sw`, `pad=0` or
/// `pt pl pb pr`, `dil=1` or `dh dw`, `groups=1`, `batch=1`. Keys of `fc`: `in out`, `batch=1`. Both take the word
/// `relu` (or `relu=1`, `relu=0`).
impl FromStr for Layer {
    type Err = LayerError;

    fn from_str(text: &str) -> Result<Self, LayerError> {
        let mut words = text.split_whitespace();
        let kind = words.next().unwrap_or_default();
        let (keys, required): (_, &[_]) = match kind {
            "conv" => (
                CONV_KEYS,
                &[("cin", "cin"), ("h", "h"), ("w", "w"), ("cout", "cout"), ("k", "kh"), ("k", "kw")],
            ),
            "fc" => (FC_KEYS, &[("in", "cin"), ("out", "cout")]),
            _ => {
                return Err(LayerError::new(
                    format!("kind {kind:?}"),
                    "conv or fc allowed",
                    "start with it, as in `conv cin=64 h=56 w=56 cout=64 k=3 pad=1` or `fc in=2048 out=1000`",
                ));
            }
        };
        let mut spec = LayerSpec::default();
        let mut seen: Vec<&str> = Vec::new();
        for word in words {
            let (key, value) = word.split_once('=').unwrap_or((word, if word == "relu" { "1" } else { "" }));
            if key == "relu" {
                if seen.contains(&"relu") {
                    return Err(LayerError::new(word, "relu is already given", "give it once"));
                }
                seen.push("relu");
                spec.relu = match value {
                    "0" => false,
                    "1" => true,
                    _ => return Err(LayerError::new(word, "0 or 1 allowed", "write relu, relu=1 or relu=0")),
                };
                continue;
            }
            let fields = fields(kind, key).ok_or_else(|| {
                LayerError::new(format!("key {key:?}"), format!("no key of {kind}"), format!("use {keys}"))
            })?;
            let value: u32 = value.parse().map_err(|_| {
                LayerError::new(
                    word,
                    format!("{key} takes a whole number up to {MAX_SIZE}"),
                    format!("write {key}=1, for example"),
                )
            })?;
            for (name, field) in fields {
                if seen.contains(name) {
                    let name = if fields.len() == 1 { &key } else { name };
                    return Err(LayerError::new(word, format!("{name} is already given"), "give it once"));
                }
                seen.push(name);
                *field(&mut spec) = value;
            }
        }
        if let Some((key, _)) = required.iter().find(|(_, name)| !seen.contains(name)) {
            return Err(LayerError::new(
                format!("{text:?}"),
                format!("{key} is missing"),
                format!("add {key}=…; keys of {kind}: {keys}"),
            ));
        }
        Layer::new(spec)
    }
}

/// The shortest text that parses back to the same layer, keys in one fixed order.
impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_fc() {
            write!(f, "fc in={} out={}", self.cin, self.cout)?;
        } else {
            write!(f, "conv cin={} h={} w={} cout={}", self.cin, self.h, self.w, self.cout)?;
            write_keys(f, "k", &[("kh", self.kh), ("kw", self.kw)], None)?;
            write_keys(f, "stride", &[("sh", self.sh), ("sw", self.sw)], Some(1))?;
            let pads = [("pt", self.pt), ("pl", self.pl), ("pb", self.pb), ("pr", self.pr)];
            write_keys(f, "pad", &pads, Some(0))?;
            write_keys(f, "dil", &[("dh", self.dh), ("dw", self.dw)], Some(1))?;
            write_keys(f, "groups", &[("groups", self.groups)], Some(1))?;
        }
        write_keys(f, "batch", &[("batch", self.batch)], Some(1))?;
        if self.relu { f.write_str(" relu") } else { Ok(()) }
    }
}

/// One `all=value` if the values are equal, else each; defaults are left out.
fn write_keys(
    f: &mut fmt::Formatter<'_>,
    all: &str,
    keys: &[(&str, u32)],
    default: Option<u32>,
) -> fmt::Result {
    let first = keys[0].1;
    if keys.iter().all(|&(_, v)| v == first) {
        return if Some(first) == default { Ok(()) } else { write!(f, " {all}={first}") };
    }
    for (key, value) in keys.iter().filter(|&&(_, v)| Some(v) != default) {
        write!(f, " {key}={value}")?;
    }
    Ok(())
}

/// The number format of a layer: operand width and sign, zero points, output range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Quant {
    /// Width of activations and weights: 8 or 16.
    pub operand_bits: u32,
    /// Whether activations (input and output) are signed; weights always are.
    pub signed: bool,
    /// The input that stands for 0.
    pub x_zero: i32,
    /// The output that stands for 0.
    pub y_zero: i32,
    /// Smallest output: that of the type, or `y_zero` after a ReLU.
    pub y_min: i32,
    /// Largest output.
    pub y_max: i32,
}

impl Quant {
    /// Smallest and largest activation of the type.
    pub fn activation_range(&self) -> (i32, i32) {
        let (lo, hi) = self.weight_range();
        if self.signed { (lo, hi) } else { (0, hi - lo) }
    }

    /// Smallest and largest weight of the type.
    pub fn weight_range(&self) -> (i32, i32) {
        (-1 << (self.operand_bits - 1), (1 << (self.operand_bits - 1)) - 1)
    }
}

/// The numbers of one layer. Every activation and weight is held as an i32 whatever its width.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerData {
    /// Activations, `[batch][h][w][cin]`.
    pub input: Vec<i32>,
    /// Weights, `[cout][kh][kw][cin / groups]`, zero point 0.
    pub weights: Vec<i32>,
    /// Per output channel, in units of input scale × weight scale.
    pub bias: Vec<i32>,
    /// Per output channel: input scale × weight scale ÷ output scale.
    pub multipliers: Vec<f32>,
    /// Number format.
    pub quant: Quant,
}

impl LayerData {
    /// Checks that lengths fit `layer` and values their types. Whoever makes data from a file calls this; whoever
    /// takes a `LayerData` relies on it.
    pub fn check(&self, layer: &Layer) -> Result<(), LayerError> {
        let q = &self.quant;
        check_operand_bits(q.operand_bits)?;
        let cout = layer.cout as usize;
        for (name, len, want) in [
            ("input", self.input.len(), layer.input_len()),
            ("weights", self.weights.len(), layer.weight_len()),
            ("bias", self.bias.len(), cout),
            ("multipliers", self.multipliers.len(), cout),
        ] {
            if len != want {
                let (value, limit) =
                    (format!("{name} of {len} elements"), format!("{want} wanted by `{layer}`"));
                return Err(LayerError::new(value, limit, "give data and layer of the same shape"));
            }
        }
        let activations = q.activation_range();
        let scalars = [q.x_zero, q.y_zero, q.y_min, q.y_max];
        for (name, values, (lo, hi)) in [
            ("activation", &self.input[..], activations),
            ("zero point or output limit", &scalars[..], activations),
            ("weight", &self.weights[..], q.weight_range()),
        ] {
            if let Some(value) = values.iter().find(|v| !(lo..=hi).contains(*v)) {
                let limit = format!("{lo} to {hi} allowed at {} bits", q.operand_bits);
                return Err(LayerError::new(
                    format!("{name} {value}"),
                    limit,
                    "quantise to the operand type",
                ));
            }
        }
        if q.y_min > q.y_max {
            let limit = format!("at most y_max={} allowed", q.y_max);
            return Err(LayerError::new(format!("y_min={}", q.y_min), limit, "swap or widen the limits"));
        }
        for &m in &self.multipliers {
            check_multiplier(m).map_err(|e| {
                LayerError::new(format!("{m:e}"), e.to_string(), "or drop the channel if its scale is zero")
            })?;
        }
        Ok(())
    }

    /// Seeded random numbers for `layer`, the same on every machine, at `operand_bits` 8 or 16.
    ///
    /// Inputs and weights fill their types, sign and zero points are random, and bias and multipliers are such that
    /// most outputs spread over the output range and some saturate. A ReLU raises `y_min` to `y_zero`. At 16 bits
    /// sums may wrap around int32, which is defined.
    pub fn random(layer: &Layer, operand_bits: u32, seed: u64) -> Result<Self, LayerError> {
        check_operand_bits(operand_bits)?;
        let state = &mut seed.clone();
        let signed = in_range(state, 0, 1) == 1;
        let mut quant = Quant { operand_bits, signed, x_zero: 0, y_zero: 0, y_min: 0, y_max: 0 };
        let (lo, hi) = quant.activation_range();
        let (w_lo, w_hi) = quant.weight_range();
        let middle = (lo + hi) / 2;
        quant.x_zero = in_range(state, lo, hi);
        quant.y_zero = in_range(state, lo, if layer.relu { middle } else { hi });
        quant.y_min = if layer.relu { quant.y_zero } else { lo };
        quant.y_max = hi;

        let input = (0..layer.input_len()).map(|_| in_range(state, lo, hi)).collect();
        let weights: Vec<i32> = (0..layer.weight_len()).map(|_| in_range(state, w_lo, w_hi)).collect();

        // A sum over inputs of mean `mean` and variance `(hi - lo)² / 12` is spread around `mean * Σw`.
        let mean = f64::from(lo + hi) / 2.0 - f64::from(quant.x_zero);
        let deviation = f64::from(hi - lo) / 12f64.sqrt();
        let span = f64::from(hi - quant.y_min);
        let mut bias = Vec::new();
        let mut multipliers = Vec::new();
        for filter in weights.chunks_exact(layer.weight_len() / layer.cout as usize) {
            let sum: f64 = filter.iter().map(|&w| f64::from(w)).sum();
            let norm = filter.iter().map(|&w| f64::from(w).powi(2)).sum::<f64>().sqrt().max(1.0);
            // The range holds 3 to 6 standard deviations of the sums; beyond 2^32 sums wrap and fill the int32.
            let spread = (deviation * norm).min(2f64.powi(32) / 6.0) * (3.0 + 3.0 * unit(state));
            let multiplier = span / spread;
            let centre = (f64::from(quant.y_min) + span * (0.25 + 0.5 * unit(state))
                - f64::from(quant.y_zero))
                / multiplier;
            // A float-to-int cast saturates.
            bias.push((centre - mean * sum).round() as i32);
            multipliers.push(multiplier as f32);
        }
        Ok(Self { input, weights, bias, multipliers, quant })
    }
}

fn check_operand_bits(bits: u32) -> Result<(), LayerError> {
    match bits {
        8 | 16 => Ok(()),
        _ => Err(LayerError::new(format!("operand_bits={bits}"), "8 or 16 allowed", "choose one of them")),
    }
}

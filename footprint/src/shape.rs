//! Sizes of what an ONNX operator computes, and what kind of work it is.
//!
//! From the specification of the standard operators (onnx.ai, `docs/Operators.md`), and ONNX Runtime's for the quantised
//! ones.

use compiler::onnx::{Attribute, ImportError, Node};

use crate::graph::{Conv, Function, Lag, Op, Role};

pub type Result<T> = std::result::Result<T, ImportError>;

/// Most elements of a constant whose values are kept: shapes, axes, scales.
pub const MOST_VALUES: usize = 4096;
/// Most elements of a tensor.
const MOST_ELEMENTS: u64 = 1 << 50;
/// Most output pixels for which it is worked out how far they may run into their input.
const MOST_PIXELS: u64 = 1 << 22;
/// Most dimensions of one.
const MOST_DIMENSIONS: usize = 16;

/// Numbers of a small constant.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    Ints(Vec<i64>),
    Floats(Vec<f32>),
}

/// What is known of an operator's input.
#[derive(Clone, Debug)]
pub struct Value {
    pub shape: Vec<u64>,
    pub constant: bool,
    pub data: Option<Data>,
}

/// An operator with the sizes of all that it reads.
#[derive(Debug)]
pub struct Inferred {
    pub op: Op,
    /// Of its outputs; what else it could give, as the indices of a MaxPool, is taken for unused.
    pub shapes: Vec<Vec<u64>>,
    /// Which inputs are activations.
    pub activations: Vec<usize>,
    /// Which are parameters, and of what kind.
    pub parameters: Vec<(usize, Role)>,
    pub macs: u64,
    pub lag: Option<Lag>,
    pub lowered: u64,
}

/// The inputs of a node by their place.
pub struct Inputs<'a> {
    pub node: &'a Node,
    pub values: Vec<Option<Value>>,
}

fn error(text: impl std::fmt::Display) -> ImportError {
    ImportError::new(text)
}

/// The product, within limits that no network has.
pub fn count(sizes: &[u64]) -> Result<u64> {
    let product = sizes.iter().try_fold(1u64, |a, &b| a.checked_mul(b));
    product.filter(|&n| n <= MOST_ELEMENTS && sizes.len() <= MOST_DIMENSIONS).ok_or_else(|| {
        error(format!(
            "shape {sizes:?}: at most {MOST_ELEMENTS} elements in {MOST_DIMENSIONS} dimensions; is it right?"
        ))
    })
}

fn size(value: i64) -> Result<u64> {
    u64::try_from(value).map_err(|_| error(format!("size {value}: 0 or more wanted; is the file damaged?")))
}

fn axis(axis: i64, rank: usize) -> Result<usize> {
    let found = if axis < 0 { axis.saturating_add(rank as i64) } else { axis };
    let found = usize::try_from(found).ok().filter(|&a| a < rank);
    found.ok_or_else(|| error(format!("axis {axis} of {rank} dimensions: it does not exist")))
}

impl Inputs<'_> {
    fn get(&self, at: usize) -> Result<&Value> {
        self.values
            .get(at)
            .and_then(Option::as_ref)
            .ok_or_else(|| error(format!("input {at} is missing: the file is damaged")))
    }

    fn shape(&self, at: usize) -> Result<&[u64]> {
        self.get(at).map(|v| &v.shape[..])
    }

    fn is_constant(&self, at: usize) -> bool {
        self.values.get(at).is_some_and(|v| v.as_ref().is_some_and(|v| v.constant))
    }

    /// A list of integers: an attribute, or an input from later opsets on; `None` where neither is there.
    fn list(&self, attribute: &str, at: usize) -> Result<Option<Vec<i64>>> {
        if let Some(values) = self.node.integers(attribute)? {
            return Ok(Some(values.to_vec()));
        }
        match self.values.get(at).and_then(Option::as_ref) {
            None => Ok(None),
            Some(Value { data: Some(Data::Ints(values)), .. }) => Ok(Some(values.clone())),
            Some(_) => Err(error(format!(
                "its {attribute} are computed: only constants are supported; simplify the model"
            ))),
        }
    }

    fn weights(&self, at: usize, role: Role) -> Vec<(usize, Role)> {
        if self.is_constant(at) { vec![(at, role)] } else { vec![] }
    }

    /// Weights, which must be constants, and the bias if there is one.
    fn weighted(&self, weights: usize, bias: usize) -> Result<Vec<(usize, Role)>> {
        if !self.is_constant(weights) {
            return Err(error("its weights are computed: only constants are supported"));
        }
        Ok([self.weights(weights, Role::Weight), self.weights(bias, Role::Weight)].concat())
    }

    fn function(&self, function: Function) -> Result<Inferred> {
        Ok(simple(Op::Function(function), self.shape(0)?.to_vec()))
    }

    /// A function of two or more elements: constants among them are parameters.
    fn elementwise(&self, places: &[usize], of_two: Op, alone: Function) -> Result<Inferred> {
        let mut shape = Vec::new();
        for &at in places {
            shape = broadcast(&shape, self.shape(at)?)?;
        }
        let (constants, activations): (Vec<usize>, Vec<usize>) =
            places.iter().partition(|&&at| self.is_constant(at));
        // A scalar is part of the operator.
        let trained = constants
            .into_iter()
            .filter(|&at| self.values[at].as_ref().is_some_and(|v| v.shape.iter().any(|&n| n > 1)));
        let parameters = trained.map(|at| (at, Role::Norm)).collect();
        let op = if activations.len() > 1 { of_two } else { Op::Function(alone) };
        Ok(Inferred { op, shapes: vec![shape], activations, parameters, macs: 0, lag: None, lowered: 0 })
    }

    fn reduced(&self, op: Op) -> Result<Inferred> {
        let shape = self.shape(0)?;
        let keep = self.node.int("keepdims", 1)? != 0;
        let axes = match self.list("axes", 1)? {
            Some(axes) => axes,
            None if self.node.attributes.contains_key("axis") => vec![self.node.int("axis", 0)?],
            None => (0..shape.len() as i64).collect(),
        };
        let axes: Vec<usize> = axes.into_iter().map(|a| axis(a, shape.len())).collect::<Result<_>>()?;
        let sizes = shape.iter().enumerate().filter(|(i, _)| keep || !axes.contains(i));
        Ok(simple(op, sizes.map(|(i, &n)| if axes.contains(&i) { 1 } else { n }).collect()))
    }
}

fn simple(op: Op, shape: Vec<u64>) -> Inferred {
    Inferred {
        op,
        shapes: vec![shape],
        activations: vec![0],
        parameters: vec![],
        macs: 0,
        lag: None,
        lowered: 0,
    }
}

fn broadcast(a: &[u64], b: &[u64]) -> Result<Vec<u64>> {
    let rank = a.len().max(b.len());
    let from_end = |s: &[u64], i: usize| if i < s.len() { s[s.len() - 1 - i] } else { 1 };
    let sizes = (0..rank).rev().map(|i| match (from_end(a, i), from_end(b, i)) {
        (1, n) | (n, 1) => Ok(n),
        (n, m) if n == m => Ok(n),
        _ => Err(error(format!("shapes {a:?} and {b:?} do not go together"))),
    });
    sizes.collect()
}

/// A window that slides over a map.
struct Sliding {
    kernel: Vec<u64>,
    strides: Vec<u64>,
    dilations: Vec<u64>,
    /// Before and after, along each axis.
    pads: Vec<(i64, i64)>,
    same: bool,
}

impl Sliding {
    fn new(node: &Node, rank: usize, weights: Option<&[u64]>) -> Result<Self> {
        let sizes = |name: &str| -> Result<Option<Vec<u64>>> {
            node.integers(name)?.map(|v| v.iter().map(|&n| size(n)).collect()).transpose()
        };
        let kernel = match (sizes("kernel_shape")?, weights) {
            (Some(kernel), _) => kernel,
            (None, Some(weights)) => weights.to_vec(),
            (None, None) => return Err(error("kernel_shape is missing: the file is damaged")),
        };
        let ones = || vec![1; rank];
        let strides = sizes("strides")?.unwrap_or_else(ones);
        let dilations = sizes("dilations")?.unwrap_or_else(ones);
        let pads = node.integers("pads")?.map_or_else(|| vec![0; 2 * rank], <[i64]>::to_vec);
        let same = match node.attributes.get("auto_pad") {
            Some(Attribute::Text(mode)) if mode.starts_with("SAME") => true,
            Some(Attribute::Text(mode)) if !matches!(mode.as_str(), "" | "NOTSET" | "VALID") => {
                return Err(error(format!("auto_pad={mode}: NOTSET, VALID or SAME_* wanted")));
            }
            _ => false,
        };
        let fits = [&kernel, &strides, &dilations].iter().all(|v| v.len() == rank && !v.contains(&0));
        if !fits || pads.len() != 2 * rank || pads.iter().any(|p| p.unsigned_abs() > 1 << 32) {
            return Err(error(format!(
                "kernel_shape {kernel:?}, strides {strides:?}, dilations {dilations:?}, pads {pads:?}: {rank} sizes of 1 or more, and \
                 two pads for each, wanted"
            )));
        }
        let (before, after) = pads.split_at(rank);
        let pads = before.iter().copied().zip(after.iter().copied()).collect();
        Ok(Self { kernel, strides, dilations, pads, same })
    }

    fn reach(&self, i: usize) -> u64 {
        self.dilations[i].saturating_mul(self.kernel[i] - 1).saturating_add(1)
    }

    /// Output sizes on a map.
    fn over(&self, map: &[u64], ceil: bool) -> Result<Vec<u64>> {
        let along = |(i, &n): (usize, &u64)| {
            let (before, after) = self.pads[i];
            let stride = self.strides[i];
            if self.same {
                return Ok(n.div_ceil(stride));
            }
            let padded = i128::from(n) + i128::from(before) + i128::from(after);
            let room = u64::try_from(padded - i128::from(self.reach(i))).map_err(|_| {
                error(format!(
                    "a window of {} on {n} with pads {:?}: it does not fit",
                    self.reach(i),
                    self.pads[i]
                ))
            })?;
            let mut out = if ceil { room.div_ceil(stride) } else { room / stride } + 1;
            // The last window starts inside the map or the padding before it.
            if ceil && i128::from(out - 1) * i128::from(stride) >= i128::from(n) + i128::from(before) {
                out -= 1;
            }
            Ok(out)
        };
        map.iter().enumerate().map(along).collect()
    }

    /// How far outputs may run into the map that they are of; `None` for maps of other than two dimensions, and for ones so
    /// large that no place on chip is asked for.
    fn lag(&self, map: &[u64], output: &[u64], cin: u64, cout: u64) -> Option<Lag> {
        let (&[h, w], &[oh, ow]) = (map, output) else { return None };
        if self.same || oh.checked_mul(ow)? > MOST_PIXELS {
            return None;
        }
        let [i64h, i64w] = [h, w].map(|n| i64::try_from(n).ok());
        let (h, w) = (i64h?, i64w?);
        let (sh, sw) = (i64::try_from(self.strides[0]).ok()?, i64::try_from(self.strides[1]).ok()?);
        let ends = [self.reach(0), self.reach(1)].map(|n| i64::try_from(n).ok());
        let (rows, columns) = (ends[0]?, ends[1]?);
        // Pixels of the map before the first that an output reads, and behind the last one.
        let before = |y: i64, x: i64| {
            let (top, left) = (y * sh - self.pads[0].0, x * sw - self.pads[1].0);
            top.clamp(0, h) * w + left.clamp(0, w)
        };
        let behind = |y: i64, x: i64| {
            let (bottom, right) = (y * sh - self.pads[0].0 + rows, x * sw - self.pads[1].0 + columns);
            (h - bottom.clamp(0, h)) * w + (w - right.clamp(0, w))
        };
        let (oh, ow) = (i64::try_from(oh).ok()?, i64::try_from(ow).ok()?);
        let (cin, cout) = (i128::from(cin), i128::from(cout));
        let lag = |pixels: &mut dyn Iterator<Item = i64>| {
            // In reverse: what outputs after this one read first, and how many outputs there are up to it.
            let (mut needed, mut lag, mut written) = (None, 0, i128::from(oh * ow));
            for first in pixels {
                if let Some(needed) = needed {
                    lag = lag.max(written * cout - needed * cin);
                }
                needed = Some(needed.map_or(i128::from(first), |n: i128| n.min(first.into())));
                written -= 1;
            }
            u64::try_from(lag).ok()
        };
        let raster = || (0..oh).flat_map(|y| (0..ow).map(move |x| (y, x)));
        let forward = lag(&mut raster().rev().map(|(y, x)| before(y, x)))?;
        let backward = lag(&mut raster().map(|(y, x)| behind(y, x)))?;
        Some(Lag { forward, backward })
    }

    /// Whether each output is of the element at its own place.
    fn is_point(&self) -> bool {
        let none = |v: &[u64]| v.iter().all(|&n| n == 1);
        none(&self.kernel) && none(&self.strides) && self.pads.iter().all(|p| *p == (0, 0))
    }
}

/// Images, channels and map of an activation.
fn map(shape: &[u64]) -> Result<(u64, u64, &[u64])> {
    match shape {
        [images, channels, map @ ..] if !map.is_empty() => Ok((*images, *channels, map)),
        _ => Err(error(format!("input of shape {shape:?}: images, channels and a map wanted"))),
    }
}

fn convolution(of: &Inputs, weights: usize, bias: usize) -> Result<Inferred> {
    let (images, cin, input) = map(of.shape(0)?)?;
    let [cout, depth, kernel @ ..] = of.shape(weights)? else {
        return Err(error("weights of less than two dimensions: the file is damaged"));
    };
    let groups = size(of.node.int("group", 1)?)?;
    if groups == 0 || depth.checked_mul(groups) != Some(cin) {
        return Err(error(format!(
            "{cin} channels for weights of {depth} in {groups} groups: the file is damaged"
        )));
    }
    let window = Sliding::new(of.node, input.len(), Some(kernel))?;
    let output = window.over(input, false)?;
    let shape = [&[images, *cout], &output[..]].concat();
    let taps = count(&window.kernel)?;
    let lowered = if window.is_point() { 0 } else { count(&[&[images, cin, taps], &output[..]].concat())? };
    Ok(Inferred {
        macs: count(&[&shape[..], &[*depth, taps]].concat())?,
        lag: window.lag(input, &output, cin, *cout),
        op: Op::Conv(Conv { kernel: window.kernel, depth: *depth, groups, transposed: false }),
        shapes: vec![shape],
        activations: vec![0],
        parameters: of.weighted(weights, bias)?,
        lowered,
    })
}

fn transposed(of: &Inputs) -> Result<Inferred> {
    let (images, cin, input) = map(of.shape(0)?)?;
    let [_, depth, kernel @ ..] = of.shape(1)? else {
        return Err(error("weights of less than two dimensions: the file is damaged"));
    };
    let groups = size(of.node.int("group", 1)?)?;
    let window = Sliding::new(of.node, input.len(), Some(kernel))?;
    let extra = of.node.integers("output_padding")?.map_or_else(|| vec![0; input.len()], <[i64]>::to_vec);
    let stated = of.node.integers("output_shape")?;
    let along = |(i, &n): (usize, &u64)| {
        if let Some(&stated) = stated.and_then(|s| s.get(i)) {
            return size(stated);
        }
        let stride = i128::from(window.strides[i]);
        if window.same {
            return count(&[n, window.strides[i]]);
        }
        let (before, after) = window.pads[i];
        let out = (i128::from(n) - 1) * stride
            + i128::from(extra.get(i).copied().unwrap_or(0))
            + i128::from(window.reach(i))
            - i128::from(before)
            - i128::from(after);
        u64::try_from(out)
            .map_err(|_| error(format!("an output of {out} rows or columns: the file is damaged")))
    };
    let output: Vec<u64> = input.iter().enumerate().map(along).collect::<Result<_>>()?;
    let shape = [&[images, count(&[*depth, groups])?], &output[..]].concat();
    let taps = count(&window.kernel)?;
    Ok(Inferred {
        macs: count(&[&[images, cin], input, &[*depth, taps]].concat())?,
        lowered: if window.is_point() {
            0
        } else {
            count(&[&[images, *depth, groups, taps], input].concat())?
        },
        op: Op::Conv(Conv { kernel: window.kernel, depth: *depth, groups, transposed: true }),
        shapes: vec![shape],
        activations: vec![0],
        parameters: of.weighted(1, 2)?,
        lag: None,
    })
}

/// `a` × `b`, matrices in their last two dimensions.
fn product(of: &Inputs, a: usize, b: usize, bias: Option<usize>) -> Result<Inferred> {
    let (mut left, mut right) = (of.shape(a)?.to_vec(), of.shape(b)?.to_vec());
    if bias.is_some() {
        for (shape, name) in [(&mut left, "transA"), (&mut right, "transB")] {
            if of.node.int(name, 0)? != 0 {
                shape.reverse();
            }
        }
    }
    let (flat_left, flat_right) = (left.len() == 1, right.len() == 1);
    if flat_left {
        left.insert(0, 1);
    }
    if flat_right {
        right.push(1);
    }
    let ([batch_left @ .., m, k], [batch_right @ .., k_too, n]) = (&left[..], &right[..]) else {
        return Err(error("a product of scalars: the file is damaged"));
    };
    if k != k_too {
        return Err(error(format!("a product of {left:?} and {right:?}: inner sizes differ")));
    }
    let batch = broadcast(batch_left, batch_right)?;
    let macs = count(&[&batch[..], &[*m, *n, *k]].concat())?;
    let mut shape = batch;
    shape.extend((!flat_left).then_some(*m));
    shape.extend((!flat_right).then_some(*n));
    let fixed = of.is_constant(b);
    let mut parameters = of.weights(b, Role::Weight);
    parameters.extend(bias.map(|c| of.weights(c, Role::Weight)).unwrap_or_default());
    let activations = if fixed { vec![a] } else { vec![a, b] };
    let op = if fixed { Op::Dense(*k) } else { Op::Product(*k) };
    Ok(Inferred { op, shapes: vec![shape], activations, parameters, macs, lag: None, lowered: 0 })
}

/// A recurrent layer of so many gates: all outputs, one step of time after the other. The last states, and what a gradient
/// needs of the gates, are not counted.
fn recurrent(of: &Inputs, gates: u64) -> Result<Inferred> {
    let parameters = [of.weighted(1, 3)?, of.weights(2, Role::Weight)].concat();
    let (&[steps, images, inputs], &[directions, rows, _]) = (of.shape(0)?, of.shape(1)?) else {
        return Err(error(
            "inputs of steps x images x elements, and weights of directions x gates x elements, are wanted",
        ));
    };
    let hidden = rows / gates;
    let macs = count(&[steps, images, directions, rows, inputs.saturating_add(hidden)])?;
    let shape = vec![steps, directions, images, hidden];
    Ok(Inferred { parameters, macs, ..simple(Op::Dense(inputs.saturating_add(hidden)), shape) })
}

fn pooled(of: &Inputs, largest: bool) -> Result<Inferred> {
    let (images, channels, input) = map(of.shape(0)?)?;
    let window = Sliding::new(of.node, input.len(), None)?;
    let output = window.over(input, of.node.int("ceil_mode", 0)? != 0)?;
    let op = Op::Pool { window: count(&window.kernel)?, largest };
    let lag = window.lag(input, &output, channels, channels);
    Ok(Inferred { lag, ..simple(op, [&[images, channels], &output[..]].concat()) })
}

fn pooled_whole(of: &Inputs, largest: bool) -> Result<Inferred> {
    let shape = of.shape(0)?;
    let (images, channels, input) = map(shape)?;
    let last = of.node.int("channels_last", 0)? != 0;
    let ones = || input.iter().map(|_| 1);
    let pooled: Vec<u64> = if last {
        [images].into_iter().chain(ones()).chain(shape.last().copied()).collect()
    } else {
        [images, channels].into_iter().chain(ones()).collect()
    };
    let window = count(shape)? / count(&pooled)?.max(1);
    Ok(simple(Op::Pool { window, largest }, pooled))
}

fn reshaped(of: &Inputs) -> Result<Vec<u64>> {
    let input = of.shape(0)?;
    let target = of.list("shape", 1)?.ok_or_else(|| error("it has no shape: the file is damaged"))?;
    let all = count(input)?;
    let mut shape = Vec::new();
    for (i, &n) in target.iter().enumerate() {
        shape.push(match n {
            0 if of.node.int("allowzero", 0)? == 0 => {
                *input.get(i).ok_or_else(|| error("a size of 0 copies none"))?
            }
            -1 => u64::MAX,
            _ => size(n)?,
        });
    }
    let known: Vec<u64> = shape.iter().copied().filter(|&n| n != u64::MAX).collect();
    let known = count(&known)?;
    for n in shape.iter_mut().filter(|n| **n == u64::MAX) {
        *n = all / known.max(1);
    }
    if count(&shape)? != all {
        return Err(error(format!(
            "{input:?} as {target:?}: another number of elements; is the batch fixed?"
        )));
    }
    Ok(shape)
}

fn viewed(of: &Inputs) -> Result<Vec<u64>> {
    let input = of.shape(0)?;
    match of.node.op.as_str() {
        "Reshape" => reshaped(of),
        "Flatten" => {
            let at = of.node.int("axis", 1)?;
            let at = if at == input.len() as i64 { input.len() } else { axis(at, input.len())? };
            Ok(vec![count(&input[..at])?, count(&input[at..])?])
        }
        "Squeeze" => {
            let axes = of.list("axes", 1)?;
            let axes: Option<Vec<usize>> = axes
                .map(|a| a.into_iter().map(|a| axis(a, input.len())).collect::<Result<_>>())
                .transpose()?;
            let goes = |i: usize, n: u64| axes.as_ref().map_or(n == 1, |a| a.contains(&i));
            Ok(input.iter().enumerate().filter(|&(i, &n)| !goes(i, n)).map(|(_, &n)| n).collect())
        }
        "Unsqueeze" => {
            let axes = of.list("axes", 1)?.unwrap_or_default();
            let rank = input.len() + axes.len();
            let axes: Vec<usize> = axes.into_iter().map(|a| axis(a, rank)).collect::<Result<_>>()?;
            let mut rest = input.iter().copied();
            Ok((0..rank).map(|i| if axes.contains(&i) { 1 } else { rest.next().unwrap_or(1) }).collect())
        }
        _ => Ok(input.to_vec()),
    }
}

fn sliced(of: &Inputs) -> Result<Vec<u64>> {
    let mut shape = of.shape(0)?.to_vec();
    let missing = || error("a slice without bounds: the file is damaged");
    let starts = of.list("starts", 1)?.ok_or_else(missing)?;
    let ends = of.list("ends", 2)?.ok_or_else(missing)?;
    let axes = of.list("axes", 3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = of.list("steps", 4)?.unwrap_or_else(|| vec![1; starts.len()]);
    for (((&start, &end), &along), &step) in starts.iter().zip(&ends).zip(&axes).zip(&steps) {
        let i = axis(along, shape.len())?;
        let n = shape[i] as i64;
        let place = |p: i64| if p < 0 { p.saturating_add(n) } else { p };
        let length = match step {
            0 => return Err(error("a slice with steps of 0: the file is damaged")),
            1.. => (place(end).clamp(0, n) - place(start).clamp(0, n)).max(0),
            _ => (place(start).clamp(-1, n - 1) - if end < -n { -1 } else { place(end).clamp(-1, n - 1) })
                .max(0),
        };
        shape[i] = (length as u64).div_ceil(step.unsigned_abs());
    }
    Ok(shape)
}

fn moved(of: &Inputs) -> Result<Vec<u64>> {
    let input = of.shape(0)?;
    let missing = |what: &str| error(format!("it has no {what}: the file is damaged"));
    let scaled = |scales: &[f32]| -> Vec<u64> {
        input.iter().zip(scales).map(|(&n, &s)| (n as f64 * f64::from(s)).floor() as u64).collect()
    };
    let floats = |at: usize| match of.values.get(at).and_then(Option::as_ref).and_then(|v| v.data.as_ref()) {
        Some(Data::Floats(scales)) if scales.len() == input.len() => Some(scales.clone()),
        _ => None,
    };
    match of.node.op.as_str() {
        "Transpose" => match of.node.integers("perm")? {
            None => Ok(input.iter().rev().copied().collect()),
            Some(order) => order.iter().map(|&a| axis(a, input.len()).map(|a| input[a])).collect(),
        },
        "Pad" => {
            let pads = of.list("pads", 1)?.ok_or_else(|| missing("pads"))?;
            let axes = of.list("axes", 3)?.unwrap_or_else(|| (0..input.len() as i64).collect());
            let mut shape = input.to_vec();
            for (k, &along) in axes.iter().enumerate() {
                let i = axis(along, input.len())?;
                let both =
                    pads.get(k).zip(pads.get(k + axes.len())).ok_or_else(|| missing("pads for each axis"))?;
                shape[i] = size((shape[i] as i64).saturating_add(*both.0).saturating_add(*both.1))?;
            }
            Ok(shape)
        }
        "Slice" => sliced(of),
        "Resize" | "Upsample" => {
            if let Some(sizes) = of.list("sizes", 3)?.filter(|s| !s.is_empty()) {
                return sizes.into_iter().map(size).collect();
            }
            let attribute = match of.node.attributes.get("scales") {
                Some(Attribute::Floats(scales)) => Some(scales.clone()),
                _ => None,
            };
            let at = if of.node.op == "Upsample" || of.values.len() == 2 { 1 } else { 2 };
            let scales = attribute.or_else(|| floats(at));
            Ok(scaled(&scales.ok_or_else(|| missing("constant scales or sizes"))?))
        }
        "DepthToSpace" | "SpaceToDepth" => {
            let (images, channels, map) = map(input)?;
            let block = size(of.node.int("blocksize", 1)?)?.max(1);
            let area = count(&vec![block; map.len()])?;
            let (channels, map): (u64, Vec<u64>) = if of.node.op == "DepthToSpace" {
                (channels / area, map.iter().map(|n| n.saturating_mul(block)).collect())
            } else {
                (count(&[channels, area])?, map.iter().map(|n| n / block).collect())
            };
            Ok([&[images, channels], &map[..]].concat())
        }
        "Expand" => {
            let target = of.list("shape", 1)?.ok_or_else(|| missing("shape"))?;
            broadcast(input, &target.into_iter().map(size).collect::<Result<Vec<u64>>>()?)
        }
        "Tile" => {
            let repeats = of.list("repeats", 1)?.ok_or_else(|| missing("repeats"))?;
            input.iter().zip(repeats).map(|(&n, r)| Ok(n.saturating_mul(size(r)?))).collect()
        }
        _ => {
            // Gather.
            let i = axis(of.node.int("axis", 0)?, input.len())?;
            Ok([&input[..i], of.shape(1)?, &input[i + 1..]].concat())
        }
    }
}

fn split(of: &Inputs) -> Result<Vec<Vec<u64>>> {
    let input = of.shape(0)?;
    let i = axis(of.node.int("axis", 0)?, input.len())?;
    let parts = of.node.outputs.len().max(1) as u64;
    let sizes: Vec<u64> = match of.list("split", 1)? {
        Some(sizes) => sizes.into_iter().map(size).collect::<Result<_>>()?,
        None => {
            let each = input[i].div_ceil(parts);
            (0..parts).map(|k| each.min(input[i].saturating_sub(k * each))).collect()
        }
    };
    let part = |n: u64| {
        let mut shape = input.to_vec();
        shape[i] = n;
        shape
    };
    Ok(sizes.into_iter().map(part).collect())
}

fn concatenated(of: &Inputs, places: Vec<usize>) -> Result<Inferred> {
    let mut shape =
        of.shape(*places.first().ok_or_else(|| error("it joins nothing: the file is damaged"))?)?.to_vec();
    let i = axis(of.node.int("axis", 1)?, shape.len())?;
    let mut sum = 0u64;
    for &at in &places {
        let n = *of.shape(at)?.get(i).ok_or_else(|| error("it joins maps of different ranks"))?;
        sum = sum.saturating_add(n);
    }
    shape[i] = sum;
    let activations = places.iter().copied().filter(|&at| !of.is_constant(at)).collect();
    Ok(Inferred {
        op: Op::Concat,
        shapes: vec![shape],
        activations,
        parameters: vec![],
        macs: 0,
        lag: None,
        lowered: 0,
    })
}

/// What the node computes from inputs of these sizes.
pub fn infer(of: &Inputs) -> Result<Inferred> {
    let all = || -> Vec<usize> { (0..of.values.len()).filter(|&at| of.values[at].is_some()).collect() };
    let normalised = |parameters: &[(usize, Role)]| -> Result<Inferred> {
        let parameters = parameters.iter().copied().filter(|&(at, _)| of.is_constant(at)).collect();
        Ok(Inferred { parameters, ..simple(Op::Norm, of.shape(0)?.to_vec()) })
    };
    let inferred = match of.node.op.as_str() {
        "Conv" | "ConvInteger" => convolution(of, 1, 2),
        "QLinearConv" => convolution(of, 3, 8),
        "ConvTranspose" => transposed(of),
        "Gemm" => product(of, 0, 1, Some(2)),
        "QGemm" => product(of, 0, 3, Some(6)),
        "MatMul" | "MatMulInteger" => product(of, 0, 1, None),
        "GRU" => recurrent(of, 3),
        "LSTM" => recurrent(of, 4),
        "RNN" => recurrent(of, 1),
        "QLinearMatMul" => product(of, 0, 3, None),
        "MaxPool" => pooled(of, true),
        "AveragePool" | "QLinearAveragePool" | "LpPool" => pooled(of, false),
        "GlobalAveragePool" | "QLinearGlobalAveragePool" | "GlobalLpPool" => pooled_whole(of, false),
        "GlobalMaxPool" => pooled_whole(of, true),
        "BatchNormalization" => {
            normalised(&[(1, Role::Norm), (2, Role::Norm), (3, Role::Statistic), (4, Role::Statistic)])
        }
        "InstanceNormalization" | "LayerNormalization" | "GroupNormalization" | "RMSNormalization" => {
            normalised(&[(1, Role::Norm), (2, Role::Norm)])
        }
        "Relu" | "Clip" | "LeakyRelu" | "Sigmoid" | "Tanh" | "Elu" | "Selu" | "Celu" | "HardSigmoid"
        | "Exp" | "Sqrt" | "Reciprocal" | "ThresholdedRelu" | "QLinearLeakyRelu" | "QLinearSigmoid" => {
            of.function(Function::ByOutput)
        }
        "HardSwish" | "Gelu" | "Mish" | "Softplus" | "Softsign" | "Erf" | "Log" | "Abs" | "Sin" | "Cos"
        | "Swish" => of.function(Function::ByInput),
        "Neg" | "Cast" | "Floor" | "Ceil" | "Round" | "Sign" | "Not" | "QuantizeLinear"
        | "DequantizeLinear" => of.function(Function::Linear),
        "Add" | "Sum" | "Sub" => of.elementwise(&all(), Op::Add, Function::Linear),
        "QLinearAdd" => of.elementwise(&[0, 3], Op::Add, Function::Linear),
        "Mul" | "Div" => of.elementwise(&all(), Op::Mul, Function::Linear),
        "QLinearMul" => of.elementwise(&[0, 3], Op::Mul, Function::Linear),
        "Pow" | "Max" | "Min" | "PRelu" | "Mod" | "Where" | "Equal" | "Greater" | "Less" | "And" | "Or" => {
            of.elementwise(&all(), Op::Mul, Function::ByInput)
        }
        "Concat" => concatenated(of, all()),
        "QLinearConcat" => concatenated(of, (2..of.values.len()).step_by(3).collect()),
        "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" | "Identity" | "Dropout" => {
            Ok(simple(Op::View, viewed(of)?))
        }
        "Transpose" | "Pad" | "Slice" | "Resize" | "Upsample" | "DepthToSpace" | "SpaceToDepth"
        | "Expand" | "Tile" | "Gather" => Ok(simple(Op::Move, moved(of)?)),
        "Split" => Ok(Inferred { shapes: split(of)?, ..simple(Op::Move, vec![]) }),
        "ReduceMean" | "ReduceSum" | "ReduceMax" | "ReduceMin" | "ReduceProd" | "ReduceL2" | "ArgMax"
        | "ArgMin" => of.reduced(Op::Reduce),
        "Softmax" | "LogSoftmax" | "LRN" | "QLinearSoftmax" | "LpNormalization" | "Hardmax" => {
            Ok(simple(Op::Across, of.shape(0)?.to_vec()))
        }
        op => Err(error(format!(
            "operator {op} is not one whose sizes are known: replace it, or leave it out of the exported graph"
        ))),
    }?;
    for shape in &inferred.shapes {
        count(shape)?;
    }
    Ok(inferred)
}

/// The integers that an operator on small constants gives: exporters compute shapes so.
pub fn folded(of: &Inputs) -> Result<Option<Vec<i64>>> {
    let ints = |at: usize| match of.values.get(at).and_then(Option::as_ref).and_then(|v| v.data.as_ref()) {
        Some(Data::Ints(values)) => Some(values.as_slice()),
        _ => None,
    };
    let of_two = |f: fn(i64, i64) -> Option<i64>| -> Option<Vec<i64>> {
        let (a, b) = (ints(0)?, ints(1)?);
        let n = a.len().max(b.len());
        let at = |v: &[i64], i: usize| if v.len() == 1 { v.first().copied() } else { v.get(i).copied() };
        (0..n).map(|i| f(at(a, i)?, at(b, i)?)).collect()
    };
    Ok(match of.node.op.as_str() {
        "Shape" => Some(of.shape(0)?.iter().map(|&n| n as i64).collect()),
        "Identity" | "Cast" | "Squeeze" | "Unsqueeze" | "Reshape" => ints(0).map(<[i64]>::to_vec),
        "Concat" => (0..of.values.len()).map(ints).collect::<Option<Vec<_>>>().map(|parts| parts.concat()),
        "Gather" => ints(0).zip(ints(1)).and_then(|(values, places)| {
            let at = |&p: &i64| axis(p, values.len()).ok().map(|p| values[p]);
            places.iter().map(at).collect()
        }),
        "Slice" => match (ints(0), ints(1), ints(2)) {
            (Some(values), Some(&[start]), Some(&[end])) if of.values.len() < 5 => {
                let n = values.len() as i64;
                let place = |p: i64| (if p < 0 { p.saturating_add(n) } else { p }).clamp(0, n) as usize;
                Some(values.get(place(start)..place(end)).unwrap_or_default().to_vec())
            }
            _ => None,
        },
        "Add" => of_two(i64::checked_add),
        "Sub" => of_two(i64::checked_sub),
        "Mul" => of_two(i64::checked_mul),
        "Div" => of_two(i64::checked_div),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Draw(u64);

    impl Draw {
        fn below(&mut self, n: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) % n
        }
    }

    /// Computes a map pixel by pixel over its input, whose start is `shift` elements behind the output's: whether each read
    /// finds what the input held. Backward, everything is turned round.
    fn survives(
        window: &Sliding,
        map: [u64; 2],
        output: &[u64],
        channels: [u64; 2],
        shift: i64,
        backward: bool,
    ) -> bool {
        let ([h, w], [cin, cout]) = (map, channels.map(|c| c as i64));
        let (inputs, outputs) = ((h * w) as i64 * cin, (output[0] * output[1]) as i64 * cout);
        let base = outputs + inputs;
        let mut memory = vec![-1; (3 * base) as usize];
        let place = |element: i64| (if backward { -1 } else { 1 }) * element + base + base / 2;
        // Element 0 is the first one that is written or read in this order.
        for element in 0..inputs {
            memory[place(shift + element) as usize] = element;
        }
        let along = |i: usize, out: u64, tap: u64, size: u64| {
            let at = (out * window.strides[i] + tap * window.dilations[i]) as i64 - window.pads[i].0;
            (0..size as i64).contains(&at).then_some(at)
        };
        let turned = |n: u64, size: u64| if backward { size - 1 - n } else { n };
        let mut written = 0;
        for y in (0..output[0]).map(|y| turned(y, output[0])) {
            for x in (0..output[1]).map(|x| turned(x, output[1])) {
                for (ky, kx) in
                    (0..window.kernel[0]).flat_map(|ky| (0..window.kernel[1]).map(move |kx| (ky, kx)))
                {
                    let (Some(row), Some(column)) = (along(0, y, ky, h), along(1, x, kx, w)) else {
                        continue;
                    };
                    let pixel = row * w as i64 + column;
                    let pixel = if backward { (h * w) as i64 - 1 - pixel } else { pixel };
                    if (0..cin).any(|c| memory[place(shift + pixel * cin + c) as usize] != pixel * cin + c) {
                        return false;
                    }
                }
                for _ in 0..cout {
                    memory[place(written) as usize] = -2;
                    written += 1;
                }
            }
        }
        true
    }

    #[test]
    fn outputs_run_into_their_input_no_further_than_they_may() {
        let mut d = Draw(1);
        let mut tight = 0;
        for _ in 0..3000 {
            let mut two = |n: u64, least: u64| [least + d.below(n), least + d.below(n)];
            let (kernel, strides, dilations) = (two(4, 1), two(3, 1), two(2, 1));
            let (map, channels, [before, after]) = (two(9, 1), two(4, 1), [two(3, 0), two(3, 0)]);
            let pads = (0..2).map(|i| (before[i] as i64, after[i] as i64)).collect();
            let [kernel, strides, dilations] = [kernel, strides, dilations].map(|v| v.to_vec());
            let window = Sliding { kernel, strides, dilations, pads, same: false };
            let Ok(output) = window.over(&map, false) else { continue };
            let lag = window.lag(&map, &output, channels[0], channels[1]).unwrap();
            for (lag, backward) in [(lag.forward, false), (lag.backward, true)] {
                let lag = lag as i64;
                assert!(survives(&window, map, &output, channels, lag, backward), "{map:?} {backward}");
                tight += i64::from(lag > 0 && !survives(&window, map, &output, channels, lag - 1, backward));
            }
        }
        assert!(tight > 1500, "{tight} of the lags are the least");
    }
}

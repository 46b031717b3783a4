//! Execution in plain loops. Convolutions are those of crate `reference`; the formulas of the other operators are ONNX
//! Runtime's, f32 throughout.

use spec::layer::Layer;
use spec::requant::requantise;

use super::import::{HostStep, Outcome};
use super::{Average, ConvData, Network, Node, OpKind, TensorId, TensorInfo, Window};
use crate::npy::{TO_NCHW, Tensor, Type, Values};
use crate::onnx::ImportError;
use crate::table::{Scale, element};

type Result<T> = std::result::Result<T, ImportError>;

impl Network {
    /// An image of `array` as the network's only input, ready for [`Network::run`].
    ///
    /// `array` has the shape of the file's input, or is NHWC where that is NCHW. Its elements are, where the input is
    /// float: floats, uint8 pixels, which are divided by 255, or int8, quantised already; else of the input's type.
    pub fn quantise_input(&self, array: &Tensor, image: usize) -> Result<Vec<i32>> {
        let [feed] = &self.feeds[..] else {
            return Err(ImportError::new(format!("{} network inputs: one wanted", self.feeds.len())));
        };
        let ty = self.tensors[self.inputs[0]].ty;
        let image = array.image(image)?;
        let shape = feed.view.shape();
        let turned = (image.shape.len() == 4).then(|| image.permute(TO_NCHW));
        let image =
            [Some(&image), turned.as_ref()].into_iter().flatten().find(|t| t.shape[1..] == shape[1..]);
        let quantise = |x: f32| feed.scale.quantise(feed.maps.iter().fold(x, |x, map| map.of(x)));
        let values: Option<Vec<i32>> = image.and_then(|image| match (&image.values, image.ty, feed.ty) {
            (Values::Floats(x), _, Type::F32) => Some(x.iter().map(|&x| quantise(x)).collect()),
            (Values::Ints(x), Type::U8, Type::F32) => {
                Some(x.iter().map(|&x| quantise(x as f32 / 255.0)).collect())
            }
            (Values::Ints(x), given, _) if given == ty => Some(x.clone()),
            _ => None,
        });
        let values = values.ok_or_else(|| {
            ImportError::new(format!(
                "array of shape {:?} ({:?}): the network's input {} is {shape:?} ({:?}); give that, NCHW or NHWC, as .npy",
                array.shape, array.ty, feed.name, feed.ty
            ))
        })?;
        let mut placed = vec![0; values.len()];
        for (place, value) in feed.view.places().into_iter().zip(values) {
            placed[place] = value;
        }
        Ok(placed)
    }

    /// The values of every tensor for one image, each as its [`TensorInfo`] says. `input` is that of
    /// [`Network::quantise_input`]; `None` stands for what cannot be computed because the network has more inputs.
    pub fn run(&self, input: Vec<i32>) -> Result<Vec<Option<Vec<i32>>>> {
        let mut values: Vec<Option<Vec<i32>>> = vec![None; self.tensors.len()];
        if let Some(&id) = self.inputs.first() {
            let (info, (lo, hi)) = (&self.tensors[id], self.tensors[id].range());
            if input.len() != info.len() || input.iter().any(|v| !(lo..=hi).contains(v)) {
                return Err(ImportError::new(format!(
                    "input of {} elements: {} of {lo} to {hi} wanted",
                    input.len(),
                    info.len()
                )));
            }
            values[id] = Some(input);
        }
        for (&id, constant) in &self.constants {
            values[id] = Some(constant.clone());
        }
        for node in &self.nodes {
            let inputs: Option<Vec<&[i32]>> = node.inputs.iter().map(|&id| values[id].as_deref()).collect();
            values[node.output] = inputs.map(|inputs| self.eval(node, &inputs));
        }
        Ok(values)
    }

    /// The outputs of the file, in its order, with their names: what the host makes of [`Network::run`]'s values.
    pub fn host_outputs(&self, values: &[Option<Vec<i32>>]) -> Result<Vec<(String, Tensor)>> {
        let outcome = |outcome: &Outcome| {
            let value = values.get(outcome.tensor).and_then(Option::as_ref).ok_or_else(|| {
                ImportError::new(format!("output {:?} has no value: run the network first", outcome.name))
            })?;
            let ints = outcome.view.places().into_iter().map(|place| value[place]).collect();
            let ty = self.tensors[outcome.tensor].ty;
            let tensor = Tensor::ints(&outcome.view.shape(), ty, ints);
            Ok((outcome.name.clone(), outcome.steps.iter().fold(tensor, on_host)))
        };
        self.results.iter().map(outcome).collect()
    }

    fn eval(&self, node: &Node, inputs: &[&[i32]]) -> Vec<i32> {
        let (lo, hi) = (node.y_min, node.y_max);
        let info = |i: usize| &self.tensors[node.inputs[i]];
        let output = &self.tensors[node.output];
        let x = inputs.first().copied().unwrap_or_default();
        match &node.kind {
            OpKind::Conv { layer, data } | OpKind::Depthwise { layer, data } => conv(layer, data, x),
            OpKind::MaxPool { window } => {
                pool(info(0), window, x, |taps| taps.iter().copied().fold(lo, i32::max).min(hi))
            }
            &OpKind::AveragePool { window, zero, .. } => {
                let Some(average) = Average::of(&node.kind, [info(0).h, info(0).w]) else {
                    return Vec::new();
                };
                pool(info(0), &window, x, |taps| {
                    let sum = taps.iter().fold(0i32, |sum, v| sum.wrapping_add(v.wrapping_sub(zero)));
                    let y = average(taps.len() as u32);
                    requantise(sum.wrapping_add(y.bias), y.multiplier, y.y_zero, lo, hi)
                })
            }
            &OpKind::GlobalAveragePool { zero, multiplier, y_zero } => {
                let c = info(0).c as usize;
                let mut sums = vec![0i32; c];
                for pixel in x.chunks_exact(c) {
                    for (sum, &v) in sums.iter_mut().zip(pixel) {
                        *sum = sum.wrapping_add(v.wrapping_sub(zero));
                    }
                }
                sums.into_iter().map(|sum| requantise(sum, multiplier, y_zero, lo, hi)).collect()
            }
            kind @ (OpKind::Add { .. } | OpKind::Mul { .. }) => {
                // A second input of one pixel starts anew at every pixel.
                let b = inputs.get(1).copied().unwrap_or_default();
                x.iter().zip(b.iter().cycle()).map(|(&a, &b)| combine(kind, a, b, lo, hi)).collect()
            }
            OpKind::Table(table) => {
                let signed = output.signed();
                x.iter().map(|&v| element(table[usize::from(v as u8)], signed)).collect()
            }
            OpKind::Concat => {
                let mut y = Vec::with_capacity(output.len());
                for pixel in 0..output.h as usize * output.w as usize {
                    for (i, x) in inputs.iter().enumerate() {
                        let c = info(i).c as usize;
                        y.extend_from_slice(&x[pixel * c..(pixel + 1) * c]);
                    }
                }
                y
            }
            OpKind::Channels(map) => {
                let pixels = x.chunks_exact(info(0).c as usize);
                pixels.flat_map(|pixel| map.iter().map(|&c| pixel[c as usize])).collect()
            }
            &OpKind::Interleave { down, right } => {
                let c = output.c as usize;
                let mut y = Vec::with_capacity(output.len());
                for (h, w) in (0..output.h).flat_map(|h| (0..output.w).map(move |w| (h, w))) {
                    let from = (h % down * right + w % right) as usize;
                    let at = (h / down * info(from).w + w / right) as usize * c;
                    y.extend_from_slice(&inputs[from][at..at + c]);
                }
                y
            }
            &OpKind::Pad { pt, pl, value, .. } => {
                let (row, c) = (info(0).w as usize * info(0).c as usize, output.c as usize);
                let mut y = vec![value; output.len()];
                for (h, from) in x.chunks_exact(row).enumerate() {
                    let at = ((h + pt as usize) * output.w as usize + pl as usize) * c;
                    y[at..at + row].copy_from_slice(from);
                }
                y
            }
        }
    }

    /// The tensor of that name. Of several, the one that was computed last.
    pub fn tensor(&self, name: &str) -> Option<TensorId> {
        self.tensors.iter().rposition(|t| t.name == name)
    }
}

fn conv(layer: &Layer, data: &ConvData, x: &[i32]) -> Vec<i32> {
    reference::conv(layer, &data.on(x.to_vec()))
}

/// An Add or Mul of two elements.
pub(super) fn combine(kind: &OpKind, a: i32, b: i32, lo: i32, hi: i32) -> i32 {
    match *kind {
        OpKind::Add { ra, rb, offset } => {
            let sum = (a as f32).mul_add(ra, (b as f32).mul_add(rb, offset));
            Scale { scale: 1.0, zero: 0, lo, hi }.saturate(sum)
        }
        OpKind::Mul { scale, a_zero, b_zero, y_zero } => {
            let product = a.wrapping_sub(a_zero).wrapping_mul(b.wrapping_sub(b_zero));
            Scale { scale: 1.0, zero: 0, lo, hi }.saturate(product as f32 * scale + y_zero as f32)
        }
        _ => a,
    }
}

/// Slides a window over a map: `reduce` gets the taps inside the map, by rows.
fn pool(info: &TensorInfo, window: &Window, x: &[i32], reduce: impl Fn(&[i32]) -> i32) -> Vec<i32> {
    let [h, w, c] = [info.h, info.w, info.c].map(|n| n as usize);
    let Window { kh, kw, sh, sw, pt, pl, dh, dw, out_h, out_w, .. } = *window;
    let [kh, kw, sh, sw, pt, pl, dh, dw] = [kh, kw, sh, sw, pt, pl, dh, dw].map(|n| n as usize);
    let mut y = Vec::with_capacity(out_h as usize * out_w as usize * c);
    let (mut places, mut taps) = (Vec::new(), Vec::new());
    for oh in 0..out_h as usize {
        for ow in 0..out_w as usize {
            places.clear();
            for row in (0..kh).map(|r| oh * sh + r * dh).filter(|r| (pt..pt + h).contains(r)) {
                for column in (0..kw).map(|k| ow * sw + k * dw).filter(|k| (pl..pl + w).contains(k)) {
                    places.push(((row - pt) * w + column - pl) * c);
                }
            }
            for channel in 0..c {
                taps.clear();
                taps.extend(places.iter().map(|place| x[place + channel]));
                y.push(reduce(&taps));
            }
        }
    }
    y
}

/// One step of the host.
fn on_host(x: Tensor, step: &HostStep) -> Tensor {
    let floats = |x: &Tensor| match &x.values {
        Values::Floats(v) => v.clone(),
        Values::Ints(v) => v.iter().map(|&v| v as f32).collect(),
    };
    match step {
        HostStep::Dequantise(scale) => {
            let y = x.as_ints().unwrap_or_default().iter().map(|&v| scale.dequantise(v)).collect();
            Tensor::floats(&x.shape, y)
        }
        HostStep::Quantise(scale, ty) => {
            Tensor::ints(&x.shape, *ty, floats(&x).into_iter().map(|v| scale.quantise(v)).collect())
        }
        HostStep::Map(map) => Tensor::floats(&x.shape, floats(&x).into_iter().map(|v| map.of(v)).collect()),
        HostStep::Shape(shape) => Tensor { shape: shape.clone(), ..x },
        HostStep::Softmax(axis) => {
            let mut y = floats(&x);
            for line in lines(&x.shape, *axis) {
                let most = line.iter().map(|&i| y[i]).fold(f32::NEG_INFINITY, f32::max);
                let sum: f32 = line.iter().map(|&i| (y[i] - most).exp()).sum();
                for i in line {
                    y[i] = (y[i] - most).exp() / sum;
                }
            }
            Tensor::floats(&x.shape, y)
        }
        &HostStep::QuantisedSoftmax { axis, x: from, y: to, ty } => {
            let mut y = x.as_ints().unwrap_or_default().to_vec();
            for line in lines(&x.shape, axis) {
                quantised_softmax(&mut y, &line, from.scale, &to, ty);
            }
            Tensor::ints(&x.shape, ty, y)
        }
        &HostStep::ArgMax { axis, keep } => {
            let values = floats(&x);
            let first = |line: &Vec<usize>| {
                let best =
                    (0..line.len()).reduce(|a, b| if values[line[b]] > values[line[a]] { b } else { a });
                best.unwrap_or(0) as i32
            };
            let y = lines(&x.shape, axis).iter().map(first).collect();
            let mut shape = x.shape.clone();
            if keep {
                shape[axis] = 1;
            } else {
                shape.remove(axis);
            }
            Tensor::ints(&shape, Type::I64, y)
        }
    }
}

/// ONNX Runtime's softmax of quantised numbers, those of `line`: its exponentials are scaled so that their sum fits
/// binary32, and the reciprocal of the output's scale is rounded down.
fn quantised_softmax(values: &mut [i32], line: &[usize], x_scale: f32, y: &Scale, ty: Type) {
    let room = f64::from((f32::MAX / line.len() as f32).ln()) - 5.0;
    let scale = f64::from(x_scale);
    let most = line.iter().map(|&i| values[i]).max().unwrap_or_default();
    let exp = |v: i32| ((f64::from(v - most) + room.max(0.0) / scale) * scale).exp() as f32;
    let exps: Vec<f32> = line.iter().map(|&i| exp(values[i])).collect();
    let sum = exps.iter().fold(0.0f32, |sum, e| sum + e);
    let steps = (1.0 / y.scale).floor();
    for (&i, e) in line.iter().zip(exps) {
        let rounded = (e * steps / sum).round_ties_even() as i32 + y.zero;
        values[i] = if ty == Type::I8 { i32::from(rounded.min(255) as i8) } else { rounded.min(255) };
    }
}

/// The places along `axis` of a dense tensor, for each place beside it.
fn lines(shape: &[usize], axis: usize) -> Vec<Vec<usize>> {
    let inner: usize = shape[axis + 1..].iter().product();
    let outer: usize = shape[..axis].iter().product();
    let line = |o: usize, i: usize| (0..shape[axis]).map(|k| (o * shape[axis] + k) * inner + i).collect();
    (0..outer).flat_map(|o| (0..inner).map(move |i| (o, i))).map(|(o, i)| line(o, i)).collect()
}

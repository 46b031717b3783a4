//! Runs a quantised network in plain loops, equal to ONNX Runtime on x86 bit for bit, to get at the tensors inside.
//!
//! Convolutions and matrix products are those of crate `reference`. The formulas of the other operators are ONNX
//! Runtime's, f32 throughout; each was compared with ONNX Runtime 1.31 on random tensors without a difference.

use std::collections::{HashMap, HashSet};

use spec::layer::{Layer, LayerSpec};
use spec::requant::requantise;

use crate::npy::{TO_NCHW, Tensor, Type, elements};
use crate::onnx::{ImportError, Model, Node, geometry};

type Result<T> = std::result::Result<T, ImportError>;

/// Runs the nodes that the tensors `wanted` depend on. `feeds` are the network's inputs by name (or any tensors
/// inside it), NCHW. Returns every tensor computed or fed.
pub fn run(
    model: &Model,
    feeds: HashMap<String, Tensor>,
    wanted: &[&str],
) -> Result<HashMap<String, Tensor>> {
    let mut needed: HashSet<&str> =
        wanted.iter().copied().filter(|&name| !feeds.contains_key(name)).collect();
    let mut nodes: Vec<&Node> = Vec::new();
    for node in model.nodes.iter().rev() {
        if node.outputs.iter().any(|o| needed.contains(o.as_str())) {
            needed.extend(node.inputs.iter().map(String::as_str).filter(|&i| !feeds.contains_key(i)));
            nodes.push(node);
        }
    }
    let mut tensors = feeds;
    for node in nodes.into_iter().rev() {
        let output = eval(model, &tensors, node).map_err(|e| e.in_node(node))?;
        let name = node.outputs.first().cloned().unwrap_or_default();
        tensors.insert(name, output);
    }
    match wanted.iter().find(|&&name| !tensors.contains_key(name)) {
        None => Ok(tensors),
        Some(name) => Err(ImportError::new(format!("no node computes tensor {name:?}: feed it"))),
    }
}

fn eval(model: &Model, tensors: &HashMap<String, Tensor>, node: &Node) -> Result<Tensor> {
    let operand = |index: usize| {
        let name = node.inputs.get(index).map(String::as_str).unwrap_or_default();
        tensors
            .get(name)
            .or_else(|| model.constants.get(name))
            .ok_or_else(|| ImportError::new(format!("input {index} ({name:?}) has no value: feed it")))
    };
    let scale = |index| model.scale(node, index);
    let zero = |index| model.zero_point(node, index);
    let x = operand(0)?;
    match node.op.as_str() {
        "QuantizeLinear" => {
            let (scale, (zero, ty)) = (scale(1)?, zero(2)?);
            let range = range(ty)?;
            let y = floats(x)?.iter().map(|v| quantise(v / scale, zero, range)).collect();
            Ok(Tensor::ints(&x.shape, ty, y))
        }
        "DequantizeLinear" => {
            let (scale, (zero, _)) = (scale(1)?, zero(2)?);
            Ok(Tensor::floats(
                &x.shape,
                ints(x)?.iter().map(|&v| v.wrapping_sub(zero) as f32 * scale).collect(),
            ))
        }
        "QLinearConv" | "QGemm" => {
            let (layer, data) = model.layer_of(node, x)?;
            let y = reference::conv(&layer, &data);
            let [batch, h, w, c] =
                [layer.batch, layer.out_h(), layer.out_w(), layer.cout].map(|n| n as usize);
            Ok(if node.op == "QGemm" {
                Tensor::ints(&[batch, c], x.ty, y)
            } else {
                Tensor::ints(&[batch, h, w, c], x.ty, y).permute(TO_NCHW)
            })
        }
        "QLinearAdd" => {
            let b = operand(3)?;
            if x.shape != b.shape {
                let message =
                    format!("operands of shapes {:?} and {:?}: equal ones wanted", x.shape, b.shape);
                return Err(ImportError::new(message));
            }
            let (sa, sb, sc) = (scale(1)?, scale(4)?, scale(6)?);
            let ((za, _), (zb, _), (zc, ty)) = (zero(2)?, zero(5)?, zero(7)?);
            let (ra, rb, range) = (sa / sc, sb / sc, range(ty)?);
            let base = zc as f32 - ra.mul_add(za as f32, rb * zb as f32);
            let add = |(&a, &b): (&i32, &i32)| {
                let sum = (a as f32).mul_add(ra, (b as f32).mul_add(rb, base));
                quantise(sum, 0, range)
            };
            Ok(Tensor::ints(&x.shape, ty, ints(x)?.iter().zip(ints(b)?).map(add).collect()))
        }
        "QLinearAveragePool" => {
            node.only("channels_last", 0)?;
            let inclusive = node.int("count_include_pad", 0)? != 0;
            let (sx, sy) = (scale(1)?, scale(3)?);
            let ((zx, _), (zy, ty)) = (zero(2)?, zero(4)?);
            let range = range(ty)?;
            pool(node, x, ty, |kernel, taps| {
                // In the order of ONNX Runtime: by rows.
                let sum = taps.iter().fold(0.0, |sum, &v| sum + v.wrapping_sub(zx) as f32 * sx);
                let count = if inclusive { kernel } else { taps.len() };
                quantise(sum / count as f32 / sy, zy, range)
            })
        }
        "QLinearGlobalAveragePool" => {
            node.only("channels_last", 0)?;
            let &[batch, c, h, w] = &x.shape[..] else {
                return Err(ImportError::new(format!("input of shape {:?}: NCHW wanted", x.shape)));
            };
            let (sx, sy) = (scale(1)?, scale(3)?);
            let ((zx, _), (zy, ty)) = (zero(2)?, zero(4)?);
            let ((lo, hi), multiplier) = (range(ty)?, sx / (sy * (h * w) as f32));
            let mean = |map: &[i32]| {
                let sum = map.iter().fold(0i32, |sum, v| sum.wrapping_add(v.wrapping_sub(zx)));
                requantise(sum, multiplier, zy, lo, hi)
            };
            let y = ints(x)?.chunks((h * w).max(1)).map(mean).collect();
            Ok(Tensor::ints(&[batch, c, 1, 1], ty, y))
        }
        "MaxPool" => pool(node, x, x.ty, |_, taps| taps.iter().copied().max().unwrap_or(i32::MIN)),
        "Flatten" => {
            let rank = x.shape.len() as i64;
            let axis = node.int("axis", 1)?;
            let axis = usize::try_from(if axis < 0 { axis.saturating_add(rank) } else { axis })
                .ok()
                .filter(|&a| a <= x.shape.len())
                .ok_or_else(|| ImportError::new(format!("axis={axis}: {} to {rank} allowed", -rank)))?;
            let (rows, columns) = x.shape.split_at(axis);
            Ok(Tensor { shape: vec![rows.iter().product(), columns.iter().product()], ..x.clone() })
        }
        "Reshape" => {
            let shape = reshape(&x.shape, ints(operand(1)?)?, node.int("allowzero", 0)? != 0)?;
            Ok(Tensor { shape, ..x.clone() })
        }
        _ => Err(ImportError::new(
            "this operator is not interpreted: give the node's own quantised input as .npy instead of the network's",
        )),
    }
}

fn ints(x: &Tensor) -> Result<&[i32]> {
    x.as_ints().ok_or_else(|| ImportError::new("input is float, a quantised one wanted"))
}

fn floats(x: &Tensor) -> Result<&[f32]> {
    x.as_floats().ok_or_else(|| ImportError::new(format!("input is {:?}, float32 wanted", x.ty)))
}

/// Smallest and largest value of a quantised type.
fn range(ty: Type) -> Result<(i32, i32)> {
    match ty {
        Type::U8 => Ok((0, u8::MAX.into())),
        Type::I8 => Ok((i8::MIN.into(), i8::MAX.into())),
        Type::U16 => Ok((0, u16::MAX.into())),
        Type::I16 => Ok((i16::MIN.into(), i16::MAX.into())),
        _ => Err(ImportError::new(format!("zero point is {ty:?}: quantise to 8 or 16 bits"))),
    }
}

/// `clip(rint_half_even(value) + zero)`.
fn quantise(value: f32, zero: i32, (lo, hi): (i32, i32)) -> i32 {
    (value.round_ties_even() as i64 + i64::from(zero)).clamp(lo.into(), hi.into()) as i32
}

/// Slides the window of a pooling node over NCHW maps: `reduce` gets the size of the kernel and the taps inside the
/// map, by rows.
fn pool(node: &Node, x: &Tensor, ty: Type, reduce: impl Fn(usize, &[i32]) -> i32) -> Result<Tensor> {
    node.only("ceil_mode", 0)?;
    let window = geometry(node, &x.shape, None)?;
    let layer =
        Layer::new(LayerSpec { cout: window.cin, groups: window.cin, ..window }).map_err(ImportError::new)?;
    let [h, w, kh, kw, sh, sw] =
        [layer.h, layer.w, layer.kh, layer.kw, layer.sh, layer.sw].map(|n| n as usize);
    let [pt, pl, dh, dw] = [layer.pt, layer.pl, layer.dh, layer.dw].map(|n| n as usize);
    let (out_h, out_w) = (layer.out_h() as usize, layer.out_w() as usize);
    let mut y = Vec::with_capacity(layer.output_len());
    let mut taps = Vec::new();
    for map in ints(x)?.chunks_exact(h * w) {
        for oh in 0..out_h {
            for ow in 0..out_w {
                taps.clear();
                for row in (0..kh).map(|r| oh * sh + r * dh).filter(|r| (pt..pt + h).contains(r)) {
                    for column in (0..kw).map(|c| ow * sw + c * dw).filter(|c| (pl..pl + w).contains(c)) {
                        taps.push(map[(row - pt) * w + column - pl]);
                    }
                }
                y.push(reduce(kh * kw, &taps));
            }
        }
    }
    Ok(Tensor::ints(&[x.shape[0], x.shape[1], out_h, out_w], ty, y))
}

/// ONNX's Reshape: -1 is what remains, 0 copies the size unless `allow_zero`.
fn reshape(from: &[usize], to: &[i32], allow_zero: bool) -> Result<Vec<usize>> {
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

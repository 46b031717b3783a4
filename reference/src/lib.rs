//! The plain-loop reference: what every machine must compute, in the order a reader expects.

pub mod machine;

use std::ops::Range;

use spec::layer::{Layer, LayerData};
use spec::requant::requantise;

/// The outputs of a layer, `[batch][out_h][out_w][cout]`: [`accumulate`], then [`requantise`].
///
/// # Panics
///
/// Where `data` does not fit `layer`: see [`LayerData::check`].
pub fn conv(layer: &Layer, data: &LayerData) -> Vec<i32> {
    let q = &data.quant;
    let mut sums = accumulate(layer, data);
    for pixel in sums.chunks_exact_mut(layer.cout as usize) {
        for (y, &multiplier) in pixel.iter_mut().zip(&data.multipliers) {
            *y = requantise(*y, multiplier, q.y_zero, q.y_min, q.y_max);
        }
    }
    sums
}

/// The sums of a layer before requantisation, `[batch][out_h][out_w][cout]`: bias plus `(x - x_zero) * w` over the
/// taps that lie inside the map, in int32 arithmetic that wraps.
///
/// # Panics
///
/// Where `data` does not fit `layer`: see [`LayerData::check`].
pub fn accumulate(layer: &Layer, data: &LayerData) -> Vec<i32> {
    let [h, w, cin] = [layer.h, layer.w, layer.cin].map(|n| n as usize);
    let [kh, kw, group_cin] = [layer.kh, layer.kw, layer.group_cin()].map(|n| n as usize);
    let [sh, sw, dh, dw] = [layer.sh, layer.sw, layer.dh, layer.dw].map(|n| n as usize);
    let [pt, pl] = [layer.pt, layer.pl].map(|n| n as usize);
    let group_cout = layer.group_cout() as usize;
    let input: Vec<i32> = data.input.iter().map(|x| x - data.quant.x_zero).collect();
    // Neighbouring taps that see every channel are one run in memory.
    let dense = dw == 1 && layer.groups == 1;

    let mut sums = Vec::with_capacity(layer.output_len());
    for image in input.chunks_exact(h * w * cin) {
        for oh in 0..layer.out_h() as usize {
            let rows = taps_inside(oh * sh, h, kh, dh, pt);
            for ow in 0..layer.out_w() as usize {
                let columns = taps_inside(ow * sw, w, kw, dw, pl);
                let (steps, run) = if dense { (1, columns.len() * cin) } else { (columns.len(), group_cin) };
                for (co, filter) in data.weights.chunks_exact(kh * kw * group_cin).enumerate() {
                    let channel = co / group_cout * group_cin;
                    let mut sum = data.bias[co];
                    if !columns.is_empty() {
                        for r in rows.clone() {
                            let x = ((oh * sh + r * dh - pt) * w + ow * sw + columns.start * dw - pl) * cin
                                + channel;
                            let k = (r * kw + columns.start) * group_cin;
                            for step in 0..steps {
                                let (x, k) = (x + step * dw * cin, k + step * group_cin);
                                sum = sum.wrapping_add(dot(&image[x..x + run], &filter[k..k + run]));
                            }
                        }
                    }
                    sums.push(sum);
                }
            }
        }
    }
    sums
}

/// The kernel positions `k` of one axis for which `start + k * dilation - pad` lies in `0..size`.
fn taps_inside(start: usize, size: usize, kernel: usize, dilation: usize, pad: usize) -> Range<usize> {
    let first = pad.saturating_sub(start).div_ceil(dilation).min(kernel);
    let end = (size + pad).saturating_sub(start).div_ceil(dilation).min(kernel);
    first..end.max(first)
}

fn dot(a: &[i32], b: &[i32]) -> i32 {
    a.iter().zip(b).fold(0, |sum, (&x, &w)| sum.wrapping_add(x.wrapping_mul(w)))
}

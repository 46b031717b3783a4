//! The loops against a matrix product: padding written out, patches gathered into a matrix, nalgebra's `*`.

use nalgebra::DMatrix;
use proptest::prelude::*;
use spec::layer::{Layer, LayerData, LayerSpec};
use spec::requant::requantise;

/// Outputs of a layer by im2col, one matrix product per group, in i64 (reduced to i32 at the end).
fn im2col(l: &Layer, data: &LayerData) -> Vec<i32> {
    let [h, w, cin, cout, kh, kw] = [l.h, l.w, l.cin, l.cout, l.kh, l.kw].map(|n| n as usize);
    let (padded_h, padded_w) = (h + (l.pt + l.pb) as usize, w + (l.pl + l.pr) as usize);
    let (group_cin, group_cout) = (l.group_cin() as usize, l.group_cout() as usize);
    let (batch, out_h, out_w) = (l.batch as usize, l.out_h() as usize, l.out_w() as usize);
    let q = &data.quant;

    // Padding holds the input zero point, as in ONNX.
    let mut padded = vec![q.x_zero; batch * padded_h * padded_w * cin];
    for (row, pixels) in data.input.chunks(w * cin).enumerate() {
        let at = ((row / h * padded_h + row % h + l.pt as usize) * padded_w + l.pl as usize) * cin;
        padded[at..at + w * cin].copy_from_slice(pixels);
    }

    let mut output = vec![0; l.output_len()];
    for group in 0..l.groups as usize {
        let patches = DMatrix::from_fn(batch * out_h * out_w, kh * kw * group_cin, |pixel, tap| {
            let (b, oh, ow) = (pixel / (out_h * out_w), pixel / out_w % out_h, pixel % out_w);
            let (r, c, ci) = (tap / (kw * group_cin), tap / group_cin % kw, tap % group_cin);
            let ih = oh * l.sh as usize + r * l.dh as usize;
            let iw = ow * l.sw as usize + c * l.dw as usize;
            i64::from(padded[((b * padded_h + ih) * padded_w + iw) * cin + group * group_cin + ci] - q.x_zero)
        });
        let filters = DMatrix::from_fn(kh * kw * group_cin, group_cout, |tap, co| {
            i64::from(data.weights[(group * group_cout + co) * kh * kw * group_cin + tap])
        });
        let sums = patches * filters;
        for ((pixel, co), &sum) in
            (0..sums.len()).map(|i| (i % sums.nrows(), i / sums.nrows())).zip(sums.as_slice())
        {
            let channel = group * group_cout + co;
            let acc = (sum + i64::from(data.bias[channel])) as i32;
            output[pixel * cout + channel] =
                requantise(acc, data.multipliers[channel], q.y_zero, q.y_min, q.y_max);
        }
    }
    output
}

fn check(layer: &Layer, bits: u32, seed: u64) {
    let data = LayerData::random(layer, bits, seed).unwrap();
    let output = reference::conv(layer, &data);
    assert_eq!(output.len(), layer.output_len());
    assert!(output == im2col(layer, &data), "`{layer}` at {bits} bits, seed {seed}");
}

#[test]
fn every_feature_by_hand() {
    for text in [
        "fc in=33 out=7 batch=3 relu",
        "conv cin=3 h=11 w=13 cout=8 k=7 stride=2 pad=3",
        "conv cin=8 h=9 w=9 cout=12 k=3 pad=1 groups=4 batch=2",
        "conv cin=6 h=9 w=8 cout=6 k=3 pad=1 groups=6 relu",
        "conv cin=5 h=12 w=10 cout=4 kh=3 kw=2 dil=3 pad=2",
        "conv cin=4 h=7 w=9 cout=3 kh=2 kw=5 sh=3 sw=2 pt=1 pl=0 pb=0 pr=4",
        // A dilated kernel that can miss the map on both sides.
        "conv cin=2 h=1 w=1 cout=3 k=2 dil=5 pad=3",
    ] {
        for bits in [8, 16] {
            check(&text.parse().unwrap(), bits, 1);
        }
    }
}

/// A worked example: 1 × 3 map 1 2 3 with zero point 1, kernel 1 -1, padding 1 on the left.
#[test]
fn worked_example() {
    let layer: Layer = "conv cin=1 h=1 w=3 cout=1 kh=1 kw=2 pl=1".parse().unwrap();
    let mut data = LayerData::random(&layer, 8, 0).unwrap();
    (data.input, data.weights, data.bias, data.multipliers) =
        (vec![1, 2, 3], vec![1, -1], vec![10], vec![0.5]);
    data.quant.signed = true;
    (data.quant.x_zero, data.quant.y_zero, data.quant.y_min, data.quant.y_max) = (1, 3, -128, 127);
    data.check(&layer).unwrap();
    assert_eq!(reference::accumulate(&layer, &data), [10, 9, 9]);
    // 5, 4.5 and 4.5: half goes to even.
    assert_eq!(reference::conv(&layer, &data), [8, 7, 7]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn random_layers(
        (cin, cout, groups) in (1..7u32, 1..7u32, 1..4u32),
        (h, w, batch, relu) in (1..10u32, 1..10u32, 1..3u32, any::<bool>()),
        (kh, kw, sh, sw, dh, dw) in (1..5u32, 1..5u32, 1..4u32, 1..4u32, 1..4u32, 1..4u32),
        (pt, pl, pb, pr) in (0..5u32, 0..5u32, 0..5u32, 0..5u32),
        wide: bool,
        seed: u64,
    ) {
        let (reach_h, reach_w) = (dh * (kh - 1), dw * (kw - 1));
        let (pt, pb, pl, pr) = (pt.min(reach_h), pb.min(reach_h), pl.min(reach_w), pr.min(reach_w));
        let spec = LayerSpec { cin: cin * groups, cout: cout * groups, h, w, kh, kw, sh, sw, pt, pl, pb, pr, dh, dw,
            groups, batch, relu };
        if let Ok(layer) = Layer::new(spec) {
            check(&layer, if wide { 16 } else { 8 }, seed);
        }
    }
}

/// Random data is worth comparing: outputs spread over their range, and few are clipped.
#[test]
fn random_outputs_spread() {
    for text in [
        "conv cin=16 h=14 w=14 cout=32 k=3 pad=1",
        "fc in=256 out=512 relu",
        "conv cin=3 h=32 w=32 cout=16 k=7 stride=2",
    ] {
        let layer: Layer = text.parse().unwrap();
        for seed in 0..8 {
            let data = LayerData::random(&layer, 8, seed).unwrap();
            let output = reference::conv(&layer, &data);
            let (lo, hi) = (data.quant.y_min, data.quant.y_max);
            let clipped = output.iter().filter(|&&y| y == lo || y == hi).count() as f64 / output.len() as f64;
            let seen = (lo..=hi).filter(|y| output.contains(y)).count() as f64 / f64::from(hi - lo + 1);
            assert!(
                clipped < 0.3 && seen > 0.5,
                "`{text}` seed {seed}: {clipped:.2} clipped, {seen:.2} seen"
            );
        }
    }
}

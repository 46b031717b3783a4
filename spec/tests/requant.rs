//! The rounding of requantisation, pinned by hand-written vectors, by vectors from ONNX Runtime
//! (`fixtures/requant.csv`), and by the agreement of its two forms.

use proptest::prelude::*;
use spec::requant::{check_multiplier, requantise, requantise_bits};
use spec::rng::{in_range, splitmix64};

fn both(acc: i32, multiplier: f32, zero_point: i32, lo: i32, hi: i32) -> i32 {
    let y = requantise(acc, multiplier, zero_point, lo, hi);
    let bits = requantise_bits(acc, multiplier, zero_point, lo, hi);
    assert_eq!(
        y,
        bits,
        "acc {acc} multiplier {:#010x} zero point {zero_point} range {lo}..={hi}",
        multiplier.to_bits()
    );
    y
}

#[test]
fn hand_written_vectors() {
    let wide = |acc, m| both(acc, m, 0, i32::MIN, i32::MAX);
    // Ties go to even, on both sides of zero.
    for (acc, y) in [(1, 0), (3, 2), (5, 2), (7, 4), (-1, 0), (-3, -2), (-5, -2), (-7, -4)] {
        assert_eq!(wide(acc, 0.5), y);
    }
    // Just beside a tie.
    assert_eq!(wide(1, 0.5_f32.next_up()), 1);
    assert_eq!(wide(3, 0.5_f32.next_down()), 1);
    // f32(acc) rounds before the product: 2^24 + 1 and 2^24 + 3 are ties, 2^31 - 1 rounds up to 2^31.
    assert_eq!(wide(16_777_217, 1.0), 16_777_216);
    assert_eq!(wide(16_777_219, 1.0), 16_777_220);
    assert_eq!(wide(i32::MAX, 2.0_f32.powi(-30)), 2);
    assert_eq!(wide(i32::MIN, 2.0_f32.powi(-30)), -2);
    assert_eq!(wide(i32::MIN, 1.0), i32::MIN);
    // The product rounds before the integer does: the true product is a little above 0.5, its f32 is 0.5, and the
    // tie goes to 0.
    assert_eq!(wide(16_777_215, 0.5 / 16_777_215.0), 0);
    // Zero, tiny and huge.
    assert_eq!(wide(0, f32::MAX), 0);
    assert_eq!(wide(i32::MAX, f32::MIN_POSITIVE), 0);
    assert_eq!(wide(1, f32::MAX), i32::MAX);
    assert_eq!(wide(i32::MAX, f32::MAX), i32::MAX);
    assert_eq!(wide(i32::MIN, f32::MAX), i32::MIN);
    // Zero point first, then the clip; the clip may be narrower than the type.
    assert_eq!(both(10, 1.0, 128, 0, 255), 138);
    assert_eq!(both(127, 1.0, 128, 0, 255), 255);
    assert_eq!(both(128, 1.0, 128, 0, 255), 255);
    assert_eq!(both(-129, 1.0, 128, 0, 255), 0);
    assert_eq!(both(-5, 1.0, 3, 3, 127), 3);
    assert_eq!(both(0, 1.0, i32::MAX, i32::MIN, i32::MAX), i32::MAX);
    assert_eq!(both(i32::MIN, f32::MAX, i32::MAX, -1, 1), -1);
}

#[test]
fn multipliers_must_be_positive_and_normal() {
    for good in [f32::MIN_POSITIVE, 1e-3, 1.0, f32::MAX] {
        assert_eq!(check_multiplier(good), Ok(good));
    }
    for bad in [0.0, -0.0, -1.0, f32::MIN_POSITIVE.next_down(), f32::INFINITY, f32::NAN] {
        let message = check_multiplier(bad).unwrap_err().to_string();
        assert!(message.contains("multiplier") && message.contains("check the scales"), "{message}");
    }
}

/// Every line of the fixture: acc, multiplier's bits in hexadecimal, zero point, lo, hi, and ONNX Runtime's y.
#[test]
fn onnx_runtime_vectors() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/requant.csv");
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let mut lines = text.lines().filter(|l| !l.starts_with('#'));
    assert_eq!(
        lines.next().map(str::trim),
        Some("acc,multiplier_bits,zero_point,lo,hi,y"),
        "header of {path}"
    );
    let mut count = 0;
    for line in lines {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        let [acc, bits, zero_point, lo, hi, y] = fields[..] else {
            panic!("{path}: six fields wanted in {line:?}")
        };
        let int = |s: &str| s.parse::<i32>().unwrap_or_else(|e| panic!("{path}: {s:?} in {line:?}: {e}"));
        let bits = u32::from_str_radix(bits.trim_start_matches("0x"), 16)
            .unwrap_or_else(|e| panic!("{line:?}: {e}"));
        let got = both(int(acc), f32::from_bits(bits), int(zero_point), int(lo), int(hi));
        assert_eq!(got, int(y), "{line}");
        count += 1;
    }
    assert!(count >= 1000, "{path} holds only {count} vectors");
}

/// A multiplier and a sum that stress one of the roundings, chosen by `state`.
fn hard_case(state: &mut u64) -> (i32, f32) {
    let draw = splitmix64(state);
    let mantissa = (draw >> 32) as u32 & 0x007f_ffff;
    let any_exp = 1 + (draw >> 8) as u32 % 254;
    let usual_exp = 127 - 24 + (draw >> 8) as u32 % 28;
    let any_acc = (splitmix64(state) as i32) >> (draw & 31);
    let usual = f32::from_bits(usual_exp << 23 | mantissa);
    match draw & 7 {
        // Anything at all.
        0 => (any_acc, f32::from_bits(any_exp << 23 | mantissa)),
        // Few significant bits: exact ties.
        1 => (any_acc, f32::from_bits(usual_exp << 23 | mantissa & 0x0070_0000)),
        // Sums beside the ties of f32(acc).
        2 => ((1 << (24 + (draw >> 8) % 7)) + in_range(state, -300, 300), usual),
        // Powers of two and the values beside them, from 1 to i32::MIN.
        3 => {
            let power = (1i64 << ((draw >> 8) % 32)) + i64::from(in_range(state, -2, 2));
            ((if draw >> 63 == 0 { power } else { -power }) as i32, usual)
        }
        // Products beside k + 1/2.
        4..=6 => {
            let half = f64::from(in_range(state, -40_000, 40_000)) + 0.5;
            ((half / f64::from(usual)) as i32, usual)
        }
        _ => (any_acc, usual),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    /// 1024 cases of 4096 sums: four million.
    #[test]
    fn both_forms_agree(seed: u64, zero_point in -40_000..40_000i32, lo in -40_000..40_000i32, span in 0..70_000i32) {
        let mut state = seed;
        for _ in 0..2048 {
            let (acc, m) = hard_case(&mut state);
            both(acc, m, zero_point, lo, lo + span);
            both(acc, m, zero_point, i32::MIN, i32::MAX);
        }
    }
}

//! Requantisation: from an int32 sum to an output operand. The one definition of rounding that the reference,
//! the cycle model and the RTL share.
//!
//! It is that of ONNX Runtime's `QLinearConv` (`MlasRequantizeOutput`):
//! `y = clip(rint_half_even(f32(acc) * m) + zero_point, lo, hi)`, where `f32(acc)` rounds to nearest even and the
//! product is one f32 multiplication. A fixed-point multiplier gives other results in about three outputs of a
//! million.

use std::fmt;

/// Requantises one sum: `clip(rint_half_even(f32(acc) * multiplier) + zero_point, lo, hi)`.
///
/// This is the definition. `multiplier` is input scale × weight scale ÷ output scale, one that [`check_multiplier`]
/// accepts; `lo..=hi` is the range of the output type, narrowed by an activation.
pub fn requantise(acc: i32, multiplier: f32, zero_point: i32, lo: i32, hi: i32) -> i32 {
    let rounded = (acc as f32 * multiplier).round_ties_even();
    saturate(rounded as i64, zero_point, lo, hi)
}

/// [`requantise`] in integer arithmetic, step by step as the hardware does it.
///
/// Sign and magnitude; normalise; round to 24 bits; 24 × 24 bit product; round to 24 bits; shift to an integer with
/// half-even rounding; saturate. All three roundings are to nearest, ties to even. Equal to [`requantise`] for every
/// argument whose multiplier [`check_multiplier`] accepts.
pub fn requantise_bits(acc: i32, multiplier: f32, zero_point: i32, lo: i32, hi: i32) -> i32 {
    if acc == 0 {
        return saturate(0, zero_point, lo, hi);
    }
    let (a, a_exp) = normalise(u64::from(acc.unsigned_abs()), 0);
    let bits = multiplier.to_bits();
    let (m, m_exp) = (u64::from(bits & 0x007f_ffff | 0x0080_0000), ((bits >> 23) & 0xff) as i32 - 150);
    let (p, p_exp) = normalise(a * m, a_exp + m_exp);

    // |acc * multiplier| = p * 2^p_exp with 2^23 <= p < 2^24. From 2^33 on any range saturates.
    let magnitude = match p_exp {
        10.. => 1 << 33,
        0..=9 => p << p_exp,
        _ => shift_right_half_even(p, p_exp.unsigned_abs().min(26)),
    } as i64;
    saturate(if acc < 0 { -magnitude } else { magnitude }, zero_point, lo, hi)
}

/// `value * 2^exp` (value > 0) as a 24-bit significand with its top bit set, and an exponent; rounded half to even.
pub(crate) fn normalise(value: u64, exp: i32) -> (u64, i32) {
    let length = 64 - value.leading_zeros();
    if length <= 24 {
        let up = 24 - length;
        return (value << up, exp - up as i32);
    }
    let down = length - 24;
    let significand = shift_right_half_even(value, down);
    // Rounding up may carry into a 25th bit, which leaves a power of two.
    let carry = (significand >> 24) as u32;
    (significand >> carry, exp + (down + carry) as i32)
}

/// `value / 2^shift` (1 <= shift < 64) rounded half to even: by guard bit, sticky bits and the lowest kept bit.
pub(crate) fn shift_right_half_even(value: u64, shift: u32) -> u64 {
    let kept = value >> shift;
    let guard = (value >> (shift - 1)) & 1;
    let sticky = u64::from(value & ((1 << (shift - 1)) - 1) != 0);
    kept + (guard & (sticky | (kept & 1)))
}

pub(crate) fn saturate(rounded: i64, zero_point: i32, lo: i32, hi: i32) -> i32 {
    rounded.saturating_add(i64::from(zero_point)).max(i64::from(lo)).min(i64::from(hi)) as i32
}

/// Accepts a positive normal f32, the only kind of multiplier that the hardware takes.
pub fn check_multiplier(multiplier: f32) -> Result<f32, MultiplierError> {
    if multiplier.is_normal() && multiplier.is_sign_positive() {
        Ok(multiplier)
    } else {
        Err(MultiplierError(multiplier))
    }
}

/// A requantisation multiplier that is zero, negative, subnormal, infinite or not a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MultiplierError(pub f32);

impl fmt::Display for MultiplierError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "requantisation multiplier {:e} is outside {:e} to {:e}: check the scales of input, weights and output",
            self.0,
            f32::MIN_POSITIVE,
            f32::MAX
        )
    }
}

impl std::error::Error for MultiplierError {}

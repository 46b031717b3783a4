//! What may follow requantisation: a second operand, then a table. The one definition that the reference and the RTL
//! share.
//!
//! The sum is that of ONNX Runtime's `QLinearAdd`, fused: `f32(a * sa + f32(b * sb + offset))`. The product is that of
//! its `QLinearMul`, which is not: `f32(f32(a * b * sa) + offset)`. In both, ONNX Runtime's offset holds the zero point
//! of the result. Operands are differences from zero points, in the 9 bits that differences of two numbers of one type
//! of 8 bits need.

use crate::isa;
use crate::requant::{normalise, saturate, shift_right_half_even};

/// What a `post` instruction sets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Post {
    /// What happens to the second operand.
    pub op: Op,
    /// A table follows.
    pub table: bool,
    /// Second operands are signed.
    pub signed: bool,
    /// The requantised output is b and the second operand a.
    pub swap: bool,
    /// Zero point of a.
    pub a_zero: i32,
    /// Zero point of b.
    pub b_zero: i32,
    /// Zero point of the result.
    pub y_zero: i32,
    /// Least result.
    pub y_min: i32,
    /// Greatest result.
    pub y_max: i32,
    /// Factor of a, or of the product.
    pub a_scale: f32,
    /// Factor of b in a sum.
    pub b_scale: f32,
    /// What is added to the sum or the product.
    pub offset: f32,
}

/// The arithmetic with a second operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// None, there is no second operand.
    None,
    /// Their sum.
    Add,
    /// Their product.
    Mul,
}

impl Post {
    /// As after a `quant` instruction: nothing happens to an output.
    pub const OFF: Self = Self {
        op: Op::None,
        table: false,
        signed: false,
        swap: false,
        a_zero: 0,
        b_zero: 0,
        y_zero: 0,
        y_min: 0,
        y_max: 0,
        a_scale: 1.0,
        b_scale: 1.0,
        offset: 0.0,
    };

    /// What an instruction sets that the fetch engine has not refused.
    pub fn from_instruction(i: &isa::Post) -> Self {
        Self {
            op: match i.op {
                1 => Op::Add,
                2 => Op::Mul,
                _ => Op::None,
            },
            table: i.table,
            signed: i.signed,
            swap: i.swap,
            a_zero: i.a_zero,
            b_zero: i.b_zero,
            y_zero: i.y_zero,
            y_min: i.y_min,
            y_max: i.y_max,
            a_scale: f32::from_bits(i.a_scale),
            b_scale: f32::from_bits(i.b_scale),
            offset: f32::from_bits(i.offset),
        }
    }

    /// The result in front of the table, from a requantised output and a second operand, sign-extended if it is
    /// signed.
    ///
    /// This is the definition.
    pub fn apply(&self, output: i32, second: i32) -> i32 {
        let (a, b) = self.operands(output, second);
        let v = match self.op {
            Op::None => return output,
            Op::Add => (a as f32).mul_add(self.a_scale, (b as f32).mul_add(self.b_scale, self.offset)),
            Op::Mul => (a * b) as f32 * self.a_scale + self.offset,
        };
        saturate(v.round_ties_even() as i64, self.y_zero, self.y_min, self.y_max)
    }

    /// [`Post::apply`] in integer arithmetic, step by step as the hardware does it. Equal for all factors and offsets
    /// that an instruction may have.
    pub fn apply_bits(&self, output: i32, second: i32) -> i32 {
        let (a, b) = self.operands(output, second);
        let [a_scale, b_scale, offset] = [self.a_scale, self.b_scale, self.offset].map(Float::new);
        let v = match self.op {
            Op::None => return output,
            Op::Add => fused(a, a_scale, fused(b, b_scale, offset)),
            Op::Mul => fused(1, offset, fused(a * b, a_scale, Float::default())),
        };
        saturate(v.round(), self.y_zero, self.y_min, self.y_max)
    }

    fn operands(&self, output: i32, second: i32) -> (i32, i32) {
        let (a, b) = if self.swap { (second, output) } else { (output, second) };
        (difference(a, self.a_zero), difference(b, self.b_zero))
    }
}

/// `x - zero` in 9 bits.
fn difference(x: i32, zero: i32) -> i32 {
    x.wrapping_sub(zero) << 23 >> 23
}

/// Sign, significand of 24 bits whose top bit is set, and its exponent: `significand * 2^exponent`. The significand is 0
/// for zero.
#[derive(Clone, Copy, Default)]
struct Float {
    negative: bool,
    significand: u64,
    exponent: i32,
}

impl Float {
    /// Zero or a normal number.
    fn new(x: f32) -> Self {
        let bits = x.to_bits();
        let exponent = ((bits >> 23) & 0xff) as i32;
        let significand = if exponent == 0 { 0 } else { u64::from(bits & 0x007f_ffff | 0x0080_0000) };
        Self { negative: bits >> 31 == 1, significand, exponent: exponent - 150 }
    }

    /// To the nearest integer, ties to even. From 2^33 on any range saturates.
    fn round(self) -> i64 {
        let magnitude = match self.exponent {
            _ if self.significand == 0 => 0,
            10.. => 1 << 33,
            0..=9 => self.significand << self.exponent,
            e => shift_right_half_even(self.significand, e.unsigned_abs().min(26)),
        } as i64;
        if self.negative { -magnitude } else { magnitude }
    }
}

/// Bits of a summand in [`fused`].
const WINDOW: u32 = 34;

/// `n * factor + addend`, rounded once: `n` of up to 18 bits, of up to 9 if something is added.
///
/// Both summands stand with their top bit at the top of the window, a product perhaps one or two bits lower. That of the
/// lower exponent is shifted down, and its lowest bit stands for all that fall out. Bits fall out of a product from a
/// distance of 2 on, of an addend from 11: then little or nothing cancels, and the rounding is far above.
fn fused(n: i32, factor: Float, addend: Float) -> Float {
    let n_zeros = n.unsigned_abs().leading_zeros().min(31) as i32 - 14;
    let product = Float {
        negative: (n < 0) != factor.negative,
        significand: shift_right_sticky((u64::from(n.unsigned_abs()) << n_zeros) * factor.significand, 8),
        exponent: factor.exponent - n_zeros + 8,
    };
    let up = WINDOW - 24;
    let addend =
        Float { significand: addend.significand << up, exponent: addend.exponent - up as i32, ..addend };
    let product_leads =
        addend.significand == 0 || (product.significand != 0 && product.exponent >= addend.exponent);
    let (large, small) = if product_leads { (product, addend) } else { (addend, product) };
    let shifted = shift_right_sticky(small.significand, large.exponent.abs_diff(small.exponent));
    let signed = |negative: bool, x: u64| if negative { -(x as i64) } else { x as i64 };
    let sum = signed(large.negative, large.significand) + signed(small.negative, shifted);
    if sum == 0 {
        return Float::default();
    }
    let (significand, exponent) = normalise(sum.unsigned_abs(), large.exponent);
    Float { negative: sum < 0, significand, exponent }
}

/// `value / 2^shift`, the lowest bit set if anything falls out.
fn shift_right_sticky(value: u64, shift: u32) -> u64 {
    let shift = shift.min(63);
    let kept = value >> shift;
    kept | u64::from(kept << shift != value)
}

/// The table of 256 results that a `table` instruction writes 16 entries of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table(pub [u8; 256]);

impl Table {
    /// Writes the 16 entries of an instruction.
    pub fn write(&mut self, i: &isa::Table) {
        for (entries, word) in self.0[16 * i.index as usize..].chunks_mut(4).zip([i.d0, i.d1, i.d2, i.d3]) {
            entries.copy_from_slice(&word.to_le_bytes());
        }
    }

    /// The operand that takes the place of the operand `y`.
    pub fn apply(&self, y: i32) -> u8 {
        self.0[usize::from(y as u8)]
    }
}

//! What logic grows with, by resource.

use crate::fit::Term;
use spec::Config;

/// Processing elements.
fn array(c: &Config) -> f64 {
    f64::from(c.rows * c.cols)
}

/// 1 for operands of 16 bits, 0 for those of 8.
fn wide(c: &Config) -> f64 {
    f64::from(c.operand_bits / 8 - 1)
}

/// Bits of a row of weights.
fn row_bits(c: &Config) -> f64 {
    f64::from(c.cols * c.operand_bits)
}

/// Bits of the delays in front of the columns by channel: column k has k + 1 operands.
fn delay_bits(c: &Config) -> f64 {
    let channels = c.depth_channels();
    f64::from(channels * (channels + 1) / 2 * c.operand_bits)
}

const ONE: Term = ("1", |_| 1.0);
const WIDE: Term = ("[16 bit]", wide);
const ARRAY: Term = ("rows · cols", array);
const WIDE_ARRAY: Term = ("rows · cols · [16 bit]", |c| array(c) * wide(c));
const ROWS: Term = ("rows · operand_bits", |c| f64::from(c.rows * c.operand_bits));
const COLS: Term = ("cols · operand_bits", row_bits);
const DELAYS: Term = ("d · (d + 1) / 2 · operand_bits", delay_bits);
const LANES: Term = ("lanes", |c| f64::from(c.lanes));
const POST: Term = ("lanes · [8 bit]", |c| f64::from(c.lanes) * (1.0 - wide(c)));
const BUS: Term = ("bus_bits", |c| f64::from(c.bus_bits));
const MARCH: Term =
    ("cols · log2(wbuf words)", |c| f64::from(c.cols * c.wbuf_words().next_power_of_two().trailing_zeros()));

/// Of LUTs outside memories.
pub(crate) const LUTS: &[Term] = &[ONE, WIDE, ARRAY, WIDE_ARRAY, ROWS, COLS, LANES, POST, BUS];
/// Of flip-flops.
pub(crate) const FFS: &[Term] = &[ONE, WIDE, ARRAY, WIDE_ARRAY, ROWS, DELAYS, COLS, MARCH, LANES, POST, BUS];
/// Of transistors outside memories.
pub(crate) const TRANSISTORS: &[Term] = &[ONE, WIDE, ARRAY, WIDE_ARRAY, ROWS, DELAYS, COLS, LANES, POST, BUS];

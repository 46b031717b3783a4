//! What logic grows with, by resource.

use crate::exact;
use crate::fit::Term;
use spec::Config;

/// Processing elements.
fn array(c: &Config) -> f64 {
    f64::from(c.rows * c.cols)
}

/// Pairs of rows, each of which has a register a column for its sums.
fn pairs(c: &Config) -> f64 {
    f64::from(c.rows.div_ceil(2) * c.cols)
}

/// 1 for operands of 16 bits, 0 for those of 8.
fn wide(c: &Config) -> f64 {
    f64::from(c.operand_bits / 8 - 1)
}

/// Bits of the pixel's channels that enter the array by channel.
fn depth_bits(c: &Config) -> f64 {
    f64::from(c.depth_channels() * c.operand_bits)
}

/// Bits of the delays behind them: channel k, from 0, has k + 1 operands.
fn delay_bits(c: &Config) -> f64 {
    depth_bits(c) * f64::from(c.depth_channels() + 1) / 2.0
}

const ONE: Term = ("1", |_| 1.0);
const WIDE: Term = ("[16 bit]", wide);
const ARRAY: Term = ("rows · cols", array);
const PAIRS: Term = ("⌈rows / 2⌉ · cols", pairs);
const WIDE_ARRAY: Term = ("rows · cols · [16 bit]", |c| array(c) * wide(c));
const ROWS: Term = ("rows · operand_bits", |c| f64::from(c.rows * c.operand_bits));
const DEPTH: Term = ("d · operand_bits", depth_bits);
const DELAYS: Term = ("d · (d + 1) / 2 · operand_bits", delay_bits);
const LANES: Term = ("lanes", |c| f64::from(c.lanes));
const POST: Term = ("lanes · [post]", |c| f64::from(c.lanes * u32::from(c.post)));
const CHANNEL: Term = ("rows · cols · [by channel]", |c| array(c) * f64::from(u8::from(c.by_channel)));
const POST_SETUP: Term = ("[post]", |c| f64::from(u8::from(c.post)));
const BUS: Term = ("bus_bits", |c| f64::from(c.bus_bits));
const BANKS: Term = ("bits a word of banks in distributed RAM", |c| f64::from(exact::distributed_bits(c)));

/// Of LUTs outside memories: processing elements, serializers, columns, lanes, what turns bus words.
pub(crate) const LUTS: &[Term] =
    &[ONE, WIDE, ARRAY, WIDE_ARRAY, CHANNEL, ROWS, DEPTH, LANES, POST, POST_SETUP, BUS];
/// Of flip-flops. Distributed RAM has a register behind it that block RAM has inside.
pub(crate) const FFS: &[Term] =
    &[ONE, WIDE, ARRAY, PAIRS, WIDE_ARRAY, CHANNEL, ROWS, DELAYS, LANES, POST, POST_SETUP, BUS, BANKS];
/// Of transistors outside memories.
pub(crate) const TRANSISTORS: &[Term] =
    &[ONE, WIDE, ARRAY, PAIRS, WIDE_ARRAY, CHANNEL, ROWS, DELAYS, LANES, POST, POST_SETUP, BUS];

//! Pipeline latencies and spacings that RTL and cycle model must agree on.

use crate::Config;

/// Cycles from an operand's issue by the feeder to the cycle in which it is at the array's edge.
pub const ISSUE_TO_ARRAY: u32 = 6;
/// Cycles from issue to the cycle in which the sum of row 0, column 0 can be read.
pub const ISSUE_TO_SUM: u32 = ISSUE_TO_ARRAY + 2;
/// Register stages of a requantisation lane.
pub const REQUANT_LATENCY: u32 = 8;
/// Cycles from a drain step to the cycle in which its outputs are written into the output buffer.
pub const DRAIN_TO_WRITE: u32 = 2 + REQUANT_LATENCY;
/// Tile descriptors between the pixel lister, the feeder and the drain.
pub const TILE_SLOTS: u32 = 4;

/// Cycles from the issue of a tile's last operand to its first drain step: then all sums that a chunk needs are
/// there before the chunk is shifted out.
pub fn issue_to_drain(config: &Config) -> u32 {
    ISSUE_TO_SUM + drain_wait(config)
}

/// After sum (0,0) is there: wait until, for every chunk j, row `rows - 1` of its last column is there when the
/// chunk's turn comes (`j * rows` later).
fn drain_wait(config: &Config) -> u32 {
    let Config { rows, lanes, .. } = *config;
    rows + lanes - 2 + (config.chunks() - 1) * lanes.saturating_sub(rows)
}

/// Least cycles between the issues of two tiles' last operands, so that no sum is overwritten before it is drained,
/// the drain is free again, and a tile's descriptor outlives its drain.
pub fn tile_gap(config: &Config) -> u32 {
    let Config { rows, lanes, .. } = *config;
    let chunks = config.chunks();
    let undrained = drain_wait(config) + rows + (chunks - 1) * rows.saturating_sub(lanes);
    let drain = chunks * rows;
    let descriptor = (issue_to_drain(config) + drain).div_ceil(2);
    undrained.max(drain).max(descriptor)
}

/// Instructions that the fetch engine asks for at a time.
pub fn fetch_batch(config: &Config) -> u32 {
    (config.burst_beats * config.bus_bytes() / crate::isa::INSTRUCTION_BYTES as u32).clamp(1, 8)
}

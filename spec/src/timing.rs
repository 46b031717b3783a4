//! Pipeline latencies and spacings that RTL and cycle model must agree on.

use crate::Config;

/// Cycles from an operand's issue by the feeder to the read of an activation buffer.
pub const ISSUE_TO_READ: u32 = 2;
/// Cycles from an operand's issue to the cycle in which it is at the array's edge: a serializer takes two.
pub const ISSUE_TO_ARRAY: u32 = ISSUE_TO_READ + READ_LATENCY + 2;
/// Cycles from issue to the cycle in which the sum of row 0, column 0 is complete.
pub const ISSUE_TO_SUM: u32 = ISSUE_TO_ARRAY + 2;
/// Register stages of a requantisation lane.
pub const REQUANT_LATENCY: u32 = 13;
/// Register stages of a post lane, which follows a requantisation lane if the config has post lanes.
pub const POST_LATENCY: u32 = 18;
/// Cycles from the array's read of an activation buffer to its word.
pub const READ_LATENCY: u32 = 5;
/// Cycles from the post lanes' read of an activation buffer to their chunk.
pub const SECOND_LATENCY: u32 = 5;
/// Cycles from the store engine's read of an activation buffer to its word.
pub const STORE_LATENCY: u32 = 5;
/// Cycles from the store engine's last read of a burst to the cycle in which the burst can be sent.
pub const GATHER_LATENCY: u32 = STORE_LATENCY + 2;
/// Cycles for which engines are held after an error, until nothing of the run is in any pipeline.
pub const FLUSH: u32 = 256;
/// Tile descriptors between the pixel lister, the feeder and the drain.
pub const TILE_SLOTS: u32 = 4;

/// Cycles from a drain step to the cycle in which the array reads its sums.
const DRAIN_TO_READ: u32 = 1;
/// Cycles from a drain step to the cycle in which its sums are at the requantisation lanes.
pub const DRAIN_TO_REQUANT: u32 = DRAIN_TO_READ + 3;

/// Cycles from a drain step to the cycle in which its outputs are written into an activation buffer.
pub fn drain_to_write(config: &Config) -> u32 {
    let post = if config.post { POST_LATENCY } else { 0 };
    DRAIN_TO_REQUANT + REQUANT_LATENCY + post
}

/// Cycles from the issue of a tile's last operand (`depth`: last tap) to its first drain step: then all sums of a chunk
/// are there when they are read.
pub fn issue_to_drain(config: &Config, depth: bool) -> u32 {
    ISSUE_TO_SUM + drain_wait(config, depth) - DRAIN_TO_READ
}

/// Cycles from sum (0,0) to its read: until, for every chunk j, row `rows - 1` of its last column is there when the
/// chunk's turn comes (`j * rows` later). Row r is r cycles behind row 0, by channel 2r.
fn drain_wait(config: &Config, depth: bool) -> u32 {
    let Config { rows, lanes, .. } = *config;
    let last_row = if depth { 2 * (rows - 1) } else { rows - 1 };
    last_row + lanes - 1 + (config.chunks() - 1) * lanes.saturating_sub(rows)
}

/// Least cycles between the issues of two tiles' last operands (`depth`: last taps), so that no sum is overwritten
/// before it is drained, the drain is free again, and a tile's descriptor outlives its drain.
pub fn tile_gap(config: &Config, depth: bool) -> u32 {
    let Config { rows, lanes, .. } = *config;
    let chunks = config.chunks();
    // A sum is read before the next is there: a column's is a cycle behind its neighbour's, a chunk is read `rows` cycles
    // after its neighbour.
    let undrained = drain_wait(config, depth) + 1 + (chunks - 1) * rows.saturating_sub(lanes);
    let drain = if depth { config.depth_channels() / lanes } else { chunks } * rows;
    // The lister fills a tile's slot again two cycles after the last issue but one before the slot's turn; what it
    // writes is there a cycle later.
    let descriptor = (issue_to_drain(config, depth) + drain - 2).div_ceil(TILE_SLOTS - 2);
    undrained.max(drain).max(descriptor)
}

/// Instructions that the fetch engine asks for at a time.
pub fn fetch_batch(config: &Config) -> u32 {
    (config.burst_beats * config.bus_bytes() / crate::isa::INSTRUCTION_BYTES as u32).clamp(1, 8)
}

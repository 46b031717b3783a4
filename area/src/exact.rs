//! What follows from the structure, without a fit: multipliers, block RAMs, distributed RAMs and the bits of memories.

use spec::Config;
use spec::config::{LOAD_WINDOW, QUEUE_DEPTH, WORD};
use spec::isa::{Engine, FORMS, INSTRUCTION_BYTES};
use spec::timing::TILE_SLOTS;

/// Instructions of the fetch buffer.
const FETCHED: u32 = 16;
/// Which parts the rows of a load in the window have.
const PART_BITS: u32 = 3;
/// Bits of a tile's entry in the queue of tiles.
const TILE_BITS: u32 = 34;
/// Bits of an address in the tile table, which has three for a pixel.
const ADDRESS_BITS: u32 = 24;

/// Memories of one shape.
struct Memory {
    /// Bits of a word.
    bits: u32,
    words: u32,
    /// How many there are.
    count: u32,
}

/// The banks of the buffers.
fn banks(config: &Config) -> [Memory; 5] {
    let word = config.abuf_stride();
    let activations = |bytes: u32| Memory { bits: word * 8, words: bytes / (2 * word), count: 2 };
    [
        activations(config.ibuf),
        activations(config.obuf),
        activations(config.rbuf),
        Memory { bits: config.operand_bits, words: config.wbuf_words(), count: config.cols },
        Memory { bits: config.pbuf_stride() * 8, words: config.pbuf_words(), count: 1 },
    ]
}

/// The memories that are none of the buffers: instruction queues, the window of loads, the queue of tiles, the tile
/// table, the fetch buffer, burst slots (data and strobes), tables of post lanes.
fn others(config: &Config) -> [Memory; 9] {
    let queue = |engine, words| Memory { bits: instruction_bits(engine), words, count: 1 };
    let instruction = INSTRUCTION_BYTES as u32 * 8;
    let tables = if config.post { config.lanes } else { 0 };
    [
        queue(Engine::Load, QUEUE_DEPTH),
        queue(Engine::Compute, QUEUE_DEPTH),
        queue(Engine::Store, QUEUE_DEPTH),
        Memory { bits: instruction_bits(Engine::Load) + PART_BITS, words: LOAD_WINDOW, count: 1 },
        Memory { bits: TILE_BITS, words: TILE_SLOTS, count: 1 },
        Memory { bits: ADDRESS_BITS, words: WORD * TILE_SLOTS, count: 3 },
        Memory { bits: config.bus_bits, words: FETCHED * instruction / config.bus_bits, count: 1 },
        Memory { bits: config.bus_bytes() * 9, words: 2 * config.burst_beats, count: 1 },
        Memory { bits: 128, words: 16, count: tables },
    ]
}

/// Bits of an instruction up to the last one that an engine's fields have.
fn instruction_bits(engine: Engine) -> u32 {
    let fields = FORMS.iter().filter(|f| f.engine == engine).flat_map(|f| f.fields);
    fields.map(|f| f.lsb + f.width).max().unwrap_or(0)
}

impl Memory {
    /// Distributed RAMs of 16 × 4 bits that hold one of them.
    fn distributed(&self) -> u32 {
        self.bits.div_ceil(4) * self.words.div_ceil(16)
    }

    /// Block RAMs that hold one of them: each 512 words of 4 bytes with an enable a byte, or 1024 of 2, or 2048 of 1.
    fn blocks(&self) -> u32 {
        let bytes = self.bits / 8;
        let width = bytes.clamp(1, 4);
        bytes / width * self.words.div_ceil(2048 / width)
    }

    /// Whether Yosys makes distributed RAM of a bank: up to 20 of them for a block RAM saved.
    fn is_distributed(&self) -> bool {
        self.distributed() <= 20 * self.blocks()
    }
}

/// 18 × 18 bit multipliers: one in each processing element, four in each requantisation lane, five in each post lane.
pub(crate) fn multipliers(config: &Config) -> u32 {
    let lane = if config.post { 9 } else { 4 };
    config.rows * config.cols + lane * config.lanes
}

/// Block RAMs: those of the buffers' banks that are too large for distributed RAM. Other memories are read in the
/// cycle of their address, which block RAM cannot do.
pub(crate) fn block_rams(config: &Config) -> u32 {
    banks(config).iter().filter(|b| !b.is_distributed()).map(|b| b.count * b.blocks()).sum()
}

/// Distributed RAMs of 16 × 4 bits.
pub(crate) fn distributed_rams(config: &Config) -> u32 {
    let small = banks(config).into_iter().filter(Memory::is_distributed);
    small.chain(others(config)).map(|m| m.count * m.distributed()).sum()
}

/// Bits of all memories.
pub(crate) fn memory_bits(config: &Config) -> u64 {
    let bits = |m: Memory| u64::from(m.bits) * u64::from(m.words) * u64::from(m.count);
    banks(config).into_iter().chain(others(config)).map(bits).sum()
}

/// Bits that the banks in distributed RAM read at a time.
pub(crate) fn distributed_bits(config: &Config) -> u32 {
    banks(config).iter().filter(|b| b.is_distributed()).map(|b| b.count * b.bits).sum()
}

//! Programs, the machines that execute them, and what a run hands back.

use crate::{Counters, Status, isa::INSTRUCTION_BYTES, isa::Instruction};

/// Bytes at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// First byte's memory address.
    pub address: u32,
    /// Contents.
    pub bytes: Vec<u8>,
}

/// A program with its data: the memory before the run, and where the outputs are after it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// Memory address of the first instruction.
    pub base: u32,
    /// The instructions' memory image.
    pub code: Vec<u8>,
    /// Inputs, weights and parameters.
    pub data: Vec<Segment>,
    /// Address and length of the outputs.
    pub output: (u32, u32),
    /// Cycles after which its run ends with status `timeout`, as in the register `limit`; 0: none.
    pub limit: u32,
}

impl Program {
    /// Number of whole instructions.
    pub fn len(&self) -> u32 {
        (self.code.len() / INSTRUCTION_BYTES) as u32
    }

    /// Whether there is no instruction at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The instructions, decoded.
    pub fn instructions(&self) -> impl Iterator<Item = Result<Instruction, crate::isa::DecodeError>> {
        self.code.as_chunks::<INSTRUCTION_BYTES>().0.iter().map(Instruction::decode)
    }
}

/// What a machine hands back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// How the run ended.
    pub status: Status,
    /// Counters at its end.
    pub counters: Counters,
    /// The output bytes, from machines that compute them.
    pub output: Option<Vec<u8>>,
    /// Each change of the layer's number, with the counters of cycles, busy and idle, at its `quant` instruction.
    pub marks: Vec<Mark>,
}

/// A layer starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Its number.
    pub layer: u32,
    /// Counters up to and with the cycle of its `quant` instruction; bytes are left at 0.
    pub counters: Counters,
}

impl Mark {
    /// A mark without what the buses moved, of which another machine may not know when.
    pub fn new(layer: u32, counters: Counters) -> Self {
        let counters = Counters {
            read_program: 0,
            read_input: 0,
            read_weight: 0,
            read_param: 0,
            written: 0,
            ..counters
        };
        Self { layer, counters }
    }
}

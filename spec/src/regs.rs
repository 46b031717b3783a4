//! Registers of the AXI4-Lite slave, counters and status codes.
//!
//! A run always has a status. It ends when its program does and every write is acknowledged, when nothing can happen any
//! more, at its first error, or after the `limit`; of errors in one cycle the order is `read_error`, `write_error`,
//! `token_overflow`, those of the program, `timeout`. After an error or the limit nothing more is asked of the memory: the
//! run is over when the bursts that it has begun are answered (at most the config's `outstanding` reads, and two more
//! writes), and 256 cycles later at the earliest. So a run is busy for at most `limit` cycles, those of the bursts, and
//! 256. If the memory does not answer, the run stays busy, with its code in `status`; then only a reset helps, of the
//! accelerator and of what is behind its bus together.
//!
//! Whatever ended a run, the next one starts as after a reset: nothing of a run is left for the next but what is in
//! memory, in the buffers and in the table.

use serde::Serialize;
use std::fmt;

/// How software may use a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read only; writes are ignored.
    Read,
    /// Read and write.
    ReadWrite,
    /// Write only; reads give zero.
    Write,
}

/// One 32-bit register.
#[derive(Clone, Copy, Debug)]
pub struct Register {
    /// Name, the same in Rust, Verilog and C.
    pub name: &'static str,
    /// Byte offset.
    pub offset: u32,
    /// Who may do what.
    pub access: Access,
    /// One line for the reference page.
    pub doc: &'static str,
}

/// What the `id` register reads: "KOCH" in ASCII.
pub const ID: u32 = 0x4b4f_4348;
/// Byte offset of the first counter; counter `i` is at `COUNTERS_OFFSET + 8 i` (low word) and `+ 4` (high word).
pub const COUNTERS_OFFSET: u32 = 0x40;
/// What the `limit` register holds after a reset.
pub const LIMIT_RESET: u32 = u32::MAX;
/// Width of a counter.
pub const COUNTER_BITS: u32 = 48;

/// The registers before the counters.
pub const REGISTERS: &[Register] = &[
    Register { name: "id", offset: 0x00, access: Access::Read, doc: "0x4b4f4348, `KOCH` in ASCII." },
    Register {
        name: "shape",
        offset: 0x04,
        access: Access::Read,
        doc: "Bits 7:0 rows, 15:8 columns, 23:16 lanes, 31:24 operand bits.",
    },
    Register {
        name: "config_hash",
        offset: 0x08,
        access: Access::Read,
        doc: "The first 32 bits of the config's hash, to check a program against.",
    },
    Register {
        name: "control",
        offset: 0x0c,
        access: Access::Write,
        doc: "Bit 0 starts a run: it clears counters, status, queues and tokens. Ignored while busy.",
    },
    Register {
        name: "status",
        offset: 0x10,
        access: Access::Read,
        doc: "Bit 0 busy, bit 1 done, bits 11:8 status code, which is there as soon as an error is seen, although the \
              run is still busy with what the bus owes it.",
    },
    Register {
        name: "interrupt",
        offset: 0x14,
        access: Access::ReadWrite,
        doc: "Bit 0 enables the interrupt, which is high while it is enabled and a finished run's done bit is set. \
              Writing bit 1 clears the done bit.",
    },
    Register {
        name: "program",
        offset: 0x18,
        access: Access::ReadWrite,
        doc: "Memory byte address of the program, a multiple of 256. Not written while busy.",
    },
    Register {
        name: "instructions",
        offset: 0x1c,
        access: Access::ReadWrite,
        doc: "Number of instructions of the program. Not written while busy.",
    },
    Register {
        name: "layer",
        offset: 0x20,
        access: Access::Read,
        doc: "Number that the last executed `quant` instruction gave, 0 before the first.",
    },
    Register {
        name: "limit",
        offset: 0x24,
        access: Access::ReadWrite,
        doc: "Cycles after which a run that is not over ends with status `timeout`; 0: none. After reset 0xffffffff, so \
              that a host that does not know the register has a bound too. Not written while busy.",
    },
];

macro_rules! statuses {
    ($($(#[doc = $doc:literal])* $name:ident = $code:literal $text:literal,)*) => {
        /// How a run ended.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Status {
            #[default]
            $($(#[doc = $doc])* $name = $code,)*
        }

        impl Status {
            /// Every status with its identifier and meaning.
            pub const ALL: &[(Status, &str, &str)] = &[$((Status::$name, $text, concat!($($doc),*)),)*];
        }
    };
}

statuses! {
    /// The program ran to its end.
    Ok = 0 "ok",
    /// An opcode that is no instruction.
    IllegalInstruction = 1 "illegal_instruction",
    /// A field has a value that the instruction cannot have, such as a count of zero.
    BadField = 2 "bad_field",
    /// An address or a length is not aligned as it must be.
    Misaligned = 3 "misaligned",
    /// The program is over before its `end` instruction.
    Truncated = 4 "truncated",
    /// A read was answered with SLVERR or DECERR.
    ReadError = 5 "read_error",
    /// A write was answered with SLVERR or DECERR.
    WriteError = 6 "write_error",
    /// Every engine waits for a token or an instruction that cannot come.
    Deadlock = 7 "deadlock",
    /// More tokens of one kind than the counter can hold were pushed.
    TokenOverflow = 8 "token_overflow",
    /// The run was not over after as many cycles as the register `limit` says.
    Timeout = 9 "timeout",
}

impl Status {
    /// The status with this code.
    pub fn from_code(code: u32) -> Option<Self> {
        Self::ALL.iter().map(|(s, ..)| *s).find(|s| *s as u32 == code)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(s, ..)| s == self).map_or("?", |(_, name, _)| name);
        f.pad(name)
    }
}

macro_rules! counters {
    ($($(#[doc = $doc:literal])* $name:ident,)*) => {
        /// The hardware counters of one run.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
        pub struct Counters { $($(#[doc = $doc])* pub $name: u64,)* }

        impl Counters {
            /// Names and descriptions in the order of the counter registers.
            pub const ALL: &[(&str, &str)] = &[$((stringify!($name), concat!($($doc),*)),)*];

            /// Values in the order of [`Self::ALL`].
            pub fn values(&self) -> Vec<u64> { vec![$(self.$name,)*] }

            /// Reads values in the order of [`Self::ALL`].
            pub fn from_values(values: &[u64]) -> Self {
                let mut values = values.iter().copied();
                Self { $($name: values.next().unwrap_or(0),)* }
            }
        }
    };
}

counters! {
    /// Cycles from the start of the run to its end.
    cycles,
    /// Cycles in which the array was fed an operand.
    busy,
    /// Idle cycles between words, because one read port serves all rows and the words are shorter than the rows are many.
    idle_feed,
    /// Idle cycles because the previous tile's sums have not been drained.
    idle_drain,
    /// Idle cycles waiting for tokens from the load engine.
    idle_load,
    /// Idle cycles waiting for tokens from the store engine.
    idle_store,
    /// Idle cycles in which the compute engine read instructions or listed the pixels of a tile.
    idle_setup,
    /// Idle cycles without a compute instruction, until the program's end was dispatched.
    idle_fetch,
    /// Idle cycles without a compute instruction from then on, until the last write was acknowledged.
    idle_tail,
    /// Bus bytes read by the fetch engine.
    read_program,
    /// Bus bytes read into activation buffers.
    read_input,
    /// Bus bytes read into the weight buffer.
    read_weight,
    /// Bus bytes read into the parameter buffer.
    read_param,
    /// Bus bytes written.
    written,
}

impl Counters {
    /// All bus bytes read.
    pub fn bytes_read(&self) -> u64 {
        self.read_program + self.read_input + self.read_weight + self.read_param
    }

    /// All idle cycles: with `busy` they sum to `cycles`.
    pub fn idle(&self) -> u64 {
        self.idle_feed
            + self.idle_drain
            + self.idle_load
            + self.idle_store
            + self.idle_setup
            + self.idle_fetch
            + self.idle_tail
    }
}

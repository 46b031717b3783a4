//! The instruction set: every instruction is [`INSTRUCTION_BYTES`] bytes, little endian, and is declared here once.
//!
//! A program is a sequence of instructions in memory that the fetch engine dispatches, in order, to the queues of
//! the load, compute and store engines. Engines run ahead of each other until a *token* they need is missing. Five
//! token counters exist: load→compute, compute→load, compute→store, store→compute, store→load. Before it starts, an
//! instruction pops `pop_prev` tokens from the engine before it (load < compute < store < load) and `pop_next` from the
//! one after it; on completion it pushes one token to each side whose `push_` flag is set.
//!
//! The sequential reading of a program (each instruction complete before the next starts) must never miss a token;
//! then no order of events can deadlock, because the oldest unfinished instruction can always proceed.
//!
//! An *activation address* has a buffer in its bits 23 and 22 (0 input, 1 output, 2 residual buffer: any of them may serve
//! as any) and an offset in that buffer in the bits below: `dst` of a load into buffer 0, `in_base`, `out_base`,
//! `res_base`, and `src` of a store. Each activation buffer has one port that reads and one that writes. A program must not
//! let two of a rectangle's inputs, its second operands and a store read one buffer at a time, nor a load and a
//! rectangle's outputs write one: there is no arbitration, and one of them gets or leaves wrong data.
//!
//! Outputs of a rectangle are in their buffer when the instruction is complete. A compute instruction starts before the
//! one ahead of it is complete, unless it is `quant`, `post` or `table`: one of these stands between a rectangle and
//! another that reads what the first one writes.

use std::fmt::{self, Write as _};

/// Bytes of one instruction in memory.
pub const INSTRUCTION_BYTES: usize = 32;
/// Programs start at a multiple of this many bytes; the fetch engine reads this much at a time.
pub const PROGRAM_ALIGN: u32 = 256;

/// How the bits of a field are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Unsigned integer.
    Unsigned,
    /// Two's complement integer.
    Signed,
    /// A single bit.
    Flag,
}

/// One field of an instruction: bits `lsb +: width` of the 256-bit little-endian word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Name, the same in Rust, assembly, Verilog and C.
    pub name: &'static str,
    /// Least significant bit.
    pub lsb: u32,
    /// Width in bits.
    pub width: u32,
    /// Interpretation.
    pub kind: Kind,
    /// One line for the reference page.
    pub doc: &'static str,
}

impl Field {
    /// Smallest value that the field can hold.
    pub const fn min(&self) -> i64 {
        match self.kind {
            Kind::Signed => -(1 << (self.width - 1)),
            _ => 0,
        }
    }

    /// Largest value that the field can hold.
    pub const fn max(&self) -> i64 {
        match self.kind {
            Kind::Signed => (1 << (self.width - 1)) - 1,
            _ => (1 << self.width) - 1,
        }
    }

    fn get(&self, bytes: &[u8; INSTRUCTION_BYTES]) -> i64 {
        // At most 32 bits, so eight bytes from the field's first one hold it; past the end there are zeros.
        let first = (self.lsb / 8) as usize;
        let mut window = [0; 8];
        let length = window.len().min(bytes.len() - first);
        window[..length].copy_from_slice(&bytes[first..first + length]);
        let value = (u64::from_le_bytes(window) >> (self.lsb % 8)) as i64 & ((1 << self.width) - 1);
        if self.kind == Kind::Signed && value > self.max() { value - (1 << self.width) } else { value }
    }

    fn set(&self, bytes: &mut [u8; INSTRUCTION_BYTES], value: i64) -> Result<(), EncodeError> {
        if value < self.min() || value > self.max() {
            return Err(EncodeError { field: self.name, value, min: self.min(), max: self.max() });
        }
        // Byte by byte, from the bit in the first one on.
        let (mut bit, end) = (self.lsb, self.lsb + self.width);
        let mut rest = value as u64;
        while bit < end {
            let take = (8 - bit % 8).min(end - bit);
            bytes[bit as usize / 8] |= ((rest & ((1 << take) - 1)) << (bit % 8)) as u8;
            rest >>= take;
            bit += take;
        }
        Ok(())
    }
}

/// The engine that executes an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Engine {
    /// Instruction fetch itself.
    Fetch,
    /// Memory to buffers.
    Load,
    /// The array and what follows it.
    Compute,
    /// Output buffer to memory.
    Store,
}

/// One instruction form.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// Mnemonic.
    pub name: &'static str,
    /// Value of the opcode field.
    pub opcode: u32,
    /// Who executes it.
    pub engine: Engine,
    /// What it does.
    pub doc: &'static str,
    /// Fields after the opcode, in the order that the assembler prints them.
    pub fields: &'static [Field],
}

/// An activation address is a buffer in its upper two bits (0 input, 1 output, 2 residual buffer: any of them may
/// serve as any) and an offset in that buffer below.
pub const OFFSET_BITS: u32 = 22;

/// An address in activation buffer `buffer`.
pub const fn activation(buffer: u32, offset: u32) -> u32 {
    buffer << OFFSET_BITS | offset
}

/// Whether one of these addresses is in no activation buffer.
fn nowhere(addresses: &[u32]) -> bool {
    addresses.iter().any(|a| a >> OFFSET_BITS == 3)
}

/// Whether the bits are those of a positive binary32 between 2^-64 and 2^64.
fn bad_scale(bits: u32) -> bool {
    !(63..191).contains(&(bits >> 23))
}

/// The opcode, at the same place in every instruction. Zero is no instruction, so cleared memory traps.
pub const OPCODE: Field =
    Field { name: "opcode", lsb: 0, width: 4, kind: Kind::Unsigned, doc: "Which instruction this is." };

/// A value does not fit its field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodeError {
    /// Field name.
    pub field: &'static str,
    /// Offending value.
    pub value: i64,
    /// Smallest legal value.
    pub min: i64,
    /// Largest legal value.
    pub max: i64,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, value, min, max } = self;
        write!(
            f,
            "instruction field `{field}` = {value} is outside {min}..={max}: split the work into smaller instructions"
        )
    }
}

impl std::error::Error for EncodeError {}

/// Bytes that are no instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// The opcode found.
    pub opcode: u32,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = FORMS.iter().map(|f| format!("{} {}", f.opcode, f.name)).collect::<Vec<_>>().join(", ");
        write!(f, "illegal opcode {}: the opcodes are {known}", self.opcode)
    }
}

impl std::error::Error for DecodeError {}

/// Conversion between a Rust field and its bits.
trait Bits {
    fn to_bits(self) -> i64;
    fn from_bits(value: i64) -> Self;
}
impl Bits for u32 {
    fn to_bits(self) -> i64 {
        i64::from(self)
    }
    fn from_bits(value: i64) -> Self {
        value as u32
    }
}
impl Bits for i32 {
    fn to_bits(self) -> i64 {
        i64::from(self)
    }
    fn from_bits(value: i64) -> Self {
        value as i32
    }
}
impl Bits for bool {
    fn to_bits(self) -> i64 {
        i64::from(self)
    }
    fn from_bits(value: i64) -> Self {
        value != 0
    }
}

const fn kind_of(name: &str) -> Kind {
    match name.as_bytes()[0] {
        b'u' => Kind::Unsigned,
        b'i' => Kind::Signed,
        _ => Kind::Flag,
    }
}

macro_rules! instructions {
    ($($(#[doc = $doc:literal])* $name:ident $mnemonic:literal = $opcode:literal on $engine:ident {
        $($(#[doc = $fdoc:literal])* $field:ident: $ty:ident [$lsb:literal +: $width:literal],)*
    })*) => {
        $(
            $(#[doc = $doc])*
            #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
            pub struct $name { $($(#[doc = $fdoc])* pub $field: $ty,)* }
        )*

        /// An instruction.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Instruction { $($(#[doc = $doc])* $name($name),)* }

        /// Every instruction form, in the order of the opcodes.
        pub const FORMS: &[Form] = &[$(Form {
            name: $mnemonic,
            opcode: $opcode,
            engine: Engine::$engine,
            doc: concat!($($doc),*),
            fields: &[$(Field {
                name: stringify!($field), lsb: $lsb, width: $width, kind: kind_of(stringify!($ty)),
                doc: concat!($($fdoc),*),
            },)*],
        },)*];

        impl Instruction {
            /// The form of this instruction.
            pub fn form(&self) -> &'static Form {
                let opcode: u32 = match self { $(Self::$name(_) => $opcode,)* };
                FORMS.iter().find(|f| f.opcode == opcode).expect("every instruction has a form")
            }

            /// Field values in the order of the form's fields.
            pub fn values(&self) -> Vec<i64> {
                match self { $(Self::$name(_i) => vec![$(_i.$field.to_bits(),)*],)* }
            }

            fn from_values(opcode: u32, values: &[i64]) -> Option<Self> {
                let mut _values = values.iter().copied();
                match opcode {
                    $($opcode => Some(Self::$name($name { $($field: Bits::from_bits(_values.next()?),)* })),)*
                    _ => None,
                }
            }
        }

        $(impl From<$name> for Instruction {
            fn from(i: $name) -> Self { Self::$name(i) }
        })*
    };
}

instructions! {
    /// Copies bytes from memory into a buffer: `runs` runs of `run_bytes` contiguous bytes each, `run_pitch` apart,
    /// read as one byte stream and laid down as rows of `row_bytes`, `dst_pitch` apart, each row with `pad_left`
    /// bytes of padding before and `pad_right` after it. It ends with the row in which the stream ends; with
    /// `runs` = 0 it writes the padding of one row and reads nothing.
    Load "load" = 1 on Load {
        /// Tokens from store to wait for.
        pop_prev: u32[4 +: 8],
        /// Tokens from compute to wait for.
        pop_next: u32[12 +: 8],
        /// Push a token to compute when the last byte is written.
        push_next: bool[21 +: 1],
        /// Destination: 0 an activation buffer, 1 weight buffer, 2 parameter buffer.
        buffer: u32[22 +: 2],
        /// Memory byte address of the first run; a multiple of the operand bytes.
        src: u32[24 +: 32],
        /// Bytes of a run; a multiple of the operand bytes, not 0 unless `runs` is.
        run_bytes: u32[56 +: 24],
        /// Number of runs.
        runs: u32[80 +: 16],
        /// Bytes from one run's start to the next one's.
        run_pitch: u32[96 +: 24],
        /// Buffer byte address of the first row (the words of the weight and parameter buffers are padded to a
        /// power of two of bytes in this address space).
        dst: u32[120 +: 24],
        /// Bytes from one row's start to the next one's.
        dst_pitch: u32[144 +: 20],
        /// Bytes of a row without its padding; not 0 unless `runs` is.
        row_bytes: u32[164 +: 20],
        /// Bytes of padding before each row.
        pad_left: u32[184 +: 20],
        /// Bytes of padding after each row.
        pad_right: u32[204 +: 20],
        /// Operand that padding is made of (the low bits are used).
        fill: u32[224 +: 16],
    }
    /// Sets what all following tiles share. Waits until the array and the drain are idle.
    Quant "quant" = 2 on Compute {
        /// Activations are signed.
        x_signed: bool[22 +: 1],
        /// Zero point of the activations.
        x_zero: i32[24 +: 17],
        /// Zero point of the outputs.
        y_zero: i32[41 +: 17],
        /// Smallest output.
        y_min: i32[58 +: 17],
        /// Largest output.
        y_max: i32[75 +: 17],
        /// Offsets at or above this, in the buffer that the array reads, wrap round to 0 (a ring of rows).
        ring: u32[92 +: 24],
        /// The following reductions are by channel (`depth`), not over channels (`taps`).
        depth: bool[116 +: 1],
        /// What a reduction by channel does: 0 sum of activations by weights, 1 sum of activations, 2 largest
        /// activation, of which the sum is the difference from the zero point and from the least one that there is,
        /// -2^8 or -2^16, so that 0 is the sum of nothing.
        op: u32[117 +: 2],
        /// Number that the register `layer` shows from here on.
        layer: u32[120 +: 16],
    }
    /// Sets the reduction of the following rectangles: `n_ky` × `n_kx` taps, each a segment of contiguous operands
    /// read in `words` words, the first `longs` of `word_len` operands and the rest of one fewer.
    Taps "taps" = 3 on Compute {
        /// The sums are complete: requantise and write them to an activation buffer, and start from zero again.
        /// Before that, a reduction may be cut over several rectangles of one tile.
        last: bool[23 +: 1],
        /// Kernel rows.
        n_ky: u32[24 +: 8],
        /// Segments of a kernel row.
        n_kx: u32[32 +: 8],
        /// Bytes between kernel rows.
        ky_pitch: u32[40 +: 24],
        /// Bytes between segments of a kernel row.
        kx_pitch: u32[64 +: 20],
        /// Words of a segment.
        words: u32[84 +: 12],
        /// Operands of a long word, at most 16.
        word_len: u32[96 +: 5],
        /// Number of long words, 1 to `words`.
        longs: u32[101 +: 12],
        /// Weight buffer word of the first operand.
        w_base: u32[113 +: 20],
        /// Weight buffer words skipped between segments of a kernel row.
        w_kx_skip: u32[133 +: 20],
        /// Weight buffer words skipped between kernel rows.
        w_ky_skip: u32[153 +: 20],
        /// Parameter buffer word of the first chunk of channels.
        p_base: u32[173 +: 16],
        /// Chunks of `lanes` channels to drain.
        chunks: u32[189 +: 8],
    }
    /// Computes a rectangle of `nx` × `ny` output pixels with the current taps, in raster order, `rows` pixels a
    /// tile; by channel, a tile also ends with its row. Tokens are pushed when the rectangle's last tile has been
    /// drained.
    Rect "rect" = 4 on Compute {
        /// Tokens from load to wait for.
        pop_prev: u32[4 +: 8],
        /// Tokens from store to wait for.
        pop_next: u32[12 +: 8],
        /// Push a token to load.
        push_prev: bool[20 +: 1],
        /// Push a token to store.
        push_next: bool[21 +: 1],
        /// The next rectangle continues the last tile of this one.
        chain: bool[22 +: 1],
        /// Activation address of the first pixel's first tap, which by channel may lie before the map.
        in_base: u32[24 +: 24],
        /// Bytes between the first taps of neighbouring pixels of a row.
        in_x: u32[48 +: 20],
        /// Bytes between the first taps of neighbouring rows.
        in_y: u32[68 +: 24],
        /// Activation address of the first output, a multiple of `lanes` operands.
        out_base: u32[92 +: 24],
        /// Bytes between outputs of neighbouring pixels.
        out_x: u32[116 +: 20],
        /// Bytes between outputs of neighbouring rows.
        out_y: u32[136 +: 24],
        /// Pixels of a row.
        nx: u32[160 +: 16],
        /// Rows.
        ny: u32[176 +: 16],
        /// Activation address of the first pixel's second operand (`post`), a multiple of `lanes` operands, in another
        /// buffer than `in_base`.
        res_base: u32[192 +: 24],
        /// Bytes between second operands of neighbouring pixels.
        res_x: u32[216 +: 20],
        /// Bytes between second operands of neighbouring rows.
        res_y: u32[236 +: 20],
    }
    /// Copies segments of an activation buffer to memory: segments of `seg_bytes`, `seg_pitch` apart, read as one byte
    /// stream and laid down as `runs` runs of `run_bytes` contiguous bytes, `run_pitch` apart.
    Store "store" = 5 on Store {
        /// Tokens from compute to wait for.
        pop_prev: u32[4 +: 8],
        /// Push a token to compute when the last byte has left the buffer.
        push_prev: bool[20 +: 1],
        /// Push a token to load when memory has acknowledged the last byte.
        push_next: bool[21 +: 1],
        /// Activation address of the first segment.
        src: u32[24 +: 24],
        /// Bytes of a segment; not 0.
        seg_bytes: u32[48 +: 20],
        /// Bytes from one segment's start to the next one's.
        seg_pitch: u32[68 +: 20],
        /// Memory byte address of the first run; a multiple of the operand bytes.
        dst: u32[88 +: 32],
        /// Bytes of a run; not 0.
        run_bytes: u32[120 +: 24],
        /// Number of runs; not 0.
        runs: u32[144 +: 16],
        /// Bytes from one run's start to the next one's.
        run_pitch: u32[160 +: 24],
    }
    /// Ends the program: the run is done when every engine is idle and every write is acknowledged.
    End "end" = 6 on Fetch {
    }
    /// Sets the reduction by channel of the following rectangles: `n_ky` × `n_kx` segments of a kernel, each cut by
    /// the stride into `phases` of every stride-th tap, the first `longs` of `taps` taps and the rest of one fewer. A
    /// tile of n pixels reads n + taps − 1 pixels, `in_x` apart, for each phase. A weight buffer word holds a tap.
    /// Arrays of 32 columns and more read two words at a time: then all addresses of taps are multiples of a word.
    Depth "depth" = 7 on Compute {
        /// Kernel rows.
        n_ky: u32[24 +: 8],
        /// Segments of a kernel row.
        n_kx: u32[32 +: 8],
        /// Bytes between kernel rows.
        ky_pitch: u32[40 +: 24],
        /// Bytes between segments of a kernel row.
        kx_pitch: u32[64 +: 20],
        /// Phases of a segment.
        phases: u32[84 +: 8],
        /// Taps of a long phase.
        taps: u32[92 +: 8],
        /// Number of long phases, 1 to `phases`.
        longs: u32[100 +: 8],
        /// Bytes between phases.
        phase_pitch: u32[108 +: 20],
        /// Weight buffer word of the first tap.
        w_base: u32[128 +: 20],
        /// Parameter buffer word of the first chunk of channels.
        p_base: u32[148 +: 16],
        /// Chunks of `lanes` channels to drain.
        chunks: u32[164 +: 8],
        /// Columns of the map between neighbouring pixels.
        stride: u32[172 +: 8],
        /// Columns of the map between segments of a kernel row.
        kx_step: u32[180 +: 8],
        /// Columns from the first pixel's first tap to the map's first column. Taps outside the map do not count.
        pad: u32[188 +: 8],
        /// Columns of the map.
        width: u32[196 +: 16],
    }
    /// Sets what happens to requantised outputs a: with a second operand b, y = clip(round(a × `a_scale` + (b ×
    /// `b_scale` + `offset`)) + `y_zero`) or y = clip(round((a × b × `a_scale`) + `offset`) + `y_zero`), where a and b
    /// are less their zero points, in 9 bits; then a table of 256 entries. What is in parentheses is rounded to
    /// binary32, and what is in `round` before it is rounded to an integer, as in ONNX Runtime's QLinearAdd and
    /// QLinearMul. `quant` switches all of it off. For operands of 8 bits. Waits until the array and the drain are
    /// idle.
    Post "post" = 8 on Compute {
        /// 0 no second operand, 1 add, 2 multiply.
        op: u32[22 +: 2],
        /// The table is used.
        table: bool[24 +: 1],
        /// Second operands are signed.
        signed: bool[25 +: 1],
        /// The requantised outputs are b and the second operands a.
        swap: bool[26 +: 1],
        /// Zero point of a.
        a_zero: i32[32 +: 17],
        /// Zero point of b.
        b_zero: i32[49 +: 17],
        /// Zero point of the outputs.
        y_zero: i32[66 +: 17],
        /// Smallest output.
        y_min: i32[83 +: 17],
        /// Largest output.
        y_max: i32[100 +: 17],
        /// Bits of the binary32 factor of a or of the product.
        a_scale: u32[128 +: 32],
        /// Bits of b's binary32 factor.
        b_scale: u32[160 +: 32],
        /// Bits of the binary32 offset.
        offset: u32[192 +: 32],
    }
    /// Writes 16 entries of the table. Waits until the array and the drain are idle.
    Table "table" = 9 on Compute {
        /// Which 16 entries: those of the operands, read as unsigned, from 16 × this on.
        index: u32[24 +: 4],
        /// Entries 0 to 3, the lowest byte first.
        d0: u32[32 +: 32],
        /// Entries 4 to 7.
        d1: u32[64 +: 32],
        /// Entries 8 to 11.
        d2: u32[96 +: 32],
        /// Entries 12 to 15.
        d3: u32[128 +: 32],
    }
}

/// The form with this mnemonic. Panics if there is none, which a test rules out for all callers.
pub fn form(name: &str) -> &'static Form {
    FORMS.iter().find(|f| f.name == name).unwrap_or_else(|| panic!("no instruction form `{name}`"))
}

impl Instruction {
    /// The memory image, or the first field whose value does not fit.
    pub fn encode(&self) -> Result<[u8; INSTRUCTION_BYTES], EncodeError> {
        let form = self.form();
        let mut bytes = [0; INSTRUCTION_BYTES];
        OPCODE.set(&mut bytes, i64::from(form.opcode))?;
        for (field, value) in form.fields.iter().zip(self.values()) {
            field.set(&mut bytes, value)?;
        }
        Ok(bytes)
    }

    /// Reads a memory image. Bits that belong to no field are ignored, as the hardware ignores them.
    pub fn decode(bytes: &[u8; INSTRUCTION_BYTES]) -> Result<Self, DecodeError> {
        let opcode = OPCODE.get(bytes) as u32;
        let form = FORMS.iter().find(|f| f.opcode == opcode).ok_or(DecodeError { opcode })?;
        let values: Vec<i64> = form.fields.iter().map(|f| f.get(bytes)).collect();
        Self::from_values(opcode, &values).ok_or(DecodeError { opcode })
    }
}

/// A check that the fetch engine makes before it hands an instruction on.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// Mnemonic of the instructions that are checked.
    pub form: &'static str,
    /// Status of the run if the check fails.
    pub status: crate::Status,
    /// What is refused.
    pub doc: &'static str,
}

/// What the instructions of a program so far have set up, as far as checks ask for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Setup {
    /// There was a `quant`.
    pub quant: bool,
    /// The last one's `depth`.
    pub depth: bool,
    /// There was a reduction.
    pub reduction: bool,
    /// The last one was a `depth`.
    pub by_channel: bool,
}

impl Setup {
    /// The next instruction of the program.
    pub fn see(&mut self, instruction: &Instruction) {
        match instruction {
            Instruction::Quant(i) => (self.quant, self.depth) = (true, i.depth),
            Instruction::Taps(_) => (self.reduction, self.by_channel) = (true, false),
            Instruction::Depth(_) => (self.reduction, self.by_channel) = (true, true),
            _ => {}
        }
    }

    /// Whether a rectangle can be computed.
    fn complete(&self) -> bool {
        self.quant && self.reduction && self.depth == self.by_channel
    }
}

macro_rules! checks {
    ($($name:ident $mnemonic:literal $status:ident $doc:literal
        |$i:pat_param, $config:pat_param $(, $setup:pat_param)?| $refused:expr;)*) => {
        /// Every check, in the order in which they are made.
        pub const CHECKS: &[Check] =
            &[$(Check { form: $mnemonic, status: crate::Status::$status, doc: $doc },)*];

        impl Instruction {
            /// The status with which the fetch engine refuses this instruction after those that `setup` has seen, if
            /// it does. RTL and cycle model make the same checks.
            pub fn fault(&self, config: &crate::Config, setup: &Setup) -> Option<crate::Status> {
                let _ = setup;
                $(if let (Self::$name($i), $config) = (self, config) && { $(let $setup = setup;)? $refused } {
                    return Some(crate::Status::$status);
                })*
                None
            }
        }
    };
}

fn zero(values: &[u32]) -> bool {
    values.contains(&0)
}

/// Whether a value is no multiple of the operand bytes.
fn odd(config: &crate::Config, values: &[u32]) -> bool {
    values.iter().any(|v| v % config.operand_bytes() != 0)
}

checks! {
    Load "load" BadField "`buffer` is 3." |i, _| i.buffer == 3;
    Load "load" BadField "`buffer` is 0 and `dst` is in no buffer." |i, _| i.buffer == 0 && nowhere(&[i.dst]);
    Load "load" BadField "`run_bytes` or `row_bytes` is 0 and `runs` is not."
        |i, _| i.runs != 0 && zero(&[i.run_bytes, i.row_bytes]);
    Load "load" Misaligned
        "`src`, `run_bytes`, `run_pitch`, `dst` or `row_bytes` is no multiple of the operand bytes."
        |i, c| odd(c, &[i.src, i.run_bytes, i.run_pitch, i.dst, i.row_bytes]);
    Taps "taps" BadField "`n_ky`, `n_kx`, `words`, `word_len`, `longs` or `chunks` is 0."
        |i, _| zero(&[i.n_ky, i.n_kx, i.words, i.word_len, i.longs, i.chunks]);
    Taps "taps" BadField "`word_len` is more than the operands of a word."
        |i, _| i.word_len > crate::config::WORD;
    Taps "taps" BadField "`chunks` is more than the array has." |i, c| i.chunks > c.chunks();
    Taps "taps" BadField "`longs` is more than `words`, or fewer although `word_len` is 1."
        |i, _| i.longs > i.words || (i.word_len == 1 && i.longs != i.words);
    Quant "quant" BadField "`op` is 3, or `depth` is set although the array cannot reduce by channel."
        |i, c| i.op == 3 || (i.depth && !c.by_channel);
    Depth "depth" BadField "`n_ky`, `n_kx`, `phases`, `taps`, `longs`, `chunks`, `stride` or `width` is 0."
        |i, _| zero(&[i.n_ky, i.n_kx, i.phases, i.taps, i.longs, i.chunks, i.stride, i.width]);
    Depth "depth" BadField "`chunks` is more than the array has by channel."
        |i, c| i.chunks > c.depth_channels() / c.lanes;
    Depth "depth" BadField "`longs` is more than `phases`, or fewer although `taps` is 1."
        |i, _| i.longs > i.phases || (i.taps == 1 && i.longs != i.phases);
    Post "post" BadField "`op` is 3, or `op` or `table` is set although there are no post lanes."
        |i, c| i.op == 3 || (!c.post && (i.op != 0 || i.table));
    Post "post" BadField "`a_scale` (or, to add, `b_scale`) is not between 2^-64 and 2^64."
        |i, _| (i.op != 0 && bad_scale(i.a_scale)) || (i.op == 1 && bad_scale(i.b_scale));
    Post "post" BadField "`offset` is neither 0 nor of a magnitude between 2^-64 and 2^64."
        |i, _| i.op != 0 && i.offset != 0 && bad_scale(i.offset & 0x7fff_ffff);
    Rect "rect" BadField "`nx` or `ny` is 0." |i, _| zero(&[i.nx, i.ny]);
    Rect "rect" BadField "`in_base`, `out_base` or `res_base` is in no buffer."
        |i, _| nowhere(&[i.in_base, i.out_base, i.res_base]);
    Rect "rect" BadField "`chain` is set together with `push_prev` or `push_next`."
        |i, _| i.chain && (i.push_prev || i.push_next);
    Rect "rect" BadField "No `quant` is before it, or none of `taps` and `depth`, or the last of these two is not of \
        the kind that the last `quant`'s `depth` says."
        |_, _, setup| !setup.complete();
    Rect "rect" Misaligned "`in_base` or `out_base` is no multiple of the operand bytes."
        |i, c| odd(c, &[i.in_base, i.out_base]);
    Store "store" BadField "`src` is in no buffer." |i, _| nowhere(&[i.src]);
    Store "store" BadField "`seg_bytes`, `run_bytes` or `runs` is 0."
        |i, _| zero(&[i.seg_bytes, i.run_bytes, i.runs]);
    Store "store" Misaligned
        "`src`, `seg_bytes`, `dst`, `run_bytes` or `run_pitch` is no multiple of the operand bytes."
        |i, c| odd(c, &[i.src, i.seg_bytes, i.dst, i.run_bytes, i.run_pitch]);
}

impl fmt::Display for Instruction {
    /// Assembly: the mnemonic and `field=value` for every field that is not zero.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let form = self.form();
        let mut text = form.name.to_owned();
        for (field, value) in form.fields.iter().zip(self.values()) {
            if value != 0 {
                write!(text, " {}={value}", field.name)?;
            }
        }
        f.pad(&text)
    }
}

/// Assembly text that is no instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AsmError(String);

impl fmt::Display for AsmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for AsmError {}

impl std::str::FromStr for Instruction {
    type Err = AsmError;

    /// Reads what `Display` prints; omitted fields are zero.
    fn from_str(text: &str) -> Result<Self, AsmError> {
        let mut words = text.split_whitespace();
        let mnemonic = words.next().unwrap_or("");
        let form = FORMS.iter().find(|f| f.name == mnemonic).ok_or_else(|| {
            let known = FORMS.iter().map(|f| f.name).collect::<Vec<_>>().join(", ");
            AsmError(format!("unknown instruction `{mnemonic}`: use one of {known}"))
        })?;
        let mut values = vec![0; form.fields.len()];
        for word in words {
            let (name, value) = word
                .split_once('=')
                .ok_or_else(|| AsmError(format!("`{word}` in `{text}` is not of the form field=value")))?;
            let at = form.fields.iter().position(|f| f.name == name).ok_or_else(|| {
                let known = form.fields.iter().map(|f| f.name).collect::<Vec<_>>().join(", ");
                AsmError(format!("`{mnemonic}` has no field `{name}`: its fields are {known}"))
            })?;
            let field = &form.fields[at];
            values[at] =
                value.parse().ok().filter(|v| (field.min()..=field.max()).contains(v)).ok_or_else(|| {
                    AsmError(format!("`{name}={value}`: {name} takes {}..={}", field.min(), field.max()))
                })?;
        }
        Self::from_values(form.opcode, &values).ok_or_else(|| AsmError(format!("cannot build `{text}`")))
    }
}

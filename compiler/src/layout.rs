//! Where everything lies in memory, and the bytes of weights and parameters as the machine streams them.

use spec::isa::{INSTRUCTION_BYTES, Instruction, PROGRAM_ALIGN};
use spec::layer::{Layer, LayerData, Quant};
use spec::{Config, Segment};

use crate::CompileError;
use crate::shape::{Kernel, Shape, round_up};

/// Tensors start at a multiple of this many bytes.
const TENSOR_ALIGN: i64 = 4096;

/// Memory addresses of the tensors, and the operand that padding is made of.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// Inputs, NHWC.
    pub input: i64,
    /// Weights by filter group.
    pub weights: i64,
    /// Parameters by filter group.
    pub params: i64,
    /// Second operands, NHWC.
    pub second: i64,
    /// Outputs, NHWC.
    pub output: i64,
    /// Bytes of the outputs.
    pub output_bytes: i64,
    /// The program.
    pub program: i64,
    /// Zero point of the inputs, as an operand.
    pub fill: u32,
}

impl Addresses {
    /// Places the tensors one after another, the program after them.
    pub fn new(layer: &Layer, shape: &Shape, config: &Config, x_zero: i32) -> Self {
        let operand = shape.operand;
        let end = shape.filter(shape.filters());
        let mut next = 0;
        let mut place = |bytes: i64| {
            let at = next;
            next = round_up(next + bytes, TENSOR_ALIGN);
            at
        };
        let input = place(layer.input_len() as i64 * operand);
        let weights = place(end.weights);
        let params = place(shape.param_words() * i64::from(config.pbuf_stride()));
        let output_bytes = layer.output_len() as i64 * operand;
        let output = place(output_bytes);
        let program = round_up(next, i64::from(PROGRAM_ALIGN));
        let fill = x_zero as u32 & (u32::MAX >> (32 - 8 * operand));
        Self { input, weights, params, second: 0, output, output_bytes, program, fill }
    }

    /// Checks that tensors and `instructions` instructions fit 32-bit addresses.
    pub fn check(&self, layer: &Layer, instructions: usize) -> Result<(), CompileError> {
        let end = self.program + (instructions * INSTRUCTION_BYTES) as i64;
        if end > 1 << 32 {
            return Err(CompileError::new(format!(
                "memory of {end} bytes for `{layer}`: at most 4294967296 can be addressed; split the layer or use a \
                 smaller batch"
            )));
        }
        Ok(())
    }
}

/// The memory image of a program.
pub fn encode(instructions: &[Instruction]) -> Result<Vec<u8>, CompileError> {
    let mut code = Vec::with_capacity(instructions.len() * INSTRUCTION_BYTES);
    for instruction in instructions {
        code.extend(
            instruction.encode().map_err(|e| CompileError::new(format!("{e} (in `{instruction}`)")))?,
        );
    }
    Ok(code)
}

/// The contents of memory: inputs, weights and parameters.
pub fn segments(shape: &Shape, config: &Config, addresses: &Addresses, data: &LayerData) -> Vec<Segment> {
    let segment = |address: i64, bytes: Vec<u8>| Segment { address: crate::schedule::field(address), bytes };
    vec![
        segment(addresses.input, pack(&data.input, shape.operand)),
        segment(addresses.weights, weights(shape, &data.weights)),
        segment(addresses.params, params(shape, config, &data.bias, &data.multipliers)),
    ]
}

/// Bytes of operands.
pub fn pack(values: &[i32], operand: i64) -> Vec<u8> {
    let operand = operand as usize;
    let mut bytes = Vec::with_capacity(values.len() * operand);
    for value in values {
        bytes.extend(&value.to_le_bytes()[..operand]);
    }
    bytes
}

/// Weights by filter group, `[cout][kh][kw][cin / groups]` before.
pub fn weights(shape: &Shape, weights: &[i32]) -> Vec<u8> {
    match shape.kernel {
        Kernel::Dense => dense_weights(shape, weights),
        Kernel::ByChannel => channel_weights(shape, weights),
        Kernel::Sum | Kernel::Largest => Vec::new(),
    }
}

/// A word for each tap: row by row, in a row the taps of a phase of the stride after those of the phase before.
fn channel_weights(shape: &Shape, weights: &[i32]) -> Vec<u8> {
    let n = |v: i64| v as usize;
    let (operand, kw) = (n(shape.operand), n(shape.kw));
    let phases = if shape.dw > 1 { 1 } else { n(shape.sw).min(kw) };
    let row = || (0..phases).flat_map(move |phase| (phase..kw).step_by(phases));
    let mut bytes = vec![0; n(shape.filter(shape.filters()).weights)];
    for index in 0..shape.filters() {
        let filter = shape.filter(index);
        let taps = (0..n(shape.kh)).flat_map(|ky| row().map(move |kx| ky * kw + kx));
        for (word, tap) in taps.enumerate() {
            for column in 0..n(filter.cols) {
                let weight = weights[(n(filter.cout0) + column) * n(shape.kh) * kw + tap];
                let at = n(filter.weights) + (word * n(filter.cols) + column) * operand;
                bytes[at..at + operand].copy_from_slice(&weight.to_le_bytes()[..operand]);
            }
        }
    }
    bytes
}

fn dense_weights(shape: &Shape, weights: &[i32]) -> Vec<u8> {
    let n = |v: i64| v as usize;
    let operand = n(shape.operand);
    let (taps, channels) = (n(shape.kh * shape.kw), n(shape.group_cin));
    // A packed group sees the channels of its own layer group only; its other weights are zero.
    let (own, own_filters) = (n(shape.group_cin / shape.pack), n(shape.group_cout / shape.pack));
    let mut bytes = vec![0; n(shape.filter(shape.filters()).weights)];
    for index in 0..shape.filters() {
        let filter = shape.filter(index);
        let cols = n(filter.cols);
        for column in 0..cols {
            let cout = n(filter.cout0) + column;
            let first = cout % n(shape.group_cout) / own_filters * own;
            let source = &weights[cout * taps * own..][..taps * own];
            for (tap, run) in source.chunks_exact(own).enumerate() {
                let start = n(filter.weights) + ((tap * channels + first) * cols + column) * operand;
                for (c, weight) in run.iter().enumerate() {
                    let at = start + c * cols * operand;
                    bytes[at..at + operand].copy_from_slice(&weight.to_le_bytes()[..operand]);
                }
            }
        }
    }
    bytes
}

/// Parameters by filter group, or by number of taps where all channels have the same.
pub fn params(shape: &Shape, config: &Config, bias: &[i32], multipliers: &[f32]) -> Vec<u8> {
    let lanes = i64::from(config.lanes);
    let mut bytes = Vec::new();
    let mut push = |bias: i32, multiplier: f32| {
        bytes.extend(bias.to_le_bytes());
        bytes.extend(multiplier.to_le_bytes());
    };
    if !shape.counts.is_empty() {
        for (&bias, &multiplier) in bias.iter().zip(multipliers) {
            (0..shape.shared_chunks() * lanes).for_each(|_| push(bias, multiplier));
        }
        return bytes;
    }
    for index in 0..shape.filters() {
        let filter = shape.filter(index);
        for i in 0..filter.chunks * lanes {
            let channel = (filter.cout0 + i) as usize;
            if i < filter.cols { push(bias[channel], multipliers[channel]) } else { push(0, 1.0) }
        }
    }
    bytes
}

/// The values of output bytes, `[batch][out_h][out_w][cout]`.
pub fn unpack_output(quant: &Quant, bytes: &[u8]) -> Vec<i32> {
    match (quant.operand_bits, quant.signed) {
        (8, true) => bytes.iter().map(|&b| i32::from(b as i8)).collect(),
        (8, false) => bytes.iter().map(|&b| i32::from(b)).collect(),
        (_, signed) => {
            let value = |b: &[u8; 2]| {
                let v = u16::from_le_bytes(*b);
                if signed { i32::from(v as i16) } else { i32::from(v) }
            };
            bytes.as_chunks::<2>().0.iter().map(value).collect()
        }
    }
}

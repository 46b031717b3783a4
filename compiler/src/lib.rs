//! Koch crate `compiler`: from networks to layers, and from a layer to a program.
//!
//! One layer is planned ([`Plan`]: tiling and estimated cost), written down as operations in reading order
//! ([`schedule`]), and ordered with tokens into instructions ([`order`]).

pub mod cut;
pub mod layer_table;
pub mod layout;
pub mod lower;
pub mod network;
pub mod npy;
pub mod offsets;
pub mod onnx;
pub mod order;
pub mod place;
pub mod plan;
pub mod program;
pub mod schedule;
pub mod shape;
pub mod size;
pub mod table;

use std::fmt;

use schedule::Setup;
use spec::isa::{self, Instruction};
use spec::layer::{Layer, LayerData};
use spec::{Config, Program};

pub use layout::unpack_output;
use plan::Costs;
pub use plan::Plan;
use shape::{Kernel, Places};

/// Operands of the longest segment that one instruction can read.
pub(crate) const MAX_SEGMENT: i64 = 4095 * spec::config::WORD as i64;

/// Why a layer cannot be compiled for a config: the value, the limit it breaks, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompileError(String);

impl CompileError {
    pub(crate) fn new(text: String) -> Self {
        Self(text)
    }

    pub(crate) fn internal() -> Self {
        Self("the compiler found no order for its own program: please report the layer and the config".into())
    }
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CompileError {}

/// Chooses how to run `layer` on `config`.
pub fn plan(layer: &Layer, config: &Config) -> Result<Plan, CompileError> {
    plan_with_costs(layer, config, &mut Costs::default())
}

/// The same, with the costs of earlier calls for the same layer on configs that differ in the sizes of buffers only.
pub fn plan_with_costs(layer: &Layer, config: &Config, costs: &mut Costs) -> Result<Plan, CompileError> {
    let places = Places::alone(layer, config);
    Ok(Plan::with_costs(layer, config, kernel(layer, config), places, costs)?.trimmed())
}

/// How a layer on its own is computed: depthwise convolutions by channel, if their windows all see the map.
pub fn kernel(layer: &Layer, config: &Config) -> Kernel {
    let depthwise = layer.groups > 1 && layer.groups == layer.cin && layer.groups == layer.cout;
    let by_channel =
        depthwise && config.by_channel && config.operand_bits == 8 && shape::tap_counts(layer)[0] > 0;
    if by_channel { Kernel::ByChannel } else { Kernel::Dense }
}

/// The program of a plan, with `data` in its memory; without data only the code, which is all that timing needs.
pub fn assemble(plan: &Plan, data: Option<&LayerData>) -> Result<Program, CompileError> {
    let Plan { layer, config, shape, .. } = plan;
    let quant = data.map(|d| d.quant);
    if let Some(quant) = quant
        && quant.operand_bits != config.operand_bits
    {
        return Err(CompileError::new(format!(
            "data of {} bits on a config of {} bits: use a config with operand_bits = {}",
            quant.operand_bits, config.operand_bits, quant.operand_bits
        )));
    }
    if let Some(data) = data {
        data.check(layer).map_err(|e| CompileError::new(e.to_string()))?;
    }
    let addresses = layout::Addresses::new(layer, shape, config, quant.map_or(0, |q| q.x_zero));
    addresses.check(layer, 0)?;
    let quant = quant.map_or(isa::Quant::default(), |q| isa::Quant {
        x_signed: q.signed,
        x_zero: q.x_zero,
        y_zero: q.y_zero,
        y_min: q.y_min,
        y_max: q.y_max,
        ..isa::Quant::default()
    });
    let (mut instructions, _) =
        order::order(schedule::schedule(plan, addresses, Setup { quant, ..Setup::default() })?)?;
    instructions.push(Instruction::End(isa::End {}));
    addresses.check(layer, instructions.len())?;
    Ok(Program {
        base: schedule::field(addresses.program),
        code: layout::encode(&instructions)?,
        data: data.map(|d| layout::segments(shape, config, &addresses, d)).unwrap_or_default(),
        output: (schedule::field(addresses.output), schedule::field(addresses.output_bytes)),
        limit: 0,
    })
}

/// Bytes of a layer's tensors: inputs, weights, biases (int32) and scales (binary32) of each output channel, and
/// outputs. Each has to cross the bus at least once.
pub fn once_only_bytes(layer: &Layer, config: &Config) -> u64 {
    let operands = (layer.input_len() + layer.weight_len() + layer.output_len()) as u64;
    operands * u64::from(config.operand_bytes())
        + u64::from(spec::config::PARAM_BYTES) * u64::from(layer.cout)
}

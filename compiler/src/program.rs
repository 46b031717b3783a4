//! A network's program: the steps one after the other, the tensors in memory, and what to know about each step.

use spec::isa::{self, INSTRUCTION_BYTES, Instruction, PROGRAM_ALIGN};
use spec::{Config, Program, Segment};

use crate::layout::{self, Addresses};
use crate::lower::{Lowered, Step, lower};
use crate::network::{Network, TensorId};
use crate::order::{self, Op, Touch};
use crate::place::{Chip, Placement, place};
use crate::plan::Plan;
use crate::schedule::{self, Schedule, Setup, field};
use crate::shape::{Place, round_up};
use crate::{CompileError, once_only_bytes};

/// Bytes of padding that are written in a cycle, at least.
const WORD: i64 = 16;
/// Whole tensors start at a multiple of this many bytes in memory.
const TENSOR_ALIGN: i64 = 4096;

/// Where a tensor lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Address of the first pixel's first channel.
    pub address: u32,
    /// Bytes between pixels.
    pub pixel: u32,
    /// Bytes between rows.
    pub row: u32,
}

/// The instructions of a step and the bytes that they move over the bus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Instructions.
    pub instructions: u64,
    /// Bytes of the bus words of inputs and second operands.
    pub input: u64,
    /// Of weights.
    pub weight: u64,
    /// Of parameters.
    pub param: u64,
    /// Of outputs.
    pub output: u64,
}

impl Traffic {
    fn add(&mut self, instruction: &Instruction, bus: u64) {
        self.instructions += 1;
        let moved = |address: u32, run_bytes: u32, runs: u32, run_pitch: u32| {
            let start = |k: u32| u64::from(address) + u64::from(k) * u64::from(run_pitch);
            let beats = |k: u32| (start(k) % bus + u64::from(run_bytes)).div_ceil(bus);
            (0..runs).map(beats).sum::<u64>() * bus
        };
        match instruction {
            Instruction::Load(i) => {
                let class = match i.buffer {
                    0 => &mut self.input,
                    1 => &mut self.weight,
                    _ => &mut self.param,
                };
                *class += moved(i.src, i.run_bytes, i.runs, i.run_pitch);
            }
            Instruction::Store(i) => self.output += moved(i.dst, i.run_bytes, i.runs, i.run_pitch),
            _ => {}
        }
    }
}

/// A tensor between steps that is in memory, and the bytes that this costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spill {
    /// Which.
    pub tensor: TensorId,
    /// Bytes that its steps store.
    pub written: u64,
    /// Bytes that the steps which read it load, each what it needs of it once.
    pub read: u64,
}

/// A network compiled for a config.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The steps, and the network as they see it.
    pub lowered: Lowered,
    /// The config.
    pub config: Config,
    placement: Placement,
    /// Address of each whole tensor, of each step's weights and of its parameters.
    tensors: Vec<Option<i64>>,
    numbers: Vec<(i64, i64)>,
    /// End of the tensors, and address of the program.
    tensors_end: i64,
    base: i64,
}

/// Compiles a network. Where `chain` is set, outputs that fit stay on chip for the steps that read them; else every
/// tensor is stored.
pub fn compile(network: &Network, config: &Config, chain: bool) -> Result<Compiled, CompileError> {
    if config.operand_bits != 8 {
        return Err(CompileError::new(format!(
            "networks have operands of 8 bits, config {} of {}: use one with operand_bits = 8",
            config.name, config.operand_bits
        )));
    }
    let lowered = lower(network, config)?;
    let placement = place(&lowered, config, chain)?;
    let mut next = 0;
    let mut put = |bytes: i64| {
        let at = next;
        next = round_up(next + bytes, TENSOR_ALIGN);
        at
    };
    let mut tensors = vec![None; lowered.network.tensors.len()];
    let inputs = lowered.network.inputs.iter().chain(lowered.network.constants.keys()).copied();
    let ids = lowered.steps.iter().flat_map(|s| [Some(s.input), s.second, Some(s.output)]).flatten();
    for id in inputs.chain(ids) {
        let whole = lowered.parts[id].whole;
        if tensors[whole].is_none() && placement.chip[whole].is_none() {
            tensors[whole] = Some(put(lowered.network.tensors[whole].len() as i64));
        }
    }
    let tensors_end = put(0);
    let numbers = placement.plans.iter().map(|plan| {
        let (s, c) = (&plan.shape, config);
        let weights = if s.taps() > 0 { s.filter(s.filters()).weights } else { 0 };
        (put(weights), put(s.param_words() * i64::from(c.pbuf_stride())))
    });
    let numbers = numbers.collect();
    let base = round_up(put(0), PROGRAM_ALIGN.into());
    let compiled =
        Compiled { lowered, config: config.clone(), placement, tensors, numbers, tensors_end, base };
    compiled.check(0)?;
    Ok(compiled)
}

impl Compiled {
    /// How each step is tiled.
    pub fn plans(&self) -> &[Plan] {
        &self.placement.plans
    }

    /// Where a tensor is on chip, if it is.
    pub fn chip(&self, id: TensorId) -> Option<Chip> {
        self.placement.chip[self.lowered.parts[id].whole]
    }

    /// Where a tensor is in memory, if it is.
    pub fn region(&self, id: TensorId) -> Option<Region> {
        let part = self.lowered.parts[id];
        let start = self.tensors[part.whole]?;
        let t = &self.lowered.network.tensors[part.whole];
        let first = (i64::from(part.row) * i64::from(t.w) + i64::from(part.column)) * i64::from(t.c);
        Some(Region {
            address: field(start + first + i64::from(part.channel)),
            pixel: part.right * t.c,
            row: part.down * t.w * t.c,
        })
    }

    /// The addresses of a tensor's pixels, if it is in memory.
    fn pixels(&self, id: TensorId) -> Option<impl Iterator<Item = u32>> {
        let (region, t) = (self.region(id)?, &self.lowered.network.tensors[id]);
        let (h, w) = (t.h, t.w);
        let pixel = move |y: u32, x: u32| region.address + y * region.row + x * region.pixel;
        Some((0..h).flat_map(move |y| (0..w).map(move |x| pixel(y, x))))
    }

    /// A tensor's elements out of memory from the program's first output byte on.
    pub fn elements(&self, id: TensorId, memory: &[u8]) -> Option<Vec<i32>> {
        let t = &self.lowered.network.tensors[id];
        let element = |b: &u8| if t.signed() { i32::from(*b as i8) } else { i32::from(*b) };
        let mut elements = Vec::with_capacity(t.len());
        for at in self.pixels(id)? {
            elements.extend(memory.get(at as usize..at as usize + t.c as usize)?.iter().map(element));
        }
        Some(elements)
    }

    /// Bytes of a step's tensors that have to cross the bus at least once, whatever stays on chip: as if each step
    /// were a layer on its own.
    pub fn once_only_bytes(&self, index: usize) -> u64 {
        let step = &self.lowered.steps[index];
        let plan = &self.placement.plans[index];
        let elements = |id: TensorId| self.lowered.network.tensors[id].len() as u64;
        if step.weights.is_empty() {
            elements(step.input) + step.second.map_or(0, elements) + elements(step.output)
        } else {
            once_only_bytes(&plan.layer, &self.config) + step.second.map_or(0, elements)
        }
    }

    /// The tensors between steps that are in memory: those that the plan spills. Bytes are what one store by the step that
    /// computes it and one load by each that reads it move.
    pub fn spills(&self) -> Vec<Spill> {
        let (network, parts) = (&self.lowered.network, &self.lowered.parts);
        let outside: Vec<TensorId> = network.outputs.iter().map(|&id| parts[id].whole).collect();
        let bytes = |id: TensorId| network.tensors[id].len() as u64 * u64::from(self.config.operand_bytes());
        let mut spills: Vec<Spill> = Vec::new();
        for step in &self.lowered.steps {
            let whole = parts[step.output].whole;
            if self.placement.chip[whole].is_some() || outside.contains(&whole) {
                continue;
            }
            match spills.iter_mut().find(|s| s.tensor == whole) {
                Some(spill) => spill.written += bytes(step.output),
                None => spills.push(Spill { tensor: whole, written: bytes(step.output), read: 0 }),
            }
        }
        for spill in &mut spills {
            for step in &self.lowered.steps {
                if parts[step.input].whole == spill.tensor {
                    spill.read += step.layer.needed_len() as u64 * u64::from(self.config.operand_bytes());
                }
                spill.read += step.second.filter(|&id| parts[id].whole == spill.tensor).map_or(0, bytes);
            }
        }
        spills
    }

    /// What each step of the program of `range` consists of.
    pub fn traffic(&self, range: std::ops::Range<usize>) -> Result<Vec<Traffic>, CompileError> {
        let mut schedule = Schedule::default();
        let step = |index: usize| {
            let before = schedule.ops.len();
            self.add(&mut schedule, index, &self.placement.plans[index], index + 1 == range.end)?;
            let mut traffic = Traffic::default();
            for op in &schedule.ops[before..] {
                traffic.add(&op.instruction, self.config.bus_bytes().into());
            }
            Ok(traffic)
        };
        range.clone().map(step).collect()
    }

    fn check(&self, instructions: usize) -> Result<(), CompileError> {
        let end = self.base + (instructions * INSTRUCTION_BYTES) as i64;
        if end > 1 << 32 {
            return Err(CompileError::new(format!(
                "memory of {end} bytes for network {}: at most 4294967296 can be addressed; use a smaller network",
                self.lowered.network.name
            )));
        }
        Ok(())
    }

    /// The program of steps `range`, with the numbers of the network in memory, and `values` of tensors: all that
    /// these steps read and do not compute. Without values only the code, which is all that timing needs. The outputs
    /// are all tensors in memory.
    pub fn program(
        &self,
        range: std::ops::Range<usize>,
        values: Option<&[(TensorId, &[i32])]>,
    ) -> Result<Program, CompileError> {
        let mut schedule = Schedule::default();
        for index in range.clone() {
            self.add(&mut schedule, index, &self.placement.plans[index], index + 1 == range.end)?;
        }
        let code = self.code(schedule)?;
        let mut data = Vec::new();
        if let Some(values) = values {
            for (id, elements) in values {
                data.extend(self.tensor(*id, elements));
            }
            for (id, elements) in &self.lowered.network.constants {
                data.extend(self.tensor(*id, elements));
            }
            for index in range {
                let (step, plan) = (&self.lowered.steps[index], &self.placement.plans[index]);
                let (weights, params) = self.numbers[index];
                let segment = |at: i64, bytes: Vec<u8>| Segment { address: field(at), bytes };
                data.push(segment(weights, layout::weights(&plan.shape, &step.weights)));
                data.push(segment(
                    params,
                    layout::params(&plan.shape, &self.config, &step.bias, &step.multipliers),
                ));
            }
        }
        data.retain(|segment| !segment.bytes.is_empty());
        Ok(Program { base: field(self.base), code, data, output: (0, field(self.tensors_end)), limit: 0 })
    }

    /// The code of a single step by another plan, which is all that timing needs. Nothing may be on chip.
    pub fn step_program(&self, index: usize, plan: &Plan) -> Result<Program, CompileError> {
        let mut schedule = Schedule::default();
        self.add(&mut schedule, index, plan, true)?;
        let code = self.code(schedule)?;
        Ok(Program {
            base: field(self.base),
            code,
            data: Vec::new(),
            output: (0, field(self.tensors_end)),
            limit: 0,
        })
    }

    fn code(&self, schedule: Schedule) -> Result<Vec<u8>, CompileError> {
        let (mut instructions, _) = order::order(schedule.ops)?;
        instructions.push(Instruction::End(isa::End {}));
        self.check(instructions.len())?;
        layout::encode(&instructions)
    }

    /// The bytes of a tensor in memory. Parts of a whole are written pixel by pixel.
    fn tensor(&self, id: TensorId, elements: &[i32]) -> Vec<Segment> {
        let (Some(region), Some(pixels)) = (self.region(id), self.pixels(id)) else { return Vec::new() };
        let bytes = layout::pack(elements, 1);
        let t = &self.lowered.network.tensors[id];
        if (t.c, t.w * t.c) == (region.pixel, region.row) {
            return vec![Segment { address: region.address, bytes }];
        }
        let segment = |(address, bytes): (u32, &[u8])| Segment { address, bytes: bytes.to_vec() };
        pixels.zip(bytes.chunks(t.c as usize)).map(segment).collect()
    }

    fn add(
        &self,
        schedule: &mut Schedule,
        index: usize,
        plan: &Plan,
        last: bool,
    ) -> Result<(), CompileError> {
        let step = &self.lowered.steps[index];
        let at = |id: TensorId| self.region(id).map_or(0, |r| i64::from(r.address));
        let (weights, params) = self.numbers[index];
        let addresses = Addresses {
            input: at(step.input),
            weights,
            params,
            second: step.second.map_or(0, at),
            output: at(step.output),
            output_bytes: 0,
            program: self.base,
            fill: u32::from(step.quant.x_zero as u8),
        };
        let setup = Setup {
            quant: isa::Quant { layer: index as u32 + 1, ..step.quant },
            post: step.post,
            table: step.table.clone(),
            broadcast: step.broadcast,
            fills: self.fills(index),
        };
        schedule::add(schedule, plan, addresses, setup, last)
    }

    /// What writes the padding of a tensor on chip, for the first step that writes a part of it.
    fn fills(&self, index: usize) -> Vec<Op> {
        let whole = |step: &Step| self.lowered.parts[step.output].whole;
        let id = whole(&self.lowered.steps[index]);
        let earlier = self.lowered.steps[..index].iter().any(|s| whole(s) == id);
        let Some(chip) = self.placement.chip[id].filter(|c| c.pad > 0 && !earlier) else { return Vec::new() };
        let t = &self.lowered.network.tensors[id];
        let bytes = chip.pad * chip.pixel;
        let row = (i64::from(t.w) + chip.pad) * chip.pixel;
        let fill = |y: i64| {
            let dst = chip.base + y * row;
            let load = isa::Load {
                dst: isa::activation(chip.buffer, field(dst)),
                pad_left: field(bytes),
                fill: u32::from(t.zero as u8),
                ..isa::Load::default()
            };
            let touches = vec![
                Touch::new(order::Place::Activations(chip.buffer), dst, dst + bytes),
                Touch::port(order::Place::WritePort(chip.buffer)),
            ];
            Op { instruction: load.into(), touches, cycles: 3 + bytes / WORD }
        };
        (0..=i64::from(t.h)).map(fill).collect()
    }
}

impl Lowered {
    /// The name of a step: that of its first node.
    pub fn name(&self, step: &Step) -> &str {
        step.nodes.first().map_or("", |&n| &self.network.nodes[n].name)
    }
}

/// The plan of a network: a line for each step, with its tensors' places.
impl std::fmt::Display for Compiled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, (step, plan)) in self.lowered.steps.iter().zip(self.plans()).enumerate() {
            let nodes: Vec<_> =
                step.nodes.iter().map(|&n| self.lowered.network.nodes[n].name.as_str()).collect();
            writeln!(f, "step {} {}", index + 1, nodes.join(" + "))?;
            let shown = |id: TensorId, place: Place| match place {
                Place::Memory { buffer, room, .. } => {
                    let at = self.region(id).map_or(0, |r| r.address);
                    format!("memory {at:#x} through {room} bytes of buffer {buffer}")
                }
                Place::Chip { buffer, offset, pixel, row } => {
                    format!("buffer {buffer} from {offset}, {pixel} bytes a pixel, {row} a row")
                }
            };
            let places = plan.shape.places;
            writeln!(f, "  reads {}", shown(step.input, places.input))?;
            if let (Some(id), Some(place)) = (step.second, places.second) {
                writeln!(f, "  second operand {}", shown(id, place))?;
            }
            writeln!(f, "  writes {}", shown(step.output, places.output))?;
            writeln!(f, "  {plan}")?;
        }
        Ok(())
    }
}

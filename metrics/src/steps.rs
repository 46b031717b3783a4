//! The steps of a compiled network: what each one has to do, and what it did.

use compiler::CompileError;
use compiler::network::OpKind;
use compiler::program::{Compiled, Traffic};
use spec::isa::INSTRUCTION_BYTES;
use spec::{Counters, Run};
use std::ops::Range;

use crate::Work;

/// Some steps of a network that run as one program.
pub struct Steps {
    /// Which of them, counted from 0.
    pub range: Range<usize>,
    /// What each of them moves.
    pub traffic: Vec<Traffic>,
}

impl Steps {
    /// Counts what these steps move.
    pub fn new(compiled: &Compiled, range: Range<usize>) -> Result<Self, CompileError> {
        let traffic = compiled.traffic(range.clone())?;
        Ok(Self { range, traffic })
    }

    /// What a step is, in a word.
    pub fn kind(&self, compiled: &Compiled, index: usize) -> &'static str {
        let lowered = &compiled.lowered;
        let step = &lowered.steps[index];
        match step.nodes.first().map(|&n| &lowered.network.nodes[n].kind) {
            Some(OpKind::Conv { layer, .. }) if (layer.h, layer.w) == (1, 1) => "fc",
            Some(OpKind::Conv { .. }) => "conv",
            Some(OpKind::Depthwise { .. }) if step.is_convolution() => "depthwise",
            Some(OpKind::Depthwise { .. }) => "scale",
            Some(OpKind::MaxPool { .. }) => "max pool",
            Some(OpKind::AveragePool { .. } | OpKind::GlobalAveragePool { .. }) => "average pool",
            Some(OpKind::Add { .. }) => "add",
            Some(OpKind::Mul { .. }) => "mul",
            Some(OpKind::Table(_)) => "table",
            Some(OpKind::Channels(_)) => "channels",
            _ => "copy",
        }
    }

    /// What there is to do in a step. Only weights make MACs.
    pub fn work(&self, compiled: &Compiled, index: usize) -> Work {
        let lowered = &compiled.lowered;
        let (step, traffic) = (&lowered.steps[index], self.traffic[index - self.range.start]);
        let macs = matches!(self.kind(compiled, index), "conv" | "depthwise" | "fc" | "scale");
        let once_only_bytes = compiled.once_only_bytes(index);
        let ids = [Some(step.input), step.second, Some(step.output)];
        let on_chip = ids.into_iter().flatten().filter(|&id| compiled.chip(id).is_some());
        let on_chip: usize = on_chip.map(|id| lowered.network.tensors[id].len()).sum();
        Work {
            useful_macs: if macs { step.layer.useful_macs() } else { 0 },
            padded_macs: if macs { step.layer.padded_macs() } else { 0 },
            once_only_bytes,
            off_chip_bytes: once_only_bytes.saturating_sub(on_chip as u64),
            moved_bytes: traffic.input + traffic.weight + traffic.param + traffic.output,
        }
    }

    /// Counters of each step, from its mark to the next one's; what is before the first mark belongs to the first step.
    /// The bytes are those of the step's own instructions, which run ahead of it. None if a mark is missing.
    pub fn by_step(&self, run: &Run) -> Option<Vec<Counters>> {
        let at = |index: usize| run.marks.iter().find(|m| m.layer as usize == index + 1).map(|m| m.counters);
        let mut before = Counters::default().values();
        let step = |index: usize| {
            let after = if index + 1 < self.range.end { at(index + 1)? } else { run.counters };
            let after = after.values();
            let values: Vec<u64> = after.iter().zip(&before).map(|(a, b)| a.saturating_sub(*b)).collect();
            before = after;
            let t = self.traffic[index - self.range.start];
            Some(Counters {
                read_program: t.instructions * INSTRUCTION_BYTES as u64,
                read_input: t.input,
                read_weight: t.weight,
                read_param: t.param,
                written: t.output,
                ..Counters::from_values(&values)
            })
        };
        self.range.clone().map(step).collect()
    }
}

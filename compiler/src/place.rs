//! Decides where each tensor of a network lies: in memory, or all of it in an activation buffer from the step that
//! computes it to the last one that reads it.
//!
//! An activation buffer has one port that reads and one that writes. So a step's input and second operand are in
//! different buffers, outputs on their way to memory are in a third one, and what comes from memory does not pass
//! through the buffer that outputs go to.

use std::collections::HashMap;
use std::ops::ControlFlow;

use spec::Config;
use spec::config::WORD;
use spec::layer::Layer;

use crate::CompileError;
use crate::lower::{Lowered, Step};
use crate::network::TensorId;
use crate::offsets::{Buffer, Problem, exact};
use crate::plan::Plan;
use crate::shape::{Kernel, Place, Places, round_up};

/// Bytes to whose multiples tensors are aligned on chip: two words.
const CHIP_ALIGN: i64 = 64;
/// Steps from the first to the last use of what is considered for a buffer.
const MAX_SPAN: usize = 12;
/// Placements that are tried to move tensors of a buffer together.
const ARRANGE_NODES: u64 = 10_000;
/// What an estimate may rise by, in parts of 1000 of the cycles, for the sake of fewer bytes.
const TOLERANCE: i64 = 2;

/// Where a whole tensor lies on chip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chip {
    /// The activation buffer.
    pub buffer: u32,
    /// Offset of the first byte, padding included.
    pub base: i64,
    /// Bytes, padding included.
    pub bytes: i64,
    /// Bytes between pixels.
    pub pixel: i64,
    /// Columns of padding before the first row, between rows, and after the last.
    pub pad: i64,
}

/// Places and plans of all steps.
#[derive(Clone, Debug)]
pub struct Placement {
    /// By tensor, for those that are placed as a whole: on chip, or else in memory.
    pub chip: Vec<Option<Chip>>,
    /// By step.
    pub plans: Vec<Plan>,
}

/// Bytes and cycles.
type Cost = (i64, i64);

/// First and last step that touch each whole tensor.
fn spans(lowered: &Lowered) -> Vec<Option<(usize, usize)>> {
    let mut spans: Vec<Option<(usize, usize)>> = vec![None; lowered.network.tensors.len()];
    for (i, step) in lowered.steps.iter().enumerate() {
        for id in [Some(step.input), step.second, Some(step.output)].into_iter().flatten() {
            let span = &mut spans[lowered.parts[id].whole];
            *span = Some((span.map_or(i, |s| s.0), i));
        }
    }
    spans
}

struct Placer<'a> {
    lowered: &'a Lowered,
    config: &'a Config,
    sizes: [i64; 3],
    spans: Vec<Option<(usize, usize)>>,
    /// Tensors may stay on chip.
    chain: bool,
    chip: Vec<Option<Chip>>,
    memo: HashMap<(Layer, Kernel, Places), Option<Plan>>,
}

/// Places all tensors of a network, in memory if nothing may stay on chip, and plans its steps.
pub fn place(lowered: &Lowered, config: &Config, chain: bool) -> Result<Placement, CompileError> {
    let mut placer = Placer {
        lowered,
        config,
        sizes: [config.ibuf, config.obuf, config.rbuf].map(i64::from),
        spans: spans(lowered),
        chain,
        chip: vec![None; lowered.network.tensors.len()],
        memo: HashMap::new(),
    };
    if chain {
        placer.choose();
    }
    let plans = (0..lowered.steps.len()).map(|i| placer.plan(i)).collect::<Result<_, _>>()?;
    Ok(Placement { chip: placer.chip, plans })
}

impl Placer<'_> {
    /// Keeps on chip what fits and saves bytes, in the order of the steps.
    fn choose(&mut self) {
        let mut order: Vec<(usize, usize, TensorId)> =
            (0..self.spans.len()).filter_map(|id| self.spans[id].map(|(a, b)| (a, b, id))).collect();
        order.sort_unstable();
        for (first, last, id) in order {
            let Some((bytes, pixel, pad)) = self.on_chip(id) else { continue };
            if last - first > MAX_SPAN {
                continue;
            }
            let mut best: Option<(Cost, Vec<Option<Chip>>)> = None;
            for buffer in 0..3 {
                let bases = match self.free(buffer, bytes, (first, last)) {
                    Some(base) => vec![(id, base)],
                    None => self.arrange(buffer, bytes, id),
                };
                // The steps whose plans may change.
                let spans = bases.iter().filter_map(|(id, _)| self.spans[*id]);
                let Some((from, to)) = spans.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))) else { continue };
                let Some(before) = self.cost(from, to) else { continue };
                let chips = self.chip.clone();
                self.chip[id] = Some(Chip { buffer, base: 0, bytes, pixel, pad });
                for (id, base) in bases {
                    self.chip[id] = self.chip[id].map(|chip| Chip { base, ..chip });
                }
                let after = self.cost(from, to);
                let placed = std::mem::replace(&mut self.chip, chips);
                let more = after.map(|after| (after.0 - before.0, after.1 - before.1));
                if let Some(more) = more
                    && more.0 < 0
                    && more.1 <= before.1 * TOLERANCE / 1000
                    && best.as_ref().is_none_or(|(least, _)| (more.1, more.0) < (least.1, least.0))
                {
                    best = Some((more, placed));
                }
            }
            if let Some((_, placed)) = best {
                self.chip = placed;
            }
        }
    }

    /// Bytes that a tensor would take on chip, bytes between its pixels, and columns of padding; if it may be there.
    fn on_chip(&self, id: TensorId) -> Option<(i64, i64, i64)> {
        let network = &self.lowered.network;
        let outside = network.inputs.iter().chain(&network.outputs).chain(network.constants.keys());
        if outside.into_iter().any(|t| self.lowered.parts[*t].whole == id) {
            return None;
        }
        let is = |t: TensorId| self.lowered.parts[t].whole == id;
        let t = &network.tensors[id];
        let (mut granule, mut pad) = (i64::from(self.config.lanes), 0);
        let mut dense = false;
        let mut written = false;
        for step in &self.lowered.steps {
            let words = step.kernel != Kernel::Dense && self.config.depth_channels() > WORD;
            if is(step.input) {
                granule = granule.max(if words { WORD.into() } else { 1 });
                dense |= step.reshapes(&network.tensors[step.input]);
                let columns = step.layer.pl.max(step.layer.pr);
                if step.kernel == Kernel::Dense && columns > 0 {
                    pad = pad.max(columns.into());
                    // All padding of a tensor on chip is written once, with its own zero point.
                    if step.quant.x_zero != network.tensors[id].zero {
                        return None;
                    }
                }
            }
            written |= is(step.output);
            // Every filter group starts with a chunk of lanes.
            let aligned = step.kernel != Kernel::Dense
                || step.layer.groups == 1
                || step.layer.group_cout() % self.config.lanes == 0;
            if !aligned && (is(step.output) || step.second.is_some_and(is)) {
                return None;
            }
        }
        let aligned = |t: TensorId| !is(t) || i64::from(self.lowered.parts[t].channel) % granule == 0;
        if !written || !(0..network.tensors.len()).all(aligned) {
            return None;
        }
        let pixel = round_up(t.c.into(), granule);
        if dense && (pad > 0 || pixel != i64::from(t.c)) {
            return None;
        }
        let (h, w) = (i64::from(t.h), i64::from(t.w));
        Some((round_up((pad + h * (w + pad)) * pixel, CHIP_ALIGN), pixel, pad))
    }

    /// The tensors on chip that are alive in one of these steps, with the first byte and the one after the last.
    fn alive(&self, buffer: u32, (first, last): (usize, usize)) -> Vec<(i64, i64)> {
        let alive = |id: usize| {
            let chip = self.chip[id].filter(|c| c.buffer == buffer)?;
            let (from, to) = self.spans[id]?;
            (from <= last && first <= to).then_some((chip.base, chip.base + chip.bytes))
        };
        (0..self.chip.len()).filter_map(alive).collect()
    }

    /// The highest place for `bytes` in a buffer during these steps.
    fn free(&self, buffer: u32, bytes: i64, steps: (usize, usize)) -> Option<i64> {
        let alive = self.alive(buffer, steps);
        let size = self.sizes[buffer as usize];
        let starts = alive.iter().map(|(lo, _)| *lo).chain([size]);
        let places = starts
            .map(|end| (end - bytes) / CHIP_ALIGN * CHIP_ALIGN)
            .filter(|base| *base >= 0 && alive.iter().all(|(lo, hi)| base + bytes <= *lo || *hi <= *base));
        places.max()
    }

    /// Places for a tensor of `bytes` and for those that are in the buffer at the same time, directly or by way of others, if
    /// there are any that fit: the least that they need, from the buffer's end downwards.
    fn arrange(&self, buffer: u32, bytes: i64, id: TensorId) -> Vec<(TensorId, i64)> {
        let mut members = vec![(id, bytes)];
        let mut next = 0;
        while let Some(&(member, _)) = members.get(next) {
            next += 1;
            let Some((first, last)) = self.spans[member] else { continue };
            for (other, chip) in self.chip.iter().enumerate() {
                if let (Some(chip), Some((from, to))) = (chip, self.spans[other])
                    && chip.buffer == buffer
                    && from <= last
                    && first <= to
                    && members.iter().all(|(member, _)| *member != other)
                {
                    members.push((other, chip.bytes));
                }
            }
        }
        let live = |&(id, bytes): &(TensorId, i64)| {
            let (first, last) = self.spans[id]?;
            let buffer = Buffer::new(id.to_string(), first as u64, last as u64 + 1, bytes as u64);
            Some(Buffer { align: CHIP_ALIGN as u64, ..buffer })
        };
        let Some(Ok(problem)) = members.iter().map(live).collect::<Option<_>>().map(Problem::new) else {
            return vec![];
        };
        let end = self.sizes[buffer as usize] / CHIP_ALIGN * CHIP_ALIGN;
        let least = exact::minimise(&problem, ARRANGE_NODES, &mut |_| ControlFlow::Continue(()));
        if least.allocation.peak as i64 > end {
            return vec![];
        }
        let bases = members.iter().zip(&least.allocation.offsets);
        bases.map(|(&(id, bytes), &offset)| (id, end - offset as i64 - bytes)).collect()
    }

    /// Estimated bytes and cycles of these steps; none if one of them cannot be executed.
    fn cost(&mut self, first: usize, last: usize) -> Option<Cost> {
        let mut sum = (0, 0);
        for i in first..=last {
            let plan = self.plan(i).ok()?;
            sum = (sum.0 + plan.bytes() as i64, sum.1 + plan.cycles() as i64);
        }
        Some(sum)
    }

    fn plan(&mut self, index: usize) -> Result<Plan, CompileError> {
        let step = &self.lowered.steps[index];
        // Where nothing is on chip, buffers have the roles that their names say, if they are large enough.
        if (0..3).all(|buffer| self.alive(buffer, (index, index)).is_empty())
            && let Ok(plan) = self.plan_in(step, self.places(index, step, Some([0, 2, 1]))?)
        {
            return Ok(plan);
        }
        self.plan_in(step, self.places(index, step, None)?)
    }

    fn plan_in(&mut self, step: &Step, places: Places) -> Result<Plan, CompileError> {
        let key = (step.layer, step.kernel, places);
        if let Some(Some(plan)) = self.memo.get(&key) {
            return Ok(plan.clone());
        }
        let plan = Plan::new(&step.layer, self.config, step.kernel, places)
            .map_err(|e| CompileError::new(format!("node {}: {e}", self.lowered.name(step))));
        self.memo.insert(key, plan.as_ref().ok().cloned());
        plan
    }

    /// The places of a step's tensors: what is in memory passes through the buffers that are left, the input first, or
    /// through those given.
    fn places(&self, index: usize, step: &Step, roles: Option<[u32; 3]>) -> Result<Places, CompileError> {
        let chip = |id: TensorId| self.chip[self.lowered.parts[id].whole];
        let ids = [Some(step.input), step.second, Some(step.output)];
        let homes = ids.map(|id| id.and_then(chip));
        let used = |role: usize| ids[role].is_some();
        // Roles that must not share a buffer.
        let apart = |a: usize, b: usize| match (a.min(b), a.max(b)) {
            (0, 1) => true,
            (a, b) => homes[a].is_none() || homes[b].is_none(),
        };
        let mut best: Option<(i64, [u32; 3])> = None;
        for code in 0..27u32 {
            let buffers = [code % 3, code / 3 % 3, code / 9];
            let fixed = roles.is_none_or(|roles| roles == buffers)
                && (0..3).all(|r| homes[r].is_none_or(|c| c.buffer == buffers[r]));
            let mut pairs = [(0, 1), (0, 2), (1, 2)].into_iter().filter(|(a, b)| used(*a) && used(*b));
            if !fixed || pairs.any(|(a, b)| buffers[a] == buffers[b] && apart(a, b)) {
                continue;
            }
            // The input wants most room, the second operand least; if all are equal, the order of the buffers.
            let room = |role: usize| self.room(buffers[role], index);
            let score = (0..3)
                .filter(|&r| used(r) && homes[r].is_none())
                .map(|r| room(r).min(1 << 30) * [4, 1, 2][r] + i64::from(buffers[r] == [0, 2, 1][r]))
                .sum();
            if best.is_none_or(|(most, _)| score > most) {
                best = Some((score, buffers));
            }
        }
        let Some((_, buffers)) = best else {
            return Err(CompileError::new(format!("node {}: no buffers are left", self.lowered.name(step))));
        };
        let place = |role: usize, id: TensorId| {
            let (part, operand) = (self.lowered.parts[id], i64::from(self.config.operand_bytes()));
            let whole = &self.lowered.network.tensors[part.whole];
            // In a shape of its own, the tensor is one run of bytes.
            let own = role == 0 && step.reshapes(&self.lowered.network.tensors[id]);
            // One pixel may stand for a whole row, and a whole map.
            let width = if role == 1 && step.broadcast { step.layer.out_w() } else { whole.w };
            let (down, right) = (i64::from(part.down), i64::from(part.right));
            let pixel = i64::from(step.layer.cin) * operand;
            let dense = (pixel, i64::from(step.layer.w) * pixel);
            match homes[role] {
                Some(Chip { buffer, base, pixel, pad, .. }) => {
                    let row = (i64::from(width) + pad) * pixel;
                    let first = i64::from(part.row) * row + (pad + i64::from(part.column)) * pixel;
                    let offset = base + first + i64::from(part.channel) * operand;
                    let (pixel, row) = if own { dense } else { (right * pixel, down * row) };
                    Place::Chip { buffer, offset, pixel, row }
                }
                None => {
                    let pixel = i64::from(whole.c) * operand;
                    let row = i64::from(width) * pixel;
                    let (pixel, row) = if own { dense } else { (right * pixel, down * row) };
                    Place::Memory { buffer: buffers[role], room: self.room(buffers[role], index), pixel, row }
                }
            }
        };
        Ok(Places {
            input: place(0, step.input),
            second: step.second.map(|id| place(1, id)),
            output: place(2, step.output),
            once: !self.chain,
        })
    }

    /// Bytes at the start of a buffer that no tensor takes during a step.
    fn room(&self, buffer: u32, index: usize) -> i64 {
        let alive = self.alive(buffer, (index, index));
        alive.into_iter().map(|(lo, _)| lo).fold(self.sizes[buffer as usize], i64::min)
    }
}

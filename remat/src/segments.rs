//! Schedules from one decision for each tensor: whether it stays while it is not read, and how it comes back if not.

use std::collections::BinaryHeap;

use crate::creation::{self, Make};
use crate::problem::{Problem, StepId, TensorId};
use crate::schedule::{Action, Schedule};

/// What happens to a tensor between steps that read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// It is dropped after its last step, and computed again where another one is that reads it.
    Last,
    /// It stays as long as anything reads it, steps that are computed again included.
    Hold,
    /// It is dropped where it is unread for the longest time, and computed again.
    Again,
    /// The same, and brought back from off chip.
    Spill,
}

/// When tensors are read, each step computed once.
pub struct Uses {
    /// By tensor: the last step that touches it before it is unread for the longest time, and the first one after that.
    pub gap: Vec<Option<(StepId, StepId)>>,
    last: Vec<StepId>,
}

impl Uses {
    pub fn new(problem: &Problem) -> Self {
        let end = problem.steps().len();
        let uses = |id: TensorId| {
            let tensor = &problem.tensors()[id];
            let first = problem.maker(id).unwrap_or(0);
            let last = tensor.wanted.then_some(end);
            std::iter::once(first).chain(problem.readers(id).iter().copied()).chain(last)
        };
        let gap = |id: TensorId| {
            let pairs = uses(id).zip(uses(id).skip(1));
            pairs.max_by_key(|(from, to)| to - from).filter(|(from, to)| to - from > 1)
        };
        let ids = 0..problem.tensors().len();
        Self {
            gap: ids.clone().map(gap).collect(),
            last: ids.map(|id| uses(id).last().unwrap_or(0)).collect(),
        }
    }
}

/// A run through the steps by choices.
struct Walk<'a> {
    problem: &'a Problem,
    choices: &'a [Choice],
    there: Vec<bool>,
    makes: Vec<Make>,
}

impl Walk<'_> {
    /// Computes again what step `k` reads and is not there, as far back as needed.
    fn restore(&mut self, k: StepId) -> Vec<StepId> {
        let missing = |walk: &Self, k: StepId, heap: &mut BinaryHeap<StepId>| {
            for &id in &walk.problem.steps()[k].inputs {
                if !walk.there[id] && walk.choices[id] != Choice::Spill {
                    heap.extend(walk.problem.maker(id));
                }
            }
        };
        let mut heap = BinaryHeap::new();
        missing(self, k, &mut heap);
        let mut steps: Vec<StepId> = vec![];
        while let Some(step) = heap.pop() {
            if steps.last() != Some(&step) {
                steps.push(step);
                missing(self, step, &mut heap);
            }
        }
        steps.reverse();
        steps.iter().for_each(|&step| self.compute(step));
        steps
    }

    fn compute(&mut self, k: StepId) {
        let step = &self.problem.steps()[k];
        for &id in &step.inputs {
            if !std::mem::replace(&mut self.there[id], true) {
                self.makes.push(Make::Fetch(id));
            }
        }
        self.makes.push(Make::Step(k));
        step.outputs.iter().for_each(|&id| self.there[id] = true);
    }
}

/// The schedule that follows from a choice for each tensor. If `lean`, what is computed again only to compute something else
/// is dropped at once; if not, it stays until its own next steps. Tensors that are given are only ever spilled.
pub fn schedule(problem: &Problem, uses: &Uses, choices: &[Choice], lean: bool) -> Schedule {
    let steps = problem.steps().len();
    let mut drops: Vec<Vec<TensorId>> = vec![vec![]; steps + 1];
    for (id, &choice) in choices.iter().enumerate() {
        let given = problem.tensors()[id].given;
        if choice == Choice::Hold || (given && choice != Choice::Spill) {
            continue;
        }
        drops[uses.last[id]].push(id);
        if let (Choice::Again | Choice::Spill, Some((from, _))) = (choice, uses.gap[id]) {
            drops[from].push(id);
        }
    }
    let there = problem.tensors().iter().map(|t| t.given).collect();
    let mut walk = Walk { problem, choices, there, makes: vec![] };
    for (k, drops) in drops.iter().take(steps).enumerate() {
        let again = walk.restore(k);
        walk.compute(k);
        if lean {
            for id in again.iter().flat_map(|&step| &problem.steps()[step].outputs) {
                if choices[*id] != Choice::Hold {
                    walk.there[*id] = false;
                }
            }
        }
        drops.iter().for_each(|&id| walk.there[id] = false);
    }
    for id in (0..choices.len()).filter(|&id| problem.tensors()[id].wanted) {
        if !walk.there[id] {
            match (choices[id], problem.maker(id)) {
                (Choice::Spill, _) | (_, None) => {
                    walk.makes.push(Make::Fetch(id));
                    walk.there[id] = true;
                }
                (_, Some(maker)) => {
                    walk.restore(maker);
                    walk.compute(maker);
                }
            }
        }
    }
    creation::schedule(problem, &walk.makes)
}

/// What a schedule needs, by a shorter way than [`crate::run`], which judges the result.
pub struct Need {
    /// Of computing and transfers.
    pub cost: u64,
    /// Most bytes.
    pub peak: u64,
    /// Bytes above the budget, summed over all steps computed.
    pub excess: u128,
}

impl Need {
    pub fn of(problem: &Problem, schedule: &[Action], budget: u64) -> Self {
        let mut there: Vec<bool> = problem.tensors().iter().map(|t| t.given).collect();
        let bytes = |id: TensorId| problem.tensors()[id].bytes;
        let mut live: u64 = (0..there.len()).filter(|&id| there[id]).map(bytes).sum();
        let mut need = Self { cost: 0, peak: live, excess: u128::from(live.saturating_sub(budget)) };
        for &action in schedule {
            match action {
                Action::Compute(k) => {
                    let step = &problem.steps()[k];
                    for &id in &step.outputs {
                        if !std::mem::replace(&mut there[id], true) {
                            live += bytes(id);
                        }
                    }
                    need.cost += step.cost;
                    let most = live + step.workspace;
                    need.peak = need.peak.max(most);
                    need.excess += u128::from(most.saturating_sub(budget));
                }
                Action::Free(id) => {
                    there[id] = false;
                    live -= bytes(id);
                }
                Action::Out(id) => need.cost += problem.transfer(id).unwrap_or(0),
                Action::In(id) => {
                    there[id] = true;
                    live += bytes(id);
                    need.cost += problem.transfer(id).unwrap_or(0);
                    need.peak = need.peak.max(live);
                }
            }
        }
        need
    }
}

//! Schedules, and the machine that runs them. It shares nothing with those who find schedules.

use std::fmt;

use crate::problem::{Problem, StepId, TensorId};

/// One thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Computes a step.
    Compute(StepId),
    /// Takes a tensor off the chip. A copy that was written stays.
    Free(TensorId),
    /// Writes a copy of a tensor off chip; the tensor stays on chip.
    Out(TensorId),
    /// Brings a tensor back from its copy, which stays.
    In(TensorId),
}

/// Things to do, one after the other.
pub type Schedule = Vec<Action>;

/// What a schedule costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Of all steps, each as often as it is computed.
    pub compute: u64,
    /// Of all transfers.
    pub transfer: u64,
    /// Bytes that are moved.
    pub moved: u64,
    /// Most bytes on chip at a time.
    pub peak: u64,
}

impl Cost {
    /// Computing and transfers one after the other.
    pub fn total(&self) -> u64 {
        self.compute + self.transfer
    }
}

/// Why a schedule cannot be run: which action, counted from 0, and what is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Index of the action; one after the last if something is missing at the end.
    pub at: usize,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "action {}: {}", self.at, self.what)
    }
}

impl std::error::Error for Fault {}

/// What is where while a schedule runs.
struct Machine<'a> {
    problem: &'a Problem,
    there: Vec<bool>,
    copied: Vec<bool>,
    computed: Vec<bool>,
    bytes: u64,
    cost: Cost,
}

impl<'a> Machine<'a> {
    fn new(problem: &'a Problem) -> Self {
        let there: Vec<bool> = problem.tensors().iter().map(|t| t.given).collect();
        let bytes = problem.tensors().iter().filter(|t| t.given).map(|t| t.bytes).sum();
        Self {
            problem,
            copied: vec![false; there.len()],
            computed: vec![false; problem.steps().len()],
            there,
            bytes,
            cost: Cost { peak: bytes, ..Cost::default() },
        }
    }

    fn put(&mut self, id: TensorId) {
        if !std::mem::replace(&mut self.there[id], true) {
            self.bytes += self.problem.tensors()[id].bytes;
        }
    }

    fn compute(&mut self, k: StepId) -> Result<(), String> {
        let step = self.problem.steps().get(k).ok_or_else(|| format!("there is no step {k}"))?;
        if let Some(&id) = step.inputs.iter().find(|&&id| !self.there[id]) {
            let name = &self.problem.tensors()[id].name;
            return Err(format!("step {} reads {name}, which is not on chip", step.name));
        }
        if std::mem::replace(&mut self.computed[k], true) && !self.problem.again(k) {
            return Err(format!("step {} is computed again, which is not allowed", step.name));
        }
        step.outputs.iter().for_each(|&id| self.put(id));
        self.cost.compute += step.cost;
        self.cost.peak = self.cost.peak.max(self.bytes + step.workspace);
        Ok(())
    }

    fn act(&mut self, action: Action) -> Result<(), String> {
        let name = |id: TensorId| self.problem.tensors().get(id).map(|t| t.name.as_str());
        let known = |id| name(id).ok_or_else(|| format!("there is no tensor {id}"));
        match action {
            Action::Compute(k) => return self.compute(k),
            Action::Free(id) => {
                if !self.there.get(id).is_some_and(|&there| there) {
                    return Err(format!("{} is freed, but not on chip", known(id)?));
                }
                self.there[id] = false;
                self.bytes -= self.problem.tensors()[id].bytes;
                return Ok(());
            }
            Action::Out(id) => {
                if !self.there.get(id).is_some_and(|&there| there) {
                    return Err(format!("{} is written off chip, but not on chip", known(id)?));
                }
                self.copied[id] = true;
            }
            Action::In(id) => {
                if !self.copied.get(id).is_some_and(|&copied| copied) {
                    return Err(format!("{} is brought back, but has no copy", known(id)?));
                }
                if self.there[id] {
                    return Err(format!("{} is brought back, but on chip already", known(id)?));
                }
                self.put(id);
            }
        }
        let (Action::Out(id) | Action::In(id)) = action else { return Ok(()) };
        let Some(cost) = self.problem.transfer(id) else {
            return Err(format!("{} is moved, but nothing may be", known(id)?));
        };
        self.cost.transfer += cost;
        self.cost.moved += self.problem.tensors()[id].bytes;
        self.cost.peak = self.cost.peak.max(self.bytes);
        Ok(())
    }

    fn end(&self) -> Result<(), String> {
        if let Some(k) = self.computed.iter().position(|&computed| !computed) {
            return Err(format!("step {} is never computed", self.problem.steps()[k].name));
        }
        let missing = |(id, &there): (usize, &bool)| !there && self.problem.tensors()[id].wanted;
        match self.there.iter().enumerate().position(missing) {
            Some(id) => {
                Err(format!("{} is wanted at the end, but not on chip", self.problem.tensors()[id].name))
            }
            None => Ok(()),
        }
    }
}

/// Runs a schedule in a memory of `budget` bytes.
///
/// # Errors
///
/// If a step's input is not on chip, more bytes than the budget are, something is done that cannot be, or something that has
/// to be done is not.
pub fn run(problem: &Problem, schedule: &[Action], budget: u64) -> Result<Cost, Fault> {
    let mut machine = Machine::new(problem);
    let fits = |machine: &Machine<'_>| match machine.cost.peak {
        peak if peak <= budget => Ok(()),
        peak => Err(format!("{peak} bytes are on chip, the budget is {budget}")),
    };
    fits(&machine).map_err(|what| Fault { at: 0, what })?;
    for (at, &action) in schedule.iter().enumerate() {
        let done = machine.act(action).and_then(|()| fits(&machine));
        done.map_err(|what| Fault { at, what })?;
    }
    machine.end().map_err(|what| Fault { at: schedule.len(), what })?;
    Ok(machine.cost)
}

/// What becomes of a tensor between its first step and its last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It stays on chip as long as it is needed.
    Kept,
    /// It is brought back from a copy off chip, at least once.
    Spilled,
    /// It is computed again, at least once, and never brought back.
    Recomputed,
}

/// What a schedule does with each tensor. A tensor that is written again where it still lies is kept.
pub fn fates(problem: &Problem, schedule: &[Action]) -> Vec<Fate> {
    let mut there: Vec<bool> = problem.tensors().iter().map(|t| t.given).collect();
    let mut made = there.clone();
    let mut fates = vec![Fate::Kept; there.len()];
    for &action in schedule {
        match action {
            Action::Compute(k) => {
                for &id in &problem.steps()[k].outputs {
                    if !there[id] && made[id] && fates[id] == Fate::Kept {
                        fates[id] = Fate::Recomputed;
                    }
                    (there[id], made[id]) = (true, true);
                }
            }
            Action::Free(id) => there[id] = false,
            Action::Out(_) => {}
            Action::In(id) => (there[id], fates[id]) = (true, Fate::Spilled),
        }
    }
    fates
}

/// The stays of tensors on chip: of each its tensor, the first action that it is there in and the one after the last.
pub fn occupancy(problem: &Problem, schedule: &[Action]) -> Vec<(TensorId, usize, usize)> {
    let mut since: Vec<Option<usize>> = problem.tensors().iter().map(|t| t.given.then_some(0)).collect();
    let mut stays = Vec::new();
    for (at, &action) in schedule.iter().enumerate() {
        match action {
            Action::Compute(k) => problem.steps()[k].outputs.iter().for_each(|&id| {
                since[id].get_or_insert(at);
            }),
            Action::Free(id) => stays.extend(since[id].take().map(|first| (id, first, at))),
            Action::Out(_) => {}
            Action::In(id) => since[id] = Some(at),
        }
    }
    let last = since.iter().enumerate().filter_map(|(id, first)| Some((id, (*first)?, schedule.len())));
    stays.extend(last);
    stays
}

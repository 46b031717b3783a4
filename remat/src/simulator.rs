//! Step by step through a memory of a given size: what is not needed soon makes room for what is needed now.

use crate::creation::{self, Make};
use crate::problem::{Problem, StepId, TensorId};
use crate::schedule::Schedule;

/// What makes room first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Evict {
    /// What is read again latest (Belady, 1966).
    Farthest,
    /// The least cost to restore for each byte and step since it was last touched (DTR: Kirisame et al., arXiv 2006.09616).
    Stale,
    /// The least cost to restore, to a power, for each byte and step until it is read again, to another power.
    Distant {
        /// Of the cost.
        cost: f64,
        /// Of the steps.
        steps: f64,
    },
}

/// Makes beyond which a schedule is given up, for each step.
const MOST_MAKES: usize = 24;
/// Steps that are looked at to estimate the cost of restoring a tensor.
const MOST_ANCESTORS: usize = 64;

struct Simulator<'a> {
    problem: &'a Problem,
    evict: Evict,
    budget: u64,
    there: Vec<bool>,
    copied: Vec<bool>,
    /// How many steps under way read it.
    locks: Vec<u32>,
    /// When it was last touched, in makes.
    touched: Vec<usize>,
    bytes: u64,
    /// The step that is computed for the first time.
    now: StepId,
    makes: Vec<Make>,
}

impl Simulator<'_> {
    /// The next step, of those not computed yet, that reads a tensor.
    fn next(&self, id: TensorId) -> Option<StepId> {
        let readers = self.problem.readers(id);
        let next = readers.get(readers.partition_point(|&k| k < self.now)).copied();
        next.or_else(|| self.problem.tensors()[id].wanted.then_some(self.problem.steps().len()))
    }

    /// The cost of computing a tensor again with all that is missing for it; none if it cannot be.
    fn again(&self, id: TensorId) -> Option<u64> {
        let mut stack = vec![self.problem.restorer(id)?];
        let mut seen = stack.clone();
        let mut cost = 0u64;
        while let Some(k) = stack.pop() {
            cost = cost.saturating_add(self.problem.steps()[k].cost);
            for &input in &self.problem.steps()[k].inputs {
                if self.there[input] || self.copied[input] {
                    continue;
                }
                let maker = self.problem.restorer(input)?;
                if !seen.contains(&maker) && seen.len() < MOST_ANCESTORS {
                    seen.push(maker);
                    stack.push(maker);
                }
            }
        }
        Some(cost)
    }

    /// The cost of having a tensor off chip and back; none if it cannot be.
    fn spill(&self, id: TensorId) -> Option<u64> {
        self.problem.transfer(id).map(|cost| if self.copied[id] { cost } else { 2 * cost })
    }

    /// What goes next: the higher the number, the sooner. None if it has to stay.
    fn urge(&self, id: TensorId) -> Option<f64> {
        if !self.there[id] || self.locks[id] > 0 {
            return None;
        }
        let given = self.problem.tensors()[id].given;
        let Some(next) = self.next(id) else {
            // Only what is computed again may still read it.
            let reads = given && self.problem.recompute() && !self.copied[id];
            return (!reads).then_some(f64::INFINITY);
        };
        let cost = match (self.again(id), self.spill(id)) {
            (Some(a), Some(b)) => a.min(b),
            (a, b) => a.or(b)?,
        };
        let bytes = self.problem.tensors()[id].bytes as f64;
        let cost = cost as f64 + 1.0;
        let ahead = next - self.now;
        Some(match self.evict {
            Evict::Farthest => ahead as f64,
            Evict::Stale => bytes / cost * (1 + self.makes.len() - self.touched[id]) as f64,
            Evict::Distant { cost: c, steps } => bytes / cost.powf(c) * ((1 + ahead) as f64).powf(steps),
        })
    }

    fn room(&mut self, bytes: u64) -> Option<()> {
        while self.bytes.saturating_add(bytes) > self.budget {
            let urges = (0..self.there.len()).filter(|&id| self.problem.tensors()[id].bytes > 0);
            let urges = urges.filter_map(|id| Some((id, self.urge(id)?)));
            let (id, _) = urges.max_by(|a, b| a.1.total_cmp(&b.1))?;
            let cheap = match (self.spill(id), self.again(id)) {
                (Some(spill), Some(again)) => spill < again,
                (spill, _) => spill.is_some(),
            };
            self.copied[id] |= cheap && self.next(id).is_some();
            self.there[id] = false;
            self.bytes -= self.problem.tensors()[id].bytes;
        }
        Some(())
    }

    fn put(&mut self, id: TensorId) {
        self.touched[id] = self.makes.len();
        if !std::mem::replace(&mut self.there[id], true) {
            self.bytes += self.problem.tensors()[id].bytes;
        }
    }

    fn fetch(&mut self, id: TensorId) -> Option<()> {
        self.room(self.problem.tensors()[id].bytes)?;
        self.put(id);
        self.makes.push(Make::Fetch(id));
        Some(())
    }

    /// Computes a step, and before it what is missing. None if there is no room.
    fn compute(&mut self, k: StepId) -> Option<()> {
        let problem = self.problem;
        let mut stack = vec![k];
        problem.steps()[k].inputs.iter().for_each(|&id| self.locks[id] += 1);
        while let Some(&k) = stack.last() {
            if self.makes.len() > MOST_MAKES * problem.steps().len() {
                return None;
            }
            let step = &problem.steps()[k];
            if let Some(&id) = step.inputs.iter().find(|&&id| !self.there[id]) {
                if self.copied[id] {
                    self.fetch(id)?;
                } else {
                    let maker = problem.restorer(id)?;
                    problem.steps()[maker].inputs.iter().for_each(|&id| self.locks[id] += 1);
                    stack.push(maker);
                }
                continue;
            }
            // What is there already of the outputs must not make room for the others.
            step.outputs.iter().for_each(|&id| self.locks[id] += 1);
            let new = step.outputs.iter().filter(|&&id| !self.there[id]);
            let bytes: u64 = new.map(|&id| problem.tensors()[id].bytes).sum();
            self.room(bytes + step.workspace)?;
            self.makes.push(Make::Step(k));
            for &id in &step.outputs {
                self.put(id);
                self.locks[id] -= 1;
            }
            for &id in &step.inputs {
                self.touched[id] = self.makes.len();
                self.locks[id] -= 1;
            }
            stack.pop();
        }
        Some(())
    }
}

/// A schedule in a memory of `budget` bytes; none if this way finds none.
pub fn schedule(problem: &Problem, evict: Evict, budget: u64) -> Option<Schedule> {
    let there: Vec<bool> = problem.tensors().iter().map(|t| t.given).collect();
    let bytes = problem.tensors().iter().filter(|t| t.given).map(|t| t.bytes).sum();
    let mut simulator = Simulator {
        problem,
        evict,
        budget,
        copied: vec![false; there.len()],
        locks: vec![0; there.len()],
        touched: vec![0; there.len()],
        there,
        bytes,
        now: 0,
        makes: vec![],
    };
    simulator.room(0)?;
    for k in 0..problem.steps().len() {
        simulator.now = k;
        simulator.compute(k)?;
    }
    simulator.now = problem.steps().len();
    for id in (0..problem.tensors().len()).filter(|&id| problem.tensors()[id].wanted) {
        if !simulator.there[id] {
            match problem.restorer(id).filter(|_| !simulator.copied[id]) {
                Some(maker) => simulator.compute(maker)?,
                None => simulator.fetch(id)?,
            }
        }
        simulator.locks[id] += 1;
    }
    Some(creation::schedule(problem, &simulator.makes))
}

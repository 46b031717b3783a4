//! The relaxation of the integer program, rounded in two phases (Checkmate, arXiv 1910.02653, section 5): what is kept from stage
//! to stage by a threshold, and then what has to be computed for it.

use std::time::Duration;

use crate::creation::{self, Make};
use crate::milp::Program;
use crate::problem::{Problem, StepId, TensorId};
use crate::schedule::{Schedule, run};

/// Shares from which on a tensor is kept.
const THRESHOLDS: [f64; 7] = [0.5, 0.35, 0.65, 0.2, 0.8, 0.05, 0.95];
/// What the relaxation is given of the budget, in per cent: rounding needs more than it says.
const PARTS: [u64; 3] = [100, 92, 80];

/// What the relaxation gives.
#[derive(Clone, Debug, Default)]
pub struct Rounded {
    /// The best rounded schedule, if one is within the budget.
    pub schedule: Option<Schedule>,
    /// What no schedule costs less than, of the form that [`crate::milp`] describes; none if the time was too short.
    pub bound: Option<u64>,
    /// Not even the relaxation has a solution: no schedule of that form is within the budget.
    pub infeasible: bool,
}

/// The schedule in which each stage begins with those of the tensors there that are `kept` in it, and what it misses is brought
/// back where `fetched` says so, and computed otherwise. What Checkmate computes in a stage because the next one keeps it is
/// computed in the stage that reads it here, which is never more.
fn complete(
    problem: &Problem,
    kept: impl Fn(StepId, TensorId) -> bool,
    fetched: impl Fn(StepId, TensorId) -> bool,
) -> Option<Schedule> {
    let steps = problem.steps().len();
    let tensors = problem.tensors().len();
    let mut there: Vec<bool> = problem.tensors().iter().map(|t| t.given).collect();
    let mut makes = Vec::new();
    for t in 0..=steps {
        // What the stage has to make, the last first.
        let mut missing: Vec<TensorId> = match problem.steps().get(t) {
            Some(step) => step.inputs.clone(),
            None => (0..tensors).filter(|&id| problem.tensors()[id].wanted).collect(),
        };
        let (mut again, mut back) = (vec![], vec![]);
        while let Some(id) = missing.pop() {
            if there[id] || back.contains(&id) {
                continue;
            }
            let maker = problem.restorer(id);
            match maker {
                Some(k) if !(problem.link().is_some() && fetched(t, id)) => {
                    if !again.contains(&k) {
                        again.push(k);
                        missing.extend(&problem.steps()[k].inputs);
                    }
                }
                _ => {
                    problem.link()?;
                    back.push(id);
                }
            }
        }
        again.sort_unstable();
        let now = problem.steps().get(t).map(|_| t);
        for k in again.into_iter().chain(now) {
            for &id in &problem.steps()[k].inputs {
                if !std::mem::replace(&mut there[id], true) {
                    makes.push(Make::Fetch(id));
                }
            }
            makes.push(Make::Step(k));
            problem.steps()[k].outputs.iter().for_each(|&id| there[id] = true);
        }
        for id in back {
            if !std::mem::replace(&mut there[id], true) {
                makes.push(Make::Fetch(id));
            }
        }
        if t < steps {
            // What cannot be computed again stays without a link.
            let stays = |id: TensorId| problem.restorer(id).is_none() && problem.link().is_none();
            there.iter_mut().enumerate().for_each(|(id, there)| *there &= kept(t + 1, id) || stays(id));
        }
    }
    Some(creation::schedule(problem, &makes))
}

/// Solves and rounds the relaxation for a budget in bytes, within about `limit`.
pub fn rounded(problem: &Problem, budget: u64, limit: Duration) -> Rounded {
    let begin = std::time::Instant::now();
    let mut best = Rounded::default();
    let mut least = u64::MAX;
    for part in PARTS {
        let left = limit.saturating_sub(begin.elapsed());
        if left.is_zero() {
            break;
        }
        let part_budget = (u128::from(budget) * u128::from(part) / 100) as u64;
        let program = Program::new(problem, part_budget, false);
        let answer = program.solve(None, left);
        if part == 100 {
            best.infeasible = answer.infeasible;
            best.bound = answer.optimal.then_some(answer.bound);
        }
        let Some(values) = answer.values.filter(|_| answer.optimal) else { break };
        for threshold in THRESHOLDS {
            let share = |t, id, which: usize| program.shares(&values, t, id)[which];
            let kept = |t, id| share(t, id, 0) > threshold;
            let fetched = |t, id| share(t, id, 1).max(share(t, id, 2)) > threshold.min(0.5);
            let schedule = complete(problem, kept, fetched);
            let cost = schedule.as_ref().and_then(|schedule| run(problem, schedule, budget).ok());
            if let Some(cost) = cost.filter(|cost| cost.total() < least) {
                (least, best.schedule) = (cost.total(), schedule);
            }
        }
    }
    best
}

//! Neighbouring steps as one, so that large problems become small ones.

use crate::creation::{self, Make};
use crate::problem::{Problem, Step, StepId, Tensor, TensorId};
use crate::schedule::{Action, Schedule};

/// A problem whose steps are runs of steps of another one.
pub struct Grouped {
    /// The small problem.
    pub problem: Problem,
    /// By step of it: the first step of the other one, and the one after the last.
    pub runs: Vec<(StepId, StepId)>,
    /// By tensor of it: the tensor of the other one.
    tensors: Vec<TensorId>,
}

/// One in so many runs is for the backward pass.
const BACKWARD: usize = 3;

/// A run of steps as one.
fn merged(problem: &Problem, (first, end): (StepId, StepId)) -> Step {
    let steps = &problem.steps()[first..end];
    let within = |id: TensorId| problem.maker(id).is_some_and(|k| (first..end).contains(&k));
    let leaves = |id: TensorId| {
        let unread = problem.readers(id).is_empty();
        problem.tensors()[id].wanted || problem.readers(id).last().is_some_and(|&k| k >= end) || unread
    };
    let mut inputs: Vec<TensorId> =
        steps.iter().flat_map(|s| &s.inputs).copied().filter(|&id| !within(id)).collect();
    inputs.sort_unstable();
    inputs.dedup();
    let (outputs, inner): (Vec<TensorId>, Vec<TensorId>) =
        steps.iter().flat_map(|s| &s.outputs).partition(|&&id| leaves(id));
    let workspace = |k: StepId| {
        let live = |&&id: &&TensorId| {
            problem.maker(id).is_some_and(|maker| maker <= k)
                && problem.readers(id).last().is_some_and(|&last| last >= k)
        };
        let inner: u64 = inner.iter().filter(live).map(|&id| problem.tensors()[id].bytes).sum();
        inner + problem.steps()[k].workspace
    };
    let name = match steps {
        [only] => only.name.clone(),
        [first, .., last] => format!("{}..{}", first.name, last.name),
        [] => String::new(),
    };
    Step {
        name,
        cost: steps.iter().map(|s| s.cost).sum(),
        workspace: (first..end).map(workspace).max().unwrap_or(0),
        inputs,
        outputs,
    }
}

fn need(problem: &Problem, step: &Step) -> u64 {
    problem.bytes(&[&step.inputs[..], &step.outputs[..]].concat()) + step.workspace
}

impl Grouped {
    /// The problem in at most `most` runs of steps, none of which is of both passes: where two need least memory as one,
    /// they become one. None if that is no problem.
    pub fn new(problem: &Problem, most: usize) -> Option<Self> {
        let mut runs: Vec<(StepId, StepId)> = (0..problem.steps().len()).map(|k| (k, k + 1)).collect();
        let together = |a: (StepId, StepId), b: (StepId, StepId)| {
            let (run, turn) = ((a.0, b.1), problem.turn());
            (run.0 >= turn || run.1 <= turn).then(|| need(problem, &merged(problem, run)))
        };
        let mut needs: Vec<Option<u64>> = runs.windows(2).map(|pair| together(pair[0], pair[1])).collect();
        // What is computed again is of the forward pass: it is divided more finely.
        let turn = problem.turn();
        let backward = if turn < problem.steps().len() { (most / BACKWARD).max(1) } else { 0 };
        let mut left = [turn, problem.steps().len() - turn];
        let goals = [most.saturating_sub(backward.min(left[1])).max(1), backward];
        while (0..2).any(|pass| left[pass] > goals[pass]) {
            let pass = |at: usize| usize::from(runs[at].0 >= turn);
            let candidates = needs.iter().enumerate().filter(|(at, _)| left[pass(*at)] > goals[pass(*at)]);
            let least = candidates.filter_map(|(at, need)| Some((need.as_ref()?, at))).min();
            let Some((_, at)) = least else { break };
            left[pass(at)] -= 1;
            runs[at].1 = runs.remove(at + 1).1;
            needs.remove(at);
            if at > 0 {
                needs[at - 1] = together(runs[at - 1], runs[at]);
            }
            if at + 1 < runs.len() {
                needs[at] = together(runs[at], runs[at + 1]);
            }
        }
        let mut steps: Vec<Step> = runs.iter().map(|&run| merged(problem, run)).collect();
        let mut ids: Vec<TensorId> = steps.iter().flat_map(|s| &s.outputs).copied().collect();
        ids.extend((0..problem.tensors().len()).filter(|&id| problem.tensors()[id].given));
        ids.sort_unstable();
        let place = |id: &mut TensorId| *id = ids.binary_search(id).unwrap_or(usize::MAX);
        for step in &mut steps {
            step.inputs.iter_mut().for_each(place);
            step.outputs.iter_mut().for_each(place);
        }
        let tensors: Vec<Tensor> = ids.iter().map(|&id| problem.tensors()[id].clone()).collect();
        let turn = runs.iter().filter(|run| run.1 <= problem.turn()).count();
        let small =
            Problem::new(tensors, steps, turn).ok()?.with(problem.link(), problem.recompute()).ok()?;
        Some(Self { problem: small, runs, tensors: ids })
    }

    /// The schedule of the other problem's steps that a schedule of runs stands for. It needs no more memory.
    pub fn expand(&self, whole: &Problem, schedule: &[Action]) -> Schedule {
        let makes = creation::makes(schedule).into_iter().flat_map(|make| match make {
            Make::Step(k) => (self.runs[k].0..self.runs[k].1).map(Make::Step).collect(),
            Make::Fetch(id) => vec![Make::Fetch(self.tensors[id])],
        });
        creation::schedule(whole, &makes.collect::<Vec<_>>())
    }
}

//! Schedules by what they make: when to free a tensor follows from it.

use crate::problem::{Problem, StepId, TensorId};
use crate::schedule::{Action, Schedule};

/// Something that puts tensors on chip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Make {
    /// Computes a step.
    Step(StepId),
    /// Brings a tensor back.
    Fetch(TensorId),
}

/// What a schedule makes.
pub fn makes(schedule: &[Action]) -> Vec<Make> {
    let make = |&action: &Action| match action {
        Action::Compute(k) => Some(Make::Step(k)),
        Action::In(id) => Some(Make::Fetch(id)),
        Action::Free(_) | Action::Out(_) => None,
    };
    schedule.iter().filter_map(make).collect()
}

/// The schedule with these makes in this order in which each tensor is on chip as short as can be: from each time it is made to
/// the last step that reads it before it is made again. What is ever brought back is written off chip when it is first
/// there.
pub fn schedule(problem: &Problem, makes: &[Make]) -> Schedule {
    let tensors = problem.tensors();
    // The last moment, as a number of makes done, in which the newest version of each tensor is needed.
    let mut until: Vec<Option<usize>> = tensors.iter().map(|t| t.given.then_some(0)).collect();
    let mut frees: Vec<Vec<TensorId>> = vec![vec![]; makes.len() + 1];
    let mut fetched = vec![false; tensors.len()];
    for (at, &make) in makes.iter().enumerate() {
        let made: &[TensorId] = match &make {
            Make::Step(k) => {
                problem.steps()[*k].inputs.iter().for_each(|&id| until[id] = Some(at + 1));
                &problem.steps()[*k].outputs
            }
            Make::Fetch(id) => {
                fetched[*id] = true;
                std::slice::from_ref(id)
            }
        };
        for &id in made {
            if let Some(end) = until[id].replace(at + 1) {
                frees[end].push(id);
            }
        }
    }
    for (id, end) in until.into_iter().enumerate() {
        if let Some(end) = end.filter(|_| !tensors[id].wanted) {
            frees[end].push(id);
        }
    }
    let mut actions = Schedule::new();
    let mut copied = vec![false; tensors.len()];
    let mut copy = |id: TensorId, actions: &mut Schedule| {
        if fetched[id] && !std::mem::replace(&mut copied[id], true) {
            actions.push(Action::Out(id));
        }
    };
    for id in (0..tensors.len()).filter(|&id| tensors[id].given) {
        copy(id, &mut actions);
    }
    actions.extend(frees[0].iter().map(|&id| Action::Free(id)));
    for (at, &make) in makes.iter().enumerate() {
        match make {
            Make::Step(k) => {
                actions.push(Action::Compute(k));
                problem.steps()[k].outputs.iter().for_each(|&id| copy(id, &mut actions));
            }
            Make::Fetch(id) => actions.push(Action::In(id)),
        }
        actions.extend(frees[at + 1].iter().map(|&id| Action::Free(id)));
    }
    actions
}

//! The best of all methods.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::group::Grouped;
use crate::heuristic::{self, Method};
use crate::milp;
use crate::problem::Problem;
use crate::relax;
use crate::schedule::{Action, Cost, Schedule, run};

/// How much work to put into a plan.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long the solver may take, for the relaxation and the integer program together. The heuristics take what they
    /// need.
    pub time: Duration,
    /// Most steps that the solver is given: neighbours are put together in larger problems.
    pub steps: usize,
}

/// What a method found.
#[derive(Clone, Debug)]
pub struct Found {
    /// Which.
    pub method: Method,
    /// Its best schedule, and what that costs; none if it found none within the budget.
    pub schedule: Option<(Schedule, Cost)>,
}

/// The cheapest schedule, and all that it was chosen from.
#[derive(Clone, Debug)]
pub struct Plan {
    /// By method, in the order of [`Method::ALL`].
    pub found: Vec<Found>,
    /// What no schedule costs less than, of the form that [`milp`] describes, in `grouped` steps.
    pub bound: u64,
    /// The integer program's schedule is proven to be the best of that form.
    pub proven: bool,
    /// It is proven that there is no schedule of that form within the budget.
    pub infeasible: bool,
    /// Steps that the solver was given.
    pub grouped: usize,
}

impl Plan {
    /// The cheapest; of equal ones, that of the simplest method. None if nothing fits.
    pub fn best(&self) -> Option<(Method, &Schedule, Cost)> {
        let found = self.found.iter().filter_map(|f| {
            let (schedule, cost) = f.schedule.as_ref()?;
            Some((f.method, schedule, *cost))
        });
        found.min_by_key(|(_, _, cost)| cost.total())
    }

    fn add(&mut self, problem: &Problem, budget: u64, method: Method, schedule: Schedule) {
        // What the machine refuses is no schedule, whoever says so.
        let Ok(cost) = run(problem, &schedule, budget) else { return };
        let Some(of_method) = self.found.iter_mut().find(|f| f.method == method) else { return };
        if of_method.schedule.as_ref().is_none_or(|(_, before)| cost.total() < before.total()) {
            of_method.schedule = Some((schedule, cost));
        }
    }
}

/// How the search gets on.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// What is at work.
    pub method: Method,
    /// The least cost so far.
    pub best: Option<u64>,
    /// What is known of the bound.
    pub bound: u64,
}

/// How often the caller hears of the search.
const TICK: Duration = Duration::from_millis(100);
/// Part of the time for the relaxation.
const RELAXATION: u32 = 3;

/// Does `work` on a thread of its own and gives what it sends to `hear`. If `go_on` says no, the thread is left alone: it ends with
/// its time limit.
fn aside<T: Send + 'static>(
    work: impl FnOnce(&mut dyn FnMut(T) -> bool) + Send + 'static,
    mut hear: impl FnMut(T),
    mut go_on: impl FnMut() -> bool,
) -> bool {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || work(&mut |news| sender.send(news).is_ok()));
    loop {
        match receiver.recv_timeout(TICK) {
            Ok(news) => hear(news),
            Err(RecvTimeoutError::Disconnected) => return true,
            Err(RecvTimeoutError::Timeout) => {
                if !go_on() {
                    return false;
                }
            }
        }
    }
}

/// Looks for the cheapest schedule in `budget` bytes by every method. `tell` hears how it gets on, several times a second while
/// the solver works; if it says no, the best so far is the plan.
pub fn plan(
    problem: &Problem,
    budget: u64,
    limits: &Limits,
    tell: &mut dyn FnMut(&Progress) -> bool,
) -> Plan {
    let found = Method::ALL.map(|method| Found { method, schedule: None }).into();
    let steps = problem.steps().len();
    let mut plan = Plan { found, bound: problem.once(), proven: false, infeasible: false, grouped: steps };
    if problem.floor() > budget {
        plan.infeasible = true;
        return plan;
    }
    let mut go_on = |plan: &Plan, method| {
        let best = plan.best().map(|(_, _, cost)| cost.total());
        tell(&Progress { method, best, bound: plan.bound })
    };
    let grouped = if steps > limits.steps { Grouped::new(problem, limits.steps) } else { None };
    let small = grouped.as_ref().map_or(problem, |g| &g.problem);
    plan.grouped = small.steps().len();
    let expand = |schedule: &[Action]| match &grouped {
        Some(grouped) => grouped.expand(problem, schedule),
        None => schedule.to_vec(),
    };
    let mut start: Option<(u64, Schedule)> = None;
    // What may move tensors need not: a heuristic that does may end up with more.
    let alone = problem.link().and_then(|_| problem.clone().with(None, problem.recompute()).ok());
    for &method in Method::HEURISTICS {
        if !go_on(&plan, method) {
            return plan;
        }
        for problem in [Some(problem), alone.as_ref()].into_iter().flatten() {
            if let Some(schedule) = heuristic::schedule(problem, method, budget) {
                plan.add(problem, budget, method, schedule);
            }
        }
        let Some(schedule) = heuristic::schedule(small, method, budget) else { continue };
        let Ok(cost) = run(small, &schedule, budget) else { continue };
        plan.add(problem, budget, method, expand(&schedule));
        if start.as_ref().is_none_or(|(least, _)| cost.total() < *least) {
            start = Some((cost.total(), schedule));
        }
    }
    let polished = plan.best().and_then(|(_, schedule, _)| heuristic::polished(problem, schedule, budget));
    if let Some(schedule) = polished {
        plan.add(problem, budget, Method::Polished, schedule);
        if let (None, Some((_, best, cost))) = (&grouped, plan.best()) {
            start = Some((cost.total(), best.clone()));
        }
    }
    // Nothing is cheaper than every step once.
    let done = |plan: &Plan| plan.best().is_some_and(|(_, _, cost)| cost.total() == problem.once());
    if done(&plan) {
        plan.proven = true;
        return plan;
    }
    if limits.time.is_zero() || small.floor() > budget {
        return plan;
    }
    let begin = Instant::now();
    let (of_relaxation, of_milp) = (small.clone(), small.clone());
    let part = limits.time / RELAXATION;
    let mut rounded = relax::Rounded::default();
    let whole = aside(
        move |send| {
            send(relax::rounded(&of_relaxation, budget, part));
        },
        |news| rounded = news,
        || go_on(&plan, Method::Rounded),
    );
    plan.bound = plan.bound.max(rounded.bound.unwrap_or(0));
    plan.infeasible = rounded.infeasible;
    plan.proven = rounded.infeasible;
    if let Some(schedule) = rounded.schedule {
        plan.add(problem, budget, Method::Rounded, expand(&schedule));
        if let Ok(cost) = run(small, &schedule, budget)
            && start.as_ref().is_none_or(|(least, _)| cost.total() < *least)
        {
            start = Some((cost.total(), schedule));
        }
    }
    if !whole || plan.infeasible {
        return plan;
    }
    let left = limits.time.saturating_sub(begin.elapsed());
    let first = start.map(|(_, schedule)| schedule);
    let plan_now = std::cell::RefCell::new(plan);
    aside(
        move |send| {
            let state =
                milp::search(&of_milp, budget, first.as_deref(), left, &mut |state| send(state.clone()));
            send(state);
        },
        |state: milp::State| {
            let plan = &mut *plan_now.borrow_mut();
            plan.bound = plan.bound.max(state.bound);
            plan.proven = state.proven;
            plan.infeasible = state.infeasible;
            if let Some(schedule) = state.schedule {
                plan.add(problem, budget, Method::Milp, expand(&schedule));
            }
        },
        || go_on(&plan_now.borrow(), Method::Milp),
    );
    plan_now.into_inner()
}

/// Steps of the search for the smallest budget.
const HALVINGS: usize = 24;

/// The smallest budget that a heuristic finds a schedule for, and the bytes that no schedule is below.
pub fn smallest(problem: &Problem) -> (u64, u64) {
    let floor = problem.floor();
    let quick = Method::HEURISTICS.iter().copied().filter(|m| *m != Method::Ratio);
    let least = |budget: u64| {
        let peaks = quick.clone().filter_map(|method| {
            let schedule = heuristic::schedule(problem, method, budget)?;
            Some(run(problem, &schedule, budget).ok()?.peak)
        });
        peaks.min()
    };
    let mut found = least(u64::MAX).unwrap_or(u64::MAX);
    let mut below = floor;
    for _ in 0..HALVINGS {
        if below >= found {
            break;
        }
        let budget = below + (found - below) / 2;
        match least(budget) {
            Some(peak) => found = peak,
            None => below = budget + 1,
        }
    }
    (found, floor)
}

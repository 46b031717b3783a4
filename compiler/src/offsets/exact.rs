//! The least peak: plans below the best known one, until there is none.
//!
//! Buffers that share no step with the others are planned apart. Each part is searched for plans of a given capacity: first
//! of the bound, then of capacities between it and the best peak. Most plans are found either soon or not at all, so there
//! are many searches of few nodes in different orders of the buffers. Every second round has twice as many nodes, every
//! fourth four times as many, and so on: in the end any search is long enough.

use std::ops::ControlFlow;

use super::bound::{lower_bound, unit};
use super::order::{areas, breadths, conflicts, falling, lengths, perturbed, sections};
use super::search::{Choice, Outcome, Search};
use super::{Allocation, Problem, heuristic};

/// Nodes of the shortest searches.
const LEAST_NODES: u64 = 250;
/// Places by which buffers are moved at most, in one round after the other.
const SPREADS: [u64; 4] = [1, 2, 8, 32];

/// Where a minimisation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// No plan's peak is below this.
    pub bound: u64,
    /// Peak of the best plan so far.
    pub peak: u64,
    /// Placements tried so far.
    pub nodes: u64,
}

/// The best plan found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Minimum {
    /// The plan.
    pub allocation: Allocation,
    /// No plan's peak is below this.
    pub bound: u64,
    /// Placements tried.
    pub nodes: u64,
}

impl Minimum {
    /// Whether no plan has a lower peak.
    pub fn is_optimal(&self) -> bool {
        self.bound == self.allocation.peak
    }
}

/// Searches for the least peak with at most `nodes` placements, and starts from the best heuristic. `watch` is called for
/// each of them, and ends the search if it breaks: for limits of time. In any case the best plan so far is returned.
///
/// The result depends on nothing but the problem, `nodes` and what `watch` says. A placement takes time that is at most
/// quadratic in the number of buffers, and some microseconds for a few hundred.
pub fn minimise(
    problem: &Problem,
    nodes: u64,
    watch: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Minimum {
    let (allocation, _) = heuristic::best(problem);
    let Allocation { mut offsets, .. } = allocation;
    let bound = lower_bound(problem);
    let mut parts: Vec<Part> =
        parts(problem).into_iter().map(|members| Part::new(problem, members, &offsets)).collect();
    let mut run = Run { progress: Progress { bound, peak: 0, nodes: 0 }, limit: nodes, watch };
    for round in 0u64.. {
        run.progress.peak = parts.iter().map(|part| part.peak).max().unwrap_or(0);
        // The part with the highest peak: the others do not matter until it is lower.
        let Some(part) = parts.iter_mut().max_by_key(|part| part.peak) else { break };
        if part.peak <= run.progress.bound || part.improve(round, &mut run).is_break() {
            break;
        }
    }
    for part in parts {
        part.members.iter().zip(&part.offsets).for_each(|(&i, &offset)| offsets[i] = offset);
    }
    let Progress { bound, nodes, .. } = run.progress;
    Minimum { allocation: Allocation::new(problem, offsets), bound, nodes }
}

/// Sets of buffers, each of which shares no step with another one.
fn parts(problem: &Problem) -> Vec<Vec<usize>> {
    let ranges = sections(problem);
    let mut members: Vec<usize> = (0..ranges.len()).collect();
    members.sort_by_key(|&i| ranges[i]);
    let mut parts: Vec<Vec<usize>> = Vec::new();
    let mut end = 0;
    for i in members {
        match parts.last_mut() {
            Some(part) if ranges[i].0 < end => part.push(i),
            _ => parts.push(vec![i]),
        }
        end = end.max(ranges[i].1);
    }
    parts
}

/// What all searches share.
struct Run<'a> {
    progress: Progress,
    limit: u64,
    watch: &'a mut dyn FnMut(Progress) -> ControlFlow<()>,
}

impl Run<'_> {
    fn node(&mut self) -> ControlFlow<()> {
        if self.progress.nodes >= self.limit {
            return ControlFlow::Break(());
        }
        self.progress.nodes += 1;
        (self.watch)(self.progress)
    }
}

/// A part of the problem and its best plan.
struct Part {
    problem: Problem,
    /// Indices of its buffers.
    members: Vec<usize>,
    offsets: Vec<u64>,
    peak: u64,
    /// Above the bound, searches for capacities below this one were stopped; new from the bound on at the peak.
    vain: u64,
    unit: u64,
    orders: Vec<Vec<usize>>,
}

impl Part {
    fn new(whole: &Problem, members: Vec<usize>, offsets: &[u64]) -> Self {
        let problem = whole.part(&members);
        let (total, width, area) = (breadths(&problem), lengths(&problem), areas(&problem));
        let spans: Vec<u128> =
            sections(&problem).iter().map(|&(first, last)| (last - first).into()).collect();
        let orders = [
            [&total, &width, &area],
            [&total, &area, &width],
            [&conflicts(&problem), &total, &area],
            [&total, &spans, &area],
            [&area, &width, &total],
        ];
        let orders = orders.map(|keys| falling(&keys.map(Clone::clone), members.len())).to_vec();
        let offsets: Vec<u64> = members.iter().map(|&i| offsets[i]).collect();
        let Allocation { offsets, peak } = Allocation::new(&problem, offsets);
        Self { vain: 0, unit: unit(&problem), problem, members, offsets, peak, orders }
    }

    /// Looks for a plan at the bound, and for lower peaks above it. Breaks if the run does.
    fn improve(&mut self, round: u64, run: &mut Run) -> ControlFlow<()> {
        self.attempt(self.least(run), round, run)?;
        loop {
            // Half way from what was last tried in vain to the best peak.
            let above = self.least(run) + self.unit;
            self.vain = if self.vain < self.peak { self.vain.max(above) } else { above };
            if self.vain >= self.peak {
                return ControlFlow::Continue(());
            }
            let units = (self.peak - self.vain) / self.unit;
            let target = self.vain + units / 2 * self.unit;
            if self.attempt(target, round, run)? == Outcome::Stopped {
                self.vain = target + self.unit;
                return ControlFlow::Continue(());
            }
        }
    }

    /// The largest peak that this part can have without being above the bound, which may be another part's.
    fn least(&self, run: &Run) -> u64 {
        run.progress.bound / self.unit * self.unit
    }

    /// Searches for a plan of this capacity, and keeps it or that there is none.
    fn attempt(&mut self, capacity: u64, round: u64, run: &mut Run) -> ControlFlow<(), Outcome> {
        let outcome = self.search(capacity, round, run)?;
        match &outcome {
            Outcome::Fits(offsets) => {
                Allocation { offsets: self.offsets, peak: self.peak } =
                    Allocation::new(&self.problem, offsets.clone());
            }
            Outcome::Never => run.progress.bound = run.progress.bound.max(capacity + self.unit),
            Outcome::Stopped => {}
        }
        ControlFlow::Continue(outcome)
    }

    /// Tries each order and each choice. Stops only if none of the searches ended.
    fn search(&self, capacity: u64, round: u64, run: &mut Run) -> ControlFlow<(), Outcome> {
        let doubled = if round == 0 { 0 } else { round.trailing_zeros() };
        let nodes = LEAST_NODES << doubled.min(48);
        let spread = SPREADS[(round % SPREADS.len() as u64) as usize];
        let mut state = round;
        for order in &self.orders {
            let order = &perturbed(order, spread, &mut state);
            for (sticky, fullest) in [(false, false), (true, false), (true, true), (false, true)] {
                let search = Search::new(&self.problem, order, Choice { sticky, fullest }, capacity);
                let (mut left, mut broken) = (nodes, false);
                let outcome = search.run(&mut || {
                    if left == 0 {
                        return ControlFlow::Break(());
                    }
                    left -= 1;
                    let flow = run.node();
                    broken = flow.is_break();
                    flow
                });
                if broken {
                    return ControlFlow::Break(());
                }
                if outcome != Outcome::Stopped {
                    return ControlFlow::Continue(outcome);
                }
            }
        }
        ControlFlow::Continue(Outcome::Stopped)
    }
}

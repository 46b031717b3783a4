//! The known heuristics. Each gives a schedule for a budget, or none if it finds none.

use std::fmt;

use crate::problem::{Problem, StepId, TensorId};
use crate::schedule::{Action, Fate, Schedule, fates, run};
use crate::segments::{self, Choice, Need, Uses};
use crate::simulator::{self, Evict};

/// A way to find a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Method {
    /// Everything stays as long as it is needed.
    KeepAll,
    /// Nothing stays for the backward pass, and nothing that is computed again stays longer than for one step.
    RecomputeAll,
    /// About √n segments of the forward pass; what crosses from one to the next stays (Chen et al., arXiv 1604.06174). Cuts
    /// are where one tensor crosses, or anywhere, whichever is better (Checkmate's AP and linearised variants).
    Segments,
    /// Segments of about equal bytes, of all sizes of segment the best (Chen et al.'s greedy one).
    GreedySegments,
    /// What crosses to the backward pass goes off chip and comes back (vDNN, arXiv 1602.08124).
    SpillAll,
    /// What is read again latest goes off chip when room is needed (Belady, 1966).
    Farthest,
    /// What is cheapest to restore for its bytes and the time since it was touched goes when room is needed
    /// (DTR, arXiv 2006.09616).
    Stale,
    /// The same with the time until it is read again, and powers of cost and time, of which the best are taken.
    Distant,
    /// From everything kept, one tensor after the other is spilled or computed again, the one first that saves most for its
    /// cost; then what proves needless is taken back.
    Ratio,
    /// The best of these, one tensor after the other changed as long as it gets cheaper.
    Polished,
    /// The relaxation of the integer program, rounded.
    Rounded,
    /// The integer program.
    Milp,
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::KeepAll,
        Self::RecomputeAll,
        Self::Segments,
        Self::GreedySegments,
        Self::SpillAll,
        Self::Farthest,
        Self::Stale,
        Self::Distant,
        Self::Ratio,
        Self::Polished,
        Self::Rounded,
        Self::Milp,
    ];
    /// The heuristics that start from nothing, which take no solver.
    pub const HEURISTICS: &'static [Self] = Self::ALL.split_at(9).0;

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::KeepAll => "keep-all",
            Self::RecomputeAll => "recompute-all",
            Self::Segments => "sqrt-segments",
            Self::GreedySegments => "greedy-segments",
            Self::SpillAll => "spill-all",
            Self::Farthest => "farthest-use",
            Self::Stale => "dtr",
            Self::Distant => "dtr-ahead",
            Self::Ratio => "greedy-ratio",
            Self::Polished => "polished",
            Self::Rounded => "lp-rounding",
            Self::Milp => "milp",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Powers that are tried.
const POWERS: [f64; 5] = [0.0, 0.25, 0.5, 1.0, 2.0];
/// Sizes of segment that are tried.
const SIZES: u64 = 48;

/// The forward pass as a row of places to cut it.
struct Forward<'a> {
    problem: &'a Problem,
    uses: &'a Uses,
    /// By boundary before a step: the tensors that cross it within the forward pass.
    crossing: Vec<Vec<TensorId>>,
}

impl<'a> Forward<'a> {
    fn new(problem: &'a Problem, uses: &'a Uses) -> Self {
        let mut crossing = vec![vec![]; problem.turn()];
        for id in 0..problem.tensors().len() {
            let last = problem.readers(id).iter().copied().rfind(|&k| k < problem.turn());
            if let (Some(maker), Some(last)) = (problem.restorer(id), last) {
                (maker + 1..=last).for_each(|at| crossing[at].push(id));
            }
        }
        Self { problem, uses, crossing }
    }

    /// The boundaries that one tensor crosses, or all.
    fn boundaries(&self, single: bool) -> Vec<StepId> {
        let fits = |at: &StepId| !self.crossing[*at].is_empty() && (!single || self.crossing[*at].len() == 1);
        (1..self.problem.turn()).filter(fits).collect()
    }

    /// What crosses a cut stays, the rest of what the backward pass reads is computed again.
    fn cut(&self, cuts: &[StepId]) -> Schedule {
        let turn = self.problem.turn();
        let crosses = |(from, to): (StepId, StepId)| from < turn && to >= turn;
        let gaps = self.uses.gap.iter();
        let mut choices: Vec<Choice> =
            gaps.map(|gap| if gap.is_some_and(crosses) { Choice::Again } else { Choice::Last }).collect();
        for &id in cuts.iter().flat_map(|&at| &self.crossing[at]) {
            choices[id] = Choice::Hold;
        }
        segments::schedule(self.problem, self.uses, &choices, false)
    }

    fn even(&self, single: bool) -> Vec<Schedule> {
        let boundaries = self.boundaries(single);
        let count = boundaries.len().isqrt().max(1);
        vec![self.cut(&(1..count).map(|i| boundaries[i * boundaries.len() / count]).collect::<Vec<_>>())]
    }

    fn greedy(&self, single: bool) -> Vec<Schedule> {
        let boundaries = self.boundaries(single);
        let bytes = |k: StepId| self.problem.bytes(&self.problem.steps()[k].outputs);
        let all: u64 = (0..self.problem.turn()).map(bytes).sum();
        let cuts = |size: u64| {
            let (mut cuts, mut sum, mut from) = (vec![], 0, 0);
            for &at in &boundaries {
                sum += (from..at).map(bytes).sum::<u64>();
                from = at;
                if sum > size {
                    cuts.push(at);
                    sum = 0;
                }
            }
            cuts
        };
        let mut tried: Vec<Vec<StepId>> = (0..SIZES).map(|i| cuts(all / SIZES * i / 2)).collect();
        tried.dedup();
        tried.iter().map(|cuts| self.cut(cuts)).collect()
    }
}

/// Tensor by tensor, from everything kept.
struct Ratio<'a> {
    problem: &'a Problem,
    uses: &'a Uses,
    budget: u64,
    choices: Vec<Choice>,
    need: Need,
}

impl Ratio<'_> {
    fn need(&self, choices: &[Choice]) -> Need {
        let schedule = segments::schedule(self.problem, self.uses, choices, false);
        Need::of(self.problem, &schedule, self.budget)
    }

    fn tried(&self, id: TensorId, choice: Choice) -> Need {
        let mut choices = self.choices.clone();
        choices[id] = choice;
        self.need(&choices)
    }

    fn others(&self, id: TensorId) -> impl Iterator<Item = Choice> + use<'_> {
        let (again, gap) = (self.problem.restorer(id).is_some(), self.uses.gap[id].is_some());
        let spill = self.problem.link().is_some() && gap;
        let all = [
            (Choice::Last, true),
            (Choice::Hold, again),
            (Choice::Again, again && gap),
            (Choice::Spill, spill),
        ];
        all.into_iter()
            .filter(move |(choice, may)| *may && *choice != self.choices[id])
            .map(|(choice, _)| choice)
    }

    /// One change that needs less memory; none if there is none.
    fn descend(&mut self) -> Option<()> {
        let mut best: Option<(f64, TensorId, Choice, Need)> = None;
        for id in 0..self.choices.len() {
            if self.problem.tensors()[id].bytes == 0 {
                continue;
            }
            for choice in self.others(id) {
                let need = self.tried(id, choice);
                if need.excess >= self.need.excess {
                    continue;
                }
                let saved = (self.need.excess - need.excess) as f64;
                let ratio = saved / (need.cost.saturating_sub(self.need.cost) as f64 + 1.0);
                if best.as_ref().is_none_or(|(least, ..)| ratio > *least) {
                    best = Some((ratio, id, choice, need));
                }
            }
        }
        let (_, id, choice, need) = best?;
        self.choices[id] = choice;
        self.need = need;
        Some(())
    }

    /// Changes that cost less within the budget, until there is none.
    fn polish(&mut self) {
        loop {
            let before = self.need.cost;
            for id in 0..self.choices.len() {
                for choice in self.others(id).collect::<Vec<_>>() {
                    let need = self.tried(id, choice);
                    if need.excess == 0 && need.peak <= self.budget && need.cost < self.need.cost {
                        self.choices[id] = choice;
                        self.need = need;
                    }
                }
            }
            if self.need.cost == before {
                return;
            }
        }
    }
}

/// From the choices given to the cheapest ones nearby that are within the budget.
fn ratio(problem: &Problem, uses: &Uses, budget: u64, choices: Vec<Choice>) -> Option<Schedule> {
    let need = Need { cost: 0, peak: 0, excess: 0 };
    let mut ratio = Ratio { problem, uses, budget, choices, need };
    ratio.need = ratio.need(&ratio.choices);
    while ratio.need.excess > 0 {
        ratio.descend()?;
    }
    ratio.polish();
    Some(segments::schedule(problem, uses, &ratio.choices, false))
}

/// A schedule within a budget in bytes that does with each tensor what another one does, and is then changed tensor by tensor as
/// long as it gets cheaper. None if the other one is of a kind that single decisions do not give.
pub fn polished(problem: &Problem, schedule: &[Action], budget: u64) -> Option<Schedule> {
    let uses = Uses::new(problem);
    let fates = fates(problem, schedule).into_iter();
    let mut times = vec![0; problem.steps().len()];
    for &action in schedule {
        if let Action::Compute(k) = action {
            times[k] += 1;
        }
    }
    let choice = |(id, fate): (TensorId, Fate)| match fate {
        Fate::Recomputed if uses.gap[id].is_some() => Choice::Again,
        Fate::Spilled => Choice::Spill,
        // What others are computed from again.
        Fate::Kept if problem.readers(id).iter().any(|&k| times[k] > 1) => Choice::Hold,
        Fate::Kept | Fate::Recomputed => Choice::Last,
    };
    ratio(problem, &uses, budget, fates.enumerate().map(choice).collect())
}

/// The schedule of a heuristic within a budget in bytes. [`Method::Polished`] is none, which starts from another one: [`polished`];
/// nor are [`Method::Rounded`] and [`Method::Milp`]: [`crate::relax`] and [`crate::milp`] take time limits.
pub fn schedule(problem: &Problem, method: Method, budget: u64) -> Option<Schedule> {
    let uses = Uses::new(problem);
    let all = |choice: Choice| vec![choice; problem.tensors().len()];
    let made = |choices: &[Choice], lean: bool| segments::schedule(problem, &uses, choices, lean);
    let simulated =
        |problem: &Problem, evict| simulator::schedule(problem, evict, budget).into_iter().collect();
    let again = problem.recompute();
    let candidates: Vec<Schedule> = match method {
        Method::KeepAll => vec![made(&all(Choice::Last), false)],
        Method::RecomputeAll if again => {
            let ids = 0..problem.tensors().len();
            let choice = |id| if problem.restorer(id).is_some() { Choice::Again } else { Choice::Last };
            vec![made(&ids.map(choice).collect::<Vec<_>>(), true)]
        }
        Method::Segments if again => {
            let forward = Forward::new(problem, &uses);
            [true, false].iter().flat_map(|&single| forward.even(single)).collect()
        }
        Method::GreedySegments if again => {
            let forward = Forward::new(problem, &uses);
            [true, false].iter().flat_map(|&single| forward.greedy(single)).collect()
        }
        Method::SpillAll if problem.link().is_some() => {
            let turn = problem.turn();
            let crosses =
                |(from, to): (StepId, StepId)| turn == problem.steps().len() || (from < turn && to >= turn);
            let gaps = uses.gap.iter();
            let choices: Vec<Choice> =
                gaps.map(|gap| if gap.is_some_and(crosses) { Choice::Spill } else { Choice::Last }).collect();
            vec![made(&choices, false)]
        }
        Method::Farthest => simulated(problem, Evict::Farthest),
        Method::Stale => simulated(problem, Evict::Stale),
        Method::Distant => {
            let pairs = POWERS.iter().flat_map(|&cost| POWERS.map(|steps| Evict::Distant { cost, steps }));
            pairs.filter_map(|evict| simulator::schedule(problem, evict, budget)).collect()
        }
        Method::Ratio => ratio(problem, &uses, budget, all(Choice::Last)).into_iter().collect(),
        _ => vec![],
    };
    let fits = candidates.into_iter().filter_map(|s| Some((run(problem, &s, budget).ok()?.total(), s)));
    fits.min_by_key(|(total, _)| *total).map(|(_, schedule)| schedule)
}

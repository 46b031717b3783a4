//! The integer program: Checkmate's frontier-advancing stages (arXiv 1910.02653), with transfers as in POET (arXiv 2207.07697).
//!
//! In stage `t` step `t` is computed for the first time; before it, steps with lower numbers may be computed again, each
//! at most once and in their order. Variables, all 0 or 1:
//!
//! - `R[t][k]`: step `k` is computed in stage `t`; 1 for `k = t`.
//! - `S[t][i]`: tensor `i` is on chip when stage `t` begins.
//! - `I[t][i]`: in stage `t`, tensor `i` is brought back where it would otherwise be computed again.
//! - `L[t][i]`: it is brought back just before step `t`, which reads it.
//! - `O[i]`: a copy is written when tensor `i` is first there. Later would cost the same.
//! - `N[t][i][u]`: tensor `i` is needed by its `u`-th reader of stage `t` or after it. Only bounded from below, so that it
//!   need not be declared an integer; it takes the place of Checkmate's variables for frees and has a tighter relaxation.
//!
//! - `U[t][k]`: bytes on chip at step `k` of stage `t`, at most the budget.
//!
//! Everything that is needed is on chip from where it is made, which is before its readers. So the bytes on chip at step `k` are
//! those of all tensors made up to `k` and needed at `k` or later, and of those kept from the stage before that would be made
//! after `k`. They are written as what changes from step to step.
//!
//! Where there is a backward pass and more than [`SMALL`] steps, nothing is computed again in stages of the forward pass: that is
//! left out of the *form* whose least cost is meant where a bound is given.

use std::time::{Duration, Instant};

use highs::{Col, HighsModelStatus, HighsSolutionStatus, RowProblem, Sense};

use crate::creation::{self, Make};
use crate::problem::{Problem, StepId, TensorId};
use crate::schedule::{Action, Schedule};

/// The objective's value that stands for the cost of every step once.
const SCALE: f64 = 1e6;
/// Relative error of a bound that HiGHS returns, at most.
pub const TOLERANCE: f64 = 1e-9;

/// Steps up to which every stage may compute again.
pub const SMALL: usize = 24;

/// A number, or a variable by its index.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Term {
    Is(f64),
    Var(usize),
}

const ZERO: Term = Term::Is(0.0);
const ONE: Term = Term::Is(1.0);

/// A sum of terms with factors.
#[derive(Default)]
struct Sum {
    constant: f64,
    factors: Vec<(usize, f64)>,
}

impl Sum {
    fn plus(mut self, factor: f64, term: Term) -> Self {
        match term {
            Term::Is(value) => self.constant += factor * value,
            Term::Var(index) => self.factors.push((index, factor)),
        }
        self
    }
}

/// What a variable is that follows from others.
enum Rule {
    /// 1 less another.
    Rest(Term),
    /// The larger of two.
    Either(Term, Term),
    /// A number, variables with factors, and another variable.
    Sum(f64, Vec<(usize, f64)>, Option<usize>),
}

/// Where a tensor is needed in a stage.
struct Needs {
    /// Steps that make or read it, and what says that it is on chip in them.
    at: Vec<(StepId, Term)>,
    /// That it is on chip after them.
    after: Term,
}

impl Needs {
    /// Whether it is on chip at step `k`, not before its maker.
    fn on_chip(&self, k: StepId) -> Term {
        self.at.iter().find(|(step, _)| *step >= k).map_or(self.after, |(_, term)| *term)
    }
}

/// The program and what its variables mean.
pub struct Program<'a> {
    problem: &'a Problem,
    rows: RowProblem,
    columns: Vec<Col>,
    integer: bool,
    /// R by stage and step.
    computed: Vec<Vec<Term>>,
    /// S by stage and tensor; one stage more than steps.
    kept: Vec<Vec<Term>>,
    /// I by stage and tensor.
    early: Vec<Vec<Term>>,
    /// L by stage and tensor; the last one is after all steps.
    late: Vec<Vec<Term>>,
    /// O by tensor.
    copied: Vec<Term>,
    /// By stage and tensor.
    needs: Vec<Vec<Option<Needs>>>,
    /// Variables that follow from those before them.
    derived: Vec<(usize, Rule)>,
    /// Cost of 1 of the objective.
    unit: f64,
}

/// What a run of the solver gave.
pub struct Answer {
    /// The values of all variables, if any were found.
    pub values: Option<Vec<f64>>,
    /// What no schedule of this form costs less than.
    pub bound: u64,
    /// No schedule of this form is within the budget.
    pub infeasible: bool,
    /// The values are proven to be the best.
    pub optimal: bool,
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl<'a> Program<'a> {
    /// The program for a budget in bytes; its relaxation if not `integer`.
    pub fn new(problem: &'a Problem, budget: u64, integer: bool) -> Self {
        let (steps, tensors) = (problem.steps().len(), problem.tensors().len());
        let grid = |stages: usize, width: usize| vec![vec![ZERO; width]; stages];
        let mut program = Self {
            problem,
            rows: RowProblem::default(),
            columns: vec![],
            integer,
            computed: grid(steps, steps),
            kept: grid(steps + 1, tensors),
            early: grid(steps, tensors),
            late: grid(steps + 1, tensors),
            copied: vec![ZERO; tensors],
            needs: vec![],
            derived: vec![],
            unit: problem.once().max(1) as f64 / SCALE,
        };
        program.variables();
        (0..steps).for_each(|t| program.flow(t));
        let divisor =
            problem.tensors().iter().map(|t| t.bytes).chain(problem.steps().iter().map(|s| s.workspace));
        let divisor = divisor.fold(0, gcd).max(1);
        (0..steps).for_each(|t| program.fits(t, budget, divisor));
        program
    }

    fn variable(&mut self, cost: u64, integer: bool) -> Term {
        let cost = cost as f64 / self.unit;
        let column = self.rows.add_column_with_integrality(cost, 0..=1, integer && self.integer);
        self.columns.push(column);
        Term::Var(self.columns.len() - 1)
    }

    /// `sum` is at least 0.
    fn at_least_zero(&mut self, mut sum: Sum) {
        if sum.factors.iter().all(|(_, factor)| *factor >= 0.0) && sum.constant >= 0.0 {
            return;
        }
        let factors = self.merged(&mut sum.factors);
        self.rows.add_row(-sum.constant.., factors);
    }

    /// `a` is at least `b`.
    fn order(&mut self, a: Term, b: Term) {
        self.at_least_zero(Sum::default().plus(1.0, a).plus(-1.0, b));
    }

    /// Whether step `k` may be computed again in stage `t`.
    fn again(&self, t: StepId, k: StepId) -> bool {
        let steps = self.problem.steps().len();
        let turn = self.problem.turn();
        self.problem.again(k) && (t >= turn || turn == steps || steps <= SMALL)
    }

    fn variables(&mut self) {
        let problem = self.problem;
        let steps = problem.steps().len();
        for (id, tensor) in problem.tensors().iter().enumerate() {
            let Some(last) = problem.readers(id).last().copied().or(tensor.wanted.then_some(0)) else {
                continue;
            };
            let transfer = problem.transfer(id);
            if let Some(cost) = transfer {
                self.copied[id] = self.variable(cost, true);
            }
            let first = problem.maker(id).map_or(0, |k| k + 1);
            // Steps that are computed again may read it after the last one that is computed once.
            let rereads = problem.readers(id).iter().any(|&k| problem.again(k));
            if tensor.given {
                self.kept[0][id] = ONE;
            }
            for t in first..=steps {
                let read_on = t < steps && (rereads || last >= t);
                if t > 0 && (read_on || tensor.wanted) {
                    // What neither comes back nor is computed again stays.
                    let fixed =
                        transfer.is_none() && (t == steps || (problem.restorer(id).is_none() && last >= t));
                    self.kept[t][id] = if fixed { ONE } else { self.variable(0, true) };
                }
                let Some(cost) = transfer else { continue };
                if read_on {
                    self.early[t][id] = self.variable(cost, true);
                }
                let reads = if t < steps { problem.readers(id).contains(&t) } else { tensor.wanted };
                if reads {
                    self.late[t][id] = self.variable(cost, true);
                }
            }
        }
        for t in 0..steps {
            for k in (0..t).filter(|&k| self.again(t, k)).collect::<Vec<_>>() {
                self.computed[t][k] = self.variable(problem.steps()[k].cost, true);
            }
            self.computed[t][t] = ONE;
        }
    }

    /// What is read is there, in stage `t`; what is brought back was written.
    fn flow(&mut self, t: StepId) {
        let problem = self.problem;
        let mut needs = Vec::new();
        for id in 0..problem.tensors().len() {
            let maker = problem.maker(id);
            if maker.is_some_and(|k| k > t) {
                needs.push(None);
                continue;
            }
            let again = maker.map_or(ZERO, |k| self.computed[t][k]);
            let (kept, early, late) = (self.kept[t][id], self.early[t][id], self.late[t][id]);
            let next = self.kept[t + 1][id];
            let there = |late: Term| {
                [kept, again, early, late].into_iter().fold(Sum::default(), |sum, term| sum.plus(1.0, term))
            };
            self.order(self.copied[id], early);
            self.order(self.copied[id], late);
            self.at_least_zero(there(late).plus(-1.0, next));
            let mut at: Vec<(StepId, Term)> = vec![];
            let mut after = next;
            for &k in problem.readers(id).iter().rev().filter(|&&k| k <= t) {
                let reads = self.computed[t][k];
                if k == t {
                    self.at_least_zero(there(late).plus(-1.0, ONE));
                    at.push((k, ONE));
                    // Before step t it is there, but for what comes late.
                    after = match late {
                        Term::Is(_) => ONE,
                        Term::Var(_) => self.rest(late),
                    };
                } else {
                    self.at_least_zero(there(ZERO).plus(-1.0, reads));
                    after = self.either(after, reads);
                    at.push((k, after));
                }
            }
            if let Some(k) = maker {
                at.push((k, self.either(after, again)));
            }
            at.reverse();
            needs.push(Some(Needs { at, after: next }));
        }
        self.needs.push(needs);
        if t + 1 == problem.steps().len() {
            for id in (0..problem.tensors().len()).filter(|&id| problem.tensors()[id].wanted) {
                let (kept, late) = (self.kept[t + 1][id], self.late[t + 1][id]);
                self.order(self.copied[id], late);
                self.at_least_zero(Sum::default().plus(1.0, kept).plus(1.0, late).plus(-1.0, ONE));
            }
        }
    }

    fn follows(&mut self, rule: Rule) -> Term {
        self.derived.push((self.columns.len(), rule));
        self.variable(0, false)
    }

    /// At least 1 less `term`.
    fn rest(&mut self, term: Term) -> Term {
        let rest = self.follows(Rule::Rest(term));
        self.at_least_zero(Sum::default().plus(1.0, rest).plus(1.0, term).plus(-1.0, ONE));
        rest
    }

    /// At least both.
    fn either(&mut self, a: Term, b: Term) -> Term {
        match (a, b) {
            (ONE, _) | (_, ONE) => ONE,
            (ZERO, term) | (term, ZERO) => term,
            _ => {
                let both = self.follows(Rule::Either(a, b));
                self.order(both, a);
                self.order(both, b);
                both
            }
        }
    }

    /// What says that a tensor is on chip at step `k` of stage `t`.
    fn on_chip(&self, t: StepId, k: StepId, id: TensorId) -> Term {
        match &self.needs[t][id] {
            None => ZERO,
            Some(_) if self.problem.maker(id).is_some_and(|maker| maker > k) => self.kept[t][id],
            Some(needs) => needs.on_chip(k),
        }
    }

    /// The steps of stage `t` have room, in units of `divisor` bytes.
    fn fits(&mut self, t: StepId, budget: u64, divisor: u64) {
        let scaled = |bytes: u64| (bytes / divisor) as f64;
        let budget = scaled(budget);
        let mut before: Option<(usize, Vec<Term>)> = None;
        for k in (0..=t).filter(|&k| self.computed[t][k] != ZERO).collect::<Vec<_>>() {
            let tensors = self.problem.tensors();
            let now: Vec<Term> = (0..tensors.len()).map(|id| self.on_chip(t, k, id)).collect();
            let mut change = Sum::default();
            for (id, tensor) in tensors.iter().enumerate() {
                let then = before.as_ref().map_or(ZERO, |(_, terms)| terms[id]);
                if then != now[id] {
                    change = change.plus(scaled(tensor.bytes), now[id]).plus(-scaled(tensor.bytes), then);
                }
            }
            self.columns.push(self.rows.add_column(0.0, 0.0..=budget));
            let on_chip = self.columns.len() - 1;
            self.derived
                .push((on_chip, Rule::Sum(change.constant, change.factors.clone(), before.map(|(u, _)| u))));
            if let Some(Rule::Sum(_, _, Some(last))) = self.derived.last().map(|(_, rule)| rule) {
                change.factors.push((*last, 1.0));
            }
            change.factors.push((on_chip, -1.0));
            change.factors.retain(|(_, factor)| *factor != 0.0);
            let row = self.merged(&mut change.factors);
            self.rows.add_row(-change.constant..=-change.constant, row);
            let workspace = scaled(self.problem.steps()[k].workspace);
            if workspace > 0.0 {
                let room = Sum { constant: budget, factors: vec![(on_chip, -1.0)] };
                self.at_least_zero(room.plus(-workspace, self.computed[t][k]));
            }
            before = Some((on_chip, now));
        }
    }

    /// Factors with each variable once, as HiGHS takes them.
    fn merged(&self, factors: &mut [(usize, f64)]) -> Vec<(Col, f64)> {
        factors.sort_unstable_by_key(|(index, _)| *index);
        let same = factors.chunk_by(|a, b| a.0 == b.0);
        same.map(|same| (self.columns[same[0].0], same.iter().map(|(_, factor)| factor).sum())).collect()
    }

    /// Lets HiGHS look for values for some time, from `start` on if they are of any use.
    pub fn solve(&self, start: Option<&[f64]>, limit: Duration) -> Answer {
        let nothing = Answer { values: None, bound: self.problem.once(), infeasible: false, optimal: false };
        let Ok(mut model) = self.rows.clone().try_optimise(Sense::Minimise) else { return nothing };
        model.make_quiet();
        let options = [
            ("time_limit", limit.as_secs_f64()),
            ("mip_rel_gap", 0.0),
            ("mip_abs_gap", SCALE * TOLERANCE / 10.0),
            ("mip_feasibility_tolerance", 1e-9),
            ("primal_feasibility_tolerance", 1e-9),
        ];
        let set = options.iter().all(|&(name, value)| model.try_set_option(name, value).is_ok());
        if !set || model.try_set_option("threads", 1).is_err() {
            return nothing;
        }
        if let Some(start) = start {
            // What it cannot use it leaves.
            model.try_set_solution(Some(start), None, None, None).ok();
        }
        let Ok(solved) = model.try_solve() else { return nothing };
        let status = solved.status();
        let found = solved.primal_solution_status() == HighsSolutionStatus::Feasible;
        let optimal = status == HighsModelStatus::Optimal;
        let dual = match (self.integer, optimal) {
            (true, _) => solved.double_info_value(c"mip_dual_bound").unwrap_or(0.0),
            (false, true) => solved.objective_value(),
            (false, false) => 0.0,
        };
        Answer {
            values: found.then(|| solved.get_solution().columns().to_vec()),
            bound: self.cost(dual),
            infeasible: status == HighsModelStatus::Infeasible,
            optimal,
        }
    }

    /// The cost that a value of the objective proves.
    fn cost(&self, objective: f64) -> u64 {
        let once = self.problem.once();
        if !objective.is_finite() || objective <= 0.0 {
            return once;
        }
        let cost = objective * self.unit;
        once + (cost - 1e-3 - (cost + once as f64) * TOLERANCE).ceil().max(0.0) as u64
    }

    fn value(values: &[f64], term: Term) -> f64 {
        match term {
            Term::Is(value) => value,
            Term::Var(index) => values.get(index).copied().unwrap_or(0.0),
        }
    }

    /// Share of a tensor that is kept, brought back early or late, in stage `t`.
    pub fn shares(&self, values: &[f64], t: StepId, id: TensorId) -> [f64; 3] {
        [&self.kept, &self.early, &self.late]
            .map(|of| of.get(t).map_or(0.0, |of| Self::value(values, of[id])))
    }

    /// The schedule that whole values stand for.
    pub fn schedule(&self, values: &[f64]) -> Schedule {
        let problem = self.problem;
        let set = |term: Term| Self::value(values, term) > 0.5;
        let mut there: Vec<bool> = problem.tensors().iter().map(|t| t.given).collect();
        let mut makes = Vec::new();
        let fetch = |id: TensorId, there: &mut Vec<bool>, makes: &mut Vec<Make>| {
            if !std::mem::replace(&mut there[id], true) {
                makes.push(Make::Fetch(id));
            }
        };
        for t in 0..problem.steps().len() {
            let early = |id: &TensorId| set(self.early[t][*id]);
            for id in (0..there.len()).filter(early).filter(|&id| problem.maker(id).is_none()) {
                fetch(id, &mut there, &mut makes);
            }
            for k in 0..=t {
                if k == t {
                    for &id in problem.steps()[t].inputs.iter().filter(|&&id| set(self.late[t][id])) {
                        fetch(id, &mut there, &mut makes);
                    }
                }
                if set(self.computed[t][k]) {
                    makes.push(Make::Step(k));
                    problem.steps()[k].outputs.iter().for_each(|&id| there[id] = true);
                }
                for &id in problem.steps()[k].outputs.iter().filter(|id| early(id)) {
                    fetch(id, &mut there, &mut makes);
                }
            }
            there.iter_mut().enumerate().for_each(|(id, there)| *there &= set(self.kept[t + 1][id]));
        }
        for id in (0..there.len()).filter(|&id| problem.tensors()[id].wanted) {
            fetch(id, &mut there, &mut makes);
        }
        creation::schedule(problem, &makes)
    }

    /// Values that stand for a schedule, as far as it has this form.
    pub fn values(&self, schedule: &[Action]) -> Vec<f64> {
        let problem = self.problem;
        let steps = problem.steps().len();
        let mut values = vec![0.0; self.columns.len()];
        let mut set = |term: Term| {
            if let Term::Var(index) = term {
                values[index] = 1.0;
            }
        };
        let mut there: Vec<bool> = problem.tensors().iter().map(|t| t.given).collect();
        let (mut t, mut begins) = (0, false);
        // One more, so that the end is seen.
        for action in schedule.iter().copied().map(Some).chain([None]) {
            if begins && matches!(action, None | Some(Action::Compute(_) | Action::In(_))) {
                begins = false;
                (0..there.len()).filter(|&id| there[id]).for_each(|id| set(self.kept[t][id]));
            }
            match action {
                Some(Action::Compute(k)) => {
                    if k == t {
                        begins = true;
                        t += 1;
                    } else if t < steps {
                        set(self.computed[t][k]);
                    }
                    problem.steps()[k].outputs.iter().for_each(|&id| there[id] = true);
                }
                Some(Action::Free(id)) => there[id] = false,
                Some(Action::In(id)) => {
                    there[id] = true;
                    let late = self.late[t][id];
                    set(if late == ZERO && t < steps { self.early[t][id] } else { late });
                }
                Some(Action::Out(id)) => set(self.copied[id]),
                None => {}
            }
        }
        for (index, rule) in &self.derived {
            let value = |term: &Term| Self::value(&values, *term);
            values[*index] = match rule {
                Rule::Rest(term) => 1.0 - value(term),
                Rule::Either(a, b) => value(a).max(value(b)),
                Rule::Sum(constant, factors, before) => {
                    let sum: f64 = factors.iter().map(|(index, factor)| factor * values[*index]).sum();
                    constant + sum + before.map_or(0.0, |index| values[index])
                }
            };
        }
        values
    }
}

/// How the search for the best schedule gets on.
#[derive(Clone, Debug)]
pub struct State {
    /// The best schedule so far that the program gave.
    pub schedule: Option<Schedule>,
    /// What no schedule of this form costs less than.
    pub bound: u64,
    /// The schedule is proven to be the best of this form, or there is none.
    pub proven: bool,
    /// No schedule of this form is within the budget.
    pub infeasible: bool,
}

/// The least time that HiGHS gets without a look at what it found.
const FIRST: Duration = Duration::from_secs(4);
/// The part of all time that it gets so at first.
const PART: u32 = 3;

/// Searches for the best schedule within `budget` bytes, from `start` on, until it is proven or `limit` has passed. HiGHS runs for
/// longer and longer times, each from the best values of the one before; `tell` hears of each and says whether to go on.
pub fn search(
    problem: &Problem,
    budget: u64,
    start: Option<&[Action]>,
    limit: Duration,
    tell: &mut dyn FnMut(&State) -> bool,
) -> State {
    let program = Program::new(problem, budget, true);
    let begin = Instant::now();
    let mut values = start.map(|schedule| program.values(schedule));
    // The first incumbent, as far as the form has it.
    let schedule = values.as_ref().map(|values| program.schedule(values));
    let mut state = State { schedule, bound: problem.once(), proven: false, infeasible: false };
    let mut slice = FIRST.max(limit / PART);
    loop {
        let left = limit.saturating_sub(begin.elapsed());
        if left.is_zero() {
            return state;
        }
        // A rest that is too short to be of use belongs to this slice.
        let time = if left < 2 * slice { left } else { slice };
        let answer = program.solve(values.as_deref(), time);
        slice *= 2;
        state.bound = state.bound.max(answer.bound);
        state.infeasible = answer.infeasible;
        state.proven = answer.optimal || answer.infeasible;
        if let Some(found) = answer.values {
            state.schedule = Some(program.schedule(&found));
            values = Some(found);
        }
        if state.proven || !tell(&state) {
            return state;
        }
    }
}

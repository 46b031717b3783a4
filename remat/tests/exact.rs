//! The integer program against dynamic programming, on small problems.

use std::collections::HashMap;
use std::time::Duration;

use remat::milp::search;
use remat::{Action, Method, Problem, Rate, Step, Tensor, heuristic, run};

const LONG: Duration = Duration::from_secs(60);

struct Draw(u64);

impl Draw {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

fn tensor(bytes: u64, given: bool) -> Tensor {
    Tensor { name: String::new(), bytes, given, wanted: false }
}

fn step(cost: u64, workspace: u64, inputs: &[usize], outputs: &[usize]) -> Step {
    Step { name: String::new(), cost, workspace, inputs: inputs.into(), outputs: outputs.into() }
}

/// Forward steps 0..n from a given input, then backward ones, each of which reads its forward step's input and the gradient of
/// its output. Tensors: the maps 0..=n, then the gradients of maps n down to 0; the first gradient is that of map n itself.
/// Only steps before `turn` may be computed again.
fn chain(forward: &[u64], backward: &[u64], maps: &[u64], gradients: &[u64], turn: usize) -> Problem {
    let n = forward.len();
    let mut tensors: Vec<Tensor> = maps.iter().enumerate().map(|(i, &bytes)| tensor(bytes, i == 0)).collect();
    tensors.extend(gradients.iter().map(|&bytes| tensor(bytes, false)));
    let mut steps: Vec<Step> = (0..n).map(|i| step(forward[i], 0, &[i], &[i + 1])).collect();
    for (i, &cost) in backward.iter().enumerate() {
        let inputs = if i == 0 { vec![n - 1, n] } else { vec![n - 1 - i, n + i] };
        steps.push(step(cost, 0, &inputs, &[n + 1 + i]));
    }
    Problem::new(tensors, steps, turn).unwrap()
}

/// A random problem: steps with up to two inputs of what is there, and up to two outputs.
fn random(draw: &mut Draw, steps: usize) -> Problem {
    let mut tensors = vec![tensor(draw.below(5), true)];
    let mut all = Vec::new();
    for _ in 0..steps {
        let there = tensors.len();
        let inputs: Vec<usize> =
            (0..1 + draw.below(2)).map(|_| there - 1 - draw.below(4.min(there as u64)) as usize).collect();
        let outputs: Vec<usize> = (there..=there + usize::from(draw.below(5) == 0)).collect();
        outputs.iter().for_each(|_| tensors.push(tensor(1 + draw.below(6), false)));
        all.push(step(1 + draw.below(9), draw.below(3), &inputs, &outputs));
    }
    let last = tensors.len() - 1;
    tensors[last].wanted = draw.below(2) == 0;
    let middle = draw.below(last as u64) as usize;
    tensors[middle].wanted |= draw.below(4) == 0;
    Problem::new(tensors, all, steps).unwrap()
}

/// The least cost by dynamic programming over sets: those on chip and those with a copy, before each step of each stage. In
/// stage `t` step `t` is computed for the first time; before it any lower steps are, in their order. What has a copy is
/// brought back behind the step that makes it, or just before step `t` if that reads it. Anything on chip may be copied or
/// freed at any time.
fn reference(problem: &Problem, budget: u64) -> Option<u64> {
    let tensors = problem.tensors();
    let bytes = |set: u32| {
        tensors.iter().enumerate().filter(|(i, _)| set >> i & 1 == 1).map(|(_, t)| t.bytes).sum::<u64>()
    };
    let set = |ids: &[usize]| ids.iter().fold(0u32, |set, id| set | 1 << id);
    let of = |flag: fn(&Tensor) -> bool| {
        set(&(0..tensors.len()).filter(|&i| flag(&tensors[i])).collect::<Vec<_>>())
    };
    type States = HashMap<(u32, u32), u64>;
    let better = |states: &mut States, state: (u32, u32), cost: u64| {
        let least = states.entry(state).or_insert(u64::MAX);
        *least = cost.min(*least);
    };
    // Frees and copies.
    let close = |states: States| {
        let mut all = states;
        for id in 0..tensors.len() {
            if let Some(transfer) = problem.transfer(id) {
                for ((there, copies), cost) in all.clone() {
                    if there >> id & 1 == 1 && copies >> id & 1 == 0 {
                        better(&mut all, (there, copies | 1 << id), cost + transfer);
                    }
                }
            }
        }
        for id in 0..tensors.len() {
            for ((there, copies), cost) in all.clone() {
                if there >> id & 1 == 1 {
                    better(&mut all, (there & !(1 << id), copies), cost);
                }
            }
        }
        all
    };
    let fetch = |states: States, ids: u32| {
        let mut all = states;
        for id in (0..tensors.len()).filter(|id| ids >> id & 1 == 1) {
            let Some(transfer) = problem.transfer(id) else { continue };
            for ((there, copies), cost) in all.clone() {
                let with = there | 1 << id;
                if there != with && copies >> id & 1 == 1 && bytes(with) <= budget {
                    better(&mut all, (with, copies), cost + transfer);
                }
            }
        }
        all
    };
    let compute = |states: &States, k: usize| {
        let mut next = States::new();
        let step = &problem.steps()[k];
        for (&(there, copies), &cost) in states {
            let with = there | set(&step.outputs);
            if there & set(&step.inputs) == set(&step.inputs) && bytes(with) + step.workspace <= budget {
                better(&mut next, (with, copies), cost + step.cost);
            }
        }
        next
    };
    let given = of(|t| t.given);
    if bytes(given) > budget {
        return None;
    }
    let mut states = States::from([((given, 0), 0)]);
    for t in 0..problem.steps().len() {
        states = close(fetch(close(states), given));
        for k in 0..=t {
            if k == t {
                states = fetch(states, set(&problem.steps()[t].inputs));
                states = compute(&states, t);
            } else if problem.again(k) {
                let computed = compute(&states, k);
                computed.into_iter().for_each(|(state, cost)| better(&mut states, state, cost));
            }
            states = close(fetch(states, if k == t { 0 } else { set(&problem.steps()[k].outputs) }));
            states = close(states);
        }
    }
    let wanted = of(|t| t.wanted);
    let end = fetch(states, wanted);
    end.into_iter().filter(|((there, _), _)| there & wanted == wanted).map(|(_, cost)| cost).min()
}

/// What the integer program finds, checked by the machine and proven; none if it proves that there is nothing.
fn exact(problem: &Problem, budget: u64) -> Option<u64> {
    let state = search(problem, budget, None, LONG, &mut |_| true);
    assert!(state.proven, "{problem:?} {budget}");
    if state.infeasible {
        return None;
    }
    let cost = run(problem, &state.schedule.expect("a schedule"), budget).expect("it runs").total();
    assert_eq!(cost, state.bound, "{problem:?} {budget}");
    Some(cost)
}

/// Budgets from what is too little to what is enough for all.
fn budgets(problem: &Problem) -> std::ops::RangeInclusive<u64> {
    let all: Vec<Action> = (0..problem.steps().len()).map(Action::Compute).collect();
    let most = run(problem, &all, u64::MAX).unwrap().peak;
    problem.floor().saturating_sub(1)..=most
}

/// The recurrence of Griewank and Walther (Algorithm 799: revolve, 2000) for steps of any costs and maps of one byte: map `i` is on
/// chip, the gradient of map `j` too (or, in the `first` sweep, a byte for it is set aside), and `room` bytes are left. It
/// chooses the next map to keep. On the way there two maps are on chip, and the backward step writes one more gradient.
fn reverse(forward: &[u64], [i, j]: [usize; 2], room: u64, first: bool) -> Option<u64> {
    if j - i == 1 {
        return (room >= 1).then(|| if first { forward[i] } else { 0 });
    }
    let keep = |m: usize| {
        let way = if m - i > 1 { 2 } else { 1 };
        if room == 0 || room + u64::from(first) < way {
            return None;
        }
        let later = reverse(forward, [m, j], room - 1, first)?;
        Some(forward[i..m].iter().sum::<u64>() + later + reverse(forward, [i, m], room, false)?)
    };
    (i + 1..j).filter_map(keep).min()
}

#[test]
fn chains_of_equal_sizes_cost_what_the_recurrence_says() {
    let mut draw = Draw(5);
    let (mut harder, mut never) = (0, 0);
    for case in 0..8 {
        let n = 3 + case % 4;
        let forward: Vec<u64> = (0..n).map(|_| if case < 4 { 1 } else { 1 + draw.below(20) }).collect();
        let backward: Vec<u64> = (0..n).map(|_| draw.below(30)).collect();
        let problem = chain(&forward, &backward, &vec![1; n + 1], &vec![1; n], n);
        for budget in 3..=(n as u64 + 2) {
            let once = backward.iter().sum::<u64>();
            let wanted = reverse(&forward, [0, n], budget - 2, true).map(|cost| cost + once);
            assert_eq!(exact(&problem, budget), wanted, "{forward:?} budget {budget}");
            harder += usize::from(wanted.is_some_and(|cost| cost > problem.once()));
            never += usize::from(wanted.is_none());
        }
    }
    assert!(harder > 10 && never > 4, "{harder} {never}");
}

#[test]
fn chains_of_any_sizes_cost_what_dynamic_programming_says() {
    let mut draw = Draw(11);
    let (mut cases, mut harder) = (0, 0);
    for case in 0..7 {
        let n = 2 + case % 3;
        let mut numbers = |count: usize, least: u64, n: u64| -> Vec<u64> {
            (0..count).map(|_| least + draw.below(n)).collect()
        };
        let (forward, backward) = (numbers(n, 1, 12), numbers(n, 1, 20));
        let (maps, gradients) = (numbers(n + 1, 1, 6), numbers(n, 1, 6));
        let plain = chain(&forward, &backward, &maps, &gradients, if case % 2 == 0 { n } else { 2 * n });
        let rate = Rate { cost: 1 + case as u64 % 5, bytes: 2 };
        let spilled = |recompute| plain.clone().with(Some(rate), recompute).unwrap();
        for problem in [plain.clone(), spilled(true), spilled(false)] {
            for budget in budgets(&problem).step_by(2) {
                let found = exact(&problem, budget);
                assert_eq!(found, reference(&problem, budget), "{problem:?} {budget}");
                cases += 1;
                harder += usize::from(found.is_some_and(|cost| cost > problem.once()));
            }
        }
    }
    assert!(harder > 20, "{harder} of {cases}");
}

#[test]
fn random_graphs_cost_what_dynamic_programming_says() {
    let mut draw = Draw(3);
    let (mut cases, mut harder, mut never) = (0, 0, 0);
    for case in 0..36 {
        let plain = random(&mut draw, 4 + case % 4);
        let rate = Rate { cost: 1 + draw.below(4), bytes: 1 + draw.below(3) };
        let problem = match case % 3 {
            0 => plain,
            // A set for each tensor on chip and with a copy.
            _ if plain.tensors().len() > 8 => continue,
            1 => plain.with(Some(rate), true).unwrap(),
            _ => plain.with(Some(rate), false).unwrap(),
        };
        for budget in budgets(&problem) {
            let found = exact(&problem, budget);
            assert_eq!(found, reference(&problem, budget), "{problem:?} {budget}");
            cases += 1;
            harder += usize::from(found.is_some_and(|cost| cost > problem.once()));
            never += usize::from(found.is_none());
            for &method in Method::HEURISTICS {
                if let Some(schedule) = heuristic::schedule(&problem, method, budget) {
                    run(&problem, &schedule, budget).expect("a heuristic's schedule");
                }
            }
        }
    }
    assert!(harder > 30 && never > 30, "{harder} and {never} of {cases}");
}

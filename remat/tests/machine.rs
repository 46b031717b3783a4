//! The machine that runs schedules refuses each kind of broken one; heuristics on random graphs pass it.

use remat::Action::{Compute, Free, In, Out};
use remat::{Fate, Grouped, Method, Problem, Rate, Step, Tensor, fates, heuristic, occupancy, run, smallest};

fn tensor(name: &str, bytes: u64, given: bool, wanted: bool) -> Tensor {
    Tensor { name: name.into(), bytes, given, wanted }
}

fn step(name: &str, cost: u64, workspace: u64, inputs: &[usize], outputs: &[usize]) -> Step {
    Step { name: name.into(), cost, workspace, inputs: inputs.into(), outputs: outputs.into() }
}

/// x → a → b → c, and c from a too.
fn small() -> Problem {
    let tensors = vec![
        tensor("x", 1, true, false),
        tensor("a", 4, false, false),
        tensor("b", 2, false, false),
        tensor("c", 3, false, true),
    ];
    let steps =
        vec![step("A", 5, 0, &[0], &[1]), step("B", 7, 10, &[1], &[2]), step("C", 1, 0, &[1, 2], &[3])];
    Problem::new(tensors, steps, 2).unwrap().with(Some(Rate { cost: 1, bytes: 2 }), true).unwrap()
}

#[test]
fn costs_are_those_of_each_action() {
    let problem = small();
    let kept = run(&problem, &[Compute(0), Free(0), Compute(1), Compute(2)], 16).unwrap();
    assert_eq!((kept.compute, kept.transfer, kept.peak), (13, 0, 16));
    let moved = [
        Out(0),
        Compute(0),
        Free(0),
        Compute(1),
        Out(2),
        Free(2),
        Free(1),
        In(0),
        Compute(0),
        In(2),
        Compute(2),
    ];
    let cost = run(&problem, &moved, 16).unwrap();
    // x out and in: half a unit each, rounded up; b out and in.
    assert_eq!((cost.compute, cost.transfer, cost.moved, cost.peak), (18, 4, 6, 16));
    assert_eq!(fates(&problem, &moved), [Fate::Spilled, Fate::Recomputed, Fate::Spilled, Fate::Kept]);
    let stays = occupancy(&problem, &moved);
    assert_eq!(stays.iter().filter(|(id, ..)| *id == 1).count(), 2);
    assert!(stays.contains(&(2, 3, 5)) && stays.contains(&(0, 0, 2)), "{stays:?}");
}

#[test]
fn broken_schedules_are_refused() {
    let problem = small();
    let all = [Compute(0), Free(0), Compute(1), Compute(2)];
    let refused = |schedule: &[remat::Action], budget: u64, at: usize, what: &str| {
        let fault = run(&problem, schedule, budget).unwrap_err();
        assert!(fault.at == at && fault.what.contains(what), "{fault}");
    };
    refused(&all, 15, 2, "16 bytes are on chip, the budget is 15");
    refused(&all, 0, 0, "1 bytes");
    refused(&all[..3], 16, 3, "C is never computed");
    refused(&[all[0], all[2], all[3], Free(3)], 99, 4, "c is wanted at the end");
    refused(&[Compute(1)], 99, 0, "B reads a");
    refused(&[Compute(0), Free(0), Free(0)], 99, 2, "x is freed");
    refused(&[Free(9)], 99, 0, "no tensor 9");
    refused(&[Compute(9)], 99, 0, "no step 9");
    refused(&[Out(1)], 99, 0, "a is written off chip");
    refused(&[In(0)], 99, 0, "x is brought back, but has no copy");
    refused(&[Out(0), In(0)], 99, 1, "on chip already");
    refused(&[all[0], all[2], all[3], Compute(2)], 99, 3, "C is computed again");
    let plain = problem.clone().with(None, false).unwrap();
    assert!(run(&plain, &[Out(0)], 99).unwrap_err().what.contains("nothing may be"));
    assert!(run(&plain, &[Compute(0), Compute(0)], 99).unwrap_err().what.contains("again"));
}

#[test]
fn problems_are_checked() {
    let x = || tensor("x", 1, true, false);
    let a = || tensor("a", 1, false, false);
    let refused = |tensors: Vec<Tensor>, steps: Vec<Step>, what: &str| {
        let error = Problem::new(tensors, steps, 0).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    };
    refused(vec![x()], vec![], "0 steps");
    refused(vec![x(), a()], vec![step("A", 1, 0, &[1], &[])], "A reads a");
    refused(vec![x()], vec![step("A", 1, 0, &[7], &[])], "reads tensor 7");
    refused(vec![x()], vec![step("A", 1, 0, &[], &[7])], "writes tensor 7");
    refused(vec![x()], vec![step("A", 1, 0, &[], &[0])], "A writes x");
    refused(vec![x(), a()], vec![step("A", 1, 0, &[0], &[])], "a is written by no step");
    refused(vec![x()], vec![step("A", remat::MAX_COST + 1, 0, &[0], &[])], "larger unit");
    assert!(small().with(Some(Rate { cost: remat::MAX_COST, bytes: 1 }), true).is_err());
}

/// A forward pass with skips, and its backward pass.
fn random(next: &mut impl FnMut(u64) -> u64, steps: usize) -> Problem {
    let mut tensors = vec![tensor("x", 5, true, false)];
    let mut all = Vec::new();
    let mut reads = Vec::new();
    for k in 0..steps {
        let skip = k.saturating_sub(next(6) as usize);
        tensors.push(tensor("map", 1 + next(40), false, false));
        all.push(step("forward", 1 + next(50), next(10), &[k, skip], &[k + 1]));
        reads.push([k, skip]);
    }
    for k in (0..steps).rev() {
        let before = tensors.len() - 1;
        tensors.push(tensor("gradient", 1 + next(40), false, false));
        all.push(step("backward", 1 + next(90), 0, &[reads[k][0], reads[k][1], before], &[before + 1]));
    }
    Problem::new(tensors, all, steps).unwrap()
}

#[test]
fn heuristics_of_random_graphs_run_in_their_budgets() {
    let mut state = 7u64;
    let mut next = |n: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % n
    };
    let mut found = std::collections::HashMap::new();
    for case in 0..40 {
        let steps = 5 + next(40) as usize;
        let plain = random(&mut next, steps);
        let rate = Rate { cost: 1 + next(5), bytes: 3 };
        let problem = match case % 3 {
            0 => plain,
            1 => plain.with(Some(rate), true).unwrap(),
            _ => plain.with(Some(rate), false).unwrap(),
        };
        let all = heuristic::schedule(&problem, Method::KeepAll, u64::MAX).expect("everything kept");
        let most = run(&problem, &all, u64::MAX).unwrap();
        assert_eq!(most.total(), problem.once());
        let (least, floor) = smallest(&problem);
        assert!(floor <= least && least <= most.peak);
        let grouped = Grouped::new(&problem, 12).expect("groups");
        assert!(grouped.problem.steps().len() <= 12);
        for part in 0..=4 {
            let budget = least + (most.peak - least) * part / 4;
            let mut any = false;
            for &method in Method::HEURISTICS {
                if let Some(schedule) = heuristic::schedule(&problem, method, budget) {
                    run(&problem, &schedule, budget).unwrap_or_else(|fault| panic!("{method}: {fault}"));
                    *found.entry(method).or_insert(0) += 1;
                    any = true;
                }
                if let Some(schedule) = heuristic::schedule(&grouped.problem, method, budget) {
                    let cost = run(&grouped.problem, &schedule, budget).unwrap();
                    let expanded =
                        run(&problem, &grouped.expand(&problem, &schedule), budget).expect("expanded");
                    assert_eq!(cost.total(), expanded.total(), "{method}");
                    assert!(expanded.peak <= cost.peak, "{method}");
                }
            }
            assert!(any, "{budget} of {least}..{}", most.peak);
        }
    }
    assert!(
        Method::HEURISTICS.iter().all(|method| found.get(method).copied().unwrap_or(0) > 10),
        "{found:?}"
    );
}

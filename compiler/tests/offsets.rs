//! Offsets of buffers: plans are valid, bounds hold, and least peaks are those of exhaustive search.
//!
//! `fixtures/minimalloc.zip` holds the "challenging" problems of <https://github.com/google/minimalloc> at commit
//! 9f5cf810fec4494df473c23cffd0567989e81b69 (copyright 2023 Google LLC, Apache-2.0; its licence is in the archive).

use std::fs::File;
use std::io::Read;
use std::ops::ControlFlow;
use std::path::Path;

use compiler::offsets::exact::{Minimum, Progress, minimise};
use compiler::offsets::heuristic::Heuristic;
use compiler::offsets::{Buffer, Problem, check, csv, heuristic, lower_bound};
use spec::rng::splitmix64;

/// The capacity for which the public problems were made.
const CAPACITY: u64 = 1_048_576;

fn public(name: char) -> Problem {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/minimalloc.zip");
    let mut archive = zip::ZipArchive::new(File::open(path).unwrap()).unwrap();
    let mut text = String::new();
    archive.by_name(&format!("{name}.{CAPACITY}.csv")).unwrap().read_to_string(&mut text).unwrap();
    csv::parse(&text).unwrap().problem
}

fn search(problem: &Problem, nodes: u64) -> Minimum {
    let found = minimise(problem, nodes, &mut |_| ControlFlow::Continue(()));
    assert_eq!(check(problem, &found.allocation.offsets, found.allocation.peak), Ok(()));
    assert!(found.bound <= found.allocation.peak && found.nodes <= nodes);
    found
}

/// Solves a public problem within the public capacity, or to the proven least peak.
fn solves(name: char, nodes: u64, proven: bool) {
    let problem = public(name);
    let found = search(&problem, nodes);
    let peak = found.allocation.peak;
    println!(
        "{name}: peak {peak}, bound {}, gap {:.2} %, {} nodes",
        found.bound,
        100.0 * (peak - found.bound) as f64 / found.bound as f64,
        found.nodes
    );
    assert_eq!(check(&problem, &found.allocation.offsets, CAPACITY), Ok(()));
    assert_eq!(found.is_optimal(), proven, "{name}");
}

#[test]
fn least_peaks_of_public_problems_are_proven() {
    for name in "ABCEFGHK".chars() {
        solves(name, 400_000, true);
    }
}

/// On its own, since it takes as long as all other tests.
#[test]
fn the_least_peak_of_the_hardest_public_problem_is_proven() {
    solves('I', 1_000_000, true);
}

#[test]
fn public_problems_whose_least_peak_is_open_fit_their_capacity() {
    solves('D', 250_000, false);
    solves('J', 250_000, false);
}

/// Problems of all kinds: `most` buffers at most, many or few steps, sizes alike or not, aligned or not.
fn random(state: &mut u64, most: u64) -> Problem {
    let mut draw = |n: u64| splitmix64(state) % n;
    let steps = 1 + draw(3 * most);
    let longest = 1 + draw(steps);
    let (sizes, grain) = (1 + draw(12), [1, 1, 4][draw(3) as usize]);
    let aligned = draw(2) == 0;
    let buffer = |i: u64, draw: &mut dyn FnMut(u64) -> u64| {
        let lower = draw(steps);
        Buffer {
            align: if aligned { [1, 2, 4, 6][draw(4) as usize] } else { 1 },
            ..Buffer::new(i.to_string(), lower, lower + 1 + draw(longest), grain * (1 + draw(sizes)))
        }
    };
    let count = draw(most + 1);
    Problem::new((0..count).map(|i| buffer(i, &mut draw)).collect()).unwrap()
}

#[test]
fn every_plan_is_valid_and_none_beats_the_bound() {
    let mut state = 1;
    for case in 0..100_000 {
        let problem = random(&mut state, 14);
        let bound = lower_bound(&problem);
        let found = search(&problem, 200);
        assert!(bound <= found.bound, "case {case}");
        for by in Heuristic::all() {
            let plan = by.run(&problem);
            assert_eq!(check(&problem, &plan.offsets, plan.peak), Ok(()), "case {case}: {by}");
            assert!(found.allocation.peak <= plan.peak, "case {case}: {by}");
            assert!(found.bound <= plan.peak, "case {case}: {by}");
        }
    }
}

/// The least peak by trying the buffers in every order, each at the least offset above those before it: any plan can be
/// pushed down to one of these, with the buffers in the order of their offsets.
fn exhaustive(buffers: &[Buffer], placed: &mut Vec<(usize, u64)>, best: &mut u64) {
    let peak = placed.iter().map(|&(i, offset)| offset + buffers[i].size).max().unwrap_or(0);
    if peak >= *best {
        return;
    }
    if placed.len() == buffers.len() {
        *best = peak;
        return;
    }
    for (i, b) in buffers.iter().enumerate() {
        if placed.iter().any(|&(other, _)| other == i) {
            continue;
        }
        let below = placed.iter().filter(|&&(o, _)| buffers[o].lower < b.upper && b.lower < buffers[o].upper);
        let floor = below.map(|&(o, offset)| offset + buffers[o].size).max().unwrap_or(0);
        placed.push((i, floor.next_multiple_of(b.align)));
        exhaustive(buffers, placed, best);
        placed.pop();
    }
}

#[test]
fn least_peaks_are_those_of_exhaustive_search() {
    let mut state = 2;
    let (mut above, mut better) = (0, 0);
    for case in 0..20_000 {
        let problem = random(&mut state, 7);
        let found = search(&problem, u64::MAX);
        let mut least = u64::MAX;
        exhaustive(problem.buffers(), &mut Vec::new(), &mut least);
        assert!(found.is_optimal(), "case {case}");
        assert_eq!(found.allocation.peak, least, "case {case}");
        assert!(lower_bound(&problem) <= least, "case {case}");
        above += u32::from(lower_bound(&problem) < least);
        better += u32::from(least < heuristic::best(&problem).0.peak);
    }
    println!("least peaks above the bound: {above}; below all heuristics: {better}");
    assert!(above > 0 && better > 0);
}

#[test]
fn a_search_can_be_watched_and_stopped_and_repeated() {
    let problem = public('D');
    let (first, second) = (search(&problem, 5_000), search(&problem, 5_000));
    assert_eq!(first, second);
    assert_eq!(first.nodes, 5_000);
    let mut seen: Vec<Progress> = Vec::new();
    let stopped = minimise(&problem, u64::MAX, &mut |progress| {
        seen.push(progress);
        if progress.nodes < 3_000 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    assert_eq!(stopped.nodes, 3_000);
    assert!(seen.windows(2).all(|w| w[1].peak <= w[0].peak && w[1].bound >= w[0].bound));
    assert!(seen.iter().all(|p| stopped.allocation.peak <= p.peak && p.bound <= stopped.bound));
}

#[test]
fn large_problems_are_planned() {
    let mut state = 3;
    let buffers = (0..10_000).map(|i| {
        let lower = splitmix64(&mut state) % 20_000;
        let length = 1 + splitmix64(&mut state) % 60;
        Buffer::new(i.to_string(), lower, lower + length, 1 + splitmix64(&mut state) % 1000)
    });
    let problem = Problem::new(buffers.collect()).unwrap();
    let (plan, by) = heuristic::best(&problem);
    assert_eq!(check(&problem, &plan.offsets, plan.peak), Ok(()));
    println!("bound {}, best {} ({by})", lower_bound(&problem), plan.peak);
    // As long as can be: no node of the search needs the stack.
    search(&problem, 50);
    let chain = (0..5_000).map(|i| Buffer::new(i.to_string(), i, i + 2, 1 + i % 2));
    assert!(search(&Problem::new(chain.collect()).unwrap(), 20_000).is_optimal());
}

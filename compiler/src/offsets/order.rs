//! What tells buffers apart that might be placed next.

use std::cmp::Reverse;

use spec::rng::splitmix64;

use super::Problem;

/// Maximal sets of buffers live in the same step, by number: the first one with each buffer, and one past the last. Two
/// buffers are live in the same step if and only if their ranges meet.
pub fn sections(problem: &Problem) -> Vec<(u32, u32)> {
    let mut events = Vec::new();
    for (i, b) in problem.buffers().iter().enumerate() {
        events.push((b.lower, true, i));
        events.push((b.upper, false, i));
    }
    events.sort_unstable();
    let mut ranges = vec![(0, 0); problem.buffers().len()];
    let (mut section, mut grown) = (0, false);
    for (_, starts, i) in events {
        if starts {
            ranges[i].0 = section;
        } else {
            // A set is maximal where a buffer ends after another has started.
            section += u32::from(grown);
            ranges[i].1 = section;
        }
        grown = starts;
    }
    ranges
}

/// Of each buffer: the steps in which it is live.
pub fn lengths(problem: &Problem) -> Vec<u128> {
    problem.buffers().iter().map(|b| (b.upper - b.lower).into()).collect()
}

/// Of each buffer: its size times the steps in which it is live.
pub fn areas(problem: &Problem) -> Vec<u128> {
    let lengths = lengths(problem);
    problem.buffers().iter().zip(lengths).map(|(b, length)| u128::from(b.size) * length).collect()
}

/// Of each buffer: the largest sum of live sizes in any step in which it is live.
pub fn breadths(problem: &Problem) -> Vec<u128> {
    let buffers = problem.buffers();
    let ranges: Vec<_> = sections(problem).iter().map(|&(lo, hi)| lo as usize..hi as usize).collect();
    let mut sums = vec![0; ranges.iter().map(|range| range.end).max().unwrap_or(0)];
    for (b, range) in buffers.iter().zip(&ranges) {
        sums[range.clone()].iter_mut().for_each(|sum| *sum += u128::from(b.size));
    }
    ranges.into_iter().map(|range| sums[range].iter().copied().max().unwrap_or(0)).collect()
}

/// Of each buffer: with how many others it is live.
pub fn conflicts(problem: &Problem) -> Vec<u128> {
    let buffers = problem.buffers();
    let mut lowers: Vec<u64> = buffers.iter().map(|b| b.lower).collect();
    let mut uppers: Vec<u64> = buffers.iter().map(|b| b.upper).collect();
    lowers.sort_unstable();
    uppers.sort_unstable();
    let count = |b: &super::Buffer| {
        let started = lowers.partition_point(|&lower| lower < b.upper);
        started - uppers.partition_point(|&upper| upper <= b.lower) - 1
    };
    buffers.iter().map(|b| count(b) as u128).collect()
}

/// Indices by falling keys, each in its place in the order of importance; then by index.
pub fn falling(keys: &[Vec<u128>], count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by_cached_key(|&i| Reverse(keys.iter().map(|key| key[i]).collect::<Vec<_>>()));
    order
}

/// The order with each index moved by less than `spread` places, at random.
pub fn perturbed(order: &[usize], spread: u64, state: &mut u64) -> Vec<usize> {
    // Eighths of places, so that an index seldom keeps its place by a tie.
    let place = |(at, &i): (usize, &usize)| (8 * at as u64 + splitmix64(state) % (8 * spread), i);
    let mut places: Vec<(u64, usize)> = order.iter().enumerate().map(place).collect();
    places.sort_unstable();
    places.into_iter().map(|(_, i)| i).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offsets::Buffer;

    #[test]
    fn measures_are_what_they_say() {
        let spans = [(0, 3, 4), (3, 9, 5), (0, 9, 6), (9, 21, 7), (1, 21, 8)];
        let buffer = |(i, &(lower, upper, size)): (usize, _)| Buffer::new(i.to_string(), lower, upper, size);
        let problem = Problem::new(spans.iter().enumerate().map(buffer).collect()).unwrap();
        assert_eq!(sections(&problem), [(0, 1), (1, 2), (0, 2), (2, 3), (0, 3)]);
        assert_eq!(lengths(&problem), [3, 6, 9, 12, 20]);
        assert_eq!(areas(&problem), [12, 30, 54, 84, 160]);
        assert_eq!(breadths(&problem), [18, 19, 19, 15, 19]);
        assert_eq!(conflicts(&problem), [2, 2, 3, 1, 4]);
        assert_eq!(falling(&[breadths(&problem), areas(&problem)], 5), [4, 2, 1, 0, 3]);
    }
}

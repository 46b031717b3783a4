//! Bytes that no plan can do without.

use std::collections::{BTreeMap, BTreeSet};

use super::Problem;
use super::problem::gcd;

/// A bound that no plan's peak is below: in some step, the live buffers need so many bytes.
///
/// Buffers whose alignments are multiples of `a` start at multiples of `a`. All but the uppermost therefore take their
/// sizes rounded up to a multiple of `a`. This is tried with the greatest common divisor of all alignments and with each
/// power of two; with `a = 1` it is the plain sum of sizes. The least peak is a multiple of what divides all sizes and
/// alignments, for buffers that are pushed down until each lies on another one or at 0 end at such multiples.
pub fn lower_bound(problem: &Problem) -> u64 {
    let aligns = || problem.buffers().iter().map(|b| b.align);
    let all = aligns().fold(0, gcd);
    let powers = aligns().flat_map(|align| (0..=align.trailing_zeros()).map(|k| 1 << k));
    let grids: BTreeSet<u64> = powers.chain((all > 0).then_some(all)).collect();
    let most = grids.into_iter().map(|a| load(problem, a)).max().unwrap_or(0);
    most.next_multiple_of(unit(problem))
}

/// What divides all sizes and alignments; 1 if there are none.
pub fn unit(problem: &Problem) -> u64 {
    problem.buffers().iter().flat_map(|b| [b.size, b.align]).fold(0, gcd).max(1)
}

/// The largest load of any step by the buffers aligned to multiples of `a`.
fn load(problem: &Problem, a: u64) -> u64 {
    let mut events = Vec::new();
    for b in problem.buffers().iter().filter(|b| b.align % a == 0) {
        let rounded = b.size.next_multiple_of(a);
        events.push((b.lower, true, rounded, rounded - b.size));
        events.push((b.upper, false, rounded, rounded - b.size));
    }
    events.sort_unstable();
    let (mut sum, mut most) = (0, 0);
    // How many live buffers have each difference to the rounded size; the uppermost is at best the one that has most.
    let mut slacks: BTreeMap<u64, usize> = BTreeMap::new();
    for (_, starts, rounded, slack) in events {
        if starts {
            sum += rounded;
            *slacks.entry(slack).or_default() += 1;
            let saved = slacks.last_key_value().map_or(0, |(&slack, _)| slack);
            most = most.max(sum - saved);
        } else {
            sum -= rounded;
            if let Some(count) = slacks.get_mut(&slack) {
                *count -= 1;
                if *count == 0 {
                    slacks.remove(&slack);
                }
            }
        }
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offsets::Buffer;

    #[test]
    fn the_bound_is_the_largest_load_of_a_step() {
        let problem = Problem::new(vec![
            Buffer::new("a", 0, 3, 4),
            Buffer::new("b", 3, 9, 4),
            Buffer::new("c", 0, 9, 4),
            Buffer::new("d", 9, 21, 4),
            Buffer::new("e", 0, 21, 4),
        ])
        .unwrap();
        assert_eq!(lower_bound(&problem), 12);
        assert_eq!(lower_bound(&Problem::default()), 0);
    }

    #[test]
    fn sizes_are_rounded_but_for_one() {
        let aligned = |id: &str, size| Buffer { align: 8, ..Buffer::new(id, 0, 1, size) };
        let problem = Problem::new(vec![aligned("a", 1), aligned("b", 5), aligned("c", 8)]).unwrap();
        assert_eq!(lower_bound(&problem), 17);
        // A buffer that may lie anywhere fits between them.
        let mut buffers = problem.buffers().to_vec();
        buffers.push(Buffer::new("d", 0, 1, 3));
        assert_eq!(lower_bound(&Problem::new(buffers).unwrap()), 17);
    }
}

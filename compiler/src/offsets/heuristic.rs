//! Plans that place one buffer after the other, each once.
//!
//! The orders are those of Pisarchyk and Lee ("Efficient memory management for deep neural net inference", 2020: by size,
//! by breadth), of TVM's memory planner (by size, by conflicts), and of the packing literature.

use std::fmt;

use super::order::{areas, breadths, conflicts, falling, lengths};
use super::{Allocation, Buffer, Problem};

/// Which buffer is placed first. Ties go to the larger buffer, then to the one that starts earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The largest.
    Size,
    /// The one live in the step with the largest sum of live sizes.
    Breadth,
    /// The one live for most steps.
    Length,
    /// The one with the largest product of size and steps.
    Area,
    /// The one live first.
    Start,
    /// The one that dies last.
    End,
    /// The one live together with the most others.
    Conflicts,
}

/// Where a buffer is placed among those live at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// In the lowest gap that holds it.
    First,
    /// In the smallest gap that holds it, the lowest of these; on top if none does.
    Best,
}

/// One way to place all buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heuristic {
    /// The order of the buffers.
    pub order: Order,
    /// The place of each.
    pub fit: Fit,
}

impl fmt::Display for Heuristic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fit = match self.fit {
            Fit::First => "first",
            Fit::Best => "best",
        };
        let order = match self.order {
            Order::Size => "size",
            Order::Breadth => "breadth",
            Order::Length => "length",
            Order::Area => "area",
            Order::Start => "start",
            Order::End => "end",
            Order::Conflicts => "conflicts",
        };
        write!(f, "{fit} fit by {order}")
    }
}

impl Heuristic {
    /// All there are.
    pub fn all() -> impl Iterator<Item = Self> {
        let orders = [
            Order::Size,
            Order::Breadth,
            Order::Length,
            Order::Area,
            Order::Start,
            Order::End,
            Order::Conflicts,
        ];
        orders.into_iter().flat_map(|order| [Fit::First, Fit::Best].map(|fit| Self { order, fit }))
    }

    /// Places all buffers, in time quadratic in their number.
    pub fn run(self, problem: &Problem) -> Allocation {
        let buffers = problem.buffers();
        // Indices of the placed buffers and their offsets and ends, by offset.
        let mut placed: Vec<(u64, u64, usize)> = Vec::with_capacity(buffers.len());
        let mut offsets = vec![0; buffers.len()];
        for i in sequence(problem, self.order) {
            let b = &buffers[i];
            let mut end = 0;
            let mut best: Option<(u64, u64)> = None;
            for &(offset, top, other) in &placed {
                if buffers[other].lower >= b.upper || b.lower >= buffers[other].upper {
                    continue;
                }
                let start = u64::next_multiple_of(end, b.align);
                if start + b.size <= offset {
                    let gap = (offset - end, start);
                    if best.is_none_or(|best| gap < best) {
                        best = Some(gap);
                    }
                    if self.fit == Fit::First {
                        break;
                    }
                }
                end = end.max(top);
            }
            offsets[i] = best.map_or(end.next_multiple_of(b.align), |(_, start)| start);
            let at = placed.partition_point(|&(offset, ..)| offset <= offsets[i]);
            placed.insert(at, (offsets[i], offsets[i] + b.size, i));
        }
        Allocation::new(problem, offsets)
    }
}

/// The plan with the least peak of all heuristics, and which made it; of equals the first of [`Heuristic::all`].
pub fn best(problem: &Problem) -> (Allocation, Heuristic) {
    let first = Heuristic { order: Order::Size, fit: Fit::First };
    let mut best = (first.run(problem), first);
    for heuristic in Heuristic::all().skip(1) {
        let plan = heuristic.run(problem);
        if plan.peak < best.0.peak {
            best = (plan, heuristic);
        }
    }
    best
}

/// The buffers in the order in which they are placed.
fn sequence(problem: &Problem, order: Order) -> Vec<usize> {
    let by = |key: fn(&Buffer) -> u64| problem.buffers().iter().map(|b| key(b).into()).collect();
    let first = match order {
        Order::Size => by(|b| b.size),
        Order::Breadth => breadths(problem),
        Order::Length => lengths(problem),
        Order::Area => areas(problem),
        Order::Start => by(|b| u64::MAX - b.lower),
        Order::End => by(|b| b.upper),
        Order::Conflicts => conflicts(problem),
    };
    falling(&[first, by(|b| b.size), by(|b| u64::MAX - b.lower)], problem.buffers().len())
}

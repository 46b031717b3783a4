//! Offsets of buffers in one memory: which bytes each buffer holds while it is live.
//!
//! A [`Problem`] gives each buffer a size and the steps between which it is live. Two buffers live in the same step may
//! not share a byte. Wanted is the least peak: the memory's size. The problem is strongly NP-hard (dynamic storage
//! allocation: Garey and Johnson, 1979, problem SR2).
//!
//! [`lower_bound`] is what no plan can beat, [`heuristic::best`] a plan in no time, and [`exact::minimise`] searches for
//! the least peak and proves it where it can. [`check()`] tells a valid plan from an invalid one.

mod bound;
mod check;
pub mod csv;
pub mod exact;
pub mod heuristic;
mod order;
mod problem;
mod search;

pub use bound::lower_bound;
pub use check::{Violation, check};
pub use problem::{Buffer, MAX_BUFFERS, MAX_BYTES, Member, Merged, Problem};

/// An offset for each buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allocation {
    /// First byte of each buffer, in the order of [`Problem::buffers`].
    pub offsets: Vec<u64>,
    /// One past the last byte that any buffer holds.
    pub peak: u64,
}

impl Allocation {
    /// With the peak that these offsets have.
    pub(crate) fn new(problem: &Problem, offsets: Vec<u64>) -> Self {
        let tops = problem.buffers().iter().zip(&offsets).map(|(b, offset)| offset + b.size);
        Self { peak: tops.max().unwrap_or(0), offsets }
    }
}

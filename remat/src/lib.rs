//! What to keep, to spill or to compute again, so that a computation fits a memory at the least cost.
//!
//! A [`Problem`] has steps that read and write tensors. In a [`Schedule`] steps may be computed more than once
//! (rematerialisation), and tensors may go to a memory off chip and come back. [`run`] executes one and says what it costs,
//! or what is wrong with it; it knows nothing of how schedules are found. [`plan`] takes the cheapest of what all methods find:
//! [`heuristic`]s, an integer program ([`milp`]) after Checkmate (arXiv 1910.02653) with transfers as in POET
//! (arXiv 2207.07697), and its relaxation, rounded ([`relax`]).

mod creation;
mod group;
pub mod heuristic;
pub mod milp;
mod plan;
mod problem;
pub mod relax;
mod schedule;
mod segments;
mod simulator;

pub use group::Grouped;
pub use heuristic::Method;
pub use plan::{Found, Limits, Plan, Progress, plan, smallest};
pub use problem::{MAX_COST, MAX_STEPS, Problem, ProblemError, Rate, Step, StepId, Tensor, TensorId};
pub use schedule::{Action, Cost, Fate, Fault, Schedule, fates, occupancy, run};

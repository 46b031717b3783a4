//! The memory that a network needs: what its weights, activations, gradients and the steps between them hold, when, and
//! how little of it suffices.
//!
//! [`import::graph`] makes a [`Graph`] of any ONNX file whose operators it knows, float or quantised: sizes only, no numbers;
//! [`table::parse`] of a table of layers.
//! [`training::backward`] appends the steps of a gradient descent. [`lives::lives`] says from when to when each
//! tensor is there, in place of which other it may lie, and so what memory a schedule needs at each step. Where that is too
//! much, [`budget::Workload`] is the problem of what to keep, to spill and to compute again.

pub mod budget;
pub mod graph;
pub mod import;
pub mod lives;
mod shape;
pub mod table;
pub mod training;

pub use graph::{Graph, Kind, Lag, Op, Role, Step, Tensor, TensorId};

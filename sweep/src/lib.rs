//! Sweeps of design points: every combination of values of a config's and a memory's fields, on every network.

mod eval;
mod output;
mod row;
mod spec;

pub use eval::{Area, Evaluator};
pub use output::{Sweep, Shard, merge};
pub use row::{Cell, LayerRow, PointRow, Row};
pub use spec::{Field, MAX_ROWS, Spec, SweepError, Values};

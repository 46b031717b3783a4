//! Runs programs on the generated RTL: Verilator behind a thin bridge, a memory at its pins, and the suite of cases
//! that every machine must pass alike.

pub mod board;
pub mod bridge;
pub mod cases;
pub mod client;
pub mod faults;
pub mod meddler;
pub mod memory;
pub mod networks;
pub mod rtl;
pub mod touches;

pub use board::SimulatedBoard;
pub use bridge::BuildError;
pub use rtl::{Rtl, RunError, limit};
pub use touches::{Audit, Touches};

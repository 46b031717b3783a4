//! Koch on FPGA boards: their folders, what is on them beside the accelerator, bitstreams from open tools, and the
//! driver that a host uses.

pub mod board;
pub mod driver;
mod floorplan;
pub mod flow;
mod netlist;
pub mod pll;

pub use board::{Board, BoardError};
pub use driver::{Driver, DriverError, Port, Serial};

//! Koch's RTL generator: one Rust file per Verilog module, with the same name.
//!
//! Two layers and one printer. Behaviour is written as rust-hdl blocks ([`leaf`]), structure directly as a
//! Verilog tree ([`verilog`]); both print through that tree.

pub mod bits;
pub mod cosim;
pub mod leaf;
pub mod prelude;
mod reg;
pub mod verilog;

pub mod pe;

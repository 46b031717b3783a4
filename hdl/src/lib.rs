//! Koch's RTL generator: one Rust file per Verilog module, with the same name.

pub mod verilog;

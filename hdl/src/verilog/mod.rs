//! The typed Verilog tree, its checker and its printer.

mod ast;
mod check;
mod printer;

pub use ast::*;
pub use check::{CheckError, eval};

#[cfg(test)]
mod tests;

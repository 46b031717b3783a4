//! Koch crate `testbench`.

//! The `koch` command.

fn main() {}

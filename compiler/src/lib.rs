//! Koch crate `compiler`.

//! Koch crate `reference`.

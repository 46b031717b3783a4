//! Koch crate `spec`.

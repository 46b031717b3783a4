//! Koch crate `hdl`.

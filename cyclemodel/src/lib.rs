//! Koch crate `cyclemodel`.

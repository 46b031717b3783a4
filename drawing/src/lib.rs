//! Pictures of networks: what they compute, what flows between, and where it lies.
//!
//! [`layers::Layers`] makes layers of a graph's steps, each with the functions behind it. [`fold::fold`] finds blocks that
//! follow each other and are alike. [`svg::svg`] draws both. Graphviz finds the places (Gansner et al., *A technique for
//! drawing directed graphs*, 1993).

mod dot;
pub mod fold;
pub mod layers;
pub mod svg;

use std::fmt;

/// Why there is no picture, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(String);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

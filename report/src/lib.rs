//! Charts of what `koch sweep` measured: one page for a browser, or a file each.
//!
//! A [`Chart`] makes [`Figure`]s of [`Data`]: options of Apache ECharts, which draws them in the [`page`] and, in an
//! embedded JavaScript engine, as [`svg`] and [`png`]. So each chart is defined once, and no code here draws.

mod charts;
mod data;
mod figure;
mod page;
mod render;

use std::fmt;

pub use charts::Chart;
pub use charts::budget::budget_figure;
pub use data::{Check, Choice, Data, Layer, Layers, Number, Point, Size, Span};
pub use figure::Figure;
pub use page::page;
pub use render::{LARGEST, SMALLEST, png, svg};

/// Why there is no chart, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(String);

impl Error {
    fn new(message: impl fmt::Display) -> Self {
        Self(message.to_string())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

type Result<T> = std::result::Result<T, Error>;

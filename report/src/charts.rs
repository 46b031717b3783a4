//! What there is to see, a file for each chart.

pub mod budget;
mod heatmap;
mod knee;
mod pareto;
mod roofline;
mod stalls;
mod timeline;

use crate::{Data, Error, Figure, Result};

/// A view of a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chart {
    /// MACs per cycle against MACs per byte, each layer below its roof.
    Roofline,
    /// Traffic against buffer bytes.
    Knee,
    /// Efficiency by rows and columns of the array.
    Heatmap,
    /// Area against cycles.
    Pareto,
    /// Where the cycles of each layer go.
    Stalls,
    /// What the engines do during a layer.
    Timeline,
    /// Overhead against a budget of memory: not of a sweep, but of `koch memory --sweep-budget`.
    Budget,
}

impl Chart {
    /// Every chart of a sweep, in the order of the page.
    pub const ALL: [Self; 6] =
        [Self::Pareto, Self::Knee, Self::Heatmap, Self::Roofline, Self::Stalls, Self::Timeline];

    /// The name in commands and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Roofline => "roofline",
            Self::Knee => "knee",
            Self::Heatmap => "heatmap",
            Self::Pareto => "pareto",
            Self::Stalls => "stalls",
            Self::Timeline => "timeline",
            Self::Budget => "budget",
        }
    }

    /// The heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::Roofline => "Layers under the roofline",
            Self::Knee => "Traffic against buffers",
            Self::Heatmap => "Efficiency by array shape",
            Self::Pareto => "Area against cycles",
            Self::Stalls => "Where the cycles go",
            Self::Timeline => "The engines during a layer",
            Self::Budget => "Overhead against a budget of memory",
        }
    }

    /// The figures of this chart, one or one per network or layer; an error says which file is missing.
    pub fn figures(self, data: &Data) -> Result<Vec<Figure>> {
        match self {
            Self::Roofline => roofline::figures(data),
            Self::Knee => knee::figures(data),
            Self::Heatmap => heatmap::figures(data),
            Self::Pareto => pareto::figures(data),
            Self::Stalls => stalls::figures(data),
            Self::Timeline => timeline::figures(data),
            Self::Budget => {
                Err(Error::new("no sweep has it; `koch memory --sweep-budget` with --plot draws it"))
            }
        }
    }
}

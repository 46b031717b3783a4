//! Overhead against a budget of memory.

use crate::figure::{axis, bytes_axis, dashes, option, symbol};
use crate::{Chart, Figure};
use serde_json::json;

/// What each method costs above computing every step once, in per cent, at each budget in bytes: `[budget, overhead]` by name.
/// `unit` is what costs are counted in.
pub fn budget_figure(subject: &str, unit: &str, series: &[(String, Vec<[f64; 2]>)]) -> Figure {
    let lines = series.iter().enumerate().map(|(i, (name, points))| {
        json!({ "type": "line", "name": name, "data": points, "symbol": symbol(i), "symbolSize": 7,
            "showAllSymbol": true, "lineStyle": { "type": dashes(i), "width": 2 } })
    });
    let x = bytes_axis("budget", series.iter().flat_map(|(_, points)| points).map(|p| p[0]));
    let y = axis("overhead, %", "value", "@plain");
    Figure {
        chart: Chart::Budget,
        subject: subject.to_owned(),
        caption: format!(
            "What is computed again and moved off chip and back, in {unit} above computing every step once, against the \
             bytes that activations and gradients may take on chip. A method without a symbol at a budget has no plan \
             for it."
        ),
        height: 520,
        option: option(x, y, lines.collect()),
    }
}

//! Area against cycles, by memory bandwidth.

use crate::figure::{
    count, dashes, log_axis, missing, of, option, points, row, share, symbol, symbol_size, thinned, with,
};
use crate::{Chart, Data, Figure, Point, Result};
use serde_json::json;
use std::collections::BTreeSet;

pub fn figures(data: &Data) -> Result<Vec<Figure>> {
    let front = data.front.as_ref().ok_or_else(|| missing("pareto.csv"))?;
    let parts = data.networks.len();
    let figure = |network: &String| figure(network, &of(&data.points, network), &of(front, network), parts);
    Ok(data.networks.iter().filter_map(figure).collect())
}

/// A picture of one of `parts` networks.
fn figure(network: &str, all: &[&Point], front: &[&Point], parts: usize) -> Option<Figure> {
    let bandwidths: BTreeSet<u64> = front.iter().map(|p| p.bytes_per_cycle).collect();
    if bandwidths.is_empty() {
        return None;
    }
    let on_front: BTreeSet<u64> = front.iter().map(|p| p.point).collect();
    let others: Vec<&Point> = all.iter().copied().filter(|p| !on_front.contains(&p.point)).collect();
    let dots = share(&others, parts);
    let kept = share(front, parts);
    let place = |p: &Point| row(p.cycles as f64, p.area.0, p);
    let mut series = Vec::new();
    for (i, &bandwidth) in bandwidths.iter().enumerate() {
        let name = format!("{bandwidth} B/cycle");
        let mut line: Vec<&Point> =
            kept.iter().map(|p| **p).filter(|p| p.bytes_per_cycle == bandwidth).collect();
        line.sort_by_key(|p| p.cycles);
        series.push(with(
            points("line", &name, line.into_iter().map(place).collect()),
            json!({ "symbol": symbol(i), "symbolSize": symbol_size(kept.len()), "showAllSymbol": true, "z": 3,
                "lineStyle": { "type": dashes(i), "width": 1.5 } }),
        ));
        let dots = dots.iter().filter(|p| p.bytes_per_cycle == bandwidth).map(|p| place(p)).collect();
        series.push(with(
            points("scatter", &name, dots),
            json!({ "symbol": symbol(i), "symbolSize": 4, "itemStyle": { "opacity": 0.45 }, "z": 2 }),
        ));
    }
    let shown = || dots.iter().chain(&kept).map(|p| **p);
    let (x, _, _) = log_axis("cycles", "@si", shown().map(|p| p.cycles as f64));
    let (y, _, _) = log_axis("area, transistors", "@si", shown().map(|p| p.area.0));
    Some(Figure {
        chart: Chart::Pareto,
        subject: network.to_owned(),
        caption: format!(
            "Transistors against the cycles of one run of {network}, of {} points; left and down is better. Large \
             symbols, joined for each memory bandwidth, are the {} points that no other beats in cycles, area and \
             bandwidth at once.{} Faint ones are beaten.{}",
            count(all.len()),
            count(front.len()),
            thinned("large symbols", kept.len(), front.len()),
            thinned("faint symbols", dots.len(), others.len())
        ),
        height: 480,
        option: option(x, y, series),
    })
}

//! Efficiency by rows and columns of the array, other numbers at their best.

use crate::figure::{POINT, axis, count, every, of, option, row, some_points, thinned, with};
use crate::{Chart, Data, Figure, Point, Result};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Cells of a network that a page has room for.
const CELLS: usize = 2000;

/// From dark to light, so that it reads without colour: viridis.
const COLOURS: [&str; 5] = ["#440154", "#3b528b", "#21918c", "#5ec962", "#fde725"];

pub fn figures(data: &Data) -> Result<Vec<Figure>> {
    some_points(data)?;
    Ok(data.networks.iter().filter_map(|network| figure(network, &of(&data.points, network))).collect())
}

fn figure(network: &str, points: &[&Point]) -> Option<Figure> {
    let mut best: BTreeMap<(u64, u64), &Point> = BTreeMap::new();
    for &point in points {
        let cell = best.entry((point.rows, point.cols)).or_insert(point);
        if point.efficiency > cell.efficiency {
            *cell = point;
        }
    }
    let all: Vec<&Point> = best.into_values().collect();
    let cells = every(&all, CELLS);
    let rows: Vec<u64> = cells.iter().map(|p| p.rows).collect::<BTreeSet<_>>().into_iter().collect();
    let cols: Vec<u64> = cells.iter().map(|p| p.cols).collect::<BTreeSet<_>>().into_iter().collect();
    let low = cells.iter().map(|p| p.efficiency.0).reduce(f64::min)?;
    let high = cells.iter().map(|p| p.efficiency.0).reduce(f64::max)?;
    let place = |among: &[u64], n: u64| among.partition_point(|&m| m < n) as f64;
    let cell = |p: &Point| {
        // Dark letters on the light half of the colours.
        let ink = if p.efficiency.0 - low > 0.55 * (high - low) { "#000" } else { "#fff" };
        json!({ "value": row(place(&cols, p.cols), place(&rows, p.rows), p), "label": { "color": ink } })
    };
    let mut dimensions = vec!["x", "y"];
    dimensions.extend(POINT);
    let efficiency = dimensions.iter().position(|&d| d == "efficiency");
    let series = json!({
        "type": "heatmap", "name": network, "dimensions": dimensions,
        "data": cells.iter().map(|p| cell(p)).collect::<Vec<Value>>(),
        "encode": { "x": 0, "y": 1, "value": efficiency, "tooltip": POINT },
        "label": { "show": cols.len() <= 16 && rows.len() <= 24, "formatter": "@cell" },
        "itemStyle": { "borderWidth": 1, "borderColor": "rgba(128,128,128,0.4)" },
    });
    let categories = |name: &str, of: &[u64]| {
        let names: Vec<String> = of.iter().map(u64::to_string).collect();
        with(axis(name, "category", "@text"), json!({ "data": names, "splitLine": { "show": false } }))
    };
    let map = json!({ "visualMap": {
        "type": "continuous", "dimension": efficiency, "min": low, "max": high, "calculable": true,
        "inRange": { "color": COLOURS }, "formatter": "@percent", "orient": "horizontal",
    } });
    Some(Figure {
        chart: Chart::Heatmap,
        subject: network.to_owned(),
        caption: format!(
            "Efficiency of {network} in per cent, useful MACs ÷ (peak × cycles), padding excluded. Each cell is the \
             best of the points with so many rows and columns, of {} in all; an empty one has none.{}",
            count(points.len()),
            thinned("cells", cells.len(), all.len())
        ),
        height: 220 + 30 * rows.len().min(24) as u32,
        option: with(option(categories("columns", &cols), categories("rows", &rows), vec![series]), map),
    })
}

//! Where the cycles of each layer go: the array busy, or idle by cause.

use crate::figure::{axis, missing, option, with};
use crate::{Chart, Data, Figure, Layer, Layers, Result};
use serde_json::{Value, json};

/// Layers of a network that a page has room for.
const LAYERS: usize = 200;

pub fn figures(data: &Data) -> Result<Vec<Figure>> {
    let layers = data.layers.as_ref().ok_or_else(|| missing("layers.csv"))?;
    let figure = |network: &String| figure(network, layers.get(network)?);
    Ok(data.networks.iter().filter_map(figure).collect())
}

fn figure(network: &str, layers: &Layers) -> Option<Figure> {
    let shown: Vec<&Layer> = layers.rows.iter().take(LAYERS).collect();
    let cycles = |l: &Layer, cause: usize| match cause.checked_sub(1) {
        None => l.mac_busy_cycles,
        Some(idle) => l.idle.get(idle).copied().unwrap_or(0),
    };
    let mut names = vec!["busy".to_owned()];
    names.extend(layers.causes.iter().map(|cause| cause.replace('_', " ")));
    let mut series = Vec::new();
    for (cause, name) in names.iter().enumerate() {
        let bar = |(i, l): (usize, &&Layer)| {
            let share = 100.0 * cycles(l, cause) as f64 / l.cycles.max(1) as f64;
            json!([share, i, l.layer, cycles(l, cause), l.cycles, l.count])
        };
        let bars = json!({
            "type": "bar", "stack": "cycles", "name": name, "barCategoryGap": "25%",
            "data": shown.iter().enumerate().map(bar).collect::<Vec<Value>>(),
            "dimensions": ["per cent", "place", "layer", "cycles", "cycles of the layer", "runs"],
            "encode": { "x": 0, "y": 1, "tooltip": [2, 0, 3, 4, 5] },
        });
        // What is well is plain.
        let calm = json!({ "itemStyle": { "color": "@calm", "decal": { "color": "transparent" } } });
        series.push(if cause == 0 { with(bars, calm) } else { bars });
    }
    let labels: Vec<&str> = shown.iter().map(|l| l.layer.as_str()).collect();
    let x = with(axis("per cent of the layer's cycles", "value", "@plain"), json!({ "max": "@most" }));
    let y = with(
        axis("layer", "category", "@text"),
        json!({ "data": labels, "inverse": true, "nameLocation": "start",
            "axisLabel": { "overflow": "truncate", "interval": 0, "hideOverlap": false } }),
    );
    let rest = match layers.rows.len() - shown.len() {
        0 => String::new(),
        n => format!(" Left out, after the first {LAYERS}: {n}."),
    };
    // Causes that would be slivers beside the busy cycles.
    let slivers = shown.iter().all(|l| l.mac_busy_cycles as f64 >= 0.8 * l.cycles as f64);
    let legend = if slivers {
        "Busy ones are 80 per cent or more everywhere, and hidden: the legend shows them."
    } else {
        "Where the legend hides busy ones, the causes are enlarged."
    };
    let decal = json!({ "aria": { "enabled": true, "decal": { "show": true } },
        "legend": { "selected": { "busy": !slivers } } });
    Some(Figure {
        chart: Chart::Stalls,
        subject: network.to_owned(),
        caption: format!(
            "Cycles of one run of each layer of {network} on point {}, in per cent: those in which the array is fed, \
             and idle ones by cause. {legend}{rest}",
            layers.point.point
        ),
        height: 150 + 17 * shown.len() as u32,
        option: with(option(x, y, series), decal),
    })
}

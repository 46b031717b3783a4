//! Traffic against buffer bytes: how much buffer pays.

use crate::figure::{
    axis, cloud, count, dashes, of, option, points, row, some_points, symbol, thinned, with,
};
use crate::{Chart, Data, Figure, Point, Result};
use serde_json::json;

pub fn figures(data: &Data) -> Result<Vec<Figure>> {
    some_points(data)?;
    let mut series = Vec::new();
    let (mut shown, mut all) = (0, 0);
    for (i, network) in data.networks.iter().enumerate() {
        let of_network = of(&data.points, network);
        let Some(most) = of_network.iter().map(|p| p.buffer_bytes).max() else { continue };
        let least = envelope(&of_network);
        let place = |p: &Point| (p.buffer_bytes as f64, p.traffic_ratio.0);
        let mut line: Vec<_> = least.iter().map(|p| row(place(p).0, place(p).1, p)).collect();
        if let Some(last) = least.last().filter(|p| p.buffer_bytes < most) {
            line.push(with_symbol_none(row(most as f64, place(last).1, last)));
        }
        series.push(with(
            points("line", network, line),
            json!({ "step": "end", "symbol": symbol(i), "symbolSize": 9, "showAllSymbol": true,
                "lineStyle": { "type": dashes(i), "width": 2 }, "z": 3 }),
        ));
        let dots = cloud(&of_network, data.networks.len());
        (shown, all) = (shown + dots.len(), all + of_network.len());
        let dots = dots.iter().map(|p| row(place(p).0, place(p).1, p)).collect();
        series.push(with(
            points("scatter", network, dots),
            json!({ "symbol": symbol(i), "symbolSize": 4, "itemStyle": { "opacity": 0.45 }, "z": 2 }),
        ));
    }
    let x = with(axis("bytes of all buffers", "log", "@bytes"), json!({ "logBase": 2 }));
    let y = with(axis("bytes moved ÷ once-only bytes", "value", "@plain"), json!({ "scale": true }));
    Ok(vec![Figure {
        chart: Chart::Knee,
        subject: String::new(),
        caption: format!(
            "Bytes that cross the memory bus, as a multiple of what every input, weight and output would take once, \
             against the bytes of all buffers together, of {} points. A line is the least traffic ratio of any \
             point with so many bytes or fewer, whatever its other numbers are; faint symbols are single points. \
             Below 1, tensors stay on chip between layers.{}",
            count(all),
            thinned(shown, all)
        ),
        height: 460,
        option: option(x, y, series),
    }])
}

/// The points that need fewer bytes than any with as small buffers, by buffer bytes.
fn envelope<'a>(points: &[&'a Point]) -> Vec<&'a Point> {
    let mut sorted = points.to_vec();
    sorted.sort_by(|a, b| {
        (a.buffer_bytes, a.traffic_ratio.0)
            .partial_cmp(&(b.buffer_bytes, b.traffic_ratio.0))
            .unwrap_or(std::cmp::Ordering::Equal)
    });
    let mut least = f64::INFINITY;
    sorted.retain(|p| {
        let lower = p.traffic_ratio.0 < least;
        least = least.min(p.traffic_ratio.0);
        lower
    });
    sorted
}

/// A point of a line without a symbol of its own.
fn with_symbol_none(value: serde_json::Value) -> serde_json::Value {
    json!({ "value": value, "symbol": "none" })
}

//! Traffic against buffer bytes: how much buffer pays.

use crate::figure::{
    axis, bytes_axis, count, dashes, of, option, points, row, share, some_points, symbol, symbol_size,
    thinned, with,
};
use crate::{Chart, Data, Figure, Point, Result};
use serde_json::{Value, json};

pub fn figures(data: &Data) -> Result<Vec<Figure>> {
    some_points(data)?;
    let mut series = Vec::new();
    let parts = data.networks.len();
    let (mut shown, mut all, mut shown_steps, mut steps) = (0, 0, 0, 0);
    for (i, network) in data.networks.iter().enumerate() {
        let of_network = of(&data.points, network);
        let Some(most) = of_network.iter().map(|p| p.buffer_bytes).max() else { continue };
        let least = envelope(&of_network);
        let kept = share(&least, parts);
        (shown_steps, steps) = (shown_steps + kept.len(), steps + least.len());
        let place = |p: &Point| row(p.buffer_bytes as f64, p.traffic_ratio.0, p);
        let mut line: Vec<Value> = kept.iter().map(|p| place(p)).collect();
        if let Some(last) = kept.last().filter(|p| p.buffer_bytes < most) {
            // To the end, but no point there.
            let end = row(most as f64, last.traffic_ratio.0, last);
            line.push(json!({ "value": end, "symbol": "none" }));
        }
        series.push(with(
            points("line", network, line),
            json!({ "step": "end", "symbol": symbol(i), "symbolSize": symbol_size(kept.len()), "showAllSymbol": true,
                "lineStyle": { "type": dashes(i), "width": 2 }, "z": 3 }),
        ));
        let dots = share(&of_network, parts);
        (shown, all) = (shown + dots.len(), all + of_network.len());
        let dots = dots.iter().map(|p| place(p)).collect();
        series.push(with(
            points("scatter", network, dots),
            json!({ "symbol": symbol(i), "symbolSize": 4, "itemStyle": { "opacity": 0.45 }, "z": 2 }),
        ));
    }
    let x = bytes_axis("bytes of all buffers", data.points.iter().map(|p| p.buffer_bytes as f64));
    let y = with(axis("bytes moved ÷ once-only bytes", "value", "@plain"), json!({ "scale": true }));
    Ok(vec![Figure {
        chart: Chart::Knee,
        subject: String::new(),
        caption: format!(
            "Bytes that cross the memory bus, as a multiple of what every input, weight and output would take once, \
             against the bytes of all buffers together, of {} points. A line is the least traffic ratio of any \
             point with so many bytes or fewer, whatever its other numbers are; faint symbols are single points. \
             Below 1, tensors stay on chip between layers, or strides pass over inputs.{}{}",
            count(all),
            thinned("faint points", shown, all),
            thinned("steps", shown_steps, steps)
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

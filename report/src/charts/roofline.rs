//! MACs per cycle against MACs per byte, each layer below its roof.

use crate::figure::{log_axis, missing, option, with};
use crate::{Chart, Data, Figure, Layer, Layers, Result};
use serde_json::{Value, json};

/// Layers of a network that a page has room for.
const LAYERS: usize = 1000;

pub fn figures(data: &Data) -> Result<Vec<Figure>> {
    let layers = data.layers.as_ref().ok_or_else(|| missing("layers.csv"))?;
    let figure = |network: &String| figure(network, layers.get(network)?);
    Ok(data.networks.iter().filter_map(figure).collect())
}

fn figure(network: &str, layers: &Layers) -> Option<Figure> {
    let (peak, bandwidth) = (layers.point.macs as f64, layers.point.bytes_per_cycle as f64);
    if peak == 0.0 || bandwidth == 0.0 {
        return None;
    }
    // What has no MACs or no bytes has no place on logarithmic axes.
    let with_place =
        |l: &&Layer| l.useful_macs > 0 && l.bytes > 0 && l.cycles > 0 && l.roofline_cycles.0 > 0.0;
    let shown: Vec<&Layer> = layers.rows.iter().filter(with_place).take(LAYERS).collect();
    let macs = |l: &Layer| l.useful_macs as f64;
    let bound = |l: &Layer| {
        let speed = macs(l) / l.roofline_cycles.0;
        // Bytes that stay on chip do not count for the bound, so it may be right of the once-only bytes.
        let once_only = macs(l) / l.once_only_bytes.max(1) as f64;
        json!([once_only.max(speed / bandwidth), speed, l.layer, l.roofline_cycles.0, l.once_only_bytes])
    };
    let run = |l: &Layer, cycles: u64, bytes: u64| {
        json!([macs(l) / bytes as f64, macs(l) / cycles as f64, l.layer, cycles, bytes])
    };
    let theory: Vec<Value> = shown.iter().map(|l| bound(l)).collect();
    let model: Vec<Value> = shown.iter().map(|l| run(l, l.cycles, l.bytes)).collect();
    let checked = |equal: bool| -> Vec<Value> {
        let of = |l: &&Layer| l.rtl.clone().filter(|c| c.equal == equal && c.cycles > 0 && c.bytes > 0);
        shown.iter().filter_map(|l| of(l).map(|c| run(l, c.cycles, c.bytes))).collect()
    };
    let (rtl, wrong) = (checked(true), checked(false));

    let ridge = peak / bandwidth;
    let places = || [&theory, &model, &rtl, &wrong].into_iter().flatten();
    let xs = places().filter_map(|row| row[0].as_f64()).chain([ridge / 1.5, ridge * 1.5]);
    let ys = places().filter_map(|row| row[1].as_f64()).chain([peak / 1.5, peak]);
    let (x, left, right) = log_axis("useful MACs per byte", "@plain", xs);
    let (y, _, _) = log_axis("useful MACs per cycle", "@plain", ys);
    let roof = json!({
        "type": "line", "name": format!("roof: {bandwidth} B/cycle, {peak} MACs/cycle"), "symbol": "none",
        "data": [[left, left * bandwidth], [ridge, peak], [right, peak]],
        "lineStyle": { "width": 2 }, "silent": true, "z": 1,
    });
    let dots = |name: &str, data: &[Value], style: Value| {
        let series = json!({
            "type": "scatter", "name": name, "data": data,
            "dimensions": ["MACs per byte", "MACs per cycle", "layer", "cycles", "bytes"],
            "encode": { "x": 0, "y": 1, "tooltip": [2, 0, 1, 3, 4] },
        });
        with(series, style)
    };
    let hollow = json!({ "symbol": "circle", "symbolSize": 13, "z": 2,
        "itemStyle": { "color": "transparent", "borderWidth": 1.5, "borderColor": "@ink" } });
    let mut series = vec![
        roof,
        dots("theory", &theory, hollow),
        dots(
            "model",
            &model,
            json!({ "symbol": "diamond", "symbolSize": 9, "itemStyle": { "opacity": 1 }, "z": 3 }),
        ),
    ];
    for (name, runs) in [("RTL", &rtl), ("RTL, differs", &wrong)] {
        if !runs.is_empty() {
            let cross = "path://M-5,-1L-1,-1L-1,-5L1,-5L1,-1L5,-1L5,1L1,1L1,5L-1,5L-1,1L-5,1Z";
            series.push(dots(name, runs, json!({ "symbol": cross, "symbolSize": 17, "z": 4 })));
        }
    }
    let differ = match wrong.len() {
        0 => String::new(),
        n => format!(" {n} of the runs on the RTL differ from the reference or the model."),
    };
    let rest = match layers.rows.len() - shown.len() {
        0 => String::new(),
        n => format!(" Left out, without MACs or bytes or after the first {LAYERS}: {n}."),
    };
    Some(Figure {
        chart: Chart::Roofline,
        subject: network.to_owned(),
        caption: format!(
            "{} layers of {network}, {} of them on the RTL too, on point {}: the peak is {} × {} MACs per cycle, the \
             slope the memory's {bandwidth} bytes per cycle. Theory is the bound with every byte off chip moved once; \
             the model moves what it moves in the cycles that it takes. Products with zero padding are not \
             counted.{differ}{rest}",
            shown.len(),
            rtl.len() + wrong.len(),
            layers.point.point,
            layers.point.rows,
            layers.point.cols,
        ),
        height: 480,
        option: option(x, y, series),
    })
}

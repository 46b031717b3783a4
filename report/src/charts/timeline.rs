//! What the engines do during a layer, and how full the buffers are.

use crate::figure::{axis, count, missing, option, with};
use crate::{Chart, Data, Figure, Result, Span};
use serde_json::{Value, json};

/// The engines in the order of an instruction's way.
const ENGINES: [&str; 4] = ["fetch", "load", "compute", "store"];

/// Rows of a picture; further engines are left out.
const ROWS: usize = 20;

/// Bars that a page has room for, of all layers.
const BARS: usize = 20_000;

pub fn figures(data: &Data) -> Result<Vec<Figure>> {
    let timeline = data.timeline.as_ref().ok_or_else(|| missing("timeline.csv"))?;
    Ok(timeline.iter().map(|(layer, spans)| figure(layer, spans, BARS / timeline.len().max(1))).collect())
}

fn figure(layer: &str, spans: &[Span], most: usize) -> Figure {
    let mut engines: Vec<&str> = ENGINES.to_vec();
    for span in spans {
        if engines.len() < ROWS && !engines.contains(&span.engine.as_str()) {
            engines.push(&span.engine);
        }
    }
    let mut sorted: Vec<&Span> = spans.iter().collect();
    sorted.sort_by_key(|s| (s.start, s.end));
    let end = sorted.iter().map(|s| s.end).max().unwrap_or(0);
    let (bars, gap) = bars(&sorted, &engines, most, end);
    let row = |bar: &&Bar<'_>| {
        let what = match (bar.count, bar.level) {
            (1, _) => bar.first.instruction.clone(),
            (n, None) => format!("{n} instructions from {}", bar.first.instruction),
            (n, Some(_)) => format!("{n} levels, at most {}", bar.first.instruction),
        };
        json!([bar.start, bar.engine, bar.end, what, bar.level])
    };
    let series = |name: &str, levels: bool| {
        let of: Vec<Value> = bars.iter().filter(|b| b.level.is_some() == levels).map(|b| row(&b)).collect();
        json!({
            "type": "custom", "renderItem": "@bar", "name": name, "clip": true, "data": of,
            "dimensions": ["start", "engine", "end", "instruction", "level"],
            "encode": { "x": [0, 2], "y": 1, "tooltip": [3, 0, 2] },
        })
    };
    let full = bars.iter().any(|b| b.level.is_some());
    let mut all = vec![series(layer, false)];
    all.extend(full.then(|| series("how full", true)));
    let x = with(axis("cycle", "value", "@si"), json!({ "max": end }));
    let y = with(
        axis("engine", "category", "@text"),
        json!({ "data": engines, "inverse": true, "nameLocation": "start" }),
    );
    let zoom = json!({ "dataZoom": [
        { "type": "inside", "filterMode": "weakFilter", "minValueSpan": 10, "zoomOnMouseWheel": "ctrl",
            "moveOnMouseMove": "ctrl", "preventDefaultMouseMove": false },
        { "type": "slider", "filterMode": "weakFilter", "minValueSpan": 10, "height": 22, "bottom": 6,
            "showDataShadow": false, "labelFormatter": "@si" },
    ] });
    let instructions = spans.iter().filter(|s| s.engine != "fetch" && s.level.is_none()).count();
    let merged = match gap {
        None => String::new(),
        Some(gap) => format!(" Instructions of an engine that are less than {gap} cycles apart share a bar."),
    };
    Figure {
        chart: Chart::Timeline,
        subject: layer.to_owned(),
        caption: format!(
            "From which cycle to which each engine works on an instruction of layer {layer}, fetch on some at a \
             time: {} instructions up to cycle {}. An engine may start one before the last is complete. Drag the \
             slider, or scroll with Ctrl or pinch, to zoom.{filled}{merged}",
            count(instructions),
            count(end as usize),
            filled = if full { FILLED } else { "" },
        ),
        height: 170 + 42 * engines.len() as u32,
        option: with(option(x, y, all), zoom),
    }
}

/// What is said where there are levels.
const FILLED: &str = " Below the engines, how full: of the bytes of a buffer those that a later instruction still reads, of the \
                      array's multipliers those that work.";

/// Instructions of an engine, or levels of a buffer, that are drawn as one.
struct Bar<'a> {
    engine: usize,
    /// The first instruction, or the highest level.
    first: &'a Span,
    start: u64,
    end: u64,
    count: usize,
    level: Option<f64>,
}

/// At most about `most` bars, and the gap below which instructions were merged to get there.
fn bars<'a>(spans: &[&'a Span], engines: &[&str], most: usize, end: u64) -> (Vec<Bar<'a>>, Option<u64>) {
    // Bars that start so far apart are no more than that many, of all engines together.
    let gap = (spans.len() > most).then(|| end.saturating_mul(engines.len() as u64) / most.max(1) as u64 + 1);
    let mut bars: Vec<Bar<'a>> = Vec::new();
    let mut last: Vec<Option<usize>> = vec![None; engines.len()];
    for &span in spans {
        let Some(engine) = engines.iter().position(|e| *e == span.engine) else { continue };
        let open = last[engine].map(|i| &mut bars[i]);
        match (open, gap) {
            (Some(bar), Some(gap)) if span.start < bar.end.saturating_add(gap) => {
                bar.end = bar.end.max(span.end);
                bar.count += 1;
                let level = span.level.map(|l| l.0);
                if level > bar.level {
                    (bar.first, bar.level) = (span, level);
                }
            }
            _ => {
                last[engine] = Some(bars.len());
                let level = span.level.map(|l| l.0);
                bars.push(Bar { engine, first: span, start: span.start, end: span.end, count: 1, level });
            }
        }
    }
    (bars, gap)
}

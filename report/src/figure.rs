//! A chart of one thing, and what all charts have in common.

use crate::data::writer;
use crate::{Chart, Data, Error, Point, Result};
use serde_json::{Value, json};

/// A picture.
#[derive(Clone, Debug)]
pub struct Figure {
    /// What kind of picture.
    pub chart: Chart,
    /// The network or layer that it is about; empty if it is about all.
    pub subject: String,
    /// What is shown, in sentences.
    pub caption: String,
    /// The height that suits it, in pixels of CSS.
    pub height: u32,
    /// The option for ECharts. A string `@name` stands for the function of that name in assets/charts.js.
    pub option: Value,
}

impl Figure {
    /// What stands above it.
    pub fn heading(&self) -> String {
        match self.subject.as_str() {
            "" => self.chart.title().to_owned(),
            subject => format!("{}: {subject}", self.chart.title()),
        }
    }

    /// What `complete` in assets/charts.js takes.
    pub(crate) fn option_json(&self) -> String {
        json!({ "option": self.option }).to_string()
    }
}

/// Symbols by the index of a series, so that series differ without their colours.
const SYMBOLS: [&str; 7] = ["circle", "rect", "triangle", "diamond", "pin", "roundRect", "arrow"];

/// Dashes by the index of a line.
const DASHES: [&str; 3] = ["solid", "dashed", "dotted"];

/// The symbol of series `index`.
pub fn symbol(index: usize) -> &'static str {
    SYMBOLS[index % SYMBOLS.len()]
}

/// The dashes of line `index`.
pub fn dashes(index: usize) -> &'static str {
    DASHES[index % DASHES.len()]
}

/// The size of each of so many symbols of a line.
pub fn symbol_size(count: usize) -> u32 {
    if count > 60 { 5 } else { 9 }
}

/// Points that a page has room for, of all networks: so many that a chart is about, and as many faint ones.
const POINTS: usize = 6000;

/// At most an even share of a page's points for one of `parts`, every k-th of `items`.
pub fn share<T>(items: &[T], parts: usize) -> Vec<&T> {
    every(items, POINTS / parts.max(1))
}

/// At most `most` of `items`, evenly spread.
pub fn every<T>(items: &[T], most: usize) -> Vec<&T> {
    let count = items.len().min(most);
    (0..count).map(|i| &items[i * items.len() / count]).collect()
}

/// The sentence for `shown` of `all` that are called `what`; empty if all are shown.
pub fn thinned(what: &str, shown: usize, all: usize) -> String {
    if shown == all {
        return String::new();
    }
    format!(" Of {} {what}, {} evenly spread ones are shown.", count(all), count(shown))
}

/// A number with commas.
pub fn count(n: usize) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// An axis with its name; `kind` is `value`, `log` or `category`, `format` a function of assets/charts.js.
pub fn axis(name: &str, kind: &str, format: &str) -> Value {
    json!({ "name": name, "type": kind, "axisLabel": { "formatter": format, "hideOverlap": true } })
}

/// A logarithmic axis just long enough for `values`, with ticks at 1, 2 and 5 times powers of ten, and at some more if it
/// is short; and its ends.
pub fn log_axis(name: &str, format: &str, values: impl Iterator<Item = f64>) -> (Value, f64, f64) {
    let (least, most) = ends(values);
    let first = least.log10().floor() as i32;
    let last = most.log10().ceil() as i32;
    let wide = last - first > 4;
    let steps: &[f64] =
        if most < 10.0 * least { &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0] } else { &[1.0, 2.0, 5.0] };
    // Division makes of ten to a negative power what its decimal number is.
    let ten = |n: i32| if n < 0 { 1.0 / 10_f64.powi(-n) } else { 10_f64.powi(n) };
    let all: Vec<f64> = (first - 1..=last).flat_map(|n| steps.iter().map(move |m| m * ten(n))).collect();
    let power = |t: &f64| (t.log10() - t.log10().round()).abs() < 1e-9;
    ticked(axis(name, "log", format), &all, (least, most), |t| !wide || power(t))
}

/// A logarithmic axis of bytes just long enough for `values`, with ticks at powers of two, and between them if it is
/// short.
pub fn bytes_axis(name: &str, values: impl Iterator<Item = f64>) -> Value {
    let (least, most) = ends(values);
    let steps: &[f64] = if most < 4.0 * least { &[1.0, 1.25, 1.5, 1.75] } else { &[1.0] };
    let powers = least.log2().floor() as i32 - 1..=most.log2().ceil() as i32 + 1;
    let all: Vec<f64> = powers.flat_map(|n| steps.iter().map(move |m| m * 2_f64.powi(n))).collect();
    let axis = with(axis(name, "log", "@bytes"), json!({ "logBase": 2 }));
    ticked(axis, &all, (least, most), |_| true).0
}

/// The least and the most of what is above 0; 1 if nothing is.
fn ends(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (least, most) = values
        .filter(|v| *v > 0.0)
        .fold((f64::INFINITY, 0.0), |(least, most): (f64, f64), v| (least.min(v), most.max(v)));
    if least <= most { (least, most) } else { (1.0, 1.0) }
}

/// An axis from the tick before the first value to the one after the last; and its ends. Ticks show if `kept`.
fn ticked(
    axis: Value,
    all: &[f64],
    (least, most): (f64, f64),
    kept: impl Fn(&f64) -> bool,
) -> (Value, f64, f64) {
    let low = all.iter().copied().filter(|t| *t < least / 1.04).fold(least / 2.0, f64::max);
    let high = all.iter().copied().filter(|t| *t > most * 1.04).fold(most * 10.0, f64::min);
    let ticks: Vec<f64> = all.iter().copied().filter(|t| (low..=high).contains(t) && kept(t)).collect();
    let at = json!({ "customValues": ticks });
    let axis =
        with(axis, json!({ "min": low, "max": high, "axisLabel": at, "axisTick": at, "splitLine": at }));
    (axis, low, high)
}

/// An option of two axes.
pub fn option(x: Value, y: Value, series: Vec<Value>) -> Value {
    json!({ "tooltip": { "trigger": "item" }, "xAxis": x, "yAxis": y, "series": series })
}

/// The dimensions of a design point after the two that place it.
pub const POINT: [&str; 9] = [
    "point",
    "rows",
    "cols",
    "buffer bytes",
    "bytes per cycle",
    "cycles",
    "efficiency",
    "traffic ratio",
    "area",
];

/// The row of a design point: `x`, `y`, and what [`POINT`] names.
pub fn row(x: f64, y: f64, p: &Point) -> Value {
    json!([
        x,
        y,
        p.point,
        p.rows,
        p.cols,
        p.buffer_bytes,
        p.bytes_per_cycle,
        p.cycles,
        p.efficiency.0,
        p.traffic_ratio.0,
        p.area.0
    ])
}

/// A series of design points.
pub fn points(kind: &str, name: &str, data: Vec<Value>) -> Value {
    let mut dimensions = vec!["x", "y"];
    dimensions.extend(POINT);
    json!({ "type": kind, "name": name, "dimensions": dimensions, "data": data, "encode": { "tooltip": POINT } })
}

/// Adds what `more` holds to an object, objects in it included.
pub fn with(mut object: Value, more: Value) -> Value {
    merge(&mut object, more);
    object
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

/// The points of a network.
pub fn of<'a>(points: &'a [Point], network: &str) -> Vec<&'a Point> {
    points.iter().filter(|p| p.network == network).collect()
}

/// An error unless the sweep has a point to show.
pub fn some_points(data: &Data) -> Result<()> {
    if data.points.is_empty() {
        return Err(Error::new("points.csv has no row with status ok; run `koch sweep` on other points"));
    }
    Ok(())
}

/// The error for a file that is not there.
pub fn missing(file: &str) -> Error {
    Error::new(format!("{file} is not in the directory; `{}` writes it", writer(file)))
}

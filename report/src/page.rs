//! All charts as one page that needs nothing else.

use crate::figure::{count, missing};
use crate::render::{CHARTS, ECHARTS};
use crate::{Chart, Data, Figure, Point, Size};
use serde_json::{Value, json};
use std::fmt::Write as _;

const PAGE: &str = include_str!("../assets/page.html");
const STYLE: &str = include_str!("../assets/page.css");
const SCRIPT: &str = include_str!("../assets/page.js");

/// Networks that a page has room for.
const NETWORKS: usize = 12;

/// The page: HTML with all that it needs in it.
///
/// A chart without data is a sentence that says what is missing.
pub fn page(data: &Data) -> String {
    let mut data = data.clone();
    let left_out = data.networks.split_off(data.networks.len().min(NETWORKS));
    data.points.retain(|p| data.networks.contains(&p.network));
    let (mut sections, mut figures) = (String::new(), Vec::new());
    for chart in Chart::ALL {
        let drawn = chart.figures(&data);
        let first = figures.len();
        let body = match &drawn {
            Ok(of_chart) if !of_chart.is_empty() => section(first, of_chart),
            Ok(_) => paragraph("missing", "Not drawn: the files have no row for it."),
            Err(e) => paragraph("missing", &format!("Not drawn: {e}.")),
        };
        let (name, title) = (chart.name(), chart.title());
        let _ = writeln!(sections, "<section id=\"{name}\">\n<h2>{title}</h2>\n{body}</section>");
        figures.extend(drawn.into_iter().flatten());
    }
    let figures: Vec<Value> = figures
        .iter()
        .map(|f| json!({ "option": f.option, "caption": f.caption, "height": f.height }))
        .collect();
    let parts = [
        ("style", STYLE.to_owned()),
        ("summary", summary(&data, left_out.len())),
        ("best", best(&data)),
        ("graph", graph(&data)),
        ("sections", sections),
        // In HTML, no script ends before `</script`.
        ("figures", json!(figures).to_string().replace('<', "\\u003c")),
        ("echarts", ECHARTS.to_owned()),
        ("charts", CHARTS.to_owned()),
        ("script", SCRIPT.to_owned()),
    ];
    fill(PAGE, &parts)
}

/// Puts parts into a template that names them as `{{name}}`. What a part holds is not looked at.
fn fill(template: &str, parts: &[(&str, String)]) -> String {
    let mut page = String::new();
    for piece in template.split("{{") {
        match piece.split_once("}}") {
            Some((name, rest)) => {
                let part = parts.iter().find(|(n, _)| *n == name);
                page += part.map_or("", |(_, text)| text);
                page += rest;
            }
            None => page += piece,
        }
    }
    page
}

/// A choice, if there is one, a place for the picture, and its caption.
fn section(first: usize, figures: &[Figure]) -> String {
    let mut html = String::new();
    if figures.len() > 1 {
        html += "<label>Show <select>";
        for (i, figure) in figures.iter().enumerate() {
            let _ = write!(html, "<option value=\"{}\">{}</option>", first + i, escaped(&figure.subject));
        }
        html += "</select></label>\n";
    }
    let _ = writeln!(html, "<div class=\"chart\" data-figure=\"{first}\"></div>");
    html + &paragraph("caption", figures.first().map_or("", |f| &f.caption))
}

fn summary(data: &Data, left_out: usize) -> String {
    let mut text = format!(
        "{} runs of {} on design points of a sweep; {} more could not be run, as their config or program is \
         impossible. All numbers are the cycle model's unless they are said to be the RTL's.",
        count(data.points.len()),
        data.networks.join(", "),
        count(data.failed)
    );
    if left_out > 0 {
        let _ =
            write!(text, " Of {} networks the first are here; --network shows another.", NETWORKS + left_out);
    }
    paragraph("summary", &text)
}

/// How points are ranked: least first.
type Rank = fn(&Point) -> f64;

/// What a point can be best at.
const PRIZES: [(&str, Rank); 4] = [
    ("fewest cycles", |p| p.cycles as f64),
    ("highest efficiency", |p| -p.efficiency.0),
    ("least traffic", |p| p.traffic_ratio.0),
    ("least area × cycles", |p| p.area.0 * p.cycles as f64),
];

/// The best points of each network as the rows of a table.
fn best(data: &Data) -> String {
    let mut html = String::new();
    for network in &data.networks {
        for (prize, rank) in PRIZES {
            let of_network = data.points.iter().filter(|p| p.network == *network);
            // Of equals the smaller one.
            let key = |p: &Point| (rank(p), p.area.0);
            let better =
                |a: &&Point, b: &&Point| key(a).partial_cmp(&key(b)).unwrap_or(std::cmp::Ordering::Equal);
            let Some(p) = of_network.min_by(better) else { continue };
            let cells = [
                network.clone(),
                prize.to_owned(),
                p.point.to_string(),
                format!("{} × {}", p.rows, p.cols),
                p.operand_bits.to_string(),
                [&p.ibuf, &p.wbuf, &p.obuf, &p.rbuf, &p.pbuf].map(Size::short).join(" / "),
                p.bytes_per_cycle.to_string(),
                count(p.cycles as usize),
                format!("{:.1}", p.fps.0),
                format!("{:.2}", 100.0 * p.efficiency.0),
                format!("{:.3}", p.traffic_ratio.0),
                format!("{:.2}", p.area.0 / 1e6),
            ];
            html += "<tr>";
            for cell in cells {
                let _ = write!(html, "<td>{}</td>", escaped(&cell));
            }
            html += "</tr>\n";
        }
    }
    html
}

/// The network's picture, as an image, in which no script runs.
fn graph(data: &Data) -> String {
    let Some(svg) = &data.graph else {
        return paragraph("missing", &format!("Not drawn: {}.", missing("graph.svg")));
    };
    let mut source = String::from("data:image/svg+xml,");
    for byte in svg.bytes() {
        if byte.is_ascii_alphanumeric() || b" -._~/:;,=()".contains(&byte) {
            source.push(byte.into());
        } else {
            let _ = write!(source, "%{byte:02x}");
        }
    }
    format!(
        "<img class=\"graph\" alt=\"The layers of the network and the tensors between them\" src=\"{source}\">\n"
    )
}

fn paragraph(class: &str, text: &str) -> String {
    format!("<p class=\"{class}\">{}</p>\n", escaped(text))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

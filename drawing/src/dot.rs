//! Places of boxes and lines, found by Graphviz.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::Error;

/// Points of Graphviz to its inch; a point is a unit of the picture.
const INCH: f64 = 72.0;

/// What is to be laid out.
#[derive(Default)]
pub struct Sketch {
    /// Widths and heights of boxes.
    pub boxes: Vec<(f64, f64)>,
    /// Pairs of boxes.
    pub lines: Vec<(usize, usize)>,
}

/// A point; x to the right, y down.
pub type Point = (f64, f64);

/// Where everything is.
#[derive(Debug, Default)]
pub struct Layout {
    /// Width and height of all of it.
    pub size: (f64, f64),
    /// Middles of boxes.
    pub boxes: Vec<Point>,
    /// Lines as Bezier splines: a point, then three for each piece.
    pub lines: Vec<Vec<Point>>,
}

#[derive(Deserialize)]
struct Drawn {
    bb: String,
    #[serde(default)]
    objects: Vec<Object>,
    #[serde(default)]
    edges: Vec<Line>,
}

#[derive(Deserialize)]
struct Object {
    name: String,
    pos: Option<String>,
}

#[derive(Deserialize)]
struct Line {
    id: String,
    pos: String,
}

fn source(sketch: &Sketch) -> String {
    let mut dot = String::from("digraph {\ngraph [nodesep=0.3 ranksep=0.35 pad=0 margin=0]\n");
    dot += "node [shape=box fixedsize=true label=\"\"]\nedge [arrowhead=none]\n";
    // Writing to a string does not fail.
    for (i, (w, h)) in sketch.boxes.iter().enumerate() {
        let _ = writeln!(dot, "b{i} [width={:.4} height={:.4}]", w / INCH, h / INCH);
    }
    for (i, (from, to)) in sketch.lines.iter().enumerate() {
        let _ = writeln!(dot, "b{from} -> b{to} [id=\"{i}\"]");
    }
    dot + "}\n"
}

fn run(source: &str) -> Result<Vec<u8>, Error> {
    let error = |e: std::io::Error| {
        Error(format!(
            "Graphviz' program `dot` finds the places of a picture, and could not be run: {e}; install graphviz"
        ))
    };
    let mut command = Command::new("dot");
    command.arg("-Tjson0").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(error)?;
    let stdin = child.stdin.take();
    // A thread feeds it, as it may write before it has read all.
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(source.as_bytes())));
        child.wait_with_output()
    });
    let output = output.map_err(error)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Error(format!("Graphviz' `dot` ends with {}: {}", output.status, said.trim())));
    }
    Ok(output.stdout)
}

/// The numbers of a text such as `e,1,2 3,4`, in pairs.
fn points(text: &str, height: f64) -> Option<Vec<Point>> {
    let pairs = text.split_whitespace().filter(|p| !p.starts_with("e,") && !p.starts_with("s,"));
    let point = |pair: &str| {
        let (x, y) = pair.split_once(',')?;
        Some((x.parse().ok()?, height - y.parse::<f64>().ok()?))
    };
    pairs.map(point).collect()
}

/// The numbers of `left,lower,right,upper`.
fn corners(text: &str) -> Option<[f64; 4]> {
    let numbers: Vec<f64> = text.split(',').map(|n| n.parse().ok()).collect::<Option<_>>()?;
    numbers.try_into().ok()
}

fn read(sketch: &Sketch, drawn: &Drawn) -> Option<Layout> {
    let [_, _, width, height] = corners(&drawn.bb)?;
    let mut layout = Layout { size: (width, height), ..Layout::default() };
    let object = |name: String| drawn.objects.iter().find(|o| o.name == name);
    for i in 0..sketch.boxes.len() {
        layout.boxes.push(*points(object(format!("b{i}"))?.pos.as_ref()?, height)?.first()?);
    }
    for i in 0..sketch.lines.len() {
        let line = drawn.edges.iter().find(|line| line.id == i.to_string())?;
        layout.lines.push(points(&line.pos, height)?);
    }
    Some(layout)
}

/// Lays a sketch out, from above downwards.
pub fn layout(sketch: &Sketch) -> Result<Layout, Error> {
    let text = run(&source(sketch))?;
    let drawn: Drawn = serde_json::from_slice(&text)
        .map_err(|e| Error(format!("Graphviz' `dot` wrote other than JSON: {e}")))?;
    read(sketch, &drawn)
        .ok_or_else(|| Error("Graphviz' `dot` left something out; try another version".into()))
}

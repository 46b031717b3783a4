//! A network as SVG.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;

use footprint::lives::Storage;
use footprint::{Graph, TensorId};

use crate::Error;
use crate::dot::{self, Layout, Sketch};
use crate::fold::Part;
use crate::layers::{Edge, Layers};

/// Where a tensor is between the step that makes it and those that read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Home {
    /// Nobody has said.
    Unknown,
    /// In a buffer of the chip.
    OnChip,
    /// In the memory outside.
    OffChip,
    /// Dropped, and computed once more for who needs it later.
    Recomputed,
}

impl Home {
    const ALL: [Self; 4] = [Self::Unknown, Self::OnChip, Self::OffChip, Self::Recomputed];

    /// Fill and line.
    fn colours(self) -> [&'static str; 2] {
        match self {
            Self::Unknown => ["#e4edf8", "#5b83b5"],
            Self::OnChip => ["#cfeedd", "#2f9e68"],
            Self::OffChip => ["#ffe1c4", "#d9772b"],
            Self::Recomputed => ["#e5dafb", "#7d55c7"],
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Unknown => "not placed",
            Self::OnChip => "output on chip",
            Self::OffChip => "output off chip",
            Self::Recomputed => "output recomputed",
        }
    }
}

/// What to draw.
pub struct Picture<'a> {
    /// The network.
    pub graph: &'a Graph,
    /// Its layers.
    pub layers: &'a Layers,
    /// Which of them are drawn once for several.
    pub parts: &'a [Part],
    /// How many bytes a tensor has.
    pub storage: &'a Storage,
    /// By tensor: where it is.
    pub homes: &'a [Home],
    /// A line below the name.
    pub subtitle: &'a str,
}

const FONT: &str = "Inter, 'Helvetica Neue', Helvetica, 'Liberation Sans', Arial, sans-serif";
const INK: &str = "#1d2733";
const GREY: &str = "#5d6b7c";
/// Round the picture, and height of its title and of its legend.
const MARGIN: f64 = 28.0;
const TITLE: f64 = 62.0;
const LEGEND: f64 = 66.0;
/// Between a frame and what it holds; and width of what is written beside it.
const PADDING: f64 = 8.0;
const BESIDE: f64 = 44.0;
/// Width of an average letter, in parts of the font's size.
const LETTER: f64 = 0.56;
/// Least and most height of the bar of a layer's work.
const BAR: (f64, f64) = (0.0, 64.0);
const LINE: f64 = 15.0;
/// Widths of lines: of one byte, and more for the largest tensor.
const WIDTHS: (f64, f64) = (1.2, 9.0);

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// The axes that only say that it is one image.
fn images(shape: &[u64]) -> usize {
    usize::from(shape.first() == Some(&1))
}

/// A number with three digits, and the prefix of a power of 1000.
fn scaled(n: u64) -> (String, &'static str) {
    let mut value = n as f64;
    for prefix in ["", "k", "M", "G", "T"] {
        if value < 999.5 {
            let digits = match value {
                _ if prefix.is_empty() => 0,
                ..9.995 => 2,
                ..99.95 => 1,
                _ => 0,
            };
            return (format!("{value:.digits$}"), prefix);
        }
        value /= 1000.0;
    }
    (format!("{value:.0}"), "P")
}

/// How many, as `118 M`.
pub fn count(n: u64) -> String {
    let (number, prefix) = scaled(n);
    if prefix.is_empty() { number } else { format!("{number} {prefix}") }
}

/// How many bytes, as `3.21 MB`.
fn bytes(n: u64) -> String {
    let (number, prefix) = scaled(n);
    format!("{number} {prefix}B")
}

/// `a` where all are the same, otherwise from the least to the most.
fn range(values: impl Iterator<Item = u64> + Clone, show: impl Fn(u64) -> String) -> String {
    let (least, most) = (values.clone().min().unwrap_or(0), values.max().unwrap_or(0));
    let (a, b) = (show(least), show(most));
    if a == b { a } else { format!("{a} to {b}") }
}

/// A box before it has a place.
struct Card {
    /// The first line is its name.
    lines: Vec<String>,
    hint: String,
    home: Home,
    /// Multiplications with a sum, at most, of one time.
    macs: u64,
    /// An input or output of the network.
    end: bool,
}

struct Drawer<'a> {
    picture: &'a Picture<'a>,
    cards: Vec<Card>,
    /// By layer: its card.
    card_of: Vec<usize>,
    /// By layer: its part and time.
    time_of: Vec<(usize, usize)>,
    sketch: Sketch,
    /// Cards that are repeated together, and how many times.
    frames: Vec<(Range<usize>, usize)>,
    /// By line of the sketch.
    tensors: Vec<TensorId>,
}

impl<'a> Drawer<'a> {
    fn new(picture: &'a Picture<'a>) -> Self {
        let mut drawer = Self {
            picture,
            cards: vec![],
            card_of: vec![],
            time_of: vec![],
            sketch: Sketch::default(),
            frames: vec![],
            tensors: vec![],
        };
        for (number, part) in picture.parts.iter().enumerate() {
            let first = drawer.cards.len();
            for k in 0..part.layers {
                let times = (0..part.times).map(|time| part.first + time * part.layers + k);
                let card = drawer.card(&times.collect::<Vec<_>>());
                drawer.cards.push(card);
            }
            for time in 0..part.times {
                drawer.card_of.extend(first..first + part.layers);
                drawer.time_of.extend(std::iter::repeat_n((number, time), part.layers));
            }
            if part.times > 1 {
                drawer.frames.push((first..first + part.layers, part.times));
            }
        }
        drawer.lines();
        let most = drawer.cards.iter().map(|c| c.macs).max().unwrap_or(0);
        let sizes = drawer.cards.iter().map(|card| size(card, most));
        drawer.sketch.boxes = sizes.collect();
        drawer
    }

    fn bytes(&self, id: TensorId) -> u64 {
        self.picture.storage.of(self.picture.graph, id)
    }

    /// The card of layers that are drawn as one.
    fn card(&self, at: &[usize]) -> Card {
        let Picture { graph, layers, homes, .. } = *self.picture;
        let of: Vec<_> = at.iter().map(|&at| &layers.layers[at]).collect();
        let first = of[0];
        let output = |at: usize| {
            let step = &graph.steps[*layers.layers[at].steps.last().unwrap_or(&0)];
            step.outputs.first().copied().unwrap_or(0)
        };
        let sizes = |k: usize| of.iter().map(move |l| l.shape.get(k).copied().unwrap_or(1));
        let axes = (images(&first.shape)..first.shape.len()).map(|k| range(sizes(k), |n| n.to_string()));
        let mut lines = vec![first.operator.clone(), axes.collect::<Vec<_>>().join(" × ")];
        if first.macs > 0 {
            let macs = range(of.iter().map(|l| l.macs), count);
            let weights = range(of.iter().map(|l| l.weights), count);
            lines.push(if first.weights > 0 {
                format!("{macs} MACs, {weights} weights")
            } else {
                format!("{macs} MACs")
            });
        }
        let mut hint = String::new();
        for &at in at {
            for &step in &layers.layers[at].steps {
                let step = &graph.steps[step];
                let _ = writeln!(hint, "{} ({})", step.name, step.operator);
            }
        }
        let _ = write!(
            hint,
            "output {} B",
            range(at.iter().map(|&at| self.bytes(output(at))), |n| n.to_string())
        );
        // Of several, the one that is worst off.
        let home = at.iter().map(|&at| homes[output(at)]).max().unwrap_or(Home::Unknown);
        let macs = of.iter().map(|l| l.macs).max().unwrap_or(0);
        Card { lines, hint, home, macs, end: false }
    }

    /// The card of an input or output.
    fn end(&mut self, id: TensorId) -> usize {
        let tensor = &self.picture.graph.tensors[id];
        let sizes = tensor.shape.iter().skip(images(&tensor.shape)).map(ToString::to_string);
        let lines = vec![tensor.name.clone(), sizes.collect::<Vec<_>>().join(" × ")];
        let hint = format!("{} B", self.bytes(id));
        self.cards.push(Card { lines, hint, home: Home::Unknown, macs: 0, end: true });
        self.cards.len() - 1
    }

    fn lines(&mut self) {
        let mut inputs = BTreeMap::new();
        let mut drawn = std::collections::HashSet::new();
        for &Edge { from, to, tensor } in &self.picture.layers.edges {
            // From one time of a part to the next: the frame says it.
            if let (Some(from), Some(to)) = (from, to) {
                let ((part, time), (other, later)) = (self.time_of[from], self.time_of[to]);
                if part == other && time != later {
                    continue;
                }
            }
            let from = match from {
                Some(layer) => self.card_of[layer],
                None => match inputs.get(&tensor) {
                    Some(&card) => card,
                    None => {
                        let card = self.end(tensor);
                        inputs.insert(tensor, card);
                        card
                    }
                },
            };
            let to = match to {
                Some(layer) => self.card_of[layer],
                None => self.end(tensor),
            };
            if drawn.insert((from, to)) {
                self.sketch.lines.push((from, to));
                self.tensors.push(tensor);
            }
        }
    }

    fn draw(&self, layout: &Layout) -> String {
        let Picture { graph, subtitle, homes, .. } = *self.picture;
        let mut used: Vec<Home> = Home::ALL.into();
        used.retain(|home| self.cards.iter().any(|card| !card.end && card.home == *home));
        if used == [Home::Unknown] {
            used.clear();
        }
        let legend_width = 250.0 + used.len() as f64 * 150.0;
        let title_width = (subtitle.chars().count() as f64 * 13.0 * LETTER)
            .max(graph.name.chars().count() as f64 * 22.0 * LETTER);
        let width = ((layout.size.0 + 2.0 * BESIDE).max(legend_width).max(title_width) + 2.0 * MARGIN).ceil();
        let height = (layout.size.1 + 2.0 * MARGIN + TITLE + LEGEND).ceil();
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
             font-family=\"{FONT}\" font-size=\"12\" fill=\"{INK}\">\n<title>{name}</title>\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n\
             <text x=\"{MARGIN}\" y=\"{y}\" font-size=\"22\" font-weight=\"bold\">{name}</text>\n\
             <text x=\"{MARGIN}\" y=\"{z}\" font-size=\"13\" fill=\"{GREY}\">{subtitle}</text>\n",
            name = escaped(&graph.name),
            y = MARGIN + 18.0,
            z = MARGIN + 40.0,
            subtitle = escaped(subtitle),
        );
        let left = (width - layout.size.0) / 2.0;
        let _ = writeln!(svg, "<g transform=\"translate({left:.1} {:.1})\">", MARGIN + TITLE);
        self.frames.iter().for_each(|(cards, times)| self.frame(&mut svg, layout, cards, *times));
        let largest = self.tensors.iter().map(|&id| self.bytes(id)).max().unwrap_or(1).max(1);
        for (points, &id) in layout.lines.iter().zip(&self.tensors) {
            let (Some(start), bytes) = (points.first(), self.bytes(id)) else { continue };
            let mut path = format!("M{:.1} {:.1}", start.0, start.1);
            for piece in points[1..].chunks_exact(3) {
                path += "C";
                piece.iter().for_each(|p| {
                    let _ = write!(path, "{:.1} {:.1} ", p.0, p.1);
                });
            }
            let thick = WIDTHS.0 + WIDTHS.1 * (bytes as f64 / largest as f64).sqrt();
            let [_, colour] = homes[id].colours();
            let name = escaped(&graph.tensors[id].name);
            let _ = writeln!(
                svg,
                "<path d=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-opacity=\"0.75\" stroke-width=\"{thick:.2}\">\
                 <title>{name}: {bytes} B</title></path>",
                path.trim_end(),
            );
        }
        let most = self.cards.iter().map(|c| c.macs).max().unwrap_or(0);
        for ((card, middle), size) in self.cards.iter().zip(&layout.boxes).zip(&self.sketch.boxes) {
            boxed(&mut svg, card, *middle, *size, most);
        }
        svg += "</g>\n";
        legend(&mut svg, &used, height - LEGEND, &count(most), &bytes(largest));
        svg + "</svg>\n"
    }
}

impl Drawer<'_> {
    /// Draws a frame round cards that are repeated. One tensor alone goes in and one out, so that nothing else is there.
    fn frame(&self, svg: &mut String, layout: &Layout, cards: &Range<usize>, times: usize) {
        let boxes = layout.boxes.iter().zip(&self.sketch.boxes).take(cards.end).skip(cards.start);
        let corners =
            boxes.flat_map(|((x, y), (w, h))| [(x - w / 2.0, y - h / 2.0), (x + w / 2.0, y + h / 2.0)]);
        let within = |&(from, to): &(usize, usize)| cards.contains(&from) && cards.contains(&to);
        let lines = self.sketch.lines.iter().zip(&layout.lines).filter(|(ends, _)| within(ends));
        let points: Vec<dot::Point> =
            corners.chain(lines.flat_map(|(_, points)| points.iter().copied())).collect();
        let least =
            |of: fn(&dot::Point) -> f64| points.iter().map(of).fold(f64::INFINITY, f64::min) - PADDING;
        let most =
            |of: fn(&dot::Point) -> f64| points.iter().map(of).fold(f64::NEG_INFINITY, f64::max) + PADDING;
        let (left, top, right, bottom) = (least(|p| p.0), least(|p| p.1), most(|p| p.0), most(|p| p.1));
        let _ = writeln!(
            svg,
            "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"10\" fill=\"#f4f6f9\" \
             stroke=\"#b3bfce\" stroke-dasharray=\"5 4\"/>\n\
             <text x=\"{:.1}\" y=\"{:.1}\" font-size=\"17\" font-weight=\"bold\" fill=\"{GREY}\">× {times}</text>",
            right - left,
            bottom - top,
            right + 8.0,
            f64::midpoint(top, bottom) + 6.0,
        );
    }
}

/// Height of the bar of a card's work: its area is as the work.
fn bar(card: &Card, most: u64) -> f64 {
    if card.macs == 0 { 0.0 } else { (BAR.1 * card.macs as f64 / most.max(1) as f64).max(1.5) + BAR.0 }
}

fn size(card: &Card, most: u64) -> (f64, f64) {
    let letters =
        |(i, line): (usize, &String)| line.chars().count() as f64 * if i == 0 { 13.0 } else { 11.0 } * LETTER;
    let text = card.lines.iter().enumerate().map(letters).fold(0.0, f64::max);
    let width = if card.macs > 0 { 168.0f64.max(text + 18.0) } else { text + 22.0 };
    (width, card.lines.len() as f64 * LINE + 9.0 + bar(card, most))
}

fn boxed(svg: &mut String, card: &Card, (x, y): dot::Point, (width, height): (f64, f64), most: u64) {
    let [fill, stroke] = if card.end { ["#1d2733", "#1d2733"] } else { card.home.colours() };
    let ink = if card.end { ["#ffffff", "#c8d2de"] } else { [INK, GREY] };
    let (left, top) = (x - width / 2.0, y - height / 2.0);
    let radius = if card.end || card.macs == 0 { 11.0 } else { 5.0 };
    let _ = writeln!(
        svg,
        "<g><title>{}</title><rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"{radius}\" \
         fill=\"{fill}\" stroke=\"{stroke}\" stroke-width=\"1.3\"/>",
        escaped(&card.hint),
    );
    for (i, line) in card.lines.iter().enumerate() {
        let (size, weight, colour) = if i == 0 { (13, "bold", ink[0]) } else { (11, "normal", ink[1]) };
        let _ = writeln!(
            svg,
            "<text x=\"{x:.1}\" y=\"{:.1}\" font-size=\"{size}\" font-weight=\"{weight}\" fill=\"{colour}\" \
             text-anchor=\"middle\">{}</text>",
            top + LINE * (i as f64 + 1.0),
            escaped(line),
        );
    }
    let bar = bar(card, most);
    if bar > 0.0 {
        let _ = writeln!(
            svg,
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{bar:.1}\" rx=\"1.5\" fill=\"{stroke}\" fill-opacity=\"0.85\"/>",
            left + 5.0,
            top + height - bar - 4.0,
            width - 10.0,
        );
    }
    *svg += "</g>\n";
}

fn legend(svg: &mut String, used: &[Home], y: f64, macs: &str, bytes: &str) {
    let _ = writeln!(svg, "<g transform=\"translate({MARGIN} {y:.1})\" font-size=\"12\" fill=\"{GREY}\">");
    for (i, home) in used.iter().enumerate() {
        let [fill, stroke] = home.colours();
        let x = i as f64 * 150.0;
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"0\" width=\"20\" height=\"13\" rx=\"3\" fill=\"{fill}\" stroke=\"{stroke}\"/>\
             <text x=\"{}\" y=\"11\">{}</text>",
            x + 27.0,
            home.name(),
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"0\" y=\"32\">Bars: work, the highest {macs} MACs. Lines: bytes, the thickest {bytes}.</text>\n</g>",
    );
}

/// Draws a network. The same picture gives the same bytes, with the same Graphviz.
pub fn svg(picture: &Picture<'_>) -> Result<String, Error> {
    let drawer = Drawer::new(picture);
    let layout = dot::layout(&drawer.sketch)?;
    Ok(drawer.draw(&layout))
}

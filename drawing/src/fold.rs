//! Blocks that a network repeats.

use crate::layers::{Layer, Layers};

/// What counts as the same again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alike {
    /// Nothing: no block is folded.
    Never,
    /// The same operators on maps of the same sizes.
    Equal,
    /// The same operators on maps of the same height and width, of any number of channels.
    Shape,
}

/// Some layers in a row, and how many times they come one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// First layer of the first time, and of the next part after it.
    pub first: usize,
    /// Layers of one time.
    pub layers: usize,
    /// Times.
    pub times: usize,
}

/// Most segments of a block that is repeated.
const MOST_SEGMENTS: usize = 12;

/// Starts of segments: one tensor, and no other, goes from the layers before a start to those after it.
fn starts(layers: &Layers) -> Vec<usize> {
    let count = layers.layers.len();
    let mut last = std::collections::BTreeMap::new();
    for edge in &layers.edges {
        let (from, to) = (edge.from.map_or(0, |from| from + 1), edge.to.unwrap_or(count));
        let span: &mut (usize, usize) = last.entry(edge.tensor).or_insert((from, to));
        span.1 = span.1.max(to);
    }
    let mut alive = vec![0i64; count + 2];
    for (from, to) in last.into_values() {
        alive[from] += 1;
        alive[to + 1] -= 1;
    }
    let mut now = 0;
    let mut starts = Vec::new();
    for (at, change) in alive.iter().enumerate().take(count) {
        now += change;
        if at == 0 || now == 1 {
            starts.push(at);
        }
    }
    starts
}

/// What must be the same of two layers, and of the edges to them, as distances.
fn key(layers: &Layers, at: usize, alike: Alike) -> (String, Vec<String>, Vec<u64>, Vec<usize>) {
    let Layer { operator, functions, shape, .. } = &layers.layers[at];
    let sizes = match alike {
        Alike::Shape => shape.iter().skip(2).copied().collect(),
        Alike::Never | Alike::Equal => [&shape[..], &[layers.layers[at].macs]].concat(),
    };
    let edges = layers.edges.iter().filter(|e| e.to == Some(at));
    let distances = edges.map(|e| e.from.map_or(usize::MAX, |from| at - from));
    (operator.clone(), functions.clone(), sizes, distances.collect())
}

/// The layers in their order, as parts: what is repeated, as often as it is, and what is between. Layers whose marks are not
/// the same are not alike.
pub fn fold(layers: &Layers, alike: Alike, marks: &[impl PartialEq]) -> Vec<Part> {
    let count = layers.layers.len();
    if alike == Alike::Never {
        return vec![Part { first: 0, layers: count, times: 1 }];
    }
    let keys: Vec<_> = (0..count).map(|at| key(layers, at, alike)).collect();
    let mut bounds = starts(layers);
    bounds.push(count);
    let segments = bounds.len() - 1;
    let mut parts: Vec<Part> = Vec::new();
    let mut at = 0;
    while at < segments {
        let mut best = Part { first: bounds[at], layers: bounds[at + 1] - bounds[at], times: 1 };
        let mut next = at + 1;
        for period in 1..=MOST_SEGMENTS.min((segments - at) / 2) {
            let size = bounds[at + period] - bounds[at];
            let again = |times: &usize| {
                let (a, b) = (at + (times - 1) * period, at + times * period);
                b + period <= segments
                    && (0..=period).all(|k| bounds[b + k] - bounds[a + k] == size)
                    && (bounds[a]..bounds[a + period])
                        .all(|k| keys[k] == keys[k + size] && marks[k] == marks[k + size])
            };
            let times = (1..).take_while(again).count() + 1;
            if times > 1 && size * (times - 1) > best.layers * (best.times - 1) {
                best = Part { first: bounds[at], layers: size, times };
                next = at + period * times;
            }
        }
        match parts.last_mut() {
            Some(part) if part.times == 1 && best.times == 1 => part.layers += best.layers,
            _ => parts.push(best),
        }
        at = next;
    }
    parts
}

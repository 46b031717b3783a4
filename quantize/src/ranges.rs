//! Ranges of tensors, which of them share one, and the scales that follow.

use std::collections::HashMap;

use compiler::npy::Values;

use crate::graph::{Graph, Node, Op};
use crate::{QuantizeError, Result};

/// What the elements of a u8 tensor stand for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    pub scale: f32,
    pub zero: u8,
}

/// The smallest and largest element of each tensor.
#[derive(Default)]
pub struct Measured(HashMap<String, (f32, f32)>);

impl Measured {
    pub fn add(&mut self, name: &str, values: &Values) -> Result<()> {
        let Values::Floats(values) = values else {
            return Err(QuantizeError::new(format!(
                "tensor {name:?} is not float: quantise a float network"
            )));
        };
        let range = self.0.entry(name.to_owned()).or_insert((0.0, 0.0));
        for &x in values {
            if !x.is_finite() {
                return Err(QuantizeError::new(format!(
                    "tensor {name:?} holds {x} on one of the images: finite numbers wanted; check weights and images"
                )));
            }
            *range = (range.0.min(x), range.1.max(x));
        }
        Ok(())
    }
}

/// Groups of tensors, each named by one of them.
struct Groups<'a>(HashMap<&'a str, &'a str>);

impl<'a> Groups<'a> {
    fn of(&self, mut name: &'a str) -> &'a str {
        while let Some(next) = self.0.get(name) {
            name = next;
        }
        name
    }

    fn unite(&mut self, a: &'a str, b: &'a str) {
        let (a, b) = (self.of(a), self.of(b));
        if a != b {
            self.0.insert(a, b);
        }
    }
}

/// The scale and zero point of every tensor.
pub fn scales(graph: &Graph, measured: &Measured) -> Result<HashMap<String, Scale>> {
    let makers: HashMap<&str, &Node> = graph.nodes.iter().map(|n| (n.output.as_str(), n)).collect();
    let readers = graph.readers();
    let nodes = || graph.nodes.iter().filter(|n| !matches!(n.op, Op::Softmax(_)));
    let limits = saturations(graph);

    let mut groups = Groups(HashMap::new());
    for node in nodes() {
        if node.op.keeps_scale() {
            groups.unite(&node.inputs[0], &node.output);
        }
        if !matches!(node.op, Op::Concat(_)) {
            continue;
        }
        for x in &node.inputs {
            let (inner, outer) = (limits.get(x.as_str()), limits.get(node.output.as_str()));
            // What only the concatenation reads, and no other scale depends on, may lose what it will cut off.
            let own = readers.get(x.as_str()) == Some(&1)
                && makers
                    .get(x.as_str())
                    .is_some_and(|n| !n.op.keeps_scale() && !matches!(n.op, Op::Concat(_)));
            let wider = match (inner, outer) {
                (None, Some(_)) => true,
                (Some(inner), Some(outer)) => inner.0 <= outer.0 && inner.1 >= outer.1,
                _ => false,
            };
            if inner == outer || own && wider {
                groups.unite(x, &node.output);
            }
        }
    }

    // What saturates must not be wider than its limits, and nothing of its group is.
    let mut ranges: HashMap<&str, (f32, f32)> = HashMap::new();
    let mut allowed: HashMap<&str, (f32, f32)> = HashMap::new();
    let mut of: HashMap<&str, (f32, f32)> = HashMap::new();
    let given = [graph.input.as_str()].into_iter().chain(nodes().map(|n| n.output.as_str()));
    for name in given.clone() {
        let range = measured.0.get(name).copied().or_else(|| {
            // A sum that the file does not have is at most the sum of the ranges.
            let node = makers.get(name).filter(|n| n.op == Op::Add)?;
            let parts = node.inputs.iter().map(|x| of.get(x.as_str()).copied());
            parts.reduce(|a, b| Some((a?.0 + b?.0, a?.1 + b?.1)))?
        });
        let group = groups.of(name);
        if let Some(range) = range {
            of.insert(name, range);
            let all = ranges.entry(group).or_insert((0.0, 0.0));
            *all = (all.0.min(range.0), all.1.max(range.1));
        }
        if let Some(limits) = limits.get(name) {
            let all = allowed.entry(group).or_insert((f32::NEG_INFINITY, f32::INFINITY));
            *all = (all.0.max(limits.0), all.1.min(limits.1));
        }
    }
    let mut scales = HashMap::new();
    for name in given {
        let group = groups.of(name);
        let range = ranges.get(group).copied().ok_or_else(|| {
            QuantizeError::new(format!("tensor {name:?} has no range: please report this network"))
        })?;
        let (lo, hi) = allowed.get(group).copied().unwrap_or((f32::NEG_INFINITY, f32::INFINITY));
        scales.insert(name.to_owned(), scale(range.0.max(lo), range.1.min(hi)));
    }
    Ok(scales)
}

/// What tensors are clipped to by what makes them, where their own range does it.
fn saturations(graph: &Graph) -> HashMap<&str, (f32, f32)> {
    let mut limits: HashMap<&str, (f32, f32)> = HashMap::new();
    for node in &graph.nodes {
        let mut inputs = node.inputs.iter().map(|x| limits.get(x.as_str()).copied());
        let found = match node.op {
            _ if node.limits.is_some() => node.limits,
            Op::Concat(_) => {
                let first = inputs.next().flatten();
                first.filter(|_| inputs.all(|l| l == first))
            }
            _ if node.op.keeps_scale() => inputs.next().flatten(),
            _ => None,
        };
        if let Some(found) = found {
            limits.insert(&node.output, found);
        }
    }
    limits
}

fn scale(lo: f32, hi: f32) -> Scale {
    let step = (f64::from(hi) - f64::from(lo)) / 255.0;
    // A tensor of zeros, or nearly so, is of no use to anyone; its scale is a number that all operators can take.
    let scale = if step < 1e-20 { 1.0 } else { step as f32 };
    let zero = (-f64::from(lo) / f64::from(scale)).round_ties_even().clamp(0.0, 255.0);
    Scale { scale, zero: zero as u8 }
}

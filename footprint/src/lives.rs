//! From when to when tensors are there, and which of them can have the same place.

use compiler::CompileError;
use compiler::offsets::{Buffer, Problem};

use crate::graph::{Graph, Op, Role, Step, TensorId};

/// How many bytes a tensor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Storage {
    /// Images at a time.
    pub batch: u64,
    /// Bits of an element.
    pub bits: u64,
    /// Images are padded to a multiple of so many: the width of a vector unit that computes one image a lane.
    pub vector: u64,
}

impl Storage {
    /// Images with padding.
    pub fn images(&self) -> u64 {
        self.batch.next_multiple_of(self.vector.max(1))
    }

    /// Bytes of so many elements for one image, or of a parameter.
    pub fn bytes(&self, elements: u64, role: Role) -> u64 {
        let images = if role.by_image() { self.images() } else { 1 };
        let bits = if role == Role::Mask { 8 } else { self.bits };
        elements.saturating_mul(images).saturating_mul(bits) / 8
    }

    /// Bytes of a tensor.
    pub fn of(&self, graph: &Graph, id: TensorId) -> u64 {
        let tensor = &graph.tensors[id];
        self.bytes(tensor.elements(), tensor.role)
    }
}

/// What may lie at the place of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Every tensor has a place of its own for all time.
    None,
    /// Places are free after the last step that reads them. A view is at its input's place.
    Lives,
    /// The same, and an output takes the place of an input that no later step reads, where the step can compute it there:
    /// functions of an element, normalisations, sums, products.
    InPlace,
}

/// A place: tensors that lie there one after the other, or are the same elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// In the order in which they are written.
    pub tensors: Vec<TensorId>,
    /// First step in which it is needed.
    pub first: usize,
    /// The last one.
    pub last: usize,
    /// Bytes of the largest of them.
    pub bytes: u64,
}

/// All places of a graph.
#[derive(Clone, Debug)]
pub struct Lives {
    /// In the order of their first step.
    pub places: Vec<Place>,
    /// Bytes in use in each step: a bound that no plan is below.
    pub live: Vec<u64>,
}

/// Whether the step can write its output where it reads this input.
fn in_place(step: &Step) -> bool {
    matches!(step.op, Op::Function(_) | Op::Norm | Op::Add | Op::Mul)
}

/// From when to when the tensors that are not parameters need a place. Inputs are there from the first step on, outputs
/// up to the last one.
pub fn lives(graph: &Graph, storage: &Storage, sharing: Sharing) -> Lives {
    let placed = |id: TensorId| {
        matches!(
            graph.tensors[id].role,
            Role::Input | Role::Activation | Role::Gradient | Role::Mask | Role::WeightGradient
        ) && storage.of(graph, id) > 0
    };
    let end = graph.steps.len().saturating_sub(1);
    let mut last = vec![0; graph.tensors.len()];
    for (at, step) in graph.steps.iter().enumerate() {
        step.inputs.iter().chain(&step.outputs).for_each(|&id| last[id] = at);
    }
    graph.outputs.iter().for_each(|&id| last[id] = end);
    if sharing == Sharing::None {
        last.fill(end);
    }
    let mut places: Vec<Place> = Vec::new();
    let mut place_of: Vec<Option<usize>> = vec![None; graph.tensors.len()];
    let open = |id: TensorId, first: usize, places: &mut Vec<Place>, place_of: &mut Vec<Option<usize>>| {
        if placed(id) {
            place_of[id] = Some(places.len());
            let first = if sharing == Sharing::None { 0 } else { first };
            places.push(Place { tensors: vec![id], first, last: last[id], bytes: storage.of(graph, id) });
        }
    };
    for (id, tensor) in graph.tensors.iter().enumerate() {
        if tensor.role == Role::Input {
            open(id, 0, &mut places, &mut place_of);
        }
    }
    for (at, step) in graph.steps.iter().enumerate() {
        let mut written = step.outputs.iter().copied();
        let host = match step.outputs.first() {
            Some(&output) if sharing != Sharing::None => step.inputs.iter().find_map(|&id| {
                let place = place_of[id]?;
                let fits = storage.of(graph, id) == storage.of(graph, output);
                let view = step.op == Op::View;
                let free = sharing == Sharing::InPlace && in_place(step) && places[place].last == at;
                (fits && placed(output) && (view || free)).then_some((place, output))
            }),
            _ => None,
        };
        if let Some((place, output)) = host {
            places[place].tensors.push(output);
            places[place].last = places[place].last.max(last[output]);
            place_of[output] = Some(place);
            written.next();
        }
        for id in written {
            open(id, at, &mut places, &mut place_of);
        }
    }
    let mut live = vec![0u64; graph.steps.len()];
    for place in &places {
        live[place.first..=place.last]
            .iter_mut()
            .for_each(|bytes| *bytes = bytes.saturating_add(place.bytes));
    }
    Lives { places, live }
}

impl Lives {
    /// Most bytes in use at a time.
    pub fn peak(&self) -> u64 {
        self.live.iter().copied().max().unwrap_or(0)
    }

    /// Bytes without any sharing.
    pub fn sum(&self) -> u64 {
        self.places.iter().fold(0, |sum, p| p.bytes.saturating_add(sum))
    }

    /// What is to be placed, each at a multiple of `align` bytes.
    pub fn problem(&self, graph: &Graph, align: u64) -> Result<Problem, CompileError> {
        let buffer = |(k, p): (usize, &Place)| {
            let id = format!("{k} {}", graph.tensors[p.tensors[0]].name);
            Buffer { align, ..Buffer::new(id, p.first as u64, p.last as u64 + 1, p.bytes) }
        };
        Problem::new(self.places.iter().enumerate().map(buffer).collect())
    }
}

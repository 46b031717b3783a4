//! From when to when tensors are there, and which of them can have the same place.

use compiler::CompileError;
use compiler::offsets::{Buffer, Problem};

use crate::graph::{Graph, Op, Role, Step, TensorId};

/// Sets of steps that are tried.
const MOST_TRIALS: usize = 64;

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
    /// The same, and the output of a convolution or pooling may overlap an input that no later step reads, as far as
    /// its pixels are written after the last one that reads what was there (Blacker et al., arXiv 2010.01668). Maps lie
    /// pixel by pixel, and are computed pixel by pixel, forward or backward.
    Overlap,
}

/// A tensor in a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lies {
    /// Which.
    pub id: TensorId,
    /// Bytes before it.
    pub offset: u64,
}

/// A place: tensors that lie there one after the other, or are the same elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// In the order in which they are written.
    pub tensors: Vec<Lies>,
    /// First step in which it is needed.
    pub first: usize,
    /// The last one.
    pub last: usize,
    /// Bytes up to the end of the last of them.
    pub bytes: u64,
}

/// What is where while places are made.
struct Placer<'a> {
    graph: &'a Graph,
    storage: &'a Storage,
    sharing: Sharing,
    /// The last step that touches each tensor.
    last: Vec<usize>,
    places: Vec<Place>,
    place_of: Vec<Option<usize>>,
    /// Steps whose output may overlap their input.
    overlaps: Vec<bool>,
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

impl Placer<'_> {
    /// Whether it lies in a place: parameters do not.
    fn placed(&self, id: TensorId) -> bool {
        let parameter = matches!(self.graph.tensors[id].role, Role::Weight | Role::Norm | Role::Statistic);
        !parameter && self.storage.of(self.graph, id) > 0
    }

    fn open(&mut self, id: TensorId, first: usize) {
        if self.placed(id) {
            self.place_of[id] = Some(self.places.len());
            let first = if self.sharing == Sharing::None { 0 } else { first };
            let bytes = self.storage.of(self.graph, id);
            self.places.push(Place {
                tensors: vec![Lies { id, offset: 0 }],
                first,
                last: self.last[id],
                bytes,
            });
        }
    }

    /// Puts the step's first output to one of its inputs.
    fn share(&mut self, at: usize) -> bool {
        let step = &self.graph.steps[at];
        let Some(&output) = step.outputs.first() else { return false };
        if self.sharing == Sharing::None || !self.placed(output) {
            return false;
        }
        let same = |p: &Self, id: TensorId| p.storage.of(p.graph, id) == p.storage.of(p.graph, output);
        let whole = step.inputs.iter().find_map(|&id| {
            let place = self.place_of[id]?;
            let free = self.sharing != Sharing::Lives && in_place(step) && self.places[place].last == at;
            (same(self, id) && (step.op == Op::View || free)).then_some((place, id))
        });
        if let Some((place, input)) = whole {
            let offset = self.places[place].tensors.iter().find(|l| l.id == input).map_or(0, |l| l.offset);
            self.put(place, output, offset, 0);
            return true;
        }
        let (Some(lag), &[input], true) = (step.lag, &step.inputs[..], self.overlaps[at]) else {
            return false;
        };
        let Some(place) = self.place_of[input].filter(|&place| self.places[place].last == at) else {
            return false;
        };
        let found = &self.places[place];
        let offset = found.tensors.iter().find(|l| l.id == input).map_or(0, |l| l.offset);
        let [from, to] = [input, output].map(|id| self.storage.of(self.graph, id));
        // Images one after the other: the last ones overlap most where outputs are larger than inputs.
        let images = self.storage.images();
        let apart = |lag: u64| {
            let bytes = (lag * self.storage.bits).div_ceil(8);
            bytes.saturating_add((to / images).saturating_sub(from / images).saturating_mul(images - 1))
        };
        // Forward, the output is below the input, which is moved up where there is no room; backward, above.
        let below = offset.saturating_sub(apart(lag.forward));
        let raise = apart(lag.forward).saturating_sub(offset);
        let above = offset.saturating_add(from).saturating_add(apart(lag.backward)).saturating_sub(to);
        let size = |offset: u64, raise: u64| found.bytes.saturating_add(raise).max(offset.saturating_add(to));
        let (offset, raise) = if size(below, raise) <= size(above, 0) { (below, raise) } else { (above, 0) };
        let bytes = size(offset, raise);
        if bytes >= found.bytes.saturating_add(to) {
            return false;
        }
        self.put(place, output, offset, raise);
        true
    }

    fn put(&mut self, place: usize, id: TensorId, offset: u64, raise: u64) {
        let bytes = self.storage.of(self.graph, id);
        let found = &mut self.places[place];
        found.tensors.iter_mut().for_each(|l| l.offset = l.offset.saturating_add(raise));
        found.tensors.push(Lies { id, offset });
        found.bytes = found.bytes.saturating_add(raise).max(offset.saturating_add(bytes));
        found.last = found.last.max(self.last[id]);
        self.place_of[id] = Some(place);
    }
}

/// From when to when the tensors that are not parameters need a place. Inputs are there from the first step on, outputs
/// up to the last one.
pub fn lives(graph: &Graph, storage: &Storage, sharing: Sharing) -> Lives {
    if sharing != Sharing::Overlap {
        return placed(graph, storage, sharing, vec![false; graph.steps.len()]);
    }
    // What lies where others did keeps their room. So only the steps that need most overlap: how many is tried out.
    let mut best = placed(graph, storage, Sharing::InPlace, vec![false; graph.steps.len()]);
    let live = best.live.clone();
    let mut most = live.clone();
    most.sort_unstable();
    most.dedup();
    for least in most.into_iter().rev().take(MOST_TRIALS) {
        let overlaps = live.iter().map(|&bytes| bytes >= least).collect();
        let tried = placed(graph, storage, sharing, overlaps);
        if tried.peak() < best.peak() {
            best = tried;
        }
    }
    best
}

fn placed(graph: &Graph, storage: &Storage, sharing: Sharing, overlaps: Vec<bool>) -> Lives {
    let end = graph.steps.len().saturating_sub(1);
    let mut last = vec![0; graph.tensors.len()];
    for (at, step) in graph.steps.iter().enumerate() {
        step.inputs.iter().chain(&step.outputs).for_each(|&id| last[id] = at);
    }
    graph.outputs.iter().for_each(|&id| last[id] = end);
    if sharing == Sharing::None {
        last.fill(end);
    }
    let place_of = vec![None; graph.tensors.len()];
    let mut placer = Placer { graph, storage, sharing, last, places: vec![], place_of, overlaps };
    for (id, tensor) in graph.tensors.iter().enumerate() {
        if tensor.role == Role::Input {
            placer.open(id, 0);
        }
    }
    for (at, step) in graph.steps.iter().enumerate() {
        let shared = usize::from(placer.share(at));
        step.outputs.iter().skip(shared).for_each(|&id| placer.open(id, at));
    }
    let places = placer.places;
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
            let id = format!("{k} {}", graph.tensors[p.tensors[0].id].name);
            Buffer { align, ..Buffer::new(id, p.first as u64, p.last as u64 + 1, p.bytes) }
        };
        Problem::new(self.places.iter().enumerate().map(buffer).collect())
    }
}

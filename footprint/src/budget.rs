//! A network as a problem of what to keep, to spill and to compute again ([`remat`]).
//!
//! The budget is for activations, masks and gradients of activations, the inputs among them. Parameters, statistics, gradients of
//! parameters and an optimiser's state are on chip all the time and not part of it.

use std::collections::{BTreeSet, HashMap};

use compiler::CompileError;
use compiler::offsets::{Buffer, Problem as Offsets};
use remat::{Action, Fate, Problem, ProblemError, Step as Work, Tensor as Bytes};

use crate::graph::{Graph, Kind, Op, Role, TensorId};
use crate::lives::Storage;

/// What each step of a graph costs, in operations: products with a sum, and elements written where there are none.
pub fn operations(graph: &Graph, storage: &Storage) -> Vec<u64> {
    let elements = |step: &crate::Step| -> u64 {
        step.outputs.iter().map(|&id| graph.tensors[id].elements()).fold(0, u64::saturating_add)
    };
    let one = |step: &crate::Step| match (step.macs, &step.op) {
        (_, Op::View) => 0,
        (0, _) => elements(step),
        (macs, _) => macs,
    };
    graph.steps.iter().map(|step| one(step).saturating_mul(storage.images())).collect()
}

/// A place on chip: the tensors that lie there one after the other, or are the same elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// In the order in which they are written.
    pub tensors: Vec<TensorId>,
    bytes: u64,
}

/// A graph as steps that are computed, or computed again, in one go. Its numbers of tensors are those of `held`.
///
/// Views are their input, and a function of an element, a normalisation, a sum or a product that is the only reader of an input is computed
/// in its place together with what makes that input, where this needs no more memory.
#[derive(Clone, Debug)]
pub struct Workload {
    /// What has to be planned.
    pub problem: Problem,
    /// By tensor of the problem.
    pub held: Vec<Held>,
    /// By step of the problem: the steps of the graph that it computes, in order. Views are in none.
    pub steps: Vec<Vec<usize>>,
    /// By tensor of the graph: where it is held; none for parameters.
    pub place: Vec<Option<usize>>,
}

/// Which tensors are the same elements.
struct Classes {
    /// By tensor: the first of its class.
    root: Vec<TensorId>,
    /// By first tensor: steps that read any of its class, views left out.
    readers: HashMap<TensorId, BTreeSet<usize>>,
    wanted: BTreeSet<TensorId>,
}

fn budgeted(graph: &Graph, id: TensorId) -> bool {
    matches!(graph.tensors[id].role, Role::Input | Role::Activation | Role::Gradient | Role::Mask)
}

/// Whether the step hands its input on as it is.
fn is_view(graph: &Graph, storage: &Storage, at: usize) -> bool {
    let step = &graph.steps[at];
    match (&step.op, &step.inputs[..], &step.outputs[..]) {
        (Op::View, [input, ..], [output]) => {
            budgeted(graph, *input)
                && budgeted(graph, *output)
                && storage.of(graph, *input) == storage.of(graph, *output)
        }
        _ => false,
    }
}

impl Classes {
    fn new(graph: &Graph, storage: &Storage, training: bool) -> Self {
        let mut classes = Self {
            root: (0..graph.tensors.len()).collect(),
            readers: HashMap::new(),
            wanted: BTreeSet::new(),
        };
        for (at, step) in graph.steps.iter().enumerate() {
            if is_view(graph, storage, at) {
                classes.root[step.outputs[0]] = classes.root[step.inputs[0]];
                continue;
            }
            for &id in &step.inputs {
                classes.readers.entry(classes.root[id]).or_default().insert(at);
            }
        }
        if !training {
            classes.wanted = graph.outputs.iter().map(|&id| classes.root[id]).collect();
        }
        classes
    }
}

/// A step of the problem as it grows.
struct Group {
    steps: Vec<usize>,
    inputs: Vec<usize>,
    outputs: Vec<usize>,
    cost: u64,
    forward: bool,
}

struct Builder<'a> {
    graph: &'a Graph,
    storage: &'a Storage,
    classes: Classes,
    held: Vec<Held>,
    /// By place: the first tensor of the class that it holds now.
    content: Vec<TensorId>,
    /// By place: the group that makes it; none if it is given.
    maker: Vec<Option<usize>>,
    place: Vec<Option<usize>>,
    groups: Vec<Group>,
}

impl Builder<'_> {
    fn hold(&mut self, id: TensorId, maker: Option<usize>) -> usize {
        self.held.push(Held { tensors: vec![id], bytes: self.storage.of(self.graph, id) });
        self.content.push(id);
        self.maker.push(maker);
        self.place[id] = Some(self.held.len() - 1);
        self.held.len() - 1
    }

    fn need(&self, places: impl IntoIterator<Item = usize>) -> u64 {
        places.into_iter().collect::<BTreeSet<_>>().into_iter().map(|place| self.held[place].bytes).sum()
    }

    /// Computes a step in the place of an input, as part of the group that makes it.
    fn in_place(&mut self, at: usize, cost: u64) -> bool {
        let step = &self.graph.steps[at];
        let [output] =
            step.outputs.iter().copied().filter(|&id| budgeted(self.graph, id)).collect::<Vec<_>>()[..]
        else {
            return false;
        };
        if !matches!(step.op, Op::Function(_) | Op::Norm | Op::Add | Op::Mul) {
            return false;
        }
        let inputs: Vec<usize> = step.inputs.iter().filter_map(|&id| self.place[id]).collect();
        let fits = |&place: &usize| {
            let group = self.maker[place]?;
            let content = self.content[place];
            let alone = self.classes.readers.get(&content).is_some_and(|readers| readers.len() == 1);
            let same = self.held[place].bytes == self.storage.of(self.graph, output);
            let others: Vec<usize> = inputs.iter().copied().filter(|&other| other != place).collect();
            let before = others.iter().all(|&other| self.maker[other].is_none_or(|maker| maker < group));
            let found = &self.groups[group];
            let forward = found.forward == (step.kind == Kind::Forward);
            let own = self.need(found.inputs.iter().chain(&found.outputs).copied());
            let apart = self.need(inputs.iter().copied()) + self.held[place].bytes;
            let together = self.need(found.inputs.iter().chain(&found.outputs).chain(&others).copied());
            let may = alone && same && before && forward && !self.classes.wanted.contains(&content);
            (may && together <= own.max(apart)).then_some((place, group, others))
        };
        let Some((place, group, others)) = inputs.iter().find_map(fits) else { return false };
        let group = &mut self.groups[group];
        group.steps.push(at);
        group.cost = group.cost.saturating_add(cost);
        group.inputs.extend(others);
        group.inputs.sort_unstable();
        group.inputs.dedup();
        self.held[place].tensors.push(output);
        self.content[place] = output;
        self.place[output] = Some(place);
        true
    }

    fn step(&mut self, at: usize, cost: u64) {
        let step = &self.graph.steps[at];
        if is_view(self.graph, self.storage, at) {
            let place = self.place[step.inputs[0]];
            self.place[step.outputs[0]] = place;
            if let Some(place) = place {
                self.held[place].tensors.push(step.outputs[0]);
            }
            return;
        }
        let mut inputs: Vec<usize> = step.inputs.iter().filter_map(|&id| self.place[id]).collect();
        let outputs: Vec<TensorId> =
            step.outputs.iter().copied().filter(|&id| budgeted(self.graph, id)).collect();
        if (inputs.is_empty() && outputs.is_empty()) || self.in_place(at, cost) {
            return;
        }
        inputs.sort_unstable();
        inputs.dedup();
        let group = self.groups.len();
        let outputs = outputs.into_iter().map(|id| self.hold(id, Some(group))).collect();
        let forward = step.kind == Kind::Forward;
        self.groups.push(Group { steps: vec![at], inputs, outputs, cost, forward });
    }
}

impl Workload {
    /// The problem of a graph whose steps cost `costs`, by step. Nothing is spilled, everything may be computed again: see
    /// [`Problem::with`].
    ///
    /// # Errors
    ///
    /// As of [`Problem::new`].
    pub fn new(graph: &Graph, storage: &Storage, costs: &[u64]) -> Result<Self, ProblemError> {
        let training = graph.steps.iter().any(|s| s.kind != Kind::Forward);
        let classes = Classes::new(graph, storage, training);
        let place = vec![None; graph.tensors.len()];
        let (held, content, maker) = (vec![], vec![], vec![]);
        let mut builder = Builder { graph, storage, classes, held, content, maker, place, groups: vec![] };
        for (id, tensor) in graph.tensors.iter().enumerate() {
            if tensor.role == Role::Input {
                builder.hold(id, None);
            }
        }
        for at in 0..graph.steps.len() {
            builder.step(at, costs.get(at).copied().unwrap_or(0));
        }
        let Builder { classes, held, content, maker, place, groups, .. } = builder;
        let tensors = held.iter().enumerate().map(|(k, held)| Bytes {
            name: held.tensors.last().map_or(String::new(), |&id| graph.tensors[id].name.clone()),
            bytes: held.bytes,
            given: maker[k].is_none(),
            wanted: classes.wanted.contains(&content[k]),
        });
        let turn = groups.iter().filter(|g| g.forward).count();
        let steps: Vec<Vec<usize>> = groups.iter().map(|g| g.steps.clone()).collect();
        let work = groups.into_iter().map(|g| Work {
            name: g.steps.iter().map(|&at| graph.steps[at].name.as_str()).collect::<Vec<_>>().join("+"),
            cost: g.cost,
            workspace: 0,
            inputs: g.inputs,
            outputs: g.outputs,
        });
        let problem = Problem::new(tensors.collect(), work.collect(), turn)?;
        Ok(Self { problem, held, steps, place })
    }

    /// What a schedule does with each tensor of the graph: none for parameters, their gradients and statistics, which are on
    /// chip all the time.
    pub fn fates(&self, schedule: &[Action]) -> Vec<Option<Fate>> {
        let fates = remat::fates(&self.problem, schedule);
        self.place.iter().map(|place| place.map(|place| fates[place])).collect()
    }

    /// The problem of where each tensor lies, each time that it is on chip; its steps are the schedule's actions. Offsets are
    /// multiples of `align` bytes.
    ///
    /// # Errors
    ///
    /// If there are more buffers or bytes than [`Offsets::new`] takes.
    pub fn offsets(&self, schedule: &[Action], align: u64) -> Result<Offsets, CompileError> {
        let stays = remat::occupancy(&self.problem, schedule).into_iter();
        let buffers = stays.enumerate().filter_map(|(n, (place, first, end))| {
            let tensor = &self.problem.tensors()[place];
            let buffer = Buffer::new(format!("{n} {}", tensor.name), first as u64, end as u64, tensor.bytes);
            (first < end && tensor.bytes > 0).then_some(Buffer { align, ..buffer })
        });
        Offsets::new(buffers.collect())
    }
}

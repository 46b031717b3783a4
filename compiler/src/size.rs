//! The smallest buffers at which every input, weight, parameter and output of a layer crosses the bus once.
//!
//! # What is optimal
//!
//! In an order of fetches that fetches nothing twice, look at the first input or weight to be overwritten. Everything
//! that it is ever multiplied with has been fetched before, and nothing has been overwritten yet. So at that moment the
//! buffers hold either all weights and the inputs of one tile, or all inputs and the weights of one filter group.
//! (If nothing is overwritten, they hold both.) *Weights resident* and *inputs resident* are therefore all the strategies
//! there are; what is left to choose is how little of the other tensor is there at a time. The hardware's grains are a row
//! of inputs (a pixel, if the kernel is 1 × 1) and a filter group's whole reduction; only if all outputs fit one tile
//! a reduction goes in slices. The compiler knows these grains, so the search asks its planner and assumes only
//! that a larger buffer never brings traffic back. `tests/size.rs` compares with all sizes there are.

use std::collections::BTreeSet;

use spec::Config;
use spec::layer::Layer;

use crate::lower::Lowered;
use crate::network::TensorId;
use crate::place::place;
use crate::plan::{Costs, Plan};
use crate::shape::{Kernel, Place, Places};

/// Bytes of `ibuf`, `wbuf`, `obuf`, `rbuf` and `pbuf`, as in [`Config::buffers`].
pub type Buffers = [u32; 5];

const I: usize = 0;
const W: usize = 1;
const O: usize = 2;
const R: usize = 3;
const P: usize = 4;

/// Bytes of all buffers.
pub fn total(buffers: &Buffers) -> u64 {
    buffers.iter().map(|&b| u64::from(b)).sum()
}

/// One layer on buffers of any size.
#[derive(Clone, Debug)]
pub struct Sizer {
    layer: Layer,
    kernel: Kernel,
    places: Places,
    config: Config,
    costs: Costs,
}

impl Sizer {
    /// For a layer on its own.
    pub fn alone(layer: &Layer, config: &Config) -> Self {
        Self::new(layer, config, crate::kernel(layer, config), Places::alone(layer, config))
    }

    /// For a step of a network. Whatever buffers its tensors pass through, here the input passes through `ibuf`, the
    /// second operand through `rbuf` and the output through `obuf`.
    pub fn of_plan(plan: &Plan) -> Self {
        Self::new(&plan.layer, &plan.config, plan.shape.kernel, plan.places)
    }

    fn new(layer: &Layer, config: &Config, kernel: Kernel, places: Places) -> Self {
        Self { layer: *layer, kernel, places, config: config.clone(), costs: Costs::default() }
    }

    /// What the compiler does with these buffers, if they are large enough at all.
    pub fn plan(&mut self, buffers: Buffers) -> Option<Plan> {
        let config = self.config.resized(buffers);
        let through = |place: Place, number: u32, room: u32| match place {
            Place::Memory { pixel, row, .. } => {
                Place::Memory { buffer: number, room: room.into(), pixel, row }
            }
            Place::Chip { .. } => place,
        };
        let places = Places {
            input: through(self.places.input, 0, config.ibuf),
            second: self.places.second.map(|p| through(p, 2, config.rbuf)),
            output: through(self.places.output, 1, config.obuf),
            once: true,
        };
        Plan::with_costs(&self.layer, &config, self.kernel, places, &mut self.costs).ok()
    }

    fn once(&mut self, buffers: Buffers) -> bool {
        self.plan(buffers).is_some_and(|plan| plan.is_once_only())
    }

    /// The least and the largest sizes.
    fn limits(&self) -> [Buffers; 2] {
        let grids = self.config.grids();
        [grids.map(|g| g.least.next_multiple_of(g.unit)), grids.map(|g| g.most / g.unit * g.unit)]
    }

    /// Of one buffer the smallest size at which `holds`, which does so at the largest size.
    fn least(&mut self, buffer: usize, mut holds: impl FnMut(&mut Self, u32) -> bool) -> u32 {
        let unit = self.config.grids()[buffer].unit;
        let [least, most] = self.limits().map(|sizes| sizes[buffer] / unit);
        let (mut below, mut at) = (least.saturating_sub(1), most);
        while below + 1 < at {
            let middle = below + (at - below) / 2;
            if holds(self, middle * unit) { at = middle } else { below = middle }
        }
        at * unit
    }

    /// The smallest size of one buffer, the others being as given.
    fn least_once(&mut self, buffer: usize, mut others: Buffers) -> u32 {
        self.least(buffer, |sizer, size| {
            others[buffer] = size;
            sizer.once(others)
        })
    }

    /// The smallest size of each buffer alone, the others being as large as can be. None if even the largest
    /// buffers of all do not suffice.
    pub fn each(&mut self) -> Option<Buffers> {
        let [_, most] = self.limits();
        self.once(most).then(|| [I, W, O, R, P].map(|buffer| self.least_once(buffer, most)))
    }

    /// The smallest sizes in sum, and other combinations that suffice in which no buffer can be smaller alone: with
    /// larger weight buffers. Empty if even the largest buffers do not suffice.
    pub fn front(&mut self) -> Vec<Buffers> {
        let Some(each) = self.each() else { return Vec::new() };
        let [_, most] = self.limits();
        let mut found = Vec::new();
        // With fewer parameters than all of them on chip, only how many filter groups' fit matters.
        let mut params = BTreeSet::from([each[P]]);
        if let Some(plan) = self.plan(most) {
            let bytes = plan.shape.param_words() * i64::from(self.config.pbuf_stride());
            params.extend(u32::try_from(bytes).ok().filter(|b| (each[P]..=most[P]).contains(b)));
        }
        for pbuf in params {
            let mut wbuf = self.least_once(W, [most[I], most[W], most[O], most[R], pbuf]);
            let least = self.activations(most[W], pbuf);
            loop {
                let first = self.activations(wbuf, pbuf);
                self.larger_outputs(first, &mut found);
                if active(&least) >= active(&first) {
                    break;
                }
                // The next larger weight buffer that allows less of the others.
                wbuf = self.least(W, |sizer, size| {
                    size > wbuf && active(&sizer.activations(size, pbuf)) < active(&first)
                });
            }
        }
        let minimal = |b: &Buffers| {
            !found.iter().any(|other| other != b && other.iter().zip(b).all(|(other, b)| other <= b))
        };
        let mut front: Vec<Buffers> = found.iter().copied().filter(minimal).collect();
        front.sort_unstable_by_key(|b| (total(b), *b));
        front.dedup();
        front
    }

    /// The smallest activation buffers for given others, the output buffer first.
    fn activations(&mut self, wbuf: u32, pbuf: u32) -> Buffers {
        let [_, most] = self.limits();
        let mut buffers = [most[I], wbuf, most[O], most[R], pbuf];
        for buffer in [O, R, I] {
            buffers[buffer] = self.least_once(buffer, buffers);
        }
        buffers
    }

    /// Adds `first`, and what a larger output buffer allows to be less in sum.
    fn larger_outputs(&mut self, first: Buffers, found: &mut Vec<Buffers>) {
        let [_, most] = self.limits();
        let unit = self.config.grids()[I].unit;
        let least = self.least_once(I, [most[I], first[W], most[O], most[R], first[P]]);
        let mut best = active(&first);
        let mut buffers = first;
        found.push(first);
        while buffers[I] > least {
            let obuf = self.least(O, |sizer, size| {
                size > buffers[O] && sizer.once([buffers[I] - unit, buffers[W], size, most[R], buffers[P]])
            });
            if u64::from(obuf) + u64::from(least) + u64::from(buffers[R]) >= best {
                break;
            }
            buffers[O] = obuf;
            buffers[R] = self.least_once(R, [most[I], buffers[W], obuf, most[R], buffers[P]]);
            buffers[I] = self.least_once(I, buffers);
            best = best.min(active(&buffers));
            found.push(buffers);
        }
    }
}

/// Bytes of the activation buffers.
fn active(buffers: &Buffers) -> u64 {
    [I, O, R].map(|k| u64::from(buffers[k])).iter().sum()
}

/// The smallest buffers in sum with which every one of several layers is served; each with its [`Sizer::front`]. None if
/// a front is empty.
pub fn together(fronts: &[Vec<Buffers>]) -> Option<Buffers> {
    let sizes = |buffer: usize| fronts.iter().flatten().map(|b| b[buffer]).collect::<BTreeSet<u32>>();
    let mut best: Option<Buffers> = None;
    for pbuf in sizes(P) {
        for wbuf in sizes(W) {
            for ibuf in sizes(I) {
                // The fewest bytes of the other two, layer by layer.
                let rest = fronts.iter().try_fold((0, 0), |(o, r), front| {
                    let fits = front.iter().filter(|b| b[P] <= pbuf && b[W] <= wbuf && b[I] <= ibuf);
                    let least = fits.map(|b| (b[O], b[R])).min_by_key(|&(a, b)| (o.max(a) + r.max(b), a))?;
                    Some((o.max(least.0), r.max(least.1)))
                });
                let Some((obuf, rbuf)) = rest else { continue };
                let buffers = [ibuf, wbuf, obuf, rbuf, pbuf];
                if best.is_none_or(|b| (total(&buffers), buffers) < (total(&b), b)) {
                    best = Some(buffers);
                }
            }
        }
    }
    best
}

/// The smallest activation buffers with which no tensor of a network crosses the bus but its inputs, its outputs, and
/// what can never stay on chip.
#[derive(Clone, Debug)]
pub struct Chained {
    /// The buffers; `wbuf` and `pbuf` are those of the config.
    pub buffers: Buffers,
    /// Names of the tensors that cross the bus nevertheless.
    pub left: Vec<String>,
}

/// Tensors that steps write and that are not on chip, outputs of the network aside; none if a step cannot be executed.
fn off_chip(lowered: &Lowered, config: &Config) -> Option<Vec<TensorId>> {
    let placement = place(lowered, config, true).ok()?;
    let whole = |id: TensorId| lowered.parts[id].whole;
    let outputs: BTreeSet<TensorId> = lowered.network.outputs.iter().map(|&id| whole(id)).collect();
    let written: BTreeSet<TensorId> = lowered.steps.iter().map(|step| whole(step.output)).collect();
    Some(written.difference(&outputs).copied().filter(|&id| placement.chip[id].is_none()).collect())
}

/// Shrinks one activation buffer after the other, in every order, to the smallest at which the compiler keeps on chip
/// what it keeps there in the largest; of the results the smallest in sum. So none of the three can be smaller alone. None if the
/// network cannot be executed with the config's `wbuf` and `pbuf`. `tried` is called for each combination.
pub fn chained(lowered: &Lowered, config: &Config, mut tried: impl FnMut()) -> Option<Chained> {
    let grids = config.grids();
    let most = |k: usize| grids[k].most / grids[k].unit * grids[k].unit;
    let start = [most(I), config.wbuf, most(O), most(R), config.pbuf];
    let left = off_chip(lowered, &config.resized(start))?;
    let mut best: Option<Buffers> = None;
    for order in [[I, O, R], [I, R, O], [O, I, R], [O, R, I], [R, I, O], [R, O, I]] {
        let mut buffers = start;
        for k in order {
            let least = grids[k].least.div_ceil(grids[k].unit);
            let (mut below, mut at) = (least.saturating_sub(1), buffers[k] / grids[k].unit);
            while below + 1 < at {
                let middle = below + (at - below) / 2;
                buffers[k] = middle * grids[k].unit;
                let kept =
                    off_chip(lowered, &config.resized(buffers)).is_some_and(|off| off.len() <= left.len());
                if kept {
                    at = middle
                } else {
                    below = middle
                }
                tried();
            }
            buffers[k] = at * grids[k].unit;
        }
        if best.is_none_or(|b| (total(&buffers), buffers) < (total(&b), b)) {
            best = Some(buffers);
        }
    }
    let name = |id: &TensorId| lowered.network.tensors[*id].name.clone();
    best.map(|buffers| Chained { buffers, left: left.iter().map(name).collect() })
}

//! `koch memory`.

use crate::args::{OutputArgs, SizesArgs, config_of, write_file};
use crate::budget;
use crate::out::{Printed, print_table};
use crate::{Failure, Outcome, interrupt};
use clap::ValueEnum;
use compiler::network::Network;
use compiler::offsets::{csv::Table, exact, heuristic};
use compiler::program::compile;
use footprint::lives::{Lives, Sharing, Storage, lives};
use footprint::{Graph, Kind, Role, training};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use spec::isa::{INSTRUCTION_BYTES, Instruction};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Bytes to whose multiples tensors are aligned: two words of a buffer.
const ALIGN: u64 = 64;

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    sizes: SizesArgs,
    /// Images at a time.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    batch: u64,
    /// What an element is stored as.
    #[arg(long, value_enum, default_value_t = Precision::F32)]
    precision: Precision,
    /// One iteration of training: what backward steps need is kept, gradients and the optimiser's state are counted.
    #[arg(long)]
    training: bool,
    /// What the optimiser keeps of each weight.
    #[arg(long, value_enum, default_value_t = Optimiser::Sgd, requires = "training")]
    optimiser: Optimiser,
    /// Lanes of a vector unit that computes an image in each: batches are padded to a multiple of it.
    #[arg(long, default_value_t = 1, value_name = "LANES", value_parser = clap::value_parser!(u64).range(1..=1 << 12))]
    vector: u64,
    /// Count the program and the parameters that this config needs for the model too, which is quantised then.
    #[arg(long, value_name = "NAME|FILE", conflicts_with_all = ["training", "table"])]
    config: Option<String>,
    /// Write the plan: buffers with their first step, the one after their last, size and offset, as CSV in the format of
    /// MiniMalloc.
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// How long to look for the best offsets, and with a budget for the best plan. Ctrl-C ends it earlier with the best so far.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    seconds: u64,
    #[command(flatten)]
    budget: budget::Args,
    #[command(flatten)]
    output: OutputArgs,
}

impl Args {
    fn storage(&self) -> Storage {
        Storage { batch: self.batch, bits: self.precision.bits(), vector: self.vector }
    }

    /// The steps that are run.
    fn whole(&self, forward: &Graph) -> Graph {
        if self.training { training::backward(forward) } else { forward.clone() }
    }
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    F32,
    F16,
    Int16,
    Int8,
}

impl Precision {
    pub fn bits(self) -> u64 {
        match self {
            Self::F32 => 32,
            Self::F16 | Self::Int16 => 16,
            Self::Int8 => 8,
        }
    }
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Optimiser {
    /// Nothing.
    Sgd,
    /// A velocity.
    Momentum,
    /// Two moments.
    Adam,
}

impl Optimiser {
    /// Numbers for each weight.
    fn numbers(self) -> u64 {
        match self {
            Self::Sgd => 0,
            Self::Momentum => 1,
            Self::Adam => 2,
        }
    }
}

/// What an accelerator reads besides weights and activations, in bytes.
#[derive(Serialize, Clone, Debug)]
struct Machine {
    config: String,
    /// All instructions.
    program: u64,
    /// Those of them that hold tables of functions.
    tables: u64,
    /// Biases and scales of the outputs' channels.
    parameters: u64,
}

impl Machine {
    fn new(model: &Path, config: &str) -> Result<Self, Failure> {
        let compiled = compile(&Network::load(model)?, &config_of(config)?, true)?;
        let steps = 0..compiled.lowered.steps.len();
        let program = compiled.program(steps.clone(), None)?;
        let mut tables = 0;
        for instruction in program.instructions() {
            tables += u64::from(matches!(instruction?, Instruction::Table(_))) * INSTRUCTION_BYTES as u64;
        }
        let parameters = compiled.traffic(steps)?.iter().map(|t| t.param).sum();
        Ok(Self { config: config.to_owned(), program: program.code.len() as u64, tables, parameters })
    }
}

/// Elements for one image, and bytes for the batch.
#[derive(Serialize, Clone, Copy, Debug)]
struct Amount {
    elements: u64,
    bytes: u64,
}

/// What one of the network's own steps has to do with memory. Elements are of one image, bytes of the batch.
#[derive(Serialize, Clone, Debug)]
struct Layer {
    name: String,
    operator: String,
    /// Sizes of the first output, one image.
    shape: Vec<u64>,
    macs: u64,
    /// Weights that no step before it has.
    weight_bytes: u64,
    output_elements: u64,
    output_bytes: u64,
    /// The matrix that lowering to a matrix product makes of its input.
    lowered_bytes: u64,
    /// Bytes of activations and gradients in use in this step, outputs at the place of inputs where they can be.
    live_bytes: u64,
}

/// The same activations in less and less memory.
#[derive(Serialize, Clone, Debug)]
struct Plans {
    /// A place for each tensor.
    naive: u64,
    /// Places are free after their last use: what is in use at a time.
    lives: u64,
    /// And outputs take the place of inputs.
    in_place: u64,
    /// And outputs of convolutions and poolings overlap an input, pixel by pixel.
    overlap: u64,
    /// Offsets that the best heuristic finds for the latter, and which.
    heuristic: u64,
    heuristic_name: String,
    /// The best offsets found, and what none are below.
    planned: u64,
    bound: u64,
    optimal: bool,
}

#[derive(Serialize, Clone, Debug)]
struct MemoryReport {
    network: String,
    batch: u64,
    /// Images with padding to the vector.
    images: u64,
    precision: Precision,
    training: bool,
    macs: u64,
    /// Of convolutions and fully connected layers.
    weights: Amount,
    /// Scales and offsets of normalisations.
    norms: Amount,
    /// Means and variances, which are not trained.
    statistics: Amount,
    inputs: Amount,
    /// Outputs of convolutions and sums.
    counted_activations: Amount,
    /// Outputs of all steps.
    all_activations: Amount,
    /// Weights, normalisations and counted activations.
    weights_and_activations: Amount,
    /// The largest matrix of a lowered convolution, and all of them.
    lowered_largest: Amount,
    lowered_all: Amount,
    /// In training: what is kept for backward steps, the gradients of weights, the optimiser's state.
    #[serde(skip_serializing_if = "Option::is_none")]
    kept: Option<Amount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    weight_gradients: Option<Amount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    optimiser_state: Option<Amount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    machine: Option<Machine>,
    plans: Plans,
    /// Everything at the worst step: parameters, the optimiser's state, and what is planned.
    peak: u64,
    /// The step with the most bytes in use.
    peak_step: String,
    layers: Vec<Layer>,
}

/// Elements, for one image, of forward tensors that a backward step reads.
fn kept(graph: &Graph, storage: &Storage) -> Amount {
    let backward = graph.steps.iter().filter(|s| s.kind != Kind::Forward && s.operator != "loss");
    let mut ids: Vec<usize> = backward.flat_map(|s| &s.inputs).copied().collect();
    ids.sort_unstable();
    ids.dedup();
    ids.retain(|&id| matches!(graph.tensors[id].role, Role::Input | Role::Activation | Role::Mask));
    let elements = ids.iter().map(|&id| graph.tensors[id].elements()).sum();
    Amount { elements, bytes: ids.iter().map(|&id| storage.of(graph, id)).sum() }
}

/// How a search gets on, on a terminal.
pub struct Bar(ProgressBar);

impl Bar {
    pub fn new() -> Self {
        let bar = ProgressBar::new_spinner();
        bar.set_style(
            ProgressStyle::with_template("{elapsed_precise} {msg}")
                .unwrap_or_else(|_| ProgressStyle::default_spinner()),
        );
        Self(bar)
    }

    fn tell(&self, progress: &exact::Progress) {
        if progress.nodes.is_multiple_of(4096) {
            let exact::Progress { bound, peak, nodes } = progress;
            self.say(format!("{peak} B, none below {bound} B, {nodes} nodes"));
        }
    }

    pub fn say(&self, text: String) {
        self.0.set_message(text);
        self.0.tick();
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn plans(graph: &Graph, storage: &Storage, args: &Args) -> Result<(Plans, Lives), Failure> {
    let limit = Duration::from_secs(args.seconds);
    let naive = lives(graph, storage, Sharing::None).sum();
    let by_life = lives(graph, storage, Sharing::Lives).peak();
    let in_place = lives(graph, storage, Sharing::InPlace);
    let overlap = lives(graph, storage, Sharing::Overlap);
    let problem = overlap.problem(graph, ALIGN)?;
    let (first, heuristic) = heuristic::best(&problem);
    let bar = Bar::new();
    let stop = interrupt::flag()?;
    let start = Instant::now();
    let best = exact::minimise(&problem, u64::MAX, &mut |progress| {
        bar.tell(&progress);
        if start.elapsed() < limit && !stop.load(Ordering::Relaxed) {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    });
    if let Some(path) = &args.plan {
        let table = Table { problem, offsets: Some(best.allocation.offsets.clone()) };
        write_file(path, table.text()?.as_bytes())?;
    }
    let plans = Plans {
        naive,
        lives: by_life,
        in_place: in_place.peak(),
        overlap: overlap.peak(),
        heuristic: first.peak,
        heuristic_name: heuristic.to_string(),
        planned: best.allocation.peak,
        bound: best.bound,
        optimal: best.is_optimal(),
    };
    Ok((plans, overlap))
}

fn report(forward: &Graph, machine: Option<Machine>, args: &Args) -> Result<MemoryReport, Failure> {
    let storage = args.storage();
    let amount = |elements: u64, role| Amount { elements, bytes: storage.bytes(elements, role) };
    let of_role = |role| amount(forward.elements(role), role);
    let whole = args.whole(forward);
    let (plans, in_place) = plans(&whole, &storage, args)?;
    let (weights, norms, statistics) = (of_role(Role::Weight), of_role(Role::Norm), of_role(Role::Statistic));
    let counted = amount(forward.counted(), Role::Activation);
    let trained = weights.elements + norms.elements;
    let lowered = forward.steps.iter().map(|s| s.lowered);
    let mut seen = vec![false; forward.tensors.len()];
    let layers = forward.steps.iter().enumerate().map(|(at, step)| {
        let mut weight_bytes = 0;
        for &id in &step.parameters {
            if !std::mem::replace(&mut seen[id], true) {
                weight_bytes += storage.of(forward, id);
            }
        }
        let output_elements = step.outputs.iter().map(|&id| forward.tensors[id].elements()).sum();
        Layer {
            name: step.name.clone(),
            operator: step.operator.clone(),
            shape: step.outputs.first().map_or(vec![], |&id| forward.tensors[id].shape.clone()),
            macs: step.macs,
            weight_bytes,
            output_elements,
            output_bytes: storage.bytes(output_elements, Role::Activation),
            lowered_bytes: storage.bytes(step.lowered, Role::Activation),
            live_bytes: in_place.live[at],
        }
    });
    let layers = layers.collect();
    let optimiser_state = args.training.then(|| amount(args.optimiser.numbers() * trained, Role::Weight));
    let resident = [weights, norms, statistics].map(|a| a.bytes).iter().sum::<u64>();
    let peak_step = in_place.live.iter().enumerate().rev().max_by_key(|(_, bytes)| **bytes);
    Ok(MemoryReport {
        network: forward.name.clone(),
        batch: args.batch,
        images: storage.images(),
        precision: args.precision,
        training: args.training,
        macs: forward.macs(),
        weights,
        norms,
        statistics,
        inputs: of_role(Role::Input),
        counted_activations: counted,
        all_activations: of_role(Role::Activation),
        weights_and_activations: Amount {
            elements: trained + counted.elements,
            bytes: weights.bytes + norms.bytes + counted.bytes,
        },
        lowered_largest: amount(lowered.clone().max().unwrap_or(0), Role::Activation),
        lowered_all: amount(lowered.sum(), Role::Activation),
        kept: args.training.then(|| kept(&whole, &storage)),
        weight_gradients: args.training.then(|| amount(trained, Role::WeightGradient)),
        optimiser_state,
        peak: resident + optimiser_state.map_or(0, |a| a.bytes) + plans.planned,
        peak_step: peak_step.map_or(String::new(), |(at, _)| whole.steps[at].name.clone()),
        machine,
        plans,
        layers,
    })
}

/// Bytes for a person, in powers of ten as the literature has them.
pub fn human(bytes: u64) -> String {
    let b = bytes as f64;
    match bytes {
        0..10_000 => format!("{bytes} B"),
        10_000..10_000_000 => format!("{:.1} kB", b / 1e3),
        10_000_000..10_000_000_000 => format!("{:.1} MB", b / 1e6),
        _ => format!("{:.2} GB", b / 1e9),
    }
}

fn elements(n: u64) -> String {
    match n {
        0..10_000 => n.to_string(),
        10_000..1_000_000 => format!("{:.2} k", n as f64 / 1e3),
        _ => format!("{:.2} M", n as f64 / 1e6),
    }
}

fn shape(sizes: &[u64]) -> String {
    sizes.iter().map(ToString::to_string).collect::<Vec<_>>().join("×")
}

impl Printed for MemoryReport {
    fn print_csv(&self) -> Outcome {
        let mut csv = csv::Writer::from_writer(vec![]);
        csv.write_record([
            "name",
            "operator",
            "shape",
            "macs",
            "weight_bytes",
            "output_elements",
            "output_bytes",
            "lowered_bytes",
            "live_bytes",
        ])?;
        for l in &self.layers {
            let numbers =
                [l.macs, l.weight_bytes, l.output_elements, l.output_bytes, l.lowered_bytes, l.live_bytes];
            let cells = [l.name.clone(), l.operator.clone(), shape(&l.shape)];
            csv.write_record(cells.into_iter().chain(numbers.map(|n| n.to_string())))?;
        }
        let text = csv.into_inner().map_err(|e| Failure::Input(e.to_string()))?;
        crate::out::line(String::from_utf8_lossy(&text).trim_end());
        Ok(())
    }

    fn print_text(&self) {
        let head = ["layer", "operator", "output", "MACs", "weights", "output", "im2col", "in use"]
            .map(String::from);
        let row = |l: &Layer| {
            let bytes = [l.weight_bytes, l.output_bytes, l.lowered_bytes, l.live_bytes].map(human);
            let [weights, output, lowered, live] = bytes;
            [
                l.name.clone(),
                l.operator.clone(),
                shape(&l.shape),
                l.macs.to_string(),
                weights,
                output,
                lowered,
                live,
            ]
        };
        let rows: Vec<_> = std::iter::once(head).chain(self.layers.iter().map(row)).collect();
        print_table(&rows, &[0, 1, 2]);
        say!("");
        let line = |name: &str, a: Amount, what: &str| {
            [name.to_owned(), elements(a.elements), human(a.bytes), what.to_owned()]
        };
        let mut rows = vec![
            ["".into(), "elements".into(), "bytes".into(), "".into()],
            line("weights", self.weights, "of convolutions and fully connected layers, biases too"),
            line("norms", self.norms, "scales and offsets of normalisations"),
            line("statistics", self.statistics, "means and variances, not trained"),
            line("activations", self.counted_activations, "outputs of convolutions and sums"),
            line("all outputs", self.all_activations, "of every operator, as if none were in place"),
            line("both", self.weights_and_activations, "weights, norms and activations"),
            line("im2col", self.lowered_all, "if every convolution were lowered to a matrix product"),
            line("largest im2col", self.lowered_largest, "of one convolution"),
        ];
        let training = [
            ("kept", self.kept, "activations that backward steps read"),
            ("gradients", self.weight_gradients, "of weights and norms"),
            ("optimiser", self.optimiser_state, "its state"),
        ];
        rows.extend(training.into_iter().filter_map(|(name, a, what)| Some(line(name, a?, what))));
        print_table(&rows, &[0, 3]);
        say!("");
        if let Some(Machine { config, program, tables, parameters }) = &self.machine {
            say!(
                "Config {config}: a program of {}, tables {} of it; biases and scales are {}.",
                human(*program),
                human(*tables),
                human(*parameters)
            );
            say!("");
        }
        let times = |bytes: u64| format!("{:.2} x", self.plans.naive as f64 / bytes.max(1) as f64);
        let p = &self.plans;
        let verdict = if p.optimal {
            "the least that offsets need".to_owned()
        } else {
            format!("the best offsets found; none need less than {}", human(p.bound))
        };
        let rows = [
            ("naive", p.naive, "a place for each tensor".to_owned()),
            ("lives", p.lives, "in use at a time, at most".to_owned()),
            ("in place", p.in_place, "the same, outputs in place of inputs".to_owned()),
            ("overlap", p.overlap, "and outputs of windows run into inputs".to_owned()),
            ("heuristic", p.heuristic, format!("offsets, {}", p.heuristic_name)),
            ("planned", p.planned, verdict),
        ];
        let rows: Vec<_> = rows.map(|(name, b, what)| [name.to_owned(), human(b), times(b), what]).into();
        print_table(&rows, &[0, 3]);
        say!("");
        let images = if self.images == self.batch {
            format!("batch {}", self.batch)
        } else {
            format!("batch {}, padded to {}", self.batch, self.images)
        };
        say!(
            "Peak {} at {} ({images}): weights, {}and the plan.",
            human(self.peak),
            self.peak_step,
            if self.training { "the optimiser's state " } else { "" }
        );
    }
}

pub fn run(args: &Args) -> Outcome {
    let graph = args.sizes.graph()?;
    if args.budget.given() {
        let time = Duration::from_secs(args.seconds);
        return budget::run(&args.whole(&graph), &args.storage(), &args.budget, time, &args.output);
    }
    let machine = args.sizes.model.as_ref().zip(args.config.as_ref());
    let machine = machine.map(|(model, config)| Machine::new(model, config)).transpose()?;
    report(&graph, machine, args)?.print(&args.output)
}

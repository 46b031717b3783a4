//! `koch memory --budget` and `--sweep-budget`: what to keep, to spill and to compute again.

use crate::args::{OutputArgs, config_of, picture_file, write_file, write_picture};
use crate::graph::picture;
use crate::memory::{Bar, human};
use crate::out::{Printed, print_table};
use crate::{Failure, Outcome, interrupt};
use ::report::{budget_figure, svg};
use compiler::offsets::exact;
use drawing::fold::Alike;
use drawing::svg::Home;
use footprint::budget::{Workload, operations};
use footprint::lives::Storage;
use footprint::{Graph, Kind, Op, Role, Step};
use remat::{Action, Fate, Limits, Method, Plan, Problem, Rate, Schedule};
use serde::Serialize;
use spec::layer::{Layer, LayerSpec};
use spec::{Config, MemorySpec, Size, Status};
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Bytes to whose multiples tensors are aligned, as in `koch memory`.
const ALIGN: u64 = 64;
/// Pixels of a PNG to one of the picture.
const PNG_SCALE: u32 = 2;
/// Parts of one byte per unit of cost that a bandwidth is rounded to.
const FINE: f64 = 1e6;

#[derive(clap::Args)]
#[command(next_help_heading = "Budget")]
pub struct Args {
    /// Plan what to keep on chip, to spill and to compute again so that inputs, activations and their gradients are never
    /// more than this, as 64MiB. Parameters, their gradients and the optimiser's state are apart. --seconds is for the solver; Ctrl-C
    /// ends it earlier with the best plan so far.
    #[arg(long, value_name = "SIZE", conflicts_with_all = ["config", "plan"])]
    budget: Option<Size>,
    /// The same for so many budgets, from the smallest to what needs no plan: memory against overhead.
    #[arg(long, value_name = "POINTS", num_args = 0..=1, default_missing_value = "8", conflicts_with_all = ["budget", "config", "plan"],
        value_parser = clap::value_parser!(u64).range(2..=200))]
    sweep_budget: Option<u64>,
    /// What computing costs: `operations`, or a config (a name or a TOML file), whose cycle model says so.
    #[arg(long, default_value = "operations", value_name = "operations|NAME|FILE")]
    cost: String,
    /// Tensors may go off chip and come back: bytes per unit of cost (operation or cycle), as 0.5. Transfers do not overlap with
    /// computing.
    #[arg(long, value_name = "BYTES", value_parser = parse_bandwidth)]
    spill: Option<f64>,
    /// Nothing is computed twice.
    #[arg(long)]
    no_recompute: bool,
    /// Most steps that the solver is given; neighbours are put together in larger networks.
    #[arg(long, default_value_t = 300, value_name = "STEPS", value_parser = clap::value_parser!(u64).range(2..=1000))]
    groups: u64,
    /// Write the plan of --budget: what is done, one action a row (CSV).
    #[arg(long, value_name = "FILE", requires = "budget")]
    schedule: Option<PathBuf>,
    /// Draw the network with the plan of --budget: what is kept, spilled and computed again (.svg or .png).
    #[arg(long, value_name = "FILE", requires = "budget", value_parser = picture_file)]
    graph: Option<PathBuf>,
    /// Draw the curve of --sweep-budget (.svg or .png).
    #[arg(long, value_name = "FILE", requires = "sweep_budget", value_parser = picture_file)]
    plot: Option<PathBuf>,
}

fn parse_bandwidth(text: &str) -> Result<f64, String> {
    let bytes = text.parse().ok().filter(|b| (1.0 / FINE..=1e6).contains(b));
    bytes.ok_or_else(|| "no bandwidth: give bytes per operation or cycle, 0.000001 to 1000000".into())
}

impl Args {
    /// Whether a plan is asked for.
    pub fn given(&self) -> bool {
        self.budget.is_some() || self.sweep_budget.is_some()
    }
}

/// The layer of a step of products, as far as sizes tell: strides and padding follow from the sizes of the maps.
fn layer_of(graph: &Graph, step: &Step) -> Option<Layer> {
    let sizes = |id: Option<&usize>| -> Option<[u32; 3]> {
        let shape: Vec<u32> =
            graph.tensors[*id?].shape.iter().filter_map(|&n| u32::try_from(n).ok()).collect();
        match shape[..] {
            [_, c, h, w] => Some([c, h, w]),
            [_, c, w] => Some([c, 1, w]),
            _ => None,
        }
    };
    let spec = match &step.op {
        Op::Conv(conv) if !conv.transposed => {
            let ([cin, h, w], [cout, oh, ow]) = (sizes(step.inputs.first())?, sizes(step.outputs.first())?);
            let [kh, kw] = match conv.kernel[..] {
                [kh, kw] => [u32::try_from(kh).ok()?, u32::try_from(kw).ok()?],
                _ => return None,
            };
            let axis = |n: u32, out: u32, k: u32| {
                let stride = ((n + out / 2) / out).max(1);
                let pad = ((out - 1) * stride + k).saturating_sub(n);
                (stride, pad / 2, pad - pad / 2)
            };
            let ((sh, pt, pb), (sw, pl, pr)) = (axis(h, oh, kh), axis(w, ow, kw));
            let groups = u32::try_from(conv.groups).ok()?;
            LayerSpec { cin, h, w, cout, kh, kw, sh, sw, pt, pb, pl, pr, groups, ..LayerSpec::default() }
        }
        Op::Dense(depth) => {
            let outputs = graph.tensors[*step.outputs.first()?].elements();
            LayerSpec {
                cin: u32::try_from(*depth).ok()?,
                cout: u32::try_from(outputs).ok()?,
                ..LayerSpec::default()
            }
        }
        _ => return None,
    };
    let layer = Layer::new(spec).ok()?;
    (layer.padded_macs() == step.macs).then_some(layer)
}

/// Cycles of a layer by itself on the cycle model; none if the config cannot run it.
fn layer_cycles(layer: &Layer, config: &Config, memory: &MemorySpec) -> Option<u64> {
    let plan = compiler::plan(layer, config).ok()?;
    let program = compiler::assemble(&plan, None).ok()?;
    let run = cyclemodel::run(config, &program, memory).ok()?;
    (run.status == Status::Ok).then_some(run.counters.cycles)
}

/// Cycles of each step. Convolutions and fully connected layers run by themselves, image by image; their backward steps are
/// one or two products of the same size. Steps that the config has no layer for, transposed convolutions among them, take the products at
/// the array's peak and their tensors' bytes at the bus' width, whichever is longer.
fn cycles(graph: &Graph, storage: &Storage, config: &Config) -> Result<Vec<u64>, Failure> {
    let memory = MemorySpec::default();
    memory.check(config.bus_bytes())?;
    let mut known: HashMap<Layer, Option<u64>> = HashMap::new();
    let bar = Bar::new();
    let mut forward = Vec::new();
    for step in &graph.steps {
        let layer = layer_of(graph, step).filter(|_| step.kind == Kind::Forward);
        forward.push(layer.and_then(|layer| {
            bar.say(format!("{layer}"));
            *known.entry(layer).or_insert_with(|| layer_cycles(&layer, config, &memory))
        }));
    }
    let peak = config.peak().max(1);
    let bus = u64::from(config.bus_bytes()).max(1);
    let one = |at: usize, step: &Step| {
        if step.op == Op::View {
            return 0;
        }
        let of_forward = match step.kind {
            Kind::Backward(of) if step.macs > 0 => {
                let products = step.macs / graph.steps[of].macs.max(1);
                forward[of].map(|cycles| cycles.saturating_mul(products))
            }
            Kind::Backward(_) => None,
            Kind::Forward => forward[at],
        };
        let all = || {
            let moved = step.inputs.iter().chain(&step.outputs);
            let bytes: u64 = moved.map(|&id| storage.of(graph, id)).fold(0, u64::saturating_add);
            let products = step.macs.saturating_mul(storage.images());
            bytes.div_ceil(bus).max(products.div_ceil(peak))
        };
        of_forward.map_or_else(all, |cycles| cycles.saturating_mul(storage.images()))
    };
    Ok(graph.steps.iter().enumerate().map(|(at, step)| one(at, step)).collect())
}

/// What a method makes of a budget.
#[derive(Serialize, Clone, Debug)]
struct Row {
    budget: u64,
    method: &'static str,
    /// Whether it finds a plan within the budget; if not, the other numbers are 0.
    feasible: bool,
    compute: u64,
    transfer: u64,
    moved_bytes: u64,
    total: u64,
    /// Of the total, above every step once.
    overhead_percent: f64,
    /// Most bytes on chip at a time.
    peak: u64,
}

/// Where a tensor is between its first step and its last.
#[derive(Serialize, Clone, Debug)]
struct Life {
    name: String,
    bytes: u64,
    fate: &'static str,
}

fn fate_name(fate: Fate) -> &'static str {
    match fate {
        Fate::Kept => "kept",
        Fate::Spilled => "spilled",
        Fate::Recomputed => "recomputed",
    }
}

/// What is the same for all budgets.
#[derive(Serialize, Clone, Debug)]
struct Subject {
    network: String,
    batch: u64,
    training: bool,
    /// What costs are counted in.
    unit: String,
    /// Steps of the plan: functions of an element and the like are part of the one before.
    steps: usize,
    /// Every step once.
    once: u64,
    /// Bytes of parameters and statistics, and in training of gradients of parameters, which the budget does not count.
    resident: u64,
    /// Bytes that keeping everything takes.
    keep_all: u64,
    /// The smallest budget that a heuristic has a plan for.
    smallest: u64,
    /// What no plan is below: the largest step.
    floor: u64,
}

#[derive(Serialize, Clone, Debug)]
struct BudgetReport {
    #[serde(flatten)]
    subject: Subject,
    budget: u64,
    /// Who has the cheapest plan.
    best: &'static str,
    /// What no plan of the solver's groups costs less than, whether its plan is proven to be the best of them, and how many
    /// they are.
    bound: u64,
    proven: bool,
    groups: usize,
    methods: Vec<Row>,
    /// Most bytes with offsets, and what no offsets are below.
    offsets_peak: u64,
    offsets_bound: u64,
    tensors: Vec<Life>,
}

#[derive(Serialize, Clone, Debug)]
struct SweepReport {
    #[serde(flatten)]
    subject: Subject,
    rows: Vec<Row>,
    /// By budget: what no plan of the solver's groups costs less than.
    bounds: Vec<Bound>,
}

#[derive(Serialize, Clone, Debug)]
struct Bound {
    budget: u64,
    best: Option<&'static str>,
    bound: u64,
    proven: bool,
}

fn rows(problem: &Problem, plan: &Plan, budget: u64) -> Vec<Row> {
    let row = |found: &remat::Found| {
        let cost = found.schedule.as_ref().map(|(_, cost)| *cost);
        let of = cost.unwrap_or_default();
        let once = problem.once().max(1) as f64;
        let overhead = cost.map_or(0.0, |cost| 100.0 * (cost.total() as f64 / once - 1.0));
        Row {
            budget,
            method: found.method.name(),
            feasible: cost.is_some(),
            compute: of.compute,
            transfer: of.transfer,
            moved_bytes: of.moved,
            total: of.total(),
            overhead_percent: overhead,
            peak: of.peak,
        }
    };
    plan.found.iter().map(row).collect()
}

fn csv_text<R: Serialize>(rows: impl IntoIterator<Item = R>) -> Result<String, Failure> {
    let mut csv = csv::Writer::from_writer(vec![]);
    for row in rows {
        csv.serialize(row)?;
    }
    let text = csv.into_inner().map_err(|e| Failure::Input(e.to_string()))?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn table(rows: &[Row]) {
    let head = ["budget", "method", "overhead", "compute", "transfers", "moved", "peak"].map(String::from);
    let row = |r: &Row| {
        if !r.feasible {
            return [
                human(r.budget),
                r.method.into(),
                "none".into(),
                String::new(),
                String::new(),
                String::new(),
                String::new(),
            ];
        }
        let overhead = format!("{:.2} %", r.overhead_percent);
        let [compute, transfer] = [r.compute, r.transfer].map(|n| n.to_string());
        [human(r.budget), r.method.into(), overhead, compute, transfer, human(r.moved_bytes), human(r.peak)]
    };
    print_table(&std::iter::once(head).chain(rows.iter().map(row)).collect::<Vec<_>>(), &[1]);
}

impl Subject {
    fn say(&self) {
        let Self { network, batch, unit, steps, once, resident, keep_all, smallest, floor, .. } = self;
        say!(
            "{network}, batch {batch}: {steps} steps of {once} {unit} in all; {} beside the budget.",
            human(*resident)
        );
        say!(
            "All kept: {}. Smallest budget with a plan: {}; none below {}.",
            human(*keep_all),
            human(*smallest),
            human(*floor)
        );
        say!("");
    }
}

impl Printed for BudgetReport {
    fn print_csv(&self) -> Outcome {
        crate::out::line(csv_text(&self.methods)?.trim_end());
        Ok(())
    }

    fn print_text(&self) {
        self.subject.say();
        table(&self.methods);
        say!("");
        let dropped: Vec<_> = self.tensors.iter().filter(|t| t.fate != "kept").collect();
        if !dropped.is_empty() {
            let head = ["tensor", "bytes", "is"].map(String::from);
            let row = |t: &&Life| [t.name.clone(), human(t.bytes), t.fate.to_owned()];
            print_table(&std::iter::once(head).chain(dropped.iter().map(row)).collect::<Vec<_>>(), &[0, 2]);
            say!("");
        }
        let verdict = if self.proven { "proven" } else { "the time was up" };
        say!(
            "Best: {}. In {} groups of steps no plan of the integer program's form costs less than {} ({verdict}).",
            self.best,
            self.groups,
            self.bound
        );
        say!("With offsets: {} (none below {}).", human(self.offsets_peak), human(self.offsets_bound));
    }
}

impl Printed for SweepReport {
    fn print_csv(&self) -> Outcome {
        crate::out::line(csv_text(&self.rows)?.trim_end());
        Ok(())
    }

    fn print_text(&self) {
        self.subject.say();
        table(&self.rows);
    }
}

/// One network, and how much work to put into it.
struct Planner<'a> {
    args: &'a Args,
    graph: &'a Graph,
    storage: &'a Storage,
    work: Workload,
    problem: Problem,
    limits: Limits,
    /// Ctrl-C was pressed.
    stop: Arc<AtomicBool>,
}

impl Planner<'_> {
    fn plan(&self, budget: u64) -> Plan {
        let bar = Bar::new();
        let once = self.problem.once().max(1) as f64;
        remat::plan(&self.problem, budget, &self.limits, &mut |progress| {
            let bound = progress.bound as f64 / once;
            let best = progress.best.map_or("no plan yet".to_owned(), |cost| {
                format!(
                    "{:.4} x every step once, gap {:.2} %",
                    cost as f64 / once,
                    100.0 * (cost as f64 / once / bound - 1.0).max(0.0)
                )
            });
            bar.say(format!("{}: {}; {best}", human(budget), progress.method));
            !self.stop.load(Ordering::Relaxed)
        })
    }

    fn write_schedule(&self, schedule: &Schedule) -> Outcome {
        #[derive(Serialize)]
        struct Line<'a> {
            action: &'a str,
            name: &'a str,
            bytes: u64,
        }
        let Some(path) = &self.args.schedule else { return Ok(()) };
        let tensor = |action, id: usize| {
            let tensor = &self.problem.tensors()[id];
            Line { action, name: &tensor.name, bytes: tensor.bytes }
        };
        let line = |action: &Action| match *action {
            Action::Compute(k) => Line { action: "compute", name: &self.problem.steps()[k].name, bytes: 0 },
            Action::Free(id) => tensor("free", id),
            Action::Out(id) => tensor("out", id),
            Action::In(id) => tensor("in", id),
        };
        write_file(path, csv_text(schedule.iter().map(line))?.as_bytes())
    }

    fn budget(&self, subject: Subject, budget: u64, output: &OutputArgs) -> Outcome {
        let plan = self.plan(budget);
        let Some((method, schedule, _)) = plan.best() else {
            return Err(Failure::Input(format!(
                "--budget {}: no plan is found in {budget} bytes; the smallest budget with one is {} bytes, and none is below {}: give \
                 at least that{}",
                Size(budget),
                subject.smallest,
                subject.floor,
                if self.args.spill.is_none() && budget >= subject.floor { ", or allow --spill" } else { "" }
            )));
        };
        self.write_schedule(schedule)?;
        if let Some(path) = &self.args.graph {
            let homes = self.work.fates(schedule).into_iter().map(|fate| match fate {
                None => Home::Unknown,
                Some(Fate::Kept) => Home::OnChip,
                Some(Fate::Spilled) => Home::OffChip,
                Some(Fate::Recomputed) => Home::Recomputed,
            });
            let steps = self.graph.steps.iter().filter(|s| s.kind == Kind::Forward).cloned().collect();
            let forward = Graph { steps, ..self.graph.clone() };
            let on = format!(", in {} on chip", human(budget));
            let drawn = picture(&forward, self.storage, homes.collect(), &on, Alike::Shape)?;
            write_picture(path, &drawn, PNG_SCALE)?;
        }
        let offsets = self.work.offsets(schedule, ALIGN)?;
        let start = Instant::now();
        let best = exact::minimise(&offsets, u64::MAX, &mut |_| {
            if start.elapsed() < self.limits.time && !self.stop.load(Ordering::Relaxed) {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        });
        let fates = remat::fates(&self.problem, schedule);
        let life = |(tensor, fate): (&remat::Tensor, Fate)| Life {
            name: tensor.name.clone(),
            bytes: tensor.bytes,
            fate: fate_name(fate),
        };
        let report = BudgetReport {
            subject,
            budget,
            best: method.name(),
            bound: plan.bound,
            proven: plan.proven,
            groups: plan.grouped,
            methods: rows(&self.problem, &plan, budget),
            offsets_peak: best.allocation.peak,
            offsets_bound: best.bound,
            tensors: self.problem.tensors().iter().zip(fates).map(life).collect(),
        };
        report.print(output)
    }

    fn sweep(&self, subject: Subject, points: u64, output: &OutputArgs) -> Outcome {
        let (least, most) = (subject.smallest, subject.keep_all.max(subject.smallest));
        let mut report = SweepReport { subject, rows: vec![], bounds: vec![] };
        for point in 0..points {
            let budget =
                least + (u128::from(most - least) * u128::from(point) / u128::from(points - 1)) as u64;
            let plan = self.plan(budget);
            report.rows.extend(rows(&self.problem, &plan, budget));
            report.bounds.push(Bound {
                budget,
                best: plan.best().map(|(method, ..)| method.name()),
                bound: plan.bound,
                proven: plan.proven,
            });
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
        }
        if let Some(path) = &self.args.plot {
            let of = |method: Method| {
                let rows = report.rows.iter().filter(|r| r.feasible && r.method == method.name());
                (
                    method.name().to_owned(),
                    rows.map(|r| [r.budget as f64, r.overhead_percent]).collect::<Vec<_>>(),
                )
            };
            let series: Vec<_> =
                Method::ALL.map(of).into_iter().filter(|(_, points)| !points.is_empty()).collect();
            let figure = budget_figure(&report.subject.network, &report.subject.unit, &series);
            let picture = svg(&figure, 1000, figure.height + 40)?;
            write_picture(path, &picture, PNG_SCALE)?;
        }
        report.print(output)
    }
}

/// Bytes that are on chip all the time.
fn resident(graph: &Graph, storage: &Storage) -> u64 {
    let roles = [Role::Weight, Role::Norm, Role::Statistic, Role::WeightGradient];
    let tensors = (0..graph.tensors.len()).filter(|&id| roles.contains(&graph.tensors[id].role));
    tensors.map(|id| storage.of(graph, id)).fold(0, u64::saturating_add)
}

/// Plans for a graph, forward or with its backward steps; `time` is for the solver, at each budget.
pub fn run(graph: &Graph, storage: &Storage, args: &Args, time: Duration, output: &OutputArgs) -> Outcome {
    let (costs, unit) = match args.cost.as_str() {
        "operations" => (operations(graph, storage), "operations".to_owned()),
        config => (cycles(graph, storage, &config_of(config)?)?, format!("cycles of {config}")),
    };
    let work = Workload::new(graph, storage, &costs)?;
    let rate = |bytes: f64| Rate { cost: FINE as u64, bytes: (bytes * FINE).round().max(1.0) as u64 };
    let problem = work.problem.clone().with(args.spill.map(rate), !args.no_recompute)?;
    let all = remat::heuristic::schedule(&problem, Method::KeepAll, u64::MAX);
    let keep_all =
        all.and_then(|schedule| remat::run(&problem, &schedule, u64::MAX).ok()).map_or(0, |cost| cost.peak);
    let (smallest, floor) = remat::smallest(&problem);
    let subject = Subject {
        network: graph.name.clone(),
        batch: storage.batch,
        training: graph.steps.iter().any(|s| s.kind != Kind::Forward),
        unit,
        steps: problem.steps().len(),
        once: problem.once(),
        resident: resident(graph, storage),
        keep_all,
        smallest,
        floor,
    };
    let stop = interrupt::flag()?;
    let limits = Limits { time, steps: args.groups as usize };
    let planner = Planner { args, graph, storage, work, problem, limits, stop };
    match (args.budget, args.sweep_budget) {
        (Some(budget), _) => planner.budget(subject, budget.0, output),
        (None, Some(points)) => planner.sweep(subject, points, output),
        (None, None) => Ok(()),
    }
}

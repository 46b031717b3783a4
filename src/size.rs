//! `koch size`.

use crate::args::{ConfigArgs, LayerArgs, MemoryArgs, OutputArgs};
use crate::network::bar;
use crate::out::{Printed, print_table};
use crate::proof::{self, Proof};
use crate::{Failure, Outcome};
use compiler::layer_table::LayerTable;
use compiler::network::Network;
use compiler::program::{Compiled, compile};
use compiler::size::{Buffers, Sizer, chained, together, total};
use indicatif::ProgressBar;
use metrics::Steps;
use rayon::prelude::*;
use serde::Serialize;
use spec::layer::Layer;
use spec::{Config, MemorySpec, Program, Size, Status};

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    layer: LayerArgs,
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    memory: MemoryArgs,
    /// Prove it on the RTL: with the buffers found, a monitor at the pins sees every address once; with one of them a
    /// step smaller, some address twice. A model runs whole, on random inputs.
    #[arg(long)]
    rtl: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Bytes of the buffers.
#[derive(Serialize, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    ibuf: u32,
    wbuf: u32,
    obuf: u32,
    rbuf: u32,
    pbuf: u32,
}

impl From<Buffers> for Sizes {
    fn from([ibuf, wbuf, obuf, rbuf, pbuf]: Buffers) -> Self {
        Self { ibuf, wbuf, obuf, rbuf, pbuf }
    }
}

impl Sizes {
    fn text(&self) -> String {
        let Self { ibuf, wbuf, obuf, rbuf, pbuf } = self;
        format!("--ibuf {ibuf} --wbuf {wbuf} --obuf {obuf} --rbuf {rbuf} --pbuf {pbuf}")
    }
}

/// Buffers, and what a layer does with them.
#[derive(Serialize, Clone, Debug)]
pub struct Found {
    buffers: Sizes,
    total: u64,
    strategy: &'static str,
    /// Bytes of tensors over the bus.
    bytes: u64,
    /// Cycles on its own, from a cold start.
    cycles: u64,
}

/// A buffer one step smaller.
#[derive(Serialize, Clone, Debug)]
pub struct Smaller {
    buffer: &'static str,
    size: u32,
    /// What the layer does then; none if it does not run at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<Found>,
}

/// The sizes of a layer.
#[derive(Serialize, Clone, Debug)]
pub struct LayerSize {
    name: String,
    /// How many times the network has such a layer.
    count: u32,
    layer: String,
    /// MACs, products with padding excluded.
    useful_macs: u64,
    /// Bytes of inputs, second operands, weights, biases, scales and outputs.
    once_only_bytes: u64,
    /// The smallest size of each buffer, the others being as large as can be. None if no buffers suffice.
    #[serde(skip_serializing_if = "Option::is_none")]
    each: Option<Sizes>,
    /// The smallest in sum, then the other combinations in which no buffer can be smaller alone.
    together: Vec<Found>,
    /// Each buffer of the smallest combination one step smaller, where it can be.
    smaller: Vec<Smaller>,
}

/// One set of buffers for all layers.
#[derive(Serialize, Clone, Debug)]
pub struct Whole {
    buffers: Sizes,
    total: u64,
}

/// The report of a network.
#[derive(Serialize, Clone, Debug)]
pub struct SizeReport {
    config: Config,
    network: String,
    /// The layer that needs most on its own, and how much.
    #[serde(skip_serializing_if = "Option::is_none")]
    largest: Option<(String, u64)>,
    /// The smallest buffers in sum with which every layer's tensors cross the bus once.
    #[serde(skip_serializing_if = "Option::is_none")]
    once_only: Option<Whole>,
    /// The smallest activation buffers with which no activation crosses the bus between layers, with the config's `wbuf` and
    /// `pbuf`.
    #[serde(skip_serializing_if = "Option::is_none")]
    on_chip: Option<Whole>,
    /// Tensors that can never stay on chip.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    never_on_chip: Vec<String>,
    layers: Vec<LayerSize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proof: Option<Proof>,
}

/// What is sized.
pub enum Subject {
    /// Different layers, each on its own.
    Layers(String, Vec<(String, Layer, u32)>),
    /// Steps of a network, with every tensor in memory.
    Network(Box<Network>, Box<Compiled>),
}

impl Subject {
    fn new(args: &LayerArgs, config: &Config) -> Result<Self, Failure> {
        if let Some(path) = &args.table {
            let table = LayerTable::load(path)?;
            let name =
                |layer: &Layer| table.layers.iter().find(|l| l.layer == *layer).map(|l| l.name.clone());
            let layers =
                table.shapes().into_iter().map(|(l, n)| (name(&l).unwrap_or_default(), l, n)).collect();
            return Ok(Self::Layers(table.name, layers));
        }
        if let Some(path) = args.network() {
            let network = Network::load(path)?;
            // Plans in the largest buffers, from which the sizes are found.
            let grids = config.grids();
            let largest = config.resized(grids.map(|g| g.most / g.unit * g.unit));
            let compiled = compile(&network, &largest, false)?;
            return Ok(Self::Network(Box::new(network), Box::new(compiled)));
        }
        let (name, layer, _) = args.shape()?;
        Ok(Self::Layers(name.clone(), vec![(name, layer, 1)]))
    }

    fn name(&self) -> &str {
        match self {
            Self::Layers(name, _) => name,
            Self::Network(network, _) => &network.name,
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Layers(_, layers) => layers.len(),
            Self::Network(_, compiled) => compiled.lowered.steps.len(),
        }
    }

    fn sizer(&self, index: usize, config: &Config) -> Sizer {
        match self {
            Self::Layers(_, layers) => Sizer::alone(&layers[index].1, config),
            Self::Network(_, compiled) => Sizer::of_plan(&compiled.plans()[index]),
        }
    }

    /// The program of a layer with these buffers, and its plan's strategy and bytes.
    fn program(
        &self,
        index: usize,
        sizer: &mut Sizer,
        config: &Config,
        buffers: Buffers,
    ) -> Option<(Program, &'static str, u64)> {
        let plan = match self {
            Self::Layers(_, layers) => compiler::plan(&layers[index].1, &config.resized(buffers)).ok()?,
            Self::Network(..) => sizer.plan(buffers)?,
        };
        let program = match self {
            Self::Layers(..) => compiler::assemble(&plan, None),
            Self::Network(_, compiled) => compiled.step_program(index, &plan),
        };
        Some((program.ok()?, plan.strategy(), plan.bytes()))
    }

    /// Name, count, shape, useful MACs and once-only bytes.
    fn facts(&self, index: usize, steps: Option<&Steps>, config: &Config) -> (String, u32, String, u64, u64) {
        match (self, steps) {
            (Self::Layers(_, layers), _) => {
                let (name, layer, count) = &layers[index];
                let bytes = compiler::once_only_bytes(layer, config);
                (name.clone(), *count, layer.to_string(), layer.useful_macs(), bytes)
            }
            (Self::Network(_, compiled), steps) => {
                let step = &compiled.lowered.steps[index];
                let macs = steps.map_or(0, |s| s.work(compiled, index).useful_macs);
                let name = compiled.lowered.name(step).to_owned();
                (name, 1, step.layer.to_string(), macs, compiled.once_only_bytes(index))
            }
        }
    }
}

fn found(
    subject: &Subject,
    index: usize,
    sizer: &mut Sizer,
    config: &Config,
    memory: &MemorySpec,
    buffers: Buffers,
) -> Option<Found> {
    let (program, strategy, bytes) = subject.program(index, sizer, config, buffers)?;
    let run = cyclemodel::run(&config.resized(buffers), &program, memory).ok()?;
    let cycles = run.counters.cycles;
    (run.status == Status::Ok).then(|| Found {
        buffers: buffers.into(),
        total: total(&buffers),
        strategy,
        bytes,
        cycles,
    })
}

fn layer_size(
    subject: &Subject,
    index: usize,
    steps: Option<&Steps>,
    config: &Config,
    memory: &MemorySpec,
) -> (LayerSize, Vec<Buffers>) {
    let mut sizer = subject.sizer(index, config);
    let front = sizer.front();
    let each = sizer.each();
    let mut of = |buffers: Buffers| found(subject, index, &mut sizer, config, memory, buffers);
    let mut smaller = Vec::new();
    if let Some(best) = front.first() {
        for (k, grid) in config.grids().iter().enumerate() {
            let mut buffers = *best;
            buffers[k] -= grid.unit;
            if buffers[k] >= grid.least {
                smaller.push(Smaller { buffer: grid.name, size: buffers[k], found: of(buffers) });
            }
        }
    }
    let (name, count, layer, useful_macs, once_only_bytes) = subject.facts(index, steps, config);
    let size = LayerSize {
        name,
        count,
        layer,
        useful_macs,
        once_only_bytes,
        each: each.map(Sizes::from),
        together: front.iter().filter_map(|b| of(*b)).collect(),
        smaller,
    };
    (size, front)
}

pub fn run(args: &Args) -> Outcome {
    let config = args.config.resolve()?;
    let memory = args.memory.resolve(&config)?;
    let subject = Subject::new(&args.layer, &config)?;
    let steps = match &subject {
        Subject::Network(_, compiled) => Some(Steps::new(compiled, 0..subject.len())?),
        Subject::Layers(..) => None,
    };
    let progress = bar(subject.len() as u64, "layers");
    let sizes: Vec<(LayerSize, Vec<Buffers>)> = (0..subject.len())
        .into_par_iter()
        .map(|index| {
            let size = layer_size(&subject, index, steps.as_ref(), &config, &memory);
            progress.inc(1);
            size
        })
        .collect();
    progress.finish_and_clear();
    let (layers, fronts): (Vec<LayerSize>, Vec<Vec<Buffers>>) = sizes.into_iter().unzip();
    let buffers = together(&fronts);
    let whole = |buffers: Buffers| Whole { buffers: buffers.into(), total: total(&buffers) };
    let chips = match &subject {
        Subject::Network(_, compiled) => {
            let spinner = ProgressBar::new_spinner().with_message("buffers for all activations");
            let chips = chained(&compiled.lowered, &config, || spinner.tick());
            spinner.finish_and_clear();
            chips
        }
        Subject::Layers(..) => None,
    };
    let largest = layers.iter().filter_map(|l| Some((l.name.clone(), l.together.first()?.total)));
    let proof = match (args.rtl, buffers) {
        (true, Some(buffers)) => Some(proof::run(&subject, &args.layer, &config, &memory, buffers)?),
        _ => None,
    };
    let report = SizeReport {
        network: subject.name().to_owned(),
        largest: largest.max_by_key(|(_, bytes)| *bytes),
        once_only: buffers.map(whole),
        on_chip: chips.as_ref().map(|c| whole(c.buffers)),
        never_on_chip: chips.map(|c| c.left).unwrap_or_default(),
        layers,
        proof,
        config,
    };
    report.print(&args.output)?;
    match &report.proof {
        Some(proof) => proof.verdict(),
        None => Ok(()),
    }
}

impl Printed for SizeReport {
    fn print_csv(&self) -> Outcome {
        let mut writer = csv::Writer::from_writer(std::io::stdout());
        let head = [
            "name",
            "count",
            "layer",
            "useful_macs",
            "once_only_bytes",
            "rank",
            "ibuf",
            "wbuf",
            "obuf",
            "rbuf",
            "pbuf",
            "total",
            "strategy",
            "bytes",
            "cycles",
        ];
        writer.write_record(head)?;
        for layer in &self.layers {
            for (rank, f) in layer.together.iter().enumerate() {
                let b = &f.buffers;
                let mut row = vec![layer.name.clone(), layer.count.to_string(), layer.layer.clone()];
                row.extend(
                    [layer.useful_macs, layer.once_only_bytes, rank as u64 + 1].map(|n| n.to_string()),
                );
                row.extend([b.ibuf, b.wbuf, b.obuf, b.rbuf, b.pbuf].map(|n| n.to_string()));
                row.extend([
                    f.total.to_string(),
                    f.strategy.to_owned(),
                    f.bytes.to_string(),
                    f.cycles.to_string(),
                ]);
                writer.write_record(&row)?;
            }
        }
        writer.flush()?;
        Ok(())
    }

    fn print_text(&self) {
        let c = &self.config;
        say!(
            "{} on {} ({} x {} MACs): the smallest buffers for which every tensor crosses the bus once",
            self.network,
            c.name,
            c.rows,
            c.cols
        );
        let head = [
            "name",
            "times",
            "MACs/byte",
            "ibuf",
            "wbuf",
            "obuf",
            "rbuf",
            "pbuf",
            "KiB",
            "cycles",
            "strategy",
            "a step less: bytes, cycles",
        ];
        let mut rows = vec![head.map(str::to_owned)];
        for layer in &self.layers {
            let intensity = layer.useful_macs as f64 / layer.once_only_bytes as f64;
            let Some(f) = layer.together.first() else {
                let mut row = [const { String::new() }; 12];
                row[0] = layer.name.clone();
                row[10] = "no buffers suffice".into();
                rows.push(row);
                continue;
            };
            let less = |s: &Smaller| match &s.found {
                Some(g) => format!(
                    "{} +{} B, {:+} cycles",
                    s.buffer,
                    g.bytes - f.bytes.min(g.bytes),
                    g.cycles as i64 - f.cycles as i64
                ),
                None => format!("{} does not run", s.buffer),
            };
            let less: Vec<String> = layer.smaller.iter().map(less).collect();
            let b = &f.buffers;
            rows.push([
                layer.name.clone(),
                layer.count.to_string(),
                format!("{intensity:.1}"),
                b.ibuf.to_string(),
                b.wbuf.to_string(),
                b.obuf.to_string(),
                b.rbuf.to_string(),
                b.pbuf.to_string(),
                format!("{:.1}", f.total as f64 / 1024.0),
                f.cycles.to_string(),
                f.strategy.to_owned(),
                less.join("; "),
            ]);
        }
        print_table(&rows, &[0, 10, 11]);
        if let Some((name, bytes)) = &self.largest {
            say!("largest layer: {name}, {:.1} KiB", *bytes as f64 / 1024.0);
        }
        let kib = |bytes: u64| bytes as f64 / 1024.0;
        match &self.once_only {
            Some(w) => say!("one set for all layers: {:.1} KiB: {}", kib(w.total), w.buffers.text()),
            None => say!("no set of buffers serves all layers"),
        }
        if let Some(w) = &self.on_chip {
            let b = &w.buffers;
            let activations = u64::from(b.ibuf) + u64::from(b.obuf) + u64::from(b.rbuf);
            say!(
                "no activation off chip between layers: {:.1} KiB of activation buffers: {}",
                kib(activations),
                b.text()
            );
        }
        if !self.never_on_chip.is_empty() {
            say!(
                "but for {} tensors that cannot stay on chip: {}",
                self.never_on_chip.len(),
                self.never_on_chip.join(" ")
            );
        }
        if let Some(proof) = &self.proof {
            proof.print();
        }
    }
}

/// A size as people write it.
pub fn human(bytes: u32) -> Size {
    Size(u64::from(bytes))
}

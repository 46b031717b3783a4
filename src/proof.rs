//! Buffer sizes proven on the RTL: a monitor at the pins counts how often each address is touched.

use crate::args::LayerArgs;
use crate::job::Job;
use crate::network::{NetworkJob, bar};
use crate::simulate::rtl;
use crate::size::{Subject, human};
use crate::{Failure, Outcome};
use compiler::size::{Buffers, Sizer};
use serde::Serialize;
use spec::layer::{Layer, LayerData};
use spec::{Config, MemorySpec, Program, Run, Status};
use testbench::{Audit, Rtl};

/// A run on the RTL with what the monitor saw.
#[derive(Serialize, Clone, Debug)]
pub struct Watched {
    /// The layer, or the network.
    name: String,
    /// Cycles on the RTL.
    cycles: u64,
    /// Whether outputs equal the reference's, and cycles and counters the model's.
    equal: bool,
    /// Bytes that loads ask for, and how many of them more than once for the same layer.
    bytes_read: u64,
    bytes_read_again: u64,
    /// Bus words read, how many more than once for the same layer, and how many of these because one run of bytes ends in the
    /// middle of a word and the next one starts there.
    words_read: u64,
    words_read_again: u64,
    words_shared: u64,
    /// Bytes written, and how many of them more than once.
    bytes_written: u64,
    bytes_written_again: u64,
    /// Addresses that were touched more or less often than the program asks for.
    unexplained: u64,
    /// Nothing was read or written twice.
    once: bool,
}

impl Watched {
    fn new(name: &str, run: &Run, equal: bool, audit: Audit) -> Self {
        Self {
            name: name.to_owned(),
            cycles: run.counters.cycles,
            equal,
            bytes_read: audit.bytes_read,
            bytes_read_again: audit.bytes_read_again,
            words_read: audit.words_read,
            words_read_again: audit.words_read_again,
            words_shared: audit.words_shared,
            bytes_written: audit.bytes_written,
            bytes_written_again: audit.bytes_written_again,
            unexplained: audit.unexplained,
            once: audit.is_once(),
        }
    }
}

/// One buffer a step smaller than found.
#[derive(Serialize, Clone, Debug)]
pub struct Below {
    buffer: &'static str,
    size: u32,
    /// A layer that is no longer served.
    layer: String,
    /// What the monitor saw of it; none if it does not run with so small a buffer.
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<Watched>,
}

/// What the RTL says of sizes.
#[derive(Serialize, Clone, Debug)]
pub struct Proof {
    /// With the buffers found: the network, or each layer of a table.
    at_size: Vec<Watched>,
    /// With each buffer a step smaller, where it can be.
    below: Vec<Below>,
}

impl Proof {
    /// An error if it is none.
    pub fn verdict(&self) -> Outcome {
        let fault = |w: &Watched| !w.equal || w.unexplained > 0;
        if let Some(w) = self.at_size.iter().find(|w| !w.once || fault(w)) {
            return Err(Failure::Mismatch(format!("{}: not every address is touched once: {w:?}", w.name)));
        }
        let twice = |w: &Watched| w.bytes_read_again > 0 && !fault(w);
        match self.below.iter().find(|b| b.run.as_ref().is_some_and(|w| !twice(w))) {
            Some(b) => Err(Failure::Mismatch(format!(
                "{} a step smaller: no address is touched twice: {b:?}",
                b.buffer
            ))),
            None => Ok(()),
        }
    }

    /// Prints text for a person.
    pub fn print(&self) {
        let sum = |of: &dyn Fn(&Watched) -> u64| self.at_size.iter().map(of).sum::<u64>();
        say!(
            "on the RTL: {} runs, {} cycles; outputs, cycles and counters {}",
            self.at_size.len(),
            sum(&|w| w.cycles),
            if self.at_size.iter().all(|w| w.equal) { "equal" } else { "DIFFERENT" }
        );
        say!(
            "  read {} bytes, {} of them again; {} bus words, {} of them again, {} shared by neighbours; written {} bytes, \
             {} of them again",
            sum(&|w| w.bytes_read),
            sum(&|w| w.bytes_read_again),
            sum(&|w| w.words_read),
            sum(&|w| w.words_read_again),
            sum(&|w| w.words_shared),
            sum(&|w| w.bytes_written),
            sum(&|w| w.bytes_written_again)
        );
        for b in &self.below {
            match &b.run {
                Some(w) => say!(
                    "  {} of {}: {} reads {} of {} bytes again, {} cycles",
                    b.buffer,
                    human(b.size),
                    b.layer,
                    w.bytes_read_again,
                    w.bytes_read,
                    w.cycles
                ),
                None => say!("  {} of {}: {} does not run", b.buffer, human(b.size), b.layer),
            }
        }
    }
}

/// Runs everything with the buffers found, and one layer with each of them a step smaller.
pub fn run(
    subject: &Subject,
    args: &LayerArgs,
    config: &Config,
    memory: &MemorySpec,
    buffers: Buffers,
) -> Result<Proof, Failure> {
    let sized = config.resized(buffers).renamed("sized")?;
    let (at, _) = rtl(&sized, None)?;
    let at_size = match subject {
        Subject::Layers(_, layers) => {
            let progress = bar(layers.len() as u64, "layers on the RTL");
            let watched = layers.iter().map(|(name, layer, _)| {
                let watched = lone(name, layer, &sized, memory, &at, args.seed);
                progress.inc(1);
                watched
            });
            let watched = watched.collect::<Result<_, _>>()?;
            progress.finish_and_clear();
            watched
        }
        Subject::Network(network, _) => {
            let job = NetworkJob::of(network, sized, memory.clone(), false, None)?;
            vec![whole(&job, &network.name, at, args.seed)?]
        }
    };
    let mut below = Vec::new();
    for (k, grid) in config.grids().iter().enumerate() {
        let mut smaller = buffers;
        smaller[k] -= grid.unit;
        if smaller[k] < grid.least {
            continue;
        }
        let Some((index, name, runs)) = unserved(subject, config, smaller) else { continue };
        if !runs {
            below.push(Below { buffer: grid.name, size: smaller[k], layer: name, run: None });
            continue;
        }
        let sized = config.resized(smaller).renamed("smaller")?;
        let run = match subject {
            Subject::Layers(_, layers) => {
                lone(&name, &layers[index].1, &sized, memory, &rtl(&sized, None)?.0, args.seed)?
            }
            Subject::Network(network, _) => {
                let step = Some(index..index + 1);
                let job = NetworkJob::of(network, sized.clone(), memory.clone(), false, step)?;
                whole(&job, &name, rtl(&sized, None)?.0, args.seed)?
            }
        };
        below.push(Below { buffer: grid.name, size: smaller[k], layer: name, run: Some(run) });
    }
    Ok(Proof { at_size, below })
}

/// A layer whose tensors do not cross the bus once with these buffers: its number, its name, and whether it runs, with each
/// tensor passing through the buffer that is named for it. One that does not at all comes first, because then a network does
/// not run as it is meant to.
fn unserved(subject: &Subject, config: &Config, buffers: Buffers) -> Option<(usize, String, bool)> {
    let sizers: Vec<(String, Sizer)> = match subject {
        Subject::Layers(_, layers) => {
            layers.iter().map(|(name, layer, _)| (name.clone(), Sizer::alone(layer, config))).collect()
        }
        Subject::Network(_, compiled) => {
            let name = |i: usize| compiled.lowered.name(&compiled.lowered.steps[i]).to_owned();
            compiled.plans().iter().enumerate().map(|(i, plan)| (name(i), Sizer::of_plan(plan))).collect()
        }
    };
    let mut found = None;
    for (index, (name, mut sizer)) in sizers.into_iter().enumerate() {
        match sizer.plan(buffers) {
            None => return Some((index, name, false)),
            Some(plan) if !plan.is_once_only() => {
                found.get_or_insert((index, name, true));
            }
            Some(_) => {}
        }
    }
    found
}

/// A layer on its own, on random numbers.
fn lone(
    name: &str,
    layer: &Layer,
    config: &Config,
    memory: &MemorySpec,
    rtl: &Rtl,
    seed: u64,
) -> Result<Watched, Failure> {
    let data = LayerData::random(layer, config.operand_bits, seed)?;
    let job = Job::new(config.clone(), memory.clone(), name.to_owned(), *layer, Some(&data))?;
    let model = job.model()?.0;
    let (run, touches) = watched(rtl, &job.program, memory, &model)?;
    let outputs = run.output.as_deref().map(|bytes| compiler::unpack_output(&data.quant, bytes));
    let equal = outputs.as_deref() == Some(reference::conv(layer, &data).as_slice())
        && run.counters == model.counters
        && run.status == Status::Ok;
    let audit = touches.audit(&job.program, std::slice::from_ref(&job.program))?;
    Ok(Watched::new(name, &run, equal, audit))
}

/// A network or some steps of it, on random inputs.
fn whole(job: &NetworkJob, name: &str, mut rtl: Rtl, seed: u64) -> Result<Watched, Failure> {
    let progress = bar(job.model()?.0.counters.cycles, "cycles");
    let shown = progress.clone();
    rtl.watch(move |cycle| shown.set_position(cycle));
    let values = job.random_values(seed)?;
    let program = job.program(&values)?;
    let model = job.model()?.0;
    let (run, touches) = watched(&rtl, &program, &job.memory, &model)?;
    progress.finish_and_clear();
    let image = job.image(0, &values, &run, &model)?;
    let layers = job.steps.range.clone().map(|i| job.compiled.program(i..i + 1, None));
    let audit = touches.audit(&program, &layers.collect::<Result<Vec<_>, _>>()?)?;
    Ok(Watched::new(name, &run, image.equal.all(), audit))
}

fn watched(
    rtl: &Rtl,
    program: &Program,
    memory: &MemorySpec,
    model: &Run,
) -> Result<(Run, testbench::Touches), Failure> {
    let limit = testbench::limit(model.counters.cycles);
    rtl.run_watched(program, memory, limit).map_err(|e| Failure::Mismatch(e.to_string()))
}

//! A network on a config and a memory: compiled once, run on any machine.

use crate::Failure;
use crate::args::NetworkArgs;
use crate::figures::{Equal, Seconds};
use crate::steps::{Image, NetworkReport};
use compiler::network::{Network, TensorId};
use compiler::npy::{self, Tensor};
use compiler::program::{Compiled, compile};
use indicatif::{ProgressBar, ProgressStyle};
use metrics::Steps;
use spec::rng::in_range;
use spec::{Config, Counters, MemorySpec, Program, Run, Status};
use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use testbench::Rtl;

/// What is to be run: steps of a network.
pub struct NetworkJob {
    pub config: Config,
    pub memory: MemorySpec,
    pub model: PathBuf,
    pub chain: bool,
    pub compiled: Compiled,
    pub steps: Steps,
    /// The code of the steps, which is all that timing needs.
    pub code: Program,
}

/// Images of an array.
pub struct Images {
    pub array: Tensor,
    pub indices: Range<usize>,
}

impl Images {
    /// `count` images of a file from `index` on, which must fit the network.
    pub fn load(network: &Network, path: &Path, index: usize, count: u64) -> Result<Self, Failure> {
        let array = npy::load(path)?;
        let end = index.saturating_add(usize::try_from(count).unwrap_or(usize::MAX));
        network.quantise_input(&array, end - 1)?;
        Ok(Self { array, indices: index..end })
    }
}

/// The values of all tensors for one image, if they can be computed.
pub type Values = Vec<Option<Vec<i32>>>;

impl NetworkJob {
    /// Compiles the steps that are meant.
    pub fn new(
        config: Config,
        memory: MemorySpec,
        model: &Path,
        args: &NetworkArgs,
    ) -> Result<Self, Failure> {
        let network = Network::load(model)?;
        let compiled = compile(&network, &config, args.chain())?;
        let steps = args.steps(compiled.lowered.steps.len())?;
        Self::compiled(compiled, config, memory, args.chain(), steps, model)
    }

    /// Compiles steps of a network that is there, all if none are given.
    pub fn of(
        network: &Network,
        config: Config,
        memory: MemorySpec,
        chain: bool,
        steps: Option<Range<usize>>,
    ) -> Result<Self, Failure> {
        let compiled = compile(network, &config, chain)?;
        let steps = steps.unwrap_or(0..compiled.lowered.steps.len());
        Self::compiled(compiled, config, memory, chain, steps, Path::new(&network.name))
    }

    fn compiled(
        compiled: Compiled,
        config: Config,
        memory: MemorySpec,
        chain: bool,
        steps: Range<usize>,
        model: &Path,
    ) -> Result<Self, Failure> {
        let code = compiled.program(steps.clone(), None)?;
        let steps = Steps::new(&compiled, steps)?;
        Ok(Self { config, memory, model: model.to_owned(), chain, compiled, steps, code })
    }

    /// The values of all tensors for random inputs.
    pub fn random_values(&self, seed: u64) -> Result<Values, Failure> {
        let network = self.network();
        let input = network.inputs.first().map(|&id| {
            let (info, state) = (&network.tensors[id], &mut seed.clone());
            let (lo, hi) = info.range();
            (0..info.len()).map(|_| in_range(state, lo, hi)).collect()
        });
        Ok(network.run(input.unwrap_or_default())?)
    }

    /// The network as the steps see it.
    pub fn network(&self) -> &Network {
        &self.compiled.lowered.network
    }

    /// Runs the cycle model; with the seconds it took.
    pub fn model(&self) -> Result<(Run, f64), Failure> {
        let start = Instant::now();
        let run = cyclemodel::run(&self.config, &self.code, &self.memory)?;
        if run.status != Status::Ok {
            return Err(Failure::Mismatch(format!(
                "the cycle model ends with status {} after {} cycles; please report the network and the config",
                run.status, run.counters.cycles
            )));
        }
        Ok((run, start.elapsed().as_secs_f64()))
    }

    /// The report of the model alone.
    pub fn predict(&self) -> Result<NetworkReport, Failure> {
        let (model, seconds) = self.model()?;
        let seconds = Seconds { model: seconds, ..Seconds::default() };
        Ok(NetworkReport::new(self, &model, None, Vec::new(), seconds))
    }

    /// Runs images on the RTL and compares everything with the model and the reference.
    pub fn compare(&self, images: &Images, rtl: &mut Rtl, build: f64) -> Result<NetworkReport, Failure> {
        let (model, model_seconds) = self.model()?;
        let mut seconds = Seconds { build, run: 0.0, model: model_seconds };
        let cycles = model.counters.cycles;
        let bar = bar(cycles * images.indices.len() as u64, "cycles");
        let before = Arc::new(AtomicU64::new(0));
        let (shown, base) = (bar.clone(), before.clone());
        rtl.watch(move |cycle| shown.set_position(base.load(Ordering::Relaxed) + cycle));
        let mut reports = Vec::new();
        let mut first = None;
        for index in images.indices.clone() {
            let values = self.network().run(self.network().quantise_input(&images.array, index)?)?;
            let program = self.program(&values)?;
            let start = Instant::now();
            // A run that takes four times as long as predicted is a mismatch, and one that never ends is cut off.
            let run = rtl
                .run(&program, &self.memory, testbench::limit(cycles))
                .map_err(|e| Failure::Mismatch(format!("image {index}: {e}")))?;
            seconds.run += start.elapsed().as_secs_f64();
            before.fetch_add(run.counters.cycles, Ordering::Relaxed);
            let report = self.image(index, &values, &run, &model)?;
            let differs = report.difference.is_some();
            reports.push(report);
            first.get_or_insert(run);
            if differs {
                break;
            }
        }
        bar.finish_and_clear();
        Ok(NetworkReport::new(self, &model, first.as_ref(), reports, seconds))
    }

    /// The program with all that the steps read and do not compute.
    pub fn program(&self, values: &Values) -> Result<Program, Failure> {
        let given: Vec<(TensorId, &[i32])> =
            self.given().into_iter().filter_map(|id| Some((id, values[id].as_deref()?))).collect();
        Ok(self.compiled.program(self.steps.range.clone(), Some(&given))?)
    }

    /// Tensors that are there before the steps: of those that earlier steps compute, only what is read.
    fn given(&self) -> Vec<TensorId> {
        let lowered = &self.compiled.lowered;
        let steps = &lowered.steps[self.steps.range.clone()];
        let whole = |id: TensorId| lowered.parts[id].whole;
        let read: BTreeSet<TensorId> =
            steps.iter().flat_map(|s| [Some(s.input), s.second]).flatten().map(whole).collect();
        let earlier = lowered.steps[..self.steps.range.start].iter().map(|s| s.output);
        let all = lowered.network.inputs.iter().copied().chain(earlier);
        all.filter(|&id| read.contains(&whole(id))).collect()
    }

    /// Compares a run on the RTL with the model and the reference.
    pub fn image(&self, index: usize, values: &Values, rtl: &Run, model: &Run) -> Result<Image, Failure> {
        let memory = rtl.output.as_deref().unwrap_or_default();
        let wrong = if rtl.status == Status::Ok {
            self.wrong_element(values, memory)
        } else {
            Some(format!("the RTL ends with status {}", rtl.status))
        };
        let (marks, counters) = (wrong_mark(rtl, model), wrong_counter(&rtl.counters, &model.counters));
        let equal = Equal {
            outputs: wrong.is_none(),
            cycles: rtl.counters.cycles == model.counters.cycles,
            counters: counters.is_none() && marks.is_none() && rtl.status == model.status,
        };
        let last = self.steps.range.end == self.compiled.lowered.steps.len();
        let outputs =
            if last { self.network().host_outputs(&self.elements(memory, values))? } else { Vec::new() };
        let difference = wrong.or(marks).or(counters);
        Ok(Image { index, cycles: rtl.counters.cycles, equal, difference, outputs: Image::outputs(outputs) })
    }

    /// The tensors that the host reads, from memory after a run.
    fn elements(&self, memory: &[u8], values: &Values) -> Values {
        let network = self.network();
        let element = |id: usize| {
            if !network.outputs.contains(&id) {
                return None;
            }
            self.compiled.elements(id, memory).or_else(|| values[id].clone())
        };
        (0..values.len()).map(element).collect()
    }

    /// The first element in memory that is not that of the reference, in the order of the steps.
    fn wrong_element(&self, values: &Values, memory: &[u8]) -> Option<String> {
        let (lowered, network) = (&self.compiled.lowered, self.network());
        let computed = self.steps.range.clone().map(|i| (Some(i), lowered.steps[i].output));
        let given = self.given().into_iter().map(|id| (None, id));
        for (step, id) in computed.chain(given) {
            let (Some(want), Some(_)) = (&values[id], self.compiled.region(id)) else { continue };
            let t = &network.tensors[id];
            let at = match step {
                Some(i) => format!("step {} ({})", i + 1, lowered.name(&lowered.steps[i])),
                None => "what no step writes".to_owned(),
            };
            let Some(got) = self.compiled.elements(id, memory) else {
                return Some(format!("{at}: tensor {} is not in memory", t.name));
            };
            if let Some(k) = (0..want.len()).find(|&k| got[k] != want[k]) {
                let (c, w) = (t.c as usize, t.w as usize);
                return Some(format!(
                    "{at}, tensor {}, row {}, column {}, channel {}: {} on the RTL, {} by the reference",
                    t.name,
                    k / c / w,
                    k / c % w,
                    k % c,
                    got[k],
                    want[k]
                ));
            }
        }
        None
    }
}

/// The first step that does not start alike.
fn wrong_mark(rtl: &Run, model: &Run) -> Option<String> {
    let (rtl, model) = (&rtl.marks, &model.marks);
    match rtl.iter().zip(model).find(|(a, b)| a != b) {
        Some((a, b)) if a.layer == b.layer => wrong_counter(&a.counters, &b.counters)
            .map(|text| format!("at the start of step {}: {text}", a.layer)),
        Some((a, b)) => Some(format!("step {} starts on the RTL, step {} in the model", a.layer, b.layer)),
        None if rtl.len() != model.len() => {
            Some(format!("{} steps start on the RTL, {} in the model", rtl.len(), model.len()))
        }
        None => None,
    }
}

fn wrong_counter(rtl: &Counters, model: &Counters) -> Option<String> {
    let values = rtl.values().into_iter().zip(model.values());
    let mut named = Counters::ALL.iter().zip(values);
    let ((name, _), (a, b)) = named.find(|(_, (a, b))| a != b)?;
    Some(format!("counter {name} is {a} on the RTL, {b} in the model"))
}

/// A progress bar over what `unit` names.
pub fn bar(count: u64, unit: &str) -> ProgressBar {
    let template = format!("{{wide_bar}} {{human_pos}}/{{human_len}} {unit}, {{per_sec}}, {{eta}} left");
    let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(count).with_style(style)
}

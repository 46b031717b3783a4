//! What a run of a network reports, step by step and in sum: JSON, CSV or text.

use crate::figures::{Equal, Machine, Seconds};
use crate::network::NetworkJob;
use crate::out::{Printed, print_table};
use crate::{Failure, Outcome};
use compiler::network::TensorId;
use compiler::npy::{Tensor, Values};
use metrics::{Figures, Work, moved_bytes};
use serde::Serialize;
use spec::{Config, Counters, Run};

/// A step, or several in sum.
#[derive(Serialize, Clone, Debug)]
pub struct Line {
    /// Number, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<usize>,
    /// Name of its first node, or what it is the sum of.
    pub name: String,
    /// The nodes that it computes in one pass.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<String>,
    /// What it does.
    pub kind: &'static str,
    /// Shape of the reduction; of a sum, how many steps there are.
    pub layer: String,
    /// What the compiler chose.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub strategy: &'static str,
    /// Where the input is: `memory` or `chip`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<&'static str>,
    /// Where the second operand is, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub second: Option<&'static str>,
    /// Where the output is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<&'static str>,
    /// Instructions.
    pub instructions: u64,
    /// The RTL, if it ran and told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtl: Option<Machine>,
    /// The cycle model, if it told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<Machine>,
    /// What came of it.
    #[serde(flatten)]
    pub figures: Figures,
}

impl Line {
    fn machine(&self) -> Option<&Machine> {
        self.rtl.as_ref().or(self.model.as_ref())
    }
}

/// One output of the file.
#[derive(Serialize, Clone, Debug)]
pub struct Output {
    /// Name in the file.
    pub name: String,
    /// Sizes.
    pub shape: Vec<usize>,
    /// Elements.
    pub values: Vec<f64>,
    /// The largest element's index, if it is a vector.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top1: Option<usize>,
}

/// One image on the RTL.
#[derive(Serialize, Clone, Debug)]
pub struct Image {
    /// Which one.
    pub index: usize,
    /// Cycles on the RTL.
    pub cycles: u64,
    /// The comparison.
    pub equal: Equal,
    /// The first difference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference: Option<String>,
    /// What the host makes of the machine's outputs.
    pub outputs: Vec<Output>,
}

impl Image {
    /// Outputs of the file.
    pub fn outputs(tensors: Vec<(String, Tensor)>) -> Vec<Output> {
        let output = |(name, tensor): (String, Tensor)| {
            let values = floats(&tensor);
            let vector = values.len() > 1 && tensor.shape.iter().filter(|&&n| n > 1).count() == 1;
            let best = (0..values.len()).reduce(|a, b| if values[b] > values[a] { b } else { a });
            Output { name, shape: tensor.shape, values, top1: best.filter(|_| vector) }
        };
        tensors.into_iter().map(output).collect()
    }
}

/// The elements of a tensor, exactly.
pub fn floats(tensor: &Tensor) -> Vec<f64> {
    match &tensor.values {
        Values::Ints(v) => v.iter().map(|&v| f64::from(v)).collect(),
        Values::Floats(v) => v.iter().map(|&v| f64::from(v)).collect(),
    }
}

/// The report of a network.
#[derive(Serialize, Clone, Debug)]
pub struct NetworkReport {
    /// The hardware.
    pub config: Config,
    /// Start of the SHA-256 of the config.
    pub config_hash: String,
    /// Name of the network.
    pub network: String,
    /// The file.
    pub source: String,
    /// Whether tensors may stay on chip from step to step.
    pub chain: bool,
    /// Steps of the whole network.
    pub network_steps: usize,
    /// The comparison, if the RTL ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub equal: Option<Equal>,
    /// All steps that ran.
    pub total: Line,
    /// Those of them that are convolutions.
    pub convolutions: Line,
    /// Those that are fully connected layers.
    pub fully_connected: Line,
    /// Each of them.
    pub steps: Vec<Line>,
    /// Operators that are left to the host.
    pub host: Vec<String>,
    /// Outputs of the first image, if the RTL ran and the last step is among the steps.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<Output>,
    /// The class of the first image, if its first output is a vector.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top1: Option<usize>,
    /// Each image.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<Image>,
    /// RTL cycles of all images per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtl_cycles_per_second: Option<f64>,
    /// Wall-clock time.
    pub seconds: Seconds,
}

impl NetworkReport {
    /// Works the ratios out from the machine that counts: the RTL if it ran, else the model.
    pub fn new(
        job: &NetworkJob,
        model: &Run,
        rtl: Option<&Run>,
        images: Vec<Image>,
        seconds: Seconds,
    ) -> Self {
        let machines = [rtl, Some(model)];
        let by_step = machines.map(|run| run.and_then(|run| job.steps.by_step(run)));
        let steps: Vec<Line> = job.steps.range.clone().map(|i| line(job, i, &by_step)).collect();
        let sum = |name: &'static str, counts: &dyn Fn(&str) -> bool| {
            let chosen: Vec<usize> = (0..steps.len()).filter(|&i| counts(steps[i].kind)).collect();
            let all = chosen.len() == steps.len();
            let counters = [0, 1].map(|m| match (machines[m], &by_step[m]) {
                (Some(run), _) if all => Some(run.counters),
                (_, Some(by_step)) => Some(sum_counters(chosen.iter().map(|&i| &by_step[i]))),
                _ => None,
            });
            let (mut work, mut bound) = (Work::default(), 0.0);
            for &i in &chosen {
                let step = job.steps.work(&job.compiled, job.steps.range.start + i);
                bound += step.bound(&job.config, &job.memory);
                work += step;
            }
            let instructions = chosen.iter().map(|&i| steps[i].instructions).sum();
            Line {
                step: None,
                name: name.to_owned(),
                nodes: Vec::new(),
                kind: "sum",
                layer: format!("{} of {} steps", chosen.len(), job.compiled.lowered.steps.len()),
                strategy: "",
                input: None,
                second: None,
                output: None,
                instructions,
                rtl: counters[0].map(Machine::of),
                model: counters[1].map(Machine::of),
                figures: figures(job, work, bound, counters[0].or(counters[1])),
            }
        };
        let equal = images.iter().map(|i| i.equal).reduce(Equal::and);
        let cycles: u64 = images.iter().map(|i| i.cycles).sum();
        let outputs = images.first().map(|i| i.outputs.clone()).unwrap_or_default();
        let network = job.network();
        Self {
            config: job.config.clone(),
            config_hash: job.config.hash(),
            network: network.name.clone(),
            source: job.model.display().to_string(),
            chain: job.chain,
            network_steps: job.compiled.lowered.steps.len(),
            equal,
            total: sum("total", &|_| true),
            convolutions: sum("convolutions", &|kind| kind == "conv" || kind == "depthwise"),
            fully_connected: sum("fully connected", &|kind| kind == "fc"),
            host: network.host.iter().map(|op| format!("{}: {}", op.name, op.what)).collect(),
            top1: outputs.first().and_then(|o| o.top1),
            outputs,
            rtl_cycles_per_second: (seconds.run > 0.0).then(|| cycles as f64 / seconds.run),
            steps,
            images,
            seconds,
        }
    }

    fn lines(&self) -> impl Iterator<Item = &Line> {
        self.steps.iter().chain([&self.convolutions, &self.fully_connected, &self.total])
    }

    /// An error if the machines differ.
    pub fn verdict(&self) -> Outcome {
        match self.images.iter().find(|i| !i.equal.all()) {
            Some(image) => Err(Failure::Mismatch(format!(
                "{} on {} ({}), image {}: {}",
                self.network,
                self.config.name,
                self.config_hash,
                image.index,
                image.difference.as_deref().unwrap_or("the machines differ")
            ))),
            None => Ok(()),
        }
    }
}

impl Printed for NetworkReport {
    fn print_csv(&self) -> Outcome {
        let mut writer = csv::Writer::from_writer(std::io::stdout());
        let mut names: Vec<String> = [
            "config",
            "network",
            "step",
            "name",
            "nodes",
            "kind",
            "layer",
            "strategy",
            "input",
            "second",
            "output",
            "instructions",
            "cycles",
            "mac_busy_cycles",
        ]
        .map(String::from)
        .to_vec();
        let Some(total) = self.total.machine() else { return Ok(()) };
        names.extend(total.stalls.keys().map(|name| format!("stall_{name}")));
        names.extend(total.bytes.keys().map(|name| format!("bytes_{name}")));
        let figures = [
            "useful_macs",
            "padded_macs",
            "efficiency",
            "roofline_efficiency",
            "roofline_cycles",
            "once_only_bytes",
            "traffic_ratio",
            "bus_utilisation",
            "equal",
        ];
        names.extend(figures.map(String::from));
        writer.write_record(&names)?;
        for line in self.lines() {
            let place = |place: Option<&str>| place.unwrap_or_default().to_owned();
            let mut row = vec![
                self.config.name.clone(),
                self.network.clone(),
                line.step.map_or_else(String::new, |n| n.to_string()),
                line.name.clone(),
                line.nodes.join(" + "),
                line.kind.to_owned(),
                line.layer.clone(),
                line.strategy.to_owned(),
                place(line.input),
                place(line.second),
                place(line.output),
                line.instructions.to_string(),
            ];
            match line.machine() {
                Some(m) => {
                    let maps = m.stalls.values().chain(m.bytes.values());
                    row.extend([m.cycles, m.mac_busy_cycles].iter().chain(maps).map(u64::to_string));
                }
                None => row.resize(names.len() - figures.len(), String::new()),
            }
            let f = &line.figures;
            let ratio = |value: f64| if value.is_finite() { format!("{value:.6}") } else { String::new() };
            row.extend([
                f.useful_macs.to_string(),
                f.padded_macs.to_string(),
                ratio(f.efficiency),
                ratio(f.roofline_efficiency),
                ratio(f.roofline_cycles),
                f.once_only_bytes.to_string(),
                ratio(f.traffic_ratio),
                ratio(f.bus_utilisation),
                self.equal.map_or_else(String::new, |e| e.all().to_string()),
            ]);
            writer.write_record(&row)?;
        }
        writer.flush()?;
        Ok(())
    }

    fn print_text(&self) {
        let c = &self.config;
        say!(
            "{} on {} ({} x {} MACs, {} bit bus), {}",
            self.network,
            c.name,
            c.rows,
            c.cols,
            c.bus_bits,
            if self.chain { "tensors on chip where they fit" } else { "all tensors in memory" }
        );
        let head = [
            "",
            "name",
            "kind",
            "cycles",
            "busy %",
            "idle most",
            "MACs",
            "efficiency %",
            "roofline %",
            "bytes",
            "traffic",
            "from",
            "to",
            "strategy",
        ];
        let mut rows = vec![head.map(str::to_owned)];
        rows.extend(self.lines().map(row));
        print_table(&rows, &[1, 2, 5, 11, 12, 13]);
        say!("useful MACs, padding excluded; traffic and roofline as if each step were a layer on its own");
        for op in &self.host {
            say!("left to the host: {op}");
        }
        for image in &self.images {
            let same = |equal: bool| if equal { "equal" } else { "DIFFERENT" };
            say!(
                "image {}: {} cycles; tensors {} (RTL, reference), cycles {}, counters {} (RTL, model)",
                image.index,
                image.cycles,
                same(image.equal.outputs),
                same(image.equal.cycles),
                same(image.equal.counters)
            );
            for output in &image.outputs {
                let sizes: Vec<String> = output.shape.iter().map(usize::to_string).collect();
                let values: Vec<String> = output.values.iter().take(10).map(f64::to_string).collect();
                say!(
                    "  {} ({}): {}{}{}",
                    output.name,
                    sizes.join(" x "),
                    values.join(" "),
                    if output.values.len() > 10 { " ..." } else { "" },
                    output.top1.map_or_else(String::new, |class| format!("; class {class}"))
                );
            }
        }
        if let Some(speed) = self.rtl_cycles_per_second {
            say!("RTL: {:.1} s, {:.2} M cycles/s", self.seconds.run, speed / 1e6);
        }
    }
}

fn figures(job: &NetworkJob, mut work: Work, bound: f64, counters: Option<Counters>) -> Figures {
    if let Some(counters) = counters {
        work.moved_bytes = moved_bytes(&counters);
    }
    Figures::bounded(work, bound, counters.map(|c| c.cycles), &job.config, &job.memory)
}

fn sum_counters<'a>(all: impl Iterator<Item = &'a Counters>) -> Counters {
    let mut sum = Counters::default().values();
    for counters in all {
        sum.iter_mut().zip(counters.values()).for_each(|(sum, value)| *sum += value);
    }
    Counters::from_values(&sum)
}

fn line(job: &NetworkJob, index: usize, by_step: &[Option<Vec<Counters>>; 2]) -> Line {
    let lowered = &job.compiled.lowered;
    let step = &lowered.steps[index];
    let at = index - job.steps.range.start;
    let work = job.steps.work(&job.compiled, index);
    let place = |id: TensorId| if job.compiled.chip(id).is_some() { "chip" } else { "memory" };
    let counters = [0, 1].map(|m| by_step[m].as_ref().map(|all: &Vec<Counters>| all[at]));
    Line {
        step: Some(index + 1),
        name: lowered.name(step).to_owned(),
        nodes: step.nodes.iter().map(|&n| lowered.network.nodes[n].name.clone()).collect(),
        kind: job.steps.kind(&job.compiled, index),
        layer: step.layer.to_string(),
        strategy: job.compiled.plans()[index].strategy(),
        input: Some(place(step.input)),
        second: step.second.map(place),
        output: Some(place(step.output)),
        instructions: job.steps.traffic[at].instructions,
        rtl: counters[0].map(Machine::of),
        model: counters[1].map(Machine::of),
        figures: figures(job, work, work.bound(&job.config, &job.memory), counters[0].or(counters[1])),
    }
}

fn row(line: &Line) -> [String; 14] {
    let machine = line.machine();
    let of = |value: &dyn Fn(&Machine) -> String| machine.map_or_else(|| "-".to_owned(), value);
    let ratio = |value: f64, digits: usize| {
        if value.is_finite() { format!("{value:.digits$}") } else { "-".to_owned() }
    };
    let f = &line.figures;
    let from = [line.input, line.second].into_iter().flatten().collect::<Vec<_>>().join("+");
    let more = line.nodes.len().saturating_sub(1);
    [
        line.step.map_or_else(String::new, |n| n.to_string()),
        if more > 0 { format!("{} +{more}", line.name) } else { line.name.clone() },
        if line.step.is_some() { line.kind.to_owned() } else { line.layer.clone() },
        of(&|m| m.cycles.to_string()),
        of(&|m| ratio(100.0 * m.mac_busy_cycles as f64 / m.cycles as f64, 1)),
        of(&|m| {
            let most = m.stalls.iter().filter(|(_, cycles)| **cycles > 0).max_by_key(|(_, cycles)| **cycles);
            let share = |cycles: u64| ratio(100.0 * cycles as f64 / m.cycles as f64, 1);
            most.map_or_else(|| "-".to_owned(), |(name, &cycles)| format!("{name} {} %", share(cycles)))
        }),
        f.useful_macs.to_string(),
        ratio(100.0 * f.efficiency, 2),
        ratio(100.0 * f.roofline_efficiency, 2),
        of(&|m| (m.bytes.values().sum::<u64>() - m.bytes["program"]).to_string()),
        ratio(f.traffic_ratio, 3),
        from,
        line.output.unwrap_or_default().to_owned(),
        line.strategy.to_owned(),
    ]
}

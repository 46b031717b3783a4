//! What a run of a layer reports: JSON, CSV or text.

use crate::job::Job;
use crate::out::Printed;
use crate::{Failure, Outcome};
use metrics::{Figures, Work};
use serde::Serialize;
use spec::{Config, Counters, Run, Status};
use std::collections::BTreeMap;

/// What one machine did.
#[derive(Serialize, Clone, Debug)]
pub struct Machine {
    /// How the run ended.
    pub status: Status,
    /// Cycles from start to end.
    pub cycles: u64,
    /// Cycles in which the array was fed.
    pub mac_busy_cycles: u64,
    /// Bus bytes read, program included.
    pub bytes_read: u64,
    /// Bus bytes written.
    pub bytes_written: u64,
    /// Bus bytes by class.
    pub bytes: BTreeMap<&'static str, u64>,
    /// Idle cycles by cause; with `mac_busy_cycles` they sum to `cycles`.
    pub stalls: BTreeMap<&'static str, u64>,
}

impl Machine {
    /// From counters alone.
    pub fn of(counters: Counters) -> Self {
        Self::new(&Run { counters, ..Run::default() })
    }

    /// From the counters of a run.
    pub fn new(run: &Run) -> Self {
        let c = &run.counters;
        let named = |prefix: &'static str| {
            Counters::ALL
                .iter()
                .zip(c.values())
                .filter_map(move |((name, _), value)| Some((name.strip_prefix(prefix)?, value)))
                .collect::<BTreeMap<_, _>>()
        };
        let mut bytes = named("read_");
        bytes.insert("output", c.written);
        Self {
            status: run.status,
            cycles: c.cycles,
            mac_busy_cycles: c.busy,
            bytes_read: c.bytes_read(),
            bytes_written: c.written,
            bytes,
            stalls: named("idle_"),
        }
    }
}

/// Whether the machines agree.
#[derive(Serialize, Clone, Copy, Debug)]
pub struct Equal {
    /// RTL and reference, every output.
    pub outputs: bool,
    /// RTL and model.
    pub cycles: bool,
    /// RTL and model, every counter, at every mark and at the end.
    pub counters: bool,
}

impl Equal {
    /// Both comparisons.
    pub fn and(self, other: Self) -> Self {
        Self {
            outputs: self.outputs && other.outputs,
            cycles: self.cycles && other.cycles,
            counters: self.counters && other.counters,
        }
    }

    /// An error that names what ran, if the machines differ.
    pub fn verdict(self, name: &str, config: &Config) -> Outcome {
        if self.all() {
            return Ok(());
        }
        Err(Failure::Mismatch(format!(
            "{name} on {} ({}): outputs equal: {}, cycles equal: {}, counters equal: {}",
            config.name,
            config.hash(),
            self.outputs,
            self.cycles,
            self.counters
        )))
    }

    /// Whether all is equal.
    pub fn all(self) -> bool {
        self.outputs && self.cycles && self.counters
    }
}

/// Wall-clock seconds.
#[derive(Serialize, Clone, Copy, Debug, Default)]
pub struct Seconds {
    /// Building the Verilated model (near zero when it is in the cache).
    pub build: f64,
    /// Running the RTL.
    pub run: f64,
    /// Running the cycle model.
    pub model: f64,
}

/// The report of one layer.
#[derive(Serialize, Clone, Debug)]
pub struct Report {
    /// The hardware.
    pub config: Config,
    /// Start of the SHA-256 of the config.
    pub config_hash: String,
    /// The layer.
    pub layer: String,
    /// Where the layer and its numbers come from.
    pub source: String,
    /// What the compiler chose.
    pub strategy: String,
    /// The RTL, if it ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtl: Option<Machine>,
    /// The cycle model.
    pub model: Machine,
    /// The comparison, if the RTL ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub equal: Option<Equal>,
    /// The counters of the machine that counts.
    #[serde(skip)]
    pub counters: Counters,
    /// What there was to do.
    #[serde(skip)]
    pub work: Work,
    /// What came of it.
    #[serde(flatten)]
    pub figures: Figures,
    /// Wall-clock time.
    pub seconds: Seconds,
}

impl Report {
    /// Works the ratios out from the machine that counts: the RTL if it ran, else the model.
    pub fn new(job: &Job, model: &Run, rtl: Option<(&Run, Equal)>, seconds: Seconds) -> Self {
        let Job { config, layer, .. } = job;
        let counted = rtl.map_or(model, |(run, _)| run).counters;
        let work = Work::of_layer(layer, config, &counted);
        Self {
            config: config.clone(),
            config_hash: config.hash(),
            layer: layer.to_string(),
            source: job.source.clone(),
            strategy: job.plan.strategy().to_owned(),
            rtl: rtl.map(|(run, _)| Machine::new(run)),
            model: Machine::new(model),
            equal: rtl.map(|(_, equal)| equal),
            counters: counted,
            work,
            figures: Figures::new(work, Some(counted.cycles), config, &job.memory),
            seconds,
        }
    }

    /// An error if the machines differ.
    pub fn verdict(&self) -> Outcome {
        self.equal.map_or(Ok(()), |equal| equal.verdict(&self.layer, &self.config))
    }
}

impl Printed for Report {
    fn print_csv(&self) -> Outcome {
        let machine = self.rtl.as_ref().unwrap_or(&self.model);
        let mut names: Vec<String> =
            ["config", "layer", "strategy", "cycles", "mac_busy_cycles"].map(String::from).to_vec();
        let mut row = vec![
            self.config.name.clone(),
            self.layer.clone(),
            self.strategy.clone(),
            machine.cycles.to_string(),
            machine.mac_busy_cycles.to_string(),
        ];
        for (prefix, map) in [("stall", &machine.stalls), ("bytes", &machine.bytes)] {
            for (name, value) in map {
                names.push(format!("{prefix}_{name}"));
                row.push(value.to_string());
            }
        }
        for (name, value) in [
            ("useful_macs", self.figures.useful_macs.to_string()),
            ("padded_macs", self.figures.padded_macs.to_string()),
            ("efficiency", format!("{:.6}", self.figures.efficiency)),
            ("roofline_efficiency", format!("{:.6}", self.figures.roofline_efficiency)),
            ("once_only_bytes", self.figures.once_only_bytes.to_string()),
            ("traffic_ratio", format!("{:.6}", self.figures.traffic_ratio)),
            ("equal", self.equal.map_or_else(String::new, |e| e.all().to_string())),
        ] {
            names.push(name.to_owned());
            row.push(value);
        }
        let mut writer = csv::Writer::from_writer(std::io::stdout());
        writer.write_record(&names)?;
        writer.write_record(&row)?;
        writer.flush()?;
        Ok(())
    }

    fn print_text(&self) {
        let c = &self.config;
        say!(
            "{} on {} ({} x {} MACs, {} bit bus): {}",
            self.layer,
            c.name,
            c.rows,
            c.cols,
            c.bus_bits,
            self.strategy
        );
        let columns: Vec<(&str, &Machine)> =
            self.rtl.iter().map(|m| ("RTL", m)).chain([("model", &self.model)]).collect();
        let row = |name: &str, of: &dyn Fn(&Machine) -> u64| {
            let values: Vec<u64> = columns.iter().map(|(_, m)| of(m)).collect();
            let cells: String = values.iter().map(|v| format!("{v:>14}")).collect();
            let mark = if values.windows(2).all(|w| w[0] == w[1]) { "" } else { "   differ" };
            say!("  {name:<18}{cells}{mark}");
        };
        say!("  {:<18}{}", "", columns.iter().map(|(n, _)| format!("{n:>14}")).collect::<String>());
        row("cycles", &|m| m.cycles);
        row("MACs busy", &|m| m.mac_busy_cycles);
        for name in self.model.stalls.keys() {
            row(&format!("idle, {name}"), &|m| m.stalls[name]);
        }
        for name in self.model.bytes.keys() {
            row(&format!("bytes, {name}"), &|m| m.bytes[name]);
        }
        if let Some(equal) = self.equal {
            let word = |same: bool| if same { "equal" } else { "DIFFERENT" };
            say!(
                "  outputs {} (RTL, reference), cycles {}, counters {} (RTL, model)",
                word(equal.outputs),
                word(equal.cycles),
                word(equal.counters)
            );
        }
        say!(
            "  useful MACs {} (padding excluded; {} included)",
            self.figures.useful_macs,
            self.figures.padded_macs
        );
        say!(
            "  efficiency {:.2} % of peak; {:.2} % of the roofline ({}); traffic {:.3} x once-only ({} bytes)",
            100.0 * self.figures.efficiency,
            100.0 * self.figures.roofline_efficiency,
            if self.figures.roofline_cycles * self.config.peak() as f64
                > self.figures.useful_macs as f64 * 1.000_001
            {
                "memory bound"
            } else {
                "compute bound"
            },
            self.figures.traffic_ratio,
            self.figures.once_only_bytes
        );
    }
}

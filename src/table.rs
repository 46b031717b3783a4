//! A network as a table of layers, each of which runs on its own, from a cold start.

use crate::figures::{Equal, Machine, Report, Seconds};
use crate::job::Job;
use crate::out::{Printed, print_table};
use crate::{Failure, Outcome};
use compiler::layer_table::LayerTable;
use metrics::{Figures, Work};
use serde::Serialize;
use spec::layer::{Layer, LayerData};
use spec::{Config, Counters, MemorySpec};
use std::collections::{HashMap, HashSet};
use testbench::Rtl;

/// A table on a config and a memory.
pub struct TableJob {
    pub config: Config,
    pub memory: MemorySpec,
    pub table: LayerTable,
}

/// One row, or the sum of all: times `count`.
#[derive(Serialize, Clone, Debug)]
pub struct Line {
    /// Name in the table.
    pub name: String,
    /// How many times the layer runs.
    pub count: u32,
    /// Its shape.
    pub layer: String,
    /// What the compiler chose.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub strategy: String,
    /// The counters, of the RTL if it ran.
    #[serde(flatten)]
    pub machine: Machine,
    /// What came of it.
    #[serde(flatten)]
    pub figures: Figures,
}

/// The report of a table.
#[derive(Serialize, Clone, Debug)]
pub struct TableReport {
    /// The hardware.
    pub config: Config,
    /// Start of the SHA-256 of the config.
    pub config_hash: String,
    /// Name of the table.
    pub network: String,
    /// The comparison, if the RTL ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub equal: Option<Equal>,
    /// All layers.
    pub total: Line,
    /// Each row that makes a layer.
    pub layers: Vec<Line>,
    /// Wall-clock time.
    pub seconds: Seconds,
}

impl TableJob {
    fn job(&self, layer: Layer, data: Option<&LayerData>) -> Result<Job, Failure> {
        let source = self.table.name.clone();
        Job::new(self.config.clone(), self.memory.clone(), source, layer, data)
    }

    /// The different layers without numbers, by the name of the first row of each.
    pub fn jobs(&self) -> Result<Vec<(String, Job)>, Failure> {
        let mut seen = HashSet::new();
        let rows = self.table.layers.iter().filter(|row| seen.insert(row.layer));
        rows.map(|row| Ok((row.name.clone(), self.job(row.layer, None)?))).collect()
    }

    /// The report of the model alone.
    pub fn predict(&self) -> Result<TableReport, Failure> {
        let reports =
            self.table.shapes().into_iter().map(|(layer, _)| Ok((layer, self.job(layer, None)?.predict()?)));
        Ok(self.report(&reports.collect::<Result<_, Failure>>()?))
    }

    /// Runs each different layer on the RTL, on random numbers, and compares all machines.
    pub fn compare(&self, rtl: &Rtl, build: f64, seed: u64) -> Result<TableReport, Failure> {
        let shapes = self.table.shapes();
        let bar = crate::network::bar(shapes.len() as u64, "layers");
        let reports = shapes.into_iter().map(|(layer, _)| {
            let data = LayerData::random(&layer, self.config.operand_bits, seed)?;
            let report = self.job(layer, Some(&data))?.compare(&data, rtl, build)?;
            bar.inc(1);
            Ok((layer, report))
        });
        let reports = reports.collect::<Result<_, Failure>>()?;
        bar.finish_and_clear();
        Ok(self.report(&reports))
    }

    fn report(&self, reports: &HashMap<Layer, Report>) -> TableReport {
        let mut sum = (Counters::default().values(), Work::default());
        let mut bound = 0.0;
        let mut all_equal: Option<Equal> = None;
        let mut seconds = Seconds::default();
        let line = |row: &compiler::layer_table::TableLayer| {
            let report = &reports[&row.layer];
            let machine = report.rtl.clone().unwrap_or_else(|| report.model.clone());
            bound += f64::from(row.count) * report.figures.roofline_cycles;
            let count = u64::from(row.count);
            sum.0.iter_mut().zip(report.counters.values()).for_each(|(sum, value)| *sum += count * value);
            sum.1 += report.work.times(count);
            Line {
                name: row.name.clone(),
                count: row.count,
                layer: report.layer.clone(),
                strategy: report.strategy.clone(),
                machine,
                figures: report.figures,
            }
        };
        let layers: Vec<Line> = self.table.layers.iter().map(line).collect();
        for report in reports.values() {
            all_equal = match (all_equal, report.equal) {
                (Some(a), Some(b)) => Some(a.and(b)),
                (a, b) => a.or(b),
            };
            seconds.build = report.seconds.build;
            seconds.run += report.seconds.run;
            seconds.model += report.seconds.model;
        }
        let counters = Counters::from_values(&sum.0);
        let total = Line {
            name: "total".into(),
            count: layers.iter().map(|l| l.count).sum(),
            layer: format!("{} rows", layers.len()),
            strategy: String::new(),
            machine: Machine::of(counters),
            figures: Figures::bounded(sum.1, bound, Some(counters.cycles), &self.config, &self.memory),
        };
        TableReport {
            config: self.config.clone(),
            config_hash: self.config.hash(),
            network: self.table.name.clone(),
            equal: all_equal,
            total,
            layers,
            seconds,
        }
    }
}

impl TableReport {
    /// An error if the machines differ.
    pub fn verdict(&self) -> Outcome {
        self.equal.map_or(Ok(()), |equal| equal.verdict(&self.network, &self.config))
    }
}

impl Printed for TableReport {
    fn print_csv(&self) -> Outcome {
        let mut writer = csv::Writer::from_writer(std::io::stdout());
        let mut names: Vec<String> =
            ["config", "network", "name", "count", "layer", "strategy", "cycles", "mac_busy_cycles"]
                .map(String::from)
                .to_vec();
        names.extend(self.total.machine.stalls.keys().map(|name| format!("stall_{name}")));
        names.extend(self.total.machine.bytes.keys().map(|name| format!("bytes_{name}")));
        names.extend(
            [
                "useful_macs",
                "padded_macs",
                "efficiency",
                "roofline_efficiency",
                "once_only_bytes",
                "traffic_ratio",
            ]
            .map(String::from),
        );
        writer.write_record(&names)?;
        for line in self.layers.iter().chain([&self.total]) {
            let (m, f) = (&line.machine, &line.figures);
            let mut row = vec![
                self.config.name.clone(),
                self.network.clone(),
                line.name.clone(),
                line.count.to_string(),
                line.layer.clone(),
                line.strategy.clone(),
                m.cycles.to_string(),
                m.mac_busy_cycles.to_string(),
            ];
            row.extend(m.stalls.values().chain(m.bytes.values()).map(u64::to_string));
            row.extend([
                f.useful_macs.to_string(),
                f.padded_macs.to_string(),
                format!("{:.6}", f.efficiency),
                format!("{:.6}", f.roofline_efficiency),
                f.once_only_bytes.to_string(),
                format!("{:.6}", f.traffic_ratio),
            ]);
            writer.write_record(&row)?;
        }
        writer.flush()?;
        Ok(())
    }

    fn print_text(&self) {
        let c = &self.config;
        say!(
            "{} on {} ({} x {} MACs, {} bit bus), each layer on its own",
            self.network,
            c.name,
            c.rows,
            c.cols,
            c.bus_bits
        );
        let head = [
            "name",
            "times",
            "cycles",
            "MACs",
            "efficiency %",
            "roofline %",
            "traffic",
            "MACs/byte",
            "layer",
        ];
        let mut rows = vec![head.map(str::to_owned)];
        for line in self.layers.iter().chain([&self.total]) {
            let f = &line.figures;
            rows.push([
                line.name.clone(),
                line.count.to_string(),
                line.machine.cycles.to_string(),
                f.useful_macs.to_string(),
                format!("{:.2}", 100.0 * f.efficiency),
                format!("{:.2}", 100.0 * f.roofline_efficiency),
                format!("{:.3}", f.traffic_ratio),
                format!("{:.2}", f.useful_macs as f64 / f.once_only_bytes as f64),
                line.layer.clone(),
            ]);
        }
        print_table(&rows, &[0, 8]);
        say!(
            "cycles, MACs (padding excluded) and bytes of one run; the total counts each layer `times` times"
        );
        if let Some(equal) = self.equal {
            let word = |same: bool| if same { "equal" } else { "DIFFERENT" };
            say!(
                "outputs {} (RTL, reference), cycles {}, counters {} (RTL, model); RTL {:.1} s",
                word(equal.outputs),
                word(equal.cycles),
                word(equal.counters),
                self.seconds.run
            );
        }
    }
}

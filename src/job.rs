//! A layer on a config and a memory: compiled once, run on any machine.

use crate::Failure;
use crate::args::{ConfigArgs, LayerArgs, MemoryArgs, NetworkArgs};
use crate::figures::{Equal, Report, Seconds};
use crate::network::NetworkJob;
use crate::table::TableJob;
use compiler::Plan;
use compiler::layer_table::LayerTable;
use spec::layer::{Layer, LayerData};
use spec::{Config, MemorySpec, Program, Run};
use std::time::Instant;
use testbench::Rtl;

/// Options that say what is to be run.
#[derive(clap::Args)]
pub struct JobArgs {
    #[command(flatten)]
    pub layer: LayerArgs,
    #[command(flatten)]
    network: NetworkArgs,
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    memory: MemoryArgs,
}

impl JobArgs {
    /// Compiles the network that is meant, if one is.
    pub fn network(&self) -> Result<Option<NetworkJob>, Failure> {
        let Some(model) = self.layer.network() else { return self.network.none().map(|()| None) };
        let config = self.config.resolve()?;
        let memory = self.memory.resolve(&config)?;
        NetworkJob::new(config, memory, model, &self.network).map(Some)
    }

    /// Reads the table that is meant, if one is.
    pub fn table(&self) -> Result<Option<TableJob>, Failure> {
        let Some(path) = &self.layer.table else { return Ok(None) };
        self.network.none()?;
        let config = self.config.resolve()?;
        let memory = self.memory.resolve(&config)?;
        Ok(Some(TableJob { config, memory, table: LayerTable::load(path)? }))
    }

    /// Compiles what is meant, for its timing alone.
    pub fn timing(&self) -> Result<Job, Failure> {
        let config = self.config.resolve()?;
        let memory = self.memory.resolve(&config)?;
        let (source, layer, _) = self.layer.shape()?;
        Job::new(config, memory, source, layer, None)
    }

    /// Compiles what is meant, with its numbers.
    pub fn numbers(&self) -> Result<(Job, LayerData), Failure> {
        let config = self.config.resolve()?;
        let memory = self.memory.resolve(&config)?;
        let (source, layer, data) = self.layer.numbers(&config)?;
        Ok((Job::new(config, memory, source, layer, Some(&data))?, data))
    }
}

/// What is to be run.
pub struct Job {
    pub config: Config,
    pub memory: MemorySpec,
    pub source: String,
    pub layer: Layer,
    pub plan: Plan,
    pub program: Program,
}

impl Job {
    /// Compiles; without `data`, for timing alone.
    pub fn new(
        config: Config,
        memory: MemorySpec,
        source: String,
        layer: Layer,
        data: Option<&LayerData>,
    ) -> Result<Self, Failure> {
        let plan = compiler::plan(&layer, &config)?;
        let program = compiler::assemble(&plan, data)?;
        Ok(Self { config, memory, source, layer, plan, program })
    }

    /// Runs the cycle model; with the seconds it took.
    pub fn model(&self) -> Result<(Run, f64), Failure> {
        let start = Instant::now();
        let run = cyclemodel::run(&self.config, &self.program, &self.memory)?;
        Ok((run, start.elapsed().as_secs_f64()))
    }

    /// The report of the model alone.
    pub fn predict(&self) -> Result<Report, Failure> {
        let (model, seconds) = self.model()?;
        Ok(Report::new(self, &model, None, Seconds { model: seconds, ..Seconds::default() }))
    }

    /// Runs every machine on the numbers that the program was compiled with, and compares them.
    pub fn compare(&self, data: &LayerData, rtl: &Rtl, build: f64) -> Result<Report, Failure> {
        let (model, model_seconds) = self.model()?;
        let start = Instant::now();
        // A run that takes four times as long as predicted is a mismatch, and one that never ends is cut off.
        let limit = testbench::limit(model.counters.cycles);
        let run =
            rtl.run(&self.program, &self.memory, limit).map_err(|e| Failure::Mismatch(e.to_string()))?;
        let seconds = Seconds { build, run: start.elapsed().as_secs_f64(), model: model_seconds };
        Ok(self.judge(data, &model, &run, seconds))
    }

    /// Compares a run with the model's and with the reference.
    pub fn judge(&self, data: &LayerData, model: &Run, run: &Run, seconds: Seconds) -> Report {
        let expected = reference::conv(&self.layer, data);
        let outputs = run.output.as_deref().map(|bytes| compiler::unpack_output(&data.quant, bytes));
        let equal = Equal {
            outputs: run.status == spec::Status::Ok && outputs.as_deref() == Some(expected.as_slice()),
            cycles: run.counters.cycles == model.counters.cycles,
            counters: run.counters == model.counters
                && run.marks == model.marks
                && run.status == model.status,
        };
        Report::new(self, model, Some((run, equal)), seconds)
    }
}

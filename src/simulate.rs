//! `koch simulate`.

use crate::args::OutputArgs;
use crate::job::JobArgs;
use crate::network::{Images, bar};
use crate::out::Printed;
use crate::{Failure, Outcome};
use indicatif::ProgressBar;
use spec::Config;
use std::path::{Path, PathBuf};
use std::time::Instant;
use testbench::{BuildError, Rtl};

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    job: JobArgs,
    #[command(flatten)]
    output: OutputArgs,
    /// Write a waveform of the run (FST).
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Of a network: images to run, from --index on.
    #[arg(long, default_value_t = 1, value_name = "IMAGES", conflicts_with_all = ["layer", "node", "table"])]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,
}

/// The RTL of a config, with the seconds that its model took to build or find.
pub fn rtl(config: &Config, trace: Option<&Path>) -> Result<(Rtl, f64), BuildError> {
    let bar =
        ProgressBar::new_spinner().with_message(format!("building the RTL of {} in Verilator", config.name));
    bar.enable_steady_tick(std::time::Duration::from_millis(100));
    let start = Instant::now();
    let rtl = Rtl::new(config, trace.map(Path::to_owned));
    bar.finish_and_clear();
    Ok((rtl?, start.elapsed().as_secs_f64()))
}

pub fn run(args: &Args) -> Outcome {
    if let Some(job) = args.job.table()? {
        let (rtl, build) = rtl(&job.config, args.trace.as_deref())?;
        let report = job.compare(&rtl, build, args.job.layer.seed)?;
        report.print(&args.output)?;
        return report.verdict();
    }
    if let Some(job) = args.job.network()? {
        let layer = &args.job.layer;
        let input = layer.input.as_deref().ok_or_else(|| {
            Failure::Input(format!(
                "no images are given to run {} on: use --input FILE.npy, or `koch model`, which needs none",
                job.network().name
            ))
        })?;
        let images = Images::load(job.network(), input, layer.index, args.count)?;
        let (mut rtl, build) = rtl(&job.config, args.trace.as_deref())?;
        let report = job.compare(&images, &mut rtl, build)?;
        report.print(&args.output)?;
        return report.verdict();
    }
    let (job, data) = args.job.numbers()?;
    let (mut rtl, build) = rtl(&job.config, args.trace.as_deref())?;
    let bar = bar(job.model()?.0.counters.cycles, "cycles");
    let shown = bar.clone();
    rtl.watch(move |cycle| shown.set_position(cycle));
    let report = job.compare(&data, &rtl, build)?;
    bar.finish_and_clear();
    report.print(&args.output)?;
    report.verdict()
}

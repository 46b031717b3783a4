//! `koch simulate`.

use crate::Outcome;
use crate::args::OutputArgs;
use crate::job::JobArgs;
use indicatif::{ProgressBar, ProgressStyle};
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
    let (job, data) = args.job.numbers()?;
    let (mut rtl, build) = rtl(&job.config, args.trace.as_deref())?;
    let bar = ProgressBar::new(job.model()?.0.counters.cycles).with_style(
        ProgressStyle::with_template("{wide_bar} {human_pos}/{human_len} cycles, {per_sec}, {eta} left")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let shown = bar.clone();
    rtl.watch(move |cycle| shown.set_position(cycle));
    let report = job.compare(&data, &rtl, build)?;
    bar.finish_and_clear();
    report.print(&args.output)?;
    report.verdict()
}

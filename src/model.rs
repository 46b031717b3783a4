//! `koch model`.

use crate::args::{OutputArgs, write_file};
use crate::job::JobArgs;
use crate::out::Printed;
use crate::{Failure, Outcome, timeline};
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    job: JobArgs,
    #[command(flatten)]
    output: OutputArgs,
    /// Also write what each engine does from when to when (CSV), for a layer or each different layer of a table. As
    /// timeline.csv in the directory of a sweep, `koch report` and `koch plot` draw it.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    timeline: Option<PathBuf>,
}

pub fn run(args: &Args) -> Outcome {
    if let (Some(_), Some(input)) = (args.job.layer.network(), &args.job.layer.input) {
        return Err(Failure::Input(format!(
            "--input {}: the cycles of a whole network do not depend on numbers; leave it out, or name a layer with \
             --node",
            input.display()
        )));
    }
    if let (Some(model), Some(file)) = (args.job.layer.network(), &args.timeline) {
        return Err(Failure::Input(format!(
            "--timeline {}: all of {} has none, as steps overlap; name a layer with --node, --layer or --table",
            file.display(),
            model.display()
        )));
    }
    if let Some(job) = args.job.table()? {
        if let Some(file) = &args.timeline {
            write_file(file, &timeline::csv(job.jobs()?)?)?;
        }
        return job.predict()?.print(&args.output);
    }
    if let Some(job) = args.job.network()? {
        return job.predict()?.print(&args.output);
    }
    let job = args.job.timing()?;
    if let Some(file) = &args.timeline {
        write_file(file, &timeline::csv([(job.source.clone(), &job)])?)?;
    }
    job.predict()?.print(&args.output)
}

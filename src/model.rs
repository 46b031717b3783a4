//! `koch model`.

use crate::Outcome;
use crate::args::OutputArgs;
use crate::job::JobArgs;

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    job: JobArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub fn run(args: &Args) -> Outcome {
    match args.job.network()? {
        Some(job) => job.predict()?.print(&args.output),
        None => args.job.timing()?.predict()?.print(&args.output),
    }
}

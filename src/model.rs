//! `koch model`.

use crate::args::OutputArgs;
use crate::job::JobArgs;
use crate::out::Printed;
use crate::{Failure, Outcome};

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    job: JobArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub fn run(args: &Args) -> Outcome {
    if let (Some(_), Some(input)) = (args.job.layer.network(), &args.job.layer.input) {
        return Err(Failure::Input(format!(
            "--input {}: the cycles of a whole network do not depend on numbers; leave it out, or name a layer with \
             --node",
            input.display()
        )));
    }
    if let Some(job) = args.job.table()? {
        return job.predict()?.print(&args.output);
    }
    match args.job.network()? {
        Some(job) => job.predict()?.print(&args.output),
        None => args.job.timing()?.predict()?.print(&args.output),
    }
}

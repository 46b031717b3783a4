//! `koch merge`.

use crate::Outcome;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Args {
    /// Directories that `koch sweep --shard` wrote.
    #[arg(required = true, value_name = "DIR")]
    shards: Vec<PathBuf>,
    /// Directory for the tables.
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
}

pub fn run(args: &Args) -> Outcome {
    Ok(sweep::merge(&args.shards, &args.output)?)
}

//! `koch model`.

use crate::Outcome;
use crate::args::{ConfigArgs, LayerArgs, MemoryArgs, OutputArgs};
use crate::job::Job;

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    layer: LayerArgs,
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    memory: MemoryArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub fn run(args: &Args) -> Outcome {
    let config = args.config.resolve()?;
    let memory = args.memory.resolve(&config)?;
    let layer = args.layer.resolve(&config)?;
    Job::new(config, memory, layer)?.predict()?.print(&args.output)
}

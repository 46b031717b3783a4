//! `koch report`.

use crate::Outcome;
use crate::args::{SweepArgs, write_file};
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    sweep: SweepArgs,
    /// The page: one HTML file that needs no other and no network.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

pub fn run(args: &Args) -> Outcome {
    let data = args.sweep.read()?;
    let page = ::report::page(&data);
    write_file(&args.output, page.as_bytes())?;
    eprintln!("koch: {}: {} bytes", args.output.display(), page.len());
    Ok(())
}

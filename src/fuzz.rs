//! `koch fuzz`.

use crate::Outcome;

#[derive(clap::Args)]
pub struct Args {}

pub fn run(_args: &Args) -> Outcome {
    Ok(())
}

//! `koch bitstream`.

use crate::args::{BoardArgs, OutputArgs, write_file};
use crate::out::Printed;
use crate::{Failure, Outcome};
use bitstreams::flow::{self, Critical, FlowError, Row};
use indicatif::ProgressBar;
use serde::Serialize;
use std::path::PathBuf;
use testbench::bridge::cache_dir;

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    board: BoardArgs,
    /// Seed of the placement.
    #[arg(long, default_value_t = 1)]
    seed: u32,
    /// Where to write the bitstream.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    printed: OutputArgs,
}

/// A bitstream's figures.
#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    row: Row,
    gops: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    critical: Option<Critical>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bitstream: Option<PathBuf>,
}

impl Printed for Report {
    fn print_csv(&self) -> Outcome {
        let Row { board, config, hash, macs, luts, ffs, multipliers, block_rams, .. } = &self.row;
        let Row { luts_of, fmax_mhz, clock_mhz, seconds, .. } = &self.row;
        say!(
            "board,config,hash,macs,luts,luts_of,ffs,multipliers,block_rams,fmax_mhz,clock_mhz,gops,seconds"
        );
        say!(
            "{board},{config},{hash},{macs},{luts},{luts_of},{ffs},{multipliers},{block_rams},{fmax_mhz},\
             {clock_mhz:.3},{:.3},{seconds:.0}",
            self.gops
        );
        Ok(())
    }

    fn print_text(&self) {
        let row = &self.row;
        say!("{} ({}) on {}: {} MACs", row.config, row.hash, row.board, row.macs);
        let share = if row.luts_of > 0 {
            format!(" ({:.0} % of {})", 100.0 * row.luts as f64 / row.luts_of as f64, row.luts_of)
        } else {
            String::new()
        };
        say!(
            "  {} LUTs{share}, {} flip-flops, {} multipliers, {} block RAMs; {:.1} LUTs a MAC",
            row.luts,
            row.ffs,
            row.multipliers,
            row.block_rams,
            row.luts as f64 / row.macs as f64
        );
        if row.fmax_mhz > 0.0 {
            say!(
                "  fastest clock {:.1} MHz, {:.2} GOP/s; built for {:.1} MHz",
                row.fmax_mhz,
                self.gops,
                row.clock_mhz
            );
        }
        if let Some(c) = &self.critical {
            say!(
                "  longest path {:.2} ns, {:.2} of it routing, {} cells:",
                c.ns,
                c.routing_ns,
                c.logic_levels
            );
            say!("    from {}", c.from);
            say!("    to   {}", c.to);
        }
        if let Some(path) = &self.bitstream {
            say!("  {}", path.display());
        }
    }
}

pub fn run(args: &Args) -> Outcome {
    let (board, config) = args.board.resolve()?;
    let bar = ProgressBar::new_spinner();
    bar.enable_steady_tick(std::time::Duration::from_millis(100));
    let label = format!("{} for {}", config.name, board.name);
    let step = |step: &str| bar.set_message(format!("{label}: {step}"));
    let built = flow::build(&cache_dir(), &board, &config, args.seed, step).map_err(|e| match e {
        FlowError::Timing(text) => Failure::Mismatch(text),
        e => Failure::Input(e.to_string()),
    })?;
    bar.finish_and_clear();
    let mut bitstream = built.bitstream;
    if let Some(path) = &args.output {
        let Some(made) = &bitstream else {
            return Err(Failure::Input(format!(
                "--output {}: {} has no open flow to a bitstream, its figures end with synthesis; leave --output out",
                path.display(),
                board.name
            )));
        };
        write_file(path, &std::fs::read(made)?)?;
        bitstream = Some(path.clone());
    }
    Report { gops: built.row.gops(), row: built.row, critical: built.critical, bitstream }
        .print(&args.printed)
}

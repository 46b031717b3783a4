//! The `koch` command: one file per verb.
//!
//! Data go to stdout, everything else to stderr. Exit codes: 0 done, 1 the machines differ, 2 bad input.

#[macro_use]
mod out;

mod area;
mod args;
mod asm;
mod bench;
mod bitstream;
mod boards;
mod budget;
mod campaign;
mod check;
mod compile;
mod config;
mod demo;
mod disasm;
mod faults;
mod figures;
mod fuzz;
mod generate;
mod graph;
mod interrupt;
mod job;
mod memory;
mod merge;
mod model;
mod network;
mod plot;
mod proof;
mod quantize;
mod report;
mod run;
mod simulate;
mod size;
mod steps;
mod sweep;
mod table;
mod timeline;
mod verify;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Generator and exact cycle model of Snowflake-like CNN accelerators.
#[derive(Parser)]
#[command(name = "koch", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Write the Verilog of a config.
    Generate(generate::Args),
    /// Predict cycles and traffic of a layer or a network.
    Model(model::Args),
    /// Run a layer or a network on the Verilated RTL and compare it with the cycle model and the reference.
    Simulate(simulate::Args),
    /// Compile a network and print a summary, its plan or its program.
    Compile(compile::Args),
    /// Compare the reference, and the RTL, with ONNX Runtime.
    Verify(verify::Args),
    /// Quantise a float network to 8 bits.
    Quantize(quantize::Args),
    /// Find the smallest buffers with which every tensor crosses the bus once.
    Size(size::Args),
    /// Account for a network's memory: weights, activations, gradients, and the least that their plan needs.
    Memory(memory::Args),
    /// Draw a network: layers by their work, tensors by their bytes and where they are.
    Graph(graph::Args),
    /// Run every combination of values of a config's and a memory's fields on networks.
    Sweep(sweep::Args),
    /// Put shards of a sweep together.
    Merge(merge::Args),
    /// Show what a sweep measured, on a page for a browser.
    Report(report::Args),
    /// Draw what a sweep measured, as SVG and PNG.
    Plot(plot::Args),
    /// Print a program as assembly.
    Disasm(disasm::Args),
    /// Translate assembly to a program.
    Asm(asm::Args),
    /// Print a config, or the named configs.
    Config(config::Args),
    /// Estimate what a config costs in an FPGA and in transistors.
    Area(area::Args),
    /// List the FPGA boards.
    Boards(boards::Args),
    /// Make the bitstream of a config for an FPGA board.
    Bitstream(bitstream::Args),
    /// Run a layer or a network on a board and compare it with the cycle model and the reference.
    Run(run::Args),
    /// Random configs, layers and memories on every machine.
    Fuzz(fuzz::Args),
    /// Inject faults into runs of the Verilated RTL: every one ends with a status, and the next run is right.
    Faults(faults::Args),
    /// A tour: generate the default config and run two real layers on it.
    Demo(demo::Args),
    /// Measure efficiency and speed on the layers that the goals name.
    Bench(bench::Args),
}

/// Why a command did not do what it was asked to.
#[derive(Debug)]
enum Failure {
    /// The machines differ.
    Mismatch(String),
    /// The input cannot be used.
    Input(String),
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(e: E) -> Self {
        Self::Input(e.to_string())
    }
}

type Outcome = Result<(), Failure>;

fn main() -> ExitCode {
    let outcome = match Cli::parse().verb {
        Verb::Generate(args) => generate::run(&args),
        Verb::Model(args) => model::run(&args),
        Verb::Simulate(args) => simulate::run(&args),
        Verb::Compile(args) => compile::run(&args),
        Verb::Verify(args) => verify::run(&args),
        Verb::Quantize(args) => quantize::run(&args),
        Verb::Size(args) => size::run(&args),
        Verb::Memory(args) => memory::run(&args),
        Verb::Graph(args) => graph::run(&args),
        Verb::Sweep(args) => sweep::run(&args),
        Verb::Merge(args) => merge::run(&args),
        Verb::Report(args) => report::run(&args),
        Verb::Plot(args) => plot::run(&args),
        Verb::Disasm(args) => disasm::run(&args),
        Verb::Asm(args) => asm::run(&args),
        Verb::Config(args) => config::run(&args),
        Verb::Area(args) => area::run(&args),
        Verb::Boards(args) => boards::run(&args),
        Verb::Bitstream(args) => bitstream::run(&args),
        Verb::Run(args) => run::run(&args),
        Verb::Fuzz(args) => fuzz::run(&args),
        Verb::Faults(args) => faults::run(&args),
        Verb::Demo(args) => demo::run(&args),
        Verb::Bench(args) => bench::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Mismatch(text)) => {
            eprintln!("koch: mismatch: {text}");
            ExitCode::from(1)
        }
        Err(Failure::Input(text)) => {
            eprintln!("koch: {text}");
            ExitCode::from(2)
        }
    }
}

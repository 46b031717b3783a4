//! `koch disasm`.

use crate::args::{ConfigArgs, LayerArgs, write_file};
use crate::{Failure, Outcome};
use spec::isa::{INSTRUCTION_BYTES, Instruction};
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Args {
    /// A program's memory image; without it, the program of a layer is printed.
    #[arg(value_name = "FILE", conflicts_with_all = ["layer", "model"])]
    file: Option<PathBuf>,
    #[command(flatten)]
    layer: LayerArgs,
    #[command(flatten)]
    config: ConfigArgs,
    /// Also write the memory image.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub fn run(args: &Args) -> Outcome {
    let code = match &args.file {
        Some(path) => std::fs::read(path)
            .map_err(|e| Failure::Input(format!("{}: {e}; give the path of a program", path.display())))?,
        None => {
            let config = args.config.resolve()?;
            let (_, layer, data) = args.layer.numbers(&config)?;
            compiler::assemble(&compiler::plan(&layer, &config)?, Some(&data))?.code
        }
    };
    let (instructions, rest) = code.as_chunks::<INSTRUCTION_BYTES>();
    for (k, bytes) in instructions.iter().enumerate() {
        let instruction =
            Instruction::decode(bytes).map_err(|e| Failure::Input(format!("instruction {k}: {e}")))?;
        say!("{instruction}");
    }
    if !rest.is_empty() {
        return Err(Failure::Input(format!(
            "the program ends with {} bytes, less than an instruction of {INSTRUCTION_BYTES}; give the whole file",
            rest.len()
        )));
    }
    match &args.output {
        Some(path) => write_file(path, &code),
        None => Ok(()),
    }
}

//! `koch disasm`.

use crate::args::{ConfigArgs, LayerArgs, write_file};
use crate::{Failure, Outcome};
use spec::isa::{INSTRUCTION_BYTES, Instruction};
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Args {
    /// A program's memory image.
    #[arg(value_name = "FILE", required_unless_present_any = ["layer", "model"], conflicts_with_all = ["layer", "model"])]
    file: Option<PathBuf>,
    #[command(flatten)]
    layer: OptionalLayer,
    #[command(flatten)]
    config: ConfigArgs,
    /// Also write the memory image.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// A layer whose program is printed instead of a file's.
#[derive(clap::Args)]
#[group(required = false, multiple = true)]
struct OptionalLayer {
    #[command(flatten)]
    layer: Option<LayerArgs>,
}

pub fn run(args: &Args) -> Outcome {
    let code = match (&args.file, &args.layer.layer) {
        (Some(path), _) => std::fs::read(path)
            .map_err(|e| Failure::Input(format!("{}: {e}; give the path of a program", path.display())))?,
        (None, Some(layer)) => {
            let config = args.config.resolve()?;
            let (_, layer, data) = layer.resolve(&config)?;
            compiler::assemble(&compiler::plan(&layer, &config)?, Some(&data))?.code
        }
        (None, None) => return Err(Failure::Input("nothing to disassemble: give a file or a layer".into())),
    };
    let (instructions, rest) = code.as_chunks::<INSTRUCTION_BYTES>();
    for (k, bytes) in instructions.iter().enumerate() {
        let instruction =
            Instruction::decode(bytes).map_err(|e| Failure::Input(format!("instruction {k}: {e}")))?;
        println!("{instruction}");
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

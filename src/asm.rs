//! `koch asm`.

use crate::args::{read_text, write_file};
use crate::{Failure, Outcome};
use spec::isa::Instruction;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Args {
    /// Assembly: an instruction a line as `koch disasm` prints it; `#` starts a comment.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Where the memory image goes.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

pub fn run(args: &Args) -> Outcome {
    let mut code = Vec::new();
    for (k, line) in read_text(&args.file)?.lines().enumerate() {
        let text = line.split('#').next().unwrap_or("").trim();
        if text.is_empty() {
            continue;
        }
        let at =
            |e: &dyn std::error::Error| Failure::Input(format!("{}:{}: {e}", args.file.display(), k + 1));
        let instruction: Instruction = text.parse().map_err(|e| at(&e))?;
        code.extend(instruction.encode().map_err(|e| at(&e))?);
    }
    write_file(&args.output, &code)
}

//! `koch quantize`.

use crate::args::write_file;
use crate::{Failure, Outcome};
use compiler::npy;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Args {
    /// A float ONNX model of one input.
    #[arg(value_name = "FILE")]
    model: PathBuf,
    /// A .npy file of images to measure ranges on: float32 NCHW, or uint8 NCHW or NHWC, which is divided by 255.
    #[arg(long, value_name = "FILE")]
    calibrate: PathBuf,
    /// Most images to use, from the first.
    #[arg(long, default_value_t = 100, value_name = "COUNT")]
    images: usize,
    /// The quantised model, in QOperator form.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

pub fn run(args: &Args) -> Outcome {
    let model = std::fs::read(&args.model).map_err(|e| {
        Failure::Input(format!("{}: {e}; give the path of an ONNX model", args.model.display()))
    })?;
    let images = npy::load(&args.calibrate)?;
    let (bytes, summary) = ::quantize::quantize(model, &images, args.images)
        .map_err(|e| Failure::Input(format!("{}: {e}", args.model.display())))?;
    write_file(&args.output, &bytes)?;
    eprintln!(
        "koch: {}: {} operators, {} bytes, ranges of {} images",
        args.output.display(),
        summary.operators,
        bytes.len(),
        summary.images
    );
    Ok(())
}

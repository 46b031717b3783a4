//! `koch demo`.

use crate::args::{ConfigArgs, OutputArgs};
use crate::job::Job;
use crate::out::Printed;
use crate::{Failure, Outcome, generate, simulate};
use compiler::{npy, onnx};
use spec::MemorySpec;
use spec::layer::{Layer, LayerData};
use std::path::PathBuf;

/// The AlexNet layer with which the Snowflake paper's bandwidth argument goes.
const ALEXNET: &str = "conv cin=192 h=13 w=13 cout=192 k=3 pad=1";

#[derive(clap::Args)]
pub struct Args {
    /// Directory of the trained network and its images.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/models"), value_name = "DIR")]
    models: PathBuf,
    /// Which convolution of ResNet-56, counted from 1.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=57))]
    convolution: u64,
    /// Which image.
    #[arg(long, default_value_t = 0)]
    index: usize,
    /// Where the Verilog goes.
    #[arg(short, long, default_value = "out/demo", value_name = "DIR")]
    output: PathBuf,
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    format: OutputArgs,
}

pub fn run(args: &Args) -> Outcome {
    let config = args.config.resolve()?;
    let files = generate::write(&config, &args.output)?;
    eprintln!(
        "generated {} ({} MACs): {} files in {}",
        config.name,
        config.peak(),
        files.len(),
        args.output.display()
    );
    let (rtl, build) = simulate::rtl(&config, None)?;
    eprintln!("built the RTL in Verilator: {build:.1} s\n");

    let network = onnx::Model::load(&args.models.join("resnet56-cifar10-int8-qoperator.onnx"))?;
    let images = npy::load(&args.models.join("cifar10-test-200-images.npy"))?;
    let node = network
        .layer_nodes()
        .filter(|n| n.op == "QLinearConv")
        .nth(args.convolution as usize - 1)
        .ok_or_else(|| Failure::Input(format!("the network has no convolution {}", args.convolution)))?;
    let (layer, data) = network.layer_for_image(&node.name, &images, args.index)?;
    let real = (format!("ResNet-56, {}, image {}", node.name, args.index), layer, data);
    let layer: Layer = ALEXNET.parse()?;
    let data = LayerData::random(&layer, config.operand_bits, 1)?;
    for (source, layer, data) in [real, ("AlexNet, random numbers".to_owned(), layer, data)] {
        eprintln!("{source}");
        let job = Job::new(config.clone(), MemorySpec::default(), source, layer, Some(&data))?;
        let report = job.compare(&data, &rtl, build)?;
        report.print(&args.format)?;
        report.verdict()?;
        say!("");
    }
    Ok(())
}

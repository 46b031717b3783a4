//! `koch compile`.

use crate::args::{ConfigArgs, NetworkArgs, write_file};
use crate::network::NetworkJob;
use crate::{Failure, Outcome};
use clap::ValueEnum;
use compiler::network::{Network, TensorId};
use spec::isa::Instruction;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Args {
    /// A quantised ONNX model.
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    network: NetworkArgs,
    /// What to print instead of a summary.
    #[arg(long, value_enum)]
    dump: Option<Dump>,
    /// Write what is dumped there instead; without --dump, the memory image from address 0 on: tensors (zeros but for
    /// constants), weights, parameters, program.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Parts of a compilation.
#[derive(ValueEnum, Clone, Copy)]
enum Dump {
    /// The operators of the network, as they were imported.
    Graph,
    /// How each step is tiled, and where its tensors are.
    Plan,
    /// The instructions, a comment before each step.
    Program,
}

pub fn run(args: &Args) -> Outcome {
    let text = match args.dump {
        Some(Dump::Graph) => Network::load(&args.model)?.to_string(),
        dump => {
            let job = job(args)?;
            match dump {
                Some(Dump::Program) => program(&job)?,
                Some(_) => job.compiled.to_string(),
                None => {
                    if let Some(path) = &args.output {
                        write_file(path, &image(&job)?)?;
                    }
                    summarise(&job);
                    return Ok(());
                }
            }
        }
    };
    match &args.output {
        Some(path) => write_file(path, text.as_bytes()),
        None => {
            text.lines().for_each(|line| say!("{line}"));
            Ok(())
        }
    }
}

fn job(args: &Args) -> Result<NetworkJob, Failure> {
    NetworkJob::new(args.config.resolve()?, Default::default(), &args.model, &args.network)
}

/// The instructions as assembly. Compute instructions start a step with `quant`; loads and stores run ahead and behind.
fn program(job: &NetworkJob) -> Result<String, Failure> {
    let lowered = &job.compiled.lowered;
    let mut text = String::new();
    for instruction in job.code.instructions() {
        let instruction = instruction?;
        if let Instruction::Quant(quant) = instruction
            && let Some(step) = lowered.steps.get((quant.layer as usize).wrapping_sub(1))
        {
            let names: Vec<&str> =
                step.nodes.iter().map(|&n| lowered.network.nodes[n].name.as_str()).collect();
            text += &format!("# step {} {}\n", quant.layer, names.join(" + "));
        }
        text += &format!("{instruction}\n");
    }
    Ok(text)
}

/// Memory before a run, from address 0 to the end of the program.
fn image(job: &NetworkJob) -> Result<Vec<u8>, Failure> {
    let program = job.compiled.program(job.steps.range.clone(), Some(&[]))?;
    let mut image = vec![0; program.base as usize + program.code.len()];
    let code = (program.base, &program.code);
    for (address, bytes) in program.data.iter().map(|s| (s.address, &s.bytes)).chain([code]) {
        image[address as usize..][..bytes.len()].copy_from_slice(bytes);
    }
    Ok(image)
}

fn summarise(job: &NetworkJob) {
    let (compiled, network) = (&job.compiled, job.network());
    let steps = &compiled.lowered.steps[job.steps.range.clone()];
    let on_chip = steps.iter().filter(|s| compiled.chip(s.output).is_some()).count();
    let cycles: u64 = compiled.plans()[job.steps.range.clone()].iter().map(|p| p.cycles()).sum();
    let sum = |of: &dyn Fn(&compiler::program::Traffic) -> u64| job.steps.traffic.iter().map(of).sum::<u64>();
    say!("{} on {}", network.name, job.config.name);
    say!("  {} steps for {} nodes; {on_chip} outputs stay on chip", steps.len(), nodes(job));
    say!("  {} instructions, {} bytes at {:#x}", job.code.len(), job.code.code.len(), job.code.base);
    say!(
        "  moves {} bytes of activations in, {} of weights, {} of parameters, {} of activations out",
        sum(&|t| t.input),
        sum(&|t| t.weight),
        sum(&|t| t.param),
        sum(&|t| t.output)
    );
    let spills = compiled.spills();
    let (written, read) = spills.iter().fold((0, 0), |sum, s| (sum.0 + s.written, sum.1 + s.read));
    say!("  spills {} tensors between steps: {written} bytes out, {read} bytes in again", spills.len());
    say!("  about {cycles} cycles; `koch model --model` tells them exactly");
    let tensor = |what: &str, id: TensorId| {
        let t = &network.tensors[id];
        let place = compiled.region(id).map_or_else(String::new, |r| format!(" at {:#x}", r.address));
        let ty = format!("{:?}", t.ty).to_lowercase();
        say!(
            "  {what} {}{place}: {} x {} x {} {ty}, scale {:e}, zero {}",
            t.name,
            t.h,
            t.w,
            t.c,
            t.scale,
            t.zero
        );
    };
    network.inputs.iter().for_each(|&id| tensor("input", id));
    network.outputs.iter().for_each(|&id| tensor("output", id));
    for op in &network.host {
        say!("  left to the host: {}: {}", op.name, op.what);
    }
}

fn nodes(job: &NetworkJob) -> usize {
    job.compiled.lowered.steps[job.steps.range.clone()].iter().map(|s| s.nodes.len()).sum()
}

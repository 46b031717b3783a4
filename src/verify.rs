//! `koch verify`.

use crate::args::{ConfigArgs, MemoryArgs, NetworkArgs};
use crate::network::{Images, NetworkJob};
use crate::simulate;
use crate::steps::{NetworkReport, floats};
use crate::{Failure, Outcome};
use compiler::network::Network;
use compiler::npy::{self, Tensor};
use std::path::PathBuf;
use std::process::Command;

#[derive(clap::Args)]
pub struct Args {
    /// A quantised ONNX model.
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// A .npy file with the network's inputs: float, uint8 pixels, or quantised already.
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// ONNX Runtime's outputs for all inputs, as .npy; once for each output of the network, in its order. Without it,
    /// ONNX Runtime is run by python3.
    #[arg(long, value_name = "FILE")]
    outputs: Vec<PathBuf>,
    /// The first of the inputs.
    #[arg(long, default_value_t = 0)]
    index: usize,
    /// How many inputs.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,
    /// Run the RTL too; without it, the reference alone.
    #[arg(long)]
    rtl: bool,
    /// With --rtl: store every tensor in memory.
    #[arg(long, requires = "rtl")]
    no_chain: bool,
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    memory: MemoryArgs,
}

/// What may lie between two floats that went through an exponential function.
const SOFTMAX_TOLERANCE: f64 = 1e-5;

/// Gets the model, the inputs, the first and the count, and a directory. Inputs become what `koch` makes of them.
const ONNX_RUNTIME: &str = r#"
import sys
import numpy as np
import onnxruntime as ort
model, inputs, first, count, directory = sys.argv[1:]
options = ort.SessionOptions()
options.log_severity_level = 3
# Processors without VNNI saturate 16-bit sums unless they are told to be precise.
options.add_session_config_entry("session.x64quantprecision", "1")
session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
feed, = session.get_inputs()
array = np.load(inputs)
results = []
for index in range(int(first), int(first) + int(count)):
    image = array[index:index + 1]
    fits = all(not isinstance(a, int) or a == b for a, b in zip(feed.shape[1:], image.shape[1:]))
    if image.ndim == 4 and not fits:
        image = image.transpose(0, 3, 1, 2)
    if feed.type == "tensor(float)" and image.dtype == np.uint8:
        image = image.astype(np.float32) / np.float32(255)
    results.append(session.run(None, {feed.name: np.ascontiguousarray(image)}))
for k, output in enumerate(zip(*results)):
    output = np.concatenate(output)
    if output.dtype in (np.int64, np.float64):
        output = output.astype(np.int32 if output.dtype == np.int64 else np.float32)
    np.save(f"{directory}/{k}.npy", output)
"#;

/// The outputs that ONNX Runtime gives for the images.
fn onnx_runtime(args: &Args, outputs: usize) -> Result<Vec<Tensor>, Failure> {
    let directory = tempfile::tempdir()?;
    let remedy =
        "install both with `pip install onnxruntime numpy`, or give the outputs with --outputs FILE.npy";
    let run = Command::new("python3")
        .args(["-c", ONNX_RUNTIME])
        .args([&args.model, &args.input])
        .args([args.index.to_string(), args.count.to_string()])
        .arg(directory.path())
        .output()
        .map_err(|e| {
            Failure::Input(format!("python3, which runs ONNX Runtime: {e}; install it, then {remedy}"))
        })?;
    if !run.status.success() {
        let said = String::from_utf8_lossy(&run.stderr);
        let last = said.trim().lines().last().unwrap_or("no message").to_owned();
        let cause = if last.contains("ModuleNotFoundError") { format!("{last}; {remedy}") } else { last };
        return Err(Failure::Input(format!("ONNX Runtime by python3: {cause}")));
    }
    (0..outputs).map(|k| Ok(npy::load(&directory.path().join(format!("{k}.npy")))?)).collect()
}

/// Differences of one machine from ONNX Runtime.
#[derive(Default)]
struct Tally {
    values: usize,
    different: usize,
    largest: f64,
    first: Option<String>,
}

impl Tally {
    fn add(&mut self, image: usize, name: &str, got: &[f64], want: &[f64], tolerance: f64) {
        self.values += got.len();
        for (k, (a, b)) in got.iter().zip(want).enumerate().filter(|(_, (a, b))| a != b) {
            self.largest = self.largest.max((a - b).abs());
            // A comparison that fails for what is not a number.
            if (a - b).abs() <= tolerance {
                continue;
            }
            self.different += 1;
            let text = || format!("image {image}, output {name}, element {k}: {a}, ONNX Runtime {b}");
            self.first.get_or_insert_with(text);
        }
    }
}

pub fn run(args: &Args) -> Outcome {
    let network = Network::load(&args.model)?;
    let images = Images::load(&network, &args.input, args.index, args.count)?;
    let given = !args.outputs.is_empty();
    let mut machines: Vec<(&str, Vec<Outputs>)> = vec![("reference", Vec::new())];
    for index in images.indices.clone() {
        let values = network.run(network.quantise_input(&images.array, index)?)?;
        let outputs = network.host_outputs(&values)?;
        machines[0].1.push(outputs.into_iter().map(|(name, t)| (name, floats(&t))).collect());
    }
    let names: Vec<String> = machines[0].1.iter().flatten().map(|(name, _)| name.clone()).collect();
    let outputs = names.len() / images.indices.len();
    let expected = if given {
        if args.outputs.len() != outputs {
            return Err(Failure::Input(format!(
                "--outputs is given {} times: the network has {outputs} outputs; give a file for each, in the order {}",
                args.outputs.len(),
                names[..outputs].join(", ")
            )));
        }
        args.outputs.iter().map(|path| Ok(npy::load(path)?)).collect::<Result<_, Failure>>()?
    } else {
        onnx_runtime(args, outputs)?
    };
    let mut verdict = Ok(());
    if args.rtl {
        let report = rtl(args, &images)?;
        verdict = report.verdict();
        let outputs = |image: &crate::steps::Image| {
            image.outputs.iter().map(|o| (o.name.clone(), o.values.clone())).collect()
        };
        machines.push(("RTL", report.images.iter().map(outputs).collect()));
    }
    let tolerance = if network.host.iter().any(|op| op.what.to_lowercase().contains("softmax")) {
        SOFTMAX_TOLERANCE
    } else {
        0.0
    };
    for (machine, results) in &machines {
        let mut tally = Tally::default();
        for (index, outputs) in images.indices.clone().zip(results) {
            for ((name, got), (expected, path)) in outputs.iter().zip(expected.iter().zip(paths(args))) {
                // Files hold the outputs of all inputs, ONNX Runtime has run those that are asked for.
                let at = if given { index } else { index - args.index };
                let want = floats(&expected.image(at).map_err(|e| Failure::Input(format!("{path}: {e}")))?);
                if want.len() != got.len() {
                    return Err(Failure::Input(format!(
                        "{path}: {} values an image for output {name}, which has {}; give the outputs of this network",
                        want.len(),
                        got.len()
                    )));
                }
                tally.add(index, name, got, &want, tolerance);
            }
        }
        let Tally { values, different, largest, first } = tally;
        let within = if tolerance > 0.0 { format!(" beyond {tolerance:e}") } else { String::new() };
        say!(
            "{machine} and ONNX Runtime: {} images, {values} values compared, {different} differ{within}, by {largest} at most",
            results.len()
        );
        if let Some(first) = first {
            verdict = verdict.and(Err(Failure::Mismatch(format!("{machine}, {first}"))));
        }
    }
    verdict
}

/// Name and elements of each output of the file.
type Outputs = Vec<(String, Vec<f64>)>;

/// Where the expected outputs come from, for messages.
fn paths(args: &Args) -> impl Iterator<Item = String> {
    let given = args.outputs.iter().map(|p| p.display().to_string());
    given.chain(std::iter::repeat_with(|| "ONNX Runtime".to_owned()))
}

/// Runs the images on the RTL.
fn rtl(args: &Args, images: &Images) -> Result<NetworkReport, Failure> {
    let config = args.config.resolve()?;
    let memory = args.memory.resolve(&config)?;
    let job = NetworkJob::new(config, memory, &args.model, &NetworkArgs::whole(args.no_chain))?;
    let (mut rtl, build) = simulate::rtl(&job.config, None)?;
    job.compare(images, &mut rtl, build)
}

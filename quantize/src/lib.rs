//! Post-training quantisation: from a float ONNX file and some images to a QOperator file that ONNX Runtime runs and
//! Koch imports.
//!
//! Activations are u8 with the range that they had on the images (MinMax), zero among their values; weights are s8,
//! symmetric, with a scale for each output channel. Batch normalisation is folded into the convolution before it, ReLU
//! and Clip into saturation. Tensors that meet in a concatenation share a scale as far as saturation allows.

mod emit;
mod graph;
mod proto;
mod ranges;
mod run;
#[cfg(test)]
mod tests;

use std::fmt;

use compiler::npy;
use compiler::onnx::ImportError;
use prost::Message;

/// Why a network cannot be quantised, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuantizeError(String);

impl QuantizeError {
    /// An error that says `message`.
    pub fn new(message: impl fmt::Display) -> Self {
        Self(message.to_string())
    }
}

impl fmt::Display for QuantizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for QuantizeError {}

impl From<ImportError> for QuantizeError {
    fn from(e: ImportError) -> Self {
        Self::new(e)
    }
}

type Result<T> = std::result::Result<T, QuantizeError>;

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Images that the ranges are of.
    pub images: usize,
    /// Operators of the quantised network.
    pub operators: usize,
}

/// Quantises the ONNX file whose bytes are `onnx` by the ranges that its tensors have on the first `limit` of `images`.
pub fn quantize(onnx: Vec<u8>, images: &npy::Tensor, limit: usize) -> Result<(Vec<u8>, Summary)> {
    let count = images.shape.first().copied().unwrap_or(0).min(limit);
    if count == 0 {
        return Err(QuantizeError::new("0 images to calibrate with: at least 1 wanted; give more"));
    }
    let model = proto::Model::decode(&onnx[..])
        .map_err(|e| QuantizeError::new(format!("not an ONNX file: {e}; give a float .onnx model")))?;
    let (model, onnx) = prepared(model, onnx);
    let source = graph::Source::new(model)?;
    let runner = run::Runner::new(onnx, &source.input)?;
    let first = run::image(images, 0, &source.shape)?;
    let names = source.computed_names();
    let values = runner.run(&first, &names)?;
    let graph = source.lower(&names.into_iter().zip(values).collect(), first.shape.clone())?;

    let mut ranges = ranges::Measured::default();
    let names = graph.measured_names();
    let shape: Vec<Option<usize>> = first.shape.iter().map(|&n| Some(n)).collect();
    for index in 0..count {
        let image = run::image(images, index, &shape)?;
        ranges.add(&graph.input, &image.values)?;
        for (name, computed) in names.iter().zip(runner.run(&image, &names)?) {
            ranges.add(name, &computed.values)?;
        }
    }
    let scales = ranges::scales(&graph, &ranges)?;
    let model = emit::model(&graph, &scales)?;
    Ok((model.encode_to_vec(), Summary { images: count, operators: graph.nodes.len() }))
}

/// The model as the library that runs it needs it: without Dropout, which does nothing at inference but would want
/// random numbers, and with the windows where the file leaves it to the defaults.
fn prepared(mut model: proto::Model, onnx: Vec<u8>) -> (proto::Model, Vec<u8>) {
    let nodes = model.graph.iter_mut().flat_map(|g| &mut g.nodes).filter(|n| graph::is_onnx(&n.domain));
    let mut changed = false;
    for node in nodes {
        if node.op == "Dropout" {
            changed = true;
            node.op = "Identity".into();
            node.inputs.truncate(1);
            node.outputs.truncate(1);
            node.attributes.clear();
        }
        // Two each: only maps are supported.
        let pads = node.text("auto_pad").is_none_or(|a| a == "NOTSET").then_some(("pads", 4));
        let defaults = match node.op.as_str() {
            "Conv" | "ConvTranspose" => vec![Some(("strides", 2)), Some(("dilations", 2)), pads],
            "MaxPool" | "AveragePool" => vec![Some(("strides", 2)), pads],
            _ => continue,
        };
        for (name, count) in defaults.into_iter().flatten() {
            if node.ints(name).is_none_or(<[i64]>::is_empty) {
                changed = true;
                node.attributes.retain(|a| a.name != name);
                let value = i64::from(count == 2);
                node.attributes.push(proto::Attribute::of_ints(name, &vec![value; count]));
            }
        }
    }
    let onnx = if changed { model.encode_to_vec() } else { onnx };
    (model, onnx)
}

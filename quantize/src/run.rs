//! The float network at work: RTen gives any tensor of it.

use compiler::npy::{self, TO_NCHW, Type, Values};
use rten::{Model, ModelOptions, NodeId, Value};
use rten_tensor::prelude::*;

use crate::{QuantizeError, Result};

/// What a tensor of the graph holds for one image.
pub struct Computed {
    pub shape: Vec<usize>,
    pub values: Values,
}

/// A float network, ready to run.
pub struct Runner {
    model: Model,
    input: NodeId,
}

impl Runner {
    pub fn new(onnx: Vec<u8>, input: &str) -> Result<Self> {
        let fail = |e: &dyn std::fmt::Display| {
            QuantizeError::new(format!(
                "the network cannot be run to calibrate it: {e}; export it anew, for inference"
            ))
        };
        // Tensors that an optimised graph no longer has are wanted too.
        let model =
            ModelOptions::with_all_ops().enable_optimization(false).load(onnx).map_err(|e| fail(&e))?;
        let input = model.node_id(input).map_err(|e| fail(&e))?;
        Ok(Self { model, input })
    }

    /// The named tensors for an image.
    pub fn run(&self, image: &npy::Tensor, names: &[String]) -> Result<Vec<Computed>> {
        let fail = |e: &dyn std::fmt::Display| {
            QuantizeError::new(format!(
                "the network cannot be run to calibrate it: {e}; export it anew, for inference"
            ))
        };
        let ids: std::result::Result<Vec<NodeId>, _> = names.iter().map(|n| self.model.node_id(n)).collect();
        let x = Value::from_shape(&image.shape, image.as_floats().unwrap_or_default().to_vec())
            .map_err(|e| fail(&e))?;
        let values = self
            .model
            .run(vec![(self.input, x.into())], &ids.map_err(|e| fail(&e))?, None)
            .map_err(|e| fail(&e))?;
        values.into_iter().zip(names).map(|(value, name)| computed(value, name)).collect()
    }
}

fn computed(value: Value, name: &str) -> Result<Computed> {
    match value {
        Value::FloatTensor(t) => {
            Ok(Computed { shape: t.shape().to_vec(), values: Values::Floats(t.to_vec()) })
        }
        Value::Int32Tensor(t) => Ok(Computed { shape: t.shape().to_vec(), values: Values::Ints(t.to_vec()) }),
        _ => Err(QuantizeError::new(format!(
            "tensor {name:?} is neither float nor int32 or int64: quantise a float network"
        ))),
    }
}

/// Image `index` as a float batch of one, of the shape that the network wants.
///
/// uint8 pixels are divided by 255; NHWC is turned to NCHW where that fits.
pub fn image(images: &npy::Tensor, index: usize, shape: &[Option<usize>]) -> Result<npy::Tensor> {
    let image = images.image(index)?;
    let fits = |t: &npy::Tensor| {
        t.shape.len() == shape.len()
            && t.shape.iter().zip(shape).skip(1).all(|(&n, want)| want.is_none_or(|w| w == n))
    };
    let turned = (image.shape.len() == 4).then(|| image.permute(TO_NCHW));
    let wanted = || {
        let sizes: Vec<String> = shape.iter().map(|n| n.map_or("?".into(), |n| n.to_string())).collect();
        QuantizeError::new(format!(
            "images of shape {:?} ({:?}): the network takes [{}]; give float32 NCHW, or uint8 NCHW or NHWC, which is \
             divided by 255",
            images.shape,
            images.ty,
            sizes.join(", ")
        ))
    };
    let image = if fits(&image) { image } else { turned.filter(fits).ok_or_else(wanted)? };
    let floats = match (image.values, image.ty) {
        (Values::Floats(x), _) => x,
        (Values::Ints(x), Type::U8) => x.iter().map(|&x| x as f32 / 255.0).collect(),
        _ => return Err(wanted()),
    };
    if let Some(bad) = floats.iter().find(|x| !x.is_finite()) {
        return Err(QuantizeError::new(format!(
            "image {index} holds {bad}: finite numbers wanted; check the file"
        )));
    }
    Ok(npy::Tensor::floats(&image.shape, floats))
}

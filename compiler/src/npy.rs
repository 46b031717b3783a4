//! Tensors, and `.npy` files as their source.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use npyz::{DType, NpyFile, Order};

use crate::onnx::ImportError;

/// The element types that import understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Type {
    U8,
    I8,
    U16,
    I16,
    I32,
    I64,
    F32,
}

/// The elements of a tensor. Integers of every type are held as i32; an i64 beyond it is saturated.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Elements of an integer [`Type`].
    Ints(Vec<i32>),
    /// Elements of [`Type::F32`].
    Floats(Vec<f32>),
}

/// A dense tensor, last dimension fastest. `values` holds as many elements as the product of `shape`.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Sizes, outermost first; empty for a scalar.
    pub shape: Vec<usize>,
    /// Element type.
    pub ty: Type,
    /// Elements.
    pub values: Values,
}

impl Tensor {
    /// A tensor of integers of type `ty`.
    pub fn ints(shape: &[usize], ty: Type, values: Vec<i32>) -> Self {
        Self { shape: shape.to_vec(), ty, values: Values::Ints(values) }
    }

    /// A tensor of f32.
    pub fn floats(shape: &[usize], values: Vec<f32>) -> Self {
        Self { shape: shape.to_vec(), ty: Type::F32, values: Values::Floats(values) }
    }

    /// The integers, or `None` for floats.
    pub fn as_ints(&self) -> Option<&[i32]> {
        match &self.values {
            Values::Ints(v) => Some(v),
            Values::Floats(_) => None,
        }
    }

    /// The floats, or `None` for integers.
    pub fn as_floats(&self) -> Option<&[f32]> {
        match &self.values {
            Values::Floats(v) => Some(v),
            Values::Ints(_) => None,
        }
    }

    /// Entry `index` of the first dimension, as a batch of one.
    pub fn image(&self, index: usize) -> Result<Tensor, ImportError> {
        let &[batch, ref rest @ ..] = &self.shape[..] else {
            return Err(ImportError::new("a scalar has no images: give an array with a batch dimension"));
        };
        if index >= batch {
            let last = batch.saturating_sub(1);
            return Err(ImportError::new(format!("image {index} of a batch of {batch}: use 0 to {last}")));
        }
        let size: usize = rest.iter().product();
        let range = index * size..(index + 1) * size;
        let values = match &self.values {
            Values::Ints(v) => Values::Ints(v[range].to_vec()),
            Values::Floats(v) => Values::Floats(v[range].to_vec()),
        };
        Ok(Tensor { shape: [&[1], rest].concat(), ty: self.ty, values })
    }

    /// The same tensor with its dimensions in another order: `[0, 3, 1, 2]` takes NHWC to NCHW.
    ///
    /// # Panics
    ///
    /// Where the tensor is not of rank 4 or `order` is not a permutation.
    pub fn permute(&self, order: [usize; 4]) -> Tensor {
        let strides =
            [self.shape[1] * self.shape[2] * self.shape[3], self.shape[2] * self.shape[3], self.shape[3], 1];
        let shape = order.map(|axis| self.shape[axis]);
        let stride = order.map(|axis| strides[axis]);
        let mut from = Vec::with_capacity(shape.iter().product());
        for a in 0..shape[0] {
            for b in 0..shape[1] {
                for c in 0..shape[2] {
                    let row = a * stride[0] + b * stride[1] + c * stride[2];
                    from.extend((0..shape[3]).map(|d| row + d * stride[3]));
                }
            }
        }
        let values = match &self.values {
            Values::Ints(v) => Values::Ints(from.iter().map(|&i| v[i]).collect()),
            Values::Floats(v) => Values::Floats(from.iter().map(|&i| v[i]).collect()),
        };
        Tensor { shape: shape.to_vec(), ty: self.ty, values }
    }
}

/// NHWC to NCHW, for [`Tensor::permute`].
pub const TO_NCHW: [usize; 4] = [0, 3, 1, 2];
/// NCHW to NHWC, for [`Tensor::permute`].
pub const TO_NHWC: [usize; 4] = [0, 2, 3, 1];

/// Reads a `.npy` file of uint8, int8, uint16, int16, int32 or float32 in C order.
pub fn load(path: &Path) -> Result<Tensor, ImportError> {
    let file = File::open(path)
        .map_err(|e| ImportError::new(format!("{e}; give the path of a .npy file")).in_file(path))?;
    read(BufReader::new(file)).map_err(|e| e.in_file(path))
}

/// Reads the bytes of a `.npy` file: see [`load`].
pub fn read(reader: impl Read) -> Result<Tensor, ImportError> {
    let npy = NpyFile::new(reader).map_err(|e| ImportError::new(format!("not a .npy file: {e}")))?;
    if npy.order() != Order::C {
        return Err(ImportError::new("array in Fortran order: save numpy.ascontiguousarray of it"));
    }
    let sizes: Option<Vec<usize>> = npy.shape().iter().map(|&n| usize::try_from(n).ok()).collect();
    let shape = sizes.filter(|s| elements(s).is_some());
    let shape = shape.ok_or_else(|| ImportError::new("array too large for this machine"))?;
    let descr = match npy.dtype() {
        DType::Plain(ty) => ty.to_string(),
        other => other.descr(),
    };
    let widened = |values: std::io::Result<Vec<i32>>, ty| values.map(|v| Tensor::ints(&shape, ty, v));
    let tensor = match descr.trim_start_matches(['|', '<', '>', '=']) {
        "u1" => widened(collect::<u8, _, _>(npy), Type::U8),
        "i1" => widened(collect::<i8, _, _>(npy), Type::I8),
        "u2" => widened(collect::<u16, _, _>(npy), Type::U16),
        "i2" => widened(collect::<i16, _, _>(npy), Type::I16),
        "i4" => widened(collect::<i32, _, _>(npy), Type::I32),
        "f4" => collect::<f32, _, _>(npy).map(|v| Tensor::floats(&shape, v)),
        _ => {
            return Err(ImportError::new(format!(
                "element type {descr}: uint8, int8, uint16, int16, int32 or float32 wanted; save array.astype of one"
            )));
        }
    };
    tensor.map_err(|e| ImportError::new(format!("shape {shape:?}: {e}")))
}

fn collect<T: npyz::Deserialize + Into<U>, U, R: Read>(npy: NpyFile<R>) -> std::io::Result<Vec<U>> {
    let reader = npy.data::<T>().map_err(std::io::Error::other)?;
    reader.map(|value| value.map(Into::into)).collect()
}

/// The number of elements of a shape, unless it overflows.
pub(crate) fn elements(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |product, &n| product.checked_mul(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn npy(descr: &str, order: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let mut header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}");
        while (10 + header.len() + 1) % 64 != 0 {
            header.push(' ');
        }
        header.push('\n');
        [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), data].concat()
    }

    #[test]
    fn element_types() {
        let bytes = npy("|u1", "False", "(2, 2)", &[0, 1, 254, 255]);
        assert_eq!(read(&bytes[..]).unwrap(), Tensor::ints(&[2, 2], Type::U8, vec![0, 1, 254, 255]));
        let bytes = npy("|i1", "False", "(2,)", &[127, 128]);
        assert_eq!(read(&bytes[..]).unwrap(), Tensor::ints(&[2], Type::I8, vec![127, -128]));
        let bytes = npy("<f4", "False", "(1, 1)", &1.5f32.to_le_bytes());
        assert_eq!(read(&bytes[..]).unwrap(), Tensor::floats(&[1, 1], vec![1.5]));
    }

    #[test]
    fn bad_files_are_refused() {
        for (bytes, message) in [
            (b"PK\x03\x04".to_vec(), "not a .npy file"),
            (npy("<f8", "False", "(1,)", &[0; 8]), "element type <f8: uint8"),
            (npy("|u1", "True", "(2, 2)", &[0; 4]), "Fortran order"),
            (npy("|u1", "False", "(2, 3)", &[0; 5]), "shape [2, 3]"),
            (npy("|u1", "False", "(4294967296, 4294967296)", &[0; 5]), "too large"),
            (npy("|u1", "False", "(4611686018427387904, 1)", &[0; 5]), "shape"),
        ] {
            let error = read(&bytes[..]).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn images_and_layouts() {
        let t = Tensor::ints(&[2, 1, 2, 3], Type::U8, (0..12).collect());
        assert_eq!(t.image(1).unwrap(), Tensor::ints(&[1, 1, 2, 3], Type::U8, (6..12).collect()));
        assert!(t.image(2).unwrap_err().to_string().contains("image 2 of a batch of 2: use 0 to 1"));
        let nchw = t.permute(TO_NCHW);
        assert_eq!(nchw.shape, [2, 3, 1, 2]);
        assert_eq!(nchw.as_ints().unwrap()[..6], [0, 3, 1, 4, 2, 5]);
        assert_eq!(nchw.permute(TO_NHWC), t);
    }
}

//! Koch crate `compiler`.

pub mod interpret;
pub mod npy;
pub mod onnx;

//! What a leaf's file imports: `use crate::prelude::*;`.
//!
//! rust-hdl's names, with [`Bits`], [`Signed`] and [`DFF`] replaced by ours.

pub use crate::bits::{
    Bit, Bits, LiteralType, Signed, ToBits, Widen, WidenSigned, bit_cast, bit_cast_signed, bits,
    bits_of_bool, signed_cast, unsigned_cast,
};
pub use crate::dff_setup;
pub use crate::leaf;
pub use crate::leaf::{Leaf, LeafDoc};
pub use crate::leaf_inputs;
pub use crate::reg::DFF;
pub use rust_hdl_core::ast::{self, Verilog, VerilogLiteral};
pub use rust_hdl_core::atom::Atom;
pub use rust_hdl_core::bits::clog2;
pub use rust_hdl_core::block::{self, Block};
pub use rust_hdl_core::clock::Clock;
pub use rust_hdl_core::constant::Constant;
pub use rust_hdl_core::direction::{In, Local, Out};
pub use rust_hdl_core::logic::{self, Logic};
pub use rust_hdl_core::prelude::{LogicBlock, LogicState, LogicStruct, hdl_gen};
pub use rust_hdl_core::probe::{self, Probe};
pub use rust_hdl_core::signal::Signal;
pub use rust_hdl_core::synth::{self, Synth, VCDValue};
pub use rust_hdl_core::type_descriptor::{self, TypeDescriptor, TypeField, TypeKind};

//! Leaves: modules with logic of their own, written once as a rust-hdl block.
//!
//! The block is simulated natively ([`Sim`]) and translated to our Verilog tree ([`module`]). Its fields give
//! the module's ports and state:
//!
//! | field `x` | Verilog |
//! | --- | --- |
//! | `Signal<In, Clock>` | `clk_i`, and with it `rst_ni`, unless [`Leaf::has_reset`] says no |
//! | `Signal<In, T>`, `Signal<Out, T>` | ports `x_i`, `x_o` (a field may carry its suffix already) |
//! | `DFF<T>` | `x_q`, reset (if it is) to its initial value; assignments to `x.d` are made in the module's `always_ff` |
//! | `Signal<Local, T>` | `x` |
//! | `Constant<T>` | a local parameter in upper camel case |
//! | variants of a `LogicState` enum | local parameters `StateIdle`, ... |
//! | `Vec` of any of these | one each: `x_0`, `x_1`, ...; loops over them are unrolled |
//!
//! The translation rejects what would not mean the same in both: latches, reads before assignment, reads of
//! `x.d`, literals without a width.

mod flow;
mod sim;
#[cfg(test)]
mod tests;
mod translate;

pub use sim::{Sim, SimPort};
pub use translate::{LeafError, module, try_module};

use rust_hdl_core::block::Block;
use rust_hdl_core::clock::Clock;
use rust_hdl_core::direction::In;
use rust_hdl_core::signal::Signal;

/// The header of a leaf's file.
#[derive(Clone, Debug, Default)]
pub struct LeafDoc {
    /// What it does, in a sentence or more.
    pub purpose: String,
    /// When its outputs answer its inputs.
    pub latency: String,
    /// More lines: parameters, config name and hash.
    pub notes: Vec<String>,
}

impl LeafDoc {
    /// Purpose and latency.
    pub fn new(purpose: impl Into<String>, latency: impl Into<String>) -> Self {
        LeafDoc { purpose: purpose.into(), latency: latency.into(), notes: vec![] }
    }
    /// One more line.
    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push(text.into());
        self
    }
}

/// A block that becomes a module.
pub trait Leaf: Block {
    /// The module's name.
    fn name(&self) -> String;
    /// Its header.
    fn doc(&self) -> LeafDoc;
    /// Registers are reset. Of those of a path that is cleared before its values count, a reset only takes wires.
    fn has_reset(&self) -> bool {
        true
    }
    /// Rust constants that `update` names: each becomes a local parameter (or sizes a literal).
    fn consts(&self) -> Vec<(&'static str, u64)> {
        vec![]
    }
    /// The clock, none in a combinational leaf. Written by [`leaf_inputs!`](crate::leaf_inputs).
    fn clock_mut(&mut self) -> Option<&mut Signal<In, Clock>>;
    /// Drives an input. Written by [`leaf_inputs!`](crate::leaf_inputs).
    ///
    /// # Panics
    /// If there is no such input.
    fn drive(&mut self, input: &str, limbs: &[u64]);
}

/// Values that can be driven from raw bits.
pub trait FromLimbs {
    /// Low bits of the limbs, least significant limb first.
    fn from_limbs(limbs: &[u64]) -> Self;
}
impl FromLimbs for bool {
    fn from_limbs(limbs: &[u64]) -> Self {
        limbs[0] & 1 != 0
    }
}
impl<const N: usize> FromLimbs for crate::bits::Bits<N> {
    fn from_limbs(limbs: &[u64]) -> Self {
        Self::from_limbs(limbs)
    }
}
impl<const N: usize> FromLimbs for crate::bits::Signed<N> {
    fn from_limbs(limbs: &[u64]) -> Self {
        crate::bits::signed_cast(crate::bits::Bits::from_limbs(limbs))
    }
}

/// Inside `impl Leaf`: names the clock (or nothing) and every other input.
///
/// `leaf_inputs!(clock; valid, data);` or, without a clock, `leaf_inputs!(; a, b);`. The translation fails when
/// an input is missing. For a `Vec` of inputs write `name[]`.
#[macro_export]
macro_rules! leaf_inputs {
    ($($clock:ident)?; $($field:ident $([$($vec:tt)*])?),* $(,)?) => {
        #[allow(unreachable_code)]
        fn clock_mut(
            &mut self,
        ) -> Option<&mut $crate::prelude::Signal<$crate::prelude::In, $crate::prelude::Clock>> {
            $(return Some(&mut self.$clock);)?
            None
        }
        #[allow(unused_variables)]
        fn drive(&mut self, input: &str, limbs: &[u64]) {
            $($crate::leaf_inputs!(@one self input limbs $field $([$($vec)*])?);)*
            panic!("no input `{input}` in leaf_inputs!");
        }
    };
    (@one $me:ident $input:ident $limbs:ident $field:ident) => {
        if $input == stringify!($field) {
            $me.$field.next = $crate::leaf::FromLimbs::from_limbs($limbs);
            return;
        }
    };
    (@one $me:ident $input:ident $limbs:ident $field:ident []) => {
        if let Some(k) = $input.strip_prefix(concat!(stringify!($field), "$")) {
            let k: usize = k.parse().expect("an index");
            $me.$field[k].next = $crate::leaf::FromLimbs::from_limbs($limbs);
            return;
        }
    };
}

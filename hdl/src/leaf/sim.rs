//! A leaf in rust-hdl's simulator, clock by clock.

use super::Leaf;
use super::translate::{literal_limbs, suffixed};
use rust_hdl_core::atom::{Atom, AtomKind};
use rust_hdl_core::block::Block;
use rust_hdl_core::clock::Clock;
use rust_hdl_core::probe::Probe;
use rust_hdl_core::simulate::simulate;

/// Rounds until the logic must have settled.
const MAX_ROUNDS: usize = 1000;

/// A simulation of one leaf, out of reset.
pub struct Sim<L: Leaf> {
    /// The leaf: set `x.next` of inputs, read `x.val()` of outputs and `x.q.val()` of registers.
    pub leaf: L,
}

/// A port other than clock and reset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimPort {
    /// Field name, with `$index` for `Vec`s.
    pub field: String,
    /// Name in the Verilog module.
    pub name: String,
    /// Width.
    pub width: usize,
    /// Whether it is an input.
    pub input: bool,
}

impl<L: Leaf> Sim<L> {
    /// Settles the leaf with all inputs zero.
    pub fn new(mut leaf: L) -> Self {
        leaf.connect_all();
        let mut sim = Sim { leaf };
        sim.settle();
        sim
    }

    /// Lets the outputs follow the inputs.
    ///
    /// # Panics
    /// If the logic oscillates.
    pub fn settle(&mut self) {
        assert!(simulate(&mut self.leaf, MAX_ROUNDS), "{} does not settle", self.leaf.name());
    }

    /// One clock edge with the inputs set so far; outputs are settled afterwards.
    pub fn tick(&mut self) {
        self.settle();
        self.clock(true);
        self.clock(false);
    }

    fn clock(&mut self, level: bool) {
        if let Some(clock) = self.leaf.clock_mut() {
            clock.next = Clock { clk: level };
        }
        self.settle();
    }

    /// Every port but clock and reset, in order of the fields.
    pub fn ports(&self) -> Vec<SimPort> {
        let mut visit = Ports::default();
        self.leaf.accept("leaf", &mut visit);
        visit.ports.into_iter().map(|(p, _)| p).collect()
    }

    /// The outputs' values, in the order of [`Sim::ports`].
    pub fn outputs(&self) -> Vec<Vec<u64>> {
        let mut visit = Ports { values: true, ..Ports::default() };
        self.leaf.accept("leaf", &mut visit);
        visit.ports.into_iter().filter(|(p, _)| !p.input).map(|(_, v)| v).collect()
    }
}

#[derive(Default)]
struct Ports {
    depth: usize,
    values: bool,
    ports: Vec<(SimPort, Vec<u64>)>,
}

impl Probe for Ports {
    fn visit_start_scope(&mut self, _: &str, _: &dyn Block) {
        self.depth += 1;
    }
    fn visit_end_scope(&mut self, _: &str, _: &dyn Block) {
        self.depth -= 1;
    }
    fn visit_atom(&mut self, name: &str, atom: &dyn Atom) {
        let (input, suffix) = match atom.kind() {
            AtomKind::InputParameter => (true, "_i"),
            AtomKind::OutputParameter => (false, "_o"),
            _ => return,
        };
        if self.depth != 1 || atom.descriptor().name == "clock" {
            return;
        }
        let value = if self.values && !input { literal_limbs(&atom.verilog()).1 } else { vec![] };
        let port =
            SimPort { field: name.to_string(), name: suffixed(name, suffix), width: atom.bits(), input };
        self.ports.push((port, value));
    }
}

//! The flip-flop of leaves.

use crate::prelude::*;

/// A register with an initial value, which it also takes on reset. Prints as `x_q`.
///
/// Takes the place of rust-hdl's `DFF`, which has no initial value. Every register appears once in the leaf's
/// `dff_setup!` (or, for a `Vec`, in a loop that sets `clock` and `d`).
#[derive(Clone, Debug)]
pub struct DFF<T: Synth> {
    /// The value from the next edge on.
    pub d: Signal<In, T>,
    /// The value now.
    pub q: Signal<Out, T>,
    /// The clock.
    pub clock: Signal<In, Clock>,
    init: T,
}

impl<T: Synth> DFF<T> {
    /// With this value on reset.
    pub fn new(init: T) -> Self {
        let (d, clock) = Default::default();
        DFF { d, q: Signal::new_with_default(init), clock, init }
    }
}

impl<T: Synth> Default for DFF<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: Synth> Logic for DFF<T> {
    fn update(&mut self) {
        if self.clock.pos_edge() {
            self.q.next = self.d.val();
        }
    }
    fn connect(&mut self) {
        self.q.connect();
    }
    fn hdl(&self) -> Verilog {
        Verilog::Custom(format!("{}{:x}", Self::MARK, self.init.verilog()))
    }
}

impl<T: Synth> DFF<T> {
    pub(crate) const MARK: &'static str = "register ";
}

impl<T: Synth> Block for DFF<T> {
    fn connect_all(&mut self) {
        self.connect();
    }
    fn update_all(&mut self) {
        self.update();
        self.d.update_all();
        self.q.update_all();
        self.clock.update_all();
    }
    fn has_changed(&self) -> bool {
        self.d.has_changed() || self.q.has_changed() || self.clock.has_changed()
    }
    fn accept(&self, name: &str, probe: &mut dyn Probe) {
        probe.visit_start_scope(name, self);
        self.d.accept("d", probe);
        self.q.accept("q", probe);
        self.clock.accept("clock", probe);
        probe.visit_end_scope(name, self);
    }
}

/// Connects the clock of registers and lets them hold their value: the first line of every clocked leaf.
#[macro_export]
macro_rules! dff_setup {
    ($me:ident, $clock:ident, $($dff:ident),+ $(,)?) => {
        $($me.$dff.clock.next = $me.$clock.val();)+
        $($me.$dff.d.next = $me.$dff.q.val();)+
    };
}

//! `koch_counters`.

use crate::verilog::*;
use spec::regs::{COUNTER_BITS, Counters};

/// Lets the Verilated model's owner read a register.
const PUBLIC: &str = "verilator public_flat_rd";

/// The event counters.
pub fn module() -> Module {
    let mut m = Module::new(
        "koch_counters",
        "Counters of cycles, of idle cycles by cause, and of bus bytes; and the number of the layer.",
    );
    m.note("Latency: an event is counted in the next cycle.");
    m.param("Bits", COUNTER_BITS).param("BusBytes", 16);
    m.clocked();
    m.input("clear_i", 1);
    for (name, _) in Counters::ALL {
        m.input(format!("{name}_i"), 1);
    }
    m.input("index_i", 4).output("count_o", "Bits");
    m.input("quant_i", 1).input("quant_layer_i", 16).output("layer_o", 16);
    m.output("cycles_o", 32);
    m.comment("A testbench may look at these at any time.");
    for (name, _) in Counters::ALL {
        m.net(format!("{name}_q"), "Bits", [], [PUBLIC]);
    }
    m.net("layer_q", 16, [], [PUBLIC]);
    m.blank();
    let zero = || {
        Counters::ALL
            .iter()
            .map(|(name, _)| set_nb(format!("{name}_q"), rep("Bits", lit(1, 0))))
            .chain([set_nb("layer_q", rep(16, lit(1, 0)))])
            .collect::<Vec<_>>()
    };
    let count = Counters::ALL.iter().map(|(name, _)| {
        let bytes = name.starts_with("read_") || *name == "written";
        let step = if bytes { resize("Bits", id("BusBytes")) } else { resize("Bits", lit(1, 1)) };
        when(format!("{name}_i"), [set_nb(format!("{name}_q"), id(format!("{name}_q")) + step)])
    });
    let layer = when("quant_i", [set_nb("layer_q", "quant_layer_i")]);
    m.ff(zero(), [if_else("clear_i", zero(), count.chain([layer]).collect::<Vec<_>>())]);
    m.assign("layer_o", "layer_q");
    m.assign("cycles_o", id("cycles_q").range(31, 0));
    let shown = Counters::ALL.iter().enumerate();
    m.comb([case(
        "index_i",
        shown.map(|(k, (name, _))| (lit(4, k), vec![set("count_o", format!("{name}_q"))])),
        [set("count_o", rep("Bits", lit(1, 0)))],
    )]);
    m
}

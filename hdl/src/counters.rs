//! `koch_counters`.

use crate::verilog::*;
use spec::regs::{COUNTER_BITS, Counters};

/// The event counters.
pub fn module() -> Module {
    let mut m =
        Module::new("koch_counters", "Counters of cycles, of idle cycles by cause, and of bus bytes.");
    m.note("Latency: an event is counted in the next cycle.");
    m.param("Bits", COUNTER_BITS).param("BusBytes", 16);
    m.clocked();
    m.input("clear_i", 1);
    for (name, _) in Counters::ALL {
        m.input(format!("{name}_i"), 1);
    }
    m.input("index_i", 4).output("count_o", "Bits");
    for (name, _) in Counters::ALL {
        m.logic(format!("{name}_q"), "Bits");
    }
    m.blank();
    let zero = || {
        Counters::ALL
            .iter()
            .map(|(name, _)| set_nb(format!("{name}_q"), rep("Bits", lit(1, 0))))
            .collect::<Vec<_>>()
    };
    let count = Counters::ALL.iter().map(|(name, _)| {
        let bytes = name.starts_with("read_") || *name == "written";
        let step = if bytes { resize("Bits", id("BusBytes")) } else { resize("Bits", lit(1, 1)) };
        when(format!("{name}_i"), [set_nb(format!("{name}_q"), id(format!("{name}_q")) + step)])
    });
    m.ff(zero(), [if_else("clear_i", zero(), count.collect::<Vec<_>>())]);
    let shown = Counters::ALL.iter().enumerate();
    m.comb([case(
        "index_i",
        shown.map(|(k, (name, _))| (lit(4, k), vec![set("count_o", format!("{name}_q"))])),
        [set("count_o", rep("Bits", lit(1, 0)))],
    )]);
    m
}

//! `koch_delay`.

use crate::verilog::*;

/// Delays `Width` bits by `Depth` >= 1 cycles.
pub fn module() -> Module {
    let mut m = Module::new("koch_delay", "Delays its input by a number of cycles: a shift register.");
    m.note("Latency: Depth cycles.");
    m.param("Width", 1).param("Depth", 1);
    m.clocked();
    m.input("data_i", "Width").output("data_o", "Width");
    m.logic_split("stage", (id("Depth") + 1) * "Width");
    m.blank();
    m.assign(id("stage").part(0, "Width"), "data_i");
    m.assign("data_o", id("stage").part(id("Depth") * "Width", "Width"));
    m.gen_for("k", 0, "Depth", "gen_stage", |b| {
        b.logic("stage_q", "Width");
        b.ff(
            [set_nb("stage_q", rep("Width", lit(1, 0)))],
            [set_nb("stage_q", id("stage").part(id("k") * "Width", "Width"))],
        );
        b.assign(id("stage").part((id("k") + 1) * "Width", "Width"), "stage_q");
    });
    m
}

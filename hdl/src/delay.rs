//! `koch_delay`.

use crate::verilog::*;

/// Delays `Width` bits by `Depth` >= 1 cycles.
pub fn module() -> Module {
    let mut m = Module::new("koch_delay", "A shift register.");
    m.note("Latency: Depth cycles.");
    m.param("Width", 1).param("Depth", 1);
    m.clocked();
    m.input("data_i", "Width").output("data_o", "Width");
    m.logic_array("stage_q", "Width", "Depth");
    m.blank();
    m.assign("data_o", id("stage_q").at(id("Depth") - 1));
    m.gen_for("k", 0, "Depth", "gen_stage", |b| {
        let reset = || [set_nb(id("stage_q").at("k"), rep("Width", lit(1, 0)))];
        b.gen_if_else(
            id("k").eq_(0),
            "gen_first",
            |b| {
                b.ff(reset(), [set_nb(id("stage_q").at("k"), "data_i")]);
            },
            "gen_rest",
            |b| {
                b.ff(reset(), [set_nb(id("stage_q").at("k"), id("stage_q").at(id("k") - 1))]);
            },
        );
    });
    m
}

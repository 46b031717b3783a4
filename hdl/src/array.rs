//! `koch_array`.

use crate::verilog::*;
use spec::Config;

/// The grid of processing elements.
pub fn module(config: &Config) -> Module {
    let weight = config.operand_bits;
    let act = weight + 1;
    let mut m = Module::new(
        "koch_array",
        "The systolic array. Activations move right, weights move down, sums stay; finished sums shift up to row 0, a \
         chunk of columns at a time.",
    );
    m.note("Latency: two cycles, the row's and the column's number from an operand to its sum.");
    m.param("Rows", config.rows).param("Cols", config.cols).param("Lanes", config.lanes);
    m.clocked();
    m.input("valid_i", 1)
        .input("first_i", 1)
        .input("last_i", 1)
        .input("acts_i", id("Rows") * act)
        .input("weights_i", id("Cols") * weight)
        .input("shift_i", 1)
        .input("shift_chunk_i", 8)
        .output("sums_o", id("Cols") * 32);
    m.comment("What the operands mean arrives at row 0, column 0, and moves one diagonal a cycle.");
    m.logic_array("valid", 1, id("Rows") + "Cols" - 1);
    m.logic_array("first", 1, id("Rows") + "Cols" - 1);
    m.logic_array("last", 1, id("Rows") + "Cols" - 1);
    m.net("act", act, [id("Rows"), id("Cols") + 1], []);
    m.net("weight", weight, [id("Rows") + 1, id("Cols")], []);
    m.net("sum", 32, [id("Rows") + 1, id("Cols")], []);
    m.logic("shift", id("Cols") / "Lanes");
    m.blank();
    m.assign(id("valid").at(0), "valid_i");
    m.assign(id("first").at(0), "first_i");
    m.assign(id("last").at(0), "last_i");
    m.gen_for("d", 1, id("Rows") + "Cols" - 1, "gen_diagonal", |b| {
        for name in ["valid", "first", "last"] {
            b.logic(format!("{name}_q"), 1);
        }
        b.ff(
            ["valid", "first", "last"].map(|n| set_nb(format!("{n}_q"), lit(1, 0))),
            ["valid", "first", "last"].map(|n| set_nb(format!("{n}_q"), id(n).at(id("d") - 1))),
        );
        for name in ["valid", "first", "last"] {
            b.assign(id(name).at("d"), format!("{name}_q"));
        }
    });
    m.gen_for("k", 0, id("Cols") / "Lanes", "gen_shift", |b| {
        b.assign(id("shift").at("k"), id("shift_i").and(id("shift_chunk_i").eq_(resize(8, id("k")))));
    });
    m.gen_for("c", 0, "Cols", "gen_edge", |b| {
        b.assign(id("weight").at(0).at("c"), id("weights_i").part(id("c") * weight, weight));
        b.assign(id("sum").at("Rows").at("c"), lit(32, 0));
        b.assign(id("sums_o").part(id("c") * 32, 32), id("sum").at(0).at("c"));
    });
    m.gen_for("r", 0, "Rows", "gen_row", |b| {
        b.assign(id("act").at("r").at(0), id("acts_i").part(id("r") * act, act));
        b.gen_for("c", 0, "Cols", "gen_col", |b| {
            b.inst(
                "koch_pe",
                "u_pe",
                [],
                [
                    ("clk_i", id("clk_i")),
                    ("rst_ni", id("rst_ni")),
                    ("valid_i", id("valid").at(id("r") + "c")),
                    ("first_i", id("first").at(id("r") + "c")),
                    ("last_i", id("last").at(id("r") + "c")),
                    ("act_i", id("act").at("r").at("c")),
                    ("weight_i", id("weight").at("r").at("c")),
                    ("shift_i", id("shift").at(id("c") / "Lanes")),
                    ("chain_i", id("sum").at(id("r") + 1).at("c")),
                    ("act_next_o", id("act").at("r").at(id("c") + 1)),
                    ("weight_next_o", id("weight").at(id("r") + 1).at("c")),
                    ("sum_o", id("sum").at("r").at("c")),
                ],
            );
        });
    });
    m
}

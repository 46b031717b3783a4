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
    let diagonals = || id("Rows") + "Cols" - 1;
    m.localparam("Diagonals", diagonals());
    m.comment("Control of the processing elements on each diagonal: it moves one diagonal a cycle.");
    for name in ["valid_q", "first_q", "take_q"] {
        m.logic(name, "Diagonals");
    }
    m.logic("shift", id("Cols") / "Lanes");
    m.comment("What passes down, and up, between the rows.");
    m.logic_split("weight", (id("Rows") + 1) * "Cols" * weight);
    m.logic_split("sum", (id("Rows") + 1) * "Cols" * 32);
    let weight_at = |r: Expr, c: Expr| id("weight").part((r * "Cols" + c) * weight, weight);
    let sum_at = |r: Expr, c: Expr| id("sum").part((r * "Cols" + c) * 32, 32);
    m.blank();
    let next = |name: &str, e: Expr| set_nb(name, cat([id(name).range(id("Diagonals") - 2, 0), e]));
    m.ff(
        ["valid_q", "first_q", "take_q"].map(|n| set_nb(n, rep("Diagonals", lit(1, 0)))),
        [
            next("valid_q", id("valid_i")),
            next("first_q", id("first_i")),
            next("take_q", id("valid_i").and("last_i")),
        ],
    );
    m.gen_for("k", 0, id("Cols") / "Lanes", "gen_shift", |b| {
        b.assign(id("shift").at("k"), id("shift_i").and(id("shift_chunk_i").eq_(resize(8, id("k")))));
    });
    m.assign(id("weight").part(0, id("Cols") * weight), "weights_i");
    m.assign(id("sum").part(id("Rows") * "Cols" * 32, id("Cols") * 32), rep(id("Cols") * 32, lit(1, 0)));
    m.assign("sums_o", id("sum").part(0, id("Cols") * 32));
    m.unused("weight", [id("weight").part(id("Rows") * "Cols" * weight, id("Cols") * weight)]);
    m.gen_for("r", 0, "Rows", "gen_row", |b| {
        let act_at = |c: Expr| id("act").part(c * act, act);
        b.logic_split("act", (id("Cols") + 1) * act);
        b.assign(act_at(num(0)), id("acts_i").part(id("r") * act, act));
        b.unused("act", [act_at(id("Cols"))]);
        b.gen_for("c", 0, "Cols", "gen_col", |b| {
            b.inst(
                "koch_pe",
                "u_pe",
                [],
                [
                    ("clk_i", id("clk_i")),
                    ("rst_ni", id("rst_ni")),
                    ("valid_i", id("valid_q").at(id("r") + "c")),
                    ("first_i", id("first_q").at(id("r") + "c")),
                    ("take_i", id("take_q").at(id("r") + "c")),
                    ("act_i", act_at(id("c"))),
                    ("weight_i", weight_at(id("r"), id("c"))),
                    ("shift_i", id("shift").at(id("c") / "Lanes")),
                    ("chain_i", sum_at(id("r") + 1, id("c"))),
                    ("act_next_o", act_at(id("c") + 1)),
                    ("weight_next_o", weight_at(id("r") + 1, id("c"))),
                    ("sum_o", sum_at(id("r"), id("c"))),
                ],
            );
        });
    });
    m
}

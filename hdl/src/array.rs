//! `koch_array`.

use crate::verilog::*;
use spec::Config;

/// The grid of processing elements.
pub fn module(config: &Config) -> Module {
    let weight = config.operand_bits;
    let act = weight + 1;
    let depth = config.by_channel;
    let mut m = Module::new(
        "koch_array",
        if depth {
            "The systolic array. Activations move right, weights move down, sums stay; finished sums shift up to row 0, \
             a chunk of columns at a time. By channel, activations move down as well, and weights at half their speed."
        } else {
            "The systolic array. Activations move right, weights move down, sums stay; finished sums shift up to row 0, \
             a chunk of columns at a time."
        },
    );
    m.note(if depth {
        "Latency: two cycles, the row's (by channel twice the row's) and the column's number from an operand to its sum."
    } else {
        "Latency: two cycles, the row's and the column's number from an operand to its sum."
    });
    m.param("Rows", config.rows).param("Cols", config.cols).param("Lanes", config.lanes);
    m.note("A clear clears all sums, behind what is on its way; it lasts until the first operand, whatever changes before.");
    m.clocked();
    m.input("clear_i", 1).input("valid_i", 1).input("last_i", 1);
    if depth {
        m.input("depth_i", 1).input("largest_i", 1);
    }
    m.input("acts_i", id("Rows") * act);
    if depth {
        m.input("tops_i", id("Cols") * act);
    }
    m.input("weights_i", id("Cols") * weight)
        .input("shift_i", 1)
        .input("shift_chunk_i", 8)
        .output("sums_o", id("Cols") * 32);
    let what = "Control of row 0 in each of the last cycles; a row takes over the one of its number";
    m.comment(if depth { format!("{what}, or of twice that.") } else { format!("{what}.") });
    m.localparam("Lines", if depth { id("Rows") * 2 } else { id("Rows") + 1 });
    for name in ["valid", "take"] {
        m.logic(format!("{name}_line"), "Lines");
    }
    m.logic("shift", id("Cols") / "Lanes");
    m.comment("What passes right, down, and up.");
    m.logic_split("act", id("Rows") * (id("Cols") + 1) * act);
    if depth {
        m.logic_split("above", (id("Rows") + 1) * "Cols" * act);
    }
    m.logic_split("weight", (id("Rows") + 1) * "Cols" * weight);
    m.logic_split("sum", (id("Rows") + 1) * "Cols" * 32);
    let act_at = |r: Expr, c: Expr| id("act").part((r * (id("Cols") + 1) + c) * act, act);
    let above_at = |r: Expr, c: Expr| id("above").part((r * "Cols" + c) * act, act);
    let weight_at = |r: Expr, c: Expr| id("weight").part((r * "Cols" + c) * weight, weight);
    let sum_at = |r: Expr, c: Expr| id("sum").part((r * "Cols" + c) * 32, 32);
    m.blank();
    for (name, e) in [("valid", id("valid_i")), ("take", id("valid_i").and("last_i") | "clear_i")] {
        let (line, past) = (format!("{name}_line"), format!("{name}_past_q"));
        m.logic(past.clone(), id("Lines") - 1);
        m.ff(
            [set_nb(past.clone(), rep(id("Lines") - 1, lit(1, 0)))],
            [set_nb(past.clone(), id(line.clone()).range(id("Lines") - 2, 0))],
        );
        m.assign(line, cat([id(past), e]));
    }
    m.gen_for("k", 0, id("Cols") / "Lanes", "gen_shift", |b| {
        b.assign(id("shift").at("k"), id("shift_i").and(id("shift_chunk_i").eq_(resize(8, id("k")))));
    });
    if depth {
        m.assign(id("above").part(0, id("Cols") * act), "tops_i");
        m.unused("above", [id("above").part(id("Rows") * "Cols" * act, id("Cols") * act)]);
    }
    m.assign(id("weight").part(0, id("Cols") * weight), "weights_i");
    m.assign(id("sum").part(id("Rows") * "Cols" * 32, id("Cols") * 32), rep(id("Cols") * 32, lit(1, 0)));
    m.unused("line", ["valid_line", "take_line"].map(|n| id(n).at(id("Lines") - 1)));
    m.assign("sums_o", id("sum").part(0, id("Cols") * 32));
    m.unused("weight", [id("weight").part(id("Rows") * "Cols" * weight, id("Cols") * weight)]);
    m.gen_for("r", 0, "Rows", "gen_row", |b| {
        b.assign(act_at(id("r"), num(0)), id("acts_i").part(id("r") * act, act));
        if !depth {
            b.unused("act", [act_at(id("r"), id("Cols"))]);
        }
        b.comment("Control moves right in the row.");
        for name in ["valid", "take"] {
            let (q, line) = (format!("{name}_q"), id(format!("{name}_line")));
            let mine =
                if depth { mux("depth_i", line.clone().at(id("r") * 2), line.at("r")) } else { line.at("r") };
            b.logic(q.clone(), "Cols");
            b.ff(
                [set_nb(q.clone(), rep("Cols", lit(1, 0)))],
                [set_nb(q.clone(), cat([id(q.clone()).range(id("Cols") - 2, 0), mine]))],
            );
        }
        b.gen_for("c", 0, "Cols", "gen_col", |b| {
            let mut pins = vec![
                ("clk_i", id("clk_i")),
                ("valid_i", id("valid_q").at("c")),
                ("take_i", id("take_q").at("c")),
            ];
            if depth {
                pins.extend([("depth_i", id("depth_i")), ("largest_i", id("largest_i"))]);
            }
            pins.push(("act_i", act_at(id("r"), id("c"))));
            if depth {
                pins.push(("above_i", above_at(id("r"), id("c"))));
            }
            pins.extend([
                ("weight_i", weight_at(id("r"), id("c"))),
                ("shift_i", id("shift").at(id("c") / "Lanes")),
                ("chain_i", sum_at(id("r") + 1, id("c"))),
                ("act_next_o", act_at(id("r"), id("c") + 1)),
                ("weight_next_o", weight_at(id("r") + 1, id("c"))),
                ("sum_o", sum_at(id("r"), id("c"))),
            ]);
            b.inst("koch_pe", "u_pe", [], pins);
            if depth {
                b.assign(above_at(id("r") + 1, id("c")), act_at(id("r"), id("c") + 1));
            }
        });
    });
    m
}

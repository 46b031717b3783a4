//! `koch_array`.

use crate::verilog::*;
use spec::Config;

/// The grid of processing elements.
pub fn module(config: &Config) -> Module {
    let weight = config.operand_bits;
    let act = weight + 1;
    let depth = config.by_channel;
    let text = "The systolic array. Activations move right, weights move down, sums stay. Each row's sums of a chunk of columns \
                are read out by themselves.";
    let text_depth = "By channel, activations move down as well, and weights at half their speed.";
    let mut m =
        Module::new("koch_array", if depth { format!("{text} {text_depth}") } else { text.to_owned() });
    m.note(if depth {
        "Latency: two cycles, the row's (by channel twice the row's) and the column's number from an operand to its sum."
    } else {
        "Latency: two cycles, the row's and the column's number from an operand to its sum."
    });
    m.note("A read takes four cycles; it reads what is there in its second.");
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
        .input("read_i", 1)
        .input("row_i", 4)
        .input("chunk_i", 8)
        .output("sums_o", id("Lanes") * 32);
    let what = "Control of row 0 in each of the last cycles; a row takes over the one of its number";
    m.comment(if depth { format!("{what}, or of twice that.") } else { format!("{what}.") });
    m.localparam("Lines", if depth { id("Rows") * 2 } else { id("Rows") + 1 });
    for name in ["valid", "take"] {
        m.logic(format!("{name}_line"), "Lines");
    }
    m.comment("What passes right and down, and what stays.");
    m.logic_split("act", id("Rows") * (id("Cols") + 1) * act);
    if depth {
        m.logic_split("above", (id("Rows") + 1) * "Cols" * act);
    }
    m.logic_split("weight", (id("Rows") + 1) * "Cols" * weight);
    m.logic_split("sum", id("Rows") * "Cols" * 32);
    m.comment("Reading: rows in pairs, then up to Span chunks of columns, then all.");
    m.localparam("Chunks", id("Cols") / "Lanes");
    m.localparam("Pairs", (id("Rows") + 1) / 2);
    m.localparam("Span", SPAN);
    m.localparam("Groups", (id("Chunks") + id("Span") - 1) / "Span");
    m.logic("select_q", id("Rows") * "Chunks");
    m.logic_split("pair_q", id("Pairs") * "Cols" * 32);
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
    if depth {
        m.assign(id("above").part(0, id("Cols") * act), "tops_i");
        m.unused("above", [id("above").part(id("Rows") * "Cols" * act, id("Cols") * act)]);
    }
    m.assign(id("weight").part(0, id("Cols") * weight), "weights_i");
    m.unused("line", ["valid_line", "take_line"].map(|n| id(n).at(id("Lines") - 1)));
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
                ("act_next_o", act_at(id("r"), id("c") + 1)),
                ("weight_next_o", weight_at(id("r") + 1, id("c"))),
                ("sum_o", sum_at(id("r"), id("c"))),
            ]);
            b.inst("koch_pe", "u_pe", [], pins);
            if depth {
                b.assign(above_at(id("r") + 1, id("c")), act_at(id("r"), id("c") + 1));
            }
        });
        b.gen_for("k", 0, "Chunks", "gen_select", |b| {
            let (row, chunk) = (resize(4, id("r")), resize(8, id("k")));
            let mine = id("read_i").and(id("row_i").eq_(row)).and(id("chunk_i").eq_(chunk));
            b.ff_no_reset([set_nb(id("select_q").at(id("r") * "Chunks" + "k"), mine)]);
        });
    });
    reading(&mut m);
    m
}

/// Chunks whose sums come together in one cycle.
const SPAN: u32 = 8;

/// The sums of one row of one chunk: all others are masked as zeros, and what is left is gathered.
fn reading(m: &mut Module) {
    let sum_at = |r: Expr| id("sum").part((r * "Cols" + "c") * 32, 32);
    let masked = |r: Expr| {
        let select = id("select_q").at(r.clone() * "Chunks" + id("c") / "Lanes");
        rep(32, select) & sum_at(r)
    };
    let pair = |p: Expr, c: Expr| id("pair_q").part((p * "Cols" + c) * 32, 32);
    m.gen_for("p", 0, "Pairs", "gen_pair", |b| {
        b.gen_for("c", 0, "Cols", "gen_col", |b| {
            let (even, odd) = (id("p") * 2, id("p") * 2 + 1);
            let mine = || pair(id("p"), id("c"));
            b.gen_if_else(
                odd.clone().lt_("Rows"),
                "gen_two",
                |b| {
                    b.ff_no_reset([set_nb(mine(), masked(even.clone()) | masked(odd))]);
                },
                "gen_one",
                |b| {
                    b.ff_no_reset([set_nb(mine(), masked(even.clone()))]);
                },
            );
        });
    });
    m.gen_for("l", 0, "Lanes", "gen_lane", |b| {
        // What is gathered up to and with word n, from the first of its group on.
        b.logic_split("group", id("Chunks") * "Pairs" * 32);
        b.logic("group_q", id("Groups") * 32);
        b.logic_split("total", id("Groups") * 32);
        let word = |name: &str, n: Expr| id(name).part(n * 32, 32);
        b.gen_for("n", 0, id("Chunks") * "Pairs", "gen_word", |b| {
            let mine = pair(id("n") % "Pairs", id("n") / "Pairs" * "Lanes" + "l");
            gather(b, (id("n") % (id("Span") * "Pairs")).eq_(num(0)), &|n| word("group", n), "n", mine);
        });
        b.gen_for("g", 0, "Groups", "gen_group", |b| {
            let end = (id("g") + 1) * "Span";
            let end = mux(end.clone().lt_("Chunks"), end, id("Chunks"));
            b.ff_no_reset([set_nb(word("group_q", id("g")), word("group", end * "Pairs" - 1))]);
            gather(b, id("g").eq_(num(0)), &|n| word("total", n), "g", word("group_q", id("g")));
        });
        b.ff_no_reset([set_nb(id("sums_o").part(id("l") * 32, 32), word("total", id("Groups") - 1))]);
    });
}

/// A word of `words`: `mine`, with the word before it but where one is the `first`.
fn gather(b: &mut Body, first: Expr, words: &dyn Fn(Expr) -> Expr, n: &str, mine: Expr) {
    let with = words(id(n) - 1) | mine.clone();
    b.gen_if_else(
        first,
        "gen_first",
        |b| {
            b.assign(words(id(n)), mine);
        },
        "gen_next",
        |b| {
            b.assign(words(id(n)), with);
        },
    );
}

//! The checker finds what it should, and the printer keeps its style.

use super::*;
use crate::leaf::module;
use crate::requant::Requant;

fn messages(modules: impl IntoIterator<Item = Module>) -> Vec<String> {
    let errors = Design::new(modules).check().err().unwrap_or_default();
    errors.into_iter().map(|e| e.message).collect()
}

fn top(f: impl FnOnce(&mut Module)) -> Module {
    let mut m = Module::new("top", "A test.");
    m.param("Lanes", 3).clocked();
    m.input("a_i", id("Lanes") * 8).output("b_o", 8);
    f(&mut m);
    m
}

#[test]
fn checker_finds_mistakes() {
    type Mistake = (&'static str, fn(&mut Module));
    let cases: [Mistake; 14] = [
        ("`x` is not declared", |m| {
            m.assign("b_o", "x");
        }),
        ("input `a_i` is assigned", |m| {
            m.assign("a_i", lit(24, 0));
        }),
        ("`b_o` has 8 bits, `a_i` has 24", |m| {
            m.assign("b_o", "a_i");
        }),
        ("`a_i[25:18]` is outside of 24 bits", |m| {
            m.assign("b_o", id("a_i").range(25, 18));
        }),
        ("literal 300 does not fit 8 bits", |m| {
            m.assign("b_o", lit(8, 300));
        }),
        ("r = 3: `a_i[r*8 +: 8]` reaches bit 31 of 24", |m| {
            m.gen_for("r", 0, id("Lanes") + 1, "gen_lane", |b| {
                b.logic("x", 8).assign("x", id("a_i").part(id("r") * 8, 8));
            });
        }),
        ("`a_i[b_o +: 8]`: offset of 8 bits into 24 bits needs 5 bits", |m| {
            m.logic("x", 8).assign("x", id("a_i").part("b_o", 8));
        }),
        ("`logic` is not a legal name", |m| {
            m.logic("logic", 1);
        }),
        ("`b_o` is declared twice", |m| {
            m.logic("b_o", 8);
        }),
        ("blocking assignment to `b_o` in always_ff", |m| {
            m.ff_no_reset([set("b_o", lit(8, 0))]);
        }),
        ("condition of 24 bits: a_i", |m| {
            m.comb([when("a_i", [set("b_o", lit(8, 0))])]);
        }),
        ("`mem`: wrong number of indices", |m| {
            m.logic_array("mem", 8, 4).assign("b_o", id("mem").at(0).at(0).at(0));
        }),
        ("instance u_x: no module `koch_x`", |m| {
            m.inst("koch_x", "u_x", [], [("a", "b_o")]);
        }),
        ("`Lanes` has no width inside a concatenation", |m| {
            m.assign("b_o", cat([id("Lanes"), lit(4, 0)]));
        }),
    ];
    for (want, build) in cases {
        let found = messages([top(build)]);
        let want = want.replace("`mem`", "`mem[0][0][0]`");
        assert!(found.contains(&want), "wanted {want}, found {found:#?}");
    }
}

#[test]
fn checker_knows_a_leafs_ports() {
    let leaf = module(&Requant::default());
    let mut m = Module::new("top", "A test.");
    m.clocked();
    m.input("acc_i", 31).output("y_o", 17);
    m.inst(
        "koch_requant",
        "u_lane",
        [],
        [
            ("clk_i", id("clk_i")),
            ("rst_ni", id("rst_ni")),
            ("valid_i", lit(1, 1)),
            ("acc_i", id("acc_i")),
            ("bias_i", lit(32, 0)),
            ("multiplier_i", lit(32, 0)),
            ("zero_point_i", lit(17, 0)),
            ("hi_i", lit(17, 0)),
            ("high_i", lit(17, 0)),
            ("y_o", lit(17, 0)),
        ],
    );
    m.open("valid_o");
    let found = messages([m, leaf]);
    let want = [
        "`koch_requant` has no port `high_i`",
        "port `acc_i` has 32 bits, `acc_i` has 31",
        "port `lo_i` is not connected",
        "connect output `valid_o` to a net named unused_*",
        "`17'd0` cannot be assigned",
    ];
    for w in want {
        assert!(found.contains(&format!("instance u_lane: {w}")), "wanted {w}, found {found:#?}");
    }
    assert_eq!(found.len(), want.len(), "{found:#?}");
}

#[test]
fn prints_in_style_and_every_tool_accepts_it() {
    let mut m = Module::new("koch_skew", "Delays lane r by r cycles.");
    m.note("").note("Latency: r + 1 cycles for lane r.");
    m.param("Lanes", 3).param("Width", 8).clocked();
    m.input("sel_i", 2).input("data_i", id("Lanes") * "Width").output("data_o", id("Lanes") * "Width");
    m.output("byte_o", "Width");
    m.localparam("Words", id("Lanes") + 1);
    m.net("mem_q", "Width", [id("Words")], ["no_rw_check", "ram_style = \"block\""]);
    m.ff_no_reset([
        when(id("sel_i").eq_(lit(2, 1)), [set_nb(id("mem_q").at("sel_i"), id("data_i").part(0, "Width"))]),
        set_nb("byte_o", id("mem_q").at("sel_i")),
    ]);
    m.gen_for("r", 0, "Lanes", "gen_lane", |b| {
        b.logic("pipe_q", (id("r") + 1) * "Width");
        b.gen_for("s", 0, id("r") + 1, "gen_stage", |b| {
            b.logic("in", "Width");
            b.gen_if_else(
                id("s").eq_(0),
                "gen_first",
                |b| {
                    b.assign("in", id("data_i").part(id("r") * "Width", "Width"));
                },
                "gen_next",
                |b| {
                    b.assign("in", id("pipe_q").part((id("s") - 1) * "Width", "Width"));
                },
            );
            b.ff(
                [set_nb(id("pipe_q").part(id("s") * "Width", "Width"), rep("Width", lit(1, 0)))],
                [set_nb(id("pipe_q").part(id("s") * "Width", "Width"), "in")],
            );
        });
        b.assign(
            id("data_o").part(id("r") * "Width", "Width"),
            id("pipe_q").part(id("r") * "Width", "Width"),
        );
    });
    let design = Design::new([m]);
    assert_eq!(crate::tools::lint(&design, "koch_skew"), Ok(()));
    assert_eq!(design.modules[0].to_string(), include_str!("koch_skew.sv"));
}

//! `koch_queue`.

use crate::verilog::*;

/// A queue of `Depth` (a power of two) words whose head is always visible: its low `Early` bits, 0 < `Early` < `Width`,
/// in a register, the rest at the memory.
pub fn module() -> Module {
    let mut m = Module::new("koch_queue", "A queue whose head is visible as soon as a word is in it.");
    m.note("Latency: a pushed word can be popped in the next cycle.");
    m.note("The low Early bits of the head come from a register, for what decides whether it is popped.");
    m.param("Width", 8).param("Depth", 8).param("Early", 4);
    m.clocked();
    m.input("clear_i", 1).input("push_i", 1).input("data_i", "Width").input("pop_i", 1);
    m.output("full_o", 1).output("valid_o", 1).output("data_o", "Width");
    m.localparam("PtrBits", clog2("Depth"));
    m.logic_array("words_q", id("Width") - id("Early"), "Depth");
    m.logic_array("early_words_q", "Early", "Depth").logic("early_q", "Early").logic("next", "PtrBits");
    m.logic("write_q", "PtrBits").logic("read_q", "PtrBits").logic("count_q", id("PtrBits") + 1);
    m.blank();
    m.assign("full_o", id("count_q").at("PtrBits"));
    m.assign("valid_o", id("count_q").any());
    m.assign("data_o", cat([id("words_q").at("read_q"), id("early_q")]));
    m.assign("next", id("read_q") + resize("PtrBits", lit(1, 1)));
    let early = || id("data_i").range(id("Early") - 1, 0);
    m.ff_no_reset([
        when(
            "push_i",
            [
                set_nb(id("words_q").at("write_q"), id("data_i").range(id("Width") - 1, "Early")),
                set_nb(id("early_words_q").at("write_q"), early()),
            ],
        ),
        if_else(
            id("valid_o").lnot().or(id("pop_i").and(id("next").eq_("write_q"))),
            [set_nb("early_q", early())],
            [when("pop_i", [set_nb("early_q", id("early_words_q").at("next"))])],
        ),
    ]);
    let zero = |name: &str, width: Expr| set_nb(name, rep(width, lit(1, 0)));
    let clear = || {
        [
            zero("write_q", "PtrBits".into()),
            zero("read_q", "PtrBits".into()),
            zero("count_q", id("PtrBits") + 1),
        ]
    };
    let one = |width: Expr| resize(width, lit(1, 1));
    m.ff(
        clear(),
        [if_else(
            "clear_i",
            clear(),
            [
                when("push_i", [set_nb("write_q", id("write_q") + one("PtrBits".into()))]),
                when("pop_i", [set_nb("read_q", id("read_q") + one("PtrBits".into()))]),
                when(
                    id("push_i") ^ "pop_i",
                    [if_else(
                        "pop_i",
                        [set_nb("count_q", id("count_q") - one(id("PtrBits") + 1))],
                        [set_nb("count_q", id("count_q") + one(id("PtrBits") + 1))],
                    )],
                ),
            ],
        )],
    );
    m
}

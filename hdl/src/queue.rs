//! `koch_queue`.

use crate::verilog::*;

/// A queue of `Depth` (a power of two) words whose head is always visible.
pub fn module() -> Module {
    let mut m = Module::new("koch_queue", "A queue whose head is visible as soon as a word is in it.");
    m.note("Latency: a pushed word can be popped in the next cycle.");
    m.param("Width", 8).param("Depth", 8);
    m.clocked();
    m.input("clear_i", 1).input("push_i", 1).input("data_i", "Width").input("pop_i", 1);
    m.output("full_o", 1).output("valid_o", 1).output("data_o", "Width");
    m.localparam("PtrBits", clog2("Depth"));
    m.logic_array("words_q", "Width", "Depth");
    m.logic("write_q", "PtrBits").logic("read_q", "PtrBits").logic("count_q", id("PtrBits") + 1);
    m.blank();
    m.assign("full_o", id("count_q").at("PtrBits"));
    m.assign("valid_o", id("count_q").any());
    m.assign("data_o", id("words_q").at("read_q"));
    m.ff_no_reset([when("push_i", [set_nb(id("words_q").at("write_q"), "data_i")])]);
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
                if_else(
                    id("push_i").and(id("pop_i").lnot()),
                    [set_nb("count_q", id("count_q") + one(id("PtrBits") + 1))],
                    [when(
                        id("pop_i").and(id("push_i").lnot()),
                        [set_nb("count_q", id("count_q") - one(id("PtrBits") + 1))],
                    )],
                ),
            ],
        )],
    );
    m
}

//! `koch_queue`.

use crate::verilog::*;

/// A queue of `Depth` (a power of two) words: a memory with a registered read, as block memories have, and the head in a
/// register of its own, so that what reads it begins at a flip-flop.
pub fn module() -> Module {
    let mut m =
        Module::new("koch_queue", "A queue: a memory, a word read ahead, and the head in a register.");
    m.note("Latency: a pushed word is the head three cycles later; the next word is the cycle after a pop.");
    m.param("Width", 8).param("Depth", 8);
    m.clocked();
    m.input("clear_i", 1).input("push_i", 1).input("data_i", "Width").input("pop_i", 1);
    m.output("full_o", 1).output("valid_o", 1).output("moving_o", 1).output("data_o", "Width");
    m.localparam("PtrBits", clog2("Depth"));
    m.comment("A word is never read in the cycle in which it is written.");
    m.net("words_q", "Width", [id("Depth")], ["no_rw_check"]);
    m.logic("ahead_q", "Width").logic("head_q", "Width");
    m.logic("write_q", "PtrBits").logic("read_q", "PtrBits").logic("count_q", id("PtrBits") + 1);
    m.logic("ahead_valid_q", 1).logic("valid_q", 1).logic("move", 1).logic("read", 1);
    m.blank();
    m.assign("full_o", id("count_q").at("PtrBits"));
    m.assign("valid_o", "valid_q");
    m.comment("Words are in it, and none is the head yet.");
    m.assign("moving_o", id("count_q").any() & !id("valid_q"));
    m.assign("data_o", "head_q");
    m.assign("move", id("ahead_valid_q") & (!id("valid_q") | "pop_i"));
    m.comment("The memory never holds Depth words: one is read ahead as soon as there is room.");
    m.assign("read", id("read_q").ne_("write_q") & (!id("ahead_valid_q") | "move"));
    m.ff_no_reset([
        when("push_i", [set_nb(id("words_q").at("write_q"), "data_i")]),
        when("read", [set_nb("ahead_q", id("words_q").at("read_q"))]),
        when("move", [set_nb("head_q", "ahead_q")]),
    ]);
    let zero = |name: &str, width: Expr| set_nb(name, rep(width, lit(1, 0)));
    let clear = || {
        [
            zero("write_q", "PtrBits".into()),
            zero("read_q", "PtrBits".into()),
            zero("count_q", id("PtrBits") + 1),
            set_nb("ahead_valid_q", lit(1, 0)),
            set_nb("valid_q", lit(1, 0)),
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
                when("read", [set_nb("read_q", id("read_q") + one("PtrBits".into()))]),
                set_nb("ahead_valid_q", id("read") | (id("ahead_valid_q") & !id("move"))),
                set_nb("valid_q", id("move") | (id("valid_q") & !id("pop_i"))),
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

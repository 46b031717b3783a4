//! `koch_tile_table`.

use crate::verilog::*;
use spec::timing::TILE_SLOTS;

/// The pixels of the tiles that are listed, fed and drained.
pub fn module() -> Module {
    let mut m = Module::new(
        "koch_tile_table",
        "Addresses of the first taps, the outputs and the second operands of the pixels of tiles in flight.",
    );
    m.note("Latency: a pixel can be read in the cycle after it is written.");
    let index = || 4 + i64::from(TILE_SLOTS.trailing_zeros());
    m.input("clk_i", 1)
        .input("write_i", 1)
        .input("write_index_i", index())
        .input("write_in_i", 24)
        .input("write_out_i", 24)
        .input("write_second_i", 24)
        .input("feed_index_i", index())
        .output("feed_in_o", 24)
        .input("drain_index_i", index())
        .output("drain_out_o", 24)
        .output("drain_second_o", 24);
    m.logic_array("in_q", 24, 16 * u64::from(TILE_SLOTS));
    m.logic_array("out_q", 24, 16 * u64::from(TILE_SLOTS));
    m.logic_array("second_q", 24, 16 * u64::from(TILE_SLOTS));
    m.blank();
    m.assign("feed_in_o", id("in_q").at("feed_index_i"));
    m.assign("drain_out_o", id("out_q").at("drain_index_i"));
    m.assign("drain_second_o", id("second_q").at("drain_index_i"));
    m.ff_no_reset([when(
        "write_i",
        [
            set_nb(id("in_q").at("write_index_i"), "write_in_i"),
            set_nb(id("out_q").at("write_index_i"), "write_out_i"),
            set_nb(id("second_q").at("write_index_i"), "write_second_i"),
        ],
    )]);
    m
}

//! `koch_store_data`.

use crate::verilog::*;
use spec::Config;
use spec::timing::{GATHER_LATENCY, STORE_LATENCY};

/// The data path of the store engine: pieces of activation buffer words become beats of the two burst slots.
pub fn module(config: &Config) -> Module {
    let (bus, stride) = (config.bus_bytes(), config.abuf_stride());
    let offset = stride.trailing_zeros();
    let beats = config.burst_beats;
    let beat = beats.trailing_zeros();
    // As many copies of a word as a beat spans from any byte of it on.
    let copies = bus / stride + if bus < stride { 2 } else { 1 };
    let spare = (copies * stride).next_power_of_two().trailing_zeros() - offset;
    let mut m = Module::new(
        "koch_store_data",
        "Puts pieces of activation buffer words together to beats with strobes, in two burst slots.",
    );
    m.note(format!("Latency: a beat can be sent {GATHER_LATENCY} cycles after its last piece is read."));
    m.clocked();
    m.input("read_i", 1)
        .input("offset_i", offset)
        .input("bytes_i", 7)
        .input("lane_i", 6)
        .input("first_i", 1)
        .input("last_i", 1)
        .input("slot_i", 1)
        .input("beat_i", beat)
        .input("word_i", stride * 8)
        .input("send_slot_i", 1)
        .input("send_beat_i", beat)
        .output("data_o", bus * 8)
        .output("strobe_o", bus);
    let control = offset + 7 + 6 + 2 + 1 + beat;
    m.logic("read_q0", 1).logic("read_q1", 1);
    m.logic("offset", offset).logic("bytes", 7).logic("lane", 6);
    m.logic("first_q0", 1).logic("last_q0", 1).logic("slot_q0", 1).logic("beat_q0", beat);
    m.logic("first_q1", 1).logic("last_q1", 1).logic("slot_q1", 1).logic("beat_q1", beat);
    m.logic("turn", offset).logic("copies", copies * stride * 8).logic("strobe", bus);
    m.logic("piece_q", bus * 8).logic("piece_strobe_q", bus);
    m.logic("data_d", bus * 8).logic("data_q", bus * 8);
    m.logic("strobe_d", bus).logic("strobe_q", bus);
    m.logic_array("slots_q", bus * 9, 2 * beats);
    m.blank();
    m.comment("Wait for the activation buffer.");
    m.inst(
        "koch_delay",
        "u_read",
        [("Width", Expr::from(1)), ("Depth", Expr::from(STORE_LATENCY))],
        [
            ("clk_i", id("clk_i")),
            ("rst_ni", id("rst_ni")),
            ("data_i", id("read_i")),
            ("data_o", id("read_q0")),
        ],
    );
    m.inst(
        "koch_delay",
        "u_control",
        [("Width", Expr::from(control)), ("Depth", Expr::from(STORE_LATENCY))],
        [
            ("clk_i", id("clk_i")),
            ("rst_ni", id("rst_ni")),
            (
                "data_i",
                cat(["offset_i", "bytes_i", "lane_i", "first_i", "last_i", "slot_i", "beat_i"].map(id)),
            ),
            ("data_o", cat(["offset", "bytes", "lane", "first_q0", "last_q0", "slot_q0", "beat_q0"].map(id))),
        ],
    );
    m.comment("Turn the piece to its place in the beat.");
    let lane_wide =
        if offset > 6 { resize(offset, id("lane")) } else { id("lane").range(offset.min(6) - 1, 0) };
    m.assign("turn", id("offset") - lane_wide);
    m.assign("copies", rep(copies, "word_i"));
    m.assign("strobe", (!(rep(bus, lit(1, 1)) << "bytes")) << "lane");
    m.ff([set_nb("read_q1", lit(1, 0))], [set_nb("read_q1", "read_q0")]);
    m.ff_no_reset([when(
        "read_q0",
        [
            set_nb("piece_q", id("copies").part(cat([lit(spare, 0), id("turn"), lit(3, 0)]), bus * 8)),
            set_nb("piece_strobe_q", "strobe"),
            set_nb("first_q1", "first_q0"),
            set_nb("last_q1", "last_q0"),
            set_nb("slot_q1", "slot_q0"),
            set_nb("beat_q1", "beat_q0"),
        ],
    )]);
    m.comment("Merge it.");
    m.assign("strobe_d", mux("first_q1", "piece_strobe_q", id("strobe_q") | "piece_strobe_q"));
    m.comb([for_loop(
        "k",
        0,
        bus,
        [set(
            id("data_d").part(id("k") * 8, 8),
            mux(
                id("piece_strobe_q").at("k"),
                id("piece_q").part(id("k") * 8, 8),
                id("data_q").part(id("k") * 8, 8),
            ),
        )],
    )]);
    m.ff_no_reset([when(
        "read_q1",
        [
            set_nb("data_q", "data_d"),
            set_nb("strobe_q", "strobe_d"),
            when(
                "last_q1",
                [set_nb(
                    id("slots_q").at(cat([id("slot_q1"), id("beat_q1")])),
                    cat([id("strobe_d"), id("data_d")]),
                )],
            ),
        ],
    )]);
    m.assign(
        cat([id("strobe_o"), id("data_o")]),
        id("slots_q").at(cat([id("send_slot_i"), id("send_beat_i")])),
    );
    m
}

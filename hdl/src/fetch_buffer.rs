//! `koch_fetch_buffer`.

use crate::fetch::BUFFER;
use crate::verilog::*;
use spec::Config;
use spec::isa::INSTRUCTION_BYTES;

/// The buffer between the bus and instruction dispatch.
pub fn module(config: &Config) -> Module {
    let bus = u64::from(config.bus_bytes());
    let bytes = INSTRUCTION_BYTES as u64;
    let beats = u64::from(BUFFER) * bytes / bus;
    let mut m =
        Module::new("koch_fetch_buffer", "Instructions that have arrived: written by the beat, read whole.");
    m.note("Latency: a beat can be read in the cycle after it is written, and is there in the next.");
    m.input("clk_i", 1)
        .input("write_i", 1)
        .input("write_index_i", clog2(beats))
        .input("write_data_i", bus * 8)
        .input("read_i", 1)
        .input("read_index_i", clog2(u64::from(BUFFER)))
        .output("instruction_o", bytes * 8);
    m.logic_array("beats_q", bus * 8, beats).logic("head", bytes * 8);
    m.blank();
    m.ff_no_reset([
        when("write_i", [set_nb(id("beats_q").at("write_index_i"), "write_data_i")]),
        when("read_i", [set_nb("instruction_o", "head")]),
    ]);
    if bus > bytes {
        m.logic("pair", bus * 8);
        m.assign("pair", id("beats_q").at(id("read_index_i").range(3, 1)));
        m.assign(
            "head",
            mux(
                id("read_index_i").at(0),
                id("pair").part(bytes * 8, bytes * 8),
                id("pair").part(0, bytes * 8),
            ),
        );
    } else if bus == bytes {
        m.assign("head", id("beats_q").at("read_index_i"));
    } else {
        let per = bytes / bus;
        m.gen_for("k", 0, per, "gen_beat", |b| {
            b.assign(
                id("head").part(id("k") * (bus * 8), bus * 8),
                id("beats_q").at(cat([id("read_index_i"), resize(clog2(per), id("k"))])),
            );
        });
    }
    m
}

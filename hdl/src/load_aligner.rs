//! `koch_load_aligner`.

use crate::verilog::*;
use spec::Config;

/// Turns a piece of a bus word to where it goes in its destination word.
pub fn module(config: &Config) -> Module {
    let bus = config.bus_bytes();
    let lane = bus.trailing_zeros();
    let mut m =
        Module::new("koch_load_aligner", "Rotates a piece of a bus word to its place in the buffer's word.");
    m.note("Byte k of the destination word takes byte k modulo the bus bytes of data_o.");
    m.note("Latency: one cycle.");
    m.clocked();
    m.input("write_i", 1)
        .input("buffer_i", 2)
        .input("address_i", 24)
        .input("last_i", 8)
        .input("lane_i", lane)
        .input("padding_i", 1)
        .input("fill_i", 16)
        .input("word_i", bus * 8)
        .output("write_o", 1)
        .output("buffer_o", 2)
        .output("address_o", 24)
        .output("last_o", 8)
        .output("data_o", bus * 8);
    m.logic("turn", lane);
    m.logic("twice", bus * 16);
    let fill = if config.operand_bits == 8 { id("fill_i").range(7, 0) } else { id("fill_i") };
    m.blank();
    m.assign("turn", id("lane_i") - id("address_i").range(lane - 1, 0));
    m.assign("twice", cat([id("word_i"), id("word_i")]));
    m.ff([set_nb("write_o", lit(1, 0))], [set_nb("write_o", "write_i")]);
    m.ff_no_reset([when(
        "write_i",
        [
            set_nb("buffer_o", "buffer_i"),
            set_nb("address_o", "address_i"),
            set_nb("last_o", "last_i"),
            if_else(
                "padding_i",
                [set_nb("data_o", rep(bus * 8 / config.operand_bits, fill))],
                [set_nb("data_o", id("twice").part(cat([lit(1, 0), id("turn"), lit(3, 0)]), bus * 8))],
            ),
        ],
    )]);
    if config.operand_bits == 8 {
        m.unused("fill", [id("fill_i").range(15, 8)]);
    }
    m
}

/// Inside a buffer: spreads aligned data over a word of `bytes` bytes and marks the bytes that are written.
/// Declares `enable` and `data`; the ports are those of [`write_port`].
pub fn spread(m: &mut Module, bytes: u32, stride: u32, bus: u32) {
    let offset = stride.trailing_zeros();
    m.logic("first_byte", offset).logic("enable", bytes).logic("data", bytes * 8);
    m.blank();
    m.assign("first_byte", id("write_address_i").range(offset - 1, 0));
    let last = id("write_last_i").range(offset - 1, 0);
    let beyond = cat([rep(bytes, lit(1, 1)), lit(1, 0)]);
    m.logic("beyond", bytes + 1);
    m.assign("beyond", beyond << last);
    m.assign("enable", (rep(bytes, lit(1, 1)) << "first_byte") & !id("beyond").range(bytes - 1, 0));
    m.unused("beyond", [id("beyond").at(bytes)]);
    if offset < 8 {
        m.unused("write_last", [id("write_last_i").range(7, offset)]);
    }
    let parts = (0..bytes).rev().map(|k| id("write_data_i").part(k % bus * 8, 8));
    if bytes == bus {
        m.assign("data", "write_data_i");
    } else if bytes.is_multiple_of(bus) {
        m.assign("data", rep(bytes / bus, "write_data_i"));
    } else if stride < bus {
        // The piece is where its address says within a whole bus word.
        let lane = bus.trailing_zeros();
        let word = cat([id("write_address_i").range(lane - 1, offset), lit(offset + 3, 0)]);
        m.assign("data", id("write_data_i").part(word, bytes * 8));
    } else if bytes < bus {
        m.assign("data", id("write_data_i").range(bytes * 8 - 1, 0));
        m.unused("write_data", [id("write_data_i").range(bus * 8 - 1, bytes * 8)]);
    } else {
        m.assign("data", cat(parts));
    }
}

/// Consumes the bits of an address from `top` on: buffers see addresses of 24 bits.
pub fn unused_address(m: &mut Module, port: &str, top: u32) {
    if top < 24 {
        m.unused(port.trim_end_matches("_i"), [id(port).range(23, top)]);
    }
}

/// The write port of a buffer that the load engine fills.
pub fn write_port(m: &mut Module, bus: u32) {
    m.input("write_i", 1)
        .input("write_address_i", 24)
        .input("write_last_i", 8)
        .input("write_data_i", bus * 8);
}

//! `koch_ibuf`.

use crate::load_aligner::{spread, unused_address, write_port};
use crate::verilog::*;
use spec::Config;

/// The input buffer: reads a word of operands at any operand offset.
pub fn module(config: &Config) -> Module {
    let bytes = config.ibuf_stride();
    let offset = bytes.trailing_zeros();
    let depth = config.ibuf / (2 * bytes);
    let index = clog2_of(depth);
    let mut m =
        Module::new("koch_ibuf", "Input buffer: two banks, and a rotation for reads at any operand offset.");
    m.note("Latency: four cycles from a read to its word.");
    m.clocked();
    write_port(&mut m, config.bus_bytes());
    m.input("read_i", 1).input("read_address_i", 24).output("word_o", bytes * 8);
    spread(&mut m, bytes, bytes, config.bus_bytes());
    m.logic("address_q", offset + 1 + index);
    m.logic("even_address", index).logic("odd_address", index);
    m.logic("even", bytes * 8).logic("odd", bytes * 8);
    m.logic("turn", offset + 1).logic("read_q", 1);
    m.logic("read_1q", 1);
    m.blank();
    m.ff([set_nb("read_1q", lit(1, 0))], [set_nb("read_1q", "read_i")]);
    m.ff_no_reset([set_nb("address_q", id("read_address_i").range(offset + index, 0))]);
    m.comment("The word after an odd one is in the even bank, one further.");
    m.assign("even_address", id("odd_address") + resize(index, id("address_q").at(offset)));
    m.assign("odd_address", id("address_q").range(offset + index, offset + 1));
    for (bank, select) in [("even", false), ("odd", true)] {
        let mine = id("write_address_i").at(offset);
        let mine = if select { mine } else { !mine };
        m.inst(
            "koch_ram",
            format!("u_{bank}"),
            [("Bytes", Expr::from(bytes)), ("Depth", Expr::from(depth))],
            [
                ("clk_i", id("clk_i")),
                ("write_i", id("write_i") & mine),
                ("write_enable_i", id("enable")),
                ("write_address_i", id("write_address_i").range(offset + index, offset + 1)),
                ("write_data_i", id("data")),
                ("read_address_i", id(format!("{bank}_address"))),
                ("read_data_o", id(bank)),
            ],
        );
    }
    m.inst(
        "koch_delay",
        "u_turn",
        [("Width", Expr::from(offset + 2)), ("Depth", Expr::from(2))],
        [
            ("clk_i", id("clk_i")),
            ("rst_ni", id("rst_ni")),
            ("data_i", cat([id("read_1q"), id("address_q").range(offset, 0)])),
            ("data_o", cat([id("read_q"), id("turn")])),
        ],
    );
    m.logic("pair", bytes * 16);
    m.assign("pair", mux(id("turn").at(offset), cat([id("even"), id("odd")]), cat([id("odd"), id("even")])));
    m.ff_no_reset([when(
        "read_q",
        [set_nb(
            "word_o",
            id("pair").part(cat([lit(1, 0), id("turn").range(offset - 1, 0), lit(3, 0)]), bytes * 8),
        )],
    )]);
    unused_address(&mut m, "write_address_i", offset + index + 1);
    unused_address(&mut m, "read_address_i", offset + index + 1);
    m
}

/// Bits of an index into `depth` words, at least one.
pub fn clog2_of(depth: u32) -> u32 {
    depth.next_power_of_two().trailing_zeros()
}

//! `koch_abuf`.

use crate::verilog::*;
use spec::Config;

/// One activation buffer: two banks, of which a read brings a word and the word after it.
pub fn module(config: &Config) -> Module {
    let bytes = config.abuf_stride();
    let offset = bytes.trailing_zeros();
    let index = || clog2("Depth");
    let mut m = Module::new(
        "koch_abuf",
        "Activation buffer: even and odd words in two banks, so that a read brings two neighbouring words.",
    );
    m.note("Latency: three cycles from an address to its words.");
    m.param("Depth", config.ibuf / (2 * bytes));
    m.input("clk_i", 1)
        .input("write_i", 1)
        .input("write_enable_i", bytes)
        .input("write_address_i", 24)
        .input("write_data_i", bytes * 8)
        .input("read_address_i", 24)
        .output("even_o", bytes * 8)
        .output("odd_o", bytes * 8);
    m.logic("address_q", index() + 1);
    m.logic("even_address", index()).logic("odd_address", index());
    m.blank();
    m.ff_no_reset([set_nb("address_q", id("read_address_i").range(index() + offset, offset))]);
    m.comment("The word after an odd one is in the even bank, one further.");
    m.assign("odd_address", id("address_q").range(index(), 1));
    m.assign("even_address", id("odd_address") + resize(index(), id("address_q").at(0)));
    for (bank, odd) in [("even", false), ("odd", true)] {
        let mine = id("write_address_i").at(offset);
        m.inst(
            "koch_ram",
            format!("u_{bank}"),
            [("Bytes", Expr::from(bytes)), ("Depth", id("Depth"))],
            [
                ("clk_i", id("clk_i")),
                ("write_i", id("write_i") & if odd { mine } else { !mine }),
                ("write_enable_i", id("write_enable_i")),
                ("write_address_i", id("write_address_i").range(index() + offset, offset + 1)),
                ("write_data_i", id("write_data_i")),
                ("read_address_i", id(format!("{bank}_address"))),
                ("read_data_o", id(format!("{bank}_o"))),
            ],
        );
    }
    for port in ["write_address", "read_address"] {
        let all = id(format!("{port}_i"));
        m.unused(port, [all.clone().range(23, index() + (offset + 1)), all.range(offset - 1, 0)]);
    }
    m
}

/// Bits of an index into `depth` words, at least one.
pub fn clog2_of(depth: u32) -> u32 {
    depth.next_power_of_two().trailing_zeros()
}

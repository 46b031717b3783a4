//! `koch_abuf`.

use crate::verilog::*;
use spec::Config;

/// One activation buffer: two banks, so that a read brings a word's bytes from any byte on.
pub fn module(config: &Config) -> Module {
    let bytes = config.abuf_stride();
    let offset = bytes.trailing_zeros();
    let index = || clog2("Depth");
    let next = reads_next(config);
    let mut m = Module::new(
        "koch_abuf",
        "Activation buffer: even and odd words in two banks, so that a read can start at any byte of a word.",
    );
    m.note("Latency: four cycles from an address to its bytes. Byte k of the buffer is in lane k modulo the word.");
    if next {
        m.note("After a read of a whole word next_o is the word after it.");
    }
    m.param("Depth", config.ibuf / (2 * bytes));
    m.input("clk_i", 1)
        .input("write_i", 1)
        .input("write_enable_i", bytes)
        .input("write_address_i", 24)
        .input("write_data_i", bytes * 8)
        .input("read_address_i", 24)
        .output("lanes_o", bytes * 8);
    if next {
        m.output("next_o", bytes * 8);
    }
    m.logic("address_q", index() + 1).logic("offset_q", 3 * offset).logic("odd_q", 2);
    m.logic("even_address", index()).logic("odd_address", index());
    m.logic("even", bytes * 8).logic("odd", bytes * 8);
    m.blank();
    m.ff_no_reset([
        set_nb("address_q", id("read_address_i").range(index() + offset, offset)),
        set_nb(
            "offset_q",
            cat([id("offset_q").range(2 * offset - 1, 0), id("read_address_i").range(offset - 1, 0)]),
        ),
        set_nb("odd_q", cat([id("odd_q").at(0), id("address_q").at(0)])),
    ]);
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
                ("read_data_o", id(bank)),
            ],
        );
    }
    m.comment("Lanes before the first byte are those of the word after it.");
    m.gen_for("k", 0, bytes, "gen_lane", |b| {
        b.logic("odd_lane", 1);
        let before = id("k").lt_(id("offset_q").range(3 * offset - 1, 2 * offset));
        b.assign("odd_lane", id("odd_q").at(1) ^ before);
        let lane = |bank: &str| id(bank).part(id("k") * 8, 8);
        let mut set =
            vec![set_nb(id("lanes_o").part(id("k") * 8, 8), mux("odd_lane", lane("odd"), lane("even")))];
        if next {
            set.push(set_nb(id("next_o").part(id("k") * 8, 8), mux("odd_lane", lane("even"), lane("odd"))));
        }
        b.ff_no_reset(set);
    });
    for port in ["write_address", "read_address"] {
        let all = id(format!("{port}_i"));
        let low = if port == "write_address" { vec![all.clone().range(offset - 1, 0)] } else { vec![] };
        m.unused(port, [all.range(23, index() + (offset + 1))].into_iter().chain(low));
    }
    m
}

/// Whether reads bring the word after the first one too: by channel, where the array takes two words of channels.
pub fn reads_next(config: &Config) -> bool {
    config.depth_channels() > spec::config::WORD
}

/// Bits of an index into `depth` words, at least one.
pub fn clog2_of(depth: u32) -> u32 {
    depth.next_power_of_two().trailing_zeros()
}

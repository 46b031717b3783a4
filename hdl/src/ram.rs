//! `koch_ram`.

use crate::verilog::*;

/// Block RAM of `Depth` words of `Bytes` bytes, with byte enables and an output register.
pub fn module() -> Module {
    let mut m = Module::new("koch_ram", "Block RAM: one write port with byte enables, one read port.");
    m.note("Latency: two cycles from address to data. A read in the cycle of a write to the same word gives either.");
    m.param("Bytes", 4).param("Depth", 256);
    m.input("clk_i", 1);
    m.input("write_i", 1)
        .input("write_enable_i", "Bytes")
        .input("write_address_i", clog2("Depth"))
        .input("write_data_i", id("Bytes") * 8)
        .input("read_address_i", clog2("Depth"))
        .output("read_data_o", id("Bytes") * 8);
    m.net("words", id("Bytes") * 8, [id("Depth")], ["no_rw_check"]);
    m.logic("data_q", id("Bytes") * 8);
    m.blank();
    m.ff_no_reset([
        when(
            "write_i",
            [for_loop(
                "k",
                0,
                "Bytes",
                [when(
                    id("write_enable_i").at("k"),
                    [set_nb(
                        id("words").at("write_address_i").part(id("k") * 8, 8),
                        id("write_data_i").part(id("k") * 8, 8),
                    )],
                )],
            )],
        ),
        set_nb("data_q", id("words").at("read_address_i")),
        set_nb("read_data_o", "data_q"),
    ]);
    m
}

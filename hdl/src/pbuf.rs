//! `koch_pbuf`.

use crate::abuf::clog2_of;
use crate::load_aligner::{spread, unused_address, write_port};
use crate::verilog::*;
use spec::Config;

/// The parameter buffer: biases and multipliers of one chunk of channels a word.
pub fn module(config: &Config) -> Module {
    let bytes = config.pbuf_stride();
    let offset = bytes.trailing_zeros();
    let index = clog2_of(config.pbuf_words());
    let mut m =
        Module::new("koch_pbuf", "Parameter buffer: bias and multiplier of one chunk of channels a word.");
    m.note("Latency: two cycles from an address to its word.");
    m.input("clk_i", 1);
    write_port(&mut m, config.bus_bytes());
    m.input("read_address_i", index).output("word_o", bytes * 8);
    spread(&mut m, bytes, bytes, config.bus_bytes());
    m.inst(
        "koch_ram",
        "u_ram",
        [("Bytes", Expr::from(bytes)), ("Depth", Expr::from(config.pbuf_words()))],
        [
            ("clk_i", id("clk_i")),
            ("write_i", id("write_i")),
            ("write_enable_i", id("enable")),
            ("write_address_i", id("write_address_i").range(offset + index - 1, offset)),
            ("write_data_i", id("data")),
            ("read_address_i", id("read_address_i")),
            ("read_data_o", id("word_o")),
        ],
    );
    unused_address(&mut m, "write_address_i", offset + index);
    m
}

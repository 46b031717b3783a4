//! `koch_obuf`.

use crate::ibuf::clog2_of;
use crate::load_aligner::unused_address;
use crate::verilog::*;
use spec::Config;

/// The output buffer: the drain writes chunks, the store engine reads words.
pub fn module(config: &Config) -> Module {
    let (bytes, chunk) = (config.obuf_stride(), config.chunk_bytes());
    let offset = bytes.trailing_zeros();
    let depth = config.obuf / bytes;
    let index = clog2_of(depth);
    let mut m =
        Module::new("koch_obuf", "Output buffer: written by the chunk of channels, read by the word.");
    m.note("Latency: two cycles from an address to its word.");
    m.input("clk_i", 1)
        .input("write_i", 1)
        .input("write_address_i", 24)
        .input("write_data_i", chunk * 8)
        .input("read_address_i", 24)
        .output("word_o", bytes * 8);
    m.logic("enable", bytes);
    m.blank();
    let chunk_bits = chunk.trailing_zeros();
    if bytes == chunk {
        m.assign("enable", rep(bytes, lit(1, 1)));
    } else {
        let place = id("write_address_i").range(offset - 1, chunk_bits);
        let place = if chunk_bits == 0 { place } else { cat([place, lit(chunk_bits, 0)]) };
        m.assign("enable", resize(bytes, rep(chunk, lit(1, 1))) << place);
    }
    m.inst(
        "koch_ram",
        "u_ram",
        [("Bytes", Expr::from(bytes)), ("Depth", Expr::from(depth))],
        [
            ("clk_i", id("clk_i")),
            ("write_i", id("write_i")),
            ("write_enable_i", id("enable")),
            ("write_address_i", id("write_address_i").range(offset + index - 1, offset)),
            (
                "write_data_i",
                if bytes == chunk { id("write_data_i") } else { rep(bytes / chunk, "write_data_i") },
            ),
            ("read_address_i", id("read_address_i").range(offset + index - 1, offset)),
            ("read_data_o", id("word_o")),
        ],
    );
    let unused_low = if bytes == chunk { offset } else { chunk_bits };
    if unused_low > 0 {
        m.unused("write_place", [id("write_address_i").range(unused_low - 1, 0)]);
    }
    m.unused("read_place", [id("read_address_i").range(offset - 1, 0)]);
    unused_address(&mut m, "write_address_i", offset + index);
    unused_address(&mut m, "read_address_i", offset + index);
    m
}

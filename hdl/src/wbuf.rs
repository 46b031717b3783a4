//! `koch_wbuf`.

use crate::abuf::clog2_of;
use crate::load_aligner::{spread, unused_address, write_port};
use crate::verilog::*;
use spec::Config;

/// The weight buffer: a bank per column.
pub fn module(config: &Config) -> Module {
    let operand = config.operand_bytes();
    let (cols, words) = (config.cols, config.wbuf_words());
    let offset = config.wbuf_stride().trailing_zeros();
    let index = clog2_of(words);
    let mut m = Module::new(
        "koch_wbuf",
        "Weight buffer: a bank per column, whose read address marches right with the activations.",
    );
    m.note("Latency: two cycles and the column's number from an address to its operand.");
    m.input("clk_i", 1);
    m.param("Cols", cols).param("Words", words);
    write_port(&mut m, config.bus_bytes());
    m.input("read_address_i", index).output("operands_o", id("Cols") * (operand * 8));
    spread(&mut m, cols * operand, config.wbuf_stride(), config.bus_bytes());
    m.comment("The read address of each column.");
    m.logic_split("address", id("Cols") * index);
    m.blank();
    m.assign(id("address").part(0, index), "read_address_i");
    m.gen_for("c", 0, "Cols", "gen_col", |b| {
        b.gen_if(id("c").gt_(0), "gen_march", |b| {
            b.logic("address_q", index);
            b.ff_no_reset([set_nb("address_q", id("address").part((id("c") - 1) * index, index))]);
            b.assign(id("address").part(id("c") * index, index), "address_q");
        });
        b.inst(
            "koch_ram",
            "u_bank",
            [("Bytes", Expr::from(operand)), ("Depth", id("Words"))],
            [
                ("clk_i", id("clk_i")),
                ("write_i", id("write_i")),
                ("write_enable_i", id("enable").part(id("c") * operand, operand)),
                ("write_address_i", id("write_address_i").range(offset + index - 1, offset)),
                ("write_data_i", id("data").part(id("c") * (operand * 8), operand * 8)),
                ("read_address_i", id("address").part(id("c") * index, index)),
                ("read_data_o", id("operands_o").part(id("c") * (operand * 8), operand * 8)),
            ],
        );
    });
    unused_address(&mut m, "write_address_i", offset + index);
    m
}

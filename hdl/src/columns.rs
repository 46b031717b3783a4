//! `koch_columns`.

use crate::verilog::*;
use crate::{difference, leaf};
use spec::Config;

/// A leaf for each column of a reduction by channel.
pub fn difference_module(config: &Config) -> Module {
    match config.operand_bits {
        8 => leaf::module(&difference::Difference8::new(config)),
        _ => leaf::module(&difference::Difference16::new(config)),
    }
}

/// A pixel's channels on their way into the columns of the array.
pub fn module(config: &Config) -> Module {
    let operand = config.operand_bits;
    let act = operand + 1;
    let mut m = Module::new(
        "koch_columns",
        "Hands a pixel's channels to the array's columns from above, column c delayed c cycles, as differences from \
         the zero point.",
    );
    m.note("Latency: two cycles, and the column's number.");
    m.param("Channels", config.depth_channels());
    m.clocked();
    m.input("enable_i", 1)
        .input("word_i", id("Channels") * operand)
        .input("inside_i", 1)
        .input("largest_i", 1)
        .input("x_signed_i", 1)
        .input("x_zero_i", 17)
        .output("operands_o", id("Channels") * act);
    m.comment("Whether the pixel of each column is in the map.");
    m.logic("in_map", id("Channels") + 1).logic("inside_q", "Channels");
    m.blank();
    m.assign("in_map", cat([id("inside_q"), id("inside_i")]));
    m.ff_no_reset([when("enable_i", [set_nb("inside_q", id("in_map").range(id("Channels") - 1, 0))])]);
    m.unused("in_map", [id("in_map").at("Channels")]);
    m.gen_for("k", 0, "Channels", "gen_column", |b| {
        b.comment("The column's channel of the last pixels.");
        b.logic("line", (id("k") + 2) * operand).logic("line_q", (id("k") + 1) * operand);
        b.assign("line", cat([id("line_q"), id("word_i").part(id("k") * operand, operand)]));
        b.ff_no_reset([when("enable_i", [set_nb("line_q", id("line").part(0, (id("k") + 1) * operand))])]);
        b.inst(
            difference_module(config).name,
            "u_difference",
            [],
            [
                ("clk_i", id("clk_i")),
                ("rst_ni", id("rst_ni")),
                ("enable_i", id("enable_i")),
                ("raw_i", id("line").part((id("k") + 1) * operand, operand)),
                ("inside_i", id("inside_q").at("k")),
                ("largest_i", id("largest_i")),
                ("x_signed_i", id("x_signed_i")),
                ("x_zero_i", id("x_zero_i")),
                ("operand_o", id("operands_o").part(id("k") * act, act)),
            ],
        );
    });
    m
}

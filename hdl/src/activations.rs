//! `koch_activations`.

use crate::load_aligner::{spread, write_port};
use crate::verilog::*;
use spec::Config;
use spec::timing::{READ_LATENCY, SECOND_LATENCY, STORE_LATENCY};

/// The three activation buffers with who writes and who reads them. In one cycle no two of them may write the same
/// buffer, and no two may read the same one: the program sees to that.
pub fn module(config: &Config, second: bool) -> Module {
    let (bytes, chunk) = (config.abuf_stride(), config.chunk_bytes());
    let offset = bytes.trailing_zeros();
    let chunk_bits = chunk.trailing_zeros();
    let mut m = Module::new(
        "koch_activations",
        "The activation buffers: written by loads and by the drain, read by the array, by the post lanes and by stores.",
    );
    m.note(format!(
        "Latency: from a read, {READ_LATENCY} cycles to the array's word, {STORE_LATENCY} to a store's."
    ));
    if second {
        m.note(format!("Second operands come after {SECOND_LATENCY}."));
    }
    m.note("An address is a buffer in its upper two bits and an offset below. After a read of a whole word next_o is the word after it.");
    m.clocked();
    write_port(&mut m, config.bus_bytes());
    m.input("drain_write_i", 1)
        .input("drain_address_i", 24)
        .input("drain_data_i", chunk * 8)
        .input("feed_i", 1)
        .input("feed_address_i", 24)
        .output("word_o", bytes * 8)
        .output("next_o", bytes * 8);
    if second {
        m.input("second_i", 1).input("second_address_i", 24).output("chunk_o", chunk * 8);
    }
    m.input("store_address_i", 24).output("store_o", bytes * 8);
    spread(&mut m, bytes, bytes, config.bus_bytes());
    m.logic("drain_enable", bytes).logic("drain_data", bytes * 8);
    let place = id("drain_address_i").range(offset - 1, chunk_bits);
    let place = if chunk_bits == 0 { place } else { cat([place, lit(chunk_bits, 0)]) };
    if chunk == bytes {
        m.assign("drain_enable", rep(bytes, lit(1, 1)));
        m.assign("drain_data", "drain_data_i");
    } else {
        m.assign("drain_enable", resize(bytes, rep(chunk, lit(1, 1))) << place);
        m.assign("drain_data", rep(bytes / chunk, "drain_data_i"));
    }
    for (buffer, depth) in [config.ibuf, config.obuf, config.rbuf].into_iter().enumerate() {
        let n = |name: &str| format!("{name}{buffer}");
        let mine = |port: &str| id(port).range(23, 22).eq_(lit(2, buffer as u32));
        m.blank();
        m.logic(n("drains"), 1).logic(n("write"), 1).logic(n("write_address"), 24);
        m.logic(n("enable"), bytes).logic(n("data"), bytes * 8);
        m.logic(n("read_address"), 24).logic(n("even"), bytes * 8).logic(n("odd"), bytes * 8);
        m.assign(n("drains"), id("drain_write_i") & mine("drain_address_i"));
        m.assign(n("write"), id(n("drains")) | (id("write_i") & mine("write_address_i")));
        let or = |drain: Expr, load: Expr| mux(id(n("drains")), drain, load);
        m.assign(n("write_address"), or(id("drain_address_i"), id("write_address_i")));
        m.assign(n("enable"), or(id("drain_enable"), id("enable")));
        m.assign(n("data"), or(id("drain_data"), id("data")));
        let store = id("store_address_i");
        let others = if second {
            mux(id("second_i") & mine("second_address_i"), id("second_address_i"), store)
        } else {
            store
        };
        m.assign(n("read_address"), mux(id("feed_i") & mine("feed_address_i"), id("feed_address_i"), others));
        m.inst(
            "koch_abuf",
            n("u_buffer"),
            [("Depth", Expr::from(depth / (2 * bytes)))],
            [
                ("clk_i", id("clk_i")),
                ("write_i", id(n("write"))),
                ("write_enable_i", id(n("enable"))),
                ("write_address_i", id(n("write_address"))),
                ("write_data_i", id(n("data"))),
                ("read_address_i", id(n("read_address"))),
                ("even_o", id(n("even"))),
                ("odd_o", id(n("odd"))),
            ],
        );
    }
    m.blank();
    m.comment("The array: a word from any operand on.");
    let from = |name: &str, buffer: Expr| {
        let word = |k: u32| id(format!("{name}{k}"));
        mux(buffer.clone().at(1), word(2), mux(buffer.at(0), word(1), word(0)))
    };
    m.logic("fed", 1).logic("turn", offset + 3).logic("pair", bytes * 16);
    delay(
        &mut m,
        "feed",
        offset + 4,
        READ_LATENCY - 1,
        cat([id("feed_i"), address("feed_address_i", offset)]),
        cat([id("fed"), id("turn")]),
    );
    let buffer = || id("turn").range(offset + 2, offset + 1);
    m.logic("even", bytes * 8).logic("odd", bytes * 8).logic("feed_buffer", 2);
    m.assign("feed_buffer", buffer());
    m.assign("even", from("even", id("feed_buffer")));
    m.assign("odd", from("odd", id("feed_buffer")));
    m.assign("pair", mux(id("turn").at(offset), cat([id("even"), id("odd")]), cat([id("odd"), id("even")])));
    m.ff_no_reset([when(
        "fed",
        [
            set_nb(
                "word_o",
                id("pair").part(cat([lit(1, 0), id("turn").range(offset - 1, 0), lit(3, 0)]), bytes * 8),
            ),
            set_nb("next_o", id("pair").part(bytes * 8, bytes * 8)),
        ],
    )]);
    if second {
        m.blank();
        m.comment("The post lanes: a chunk.");
        m.logic("second_read", 1).logic("second_place", offset + 3).logic("second_word", bytes * 8);
        m.logic("second_buffer", 2);
        delay(
            &mut m,
            "second",
            offset + 4,
            SECOND_LATENCY - 1,
            cat([id("second_i"), address("second_address_i", offset)]),
            cat([id("second_read"), id("second_place")]),
        );
        m.assign("second_buffer", id("second_place").range(offset + 2, offset + 1));
        m.assign(
            "second_word",
            mux(
                id("second_place").at(offset),
                from("odd", id("second_buffer")),
                from("even", id("second_buffer")),
            ),
        );
        m.ff_no_reset([when(
            "second_read",
            [set_nb(
                "chunk_o",
                id("second_word").part(cat([id("second_place").range(offset - 1, 0), lit(3, 0)]), chunk * 8),
            )],
        )]);
    }
    m.blank();
    m.comment("Stores: a word.");
    m.logic("store_place", 3).logic("store_buffer", 2);
    delay(
        &mut m,
        "store",
        3,
        STORE_LATENCY - 1,
        cat([id("store_address_i").range(23, 22), id("store_address_i").at(offset)]),
        id("store_place"),
    );
    m.assign("store_buffer", id("store_place").range(2, 1));
    m.ff_no_reset([set_nb(
        "store_o",
        mux(id("store_place").at(0), from("odd", id("store_buffer")), from("even", id("store_buffer"))),
    )]);
    m
}

/// The bits of an address that are needed when its words are there: buffer, bank, and byte of the word.
fn address(port: &str, offset: u32) -> Expr {
    cat([id(port).range(23, 22), id(port).range(offset, 0)])
}

fn delay(m: &mut Module, name: &str, width: u32, depth: u32, from: Expr, to: Expr) {
    m.inst(
        "koch_delay",
        format!("u_{name}"),
        [("Width", Expr::from(width)), ("Depth", Expr::from(depth))],
        [("clk_i", id("clk_i")), ("rst_ni", id("rst_ni")), ("data_i", from), ("data_o", to)],
    );
}

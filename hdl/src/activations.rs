//! `koch_activations`.

use crate::abuf::reads_next;
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
    let next = reads_next(config);
    let mut m = Module::new(
        "koch_activations",
        "The activation buffers: written by loads and by the drain, read by the array, by the post lanes and by stores.",
    );
    m.note(format!(
        "Latency: from a read, {READ_LATENCY} cycles to the array's word, {STORE_LATENCY} to a store's."
    ));
    m.note("A write is done in the cycle after: engines are far from the buffers.");
    if second {
        m.note(format!("Second operands come after {SECOND_LATENCY}."));
    }
    m.note("An address is a buffer in its upper two bits and an offset below.");
    if next {
        m.note("After a read of a whole word next_o is the word after it.");
    }
    m.clocked();
    write_port(&mut m, config.bus_bytes());
    m.input("drain_write_i", 1)
        .input("drain_address_i", 24)
        .input("drain_data_i", chunk * 8)
        .input("feed_i", 1)
        .input("feed_address_i", 24)
        .output("word_o", bytes * 8);
    if next {
        m.output("next_o", bytes * 8);
    }
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
        m.logic(n("read_address"), 24).logic(n("lanes"), bytes * 8);
        if next {
            m.logic(n("next"), bytes * 8);
        }
        m.assign(n("drains"), id("drain_write_i") & mine("drain_address_i"));
        let or = |drain: Expr, load: Expr| mux(id(n("drains")), drain, load);
        m.ff(
            [set_nb(n("write"), lit(1, 0))],
            [set_nb(n("write"), id(n("drains")) | (id("write_i") & mine("write_address_i")))],
        );
        m.ff_no_reset([
            set_nb(n("write_address"), or(id("drain_address_i"), id("write_address_i"))),
            set_nb(n("enable"), or(id("drain_enable"), id("enable"))),
            set_nb(n("data"), or(id("drain_data"), id("data"))),
        ]);
        // Others than the array read whole words.
        let whole = |port: &str| cat([id(port).range(23, offset), lit(offset, 0)]);
        let others = if second {
            mux(
                id("second_i") & mine("second_address_i"),
                whole("second_address_i"),
                whole("store_address_i"),
            )
        } else {
            whole("store_address_i")
        };
        m.assign(n("read_address"), mux(id("feed_i") & mine("feed_address_i"), id("feed_address_i"), others));
        let mut pins = vec![
            ("clk_i", id("clk_i")),
            ("write_i", id(n("write"))),
            ("write_enable_i", id(n("enable"))),
            ("write_address_i", id(n("write_address"))),
            ("write_data_i", id(n("data"))),
            ("read_address_i", id(n("read_address"))),
            ("lanes_o", id(n("lanes"))),
        ];
        if next {
            pins.push(("next_o", id(n("next"))));
        }
        m.inst("koch_abuf", n("u_buffer"), [("Depth", Expr::from(depth / (2 * bytes)))], pins);
    }
    let from = |name: &str, buffer: &str| {
        let word = |k: u32| id(format!("{name}{k}"));
        mux(id(buffer).at(1), word(2), mux(id(buffer).at(0), word(1), word(0)))
    };
    m.blank();
    m.comment("The array: a word from any operand on, turned to its first byte.");
    m.logic("fed", 1).logic("feed_buffer", 2).logic("feed_offset", offset).logic("feed_lanes", bytes * 8);
    delay(
        &mut m,
        "feed",
        offset + 3,
        READ_LATENCY - 1,
        cat([id("feed_i"), id("feed_address_i").range(23, 22), id("feed_address_i").range(offset - 1, 0)]),
        cat([id("fed"), id("feed_buffer"), id("feed_offset")]),
    );
    m.assign("feed_lanes", from("lanes", "feed_buffer"));
    // As a ladder of rotations by powers of two, of whole operands.
    let least = config.operand_bytes().trailing_zeros();
    if least > 0 {
        m.unused("feed", [id("feed_offset").range(least - 1, 0)]);
    }
    let mut turned = "feed_lanes".to_owned();
    for step in (least..offset).rev() {
        let by = 8u32 << step;
        let name = format!("turned{step}");
        m.logic(name.clone(), bytes * 8);
        let all = id(turned.as_str());
        let rotated = cat([all.clone().range(by - 1, 0), all.clone().range(bytes * 8 - 1, by)]);
        m.assign(name.clone(), mux(id("feed_offset").at(step), rotated, all));
        turned = name;
    }
    let mut set = vec![set_nb("word_o", turned.as_str())];
    if next {
        set.push(set_nb("next_o", from("next", "feed_buffer")));
    }
    m.ff_no_reset([when("fed", set)]);
    if second {
        m.blank();
        m.comment("The post lanes: a chunk.");
        m.logic("second_read", 1).logic("second_buffer", 2).logic("second_offset", offset);
        m.logic("second_word", bytes * 8);
        delay(
            &mut m,
            "second",
            offset + 3,
            SECOND_LATENCY - 1,
            cat([
                id("second_i"),
                id("second_address_i").range(23, 22),
                id("second_address_i").range(offset - 1, 0),
            ]),
            cat([id("second_read"), id("second_buffer"), id("second_offset")]),
        );
        m.assign("second_word", from("lanes", "second_buffer"));
        m.ff_no_reset([when(
            "second_read",
            [set_nb("chunk_o", id("second_word").part(cat([id("second_offset"), lit(3, 0)]), chunk * 8))],
        )]);
    }
    m.blank();
    m.comment("Stores: a word.");
    m.logic("store_buffer", 2);
    delay(&mut m, "store", 2, STORE_LATENCY - 1, id("store_address_i").range(23, 22), id("store_buffer"));
    m.ff_no_reset([set_nb("store_o", from("lanes", "store_buffer"))]);
    m.unused("store", [id("store_address_i").range(offset - 1, 0)]);
    m
}

fn delay(m: &mut Module, name: &str, width: u32, depth: u32, from: Expr, to: Expr) {
    m.inst(
        "koch_delay",
        format!("u_{name}"),
        [("Width", Expr::from(width)), ("Depth", Expr::from(depth))],
        [("clk_i", id("clk_i")), ("rst_ni", id("rst_ni")), ("data_i", from), ("data_o", to)],
    );
}

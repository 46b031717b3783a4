//! Every leaf in rust-hdl's simulator equals its Verilog in Verilator, cycle by cycle, on stimuli that reach its
//! states. The processing element and the requantisation lane have their comparisons in their own files.

use hdl::cosim::{Cosim, Rng};
use spec::Config;

/// Cycles of each comparison.
const CYCLES: usize = 4000;

fn config(name: &str) -> Config {
    Config::named(name).expect("a named config")
}

/// A number of at most `bits` bits, often a small one.
fn few(rng: &mut Rng, bits: u64) -> Option<u64> {
    let width = 1 + rng.below(bits);
    Some(rng.bits() & ((1 << width) - 1))
}

fn chance(rng: &mut Rng, percent: u64) -> Option<u64> {
    Some(u64::from(rng.chance(percent)))
}

macro_rules! leaf_test {
    ($test:ident, $leaf:expr, [$($config:literal),+], |$rng:ident, $port:ident| $stimulus:expr) => {
        #[test]
        fn $test() {
            for name in [$($config),+] {
                let config = config(name);
                Cosim::new(format!(concat!(stringify!($test), "_{}"), name))
                    .cycles(CYCLES)
                    .run_with(|| $leaf(&config), |$rng, $port| $stimulus);
            }
        }
    };
}

leaf_test!(fetch, hdl::fetch::Fetch::new, ["tiny"], |rng, port| match port {
    "clear_i" => chance(rng, 1),
    "busy_i" | "request_ready_i" => chance(rng, 90),
    "beat_i" => chance(rng, 60),
    "halt_i" => chance(rng, 3),
    "program_i" => Some(rng.bits() & 0xffff_ffe0),
    "instructions_i" => few(rng, 12),
    "opcode_i" => Some(rng.below(11)),
    "fault_i" => Some(if rng.chance(2) { rng.below(16) } else { 0 }),
    "load_full_i" | "compute_full_i" | "store_full_i" => chance(rng, 20),
    "quant_depth_i" => chance(rng, 50),
    _ => None,
});

leaf_test!(check, hdl::check::Check::new, ["tiny"], |rng, port| match port {
    "opcode_i" => Some(rng.below(10)),
    // Mostly legal, and now and then a field that is not.
    "taps_word_len_i" => Some(rng.below(20)),
    "load_buffer_i" | "quant_op_i" | "post_op_i" => Some(rng.below(4)),
    "post_table_i" => chance(rng, 50),
    p if p.ends_with("chunks_i") => few(rng, 4),
    p if p.starts_with("rect_") && !p.ends_with("_base_i") => chance(rng, 90),
    // Seldom in no buffer.
    p if p.ends_with("_base_i") || p == "load_dst_i" || p == "store_src_i" => {
        let buffer = if rng.chance(5) { 3 } else { rng.below(3) };
        Some(buffer << 22 | rng.below(64))
    }
    p if p.ends_with("_scale_i") || p == "post_offset_i" => Some((55 + rng.below(150)) << 23),
    _ if rng.chance(5) => Some(0),
    _ => few(rng, 20).map(|v| v << 1 & 0xff),
});

leaf_test!(read_master, hdl::read_master::ReadMaster::new, ["tiny"], |rng, port| match port {
    "clear_i" => chance(rng, 1),
    "halt_i" => chance(rng, 5),
    "rvalid_i" | "arready_i" => chance(rng, 60),
    "rlast_i" => chance(rng, 50),
    "rfail_i" => chance(rng, 1),
    "load_take_i" => chance(rng, 80),
    _ => None,
});

leaf_test!(runs, hdl::runs::Runs::new, ["default"], |rng, port| match port {
    "start_i" => chance(rng, 10),
    "run_bytes_i" | "run_pitch_i" => few(rng, 14),
    "runs_i" => few(rng, 4),
    _ => None,
});

leaf_test!(load_requester, hdl::load_requester::LoadRequester::new, ["tiny"], |rng, port| match port {
    "clear_i" | "halt_i" => chance(rng, 2),
    "valid_i" | "request_ready_i" => chance(rng, 80),
    "store_tokens_i" | "compute_tokens_i" | "pop_prev_i" | "pop_next_i" => few(rng, 3),
    "runs_i" => few(rng, 2),
    "window_full_i" => chance(rng, 20),
    _ => None,
});

leaf_test!(pieces, hdl::pieces::Pieces::new, ["default"], |rng, port| match port {
    "clear_i" => chance(rng, 1),
    "ready_i" => chance(rng, 90),
    "start_i" => chance(rng, 3),
    "buffer_i" => Some(rng.below(3)),
    "run_bytes_i" => few(rng, 7),
    "row_bytes_i" => few(rng, 6),
    "runs_i" => few(rng, 3),
    "pad_left_i" | "pad_right_i" => few(rng, 5).map(|v| if v & 1 == 0 { 0 } else { v }),
    _ => None,
});

leaf_test!(load_writer, hdl::load_writer::LoadWriter::new, ["default"], |rng, port| match port {
    "valid_i" => chance(rng, 80),
    "finish_i" | "none_i" => chance(rng, 30),
    _ => None,
});

leaf_test!(tokens, hdl::tokens::Tokens::new, ["tiny"], |rng, port| match port {
    "clear_i" => chance(rng, 1),
    "push_i" => chance(rng, 70),
    "pop_i" => chance(rng, 20),
    "pop_count_i" => few(rng, 2),
    _ => None,
});

leaf_test!(lister, hdl::lister::Lister::new, ["tiny"], |rng, port| match port {
    "clear_i" | "halt_i" => chance(rng, 1),
    "valid_i" => chance(rng, 95),
    "opcode_i" => Some(rng.below(8)),
    "pop_prev_i" | "pop_next_i" => few(rng, 2),
    "load_tokens_i" | "store_tokens_i" => few(rng, 4),
    "nx_i" | "ny_i" => few(rng, 5).map(|v| v + 1),
    "quant_depth_i" => chance(rng, 50),
    "array_idle_i" => chance(rng, 70),
    "take_i" => chance(rng, 15),
    "chain_i" => chance(rng, 50),
    _ => None,
});

leaf_test!(feeder, hdl::feeder::Feeder::new, ["tiny"], |rng, port| match port {
    "clear_i" => chance(rng, 1),
    "tile_valid_i" | "tile_first_i" => chance(rng, 80),
    "tile_last_i" => chance(rng, 60),
    "tile_n_ky_i" | "tile_n_kx_i" | "tile_words_i" => few(rng, 2).map(|v| v + 1),
    "tile_longs_i" => few(rng, 2),
    "tile_word_len_i" => Some(1 + rng.below(16)),
    "tile_rows_i" => Some(1 + rng.below(7)),
    "tile_width_i" | "tile_stride_i" | "tile_kx_step_i" => few(rng, 4),
    "tile_column_i" => Some(rng.below(20).wrapping_sub(8)),
    "depth_i" => chance(rng, 50),
    "drained_i" => chance(rng, 10),
    _ => None,
});

leaf_test!(drain, hdl::drain::Drain::new, ["default"], |rng, port| match port {
    "clear_i" => chance(rng, 1),
    "start_i" => chance(rng, 10),
    "tile_chunks_i" => Some(1 + rng.below(4)),
    _ => None,
});

leaf_test!(store_gatherer, hdl::store_gatherer::StoreGatherer::new, ["default"], |rng, port| match port {
    "clear_i" | "halt_i" => chance(rng, 1),
    "valid_i" => chance(rng, 95),
    "pop_prev_i" => few(rng, 2),
    "tokens_i" => few(rng, 4),
    "burst_beats_i" => few(rng, 3).map(|v| v + 1),
    "word_over_i" => chance(rng, 60),
    "burst_last_i" => chance(rng, 40),
    "slots_full_i" => chance(rng, 20),
    _ => None,
});

leaf_test!(store_sender, hdl::store_sender::StoreSender::new, ["tiny"], |rng, port| match port {
    "clear_i" => chance(rng, 1),
    "burst_done_i" | "ready_i" => chance(rng, 20),
    "burst_beats_i" => few(rng, 3).map(|v| v + 1),
    "awready_i" | "wready_i" => chance(rng, 70),
    "bvalid_i" => chance(rng, 15),
    "bfail_i" => chance(rng, 2),
    _ => None,
});

leaf_test!(control, hdl::control::Control::new, ["tiny"], |rng, port| match port {
    "start_i" => chance(rng, 20),
    "fetch_status_i" => Some(if rng.chance(2) { rng.below(16) } else { 0 }),
    "read_fail_i" | "write_fail_i" | "token_overflow_i" => chance(rng, 1),
    "quiet_i" | "finished_i" => chance(rng, 20),
    "cycles_i" | "limit_i" => few(rng, 6),
    _ => None,
});

leaf_test!(regs, hdl::regs::Regs::new, ["tiny"], |rng, port| match port {
    // Word addresses, most of them of registers.
    "awaddr_i" => Some(rng.below(12) * 4),
    "araddr_i" => Some(rng.below(48) * 4),
    "done_i" => chance(rng, 30),
    _ => None,
});

#[test]
fn differences() {
    let config = config("tiny");
    let stimulus = |rng: &mut Rng, port: &str| match port {
        "enable_i" | "inside_i" => chance(rng, 80),
        _ => None,
    };
    Cosim::new("difference8")
        .cycles(CYCLES)
        .run_with(|| hdl::difference::Difference8::new(&config), stimulus);
    Cosim::new("difference16")
        .cycles(CYCLES)
        .run_with(|| hdl::difference::Difference16::new(&config), stimulus);
}

#[test]
fn serializers() {
    let config = config("tiny");
    let stimulus = |rng: &mut Rng, port: &str| match port {
        "load_i" => Some(vec![u64::from(rng.chance(10))]),
        _ => None,
    };
    Cosim::new("serializer8")
        .cycles(CYCLES)
        .run_wide(|| hdl::serializer::Serializer8::new(&config), stimulus);
    Cosim::new("serializer16")
        .cycles(CYCLES)
        .run_wide(|| hdl::serializer::Serializer16::new(&config), stimulus);
}

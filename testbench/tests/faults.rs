//! Bad programs and bad memories: the RTL stops with the status that the cycle model predicts, never hangs, and runs
//! the next program correctly without a reset.

use spec::isa::{Depth, Instruction, Load, Post, Quant, Rect, Store, Taps, activation};
use spec::layer::Layer;
use spec::{Config, MemorySpec, Program, Status};
use testbench::Rtl;
use testbench::cases::{Case, random_config};
use testbench::faults::{self, Kind};

const LIMIT: u64 = 2_000_000;

fn good(config: &Config) -> Case {
    let layer: Layer = "conv cin=3 h=6 w=5 cout=7 k=3 pad=1".parse().expect("a layer");
    Case::new(config.clone(), layer, MemorySpec::default(), 3).expect("it fits")
}

fn program(lines: &[Instruction]) -> Program {
    let code = lines.iter().flat_map(|i| i.encode().expect("fields fit")).collect();
    Program { base: 0x1000, code, ..Program::default() }
}

fn assemble(lines: &[&str]) -> Program {
    program(&lines.iter().map(|l| l.parse().expect("assembly")).collect::<Vec<_>>())
}

/// Runs `bad`, then a good layer on the same instance; the status of the first.
fn check(rtl: &Rtl, config: &Config, bad: &Program, memory: &MemorySpec, want: Status) {
    let model = cyclemodel::run(config, bad, memory).expect("a legal memory");
    let case = good(config);
    let runs = rtl
        .run_in_turn(&[(bad, memory), (&case.program, &case.memory)], LIMIT)
        .unwrap_or_else(|e| panic!("{want}: {e}"));
    assert_eq!((runs[0].status, model.status), (want, want), "RTL and model");
    if want == Status::Deadlock {
        assert_eq!(runs[0].counters.cycles, model.counters.cycles, "cycles until the deadlock is seen");
    }
    let next = cyclemodel::run(config, &case.program, &case.memory).expect("a legal memory");
    assert_eq!(runs[1].status, Status::Ok, "the run after {want}");
    assert_eq!(runs[1].counters, next.counters, "the run after {want}");
    let want = reference::conv(&case.layer, &case.data);
    let got = compiler::unpack_output(&case.data.quant, runs[1].output.as_deref().unwrap_or_default());
    assert_eq!(got, want, "the run after an error");
}

#[test]
fn every_status_is_the_models() {
    let config = Config::named("tiny").expect("a named config");
    let rtl = Rtl::new(&config, None).unwrap_or_else(|e| panic!("{e}"));
    let memory = MemorySpec::default();
    let slow = MemorySpec { stall_percent: 40, stall_seed: 5, latency: 7, ..MemorySpec::default() };
    let end = "end";
    let load = "load src=0 run_bytes=16 runs=1 row_bytes=16";
    let quant = "quant";
    let taps = "taps last=1 n_ky=1 n_kx=1 words=1 word_len=4 longs=1 chunks=1";
    for memory in [&memory, &slow] {
        // Illegal opcodes, cleared memory among them.
        for opcode in [0u8, 10, 15] {
            let mut bad = assemble(&[load, end]);
            bad.code[32] = opcode;
            check(&rtl, &config, &bad, memory, Status::IllegalInstruction);
        }
        // The end is missing, or there is no program.
        check(&rtl, &config, &assemble(&[load, load]), memory, Status::Truncated);
        check(&rtl, &config, &program(&[]), memory, Status::Truncated);
        // A program that does not start on a boundary.
        let odd = Program { base: 0x1080, ..assemble(&[end]) };
        check(&rtl, &config, &odd, memory, Status::Misaligned);
        // Read all the same, its first instructions would cross 4 KiB.
        let odd = Program { base: 0xf80, ..assemble(&[load, load, load, load, load, load, load, end]) };
        check(&rtl, &config, &odd, memory, Status::Misaligned);
        // Tokens that nobody pushes.
        for line in [
            "load pop_next=1 src=0 run_bytes=16 runs=1 row_bytes=16",
            "load pop_prev=1 src=0 run_bytes=16 runs=1 row_bytes=16",
            "rect pop_prev=1 nx=1 ny=1",
            "rect pop_next=2 nx=1 ny=1",
            "store pop_prev=1 seg_bytes=4 run_bytes=4 runs=1",
        ] {
            check(&rtl, &config, &assemble(&[load, quant, taps, line, end]), memory, Status::Deadlock);
        }
        // The queue of a blocked engine fills up and the end is never dispatched.
        let mut lines = vec!["load pop_next=1 src=0 run_bytes=16 runs=1 row_bytes=16"; 20];
        lines.push(end);
        check(&rtl, &config, &assemble(&lines), memory, Status::Deadlock);
    }
}

#[test]
fn every_bad_field_is_refused() {
    let config = Config::named("tiny").expect("a named config");
    let wide = Config::new(
        "tiny-16",
        spec::ConfigSpec {
            operand_bits: Some(16),
            ..spec::ConfigSpec::named("tiny").expect("a named config")
        },
    )
    .expect("a legal config");
    let load = Load { run_bytes: 16, runs: 1, row_bytes: 16, ..Load::default() };
    let taps = Taps { n_ky: 1, n_kx: 1, words: 1, word_len: 4, longs: 1, chunks: 1, ..Taps::default() };
    let rect = Rect { nx: 1, ny: 1, ..Rect::default() };
    let store = Store { seg_bytes: 4, run_bytes: 4, runs: 1, ..Store::default() };
    let depth = Depth {
        n_ky: 1,
        n_kx: 1,
        phases: 1,
        taps: 1,
        longs: 1,
        chunks: 1,
        stride: 1,
        width: 1,
        ..Depth::default()
    };
    let one = 1f32.to_bits();
    let [large, small] = [1u32 + 127 + 63, 62].map(|exponent| exponent << 23);
    let add = Post { op: 1, a_scale: one, b_scale: one, ..Post::default() };
    let nowhere = activation(3, 0);
    let bad: Vec<Instruction> = vec![
        Load { run_bytes: 0, ..load }.into(),
        Load { row_bytes: 0, ..load }.into(),
        Load { buffer: 3, ..load }.into(),
        Load { dst: nowhere, ..load }.into(),
        Quant { op: 3, ..Quant::default() }.into(),
        Taps { n_ky: 0, ..taps }.into(),
        Taps { n_kx: 0, ..taps }.into(),
        Taps { words: 0, ..taps }.into(),
        Taps { word_len: 0, ..taps }.into(),
        Taps { word_len: 17, ..taps }.into(),
        Taps { longs: 0, ..taps }.into(),
        Taps { longs: 2, ..taps }.into(),
        Taps { word_len: 1, words: 2, ..taps }.into(),
        Taps { chunks: 0, ..taps }.into(),
        Taps { chunks: 2, ..taps }.into(),
        Depth { n_ky: 0, ..depth }.into(),
        Depth { n_kx: 0, ..depth }.into(),
        Depth { phases: 0, ..depth }.into(),
        Depth { taps: 0, ..depth }.into(),
        Depth { longs: 0, ..depth }.into(),
        Depth { longs: 2, ..depth }.into(),
        Depth { phases: 2, ..depth }.into(),
        Depth { chunks: 0, ..depth }.into(),
        Depth { chunks: 2, ..depth }.into(),
        Depth { stride: 0, ..depth }.into(),
        Depth { width: 0, ..depth }.into(),
        Post { op: 3, ..add }.into(),
        Post { a_scale: large, ..add }.into(),
        Post { a_scale: small, ..add }.into(),
        Post { a_scale: one | 1 << 31, ..add }.into(),
        Post { b_scale: large, ..add }.into(),
        Post { b_scale: 0, ..add }.into(),
        Post { offset: small | 1 << 31, ..add }.into(),
        Post { op: 2, offset: large, ..add }.into(),
        Rect { nx: 0, ..rect }.into(),
        Rect { in_base: nowhere, ..rect }.into(),
        Rect { out_base: nowhere | 4, ..rect }.into(),
        Rect { res_base: nowhere, ..rect }.into(),
        Rect { ny: 0, ..rect }.into(),
        Rect { chain: true, push_prev: true, ..rect }.into(),
        Rect { chain: true, push_next: true, ..rect }.into(),
        Store { seg_bytes: 0, ..store }.into(),
        Store { run_bytes: 0, ..store }.into(),
        Store { runs: 0, ..store }.into(),
        Store { src: nowhere, ..store }.into(),
    ];
    let wide_bad: Vec<Instruction> = vec![add.into(), Post { table: true, ..Post::default() }.into()];
    let odd: Vec<Instruction> = vec![
        Load { src: 1, ..load }.into(),
        Load { run_bytes: 3, ..load }.into(),
        Load { run_pitch: 5, ..load }.into(),
        Load { dst: 7, ..load }.into(),
        Load { row_bytes: 9, ..load }.into(),
        Rect { in_base: 1, ..rect }.into(),
        Rect { out_base: 1, ..rect }.into(),
        Store { src: 1, ..store }.into(),
        Store { seg_bytes: 3, ..store }.into(),
        Store { dst: 1, ..store }.into(),
        Store { run_bytes: 3, ..store }.into(),
        Store { run_pitch: 3, ..store }.into(),
    ];
    for (config, cases, want) in [
        (&config, &bad, Status::BadField),
        (&wide, &wide_bad, Status::BadField),
        (&wide, &odd, Status::Misaligned),
    ] {
        let rtl = Rtl::new(config, None).unwrap_or_else(|e| panic!("{e}"));
        for case in cases {
            let lines = [Quant::default().into(), taps.into(), *case, spec::isa::End {}.into()];
            check(&rtl, config, &program(&lines), &MemorySpec::default(), want);
        }
    }
}

#[test]
fn bus_errors_stop_the_run() {
    let config = Config::named("tiny").expect("a named config");
    let rtl = Rtl::new(&config, None).unwrap_or_else(|e| panic!("{e}"));
    let case = good(&config);
    let output = u64::from(case.program.output.0);
    let mut places: Vec<(u64, Status)> =
        case.program.data.iter().map(|s| (u64::from(s.address), Status::ReadError)).collect();
    places.push((u64::from(case.program.base), Status::ReadError));
    places.push((u64::from(case.program.base) + 96, Status::ReadError));
    places.push((output, Status::WriteError));
    places.push((output + u64::from(case.program.output.1) - 1, Status::WriteError));
    for (address, want) in places {
        for stall_percent in [0, 30] {
            let memory = MemorySpec {
                fault: Some(address..address + 1),
                stall_percent,
                stall_seed: address,
                ..MemorySpec::default()
            };
            check(&rtl, &config, &case.program, &memory, want);
        }
    }
}

#[test]
fn too_many_tokens_are_an_error() {
    let config = Config::named("tiny").expect("a named config");
    let rtl = Rtl::new(&config, None).unwrap_or_else(|e| panic!("{e}"));
    // Loads that do nothing but push, and stores of a byte that tell: one more than the counter holds.
    let push = Load { push_next: true, ..Load::default() };
    let tell = Store { push_next: true, seg_bytes: 1, run_bytes: 1, runs: 1, ..Store::default() };
    let memory = MemorySpec { latency: 1, ..MemorySpec::default() };
    for line in [Instruction::from(push), tell.into()] {
        let mut lines = vec![line; usize::from(u16::MAX) + 1];
        lines.push(spec::isa::End {}.into());
        check(&rtl, &config, &program(&lines), &memory, Status::TokenOverflow);
        lines.remove(0);
        let run = rtl.run(&program(&lines), &memory, LIMIT).unwrap_or_else(|e| panic!("{e}"));
        let model = cyclemodel::run(&config, &program(&lines), &memory).expect("a legal memory");
        assert_eq!((run.status, run.counters), (Status::Ok, model.counters));
    }
}

/// Reductions of one kind under the format of the other, of all chunks that the array has, and rectangles without one.
#[test]
fn rectangles_want_a_reduction_of_their_kind() {
    let config = Config::new(
        "chunks",
        spec::ConfigSpec {
            cols: Some(64),
            lanes: Some(1),
            pbuf: Some(spec::Size(4096)),
            ..spec::ConfigSpec::named("tiny").expect("a named config")
        },
    )
    .expect("a legal config");
    let rtl = Rtl::new(&config, None).unwrap_or_else(|e| panic!("{e}"));
    assert!(config.chunks() > config.depth_channels() / config.lanes);
    let taps = "taps last=1 n_ky=1 n_kx=1 words=1 word_len=1 longs=1 chunks=64";
    let depth = "depth n_ky=1 n_kx=1 phases=1 taps=1 longs=1 chunks=32 stride=1 width=1";
    let rect = "rect nx=40 ny=1";
    let memory = MemorySpec::default();
    for lines in [
        vec![rect],
        vec!["quant ring=64", rect],
        vec![taps, rect],
        vec!["quant ring=64 depth=1", taps, rect],
        vec!["quant ring=64 depth=1", depth, taps, rect],
        vec!["quant ring=64", depth, rect],
        vec!["quant ring=64", taps, rect, "quant depth=1", rect],
    ] {
        let bad = assemble(&[lines.as_slice(), &["end"]].concat());
        check(&rtl, &config, &bad, &memory, Status::BadField);
    }
    for lines in [
        ["quant ring=64", taps, rect, "quant depth=1 ring=64", depth, rect, "end"],
        [taps, "quant ring=64", rect, depth, "quant depth=1 ring=64", rect, "end"],
    ] {
        let good = assemble(&lines);
        let model = cyclemodel::run(&config, &good, &memory).expect("a legal memory");
        let run = rtl.run(&good, &memory, LIMIT).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!((run.status, run.counters), (Status::Ok, model.counters), "{lines:?}");
    }
}

/// A run ends well if its limit is no less than the cycles that it takes; one less, and it does not. The run after it is
/// right, whatever was under way.
#[test]
fn a_limit_is_kept_to_the_cycle() {
    let config = Config::named("tiny").expect("a named config");
    let rtl = Rtl::new(&config, None).unwrap_or_else(|e| panic!("{e}"));
    let mut case = good(&config);
    let slow = MemorySpec { stall_percent: 40, stall_seed: 5, latency: 7, ..MemorySpec::default() };
    for memory in [MemorySpec::default(), slow] {
        case.program.limit = 0;
        let cycles =
            cyclemodel::run(&config, &case.program, &memory).expect("a legal memory").counters.cycles;
        let last = cycles as u32 - 1;
        for limit in (1..last).step_by(last as usize / 20).chain([last]) {
            case.program.limit = limit;
            check(&rtl, &config, &case.program, &memory, Status::Timeout);
        }
        for limit in [cycles as u32, cycles as u32 + 1, u32::MAX] {
            case.program.limit = limit;
            let model = cyclemodel::run(&config, &case.program, &memory).expect("a legal memory");
            let run = rtl.run(&case.program, &memory, LIMIT).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!((run.status, run.counters), (Status::Ok, model.counters));
        }
    }
}

/// What would take until tomorrow is over at its limit, in every engine, and the model says so at once.
#[test]
fn endless_work_ends_at_the_limit() {
    let config = Config::named("tiny").expect("a named config");
    let rtl = Rtl::new(&config, None).unwrap_or_else(|e| panic!("{e}"));
    let taps = "taps last=1 n_ky=255 n_kx=255 words=4095 word_len=16 longs=4095 chunks=1";
    let short = "taps last=1 n_ky=1 n_kx=1 words=1 word_len=1 longs=1 chunks=1";
    let depth = "depth n_ky=255 n_kx=255 phases=255 taps=255 longs=255 chunks=1 stride=1 width=1";
    let rect = "rect nx=65535 ny=65535";
    for lines in [
        ["quant", taps, rect],
        ["quant", short, rect],
        ["quant depth=1", depth, rect],
        ["load runs=65535 run_bytes=16777215 row_bytes=1048575", "quant", short],
        ["load runs=65535 run_bytes=1 row_bytes=1 pad_left=1048575 pad_right=1048575", "quant", short],
        ["store dst=65536 runs=65535 run_bytes=16777215 seg_bytes=1", "quant", short],
    ] {
        let bad = Program { limit: 5000, ..assemble(&[lines.as_slice(), &["end"]].concat()) };
        check(&rtl, &config, &bad, &MemorySpec::default(), Status::Timeout);
    }
}

/// Sums of activation addresses stay in their buffer, modulo the range of offsets.
#[test]
fn loads_and_stores_stay_in_their_buffer() {
    let config = Config::named("tiny").expect("a named config");
    let rtl = Rtl::new(&config, None).unwrap_or_else(|e| panic!("{e}"));
    let (from, to) = (0x2000, 0x3000);
    let bytes: Vec<u8> = (1..=16).collect();
    for (buffer, size) in [config.ibuf, config.obuf, config.rbuf].into_iter().enumerate() {
        assert!(size.is_power_of_two(), "an offset of the last bytes is one of the buffer's last bytes");
        let dst = activation(buffer as u32 + 1, 0) - 8;
        let load = Load {
            src: from,
            run_bytes: 16,
            runs: 1,
            dst,
            row_bytes: 16,
            push_next: true,
            ..Load::default()
        };
        // Rows, and segments, whose starts are beyond the last offset.
        let rows = Load { row_bytes: 8, dst_pitch: 8, ..load };
        let store = Store { src: dst, seg_bytes: 16, dst: to, run_bytes: 16, runs: 1, ..Store::default() };
        let segments = Store { seg_bytes: 8, seg_pitch: 8, ..store };
        let quant = Quant { ring: 64, ..Quant::default() };
        let taps = Taps { n_ky: 1, n_kx: 1, words: 1, word_len: 1, longs: 1, chunks: 1, ..Taps::default() };
        // Stores wait for loads through a rectangle that writes nothing.
        let rect = Rect { pop_prev: 1, push_next: true, nx: 1, ny: 1, ..Rect::default() };
        for (load, store) in [(load, store), (rows, store), (load, segments)] {
            let lines =
                [load.into(), quant.into(), taps.into(), rect.into(), Store { pop_prev: 1, ..store }.into()];
            let data = vec![spec::program::Segment { address: from, bytes: bytes.clone() }];
            let code = [lines.as_slice(), &[spec::isa::End {}.into()]].concat();
            let program = Program { data, output: (to, 16), ..program(&code) };
            let run = rtl.run(&program, &MemorySpec::default(), LIMIT).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!((run.status, run.output), (Status::Ok, Some(bytes.clone())), "buffer {buffer}");
        }
    }
}

/// After a reset the limit is the largest, and a host can read what it writes.
#[test]
fn the_limit_can_be_read() {
    let config = Config::named("tiny").expect("a named config");
    let rtl = Rtl::new(&config, None).unwrap_or_else(|e| panic!("{e}"));
    let mut session = rtl.session(1).unwrap_or_else(|e| panic!("{e}"));
    let at = spec::regs::REGISTERS.iter().find(|r| r.name == "limit").expect("a register").offset;
    assert_eq!(session.read(at), spec::regs::LIMIT_RESET);
    for value in [0, 1, 0x1234_5678, u32::MAX] {
        session.write(at, value);
        assert_eq!(session.read(at), value);
    }
}

/// Every kind of fault, on the first configs of a campaign: `koch faults` does more of them.
#[test]
fn a_small_campaign() {
    let mut kinds = std::collections::BTreeMap::new();
    for index in 0..3 {
        let config = random_config(20, index);
        let rtl = Rtl::new(&config, None).unwrap_or_else(|e| panic!("{e}"));
        for k in 0..60 {
            let fault = index * 1000 + k;
            let seen = faults::run(&rtl, &config, 20, fault)
                .unwrap_or_else(|e| panic!("fault {fault} on {config:?}: {e}"));
            *kinds.entry(seen.kind).or_insert(0) += 1;
        }
    }
    assert_eq!(kinds.len(), Kind::ALL.len(), "{kinds:?}");
}

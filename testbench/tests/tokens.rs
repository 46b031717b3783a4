//! Programs that load what they have stored, with layer numbers on the way: RTL, model and the machine without time.

use reference::machine::{self, Order};
use spec::config::WORD;
use spec::isa::{End, Instruction, Load, Quant, Rect, Store, Taps, activation};
use spec::program::Segment;
use spec::{Config, ConfigSpec, MemorySpec, Program, Run, Size, Status};
use testbench::Rtl;
use testbench::cases::{Draw, random_memory};

/// Where memory holds what; the outputs of each pass are the inputs of the next.
const WEIGHTS: u32 = 0x10_0000;
const PARAMS: u32 = 0x18_0000;
const MAPS: u32 = 0x20_0000;
const MAP_PITCH: u32 = 0x1_0000;

const ORDERS: [Order; 4] = [Order::Program, Order::LoadsFirst, Order::LoadsLast, Order::Random(1)];

/// Passes of 1 × 1 convolutions over a map, from buffer to buffer and through memory, and the layer number of each.
pub struct Passes {
    /// The program.
    pub program: Program,
    layers: Vec<u32>,
}

impl Passes {
    /// Passes that fit the config.
    pub fn random(d: &mut Draw, config: &Config) -> Self {
        let operand = config.operand_bytes();
        let passes = d.between(2, 6);
        let most = (config.cols.min(WORD) / config.lanes).min(config.pbuf_words() / passes);
        let chunks = d.between(1, most);
        let channels = chunks * config.lanes;
        let (width, height) = (d.between(1, 12), d.between(1, 5));
        let (pixel, row) = (channels * operand, width * channels * operand);
        let bytes = height * row;
        // Rows lie in memory with gaps, which differ from pass to pass.
        let pitches: Vec<u32> = (0..=passes).map(|_| row + operand * d.between(0, 40)).collect();
        let map = |pass: u32| MAPS + pass * MAP_PITCH + operand * (pass % 5);
        let mut code = vec![
            Load {
                buffer: 1,
                src: WEIGHTS,
                run_bytes: passes * channels * config.cols * operand,
                runs: 1,
                dst_pitch: config.wbuf_stride(),
                row_bytes: config.cols * operand,
                ..Load::default()
            }
            .into(),
            Load {
                buffer: 2,
                src: PARAMS,
                run_bytes: passes * chunks * config.pbuf_stride(),
                runs: 1,
                row_bytes: passes * chunks * config.pbuf_stride(),
                ..Load::default()
            }
            .into(),
        ];
        let mut layers = Vec::new();
        let mut told = 0;
        for pass in 0..passes {
            let (first, last) = (pass == 0, pass + 1 == passes);
            let input = d.between(0, 2);
            let output = (input + d.between(1, 2)) % 3;
            let layer = d.of(&[0, 1, 1, 2, 65535]);
            layers.push(layer);
            let load = Load {
                pop_prev: told,
                pop_next: u32::from(!first),
                push_next: true,
                src: map(pass),
                run_bytes: row,
                runs: height,
                run_pitch: pitches[pass as usize],
                dst: activation(input, 0),
                dst_pitch: row,
                row_bytes: row,
                ..Load::default()
            };
            let bits = config.operand_bits;
            let quant = Quant {
                x_signed: true,
                y_min: -(1 << (bits - 1)),
                y_max: (1 << (bits - 1)) - 1,
                ring: bytes.max(1),
                layer,
                ..Quant::default()
            };
            let taps = Taps {
                last: true,
                n_ky: 1,
                n_kx: 1,
                words: 1,
                word_len: channels,
                longs: 1,
                w_base: pass * channels,
                p_base: pass * chunks,
                chunks,
                ..Taps::default()
            };
            let rect = Rect {
                pop_prev: 1,
                pop_next: u32::from(!first),
                push_prev: !last,
                push_next: true,
                in_base: activation(input, 0),
                in_x: pixel,
                in_y: row,
                out_base: activation(output, 0),
                out_x: pixel,
                out_y: row,
                nx: width,
                ny: height,
                ..Rect::default()
            };
            code.extend([load.into(), quant.into(), taps.into(), Instruction::from(rect)]);
            // One store or one a row; of several, the last one or each tells the load engine.
            let parts = if d.chance(50) { 1 } else { height };
            let each = d.chance(50);
            told = 0;
            for part in 0..parts {
                let end = part + 1 == parts;
                let tells = !last && (each || end);
                told += u32::from(tells);
                code.push(
                    Store {
                        pop_prev: u32::from(part == 0),
                        push_prev: !last && end,
                        push_next: tells,
                        src: activation(output, part * row),
                        seg_bytes: row,
                        seg_pitch: row,
                        dst: map(pass + 1) + part * pitches[pass as usize + 1],
                        run_bytes: row,
                        runs: height / parts,
                        run_pitch: pitches[pass as usize + 1],
                    }
                    .into(),
                );
            }
        }
        code.push(End {}.into());
        let mut bytes_of = |n: u32| -> Vec<u8> { (0..n).map(|_| d.between(0, 255) as u8).collect() };
        let parameters = (0..passes * chunks * config.lanes).flat_map(|k| {
            let multiplier = 1.0 / (32.0 + k as f32) / if operand == 2 { 256.0 } else { 1.0 };
            [(k as i32 * 37 - 500).to_le_bytes(), multiplier.to_le_bytes()].concat()
        });
        let data = vec![
            Segment { address: WEIGHTS, bytes: bytes_of(passes * channels * config.cols * operand) },
            Segment { address: PARAMS, bytes: parameters.collect() },
            Segment { address: map(0), bytes: bytes_of(height * pitches[0]) },
            Segment { address: map(1), bytes: vec![0xa5; (passes * MAP_PITCH) as usize] },
        ];
        let program = Program { data, output: (map(1), passes * MAP_PITCH), ..assemble(&code) };
        Self { program, layers }
    }
}

fn assemble(code: &[Instruction]) -> Program {
    let code = code.iter().flat_map(|i| i.encode().unwrap_or_else(|e| panic!("{e}"))).collect();
    Program { code, ..Program::default() }
}

fn text(program: &Program) -> String {
    program.instructions().flatten().map(|i| i.to_string()).collect::<Vec<_>>().join("\n")
}

/// One mark for each change of the number, at which every cycle has its cause and no byte is counted.
fn check_marks(run: &Run, layers: &[u32]) {
    let mut changes = layers.to_vec();
    changes.insert(0, 0);
    changes.dedup();
    let shown: Vec<u32> = run.marks.iter().map(|m| m.layer).collect();
    assert_eq!(shown, changes[1..], "layers {layers:?}");
    for mark in &run.marks {
        let c = mark.counters;
        assert_eq!(c.busy + c.idle(), c.cycles, "{mark:?}");
        assert_eq!((c.bytes_read(), c.written), (0, 0), "{mark:?}");
    }
    assert!(run.marks.is_sorted_by_key(|m| m.counters.cycles));
}

fn campaign(config: &Config, seed: u64, cases: u64) {
    let rtl = Rtl::new(config, None).unwrap_or_else(|e| panic!("{e}"));
    for index in 0..cases {
        let d = &mut Draw::new(seed, index);
        let Passes { program, layers } = Passes::random(d, config);
        let memory = random_memory(d, config);
        let what = || format!("case {index} of {seed}, {config:?}, {memory:?}:\n{}", text(&program));
        let want = ORDERS.map(|order| {
            machine::run(config, &program, order).unwrap_or_else(|e| panic!("{order:?}: {e}, {}", what()))
        });
        assert!(want.iter().all(|w| *w == want[0]), "orders differ, {}", what());
        let model = cyclemodel::run(config, &program, &memory).unwrap_or_else(|e| panic!("{e}"));
        let limit = testbench::limit(model.counters.cycles);
        let run = rtl.run(&program, &memory, limit).unwrap_or_else(|e| panic!("{e}, {}", what()));
        assert_eq!((run.status, model.status), (Status::Ok, Status::Ok), "{}", what());
        assert_eq!(run.marks, model.marks, "{}", what());
        assert_eq!(run.counters, model.counters, "{}", what());
        check_marks(&run, &layers);
        assert!(run.output.as_deref() == Some(want[0].as_slice()), "outputs differ, {}", what());
    }
}

#[test]
fn what_was_stored_is_loaded() {
    campaign(&Config::named("tiny").expect("a named config"), 1, 80);
    // Words of 32 bytes, a bus of as many, buffers that are no powers of two; then a bus wider than a word.
    for (index, operand_bits, bus_bits) in [(2, 16, 256), (3, 8, 512)] {
        let spec = ConfigSpec {
            rows: Some(3),
            cols: Some(12),
            lanes: Some(2),
            operand_bits: Some(operand_bits),
            ibuf: Some(Size(3 << 10)),
            wbuf: Some(Size(6 << 10)),
            obuf: Some(Size(5 << 10)),
            rbuf: Some(Size(3 << 10)),
            bus_bits: Some(bus_bits),
            outstanding: Some(index),
            ..ConfigSpec::default()
        };
        campaign(&Config::new("tokens", spec).unwrap_or_else(|e| panic!("{e}")), index.into(), 60);
    }
}

/// The response of a store comes before its token, however late it is.
#[test]
fn a_load_waits_for_the_response() {
    let config = Config::named("tiny").expect("a named config");
    let rtl = Rtl::new(&config, None).unwrap_or_else(|e| panic!("{e}"));
    let cycles = [10, 200].map(|latency| {
        let memory = MemorySpec { latency, ..MemorySpec::default() };
        let lines = |tokens| {
            let store = Store {
                push_next: tokens == 1,
                seg_bytes: 8,
                dst: MAPS,
                run_bytes: 8,
                runs: 1,
                ..Store::default()
            };
            let load =
                Load { pop_prev: tokens, src: MAPS, run_bytes: 8, runs: 1, row_bytes: 8, ..Load::default() };
            assemble(&[store.into(), load.into(), End {}.into()])
        };
        [0, 1].map(|tokens| {
            let model = cyclemodel::run(&config, &lines(tokens), &memory).expect("a legal memory");
            let run = rtl.run(&lines(tokens), &memory, 10_000).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!((run.status, run.counters), (Status::Ok, model.counters));
            run.counters.cycles
        })
    });
    // Without the token store and load overlap; with it each takes a latency of its own, as the fetch does.
    for ([free, bound], latency) in cycles.into_iter().zip([10u64, 200]) {
        assert!(bound > free && bound > 3 * latency, "{free} and {bound} cycles at latency {latency}");
    }
}

/// A store that no longer tells leaves its load waiting: a deadlock, seen in the same cycle.
#[test]
fn a_missing_token_is_a_deadlock() {
    let config = Config::named("tiny").expect("a named config");
    let rtl = Rtl::new(&config, None).unwrap_or_else(|e| panic!("{e}"));
    for index in 0..20 {
        let d = &mut Draw::new(9, index);
        let mut program = Passes::random(d, &config).program;
        let memory = random_memory(d, &config);
        let mut code: Vec<Instruction> = program.instructions().flatten().collect();
        let telling = code.iter_mut().rev().find_map(|i| match i {
            Instruction::Store(i) if i.push_next => Some(i),
            _ => None,
        });
        telling.expect("a store that tells").push_next = false;
        program.code = assemble(&code).code;
        let model = cyclemodel::run(&config, &program, &memory).expect("a legal memory");
        let run = rtl.run(&program, &memory, testbench::limit(model.counters.cycles));
        let run = run.unwrap_or_else(|e| panic!("{e}"));
        assert_eq!((run.status, model.status), (Status::Deadlock, Status::Deadlock), "case {index}");
        assert_eq!(run.counters.cycles, model.counters.cycles, "case {index}");
    }
}

/// When a full queue holds up a program, its end is dispatched before the instruction ahead of it has come through its queue.
#[test]
fn the_end_may_be_known_before_the_last_instruction_is_there() {
    let config = Config::named("tiny").expect("a named config");
    let rtl = Rtl::new(&config, None).unwrap_or_else(|e| panic!("{e}"));
    for loads in [0, 1, 8, 9, 10, 20] {
        let load = Load { src: MAPS, run_bytes: 64, runs: 1, row_bytes: 64, ..Load::default() };
        let mut code = vec![Instruction::from(load); loads];
        code.extend([Instruction::from(Quant::default()), End {}.into()]);
        let (program, memory) = (assemble(&code), MemorySpec::default());
        let model = cyclemodel::run(&config, &program, &memory).expect("a legal memory");
        let run = rtl.run(&program, &memory, 10_000).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!((run.status, run.counters), (Status::Ok, model.counters), "{loads} loads");
    }
}

/// A run starts without a layer, whatever the run before ended with.
#[test]
fn marks_start_anew_with_each_run() {
    let config = Config::named("tiny").expect("a named config");
    let rtl = Rtl::new(&config, None).unwrap_or_else(|e| panic!("{e}"));
    let memory = MemorySpec::default();
    let layers = [[7, 7, 9], [9, 0, 9], [0, 0, 3]];
    let programs = layers.map(|layers| {
        let quants = layers.map(|layer| Quant { layer, ..Quant::default() }.into());
        assemble(&[quants.as_slice(), &[End {}.into()]].concat())
    });
    let runs = rtl.run_in_turn(&programs.each_ref().map(|p| (p, &memory)), 10_000);
    for ((run, program), layers) in runs.unwrap_or_else(|e| panic!("{e}")).iter().zip(&programs).zip(layers) {
        let model = cyclemodel::run(&config, program, &memory).expect("a legal memory");
        assert_eq!((&run.marks, run.counters), (&model.marks, model.counters));
        check_marks(run, &layers);
    }
}

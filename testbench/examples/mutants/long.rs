//! Programs that reach what layers seldom do: many tokens at once, the upper bits of counts, a few bytes of a word, and ends of
//! a requantised result.

use spec::isa::{End, Instruction, Load, Quant, Rect, Store, Taps, activation, form};
use spec::program::Segment;
use spec::{Config, Program};
use testbench::cases::Draw;

const INPUT: u32 = 0x10_0000;
const OUTPUT: u32 = 0x20_0000;

/// Tokens that are pushed before one is popped, in programs for all mutants and in those for what is left: more than 10 bits
/// count, and all 16.
pub const TOKENS: u32 = 1100;
const ALL_TOKENS: u32 = 32_900;

/// Engines that push tokens to others.
const PAIRS: usize = 5;

/// Counts whose highest values end in time.
const REACHED: [(&str, &str); 4] = [("rect", "nx"), ("rect", "ny"), ("load", "runs"), ("store", "runs")];

/// Programs of [`whole`].
pub const WHOLE: u64 = (PAIRS + REACHED.len()) as u64;

/// Cycles after which a program of [`counts`] ends.
const LIMIT: u32 = 3000;

fn encoded(code: &[Instruction]) -> Result<Vec<u8>, String> {
    let each = code.iter().map(|i| i.encode().map_err(|e| format!("{i}: {e}")));
    Ok(each.collect::<Result<Vec<_>, _>>()?.concat())
}

/// A reduction of one operand, for one pixel and one chunk.
fn conf(lo: i32, hi: i32, zero: i32) -> [Instruction; 2] {
    let quant = Quant { y_zero: zero, y_min: lo, y_max: hi, ring: 64, ..Quant::default() };
    let taps =
        Taps { last: true, n_ky: 1, n_kx: 1, words: 1, word_len: 1, longs: 1, chunks: 1, ..Taps::default() };
    [quant.into(), taps.into()]
}

/// Each engine pushes so many tokens to each that takes them, which then pops them by the hundred.
pub fn tokens(count: u32) -> Result<Vec<(String, Program)>, String> {
    let load = Load { src: INPUT, run_bytes: 4, runs: 1, row_bytes: 4, ..Load::default() };
    let rect = Rect { nx: 1, ny: 1, ..Rect::default() };
    let store = Store { dst: OUTPUT, seg_bytes: 4, run_bytes: 4, runs: 1, ..Store::default() };
    let pairs: [(&str, Instruction, Instruction); PAIRS] = [
        ("load to compute", Load { push_next: true, ..load }.into(), Rect { pop_prev: 200, ..rect }.into()),
        ("compute to load", Rect { push_prev: true, ..rect }.into(), Load { pop_next: 200, ..load }.into()),
        (
            "compute to store",
            Rect { push_next: true, ..rect }.into(),
            Store { pop_prev: 200, ..store }.into(),
        ),
        (
            "store to compute",
            Store { push_prev: true, ..store }.into(),
            Rect { pop_next: 200, ..rect }.into(),
        ),
        ("store to load", Store { push_next: true, ..store }.into(), Load { pop_prev: 200, ..load }.into()),
    ];
    let program = |push: Instruction, pop: Instruction| -> Result<Program, String> {
        let mut code = conf(-128, 127, 0).to_vec();
        code.extend(std::iter::repeat_n(push, count as usize));
        code.extend(std::iter::repeat_n(pop, count as usize / 200));
        code.push(End {}.into());
        let data = vec![Segment { address: INPUT, bytes: vec![1, 2, 3, 4] }];
        Ok(Program { base: 0x1000, code: encoded(&code)?, data, output: (OUTPUT, 4), limit: 0 })
    };
    pairs
        .into_iter()
        .map(|(name, push, pop)| Ok((format!("{count} tokens, {name}"), program(push, pop)?)))
        .collect()
}

/// A word in, through the array and out, in which one count has these bits besides its own.
fn word(of: &str, count: &str, bits: i64, limit: u32) -> Result<Program, String> {
    const PLAIN: [(&str, &[(&str, i64)]); 6] = [
        ("quant", &[("y_min", -128), ("y_max", 127), ("ring", 64)]),
        (
            "taps",
            &[
                ("last", 1),
                ("n_ky", 1),
                ("n_kx", 1),
                ("words", 1),
                ("word_len", 1),
                ("longs", 1),
                ("chunks", 1),
            ],
        ),
        (
            "load",
            &[
                ("push_next", 1),
                ("src", INPUT as i64),
                ("run_bytes", 40),
                ("runs", 1),
                ("run_pitch", 100),
                ("row_bytes", 4),
                ("dst_pitch", 80),
            ],
        ),
        (
            "rect",
            &[("pop_prev", 1), ("push_next", 1), ("nx", 1), ("ny", 1), ("out_base", activation(1, 0) as i64)],
        ),
        (
            "store",
            &[
                ("pop_prev", 1),
                ("seg_bytes", 4),
                ("seg_pitch", 80),
                ("dst", OUTPUT as i64),
                ("run_bytes", 40),
                ("runs", 1),
                ("run_pitch", 100),
            ],
        ),
        ("end", &[]),
    ];
    let mut code = Vec::new();
    for (name, fields) in PLAIN {
        let mut fields = fields.to_vec();
        if name == of {
            let plain = fields.iter().position(|(field, _)| *field == count).map(|at| fields.remove(at).1);
            fields.push((count, plain.unwrap_or(0) | bits));
        }
        let text =
            fields.iter().fold(name.to_owned(), |text, (field, value)| format!("{text} {field}={value}"));
        code.push(text.parse::<Instruction>().map_err(|e| format!("{text}: {e}"))?);
    }
    let data = vec![Segment { address: INPUT, bytes: (1..=120).collect() }];
    Ok(Program { base: 0x1000, code: encoded(&code)?, data, output: (OUTPUT, 200), limit })
}

/// The highest value of a count.
fn most(of: &str, count: &str) -> i64 {
    form(of).fields.iter().find(|f| f.name == count).map_or(0, |f| f.max())
}

/// Words in which one count has one more bit: for most bits more cycles than the limit.
pub fn counts() -> Result<Vec<(String, Program)>, String> {
    const COUNTS: [(&str, &str); 10] = [
        ("load", "run_bytes"),
        ("load", "runs"),
        ("load", "row_bytes"),
        ("load", "pad_left"),
        ("load", "pad_right"),
        ("rect", "nx"),
        ("rect", "ny"),
        ("store", "seg_bytes"),
        ("store", "run_bytes"),
        ("store", "runs"),
    ];
    let mut programs = Vec::new();
    for (of, count) in COUNTS {
        for bit in 0..most(of, count).count_ones() {
            programs.push((format!("{of}'s {count}, bit {bit}"), word(of, count, 1 << bit, LIMIT)?));
        }
    }
    Ok(programs)
}

/// All tokens that can be counted, and counts at their highest values, to the end.
pub fn whole() -> Result<Vec<(String, Program)>, String> {
    let mut programs = tokens(ALL_TOKENS)?;
    for (of, count) in REACHED {
        programs.push((format!("{of}'s {count}, all"), word(of, count, most(of, count), 0)?));
    }
    Ok(programs)
}

/// Computes one pixel of the activations at 0 for each of so many taps, stores the results, and ends. Returns their bytes.
fn answers(config: &Config, code: &mut Vec<Instruction>, groups: u32, of: impl Fn(u32) -> Taps) -> u32 {
    let pixel = config.chunks() * config.lanes * config.operand_bytes();
    for k in 0..groups {
        let one = Taps { last: true, n_ky: 1, n_kx: 1, words: 1, word_len: 1, longs: 1, ..of(k) };
        let rect = Rect {
            pop_prev: u32::from(k == 0),
            push_next: k + 1 == groups,
            nx: 1,
            ny: 1,
            out_base: activation(1, k * pixel),
            ..Rect::default()
        };
        code.push(Taps { chunks: config.chunks(), ..one }.into());
        code.push(rect.into());
    }
    let stored = groups * pixel;
    let store = Store {
        pop_prev: 1,
        src: activation(1, 0),
        dst: OUTPUT,
        seg_bytes: stored,
        run_bytes: stored,
        runs: 1,
        ..Store::default()
    };
    code.push(store.into());
    code.push(End {}.into());
    stored
}

/// Where [`pieces`] has what it lays over the first data, and what it computes with.
const OVER: u32 = INPUT + 0x1_0000;
const ONES: u32 = INPUT + 0x2_0000;

/// Weights and parameters of which pieces of every length up to 8 bytes, from every byte on, are overwritten. All is then seen in
/// results; of biases, each of their bytes in one of the programs.
pub fn pieces(d: &mut Draw, config: &Config) -> Result<Vec<(String, Program)>, String> {
    let mut programs = Vec::new();
    for (buffer, shift) in [(1, 0), (2, 0), (2, 8), (2, 16), (2, 24)] {
        let (stride, words) = match buffer {
            1 => (config.wbuf_stride(), config.wbuf_words()),
            _ => (config.pbuf_stride(), config.pbuf_words()),
        };
        let size = (words * stride).min(2048);
        let mut drawn = || -> Vec<u8> {
            if buffer == 1 {
                return (0..size).map(|_| d.between(0, 255) as u8).collect();
            }
            // Results of up to 7 bits.
            let lane = |_| {
                let bias = d.between(0, 31) << shift | d.between(0, (1 << shift) - 1);
                let multiplier = (127 - shift + d.between(0, 2)) << 23 | d.between(0, (1 << 23) - 1);
                [bias.to_le_bytes(), multiplier.to_le_bytes()].concat()
            };
            (0..size / 8).flat_map(lane).collect()
        };
        let (below, over) = (drawn(), drawn());
        // An activation of 1, biases of 0 and multipliers of 1.
        let lanes = config.cols as usize;
        let ones =
            [vec![1; 16], [0i32.to_le_bytes(), 1f32.to_le_bytes()].concat().repeat(lanes), vec![0; 4096]]
                .concat();
        let copy = |buffer: u32, src: u32, dst: u32, bytes: u32| Load {
            buffer,
            src,
            run_bytes: bytes,
            runs: 1,
            dst,
            dst_pitch: bytes,
            row_bytes: bytes,
            ..Load::default()
        };
        let (params, zeros) = (8 * config.cols, config.wbuf_stride());
        let mut code: Vec<Instruction> = vec![
            copy(0, ONES, 0, 16).into(),
            copy(1, ONES + 16 + params, 0, zeros).into(),
            copy(2, ONES + 16, 0, params).into(),
            copy(buffer, INPUT, 0, size).into(),
        ];
        for k in 0..64 {
            let (at, bytes) = (k * (size / 64) + k % 8, k / 8 + 1);
            code.push(Load { push_next: k == 63, ..copy(buffer, OVER + at, at, bytes) }.into());
        }
        code.push(conf(-128, 127, 0)[0]);
        let of = |k| match buffer {
            1 => Taps { w_base: k, ..Taps::default() },
            _ => Taps { p_base: k * config.chunks(), ..Taps::default() },
        };
        let groups = size / stride / if buffer == 1 { 1 } else { config.chunks() };
        let stored = answers(config, &mut code, groups, of);
        let data = [(INPUT, below), (OVER, over), (ONES, ones)];
        let data = data.map(|(address, bytes)| Segment { address, bytes }).into();
        let program =
            Program { base: 0x4000, code: encoded(&code)?, data, output: (OUTPUT, stored), limit: 0 };
        programs.push((format!("pieces of buffer {buffer}, biases from bit {shift} on"), program));
    }
    Ok(programs)
}

/// The vectors of the requantisation lane's own test: sums are their biases, as weights are zero.
pub fn vectors(config: &Config) -> Result<Vec<(String, Program)>, String> {
    let text = include_str!("../../../spec/fixtures/requant.csv");
    let mut groups: Vec<((i32, i32, i32), Vec<u8>)> = Vec::new();
    for line in text.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let number = |k: usize| fields[k].parse::<i32>().map_err(|e| format!("{line}: {e}"));
        let multiplier = u32::from_str_radix(fields[1], 16).map_err(|e| format!("{line}: {e}"))?;
        let key = (number(2)?, number(3)?, number(4)?);
        if groups.iter().all(|(k, _)| *k != key) {
            groups.push((key, Vec::new()));
        }
        if let Some((_, bytes)) = groups.iter_mut().find(|(k, _)| *k == key) {
            bytes.extend(number(0)?.to_le_bytes());
            bytes.extend(multiplier.to_le_bytes());
        }
    }
    let chunks = config.chunks();
    let most = (config.pbuf_words() / chunks * config.pbuf_stride() * chunks) as usize;
    let mut programs = Vec::new();
    for ((zero, lo, hi), bytes) in &groups {
        for part in bytes.chunks(most) {
            let [quant, _] = conf(*lo, *hi, *zero);
            let (weights, length) = (config.wbuf_stride(), part.len() as u32);
            let fill = Load { src: OUTPUT, runs: 1, ..Load::default() };
            let params = Load {
                push_next: true,
                buffer: 2,
                src: INPUT,
                run_bytes: length,
                dst_pitch: length,
                row_bytes: length,
                ..fill
            };
            let mut code: Vec<Instruction> = vec![
                Load { run_bytes: 16, row_bytes: 16, ..fill }.into(),
                Load { buffer: 1, run_bytes: weights, row_bytes: weights, ..fill }.into(),
                params.into(),
                quant,
            ];
            let groups = length / config.pbuf_stride() / chunks;
            let stored =
                answers(config, &mut code, groups, |k| Taps { p_base: k * chunks, ..Taps::default() });
            let data = vec![Segment { address: INPUT, bytes: part.to_vec() }];
            let program =
                Program { base: 0x4000, code: encoded(&code)?, data, output: (OUTPUT, stored), limit: 0 };
            programs.push((format!("requantisation {}", programs.len()), program));
        }
    }
    Ok(programs)
}

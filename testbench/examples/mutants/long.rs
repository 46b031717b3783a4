//! Programs that reach what layers seldom do: many tokens at once, and ends of a requantised result.

use spec::isa::{End, Instruction, Load, Quant, Rect, Store, Taps, activation};
use spec::program::Segment;
use spec::{Config, Program};

const INPUT: u32 = 0x10_0000;
const OUTPUT: u32 = 0x20_0000;

/// Tokens that are pushed before one is popped: more than 10 bits count.
const TOKENS: u32 = 1100;

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

/// Each engine pushes many tokens to each that takes them, which then pops them by the hundred.
pub fn tokens() -> Result<Vec<(String, Program)>, String> {
    let load = Load { src: INPUT, run_bytes: 4, runs: 1, row_bytes: 4, ..Load::default() };
    let rect = Rect { nx: 1, ny: 1, ..Rect::default() };
    let store = Store { dst: OUTPUT, seg_bytes: 4, run_bytes: 4, runs: 1, ..Store::default() };
    let pairs: [(&str, Instruction, Instruction); 5] = [
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
        code.extend(std::iter::repeat_n(push, TOKENS as usize));
        code.extend(std::iter::repeat_n(pop, TOKENS as usize / 200));
        code.push(End {}.into());
        let data = vec![Segment { address: INPUT, bytes: vec![1, 2, 3, 4] }];
        Ok(Program { base: 0x1000, code: encoded(&code)?, data, output: (OUTPUT, 4), limit: 0 })
    };
    pairs.into_iter().map(|(name, push, pop)| Ok((format!("tokens, {name}"), program(push, pop)?))).collect()
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
            let pixel = chunks * config.lanes * config.operand_bytes();
            for k in 0..groups {
                let taps = Taps {
                    p_base: k * chunks,
                    chunks,
                    last: true,
                    n_ky: 1,
                    n_kx: 1,
                    words: 1,
                    word_len: 1,
                    longs: 1,
                    ..Taps::default()
                };
                let rect = Rect {
                    pop_prev: u32::from(k == 0),
                    push_next: k + 1 == groups,
                    nx: 1,
                    ny: 1,
                    out_base: activation(1, k * pixel),
                    ..Rect::default()
                };
                code.push(taps.into());
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
            let data = vec![Segment { address: INPUT, bytes: part.to_vec() }];
            let program =
                Program { base: 0x4000, code: encoded(&code)?, data, output: (OUTPUT, stored), limit: 0 };
            programs.push((format!("requantisation {}", programs.len()), program));
        }
    }
    Ok(programs)
}

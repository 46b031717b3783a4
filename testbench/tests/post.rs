//! Second operands and tables on top of convolutions of 1 × 1, random ones and sums that are halves: RTL, model and the machine
//! without time.

use spec::config::WORD;
use spec::isa::{self, End, Instruction, Load, Post, Quant, Rect, Store, Taps, activation};
use spec::program::Segment;
use spec::{Config, ConfigSpec, Program, Size};
use testbench::cases::Draw;

mod campaign;
use campaign::campaign;

/// Where memory holds what.
const INPUT: u32 = 0x10_0000;
const SECOND: u32 = 0x18_0000;
const WEIGHTS: u32 = 0x20_0000;
const PARAMS: u32 = 0x40_0000;
const OUTPUT: u32 = 0x50_0000;

/// A positive f32 of this many bits before the point, or fewer.
fn scale(d: &mut Draw, bits: u32) -> f32 {
    let fraction = if d.chance(30) { 1 << 23 } else { d.between(1 << 23, (1 << 24) - 1) };
    fraction as f32 / (1u32 << (23 - bits + d.between(0, 6))) as f32
}

/// What follows requantisation, or nothing.
fn post(d: &mut Draw) -> Option<Post> {
    let op = d.between(0, 2);
    let (signed, swap, table) = (d.chance(50), d.chance(30), d.chance(40));
    let signed_zero = |d: &mut Draw| d.between(0, 255) as i32 - 128;
    let size = if op == 2 { scale(d, 0) / 64.0 } else { scale(d, 0) };
    let offset = if d.chance(20) { 0.0 } else { scale(d, 6) * if d.chance(50) { 1.0 } else { -1.0 } };
    let y_zero = signed_zero(d);
    d.chance(85).then(|| Post {
        op,
        table,
        signed,
        swap,
        a_zero: signed_zero(d),
        b_zero: signed_zero(d),
        y_zero,
        y_min: -128,
        y_max: d.of(&[127, 100]),
        a_scale: size.to_bits(),
        b_scale: scale(d, 0).to_bits(),
        offset: offset.to_bits(),
    })
}

/// A few convolutions of one map, each with its own second operands and table, if they fit the buffers.
pub fn program(d: &mut Draw, config: &Config) -> Option<Program> {
    let (width, height, channels) = (d.between(1, 20), d.between(1, 6), d.between(1, 2 * WORD));
    let (mut weights, mut params, mut out, mut stored) = (0, 0, 0, 0);
    let (mut compute, mut stores) = (Vec::<Instruction>::new(), Vec::<Instruction>::new());
    let mut second_end = 0;
    let words = channels.div_ceil(WORD);
    for pass in 0..d.between(1, 4) {
        let quant = Quant {
            x_signed: d.chance(50),
            y_zero: d.between(0, 60) as i32 - 30,
            y_min: -128,
            y_max: 127,
            ring: config.ibuf,
            ..Quant::default()
        };
        compute.push(quant.into());
        let post = post(d);
        if let Some(post) = post {
            // The order of the two is free.
            let mut setting = vec![Instruction::Post(post)];
            for index in 0..if post.table { 16 } else { 0 } {
                let mut word = || d.between(0, 0x7fff_ffff) ^ d.between(0, 1) << 31;
                setting.push(isa::Table { index, d0: word(), d1: word(), d2: word(), d3: word() }.into());
            }
            if d.chance(50) {
                setting.rotate_left(1);
            }
            compute.append(&mut setting);
        }
        let chunks = d.between(1, config.chunks());
        let word_len = channels.div_ceil(words);
        let taps = Taps {
            last: true,
            n_ky: 1,
            n_kx: 1,
            words,
            word_len,
            longs: channels - words * (word_len - 1),
            w_base: weights,
            p_base: params,
            chunks,
            ..Taps::default()
        };
        compute.push(taps.into());
        weights += channels;
        params += chunks;
        let pitch = chunks * config.lanes;
        // Second operands have places of their own, or pixels share them.
        let res_base = config.lanes * d.between(0, 8);
        let (res_x, res_y) = match d.between(0, 2) {
            0 => (0, 0),
            1 => (pitch, width * pitch),
            _ => (pitch + config.lanes, 0),
        };
        second_end = second_end.max(res_base + (width - 1) * res_x + (height - 1) * res_y + pitch);
        // A chain of two rectangles, or one.
        let first_rows = if height > 1 && d.chance(40) { d.between(1, height - 1) } else { height };
        let last = height - first_rows;
        for (y, ny, chain) in [(0, first_rows, last > 0), (first_rows, last, false)] {
            if ny > 0 {
                let rect = Rect {
                    pop_prev: u32::from(pass == 0 && y == 0),
                    push_next: !chain,
                    chain,
                    in_base: activation(0, y * width * channels),
                    in_x: channels,
                    in_y: width * channels,
                    out_base: activation(1, out + y * width * pitch),
                    out_x: pitch,
                    out_y: width * pitch,
                    nx: width,
                    ny,
                    res_base: activation(2, res_base + y * res_y),
                    res_x,
                    res_y,
                    ..Rect::default()
                };
                compute.push(rect.into());
            }
        }
        let bytes = width * height * pitch;
        let store = Store {
            pop_prev: 1,
            src: activation(1, out),
            seg_bytes: pitch,
            seg_pitch: pitch,
            dst: OUTPUT + stored,
            run_bytes: bytes,
            runs: 1,
            ..Store::default()
        };
        stores.push(store.into());
        out += bytes;
        stored += bytes;
    }
    let input = width * height * channels;
    if input > config.ibuf
        || second_end > config.rbuf
        || weights > config.wbuf_words()
        || params > config.pbuf_words()
        || out > config.obuf
    {
        return None;
    }
    let load = |buffer, src, dst, bytes, row_bytes, dst_pitch, push_next| {
        let load = Load {
            push_next,
            buffer,
            src,
            run_bytes: bytes,
            runs: 1,
            dst,
            dst_pitch,
            row_bytes,
            ..Load::default()
        };
        Instruction::from(load)
    };
    let param_bytes = params * config.pbuf_stride();
    let mut code = vec![
        load(0, INPUT, activation(0, 0), input, input, input, false),
        load(0, SECOND, activation(2, 0), second_end, second_end, second_end, false),
        load(1, WEIGHTS, 0, weights * config.cols, config.cols, config.wbuf_stride(), false),
        load(2, PARAMS, 0, param_bytes, param_bytes, param_bytes, true),
    ];
    code.append(&mut compute);
    code.append(&mut stores);
    code.push(End {}.into());
    let mut random = |n: u32| -> Vec<u8> { (0..n).map(|_| d.between(0, 255) as u8).collect() };
    let mut data = vec![
        Segment { address: INPUT, bytes: random(input) },
        Segment { address: SECOND, bytes: random(second_end) },
        Segment { address: WEIGHTS, bytes: random(weights * config.cols) },
    ];
    let mut parameters = Vec::new();
    for _ in 0..param_bytes / 8 {
        let bias = d.between(0, 20_000) as i32 - 10_000;
        let multiplier = d.between(1, 1000) as f32 / (1u32 << d.between(14, 22)) as f32;
        parameters.extend(bias.to_le_bytes());
        parameters.extend(multiplier.to_le_bytes());
    }
    data.push(Segment { address: PARAMS, bytes: parameters });
    Some(Program {
        base: 0,
        code: code.iter().flat_map(|i| i.encode().unwrap_or_else(|e| panic!("{e}"))).collect(),
        data,
        output: (OUTPUT, stored),
        limit: 0,
    })
}

/// Sums of two operands of different signs that are half a step or one and a half from zero, which any error would round
/// otherwise.
pub fn halves(config: &Config) -> Program {
    const SUMS: [i32; 4] = [-3, -1, 1, 3];
    let (pixels, half) = (256, 0.5f32.to_bits());
    let post = Post {
        op: 1,
        signed: true,
        a_zero: -128,
        b_zero: 127,
        y_min: -128,
        y_max: 127,
        a_scale: half,
        b_scale: half,
        ..Post::default()
    };
    let quant = Quant { x_signed: true, y_min: -128, y_max: 127, ring: config.ibuf, ..Quant::default() };
    let taps =
        Taps { last: true, n_ky: 1, n_kx: 1, words: 1, word_len: 1, longs: 1, chunks: 1, ..Taps::default() };
    let rect = Rect {
        pop_prev: 1,
        push_next: true,
        in_base: activation(0, 0),
        in_x: 1,
        out_base: activation(1, 0),
        out_x: config.lanes,
        out_y: config.lanes * pixels,
        res_base: activation(2, 0),
        res_x: config.lanes,
        res_y: config.lanes * pixels,
        nx: pixels,
        ny: SUMS.len() as u32,
        ..Rect::default()
    };
    // From 0 to 255 less the zero point, and what makes the sum.
    let first: Vec<u8> = (0..=255u8).map(|a| a ^ 0x80).collect();
    let second = |sum: i32| (0..256).map(move |a| (sum - a).clamp(-255, 0) + 127).map(|b| b as u8);
    let second = SUMS.into_iter().flat_map(second);
    let second: Vec<u8> = second.flat_map(|b| std::iter::repeat_n(b, config.lanes as usize)).collect();
    let one = [0i32.to_le_bytes(), 1f32.to_le_bytes()].concat();
    let bytes = second.len() as u32;
    let code = |i: Instruction| i.encode().unwrap_or_else(|e| panic!("{e}"));
    let contents = [
        (0, INPUT, activation(0, 0), pixels, first),
        (0, SECOND, activation(2, 0), bytes, second),
        (1, WEIGHTS, 0, config.cols, vec![1; config.cols as usize]),
        (2, PARAMS, 0, config.pbuf_stride(), one.repeat(config.lanes as usize)),
    ];
    let loads = contents.iter().map(|(buffer, src, dst, row_bytes, content)| {
        let load = Load {
            push_next: *buffer == 2,
            buffer: *buffer,
            src: *src,
            run_bytes: content.len() as u32,
            runs: 1,
            dst: *dst,
            row_bytes: *row_bytes,
            ..Load::default()
        };
        Instruction::from(load)
    });
    let store = Store {
        pop_prev: 1,
        src: activation(1, 0),
        seg_bytes: bytes,
        dst: OUTPUT,
        run_bytes: bytes,
        runs: 1,
        ..Store::default()
    };
    let rest = [quant.into(), taps.into(), post.into(), rect.into(), store.into(), End {}.into()];
    Program {
        base: 0,
        code: loads.chain(rest).flat_map(code).collect(),
        data: contents
            .iter()
            .map(|(_, address, _, _, bytes)| Segment { address: *address, bytes: bytes.clone() })
            .collect(),
        output: (OUTPUT, bytes),
        limit: 0,
    }
}

#[test]
fn second_operands_and_tables() {
    campaign(&Config::named("tiny").expect("a named config"), 1, 60, program);
    let spec = ConfigSpec {
        rows: Some(5),
        cols: Some(12),
        lanes: Some(2),
        operand_bits: Some(8),
        ibuf: Some(Size(16 << 10)),
        wbuf: Some(Size(16 << 10)),
        obuf: Some(Size(4 << 10)),
        rbuf: Some(Size(4 << 10)),
        bus_bits: Some(128),
        ..ConfigSpec::default()
    };
    let config = Config::new("post", spec).unwrap_or_else(|e| panic!("{e}"));
    campaign(&config, 2, 60, program);
    campaign(&config, 3, 1, |_, config| Some(halves(config)));
}

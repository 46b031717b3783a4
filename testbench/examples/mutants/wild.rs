//! Programs of instructions with whatever values their fields can hold: they compute nothing of use, but reach the upper
//! bits of every pitch, skip and base. What a run leaves in the buffers is stored at its end.

use spec::isa::{Instruction, Setup, activation, form};
use spec::program::Segment;
use spec::{Config, Program};
use testbench::cases::Draw;

/// Where memory holds what fills the buffers, and what they hold in the end.
const INPUT: u32 = 0x10_0000;
const OUTPUT: u32 = 0x20_0000;
/// Below these are data at random addresses, apart from the above.
const LOWEST: u32 = 0x100_0000;
const HIGHEST: u32 = 0xf000_0000;

/// A value of `min..=max`: often a small one, an extreme, or a power of two.
fn value(d: &mut Draw, min: i64, max: i64) -> i64 {
    let bits = i64::from(d.between(0, 0x7fff_ffff)) << 1 | i64::from(d.between(0, 1));
    match d.between(0, 9) {
        0 => min,
        1 => max,
        2 => (1 << d.between(0, 31)).min(max),
        3 => (bits & 7).min(max),
        _ => min + bits % (max - min + 1),
    }
}

/// The text of an instruction: of its fields `fixed` ones have these values, the others any.
fn text(d: &mut Draw, name: &str, fixed: &[(&str, i64)]) -> String {
    form(name).fields.iter().fold(name.to_owned(), |text, f| {
        let given = fixed.iter().find(|(name, _)| *name == f.name).map(|(_, value)| *value);
        let value = given.unwrap_or_else(|| value(d, f.min(), f.max()));
        format!("{text} {}={value}", f.name)
    })
}

fn parse(text: &str) -> Result<Instruction, String> {
    text.parse().map_err(|e| format!("{text}: {e}"))
}

/// Instructions that are executed, one after the other.
struct Builder<'a> {
    config: &'a Config,
    setup: Setup,
    code: Vec<u8>,
}

impl Builder<'_> {
    fn push(&mut self, instruction: Instruction) -> Result<(), String> {
        self.setup.see(&instruction);
        self.code.extend(instruction.encode().map_err(|e| format!("{instruction}: {e}"))?);
        Ok(())
    }

    /// One that no check refuses: `fixed` says enough for some to be drawn.
    fn draw(&mut self, d: &mut Draw, name: &str, fixed: &[(&str, i64)]) -> Result<(), String> {
        for _ in 0..1000 {
            let instruction = parse(&text(d, name, fixed))?;
            if instruction.fault(self.config, &self.setup).is_none() {
                return self.push(instruction);
            }
        }
        Err(format!("no legal `{name}` with {fixed:?} in 1000"))
    }
}

/// An address in any activation buffer.
fn anywhere(d: &mut Draw) -> i64 {
    activation(d.between(0, 2), d.between(0, (1 << 22) - 1)).into()
}

/// A reduction and a rectangle, whose end a store waits for.
fn compute(b: &mut Builder, d: &mut Draw, pop: i64) -> Result<(), String> {
    let depth = b.config.by_channel && d.chance(50);
    let ring = if d.chance(50) { i64::from(b.config.ibuf) } else { value(d, 0, (1 << 22) - 1) };
    let mut quant = vec![("depth", depth.into()), ("ring", ring)];
    if d.chance(50) {
        quant.extend([("y_min", -128), ("y_max", 127), ("y_zero", i64::from(d.between(0, 20)) - 10)]);
    }
    b.draw(d, "quant", &quant)?;
    if b.config.post && d.chance(50) {
        let (least, most) = d.of(&[(63, 191), (118, 130)]);
        let scale = |d: &mut Draw| i64::from(d.between(least << 23, (most << 23) - 1));
        let offset = if d.chance(20) { 0 } else { scale(d) | i64::from(d.chance(50)) << 31 };
        let scales = [("a_scale", scale(d)), ("b_scale", scale(d)), ("offset", offset)];
        b.draw(d, "post", &scales)?;
        for index in 0..if d.chance(50) { 16 } else { 0 } {
            b.draw(d, "table", &[("index", index)])?;
        }
    }
    for last in [false, true] {
        let small = |d: &mut Draw| i64::from(d.between(1, 3));
        // Words or phases, rows and columns of the kernel: few of each, or many of one.
        let mut sizes = [i64::from(d.between(1, 4)), small(d), small(d)];
        if d.chance(30) {
            sizes = [1; 3];
            sizes[d.of(&[0, 0, 1, 2])] = d.between(1, 255).into();
        }
        let [n, ky, kx] = sizes;
        let of_n = i64::from(d.between(1, n as u32));
        let chunks = i64::from(d.between(1, b.config.chunks()));
        let shared = [("n_ky", ky), ("n_kx", kx), ("longs", of_n), ("chunks", chunks)];
        if depth {
            let taps = if of_n == n { 1 } else { 2 } + i64::from(d.between(0, 5));
            let width = i64::from(if d.chance(50) { 65_535 } else { d.between(1, 300) });
            let chunks = chunks.min((b.config.depth_channels() / b.config.lanes).into());
            let own = [("phases", n), ("taps", taps), ("width", width), ("chunks", chunks)];
            b.draw(d, "depth", &[own.as_slice(), &shared].concat())?;
        } else {
            let length = if of_n == n { 1 } else { 2 } + i64::from(d.between(0, 14));
            let own = [("last", last.into()), ("words", n), ("word_len", length)];
            b.draw(d, "taps", &[own.as_slice(), &shared].concat())?;
        }
        // The parts of a sum are over the same pixels of one tile.
        let tokens = [("pop_prev", if last { 0 } else { pop }), ("pop_next", 0), ("push_prev", 0)];
        let shape = if depth { (small(d), small(d)) } else { (b.config.rows.into(), 1) };
        let rest = [
            ("push_next", last.into()),
            ("chain", 0),
            ("in_base", anywhere(d)),
            ("out_base", anywhere(d)),
            ("res_base", anywhere(d)),
            ("nx", shape.0),
            ("ny", shape.1),
        ];
        b.draw(d, "rect", &[tokens.as_slice(), &rest].concat())?;
    }
    Ok(())
}

/// A program for an array of 8-bit operands.
pub fn program(d: &mut Draw, config: &Config) -> Result<Program, String> {
    let mut b = Builder { config, setup: Setup::default(), code: Vec::new() };
    let mut data = Vec::new();
    // Parameters are anything, or keep most results within 8 bits.
    let sane = d.chance(50);
    let mut fill = |d: &mut Draw, address: u32, bytes: u32, params: bool| {
        let mut bytes: Vec<u8> = (0..bytes).map(|_| d.between(0, 255) as u8).collect();
        for lane in bytes.chunks_exact_mut(8).filter(|_| params && sane) {
            let (bias, multiplier) = (d.between(0, 20_000) as i32 - 10_000, d.between(114 << 23, 122 << 23));
            lane.copy_from_slice(&[bias.to_le_bytes(), multiplier.to_le_bytes()].concat());
        }
        data.push(Segment { address, bytes });
    };
    let buffers = [config.ibuf, config.obuf, config.rbuf];
    let whole = [
        (0, activation(0, 0), buffers[0]),
        (0, activation(1, 0), buffers[1]),
        (0, activation(2, 0), buffers[2]),
        (1, 0, config.wbuf_words() * config.wbuf_stride()),
        (2, 0, config.pbuf_words() * config.pbuf_stride()),
    ];
    let mut at = INPUT;
    for (index, (buffer, dst, bytes)) in whole.into_iter().enumerate() {
        fill(d, at, bytes, buffer == 2);
        let last = index + 1 == whole.len();
        b.push(parse(&format!(
            "load push_next={} buffer={buffer} src={at} run_bytes={bytes} runs=1 dst={dst} row_bytes={bytes}",
            u32::from(last)
        ))?)?;
        at += bytes;
    }
    let mut pop = 1;
    for _ in 0..d.between(1, 2) {
        compute(&mut b, d, pop)?;
        // What it computed to any address of memory, and back into a buffer.
        let (runs, bytes) = (d.between(1, 3), d.between(1, 80));
        let (pitch, there) = (value(d, 80, (1 << 24) - 1), d.between(LOWEST >> 1, HIGHEST >> 1) << 1);
        let moved = [("runs", i64::from(runs)), ("run_bytes", bytes.into()), ("run_pitch", pitch)];
        let place = [("src", anywhere(d)), ("dst", there.into()), ("seg_bytes", d.between(1, 50).into())];
        let tokens = [("pop_prev", 1), ("push_prev", 0), ("push_next", 1)];
        b.draw(d, "store", &[moved.as_slice(), &place, &tokens].concat())?;
        // A third of these bytes were there before.
        fill(d, there + bytes / 3, bytes, false);
        let pad = |d: &mut Draw| i64::from(if d.chance(50) { 0 } else { d.between(0, 40) });
        let to = d.between(0, 2);
        let dst = if to == 0 { anywhere(d) } else { value(d, 0, (1 << 22) - 1) };
        let place = [
            ("src", there.into()),
            ("buffer", to.into()),
            ("dst", dst),
            ("row_bytes", d.between(1, 60).into()),
        ];
        // Without data, the padding of one row is laid down.
        let moved = [("runs", if d.chance(20) { 0 } else { runs.into() }), moved[1], moved[2]];
        let tokens = [("pop_prev", 1), ("pop_next", 0), ("push_next", 1)];
        let pads = [("pad_left", pad(d)), ("pad_right", pad(d))];
        b.draw(d, "load", &[moved.as_slice(), &place, &tokens, &pads].concat())?;
        pop = 1;
    }
    compute(&mut b, d, pop)?;
    let mut at = OUTPUT;
    for (index, bytes) in (0..).zip(buffers) {
        let (pop, src) = (u32::from(index == 0), activation(index, 0));
        b.push(parse(&format!(
            "store pop_prev={pop} src={src} seg_bytes={bytes} dst={at} run_bytes={bytes} runs=1"
        ))?)?;
        at += bytes;
    }
    b.push(parse("end")?)?;
    Ok(Program { base: 0x1000, code: b.code, data, output: (OUTPUT, at - OUTPUT), limit: 0 })
}

/// Instructions that a check may refuse, and their fields.
pub fn fields() -> impl Iterator<Item = (&'static str, &'static str)> {
    let names = ["load", "quant", "taps", "depth", "post", "rect", "store"];
    names.into_iter().flat_map(|name| form(name).fields.iter().map(move |field| (name, field.name)))
}

/// A program of one instruction that a check refuses, if one is found: a legal one in which this field has another value.
pub fn refused(d: &mut Draw, config: &Config, name: &str, field: &str) -> Option<Program> {
    let mut setup = Setup::default();
    let before = ["quant", "taps n_ky=1 n_kx=1 words=1 word_len=1 longs=1 chunks=1"];
    let before: Vec<Instruction> = before.iter().filter_map(|line| parse(line).ok()).collect();
    before.iter().for_each(|i| setup.see(i));
    let legal = |d: &mut Draw| {
        let small: Vec<(&str, i64)> = form(name)
            .fields
            .iter()
            .map(|f| (f.name, i64::from(d.between(0, 2)).clamp(f.min(), f.max())))
            .collect();
        parse(&text(d, name, &small)).ok().filter(|i| i.fault(config, &setup).is_none())
    };
    let legal = std::iter::repeat_with(|| legal(d)).take(1000).flatten().next()?;
    let names = form(name).fields.iter().map(|f| f.name);
    let fields: Vec<(&str, i64)> = names.zip(legal.values()).filter(|(name, _)| *name != field).collect();
    let changed =
        |d: &mut Draw| parse(&text(d, name, &fields)).ok().filter(|i| i.fault(config, &setup).is_some());
    let bad = std::iter::repeat_with(|| changed(d)).take(1000).flatten().next()?;
    let mut code = Vec::new();
    for instruction in before.iter().chain([&bad]) {
        code.extend(instruction.encode().ok()?);
    }
    Some(Program { base: 0x1000, code, ..Program::default() })
}

//! What the buffers hold over time, and how much of the array works.

use std::collections::BTreeMap;

use spec::config::WORD;
use spec::isa::{Depth, Instruction, OFFSET_BITS, Quant, Rect, Taps};
use spec::post::{self, Post};
use spec::{Config, Program};

use crate::Span;

/// A part of the machine that can be more or less full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The array: multiplications of a cycle.
    Array,
    /// An activation buffer: 0 input, 1 output, 2 residual. Bytes.
    Activations(u32),
    /// The weight buffer: bytes.
    Weights,
    /// The parameter buffer: bytes.
    Params,
}

impl Part {
    /// All, in the order of the way through the machine.
    pub const ALL: [Self; 6] = [
        Self::Activations(0),
        Self::Weights,
        Self::Params,
        Self::Activations(2),
        Self::Array,
        Self::Activations(1),
    ];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Array => "array",
            Self::Activations(0) => "input buffer",
            Self::Activations(1) => "output buffer",
            Self::Activations(_) => "residual buffer",
            Self::Weights => "weight buffer",
            Self::Params => "parameter buffer",
        }
    }

    /// Where it is full.
    pub fn capacity(self, config: &Config) -> u64 {
        u64::from(match self {
            Self::Array => config.rows * config.cols,
            Self::Activations(0) => config.ibuf,
            Self::Activations(1) => config.obuf,
            Self::Activations(_) => config.rbuf,
            Self::Weights => config.wbuf,
            Self::Params => config.pbuf,
        })
    }
}

/// How full a part is from cycle `start` to before cycle `end`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// What.
    pub part: Part,
    /// First cycle.
    pub start: u64,
    /// One after the last cycle.
    pub end: u64,
    /// Bytes, or multiplications a cycle on the average.
    pub amount: f64,
}

/// A stretch of a buffer that was written at once, and read as a whole.
#[derive(Clone, Copy)]
struct Stretch {
    end: i64,
    written: u64,
    read: Option<u64>,
}

/// The bytes of a buffer, and what became of those that were there before.
#[derive(Default)]
struct Content {
    stretches: BTreeMap<i64, Stretch>,
    /// First cycle, one after the last, bytes.
    past: Vec<(u64, u64, i64)>,
}

impl Content {
    /// Cuts the stretch that goes beyond a place into two.
    fn cut(&mut self, at: i64) {
        if let Some((_, stretch)) = self.stretches.range_mut(..at).next_back()
            && stretch.end > at
        {
            let rest = *stretch;
            stretch.end = at;
            self.stretches.insert(at, rest);
        }
    }

    fn retire(&mut self, start: i64, stretch: Stretch) {
        if let Some(read) = stretch.read {
            self.past.push((stretch.written, read, stretch.end - start));
        }
    }

    fn write(&mut self, lo: i64, hi: i64, time: u64) {
        if lo >= hi {
            return;
        }
        self.cut(lo);
        self.cut(hi);
        let old: Vec<i64> = self.stretches.range(lo..hi).map(|(start, _)| *start).collect();
        for start in old {
            if let Some(stretch) = self.stretches.remove(&start) {
                self.retire(start, stretch);
            }
        }
        self.stretches.insert(lo, Stretch { end: hi, written: time, read: None });
    }

    fn read(&mut self, lo: i64, hi: i64, until: u64) {
        if lo >= hi {
            return;
        }
        self.cut(lo);
        self.cut(hi);
        self.stretches.range_mut(lo..hi).for_each(|(_, s)| s.read = s.read.max(Some(until)));
    }

    /// Bytes over time, between changes.
    fn levels(mut self, part: Part) -> Vec<Level> {
        for (start, stretch) in std::mem::take(&mut self.stretches) {
            self.retire(start, stretch);
        }
        let mut changes: BTreeMap<u64, i64> = BTreeMap::new();
        for (start, end, bytes) in self.past {
            *changes.entry(start).or_default() += bytes;
            *changes.entry(end).or_default() -= bytes;
        }
        let mut levels: Vec<Level> = Vec::new();
        let (mut start, mut bytes) = (0, 0i64);
        for (end, change) in changes {
            match levels.last_mut() {
                Some(last) if last.end == start && last.amount == bytes as f64 => last.end = end,
                _ if bytes > 0 => levels.push(Level { part, start, end, amount: bytes as f64 }),
                _ => {}
            }
            (start, bytes) = (end, bytes + change);
        }
        levels
    }
}

/// A read or a write of a stretch, in one of five buffers: the three of activations, [`WEIGHTS`], [`PARAMS`].
#[derive(Clone, Copy)]
struct Touch {
    buffer: usize,
    lo: i64,
    hi: i64,
}

enum Reduction {
    Taps(Taps),
    Depth(Depth),
}

const WEIGHTS: usize = 3;
const PARAMS: usize = 4;

/// What compute instructions have set.
struct Setting<'a> {
    config: &'a Config,
    quant: Quant,
    post: Post,
    reduction: Reduction,
}

/// Stretches of `length` bytes, `nx` in a row, `ny` rows, in one where they touch each other.
fn grid(base: i64, (nx, dx): (u32, u32), (ny, dy): (u32, u32), length: i64) -> Vec<(i64, i64)> {
    let row = i64::from(nx.saturating_sub(1)) * i64::from(dx) + length;
    let mut stretches = Vec::new();
    for y in 0..i64::from(ny) {
        let start = base + y * i64::from(dy);
        if i64::from(dx) <= length {
            stretches.push((start, start + row));
        } else {
            stretches
                .extend((0..i64::from(nx)).map(|x| start + x * i64::from(dx)).map(|at| (at, at + length)));
        }
    }
    stretches
}

fn buffer(address: u32) -> usize {
    (address >> OFFSET_BITS) as usize
}

fn offset(address: u32) -> i64 {
    i64::from(address & ((1 << OFFSET_BITS) - 1))
}

impl Setting<'_> {
    /// Bytes of an activation buffer that a rectangle reads through the ring.
    fn ringed(&self, rect: &Rect, (lo, hi): (i64, i64), touches: &mut Vec<Touch>) {
        let (ring, buffer) = (i64::from(self.quant.ring.max(1)), buffer(rect.in_base));
        let (start, length) = (lo.rem_euclid(ring), (hi - lo).min(ring));
        touches.push(Touch { buffer, lo: start, hi: ring.min(start + length) });
        touches.push(Touch { buffer, lo: 0, hi: start + length - ring });
    }

    /// What a rectangle reads and writes, and how many multiplications it makes; padding of chunks counts.
    fn rect(&self, rect: &Rect) -> (Vec<Touch>, Vec<Touch>, u64) {
        let operand = i64::from(self.config.operand_bytes());
        let (mut reads, mut writes) = (Vec::new(), Vec::new());
        let word = i64::from(self.config.wbuf_stride());
        let used = |chunks: u32| i64::from(chunks * self.config.lanes) * operand;
        let (length, chunks, p_base, ends) = match &self.reduction {
            Reduction::Taps(t) => {
                let length =
                    i64::from(t.longs * t.word_len + (t.words - t.longs) * t.word_len.saturating_sub(1));
                let mut at = i64::from(t.w_base);
                for ky in 0..t.n_ky {
                    for kx in 0..t.n_kx {
                        let from = offset(rect.in_base) + i64::from(ky * t.ky_pitch + kx * t.kx_pitch);
                        let rows = (rect.ny, rect.in_y);
                        for stretch in grid(from, (rect.nx, rect.in_x), rows, length * operand) {
                            self.ringed(rect, stretch, &mut reads);
                        }
                        reads.push(Touch { buffer: WEIGHTS, lo: at * word, hi: (at + length) * word });
                        at += length + if kx + 1 < t.n_kx { i64::from(t.w_kx_skip) } else { 0 };
                    }
                    at += i64::from(t.w_ky_skip);
                }
                (length * i64::from(t.n_ky * t.n_kx), t.chunks, t.p_base, t.last)
            }
            Reduction::Depth(d) => {
                let mut taps = 0;
                for ky in 0..d.n_ky {
                    for kx in 0..d.n_kx {
                        for phase in 0..d.phases {
                            let count = if phase < d.longs { d.taps } else { d.taps.saturating_sub(1) };
                            taps += i64::from(count);
                            self.phase(rect, d, (ky, kx, phase), count, used(d.chunks), &mut reads);
                        }
                    }
                }
                if self.quant.op == 0 {
                    let from = i64::from(d.w_base);
                    reads.push(Touch { buffer: WEIGHTS, lo: from * word, hi: (from + taps) * word });
                }
                (taps, d.chunks, d.p_base, true)
            }
        };
        if ends {
            let from = i64::from(p_base) * i64::from(self.config.pbuf_stride());
            let bytes = i64::from(chunks) * i64::from(self.config.pbuf_stride());
            reads.push(Touch { buffer: PARAMS, lo: from, hi: from + bytes });
            let (of, base) = (buffer(rect.out_base), offset(rect.out_base));
            let out = grid(base, (rect.nx, rect.out_x), (rect.ny, rect.out_y), used(chunks));
            writes.extend(out.into_iter().map(|(lo, hi)| Touch { buffer: of, lo, hi }));
            if self.post.op != post::Op::None {
                let (of, base) = (buffer(rect.res_base), offset(rect.res_base));
                let second = grid(base, (rect.nx, rect.res_x), (rect.ny, rect.res_y), used(chunks));
                reads.extend(second.into_iter().map(|(lo, hi)| Touch { buffer: of, lo, hi }));
            }
        }
        let products =
            u64::from(rect.nx) * u64::from(rect.ny) * length as u64 * u64::from(chunks * self.config.lanes);
        (reads, writes, products)
    }

    /// What a phase of a kernel row of a reduction by channel reads: the pixels of the map that its taps are at.
    fn phase(
        &self,
        rect: &Rect,
        d: &Depth,
        (ky, kx, phase): (u32, u32, u32),
        taps: u32,
        length: i64,
        reads: &mut Vec<Touch>,
    ) {
        let first = i64::from(kx * d.kx_step + phase) - i64::from(d.pad);
        let inside = |p: &i64| (0..i64::from(d.width)).contains(&(first + p * i64::from(d.stride)));
        let pixels: Vec<i64> = (0..i64::from(rect.nx + taps) - 1).filter(inside).collect();
        let (Some(from), true) = (pixels.first(), taps > 0) else { return };
        let (granule, limit) = (WORD as i64 * i64::from(self.config.operand_bytes()), 1i64 << OFFSET_BITS);
        let row = offset(rect.in_base)
            + i64::from(ky * d.ky_pitch + kx * d.kx_pitch + phase * d.phase_pitch)
            + from * i64::from(rect.in_x);
        let length = if self.config.depth_channels() > WORD { length.max(granule) } else { length };
        for (lo, hi) in grid(row, (pixels.len() as u32, rect.in_x), (rect.ny, rect.in_y), length) {
            let wraps = if lo >= limit { limit } else { 0 };
            self.ringed(rect, (lo - wraps, hi - wraps), reads);
        }
    }
}

/// What a load writes.
fn loaded(load: &spec::isa::Load) -> Vec<Touch> {
    let (buffer, base) = match load.buffer {
        0 => (buffer(load.dst), offset(load.dst)),
        1 => (WEIGHTS, i64::from(load.dst)),
        _ => (PARAMS, i64::from(load.dst)),
    };
    let bytes = u64::from(load.runs) * u64::from(load.run_bytes);
    let row = u64::from(load.row_bytes.max(1));
    let pads = u64::from(load.pad_left) + u64::from(load.pad_right);
    let rows = bytes.div_ceil(row).max(u64::from(load.runs == 0));
    let stretch = |n: u64| {
        let length = pads + if load.runs == 0 { 0 } else { row.min(bytes - n * row) };
        let lo = base + n as i64 * i64::from(load.dst_pitch);
        Touch { buffer, lo, hi: lo + length as i64 }
    };
    (0..rows).map(stretch).collect()
}

/// How full the buffers are, and how much of the array works, during a run whose spans [`crate::trace`] has told.
///
/// A byte of a buffer counts from the start of the instruction that writes it to the end of the last one that reads it; what
/// nobody reads does not. The array's multiplications are those of a chain of rectangles, over the cycles from the end of
/// the one before it, or its start if that is later, to its own end.
pub fn fills(config: &Config, program: &Program, spans: &[Span]) -> Vec<Level> {
    let instructions: Vec<_> = program.instructions().collect();
    let mut setting = Setting {
        config,
        quant: Quant::default(),
        post: Post::OFF,
        reduction: Reduction::Taps(Taps::default()),
    };
    // What is written is there at the end of a span, what is read is read from its start on.
    let mut events: Vec<(u64, bool, u64, Vec<Touch>)> = Vec::new();
    let mut levels = Vec::new();
    // The chain of rectangles so far: its products and its start; and the end of the one before it.
    let (mut products, mut began, mut from) = (0, None, 0);
    for span in spans {
        let Some(Ok(instruction)) = instructions.get(span.instructions.start) else { continue };
        if span.instructions.len() > 1 || span.engine != instruction.form().engine {
            continue;
        }
        match instruction {
            Instruction::Load(load) => events.push((span.end, false, span.start, loaded(load))),
            Instruction::Quant(quant) => (setting.quant, setting.post) = (*quant, Post::OFF),
            Instruction::Taps(taps) => setting.reduction = Reduction::Taps(*taps),
            Instruction::Depth(depth) => setting.reduction = Reduction::Depth(*depth),
            Instruction::Post(post) => setting.post = Post::from_instruction(post),
            Instruction::Rect(rect) => {
                let (reads, writes, made) = setting.rect(rect);
                events.push((span.start, true, span.end, reads));
                events.push((span.end, false, span.start, writes));
                products += made;
                let first: u64 = *began.get_or_insert(span.start);
                if !rect.chain && span.end > from {
                    let start = from.max(first);
                    let amount = products as f64 / (span.end - start) as f64;
                    levels.push(Level { part: Part::Array, start, end: span.end, amount });
                    (products, began, from) = (0, None, span.end);
                }
            }
            Instruction::Store(store) => {
                let bytes = u64::from(store.runs) * u64::from(store.run_bytes);
                let segments = bytes.div_ceil(u64::from(store.seg_bytes.max(1))) as u32;
                let segments = (segments, store.seg_pitch);
                let read = grid(offset(store.src), segments, (1, 0), i64::from(store.seg_bytes));
                let of = buffer(store.src);
                let touches = read.into_iter().map(|(lo, hi)| Touch { buffer: of, lo, hi }).collect();
                events.push((span.start, true, span.end, touches));
            }
            Instruction::Table(_) | Instruction::End(_) => {}
        }
    }
    events.sort_by_key(|&(time, reads, _, _)| (time, reads));
    let mut contents: [Content; 5] = Default::default();
    for (_, reads, time, touches) in events {
        for Touch { buffer, lo, hi } in touches {
            let Some(content) = contents.get_mut(buffer) else { continue };
            if reads { content.read(lo, hi, time) } else { content.write(lo, hi, time) }
        }
    }
    let parts = [0, 1, 2].map(Part::Activations).into_iter().chain([Part::Weights, Part::Params]);
    for (part, content) in parts.zip(contents) {
        levels.extend(content.levels(part));
    }
    levels
}

//! The machine without time: executes programs on byte arrays, instruction by instruction, in a chosen order among
//! those that tokens allow. It is strict where the hardware is not: what a program reads must have been written, and
//! nothing may lie outside its buffer.

use std::collections::VecDeque;

use spec::config::WORD;
use spec::isa::{self, Engine, INSTRUCTION_BYTES, Instruction, Load, OFFSET_BITS, Quant, Rect, Store};
use spec::post::{Op, Post, Table};
use spec::requant::requantise;
use spec::rng::splitmix64;
use spec::{Config, Program};

/// Which engine goes first where several could.
#[derive(Clone, Copy, Debug)]
pub enum Order {
    /// As written: a token that is missing is an error.
    Program,
    /// Loads as early and stores as late as tokens allow.
    LoadsFirst,
    /// Stores as early and loads as late as tokens allow.
    LoadsLast,
    /// By this seed.
    Random(u64),
}

/// A byte of a buffer; nothing where none was written.
type Bytes = Vec<Option<u8>>;

struct Machine<'a> {
    config: &'a Config,
    memory: Vec<u8>,
    activations: [Bytes; 3],
    wbuf: Bytes,
    pbuf: Bytes,
    quant: Quant,
    post: Post,
    table: Table,
    reduction: Reduction,
    /// The pixels of the chain so far.
    pixels: Vec<Pixel>,
    sums: Vec<i32>,
    tokens: [u32; 5],
}

/// What the next rectangles reduce.
enum Reduction {
    Taps(isa::Taps),
    Depth(isa::Depth),
}

/// Activation addresses of an output pixel's first tap, its outputs and its second operands; and its place in its row.
#[derive(Clone, Copy)]
struct Pixel {
    input: u32,
    output: u32,
    second: u32,
    x: i64,
    /// Bytes to the next pixel of its row.
    step: u32,
}

/// Why a program cannot be executed: which rule it breaks, in which instruction.
pub type Outcome<T> = Result<T, String>;

const OFFSET: u32 = (1 << OFFSET_BITS) - 1;

/// `address` moved on by `bytes`: in its buffer, modulo the range of offsets.
fn moved(address: u32, bytes: u32) -> u32 {
    address & !OFFSET | (address.wrapping_add(bytes) & OFFSET)
}

fn ensure(condition: bool, text: impl FnOnce() -> String) -> Outcome<()> {
    if condition { Ok(()) } else { Err(text()) }
}

/// The output bytes of a program.
///
/// # Errors
///
/// Where the program breaks a rule of the instruction set, or of this machine.
pub fn run(config: &Config, program: &Program, order: Order) -> Outcome<Vec<u8>> {
    let output = program.output.0 as usize..(program.output.0 + program.output.1) as usize;
    let memory = execute(config, program, order)?;
    memory.get(output).map(<[u8]>::to_vec).ok_or_else(|| "outputs outside memory".into())
}

/// Memory after a program, up to the last byte that it was given or that it wrote.
///
/// # Errors
///
/// As [`run`].
pub fn execute(config: &Config, program: &Program, order: Order) -> Outcome<Vec<u8>> {
    let ends = program.data.iter().map(|s| s.address as usize + s.bytes.len());
    let end = ends.chain([(program.output.0 + program.output.1) as usize]).max().unwrap_or(0);
    let mut memory = vec![0xa5; end];
    for segment in &program.data {
        memory[segment.address as usize..][..segment.bytes.len()].copy_from_slice(&segment.bytes);
    }
    ensure(program.base.is_multiple_of(256) && program.code.len().is_multiple_of(INSTRUCTION_BYTES), || {
        "program alignment".into()
    })?;
    let chunk = config.pbuf_stride() as usize;
    let mut machine = Machine {
        config,
        memory,
        activations: [config.ibuf, config.obuf, config.rbuf].map(|bytes| vec![None; bytes as usize]),
        wbuf: vec![None; (config.wbuf_words() * config.wbuf_stride()) as usize],
        pbuf: vec![None; config.pbuf_words() as usize * chunk],
        quant: Quant::default(),
        post: Post::OFF,
        table: Table([0; 256]),
        reduction: Reduction::Taps(isa::Taps::default()),
        pixels: Vec::new(),
        sums: Vec::new(),
        tokens: [0; 5],
    };
    let mut queues: [VecDeque<Instruction>; 3] = Default::default();
    let mut ended = false;
    let mut setup = isa::Setup::default();
    for instruction in program.instructions() {
        let instruction = instruction.map_err(|e| e.to_string())?;
        ensure(!ended, || "instructions after the end".into())?;
        ensure(instruction.fault(config, &setup).is_none(), || format!("fault: {instruction}"))?;
        setup.see(&instruction);
        match instruction.form().engine {
            Engine::Fetch => ended = true,
            engine => {
                let at = [Engine::Load, Engine::Compute].iter().position(|e| *e == engine).unwrap_or(2);
                queues[at].push_back(instruction);
            }
        }
        if let Order::Program = order
            && !ended
        {
            let Some(i) = queues.iter_mut().find_map(VecDeque::pop_front) else { continue };
            ensure(machine.ready(&i), || format!("no token for {i}"))?;
            machine.execute(&i).map_err(|e| format!("{e} in {i}"))?;
            ensure(machine.tokens.iter().all(|n| *n < 128), || "too many tokens wait".into())?;
        }
    }
    ensure(ended, || "no end".into())?;
    let mut state = 0;
    while queues.iter().any(|q| !q.is_empty()) {
        let mut first = match order {
            Order::Random(seed) => {
                state += 1;
                let mut word = seed ^ (state << 20);
                let n = splitmix64(&mut word);
                [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]][n as usize % 6]
            }
            Order::LoadsLast => [2, 1, 0],
            _ => [0, 1, 2],
        }
        .into_iter();
        let engine =
            first.find(|&e| queues[e].front().is_some_and(|i| machine.ready(i))).ok_or("deadlock")?;
        let Some(i) = queues[engine].pop_front() else { continue };
        machine.execute(&i).map_err(|e| format!("{e} in {i}"))?;
    }
    ensure(machine.tokens == [0; 5], || format!("tokens left: {:?}", machine.tokens))?;
    ensure(machine.pixels.is_empty(), || "a chain without end".into())?;
    Ok(machine.memory)
}

impl Machine<'_> {
    /// Tokens that an instruction pops, and whether it pushes them: load→compute, compute→load, compute→store,
    /// store→compute, store→load.
    fn traffic(i: &Instruction) -> ([u32; 5], [bool; 5]) {
        let none = false;
        match i {
            Instruction::Load(i) => {
                ([0, i.pop_next, 0, 0, i.pop_prev], [i.push_next, none, none, none, none])
            }
            Instruction::Rect(i) => {
                ([i.pop_prev, 0, 0, i.pop_next, 0], [none, i.push_prev, i.push_next, none, none])
            }
            Instruction::Store(i) => ([0, 0, i.pop_prev, 0, 0], [none, none, none, i.push_prev, i.push_next]),
            _ => Default::default(),
        }
    }

    fn ready(&self, i: &Instruction) -> bool {
        Self::traffic(i).0.iter().zip(self.tokens).all(|(pop, have)| *pop <= have)
    }

    fn execute(&mut self, i: &Instruction) -> Outcome<()> {
        let (pops, pushes) = Self::traffic(i);
        for (tokens, pop) in self.tokens.iter_mut().zip(pops) {
            *tokens -= pop;
        }
        if i.form().engine == Engine::Compute && !matches!(i, Instruction::Rect(_)) {
            ensure(self.pixels.is_empty(), || "a chain goes on over this".into())?;
        }
        match i {
            Instruction::Load(i) => self.load(i)?,
            Instruction::Quant(i) => (self.quant, self.post) = (*i, Post::OFF),
            Instruction::Taps(i) => self.reduction = Reduction::Taps(*i),
            Instruction::Depth(i) => self.reduction = Reduction::Depth(*i),
            Instruction::Post(i) => self.post = Post::from_instruction(i),
            Instruction::Table(i) => self.table.write(i),
            Instruction::Rect(i) => self.rect(i)?,
            Instruction::Store(i) => self.store(i)?,
            Instruction::End(_) => {}
        }
        for (tokens, push) in self.tokens.iter_mut().zip(pushes) {
            *tokens += u32::from(push);
        }
        Ok(())
    }

    fn load(&mut self, i: &Load) -> Outcome<()> {
        let operand = self.config.operand_bytes() as usize;
        let mut stream = Vec::new();
        for run in 0..i.runs as usize {
            let at = i.src as usize + run * i.run_pitch as usize;
            let bytes = self.memory.get(at..at + i.run_bytes as usize).ok_or("load outside memory")?;
            stream.extend_from_slice(bytes);
        }
        let (buffer, dst) = match i.buffer {
            0 => (&mut self.activations[(i.dst >> OFFSET_BITS) as usize], i.dst & OFFSET),
            1 => (&mut self.wbuf, i.dst),
            _ => (&mut self.pbuf, i.dst),
        };
        let fill = |n: u32| (0..n as usize).map(|b| Some(i.fill.to_le_bytes()[b % operand]));
        let empty: &[u8] = &[];
        let rows = stream.chunks(i.row_bytes.max(1) as usize).chain((i.runs == 0).then_some(empty));
        for (row, bytes) in rows.enumerate() {
            let at = dst as usize + row * i.dst_pitch as usize;
            let row = fill(i.pad_left).chain(bytes.iter().map(|b| Some(*b))).chain(fill(i.pad_right));
            for (n, byte) in row.enumerate() {
                *buffer.get_mut(at + n).ok_or("load outside the buffer")? = byte;
            }
        }
        Ok(())
    }

    fn rect(&mut self, i: &Rect) -> Outcome<()> {
        let unit = self.config.chunk_bytes();
        let buffer = self.activations[(i.in_base >> OFFSET_BITS) as usize].len();
        ensure(self.quant.ring as usize <= buffer, || "ring larger than the buffer".into())?;
        let depth = matches!(self.reduction, Reduction::Depth(_));
        ensure(depth == self.quant.depth, || "reduction of the other kind than `quant` says".into())?;
        let ends = !matches!(self.reduction, Reduction::Taps(taps) if !taps.last);
        let mut row = i.in_base;
        for y in 0..i.ny {
            let mut at = row;
            for x in 0..i.nx {
                let output = moved(i.out_base, y * i.out_y + x * i.out_x);
                let second = moved(i.res_base, y * i.res_y + x * i.res_x);
                ensure(output.is_multiple_of(unit), || format!("output at {output}"))?;
                // A slice of a reduction has no outputs yet.
                if self.post.op != Op::None && ends {
                    let same = second >> OFFSET_BITS == at >> OFFSET_BITS;
                    ensure(second.is_multiple_of(unit) && !same, || format!("second operand at {second}"))?;
                }
                self.pixels.push(Pixel { input: at, output, second, x: i64::from(x), step: i.in_x });
                at = self.wrapped(moved(at, i.in_x));
            }
            row = self.wrapped(moved(row, i.in_y));
        }
        if i.chain {
            return Ok(());
        }
        let pixels = std::mem::take(&mut self.pixels);
        match self.reduction {
            Reduction::Depth(depth) => pixels.iter().try_for_each(|p| self.depth_pixel(&depth, p)),
            Reduction::Taps(taps) => {
                let rows = self.config.rows as usize;
                ensure(self.sums.is_empty() && taps.last || pixels.len() <= rows, || {
                    "a slice of several tiles".into()
                })?;
                let steps = self.steps(&taps)?;
                pixels.chunks(rows).try_for_each(|tile| self.tile(&taps, tile, &steps))
            }
        }
    }

    /// An address in the ring, once round it at most.
    fn wrapped(&self, address: u32) -> u32 {
        let offset = address & OFFSET;
        if offset >= self.quant.ring { moved(address, self.quant.ring.wrapping_neg()) } else { address }
    }

    /// Input offset and weight word of every reduction step.
    fn steps(&self, t: &isa::Taps) -> Outcome<Vec<(u32, u32)>> {
        let operand = self.config.operand_bytes();
        let len = t.longs * t.word_len + (t.words - t.longs) * (t.word_len - 1);
        let mut steps = Vec::new();
        let mut word = t.w_base;
        for ky in 0..t.n_ky {
            for kx in 0..t.n_kx {
                let offset = ky * t.ky_pitch + kx * t.kx_pitch;
                ensure(offset < self.quant.ring, || format!("offset {offset} beyond the ring"))?;
                steps.extend((0..len).map(|c| (offset + c * operand, word + c)));
                word += len + if kx + 1 < t.n_kx { t.w_kx_skip } else { 0 };
            }
            word += t.w_ky_skip;
        }
        Ok(steps)
    }

    /// An operand of an activation buffer.
    fn activation(&self, address: u32, signed: bool) -> Outcome<i32> {
        let bytes = &self.activations[(address >> OFFSET_BITS) as usize];
        self.operand(bytes, (address & OFFSET) as usize, signed)
            .map_err(|e| format!("{e}: activation {} of buffer {}", address & OFFSET, address >> OFFSET_BITS))
    }

    fn depth_pixel(&mut self, d: &isa::Depth, pixel: &Pixel) -> Outcome<()> {
        let (operand, stride) = (self.config.operand_bytes(), self.config.wbuf_stride() as usize);
        let used = d.chunks * self.config.lanes;
        let granule = if self.config.depth_channels() > WORD { WORD * operand } else { operand };
        ensure(self.sums.is_empty(), || "a reduction by channel amid a sum".into())?;
        let mut sums = vec![0i32; used as usize];
        // The largest counts from the least difference of two operands.
        let least = -(1 << self.config.operand_bits);
        let mut word = d.w_base;
        for ky in 0..d.n_ky {
            for kx in 0..d.n_kx {
                for phase in 0..d.phases {
                    for tap in 0..if phase < d.longs { d.taps } else { d.taps - 1 } {
                        let column = (pixel.x + i64::from(tap)) * i64::from(d.stride) - i64::from(d.pad)
                            + i64::from(kx * d.kx_step + phase);
                        let offset =
                            ky * d.ky_pitch + kx * d.kx_pitch + phase * d.phase_pitch + tap * pixel.step;
                        let address = self.wrapped(moved(pixel.input, offset));
                        let inside = (0..i64::from(d.width)).contains(&column);
                        for (c, sum) in (0u32..).zip(&mut sums) {
                            let x = if inside {
                                ensure(address.is_multiple_of(granule), || {
                                    format!("activation at {address}")
                                })?;
                                let x = self.activation(moved(address, c * operand), self.quant.x_signed);
                                // Channels beyond those of the map are whatever is there.
                                if c == 0 {
                                    x? - self.quant.x_zero
                                } else {
                                    x.map_or(0, |x| x - self.quant.x_zero)
                                }
                            } else if self.quant.op == 2 {
                                least
                            } else {
                                0
                            };
                            let weight = if self.quant.op == 0 {
                                let at = word as usize * stride + (c * operand) as usize;
                                let w = self.operand(&self.wbuf, at, true);
                                if c == 0 { w.map_err(|e| format!("weights: {e}"))? } else { w.unwrap_or(0) }
                            } else {
                                1
                            };
                            *sum = if self.quant.op == 2 {
                                (x - least).max(*sum)
                            } else {
                                x.wrapping_mul(weight).wrapping_add(*sum)
                            };
                        }
                        word += 1;
                    }
                }
            }
        }
        self.drain(d.chunks, d.p_base, &[*pixel], &sums)
    }

    fn operand(&self, bytes: &[Option<u8>], at: usize, signed: bool) -> Outcome<i32> {
        let n = self.config.operand_bytes() as usize;
        let mut value = 0u32;
        for b in 0..n {
            let byte = bytes.get(at + b).ok_or("read outside the buffer")?.ok_or("read of nothing")?;
            value |= u32::from(byte) << (8 * b);
        }
        let shift = 32 - 8 * n as u32;
        Ok(if signed { (value << shift) as i32 >> shift } else { value as i32 })
    }

    fn tile(&mut self, taps: &isa::Taps, tile: &[Pixel], steps: &[(u32, u32)]) -> Outcome<()> {
        let operand = self.config.operand_bytes() as usize;
        let stride = self.config.wbuf_stride() as usize;
        let used = (taps.chunks * self.config.lanes) as usize;
        let mut sums = std::mem::take(&mut self.sums);
        if sums.is_empty() {
            sums = vec![0; tile.len() * used];
        }
        ensure(sums.len() == tile.len() * used, || "slices of different tiles".into())?;
        // Columns beyond the group's channels compute on what happens to be there.
        let mut weights = vec![0; steps.len() * used];
        for (k, (_, word)) in steps.iter().enumerate() {
            ensure(*word < self.config.wbuf_words(), || "weights outside the buffer".into())?;
            for c in 0..used {
                let at = *word as usize * stride + c * operand;
                weights[k * used + c] = match self.operand(&self.wbuf, at, true) {
                    Err(e) if c == 0 => return Err(format!("weights: {e}")),
                    other => other.unwrap_or(0),
                };
            }
        }
        for (pixel, sums) in tile.iter().zip(sums.chunks_exact_mut(used)) {
            for ((offset, _), weights) in steps.iter().zip(weights.chunks_exact(used)) {
                let address = self.wrapped(moved(pixel.input, *offset));
                // Outputs without any tap inside the map have a weight of zero, columns beyond the group any.
                let x = match self.activation(address, self.quant.x_signed) {
                    Err(_) if weights[0] == 0 => 0,
                    x => x? - self.quant.x_zero,
                };
                for (sum, w) in sums.iter_mut().zip(weights) {
                    *sum = sum.wrapping_add(x.wrapping_mul(*w));
                }
            }
        }
        if taps.last {
            self.drain(taps.chunks, taps.p_base, tile, &sums)?;
        } else {
            self.sums = sums;
        }
        Ok(())
    }

    fn drain(&mut self, chunks: u32, p_base: u32, tile: &[Pixel], sums: &[i32]) -> Outcome<()> {
        let operand = self.config.operand_bytes();
        let q = self.quant;
        let used = chunks * self.config.lanes;
        for c in 0..used {
            let at = (p_base * self.config.pbuf_stride() + c * 8) as usize;
            let mut word = [0; 8];
            for (n, byte) in word.iter_mut().enumerate() {
                *byte = self.pbuf.get(at + n).ok_or("params outside the buffer")?.ok_or("params: nothing")?;
            }
            let [a, b, d, e, f, g, h, i] = word;
            let (bias, multiplier) = (i32::from_le_bytes([a, b, d, e]), f32::from_le_bytes([f, g, h, i]));
            for (pixel, sums) in tile.iter().zip(sums.chunks_exact(used as usize)) {
                let sum = sums[c as usize].wrapping_add(bias);
                let mut y = requantise(sum, multiplier, q.y_zero, q.y_min, q.y_max);
                if self.post.op != Op::None {
                    // Channels beyond those of the map are whatever is there.
                    let second = self.activation(moved(pixel.second, c), self.post.signed);
                    y = self.post.apply(y, if c == 0 { second? } else { second.unwrap_or_default() });
                }
                if self.post.table {
                    y = self.table.apply(y).into();
                }
                for b in 0..operand {
                    let at = moved(pixel.output, c * operand + b);
                    let byte = self.activations[(at >> OFFSET_BITS) as usize].get_mut((at & OFFSET) as usize);
                    *byte.ok_or("output outside the buffer")? = Some(y.to_le_bytes()[b as usize]);
                }
            }
        }
        Ok(())
    }

    fn store(&mut self, i: &Store) -> Outcome<()> {
        let total = i.run_bytes as usize * i.runs as usize;
        for n in 0..total {
            let (segment, byte) = (n / i.seg_bytes as usize, n % i.seg_bytes as usize);
            let from = moved(i.src, (segment * i.seg_pitch as usize + byte) as u32);
            let (run, byte) = (n / i.run_bytes as usize, n % i.run_bytes as usize);
            let to = i.dst as usize + run * i.run_pitch as usize + byte;
            let buffer = &self.activations[(from >> OFFSET_BITS) as usize];
            let byte = buffer.get((from & OFFSET) as usize).ok_or("store outside the buffer")?;
            let value = byte.ok_or_else(|| format!("store of nothing at {from}"))?;
            if to >= self.memory.len() {
                self.memory.resize(to + 1, 0xa5);
            }
            self.memory[to] = value;
        }
        Ok(())
    }
}

//! Executes programs on byte arrays, instruction by instruction, in a chosen order among those that tokens allow.
//! It knows nothing of time; it is strict about everything else.

use std::collections::VecDeque;

use spec::isa::{Engine, INSTRUCTION_BYTES, Instruction, Load, Quant, Rect, Store, Taps};
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

struct Machine<'a> {
    config: &'a Config,
    memory: Vec<u8>,
    ibuf: Vec<Option<u8>>,
    wbuf: Vec<Option<u8>>,
    pbuf: Vec<Option<u8>>,
    obuf: Vec<Option<u8>>,
    quant: Quant,
    taps: Taps,
    /// Input and output addresses of the pixels of the chain so far.
    pixels: Vec<(usize, usize)>,
    sums: Vec<i32>,
    /// load→compute, compute→load, compute→store, store→compute.
    tokens: [u32; 4],
}

type Outcome<T> = Result<T, String>;

fn ensure(condition: bool, text: impl FnOnce() -> String) -> Outcome<()> {
    if condition { Ok(()) } else { Err(text()) }
}

/// The output bytes.
pub fn run(config: &Config, program: &Program, order: Order) -> Outcome<Vec<u8>> {
    let end = program.data.iter().map(|s| s.address as usize + s.bytes.len()).max().unwrap_or(0);
    let output = program.output.0 as usize..(program.output.0 + program.output.1) as usize;
    let mut memory = vec![0xa5; end.max(output.end)];
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
        ibuf: vec![None; config.ibuf as usize],
        wbuf: vec![None; (config.wbuf_words() * config.wbuf_stride()) as usize],
        pbuf: vec![None; config.pbuf_words() as usize * chunk],
        obuf: vec![None; config.obuf as usize],
        quant: Quant::default(),
        taps: Taps::default(),
        pixels: Vec::new(),
        sums: Vec::new(),
        tokens: [0; 4],
    };
    let mut queues: [VecDeque<Instruction>; 3] = Default::default();
    let mut ended = false;
    for instruction in program.instructions() {
        let instruction = instruction.map_err(|e| e.to_string())?;
        ensure(!ended, || "instructions after the end".into())?;
        ensure(instruction.fault(config).is_none(), || format!("fault: {instruction}"))?;
        match instruction.form().engine {
            Engine::Fetch => ended = true,
            engine => {
                let at = [Engine::Load, Engine::Compute, Engine::Store].iter().position(|e| *e == engine);
                queues[at.unwrap()].push_back(instruction);
            }
        }
        if let Order::Program = order
            && !ended
        {
            let queue = queues.iter_mut().find(|q| !q.is_empty()).unwrap();
            let i = queue.pop_front().unwrap();
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
        let i = queues[engine].pop_front().unwrap();
        machine.execute(&i).map_err(|e| format!("{e} in {i}"))?;
    }
    ensure(machine.tokens == [0; 4], || format!("tokens left: {:?}", machine.tokens))?;
    ensure(machine.pixels.is_empty(), || "a chain without end".into())?;
    Ok(machine.memory[output].to_vec())
}

impl Machine<'_> {
    /// Tokens that an instruction pops, and whether it pushes them.
    fn traffic(i: &Instruction) -> ([u32; 4], [bool; 4]) {
        match i {
            Instruction::Load(i) => ([0, i.pop_next, 0, 0], [i.push_next, false, false, false]),
            Instruction::Rect(i) => {
                ([i.pop_prev, 0, 0, i.pop_next], [false, i.push_prev, i.push_next, false])
            }
            Instruction::Store(i) => ([0, 0, i.pop_prev, 0], [false, false, false, i.push_prev]),
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
        match i {
            Instruction::Load(i) => self.load(i)?,
            Instruction::Quant(i) => self.quant = *i,
            Instruction::Taps(i) => {
                ensure(self.pixels.is_empty(), || "taps change inside a chain".into())?;
                self.taps = *i;
            }
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
        let buffer = match i.buffer {
            0 => &mut self.ibuf,
            1 => &mut self.wbuf,
            _ => &mut self.pbuf,
        };
        let fill = |n: u32| (0..n as usize).map(|b| Some(i.fill.to_le_bytes()[b % operand]));
        for (row, bytes) in stream.chunks(i.row_bytes as usize).enumerate() {
            let at = i.dst as usize + row * i.dst_pitch as usize;
            let row = fill(i.pad_left).chain(bytes.iter().map(|b| Some(*b))).chain(fill(i.pad_right));
            for (n, byte) in row.enumerate() {
                *buffer.get_mut(at + n).ok_or("load outside the buffer")? = byte;
            }
        }
        Ok(())
    }

    fn rect(&mut self, i: &Rect) -> Outcome<()> {
        let ring = self.quant.ring as usize;
        ensure(ring <= self.config.ibuf as usize, || "ring larger than the buffer".into())?;
        let unit = self.config.chunk_bytes() as usize;
        let mut row = i.in_base as usize;
        for y in 0..i.ny as usize {
            let mut at = row;
            for x in 0..i.nx as usize {
                ensure(at < ring, || format!("pixel at {at}, ring of {ring}"))?;
                let out = i.out_base as usize + y * i.out_y as usize + x * i.out_x as usize;
                ensure(out.is_multiple_of(unit), || format!("output at {out}"))?;
                self.pixels.push((at, out));
                at += i.in_x as usize;
            }
            row += i.in_y as usize;
            row -= if row >= ring { ring } else { 0 };
        }
        if i.chain {
            return Ok(());
        }
        let pixels = std::mem::take(&mut self.pixels);
        let rows = self.config.rows as usize;
        let taps = self.taps;
        ensure(taps.first && taps.last || pixels.len() <= rows, || "a slice of several tiles".into())?;
        let steps = self.steps()?;
        for tile in pixels.chunks(rows) {
            self.tile(tile, &steps)?;
        }
        Ok(())
    }

    /// Input offset and weight word of every reduction step.
    fn steps(&self) -> Outcome<Vec<(usize, usize)>> {
        let t = self.taps;
        let operand = self.config.operand_bytes() as usize;
        let len = (t.longs * t.word_len + (t.words - t.longs) * (t.word_len - 1)) as usize;
        let mut steps = Vec::new();
        let mut word = t.w_base as usize;
        for ky in 0..t.n_ky as usize {
            for kx in 0..t.n_kx as usize {
                let offset = ky * t.ky_pitch as usize + kx * t.kx_pitch as usize;
                ensure(offset < self.quant.ring as usize, || format!("offset {offset} beyond the ring"))?;
                steps.extend((0..len).map(|c| (offset + c * operand, word + c)));
                word += len + if kx + 1 < t.n_kx as usize { t.w_kx_skip as usize } else { 0 };
            }
            word += t.w_ky_skip as usize;
        }
        Ok(steps)
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

    fn tile(&mut self, tile: &[(usize, usize)], steps: &[(usize, usize)]) -> Outcome<()> {
        let cols = self.config.cols as usize;
        let operand = self.config.operand_bytes() as usize;
        let stride = self.config.wbuf_stride() as usize;
        let ring = self.quant.ring as usize;
        let lanes = self.config.lanes as usize;
        let used = (self.taps.chunks as usize * lanes).min(cols);
        let mut sums =
            if self.taps.first { vec![0; tile.len() * cols] } else { std::mem::take(&mut self.sums) };
        ensure(sums.len() == tile.len() * cols, || "slices of different tiles".into())?;
        // Columns beyond the group's channels compute on what happens to be there.
        let mut weights = vec![0; steps.len() * used];
        for (k, (_, word)) in steps.iter().enumerate() {
            ensure(*word < self.config.wbuf_words() as usize, || "weights outside the buffer".into())?;
            for c in 0..used {
                weights[k * used + c] = match self.operand(&self.wbuf, word * stride + c * operand, true) {
                    Err(e) if c == 0 => return Err(format!("weights: {e}")),
                    other => other.unwrap_or(0),
                };
            }
        }
        for ((at, _), sums) in tile.iter().zip(sums.chunks_exact_mut(cols)) {
            for (k, (offset, _)) in steps.iter().enumerate() {
                let address = at + offset;
                let address = if address >= ring { address - ring } else { address };
                // Outputs without any tap inside the map have a weight of zero, columns beyond the group any.
                let weights = &weights[k * used..][..used];
                let x = match self.operand(&self.ibuf, address, self.quant.x_signed) {
                    Err(_) if weights[0] == 0 => 0,
                    x => x.map_err(|e| format!("inputs at {address}: {e}"))?,
                } - self.quant.x_zero;
                for (sum, w) in sums.iter_mut().zip(weights) {
                    *sum = sum.wrapping_add(x.wrapping_mul(*w));
                }
            }
        }
        if self.taps.last {
            self.drain(tile, &sums)?;
        } else {
            self.sums = sums;
        }
        Ok(())
    }

    fn drain(&mut self, tile: &[(usize, usize)], sums: &[i32]) -> Outcome<()> {
        let cols = self.config.cols as usize;
        let operand = self.config.operand_bytes() as usize;
        let q = self.quant;
        for c in 0..self.taps.chunks as usize * self.config.lanes as usize {
            let at = self.taps.p_base as usize * self.config.pbuf_stride() as usize + c * 8;
            let mut word = [0; 8];
            for (n, byte) in word.iter_mut().enumerate() {
                *byte = self.pbuf.get(at + n).ok_or("params outside the buffer")?.ok_or("params: nothing")?;
            }
            let [a, b, d, e, f, g, h, i] = word;
            let (bias, multiplier) = (i32::from_le_bytes([a, b, d, e]), f32::from_le_bytes([f, g, h, i]));
            for ((_, out), sums) in tile.iter().zip(sums.chunks_exact(cols)) {
                let y = requantise(sums[c].wrapping_add(bias), multiplier, q.y_zero, q.y_min, q.y_max);
                for b in 0..operand {
                    let at = out + c * operand + b;
                    *self.obuf.get_mut(at).ok_or("output outside the buffer")? = Some(y.to_le_bytes()[b]);
                }
            }
        }
        Ok(())
    }

    fn store(&mut self, i: &Store) -> Outcome<()> {
        let total = i.run_bytes as usize * i.runs as usize;
        for n in 0..total {
            let (segment, byte) = (n / i.seg_bytes as usize, n % i.seg_bytes as usize);
            let from = i.src as usize + segment * i.seg_pitch as usize + byte;
            let (run, byte) = (n / i.run_bytes as usize, n % i.run_bytes as usize);
            let to = i.dst as usize + run * i.run_pitch as usize + byte;
            let value = self.obuf.get(from).ok_or("store outside the buffer")?.ok_or("store of nothing")?;
            *self.memory.get_mut(to).ok_or("store outside memory")? = value;
        }
        Ok(())
    }
}

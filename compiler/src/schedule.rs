//! Writes a plan down as operations in the order of a reader: what each job needs is loaded just before it.
//!
//! Overlap and tokens are the business of [`crate::order`]; here only the order of reads and writes matters.

use std::collections::HashMap;

use spec::isa;

use crate::cut::{Area, Chain, Cutter, words_of};
use crate::layout::Addresses;
use crate::order::{Buffer, Op, Touch};
use crate::plan::{MAX_COUNT, MAX_PITCH, Plan, SLICE_WORDS, SLICES, Tiling, Window, out_pitch};
use crate::shape::{FilterGroup, Shape, div_ceil};
use crate::{CompileError, MAX_SEGMENT};

/// Operations beyond which a program is refused.
const MAX_OPS: usize = 1 << 22;
/// Largest value of a 24-bit field.
const MAX_STEP: i64 = (1 << 24) - 1;

/// The taps of one instruction: a rectangle of the kernel, and operands `c` of each of its segments.
#[derive(Clone, Copy, Debug)]
struct Slice {
    ky: (i64, i64),
    kx: (i64, i64),
    c: (i64, i64),
}

/// Where a filter group's weights are in the weight buffer: the word of its tap number `first`.
#[derive(Clone, Copy, Debug)]
struct Place {
    word: i64,
    first: i64,
}

/// One job: a block of outputs of one filter group.
struct Job<'a> {
    image: i64,
    block: Area,
    filter: FilterGroup,
    index: i64,
    classes: &'a [(Area, Vec<Chain>)],
    /// Output buffer address of the block's first pixel and this group's first channel, and bytes of a pixel.
    out: (i64, i64),
    /// Inputs and weights arrive while it computes.
    lazy: bool,
    /// The first tile follows its weights slice by slice.
    sliced: bool,
}

/// A slot of the weight buffer.
#[derive(Clone, Debug, Default)]
struct Slot {
    /// First word.
    word: i64,
    filter: Option<i64>,
    loaded: Vec<(i64, i64)>,
}

struct Scheduler<'a> {
    shape: &'a Shape,
    tiling: Tiling,
    plan: &'a Plan,
    addresses: Addresses,
    ops: Vec<Op>,
    /// Ring position of row 0 of the current stream of rows.
    row_base: i64,
    /// One past the last row loaded of each stream: of each image, or only of the current one.
    loaded: HashMap<i64, i64>,
    next_row: i64,
    window: Window,
    strip_first: i64,
    slots: Vec<Slot>,
    next_slot: usize,
    slice: i64,
    params: Vec<Option<i64>>,
    next_params: usize,
    params_loaded: i64,
    next_out: i64,
}

/// All operations of a plan.
pub fn schedule(plan: &Plan, addresses: Addresses, quant: isa::Quant) -> Result<Vec<Op>, CompileError> {
    let (shape, config) = (&plan.shape, &plan.config);
    let words = i64::from(config.pbuf_words()).min(MAX_COUNT);
    let param_slots = words / i64::from(config.chunks());
    let tiling = plan.tiling;
    let mut scheduler = Scheduler {
        shape,
        tiling,
        plan,
        addresses,
        ops: Vec::new(),
        row_base: 0,
        loaded: HashMap::new(),
        next_row: 0,
        window: Window::new(shape, 0, shape.out_w),
        strip_first: 0,
        slots: places(plan).into_iter().map(|word| Slot { word, ..Slot::default() }).collect(),
        next_slot: 0,
        slice: 0,
        params: vec![None; param_slots as usize],
        next_params: 0,
        params_loaded: 0,
        next_out: 0,
    };
    let ring = field(tiling.ring_rows * tiling.row_pitch);
    scheduler.push(isa::Quant { ring, ..quant }, Vec::new(), 0)?;
    scheduler.run()?;
    Ok(scheduler.ops)
}

/// First words of the slots of the weight buffer. Where two filter groups almost fit, they overlap: the next group's
/// weights are loaded but for those that the current one still needs.
fn places(plan: &Plan) -> Vec<i64> {
    let words = plan.shape.words();
    match (plan.tiling.slots, plan.shape.filters()) {
        (1, 2..) => vec![0, plan.tiling.weight_words - words],
        (slots, filters) => (0..slots.min(filters)).map(|i| i * words).collect(),
    }
}

impl Scheduler<'_> {
    fn push(
        &mut self,
        instruction: impl Into<isa::Instruction>,
        touches: Vec<Touch>,
        cycles: i64,
    ) -> Result<(), CompileError> {
        if self.ops.len() >= MAX_OPS {
            return Err(CompileError::new(format!(
                "program of more than {MAX_OPS} instructions for `{}`: use larger buffers or a smaller layer",
                self.plan.layer
            )));
        }
        self.ops.push(Op { instruction: instruction.into(), touches, cycles });
        Ok(())
    }

    fn bus_cycles(&self, bytes: i64) -> i64 {
        div_ceil(bytes, i64::from(self.plan.config.bus_bytes()))
    }

    fn run(&mut self) -> Result<(), CompileError> {
        let (s, t) = (self.shape, self.tiling);
        let filters = s.filters();
        for first in (0..filters).step_by(t.chunk as usize) {
            let chunk = first..(first + t.chunk).min(filters);
            for image in 0..s.images {
                for x0 in (0..s.out_w).step_by(t.strip as usize) {
                    let columns = (x0, (x0 + t.strip).min(s.out_w));
                    self.start_stream(image, columns);
                    for y0 in (0..s.out_h).step_by(t.band as usize) {
                        let block = Area { y0, y1: (y0 + t.band).min(s.out_h), x0, x1: columns.1 };
                        self.block(image, block, chunk.clone())?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Rows of this strip of this image follow.
    fn start_stream(&mut self, image: i64, (x0, x1): (i64, i64)) {
        let (s, t) = (self.shape, self.tiling);
        self.window = Window::new(s, x0, x1);
        self.strip_first = x0 * s.sw - s.pl;
        if t.resident {
            self.row_base = image * s.h;
        } else {
            self.loaded.clear();
            self.row_base = self.next_row - s.input_rows(0, 1).0;
        }
    }

    fn block(&mut self, image: i64, block: Area, chunk: std::ops::Range<i64>) -> Result<(), CompileError> {
        let (s, t) = (self.shape, self.tiling);
        let config = &self.plan.config;
        let classes = Cutter::new(s, config).cut(block);
        let pitch = out_pitch(s, config, t.chunk, t.joint);
        let compute = classes
            .iter()
            .flat_map(|(_, chains)| chains)
            .map(|c| self.chain_cycles(c, c.pixels()))
            .sum::<i64>();
        let mut region = 0;
        let final_block = image == s.images - 1 && block.x1 == s.out_w && block.y1 == s.out_h;
        for index in chunk.clone() {
            let filter = s.filter(index);
            if index == chunk.start || !t.joint {
                region = self.reserve(block.pixels() * pitch);
            }
            let channel = if t.joint { filter.cout0 - s.filter(chunk.start).cout0 } else { 0 };
            let last = final_block && index == s.filters() - 1;
            let load = self.bus_cycles(s.words() * filter.cols * s.operand);
            let first = self.ops.len() == 1;
            // Nothing follows that could hide the last reductions behind the loads.
            let tail =
                final_block && index + 2 >= s.filters() && self.find(index).is_none() && 2 * load >= compute;
            let job = Job {
                image,
                block,
                filter,
                index,
                classes: &classes,
                out: (region + channel * s.operand, pitch),
                lazy: first || tail,
                sliced: t.sliced || first || tail,
            };
            let stored = if t.joint { (index + 1 == chunk.end).then_some(chunk.start) } else { Some(index) };
            self.job(&job, stored.map(|from| (from, region)), last)?;
        }
        Ok(())
    }

    /// A place in the output buffer.
    fn reserve(&mut self, bytes: i64) -> i64 {
        if self.next_out + bytes > i64::from(self.plan.config.obuf) {
            self.next_out = 0;
        }
        let at = self.next_out;
        self.next_out += bytes;
        at
    }

    fn chain_cycles(&self, chain: &Chain, pixels: i64) -> i64 {
        div_ceil(pixels, i64::from(self.plan.config.rows)) * chain.tile_cycles
    }

    fn job(&mut self, job: &Job<'_>, store: Option<(i64, i64)>, last: bool) -> Result<(), CompileError> {
        let slot = if self.tiling.sliced { 0 } else { self.slot(job.index) };
        // In overlapping slots the last rows must not need the weights that lie where the next group's go.
        let upwards = slot == 1 && self.overlap() > 0;
        if !job.lazy || upwards {
            self.load_rows(job.image, self.shape.input_rows(job.block.y0, job.block.y1))?;
        }
        if !job.lazy {
            if !self.tiling.sliced {
                let (overlap, words) = (self.overlap(), self.shape.words());
                let free = if upwards { (overlap, words) } else { (0, words - overlap) };
                self.load_weights(job, free)?;
                self.load_weights(job, (0, words))?;
            }
            self.load_params(job.index)?;
        }
        let mut first = true;
        for i in 0..job.classes.len() {
            let (area, chains) = &job.classes[if upwards { job.classes.len() - 1 - i } else { i }];
            for chain in chains {
                self.chain(job, chain, std::mem::take(&mut first))?;
            }
            if let Some((group, region)) = store {
                // The last stores are not hidden by anything, so they start as early as they can.
                if last {
                    self.store(job, (area.y0, area.y1), group, region)?;
                } else if i + 1 == job.classes.len() {
                    self.store(job, (job.block.y0, job.block.y1), group, region)?;
                }
            }
        }
        Ok(())
    }

    /// Words that two slots of the weight buffer share.
    fn overlap(&self) -> i64 {
        self.slots.get(1).map_or(0, |slot| (self.shape.words() - slot.word).max(0))
    }

    fn chain(&mut self, job: &Job<'_>, chain: &Chain, first: bool) -> Result<(), CompileError> {
        let rows = i64::from(self.plan.config.rows);
        let every = self.tiling.sliced;
        let mut rest = chain.areas.clone();
        if every || first && job.sliced {
            let n = rows.min(chain.pixels());
            let (head, tail) = split(&chain.areas, n);
            rest = tail;
            self.first_tile(job, chain, &head)?;
        }
        if rest.is_empty() {
            return Ok(());
        }
        let whole = self.whole(chain);
        let place = self.load_weights(job, self.tap_range(&whole))?;
        self.load_params(job.index)?;
        self.taps(job, chain, &whole, place, (true, true))?;
        let pieces: Vec<Area> = if job.lazy { rest.iter().flat_map(|a| pieces(*a)).collect() } else { rest };
        self.rects(job, chain, &whole, place, &pieces, true)
    }

    /// The first tile of a chain, its weights slice by slice.
    fn first_tile(&mut self, job: &Job<'_>, chain: &Chain, head: &[Area]) -> Result<(), CompileError> {
        let limit = if self.tiling.sliced { self.slice_words() } else { SLICE_WORDS };
        let slices = self.slices(chain, limit.min(MAX_SEGMENT));
        for (i, slice) in slices.iter().enumerate() {
            if i == 0 {
                for area in head {
                    self.load_area_rows(job, chain, area)?;
                }
            }
            let (start, end) = (i == 0, i + 1 == slices.len());
            let place = self.load_weights(job, self.tap_range(slice))?;
            if end || i == 1 {
                self.load_params(job.index)?;
            }
            self.taps(job, chain, slice, place, (start, end))?;
            self.rects(job, chain, slice, place, head, end)?;
        }
        Ok(())
    }

    fn slice_words(&self) -> i64 {
        (i64::from(self.plan.config.wbuf_words()) / SLICES).clamp(1, 4 * SLICE_WORDS)
    }

    /// Operands of a whole segment of a chain.
    fn segment(&self, chain: &Chain) -> i64 {
        let columns = if self.shape.merged() { chain.kx.1 - chain.kx.0 } else { 1 };
        columns * self.shape.group_cin
    }

    fn whole(&self, chain: &Chain) -> Slice {
        if chain.is_empty() {
            return Slice { ky: (0, 0), kx: (0, 0), c: (0, 1) };
        }
        Slice { ky: chain.ky, kx: chain.kx, c: (0, self.segment(chain)) }
    }

    /// Cuts the taps of a chain into slices of at most `limit` words of the weight buffer.
    fn slices(&self, chain: &Chain, limit: i64) -> Vec<Slice> {
        let whole = self.whole(chain);
        if self.length(&whole) <= limit {
            return vec![whole];
        }
        let row = Slice { ky: (whole.ky.0, whole.ky.0 + 1), ..whole };
        let row_pitch = self.shape.kw * self.shape.group_cin;
        if self.length(&row) <= limit {
            let n = ((limit - self.length(&row)) / row_pitch + 1).max(1);
            return cut_range(whole.ky, n).map(|ky| Slice { ky, ..whole }).collect();
        }
        let mut slices = Vec::new();
        for ky in cut_range(whole.ky, 1) {
            let columns: Vec<_> = if self.shape.merged() {
                vec![whole.kx]
            } else {
                cut_range(whole.kx, (limit / self.shape.group_cin).max(1)).collect()
            };
            for kx in columns {
                slices.extend(cut_range(whole.c, limit).map(|c| Slice { ky, kx, c }));
            }
        }
        slices
    }

    /// Numbers of the first tap and of the one after the last, in the order of the weights in memory.
    fn tap_range(&self, slice: &Slice) -> (i64, i64) {
        let s = self.shape;
        if slice.ky.0 == slice.ky.1 {
            return (s.taps(), s.taps() + 1);
        }
        let tap = |ky: i64, kx: i64, c: i64| (ky * s.kw + kx) * s.group_cin + c;
        let last = if s.merged() { slice.kx.0 } else { slice.kx.1 - 1 };
        (tap(slice.ky.0, slice.kx.0, slice.c.0), tap(slice.ky.1 - 1, last, slice.c.1 - 1) + 1)
    }

    fn length(&self, slice: &Slice) -> i64 {
        let (from, to) = self.tap_range(slice);
        to - from
    }

    // --- Loads ---

    fn load_area_rows(&mut self, job: &Job<'_>, chain: &Chain, area: &Area) -> Result<(), CompileError> {
        if chain.is_empty() {
            return Ok(());
        }
        self.load_rows(job.image, self.shape.input_rows(area.y0, area.y1))
    }

    /// Loads those of the input rows `from..to` that are not there.
    fn load_rows(&mut self, image: i64, (from, to): (i64, i64)) -> Result<(), CompileError> {
        let (s, t) = (self.shape, self.tiling);
        let stream = if t.resident { image } else { 0 };
        let next = self.loaded.get(&stream).copied().unwrap_or(from);
        let mut row = next.max(from);
        self.loaded.insert(stream, next.max(to));
        self.next_row = self.next_row.max(self.row_base + to);
        let pixel = s.pixel();
        let data = self.window.columns * pixel;
        while row < to {
            let slot = (self.row_base + row).rem_euclid(t.ring_rows);
            let mut count = (to - row).min(t.ring_rows - slot).min(MAX_COUNT);
            if s.row_pitch > MAX_STEP {
                count = 1;
            }
            let contiguous = s.row_pitch == data && count * data <= MAX_STEP;
            let (run_bytes, runs) = if contiguous { (count * data, 1) } else { (data, count) };
            // Rows without padding or gaps are one long row.
            let dense = contiguous && t.row_pitch == data && count * data <= MAX_PITCH;
            let dst = slot * t.row_pitch;
            let load = isa::Load {
                buffer: 0,
                src: field(
                    self.addresses.input
                        + image * s.image_pitch
                        + row * s.row_pitch
                        + self.window.first * pixel,
                ),
                run_bytes: field(run_bytes),
                runs: field(runs),
                run_pitch: if runs > 1 { field(s.row_pitch) } else { 0 },
                dst: field(dst + t.lead),
                dst_pitch: if count > 1 && !dense { field(t.row_pitch) } else { 0 },
                row_bytes: field(if dense { count * data } else { data }),
                pad_left: field(self.window.left * pixel),
                pad_right: field(self.window.right * pixel),
                fill: self.addresses.fill,
                ..isa::Load::default()
            };
            let touch = Touch::new(Buffer::Input, dst, dst + count * t.row_pitch);
            self.push(load, vec![touch], 3 + self.bus_cycles(count * data))?;
            row += count;
        }
        Ok(())
    }

    fn find(&self, index: i64) -> Option<usize> {
        self.slots.iter().position(|slot| slot.filter == Some(index))
    }

    /// Loads those of the weights `from..to` of a job's filter group that are not there.
    fn load_weights(&mut self, job: &Job<'_>, (from, to): (i64, i64)) -> Result<Place, CompileError> {
        if self.tiling.sliced {
            let size = self.slice_words();
            let word = self.slice % SLICES * size;
            self.slice += 1;
            self.load_taps(&job.filter, (from, to), word)?;
            return Ok(Place { word, first: from });
        }
        let slot = self.slot(job.index);
        let word = self.slots[slot].word;
        let mut missing = from;
        let loaded = std::mem::take(&mut self.slots[slot].loaded);
        for &(lo, hi) in &loaded {
            if missing < lo.min(to) {
                self.load_taps(&job.filter, (missing, lo.min(to)), word + missing)?;
            }
            missing = missing.max(hi);
        }
        if missing < to {
            self.load_taps(&job.filter, (missing, to), word + missing)?;
        }
        self.slots[slot].loaded = merge(loaded, (from, to));
        Ok(Place { word, first: 0 })
    }

    /// The slot of a filter group: where it is, or else the next one.
    fn slot(&mut self, index: i64) -> usize {
        if let Some(slot) = self.find(index) {
            return slot;
        }
        if self.overlap() > 0 {
            self.slots.iter_mut().for_each(|slot| slot.filter = None);
        }
        let slot = self.next_slot;
        self.next_slot = (slot + 1) % self.slots.len();
        self.slots[slot] = Slot { filter: Some(index), loaded: Vec::new(), ..self.slots[slot] };
        slot
    }

    fn load_taps(
        &mut self,
        filter: &FilterGroup,
        (from, to): (i64, i64),
        word: i64,
    ) -> Result<(), CompileError> {
        let stride = i64::from(self.plan.config.wbuf_stride());
        let row = filter.cols * self.shape.operand;
        let bytes = (to - from) * row;
        let load = isa::Load {
            buffer: 1,
            src: field(self.addresses.weights + filter.weights + from * row),
            run_bytes: field(bytes),
            runs: 1,
            dst: field(word * stride),
            dst_pitch: field(stride),
            row_bytes: field(row),
            ..isa::Load::default()
        };
        let touch = Touch::new(Buffer::Weights, word, word + to - from);
        let cycles = self.bus_cycles(bytes).max(to - from);
        self.push(load, vec![touch], 3 + cycles)
    }

    /// Loads the parameters of a filter group unless they are there.
    fn load_params(&mut self, index: i64) -> Result<(), CompileError> {
        let s = self.shape;
        if self.params_fit() {
            if index < self.params_loaded {
                return Ok(());
            }
            // First those that are needed, then all others at once.
            let from = s.filter(self.params_loaded).params;
            self.params_loaded = if self.params_loaded == 0 { index + 1 } else { s.filters() };
            return self.load_param_words(from, s.filter(self.params_loaded).params, from);
        }
        if self.params.contains(&Some(index)) {
            return Ok(());
        }
        let slot = self.next_params;
        self.next_params = (slot + 1) % self.params.len();
        self.params[slot] = Some(index);
        let filter = s.filter(index);
        let at = slot as i64 * i64::from(self.plan.config.chunks());
        self.load_param_words(filter.params, filter.params + filter.chunks, at)
    }

    fn params_fit(&self) -> bool {
        let words = i64::from(self.plan.config.pbuf_words()).min(MAX_COUNT);
        self.shape.filter(self.shape.filters()).params <= words
    }

    fn load_param_words(&mut self, from: i64, to: i64, at: i64) -> Result<(), CompileError> {
        let stride = i64::from(self.plan.config.pbuf_stride());
        let load = isa::Load {
            buffer: 2,
            src: field(self.addresses.params + from * stride),
            run_bytes: field((to - from) * stride),
            runs: 1,
            dst: field(at * stride),
            dst_pitch: field(stride),
            row_bytes: field(stride),
            ..isa::Load::default()
        };
        let touch = Touch::new(Buffer::Params, at, at + to - from);
        let cycles = 3 + self.bus_cycles((to - from) * stride);
        self.push(load, vec![touch], cycles)
    }

    /// Parameter buffer word of a filter group whose parameters are there.
    fn params_at(&self, job: &Job<'_>) -> i64 {
        if self.params_fit() {
            return job.filter.params;
        }
        let slot = self.params.iter().position(|p| *p == Some(job.index)).unwrap_or(0);
        slot as i64 * i64::from(self.plan.config.chunks())
    }

    // --- Compute ---

    fn taps(
        &mut self,
        job: &Job<'_>,
        chain: &Chain,
        slice: &Slice,
        place: Place,
        (first, last): (bool, bool),
    ) -> Result<(), CompileError> {
        let (s, t) = (self.shape, self.tiling);
        let (words, word_len, longs) = words_of(slice.c.1 - slice.c.0);
        let (from, _) = self.tap_range(slice);
        let n_kx = if chain.is_empty() || s.merged() { 1 } else { slice.kx.1 - slice.kx.0 };
        let n_ky = (slice.ky.1 - slice.ky.0).max(1);
        let segments = n_kx * (slice.c.1 - slice.c.0);
        let taps = isa::Taps {
            first,
            last,
            n_ky: field(n_ky),
            n_kx: field(n_kx),
            ky_pitch: if n_ky > 1 { field(s.dh * t.row_pitch) } else { 0 },
            kx_pitch: if n_kx > 1 { field(s.dw * s.pixel()) } else { 0 },
            words: field(words),
            word_len: field(word_len),
            longs: field(longs),
            w_base: field(place.word + from - place.first),
            w_kx_skip: 0,
            w_ky_skip: if n_ky > 1 { field(s.kw * s.group_cin - segments) } else { 0 },
            p_base: field(if last { self.params_at(job) } else { 0 }),
            chunks: field(job.filter.chunks),
        };
        self.push(taps, Vec::new(), 0)
    }

    fn rects(
        &mut self,
        job: &Job<'_>,
        chain: &Chain,
        slice: &Slice,
        place: Place,
        areas: &[Area],
        last: bool,
    ) -> Result<(), CompileError> {
        let (s, t) = (self.shape, self.tiling);
        let (out, out_pixel) = job.out;
        let out_row = job.block.width() * out_pixel;
        let (from, to) = self.tap_range(slice);
        let params = self.params_at(job);
        let ring = t.ring_rows * t.row_pitch;
        for (i, area) in areas.iter().enumerate() {
            if job.lazy {
                self.load_area_rows(job, chain, area)?;
            }
            let (nx, ny) = (area.width(), area.height());
            let out_base = out + (area.y0 - job.block.y0) * out_row + (area.x0 - job.block.x0) * out_pixel;
            let mut touches = vec![Touch::new(
                Buffer::Weights,
                place.word + from - place.first,
                place.word + to - place.first,
            )];
            if last {
                let end = out_base + (ny - 1) * out_row + (nx - 1) * out_pixel + job.filter.cols * s.operand;
                touches.push(Touch::new(Buffer::Params, params, params + job.filter.chunks));
                touches.push(Touch::new(Buffer::Output, out_base, end));
            }
            let mut in_base = 0;
            if !chain.is_empty() {
                let first = area.y0 * s.sh - s.pt + slice.ky.0 * s.dh;
                let last = (area.y1 - 1) * s.sh - s.pt + (slice.ky.1 - 1) * s.dh;
                let slot = (self.row_base + first).rem_euclid(t.ring_rows);
                let column = area.x0 * s.sw - s.pl + slice.kx.0 * s.dw;
                let offset = column - (self.window.first - self.window.left);
                in_base = slot * t.row_pitch
                    + t.lead
                    + offset * s.pixel()
                    + (job.filter.cin0 + slice.c.0) * s.operand;
                let (lo, hi) = (slot * t.row_pitch, (slot + last - first + 1) * t.row_pitch);
                touches.push(Touch::new(Buffer::Input, lo, hi.min(ring)));
                if hi > ring {
                    touches.push(Touch::new(Buffer::Input, 0, hi - ring));
                }
            }
            let rect = isa::Rect {
                chain: i + 1 < areas.len(),
                in_base: field(in_base),
                in_x: if nx > 1 && !chain.is_empty() { field(s.sw * s.pixel()) } else { 0 },
                in_y: if ny > 1 && !chain.is_empty() { field(s.sh * t.row_pitch) } else { 0 },
                out_base: field(out_base),
                out_x: if nx > 1 { field(out_pixel) } else { 0 },
                out_y: if ny > 1 { field(out_row) } else { 0 },
                nx: field(nx),
                ny: field(ny),
                ..isa::Rect::default()
            };
            let share = (to - from).min(chain.tile_cycles);
            let cycles = nx * ny * chain.tile_cycles.min(share.max(1)) / i64::from(self.plan.config.rows);
            self.push(rect, touches, cycles)?;
        }
        Ok(())
    }

    // --- Stores ---

    /// Stores output rows of a block, with the channels of the filter groups from `first` to the job's own.
    fn store(
        &mut self,
        job: &Job<'_>,
        (y0, y1): (i64, i64),
        first: i64,
        region: i64,
    ) -> Result<(), CompileError> {
        let s = self.shape;
        let (_, pitch) = job.out;
        let block = job.block;
        let width = block.width();
        let channel = s.filter(first).cout0;
        let bytes = (job.filter.cout0 + job.filter.cols - channel) * s.operand;
        let whole_rows = width == s.out_w;
        let dense = bytes == s.out_pixel();
        // Rows per instruction: all, if they can be described as equal runs.
        let step = match (dense, whole_rows) {
            (true, true) => ((MAX_PITCH / (width * pitch)).max(1)).min(MAX_STEP / (width * bytes)).max(1),
            (true, false) if s.out_w * s.out_pixel() <= MAX_STEP => MAX_COUNT,
            (false, true) => (MAX_COUNT / width).max(1),
            _ => 1,
        };
        let mut y = y0;
        while y < y1 {
            let n = step.min(y1 - y);
            let src = region + (y - block.y0) * width * pitch;
            let (run_bytes, runs, run_pitch) = match (dense, whole_rows) {
                (true, true) => (n * width * bytes, 1, 0),
                (true, false) => (width * bytes, n, s.out_w * s.out_pixel()),
                (false, _) => (bytes, n * width, s.out_pixel()),
            };
            let stream = n * width * bytes;
            let (seg_bytes, seg_pitch) =
                if bytes == pitch && stream <= MAX_PITCH { (stream, 0) } else { (bytes, pitch) };
            let pixel = (job.image * s.out_h + y) * s.out_w + block.x0;
            let store = isa::Store {
                src: field(src),
                seg_bytes: field(seg_bytes),
                seg_pitch: field(seg_pitch),
                dst: field(self.addresses.output + pixel * s.out_pixel() + channel * s.operand),
                run_bytes: field(run_bytes),
                runs: field(runs),
                run_pitch: if runs > 1 { field(run_pitch) } else { 0 },
                ..isa::Store::default()
            };
            let touch = Touch::new(Buffer::Output, src, src + n * width * pitch);
            let cycles = runs * self.bus_cycles(run_bytes).max(if runs > 1 { 6 } else { 1 });
            self.push(store, vec![touch], cycles)?;
            y += n;
        }
        Ok(())
    }
}

/// The first `n` pixels of a chain of rectangles, and the others.
fn split(areas: &[Area], mut n: i64) -> (Vec<Area>, Vec<Area>) {
    let (mut head, mut tail) = (Vec::new(), Vec::new());
    for area in areas {
        let take = n.min(area.pixels());
        n -= take;
        let (a, b) = area.split(take);
        head.extend(a);
        tail.extend(b);
    }
    (head, tail)
}

/// Rows of a rectangle in pieces of 1, 2, 4 … rows.
fn pieces(area: Area) -> Vec<Area> {
    let (mut pieces, mut y, mut rows) = (Vec::new(), area.y0, 1);
    while y < area.y1 {
        let end = if area.y1 - y < 2 * rows { area.y1 } else { y + rows };
        pieces.push(Area { y0: y, y1: end, ..area });
        (y, rows) = (end, 2 * rows);
    }
    pieces
}

/// Cuts a range into parts of `n`, the last one smaller.
fn cut_range((from, to): (i64, i64), n: i64) -> impl Iterator<Item = (i64, i64)> {
    (from..to).step_by(n.max(1) as usize).map(move |at| (at, (at + n.max(1)).min(to)))
}

/// Sorted disjoint ranges with one more.
fn merge(mut ranges: Vec<(i64, i64)>, range: (i64, i64)) -> Vec<(i64, i64)> {
    ranges.push(range);
    ranges.sort_unstable();
    let mut merged: Vec<(i64, i64)> = Vec::new();
    for (lo, hi) in ranges {
        match merged.last_mut() {
            Some(last) if lo <= last.1 => last.1 = last.1.max(hi),
            _ => merged.push((lo, hi)),
        }
    }
    merged
}

/// A field's value. What does not fit 32 bits becomes what no field can hold, and encoding refuses it.
pub fn field(value: i64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

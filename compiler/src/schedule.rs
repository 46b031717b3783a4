//! Writes a plan down as operations in the order of a reader: what each job needs is loaded just before it.
//!
//! Overlap and tokens are the business of [`crate::order`]; here only the order of reads and writes matters.

use std::collections::HashMap;

use spec::isa;

use crate::cut::{Area, Chain, Cutter, words_of};
use crate::layout::Addresses;
use crate::order::{self, Op, Touch};
use crate::plan::{MAX_COUNT, MAX_PITCH, Plan, SLICE_WORDS, SLICES, Tiling, Window, out_pitch};
use crate::shape::{FilterGroup, Kernel, Place, Shape, div_ceil, round_up};
use crate::{CompileError, MAX_SEGMENT};

/// Operations beyond which a program is refused.
const MAX_OPS: usize = 1 << 22;
/// Cycles in which a new step waits for the array and the drain, about.
const BARRIER: i64 = 60;
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
struct Weights {
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
    /// Offset of the block's first pixel and this group's first channel among the outputs, and bytes between rows and
    /// between pixels.
    out: (i64, i64, i64),
    /// The first filter group of its chunk.
    chunk: i64,
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

/// What a step sets before it computes.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// Number formats, kernel and layer number; the ring is filled in.
    pub quant: isa::Quant,
    /// What happens to a second operand, and whether a table follows.
    pub post: Option<isa::Post>,
    /// The table.
    pub table: Option<Box<[u8; 256]>>,
    /// The second operand is one pixel, the same for all.
    pub broadcast: bool,
    /// Writes padding of the outputs, before the first of them.
    pub fills: Vec<Op>,
}

/// What one step after the other adds to: the operations, and which parts of the buffers were used last, so that the
/// next step starts in others and can be loaded ahead.
#[derive(Default)]
pub struct Schedule {
    /// Operations in reading order.
    pub ops: Vec<Op>,
    /// Ends of the rows loaded last, by activation buffer.
    rows: [i64; 3],
    /// Ends of the outputs or second operands placed last, by activation buffer.
    regions: [i64; 3],
    weights: i64,
    params: i64,
}

impl Schedule {
    /// Adds an operation.
    pub fn push(
        &mut self,
        instruction: impl Into<isa::Instruction>,
        touches: Vec<Touch>,
        cycles: i64,
    ) -> Result<(), CompileError> {
        if self.ops.len() >= MAX_OPS {
            return Err(CompileError::new(format!(
                "program of more than {MAX_OPS} instructions: use larger buffers or a smaller layer"
            )));
        }
        self.ops.push(Op { instruction: instruction.into(), touches, cycles });
        Ok(())
    }

    /// `bytes` of a buffer's first `room`, after those taken last.
    fn region(&mut self, buffer: u32, room: i64, bytes: i64) -> i64 {
        let end = &mut self.regions[buffer as usize];
        if *end + bytes > room {
            *end = 0;
        }
        *end += bytes;
        *end - bytes
    }
}

struct Scheduler<'a> {
    shape: &'a Shape,
    tiling: Tiling,
    plan: &'a Plan,
    addresses: Addresses,
    broadcast: bool,
    fills: Vec<Op>,
    schedule: &'a mut Schedule,
    /// Nothing comes before this step, or after it.
    first: bool,
    last: bool,
    /// Ring position of the step's first row, and of row 0 of the current stream of rows.
    ring_start: i64,
    row_base: i64,
    /// One past the last row loaded of each stream: of each image, or only of the current one.
    loaded: HashMap<i64, i64>,
    next_row: i64,
    window: Window,
    slots: Vec<Slot>,
    next_slot: usize,
    slice: i64,
    params: Vec<Option<i64>>,
    params_base: i64,
    next_params: usize,
    params_loaded: i64,
    /// Region of the second operands of the current block and chunk of filter groups, and the rows that are there.
    second: i64,
    second_rows: Vec<(i64, i64)>,
    jobs: i64,
}

/// What of a plan the operations of a layer on its own depend on, apart from the layer and the config without the sizes of its
/// buffers: equal numbers mean the same program.
pub fn fingerprint(plan: &Plan) -> Vec<i64> {
    let (s, t, config) = (&plan.shape, &plan.tiling, &plan.config);
    let flags = [t.joint, t.sliced, t.resident].map(i64::from);
    let mut numbers = vec![s.pack, t.strip, t.band, t.chunk, t.row_pitch, t.lead, t.ring_rows];
    numbers.extend(flags);
    // Overlapping slots end where the buffer does.
    numbers.push(match t.slots {
        _ if t.sliced => -slice_words(config),
        1 if s.filters() > 1 => -t.weight_words,
        slots => slots.min(s.filters()),
    });
    let words = i64::from(config.pbuf_words()).min(MAX_COUNT);
    numbers.push(if s.param_words() <= words { -1 } else { words / i64::from(config.chunks()) });
    // The outputs that do not fit behind those before them.
    if let Place::Memory { room, .. } = s.places.output {
        let pitch = out_pitch(s, config, t.chunk, t.joint);
        let (mut end, mut number) = (0, 0);
        for first in (0..s.filters()).step_by(t.chunk as usize) {
            let regions = if t.joint { 1 } else { t.chunk.min(s.filters() - first) };
            let strips = (0..s.images).flat_map(|_| (0..s.out_w).step_by(t.strip as usize));
            for width in strips.map(|x0| t.strip.min(s.out_w - x0)) {
                for y0 in (0..s.out_h).step_by(t.band as usize) {
                    let bytes = width * t.band.min(s.out_h - y0) * pitch;
                    for _ in 0..regions {
                        if end + bytes > room {
                            end = 0;
                            numbers.push(number);
                        }
                        end += bytes;
                        number += 1;
                    }
                }
            }
        }
    }
    numbers
}

/// All operations of a plan.
pub fn schedule(plan: &Plan, addresses: Addresses, setup: Setup) -> Result<Vec<Op>, CompileError> {
    let mut schedule = Schedule::default();
    add(&mut schedule, plan, addresses, setup, true)?;
    Ok(schedule.ops)
}

/// Adds the operations of a step; after the `last`, nothing follows.
pub fn add(
    schedule: &mut Schedule,
    plan: &Plan,
    addresses: Addresses,
    setup: Setup,
    last: bool,
) -> Result<(), CompileError> {
    let (shape, config) = (&plan.shape, &plan.config);
    let words = i64::from(config.pbuf_words()).min(MAX_COUNT);
    let param_slots = words / i64::from(config.chunks());
    let tiling = plan.tiling;
    let first = schedule.ops.is_empty();
    let ring = match shape.places.input {
        Place::Memory { .. } => field(tiling.ring_rows * tiling.row_pitch),
        Place::Chip { buffer, .. } => [config.ibuf, config.obuf, config.rbuf][buffer as usize],
    };
    let op = match shape.kernel {
        Kernel::Dense | Kernel::ByChannel => 0,
        Kernel::Sum => 1,
        Kernel::Largest => 2,
    };
    let quant = isa::Quant { ring, depth: !shape.dense(), op, ..setup.quant };
    schedule.push(quant, Vec::new(), if first { 0 } else { BARRIER })?;
    if let Some(post) = setup.post {
        schedule.push(post, Vec::new(), 1)?;
    }
    for (index, entries) in setup.table.iter().flat_map(|t| t.as_chunks::<16>().0).enumerate() {
        let [d0, d1, d2, d3] = [0, 4, 8, 12]
            .map(|i| u32::from_le_bytes([entries[i], entries[i + 1], entries[i + 2], entries[i + 3]]));
        schedule.push(isa::Table { index: index as u32, d0, d1, d2, d3 }, Vec::new(), 1)?;
    }
    let row = div_ceil(schedule.rows[shape.places.input.buffer() as usize], tiling.row_pitch);
    let ring_start = if shape.places.input.on_chip() { 0 } else { row.rem_euclid(tiling.ring_rows) };
    let total = shape.param_words();
    let params_base = if schedule.params + total <= words { schedule.params } else { 0 };
    if total <= words {
        schedule.params = params_base + total;
    }
    let mut scheduler = Scheduler {
        shape,
        tiling,
        plan,
        addresses,
        broadcast: setup.broadcast,
        fills: setup.fills,
        slots: places(plan, schedule.weights)
            .into_iter()
            .map(|word| Slot { word, ..Slot::default() })
            .collect(),
        schedule,
        first,
        last,
        ring_start,
        row_base: 0,
        loaded: HashMap::new(),
        next_row: ring_start,
        window: Window::new(shape, 0, shape.out_w),
        next_slot: 0,
        slice: 0,
        params: vec![None; param_slots as usize],
        params_base,
        next_params: 0,
        params_loaded: 0,
        second: 0,
        second_rows: Vec::new(),
        jobs: 0,
    };
    scheduler.run()?;
    let end = scheduler.next_row.rem_euclid(tiling.ring_rows) * tiling.row_pitch;
    let used = scheduler.slots.get(scheduler.next_slot.wrapping_sub(1)).or(scheduler.slots.last());
    let weights = used.map_or(0, |slot| slot.word + shape.words());
    if !shape.places.input.on_chip() {
        scheduler.schedule.rows[shape.places.input.buffer() as usize] = end;
    }
    if shape.words() > 0 {
        scheduler.schedule.weights = weights;
    }
    Ok(())
}

/// First words of the slots of the weight buffer, from `start` on and round. Where two filter groups almost fit, they
/// overlap: the next group's weights are loaded but for those that the current one still needs.
fn places(plan: &Plan, start: i64) -> Vec<i64> {
    let (words, capacity) = (plan.shape.words(), plan.tiling.weight_words);
    let filters = plan.shape.filters();
    let count = plan.tiling.slots.min(filters);
    if plan.tiling.slots == 1 && filters > 1 {
        return vec![0, capacity - words];
    }
    let upwards = (0..count).map(|i| start + i * words).take_while(|at| at + words <= capacity);
    let round = (0..count).map(|i| i * words).take_while(|at| at + words <= start);
    let around: Vec<i64> = upwards.chain(round).take(count as usize).collect();
    // What must all be there has no room for a gap.
    let needed = if plan.tiling.chunk <= plan.tiling.slots { plan.tiling.chunk.max(2) } else { 2 };
    if around.len() as i64 >= needed.min(count) { around } else { (0..count).map(|i| i * words).collect() }
}

impl Scheduler<'_> {
    fn push(
        &mut self,
        instruction: impl Into<isa::Instruction>,
        touches: Vec<Touch>,
        cycles: i64,
    ) -> Result<(), CompileError> {
        self.schedule.push(instruction, touches, cycles)
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
        if t.resident {
            self.row_base = self.ring_start + image * s.h;
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
            .map(|c| Cutter::new(s, config).cycles(c))
            .sum::<i64>();
        let mut region = 0;
        self.start_seconds(block, &chunk);
        let final_block = image == s.images - 1 && block.x1 == s.out_w && block.y1 == s.out_h;
        for index in chunk.clone() {
            let filter = s.filter(index);
            let (out, row, pitch) = match s.places.output {
                Place::Memory { buffer, room, .. } => {
                    if index == chunk.start || !t.joint {
                        region = self.schedule.region(buffer, room, block.pixels() * pitch);
                    }
                    let channel = if t.joint { filter.cout0 - s.filter(chunk.start).cout0 } else { 0 };
                    (region + channel * s.operand, block.width() * pitch, pitch)
                }
                Place::Chip { offset, pixel, .. } => {
                    let first = offset + block.y0 * s.out_row + block.x0 * pixel;
                    (first + filter.cout0 * s.operand, s.out_row, pixel)
                }
            };
            let last = final_block && index == s.filters() - 1;
            let load = self.bus_cycles(s.words() * filter.cols * s.operand);
            let starts = self.jobs == 0 && !s.places.input.on_chip();
            let first = self.first && self.jobs == 0;
            self.jobs += 1;
            // Nothing follows that could hide the last reductions behind the loads.
            let tail = self.last
                && s.dense()
                && final_block
                && index + 2 >= s.filters()
                && self.find(index).is_none()
                && 2 * load >= compute;
            let job = Job {
                image,
                block,
                filter,
                index,
                classes: &classes,
                out: (out, row, pitch),
                chunk: chunk.start,
                lazy: starts || first || tail,
                sliced: t.sliced || s.dense() && (first || tail),
            };
            let stored = match (s.places.output.on_chip(), t.joint) {
                (true, _) => None,
                (_, true) => (index + 1 == chunk.end).then_some(chunk.start),
                _ => Some(index),
            };
            self.job(&job, stored.map(|from| (from, region)), last)?;
        }
        Ok(())
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
        match self.slots[..] {
            [Slot { word: low, .. }, Slot { word: high, .. }, ..] if low < high => {
                (low + self.shape.words() - high).max(0)
            }
            _ => 0,
        }
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
        self.taps(job, chain, &whole, place, true)?;
        let pieces: Vec<Area> = if job.lazy { rest.iter().flat_map(|a| pieces(*a)).collect() } else { rest };
        self.rects(job, chain, &whole, place, &pieces, true)
    }

    /// The first tile of a chain, its weights slice by slice.
    fn first_tile(&mut self, job: &Job<'_>, chain: &Chain, head: &[Area]) -> Result<(), CompileError> {
        let limit = if self.tiling.sliced { slice_words(&self.plan.config) } else { SLICE_WORDS };
        let slices = self.slices(chain, limit.min(MAX_SEGMENT));
        for (i, slice) in slices.iter().enumerate() {
            if i == 0 {
                for area in head {
                    self.load_area_rows(job, chain, area)?;
                }
            }
            let end = i + 1 == slices.len();
            let place = self.load_weights(job, self.tap_range(slice))?;
            if end || i == 1 {
                self.load_params(job.index)?;
            }
            self.taps(job, chain, slice, place, end)?;
            self.rects(job, chain, slice, place, head, end)?;
        }
        Ok(())
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
        let Place::Memory { buffer, .. } = s.places.input else { return Ok(()) };
        let stream = if t.resident { image } else { 0 };
        let next = self.loaded.get(&stream).copied().unwrap_or(from);
        let mut row = next.max(from);
        self.loaded.insert(stream, next.max(to));
        self.next_row = self.next_row.max(self.row_base + to);
        let (pixel, columns) = (s.pixel(), self.window.columns);
        let data = columns * pixel;
        // Pixels that are apart, in memory or in the buffer, are runs or rows of their own.
        let apart = columns > 1 && s.memory_pixel != pixel;
        let spread = columns > 1 && s.buffer_pixel != pixel;
        let whole = s.row_pitch == columns * s.memory_pixel;
        while row < to {
            let slot = (self.row_base + row).rem_euclid(t.ring_rows);
            let mut count = (to - row).min(t.ring_rows - slot).min(MAX_COUNT);
            if apart {
                count = if whole { count.min(MAX_COUNT / columns).max(1) } else { 1 };
            } else if s.row_pitch > MAX_STEP {
                count = 1;
            }
            let contiguous = s.row_pitch == data && count * data <= MAX_STEP;
            let (run_bytes, runs, run_pitch) = match (apart, contiguous) {
                (true, _) => (pixel, count * columns, s.memory_pixel),
                (_, true) => (count * data, 1, 0),
                _ => (data, count, s.row_pitch),
            };
            // Rows without padding or gaps are one long row.
            let dense = whole && !spread && t.row_pitch == data && count * data <= MAX_PITCH;
            if spread && t.row_pitch != columns * s.buffer_pixel {
                count = 1;
            }
            let (runs, run_bytes) = match (apart, contiguous) {
                (true, _) => (runs.min(count * columns), run_bytes),
                (_, true) => (1, count * data),
                _ => (count, run_bytes),
            };
            let (row_bytes, dst_pitch) = match (spread, dense) {
                (true, _) => (pixel, s.buffer_pixel),
                (_, true) => (count * data, 0),
                _ => (data, if count > 1 { t.row_pitch } else { 0 }),
            };
            let dst = slot * t.row_pitch;
            let first = self.addresses.input
                + image * s.image_pitch
                + row * s.row_pitch
                + self.window.first * s.memory_pixel;
            let load = isa::Load {
                buffer: 0,
                src: field(first),
                run_bytes: field(run_bytes),
                runs: field(runs),
                run_pitch: if runs > 1 { field(run_pitch) } else { 0 },
                dst: isa::activation(buffer, field(dst + t.lead)),
                dst_pitch: field(dst_pitch),
                row_bytes: field(row_bytes),
                pad_left: field(self.window.left * s.buffer_pixel),
                pad_right: field(self.window.right * s.buffer_pixel),
                fill: self.addresses.fill,
                ..isa::Load::default()
            };
            let touches = vec![
                Touch::new(order::Place::Activations(buffer), dst, dst + count * t.row_pitch),
                Touch::port(order::Place::WritePort(buffer)),
                Touch::new(
                    order::Place::Memory,
                    first,
                    first + (count - 1) * s.row_pitch + columns * s.memory_pixel,
                ),
            ];
            let pieces = if apart { runs * self.bus_cycles(pixel) } else { self.bus_cycles(count * data) };
            self.push(load, touches, 3 + pieces)?;
            row += count;
        }
        Ok(())
    }

    // --- Second operands ---

    /// A block and chunk of filter groups follows.
    fn start_seconds(&mut self, block: Area, chunk: &std::ops::Range<i64>) {
        if let Some(Place::Memory { buffer, room, .. }) = self.shape.places.second {
            let pixels = if self.broadcast { 1 } else { block.pixels() };
            self.second_rows.clear();
            self.second = self.schedule.region(buffer, room, pixels * self.second_pitch(chunk.start));
        }
    }

    /// Channels of the chunk of filter groups that starts with `first`.
    fn chunk_channels(&self, first: i64) -> i64 {
        let end = (first + self.tiling.chunk).min(self.shape.filters());
        let last = self.shape.filter(end - 1);
        last.cout0 + last.cols - self.shape.filter(first).cout0
    }

    /// Bytes between the second operands of pixels on their way.
    fn second_pitch(&self, first: i64) -> i64 {
        round_up(self.chunk_channels(first), self.plan.config.lanes.into()) * self.shape.operand
    }

    /// Loads those of the second operands of rows `y0..y1` of a job's block that are not there.
    fn load_seconds(&mut self, job: &Job<'_>, (y0, y1): (i64, i64)) -> Result<(), CompileError> {
        let s = self.shape;
        let Some(Place::Memory { buffer, pixel, .. }) = s.places.second else { return Ok(()) };
        let (y0, y1) = if self.broadcast { (0, 1) } else { (y0, y1) };
        if self.second_rows.iter().any(|&(lo, hi)| lo <= y0 && y1 <= hi) {
            return Ok(());
        }
        self.second_rows = merge(std::mem::take(&mut self.second_rows), (y0, y1));
        let pitch = self.second_pitch(job.chunk);
        let bytes = self.chunk_channels(job.chunk) * s.operand;
        let channel = s.filter(job.chunk).cout0 * s.operand;
        let block = job.block;
        let (width, x0, first_row) =
            if self.broadcast { (1, 0, 0) } else { (block.width(), block.x0, block.y0) };
        let dense = bytes == pixel && bytes == pitch;
        let whole = self.broadcast || width == s.out_w;
        let rows_at_once = match (dense, whole) {
            (true, true) => (MAX_PITCH / (width * bytes)).max(1),
            (false, true) => (MAX_COUNT / width).max(1),
            _ => 1,
        };
        let mut y = y0;
        while y < y1 {
            let n = rows_at_once.min(y1 - y);
            let from = self.addresses.second
                + ((job.image * s.out_h + y) * s.out_w + x0) * if self.broadcast { 0 } else { pixel }
                + channel;
            let dst = self.second + (y - first_row) * width * pitch;
            let (run_bytes, runs) = if dense { (n * width * bytes, 1) } else { (bytes, n * width) };
            let load = isa::Load {
                buffer: 0,
                src: field(from),
                run_bytes: field(run_bytes),
                runs: field(runs),
                run_pitch: if runs > 1 { field(pixel) } else { 0 },
                dst: isa::activation(buffer, field(dst)),
                dst_pitch: if dense { 0 } else { field(pitch) },
                row_bytes: field(run_bytes),
                ..isa::Load::default()
            };
            let touches = vec![
                Touch::new(order::Place::Activations(buffer), dst, dst + n * width * pitch),
                Touch::port(order::Place::WritePort(buffer)),
                Touch::new(order::Place::Memory, from, from + n * width * pixel),
            ];
            self.push(load, touches, 3 + runs * self.bus_cycles(run_bytes))?;
            y += n;
        }
        Ok(())
    }

    /// Address of the second operand of an area's first pixel and a job's first channel, bytes between pixels and rows,
    /// and what is read.
    fn second_of(&self, job: &Job<'_>, area: &Area) -> Option<(u32, i64, i64, Touch)> {
        let s = self.shape;
        let (buffer, base, pixel, row, channel) = match s.places.second? {
            Place::Memory { buffer, .. } => {
                let pitch = self.second_pitch(job.chunk);
                let row = job.block.width() * pitch;
                let from = (area.y0 - job.block.y0) * row + (area.x0 - job.block.x0) * pitch;
                let channel = job.filter.cout0 - s.filter(job.chunk).cout0;
                (buffer, self.second + if self.broadcast { 0 } else { from }, pitch, row, channel)
            }
            Place::Chip { buffer, offset, pixel, row } => {
                let from = if self.broadcast { 0 } else { area.y0 * row + area.x0 * pixel };
                (buffer, offset + from, pixel, row, job.filter.cout0)
            }
        };
        let at = base + channel * s.operand;
        let (pixel, row) = if self.broadcast { (0, 0) } else { (pixel, row) };
        let end = at + (area.height() - 1) * row + (area.width() - 1) * pixel + job.filter.cols * s.operand;
        let touch = Touch::new(order::Place::Activations(buffer), at, end);
        Some((isa::activation(buffer, field(at)), pixel, row, touch))
    }

    fn find(&self, index: i64) -> Option<usize> {
        self.slots.iter().position(|slot| slot.filter == Some(index))
    }

    /// Loads those of the weights `from..to` of a job's filter group that are not there.
    fn load_weights(&mut self, job: &Job<'_>, (from, to): (i64, i64)) -> Result<Weights, CompileError> {
        if self.shape.taps() == 0 {
            return Ok(Weights { word: 0, first: 0 });
        }
        if self.tiling.sliced {
            let size = slice_words(&self.plan.config);
            let word = self.slice % SLICES * size;
            self.slice += 1;
            self.load_taps(&job.filter, (from, to), word)?;
            return Ok(Weights { word, first: from });
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
        Ok(Weights { word, first: 0 })
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
        let touch = Touch::new(order::Place::Weights, word, word + to - from);
        let cycles = self.bus_cycles(bytes).max(to - from);
        self.push(load, vec![touch], 3 + cycles)
    }

    /// Loads the parameters of a filter group unless they are there.
    fn load_params(&mut self, index: i64) -> Result<(), CompileError> {
        let s = self.shape;
        if !s.counts.is_empty() {
            if self.params_loaded == 0 {
                self.params_loaded = 1;
                self.load_param_words(0, s.param_words(), self.params_base)?;
            }
            return Ok(());
        }
        if self.params_fit() {
            if index < self.params_loaded {
                return Ok(());
            }
            // First those that are needed, then all others at once.
            let from = s.filter(self.params_loaded).params;
            self.params_loaded = if self.params_loaded == 0 { index + 1 } else { s.filters() };
            let to = s.filter(self.params_loaded).params;
            return self.load_param_words(from, to, self.params_base + from);
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
        self.shape.param_words() <= words
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
        let touch = Touch::new(order::Place::Params, at, at + to - from);
        let cycles = 3 + self.bus_cycles((to - from) * stride);
        self.push(load, vec![touch], cycles)
    }

    /// Parameter buffer word of a filter group whose parameters are there.
    fn params_at(&self, job: &Job<'_>, chain: &Chain) -> i64 {
        let s = self.shape;
        if s.kernel == Kernel::Sum {
            let taps = (chain.ky.1 - chain.ky.0) * (chain.kx.1 - chain.kx.0);
            let class = s.counts.iter().position(|n| *n == taps).unwrap_or(0);
            return self.params_base + class as i64 * s.shared_chunks();
        }
        if s.kernel == Kernel::Largest {
            return self.params_base;
        }
        if self.params_fit() {
            return self.params_base + job.filter.params;
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
        place: Weights,
        last: bool,
    ) -> Result<(), CompileError> {
        let (s, t) = (self.shape, self.tiling);
        if !s.dense() {
            return self.depth(job, chain, place);
        }
        let (words, word_len, longs) = words_of(slice.c.1 - slice.c.0);
        let (from, _) = self.tap_range(slice);
        let n_kx = if chain.is_empty() || s.merged() { 1 } else { slice.kx.1 - slice.kx.0 };
        let n_ky = (slice.ky.1 - slice.ky.0).max(1);
        let segments = n_kx * (slice.c.1 - slice.c.0);
        let taps = isa::Taps {
            last,
            n_ky: field(n_ky),
            n_kx: field(n_kx),
            ky_pitch: if n_ky > 1 { field(s.dh * t.row_pitch) } else { 0 },
            kx_pitch: if n_kx > 1 { field(s.dw * s.buffer_pixel) } else { 0 },
            words: field(words),
            word_len: field(word_len),
            longs: field(longs),
            w_base: field(place.word + from - place.first),
            w_kx_skip: 0,
            w_ky_skip: if n_ky > 1 { field(s.kw * s.group_cin - segments) } else { 0 },
            p_base: field(if last { self.params_at(job, chain) } else { 0 }),
            chunks: field(job.filter.chunks),
        };
        self.push(taps, Vec::new(), 0)
    }

    /// The reduction by channel of a chain.
    fn depth(&mut self, job: &Job<'_>, chain: &Chain, place: Weights) -> Result<(), CompileError> {
        let (s, t) = (self.shape, self.tiling);
        let columns = chain.kx.1 - chain.kx.0;
        if chain.is_empty() {
            return Err(CompileError::new(format!(
                "`{}` has windows outside its map: use less padding",
                self.plan.layer
            )));
        }
        // Neighbouring taps of a segment are as far apart as pixels.
        let (segments, taps) = if s.dw > 1 { (columns, 1) } else { (1, columns) };
        let phases = taps.min(s.sw);
        let long = div_ceil(taps, phases);
        let x0 = chain.areas.iter().map(|a| a.x0).min().unwrap_or(0);
        let column = x0 * s.sw - s.pl + chain.kx.0 * s.dw;
        let depth = isa::Depth {
            n_ky: field(chain.ky.1 - chain.ky.0),
            n_kx: field(segments),
            ky_pitch: field(s.dh * t.row_pitch),
            kx_pitch: field(s.dw * s.buffer_pixel),
            phases: field(phases),
            taps: field(long),
            longs: field(taps - phases * (long - 1)),
            phase_pitch: field(s.buffer_pixel),
            w_base: field(place.word + chain.ky.0 * s.kw),
            p_base: field(self.params_at(job, chain)),
            chunks: field(job.filter.chunks),
            stride: field(s.sw),
            kx_step: field(s.dw),
            pad: field((-column).max(0)),
            width: field(s.w - column.max(0)),
        };
        self.push(depth, Vec::new(), 0)
    }

    fn rects(
        &mut self,
        job: &Job<'_>,
        chain: &Chain,
        slice: &Slice,
        place: Weights,
        areas: &[Area],
        last: bool,
    ) -> Result<(), CompileError> {
        let (s, t) = (self.shape, self.tiling);
        let (out, out_row, out_pixel) = job.out;
        let target = s.places.output.buffer();
        let source = s.places.input.buffer();
        let (from, to) = self.tap_range(slice);
        let params = self.params_at(job, chain);
        // They wait for what was in their place, so the first weights go ahead of them.
        self.schedule.ops.append(&mut self.fills);
        for (i, area) in areas.iter().enumerate() {
            if job.lazy {
                self.load_area_rows(job, chain, area)?;
            }
            if last {
                self.load_seconds(job, (area.y0, area.y1))?;
            }
            let (nx, ny) = (area.width(), area.height());
            let out_base = out + (area.y0 - job.block.y0) * out_row + (area.x0 - job.block.x0) * out_pixel;
            let mut touches = vec![
                Touch::port(order::Place::ReadPort(source)),
                Touch::port(order::Place::WritePort(target)),
            ];
            if s.taps() > 0 {
                let words = (place.word + from - place.first, place.word + to - place.first);
                touches.push(Touch::new(order::Place::Weights, words.0, words.1));
            }
            let mut second = (0, 0, 0);
            if last {
                let end = out_base + (ny - 1) * out_row + (nx - 1) * out_pixel + job.filter.cols * s.operand;
                touches.push(Touch::new(order::Place::Params, params, params + job.filter.chunks));
                touches.push(Touch::new(order::Place::Activations(target), out_base, end));
                if let Some((base, pixel, row, touch)) = self.second_of(job, area) {
                    second = (base, pixel, row);
                    touches.push(touch);
                    touches.push(Touch::port(order::Place::ReadPort(base >> isa::OFFSET_BITS)));
                }
            }
            let mut in_base = isa::activation(source, 0);
            if !chain.is_empty() {
                let first = area.y0 * s.sh - s.pt + slice.ky.0 * s.dh;
                let rows = (area.height() - 1) * s.sh + (slice.ky.1 - 1 - slice.ky.0) * s.dh + 1;
                let column = area.x0 * s.sw - s.pl + slice.kx.0 * s.dw;
                let channel = (job.filter.cin0 + slice.c.0) * s.operand;
                let place = order::Place::Activations(source);
                let (offset, ring) = match s.places.input {
                    Place::Chip { offset, pixel, .. } => {
                        let at = offset + first * t.row_pitch;
                        // The first row's padding lies before it.
                        touches.push(Touch::new(place, at - s.pl * pixel, at + rows * t.row_pitch));
                        let bytes = [self.plan.config.ibuf, self.plan.config.obuf, self.plan.config.rbuf];
                        (at + column * pixel, i64::from(bytes[source as usize]))
                    }
                    Place::Memory { .. } => {
                        let ring = t.ring_rows * t.row_pitch;
                        let slot = (self.row_base + first).rem_euclid(t.ring_rows);
                        let (lo, hi) = (slot * t.row_pitch, (slot + rows) * t.row_pitch);
                        touches.push(Touch::new(place, lo, hi.min(ring)));
                        if hi > ring {
                            touches.push(Touch::new(place, 0, hi - ring));
                        }
                        let columns = column - (self.window.first - self.window.left);
                        (lo + t.lead + columns * s.buffer_pixel, ring)
                    }
                };
                // By channel, the first tap may lie before the map: then before the ring's start, which is its end.
                in_base = isa::activation(source, field((offset + channel).rem_euclid(ring)));
            }
            let step = |pixels: i64, bytes: i64| if pixels > 1 { field(bytes) } else { 0 };
            let reads = !chain.is_empty();
            let rect = isa::Rect {
                chain: s.dense() && i + 1 < areas.len(),
                in_base,
                in_x: if reads && (nx > 1 || !s.dense()) { field(s.sw * s.buffer_pixel) } else { 0 },
                in_y: if reads { step(ny, s.sh * t.row_pitch) } else { 0 },
                out_base: isa::activation(target, field(out_base)),
                out_x: step(nx, out_pixel),
                out_y: step(ny, out_row),
                nx: field(nx),
                ny: field(ny),
                res_base: second.0,
                res_x: step(nx, second.1),
                res_y: step(ny, second.2),
                ..isa::Rect::default()
            };
            let share = if s.dense() { (to - from).min(chain.tile_cycles) } else { chain.tile_cycles };
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
        let Place::Memory { buffer, .. } = s.places.output else { return Ok(()) };
        let (.., pitch) = job.out;
        let block = job.block;
        let width = block.width();
        let channel = s.filter(first).cout0;
        let bytes = (job.filter.cout0 + job.filter.cols - channel) * s.operand;
        let whole_rows = width * s.out_pixel == s.out_row;
        let dense = bytes == s.out_pixel;
        // Rows per instruction: all, if they can be described as equal runs.
        let step = match (dense, whole_rows) {
            (true, true) => ((MAX_PITCH / (width * pitch)).max(1)).min(MAX_STEP / (width * bytes)).max(1),
            (true, false) if s.out_row <= MAX_STEP => MAX_COUNT,
            (false, true) => (MAX_COUNT / width).max(1),
            _ => 1,
        };
        let mut y = y0;
        while y < y1 {
            let n = step.min(y1 - y);
            let src = region + (y - block.y0) * width * pitch;
            let (run_bytes, runs, run_pitch) = match (dense, whole_rows) {
                (true, true) => (n * width * bytes, 1, 0),
                (true, false) => (width * bytes, n, s.out_row),
                (false, _) => (bytes, n * width, s.out_pixel),
            };
            let stream = n * width * bytes;
            let (seg_bytes, seg_pitch) =
                if bytes == pitch && stream <= MAX_PITCH { (stream, 0) } else { (bytes, pitch) };
            let row = job.image * s.out_h + y;
            let dst = self.addresses.output + row * s.out_row + block.x0 * s.out_pixel + channel * s.operand;
            let store = isa::Store {
                src: isa::activation(buffer, field(src)),
                seg_bytes: field(seg_bytes),
                seg_pitch: field(seg_pitch),
                dst: field(dst),
                run_bytes: field(run_bytes),
                runs: field(runs),
                run_pitch: if runs > 1 { field(run_pitch) } else { 0 },
                ..isa::Store::default()
            };
            let rows = (n - 1) * s.out_row + width * s.out_pixel;
            let touches = vec![
                Touch::new(order::Place::Activations(buffer), src, src + n * width * pitch),
                Touch::port(order::Place::ReadPort(buffer)),
                Touch::new(order::Place::Memory, dst, dst + rows),
            ];
            let cycles = runs * self.bus_cycles(run_bytes).max(if runs > 1 { 6 } else { 1 });
            self.push(store, touches, cycles)?;
            y += n;
        }
        Ok(())
    }
}

/// Words of a slice, where a whole reduction does not fit the weight buffer.
fn slice_words(config: &spec::Config) -> i64 {
    (i64::from(config.wbuf_words()) / SLICES).clamp(1, 4 * SLICE_WORDS)
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

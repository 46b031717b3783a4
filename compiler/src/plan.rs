//! Chooses how a layer is tiled: the fewest memory bytes, and among those the fewest estimated cycles.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use spec::Config;
use spec::config::WORD;
use spec::layer::Layer;

use crate::cut::{Area, Cutter, clip};
use crate::shape::{Kernel, Place, Places, Shape, div_ceil, round_up};
use crate::{CompileError, MAX_SEGMENT};

/// Largest value of a 20-bit field: pitches and row bytes.
pub const MAX_PITCH: i64 = (1 << 20) - 1;
/// Largest count of pixels in a row, rows, or runs of one instruction.
pub const MAX_COUNT: i64 = 65_535;
/// Weight buffer words that an instruction can address.
const MAX_WORDS: i64 = (1 << 20) - 1;
/// Bus cycles of a store's run apart from those of its bytes, with the burst's share of the latency.
const RUN_CYCLES: i64 = 6;
/// Words per slice where a reduction follows its weights as they arrive.
pub const SLICE_WORDS: i64 = 256;
/// Slices in the weight buffer at a time, where a whole reduction does not fit.
pub const SLICES: i64 = 4;
/// Blocks whose inputs, weights or outputs a layer on its own has in the buffers at a time, at most.
const AHEAD: i64 = 4;

/// How the work is divided: for each chunk of filter groups, for each image, for each strip of columns, for each
/// band of rows, for each filter group of the chunk: one job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tiling {
    /// Output columns of a strip.
    pub strip: i64,
    /// Output rows of a band.
    pub band: i64,
    /// Filter groups of a chunk.
    pub chunk: i64,
    /// Outputs of all filter groups of a chunk are stored together.
    pub joint: bool,
    /// A reduction does not fit the weight buffer and is cut into slices, tile by tile.
    pub sliced: bool,
    /// Input buffer bytes between rows.
    pub row_pitch: i64,
    /// Unused bytes at the start of each input buffer row, for the sake of alignment.
    pub lead: i64,
    /// Rows of the input ring.
    pub ring_rows: i64,
    /// The ring holds every row of every image.
    pub resident: bool,
    /// Words of the weight buffer that instructions can address.
    pub weight_words: i64,
    /// Filter groups that the weight buffer holds.
    pub slots: i64,
}

/// What a plan costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// Bytes of tensors that cross the bus.
    pub bytes: i64,
    /// Those of them that have crossed it before.
    pub again: i64,
    /// Estimated cycles.
    pub cycles: i64,
}

/// What the blocks of a layer cost to compute. It does not depend on the sizes of buffers, so plans of the same layer
/// and places on configs that differ in these can share it.
#[derive(Clone, Debug, Default)]
pub struct Costs {
    /// By channel groups packed into one.
    packs: HashMap<i64, BlockCosts>,
}

#[derive(Clone, Debug, Default)]
struct BlockCosts {
    /// Of row classes: by number of kernel rows, columns and height.
    classes: HashMap<(i64, i64, i64, i64), i64>,
    /// Of all blocks of an image and one filter group: by strip and band.
    images: HashMap<(i64, i64), i64>,
}

/// A layer's tiling on a config.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The layer.
    pub layer: Layer,
    /// The config.
    pub config: Config,
    /// Where its tensors are, as asked for: the shape may see them otherwise.
    pub(crate) places: Places,
    pub(crate) shape: Shape,
    pub(crate) tiling: Tiling,
    estimate: Estimate,
}

impl Plan {
    /// Chooses the tiling of a step whose tensors are in these places.
    pub fn new(layer: &Layer, config: &Config, kernel: Kernel, places: Places) -> Result<Self, CompileError> {
        Self::with_costs(layer, config, kernel, places, &mut Costs::default())
    }

    /// The same, with the costs of earlier calls, which may have differed in the sizes of buffers only.
    pub fn with_costs(
        layer: &Layer,
        config: &Config,
        kernel: Kernel,
        places: Places,
        costs: &mut Costs,
    ) -> Result<Self, CompileError> {
        if kernel != Kernel::Dense {
            let shape = Shape::new(layer, config, kernel, places, 1);
            let words = i64::from(config.pbuf_words());
            if !shape.counts.is_empty() && shape.param_words() > words {
                let (need, have) = (shape.param_words(), config.pbuf);
                return Err(CompileError::new(format!(
                    "parameter buffer of {have} bytes: windows of {} sizes need {}; use a larger pbuf or less padding",
                    shape.counts.len(),
                    need * i64::from(config.pbuf_stride())
                )));
            }
            return Self::of_shape(layer, config, (places, shape), costs);
        }
        let groups = i64::from(layer.groups);
        let most = i64::from(config.cols / layer.group_cout().min(config.cols)).min(groups);
        let pack = (1..=most).rev().find(|p| groups % p == 0).unwrap_or(1);
        let mut plans: Vec<Self> = Vec::new();
        let mut error = None;
        for pack in BTreeSet::from([1, pack]) {
            let shape = Shape::new(layer, config, kernel, places, pack);
            match Self::of_shape(layer, config, (places, shape), costs) {
                Ok(plan) => plans.push(plan),
                Err(e) => error = Some(e),
            }
        }
        // Zeros between packed channel groups cost bytes, but a column per group costs more cycles than they.
        plans
            .into_iter()
            .min_by_key(|p| p.estimate.cycles)
            .ok_or_else(|| error.unwrap_or_else(CompileError::internal))
    }

    fn of_shape(
        layer: &Layer,
        config: &Config,
        (places, shape): (Places, Shape),
        costs: &mut Costs,
    ) -> Result<Self, CompileError> {
        let costs = costs.packs.entry(shape.pack).or_default();
        let mut chooser = Chooser { cutter: Cutter::new(&shape, config), shape: &shape, config, costs };
        let (tiling, estimate) = chooser.best()?;
        Ok(Self { layer: *layer, config: config.clone(), places, shape, tiling, estimate })
    }

    /// The same without what a layer on its own has no use for: room for more of its inputs, weights and outputs ahead than
    /// a few blocks want. So the plans for larger and larger buffers become one.
    pub fn trimmed(mut self) -> Self {
        let (s, t) = (&mut self.shape, &mut self.tiling);
        if !t.resident {
            let unit = i64::from(WORD) * s.operand;
            let rows = (AHEAD * t.band - 1) * s.sh + (s.kh - 1) * s.dh + 1;
            let rows =
                round_up(rows.max(least_ring(s, &self.config, t.row_pitch)), period(t.row_pitch, unit));
            t.ring_rows = t.ring_rows.min(rows);
        }
        if !t.sliced {
            t.slots = t.slots.min(if t.chunk <= t.slots { 2 * t.chunk } else { AHEAD });
        }
        let regions = if t.joint { AHEAD } else { AHEAD.max(t.chunk) };
        let wanted = regions * t.band * t.strip * out_pitch(s, &self.config, t.chunk, t.joint);
        if let Place::Memory { room, .. } = &mut s.places.output {
            *room = wanted.min(*room);
        }
        self
    }

    /// Bytes of inputs, weights, parameters and outputs that the program moves over the bus, about.
    pub fn bytes(&self) -> u64 {
        self.estimate.bytes as u64
    }

    /// Whether no byte of the inputs, weights and parameters crosses the bus twice. (No output ever does.)
    pub fn is_once_only(&self) -> bool {
        self.estimate.again == 0
    }

    /// Estimated cycles.
    pub fn cycles(&self) -> u64 {
        self.estimate.cycles as u64
    }

    /// The name of the strategy.
    pub fn strategy(&self) -> &'static str {
        let t = &self.tiling;
        let bands =
            div_ceil(self.shape.out_h, t.band) * div_ceil(self.shape.out_w, t.strip) * self.shape.images;
        match (t.sliced, t.slots >= self.shape.filters(), t.resident) {
            (true, ..) => "weights streamed in slices",
            (_, true, true) => "all resident",
            (_, true, false) => "weights resident, inputs streamed",
            (_, false, true) if t.chunk <= t.slots || bands == 1 => "inputs resident, weights streamed",
            (_, false, _) if t.chunk < self.shape.filters() => {
                "chunks of weights resident, inputs streamed for each"
            }
            _ => "bands of inputs resident, weights streamed for each",
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (t, s) = (&self.tiling, &self.shape);
        writeln!(f, "{} on {}: {}", self.layer, self.config.name, self.strategy())?;
        if s.pack > 1 {
            writeln!(f, "  {} channel groups packed into one, zeros between", s.pack)?;
        }
        writeln!(
            f,
            "  {} filter groups of up to {} channels in chunks of {}; weight buffer holds {}",
            s.filters(),
            s.group_cout.min(i64::from(self.config.cols)),
            t.chunk,
            t.slots
        )?;
        writeln!(
            f,
            "  outputs {} x {} in bands of {} rows and strips of {} columns, stored {}",
            s.out_h,
            s.out_w,
            t.band,
            t.strip,
            if t.joint { "per chunk" } else { "per filter group" }
        )?;
        writeln!(f, "  inputs in {} rows of {} bytes", t.ring_rows, t.row_pitch)?;
        write!(f, "  about {} cycles, {} bytes", self.estimate.cycles, self.estimate.bytes)
    }
}

/// The input columns that a strip of output columns reads.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// First input column in memory.
    pub first: i64,
    /// Input columns in memory.
    pub columns: i64,
    /// Columns of padding before them.
    pub left: i64,
    /// Columns of padding after them.
    pub right: i64,
}

impl Window {
    /// For output columns `x0..x1`.
    pub fn new(shape: &Shape, x0: i64, x1: i64) -> Self {
        let lo = x0 * shape.sw - shape.pl;
        let hi = (x1 - 1) * shape.sw - shape.pl + (shape.kw - 1) * shape.dw + 1;
        // By channel, the array skips padding.
        let padding = if shape.dense() { |n: i64| n.max(0) } else { |_| 0 };
        let (left, right) = (padding(-lo), padding(hi - shape.w));
        if x1 - x0 == shape.out_w {
            // Whole rows are one run in memory, even if the last columns are of no use.
            return Self { first: 0, columns: shape.w, left, right };
        }
        let (first, end) = (lo.max(0), hi.min(shape.w));
        Self { first, columns: end - first, left, right }
    }

    /// Columns including padding.
    pub fn width(&self) -> i64 {
        self.left + self.columns + self.right
    }
}

struct Chooser<'a> {
    shape: &'a Shape,
    config: &'a Config,
    cutter: Cutter<'a>,
    costs: &'a mut BlockCosts,
}

impl Chooser<'_> {
    fn best(&mut self) -> Result<(Tiling, Estimate), CompileError> {
        let s = self.shape;
        let words = i64::from(self.config.wbuf_words()).min(MAX_WORDS);
        if !s.dense() && s.words() > words {
            return Err(CompileError::new(format!(
                "weight buffer of {words} words: a window of {} needs as many; use a larger wbuf or a smaller kernel",
                s.words()
            )));
        }
        let rows = i64::from(self.config.rows);
        let one_tile = s.images * s.out_h * s.out_w <= rows;
        let sliced = s.dense()
            && (s.words() > words || s.group_cin > MAX_SEGMENT || one_tile && 2 * s.words() > words);
        let mut best: Option<(Tiling, Estimate)> = None;
        let mut feasible = 0;
        for parts in 1..=s.out_w {
            let strip = div_ceil(s.out_w, parts);
            if parts > 1 && (strip == div_ceil(s.out_w, parts - 1) || s.places.input.on_chip())
                || sliced && strip > rows
                || strip > MAX_COUNT
            {
                continue;
            }
            let mut found = false;
            for (chunk, joint) in self.chunks(sliced, words) {
                for tiling in self.bands(strip, chunk, joint, sliced, words) {
                    let estimate = self.estimate(&tiling);
                    found = true;
                    let order =
                        |e: &Estimate| (e.bytes, if s.places.once { e.again } else { 0 }, e.cycles, e.again);
                    if best.as_ref().is_none_or(|(_, least)| order(&estimate) < order(least)) {
                        best = Some((tiling, estimate));
                    }
                }
            }
            feasible += i32::from(found);
            if feasible == 2 {
                break;
            }
        }
        best.ok_or_else(|| self.too_small())
    }

    fn too_small(&self) -> CompileError {
        let s = self.shape;
        let rows = ((s.kh - 1) * s.dh + 1).min(s.h);
        let width = ((s.kw - 1) * s.dw + 1).min(s.w + s.pl);
        CompileError::new(format!(
            "input buffer with room for {} bytes: one output needs {} ({rows} rows of {width} columns of {} channels, at most \
             {MAX_PITCH} bytes a row); use a larger ibuf, a smaller kernel or fewer channels",
            self.input_room(),
            rows * width * s.buffer_pixel,
            s.cin
        ))
    }

    /// Sizes of chunks of filter groups, and whether to store them together.
    fn chunks(&self, sliced: bool, words: i64) -> BTreeSet<(i64, bool)> {
        let s = self.shape;
        let slots = if sliced { 0 } else { self.slots(words) };
        let all = s.filters();
        let sizes = [all, slots, slots - 1, slots / 2, 1].map(|n| n.clamp(1, all));
        let aligned = s.groups == 1 || s.group_cout % i64::from(self.config.lanes) == 0;
        let joint = move |n: i64| if n > 1 && aligned { vec![false, true] } else { vec![false] };
        // The second operands of a chunk lie side by side.
        let sizes = if s.places.second.is_some() && !aligned { [1; 5] } else { sizes };
        sizes.into_iter().flat_map(|n| joint(n).into_iter().map(move |j| (n, j))).collect()
    }

    /// Filter groups that the weight buffer holds.
    fn slots(&self, words: i64) -> i64 {
        words.checked_div(self.shape.words()).unwrap_or(self.shape.filters())
    }

    /// Bytes of the input buffer for rows on their way.
    fn input_room(&self) -> i64 {
        match self.shape.places.input {
            Place::Memory { room, .. } => room,
            Place::Chip { .. } => i64::MAX / 2,
        }
    }

    /// Bytes of an output pixel in the output buffer.
    fn out_pitch(&self, chunk: i64, joint: bool) -> i64 {
        out_pitch(self.shape, self.config, chunk, joint)
    }

    fn bands(&self, strip: i64, chunk: i64, joint: bool, sliced: bool, words: i64) -> Vec<Tiling> {
        let s = self.shape;
        let (row_pitch, lead) = self.row_pitch(strip);
        let out_pitch = self.out_pitch(chunk, joint);
        let capacity = self.input_room() / row_pitch;
        let all_rows = s.images * s.h;
        let reach = (s.kh - 1) * s.dh + 1;
        let least = least_ring(s, self.config, row_pitch);
        let resident = strip == s.out_w && capacity >= all_rows.max(least);
        let ring_rows = if resident { all_rows.max(least) } else { self.aligned_ring(capacity, row_pitch) };
        if ring_rows < least {
            return Vec::new();
        }
        let most_rows = |rows: i64, per: i64| if rows < reach { 0 } else { (rows - reach) / per + 1 };
        let by_ring = if ring_rows >= s.h { s.out_h } else { most_rows(ring_rows, s.sh) };
        let by_room = |place: Option<Place>, pitch: i64| match place {
            Some(Place::Memory { room, .. }) => room / (strip * pitch),
            _ => i64::MAX / 4,
        };
        // Second operands of a whole chunk are loaded together.
        let by_obuf = by_room(Some(s.places.output), out_pitch)
            .min(by_room(s.places.second, self.out_pitch(chunk, true)));
        let limit = by_ring.min(by_obuf).min(s.out_h).min(MAX_COUNT);
        if limit < 1 || row_pitch > MAX_PITCH || out_pitch > MAX_PITCH {
            return Vec::new();
        }
        let rows = i64::from(self.config.rows);
        let heights: BTreeSet<i64> = if sliced {
            BTreeSet::from([(rows / strip).clamp(1, limit)])
        } else {
            let ahead = if resident { s.out_h } else { most_rows(ring_rows, 2 * s.sh).max(1) };
            let double = (by_obuf / 2).max(1).min(limit);
            let tops = [limit, ahead.min(limit), double, double.min(ahead)];
            let whole = tops.map(|h| h / rows * rows);
            let balanced = tops.map(|h| div_ceil(s.out_h, div_ceil(s.out_h, h)));
            let near = (1..=40).chain(tops.into_iter().flat_map(|h| (h - 4).max(1)..=h));
            near.chain(tops).chain(whole).chain(balanced).filter(|h| (1..=limit).contains(h)).collect()
        };
        let slots = if sliced { 0 } else { self.slots(words) };
        let tiling = |band| Tiling {
            strip,
            band,
            chunk,
            joint,
            sliced,
            row_pitch,
            lead,
            ring_rows,
            resident,
            weight_words: words,
            slots,
        };
        heights.into_iter().map(tiling).collect()
    }

    /// Input buffer bytes between rows, and the unused ones at the start of each: such that memory and buffer words
    /// are aligned to each other, if that wastes little.
    fn row_pitch(&self, strip: i64) -> (i64, i64) {
        let s = self.shape;
        if s.places.input.on_chip() {
            return (s.row_pitch, 0);
        }
        let windows =
            (0..s.out_w).step_by(strip as usize).map(|x| Window::new(s, x, (x + strip).min(s.out_w)));
        let (width, left) = windows.fold((0, 0), |(w, l), n| (n.width().max(w), n.left.max(l)));
        let dense = width * s.buffer_pixel;
        if !s.dense() {
            return (dense, 0);
        }
        let unit = i64::from(WORD) * s.operand;
        let lead = round_up(left * s.buffer_pixel, unit) - left * s.buffer_pixel;
        let aligned = lead + dense;
        let aligned = aligned + (s.row_pitch - aligned).rem_euclid(unit);
        let fits = aligned * s.images * s.h <= self.input_room();
        if fits || aligned - dense <= dense / 8 { (aligned, lead) } else { (dense, 0) }
    }

    /// A number of ring rows at which a wrap keeps the alignment of rows.
    fn aligned_ring(&self, capacity: i64, row_pitch: i64) -> i64 {
        let period = period(row_pitch, i64::from(WORD) * self.shape.operand);
        if capacity > 4 * period { capacity - capacity % period } else { capacity }
    }

    fn estimate(&mut self, t: &Tiling) -> Estimate {
        let s = self.shape;
        let bus = i64::from(self.config.bus_bytes());
        let filters = s.filters();
        let (passes, bands, strips) =
            (div_ceil(filters, t.chunk), div_ceil(s.out_h, t.band), div_ceil(s.out_w, t.strip));
        let blocks = s.images * strips * bands;
        let jobs = blocks * filters;

        let (row0, row1) = s.input_rows(0, s.out_h);
        let (mut columns, mut shared, mut right) = (0, 0, 0);
        for (x0, x1) in self.strips(t) {
            let window = Window::new(s, x0, x1);
            columns += window.columns;
            // Neighbouring strips may leave out the map's last columns, so their bytes alone would not tell.
            shared += (right - window.first).clamp(0, window.columns);
            right = right.max(window.first + window.columns);
        }
        let streamed = |place: Option<Place>| i64::from(place.is_some_and(|p| !p.on_chip()));
        let column = s.images * (row1 - row0) * s.pixel() * streamed(Some(s.places.input));
        let inputs = column * columns * if t.resident { 1 } else { passes };
        let inputs_once = column * (columns - shared);
        let end = s.filter(filters);
        let passes_of = |fits: bool| if fits || blocks == 1 { 1 } else { blocks };
        let weight_passes = passes_of(!t.sliced && t.chunk <= t.slots);
        let weights = end.weights * weight_passes;
        let param_words = i64::from(self.config.pbuf_words()).min(MAX_COUNT);
        let params_fit =
            s.param_words() <= param_words || t.chunk * i64::from(self.config.chunks()) <= param_words;
        let params_once = s.param_words() * i64::from(self.config.pbuf_stride());
        let params = params_once * passes_of(params_fit);
        let elements = s.images * s.out_h * s.out_w * s.cout * s.operand;
        let outputs = elements * streamed(Some(s.places.output));
        let seconds = elements * streamed(s.places.second);
        let bytes = inputs + weights + params + seconds + outputs;

        let pixels = s.images * s.out_h * s.out_w;
        let contiguous = (t.joint && t.chunk == filters || filters == 1) && s.out_pixel == s.cout * s.operand;
        // Runs of contiguous bytes: of a block, of its rows, or of its pixels.
        let runs = match (contiguous, strips) {
            (true, 1) if s.out_row == s.out_w * s.out_pixel => blocks,
            (true, _) => blocks * t.band,
            _ => pixels * passes,
        };
        let store = outputs / bus + if outputs == 0 { 0 } else { runs * RUN_CYCLES };
        let store = if contiguous || t.joint || outputs == 0 {
            store
        } else {
            outputs / bus + pixels * filters * RUN_CYCLES
        };
        let load = (inputs + weights + params + seconds) / bus;
        let code = (jobs * 8 + blocks * 4) * spec::isa::INSTRUCTION_BYTES as i64 / bus;
        let compute = self.compute(t) * filters * s.images;

        let region = t.band * t.strip * self.out_pitch(t.chunk, t.joint);
        let reach = (s.kh - 1) * s.dh + 1;
        let mut exposed = 0;
        if let Place::Memory { room, .. } = s.places.output
            && 2 * region > room
        {
            exposed += store;
        }
        if !t.resident && (2 * t.band - 1) * s.sh + reach > t.ring_rows {
            exposed += inputs / bus;
        }
        if !t.sliced && t.slots < 2 && filters > 1 && (s.rows.len() == 1 || bands > 1) {
            let overlap = (2 * s.words() - t.weight_words).max(0);
            exposed += weights / bus * overlap / s.words().max(1);
        }
        let tail = store * if t.joint { 1 } else { t.chunk } / (blocks * filters).max(1);
        // A block's first tile waits for the array, its last one for the drain.
        let cycles = compute.max(load + store + code) + exposed + tail + jobs * 2;
        let again = inputs + weights + params - inputs_once - end.weights - params_once;
        Estimate { bytes, again, cycles }
    }

    fn strips(&self, t: &Tiling) -> impl Iterator<Item = (i64, i64)> + use<'_> {
        let (strip, width) = (t.strip, self.shape.out_w);
        (0..width).step_by(strip as usize).map(move |x| (x, (x + strip).min(width)))
    }

    /// Cycles of all blocks of an image and one filter group.
    fn compute(&mut self, t: &Tiling) -> i64 {
        if let Some(cycles) = self.costs.images.get(&(t.strip, t.band)) {
            return *cycles;
        }
        let height = self.shape.out_h;
        // Strips of the same column classes cost the same.
        let mut strips = HashMap::new();
        for (x0, x1) in self.strips(t) {
            let classes: Vec<_> =
                clip(&self.shape.columns, x0, x1).map(|s| (s.hi - s.lo, s.k0, s.k1)).collect();
            strips.entry(classes).or_insert((0, (x0, x1))).0 += 1;
        }
        let mut cycles = 0;
        for (count, (x0, x1)) in strips.into_values() {
            if self.shape.rows.len() == 1 {
                // Any number of equal bands.
                cycles += count * (height / t.band) * self.block(Area { y0: 0, y1: t.band, x0, x1 });
                cycles += count * self.block(Area { y0: 0, y1: height % t.band, x0, x1 });
            } else {
                for y0 in (0..height).step_by(t.band as usize) {
                    cycles += count * self.block(Area { y0, y1: (y0 + t.band).min(height), x0, x1 });
                }
            }
        }
        self.costs.images.insert((t.strip, t.band), cycles);
        cycles
    }

    fn block(&mut self, block: Area) -> i64 {
        let mut cycles = 0;
        for (ky, area) in self.cutter.row_classes(block) {
            let cutter = self.cutter;
            cycles += *self
                .costs
                .classes
                .entry((ky.1 - ky.0, area.x0, area.x1, area.height()))
                .or_insert_with(|| cutter.cut_class(ky, area).iter().map(|c| cutter.cycles(c)).sum());
        }
        cycles
    }
}

/// Fewest rows of a ring. By channel, the columns beyond the map that a tile looks at have addresses, which wrap at most
/// once.
fn least_ring(s: &Shape, config: &Config, row_pitch: i64) -> i64 {
    let columns = (i64::from(config.rows) - 1) * s.sw + (s.kw - 1) * s.dw + 1;
    if s.dense() { 0 } else { (s.kh - 1) * s.dh + div_ceil(columns * s.buffer_pixel, row_pitch) }
}

/// The fewest rows that are a multiple of `unit` bytes together.
fn period(row_pitch: i64, unit: i64) -> i64 {
    (1..=unit).find(|n| n * row_pitch % unit == 0).unwrap_or(1)
}

/// Bytes of an output pixel in the output buffer: the channels of a chunk of filter groups, or of one group, in
/// whole lanes.
pub fn out_pitch(shape: &Shape, config: &Config, chunk: i64, joint: bool) -> i64 {
    let cols = shape.group_cout.min(i64::from(config.cols));
    let channels = if joint { (chunk * cols).min(shape.cout) } else { cols };
    round_up(channels, i64::from(config.lanes)) * shape.operand
}

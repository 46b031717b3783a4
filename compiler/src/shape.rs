//! A layer as the machine sees it: what can be simplified is, and the filter groups are counted.
//!
//! All quantities are `i64`: positions may be negative (padding), and nothing here can overflow it.

use spec::Config;
use spec::config::WORD;
use spec::layer::Layer;

/// Weights of a filter group start at a multiple of this many bytes.
const WEIGHT_ALIGN: i64 = 64;

/// How outputs come from inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kernel {
    /// Every output channel from all input channels of its group.
    Dense,
    /// Every output channel from the input channel of its own number, by sums of activations times weights.
    ByChannel,
    /// The same, by sums of activations.
    Sum,
    /// The same, by the largest activation.
    Largest,
}

/// Where a step finds or puts a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// In memory; it passes through the first `room` bytes of a buffer.
    Memory {
        /// The activation buffer.
        buffer: u32,
        /// Bytes of it.
        room: i64,
        /// Bytes between pixels in memory.
        pixel: i64,
        /// Bytes between rows in memory.
        row: i64,
    },
    /// In a buffer, all of it.
    Chip {
        /// The activation buffer.
        buffer: u32,
        /// Offset of the first pixel.
        offset: i64,
        /// Bytes between pixels.
        pixel: i64,
        /// Bytes between rows.
        row: i64,
    },
}

impl Place {
    /// The activation buffer.
    pub fn buffer(&self) -> u32 {
        match self {
            Self::Memory { buffer, .. } | Self::Chip { buffer, .. } => *buffer,
        }
    }

    /// Whether it is on chip all the time.
    pub fn on_chip(&self) -> bool {
        matches!(self, Self::Chip { .. })
    }

    /// Bytes between pixels: in memory, or else on chip.
    pub fn pixel(&self) -> i64 {
        match self {
            Self::Memory { pixel, .. } | Self::Chip { pixel, .. } => *pixel,
        }
    }

    /// The same pixels, one to a row.
    fn tall(self) -> Self {
        match self {
            Self::Memory { buffer, room, pixel, .. } => Self::Memory { buffer, room, pixel, row: pixel },
            Self::Chip { buffer, offset, pixel, .. } => Self::Chip { buffer, offset, pixel, row: pixel },
        }
    }

    /// Bytes between rows: in memory, or else on chip.
    pub fn row(&self) -> i64 {
        match self {
            Self::Memory { row, .. } | Self::Chip { row, .. } => *row,
        }
    }
}

/// The places of a step's tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Places {
    /// What the array reads.
    pub input: Place,
    /// What is added to or multiplied with the outputs.
    pub second: Option<Place>,
    /// The outputs.
    pub output: Place,
    /// Of plans that move as many bytes, that with the fewest fetched again is wanted, however many cycles it takes.
    pub once: bool,
}

impl Places {
    /// A layer on its own: everything in memory, with all of the input and the output buffer to pass through.
    pub fn alone(layer: &Layer, config: &Config) -> Self {
        let operand = i64::from(config.operand_bytes());
        let place = |buffer, room: u32, width: u32, channels: u32| {
            let pixel = i64::from(channels) * operand;
            Place::Memory { buffer, room: room.into(), pixel, row: i64::from(width) * pixel }
        };
        Self {
            input: place(0, config.ibuf, layer.w, layer.cin),
            second: None,
            output: place(1, config.obuf, layer.out_w(), layer.cout),
            once: true,
        }
    }
}

/// Consecutive output positions of one axis that have the same taps inside the map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First output position.
    pub lo: i64,
    /// One past the last output position.
    pub hi: i64,
    /// First tap inside the map.
    pub k0: i64,
    /// One past the last tap inside the map; `k0` where no tap is.
    pub k1: i64,
}

impl Span {
    /// Whether no tap lies inside the map.
    pub fn is_empty(&self) -> bool {
        self.k0 == self.k1
    }
}

/// The columns of one filter group: output channels that the array computes together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilterGroup {
    /// First input channel.
    pub cin0: i64,
    /// First output channel.
    pub cout0: i64,
    /// Output channels, at most the columns of the array.
    pub cols: i64,
    /// Byte offset of its weights in the weight tensor.
    pub weights: i64,
    /// Parameter words (chunks of lanes) before it.
    pub params: i64,
    /// Parameter words of its own.
    pub chunks: i64,
}

/// A layer prepared for a config.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // The names of `LayerSpec`.
pub struct Shape {
    /// Operand bytes.
    pub operand: i64,
    pub kernel: Kernel,
    pub places: Places,
    pub images: i64,
    pub h: i64,
    pub w: i64,
    pub cin: i64,
    pub cout: i64,
    pub kh: i64,
    pub kw: i64,
    pub sh: i64,
    pub sw: i64,
    pub pt: i64,
    pub pl: i64,
    pub dh: i64,
    pub dw: i64,
    pub out_h: i64,
    pub out_w: i64,
    /// Channel groups after packing.
    pub groups: i64,
    /// Input channels of a group after packing.
    pub group_cin: i64,
    /// Output channels of a group after packing.
    pub group_cout: i64,
    /// Channel groups of the layer that one group here holds, with zero weights between them.
    pub pack: i64,
    /// Bytes between input pixels, rows and images where the input lies.
    pub memory_pixel: i64,
    pub row_pitch: i64,
    pub image_pitch: i64,
    /// Bytes between input pixels in the buffer.
    pub buffer_pixel: i64,
    /// Bytes between output pixels, and between rows, where the outputs lie.
    pub out_pixel: i64,
    pub out_row: i64,
    /// Output rows by their taps.
    pub rows: Vec<Span>,
    /// Output columns by their taps.
    pub columns: Vec<Span>,
    /// Where outputs share parameters (`Sum`, `Largest`): the numbers of taps that have parameters of their own.
    pub counts: Vec<i64>,
    array_cols: i64,
    lanes: i64,
}

impl Shape {
    /// Prepares `layer`, with `pack` channel groups (a divisor of their number) made one.
    pub fn new(layer: &Layer, config: &Config, kernel: Kernel, places: Places, pack: i64) -> Self {
        let n = |v: u32| i64::from(v);
        let operand = n(config.operand_bytes());
        let dense = kernel == Kernel::Dense;
        // By channel, whole words are read.
        let granule = if !dense && config.depth_channels() > WORD { n(WORD) } else { 1 } * operand;
        let channels = round_up(n(layer.cin) * operand, granule);
        let memory_pixel = places.input.pixel();
        let buffer_pixel = if places.input.on_chip() { memory_pixel } else { channels };
        let (out_pixel, out_row) = (places.output.pixel(), places.output.row());
        let row = places.input.row();
        // Nothing lies between rows.
        let even = |place: Place, width: u32| place.row() == n(width) * place.pixel();
        let even = even(places.input, layer.w)
            && even(places.output, layer.out_w())
            && places.second.is_none_or(|p| even(p, layer.out_w()));
        let mut shape = Self {
            operand,
            kernel,
            places,
            images: n(layer.batch),
            h: n(layer.h),
            w: n(layer.w),
            cin: n(layer.cin),
            cout: n(layer.cout),
            kh: n(layer.kh),
            kw: n(layer.kw),
            sh: n(layer.sh),
            sw: n(layer.sw),
            pt: n(layer.pt),
            pl: n(layer.pl),
            dh: n(layer.dh),
            dw: n(layer.dw),
            out_h: n(layer.out_h()),
            out_w: n(layer.out_w()),
            groups: n(layer.groups) / pack,
            group_cin: n(layer.group_cin()) * pack,
            group_cout: n(layer.group_cout()) * pack,
            pack,
            memory_pixel,
            row_pitch: row,
            image_pitch: row * n(layer.h),
            buffer_pixel,
            out_pixel,
            out_row,
            rows: Vec::new(),
            columns: Vec::new(),
            counts: Vec::new(),
            array_cols: n(if dense { config.cols } else { config.depth_channels() }),
            lanes: n(config.lanes),
        };
        if !dense {
            // Its channels are the columns of filter groups, not groups of their own.
            (shape.groups, shape.group_cin, shape.group_cout) = (1, 1, shape.cout);
        } else if shape.kh == 1 && shape.kw == 1 && shape.sh == 1 && shape.sw == 1 && even {
            // Every pixel is alone: one tall image of one column.
            shape.h *= shape.images * shape.w;
            shape.images = 1;
            shape.w = 1;
            shape.row_pitch = memory_pixel;
            shape.image_pitch = shape.h * shape.row_pitch;
            (shape.out_h, shape.out_w, shape.out_row) = (shape.h, 1, out_pixel);
            shape.places.second = places.second.map(Place::tall);
        } else if !places.input.on_chip() {
            // Rows that a stride steps over are never read, and pixels neither if bus words do not hold two of them.
            if shape.kh == 1 {
                shape.row_pitch *= shape.sh;
                (shape.h, shape.sh) = (shape.out_h, 1);
            }
            if shape.kw == 1 && shape.pixel() % n(config.bus_bytes()) == 0 {
                shape.memory_pixel *= shape.sw;
                (shape.w, shape.sw) = (shape.out_w, 1);
            }
        }
        shape.rows = spans(shape.out_h, shape.h, shape.kh, shape.sh, shape.dh, shape.pt);
        shape.columns = spans(shape.out_w, shape.w, shape.kw, shape.sw, shape.dw, shape.pl);
        if kernel == Kernel::Largest {
            shape.counts = vec![1];
        } else if kernel == Kernel::Sum {
            shape.counts = counts(&shape.rows, &shape.columns);
        }
        shape
    }

    /// Bytes of an input pixel's channels.
    pub fn pixel(&self) -> i64 {
        self.cin * self.operand
    }

    /// Whether outputs come from all input channels of their group.
    pub fn dense(&self) -> bool {
        self.kernel == Kernel::Dense
    }

    /// Weights of one output channel.
    pub fn taps(&self) -> i64 {
        match self.kernel {
            Kernel::Dense | Kernel::ByChannel => self.kh * self.kw * self.group_cin,
            Kernel::Sum | Kernel::Largest => 0,
        }
    }

    /// Whether some outputs have no tap inside the map. They are computed with one weight of zero.
    pub fn has_empty(&self) -> bool {
        self.dense() && self.rows.iter().chain(&self.columns).any(Span::is_empty)
    }

    /// Weight buffer words of a filter group: its taps, and a zero after them if any output needs it.
    pub fn words(&self) -> i64 {
        self.taps() + i64::from(self.has_empty())
    }

    /// Parameter words (chunks of lanes) of the layer.
    pub fn param_words(&self) -> i64 {
        match self.kernel {
            Kernel::Dense | Kernel::ByChannel => self.filter(self.filters()).params,
            Kernel::Sum | Kernel::Largest => self.counts.len() as i64 * self.shared_chunks(),
        }
    }

    /// Parameter words of one number of taps, where outputs share parameters.
    pub fn shared_chunks(&self) -> i64 {
        self.array_cols / self.lanes
    }

    fn filters_per_group(&self) -> i64 {
        div_ceil(self.group_cout, self.array_cols)
    }

    /// Number of filter groups.
    pub fn filters(&self) -> i64 {
        self.groups * self.filters_per_group()
    }

    /// Bytes of the weights of a filter group of `cols` columns, alignment included.
    fn weight_bytes(&self, cols: i64) -> i64 {
        round_up(self.words() * cols * self.operand, WEIGHT_ALIGN)
    }

    /// A filter group by its number; the number of groups itself is allowed, to know where everything ends.
    pub fn filter(&self, index: i64) -> FilterGroup {
        let per = self.filters_per_group();
        let (group, part) = (index / per, index % per);
        let last = self.group_cout - (per - 1) * self.array_cols;
        let cols = if part == per - 1 { last } else { self.array_cols };
        let (full, full_chunks) = (self.weight_bytes(self.array_cols), self.array_cols / self.lanes);
        let (group_bytes, group_chunks) = (
            (per - 1) * full + self.weight_bytes(last),
            (per - 1) * full_chunks + div_ceil(last, self.lanes),
        );
        FilterGroup {
            cin0: if self.dense() { group * self.group_cin } else { part * self.array_cols },
            cout0: group * self.group_cout + part * self.array_cols,
            cols,
            weights: group * group_bytes + part * full,
            params: group * group_chunks + part * full_chunks,
            chunks: div_ceil(cols, self.lanes),
        }
    }

    /// Input rows that output rows `y0..y1` read, as far as they lie inside the map.
    pub fn input_rows(&self, y0: i64, y1: i64) -> (i64, i64) {
        let first = y0 * self.sh - self.pt;
        let last = (y1 - 1) * self.sh - self.pt + (self.kh - 1) * self.dh;
        let lo = first.clamp(0, self.h);
        (lo, (last + 1).clamp(lo, self.h))
    }

    /// Whether a segment of taps runs over neighbouring kernel columns.
    pub fn merged(&self) -> bool {
        self.dw == 1
            && self.groups == 1
            && self.buffer_pixel == self.pixel()
            && self.kw * self.group_cin <= crate::MAX_SEGMENT
    }
}

/// The different numbers of taps that the windows of a layer have inside the map, sorted.
pub fn tap_counts(layer: &Layer) -> Vec<i64> {
    let n = |v: u32| i64::from(v);
    let l = layer;
    counts(
        &spans(n(l.out_h()), n(l.h), n(l.kh), n(l.sh), n(l.dh), n(l.pt)),
        &spans(n(l.out_w()), n(l.w), n(l.kw), n(l.sw), n(l.dw), n(l.pl)),
    )
}

fn counts(rows: &[Span], columns: &[Span]) -> Vec<i64> {
    let taps = |s: &Span| s.k1 - s.k0;
    let counts = rows.iter().flat_map(|r| columns.iter().map(move |c| taps(r) * taps(c)));
    counts.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
}

fn spans(out: i64, size: i64, kernel: i64, stride: i64, dilation: i64, pad: i64) -> Vec<Span> {
    if kernel == 1 {
        return vec![Span { lo: 0, hi: out, k0: 0, k1: 1 }];
    }
    let mut spans: Vec<Span> = Vec::new();
    for at in 0..out {
        let start = at * stride - pad;
        let k0 = div_ceil((-start).max(0), dilation).min(kernel);
        let k1 = div_ceil((size - start).max(0), dilation).clamp(k0, kernel);
        let (k0, k1) = if k0 == k1 { (0, 0) } else { (k0, k1) };
        match spans.last_mut() {
            Some(span) if (span.k0, span.k1) == (k0, k1) => span.hi = at + 1,
            _ => spans.push(Span { lo: at, hi: at + 1, k0, k1 }),
        }
    }
    spans
}

/// `a / b` rounded up, for `a` >= 0 and `b` > 0.
pub fn div_ceil(a: i64, b: i64) -> i64 {
    (a + b - 1) / b
}

/// The next multiple of `unit` at or above `value`.
pub fn round_up(value: i64, unit: i64) -> i64 {
    div_ceil(value, unit) * unit
}

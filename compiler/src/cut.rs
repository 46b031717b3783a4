//! Cuts a block of outputs into chains of rectangles, each with the taps that it needs.
//!
//! Rows with different taps are never mixed, because padding above and below the map does not exist in the input
//! buffer. Padding at the sides does, so border columns may be computed with more taps
//! than they have: all of them, or just as many rows as fill up a tile. By channel, the array skips it.

use std::collections::BTreeMap;

use spec::Config;
use spec::config::WORD;
use spec::timing::tile_gap;

use crate::shape::{Shape, Span, div_ceil};

/// Border classes at either side that are considered for cutting off.
const MAX_CUT: usize = 8;
/// Cycles that a chain of its own must save: its instructions are fetched over the bus, too.
const CHAIN_COST: i64 = 8;

/// Output pixels of rows `y0..y1` and columns `x0..x1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// First row.
    pub y0: i64,
    /// One past the last row.
    pub y1: i64,
    /// First column.
    pub x0: i64,
    /// One past the last column.
    pub x1: i64,
}

impl Area {
    /// Number of rows.
    pub fn height(&self) -> i64 {
        self.y1 - self.y0
    }

    /// Number of columns.
    pub fn width(&self) -> i64 {
        self.x1 - self.x0
    }

    /// Number of pixels.
    pub fn pixels(&self) -> i64 {
        self.height() * self.width()
    }

    /// The first `n` pixels in raster order and the others, each as rectangles.
    pub fn split(&self, n: i64) -> (Vec<Self>, Vec<Self>) {
        let row = self.y0 + n / self.width();
        let column = self.x0 + n % self.width();
        let parts =
            |areas: [Self; 2]| areas.into_iter().filter(|a| a.height() > 0 && a.width() > 0).collect();
        let next = if column > self.x0 { row + 1 } else { row };
        (
            parts([Self { y1: row, ..*self }, Self { y0: row, y1: next, x1: column, ..*self }]),
            parts([Self { y0: row, y1: next, x0: column, ..*self }, Self { y0: next, ..*self }]),
        )
    }
}

/// Rectangles that are computed one after another with the same taps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Kernel rows `ky.0..ky.1`; none if the outputs have no tap at all.
    pub ky: (i64, i64),
    /// Kernel columns `kx.0..kx.1`.
    pub kx: (i64, i64),
    /// The pixels, in the order in which they fill tiles.
    pub areas: Vec<Area>,
    /// Cycles of a tile.
    pub tile_cycles: i64,
}

impl Chain {
    /// Number of pixels.
    pub fn pixels(&self) -> i64 {
        self.areas.iter().map(Area::pixels).sum()
    }

    /// Tiles that the pixels fill; by channel, no tile goes on into the next row.
    fn tiles(&self, rows: i64, dense: bool) -> i64 {
        if dense {
            return div_ceil(self.pixels(), rows);
        }
        self.areas.iter().map(|a| a.height() * div_ceil(a.width(), rows)).sum()
    }

    /// Whether the outputs have no tap inside the map.
    pub fn is_empty(&self) -> bool {
        self.ky.0 == self.ky.1 || self.kx.0 == self.kx.1
    }
}

/// The words in which a segment of `len` operands is read: their number, operands of a long word, and long words.
pub fn words_of(len: i64) -> (i64, i64, i64) {
    let words = div_ceil(len, i64::from(WORD));
    let long = div_ceil(len, words);
    (words, long, len - words * (long - 1))
}

/// Cycles to issue a segment of `len` operands.
pub fn segment_cycles(config: &Config, len: i64) -> i64 {
    let (words, long, longs) = words_of(len);
    let rows = i64::from(config.rows);
    longs * rows.max(long) + (words - longs) * rows.max(long - 1)
}

/// Cuts blocks of one layer.
#[derive(Clone, Copy, Debug)]
pub struct Cutter<'a> {
    shape: &'a Shape,
    config: &'a Config,
}

impl<'a> Cutter<'a> {
    /// For this layer on this config.
    pub fn new(shape: &'a Shape, config: &'a Config) -> Self {
        Self { shape, config }
    }

    /// Cycles of a chain's tiles.
    pub fn cycles(&self, chain: &Chain) -> i64 {
        chain.tiles(self.config.rows.into(), self.shape.dense()) * chain.tile_cycles
    }

    /// Cycles of a tile with these taps.
    pub fn tile_cycles(&self, ky: (i64, i64), kx: (i64, i64)) -> i64 {
        let columns = kx.1 - kx.0;
        if !self.shape.dense() {
            let phases = if self.shape.dw > 1 { columns } else { columns.min(self.shape.sw) };
            let row = phases * (i64::from(self.config.rows) - 1) + columns;
            return ((ky.1 - ky.0) * row).max(tile_gap(self.config, false).into());
        }
        let (segments, len) = if self.shape.merged() {
            (1, columns * self.shape.group_cin)
        } else {
            (columns, self.shape.group_cin)
        };
        let cycles = if ky.0 == ky.1 || columns == 0 {
            0
        } else {
            (ky.1 - ky.0) * segments * segment_cycles(self.config, len)
        };
        cycles.max(i64::from(tile_gap(self.config, false))).max(i64::from(self.config.rows) + 1)
    }

    /// Cuts a block into row classes from top to bottom, and these into chains.
    pub fn cut(&self, block: Area) -> Vec<(Area, Vec<Chain>)> {
        self.row_classes(block).into_iter().map(|(ky, area)| (area, self.cut_class(ky, area))).collect()
    }

    /// The parts of a block whose rows have the same taps.
    pub fn row_classes(&self, block: Area) -> Vec<((i64, i64), Area)> {
        clip(&self.shape.rows, block.y0, block.y1)
            .map(|s| ((s.k0, s.k1), Area { y0: s.lo, y1: s.hi, ..block }))
            .collect()
    }

    /// Cuts rows of the same taps into chains, the widest first.
    pub fn cut_class(&self, ky: (i64, i64), area: Area) -> Vec<Chain> {
        let classes: Vec<Span> = clip(&self.shape.columns, area.x0, area.x1).collect();
        if ky.0 == ky.1 {
            return vec![self.chain(ky, (0, 0), vec![area])];
        }
        if self.shape.counts.len() > 1 {
            let border = |s: &Span| Area { x0: s.lo, x1: s.hi, ..area };
            return classes.iter().map(|s| self.chain(ky, (s.k0, s.k1), vec![border(s)])).collect();
        }
        if !self.shape.dense() {
            return vec![self.chain(ky, (0, self.shape.kw), vec![area])];
        }
        let n = classes.len();
        let mut best: Option<(i64, (usize, usize), Vec<i64>)> = None;
        for left in 0..n.min(MAX_CUT + 1) {
            for right in 0..(n - left).min(MAX_CUT + 1) {
                let (cycles, joined) = self.join(ky, &classes, (left, n - right), area.height());
                let own = 2 + joined.iter().filter(|&&j| j < area.height()).count() as i64;
                let cost = cycles + own * CHAIN_COST;
                if best.as_ref().is_none_or(|(least, ..)| cost < *least) {
                    best = Some((cost, (left, n - right), joined));
                }
            }
        }
        let Some((_, (lo, hi), joined)) = best else { return Vec::new() };
        let mut interior = self.chain(
            ky,
            union(&classes[lo..hi]),
            vec![Area { x0: classes[lo].lo, x1: classes[hi - 1].hi, ..area }],
        );
        let mut own = Vec::new();
        let cut = classes[..lo].iter().chain(&classes[hi..]);
        for (class, joined) in cut.zip(joined) {
            let border = Area { x0: class.lo, x1: class.hi, ..area };
            if joined > 0 {
                interior.areas.push(Area { y0: area.y1 - joined, ..border });
            }
            if joined < area.height() {
                let rest = Area { y1: area.y1 - joined, ..border };
                own.push(self.chain(ky, (class.k0, class.k1), vec![rest]));
            }
        }
        own.insert(0, interior);
        // Wide chains need few rows of input at a time: they can start before the others.
        own.sort_by_key(|chain| std::cmp::Reverse(chain.areas.iter().map(Area::width).max()));
        own
    }

    fn chain(&self, ky: (i64, i64), kx: (i64, i64), areas: Vec<Area>) -> Chain {
        Chain { ky, kx, areas, tile_cycles: self.tile_cycles(ky, kx) }
    }

    /// With the classes outside `interior` cut off: how many rows of each are best computed with the interior to
    /// fill up its last tile, and the cycles of it all.
    fn join(
        &self,
        ky: (i64, i64),
        classes: &[Span],
        interior: (usize, usize),
        height: i64,
    ) -> (i64, Vec<i64>) {
        let rows = i64::from(self.config.rows);
        let (lo, hi) = interior;
        let taps = union(&classes[lo..hi]);
        // Least cycles of the cut classes for every number of pixels that join the interior.
        let mut states = BTreeMap::from([(0i64, (0i64, Vec::new()))]);
        for class in classes[..lo].iter().chain(&classes[hi..]) {
            let width = class.hi - class.lo;
            let tile = self.tile_cycles(ky, (class.k0, class.k1));
            let most = div_ceil(width * height, rows);
            let mut next: BTreeMap<i64, (i64, Vec<i64>)> = BTreeMap::new();
            let may_join = class.is_empty() || taps.0 <= class.k0 && class.k1 <= taps.1;
            for tiles in if may_join { most - 1..=most } else { most..=most } {
                let joined = (height - tiles * rows / width).max(0);
                let own = div_ceil((height - joined) * width, rows) * tile;
                for (pixels, (cycles, choices)) in &states {
                    let (pixels, cycles) = (pixels + joined * width, cycles + own);
                    if next.get(&pixels).is_none_or(|(least, _)| cycles < *least) {
                        next.insert(pixels, (cycles, choices.iter().copied().chain([joined]).collect()));
                    }
                }
            }
            states = next;
        }
        let inside = &classes[lo..hi];
        let pixels = height * (inside[inside.len() - 1].hi - inside[0].lo);
        let tile = self.tile_cycles(ky, taps);
        states
            .into_iter()
            .map(|(joined, (cycles, choices))| (cycles + div_ceil(pixels + joined, rows) * tile, choices))
            .min_by_key(|(cycles, _)| *cycles)
            .unwrap_or_default()
    }
}

/// All taps that any of the spans has.
fn union(spans: &[Span]) -> (i64, i64) {
    let some = || spans.iter().filter(|s| !s.is_empty());
    (some().map(|s| s.k0).min().unwrap_or(0), some().map(|s| s.k1).max().unwrap_or(0))
}

/// The parts of spans that lie in `lo..hi`.
pub fn clip(spans: &[Span], lo: i64, hi: i64) -> impl Iterator<Item = Span> {
    let first = spans.partition_point(|s| s.hi <= lo);
    spans[first..].iter().take_while(move |s| s.lo < hi).map(move |s| Span {
        lo: s.lo.max(lo),
        hi: s.hi.min(hi),
        ..*s
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::{Kernel, Places};
    use spec::layer::Layer;

    fn cost(text: &str) -> i64 {
        let layer: Layer = text.parse().unwrap();
        let config = Config::named("default").unwrap();
        let shape = Shape::new(&layer, &config, Kernel::Dense, Places::alone(&layer, &config), 1);
        let block = Area { y0: 0, y1: shape.out_h, x0: 0, x1: shape.out_w };
        let classes = Cutter::new(&shape, &config).cut(block);
        let chains: Vec<Chain> = classes.into_iter().flat_map(|(_, chains)| chains).collect();
        assert_eq!(chains.iter().map(Chain::pixels).sum::<i64>(), block.pixels());
        chains.iter().map(|c| Cutter::new(&shape, &config).cycles(c)).sum::<i64>() / shape.group_cin
    }

    #[test]
    fn borders_cost_what_the_best_known_cuts_do() {
        assert_eq!(cost("conv cin=192 h=13 w=13 cout=192 k=3 pad=1"), 204);
        assert_eq!(cost("conv cin=256 h=14 w=14 cout=256 k=3 pad=1"), 234);
        assert!(cost("conv cin=64 h=56 w=56 cout=64 k=3 pad=1") <= 3945);
    }

    #[test]
    fn a_rectangle_splits_in_raster_order() {
        let area = Area { y0: 2, y1: 5, x0: 1, x1: 5 };
        for n in 0..=area.pixels() {
            let (head, tail) = area.split(n);
            let raster = |areas: &[Area]| -> Vec<(i64, i64)> {
                let pixels = |a: &Area| {
                    let a = *a;
                    (a.y0..a.y1).flat_map(move |y| (a.x0..a.x1).map(move |x| (y, x))).collect::<Vec<_>>()
                };
                areas.iter().flat_map(pixels).collect()
            };
            let all = raster(&[area]);
            assert_eq!(raster(&head), all[..n as usize]);
            assert_eq!(raster(&tail), all[n as usize..]);
        }
    }
}

//! Random networks, for every machine.

use compiler::network::{ConvData, Network, Node, OpKind, TensorId, TensorInfo, Window};
use compiler::npy::Type;
use spec::layer::{Layer, LayerData, LayerSpec};

use crate::cases::Draw;

/// A random network of 8-bit operands: convolutions of all kinds, pooling, sums, products, tables, concatenations,
/// interleavings, padding, channel permutations and fully connected layers on small maps. Scales are such that averages have no ties.
pub fn random_network(d: &mut Draw, nodes: u32) -> Network {
    let input = TensorInfo {
        name: "input".into(),
        h: d.between(1, 14),
        w: d.between(1, 14),
        c: channels(d),
        ty: if d.chance(50) { Type::U8 } else { Type::I8 },
        scale: 1.0,
        zero: 0,
    };
    let mut g = Builder { tensors: vec![input], nodes: Vec::new() };
    g.tensors[0].zero = g.zero(d, 0);
    while g.nodes.len() < nodes as usize {
        // Mostly the last tensor, so that networks are deep.
        let last = g.tensors.len() - 1;
        let x = if d.chance(70) { last } else { d.between(0, last as u32) as usize };
        g.add(d, x);
    }
    let read: Vec<TensorId> = g.nodes.iter().flat_map(|n| n.inputs.clone()).collect();
    let outputs = (0..g.tensors.len()).filter(|id| !read.contains(id)).collect();
    Network::new("random", g.tensors, g.nodes, 0, outputs)
}

fn channels(d: &mut Draw) -> u32 {
    d.of(&[1, 3, 4, 8, 12, 16, 17, 24, 32, 33, 40, 48, 64])
}

struct Builder {
    tensors: Vec<TensorInfo>,
    nodes: Vec<Node>,
}

impl Builder {
    fn zero(&self, d: &mut Draw, id: TensorId) -> i32 {
        let (lo, _) = self.tensors[id].range();
        if d.chance(30) { lo } else { lo + d.between(0, 255) as i32 }
    }

    fn tensor(&mut self, like: TensorId, (h, w, c): (u32, u32, u32)) -> TensorId {
        let id = self.tensors.len();
        self.tensors.push(TensorInfo { name: format!("t{id}"), h, w, c, ..self.tensors[like].clone() });
        id
    }

    fn push(&mut self, kind: OpKind, inputs: Vec<TensorId>, output: TensorId) {
        let (y_min, y_max) = self.tensors[output].range();
        let name = format!("n{}", self.nodes.len());
        self.nodes.push(Node { name, kind, inputs, output, y_min, y_max });
    }

    /// Adds a node that reads `x`, and perhaps others.
    fn add(&mut self, d: &mut Draw, x: TensorId) {
        let TensorInfo { h, w, c, zero, .. } = self.tensors[x].clone();
        let same: Vec<TensorId> = (0..self.tensors.len())
            .filter(|&t| t != x && (self.tensors[t].h, self.tensors[t].w) == (h, w))
            .collect();
        let alike: Vec<TensorId> = same.iter().copied().filter(|&t| self.tensors[t].c == c).collect();
        match d.between(0, 17) {
            0..=4 => self.convolution(d, x, false),
            5 | 6 => self.convolution(d, x, true),
            7 => {
                let Some(window) = window(d, h, w, false) else { return };
                self.largest(x, window);
            }
            8 => {
                let Some(window) = window(d, h, w, false) else { return };
                let y = self.tensor(x, (window.out_h, window.out_w, c));
                let kind = OpKind::AveragePool {
                    window,
                    // Windows over the border divide by what they have.
                    count_include_pad: false,
                    scale: 1.0,
                    zero,
                    y_scale: 1.0,
                    y_zero: zero,
                };
                self.push(kind, vec![x], y);
            }
            9 => {
                let y = self.tensor(x, (1, 1, c));
                let multiplier = 1.0 / (h * w) as f32;
                self.push(OpKind::GlobalAveragePool { zero, multiplier, y_zero: zero }, vec![x], y);
            }
            10 => {
                let second =
                    if alike.is_empty() || d.chance(20) { self.pixel(x) } else { Some(d.of(&alike)) };
                let Some(second) = second.filter(|&s| s != x) else { return };
                let whole = (self.tensors[second].h, self.tensors[second].w) == (h, w);
                let (a, b) = if whole && d.chance(50) { (second, x) } else { (x, second) };
                let y = self.tensor(x, (h, w, c));
                let mut factor = || d.between(1, 1 << 20) as f32 / (1 << 20) as f32;
                let (ra, rb) = (factor(), factor());
                let kind = if d.chance(70) {
                    OpKind::Add { ra, rb, offset: d.between(0, 200) as f32 - 100.3 }
                } else {
                    let (a_zero, b_zero) = (self.tensors[a].zero, self.tensors[b].zero);
                    OpKind::Mul { scale: ra / 64.0, a_zero, b_zero, y_zero: zero }
                };
                self.push(kind, vec![a, b], y);
            }
            11 => {
                let y = self.tensor(x, (h, w, c));
                let table = std::array::from_fn(|_| d.between(0, 255) as u8);
                self.push(OpKind::Table(Box::new(table)), vec![x], y);
            }
            12 => {
                let [pt, pl, pb, pr] = std::array::from_fn(|_| d.of(&[0, 0, 1, 1, 2]));
                let y = self.tensor(x, (h + pt + pb, w + pl + pr, c));
                // Often zero, which a convolution takes over.
                let value = if d.chance(60) { zero } else { self.zero(d, x) };
                self.push(OpKind::Pad { pt, pl, pb, pr, value }, vec![x], y);
            }
            13 if !same.is_empty() => {
                let mut inputs = vec![x, d.of(&same)];
                if d.chance(30) {
                    inputs.push(d.of(&same));
                }
                let all = inputs.iter().map(|&t| self.tensors[t].c).sum();
                if all <= 200 {
                    let y = self.tensor(x, (h, w, all));
                    self.push(OpKind::Concat, inputs, y);
                }
            }
            14 => self.interleave(d, x, &alike),
            15 if h * w * c <= 4000 => self.fully_connected(d, x),
            _ => {
                // Any, a slice, or a shuffle.
                let divisors: Vec<u32> = (2..c).filter(|n| c % n == 0).collect();
                let map: Vec<u32> = match d.between(0, 2) {
                    0 => (0..channels(d)).map(|_| d.between(0, c - 1)).collect(),
                    1 => {
                        let from = d.between(0, c - 1);
                        (from..=d.between(from, c - 1)).collect()
                    }
                    _ if divisors.is_empty() => return,
                    _ => {
                        let parts = d.of(&divisors);
                        (0..c).map(|o| o % parts * (c / parts) + o / parts).collect()
                    }
                };
                let y = self.tensor(x, (h, w, map.len() as u32));
                self.push(OpKind::Channels(map), vec![x], y);
            }
        }
    }

    fn largest(&mut self, x: TensorId, window: Window) -> TensorId {
        let y = self.tensor(x, (window.out_h, window.out_w, self.tensors[x].c));
        self.push(OpKind::MaxPool { window }, vec![x], y);
        y
    }

    /// Interleaves `x` with tensors of its size; where the output is no multiple of the factors, with smaller ones.
    fn interleave(&mut self, d: &mut Draw, x: TensorId, alike: &[TensorId]) {
        let TensorInfo { h, w, c, .. } = self.tensors[x].clone();
        let (down, right) = (d.between(1, 3), d.between(1, 3));
        if down * right == 1 || down * h > 20 || right * w > 20 {
            return;
        }
        let short =
            |d: &mut Draw, n: u32, size: u32| if size > 1 && d.chance(30) { d.between(0, n - 1) } else { 0 };
        let (less_h, less_w) = (short(d, down, h), short(d, right, w));
        let mut inputs = Vec::new();
        for (row, column) in (0..down).flat_map(|row| (0..right).map(move |column| (row, column))) {
            let full = if alike.is_empty() || d.chance(50) { x } else { d.of(alike) };
            let (cut_h, cut_w) = (u32::from(row + less_h >= down), u32::from(column + less_w >= right));
            inputs.push(if cut_h + cut_w == 0 {
                full
            } else {
                let (kh, kw, out_h, out_w) = (1 + cut_h, 1 + cut_w, h - cut_h, w - cut_w);
                let (sh, sw, dh, dw) = (1, 1, 1, 1);
                let (pt, pl, pb, pr) = (0, 0, 0, 0);
                self.largest(full, Window { kh, kw, sh, sw, pt, pl, pb, pr, dh, dw, out_h, out_w })
            });
        }
        let y = self.tensor(x, (down * h - less_h, right * w - less_w, c));
        self.push(OpKind::Interleave { down, right }, inputs, y);
    }

    /// A tensor of one pixel with as many channels as `x`.
    fn pixel(&mut self, x: TensorId) -> Option<TensorId> {
        let c = self.tensors[x].c;
        (0..self.tensors.len()).find(|&t| {
            let t = &self.tensors[t];
            (t.h, t.w, t.c) == (1, 1, c)
        })
    }

    fn fully_connected(&mut self, d: &mut Draw, x: TensorId) {
        let TensorInfo { h, w, c, .. } = self.tensors[x].clone();
        let spec = LayerSpec { cin: h * w * c, cout: channels(d), ..LayerSpec::default() };
        self.layer(d, x, spec);
    }

    fn convolution(&mut self, d: &mut Draw, x: TensorId, by_channel: bool) {
        let TensorInfo { h, w, c, .. } = self.tensors[x].clone();
        let Some(o) = window(d, h, w, true) else { return };
        let groups = if by_channel { c } else { d.of(&[1, 1, 1, 1, 2, 4]) };
        let groups = if c % groups == 0 { groups } else { 1 };
        let cout = if by_channel { c } else { groups * (channels(d) / groups).max(1) };
        let spec = LayerSpec {
            cin: c,
            h,
            w,
            cout,
            kh: o.kh,
            kw: o.kw,
            sh: o.sh,
            sw: o.sw,
            pt: o.pt,
            pl: o.pl,
            pb: o.pb,
            pr: o.pr,
            dh: o.dh,
            dw: o.dw,
            groups,
            ..LayerSpec::default()
        };
        self.layer(d, x, spec);
    }

    fn layer(&mut self, d: &mut Draw, x: TensorId, spec: LayerSpec) {
        let TensorInfo { c, zero, ty, .. } = self.tensors[x].clone();
        let Ok(layer) = Layer::new(spec) else { return };
        let seed = u64::from(d.between(0, 1 << 30));
        let Ok(data) = LayerData::random(&layer, 8, seed) else { return };
        let LayerData { weights, bias, multipliers, mut quant, .. } = data;
        let y = self.tensor(x, (layer.out_h(), layer.out_w(), layer.cout));
        (quant.x_zero, quant.signed) = (zero, ty == Type::I8);
        quant.y_zero = self.zero(d, y);
        (quant.y_min, quant.y_max) = self.tensors[y].range();
        self.tensors[y].zero = quant.y_zero;
        let data = ConvData { weights: weights.into(), bias, multipliers, quant };
        let depthwise = layer.groups == c && layer.cout == c && c > 1;
        let kind = if depthwise { OpKind::Depthwise { layer, data } } else { OpKind::Conv { layer, data } };
        self.push(kind, vec![x], y);
    }
}

/// A window with padding of less than itself. Unless it may lie `beyond` the map, it always sees some of it.
fn window(d: &mut Draw, h: u32, w: u32, beyond: bool) -> Option<Window> {
    let kernel = |d: &mut Draw| d.of(&[1, 1, 2, 3, 3, 3, 5]);
    let (kh, kw) = (kernel(d), kernel(d));
    let (dh, dw) = if d.chance(10) { (2, 2) } else { (1, 1) };
    let (sh, sw) = (d.of(&[1, 1, 1, 2, 3]), d.of(&[1, 1, 1, 2, 3]));
    let mut pads = |size: u32, k: u32, dilation: u32| {
        let most = (k - 1) * dilation;
        let most = if beyond { most } else { most.min(k.div_ceil(2) * dilation - 1).min(size - 1) };
        (d.between(0, most), d.between(0, most))
    };
    let ((pt, pb), (pl, pr)) = (pads(h, kh, dh), pads(w, kw, dw));
    let out = |size: u32, pad: u32, k: u32, dilation: u32, stride: u32| {
        Some((size + pad).checked_sub((k - 1) * dilation + 1)? / stride + 1)
    };
    let (out_h, out_w) = (out(h, pt + pb, kh, dh, sh)?, out(w, pl + pr, kw, dw, sw)?);
    // The last windows, too, must see the map.
    let seen = |out: u32, stride: u32, pad: u32, size: u32| (out - 1) * stride < size + pad;
    (beyond || seen(out_h, sh, pt, h) && seen(out_w, sw, pl, w)).then_some(Window {
        kh,
        kw,
        sh,
        sw,
        pt,
        pl,
        pb,
        pr,
        dh,
        dw,
        out_h,
        out_w,
    })
}

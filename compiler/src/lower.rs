//! From a network to steps: what the accelerator does at a time, with its numbers.
//!
//! A step is a reduction (a convolution, a pooling window, or one element as it is), its requantisation, and what may
//! follow in the same pass: a second operand, then a table.

use std::sync::Arc;

use spec::layer::{Layer, LayerSpec};
use spec::{Config, isa, timing};

use crate::CompileError;
use crate::network::{Average, Network, Node, OpKind, TensorId, TensorInfo, Window};
use crate::shape::Kernel;

/// Pairs of channels in the largest order of channels that is a convolution.
const MOST_PRODUCTS: usize = 1 << 26;

/// One pass over a tensor.
#[derive(Clone, Debug)]
pub struct Step {
    /// The nodes of the network that it computes, in their order; the first gives it its name.
    pub nodes: Vec<usize>,
    /// Shape of the reduction.
    pub layer: Layer,
    /// Kind of the reduction.
    pub kernel: Kernel,
    /// What the array reads.
    pub input: TensorId,
    /// The second operand.
    pub second: Option<TensorId>,
    /// The second operand is one pixel, the same for all.
    pub broadcast: bool,
    /// What it writes.
    pub output: TensorId,
    /// Number formats of the reduction.
    pub quant: isa::Quant,
    /// What happens to the second operand, and whether the table is used.
    pub post: Option<isa::Post>,
    /// The table.
    pub table: Option<Box<[u8; 256]>>,
    /// Weights, `[cout][kh][kw][cin / groups]`; none where windows are only summed or compared.
    pub weights: Arc<Vec<i32>>,
    /// Biases by output channel, or by number of taps of a window.
    pub bias: Vec<i32>,
    /// Multipliers, as biases.
    pub multipliers: Vec<f32>,
}

impl Step {
    /// Whether it is a convolution of the network: not a fully connected layer, not a scale by channel.
    pub fn is_convolution(&self) -> bool {
        let l = &self.layer;
        let pointwise = l.kh * l.kw == 1;
        match self.kernel {
            Kernel::Dense => (l.h, l.w) != (1, 1) && !self.weights.is_empty(),
            Kernel::ByChannel => !pointwise,
            Kernel::Sum | Kernel::Largest => false,
        }
    }

    /// Whether it reads a tensor in another shape, all of it one run of bytes: as one pixel, or its pixels in parts.
    pub fn reshapes(&self, tensor: &TensorInfo) -> bool {
        reshapes(&self.layer, tensor)
    }
}

fn reshapes(layer: &Layer, tensor: &TensorInfo) -> bool {
    (layer.h, layer.w, layer.cin) != (tensor.h, tensor.w, tensor.c)
}

/// Where a tensor lies in another: inputs of a concatenation are channels of its output, slices are channels of what
/// they are cut from, inputs of an interleaving are pixels of its output. Pixel (h, w) is pixel (`row` + h × `down`, `column` + w × `right`) of the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The tensor that is placed as a whole.
    pub whole: TensorId,
    /// First channel.
    pub channel: u32,
    /// Row of the first pixel.
    pub row: u32,
    /// Column of the first pixel.
    pub column: u32,
    /// Rows of the whole for one of the part.
    pub down: u32,
    /// Columns of the whole for one of the part.
    pub right: u32,
}

impl Part {
    fn all_of(whole: TensorId) -> Self {
        Self { whole, channel: 0, row: 0, column: 0, down: 1, right: 1 }
    }

    /// Where what is `part` of this one lies.
    fn of(self, part: Self) -> Self {
        Self {
            whole: self.whole,
            channel: self.channel + part.channel,
            row: self.row + part.row * self.down,
            column: self.column + part.column * self.right,
            down: self.down * part.down,
            right: self.right * part.right,
        }
    }

    /// Whether it has pixels of the whole that do not lie side by side.
    fn is_spread(&self) -> bool {
        (self.down, self.right) != (1, 1)
    }
}

/// A network in steps.
#[derive(Clone, Debug)]
pub struct Lowered {
    /// The network; concatenations that are no mere placement read copies that are added here.
    pub network: Network,
    /// In the order of execution.
    pub steps: Vec<Step>,
    /// By tensor.
    pub parts: Vec<Part>,
}

/// Lowers a network for operands of 8 bits on a config.
pub fn lower(network: &Network, config: &Config) -> Result<Lowered, CompileError> {
    let mut network = network.clone();
    refuse(&network)?;
    join_padding(&mut network);
    share_prefixes(&mut network);
    let parts = join(&mut network);
    let readers = readers(&network);
    let mut steps = Vec::new();
    let mut done = vec![false; network.nodes.len()];
    let mut known: Vec<bool> = vec![false; network.tensors.len()];
    for &input in network.inputs.iter().chain(network.constants.keys()) {
        known[input] = true;
    }
    for index in 0..network.nodes.len() {
        let node = &network.nodes[index];
        if std::mem::replace(&mut done[index], true) {
            continue;
        }
        let cut = slice(node).map(|slice| parts[node.inputs[0]].of(slice));
        if is_placement(&node.kind) || cut == Some(parts[node.output]) {
            known[node.output] = true;
            continue;
        }
        let mut step = step(&network, index, node, &parts, config)?;
        // What follows is fused as long as nothing else reads what is in between.
        while readers[step.output] == 1 && parts[step.output].whole == step.output {
            let next = (index + 1..network.nodes.len())
                .find(|&i| !done[i] && network.nodes[i].inputs.contains(&step.output));
            let Some(next) = next.filter(|&i| fuse(&network, &mut step, i, &known)) else { break };
            done[next] = true;
            step.nodes.push(next);
        }
        known[step.output] = true;
        if step.kernel != Kernel::Dense && !config.by_channel {
            let want = "works by channel, but by_channel = false in config";
            return Err(error(node, format!("{want} {}: set by_channel = true", config.name)));
        }
        if let (Some(_), Some(&last), false) = (&step.post, step.nodes.last(), config.post) {
            let want = "needs post lanes, but post = false in config";
            return Err(error(&network.nodes[last], format!("{want} {}: set post = true", config.name)));
        }
        steps.push(step);
    }
    Ok(Lowered { network, steps, parts })
}

/// How often each tensor is read, as an output of the network too.
fn readers(network: &Network) -> Vec<usize> {
    let mut readers = vec![0; network.tensors.len()];
    for &input in network.nodes.iter().flat_map(|n| &n.inputs).chain(&network.outputs) {
        readers[input] += 1;
    }
    readers
}

/// Lists everything that cannot be executed.
fn refuse(network: &Network) -> Result<(), CompileError> {
    let mut all: Vec<String> = Vec::new();
    for node in &network.nodes {
        let tensors = node.inputs.iter().chain([&node.output]).map(|&id| &network.tensors[id]);
        if let Some(t) = tensors.into_iter().find(|t| t.bits() != 8) {
            all.push(format!("{} (tensor {} of {} bits)", node.name, t.name, t.bits()));
        }
    }
    if all.is_empty() {
        return Ok(());
    }
    Err(CompileError::new(format!(
        "the accelerator cannot execute {}; use 8 bits and the operators in docs/operators.md",
        all.join(", ")
    )))
}

/// Convolutions take over the padding in front of them that stands for zero and is no wider than they may have.
fn join_padding(network: &mut Network) {
    let pads: Vec<(usize, Node)> = network
        .nodes
        .iter()
        .cloned()
        .enumerate()
        .filter(|(_, n)| matches!(n.kind, OpKind::Pad { .. }))
        .collect();
    for (_, pad) in &pads {
        let &OpKind::Pad { pt, pl, pb, pr, value } = &pad.kind else { continue };
        let (h, w) = (network.tensors[pad.inputs[0]].h, network.tensors[pad.inputs[0]].w);
        for node in network.nodes.iter_mut().filter(|n| n.inputs[0] == pad.output) {
            let whole = matches!(node.kind, OpKind::Conv { .. });
            let (OpKind::Conv { layer, data } | OpKind::Depthwise { layer, data }) = &mut node.kind else {
                continue;
            };
            let l = **layer;
            let wider = LayerSpec { h, w, pt: l.pt + pt, pl: l.pl + pl, pb: l.pb + pb, pr: l.pr + pr, ..l };
            // By channel, every window must see some of the map.
            let legal = |l: &Layer| whole || !crate::shape::tap_counts(l).contains(&0);
            if let Some(wider) = Layer::new(wider).ok().filter(legal)
                && data.quant.x_zero == value
            {
                *layer = wider;
                node.inputs[0] = pad.inputs[0];
            }
        }
    }
    let read: Vec<TensorId> =
        network.nodes.iter().flat_map(|n| &n.inputs).chain(&network.outputs).copied().collect();
    network.nodes.retain(|n| !matches!(n.kind, OpKind::Pad { .. }) || read.contains(&n.output));
}

/// A concatenation whose first inputs are those of an earlier one reads the earlier one's output instead.
fn share_prefixes(network: &mut Network) {
    let mut earlier: Vec<(Vec<TensorId>, TensorId)> = Vec::new();
    for node in &mut network.nodes {
        if node.kind != OpKind::Concat {
            continue;
        }
        let all = node.inputs.clone();
        let best = earlier.iter().filter(|(inputs, _)| all.len() > inputs.len() && all.starts_with(inputs));
        if let Some((inputs, output)) = best.max_by_key(|(inputs, _)| inputs.len()) {
            node.inputs.splice(..inputs.len(), [*output]);
        }
        earlier.push((all, node.output));
    }
}

/// Whether a node only says where its inputs lie.
fn is_placement(kind: &OpKind) -> bool {
    matches!(kind, OpKind::Concat | OpKind::Interleave { .. })
}

/// Makes the inputs of each concatenation and interleaving parts of its output, and slices parts of what they are cut
/// from. An input that is a part already, or not computed by a step, is copied first; so is what would be spread out and
/// is read by something else too, and what a fully connected layer reads as a whole.
fn join(network: &mut Network) -> Vec<Part> {
    let mut parts: Vec<Part> = (0..network.tensors.len()).map(Part::all_of).collect();
    let mut fixed = vec![false; network.tensors.len()];
    let readers = readers(network);
    let mut whole = vec![false; network.tensors.len()];
    for node in &network.nodes {
        if let OpKind::Conv { layer, .. } = &node.kind {
            whole[node.inputs[0]] |= reshapes(layer, &network.tensors[node.inputs[0]]);
        }
    }
    for &id in network.inputs.iter().chain(network.constants.keys()) {
        fixed[id] = true;
    }
    let mut copies: Vec<(usize, Node)> = Vec::new();
    for index in (0..network.nodes.len()).rev() {
        let kind = network.nodes[index].kind.clone();
        if !is_placement(&kind) {
            continue;
        }
        let to = parts[network.nodes[index].output];
        let mut channel = 0;
        for position in 0..network.nodes[index].inputs.len() {
            let mut input = network.nodes[index].inputs[position];
            let part = match kind {
                OpKind::Interleave { down, right } => {
                    let (row, column) = (position as u32 / right, position as u32 % right);
                    Part { row, column, down, right, ..Part::all_of(input) }
                }
                _ => Part { channel, ..Part::all_of(input) },
            };
            let part = to.of(part);
            let apart = part.is_spread() && readers[input] > 1 || whole[input];
            if std::mem::replace(&mut fixed[input], true) || apart {
                let copy = network.tensors.len();
                let (tensor, name) = (network.tensors[input].clone(), network.nodes[index].name.clone());
                let (y_min, y_max) = tensor.range();
                network.tensors.push(tensor);
                parts.push(Part::all_of(copy));
                fixed.push(true);
                let identity: Box<[u8; 256]> = Box::new(std::array::from_fn(|i| i as u8));
                let kind = OpKind::Table(identity);
                copies.push((index, Node { name, kind, inputs: vec![input], output: copy, y_min, y_max }));
                network.nodes[index].inputs[position] = copy;
                input = copy;
            }
            parts[input] = part;
            channel += network.tensors[input].c;
        }
    }
    // From the last concatenation to the first, so earlier places stay what they are.
    for (index, node) in copies {
        network.nodes.insert(index, node);
    }
    for node in &network.nodes {
        if let Some(slice) = slice(node)
            && parts[node.output].whole == node.output
            && !whole[node.output]
        {
            parts[node.output] = parts[node.inputs[0]].of(slice);
        }
    }
    parts
}

/// Where its output lies in its input, if a node only takes channels that lie side by side.
fn slice(node: &Node) -> Option<Part> {
    let OpKind::Channels(map) = &node.kind else { return None };
    let contiguous = map.iter().zip(map[0]..).all(|(&from, at)| from == at);
    contiguous.then(|| Part { channel: map[0], ..Part::all_of(node.inputs[0]) })
}

/// A channel shuffle as a convolution of pixels cut into parts: the fewest cycles of those whose groups have a part of
/// each part's channels.
///
/// Output channel i × `parts` + p is input channel p × n + i. So a group that has `group` channels of each part gives
/// consecutive outputs, of few taps. None where the map is no such shuffle.
fn shuffle(map: &[u32], x: &TensorInfo, config: &Config) -> Option<(Layer, Vec<i32>)> {
    let n = *map.get(1)?;
    let parts = x.c.checked_div(n).filter(|p| p * n == x.c && map.len() == x.c as usize)?;
    let from = |o: u32| o % parts * n + o / parts;
    if n < 2 || parts < 2 || !map.iter().zip(0..).all(|(&channel, o)| channel == from(o)) {
        return None;
    }
    let gap = u64::from(timing::tile_gap(config, false));
    let cycles = |group: u32| {
        let tile = u64::from(parts * group.max(config.rows)).max(gap);
        u64::from(n / group) * u64::from((group * parts).div_ceil(config.cols)) * tile
    };
    // Only groups of whole lanes can be written on chip.
    let whole = |group: u32| (group * parts).is_multiple_of(config.lanes);
    let group = (1..=n).filter(|g| n % g == 0).min_by_key(|&g| (!whole(g), cycles(g)))?;
    let layer = LayerSpec {
        cin: n,
        h: x.h,
        w: x.w.checked_mul(parts)?,
        cout: x.c,
        kw: parts,
        sw: parts,
        groups: n / group,
        ..LayerSpec::default()
    };
    let tap = |o: u32| {
        (0..parts)
            .flat_map(move |p| (0..group).map(move |c| i32::from((p, c) == (o % parts, o / parts % group))))
    };
    Some((Layer::new(layer).ok()?, (0..x.c).flat_map(tap).collect()))
}

fn error(node: &Node, e: impl std::fmt::Display) -> CompileError {
    CompileError::new(format!("node {}: {e}", node.name))
}

fn step(
    network: &Network,
    index: usize,
    node: &Node,
    parts: &[Part],
    config: &Config,
) -> Result<Step, CompileError> {
    let input = node.inputs[0];
    let (x, y) = (&network.tensors[input], &network.tensors[node.output]);
    let (lo, hi) = x.range();
    let mut step = Step {
        nodes: vec![index],
        layer: by_channel(x.c, x.h, x.w, None).map_err(|e| error(node, e))?,
        kernel: Kernel::Sum,
        input,
        second: None,
        broadcast: false,
        output: node.output,
        // Elements as they are.
        quant: isa::Quant { x_signed: x.signed(), y_min: lo, y_max: hi, ..isa::Quant::default() },
        post: None,
        table: None,
        weights: Arc::default(),
        bias: vec![0],
        multipliers: vec![1.0],
    };
    let averages = |x_zero: i32, y_zero: i32| isa::Quant {
        x_zero,
        y_zero,
        y_min: node.y_min,
        y_max: node.y_max,
        ..step.quant
    };
    match &node.kind {
        OpKind::Conv { layer, data } | OpKind::Depthwise { layer, data } => {
            step.layer = *layer;
            // By channel, every window must see some of the map.
            let by_channel = config.by_channel
                && matches!(node.kind, OpKind::Depthwise { .. })
                && !crate::shape::tap_counts(layer).contains(&0);
            step.kernel = if by_channel { Kernel::ByChannel } else { Kernel::Dense };
            let q = data.quant;
            step.quant = isa::Quant {
                x_signed: q.signed,
                x_zero: q.x_zero,
                y_zero: q.y_zero,
                y_min: node.y_min.max(q.y_min),
                y_max: node.y_max.min(q.y_max),
                ..isa::Quant::default()
            };
            step.weights.clone_from(&data.weights);
            step.bias.clone_from(&data.bias);
            step.multipliers.clone_from(&data.multipliers);
        }
        OpKind::MaxPool { window } => {
            step.layer = by_channel(x.c, x.h, x.w, Some(window)).map_err(|e| error(node, e))?;
            step.kernel = Kernel::Largest;
            // The sum is the difference from the least one.
            step.bias = vec![-(1 << config.operand_bits)];
            (step.quant.y_min, step.quant.y_max) = (node.y_min, node.y_max);
        }
        OpKind::AveragePool { window, zero, y_zero, .. } => {
            step.quant = averages(*zero, *y_zero);
            step.layer = by_channel(x.c, x.h, x.w, Some(window)).map_err(|e| error(node, e))?;
            let Some(average) = Average::of(&node.kind, [x.h, x.w]) else {
                return Err(CompileError::internal());
            };
            let counts = crate::shape::tap_counts(&step.layer);
            let averages: Vec<Average> = counts.into_iter().map(|taps| average(taps as u32)).collect();
            step.multipliers = averages.iter().map(|a| a.multiplier).collect();
            step.bias = averages.iter().map(|a| a.bias).collect();
            // The same for all.
            step.quant.y_zero = averages.first().map_or(*y_zero, |a| a.y_zero);
        }
        OpKind::GlobalAveragePool { zero, multiplier, y_zero } => {
            step.quant = averages(*zero, *y_zero);
            let window = Window {
                kh: x.h,
                kw: x.w,
                sh: 1,
                sw: 1,
                pt: 0,
                pl: 0,
                pb: 0,
                pr: 0,
                dh: 1,
                dw: 1,
                out_h: 1,
                out_w: 1,
            };
            step.layer = by_channel(x.c, x.h, x.w, Some(&window)).map_err(|e| error(node, e))?;
            step.multipliers = vec![*multiplier];
        }
        OpKind::Add { .. } | OpKind::Mul { .. } => {
            step.post = Some(post(network, node, false));
            step.second = Some(node.inputs[1]);
            step.broadcast = broadcast(network, node, node.inputs[1]);
        }
        OpKind::Table(table) => set_table(&mut step, table),
        OpKind::Channels(map) => {
            step.kernel = Kernel::Dense;
            let products = x.c as usize * map.len();
            if products > MOST_PRODUCTS {
                return Err(error(
                    node,
                    format!("{products} pairs of channels: at most {MOST_PRODUCTS} allowed; take neighbours"),
                ));
            }
            let dense = LayerSpec { cin: x.c, h: x.h, w: x.w, cout: y.c, ..LayerSpec::default() };
            let row = |&from: &u32| (0..x.c).map(move |c| i32::from(c == from));
            let whole = parts[input].whole == input;
            let (layer, weights) = match shuffle(map, x, config).filter(|_| whole) {
                Some(found) => found,
                None => (Layer::new(dense).map_err(|e| error(node, e))?, map.iter().flat_map(row).collect()),
            };
            step.layer = layer;
            step.weights = Arc::new(weights);
            step.bias = vec![0; map.len()];
            step.multipliers = vec![1.0; map.len()];
        }
        &OpKind::Pad { pt, pl, pb, pr, value } => {
            // A kernel that has one tap, on maps that are zero where they are padded.
            let (kh, kw) = (pt + pb + 1, pl + pr + 1);
            let window = LayerSpec { kh, kw, pt: kh - 1, pl: kw - 1, pb: kh - 1, pr: kw - 1, ..*step.layer };
            step.layer = Layer::new(window).map_err(|e| error(node, e))?;
            step.kernel = Kernel::ByChannel;
            (step.quant.x_zero, step.quant.y_zero) = (value, value);
            let kernel = (0..kh * kw).map(|k| i32::from(k == pb * kw + pr));
            step.weights = Arc::new(kernel.collect::<Vec<_>>().repeat(x.c as usize));
            step.bias = vec![0; x.c as usize];
            step.multipliers = vec![1.0; x.c as usize];
        }
        OpKind::Concat | OpKind::Interleave { .. } => {
            return Err(error(node, "not a step of its own"));
        }
    }
    if step.kernel == Kernel::Dense && step.weights.is_empty() {
        return Err(error(node, "no weights"));
    }
    Ok(step)
}

/// A reduction by channel, of one element if there is no window.
fn by_channel(c: u32, h: u32, w: u32, window: Option<&Window>) -> Result<Layer, spec::layer::LayerError> {
    let base = LayerSpec { cin: c, cout: c, groups: c, h, w, ..LayerSpec::default() };
    let Some(o) = window else { return Layer::new(base) };
    // What windows need of padding, no matter what the file says: sizes may have been rounded up.
    let after = |out: u32, stride: u32, kernel: u32, dilation: u32, pad: u32, size: u32| {
        ((out - 1) * stride + (kernel - 1) * dilation + 1).saturating_sub(pad + size)
    };
    Layer::new(LayerSpec {
        kh: o.kh,
        kw: o.kw,
        sh: o.sh,
        sw: o.sw,
        pt: o.pt,
        pl: o.pl,
        pb: after(o.out_h, o.sh, o.kh, o.dh, o.pt, h),
        pr: after(o.out_w, o.sw, o.kw, o.dw, o.pl, w),
        dh: o.dh,
        dw: o.dw,
        ..base
    })
}

fn broadcast(network: &Network, node: &Node, second: TensorId) -> bool {
    let (s, y) = (&network.tensors[second], &network.tensors[node.output]);
    (s.h, s.w) != (y.h, y.w)
}

/// What a node does with its two operands, the first of which is the requantised output unless they are swapped.
fn post(network: &Network, node: &Node, swap: bool) -> isa::Post {
    let second = &network.tensors[node.inputs[usize::from(!swap)]];
    let base = isa::Post {
        signed: second.signed(),
        swap,
        y_min: node.y_min,
        y_max: node.y_max,
        ..isa::Post::default()
    };
    match node.kind {
        OpKind::Add { ra, rb, offset } => isa::Post {
            op: 1,
            a_scale: ra.to_bits(),
            b_scale: rb.to_bits(),
            offset: offset.to_bits(),
            ..base
        },
        OpKind::Mul { scale, a_zero, b_zero, y_zero } => {
            // ONNX Runtime adds the zero point before it rounds.
            let offset = (y_zero as f32).to_bits();
            isa::Post { op: 2, a_zero, b_zero, a_scale: scale.to_bits(), offset, ..base }
        }
        _ => base,
    }
}

fn set_table(step: &mut Step, table: &[u8; 256]) {
    let post = step.post.unwrap_or_default();
    step.post = Some(isa::Post { table: true, ..post });
    step.table = Some(Box::new(*table));
}

/// Adds node `index`, which reads the step's output, to the step if that is possible.
fn fuse(network: &Network, step: &mut Step, index: usize, known: &[bool]) -> bool {
    let node = &network.nodes[index];
    match &node.kind {
        OpKind::Add { .. } | OpKind::Mul { .. } if step.post.is_none() => {
            let swap = node.inputs[1] == step.output;
            let second = node.inputs[usize::from(!swap)];
            // The whole map is the requantised output, so only the other operand can be a single pixel.
            if second == step.output || !known[second] || swap && broadcast(network, node, step.output) {
                return false;
            }
            step.post = Some(post(network, node, swap));
            step.second = Some(second);
            step.broadcast = broadcast(network, node, second);
        }
        OpKind::Table(table) if step.table.is_none() => set_table(step, table),
        _ => return false,
    }
    step.output = node.output;
    true
}

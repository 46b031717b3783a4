//! Operators of the network, once the scale of their result is known.

use super::*;

/// Where a node's result goes: its name in the file, what its elements stand for, and their type.
#[derive(Clone, Copy)]
pub(super) struct Target<'n> {
    pub(super) label: &'n str,
    pub(super) scale: Scale,
    pub(super) ty: Type,
}

impl<'a> Importer<'a> {
    /// The quantised tensor that a real value becomes.
    pub(super) fn quantise(&mut self, real: &Real<'a>, y: &Target) -> Result<Act> {
        let name = real.name;
        if let Kind::Copy(x) = &real.kind {
            let (x, maps) = (x.clone(), &real.maps);
            let f = |v| y.scale.quantise(maps.iter().fold(x.scale.dequantise(v), |v, m| m.of(v)));
            let act = if maps.is_empty() && same_bits(&x.scale, &y.scale) && self.ty(x.act.id) == y.ty {
                x.act
            } else {
                self.tabulate(name, &x.act, (y.ty, &y.scale), y.label, f)?
            };
            return self.replay(&real.after, act, y.scale.zero);
        }
        let mut narrowed = y.scale;
        for map in &real.maps {
            let Map::Clip(lo, hi) = *map else {
                return Err(ImportError::new(format!(
                    "{map:?} on the result of node {name}, which is not quantised: put a QuantizeLinear and a \
                     DequantizeLinear between them"
                )));
            };
            // Rounding is monotone: the clipped value's element is the value's element, clipped.
            let (lo, hi) = (y.scale.quantise(lo), y.scale.quantise(hi));
            (narrowed.lo, narrowed.hi) = (narrowed.lo.max(lo).min(hi), narrowed.hi.max(lo).min(hi));
        }
        let y = Target { scale: narrowed, ..*y };
        let act = self.emit(name, &real.kind, &y)?;
        self.replay(&real.after, act, y.scale.zero)
    }

    fn replay(&mut self, nodes: &[&'a onnx::Node], mut act: Act, zero: i32) -> Result<Act> {
        for node in nodes {
            act = self.moved(node, &act, zero).map_err(|e| e.in_node(node))?;
        }
        Ok(act)
    }

    pub(super) fn emit(&mut self, name: &str, kind: &Kind<'a>, y: &Target) -> Result<Act> {
        match kind {
            // Only `quantise` meets it, and makes a table of it.
            Kind::Copy(x) => Ok(x.act.clone()),
            Kind::Conv { node, x, w, bias } => self.conv(name, node, x, w, bias, y),
            Kind::ConvTranspose { node, x, w, bias } => self.conv_transpose(name, node, x, w, bias, y),
            Kind::Dense { x, w, bias, turned, alpha } => self.dense(name, x, w, bias, (*turned, *alpha), y),
            Kind::Add(a, b) => self.binary(name, a, b, true, y),
            Kind::Mul(a, b) => self.binary(name, a, b, false, y),
            Kind::Concat { inputs, axis } => self.concat(name, inputs, *axis, y),
            Kind::AveragePool { node, x } => self.average_pool(name, node, x, y),
            Kind::Mean { x, channels_last, keep } => self.mean(name, x, *channels_last, *keep, y),
        }
    }

    fn conv(
        &mut self,
        name: &str,
        node: &onnx::Node,
        x: &Operand,
        w: &Weights,
        bias: &Bias,
        y: &Target,
    ) -> Result<Act> {
        let last = node.int("channels_last", 0)? != 0;
        let (shape, ty) = (x.act.view.shape(), self.ty(x.act.id));
        let &[cout, group_cin, kh, kw] = &w.tensor.shape[..] else {
            return Err(ImportError::new(format!(
                "weights of shape {:?}: [cout, cin, kh, kw] wanted (two-dimensional maps)",
                w.tensor.shape
            )));
        };
        let groups = usize::try_from(node.int("group", 1)?).ok().filter(|&g| g > 0);
        let cin = groups.and_then(|g| g.checked_mul(group_cin));
        let (Some(groups), Some(cin)) = (groups, cin) else {
            return Err(ImportError::new("group out of range: use 1 or more"));
        };
        if shape.len() != 4 || shape[if last { 3 } else { 1 }] != cin {
            let want = if last { format!("[?, ?, ?, {cin}]") } else { format!("[?, {cin}, ?, ?]") };
            return Err(ImportError::new(format!("input of shape {shape:?}: {want} ({ty:?}) wanted")));
        }
        let act = self.map(name, &x.act, last)?;
        let [h, width, c] = self.size(act.id);
        let spec = LayerSpec {
            cout: onnx::size(cout)?,
            groups: onnx::size(groups)?,
            ..geometry(node, &[1, c, h, width], Some([kh, kw]))?
        };
        if [spec.kh as usize, spec.kw as usize] != [kh, kw] {
            return Err(ImportError::new(format!(
                "kernel_shape={}x{}: {kh}x{kw} wanted, as the weights are",
                spec.kh, spec.kw
            )));
        }
        let (weights, bits) = w.centred()?;
        let weights = Tensor::ints(&w.tensor.shape, w.tensor.ty, weights).permute(crate::npy::TO_NHWC);
        let Values::Ints(weights) = weights.values else { return Err(ImportError::new("weights are float")) };
        let x = Operand { act, scale: x.scale };
        let layer = Layer::new(spec).map_err(ImportError::new)?;
        let size = [layer.out_h(), layer.out_w(), layer.cout].map(|n| n as usize);
        let id = self.layer(name, layer, (weights, bits), w, bias, (&x, 1.0), y)?;
        let view = if last { View::nhwc(size) } else { View::nchw(size) };
        Ok(Act { id, view })
    }

    /// A convolution for each place of an output in a stride of rows and one of columns; their outputs interleaved.
    fn conv_transpose(
        &mut self,
        name: &str,
        node: &onnx::Node,
        x: &Operand,
        w: &Weights,
        bias: &Bias,
        y: &Target,
    ) -> Result<Act> {
        let &[cin, group_cout, kh, kw] = &w.tensor.shape[..] else {
            return Err(ImportError::new(format!(
                "weights of shape {:?}: [cin, cout, kh, kw] wanted (two-dimensional maps)",
                w.tensor.shape
            )));
        };
        if w.axis != 1 && w.scales.len().max(w.zeros.len()) > 1 {
            return Err(ImportError::new(format!(
                "weight scales along dimension {}: dimension 1 wanted",
                w.axis
            )));
        }
        if [cin, group_cout, kh, kw].contains(&0) || kh.max(kw) > 255 {
            return Err(ImportError::new(format!(
                "weights of shape {:?}: kernels of 1 to 255 rows and columns wanted",
                w.tensor.shape
            )));
        }
        let groups = usize::try_from(node.int("group", 1)?).ok().filter(|&g| g > 0 && cin % g == 0);
        let Some(groups) = groups else {
            return Err(ImportError::new(format!("group: a divisor of {cin} channels wanted")));
        };
        let (group_cin, cout) = (cin / groups, groups.saturating_mul(group_cout));
        let shape = x.act.view.shape();
        if shape.len() != 4 || shape[1] != cin {
            return Err(ImportError::new(format!("input of shape {shape:?}: [?, {cin}, ?, ?] wanted")));
        }
        let act = self.map(name, &x.act, false)?;
        let [h, width, _] = self.size(act.id);
        let [rows, columns] = transposed(node, [h, width], [kh, kw])?;
        let (weights, bits) = w.centred()?;
        let x = Operand { act, scale: x.scale };
        let mut inputs = Vec::new();
        for row in &rows {
            for column in &columns {
                let (taps_h, taps_w) = (row.kernel(), column.kernel());
                let len = [cout, group_cin, taps_w].iter().try_fold(taps_h, |n, &m| n.checked_mul(m));
                if len.is_none_or(|n| n > MOST_ELEMENTS) {
                    return Err(ImportError::new(format!("kernel of {taps_h} x {taps_w}: use less padding")));
                }
                let mut phase = vec![0; len.unwrap_or(0)];
                for (o, (&(ky, r), &(kx, k))) in (0..cout).flat_map(|o| {
                    row.taps.iter().flat_map(move |r| column.taps.iter().map(move |k| (o, (r, k))))
                }) {
                    for c in 0..group_cin {
                        let from = ((o / group_cout * group_cin + c) * group_cout + o % group_cout) * kh * kw;
                        phase[((o * taps_h + r) * taps_w + k) * group_cin + c] = weights[from + ky * kw + kx];
                    }
                }
                let layer = Layer::new(LayerSpec {
                    cin: onnx::size(cin)?,
                    h: onnx::size(h)?,
                    w: onnx::size(width)?,
                    cout: onnx::size(cout)?,
                    groups: onnx::size(groups)?,
                    kh: onnx::size(taps_h)?,
                    kw: onnx::size(taps_w)?,
                    pt: onnx::size(row.before)?,
                    pb: onnx::size(row.after)?,
                    pl: onnx::size(column.before)?,
                    pr: onnx::size(column.after)?,
                    ..LayerSpec::default()
                })
                .map_err(ImportError::new)?;
                inputs.push(self.layer(name, layer, (phase, bits), w, bias, (&x, 1.0), y)?);
            }
        }
        let total = |phases: &[Phase]| phases.iter().map(|p| p.outputs).sum::<usize>();
        let size = [total(&rows), total(&columns), cout];
        let id = match inputs[..] {
            [one] => one,
            _ => {
                let kind = OpKind::Interleave { down: rows.len() as u32, right: columns.len() as u32 };
                self.add(name, kind, inputs, size, (y.ty, &y.scale), y.label)?
            }
        };
        Ok(Act { id, view: View::nchw(size) })
    }

    fn dense(
        &mut self,
        name: &str,
        x: &Operand,
        w: &Weights,
        bias: &Bias,
        (turned, alpha): (bool, f32),
        y: &Target,
    ) -> Result<Act> {
        let ty = self.ty(x.act.id);
        let &[rows, columns] = &w.tensor.shape[..] else {
            return Err(ImportError::new(format!("weights of shape {:?}: rank 2 wanted", w.tensor.shape)));
        };
        let (cin, cout) = if turned { (rows, columns) } else { (columns, rows) };
        let shape = x.act.view.shape();
        let Some((&last, outer)) = shape.split_last().filter(|&(&last, _)| last == cin) else {
            return Err(ImportError::new(format!("input of shape {shape:?}: [?, {cin}] ({ty:?}) wanted")));
        };
        let (weights, bits) = w.centred()?;
        let axis = outer.len();
        if outer.iter().all(|&n| n == 1) {
            // The whole tensor, its elements in the order of memory.
            let layer = LayerSpec { cin: onnx::size(last)?, cout: onnx::size(cout)?, ..LayerSpec::default() };
            let layer = Layer::new(layer).map_err(ImportError::new)?;
            let places = x.act.view.places_of(axis);
            let weights = if turned { onnx::transpose(&weights, cout) } else { weights };
            let mut ordered = vec![0; weights.len()];
            for (to, from) in ordered.chunks_exact_mut(cin.max(1)).zip(weights.chunks_exact(cin.max(1))) {
                places.iter().zip(from).for_each(|(&place, &w)| to[place] = w);
            }
            let id = self.layer(name, layer, (ordered, bits), w, bias, (x, alpha), y)?;
            return Ok(Act { id, view: View::vector(shape.len(), axis, cout) });
        }
        // A row is a pixel.
        let act = self.channels(name, &x.act, axis)?;
        let [h, width, c] = self.size(act.id);
        let layer = LayerSpec {
            cin: onnx::size(c)?,
            h: onnx::size(h)?,
            w: onnx::size(width)?,
            cout: onnx::size(cout)?,
            ..LayerSpec::default()
        };
        let layer = Layer::new(layer).map_err(ImportError::new)?;
        let ordered = if turned { onnx::transpose(&weights, cout) } else { weights };
        let view = act.view.with_channels(axis, c, cout);
        let x = Operand { act, scale: x.scale };
        let id = self.layer(name, layer, (ordered, bits), w, bias, (&x, alpha), y)?;
        Ok(Act { id, view })
    }

    /// A convolution; `weights` are centred and in the order of [`ConvData`].
    #[expect(clippy::too_many_arguments, reason = "what convolution and fully connected have in common")]
    fn layer(
        &mut self,
        name: &str,
        layer: Layer,
        (weights, weight_bits): (Vec<i32>, u32),
        w: &Weights,
        bias: &Bias,
        (x, alpha): (&Operand, f32),
        y: &Target,
    ) -> Result<TensorId> {
        self.count(weights.len(), name)?;
        let info = &self.network.tensors[x.act.id];
        let (bits, signed) = (info.bits(), info.signed());
        if info.ty != y.ty {
            return Err(ImportError::new(format!(
                "input is {:?}, output {:?}: quantise both to the same type",
                info.ty, y.ty
            )));
        }
        if weight_bits > bits {
            return Err(ImportError::new(format!(
                "weights of {weight_bits} bits for activations of {bits}: quantise both to {bits}"
            )));
        }
        let cout = layer.cout as usize;
        let dense = w.tensor.shape.len() == 2;
        let sx = alpha * x.scale.scale;
        let multipliers: Vec<f32> = (0..cout).map(|c| (sx * w.scale(c)) / y.scale.scale).collect();
        for &multiplier in &multipliers {
            check_multiplier(multiplier).map_err(ImportError::new)?;
        }
        let bias = match bias {
            Bias::None => vec![0; cout],
            Bias::Ints(tensor) => spread(tensor.as_ints().unwrap_or_default(), cout)?,
            Bias::Scaled(b) if dense || (0..cout).all(|c| b.scale(c) == sx * w.scale(c)) => {
                // ONNX Runtime does not look at the scale of a Gemm's bias.
                spread(b.tensor.as_ints().unwrap_or_default(), cout)?
            }
            Bias::Scaled(b) => {
                let ints = spread(b.tensor.as_ints().unwrap_or_default(), cout)?.into_iter().enumerate();
                let real = ints.map(|(c, v)| (c, v as f32 * b.scale(c)));
                real.map(|(c, b)| (b / (sx * w.scale(c))).round_ties_even() as i32).collect()
            }
            Bias::Floats(floats) => {
                // A float-to-int cast saturates.
                let floats = spread(floats.as_floats().unwrap_or_default(), cout)?;
                let quantised = floats.into_iter().enumerate();
                quantised.map(|(c, b)| (b / (sx * w.scale(c))).round_ties_even() as i32).collect()
            }
        };
        for (what, zero) in [("input", x.scale.zero), ("output", y.scale.zero)] {
            let (lo, hi) = info.range();
            if !(lo..=hi).contains(&zero) {
                return Err(ImportError::new(format!("{what} zero point {zero}: {lo} to {hi} wanted")));
            }
        }
        let quant = Quant {
            operand_bits: bits,
            signed,
            x_zero: x.scale.zero,
            y_zero: y.scale.zero,
            y_min: y.scale.lo,
            y_max: y.scale.hi,
        };
        let data = ConvData { weights: weights.into(), bias, multipliers, quant };
        let size = [layer.out_h(), layer.out_w(), layer.cout].map(|n| n as usize);
        let by_channel = layer.groups > 1 && layer.groups == layer.cin && layer.groups == layer.cout;
        let kind = if by_channel { OpKind::Depthwise { layer, data } } else { OpKind::Conv { layer, data } };
        self.add(name, kind, vec![x.act.id], size, (y.ty, &y.scale), y.label)
    }

    // ---- two inputs and more ----

    fn binary(&mut self, name: &str, a: &Term, b: &Term, add: bool, y: &Target) -> Result<Act> {
        let (a, b) = match (a, b) {
            (Term::Act(a), b) => (a, b),
            (b @ Term::Constant(_), Term::Act(a)) => (a, b),
            _ => return Err(ImportError::new("both inputs are constants: fold them into one")),
        };
        if y.scale.hi - y.scale.lo > 255 || self.network.tensors[a.act.id].bits() != 8 {
            return Err(ImportError::new("operands of 16 bits: quantise to 8 bits"));
        }
        if let Term::Constant(w) = b
            && w.tensor.shape.len() > MOST_STEPS
        {
            let rank = w.tensor.shape.len();
            return Err(ImportError::new(format!("{rank} dimensions: at most {MOST_STEPS} allowed")));
        }
        let b = match b {
            Term::Act(b) => b.clone(),
            Term::Constant(w) => match self.constant_operand(name, &a.act, w)? {
                (scale, None) => {
                    let b = w.tensor.as_ints().and_then(|v| v.first()).copied().unwrap_or_default();
                    let (kind, y_scale) = (two_inputs(add, &a.scale, &scale, &y.scale), y.scale);
                    let rank = a.act.view.shape().len().max(w.tensor.shape.len());
                    let act = Act { id: a.act.id, view: a.act.view.padded(rank) };
                    let f = |a| super::super::run::combine(&kind, a, b, y_scale.lo, y_scale.hi);
                    return self.tabulate(name, &act, (y.ty, &y.scale), y.label, f);
                }
                (scale, Some(act)) => Operand { act, scale },
            },
        };
        if self.network.tensors[b.act.id].bits() != 8 {
            return Err(ImportError::new("operands of 16 bits: quantise to 8 bits"));
        }
        let rank = a.act.view.shape().len().max(b.act.view.shape().len());
        let pad = |o: &Operand| Operand {
            act: Act { id: o.act.id, view: o.act.view.padded(rank) },
            scale: o.scale,
        };
        let (mut a, mut b) = (pad(a), pad(&b));
        let (sa, sb) = (a.act.view.shape(), b.act.view.shape());
        let fail = || {
            ImportError::new(format!(
                "inputs of shapes {sa:?} and {sb:?}: equal ones wanted, or one with a value for each channel"
            ))
        };
        if sa == sb {
            if a.act.view != b.act.view || self.size(a.act.id) != self.size(b.act.id) {
                let last = !a.act.view.is_map(1, self.size(a.act.id));
                a.act = self.map(name, &a.act, last)?;
                b.act = self.map(name, &b.act, last)?;
                if self.size(a.act.id) != self.size(b.act.id) {
                    return Err(fail());
                }
            }
        } else {
            // The input that repeats comes second, as in ONNX Runtime.
            if sa.iter().product::<usize>() < sb.iter().product() {
                std::mem::swap(&mut a, &mut b);
            }
            let (sa, sb) = (a.act.view.shape(), b.act.view.shape());
            let mut axes = (0..rank).filter(|&i| sb[i] != 1);
            let axis = match (axes.next(), axes.next()) {
                (Some(axis), None) => axis,
                _ => return Err(fail()),
            };
            if sb[axis] != sa[axis] {
                return Err(fail());
            }
            a.act = self.channels(name, &a.act, axis)?;
            b.act = self.channels(name, &b.act, axis)?;
            let ([_, _, ca], [hb, wb, cb]) = (self.size(a.act.id), self.size(b.act.id));
            if (ca, 1, 1) != (cb, hb, wb) {
                return Err(fail());
            }
        }
        let kind = two_inputs(add, &a.scale, &b.scale, &y.scale);
        let size = self.size(a.act.id);
        let id = self.add(name, kind, vec![a.act.id, b.act.id], size, (y.ty, &y.scale), y.label)?;
        Ok(Act { id, view: a.act.view })
    }

    /// A constant second input: what it stands for, and a tensor of it unless it is a single number.
    fn constant_operand(&mut self, name: &str, a: &Act, w: &Weights) -> Result<(Scale, Option<Act>)> {
        let (&[scale], &[zero]) = (&w.scales[..], &w.zeros[..]) else {
            return Err(ImportError::new("a constant input with several scales: quantise it per tensor"));
        };
        let (ty, scale) = (w.tensor.ty, scale_of(scale, zero, w.tensor.ty)?);
        let values = w.tensor.as_ints().unwrap_or_default();
        if values.len() == 1 {
            return Ok((scale, None));
        }
        let rank = a.view.shape().len().max(w.tensor.shape.len());
        let shape = [vec![1; rank - w.tensor.shape.len()], w.tensor.shape.clone()].concat();
        let axes: Vec<usize> = (0..rank).filter(|&i| shape[i] != 1).collect();
        let (size, view) = match (&axes[..], &shape[..]) {
            (&[axis], _) => ([1, 1, values.len()], View::vector(rank, axis, values.len())),
            (_, &[1, c, h, width]) => ([h, width, c], View::nchw([h, width, c])),
            _ => {
                return Err(ImportError::new(format!(
                    "a constant of shape {shape:?}: one number, one a channel, or [1, c, h, w] wanted"
                )));
            }
        };
        let id = self.tensor(name, size, ty, &scale)?;
        let mut placed = vec![0; values.len()];
        for (place, &value) in view.places().into_iter().zip(values) {
            placed[place] = value;
        }
        self.network.constants.insert(id, placed);
        Ok((scale, Some(Act { id, view })))
    }

    fn concat(&mut self, name: &str, inputs: &[Operand], axis: i64, y: &Target) -> Result<Act> {
        let Some(first) = inputs.first() else { return Err(ImportError::new("no inputs: give one or more")) };
        let axis = onnx::axis(axis, first.act.view.shape().len())?;
        let mut acts: Vec<Act> = Vec::new();
        for x in inputs {
            if x.act.view.shape().len() != first.act.view.shape().len() {
                return Err(ImportError::new("inputs of different ranks: equal ones wanted"));
            }
            let f = |v| y.scale.quantise(x.scale.dequantise(v));
            // A fused function may leave less than the type's range.
            let all = scale_of(y.scale.scale, y.scale.zero, y.ty)?;
            let clips = (y.scale.lo, y.scale.hi) != (all.lo, all.hi);
            let act = if same_bits(&x.scale, &y.scale) && self.ty(x.act.id) == y.ty && !clips {
                x.act.clone()
            } else {
                self.tabulate(name, &x.act, (y.ty, &y.scale), y.label, f)?
            };
            acts.push(self.channels(name, &act, axis)?);
        }
        let channels: usize = acts.iter().map(|a| self.size(a.id)[2]).sum();
        let views: Vec<View> =
            acts.iter().map(|a| a.view.with_channels(axis, self.size(a.id)[2], channels)).collect();
        let [h, w, _] = self.size(acts[0].id);
        if views.iter().any(|v| *v != views[0]) || acts.iter().any(|a| self.size(a.id)[..2] != [h, w]) {
            let shapes: Vec<Vec<usize>> = acts.iter().map(|a| a.view.shape()).collect();
            return Err(ImportError::new(format!("inputs of shapes {shapes:?}: maps of equal sizes wanted")));
        }
        let (kind, inputs) = (OpKind::Concat, acts.iter().map(|a| a.id).collect());
        let id = self.add(name, kind, inputs, [h, w, channels], (y.ty, &y.scale), y.label)?;
        Ok(Act { id, view: views[0].clone() })
    }

    // ---- pooling ----

    /// The window of a pooling node on a map.
    fn window(&self, node: &onnx::Node, act: &Act) -> Result<Window> {
        let [h, w, c] = self.size(act.id);
        let spec = geometry(node, &[1, c, h, w], None)?;
        let spec = LayerSpec { cout: spec.cin, groups: spec.cin, ..spec };
        let layer = Layer::new(spec).map_err(ImportError::new)?;
        let LayerSpec { kh, kw, sh, sw, pt, pl, pb, pr, dh, dw, .. } = spec;
        let (mut out_h, mut out_w) = (layer.out_h(), layer.out_w());
        if node.int("ceil_mode", 0)? != 0 {
            // Rounded up, unless the last window would start behind the map.
            let up = |out: u32, size: u32, reach: u32, before: u32, after: u32, stride: u32| {
                let rest = !(size + before + after - reach - 1).is_multiple_of(stride);
                out + u32::from(rest && out * stride < size + before)
            };
            out_h = up(out_h, spec.h, dh * (kh - 1), pt, pb, sh);
            out_w = up(out_w, spec.w, dw * (kw - 1), pl, pr, sw);
        }
        Ok(Window { kh, kw, sh, sw, pt, pl, pb, pr, dh, dw, out_h, out_w })
    }

    pub(super) fn max_pool(&mut self, node: &onnx::Node, x: &Act) -> Result<Act> {
        node.only("storage_order", 0)?;
        if node.outputs.get(1).is_some_and(|o| !o.is_empty()) {
            return Err(ImportError::new("its second output, the places, is not supported: leave it out"));
        }
        let act = self.map(&node.name, x, false)?;
        let window = self.window(node, &act)?;
        let size = [window.out_h as usize, window.out_w as usize, self.size(act.id)[2]];
        let (ty, scale) = (self.ty(act.id), self.scale(act.id));
        let label = node.outputs.first().map_or("", String::as_str);
        let kind = OpKind::MaxPool { window };
        let id = self.add(&node.name, kind, vec![act.id], size, (ty, &scale), label)?;
        Ok(Act { id, view: View::nchw(size) })
    }

    fn average_pool(&mut self, name: &str, node: &onnx::Node, x: &Operand, y: &Target) -> Result<Act> {
        let last = node.int("channels_last", 0)? != 0;
        let act = self.map(name, &x.act, last)?;
        let window = self.window(node, &act)?;
        if (window.dh, window.dw) != (1, 1) {
            return Err(ImportError::new(format!(
                "dilations={}x{}: only 1 is supported for averages; use a convolution",
                window.dh, window.dw
            )));
        }
        let size = [window.out_h as usize, window.out_w as usize, self.size(act.id)[2]];
        let [h, width, _] = self.size(act.id);
        let whole = [window.kh as usize, window.kw as usize] == [h, width];
        if whole && [window.pt, window.pl, window.pb, window.pr] == [0; 4] {
            // As in ONNX Runtime.
            return self.mean(name, &Operand { act, scale: x.scale }, last, true, y);
        }
        let kind = OpKind::AveragePool {
            window,
            count_include_pad: node.int("count_include_pad", 0)? != 0,
            scale: x.scale.scale,
            zero: x.scale.zero,
            y_scale: y.scale.scale,
            y_zero: y.scale.zero,
        };
        let id = self.add(name, kind, vec![act.id], size, (y.ty, &y.scale), y.label)?;
        Ok(Act { id, view: if last { View::nhwc(size) } else { View::nchw(size) } })
    }

    fn mean(&mut self, name: &str, x: &Operand, last: bool, keep: bool, y: &Target) -> Result<Act> {
        let act = self.map(name, &x.act, last)?;
        let [h, w, c] = self.size(act.id);
        let multiplier = x.scale.scale / (y.scale.scale * (h * w) as f32);
        check_multiplier(multiplier).map_err(ImportError::new)?;
        let kind = OpKind::GlobalAveragePool { zero: x.scale.zero, multiplier, y_zero: y.scale.zero };
        let id = self.add(name, kind, vec![act.id], [1, 1, c], (y.ty, &y.scale), y.label)?;
        let view = if !keep { View::vector(2, 1, c) } else { View::vector(4, if last { 3 } else { 1 }, c) };
        Ok(Act { id, view })
    }
}

/// The outputs of a ConvTranspose along one axis that lie at one place of a stride: those of a convolution.
struct Phase {
    outputs: usize,
    /// Taps of the ConvTranspose with their places in the convolution's kernel, which may have others that are zero.
    taps: Vec<(usize, usize)>,
    /// Padding of the convolution.
    before: usize,
    after: usize,
    /// Last place of the kernel.
    last: usize,
}

impl Phase {
    fn kernel(&self) -> usize {
        self.last + 1
    }

    /// Output `stride` × i + `place` is the sum of tap k times input i + (`place` + `pad` − k × `dilation`) ÷ `stride`,
    /// over all k for which that is whole.
    fn new(place: i64, [size, kernel, stride, dilation, pad, total]: [i64; 6]) -> Self {
        let outputs = (total - place + stride - 1) / stride;
        let taps = (0..kernel).map(|k| (k, place + pad - k * dilation)).filter(|(_, at)| at % stride == 0);
        let taps: Vec<(i64, i64)> = taps.map(|(k, at)| (k, at / stride)).collect();
        // Padding is not negative and less than the kernel.
        let bounds = [0, size - outputs];
        let reach = || taps.iter().map(|(_, at)| *at).chain(bounds);
        let (first, last) = (reach().fold(0, i64::min), reach().fold(0, i64::max));
        let n = |v: i64| v as usize;
        Self {
            outputs: n(outputs),
            taps: taps.iter().map(|&(k, at)| (n(k), n(at - first))).collect(),
            before: n(-first),
            after: n(outputs - size + last),
            last: n(last - first),
        }
    }
}

/// The phases of a ConvTranspose's rows and of its columns.
fn transposed(node: &onnx::Node, size: [usize; 2], kernel: [usize; 2]) -> Result<[Vec<Phase>; 2]> {
    let n = |v: usize| onnx::size(v).map(i64::from);
    let default = [onnx::size(kernel[0])?, onnx::size(kernel[1])?];
    let (strides, dilations) = (node.ints("strides", [1, 1])?, node.ints("dilations", [1, 1])?);
    let (extra, pads) = (node.ints("output_padding", [0, 0])?, node.ints("pads", [0; 4])?);
    let shape = node.ints("kernel_shape", default)?;
    if shape != default {
        return Err(ImportError::new(format!(
            "kernel_shape={shape:?}: {default:?} wanted, as the weights are"
        )));
    }
    if [strides, dilations].iter().flatten().any(|v| !(1..=MOST_SCALE).contains(v))
        || pads.iter().chain(&extra).any(|&v| v > spec::layer::MAX_SIZE)
    {
        return Err(ImportError::new(format!(
            "strides={strides:?} dilations={dilations:?} pads={pads:?} output_padding={extra:?}: strides and \
             dilations of 1 to {MOST_SCALE} wanted, and padding up to {}",
            spec::layer::MAX_SIZE
        )));
    }
    let mode = match node.attributes.get("auto_pad") {
        Some(Attribute::Text(mode)) => mode.as_str(),
        _ => "NOTSET",
    };
    let wanted = match (node.attributes.get("output_shape"), mode) {
        (Some(_), _) => Some(node.ints("output_shape", [0, 0])?),
        (None, "SAME_UPPER" | "SAME_LOWER") => {
            Some([onnx::size(size[0])? * strides[0], onnx::size(size[1])? * strides[1]])
        }
        _ => None,
    };
    let axis = |i: usize| {
        let (size, kernel) = (n(size[i])?, n(kernel[i])?);
        let [stride, dilation, extra, before, after] =
            [strides[i], dilations[i], extra[i], pads[i], pads[i + 2]].map(i64::from);
        let full = stride * (size - 1) + extra + (kernel - 1) * dilation + 1;
        let (before, total) = match wanted {
            None if mode == "VALID" => (0, full),
            None => (before, full - before - after),
            Some(wanted) => {
                let (total, pads) = (i64::from(wanted[i]), full - i64::from(wanted[i]));
                (if mode == "SAME_UPPER" { pads / 2 } else { pads - pads / 2 }, total)
            }
        };
        if total < stride || total > full {
            return Err(ImportError::new(format!(
                "outputs of {total} along an axis of {size}, stride {stride}: {stride} to {full} wanted"
            )));
        }
        Ok((0..stride)
            .map(|place| Phase::new(place, [size, kernel, stride, dilation, before, total]))
            .collect())
    };
    Ok([axis(0)?, axis(1)?])
}

fn two_inputs(add: bool, a: &Scale, b: &Scale, y: &Scale) -> OpKind {
    if add {
        let (ra, rb) = (a.scale / y.scale, b.scale / y.scale);
        let offset = y.zero as f32 - ra.mul_add(a.zero as f32, rb * b.zero as f32);
        OpKind::Add { ra, rb, offset }
    } else {
        let scale = a.scale * b.scale / y.scale;
        OpKind::Mul { scale, a_zero: a.zero, b_zero: b.zero, y_zero: y.zero }
    }
}

fn same_bits(a: &Scale, b: &Scale) -> bool {
    a.scale.to_bits() == b.scale.to_bits() && a.zero == b.zero
}

/// One value for each of `count` channels, of as many or of one.
fn spread<T: Copy>(values: &[T], count: usize) -> Result<Vec<T>> {
    match values {
        &[one] => Ok(vec![one; count]),
        _ if values.len() == count => Ok(values.to_vec()),
        _ => Err(ImportError::new(format!("bias of {} elements: {count} wanted", values.len()))),
    }
}

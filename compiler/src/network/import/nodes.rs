//! What each operator of ONNX makes of the values that it reads.

use super::emit::Target;
use super::*;

impl<'a> Importer<'a> {
    /// Whether the operator is one that import knows; its outputs then have values.
    pub(super) fn node(&mut self, node: &'a onnx::Node) -> Result<bool> {
        let done = match node.op.as_str() {
            "QuantizeLinear" => self.quantize_linear(node),
            "DequantizeLinear" => self.dequantize_linear(node),
            "Identity" | "Dropout" => {
                let value = self.of(node, 0)?;
                self.give(node, value)
            }
            "Reshape" | "Flatten" | "Transpose" | "Squeeze" | "Unsqueeze" => self.layout(node),
            "MaxPool" | "Slice" | "Split" | "Pad" | "Resize" | "Upsample" => self.layout(node),
            "QLinearConv" => {
                let kind = Kind::Conv {
                    node,
                    x: self.operand(node, 0)?,
                    w: self.weights(node, 3, 0)?,
                    bias: self.optional(node, 8)?.map_or(Bias::None, Bias::Ints),
                };
                self.quantised(node, kind, vec![], 6)
            }
            "QGemm" => {
                if !self.has(node, 7) {
                    return Err(ImportError::new(
                        "float output: only a quantised output is supported; export a y_scale",
                    ));
                }
                let kind = Kind::Dense {
                    x: self.gemm_input(node, self.operand(node, 0)?)?,
                    turned: node.int("transB", 0)? == 0,
                    w: self.weights(node, 3, usize::from(node.int("transB", 0)? == 0))?,
                    bias: self.optional(node, 6)?.map_or(Bias::None, Bias::Ints),
                    alpha: node.float("alpha", 1.0)?,
                };
                self.quantised(node, kind, vec![], 7)
            }
            "QLinearMatMul" => {
                let x = self.operand(node, 0)?;
                let w = self.weights(node, 3, 1)?;
                let kind = Kind::Dense { x, w, bias: Bias::None, turned: true, alpha: 1.0 };
                self.quantised(node, kind, vec![], 6)
            }
            "QLinearAdd" => {
                self.quantised(node, Kind::Add(self.term(node, 0)?, self.term(node, 3)?), vec![], 6)
            }
            "QLinearMul" => {
                self.quantised(node, Kind::Mul(self.term(node, 0)?, self.term(node, 3)?), vec![], 6)
            }
            "QLinearConcat" => {
                let inputs = (2..node.inputs.len()).step_by(3).map(|i| self.operand(node, i));
                let kind =
                    Kind::Concat { inputs: inputs.collect::<Result<_>>()?, axis: node.int("axis", 1)? };
                self.quantised(node, kind, vec![], 0)
            }
            "QLinearAveragePool" => {
                let x = self.operand(node, 0)?;
                self.quantised(node, Kind::AveragePool { node, x }, vec![], 3)
            }
            "QLinearGlobalAveragePool" => {
                let (x, channels_last) = (self.operand(node, 0)?, node.int("channels_last", 0)? != 0);
                self.quantised(node, Kind::Mean { x, channels_last, keep: true }, vec![], 3)
            }
            "QLinearSigmoid" | "QLinearLeakyRelu" => {
                let map = match node.op.as_str() {
                    "QLinearSigmoid" => Map::Sigmoid,
                    _ => Map::LeakyRelu(node.float("alpha", 0.01)?),
                };
                let kind = Kind::Copy(self.operand(node, 0)?);
                self.quantised(node, kind, vec![map], 3)
            }
            op @ ("Conv" | "ConvTranspose") => {
                let (x, w) = (self.real(node, 0)?, self.real_weights(node, 1)?);
                let bias = self.real_bias(node, 2)?;
                let kind = if op == "Conv" {
                    Kind::Conv { node, x, w, bias }
                } else {
                    Kind::ConvTranspose { node, x, w, bias }
                };
                self.give_real(node, kind)
            }
            "Gemm" => {
                if self.has(node, 2) && node.float("beta", 1.0)? != 1.0 {
                    return Err(ImportError::new("beta other than 1: fold it into the bias"));
                }
                let kind = Kind::Dense {
                    x: self.gemm_input(node, self.real(node, 0)?)?,
                    turned: node.int("transB", 0)? == 0,
                    w: self.real_weights(node, 1)?,
                    bias: self.real_bias(node, 2)?,
                    alpha: node.float("alpha", 1.0)?,
                };
                self.give_real(node, kind)
            }
            "MatMul" => {
                let (x, w) = (self.real(node, 0)?, self.real_weights(node, 1)?);
                self.give_real(node, Kind::Dense { x, w, bias: Bias::None, turned: true, alpha: 1.0 })
            }
            "Add" | "Sum" | "Mul" | "Sub" | "Div" => self.arithmetic(node),
            "Concat" => self.concat_node(node),
            "AveragePool" => {
                let x = self.real(node, 0)?;
                self.give_real(node, Kind::AveragePool { node, x })
            }
            "GlobalAveragePool" => {
                let x = self.real(node, 0)?;
                self.give_real(node, Kind::Mean { x, channels_last: false, keep: true })
            }
            "ReduceMean" => self.reduce_mean(node),
            "Relu" | "Clip" | "LeakyRelu" | "Sigmoid" | "Tanh" | "HardSigmoid" | "HardSwish" => {
                self.unary(node)
            }
            "Softmax" | "ArgMax" => self.on_the_host(node),
            "QLinearSoftmax" => self.quantised_softmax(node),
            "Shape" | "Gather" | "Cast" => self.fold(node),
            _ => return Ok(false),
        };
        done.map(|()| true)
    }

    /// A quantised operator with the scale and zero point of its output in input `index` and the one after.
    fn quantised(
        &mut self,
        node: &'a onnx::Node,
        kind: Kind<'a>,
        maps: Vec<Map>,
        index: usize,
    ) -> Result<()> {
        let (scale, ty) = self.quantisation(node, index)?;
        let label = node.outputs.first().map_or("", String::as_str);
        let real = Real { name: &node.name, kind, maps, after: Vec::new() };
        let act = self.quantise(&real, &Target { label, scale, ty })?;
        self.give(node, Value::Quantised(act))
    }

    fn give_real(&mut self, node: &'a onnx::Node, kind: Kind<'a>) -> Result<()> {
        let real = Real { name: &node.name, kind, maps: Vec::new(), after: Vec::new() };
        self.give(node, Value::Real(Box::new(real)))
    }

    fn gemm_input(&self, node: &onnx::Node, mut x: Operand) -> Result<Operand> {
        if x.act.view.shape().len() != 2 {
            return Err(ImportError::new(format!(
                "input of shape {:?}: rank 2 wanted; put a Flatten before it",
                x.act.view.shape()
            )));
        }
        if node.int("transA", 0)? != 0 {
            x.act.view = x.act.view.transpose(&[1, 0]);
        }
        Ok(x)
    }

    // ---- in and out of real numbers ----

    fn quantize_linear(&mut self, node: &'a onnx::Node) -> Result<()> {
        let label = node.outputs.first().map_or("", String::as_str);
        match self.of(node, 0)? {
            Value::Constant(tensor) => {
                let value = self.quantise_constant(node, &tensor)?;
                self.give(node, Value::Constant(owned(value)))?;
            }
            Value::Real(real) => {
                let (scale, ty) = self.quantisation(node, 1)?;
                let act = self.quantise(&real, &Target { label, scale, ty })?;
                self.give(node, Value::Quantised(act))?;
            }
            Value::Fed { name, size, view, maps } => {
                let (scale, ty) = self.quantisation(node, 1)?;
                let id = self.tensor(label, size, ty, &scale)?;
                self.network.inputs.push(id);
                let feed = Feed { name: name.to_owned(), view: view.clone(), ty: Type::F32, maps, scale };
                self.network.feeds.push(feed);
                self.host(node, format!("{name:?} to {ty:?}, scale {:e}, zero {}", scale.scale, scale.zero));
                self.give(node, Value::Quantised(Act { id, view }))?;
            }
            Value::Host { tensor, view, mut steps, shape } => {
                let (scale, ty) = self.quantisation(node, 1)?;
                if let [.., HostStep::Dequantise(x), HostStep::Softmax(axis)] = steps[..] {
                    // ONNX Runtime makes one operator of them.
                    steps.truncate(steps.len() - 2);
                    steps.push(HostStep::QuantisedSoftmax { axis, x, y: scale, ty });
                } else {
                    steps.push(HostStep::Quantise(scale, ty));
                }
                self.host(node, "quantises".into());
                self.give(node, Value::Host { tensor, view, steps, shape })?;
            }
            _ => return Err(ImportError::new("input is quantised already: leave the node out")),
        }
        Ok(())
    }

    fn quantise_constant(&mut self, node: &onnx::Node, tensor: &Tensor) -> Result<Tensor> {
        let floats = tensor.as_floats().ok_or_else(|| ImportError::new("input is no float32 tensor"))?;
        let scales = self.constant(node, 1)?;
        let zeros = self.optional(node, 2)?;
        let (scales, ty) =
            (scales.as_floats().unwrap_or_default(), zeros.as_ref().map_or(Type::U8, |z| z.ty));
        let zeros = zeros.as_ref().and_then(|z| z.as_ints()).unwrap_or(&[0]);
        let axis = onnx::axis(node.int("axis", 1)?, tensor.shape.len().max(2))?;
        let along = if scales.len() == 1 { 1 } else { tensor.shape.get(axis).copied().unwrap_or(1) };
        if scales.is_empty() || scales.len() != along || (zeros.len() != 1 && zeros.len() != along) {
            return Err(ImportError::new(format!(
                "{} scales: 1 or one for each of dimension {axis}",
                scales.len()
            )));
        }
        let inner = tensor.shape.iter().skip(axis + 1).product::<usize>().max(1);
        let quantised = floats.iter().enumerate().map(|(i, &x)| {
            let c = i / inner;
            Ok(scale_of(scales[c % along], zeros[c % zeros.len()], ty)?.quantise(x))
        });
        Ok(Tensor::ints(&tensor.shape, ty, quantised.collect::<Result<_>>()?))
    }

    fn dequantize_linear(&mut self, node: &'a onnx::Node) -> Result<()> {
        let value = match self.of(node, 0)? {
            Value::Constant(tensor) => {
                let axis = onnx::axis(node.int("axis", 1)?, tensor.shape.len().max(2))?;
                let (scales, zeros) = (self.constant(node, 1)?, self.optional(node, 2)?);
                if node.int("block_size", 0)? != 0 {
                    return Err(ImportError::new(
                        "block_size: only scales by tensor or channel are supported",
                    ));
                }
                Value::Weights(Weights::new(tensor, &scales, zeros.as_deref().map(|z| &**z), axis)?)
            }
            Value::Quantised(act) => {
                let (scale, ty) = self.quantisation(node, 1)?;
                self.is(&act, ty)?;
                let kind = Kind::Copy(Operand { act, scale });
                Value::Real(Box::new(Real { name: &node.name, kind, maps: Vec::new(), after: Vec::new() }))
            }
            Value::Host { tensor, view, mut steps, shape }
                if matches!(
                    steps.last(),
                    None | Some(HostStep::Quantise(..) | HostStep::QuantisedSoftmax { .. })
                ) =>
            {
                steps.push(HostStep::Dequantise(self.quantisation(node, 1)?.0));
                Value::Host { tensor, view, steps, shape }
            }
            _ => return Err(ImportError::new("input is not quantised: put a QuantizeLinear before it")),
        };
        if node.outputs.iter().any(|o| self.model.outputs.contains(o)) {
            self.host(node, "to float".into());
        }
        self.give(node, value)
    }

    fn host(&mut self, node: &onnx::Node, what: String) {
        self.network.host.push(HostOp { name: node.name.clone(), what: format!("{} {what}", node.op) });
    }

    fn on_the_host(&mut self, node: &'a onnx::Node) -> Result<()> {
        let value = self.of(node, 0)?;
        let Some(Value::Host { tensor, view, mut steps, mut shape }) = self.on_host(&value) else {
            return Err(ImportError::new(
                "its input is not quantised: put a QuantizeLinear and a DequantizeLinear before it",
            ));
        };
        let softmax = node.op == "Softmax";
        let old = softmax && self.model.opset < 13;
        let axis = onnx::axis(node.int("axis", if old { 1 } else { -i64::from(softmax) })?, shape.len())?;
        if old && shape[axis + 1..].iter().any(|&n| n != 1) {
            return Err(ImportError::new("over several dimensions: put a Flatten before it"));
        }
        if softmax {
            steps.push(HostStep::Softmax(axis));
        } else {
            let keep = node.int("keepdims", 1)? != 0;
            node.only("select_last_index", 0)?;
            steps.push(HostStep::ArgMax { axis, keep });
            if keep {
                shape[axis] = 1;
            } else {
                shape.remove(axis);
            }
        }
        self.host(node, format!("over dimension {axis}"));
        self.give(node, Value::Host { tensor, view, steps, shape })
    }

    fn quantised_softmax(&mut self, node: &'a onnx::Node) -> Result<()> {
        let x = self.operand(node, 0)?;
        let (y, ty) = self.quantisation(node, 3)?;
        let shape = x.act.view.shape();
        let newer = node.int("opset", 13)? >= 13;
        let axis = onnx::axis(node.int("axis", if newer { -1 } else { 1 })?, shape.len())?;
        if !newer && shape[axis + 1..].iter().any(|&n| n != 1) {
            return Err(ImportError::new("over several dimensions: put a Flatten before it"));
        }
        let steps = vec![HostStep::QuantisedSoftmax { axis, x: x.scale, y, ty }];
        self.host(node, format!("over dimension {axis}"));
        self.give(node, Value::Host { tensor: x.act.id, view: x.act.view, steps, shape })
    }

    // ---- elements stay or move ----

    /// Operators that move elements, or pool maxima.
    fn layout(&mut self, node: &'a onnx::Node) -> Result<()> {
        let value = match self.of(node, 0)? {
            Value::Quantised(act) if node.op == "Split" => {
                return self.split(node, &act, Value::Quantised);
            }
            Value::Quantised(act) => Value::Quantised(self.moved(node, &act, 0)?),
            Value::Real(real) => match *real {
                Real { kind: Kind::Copy(x), maps, after, name } if after.is_empty() => {
                    // Padding is 0 before the functions, and must be after.
                    let kept = maps.iter().fold(0.0, |v, m| m.of(v)) == 0.0;
                    if node.op == "MaxPool" && !maps.iter().all(|m| m.is_monotone())
                        || node.op == "Pad" && !kept
                    {
                        return Err(ImportError::new(format!(
                            "its input is not quantised: put a QuantizeLinear and a DequantizeLinear after node {name}"
                        )));
                    }
                    let scale = x.scale;
                    let real = |act| {
                        let kind = Kind::Copy(Operand { act, scale });
                        Value::Real(Box::new(Real { name, kind, maps: maps.clone(), after: Vec::new() }))
                    };
                    if node.op == "Split" {
                        return self.split(node, &x.act, real);
                    }
                    real(self.moved(node, &x.act, scale.zero)?)
                }
                mut real if node.op != "Split" && node.op != "Pad" => {
                    real.after.push(node);
                    Value::Real(Box::new(real))
                }
                real => {
                    return Err(ImportError::new(format!(
                        "its input is not quantised: put a QuantizeLinear and a DequantizeLinear after node {}",
                        real.name
                    )));
                }
            },
            Value::Fed { name, size, view, maps } => {
                Value::Fed { name, size, view: self.reshaped(node, &view)?, maps }
            }
            Value::Constant(tensor) => Value::Constant(owned(self.moved_constant(node, &tensor)?)),
            Value::Weights(w) if w.scales.len() == 1 && w.zeros.len() == 1 => {
                let tensor = owned(self.moved_constant(node, &w.tensor)?);
                Value::Weights(Rc::new(Weights { tensor, ..(*w).clone() }))
            }
            Value::Weights(w) if node.op == "Transpose" && w.tensor.shape.len() == 2 => {
                let tensor = owned(self.moved_constant(node, &w.tensor)?);
                let turned = self.order(node, 2)? == [1, 0];
                let axis = if turned { 1 - w.axis.min(1) } else { w.axis };
                Value::Weights(Rc::new(Weights { tensor, axis, ..(*w).clone() }))
            }
            Value::Weights(_) => {
                return Err(ImportError::new(
                    "weights with a scale for each channel: export them as they are used",
                ));
            }
            Value::Host { tensor, view, mut steps, shape } => {
                // Dense, so the order of memory is that of the file.
                let dense = View::vector(1, 0, shape.iter().product());
                let dense = dense.reshape(&shape).ok_or_else(|| ImportError::new("empty input"))?;
                if node.op == "Transpose" {
                    return Err(ImportError::new("after what is left to the host: put it before"));
                }
                let shape = self.reshaped(node, &dense)?.shape();
                steps.push(HostStep::Shape(shape.clone()));
                Value::Host { tensor, view, steps, shape }
            }
            Value::Unknown => Value::Unknown,
        };
        self.give(node, value)
    }

    /// What a node that moves elements, or pools maxima, makes of a quantised tensor in which `zero` stands for 0.
    pub(super) fn moved(&mut self, node: &onnx::Node, act: &Act, zero: i32) -> Result<Act> {
        match node.op.as_str() {
            "MaxPool" => self.max_pool(node, act),
            "Slice" => self.slice(node, act),
            "Pad" => self.pad(node, act, zero),
            "Resize" | "Upsample" => self.resize(node, act),
            _ => Ok(Act { id: act.id, view: self.reshaped(node, &act.view)? }),
        }
    }

    fn order(&self, node: &onnx::Node, rank: usize) -> Result<Vec<usize>> {
        let order = match node.integers("perm")? {
            None => return Ok((0..rank).rev().collect()),
            Some(order) => order,
        };
        let axes: Vec<usize> =
            order.iter().filter_map(|&i| usize::try_from(i).ok().filter(|&i| i < rank)).collect();
        if axes.len() != rank || order.len() != rank || axes.iter().collect::<HashSet<_>>().len() != rank {
            return Err(ImportError::new(format!("perm={order:?}: an order of {rank} dimensions wanted")));
        }
        Ok(axes)
    }

    /// A view after a node that only reshapes or transposes.
    fn reshaped(&self, node: &onnx::Node, view: &View) -> Result<View> {
        let shape = view.shape();
        if node.op == "Transpose" {
            return Ok(view.transpose(&self.order(node, shape.len())?));
        }
        let to = few(self.new_shape(node, &shape)?)?;
        view.reshape(&to).ok_or_else(|| {
            ImportError::new(format!("shape {shape:?} cannot become {to:?}: the elements do not lie so"))
        })
    }

    /// The shape that Reshape, Flatten, Squeeze or Unsqueeze gives.
    fn new_shape(&self, node: &onnx::Node, shape: &[usize]) -> Result<Vec<usize>> {
        match node.op.as_str() {
            "Reshape" => {
                let to = match node.integers("shape")? {
                    Some(to) => to.iter().map(|&n| n.clamp(-2, i32::MAX.into()) as i32).collect(),
                    None => self.constant_ints(node, 1)?,
                };
                onnx::reshape(shape, &to, node.int("allowzero", 0)? != 0)
            }
            "Flatten" => {
                let axis = node.int("axis", 1)?;
                let axis =
                    if axis == shape.len() as i64 { shape.len() } else { onnx::axis(axis, shape.len())? };
                let (rows, columns) = shape.split_at(axis);
                Ok(vec![rows.iter().product(), columns.iter().product()])
            }
            "Squeeze" | "Unsqueeze" => {
                let given = match node.integers("axes")? {
                    Some(axes) => Some(axes.to_vec()),
                    None if self.has(node, 1) => {
                        Some(self.constant_ints(node, 1)?.into_iter().map(i64::from).collect())
                    }
                    None => None,
                };
                let Some(axes) = given else {
                    return Ok(shape.iter().copied().filter(|&n| n != 1).collect());
                };
                let rank = if node.op == "Squeeze" { shape.len() } else { shape.len() + axes.len() };
                let axes: HashSet<usize> =
                    axes.iter().map(|&a| onnx::axis(a, rank)).collect::<Result<_>>()?;
                if node.op == "Squeeze" {
                    if axes.iter().any(|&a| shape[a] != 1) {
                        return Err(ImportError::new(format!(
                            "axes={axes:?} of {shape:?}: sizes of 1 wanted"
                        )));
                    }
                    let kept = shape.iter().enumerate().filter(|(i, _)| !axes.contains(i));
                    return Ok(kept.map(|(_, &n)| n).collect());
                }
                let mut old = shape.iter();
                Ok((0..rank)
                    .map(|i| if axes.contains(&i) { 1 } else { old.next().copied().unwrap_or(1) })
                    .collect())
            }
            op => Err(ImportError::new(format!("{op} of what is not quantised: quantise its input"))),
        }
    }

    fn moved_constant(&mut self, node: &onnx::Node, tensor: &Tensor) -> Result<Tensor> {
        self.count(elements(&tensor.shape).unwrap_or(usize::MAX), "a folded constant")?;
        if node.op != "Transpose" {
            return Ok(Tensor { shape: few(self.new_shape(node, &tensor.shape)?)?, ..tensor.clone() });
        }
        let dense = View::vector(1, 0, elements(&tensor.shape).unwrap_or(0));
        let view = dense.reshape(&tensor.shape).ok_or_else(|| ImportError::new("empty input"))?;
        let view = view.transpose(&self.order(node, tensor.shape.len())?);
        let places = view.places();
        let values = match &tensor.values {
            Values::Ints(v) => Values::Ints(places.iter().map(|&i| v[i]).collect()),
            Values::Floats(v) => Values::Floats(places.iter().map(|&i| v[i]).collect()),
        };
        Ok(Tensor { shape: view.shape(), ty: tensor.ty, values })
    }

    fn split(&mut self, node: &'a onnx::Node, act: &Act, value: impl Fn(Act) -> Value<'a>) -> Result<()> {
        let axis = onnx::axis(node.int("axis", 0)?, act.view.shape().len())?;
        let places = act.view.places_of(axis);
        let sizes: Vec<usize> = match node.integers("split")? {
            Some(sizes) => sizes.iter().map(|&n| usize::try_from(n).unwrap_or(0)).collect(),
            None if self.has(node, 1) => {
                self.constant_ints(node, 1)?.iter().map(|&n| usize::try_from(n).unwrap_or(0)).collect()
            }
            None => {
                let part = places.len().div_ceil(node.outputs.len().max(1)).max(1);
                places.chunks(part).map(<[usize]>::len).collect()
            }
        };
        let total = sizes.iter().try_fold(0usize, |sum, &n| sum.checked_add(n));
        if sizes.len() != node.outputs.len() || sizes.contains(&0) || total != Some(places.len()) {
            return Err(ImportError::new(format!(
                "split={sizes:?}: {} sizes of 1 or more wanted that sum to {}",
                node.outputs.len(),
                places.len()
            )));
        }
        let mut start = 0;
        for (output, size) in node.outputs.iter().zip(sizes) {
            let part = self.pick(&node.name, act, axis, &places[start..start + size])?;
            self.values.insert(output, value(part));
            start += size;
        }
        Ok(())
    }

    fn slice(&mut self, node: &onnx::Node, act: &Act) -> Result<Act> {
        let list = |name: &str, index: usize| -> Result<Option<Vec<i64>>> {
            match node.integers(name)? {
                Some(list) => Ok(Some(list.to_vec())),
                None if self.has(node, index) => {
                    Ok(Some(self.constant_ints(node, index)?.into_iter().map(i64::from).collect()))
                }
                None => Ok(None),
            }
        };
        let missing = || ImportError::new("starts and ends are missing: export them as constants");
        let (starts, ends) = (list("starts", 1)?.ok_or_else(missing)?, list("ends", 2)?.ok_or_else(missing)?);
        let (starts, ends) = (few(starts)?, few(ends)?);
        let axes = list("axes", 3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
        let steps = list("steps", 4)?.unwrap_or_else(|| vec![1; starts.len()]);
        if ends.len() != starts.len() || axes.len() != starts.len() || steps.len() != starts.len() {
            return Err(ImportError::new("starts, ends, axes and steps of different lengths"));
        }
        let mut act = act.clone();
        for (((start, end), axis), step) in starts.into_iter().zip(ends).zip(axes).zip(steps) {
            let axis = onnx::axis(axis, act.view.shape().len())?;
            let places = act.view.places_of(axis);
            let len = places.len() as i64;
            let at = |i: i64| if i < 0 { i.saturating_add(len) } else { i }.clamp(0, len) as usize;
            let (start, end) = (at(start), at(end));
            let Ok(step) = usize::try_from(step).and_then(std::num::NonZero::try_from) else {
                return Err(ImportError::new(format!("step {step}: 1 or more wanted")));
            };
            if (start, end, step.get()) == (0, places.len(), 1) {
                continue;
            }
            let kept: Vec<usize> =
                places.get(start..end).unwrap_or_default().iter().copied().step_by(step.get()).collect();
            act = self.pick(&node.name, &act, axis, &kept)?;
        }
        Ok(act)
    }

    fn pad(&mut self, node: &onnx::Node, act: &Act, zero: i32) -> Result<Act> {
        match node.attributes.get("mode") {
            None => {}
            Some(Attribute::Text(mode)) if mode == "constant" => {}
            Some(mode) => return Err(ImportError::new(format!("mode {mode:?}: only constant is supported"))),
        }
        let pads: Vec<i64> = match node.integers("pads")? {
            Some(pads) => pads.to_vec(),
            None => self.constant_ints(node, 1)?.into_iter().map(i64::from).collect(),
        };
        if pads.iter().all(|&p| p == 0) {
            return Ok(act.clone());
        }
        if self.has(node, 3) {
            return Err(ImportError::new("axes: pads of all dimensions wanted"));
        }
        let value = match self.optional(node, 2)? {
            None if node.float("value", 0.0)? == 0.0 => zero,
            None => return Err(ImportError::new("a value to pad with other than 0: use 0")),
            Some(tensor) => match (tensor.as_ints(), tensor.as_floats()) {
                (Some(&[value]), _) => value,
                (_, Some(&[0.0])) => zero,
                _ => return Err(ImportError::new("a value to pad with other than 0: use 0")),
            },
        };
        let small = |i: usize| pads.get(i).and_then(|&p| u32::try_from(p).ok()).filter(|&p| p <= 255);
        let (Some(pt), Some(pl), Some(pb), Some(pr), 8) =
            (small(2), small(3), small(6), small(7), pads.len())
        else {
            return Err(ImportError::new(format!("pads={pads:?}: 0 to 255 rows and columns wanted (NCHW)")));
        };
        if [0, 1, 4, 5].iter().any(|&i| pads[i] != 0) {
            return Err(ImportError::new(format!("pads={pads:?}: only rows and columns can be added")));
        }
        let act = self.map(&node.name, act, false)?;
        let [h, w, c] = self.size(act.id);
        let size = [h + pt as usize + pb as usize, w + pl as usize + pr as usize, c];
        let (ty, scale) = (self.ty(act.id), self.scale(act.id));
        let label = node.outputs.first().map_or("", String::as_str);
        let kind = OpKind::Pad { pt, pl, pb, pr, value: value.clamp(scale.lo, scale.hi) };
        let id = self.add(&node.name, kind, vec![act.id], size, (ty, &scale), label)?;
        Ok(Act { id, view: View::nchw(size) })
    }

    fn resize(&mut self, node: &onnx::Node, act: &Act) -> Result<Act> {
        let text = |name: &str, default: &'static str| match node.attributes.get(name) {
            None => default.to_owned(),
            Some(Attribute::Text(text)) => text.clone(),
            Some(_) => String::new(),
        };
        if text("keep_aspect_ratio_policy", "stretch") != "stretch" || self.has(node, 4) {
            return Err(ImportError::new(
                "keep_aspect_ratio_policy and axes are not supported: leave them out",
            ));
        }
        let mode = text("mode", "nearest");
        let from = text("coordinate_transformation_mode", "half_pixel");
        let round = text("nearest_mode", "round_prefer_floor");
        // With a whole factor, these read the pixel that the output pixel lies in.
        let alike = matches!(
            (from.as_str(), round.as_str()),
            ("asymmetric", "floor") | ("half_pixel", "round_prefer_floor" | "round_prefer_ceil")
        );
        let upsample = node.op == "Upsample" || node.inputs.len() == 2;
        if mode != "nearest" || !(alike || upsample) {
            return Err(ImportError::new(format!(
                "mode {mode}, {from}, {round}: only nearest is supported, asymmetric with floor or half_pixel"
            )));
        }
        let act = self.map(&node.name, act, false)?;
        let [h, w, c] = self.size(act.id);
        let index = if upsample { 1 } else { 2 };
        let factors: Vec<f32> = match node.attributes.get("scales") {
            Some(Attribute::Floats(scales)) => scales.clone(),
            _ if self.has(node, index) && !self.constant(node, index)?.shape.contains(&0) => {
                self.constant(node, index)?.as_floats().unwrap_or_default().to_vec()
            }
            _ => {
                let sizes = self.constant_ints(node, 3)?;
                sizes.iter().zip([1, c, h, w]).map(|(&to, from)| to as f32 / from as f32).collect()
            }
        };
        let whole: Vec<u32> = factors
            .iter()
            .filter(|f| f.fract() == 0.0 && (1.0..=MOST_SCALE as f32).contains(*f))
            .map(|&f| f as u32)
            .collect();
        let (&[1, 1, fy, fx], 4) = (&whole[..], factors.len()) else {
            return Err(ImportError::new(format!(
                "scales {factors:?}: whole ones of rows and columns wanted, at most {MOST_SCALE}"
            )));
        };
        let size = [h * fy as usize, w * fx as usize, c];
        let (ty, scale) = (self.ty(act.id), self.scale(act.id));
        let label = node.outputs.first().map_or("", String::as_str);
        if (fy, fx) == (1, 1) {
            return Ok(act);
        }
        let (kind, inputs) = (OpKind::Interleave { down: fy, right: fx }, vec![act.id; (fy * fx) as usize]);
        let id = self.add(&node.name, kind, inputs, size, (ty, &scale), label)?;
        Ok(Act { id, view: View::nchw(size) })
    }

    // ---- real numbers ----

    fn arithmetic(&mut self, node: &'a onnx::Node) -> Result<()> {
        if node.inputs.len() != 2 {
            return Err(ImportError::new(format!("{} inputs: 2 wanted", node.inputs.len())));
        }
        let number = |value: &Value| match value {
            Value::Constant(t) => match t.as_floats() {
                Some(&[number]) => Some(number),
                _ => None,
            },
            _ => None,
        };
        let (a, b) = (self.of(node, 0)?, self.of(node, 1)?);
        let map = match (node.op.as_str(), number(&a), number(&b)) {
            ("Add" | "Sum", Some(n), _) | ("Add" | "Sum", _, Some(n)) => Some(Map::Add(n)),
            ("Mul", Some(n), _) | ("Mul", _, Some(n)) => Some(Map::Mul(n)),
            ("Sub", _, Some(n)) => Some(Map::Add(-n)),
            ("Div", _, Some(n)) => Some(Map::Div(n)),
            ("Sub", Some(n), _) => Some(Map::SubFrom(n)),
            _ => None,
        };
        if let Some(map) = map {
            let (value, one) = if number(&a).is_some() { (b, a) } else { (a, b) };
            let rank = match &value {
                Value::Real(real) => match &real.kind {
                    Kind::Copy(x) => x.act.view.shape().len(),
                    _ => 2,
                },
                Value::Fed { view, .. } => view.shape().len(),
                Value::Host { shape, .. } => shape.len(),
                _ => MOST_STEPS,
            };
            if let Value::Constant(t) = one
                && t.shape.len() > rank
            {
                return Err(ImportError::new(format!(
                    "a number of shape {:?} for a tensor of rank {rank}: give it without dimensions",
                    t.shape
                )));
            }
            return self.mapped(node, value, map);
        }
        let kind = match node.op.as_str() {
            "Mul" => Kind::Mul(self.real_term(node, 0)?, self.real_term(node, 1)?),
            "Add" | "Sum" => Kind::Add(self.real_term(node, 0)?, self.real_term(node, 1)?),
            _ => return Err(ImportError::new("of two tensors: only sums and products are supported")),
        };
        self.give_real(node, kind)
    }

    /// A function of one element on a real value.
    fn mapped(&mut self, node: &'a onnx::Node, value: Value<'a>, map: Map) -> Result<()> {
        let value = match value {
            Value::Real(mut real) => {
                if !real.after.is_empty() && !map.is_monotone() {
                    return Err(ImportError::new(
                        "its input is not quantised: put a QuantizeLinear and a DequantizeLinear before it",
                    ));
                }
                real.maps.push(map);
                Value::Real(real)
            }
            Value::Fed { name, size, view, mut maps } => {
                maps.push(map);
                self.host(node, format!("of {name:?}"));
                Value::Fed { name, size, view, maps }
            }
            Value::Host { tensor, view, mut steps, shape } => {
                steps.push(HostStep::Map(map));
                Value::Host { tensor, view, steps, shape }
            }
            _ => {
                return Err(ImportError::new(
                    "its input is not quantised: put a QuantizeLinear and a DequantizeLinear before it",
                ));
            }
        };
        self.give(node, value)
    }

    fn unary(&mut self, node: &'a onnx::Node) -> Result<()> {
        let value = self.of(node, 0)?;
        if let Value::Quantised(act) = &value {
            return self.unary_of_integers(node, act);
        }
        let limit = |name: &str, index: usize, default: f32| {
            if !self.has(node, index) {
                return node.float(name, default);
            }
            match self.of(node, index)? {
                Value::Constant(t) if t.as_floats().is_some_and(|v| v.len() == 1) => {
                    Ok(t.as_floats().unwrap_or_default()[0])
                }
                Value::Weights(w) => match (w.tensor.as_ints(), &w.scales[..], &w.zeros[..]) {
                    (Some(&[v]), &[scale], &[zero]) => Ok(v.wrapping_sub(zero) as f32 * scale),
                    _ => Err(ImportError::new(format!("input {index} must be one number"))),
                },
                _ => Err(ImportError::new(format!("input {index} must be one float32 constant"))),
            }
        };
        let map = match node.op.as_str() {
            "Relu" => Map::Clip(0.0, f32::INFINITY),
            "Clip" => {
                let (lo, hi) = (limit("min", 1, f32::NEG_INFINITY)?, limit("max", 2, f32::INFINITY)?);
                if lo > hi || lo.is_nan() || hi.is_nan() {
                    return Err(ImportError::new(format!(
                        "limits {lo} and {hi}: the first must be the smaller"
                    )));
                }
                Map::Clip(lo, hi)
            }
            "LeakyRelu" => Map::LeakyRelu(node.float("alpha", 0.01)?),
            "HardSigmoid" => Map::HardSigmoid(node.float("alpha", 0.2)?, node.float("beta", 0.5)?),
            "HardSwish" => Map::HardSwish,
            "Tanh" => Map::Tanh,
            _ => Map::Sigmoid,
        };
        self.mapped(node, value, map)
    }

    /// Relu and Clip of integers as they are, zero point or not.
    fn unary_of_integers(&mut self, node: &'a onnx::Node, act: &Act) -> Result<()> {
        let (ty, scale) = (self.ty(act.id), self.scale(act.id));
        let limit = |index: usize, default: i32| match self.optional(node, index)? {
            None => Ok(default),
            Some(tensor) => match tensor.as_ints() {
                Some(&[limit]) => Ok(limit),
                _ => Err(ImportError::new(format!("input {index} must be one integer"))),
            },
        };
        let (lo, hi) = match node.op.as_str() {
            "Relu" => (0, scale.hi),
            "Clip" => (limit(1, scale.lo)?, limit(2, scale.hi)?),
            _ => return Err(ImportError::new("of integers: put a DequantizeLinear before it")),
        };
        let label = node.outputs.first().map_or("", String::as_str);
        let f = |x: i32| x.max(lo).min(hi);
        let y = Scale { lo: f(scale.lo), hi: f(scale.hi), ..scale };
        let act = self.tabulate(&node.name, act, (ty, &y), label, f)?;
        self.give(node, Value::Quantised(act))
    }

    fn concat_node(&mut self, node: &'a onnx::Node) -> Result<()> {
        let axis = node.int("axis", 1)?;
        let values: Vec<Value> = (0..node.inputs.len()).map(|i| self.of(node, i)).collect::<Result<_>>()?;
        if values.iter().all(|v| matches!(v, Value::Constant(_))) {
            return self.fold(node);
        }
        if values.iter().all(|v| matches!(v, Value::Quantised(_))) {
            // Integers are joined as they are.
            let Some(Value::Quantised(first)) = values.first() else {
                return Err(ImportError::new("no inputs: give one or more"));
            };
            let (scale, ty) = (self.scale(first.id), self.ty(first.id));
            let inputs = values.iter().filter_map(|v| match v {
                Value::Quantised(act) => Some(Operand { act: act.clone(), scale }),
                _ => None,
            });
            let inputs: Vec<Operand> = inputs.collect();
            for x in &inputs {
                self.is(&x.act, ty)?;
            }
            let label = node.outputs.first().map_or("", String::as_str);
            let kind = Kind::Concat { inputs, axis };
            let act = self.emit(&node.name, &kind, &Target { label, scale, ty })?;
            self.give(node, Value::Quantised(act))?;
            return Ok(());
        }
        let inputs = (0..node.inputs.len()).map(|i| self.real(node, i)).collect::<Result<_>>()?;
        self.give_real(node, Kind::Concat { inputs, axis })
    }

    fn reduce_mean(&mut self, node: &'a onnx::Node) -> Result<()> {
        let x = self.real(node, 0)?;
        let rank = x.act.view.shape().len();
        let axes: Vec<i64> = match node.integers("axes")? {
            Some(axes) => axes.to_vec(),
            None if self.has(node, 1) => self.constant_ints(node, 1)?.into_iter().map(i64::from).collect(),
            None => Vec::new(),
        };
        let mut places: Vec<usize> = axes.iter().map(|&a| onnx::axis(a, rank)).collect::<Result<_>>()?;
        places.sort_unstable();
        let channels_last = match (rank, &places[..]) {
            (4, [2, 3]) => false,
            (4, [1, 2]) => true,
            _ => return Err(ImportError::new(format!("axes={axes:?}: rows and columns of a map wanted"))),
        };
        let keep = node.int("keepdims", 1)? != 0;
        self.give_real(node, Kind::Mean { x, channels_last, keep })
    }

    // ---- shapes ----

    /// Shape arithmetic on constants.
    fn fold(&mut self, node: &'a onnx::Node) -> Result<()> {
        let ints =
            |values: Vec<i32>| Value::Constant(owned(Tensor::ints(&[values.len()], Type::I64, values)));
        let fail =
            || ImportError::new("not of constants: only shapes can be computed so; quantise its input");
        let value = match (node.op.as_str(), self.of(node, 0)?) {
            ("Shape", value) => {
                let shape = match value {
                    Value::Constant(t) => t.shape.clone(),
                    Value::Quantised(act) => act.view.shape(),
                    Value::Fed { view, .. } => view.shape(),
                    Value::Host { shape, .. } => shape,
                    Value::Real(real) => match &*real {
                        Real { kind: Kind::Copy(x), after, .. } if after.is_empty() => x.act.view.shape(),
                        _ => return Err(fail()),
                    },
                    _ => return Err(fail()),
                };
                let at = |name: &str, default: i64| -> Result<usize> {
                    let (i, len) = (node.int(name, default)?, shape.len() as i64);
                    Ok(if i < 0 { i.saturating_add(len) } else { i }.clamp(0, len) as usize)
                };
                let part = shape.get(at("start", 0)?..at("end", i64::MAX)?).unwrap_or_default();
                ints(part.iter().map(|&n| i32::try_from(n).unwrap_or(i32::MAX)).collect())
            }
            ("Gather", Value::Constant(t)) if t.shape.len() == 1 && node.int("axis", 0)? == 0 => {
                let (values, indices) = (t.as_ints().ok_or_else(fail)?, self.constant(node, 1)?);
                let picked =
                    indices.as_ints().ok_or_else(fail)?.iter().map(|&i| {
                        let i = if i < 0 { i64::from(i) + values.len() as i64 } else { i.into() };
                        usize::try_from(i).ok().and_then(|i| values.get(i)).copied().ok_or_else(|| {
                            ImportError::new(format!("index {i}: below {} wanted", values.len()))
                        })
                    });
                let picked = picked.collect::<Result<_>>()?;
                Value::Constant(owned(Tensor::ints(&indices.shape, t.ty, picked)))
            }
            ("Concat", _) => {
                let mut all = Vec::new();
                for i in 0..node.inputs.len() {
                    let part = self.constant(node, i)?;
                    if part.shape.len() != 1 {
                        return Err(fail());
                    }
                    self.count(part.shape[0], "a folded constant")?;
                    all.extend_from_slice(part.as_ints().ok_or_else(fail)?);
                }
                ints(all)
            }
            ("Cast", value @ Value::Constant(_)) => value,
            _ => return Err(fail()),
        };
        self.give(node, value)
    }
}

fn owned<'a>(tensor: Tensor) -> Constant<'a> {
    Rc::new(Cow::Owned(tensor))
}

/// A list with an entry for each of a tensor's dimensions.
fn few<T>(list: Vec<T>) -> Result<Vec<T>> {
    if list.len() > MOST_STEPS {
        return Err(ImportError::new(format!("{} dimensions: at most {MOST_STEPS} allowed", list.len())));
    }
    Ok(list)
}

//! The steps of one iteration of gradient descent: forward, loss, backward, update.

use crate::graph::{Function, Graph, Kind, Op, Role, Step, Tensor, TensorId};

/// The forward graph as it grows by its gradients.
struct Builder {
    graph: Graph,
    /// By tensor: its gradient so far.
    gradients: Vec<Option<TensorId>>,
}

impl Builder {
    fn tensor(&mut self, name: String, like: TensorId, role: Role) -> TensorId {
        let shape = self.graph.tensors[like].shape.clone();
        self.graph.tensors.push(Tensor { name, shape, role });
        self.gradients.push(None);
        self.graph.tensors.len() - 1
    }

    fn step(&mut self, of: usize, op: Op, inputs: Vec<TensorId>, outputs: Vec<TensorId>, macs: u64) {
        let forward = &self.graph.steps[of];
        let (name, parameters) = (format!("{}'", forward.name), forward.parameters.clone());
        let (operator, lowered) = (format!("{}'", forward.operator), forward.lowered);
        self.graph.steps.push(Step {
            name,
            operator,
            op,
            kind: Kind::Backward(of),
            inputs,
            parameters,
            outputs,
            macs,
            lag: None,
            lowered,
        });
    }

    /// `gradient` is one more part of the gradient of `id`.
    fn add(&mut self, of: usize, id: TensorId, gradient: TensorId) {
        let Some(before) = self.gradients[id] else {
            self.gradients[id] = Some(gradient);
            return;
        };
        let name = format!("{}' sum", self.graph.tensors[id].name);
        let sum = self.tensor(name, id, self.graph.tensors[gradient].role);
        self.step(of, Op::Add, vec![before, gradient], vec![sum], 0);
        if let Some(step) = self.graph.steps.last_mut() {
            step.parameters.clear();
            step.lowered = 0;
            step.operator = "Add".into();
        }
        self.gradients[id] = Some(sum);
    }

    /// A new tensor for the gradient of `id`.
    fn gradient(&mut self, id: TensorId) -> TensorId {
        let name = format!("{}'", self.graph.tensors[id].name);
        self.tensor(name, id, Role::Gradient)
    }

    fn wants(&self, id: TensorId) -> bool {
        self.graph.tensors[id].role == Role::Activation
    }

    fn backward(&mut self, at: usize) {
        let step = self.graph.steps[at].clone();
        let arrived: Vec<TensorId> = step.outputs.iter().filter_map(|&id| self.gradients[id]).collect();
        let [first, ..] = arrived[..] else { return };
        let elements = |b: &Self, id: TensorId| b.graph.tensors[id].elements();
        // A sum hands its gradient on as it is, but for inputs that are smaller.
        if step.op == Op::Add {
            let size = elements(self, first);
            let (alike, smaller): (Vec<TensorId>, Vec<TensorId>) =
                step.inputs.iter().filter(|&&id| self.wants(id)).partition(|&&id| elements(self, id) == size);
            for id in smaller {
                let gradient = self.gradient(id);
                self.step(at, Op::Reduce, vec![first], vec![gradient], 0);
                self.add(at, id, gradient);
            }
            alike.into_iter().for_each(|id| self.add(at, id, first));
            return;
        }
        let trained = |role| matches!(role, Role::Weight | Role::Norm);
        let weights: Vec<TensorId> =
            step.parameters.iter().copied().filter(|&id| trained(self.graph.tensors[id].role)).collect();
        let (input, output) = (step.inputs.clone(), step.outputs[..1].to_vec());
        let by_weights = |x: Vec<TensorId>| if weights.is_empty() { vec![] } else { x };
        let (op, saved) = match &step.op {
            Op::Conv(conv) => {
                let mut conv = conv.clone();
                conv.transposed = !conv.transposed;
                (Op::Conv(conv), by_weights(input))
            }
            Op::Dense(depth) => (Op::Dense(*depth), by_weights(input)),
            Op::Product(depth) => (Op::Product(*depth), input),
            Op::Pool { window, largest: true } => {
                let name = format!("{} indices", self.graph.tensors[output[0]].name);
                let mask = self.tensor(name, output[0], Role::Mask);
                self.graph.steps[at].outputs.push(mask);
                (Op::Pool { window: *window, largest: true }, vec![mask])
            }
            Op::Norm => (Op::Norm, input),
            Op::Function(Function::ByOutput) => (Op::Function(Function::Linear), output),
            Op::Function(Function::ByInput) => (Op::Function(Function::Linear), input),
            Op::Function(Function::Linear) => (Op::Function(Function::Linear), by_weights(input)),
            Op::Mul => (Op::Mul, input),
            Op::Across => (Op::Across, [input, output].concat()),
            Op::Pool { largest: false, .. } | Op::View | Op::Add => (step.op.clone(), vec![]),
            Op::Concat | Op::Move | Op::Reduce => (Op::Move, vec![]),
        };
        let mut outputs = Vec::new();
        let mut parts = Vec::new();
        for &id in &step.inputs {
            if self.wants(id) {
                let gradient = self.gradient(id);
                outputs.push(gradient);
                parts.push((id, gradient));
            }
        }
        let trained_parts = weights.len();
        for id in weights {
            let name = format!("{}'", self.graph.tensors[id].name);
            let gradient = self.tensor(name, id, Role::WeightGradient);
            outputs.push(gradient);
            parts.push((id, gradient));
        }
        let products = step.macs * (u64::from(outputs.len() > trained_parts) + u64::from(trained_parts > 0));
        self.step(at, op, [arrived, saved].concat(), outputs, products);
        for (id, gradient) in parts {
            self.add(at, id, gradient);
        }
    }
}

/// `forward` with the steps after it: the loss, a backward step for each forward one that has a part in it, and the update,
/// which reads all gradients of weights. What a backward step needs of its forward step:
///
/// | forward | kept |
/// | --- | --- |
/// | convolution, fully connected | its input |
/// | product of activations | its inputs |
/// | largest of a window | which one it was, a byte for each output |
/// | normalisation | its input |
/// | ReLU and other functions whose slope their value tells | its output |
/// | other functions of an element | its input |
/// | softmax, local response normalisation | input and output |
/// | sum, concatenation, mean, moved elements | nothing |
pub fn backward(forward: &Graph) -> Graph {
    let gradients = vec![None; forward.tensors.len()];
    let mut builder = Builder { graph: forward.clone(), gradients };
    let steps = forward.steps.len();
    let plain = |name: &str, inputs: Vec<TensorId>, outputs: Vec<TensorId>| Step {
        name: name.into(),
        operator: name.into(),
        op: Op::Reduce,
        kind: Kind::Backward(steps - 1),
        inputs,
        parameters: vec![],
        outputs,
        macs: 0,
        lag: None,
        lowered: 0,
    };
    let mut firsts = Vec::new();
    for &id in &forward.outputs {
        let gradient = builder.gradient(id);
        builder.gradients[id] = Some(gradient);
        firsts.push(gradient);
    }
    builder.graph.steps.push(plain("loss", forward.outputs.clone(), firsts));
    for at in (0..steps).rev() {
        builder.backward(at);
    }
    let trained = |id: &usize| !matches!(forward.tensors[*id].role, Role::Input | Role::Activation);
    let all = (0..forward.tensors.len()).filter(trained).filter_map(|id| builder.gradients[id]).collect();
    builder.graph.steps.push(plain("update", all, vec![]));
    builder.graph
}

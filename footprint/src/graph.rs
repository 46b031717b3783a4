//! A network as steps that read and write tensors, by their sizes.

/// Index into [`Graph::tensors`].
pub type TensorId = usize;

/// What a tensor is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// An input of the network.
    Input,
    /// Trained: weights and biases of convolutions and fully connected layers.
    Weight,
    /// Trained: scales and offsets of normalisations, and constants that are added or multiplied.
    Norm,
    /// Not trained: means and variances of normalisations.
    Statistic,
    /// What a step computes; the network's outputs among them.
    Activation,
    /// The derivative of the loss by an activation or an input.
    Gradient,
    /// The derivative of the loss by something trained.
    WeightGradient,
    /// What a backward step needs of a forward step beyond its tensors: which element of a pooling window was the largest.
    Mask,
}

impl Role {
    /// Whether there is one for each image of a batch.
    pub fn by_image(self) -> bool {
        matches!(self, Self::Input | Self::Activation | Self::Gradient | Self::Mask)
    }
}

/// An array of numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Name in the file, or of what it is made from.
    pub name: String,
    /// Sizes for one image, outermost first.
    pub shape: Vec<u64>,
    /// What it is for.
    pub role: Role,
}

impl Tensor {
    /// Number of elements for one image.
    pub fn elements(&self) -> u64 {
        self.shape.iter().product()
    }
}

/// A convolution's kernel, also of a transposed one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conv {
    /// Sizes of the kernel.
    pub kernel: Vec<u64>,
    /// Input channels of a group, or output channels of one where transposed.
    pub depth: u64,
    /// Groups.
    pub groups: u64,
    /// Whether it is the gradient of a convolution.
    pub transposed: bool,
}

/// How far the output of a window operator may run into its input. Maps lie pixel by pixel, all channels of a pixel
/// together, and outputs are computed pixel by pixel. Then an output pixel may be written where no later one reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lag {
    /// From the first pixel to the last: elements from the output's start to the input's, at least; for one image.
    pub forward: u64,
    /// From the last pixel to the first: elements from the input's end to the output's, at least.
    pub backward: u64,
}

/// What a step computes, as far as memory and work depend on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Convolution.
    Conv(Conv),
    /// Product with weights: this many inputs for each output.
    Dense(u64),
    /// Product of two activations: this many inputs for each output.
    Product(u64),
    /// Largest or mean element of windows of this many elements.
    Pool {
        /// Elements of a window.
        window: u64,
        /// The largest.
        largest: bool,
    },
    /// Batch normalisation and the like: by parameters of each channel.
    Norm,
    /// A function of one element that can take its place.
    Function(Function),
    /// A sum of activations.
    Add,
    /// A product, or another function of two elements.
    Mul,
    /// The inputs' elements one behind the other.
    Concat,
    /// The same elements in the same order: nothing is computed.
    View,
    /// Elements elsewhere: a transposition, a slice, padding, a larger map.
    Move,
    /// Sums over whole maps or rows.
    Reduce,
    /// Softmax, and normalisation over neighbouring channels: every element depends on others in its pixel.
    Across,
}

/// What the gradient of a function of one element needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// The output, as for ReLU and sigmoid.
    ByOutput,
    /// The input, as for SiLU and GELU.
    ByInput,
    /// Neither: scaling, a change of type.
    Linear,
}

/// Part of which pass a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The network itself.
    Forward,
    /// The gradients of forward step so and so.
    Backward(usize),
}

/// One step: every tensor that it reads is there before, and those that it writes are there after it.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Name in the file.
    pub name: String,
    /// Operator as the file has it, as `Conv`.
    pub operator: String,
    /// What it computes.
    pub op: Op,
    /// Which pass.
    pub kind: Kind,
    /// Activations and gradients that it reads, in the operator's order.
    pub inputs: Vec<TensorId>,
    /// Weights and other parameters that it reads.
    pub parameters: Vec<TensorId>,
    /// What it writes.
    pub outputs: Vec<TensorId>,
    /// Multiplications with a sum, for one image; products with padding counted.
    pub macs: u64,
    /// Where the output may overlap the input.
    pub lag: Option<Lag>,
    /// Elements of the matrix that lowering of a convolution to a matrix product makes of its input (im2col), for one
    /// image: 0 where that is the input itself, or nothing is lowered.
    pub lowered: u64,
}

/// A network in an order in which it can be executed.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    /// Name of the file, without its extension.
    pub name: String,
    /// All tensors.
    pub tensors: Vec<Tensor>,
    /// Steps, each after those whose outputs it reads.
    pub steps: Vec<Step>,
    /// What the network is computed for.
    pub outputs: Vec<TensorId>,
}

impl Graph {
    /// Elements of all tensors of a role, for one image.
    pub fn elements(&self, role: Role) -> u64 {
        self.tensors.iter().filter(|t| t.role == role).map(Tensor::elements).sum()
    }

    /// Elements of the outputs of convolutions and sums: the activations that the literature counts, as functions of one
    /// element and normalisations can take the place of their input. Concatenations, poolings and what is behind the
    /// last map are left out.
    pub fn counted(&self) -> u64 {
        let counted = |s: &&Step| s.kind == Kind::Forward && matches!(s.op, Op::Conv(_) | Op::Add);
        let outputs = self.steps.iter().filter(counted).flat_map(|s| &s.outputs);
        outputs.map(|&id| self.tensors[id].elements()).sum()
    }

    /// Multiplications with a sum, for one image.
    pub fn macs(&self) -> u64 {
        self.steps.iter().map(|s| s.macs).sum()
    }

    /// The step that writes each tensor, if one does.
    pub fn makers(&self) -> Vec<Option<usize>> {
        let mut makers = vec![None; self.tensors.len()];
        for (at, step) in self.steps.iter().enumerate() {
            step.outputs.iter().for_each(|&id| makers[id] = Some(at));
        }
        makers
    }
}

//! Steps, tensors and costs.

use std::fmt;

/// Index into [`Problem::steps`].
pub type StepId = usize;
/// Index into [`Problem::tensors`].
pub type TensorId = usize;

/// Steps of the largest problem.
pub const MAX_STEPS: usize = 1 << 14;
/// Largest sum of all costs, and of all bytes: sums of a schedule's many steps do not overflow then.
pub const MAX_COST: u64 = 1 << 48;

/// Some bytes that a step writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Name, for messages.
    pub name: String,
    /// Bytes.
    pub bytes: u64,
    /// It is on chip before the first step, and no step computes it.
    pub given: bool,
    /// It has to be on chip after the last step.
    pub wanted: bool,
}

/// What is computed in one go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Name, for messages.
    pub name: String,
    /// What it costs to compute it once: cycles, operations or any other unit.
    pub cost: u64,
    /// Bytes that it needs while it is computed, beyond inputs and outputs.
    pub workspace: u64,
    /// Tensors that have to be on chip.
    pub inputs: Vec<TensorId>,
    /// Tensors that are on chip afterwards. Those that were there before are written again in their place.
    pub outputs: Vec<TensorId>,
}

/// What it costs to move bytes off chip, or back: `cost` for each `bytes` of them, rounded up for each transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// In the unit of [`Step::cost`].
    pub cost: u64,
    /// Bytes that are moved for it; above 0.
    pub bytes: u64,
}

impl Rate {
    /// The cost of one transfer of so many bytes, at most [`u64::MAX`].
    pub fn of(&self, bytes: u64) -> u64 {
        let cost = (u128::from(bytes) * u128::from(self.cost)).div_ceil(u128::from(self.bytes.max(1)));
        u64::try_from(cost).unwrap_or(u64::MAX)
    }
}

/// Steps in an order in which they can be computed, and what may be done to save memory. [`Problem::new`] checks it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    tensors: Vec<Tensor>,
    steps: Vec<Step>,
    turn: usize,
    link: Option<Rate>,
    recompute: bool,
    maker: Vec<Option<StepId>>,
    readers: Vec<Vec<StepId>>,
}

/// Why steps and tensors are no problem, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProblemError(String);

impl fmt::Display for ProblemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ProblemError {}

impl Problem {
    /// A problem in which nothing is spilled. `turn` is the number of steps of the forward pass, which come first; all of them
    /// where there is no other. They may be computed again; those of a backward pass may not, as they add to gradients of
    /// parameters that are on chip all the time.
    ///
    /// # Errors
    ///
    /// If there is no step or more than [`MAX_STEPS`], an input is not there before its step, a tensor is made twice or never,
    /// or costs or bytes are above [`MAX_COST`] in sum.
    pub fn new(tensors: Vec<Tensor>, steps: Vec<Step>, turn: usize) -> Result<Self, ProblemError> {
        let error = |text: String| Err(ProblemError(text));
        if steps.is_empty() || steps.len() > MAX_STEPS {
            return error(format!(
                "{} steps: at least 1 and at most {MAX_STEPS} can be planned; group some",
                steps.len()
            ));
        }
        let mut maker: Vec<Option<StepId>> = vec![None; tensors.len()];
        let mut readers = vec![Vec::new(); tensors.len()];
        for (k, step) in steps.iter().enumerate() {
            let name = &step.name;
            for &id in &step.inputs {
                let Some(tensor) = tensors.get(id) else {
                    return error(format!("step {name} reads tensor {id}: there are {}", tensors.len()));
                };
                if !tensor.given && maker[id].is_none() {
                    return error(format!(
                        "step {name} reads {}, which no step before it writes: put the steps in order",
                        tensor.name
                    ));
                }
                if readers[id].last() != Some(&k) {
                    readers[id].push(k);
                }
            }
            for &id in &step.outputs {
                let Some(tensor) = tensors.get(id) else {
                    return error(format!("step {name} writes tensor {id}: there are {}", tensors.len()));
                };
                if tensor.given || maker[id].is_some() {
                    return error(format!(
                        "step {name} writes {}, which is there already: give each version a tensor of its own",
                        tensor.name
                    ));
                }
                maker[id] = Some(k);
            }
        }
        if let Some(id) = (0..tensors.len()).find(|&id| !tensors[id].given && maker[id].is_none()) {
            return error(format!(
                "tensor {} is written by no step and not given: leave it out",
                tensors[id].name
            ));
        }
        let costs = steps.iter().map(|s| s.cost).fold(0, u64::saturating_add);
        let sizes = tensors.iter().map(|t| t.bytes).chain(steps.iter().map(|s| s.workspace));
        let bytes = sizes.fold(0, u64::saturating_add);
        if costs.max(bytes) > MAX_COST {
            return error(format!(
                "costs of {costs} and {bytes} bytes in sum: at most {MAX_COST} each; give them in a larger unit"
            ));
        }
        let turn = turn.min(steps.len());
        Ok(Self { tensors, steps, turn, link: None, recompute: true, maker, readers })
    }

    /// The same with what may be done to save memory: transfers at the rate of `link`, if at all, and computing again.
    ///
    /// # Errors
    ///
    /// If a transfer of every tensor costs more than [`MAX_COST`].
    pub fn with(mut self, link: Option<Rate>, recompute: bool) -> Result<Self, ProblemError> {
        if let Some(rate) = link {
            let all = self.tensors.iter().map(|t| rate.of(t.bytes)).fold(0, u64::saturating_add);
            if all > MAX_COST {
                return Err(ProblemError(format!(
                    "moving every tensor once costs {all}: at most {MAX_COST}; give costs in a larger unit"
                )));
            }
        }
        (self.link, self.recompute) = (link, recompute);
        Ok(self)
    }

    /// All tensors.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// All steps, each after those whose outputs it reads.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// How many of the steps, the first ones, are the forward pass.
    pub fn turn(&self) -> usize {
        self.turn
    }

    /// What transfers cost, if there are any.
    pub fn link(&self) -> Option<Rate> {
        self.link
    }

    /// Whether any step may be computed more than once.
    pub fn recompute(&self) -> bool {
        self.recompute
    }

    /// Whether a step may be computed more than once.
    pub fn again(&self, k: StepId) -> bool {
        self.recompute && k < self.turn
    }

    /// The step that writes a tensor, if it may be computed again.
    pub fn restorer(&self, id: TensorId) -> Option<StepId> {
        self.maker[id].filter(|&k| self.again(k))
    }

    /// The step that writes a tensor; none if it is given.
    pub fn maker(&self, id: TensorId) -> Option<StepId> {
        self.maker[id]
    }

    /// The steps that read a tensor, in order.
    pub fn readers(&self, id: TensorId) -> &[StepId] {
        &self.readers[id]
    }

    /// The cost of all steps, each computed once: what no schedule is below.
    pub fn once(&self) -> u64 {
        self.steps.iter().map(|s| s.cost).sum()
    }

    /// The cost of moving a tensor one way; none if it cannot be moved.
    pub fn transfer(&self, id: TensorId) -> Option<u64> {
        self.link.map(|rate| rate.of(self.tensors[id].bytes))
    }

    /// Bytes of tensors, each counted once.
    pub(crate) fn bytes(&self, ids: &[TensorId]) -> u64 {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids.dedup();
        ids.iter().map(|&id| self.tensors[id].bytes).sum()
    }

    /// Bytes that no schedule is below: the largest step with its inputs, outputs and workspace; what is given; what is
    /// wanted.
    pub fn floor(&self) -> u64 {
        let step = |s: &Step| self.bytes(&[&s.inputs[..], &s.outputs[..]].concat()) + s.workspace;
        let of = |flag: fn(&Tensor) -> bool| self.tensors.iter().filter(|t| flag(t)).map(|t| t.bytes).sum();
        let ends: [u64; 2] = [of(|t| t.given), of(|t| t.wanted)];
        self.steps.iter().map(step).chain(ends).max().unwrap_or(0)
    }
}

//! From an ONNX file to a [`Graph`].

use std::collections::HashMap;

use compiler::npy::Values;
use compiler::onnx::{ImportError, Model, Node};

use crate::graph::{Graph, Kind, Role, Step, Tensor, TensorId};
use crate::shape::{Data, Inferred, Inputs, MOST_VALUES, Result, Value, count, folded, infer};

/// What a name stands for.
#[derive(Clone, Debug)]
struct Named {
    value: Value,
    source: Source,
}

#[derive(Clone, Debug, PartialEq)]
enum Source {
    /// A tensor of the graph.
    Tensor(TensorId),
    /// Made of the constant of this name, of which it holds every element once.
    Constant(String),
}

/// A graph that grows by the nodes of a file.
pub(crate) struct Importer<'a> {
    pub(crate) graph: Graph,
    names: HashMap<&'a str, Named>,
    /// Parameters by the constant that they are.
    parameters: HashMap<String, TensorId>,
}

/// Whether the first input says only how the output is stored.
fn keeps_elements(op: &str) -> bool {
    matches!(
        op,
        "Identity"
            | "Cast"
            | "QuantizeLinear"
            | "DequantizeLinear"
            | "Reshape"
            | "Transpose"
            | "Squeeze"
            | "Unsqueeze"
            | "Flatten"
    )
}

impl<'a> Importer<'a> {
    /// Nothing yet.
    pub(crate) fn new(name: &str) -> Self {
        let graph = Graph { name: name.to_owned(), tensors: vec![], steps: vec![], outputs: vec![] };
        Self { graph, names: HashMap::new(), parameters: HashMap::new() }
    }

    /// An input of the network.
    pub(crate) fn input(&mut self, name: &str, shape: Vec<u64>) -> Result<TensorId> {
        count(&shape)?;
        Ok(self.tensor(name.to_owned(), shape, Role::Input))
    }

    /// A step that reads these tensors, and behind them constants of its own; gives its outputs.
    pub(crate) fn append(
        &mut self,
        node: &Node,
        inputs: &[TensorId],
        constants: Vec<Value>,
    ) -> Result<Vec<TensorId>> {
        for constant in &constants {
            count(&constant.shape)?;
        }
        let value = |&id: &TensorId| {
            let shape = self.graph.tensors[id].shape.clone();
            Some(Value { shape, constant: false, data: None })
        };
        let values = inputs.iter().map(value).chain(constants.into_iter().map(Some)).collect();
        let of = Inputs { node, values };
        let inferred = infer(&of)?;
        let read = inferred.activations.iter().filter_map(|&at| inputs.get(at).copied()).collect();
        let mut parameters = Vec::new();
        for &(at, role) in &inferred.parameters {
            let shape = of.values[at].as_ref().map_or(vec![], |v| v.shape.clone());
            parameters.push(self.tensor(format!("{}.{at}", node.name), shape, role));
        }
        let outputs = inferred.shapes.clone();
        let outputs = outputs
            .into_iter()
            .map(|shape| self.tensor(node.name.clone(), shape, Role::Activation))
            .collect();
        Ok(self.push(node, inferred, read, parameters, outputs))
    }

    fn constants(&mut self, model: &'a Model) {
        for (name, tensor) in &model.constants {
            let data = match &tensor.values {
                Values::Ints(v) if v.len() <= MOST_VALUES => {
                    Some(Data::Ints(v.iter().map(|&v| v.into()).collect()))
                }
                Values::Floats(v) if v.len() <= MOST_VALUES => Some(Data::Floats(v.clone())),
                _ => None,
            };
            let shape = tensor.shape.iter().map(|&n| n as u64).collect();
            let value = Value { shape, constant: true, data };
            self.names.insert(name, Named { value, source: Source::Constant(name.clone()) });
        }
    }

    fn inputs(&mut self, model: &'a Model) -> Result<()> {
        for input in &model.inputs {
            let mut shape = Vec::new();
            for (i, n) in input.shape.iter().enumerate() {
                shape.push(match n {
                    None | Some(1) if i == 0 => 1,
                    Some(n) if i == 0 && input.shape.len() > 1 => {
                        return Err(ImportError::new(format!(
                            "input {} is of {n} images: export the model with one, or with an open batch, and say how many \
                             here",
                            input.name
                        )));
                    }
                    Some(n) => *n as u64,
                    None => {
                        return Err(ImportError::new(format!(
                            "input {}: dimension {i} is open; export the model with a fixed size",
                            input.name
                        )));
                    }
                });
            }
            let id = self.input(&input.name, shape.clone())?;
            let value = Value { shape, constant: false, data: None };
            self.names.insert(&input.name, Named { value, source: Source::Tensor(id) });
        }
        Ok(())
    }

    fn tensor(&mut self, name: String, shape: Vec<u64>, role: Role) -> TensorId {
        self.graph.tensors.push(Tensor { name, shape, role });
        self.graph.tensors.len() - 1
    }

    /// The parameter that a constant is. The first step that reads it says of what kind.
    fn parameter(&mut self, named: &Named, role: Role) -> TensorId {
        match &named.source {
            Source::Tensor(id) => *id,
            Source::Constant(name) => match self.parameters.get(name) {
                Some(&id) => id,
                None => {
                    let id = self.tensor(name.clone(), named.value.shape.clone(), role);
                    self.parameters.insert(name.clone(), id);
                    id
                }
            },
        }
    }

    fn node(&mut self, node: &'a Node) -> Result<()> {
        let find = |name: &String| -> Result<Option<Named>> {
            if name.is_empty() {
                return Ok(None);
            }
            let found = self.names.get(name.as_str()).cloned();
            found.map(Some).ok_or_else(|| {
                ImportError::new(format!(
                    "its input {name} is neither computed before it nor a constant of a known type"
                ))
            })
        };
        let read: Vec<Option<Named>> = node.inputs.iter().map(find).collect::<Result<_>>()?;
        let values = read.iter().map(|n| n.as_ref().map(|n| n.value.clone())).collect();
        let of = Inputs { node, values };
        let constant = read.iter().flatten().all(|n| n.value.constant);
        if let Some(ints) = if constant || node.op == "Shape" { folded(&of)? } else { None } {
            let scalar = node.op == "Gather"
                && of.values.get(1).is_some_and(|v| v.as_ref().is_some_and(|v| v.shape.is_empty()));
            let shape = if scalar { vec![] } else { vec![ints.len() as u64] };
            let value = Value { shape, constant: true, data: Some(Data::Ints(ints)) };
            return self.constant(node, value, &read);
        }
        if node.op == "ConstantOfShape" {
            let shape: Option<Vec<u64>> =
                match of.values.first().and_then(Option::as_ref).and_then(|v| v.data.as_ref()) {
                    Some(Data::Ints(sizes)) => sizes.iter().map(|&n| u64::try_from(n).ok()).collect(),
                    _ => None,
                };
            let shape = shape
                .ok_or_else(|| ImportError::new("its shape is computed: only constants are supported"))?;
            count(&shape)?;
            return self.constant(node, Value { shape, constant: true, data: None }, &[]);
        }
        let inferred = infer(&of)?;
        if constant {
            let shape = inferred.shapes.into_iter().next().unwrap_or_default();
            return self.constant(node, Value { shape, constant: true, data: None }, &read);
        }
        self.step(node, &read, inferred);
        Ok(())
    }

    /// A node of constants: nothing is computed when the network runs.
    fn constant(&mut self, node: &'a Node, value: Value, read: &[Option<Named>]) -> Result<()> {
        let Some(output) = node.outputs.first() else { return Ok(()) };
        let source = match read.first() {
            Some(Some(first)) if keeps_elements(&node.op) => first.source.clone(),
            _ => Source::Constant(output.clone()),
        };
        self.names.insert(output, Named { value, source });
        Ok(())
    }

    fn step(&mut self, node: &'a Node, read: &[Option<Named>], inferred: Inferred) {
        let named = |at: usize| read.get(at).and_then(Option::as_ref);
        let inputs = inferred.activations.iter().filter_map(|&at| match named(at)?.source {
            Source::Tensor(id) => Some(id),
            Source::Constant(_) => None,
        });
        let inputs = inputs.collect();
        let parameters = inferred.parameters.iter();
        let parameters =
            parameters.filter_map(|&(at, role)| Some(self.parameter(named(at)?, role))).collect();
        let mut outputs = Vec::new();
        for (name, shape) in node.outputs.iter().zip(&inferred.shapes) {
            let id = self.tensor(name.clone(), shape.clone(), Role::Activation);
            let value = Value { shape: shape.clone(), constant: false, data: None };
            self.names.insert(name, Named { value, source: Source::Tensor(id) });
            outputs.push(id);
        }
        self.push(node, inferred, inputs, parameters, outputs);
    }

    /// The step; gives its outputs.
    fn push(
        &mut self,
        node: &Node,
        inferred: Inferred,
        inputs: Vec<TensorId>,
        parameters: Vec<TensorId>,
        outputs: Vec<TensorId>,
    ) -> Vec<TensorId> {
        let Inferred { op, macs, lag, lowered, .. } = inferred;
        self.graph.steps.push(Step {
            name: node.name.clone(),
            operator: node.op.clone(),
            op,
            kind: Kind::Forward,
            inputs,
            parameters,
            outputs: outputs.clone(),
            macs,
            lag,
            lowered,
        });
        outputs
    }
}

/// The steps of a network and the sizes of its tensors, for one image.
///
/// # Errors
///
/// If an operator is not known, or a size cannot be told from the file: the message names the node.
pub fn graph(model: &Model) -> Result<Graph> {
    let mut importer = Importer::new(&model.name);
    importer.constants(model);
    importer.inputs(model)?;
    for node in &model.nodes {
        importer.node(node).map_err(|e| e.in_node(node))?;
    }
    for name in &model.outputs {
        match importer.names.get(name.as_str()).map(|n| &n.source) {
            Some(&Source::Tensor(id)) => importer.graph.outputs.push(id),
            Some(Source::Constant(_)) => {}
            None => {
                return Err(ImportError::new(format!("output {name} is not computed: the file is damaged")));
            }
        }
    }
    if importer.graph.steps.is_empty() {
        return Err(ImportError::new("nothing in it depends on an input: give a network"));
    }
    Ok(importer.graph)
}

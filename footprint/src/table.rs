//! From a table of layers, as [`compiler::layer_table`] reads it for its work, to a [`Graph`] with what is between them.
//!
//! Besides the columns that are told there, a table for a graph has `weights` (how many, biases too), `act_in` and `act_out` (elements
//! of all inputs, and of the output), `ceil` (`ceil` where a pooling rounds up), and `inputs`: names of tensors with `;` between. Without that
//! column each row reads the one before it. A row `node_X` makes tensor `X`, and row `n5` tensor `r5`, as exporters name them; what is
//! called otherwise is made by rows that nobody else claims: of the tensors that a row reads, in the order of their
//! numbers, by the first such rows before it whose output can be it. Sizes decide whether that is right: they must
//! add up to `act_in` everywhere.

use std::collections::HashMap;
use std::path::Path;

use compiler::onnx::{Attribute, ImportError, Node};

use crate::graph::{Graph, TensorId};
use crate::import::Importer;
use crate::shape::{Data, Result, Value, count};

/// A row: its line in the file, and its cells by name.
struct Row<'a> {
    line: u64,
    head: &'a csv::StringRecord,
    cells: &'a csv::StringRecord,
}

impl Row<'_> {
    fn has(&self, column: &str) -> bool {
        self.head.iter().any(|name| name == column)
    }

    fn text(&self, column: &str) -> &str {
        let at = self.head.iter().position(|name| name == column);
        at.and_then(|i| self.cells.get(i)).unwrap_or_default()
    }

    fn error(&self, text: &str) -> ImportError {
        ImportError::new(format!("line {}: {}: {text}", self.line, self.text("name")))
    }

    /// A whole number, or `default` where the cell is empty or the column missing.
    fn number(&self, column: &str, default: Option<u64>) -> Result<u64> {
        let text = self.text(column);
        match (text, default) {
            ("", Some(default)) => Ok(default),
            _ => text.parse::<u32>().map(u64::from).map_err(|_| {
                self.error(&format!(
                    "{column} is `{text}`: a whole number below 4294967296 is wanted; correct it"
                ))
            }),
        }
    }

    fn need(&self, column: &str) -> Result<u64> {
        self.number(column, None)
    }

    /// The operator without its words in brackets, and those.
    fn operator(&self) -> (&str, Vec<&str>) {
        let op = self.text("op");
        let (kind, words) = op.trim_end_matches(')').split_once('(').unwrap_or((op, ""));
        (kind, words.split(',').collect())
    }

    /// Attributes of a window, and its padding: what is stated, otherwise what the output sizes need.
    fn window(&self) -> Result<Vec<(&'static str, Vec<u64>)>> {
        let dilation = self.number("dil", Some(1))?;
        let mut pads = [0; 4];
        for (axis, [size, out, kernel, stride, before, after]) in [
            ["H_in", "H_out", "R", "stride_h", "pad_t", "pad_b"],
            ["W_in", "W_out", "S", "stride_w", "pad_l", "pad_r"],
        ]
        .into_iter()
        .enumerate()
        {
            (pads[axis], pads[axis + 2]) = if self.has("pad_t") {
                (self.number(before, Some(0))?, self.number(after, Some(0))?)
            } else {
                let (out, kernel) = (self.need(out)?, self.need(kernel)?);
                let reach =
                    out.saturating_sub(1) * self.need(stride)? + kernel.saturating_sub(1) * dilation + 1;
                let total = reach.saturating_sub(self.need(size)?);
                (total / 2, total.div_ceil(2))
            };
        }
        Ok(vec![
            ("kernel_shape", vec![self.need("R")?, self.need("S")?]),
            ("strides", vec![self.need("stride_h")?, self.need("stride_w")?]),
            ("dilations", vec![dilation; 2]),
            ("pads", pads.to_vec()),
        ])
    }
}

/// A node of an attribute or two, without inputs and outputs.
fn node(name: &str, op: &str, attributes: impl IntoIterator<Item = (&'static str, Vec<u64>)>) -> Node {
    let ints = |(name, values): (&str, Vec<u64>)| {
        (name.to_owned(), Attribute::Ints(values.into_iter().map(|n| n as i64).collect()))
    };
    Node {
        name: name.to_owned(),
        op: op.to_owned(),
        inputs: vec![],
        outputs: vec![],
        attributes: attributes.into_iter().map(ints).collect(),
    }
}

fn with_int(mut node: Node, name: &str, value: u64) -> Node {
    node.attributes.insert(name.to_owned(), Attribute::Int(value as i64));
    node
}

/// What a row computes: nodes that each read the one before, the first one what the row reads, with the sizes of their
/// constants. `shape` is that of the row's first input.
fn nodes(row: &Row<'_>, shape: &[u64]) -> Result<Vec<(Node, Vec<Vec<u64>>)>> {
    let (kind, words) = row.operator();
    let name = row.text("name");
    let plain = |node: Node| Ok(vec![(node, vec![])]);
    let flat =
        |rank: usize| (shape.len() != rank).then(|| (node(&format!("{name} shape"), "Flatten", []), vec![]));
    match kind {
        "Conv" => {
            let (cin, cout, groups) = (row.need("C_in")?, row.need("K")?, row.number("group", Some(1))?);
            let sizes = vec![cout, cin / groups.max(1), row.need("R")?, row.need("S")?];
            let products = count(&sizes).map_err(|e| row.error(&e.to_string()))?;
            let bias = row.number("weights", Some(products))? > products;
            let constants = if bias { vec![sizes, vec![cout]] } else { vec![sizes] };
            Ok(vec![(with_int(node(name, "Conv", row.window()?), "group", groups), constants)])
        }
        "Gemm" => {
            let (cin, cout) = (row.need("C_in")?, row.need("K")?);
            let bias = row.number("weights", Some(0))? > cin * cout;
            if shape.len() == 3 {
                return Ok(vec![(node(name, "MatMul", []), vec![vec![cin, cout]])]);
            }
            let constants = if bias { vec![vec![cin, cout], vec![cout]] } else { vec![vec![cin, cout]] };
            Ok(flat(2).into_iter().chain([(node(name, "Gemm", []), constants)]).collect())
        }
        "GRU" => {
            let (cin, state, steps) = (row.need("C_in")?, row.need("K")?, row.need("W_in")?);
            let directions = if words.contains(&"bi") { 2 } else { 1 };
            let mut all = Vec::new();
            if shape.len() == 4 {
                let order = node(&format!("{name} order"), "Transpose", [("perm", vec![3, 0, 1, 2])]);
                let rows = node(&format!("{name} shape"), "Reshape", [("shape", vec![steps, 1, cin])]);
                all.extend([(order, vec![]), (rows, vec![])]);
            }
            let weights = |width: u64| vec![directions, 3 * state, width];
            let constants = vec![weights(cin), weights(state), vec![directions, 6 * state]];
            all.push((with_int(node(name, "GRU", []), "hidden_size", state), constants));
            let sum = with_int(node(&format!("{name} sum"), "ReduceSum", [("axes", vec![1])]), "keepdims", 0);
            all.push((sum, vec![]));
            Ok(all)
        }
        "MaxPool" | "AveragePool" => {
            let pool = node(name, kind, row.window()?);
            plain(with_int(pool, "ceil_mode", u64::from(row.text("ceil") == "ceil")))
        }
        "ReduceMean" if shape.len() == 4 => {
            plain(with_int(node(name, kind, [("axes", vec![2, 3])]), "keepdims", 1))
        }
        "Reshape" | "Flatten" => plain(node(name, "Flatten", [])),
        "Concat" => plain(with_int(node(name, kind, []), "axis", 1)),
        _ => plain(node(name, kind, [])),
    }
}

/// The stem and the number of a tensor's name.
fn numbered(name: &str) -> (&str, u64) {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    (stem, name[stem.len()..].parse().unwrap_or(0))
}

/// The tensor that a row of this name makes, by the rules of exporters.
fn made_by(row: &str) -> String {
    match (row.strip_prefix("node_"), row.strip_prefix('n')) {
        (Some(rest), _) => rest.to_owned(),
        (None, Some(number)) if number.parse::<u64>().is_ok() => format!("r{number}"),
        _ => row.to_owned(),
    }
}

/// Tensors by their names, and those that have none yet, in the order of their rows.
#[derive(Default)]
struct Names {
    known: HashMap<String, TensorId>,
    nameless: Vec<(String, TensorId)>,
}

impl Names {
    /// The tensors that a row reads, of which those that nobody has made are the network's inputs if there is no candidate.
    fn find(&mut self, names: &[&str], fits: impl Fn(TensorId) -> bool) -> Vec<Option<TensorId>> {
        let mut order: Vec<&str> = names.to_vec();
        order.sort_by_key(|name| numbered(name));
        for own in [true, false] {
            for &name in &order {
                let candidate = |(made, id): &(String, TensorId)| if own { made == name } else { fits(*id) };
                if !self.known.contains_key(name)
                    && let Some(at) = self.nameless.iter().position(candidate)
                {
                    let (_, id) = self.nameless.remove(at);
                    self.known.insert(name.to_owned(), id);
                }
            }
        }
        names.iter().map(|name| self.known.get(*name).copied()).collect()
    }
}

/// The network in a file, with an error that names it.
///
/// # Errors
///
/// As [`parse`], or if the file cannot be read.
pub fn load(path: &Path) -> Result<Graph> {
    let text = std::fs::read_to_string(path).map_err(|e| {
        ImportError::new(format!("{e}; give the path of a table of layers (CSV)")).in_file(path)
    })?;
    let name = path.file_stem().and_then(|n| n.to_str()).unwrap_or("table");
    parse(name, &text).map_err(|e| e.in_file(path))
}

/// The network in the text of a table.
///
/// # Errors
///
/// If a column is missing, an operator is not known, or sizes do not agree: the message names the line.
pub fn parse(name: &str, text: &str) -> Result<Graph> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let head = reader.headers().map_err(|e| ImportError::new(e.to_string()))?.clone();
    for column in ["name", "op", "C_in", "K", "MACs"] {
        if !head.iter().any(|name| name == column) {
            return Err(ImportError::new(format!(
                "no column `{column}`: a table of layers has columns name, op, C_in, H_in, W_in, K, H_out, W_out, R, S, stride_h, \
                 stride_w, MACs; add it"
            )));
        }
    }
    let records: Vec<csv::StringRecord> = reader
        .records()
        .collect::<std::result::Result<_, _>>()
        .map_err(|e| ImportError::new(e.to_string()))?;
    let mut importer = Importer::new(name);
    let mut names = Names::default();
    let mut before = None;
    for (index, cells) in records.iter().enumerate() {
        let line = cells.position().map_or(0, csv::Position::line);
        let row = Row { line, head: &head, cells };
        let read: Vec<&str> = row.text("inputs").split(';').filter(|name| !name.is_empty()).collect();
        let (channels, height, width) =
            (row.need("C_in")?, row.number("H_in", Some(1))?, row.number("W_in", Some(1))?);
        let concat = row.operator().0 == "Concat";
        let fits = |id: TensorId| {
            let shape = &importer.graph.tensors[id].shape;
            let elements: u64 = shape.iter().product();
            let pixels = height.saturating_mul(width).max(1);
            if concat { elements.is_multiple_of(pixels) } else { elements == channels.saturating_mul(pixels) }
        };
        let mut inputs: Vec<Option<TensorId>> =
            if read.is_empty() { vec![before] } else { names.find(&read, fits) };
        for (at, input) in inputs.iter_mut().enumerate() {
            if input.is_none() && index > 0 {
                let name = read.get(at).copied().unwrap_or_default();
                return Err(
                    row.error(&format!("no row before it makes its input `{name}`: correct the name"))
                );
            }
            if input.is_none() {
                let name = read.get(at).copied().unwrap_or("input");
                let id = importer.input(name, vec![1, channels, height, width])?;
                names.known.insert(name.to_owned(), id);
                *input = Some(id);
            }
        }
        let inputs: Vec<TensorId> = inputs.into_iter().flatten().collect();
        let elements = |importer: &Importer, ids: &[TensorId]| -> u64 {
            ids.iter().map(|&id| importer.graph.tensors[id].elements()).sum()
        };
        let stated = row.number("act_in", Some(elements(&importer, &inputs)))?;
        if stated != elements(&importer, &inputs) {
            return Err(row.error(&format!(
                "act_in is {stated}, but its inputs have {} elements: correct it, or the names of its inputs",
                elements(&importer, &inputs)
            )));
        }
        let shape = inputs.first().map_or(vec![], |&id| importer.graph.tensors[id].shape.clone());
        let mut of = inputs;
        for (node, constants) in nodes(&row, &shape)? {
            let constants =
                constants.into_iter().map(|shape| Value { shape, constant: true, data: None::<Data> });
            of = importer.append(&node, &of, constants.collect()).map_err(|e| row.error(&e.to_string()))?;
        }
        let made = elements(&importer, &of);
        let stated = row.number("act_out", Some(made))?;
        if stated != made {
            return Err(row.error(&format!("act_out is {stated}, its sizes make {made}: correct one")));
        }
        before = of.first().copied();
        names.nameless.extend(before.map(|id| (made_by(row.text("name")), id)));
    }
    let Some(last) = before else { return Err(ImportError::new("no row: give a table of layers")) };
    importer.graph.outputs.push(last);
    Ok(importer.graph)
}

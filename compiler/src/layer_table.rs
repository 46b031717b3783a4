//! Layer tables: CSV files with a row for each operator of a network, sizes in NCHW order, without numbers.
//!
//! Columns are found by their names: `name op C_in H_in W_in K H_out W_out R S stride_h stride_w MACs`, and, where they
//! are there and not empty, `N` (images), `pad_t pad_l pad_b pad_r`, `dil` and `group`. Without padding columns, padding is
//! what the output sizes need, the larger half below and to the right. Rows make layers as follows; every other
//! operator must have no MACs, and is left out.
//!
//! | operator | layers |
//! | --- | --- |
//! | `Conv` | a convolution |
//! | `Gemm` | a fully connected layer on a batch of `N × W_in` |
//! | `GRU(…)` | of `W_in` time steps: its three gates' products with all inputs, a batch of `W_in`, and with the state, once a step; both twice if `bi` is among the words in brackets |

use std::path::Path;

use spec::layer::{Layer, LayerSpec};

use crate::CompileError;

/// A layer that a network has once or several times in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableLayer {
    /// Name of the row, with `.x` or `.h` behind it for the two halves of a GRU.
    pub name: String,
    /// Its shape.
    pub layer: Layer,
    /// How many times it runs.
    pub count: u32,
}

/// A network by its layers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerTable {
    /// Name of the file, without its extension.
    pub name: String,
    /// Layers in the order of the rows, at least one.
    pub layers: Vec<TableLayer>,
}

/// A row: its line in the file, and its cells by name.
struct Row<'a> {
    line: u64,
    head: &'a csv::StringRecord,
    cells: &'a csv::StringRecord,
}

impl Row<'_> {
    fn text(&self, column: &str) -> &str {
        let at = self.head.iter().position(|name| name == column);
        at.and_then(|i| self.cells.get(i)).unwrap_or_default()
    }

    fn error(&self, text: &str) -> CompileError {
        CompileError::new(format!("line {}: {text}", self.line))
    }

    /// A whole number, or `default` where the cell is empty or the column missing.
    fn number(&self, column: &str, default: Option<u32>) -> Result<u32, CompileError> {
        let text = self.text(column);
        match (text, default) {
            ("", Some(default)) => Ok(default),
            _ => text.parse().map_err(|_| {
                self.error(&format!("{column} is `{text}`: a whole number below 4294967296 is wanted; correct it"))
            }),
        }
    }

    fn need(&self, column: &str) -> Result<u32, CompileError> {
        self.number(column, None)
    }

    /// The padding before and after an axis.
    fn padding(&self, names: [&str; 2], sizes: [&str; 4], dilation: u32) -> Result<[u32; 2], CompileError> {
        if self.head.iter().any(|name| name == names[0]) {
            return Ok([self.number(names[0], Some(0))?, self.number(names[1], Some(0))?]);
        }
        let [size, out, kernel, stride] = sizes.map(|name| self.need(name).map(u64::from));
        let (size, out, kernel, stride) = (size?, out?, kernel?, stride?);
        let reach = out.saturating_sub(1) * stride + kernel.saturating_sub(1) * u64::from(dilation) + 1;
        let total = u32::try_from(reach.saturating_sub(size)).unwrap_or(u32::MAX);
        Ok([total / 2, total.div_ceil(2)])
    }

    fn conv(&self) -> Result<LayerSpec, CompileError> {
        let dilation = self.number("dil", Some(1))?;
        let [pt, pb] = self.padding(["pad_t", "pad_b"], ["H_in", "H_out", "R", "stride_h"], dilation)?;
        let [pl, pr] = self.padding(["pad_l", "pad_r"], ["W_in", "W_out", "S", "stride_w"], dilation)?;
        Ok(LayerSpec {
            cin: self.need("C_in")?,
            h: self.need("H_in")?,
            w: self.need("W_in")?,
            cout: self.need("K")?,
            kh: self.need("R")?,
            kw: self.need("S")?,
            sh: self.need("stride_h")?,
            sw: self.need("stride_w")?,
            pt,
            pl,
            pb,
            pr,
            dh: dilation,
            dw: dilation,
            groups: self.number("group", Some(1))?,
            batch: self.number("N", Some(1))?,
            relu: false,
        })
    }

    fn product(&self, cin: u32, cout: u32, batch: u32) -> LayerSpec {
        LayerSpec { cin, cout, batch, ..LayerSpec::default() }
    }

    /// The shapes that the row stands for: what to add to the name, the shape, and how often it runs.
    fn shapes(&self) -> Result<Vec<(&'static str, LayerSpec, u32)>, CompileError> {
        let op = self.text("op");
        let (batch, steps) = (self.number("N", Some(1))?, self.number("W_in", Some(1))?);
        let (kind, words) = op.trim_end_matches(')').split_once('(').unwrap_or((op, ""));
        match kind {
            "Conv" => Ok(vec![("", self.conv()?, 1)]),
            "Gemm" => {
                let all = batch.saturating_mul(steps);
                Ok(vec![("", self.product(self.need("C_in")?, self.need("K")?, all), 1)])
            }
            "GRU" => {
                let (cin, state) = (self.need("C_in")?, self.need("K")?);
                let directions = if words.split(',').any(|w| w == "bi") { 2 } else { 1 };
                let gates = state.saturating_mul(3);
                let all = batch.saturating_mul(steps);
                Ok(vec![
                    (".x", self.product(cin, gates, all), directions),
                    (".h", self.product(state, gates, batch), steps.saturating_mul(directions)),
                ])
            }
            _ if matches!(self.text("MACs"), "" | "0") => Ok(Vec::new()),
            _ => Err(self.error(&format!(
                "operator `{op}` has MACs: layers are made of Conv, Gemm and GRU; write it as one of them, or set its MACs to 0"
            ))),
        }
    }

    fn layers(&self) -> Result<Vec<TableLayer>, CompileError> {
        let name = self.text("name");
        let layer = |(suffix, spec, count): (&str, LayerSpec, u32)| {
            let layer = Layer::new(spec).map_err(|e| self.error(&format!("`{name}`: {e}")))?;
            Ok(TableLayer { name: format!("{name}{suffix}"), layer, count })
        };
        let layers = self.shapes()?.into_iter().map(layer).collect::<Result<Vec<_>, _>>()?;
        let macs: u128 = layers.iter().map(|l| u128::from(l.layer.padded_macs()) * u128::from(l.count)).sum();
        let stated = self.text("MACs");
        if !layers.is_empty() && stated != macs.to_string() {
            return Err(self.error(&format!(
                "`{name}` has {stated} MACs by the table, {macs} by its sizes (products with padding counted); correct one"
            )));
        }
        Ok(layers)
    }
}

impl LayerTable {
    /// Reads a file.
    pub fn load(path: &Path) -> Result<Self, CompileError> {
        let at = |e: &dyn std::fmt::Display| CompileError::new(format!("{}: {e}", path.display()));
        let text = std::fs::read_to_string(path)
            .map_err(|e| at(&format!("{e}; give the path of a table of layers (CSV)")))?;
        let name = path.file_stem().and_then(|n| n.to_str()).unwrap_or("table");
        Self::parse(name, &text).map_err(|e| at(&e))
    }

    /// Reads the text of a table.
    pub fn parse(name: &str, text: &str) -> Result<Self, CompileError> {
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let head = reader.headers().map_err(|e| CompileError::new(e.to_string()))?.clone();
        for column in ["name", "op", "C_in", "K", "MACs"] {
            if !head.iter().any(|name| name == column) {
                return Err(CompileError::new(format!(
                    "no column `{column}`: a table of layers has columns name, op, C_in, H_in, W_in, K, H_out, W_out, R, \
                     S, stride_h, stride_w, MACs; add it"
                )));
            }
        }
        let mut layers = Vec::new();
        for cells in reader.records() {
            let cells = cells.map_err(|e| CompileError::new(e.to_string()))?;
            let line = cells.position().map_or(0, csv::Position::line);
            layers.extend(Row { line, head: &head, cells: &cells }.layers()?);
        }
        if layers.is_empty() {
            return Err(CompileError::new(
                "no row with MACs: a table of layers has at least one Conv, Gemm or GRU".into(),
            ));
        }
        Ok(Self { name: name.to_owned(), layers })
    }

    /// The different shapes, each with the number of times that it runs, in the order of their first layers.
    pub fn shapes(&self) -> Vec<(Layer, u32)> {
        let mut shapes: Vec<(Layer, u32)> = Vec::new();
        let mut at = std::collections::HashMap::new();
        for TableLayer { layer, count, .. } in &self.layers {
            let index = *at.entry(*layer).or_insert_with(|| {
                shapes.push((*layer, 0));
                shapes.len() - 1
            });
            shapes[index].1 += count;
        }
        shapes
    }
}

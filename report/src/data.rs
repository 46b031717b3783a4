//! What `koch sweep` writes into a directory, read and checked.

use crate::{Error, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;

/// Which part of a sweep is drawn.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// The design point whose layers are drawn; of those in layers.csv the most efficient one if `None`.
    pub point: Option<u64>,
    /// The only network; all of them if `None`.
    pub network: Option<String>,
}

/// A sweep, or the part of it that was chosen.
#[derive(Clone, Debug, Default)]
pub struct Data {
    /// Networks, in the order in which they first appear.
    pub networks: Vec<String>,
    /// Points that have a network's cycles, in the order of the file.
    pub points: Vec<Point>,
    /// Points that have none, because their config or their program is impossible.
    pub failed: usize,
    /// The rows of pareto.csv, if there is one.
    pub front: Option<Vec<Point>>,
    /// The layers of the one point of each network that is drawn; `None` without layers.csv.
    pub layers: Option<BTreeMap<String, Layers>>,
    /// The rows of timeline.csv by layer, if there is one.
    pub timeline: Option<BTreeMap<String, Vec<Span>>>,
    /// graph.svg, the picture of a network, if there is one.
    pub graph: Option<String>,
}

/// A network on a design point.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[allow(missing_docs)] // The columns of points.csv.
pub struct Point {
    pub point: u64,
    pub network: String,
    pub rows: u64,
    pub cols: u64,
    pub lanes: u64,
    pub operand_bits: u64,
    pub ibuf: Size,
    pub wbuf: Size,
    pub obuf: Size,
    pub rbuf: Size,
    pub pbuf: Size,
    pub bytes_per_cycle: u64,
    pub clock_mhz: Number,
    pub macs: u64,
    pub buffer_bytes: u64,
    pub cycles: u64,
    pub fps: Number,
    pub efficiency: Number,
    pub bytes: u64,
    pub traffic_ratio: Number,
    pub area: Number,
}

/// The layers of a network on one design point.
#[derive(Clone, Debug, PartialEq)]
pub struct Layers {
    /// That point.
    pub point: Point,
    /// What the idle cycles are counted by, without the prefix `idle_`.
    pub causes: Vec<String>,
    /// In the order of the network.
    pub rows: Vec<Layer>,
}

/// A row of layers.csv.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[allow(missing_docs)] // The columns.
pub struct Layer {
    pub point: u64,
    pub network: String,
    pub index: u64,
    pub layer: String,
    pub count: u64,
    pub useful_macs: u64,
    pub once_only_bytes: u64,
    pub bytes: u64,
    pub cycles: u64,
    pub roofline_cycles: Number,
    pub mac_busy_cycles: u64,
    /// Idle cycles in the order of [`Layers::causes`].
    #[serde(skip)]
    pub idle: Vec<u64>,
    /// The run on the RTL, if the layer is in check.csv.
    #[serde(skip)]
    pub rtl: Option<Check>,
}

/// A row of check.csv: a layer on the RTL, and whether outputs, cycles and counters were as they must be.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Check {
    /// The design point.
    pub point: u64,
    /// The network, as points.csv names it.
    pub network: String,
    /// Number of the layer, from 1; 0 for a network that runs as a whole.
    pub index: u64,
    /// Cycles on the RTL.
    pub cycles: u64,
    /// Bytes that the RTL moved off chip.
    pub bytes: u64,
    /// Outputs equal the reference's, cycles and counters the model's.
    pub equal: bool,
}

/// A row of timeline.csv: an instruction in an engine, or how full a buffer is, from cycle `start` to cycle `end`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[allow(missing_docs)] // The columns.
pub struct Span {
    pub layer: String,
    pub engine: String,
    pub instruction: String,
    pub start: u64,
    pub end: u64,
    #[serde(default)]
    pub level: Option<Number>,
}

/// A finite number that is not negative.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Number(pub f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        let value = f64::deserialize(from)?;
        if value.is_finite() && value >= 0.0 {
            Ok(Self(value))
        } else {
            Err(serde::de::Error::custom(format!("{value} where a number from 0 on belongs")))
        }
    }
}

/// Bytes of a buffer, written as a number or as `128KiB`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Size(pub String);

impl Size {
    /// Without the unit that the table's header names, KiB.
    pub fn short(&self) -> String {
        match self.0.parse::<u64>() {
            Ok(bytes) => format!("{}", bytes as f64 / 1024.0),
            Err(_) => self.0.strip_suffix("KiB").unwrap_or(&self.0).to_owned(),
        }
    }
}

impl Data {
    /// Reads the directory.
    ///
    /// points.csv must be there, other files may be missing; whatever is there must be right.
    pub fn read(dir: &Path, choice: &Choice) -> Result<Self> {
        let mut data = Self::default();
        let Some(file) = Table::open(dir, "points.csv")? else {
            return Err(Error::new(format!(
                "{}: no points.csv; give a directory that `koch sweep` has written",
                dir.display()
            )));
        };
        let mut known = BTreeSet::new();
        file.read(|row| {
            let network = row.text("network")?;
            if !known.contains(network) {
                known.insert(network.to_owned());
                data.networks.push(network.to_owned());
            }
            let done = row.text("status")? == "ok";
            if choice.takes(network) && done {
                data.points.push(row.get()?);
            } else if choice.takes(network) {
                data.failed += 1;
            }
            Ok(())
        })?;
        if let Some(network) = &choice.network {
            if !known.contains(network) {
                let known = data.networks.join(", ");
                return Err(Error::new(format!("network {network:?} is not in points.csv; it has {known}")));
            }
            data.networks.retain(|n| n == network);
        }
        if let Some(file) = Table::open(dir, "pareto.csv")? {
            let mut front = Vec::new();
            file.read(|row| {
                if choice.takes(row.text("network")?) {
                    front.push(row.get()?);
                }
                Ok(())
            })?;
            data.front = Some(front);
        }
        data.read_layers(dir, choice)?;
        if let Some(file) = Table::open(dir, "timeline.csv")? {
            let mut timeline: BTreeMap<String, Vec<Span>> = BTreeMap::new();
            file.read(|row| {
                let span: Span = row.get()?;
                if span.end < span.start {
                    return Err(row.error(format!("end {} is before start {}", span.end, span.start)));
                }
                timeline.entry(span.layer.clone()).or_default().push(span);
                Ok(())
            })?;
            data.timeline = Some(timeline);
        }
        data.graph = picture(&dir.join("graph.svg"))?;
        Ok(data)
    }

    /// Keeps the rows of one point per network, as a sweep has many.
    fn read_layers(&mut self, dir: &Path, choice: &Choice) -> Result<()> {
        let Some(file) = Table::open(dir, "layers.csv")? else { return Ok(()) };
        let points: BTreeMap<(u64, &str), &Point> =
            self.points.iter().map(|p| ((p.point, p.network.as_str()), p)).collect();
        let mut layers: BTreeMap<String, Layers> = BTreeMap::new();
        let mut known = BTreeSet::new();
        file.read(|row| {
            let mut layer: Layer = row.get()?;
            if !choice.takes(&layer.network) {
                return Ok(());
            }
            known.insert(layer.point);
            let Some(&point) = points.get(&(layer.point, layer.network.as_str())) else {
                return Err(row.error(format!(
                    "point {} of {} is not among those of points.csv with status ok",
                    layer.point, layer.network
                )));
            };
            if choice.point.is_some_and(|p| p != layer.point) {
                return Ok(());
            }
            let idle = row.idle()?;
            layer.idle = idle.iter().map(|(_, cycles)| *cycles).collect();
            let busy_and_idle =
                layer.idle.iter().try_fold(layer.mac_busy_cycles, |sum, &cycles| sum.checked_add(cycles));
            if busy_and_idle != Some(layer.cycles) {
                return Err(row.error(format!(
                    "mac_busy_cycles and the columns idle_… do not sum to cycles, {}",
                    layer.cycles
                )));
            }
            let best = layers.entry(layer.network.clone()).or_insert_with(|| Layers {
                point: point.clone(),
                causes: idle.into_iter().map(|(cause, _)| cause).collect(),
                rows: Vec::new(),
            });
            if point.efficiency > best.point.efficiency {
                best.point = point.clone();
                best.rows.clear();
            }
            if point.point == best.point.point {
                best.rows.push(layer);
            }
            Ok(())
        })?;
        if let Some(point) = choice.point.filter(|p| !known.contains(p)) {
            let some: Vec<String> = known.iter().take(10).map(u64::to_string).collect();
            return Err(Error::new(format!(
                "point {point} is not in layers.csv; choose one that is, as {}",
                some.join(", ")
            )));
        }
        if let Some(file) = Table::open(dir, "check.csv")? {
            file.read(|row| {
                let check: Check = row.get()?;
                let of = layers.get_mut(&check.network).filter(|l| l.point.point == check.point);
                for layer in of.into_iter().flat_map(|l| &mut l.rows).filter(|l| l.index == check.index) {
                    layer.rtl = Some(check.clone());
                }
                Ok(())
            })?;
        }
        for network in layers.values_mut() {
            network.rows.sort_by_key(|l| l.index);
        }
        self.layers = Some(layers);
        Ok(())
    }
}

impl Choice {
    fn takes(&self, network: &str) -> bool {
        self.network.as_ref().is_none_or(|n| n == network)
    }
}

/// A CSV file with a header.
struct Table {
    name: String,
    header: csv::StringRecord,
    reader: csv::Reader<File>,
}

/// A row of a table.
struct Row<'a> {
    table: &'a str,
    header: &'a csv::StringRecord,
    record: csv::StringRecord,
}

impl Table {
    /// Opens a file, or gives `None` if there is none.
    fn open(dir: &Path, name: &str) -> Result<Option<Self>> {
        let path = dir.join(name);
        let name = path.display().to_string();
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => {
                return Err(Error::new(format!(
                    "{name}: {e}; make it readable, or run `{}` again",
                    writer(&name)
                )));
            }
        };
        let mut reader = csv::Reader::from_reader(file);
        let header = reader.headers().map_err(|e| wrong(&name, &e))?.clone();
        Ok(Some(Self { name, header, reader }))
    }

    /// Gives every row to `each`.
    fn read(mut self, mut each: impl FnMut(&Row<'_>) -> Result<()>) -> Result<()> {
        for record in self.reader.records() {
            let record = record.map_err(|e| wrong(&self.name, &e))?;
            // Control characters have no place in a picture, and none at all in XML.
            let clean = |field: &str| field.replace(char::is_control, " ");
            let record = if record.iter().any(|f| f.contains(char::is_control)) {
                let mut cleaned: csv::StringRecord = record.iter().map(clean).collect();
                cleaned.set_position(record.position().cloned());
                cleaned
            } else {
                record
            };
            each(&Row { table: &self.name, header: &self.header, record })?;
        }
        Ok(())
    }
}

impl Row<'_> {
    fn text(&self, column: &str) -> Result<&str> {
        let index = self.header.iter().position(|name| name == column);
        index.and_then(|i| self.record.get(i)).ok_or_else(|| self.error(format!("no column `{column}`")))
    }

    fn get<T: DeserializeOwned>(&self) -> Result<T> {
        self.record.deserialize(Some(self.header)).map_err(|e| match e.kind() {
            csv::ErrorKind::Deserialize { err, .. } => {
                let column = err.field().and_then(|i| self.header.get(i as usize));
                let value = err.field().and_then(|i| self.record.get(i as usize));
                match (column, value) {
                    (Some(column), Some(value)) => {
                        self.error(format!("column {column}, {value:?}: {}", err.kind()))
                    }
                    _ => self.error(err.kind()),
                }
            }
            _ => self.error(e),
        })
    }

    /// The columns `idle_…`, without that prefix.
    fn idle(&self) -> Result<Vec<(String, u64)>> {
        let columns = self.header.iter().zip(&self.record);
        let idle = columns.filter_map(|(name, value)| Some((name, name.strip_prefix("idle_")?, value)));
        idle.map(|(name, cause, value)| match value.parse() {
            Ok(cycles) => Ok((cause.to_owned(), cycles)),
            Err(e) => Err(self.error(format!("column {name}, {value:?}: {e}"))),
        })
        .collect()
    }

    fn error(&self, what: impl std::fmt::Display) -> Error {
        let line = self.record.position().map_or(0, csv::Position::line);
        Error::new(format!("{}, line {line}: {what}; run `{}` again", self.table, writer(self.table)))
    }
}

/// An SVG file, if there is one.
fn picture(path: &Path) -> Result<Option<String>> {
    let name = path.display().to_string();
    let error =
        |what: &dyn std::fmt::Display| Error::new(format!("{name}: {what}; run `{}` again", writer(&name)));
    match std::fs::read_to_string(path) {
        Ok(text) if text.starts_with("<svg ") => Ok(Some(text)),
        Ok(_) => Err(error(&"no SVG")),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(error(&e)),
    }
}

/// What writes a file.
pub fn writer(file: &str) -> &'static str {
    match file {
        _ if file.ends_with("timeline.csv") => "koch model --timeline",
        _ if file.ends_with("graph.svg") => "koch graph",
        _ => "koch sweep",
    }
}

fn wrong(name: &str, e: &csv::Error) -> Error {
    let line = e.position().map_or(String::new(), |p| format!(", line {}", p.line()));
    let what = match e.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{len} fields where the header has {expected_len}")
        }
        csv::ErrorKind::Utf8 { .. } => "bytes that are no UTF-8".to_owned(),
        _ => e.to_string(),
    };
    Error::new(format!("{name}{line}: {what}; run `{}` again", writer(name)))
}

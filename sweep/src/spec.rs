//! What to sweep: a TOML file with values for any field of the config and of the memory, and the networks.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::path::{Path, PathBuf};

use spec::rng::splitmix64;
use spec::{Config, ConfigSpec, MemorySpec, Size};

/// Most rows of a sweep.
pub const MAX_ROWS: u64 = 100_000_000;
/// Most values of a range.
const MAX_VALUES: usize = 100_000;
/// Points that are looked at before the sweep to see whether each value is legal in any of them: all, or that many.
const LOOKED_AT: u64 = 20_000;

/// Why a sweep cannot be: value, limit, remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SweepError(pub String);

impl fmt::Display for SweepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SweepError {}

/// An error with this text.
pub fn error<T>(text: impl Into<String>) -> Result<T, SweepError> {
    Err(SweepError(text.into()))
}

/// What can be swept. The order is that of the points: the first changes slowest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // The names of the config's and the memory's fields.
pub enum Field {
    Rows,
    Cols,
    Lanes,
    OperandBits,
    BusBits,
    BurstBeats,
    Outstanding,
    Ibuf,
    Wbuf,
    Obuf,
    Rbuf,
    Pbuf,
    Latency,
    BytesPerCycle,
    MemoryOutstanding,
    StallSeed,
    StallPercent,
    ClockMhz,
}

impl Field {
    /// All of them, with their names.
    pub const ALL: [(Self, &'static str); 18] = [
        (Self::Rows, "rows"),
        (Self::Cols, "cols"),
        (Self::Lanes, "lanes"),
        (Self::OperandBits, "operand_bits"),
        (Self::BusBits, "bus_bits"),
        (Self::BurstBeats, "burst_beats"),
        (Self::Outstanding, "outstanding"),
        (Self::Ibuf, "ibuf"),
        (Self::Wbuf, "wbuf"),
        (Self::Obuf, "obuf"),
        (Self::Rbuf, "rbuf"),
        (Self::Pbuf, "pbuf"),
        (Self::Latency, "latency"),
        (Self::BytesPerCycle, "bytes_per_cycle"),
        (Self::MemoryOutstanding, "memory_outstanding"),
        (Self::StallSeed, "stall_seed"),
        (Self::StallPercent, "stall_percent"),
        (Self::ClockMhz, "clock_mhz"),
    ];
    /// The first that is a buffer, the first of the memory, and the clock.
    pub(crate) const BUFFERS: usize = Self::Ibuf as usize;
    pub(crate) const MEMORY: usize = Self::Latency as usize;
    pub(crate) const CLOCK: usize = Self::ClockMhz as usize;

    fn is_size(self) -> bool {
        (Self::BUFFERS..Self::MEMORY).contains(&(self as usize))
    }

    /// The largest number that it can hold.
    fn most(self) -> u64 {
        match self {
            Self::StallSeed => i64::MAX as u64, // Parquet's
            _ => u64::from(u32::MAX),
        }
    }
}

/// Values of fields that no legal point is known for, and why the first that was looked at is not legal.
type Open = BTreeMap<(usize, u64), Option<SweepError>>;

/// A sweep, as its file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// The config whose fields stand where nothing is swept, and its name.
    pub base: ConfigSpec,
    /// Its name.
    pub name: String,
    /// Layer tables (`.csv`) and ONNX files.
    pub networks: Vec<PathBuf>,
    /// Whether a row for each layer is wanted, too.
    pub layers: bool,
    /// Values by field; none where the base's stands.
    pub axes: [Vec<u64>; 18],
}

/// One value for each field, where there is one.
pub type Values = [Option<u64>; 18];

impl Spec {
    /// Reads a file. Paths in it are relative to it.
    pub fn load(path: &Path) -> Result<Self, SweepError> {
        let at = |e: &dyn fmt::Display| SweepError(format!("{}: {e}", path.display()));
        let text = std::fs::read_to_string(path)
            .map_err(|e| at(&format!("{e}; give the path of a sweep (TOML)")))?;
        Self::parse(&text, path.parent().unwrap_or(Path::new("."))).map_err(|e| at(&e))
    }

    /// Reads the text of a file in directory `dir`.
    pub fn parse(text: &str, dir: &Path) -> Result<Self, SweepError> {
        let table: toml::Table =
            toml::from_str(text).map_err(|e| SweepError(e.to_string().trim_end().to_owned()))?;
        let mut spec = Self {
            base: ConfigSpec::default(),
            name: String::new(),
            networks: Vec::new(),
            layers: false,
            axes: Default::default(),
        };
        let mut config = "default";
        for (key, value) in &table {
            match (key.as_str(), value) {
                ("config", toml::Value::String(name)) => config = name,
                ("layers", toml::Value::Boolean(layers)) => spec.layers = *layers,
                ("networks", toml::Value::Array(files)) => {
                    for file in files {
                        let Some(file) = file.as_str() else {
                            return error(format!(
                                "networks: {file} is no path; write a list of files as [\"net.csv\"]"
                            ));
                        };
                        spec.networks.push(dir.join(file));
                    }
                }
                ("config" | "layers" | "networks", value) => {
                    return error(format!(
                        "{key} = {value}: config is the name of a config or a file, layers is true or false, networks is a \
                         list of files; correct it"
                    ));
                }
                (key, value) => {
                    let Some((field, _)) = Field::ALL.iter().find(|(_, name)| *name == key) else {
                        let known: Vec<&str> = Field::ALL.iter().map(|(_, name)| *name).collect();
                        return error(format!(
                            "unknown field `{key}`: use config, networks, layers, or one of {}",
                            known.join(", ")
                        ));
                    };
                    let values =
                        values(*field, value).map_err(|e| SweepError(format!("{key} = {value}: {e}")))?;
                    spec.axes[*field as usize] = values;
                }
            }
        }
        (spec.name, spec.base) = base(config, dir)?;
        if spec.networks.is_empty() {
            return error("no networks: write networks = [\"resnet50.csv\"], layer tables or ONNX files");
        }
        spec.check()?;
        Ok(spec)
    }

    /// The number of points.
    pub fn points(&self) -> u64 {
        self.axes.iter().fold(1, |n: u64, axis| n.saturating_mul(axis.len().max(1) as u64))
    }

    /// The number of rows: one for each point and network.
    pub fn rows(&self) -> u64 {
        self.points().saturating_mul(self.networks.len() as u64)
    }

    /// The values at a point.
    pub fn values(&self, point: u64) -> Values {
        let mut rest = point;
        let mut values = [None; 18];
        for (value, axis) in values.iter_mut().zip(&self.axes).rev() {
            let n = axis.len().max(1) as u64;
            *value = axis.get((rest % n) as usize).copied();
            rest /= n;
        }
        values
    }

    /// The config at these values.
    pub fn config(&self, values: &Values) -> Result<Config, SweepError> {
        let number = |field: Field| values[field as usize].map(|v| u32::try_from(v).unwrap_or(u32::MAX));
        let size = |field: Field| values[field as usize].map(Size);
        let fields = ConfigSpec {
            rows: number(Field::Rows),
            cols: number(Field::Cols),
            lanes: number(Field::Lanes),
            operand_bits: number(Field::OperandBits),
            by_channel: None,
            post: None,
            ibuf: size(Field::Ibuf),
            wbuf: size(Field::Wbuf),
            obuf: size(Field::Obuf),
            rbuf: size(Field::Rbuf),
            pbuf: size(Field::Pbuf),
            bus_bits: number(Field::BusBits),
            burst_beats: number(Field::BurstBeats),
            outstanding: number(Field::Outstanding),
        };
        Config::new(&self.name, fields.over(self.base.clone())).map_err(|e| SweepError(e.to_string()))
    }

    /// The memory at these values, on the bus of `config`.
    pub fn memory(&self, values: &Values, config: &Config) -> Result<MemorySpec, SweepError> {
        let number = |field: Field, default: u32| {
            values[field as usize].map_or(default, |v| u32::try_from(v).unwrap_or(u32::MAX))
        };
        let base = MemorySpec::default();
        let memory = MemorySpec {
            latency: number(Field::Latency, base.latency),
            bytes_per_cycle: values[Field::BytesPerCycle as usize]
                .map(|v| u32::try_from(v).unwrap_or(u32::MAX)),
            outstanding: number(Field::MemoryOutstanding, base.outstanding),
            stall_seed: values[Field::StallSeed as usize].unwrap_or(base.stall_seed),
            stall_percent: number(Field::StallPercent, base.stall_percent),
            ..base
        };
        memory.check(config.bus_bytes()).map_err(|e| SweepError(e.to_string()))?;
        Ok(memory)
    }

    /// The clock at these values.
    pub fn clock_mhz(&self, values: &Values) -> u64 {
        values[Field::CLOCK].unwrap_or(250)
    }

    /// Refuses what no sweep can be: too many points, a value that is illegal whatever the others are.
    fn check(&self) -> Result<(), SweepError> {
        if self.rows() > MAX_ROWS {
            let factors: Vec<String> = Field::ALL
                .iter()
                .filter(|(field, _)| self.axes[*field as usize].len() > 1)
                .map(|(field, name)| format!("{} {name}", self.axes[*field as usize].len()))
                .collect();
            return error(format!(
                "{} points ({}) times {} networks: at most {MAX_ROWS} rows are swept; use fewer values",
                match self.points() {
                    u64::MAX => "more than 10^19".to_owned(),
                    n => n.to_string(),
                },
                factors.join(" x "),
                self.networks.len()
            ));
        }
        let fields = self.axes.iter().enumerate();
        let mut open: Open =
            fields.flat_map(|(field, axis)| axis.iter().map(move |&v| ((field, v), None))).collect();
        let (points, mut state) = (self.points(), 0);
        let mut look = |k: u64| match points {
            ..=LOOKED_AT => self.values(k),
            _ => self.values(splitmix64(&mut state) % points),
        };
        let looks = points.min(LOOKED_AT);
        // Each value by itself in a legal point, then wherever it may be legal.
        let base =
            (0..looks).map(&mut look).find(|values| self.legal(values).is_ok()).unwrap_or(self.values(0));
        for (field, value) in open.keys().copied().collect::<Vec<_>>() {
            let mut values = base;
            values[field] = Some(value);
            self.settle(&mut open, &values);
        }
        let mut last = (0, 0);
        for k in 0..looks {
            let next = open.range((Bound::Excluded(last), Bound::Unbounded)).chain(&open).next();
            let Some((&(field, value), _)) = next else { break };
            last = (field, value);
            let mut values = look(k);
            if points > LOOKED_AT {
                values[field] = Some(value);
            }
            self.settle(&mut open, &values);
        }
        match open.into_iter().next() {
            Some(((field, value), Some(e))) => {
                error(format!("{} = {value} is legal in no point: {e}", Field::ALL[field].1))
            }
            _ => Ok(()),
        }
    }

    fn legal(&self, values: &Values) -> Result<(), SweepError> {
        self.config(values).and_then(|config| self.memory(values, &config)).map(|_| ())
    }

    /// Strikes the values of a legal point out, or notes why it is illegal.
    fn settle(&self, open: &mut Open, values: &Values) {
        let legal = self.legal(values);
        let keys = values.iter().enumerate().filter_map(|(field, value)| Some((field, (*value)?)));
        for key in keys {
            match (&legal, open.get_mut(&key)) {
                (Ok(()), Some(_)) => {
                    open.remove(&key);
                }
                (Err(e), Some(why @ None)) => *why = Some(e.clone()),
                _ => {}
            }
        }
    }

    /// The sweep in one canonical form: equal texts mean equal rows.
    pub fn canonical(&self) -> String {
        let mut text = format!("config = {:?}\n# {:?}\nlayers = {}\n", self.name, self.base, self.layers);
        for ((_, name), axis) in Field::ALL.iter().zip(&self.axes) {
            if !axis.is_empty() {
                text += &format!("{name} = {axis:?}\n");
            }
        }
        text
    }
}

/// The base config's name and fields.
fn base(config: &str, dir: &Path) -> Result<(String, ConfigSpec), SweepError> {
    if !config.ends_with(".toml") {
        let spec = ConfigSpec::named(config).map_err(|e| SweepError(e.to_string()))?;
        return Ok((config.to_owned(), spec));
    }
    let path = dir.join(config);
    let at = |e: &dyn fmt::Display| SweepError(format!("config {}: {e}", path.display()));
    let text = std::fs::read_to_string(&path).map_err(|e| at(&format!("{e}; give the path of a config")))?;
    let spec = ConfigSpec::from_toml(&text).map_err(|e| at(&e))?;
    let name = path.file_stem().and_then(|n| n.to_str()).unwrap_or("config").to_owned();
    Ok((name, spec))
}

/// The values that a field's entry names: a number or size, a range of them, or a list of any of these.
fn values(field: Field, value: &toml::Value) -> Result<Vec<u64>, SweepError> {
    let values = match value {
        toml::Value::Integer(n) => {
            vec![u64::try_from(*n).or_else(|_| error("a number below 0: use one from 0 on"))?]
        }
        toml::Value::String(text) => range(field, text)?,
        toml::Value::Array(list) => {
            let mut all = Vec::new();
            for value in list {
                all.extend(values(field, value)?);
            }
            all
        }
        _ => {
            return error(
                "write a number, a size as \"64KiB\", a range as \"16KiB..1MiB *2\", or a list of these",
            );
        }
    };
    if let Some(large) = values.iter().find(|v| **v > field.most()) {
        return error(format!(
            "{large} is beyond {}, the most that is allowed: use a smaller number",
            field.most()
        ));
    }
    if field == Field::ClockMhz && values.contains(&0) {
        return error("a clock of 0 MHz never ticks: use 1 or more");
    }
    if values.is_empty() {
        return error("an empty list: give at least one value, or leave the field out");
    }
    let mut seen = std::collections::HashSet::new();
    if let Some(twice) = values.iter().find(|v| !seen.insert(**v)) {
        return error(format!("{twice} is there twice: give each value once"));
    }
    Ok(values)
}

fn number(field: Field, text: &str) -> Result<u64, SweepError> {
    if field.is_size() {
        return text.parse::<Size>().map(|size| size.0).map_err(|e| SweepError(e.to_string()));
    }
    text.trim().parse().or_else(|_| {
        error(format!("`{}` is no whole number: write one, or a range as 4..64 +4", text.trim()))
    })
}

/// `4..64 +4`, `16KiB..1MiB *2`, `4..7`, both ends included, or a single value.
fn range(field: Field, text: &str) -> Result<Vec<u64>, SweepError> {
    let Some((from, rest)) = text.split_once("..") else { return Ok(vec![number(field, text)?]) };
    let at = rest.find(['+', '*']);
    let (to, step) = rest.split_at(at.unwrap_or(rest.len()));
    let (from, to) = (number(field, from)?, number(field, to)?);
    if from > to {
        return error(format!("an empty range: it starts at {from} and ends at {to}; swap them"));
    }
    let (factor, add) = match (step.chars().next(), step.get(1..)) {
        (Some('*'), Some(by)) => (number(Field::Rows, by)?, 0),
        (Some(_), Some(by)) => (1, number(field, by)?),
        _ => (1, 1),
    };
    if factor < 2 && add < 1 || factor >= 2 && from == 0 {
        return error(
            "a range that does not move on: step by +1 or more, or by *2 or more from a value above 0",
        );
    }
    let mut values = vec![from];
    let mut last = from;
    while let Some(next) = last.checked_mul(factor).and_then(|v| v.checked_add(add)).filter(|v| *v <= to) {
        if values.len() == MAX_VALUES {
            return error(format!("a range of more than {MAX_VALUES} values: use a larger step"));
        }
        values.push(next);
        last = next;
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::Spec;

    #[test]
    fn a_value_that_is_legal_in_few_points_is_legal() {
        let text = "networks = [\"net.csv\"]\ncols = [4, 16]\nlanes = [16, 1]\nbus_bits = [32, 512]\n\
                    latency = \"1..100000\"\nbytes_per_cycle = [64, 4]\n";
        let spec = Spec::parse(text, ".".as_ref());
        assert_eq!(spec.expect("a sweep").points(), 1_600_000);
        let spec = Spec::parse(&text.replace("[32, 512]", "[32, 256]"), ".".as_ref());
        assert!(spec.expect_err("illegal").0.starts_with("bytes_per_cycle = 64 is legal in no point: "));
    }
}

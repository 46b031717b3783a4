//! The directory of a sweep: parts while it runs, whole tables when it is complete.
//!
//! A part is a run of units, written to a temporary file and renamed; so after a kill at any moment a part is there whole
//! or not at all, and a later run computes what is missing. The tables are made of the parts alone, in their order: what
//! wrote them, and when, leaves no trace.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use rayon::prelude::*;

use crate::eval::Evaluator;
use crate::row::{Cell, LayerRow, PointRow, Row};
use crate::spec::{SweepError, error};

/// Rows of a part, about.
const PART_ROWS: u64 = 2048;
/// Rows of a row group in Parquet.
const GROUP_ROWS: usize = 1 << 16;

const MANIFEST: &str = "manifest.toml";
const POINTS: &str = "points.csv";

/// Which parts of a sweep a run computes: shard `index` of `count`, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: u64,
    count: u64,
}

impl Shard {
    /// All of it.
    pub const ALL: Self = Self { index: 1, count: 1 };

    fn parts(self, all: u64) -> Range<u64> {
        let at = |k: u64| (u128::from(all) * u128::from(k) / u128::from(self.count)) as u64;
        at(self.index - 1)..at(self.index)
    }
}

impl std::str::FromStr for Shard {
    type Err = SweepError;

    fn from_str(text: &str) -> Result<Self, SweepError> {
        let parts = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        match parts {
            Some((index, count)) if (1..=count).contains(&index) => Ok(Self { index, count }),
            _ => error(format!("shard `{text}`: write 1/4 for the first of four, up to 4/4")),
        }
    }
}

fn io_error(path: &Path) -> impl Fn(io::Error) -> SweepError + '_ {
    move |e| SweepError(format!("{}: {e}; choose a place that can be written", path.display()))
}

/// A sweep and the directory that it is written to.
pub struct Sweep<'a> {
    evaluator: &'a Evaluator,
    dir: PathBuf,
    shard: Shard,
    /// Held while the process lives, so that two do not write to the same directory.
    _lock: File,
}

impl<'a> Sweep<'a> {
    /// Makes the directory, or takes up what another run left in it.
    pub fn open(evaluator: &'a Evaluator, dir: &Path, shard: Shard) -> Result<Self, SweepError> {
        fs::create_dir_all(dir.join("parts")).map_err(io_error(dir))?;
        let lock = File::create(dir.join("lock")).map_err(io_error(dir))?;
        if lock.try_lock().is_err() {
            return error(format!("{}: another sweep is writing to it; choose another directory", dir.display()));
        }
        let manifest = dir.join(MANIFEST);
        let wanted = evaluator.canonical();
        match fs::read_to_string(&manifest) {
            Ok(found) if found == wanted => {}
            Ok(_) => {
                return error(format!(
                    "{}: holds another sweep, or one of other networks or of another version; choose another directory or \
                     remove it",
                    dir.display()
                ));
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => write(&manifest, |file| file.write_all(wanted.as_bytes()))?,
            Err(e) => return Err(io_error(&manifest)(e)),
        }
        // What a killed run left half-written.
        for place in [dir.to_owned(), dir.join("parts")] {
            for entry in fs::read_dir(&place).map_err(io_error(&place))?.flatten() {
                if entry.file_name().to_string_lossy().starts_with(".tmp") {
                    fs::remove_file(entry.path()).map_err(io_error(&place))?;
                }
            }
        }
        Ok(Self { evaluator, dir: dir.to_owned(), shard, _lock: lock })
    }

    /// Rows of the whole sweep.
    fn part_units(&self) -> u64 {
        let rows = self.evaluator.spec.rows() / self.evaluator.units();
        (PART_ROWS / rows.max(1)).max(1)
    }

    fn parts(&self) -> u64 {
        self.evaluator.units().div_ceil(self.part_units())
    }

    fn rows(&self, parts: u64) -> u64 {
        let units = (parts * self.part_units()).min(self.evaluator.units());
        units * self.evaluator.unit_points() * self.evaluator.spec.networks.len() as u64
    }

    /// Rows that this run is to see there, and how many of them are there already.
    pub fn progress(&self) -> (u64, u64) {
        let own = self.shard.parts(self.parts());
        let rows = |part: u64| self.rows(part + 1) - self.rows(part);
        let there = own.clone().filter(|&part| self.complete() || self.part(part).exists());
        (self.rows(own.end) - self.rows(own.start), there.map(rows).sum())
    }

    /// Whether the tables are there.
    pub fn complete(&self) -> bool {
        self.dir.join(POINTS).exists()
    }

    fn part(&self, part: u64) -> PathBuf {
        part_path(&self.dir, part, "csv")
    }

    /// Computes the parts that are missing, then, unless this is a shard, the tables. `done` is told the rows of each
    /// part.
    pub fn run(&self, done: impl Fn(u64) + Sync) -> Result<(), SweepError> {
        if !self.complete() {
            let missing: Vec<u64> =
                self.shard.parts(self.parts()).filter(|&part| !self.part(part).exists()).collect();
            missing.into_par_iter().try_for_each(|part| {
                self.compute(part)?;
                done(self.rows(part + 1) - self.rows(part));
                Ok(())
            })?;
            if self.shard != Shard::ALL {
                return Ok(());
            }
            let parts: Vec<PathBuf> = (0..self.parts()).map(|part| self.part(part)).collect();
            assemble(&parts, &self.dir, self.evaluator.spec.layers)?;
        }
        let parts = self.dir.join("parts");
        fs::remove_dir_all(&parts).map_err(io_error(&parts))
    }

    fn compute(&self, part: u64) -> Result<(), SweepError> {
        let first = part * self.part_units();
        let (mut rows, mut layers) = (Vec::new(), Vec::new());
        for unit in first..(first + self.part_units()).min(self.evaluator.units()) {
            let (more_rows, more_layers) = self.evaluator.unit(unit);
            rows.extend(more_rows);
            layers.extend(more_layers);
        }
        if self.evaluator.spec.layers {
            write_rows(&part_path(&self.dir, part, "layers.csv"), &layers)?;
        }
        // That it is there says that the part is complete.
        write_rows(&self.part(part), &rows)
    }
}

fn part_path(dir: &Path, part: u64, extension: &str) -> PathBuf {
    dir.join("parts").join(format!("{part:08}.{extension}"))
}

/// Writes a file whole or not at all.
fn write(path: &Path, fill: impl FnOnce(&mut dyn io::Write) -> io::Result<()>) -> Result<(), SweepError> {
    let error = io_error(path);
    let dir = path.parent().unwrap_or(Path::new("."));
    let file = tempfile::NamedTempFile::new_in(dir).map_err(&error)?;
    let mut writer = io::BufWriter::new(file);
    fill(&mut writer).map_err(&error)?;
    let file = writer.into_inner().map_err(|e| error(e.into_error()))?;
    file.persist(path).map_err(|e| error(e.error))?;
    Ok(())
}

fn write_rows<R: Row>(path: &Path, rows: &[R]) -> Result<(), SweepError> {
    write(path, |file| {
        let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(file);
        rows.iter().try_for_each(|row| writer.serialize(row)).map_err(io::Error::other)?;
        writer.flush()
    })
}

/// Makes one sweep of its shards, whose directories these are.
pub fn merge(shards: &[PathBuf], out: &Path) -> Result<(), SweepError> {
    let read = |dir: &PathBuf| {
        let path = dir.join(MANIFEST);
        fs::read_to_string(&path)
            .map_err(|e| SweepError(format!("{}: {e}; give directories that koch sweep --shard wrote", path.display())))
    };
    let Some((first, others)) = shards.split_first() else { return error("no shards: give their directories") };
    let manifest = read(first)?;
    for dir in others {
        if read(dir)? != manifest {
            return error(format!(
                "{} and {} are of different sweeps; merge shards of one",
                first.display(),
                dir.display()
            ));
        }
    }
    let (parts, layers) = expected(&manifest)?;
    let mut found = Vec::new();
    for part in 0..parts {
        let Some(path) = shards.iter().map(|dir| part_path(dir, part, "csv")).find(|p| p.exists()) else {
            return error(format!(
                "part {part} of {parts} is in none of the {} directories; run the shard that is missing or was not \
                 finished",
                shards.len()
            ));
        };
        found.push(path);
    }
    fs::create_dir_all(out).map_err(io_error(out))?;
    let target = out.join(MANIFEST);
    if fs::read_to_string(&target).is_ok_and(|there| there != manifest) {
        return error(format!("{}: holds another sweep; choose another directory", out.display()));
    }
    write(&target, |file| file.write_all(manifest.as_bytes()))?;
    assemble(&found, out, layers)
}

/// What the manifest says of the number of parts, and whether there are tables of layers.
fn expected(manifest: &str) -> Result<(u64, bool), SweepError> {
    let parse = || {
        let number = |name: &str| {
            let line = manifest.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(" = "))?;
            line.parse::<u64>().ok()
        };
        let layers = manifest.lines().any(|l| l == "layers = true");
        let (units, rows) = (number("# units")?, number("# rows")?);
        let per = (PART_ROWS / (rows / units.max(1)).max(1)).max(1);
        Some((units.div_ceil(per), layers))
    };
    parse().ok_or_else(|| SweepError(format!("{MANIFEST} is damaged: run the sweep anew")))
}

/// The tables of all parts.
fn assemble(parts: &[PathBuf], out: &Path, layers: bool) -> Result<(), SweepError> {
    let points = Table::<PointRow> { parts: parts.to_vec(), row: std::marker::PhantomData };
    if layers {
        let parts = parts.iter().map(|p| p.with_extension("layers.csv")).collect();
        let layers = Table::<LayerRow> { parts, row: std::marker::PhantomData };
        layers.parquet(&out.join("layers.parquet"))?;
        layers.csv(&out.join("layers.csv"))?;
    }
    points.parquet(&out.join("points.parquet"))?;
    let front = front(&points)?;
    write(&out.join("pareto.csv"), |file| {
        let mut writer = csv::Writer::from_writer(file);
        front.iter().try_for_each(|row| writer.serialize(row)).map_err(io::Error::other)?;
        if front.is_empty() {
            writer.write_record(PointRow::COLUMNS).map_err(io::Error::other)?;
        }
        writer.flush()
    })?;
    // That it is there says that all tables are.
    points.csv(&out.join(POINTS))
}

/// The rows of some parts.
struct Table<R> {
    parts: Vec<PathBuf>,
    row: std::marker::PhantomData<R>,
}

impl<R: Row> Table<R> {
    fn csv(&self, path: &Path) -> Result<(), SweepError> {
        write(path, |file| {
            writeln!(file, "{}", R::COLUMNS.join(","))?;
            for part in &self.parts {
                io::copy(&mut File::open(part)?, file)?;
            }
            Ok(())
        })
    }

    fn each(&self, mut f: impl FnMut(R) -> Result<(), SweepError>) -> Result<(), SweepError> {
        let names = csv::StringRecord::from(R::COLUMNS.to_vec());
        for part in &self.parts {
            let mut bytes = Vec::new();
            File::open(part).and_then(|mut file| file.read_to_end(&mut bytes)).map_err(io_error(part))?;
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(bytes.as_slice());
            let damaged = |e: csv::Error| {
                SweepError(format!("{}: {e}; remove it and run the sweep again", part.display()))
            };
            for record in reader.records() {
                f(record.and_then(|r| r.deserialize(Some(&names))).map_err(damaged)?)?;
            }
        }
        Ok(())
    }

    fn parquet(&self, path: &Path) -> Result<(), SweepError> {
        let failed = |e: parquet::errors::ParquetError| SweepError(format!("{}: {e}", path.display()));
        let default = R::default();
        let column = |(name, cell): (&&str, Cell<'_>)| match cell {
            Cell::Int(_) => format!("optional int64 {name};"),
            Cell::Float(_) => format!("optional double {name};"),
            Cell::Text(_) => format!("required binary {name} (UTF8);"),
        };
        let columns: String = R::COLUMNS.iter().zip(default.cells()).map(column).collect();
        let schema = parse_message_type(&format!("message rows {{ {columns} }}")).map_err(failed)?;
        let dir = path.parent().unwrap_or(Path::new("."));
        let file = tempfile::NamedTempFile::new_in(dir).map_err(io_error(dir))?;
        let compression = parquet::basic::Compression::SNAPPY;
        let properties = WriterProperties::builder().set_compression(compression).build();
        let mut writer = SerializedFileWriter::new(
            io::BufWriter::new(file.reopen().map_err(io_error(path))?),
            Arc::new(schema),
            Arc::new(properties),
        )
        .map_err(failed)?;
        let mut rows: Vec<R> = Vec::new();
        self.each(|row| {
            rows.push(row);
            if rows.len() == GROUP_ROWS {
                group(&mut writer, &rows).map_err(failed)?;
                rows.clear();
            }
            Ok(())
        })?;
        if !rows.is_empty() {
            group(&mut writer, &rows).map_err(failed)?;
        }
        writer.close().map_err(failed)?;
        file.persist(path).map_err(|e| io_error(path)(e.error))?;
        Ok(())
    }
}

/// Writes a row group.
fn group<R: Row, W: io::Write + Send>(
    writer: &mut SerializedFileWriter<W>,
    rows: &[R],
) -> Result<(), parquet::errors::ParquetError> {
    let cells: Vec<Vec<Cell<'_>>> = rows.iter().map(Row::cells).collect();
    let mut group = writer.next_row_group()?;
    let mut index = 0;
    while let Some(mut column) = group.next_column()? {
        let mut defined = Vec::with_capacity(rows.len());
        let (mut ints, mut floats, mut texts) = (Vec::new(), Vec::new(), Vec::new());
        for row in &cells {
            match row[index] {
                Cell::Int(value) => {
                    defined.push(i16::from(value.is_some()));
                    ints.extend(value.map(|v| v as i64));
                }
                Cell::Float(value) => {
                    defined.push(i16::from(value.is_some()));
                    floats.extend(value);
                }
                Cell::Text(text) => texts.push(ByteArray::from(text)),
            }
        }
        match cells[0][index] {
            Cell::Int(_) => column.typed::<Int64Type>().write_batch(&ints, Some(&defined), None)?,
            Cell::Float(_) => column.typed::<DoubleType>().write_batch(&floats, Some(&defined), None)?,
            Cell::Text(_) => column.typed::<ByteArrayType>().write_batch(&texts, None, None)?,
        };
        column.close()?;
        index += 1;
    }
    group.close()?;
    Ok(())
}

/// The rows that no other of the same network beats in cycles, area and memory bandwidth, or equals in two of them and
/// beats in the third. Of rows that are equal in all three, the first.
fn front(points: &Table<PointRow>) -> Result<Vec<PointRow>, SweepError> {
    type Point = (u64, u64, u64);
    let mut fronts: Vec<(String, Vec<(Point, PointRow)>)> = Vec::new();
    points.each(|row| {
        let (Some(cycles), Some(area), Some(bandwidth)) = (row.cycles, row.area, row.bytes_per_cycle) else {
            return Ok(());
        };
        let at = (cycles, area, bandwidth);
        let known = fronts.iter().position(|(name, _)| *name == row.network);
        let known = known.unwrap_or_else(|| {
            fronts.push((row.network.clone(), Vec::new()));
            fronts.len() - 1
        });
        let front = &mut fronts[known].1;
        let beats = |a: &Point, b: &Point| a.0 <= b.0 && a.1 <= b.1 && a.2 <= b.2;
        if front.iter().any(|(other, _)| beats(other, &at)) {
            return Ok(());
        }
        front.retain(|(other, _)| !beats(&at, other));
        front.push((at, row));
        Ok(())
    })?;
    let mut rows: Vec<PointRow> =
        fronts.into_iter().flat_map(|(_, front)| front.into_iter().map(|(_, row)| row)).collect();
    rows.sort_by(|a, b| a.network.cmp(&b.network).then(a.cycles.cmp(&b.cycles)).then(a.point.cmp(&b.point)));
    Ok(rows)
}

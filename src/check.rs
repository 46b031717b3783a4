//! Points of a sweep run again on the RTL.

use crate::args::write_file;
use crate::job::Job;
use crate::network::{NetworkJob, bar};
use crate::simulate::rtl;
use crate::{Failure, Outcome};
use metrics::moved_bytes;
use serde::Serialize;
use spec::layer::LayerData;
use spec::rng::splitmix64;
use spec::{Config, MemorySpec};
use std::collections::BTreeSet;
use std::path::Path;
use sweep::{Evaluator, PointRow, Source};
use testbench::Rtl;

/// A layer on the RTL.
#[derive(Serialize)]
struct Checked {
    point: u64,
    network: String,
    /// Number of the layer, from 1; 0 for a network that runs as a whole.
    index: u64,
    layer: String,
    cycles: u64,
    bytes: u64,
    /// Outputs equal the reference's, cycles and counters the model's, and their sum the row's.
    equal: bool,
}

/// Runs `count` rows of the sweep in `dir` again, chosen by `seed`. An error if one differs.
pub fn run(evaluator: &Evaluator, dir: &Path, count: u32, seed: u64) -> Outcome {
    let path = dir.join("points.csv");
    let done = || -> Result<Vec<PointRow>, csv::Error> {
        let rows = csv::Reader::from_path(&path)?
            .into_deserialize()
            .filter(|row: &Result<PointRow, _>| row.as_ref().map_or(true, |row| row.status == "ok"));
        rows.collect()
    };
    let rows = done()?;
    let mut state = seed;
    let mut chosen = BTreeSet::new();
    while chosen.len() < rows.len().min(count as usize) {
        chosen.insert((splitmix64(&mut state) % rows.len() as u64) as usize);
    }
    let progress = bar(chosen.len() as u64, "points on the RTL");
    let mut checked = Vec::new();
    let mut wrong = Vec::new();
    for row in chosen.iter().map(|&k| &rows[k]) {
        let values = evaluator.spec.values(row.point);
        let config = evaluator.spec.config(&values)?;
        let memory = evaluator.spec.memory(&values, &config)?;
        let (rtl, _) = progress.suspend(|| rtl(&config, None))?;
        let before = checked.len();
        point(evaluator, row, &config, &memory, rtl, seed, &mut checked)?;
        if checked[before..].iter().any(|c| !c.equal) {
            wrong.push(format!("{} at point {}", row.network, row.point));
        }
        progress.inc(1);
    }
    progress.finish_and_clear();
    let mut writer = csv::Writer::from_writer(Vec::new());
    checked.iter().try_for_each(|c| writer.serialize(c))?;
    write_file(&dir.join("check.csv"), &writer.into_inner().map_err(|e| e.into_error())?)?;
    let cycles: u64 = checked.iter().map(|c| c.cycles).sum();
    if wrong.is_empty() {
        say!("{} points on the RTL, {} runs, {cycles} cycles: all equal", chosen.len(), checked.len());
        return Ok(());
    }
    Err(Failure::Mismatch(format!(
        "{} of {} points differ on the RTL: {}; see check.csv",
        wrong.len(),
        chosen.len(),
        wrong.join(", ")
    )))
}

/// Runs the network of a row: layer by layer, or as a whole.
fn point(
    evaluator: &Evaluator,
    row: &PointRow,
    config: &Config,
    memory: &MemorySpec,
    rtl: Rtl,
    seed: u64,
    checked: &mut Vec<Checked>,
) -> Outcome {
    let known = |index: u64, layer: &str, cycles: u64, bytes: u64, equal: bool| Checked {
        point: row.point,
        network: row.network.clone(),
        index,
        layer: layer.to_owned(),
        cycles,
        bytes,
        equal,
    };
    match evaluator.source(&row.network) {
        Some(Source::Table(table)) => {
            let first = checked.len();
            let (mut cycles, mut bytes) = (0, 0);
            for (layer, count) in table.shapes() {
                let data = LayerData::random(&layer, config.operand_bits, seed)?;
                let job = Job::new(config.clone(), memory.clone(), row.network.clone(), layer, Some(&data))?;
                let report = job.compare(&data, &rtl, 0.0)?;
                let equal = report.equal.is_some_and(|e| e.all());
                let moved = moved_bytes(&report.counters);
                cycles += u64::from(count) * report.counters.cycles;
                bytes += u64::from(count) * moved;
                for (k, found) in table.layers.iter().enumerate().filter(|(_, l)| l.layer == layer) {
                    checked.push(known(k as u64 + 1, &found.name, report.counters.cycles, moved, equal));
                }
            }
            // A sum that differs is the fault of one of them; which one is not known.
            if (Some(cycles), Some(bytes)) != (row.cycles, row.bytes) {
                checked[first..].iter_mut().for_each(|c| c.equal = false);
            }
            checked[first..].sort_by_key(|c| c.index);
        }
        Some(Source::Network(network)) => {
            let job = NetworkJob::of(network, config.clone(), memory.clone(), true, None)?;
            let (values, model) = (job.random_values(seed)?, job.model()?.0);
            let limit = testbench::limit(model.counters.cycles);
            let run = rtl
                .run(&job.program(&values)?, memory, limit)
                .map_err(|e| Failure::Mismatch(format!("{} at point {}: {e}", row.network, row.point)))?;
            let bytes = moved_bytes(&run.counters);
            let equal = job.image(0, &values, &run, &model)?.equal.all()
                && (Some(run.counters.cycles), Some(bytes)) == (row.cycles, row.bytes);
            checked.push(known(0, &row.network, run.counters.cycles, bytes, equal));
        }
        None => {}
    }
    Ok(())
}

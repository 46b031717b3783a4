//! What the engines do and what the buffers hold over time, as `koch report` reads it.

use crate::Failure;
use crate::job::Job;
use ::report::{Number, Span};
use cyclemodel::Part;
use serde::Serialize;
use spec::isa::{Engine, Instruction};
use spec::{Config, MemorySpec, Program, Status};
use std::borrow::Borrow;

/// A row of the file.
#[derive(Serialize)]
pub struct Row {
    layer: String,
    engine: &'static str,
    instruction: String,
    start: u64,
    end: u64,
    /// Of buffers and the array: how full, at most 1.
    level: Option<f64>,
}

impl From<Row> for Span {
    fn from(row: Row) -> Self {
        Self {
            layer: row.layer,
            engine: row.engine.to_owned(),
            instruction: row.instruction,
            start: row.start,
            end: row.end,
            level: row.level.map(Number),
        }
    }
}

/// What happens during a program from cycle 0 on: the rows of [`cyclemodel::Span`], then those of [`cyclemodel::Level`].
pub fn rows(
    layer: &str,
    config: &Config,
    program: &Program,
    memory: &MemorySpec,
) -> Result<Vec<Row>, Failure> {
    let (run, spans) = cyclemodel::trace(config, program, memory)?;
    if run.status != Status::Ok {
        return Err(Failure::Mismatch(format!(
            "the cycle model ends with status {} on {layer}; please report the layer and the config",
            run.status
        )));
    }
    let levels = cyclemodel::fills(config, program, &spans);
    let instructions: Vec<_> = program.instructions().collect();
    let mut rows = Vec::new();
    for span in spans {
        let (first, last) = (span.instructions.start, span.instructions.end - 1);
        let (engine, instruction) = match (span.engine, &instructions[first]) {
            (Engine::Fetch, _) => ("fetch", format!("instructions {} to {}", first + 1, last + 1)),
            (Engine::Load, Ok(i)) => ("load", brief(i)),
            (Engine::Compute, Ok(i)) => ("compute", brief(i)),
            (Engine::Store, Ok(i)) => ("store", brief(i)),
            (_, Err(_)) => continue,
        };
        let (start, end) = (span.start, span.end);
        rows.push(Row { layer: layer.to_owned(), engine, instruction, start, end, level: None });
    }
    for part in Part::ALL {
        let capacity = part.capacity(config);
        let unit = if part == Part::Array { "MACs a cycle" } else { "B" };
        rows.extend(levels.iter().filter(|l| l.part == part).map(|l| Row {
            layer: layer.to_owned(),
            engine: part.name(),
            instruction: format!("{:.0} of {capacity} {unit}", l.amount),
            start: l.start,
            end: l.end,
            level: Some(l.amount / capacity as f64),
        }));
    }
    Ok(rows)
}

/// The CSV file of some layers with their names.
pub fn csv(layers: impl IntoIterator<Item = (String, impl Borrow<Job>)>) -> Result<Vec<u8>, Failure> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for (layer, job) in layers {
        let job: &Job = job.borrow();
        for row in rows(&layer, &job.config, &job.program, &job.memory)? {
            writer.serialize(row)?;
        }
    }
    writer.into_inner().map_err(|e| Failure::Input(e.to_string()))
}

/// The start of its assembly: the mnemonic, and what tells how much it moves or computes.
fn brief(instruction: &Instruction) -> String {
    match instruction {
        Instruction::Load(i) => {
            format!("load buffer={} run_bytes={} runs={}", i.buffer, i.run_bytes, i.runs)
        }
        Instruction::Rect(i) => format!("rect nx={} ny={}", i.nx, i.ny),
        Instruction::Store(i) => format!("store run_bytes={} runs={}", i.run_bytes, i.runs),
        i => i.form().name.to_owned(),
    }
}

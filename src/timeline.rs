//! What the engines do over time, as `koch report` reads it.

use crate::Failure;
use crate::job::Job;
use serde::Serialize;
use spec::Status;
use spec::isa::{Engine, Instruction};
use std::borrow::Borrow;

#[derive(Serialize)]
struct Row<'a> {
    layer: &'a str,
    engine: &'a str,
    instruction: String,
    start: u64,
    end: u64,
}

/// The CSV file of some layers with their names, each from cycle 0 on. Its rows are those of [`cyclemodel::Span`].
pub fn csv(layers: impl IntoIterator<Item = (String, impl Borrow<Job>)>) -> Result<Vec<u8>, Failure> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for (layer, job) in layers {
        let job: &Job = job.borrow();
        let (run, spans) = cyclemodel::trace(&job.config, &job.program, &job.memory)?;
        if run.status != Status::Ok {
            return Err(Failure::Mismatch(format!(
                "the cycle model ends with status {} on {layer}; please report the layer and the config",
                run.status
            )));
        }
        let program: Vec<_> = job.program.instructions().collect();
        for span in spans {
            let (first, last) = (span.instructions.start, span.instructions.end - 1);
            let (engine, instruction) = match (span.engine, &program[first]) {
                (Engine::Fetch, _) => ("fetch", format!("instructions {} to {}", first + 1, last + 1)),
                (Engine::Load, Ok(i)) => ("load", brief(i)),
                (Engine::Compute, Ok(i)) => ("compute", brief(i)),
                (Engine::Store, Ok(i)) => ("store", brief(i)),
                (_, Err(_)) => continue,
            };
            writer.serialize(Row { layer: &layer, engine, instruction, start: span.start, end: span.end })?;
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

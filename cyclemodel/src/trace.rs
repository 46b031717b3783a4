//! When each instruction was at work.

use crate::{Engines, Time, simulate};
use spec::{Config, MemorySpec, Program, Run, isa::Engine, memory::MemoryError};
use std::ops::Range;

/// What an engine did from cycle `start` to before cycle `end`.
///
/// Fetch works on batches of instructions: from the grant of the read until all of the batch can be dispatched. The
/// other engines work on one instruction each, from the cycle in which they pop it from their queue until it is
/// complete: all that it loads is in the buffer; the last tile of its rectangle is drained; what it stores is
/// acknowledged; another compute instruction takes a cycle. All but fetch start an instruction before the one ahead
/// of it is complete, if tokens let them: spans of an engine overlap, but start and end in the program's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Who.
    pub engine: Engine,
    /// Places in the program of the instructions.
    pub instructions: Range<usize>,
    /// First cycle.
    pub start: u64,
    /// One after the last cycle.
    pub end: u64,
}

/// Predicts one run, as [`crate::run`], with the spans of all that was complete at its end: engine by engine, in the
/// program's order. In a run that ends well each instruction is in one span of fetch and one of its own engine.
pub fn trace(
    config: &Config,
    program: &Program,
    memory: &MemorySpec,
) -> Result<(Run, Vec<Span>), MemoryError> {
    let mut spans = Vec::new();
    let run = simulate(config, program, memory, |engines| spans = engines.spans())?;
    spans.retain(|span| span.end <= run.counters.cycles);
    Ok((run, spans))
}

impl Engines<'_> {
    /// Spans of all that has an end.
    fn spans(&self) -> Vec<Span> {
        let batches = self.fetch.batches();
        let mut spans: Vec<Span> = batches
            .map(|(instructions, start, end)| Span { engine: Engine::Fetch, instructions, start, end })
            .collect();
        let stored: Vec<Time> =
            self.store.bursts.iter().map_while(|&bursts| self.bus.acknowledged(bursts)).collect();
        let engines = [
            (Engine::Load, &self.requester.queue.pops, &self.writer.completed),
            (Engine::Compute, &self.compute.queue.pops, &self.compute.completed),
            (Engine::Store, &self.store.queue.pops, &stored),
        ];
        for (engine, starts, ends) in engines {
            let own = self.fetch.dispatched().enumerate().filter(|(_, i)| i.form().engine == engine);
            spans.extend(own.zip(starts).zip(ends).map(|(((k, _), &start), &end)| Span {
                engine,
                instructions: k..k + 1,
                start,
                end,
            }));
        }
        spans
    }
}

//! `koch faults`.

use crate::campaign::Campaign;
use crate::{Failure, Outcome};
use serde::Serialize;
use std::collections::BTreeMap;
use testbench::RunError;
use testbench::faults::{self, Kind, Seen};

#[derive(clap::Args)]
pub struct Args {
    /// Faults, each in a run of its own.
    #[arg(long, default_value_t = 1000)]
    count: u64,
    /// Seed of the campaign; the same seed gives the same faults.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Faults on one config before the next is drawn (each config's RTL is built once).
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..))]
    per_config: u64,
    /// Inject just this fault.
    #[arg(long, value_name = "INDEX")]
    case: Option<u64>,
    /// Print the summary as JSON.
    #[arg(long)]
    json: bool,
}

/// What a campaign has seen.
#[derive(Default, Serialize)]
struct Summary {
    seed: u64,
    runs: u64,
    configs: u64,
    hangs: u64,
    /// Runs that ended in another way than they should have, or wrong runs after them.
    wrong: u64,
    cycles: u64,
    kinds: BTreeMap<&'static str, Row>,
}

/// The faults of one kind.
#[derive(Default, Serialize)]
struct Row {
    runs: u64,
    /// Of these: the model says how they end.
    predicted: u64,
    /// How they ended; `none` if they were reset.
    statuses: BTreeMap<String, u64>,
}

impl Summary {
    fn add(&mut self, seen: &Seen) {
        let name = Kind::ALL.iter().find(|(kind, ..)| *kind == seen.kind).map_or("?", |(_, name, _)| name);
        let row = self.kinds.entry(name).or_default();
        self.runs += 1;
        self.cycles += seen.cycles;
        row.runs += 1;
        row.predicted += u64::from(seen.predicted);
        let status = seen.status.map_or_else(|| "none".to_owned(), |s| s.to_string());
        *row.statuses.entry(status).or_default() += 1;
    }

    fn print(&self) {
        say!(
            "{} faults, each with the run after it, on {} configs: {} hangs, {} wrong; {} cycles, seed {}.\n",
            self.runs,
            self.configs,
            self.hangs,
            self.wrong,
            self.cycles,
            self.seed
        );
        say!(
            "| fault | what | runs | predicted by the model | how they ended |\n| --- | --- | --- | --- | --- |"
        );
        for (_, name, what) in Kind::ALL {
            let Some(row) = self.kinds.get(name) else { continue };
            let ends: Vec<String> = row.statuses.iter().map(|(s, n)| format!("{s} {n}")).collect();
            say!("| {name} | {what} | {} | {} | {} |", row.runs, row.predicted, ends.join(", "));
        }
    }
}

pub fn run(args: &Args) -> Outcome {
    let &Args { count, seed, per_config, case, json } = args;
    let campaign = Campaign { seed, count, per_config, case };
    let summary = Summary { seed, configs: campaign.configs(), ..Summary::default() };
    let (summary, failures) = campaign.run("faults", summary, |rtl, config, index, summary| {
        let seen = faults::run(rtl, config, seed, index);
        if let Ok(mut summary) = summary.lock() {
            match &seen {
                Ok(seen) => summary.add(seen),
                Err(e) => {
                    summary.runs += 1;
                    summary.hangs += u64::from(matches!(e.run, Some(RunError::Hang(_))));
                    summary.wrong += u64::from(!matches!(e.run, Some(RunError::Hang(_))));
                }
            }
        }
        seen.map(drop).map_err(|e| {
            format!(
                "fault {index} (koch faults --seed {seed} --per-config {per_config} --case {index}) on {config:?}: {e}"
            )
        })
    })?;
    if json {
        say!("{}", serde_json::to_string_pretty(&summary)?);
    } else {
        summary.print();
    }
    match failures.first() {
        None => Ok(()),
        Some(first) => {
            Err(Failure::Mismatch(format!("{} of the faults; the first: {first}", failures.len())))
        }
    }
}

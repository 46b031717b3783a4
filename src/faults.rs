//! `koch faults`.

use crate::{Failure, Outcome};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use testbench::cases::random_config;
use testbench::faults::{self, Kind, Seen};
use testbench::{Rtl, RunError};

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
    let indices: Vec<u64> = match args.case {
        Some(case) => vec![case],
        None => (0..args.count).collect(),
    };
    let bar = ProgressBar::new(indices.len() as u64).with_style(
        ProgressStyle::with_template("{wide_bar} {pos}/{len} faults, {elapsed} gone, {eta} left")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let groups: Vec<&[u64]> = indices.chunk_by(|a, b| a / args.per_config == b / args.per_config).collect();
    let next = AtomicU64::new(0);
    let summary = Mutex::new(Summary { seed: args.seed, configs: groups.len() as u64, ..Summary::default() });
    let failures = Mutex::new(Vec::new());
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(group) = groups.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
                    campaign(group, args, &bar, &summary, &failures);
                }
            });
        }
    });
    bar.finish_and_clear();
    let (Ok(summary), Ok(failures)) = (summary.into_inner(), failures.into_inner()) else {
        return Err(Failure::Mismatch("a worker died".into()));
    };
    if args.json {
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

fn campaign(
    group: &[u64],
    args: &Args,
    bar: &ProgressBar,
    summary: &Mutex<Summary>,
    failures: &Mutex<Vec<String>>,
) {
    let fail = |text: String| {
        bar.suspend(|| eprintln!("{text}"));
        if let Ok(mut failures) = failures.lock() {
            failures.push(text);
        }
    };
    let config = random_config(args.seed, group[0] / args.per_config);
    let rtl = match Rtl::new(&config, None) {
        Ok(rtl) => rtl,
        Err(e) => return fail(format!("{}: {e}", config.name)),
    };
    for &index in group {
        let seen = faults::run(&rtl, &config, args.seed, index);
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
        if let Err(e) = seen {
            fail(format!(
                "fault {index} (koch faults --seed {} --per-config {} --case {index}) on {config:?}: {e}",
                args.seed, args.per_config
            ));
        }
        bar.inc(1);
    }
}

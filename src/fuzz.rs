//! `koch fuzz`.

use crate::{Failure, Outcome};
use indicatif::{ProgressBar, ProgressStyle};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use testbench::Rtl;
use testbench::cases::{Case, random_config};

#[derive(clap::Args)]
pub struct Args {
    /// Cases.
    #[arg(long, default_value_t = 200)]
    count: u64,
    /// Seed of the campaign; the same seed gives the same cases.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Cases on one config before the next is drawn (each config's RTL is built once).
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    per_config: u64,
    /// Run just this case.
    #[arg(long, value_name = "INDEX")]
    case: Option<u64>,
}

/// What a campaign has covered.
#[derive(Default)]
struct Coverage {
    cases: u64,
    cycles: u64,
    stalled: u64,
    kernels: Vec<u32>,
    strides: Vec<u32>,
    narrow: u64,
    ragged: u64,
    small_maps: u64,
    not_once_only: u64,
    rows: Vec<u32>,
    cols: Vec<u32>,
    buses: Vec<u32>,
}

impl Coverage {
    fn add(&mut self, case: &Case, cycles: u64) {
        let (layer, config) = (&case.layer, &case.config);
        self.cases += 1;
        self.cycles += cycles;
        self.stalled += u64::from(case.memory.stall_percent > 0);
        let note = |list: &mut Vec<u32>, value: u32| {
            if let Err(at) = list.binary_search(&value) {
                list.insert(at, value);
            }
        };
        note(&mut self.kernels, layer.kh.max(layer.kw));
        note(&mut self.strides, layer.sh.max(layer.sw));
        self.narrow += u64::from(layer.cin == 1 || layer.cin == 3);
        self.ragged += u64::from(layer.cout % config.cols != 0);
        self.small_maps += u64::from(layer.out_h() * layer.out_w() < config.rows);
        self.not_once_only +=
            u64::from(case.plan.bytes() > compiler::once_only_bytes(layer, config) * 11 / 10 + 1024);
        note(&mut self.rows, config.rows);
        note(&mut self.cols, config.cols);
        note(&mut self.buses, config.bus_bits);
    }
}

pub fn run(args: &Args) -> Outcome {
    let indices: Vec<u64> = match args.case {
        Some(case) => vec![case],
        None => (0..args.count).collect(),
    };
    let bar = ProgressBar::new(indices.len() as u64).with_style(
        ProgressStyle::with_template("{wide_bar} {pos}/{len} cases, {elapsed} gone, {eta} left")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let groups: Vec<&[u64]> = indices.chunk_by(|a, b| a / args.per_config == b / args.per_config).collect();
    let next = AtomicU64::new(0);
    let coverage = Mutex::new(Coverage::default());
    let failures = Mutex::new(Vec::new());
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(group) = groups.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
                    campaign(group, args, &bar, &coverage, &failures);
                }
            });
        }
    });
    bar.finish_and_clear();
    let (Ok(c), Ok(failures)) = (coverage.into_inner(), failures.into_inner()) else {
        return Err(Failure::Mismatch("a worker died".into()));
    };
    say!("{} cases, {} differences, seed {}", c.cases + failures.len() as u64, failures.len(), args.seed);
    say!(
        "covered: {} cycles; kernels {:?}; strides {:?}; rows {:?}; columns {:?}; bus {:?}",
        c.cycles,
        c.kernels,
        c.strides,
        c.rows,
        c.cols,
        c.buses
    );
    say!(
        "cases with stalls {}, cin 1 or 3 {}, cout no multiple of the columns {}, maps smaller than a tile {}, layers \
         larger than the buffers {}",
        c.stalled,
        c.narrow,
        c.ragged,
        c.small_maps,
        c.not_once_only
    );
    match failures.first() {
        None => Ok(()),
        Some(first) => Err(Failure::Mismatch(format!("{} of the cases; the first: {first}", failures.len()))),
    }
}

fn campaign(
    group: &[u64],
    args: &Args,
    bar: &ProgressBar,
    coverage: &Mutex<Coverage>,
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
        let case = Case::random(args.seed, index, &config);
        let difference = match case.run(&rtl) {
            Ok(outcome) => match outcome.difference() {
                None => {
                    if let Ok(mut coverage) = coverage.lock() {
                        coverage.add(&case, outcome.rtl.counters.cycles);
                    }
                    None
                }
                some => some,
            },
            Err(e) => Some(e.to_string()),
        };
        if let Some(text) = difference {
            fail(format!(
                "case {index} (koch fuzz --seed {} --per-config {} --case {index}): {} on {:?} with {:?}: {text}",
                args.seed, args.per_config, case.layer, config, case.memory
            ));
        }
        bar.inc(1);
    }
}

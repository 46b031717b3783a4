//! `koch fuzz`.

use crate::campaign::Campaign;
use crate::{Failure, Outcome};
use testbench::cases::Case;

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
    let &Args { count, seed, per_config, case } = args;
    let campaign = Campaign { seed, count, per_config, case };
    let (c, failures) = campaign.run("cases", Coverage::default(), |rtl, config, index, coverage| {
        let case = Case::random(seed, index, config);
        let difference = match case.run(rtl) {
            Ok(outcome) => match outcome.difference() {
                None => {
                    if let Ok(mut coverage) = coverage.lock() {
                        coverage.add(&case, outcome.rtl.counters.cycles);
                    }
                    return Ok(());
                }
                Some(text) => text,
            },
            Err(e) => e.to_string(),
        };
        Err(format!(
            "case {index} (koch fuzz --seed {seed} --per-config {per_config} --case {index}): {} on {config:?} with \
             {:?}: {difference}",
            case.layer, case.memory
        ))
    })?;
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

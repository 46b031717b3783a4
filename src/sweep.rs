//! `koch sweep`.

use crate::network::bar;
use crate::Outcome;
use std::path::PathBuf;
use sweep::{Evaluator, Shard, Spec, Sweep};

#[derive(clap::Args)]
pub struct Args {
    /// What to sweep (TOML): values or ranges for fields of the config and the memory, and the networks.
    spec: PathBuf,
    /// Directory for the tables. What a stopped run left in it is taken up.
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Compute a part of the points only, as 2/4 for the second of four; `koch merge` puts them together.
    #[arg(long, value_name = "I/N", default_value = "1/1")]
    shard: Shard,
    /// Threads; all cores if not given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
}

pub fn run(args: &Args) -> Outcome {
    let spec = Spec::load(&args.spec)?;
    let evaluator = Evaluator::new(spec, Box::new(Estimate(::area::Model::new()?)))?;
    let sweep = Sweep::open(&evaluator, &args.output, args.shard)?;
    let (rows, there) = sweep.progress();
    let bar = bar(rows, "points");
    bar.set_position(there);
    bar.reset_eta();
    let threads = usize::from(args.threads.unwrap_or(0));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    let start = std::time::Instant::now();
    pool.install(|| sweep.run(|rows| bar.inc(rows)))?;
    bar.finish_and_clear();
    let seconds = start.elapsed().as_secs_f64();
    eprintln!("koch: {} rows in {seconds:.1} s, {there} were there before", rows - there);
    Ok(())
}

/// The area model, as a sweep wants it.
struct Estimate(::area::Model);

impl sweep::Area for Estimate {
    fn estimate(&self, config: &spec::Config) -> [u64; 5] {
        let area = self.0.estimate(config);
        [area.luts, area.ffs, area.multipliers, area.block_rams, area.transistors]
    }
}

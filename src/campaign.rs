//! What `koch fuzz` and `koch faults` share: numbered cases on random configs, on all cores.

use crate::Failure;
use indicatif::{ProgressBar, ProgressStyle};
use spec::Config;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use testbench::Rtl;
use testbench::cases::random_config;

/// Which cases.
pub struct Campaign {
    pub seed: u64,
    pub count: u64,
    /// Cases on one config before the next is drawn: each config's RTL is built once.
    pub per_config: u64,
    /// Just this case.
    pub case: Option<u64>,
}

impl Campaign {
    fn indices(&self) -> Vec<u64> {
        match self.case {
            Some(case) => vec![case],
            None => (0..self.count).collect(),
        }
    }

    /// Runs `one` on every case, which notes what it saw; what it noted, and the failures, which are also told at once.
    /// `what` names cases in the progress bar.
    pub fn run<S: Send>(
        &self,
        what: &str,
        seen: S,
        one: impl Fn(&Rtl, &Config, u64, &Mutex<S>) -> Result<(), String> + Sync,
    ) -> Result<(S, Vec<String>), Failure> {
        let indices = self.indices();
        let template = format!("{{wide_bar}} {{pos}}/{{len}} {what}, {{elapsed}} gone, {{eta}} left");
        let bar = ProgressBar::new(indices.len() as u64).with_style(
            ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        let groups: Vec<&[u64]> =
            indices.chunk_by(|a, b| a / self.per_config == b / self.per_config).collect();
        let next = AtomicU64::new(0);
        let seen = Mutex::new(seen);
        let failures = Mutex::new(Vec::new());
        let fail = |text: String| {
            bar.suspend(|| eprintln!("{text}"));
            if let Ok(mut failures) = failures.lock() {
                failures.push(text);
            }
        };
        let work = |group: &[u64]| {
            let config = random_config(self.seed, group[0] / self.per_config);
            let rtl = match Rtl::new(&config, None) {
                Ok(rtl) => rtl,
                Err(e) => return fail(format!("{}: {e}", config.name)),
            };
            for &index in group {
                if let Err(text) = one(&rtl, &config, index, &seen) {
                    fail(text);
                }
                bar.inc(1);
            }
        };
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| {
                    while let Some(group) = groups.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
                        work(group);
                    }
                });
            }
        });
        bar.finish_and_clear();
        match (seen.into_inner(), failures.into_inner()) {
            (Ok(seen), Ok(failures)) => Ok((seen, failures)),
            _ => Err(Failure::Mismatch("a worker died".into())),
        }
    }

    /// Configs that the cases are on.
    pub fn configs(&self) -> u64 {
        self.indices().chunk_by(|a, b| a / self.per_config == b / self.per_config).count() as u64
    }
}

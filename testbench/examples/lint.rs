//! Lints random configs, each design by every tool of `hdl::tools::lint`.
//!
//!     lint COUNT SEED
//!
//! Says how many there were and how long it took, as a line of Markdown. Exit code 1: a tool said something.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use testbench::cases::random_config;

fn main() {
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    let [count, seed] = numbers[..] else {
        eprintln!("lint COUNT SEED");
        std::process::exit(2);
    };
    let began = Instant::now();
    let (next, wrong) = (AtomicU64::new(0), Mutex::new(0));
    let work = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                return;
            }
            let config = random_config(seed, index);
            let start = Instant::now();
            let said = hdl::tools::lint(&hdl::koch::design(&config), "koch");
            eprintln!("{}: {:.1} s", config.name, start.elapsed().as_secs_f64());
            if let Err(text) = said {
                eprintln!("{config:?}\n{text}");
                *wrong.lock().expect("no worker panics") += 1;
            }
        }
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(work);
        }
    });
    let wrong = wrong.into_inner().expect("no worker panics");
    println!("| {count} random, seed {seed} | {wrong} | {:.0} |", began.elapsed().as_secs_f64());
    std::process::exit(i32::from(wrong != 0));
}

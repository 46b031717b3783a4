//! A table of what the planner makes of problems in MiniMalloc's format: `offsets FILE.zip|FILE.csv… [seconds=10]`.

use std::io::Read;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use compiler::offsets::{Problem, check, csv, exact, heuristic};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut limit = Duration::from_secs(10);
    let mut problems = Vec::new();
    for argument in std::env::args().skip(1) {
        if let Some(seconds) = argument.strip_prefix("seconds=") {
            limit = Duration::from_secs(seconds.parse()?);
        } else if argument.ends_with(".zip") {
            let mut archive = zip::ZipArchive::new(std::fs::File::open(&argument)?)?;
            for i in 0..archive.len() {
                let mut file = archive.by_index(i)?;
                let name = file.name()?.into_owned();
                if name.ends_with(".csv") {
                    let mut text = String::new();
                    file.read_to_string(&mut text)?;
                    problems.push((name, csv::parse(&text)?.problem));
                }
            }
        } else {
            problems.push((argument.clone(), csv::parse(&std::fs::read_to_string(&argument)?)?.problem));
        }
    }
    println!("| instance | buffers | naive | best heuristic | peak | bound | proven | nodes | seconds |");
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for (name, problem) in problems {
        row(&name, &problem, limit)?;
    }
    Ok(())
}

fn row(name: &str, problem: &Problem, limit: Duration) -> Result<(), Box<dyn std::error::Error>> {
    let start = Instant::now();
    let (quick, by) = heuristic::best(problem);
    let found = exact::minimise(problem, u64::MAX, &mut |_| {
        if start.elapsed() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    let seconds = start.elapsed().as_secs_f64();
    check(problem, &found.allocation.offsets, found.allocation.peak)?;
    println!(
        "| {name} | {} | {} | {} ({by}) | {} | {} | {} | {} | {seconds:.2} |",
        problem.buffers().len(),
        problem.naive(),
        quick.peak,
        found.allocation.peak,
        found.bound,
        if found.is_optimal() { "yes" } else { "no" },
        found.nodes
    );
    Ok(())
}

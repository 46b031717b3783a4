//! `koch boards`.

use crate::Outcome;
use crate::out::print_table;
use bitstreams::{Board, board::Flow};

#[derive(clap::Args)]
pub struct Args {
    /// JSON instead of a table.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Outcome {
    let boards = Board::names().into_iter().map(Board::find).collect::<Result<Vec<_>, _>>()?;
    if args.json {
        say!("{}", serde_json::to_string_pretty(&boards)?);
        return Ok(());
    }
    let header = ["board", "part", "clock", "memory", "array", "what"].map(String::from);
    let rows = boards.iter().map(|b| {
        let placed = b.flow != Flow::Xc7;
        let some = |text: String| if placed { text } else { "-".into() };
        [
            b.name.clone(),
            format!("{} {}", b.device, b.package).trim_end().to_owned(),
            some(format!("{:.1} MHz", b.clock_mhz)),
            some(format!("{} KiB", b.memory >> 10)),
            format!("{} x {}", b.config.rows, b.config.cols),
            b.title.clone(),
        ]
    });
    let rows: Vec<_> = std::iter::once(header).chain(rows).collect();
    print_table(&rows, &[0, 1, 5]);
    Ok(())
}

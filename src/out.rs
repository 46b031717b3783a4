//! Standard output, which a reader such as `head` may close early.

use std::io::{ErrorKind, Write as _};

use serde::Serialize;

use crate::Outcome;
use crate::args::OutputArgs;

/// Prints a line of data. A closed pipe ends the command in peace, as the reader has all it wants.
pub fn line(text: impl std::fmt::Display) {
    let mut stdout = std::io::stdout().lock();
    if let Err(e) = writeln!(stdout, "{text}") {
        if e.kind() != ErrorKind::BrokenPipe {
            eprintln!("koch: standard output: {e}");
        }
        std::process::exit(if e.kind() == ErrorKind::BrokenPipe { 0 } else { 2 });
    }
}

/// A report in the three forms that commands print.
pub trait Printed: Serialize {
    /// Prints a table for a program.
    fn print_csv(&self) -> Outcome;
    /// Prints text for a person.
    fn print_text(&self);

    /// Prints what is asked for.
    fn print(&self, output: &OutputArgs) -> Outcome {
        if output.json {
            let text = serde_json::to_string_pretty(self)?;
            line(text);
        } else if output.csv {
            self.print_csv()?;
        } else {
            self.print_text();
        }
        Ok(())
    }
}

/// `println!` for data: see [`line()`].
macro_rules! say {
    ($($argument:tt)*) => { $crate::out::line(format_args!($($argument)*)) };
}

/// Prints rows under each other, the columns in `left` to the left.
pub fn print_table<const N: usize>(rows: &[[String; N]], left: &[usize]) {
    let widths: [usize; N] =
        std::array::from_fn(|i| rows.iter().map(|r| r[i].chars().count()).max().unwrap_or(0));
    for row in rows {
        let cell = |i: usize| {
            let (text, width) = (&row[i], widths[i]);
            if left.contains(&i) { format!("{text:width$}") } else { format!("{text:>width$}") }
        };
        say!("{}", (0..N).map(cell).collect::<Vec<_>>().join("  ").trim_end());
    }
}

//! Standard output, which a reader such as `head` may close early.

use std::io::{ErrorKind, Write as _};

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

/// `println!` for data: see [`line()`].
macro_rules! say {
    ($($argument:tt)*) => { $crate::out::line(format_args!($($argument)*)) };
}

//! The tables of the book are what its commands print.

use std::process::Command;

/// Tables of networks that are not there (`out/zoo`) are not compared.
#[test]
fn tables_are_up_to_date() {
    let output = Command::new("python3")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/book_bandwidth.py"))
        .args([env!("CARGO_BIN_EXE_koch"), "--check"])
        .output()
        .expect("python3, which `make setup` installs");
    assert!(output.status.success(), "run `make book`: {}", String::from_utf8_lossy(&output.stderr));
}

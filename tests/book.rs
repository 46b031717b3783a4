//! The tables of the book are what its commands print.

use std::process::Command;

/// Tables of networks that are not there (`out/zoo`) are not compared.
#[test]
fn tables_are_up_to_date() {
    for script in ["book_bandwidth", "book_memory"] {
        let output = Command::new("python3")
            .arg(format!("{}/scripts/{script}.py", env!("CARGO_MANIFEST_DIR")))
            .args([env!("CARGO_BIN_EXE_koch"), "--check"])
            .output()
            .expect("python3, which `make setup` installs");
        assert!(output.status.success(), "run `make book`: {}", String::from_utf8_lossy(&output.stderr));
    }
}

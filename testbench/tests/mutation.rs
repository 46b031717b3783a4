//! A few mutants of the RTL, most of them noticed by programs; `make mutants` takes more, and proves of the rest what it can.

use std::path::Path;
use std::process::Command;

#[test]
fn a_slice_of_the_mutants_is_noticed() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("mutation/run.py");
    let output = Command::new("python3")
        .arg(script)
        .args(["--slice", "--count", "10", "--seed", "2", "--least", "50"])
        .output()
        .expect("python3: install the tools with `make setup`");
    let said = [output.stdout, output.stderr].map(|s| String::from_utf8_lossy(&s).into_owned()).concat();
    assert!(output.status.success(), "{said}");
}

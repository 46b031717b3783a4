//! A slice of the formal properties; `make formal` proves all, and that each fails on each of its sabotages.

use spec::{Config, ConfigSpec};
use std::path::Path;
use std::process::Command;

#[test]
fn a_slice_of_the_properties_is_proven() {
    let formal = Path::new(env!("CARGO_MANIFEST_DIR")).join("formal");
    let text = std::fs::read_to_string(formal.join("least.toml")).expect("the config of the proofs");
    let config =
        Config::new("least", ConfigSpec::from_toml(&text).expect("legal TOML")).expect("a legal config");
    let rtl = tempfile::tempdir().expect("a directory");
    hdl::tools::write(&hdl::koch::design(&config), rtl.path()).expect("the design's files");
    let output = Command::new("python3")
        .arg(formal.join("run.py"))
        .arg(rtl.path())
        .arg("--slice")
        .output()
        .expect("python3: install the tools with `make setup`");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

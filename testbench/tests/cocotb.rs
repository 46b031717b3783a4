//! A client of another making drives the RTL, from unknown and from random values; `make cocotb` and `make unknown` do so at length.

use spec::{Config, ConfigSpec};
use std::path::Path;
use std::process::Command;

#[test]
fn a_client_from_outside_gets_what_the_model_says() {
    let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(crate_dir.join("formal/least.toml")).expect("the least config");
    let config =
        Config::new("least", ConfigSpec::from_toml(&text).expect("legal TOML")).expect("a legal config");
    let directory = tempfile::tempdir().expect("a directory");
    testbench::client::write(&config, directory.path(), 0).expect("cases");
    for arguments in [&["cocotb", "--seeds", "1"][..], &["unknown", "--seeds", "2", "--slice"]] {
        let output = Command::new(crate_dir.join("../.tools/venv/bin/python"))
            .arg(crate_dir.join("cocotb/run.py"))
            .args(arguments)
            .arg(directory.path())
            .output()
            .expect(".tools/venv: install the tools with `make setup`");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

//! What no sweep can be is said before anything is made.

use std::path::Path;

use crate::{place, refused};

/// Specs that must be refused. Each line is one of the file; what is not given is as in `spec`.
const REFUSED: &[&str] = &[
    "colums = 4",
    "rows = []",
    "rows = [[]]",
    "ibuf = \"8KiB..4KiB\"",
    "rows = \"8..4\"",
    "rows = \"4..8 +0\"",
    "rows = \"4..8 *1\"",
    "stall_percent = \"0..8 *2\"",
    "rows = \"4..\"",
    "rows = \"four\"",
    "rows = 2.5",
    "rows = -2",
    "rows = [2, -2]",
    "rows = true",
    "rows = [7, 99]",
    "rows = [4, 8, 4]",
    "rows = [\"1..4\", 3]",
    "cols = [4, 30]",
    "ibuf = \"12 parsecs\"",
    "ibuf = [\"4KiB\", \"1B\"]",
    "latency = 0",
    "latency = 5000000000",
    "memory_outstanding = 0",
    "stall_percent = 95",
    "stall_seed = \"9223372036854775808\"",
    "clock_mhz = 0",
    "lanes = 8",
    "bus_bits = 64\nbytes_per_cycle = 16",
    "latency = \"1..1000000\"",
    "ibuf = \"1KiB..1000KiB +1KiB\"\nwbuf = \"1KiB..1000KiB +1KiB\"\nlatency = \"1..1000\"\nclock_mhz = \"1..1000\"",
    "rows = 2\nrows = 4",
    "rows: 2",
    "config = \"huge\"",
    "config = \"missing.toml\"",
    "config = 7",
    "layers = \"yes\"",
    "networks = []",
    "networks = \"one.csv\"",
    "networks = [1]",
    "networks = [\"missing.csv\"]",
    "networks = [\"missing.onnx\"]",
    "networks = [\"spec.toml\"]",
    "networks = [\"bad.csv\"]",
    "networks = [\"bad.onnx\"]",
    "networks = [\"one.csv\", \"sub/one.csv\"]",
];

/// Calls that must be refused.
const CALLS: &[&[&str]] = &[
    &["sweep"],
    &["sweep", "good.toml"],
    &["sweep", "missing.toml", "-o", "out"],
    &["sweep", "good.toml", "-o", "out", "--shard", "0/4"],
    &["sweep", "good.toml", "-o", "out", "--shard", "5/4"],
    &["sweep", "good.toml", "-o", "out", "--shard", "half"],
    &["sweep", "good.toml", "-o", "out", "--threads", "0"],
    &["sweep", "good.toml", "-o", "one.csv"],
    &["merge"],
    &["merge", "-o", "out"],
    &["merge", "sub", "-o", "out"],
];

#[test]
fn every_refusal_names_value_limit_and_remedy() {
    let dir = place("");
    let put = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("a file");
    std::fs::create_dir(dir.path().join("sub")).expect("a directory");
    put("sub/one.csv", crate::ONE);
    put("bad.csv", &crate::ONE.replace("17496", "17497"));
    put("bad.onnx", "no model");
    put("good.toml", "config = \"tiny\"\nnetworks = [\"one.csv\"]\n");
    let mut text = String::new();
    for spec in REFUSED {
        let has = |field: &str| spec.lines().any(|line| line.starts_with(field));
        let mut all = (*spec).to_owned();
        for (field, line) in [("config", "config = \"tiny\""), ("networks", "networks = [\"one.csv\"]")] {
            if !has(field) {
                all += &format!("\n{line}");
            }
        }
        put("spec.toml", &all);
        let args = ["sweep", "spec.toml", "-o", "out"];
        text += &format!("> {}\n{}\n", spec.replace('\n', "\n> "), refused(&args, dir.path()).trim_end());
        assert!(!dir.path().join("out").exists(), "{spec}: leaves a directory");
    }
    for args in CALLS {
        text += &format!("$ koch {}\n{}\n", args.join(" "), refused(args, dir.path()).trim_end());
        assert!(!dir.path().join("out").exists(), "{args:?}: leaves a directory");
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sweep.txt");
    if std::env::var_os("KOCH_BLESS").is_some() {
        std::fs::write(&path, &text).expect("the snapshot");
    }
    let known = std::fs::read_to_string(&path).expect("tests/sweep.txt: bless it with `make bless`");
    assert_eq!(text, known, "the messages have changed: look at them, then `make bless`");
}

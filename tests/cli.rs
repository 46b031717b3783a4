//! The command as a user meets it: exit codes, messages, and nothing half-written.

use std::path::Path;
use std::process::{Command, Output};

fn koch(args: &[&str], dir: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_koch")).args(args).current_dir(dir).output().expect("koch runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Every way to call `koch` that must be refused, with the file it may read.
const REFUSED: &[&[&str]] = &[
    &[],
    &["frobnicate"],
    &["model"],
    &["model", "--layer", "conv"],
    &["model", "--layer", "conv cin=3 h=8 w=8 cout=4 k=9"],
    &["model", "--layer", "pool h=2 w=2"],
    &["model", "--layer", "fc in=8 out=8", "--config", "huge"],
    &["model", "--layer", "fc in=8 out=8", "--config", "missing.toml"],
    &["model", "--layer", "fc in=8 out=8", "--config", "unknown-key.toml"],
    &["model", "--layer", "fc in=8 out=8", "--config", "no-toml.toml"],
    &["model", "--layer", "fc in=8 out=8", "--config", "incomplete.toml"],
    &["model", "--layer", "fc in=8 out=8", "--rows", "17"],
    &["model", "--layer", "fc in=8 out=8", "--rows", "-1"],
    &["model", "--layer", "fc in=8 out=8", "--cols", "30"],
    &["model", "--layer", "fc in=8 out=8", "--ibuf", "12 parsecs"],
    &["model", "--layer", "fc in=8 out=8", "--wbuf", "1B"],
    &["model", "--layer", "fc in=8 out=8", "--bus-bits", "96"],
    &["model", "--layer", "fc in=8 out=8", "--latency", "0"],
    &["model", "--layer", "fc in=8 out=8", "--bytes-per-cycle", "3"],
    &["model", "--layer", "fc in=8 out=8", "--memory-outstanding", "0"],
    &["model", "--layer", "fc in=8 out=8", "--stall-percent", "99"],
    &["model", "--layer", "conv cin=60000 h=2 w=3 cout=4 k=1", "--config", "tiny"],
    &["model", "--layer", "fc in=8 out=8", "--json", "--csv"],
    &["model", "--model", "net.onnx"],
    &["model", "--model", "net.onnx", "--node", "n", "--input", "x.npy"],
    &["model", "--model", "no-toml.toml", "--node", "n", "--input", "x.npy"],
    &["simulate", "--layer", "fc in=8 out=8", "--model", "net.onnx"],
    &["simulate", "--layer", "conv cin=65535 h=65535 w=1 cout=1 k=1"],
    &["generate"],
    &["generate", "-o", "no-toml.toml/sub"],
    &["generate", "--rows", "0", "-o", "out"],
    &["disasm"],
    &["disasm", "missing.bin"],
    &["disasm", "short.bin"],
    &["disasm", "zero.bin"],
    &["asm", "bad-mnemonic.asm", "-o", "out.bin"],
    &["asm", "bad-field.asm", "-o", "out.bin"],
    &["asm", "bad-value.asm", "-o", "out.bin"],
    &["config", "--config", "nothing"],
];

#[test]
fn every_refusal_names_value_limit_and_remedy() {
    let dir = tempfile::tempdir().expect("a directory");
    let files: &[(&str, &[u8])] = &[
        ("unknown-key.toml", b"rows = 2\ncols = 4\nfoo = 1\n"),
        ("no-toml.toml", b"rows: 2\n"),
        ("incomplete.toml", b"rows = 2\ncols = 4\n"),
        ("short.bin", &[0x16; 40]),
        ("zero.bin", &[0; 64]),
        ("bad-mnemonic.asm", b"# a comment\nend\njump over=1\n"),
        ("bad-field.asm", b"load source=1\n"),
        ("bad-value.asm", b"taps n_ky=256\n"),
    ];
    for (name, bytes) in files {
        std::fs::write(dir.path().join(name), bytes).expect("a file");
    }
    let mut snapshot = String::new();
    for args in REFUSED {
        let output = koch(args, dir.path());
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", text(&output.stderr));
        let said = text(&output.stderr);
        assert!(!said.contains("panicked"), "{args:?}: {said}");
        assert!(!said.trim().is_empty(), "{args:?} says nothing");
        snapshot += &format!("$ koch {}\n{}\n", args.join(" "), said.trim_end());
    }
    let mut left: Vec<_> = std::fs::read_dir(dir.path())
        .expect("a directory")
        .map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    left.sort();
    let mut given: Vec<_> = files.iter().map(|(n, _)| (*n).to_owned()).collect();
    given.sort();
    assert_eq!(left, given, "a refused command leaves nothing behind");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli.txt");
    if std::env::var_os("KOCH_BLESS").is_some() {
        std::fs::write(&path, &snapshot).expect("the snapshot");
    }
    let known = std::fs::read_to_string(&path).expect("tests/cli.txt: bless it with `make bless`");
    assert_eq!(snapshot, known, "the messages have changed: look at them, then `make bless`");
}

#[test]
fn data_go_to_stdout_and_parse() {
    let dir = tempfile::tempdir().expect("a directory");
    let layer = "conv cin=3 h=5 w=5 cout=6 k=3 pad=1";
    let output = koch(&["model", "--config", "tiny", "--layer", layer, "--json"], dir.path());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let idle: u64 =
        json["model"]["stalls"].as_object().expect("stalls").values().filter_map(|v| v.as_u64()).sum();
    let busy = json["model"]["mac_busy_cycles"].as_u64().expect("a number");
    assert_eq!(json["model"]["cycles"].as_u64(), Some(busy + idle));
    let output = koch(&["model", "--config", "tiny", "--layer", layer, "--csv"], dir.path());
    let mut reader = csv::Reader::from_reader(output.stdout.as_slice());
    let names = reader.headers().expect("a header").clone();
    let row = reader.records().next().expect("a row").expect("a row");
    let cycles = names.iter().position(|n| n == "cycles").expect("cycles");
    assert_eq!(row[cycles].parse().ok(), json["model"]["cycles"].as_u64());
}

#[test]
fn simulate_shows_every_machine_equal() {
    let dir = tempfile::tempdir().expect("a directory");
    let args = ["simulate", "--config", "tiny", "--layer", "fc in=40 out=9", "--json", "--latency", "17"];
    let stalls = ["--stall-seed", "3", "--stall-percent", "25", "--trace", "wave.fst"];
    let output = koch(&[&args[..], &stalls[..]].concat(), dir.path());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    for what in ["outputs", "cycles", "counters"] {
        assert_eq!(json["equal"][what], true, "{what}");
    }
    assert_eq!(json["rtl"], json["model"]);
    for name in ["config", "layer", "useful_macs", "padded_macs", "efficiency", "roofline_efficiency"] {
        assert!(!json[name].is_null(), "{name}");
    }
    for name in ["once_only_bytes", "traffic_ratio"] {
        assert!(json[name].is_number(), "{name}");
    }
    assert!(json["seconds"]["build"].is_number() && json["seconds"]["run"].is_number());
    let wave = std::fs::metadata(dir.path().join("wave.fst")).expect("a waveform");
    assert!(wave.len() > 1000);
}

#[test]
fn generate_is_reproducible_and_complete() {
    let dir = tempfile::tempdir().expect("a directory");
    let args = |out: &'static str| {
        ["generate", "--config", "default", "--ibuf", "64KiB", "--rows", "4", "--cols", "12", "-o", out]
    };
    for out in ["one", "two"] {
        let output = koch(&args(out), dir.path());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    }
    let list = std::fs::read_to_string(dir.path().join("one/koch.f")).expect("koch.f");
    assert!(list.lines().any(|l| l == "koch.sv"));
    for name in list.lines().chain(["koch.f", "config.toml", "koch.h", "koch_spec.svh"]) {
        let read = |d: &str| std::fs::read(dir.path().join(d).join(name)).expect("a file");
        assert_eq!(read("one"), read("two"), "{name}");
    }
    // The config that comes with the Verilog is the config.
    let output = koch(&["config", "--config", "one/config.toml"], dir.path());
    assert!(text(&output.stdout).contains("rows = 4") && text(&output.stdout).contains("ibuf = \"64KiB\""));
}

#[test]
fn disassembly_assembles_to_the_same_bytes() {
    let dir = tempfile::tempdir().expect("a directory");
    let layer = "conv cin=5 h=9 w=8 cout=7 k=3 stride=2 pad=1";
    let output = koch(&["disasm", "--config", "tiny", "--layer", layer, "-o", "a.bin"], dir.path());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    std::fs::write(dir.path().join("a.asm"), &output.stdout).expect("a file");
    assert_eq!(koch(&["asm", "a.asm", "-o", "b.bin"], dir.path()).status.code(), Some(0));
    let read = |n: &str| std::fs::read(dir.path().join(n)).expect("a program");
    assert_eq!(read("a.bin"), read("b.bin"));
    let again = koch(&["disasm", "b.bin"], dir.path());
    assert_eq!(again.stdout, output.stdout);
}

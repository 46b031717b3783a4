//! The command as a user meets it: exit codes, messages, and nothing half-written.

#[path = "../report/tests/sweep/mod.rs"]
mod sweep;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn koch(args: &[&str], dir: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_koch")).args(args).current_dir(dir).output().expect("koch runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const DIGITS: [(&str, &str); 3] = [
    ("digits.onnx", "digits-int8-qoperator.onnx"),
    ("digits.npy", "digits-test-images.npy"),
    ("labels.npy", "cifar10-test-200-labels.npy"),
];

fn shared(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/models").join(file)
}

/// Puts a small network and its images into a directory.
fn put_digits(dir: &Path) {
    for (name, file) in DIGITS {
        std::fs::copy(shared(file), dir.join(name)).expect("a shared model");
    }
}

/// Every way to call `koch` that must be refused, with the file it may read.
const REFUSED: &[&[&str]] = &[
    &[],
    &["frobnicate"],
    &["model"],
    &["model", "--layer", "conv"],
    &["model", "--layer", "conv cin=3 h=8 w=8 cout=4 k=9"],
    &["memory"],
    &["memory", "--model", "missing.onnx"],
    &["memory", "--model", "image.npy"],
    &["memory", "--table", "image.npy"],
    &["memory", "--table", "missing.csv"],
    &["memory", "--table", "net.csv", "--model", "digits.onnx"],
    &["memory", "--table", "net.csv", "--config", "tiny"],
    &["memory", "--model", "digits.onnx", "--graph", "net.svg"],
    &["memory", "--model", "digits.onnx", "--batch", "0"],
    &["memory", "--model", "digits.onnx", "--precision", "f64"],
    &["memory", "--model", "digits.onnx", "--optimiser", "adam"],
    &["memory", "--model", "digits.onnx", "--training", "--config", "tiny"],
    &["memory", "--model", "digits.onnx", "--config", "huge"],
    &["graph", "--model", "digits.onnx"],
    &["graph", "--model", "missing.onnx", "-o", "net.svg"],
    &["graph", "--model", "digits.onnx", "-o", "net.pdf"],
    &["graph", "--model", "digits.onnx", "-o", "missing/net.svg"],
    &["graph", "--model", "digits.onnx", "--config", "tiny", "--precision", "f16", "-o", "net.svg"],
    &["graph", "--model", "digits.onnx", "--fold", "twice", "-o", "net.svg"],
    &["graph", "--model", "digits.onnx", "--level", "tile", "-o", "net.svg"],
    &[
        "graph",
        "--model",
        "digits.onnx",
        "--level",
        "tile",
        "--config",
        "tiny",
        "--step",
        "0",
        "-o",
        "net.svg",
    ],
    &[
        "graph",
        "--model",
        "digits.onnx",
        "--level",
        "tile",
        "--config",
        "tiny",
        "--step",
        "99",
        "-o",
        "net.svg",
    ],
    &["memory", "--model", "digits.onnx", "--budget", "12 parsecs"],
    &["memory", "--model", "digits.onnx", "--budget", "100"],
    &["memory", "--model", "digits.onnx", "--budget", "1MiB", "--sweep-budget"],
    &["memory", "--model", "digits.onnx", "--budget", "1MiB", "--cost", "huge"],
    &["memory", "--model", "digits.onnx", "--budget", "1MiB", "--spill", "0"],
    &["memory", "--model", "digits.onnx", "--sweep-budget", "--plot", "curve.txt"],
    &["memory", "--model", "digits.onnx", "--schedule", "actions.csv"],
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
    &["model", "--layer", "fc in=8 out=8", "--no-chain"],
    &["model", "--layer", "fc in=8 out=8", "--layers", "1..2"],
    &["model", "--model", "digits.onnx", "--node", "n"],
    &["model", "--model", "digits.onnx", "--layers", "2-4"],
    &["model", "--model", "digits.onnx", "--layers", "3..3"],
    &["model", "--model", "digits.onnx", "--layers", "6..=7"],
    &["model", "--model", "digits.onnx", "--operand-bits", "16"],
    &["model", "--model", "digits.onnx", "--timeline", "t.csv"],
    &["model", "--layer", "fc in=8 out=8", "--timeline", "missing/t.csv"],
    &["simulate", "--layer", "fc in=8 out=8", "--model", "net.onnx"],
    &["simulate", "--layer", "fc in=8 out=8", "--count", "2"],
    &["simulate", "--model", "digits.onnx"],
    &["simulate", "--model", "digits.onnx", "--input", "missing.npy"],
    &["simulate", "--model", "digits.onnx", "--input", "labels.npy"],
    &["simulate", "--model", "digits.onnx", "--input", "digits.npy", "--index", "200"],
    &["simulate", "--model", "digits.onnx", "--input", "digits.npy", "--count", "201"],
    &["bitstream"],
    &["bitstream", "--board", "toaster"],
    &["bitstream", "--board", "./missing"],
    &["bitstream", "--board", "icebreaker", "--config", "default"],
    &["bitstream", "--board", "icebreaker", "--mhz", "5000"],
    &["bitstream", "--board", "ulx3s-85f", "--mhz", "999"],
    &["bitstream", "--board", "ulx3s-85f", "--mhz", "1.5"],
    &["run", "--board", "ulx3s-85f", "--layer", "fc in=8 out=8"],
    &["run", "--board", "ulx3s-85f", "--port", "missing", "--layer", "fc in=8 out=8"],
    &["run", "--board", "ulx3s-85f", "--port", "sim", "--layer", "fc in=4096 out=64"],
    &["run", "--board", "ulx3s-85f", "--port", "sim", "--model", "digits.onnx"],
    &["run", "--board", "icebreaker", "--config", "tiny", "--port", "sim", "--model", "digits.onnx"],
    &["run", "--board", "zynq7045", "--port", "sim", "--layer", "fc in=8 out=8"],
    &["compile"],
    &["compile", "net.onnx"],
    &["compile", "digits.onnx", "--dump", "ast"],
    &["verify", "--model", "digits.onnx"],
    &["verify", "--model", "digits.onnx", "--input", "digits.npy", "--no-chain"],
    &["verify", "--model", "digits.onnx", "--input", "digits.npy", "--outputs", "missing.npy"],
    &["verify", "--model", "digits.onnx", "--input", "digits.npy", "--outputs", "digits.npy"],
    &[
        "verify",
        "--model",
        "digits.onnx",
        "--input",
        "digits.npy",
        "--outputs",
        "a.npy",
        "--outputs",
        "b.npy",
    ],
    &["simulate", "--layer", "conv cin=65535 h=65535 w=1 cout=1 k=1"],
    &["generate"],
    &["generate", "-o", "no-toml.toml/sub"],
    &["generate", "--rows", "0", "-o", "out"],
    &["report"],
    &["report", "missing", "-o", "page.html"],
    &["report", ".", "-o", "page.html"],
    &["plot", "missing", "-o", "charts"],
    &["plot", "missing", "--chart", "pie", "-o", "pie.svg"],
    &["plot", "missing", "--chart", "knee", "--width", "10", "-o", "knee.svg"],
    &["disasm"],
    &["disasm", "missing.bin"],
    &["disasm", "short.bin"],
    &["disasm", "zero.bin"],
    &["asm", "bad-mnemonic.asm", "-o", "out.bin"],
    &["asm", "bad-field.asm", "-o", "out.bin"],
    &["asm", "bad-value.asm", "-o", "out.bin"],
    &["config", "--config", "nothing"],
    &["area", "--config", "nothing"],
    &["area", "--rows", "17"],
    &["quantize"],
    &["quantize", "missing.onnx", "--calibrate", "none.npy", "-o", "out.onnx"],
    &["quantize", "no-toml.toml", "--calibrate", "none.npy", "-o", "out.onnx"],
    &["quantize", "no-toml.toml", "--calibrate", "image.npy", "-o", "out.onnx"],
    &["quantize", "no-toml.toml", "--calibrate", "image.npy", "--images", "0", "-o", "out.onnx"],
];

/// An image of one pixel.
const NPY: &[u8] =
    b"\x93NUMPY\x01\x00\x48\x00{'descr': '|u1', 'fortran_order': False, 'shape': (1, 1, 1, 1)}        \n\x80";

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
        ("image.npy", NPY),
    ];
    for (name, bytes) in files {
        std::fs::write(dir.path().join(name), bytes).expect("a file");
    }
    put_digits(dir.path());
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
    let mut given: Vec<_> =
        files.iter().map(|(n, _)| *n).chain(DIGITS.map(|(n, _)| n)).map(str::to_owned).collect();
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

/// The first two layers are alike.
const TABLE: &str = "name,op,C_in,H_in,W_in,K,H_out,W_out,R,S,stride_h,stride_w,MACs
a,Conv,3,5,5,6,5,5,3,3,1,1,4050
b,Conv,3,5,5,6,5,5,3,3,1,1,4050
c,Conv,6,5,5,4,5,5,1,1,1,1,600
";

#[test]
fn a_timeline_has_every_instruction() {
    let dir = tempfile::tempdir().expect("a directory");
    let layer = ["--config", "tiny", "--layer", "conv cin=3 h=5 w=5 cout=6 k=3 pad=1"];
    let run = json(&koch(&[&["model", "--timeline", "t.csv", "--json"], &layer[..]].concat(), dir.path()));
    let program = text(&koch(&[&["disasm"], &layer[..]].concat(), dir.path()).stdout);
    let mut reader = csv::Reader::from_path(dir.path().join("t.csv")).expect("a timeline");
    let header = ["layer", "engine", "instruction", "start", "end", "level"];
    assert_eq!(reader.headers().expect("a header"), &header[..]);
    let rows: Vec<csv::StringRecord> = reader.records().map(|r| r.expect("a row")).collect();
    for mnemonic in ["load", "quant", "taps", "rect", "store"] {
        let first = |line: &str| line.split(' ').next() == Some(mnemonic);
        let executed = rows.iter().filter(|r| first(&r[2])).count();
        assert_eq!(executed, program.lines().filter(|l| first(l)).count(), "{mnemonic}");
    }
    let engines = ["fetch", "load", "compute", "store"];
    assert!(rows.iter().all(|r| engines.contains(&&r[1]) == r[5].is_empty()));
    for part in ["input buffer", "weight buffer", "parameter buffer", "array", "output buffer"] {
        let mut levels =
            rows.iter().filter(|r| &r[1] == part).map(|r| r[5].parse::<f64>().expect("a level")).peekable();
        assert!(levels.peek().is_some(), "{part}");
        assert!(levels.all(|level| level > 0.0 && level <= 1.0), "{part}");
    }
    let end = rows.iter().filter_map(|r| r[4].parse::<u64>().ok()).max();
    assert!(end <= run["model"]["cycles"].as_u64(), "{end:?}");
    std::fs::write(dir.path().join("net.csv"), TABLE).expect("a table");
    let output = koch(&["model", "--table", "net.csv", "--timeline", "t.csv"], dir.path());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let mut reader = csv::Reader::from_path(dir.path().join("t.csv")).expect("a timeline");
    let mut layers: Vec<String> = reader.records().map(|r| r.expect("a row")[0].to_owned()).collect();
    layers.dedup();
    assert_eq!(layers, ["a", "c"], "a layer like another is left out");
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
fn area_is_estimated() {
    let dir = tempfile::tempdir().expect("a directory");
    let of = |cols| json(&koch(&["area", "--config", "default", "--cols", cols, "--json"], dir.path()));
    let (less, more) = (of("16"), of("32"));
    assert_eq!(more["area"]["multipliers"], 7 * 32 + 9 * 8);
    for name in ["luts", "ffs", "multipliers", "transistors"] {
        assert!(less["area"][name].as_u64() < more["area"][name].as_u64(), "{name}");
    }
    let fit = json(&koch(&["area", "--fit", "--json"], dir.path()));
    let errors = |r: &serde_json::Value| r["errors"]["left_out_mean"].is_number();
    assert!(fit.as_array().is_some_and(|all| all.len() > 4 && all.iter().all(errors)), "{fit}");
    let page = koch(&["area", "--fit"], dir.path());
    assert!(text(&page.stdout).contains("| 1.0000 | 0.00 | 0.00 |"), "{}", text(&page.stdout));
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

fn json(output: &Output) -> serde_json::Value {
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn sum(steps: &serde_json::Value, of: impl Fn(&serde_json::Value) -> Option<u64>) -> u64 {
    steps.as_array().expect("steps").iter().map(|s| of(s).expect("a number")).sum()
}

#[test]
fn networks_run_on_every_machine() {
    let dir = tempfile::tempdir().expect("a directory");
    put_digits(dir.path());
    let network = ["--config", "tiny", "--model", "digits.onnx"];
    let images = ["--input", "digits.npy", "--json"];
    for part in [&["--count", "2"][..], &["--no-chain"], &["--layers", "2..=4", "--index", "7"]] {
        let output = koch(&[&["simulate"], &network[..], &images, part].concat(), dir.path());
        let run = json(&output);
        for what in ["outputs", "cycles", "counters"] {
            assert_eq!(run["equal"][what], true, "{part:?} {what}");
        }
        let (total, steps) = (&run["total"], &run["steps"]);
        assert_eq!(total["rtl"]["cycles"], total["model"]["cycles"]);
        for machine in ["rtl", "model"] {
            let of = |what: &str| sum(steps, |s| s[machine][what].as_u64());
            assert_eq!(Some(of("cycles")), total[machine]["cycles"].as_u64(), "{part:?}");
            assert_eq!(Some(of("mac_busy_cycles")), total[machine]["mac_busy_cycles"].as_u64());
            for class in ["input", "weight", "param", "output"] {
                let bytes = sum(steps, |s| s[machine]["bytes"][class].as_u64());
                assert_eq!(Some(bytes), total[machine]["bytes"][class].as_u64(), "{part:?} {class}");
            }
        }
        for name in ["useful_macs", "padded_macs", "efficiency", "roofline_efficiency", "traffic_ratio"] {
            assert!(total[name].is_number() && run["convolutions"][name].is_number(), "{name}");
        }
        if part[0] == "--layers" {
            assert_eq!(steps.as_array().map(Vec::len), Some(3));
            assert!(run["outputs"].is_null());
        } else {
            assert_eq!(run["outputs"][0]["values"].as_array().map(Vec::len), Some(10));
            assert!(run["top1"].is_number());
        }
    }
}

#[test]
fn network_tables_add_up() {
    let dir = tempfile::tempdir().expect("a directory");
    let model = shared("resnet56-cifar10-int8-qoperator.onnx");
    let model = model.to_str().expect("a path");
    let run = json(&koch(&["model", "--model", model, "--json"], dir.path()));
    let cycles = run["total"]["model"]["cycles"].as_u64();
    assert_eq!(Some(sum(&run["steps"], |s| s["model"]["cycles"].as_u64())), cycles);
    let output = koch(&["model", "--model", model, "--csv"], dir.path());
    let mut reader = csv::Reader::from_reader(output.stdout.as_slice());
    let names = reader.headers().expect("a header").clone();
    let column = |name: &str| names.iter().position(|n| n == name).expect("a column");
    let rows: Vec<csv::StringRecord> = reader.records().map(|r| r.expect("a row")).collect();
    let (last, name, at) = (rows.last().expect("rows"), column("name"), column("cycles"));
    assert_eq!((&last[name], last[at].parse().ok()), ("total", cycles));
    assert_eq!(rows.iter().filter(|r| !r[column("step")].is_empty()).count(), 59);
}

#[test]
fn a_compiled_network_is_its_dump() {
    let dir = tempfile::tempdir().expect("a directory");
    put_digits(dir.path());
    for args in [
        &["compile", "digits.onnx", "--config", "tiny", "--dump", "program", "-o", "a.asm"][..],
        &["asm", "a.asm", "-o", "a.bin"],
        &["compile", "digits.onnx", "--config", "tiny", "-o", "image.bin"],
    ] {
        assert_eq!(koch(args, dir.path()).status.code(), Some(0), "{args:?}");
    }
    let read = |n: &str| std::fs::read(dir.path().join(n)).expect("a file");
    assert!(read("image.bin").ends_with(&read("a.bin")));
    for (dump, line) in [("graph", "outputs %6"), ("plan", "step 6 node_linear_quant")] {
        let output = koch(&["compile", "digits.onnx", "--dump", dump], dir.path());
        assert!(text(&output.stdout).lines().any(|l| l == line), "{dump}");
    }
}

#[test]
fn a_network_is_drawn() {
    let dir = tempfile::tempdir().expect("a directory");
    put_digits(dir.path());
    std::fs::create_dir(dir.path().join("sweep")).expect("a directory");
    sweep::write(&dir.path().join("sweep"), 73);
    let draw = |args: &[&str], file: &str| {
        let output = koch(&[&["graph", "--model", "digits.onnx", "-o", file], args].concat(), dir.path());
        assert!(output.stdout.is_empty());
        assert!(output.status.success(), "{}", text(&output.stderr));
        std::fs::read(dir.path().join(file)).expect("a picture")
    };
    let plain = text(&draw(&[], "digits.svg"));
    assert!(plain.contains("32 bits") && !plain.contains("output o"), "{plain}");
    let placed = text(&draw(&["--config", "tiny"], "sweep/graph.svg"));
    assert!(placed.contains("8 bits") && placed.contains("output on chip"), "{placed}");
    assert!(draw(&["--scale", "1"], "digits.png").starts_with(b"\x89PNG"));
    let tiles = text(&draw(&["--level", "tile", "--step", "2", "--config", "tiny"], "step.svg"));
    for row in ["compute", "input buffer", "weight buffer", "array", "output buffer"] {
        assert!(tiles.contains(&format!(">{row}</text>")), "{row}: {tiles}");
    }

    let report = || koch(&["report", "sweep", "-o", "page.html"], dir.path());
    assert!(report().status.success());
    let page = std::fs::read_to_string(dir.path().join("page.html")).expect("a page");
    assert!(page.contains("src=\"data:image/svg+xml,%3csvg xmlns=") && !page.contains("graph.svg"));
    std::fs::write(dir.path().join("sweep/graph.svg"), "<html>").expect("a file");
    let refused = report();
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("graph.svg: no SVG; run `koch graph` again"));

    // Without Graphviz.
    let output = Command::new(env!("CARGO_BIN_EXE_koch"))
        .args(["graph", "--model", "digits.onnx", "-o", "other.svg"])
        .env("PATH", dir.path())
        .current_dir(dir.path())
        .output()
        .expect("koch runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("install graphviz"), "{}", text(&output.stderr));
    assert!(!dir.path().join("other.svg").exists());
}

#[test]
fn a_sweep_is_shown() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::create_dir(dir.path().join("sweep")).expect("a directory");
    sweep::write(&dir.path().join("sweep"), 73);
    let run = |args: &[&str]| {
        let output = koch(args, dir.path());
        assert!(output.stdout.is_empty());
        (output.status.code(), text(&output.stderr))
    };
    assert_eq!(run(&["report", "sweep", "-o", "page.html"]).0, Some(0));
    let page = std::fs::read_to_string(dir.path().join("page.html")).expect("a page");
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"));
    assert!(page.contains("graph.svg is not in the directory; `koch graph` writes it"));

    assert_eq!(run(&["plot", "sweep", "-o", "charts", "--scale", "1"]).0, Some(0));
    let files = std::fs::read_dir(dir.path().join("charts")).expect("charts");
    let mut names: Vec<_> =
        files.map(|f| f.expect("a file").file_name().into_string().expect("text")).collect();
    names.sort();
    assert_eq!(names.len(), 20, "SVG and PNG of ten figures");
    assert!(names.iter().all(|n| n.ends_with(".svg") || n.ends_with(".png")));
    assert!(names.contains(&"heatmap-resnet.png".to_owned()) && names.contains(&"knee.svg".to_owned()));

    let (code, said) = run(&["plot", "sweep", "--chart", "heatmap", "-o", "one.svg"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("one.svg: one file holds one of resnet, a "), "{said}");
    assert!(said.contains("choose with --network"), "{said}");
    let (code, said) = run(&["plot", "sweep", "-o", "one.svg"]);
    assert!(code == Some(2) && said.contains("choose one with --chart"), "{said}");
    let one = ["plot", "sweep", "--chart", "heatmap", "--network", "resnet", "-o", "one.svg"];
    assert_eq!(run(&one).0, Some(0));
    // The width is that of the picture in the directory, so are its bytes.
    let read = |name: &str| std::fs::read(dir.path().join(name)).expect("a picture");
    assert_eq!(read("one.svg"), read("charts/heatmap-resnet.svg"));

    std::fs::remove_file(dir.path().join("sweep/timeline.csv")).expect("timeline.csv");
    let (code, said) = run(&["plot", "sweep", "--chart", "timeline", "-o", "one.png"]);
    assert!(code == Some(2) && said.contains("timeline.csv is not in the directory"), "{said}");
    assert!(!dir.path().join("one.png").exists());
    let (code, said) = run(&["plot", "sweep", "--network", "resnet", "--scale", "1", "-o", "charts"]);
    assert!(code == Some(0) && said.contains("no timeline: timeline.csv is not in the directory"), "{said}");
}

#[test]
fn verify_compares_with_given_outputs() {
    let dir = tempfile::tempdir().expect("a directory");
    put_digits(dir.path());
    // What ONNX Runtime 1.31.1 gives for the first image, in steps of the output's scale.
    let verify = |steps: &[f32; 10]| {
        let mut header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 10), }".to_owned();
        header += &" ".repeat(128 - 11 - header.len());
        let mut npy = [b"\x93NUMPY\x01\x00", &118u16.to_le_bytes()[..], header.as_bytes(), b"\n"].concat();
        npy.extend(steps.iter().flat_map(|n| (n * 0.084_557_78_f32).to_le_bytes()));
        std::fs::write(dir.path().join("y.npy"), npy).expect("a file");
        let args = ["verify", "--model", "digits.onnx", "--input", "digits.npy", "--outputs", "y.npy"];
        koch(&args, dir.path())
    };
    let output = verify(&[-29., -61., -40., -5., -14., -29., -36., -87., -34., 89.]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("10 values compared, 0 differ"), "{}", text(&output.stdout));
    let output = verify(&[-29., -61., -40., -6., -14., -29., -36., -87., -34., 89.]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("image 0, output y, element 3"), "{}", text(&output.stderr));
}

#[test]
fn verify_without_python_says_what_to_do() {
    let dir = tempfile::tempdir().expect("a directory");
    put_digits(dir.path());
    let output = Command::new(env!("CARGO_BIN_EXE_koch"))
        .args(["verify", "--model", "digits.onnx", "--input", "digits.npy"])
        .current_dir(dir.path())
        .env("PATH", dir.path())
        .output()
        .expect("koch runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--outputs FILE.npy"), "{}", text(&output.stderr));
}

//! `koch memory`: its numbers agree with each other, and its plan with an independent check.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

const MODELS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/models");

fn memory(model: &str, arguments: &[&str], dir: &Path) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_koch"))
        .args(["memory", "--json", "--model", &format!("{MODELS}/{model}.onnx")])
        .args(arguments)
        .current_dir(dir)
        .output()
        .expect("koch runs");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn bytes(report: &Value, name: &str) -> u64 {
    report[name]["bytes"].as_u64().unwrap_or_else(|| panic!("no {name}: {report}"))
}

#[test]
fn the_plan_is_what_the_report_says() {
    let dir = tempfile::tempdir().expect("a directory");
    for model in ["digits-int8-qoperator", "resnet56-cifar10-float", "resnet56-cifar10-int8-qdq"] {
        for flags in
            [&["--precision", "int8"][..], &["--training", "--batch", "8", "--optimiser", "momentum"]]
        {
            let report = memory(model, &[flags, &["--plan", "plan.csv"]].concat(), dir.path());
            let text = std::fs::read_to_string(dir.path().join("plan.csv")).expect("the plan");
            let table = compiler::offsets::csv::parse(&text).expect("a table");
            let planned = report["plans"]["planned"].as_u64().expect("a number");
            let offsets = table.offsets.expect("offsets");
            assert_eq!(compiler::offsets::check(&table.problem, &offsets, planned), Ok(()), "{model}");
            assert!(report["plans"]["bound"].as_u64().expect("a number") <= planned);
            assert_eq!(report["plans"]["optimal"], true, "{model} {flags:?}");
            let resident: u64 = ["weights", "norms", "statistics"].iter().map(|n| bytes(&report, n)).sum();
            let state = report.get("optimiser_state").map_or(0, |_| bytes(&report, "optimiser_state"));
            assert_eq!(report["peak"].as_u64(), Some(resident + state + planned), "{model}");
        }
    }
}

#[test]
fn bytes_follow_precision_batch_and_vector() {
    let dir = tempfile::tempdir().expect("a directory");
    let of = |flags: &[&str]| memory("resnet56-cifar10-float", flags, dir.path());
    let (one, half, many) = (of(&[]), of(&["--precision", "f16"]), of(&["--batch", "5", "--vector", "4"]));
    for name in ["weights", "norms", "statistics", "counted_activations", "lowered_all"] {
        assert_eq!(bytes(&one, name), 2 * bytes(&half, name), "{name}");
    }
    assert_eq!(many["images"], 8);
    assert_eq!(bytes(&many, "weights"), bytes(&one, "weights"));
    assert_eq!(bytes(&many, "all_activations"), 8 * bytes(&one, "all_activations"));
}

/// The program's bytes are those that `koch compile` tells.
#[test]
fn the_program_is_counted() {
    let dir = tempfile::tempdir().expect("a directory");
    let report = memory("digits-int8-qoperator", &["--config", "tiny"], dir.path());
    let output = Command::new(env!("CARGO_BIN_EXE_koch"))
        .args(["compile", &format!("{MODELS}/digits-int8-qoperator.onnx"), "--config", "tiny"])
        .output()
        .expect("koch runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let program = report["machine"]["program"].as_u64().expect("a number");
    assert!(said.contains(&format!("{program} bytes at")), "{program}: {said}");
}

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

/// The plan of a budget, its table and its actions agree.
#[test]
fn a_budget_is_kept_and_its_actions_are_written() {
    let dir = tempfile::tempdir().expect("a directory");
    let model = "resnet56-cifar10-float";
    let training = ["--training", "--batch", "8", "--seconds", "1"];
    let sweep =
        memory(model, &[&training[..], &["--sweep-budget", "3", "--plot", "curve.svg"]].concat(), dir.path());
    let number =
        |value: &Value, name: &str| value[name].as_u64().unwrap_or_else(|| panic!("no {name}: {value}"));
    let [all, least, floor] = ["keep_all", "smallest", "floor"].map(|name| number(&sweep, name));
    assert!(floor <= least && least < all, "{floor} {least} {all}");
    let bounds = sweep["bounds"].as_array().expect("bounds");
    assert_eq!(
        bounds.iter().map(|b| number(b, "budget")).collect::<Vec<_>>(),
        [least, least + (all - least) / 2, all]
    );
    for row in sweep["rows"].as_array().expect("rows").iter().filter(|r| r["feasible"] == true) {
        assert!(number(row, "peak") <= number(row, "budget"), "{row}");
        assert_eq!(number(row, "total"), number(row, "compute") + number(row, "transfer"));
        assert!(number(row, "total") >= number(&sweep, "once"), "{row}");
    }
    assert!(std::fs::read_to_string(dir.path().join("curve.svg")).expect("the curve").contains("<svg"));

    let budget = format!("{}", (least + all) / 2);
    let flags = ["--budget", &budget, "--schedule", "actions.csv", "--graph", "plan.svg", "--spill", "0.5"];
    let report = memory(model, &[&training[..], &flags].concat(), dir.path());
    let best = report["methods"].as_array().expect("methods").iter().find(|m| m["method"] == report["best"]);
    let total = number(best.expect("the best"), "total");
    let others = report["methods"].as_array().expect("methods").iter().filter(|m| m["feasible"] == true);
    assert!(others.clone().count() > 5 && others.map(|m| number(m, "total")).all(|other| other >= total));
    let mut actions = csv::Reader::from_path(dir.path().join("actions.csv")).expect("actions");
    let count =
        |wanted: &str, records: &[csv::StringRecord]| records.iter().filter(|r| &r[0] == wanted).count();
    let records: Vec<_> = actions.records().map(|r| r.expect("a row")).collect();
    assert!(count("compute", &records) as u64 >= number(&report, "steps"));
    let spilled =
        report["tensors"].as_array().expect("tensors").iter().filter(|t| t["fate"] == "spilled").count();
    assert_eq!(count("out", &records), spilled);
    let picture = std::fs::read_to_string(dir.path().join("plan.svg")).expect("the picture");
    assert!(picture.contains("output on chip"));
    let others = ["recomputed", "spilled"].map(|fate| {
        report["tensors"].as_array().expect("tensors").iter().filter(|t| t["fate"] == fate).count()
    });
    assert!(others.iter().sum::<usize>() > 0, "{report}");
    assert!(others[1] > 0 || !picture.contains("output off chip"));
}

/// Too little is refused with what would do.
#[test]
fn a_budget_that_is_too_small_is_refused() {
    let output = Command::new(env!("CARGO_BIN_EXE_koch"))
        .args(["memory", "--model", &format!("{MODELS}/digits-int8-qoperator.onnx"), "--budget", "100"])
        .output()
        .expect("koch runs");
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("--budget 100B") && said.contains("the smallest budget with one is"), "{said}");
}

const LAYERS: &str = "\
name,op,C_in,H_in,W_in,K,H_out,W_out,R,S,stride_h,stride_w,MACs
a,Conv,3,16,16,8,8,8,3,3,2,2,13824
b,Conv,8,8,8,16,8,8,3,3,1,1,73728
c,Conv,16,8,8,16,8,8,1,1,1,1,16384
";

/// With a config's cycles as costs, every step once is what the cycle model says of the layers.
#[test]
fn costs_are_the_cycle_models() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("net.csv"), LAYERS).expect("a table");
    let run = |args: &[&str]| -> Value {
        let koch = Command::new(env!("CARGO_BIN_EXE_koch")).args(args).current_dir(dir.path()).output();
        let output = koch.expect("koch runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON")
    };
    let table = ["--table", "net.csv", "--json"];
    let model = run(&[&["model", "--config", "tiny"], &table[..]].concat());
    let budget = ["memory", "--precision", "int8", "--budget", "1MiB", "--cost", "tiny"];
    let report = run(&[&budget, &table[..]].concat());
    assert_eq!(report["once"], model["total"]["cycles"], "{model}");
    assert!(report["once"].as_u64() > Some(10_000));
}

//! Who may depend on whom, checked over `cargo metadata`.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Names of our packages, each with those of ours that it depends on.
type Graph = BTreeMap<String, BTreeSet<String>>;

/// Normal and build dependencies; with those of tests if `dev`.
fn graph(dev: bool) -> Graph {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let name = |v: &Value| v["name"].as_str().unwrap().to_owned();
    let ours: BTreeSet<String> = packages.iter().map(name).collect();
    let depends = |package: &Value| {
        let all = package["dependencies"].as_array().unwrap();
        let counted = all.iter().filter(|d| dev || d["kind"] != "dev");
        counted.map(name).filter(|n| ours.contains(n)).collect()
    };
    packages.iter().map(|p| (name(p), depends(p))).collect()
}

/// Everything of ours that `package` depends on, directly or not.
fn reach(graph: &Graph, package: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut next = vec![package];
    while let Some(package) = next.pop() {
        next.extend(graph[package].iter().filter(|d| found.insert((*d).clone())).map(String::as_str));
    }
    found
}

/// Neither may know how the other does it, or their equality would mean nothing.
#[test]
fn rtl_and_model_never_meet() {
    let graph = graph(true);
    assert!(!reach(&graph, "hdl").contains("cyclemodel"));
    assert!(!reach(&graph, "cyclemodel").contains("hdl"));
}

#[test]
fn the_contract_depends_on_nothing_of_ours() {
    assert_eq!(graph(true)["spec"], BTreeSet::new());
}

#[test]
fn the_reference_knows_only_the_contract() {
    assert_eq!(graph(false)["reference"], BTreeSet::from(["spec".to_owned()]));
}

/// A sweep asks for millions of estimates: they need no Verilog.
#[test]
fn the_area_estimate_knows_only_the_contract() {
    assert_eq!(graph(false)["area"], BTreeSet::from(["spec".to_owned()]));
}

#[test]
fn only_the_command_uses_the_testbench() {
    for (package, depends) in graph(true) {
        assert!(package == "koch" || !depends.contains("testbench"), "{package} depends on testbench");
    }
}

/// Charts show what files say, whoever wrote them.
#[test]
fn the_report_knows_no_machine() {
    assert_eq!(graph(true)["report"], BTreeSet::new());
}

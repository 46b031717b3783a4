//! The data of the area estimate are of this RTL.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// Rows by name, each with its numbers by column.
fn rows(table: &[u8]) -> BTreeMap<String, BTreeMap<String, f64>> {
    let mut reader = csv::Reader::from_reader(table);
    let names = reader.headers().expect("a header").clone();
    let records = reader.records().map(|r| r.expect("a row"));
    let numbers = |r: &csv::StringRecord| {
        names.iter().zip(r).filter_map(|(n, v)| Some((n.to_owned(), v.parse().ok()?))).collect()
    };
    records.map(|r| (r[0].to_owned(), numbers(&r))).collect()
}

/// Synthesises those modules of config tiny anew that have changed since the last time: all of it takes about a minute.
/// Small changes of the RTL may leave the table as it is: 2 per cent, and nothing where
/// the estimate is exact.
#[test]
fn yosys_still_counts_what_the_table_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new("python3")
        .arg(root.join("scripts/area.py"))
        .args(["--row", "tiny"])
        .env("KOCH", env!("CARGO_BIN_EXE_koch"))
        .output()
        .expect("python3");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let table = std::fs::read(root.join("area/yosys.csv")).expect("area/yosys.csv");
    let (fresh, known) = (&rows(&output.stdout)["tiny"], &rows(&table)["tiny"]);
    for (name, count) in fresh {
        let tolerance = match name.as_str() {
            "lut4" | "ccu2c" | "ffs" | "logic_transistors" => 0.02 * count,
            "verilog" => continue,
            _ => 0.0,
        };
        assert!(
            (count - known[name]).abs() <= tolerance,
            "Yosys counts {name} = {count} in config tiny, area/yosys.csv says {}: the RTL has changed, `make area` \
             synthesises the table anew",
            known[name]
        );
    }
}

//! Every number is the one that `koch model` gives.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::Field;
use serde_json::Value;

use crate::{Row, files, ok, place, shared, table};

const SMALL: &str = r#"
config = "tiny"
networks = ["one.csv", "two.csv"]
layers = true
rows = "2..4 +2"
cols = [4, 8]
ibuf = ["2KiB", 4096]
wbuf = "2KiB..8KiB *2"
latency = [10, 40]
clock_mhz = "100..300 +100"
"#;

/// Flags of `koch model` and the columns that they come from.
const FLAGS: [(&str, &str); 17] = [
    ("--rows", "rows"),
    ("--cols", "cols"),
    ("--lanes", "lanes"),
    ("--operand-bits", "operand_bits"),
    ("--ibuf", "ibuf"),
    ("--wbuf", "wbuf"),
    ("--obuf", "obuf"),
    ("--rbuf", "rbuf"),
    ("--pbuf", "pbuf"),
    ("--bus-bits", "bus_bits"),
    ("--burst-beats", "burst_beats"),
    ("--outstanding", "outstanding"),
    ("--latency", "latency"),
    ("--bytes-per-cycle", "bytes_per_cycle"),
    ("--memory-outstanding", "memory_outstanding"),
    ("--stall-seed", "stall_seed"),
    ("--stall-percent", "stall_percent"),
];

/// What `koch model` says of the network of a row.
fn model(row: &Row, source: &[&str], dir: &Path) -> Value {
    let mut args = vec!["model", "--config", "tiny", "--json"];
    args.extend(source);
    for (flag, column) in FLAGS {
        args.extend([flag, &row[column]]);
    }
    serde_json::from_slice(&ok(&args, dir)).expect("JSON")
}

fn int(row: &Row, column: &str) -> Option<u64> {
    row[column].parse().ok()
}

fn assert_close(row: &Row, column: &str, wanted: f64) {
    let found: f64 = row[column].parse().unwrap_or_else(|_| panic!("{column} = `{}`", row[column]));
    assert!((found - wanted).abs() <= 1e-12 * wanted.abs(), "{column}: {found}, not {wanted}");
}

/// Bus bytes, program excluded.
fn moved(machine: &Value) -> u64 {
    let bytes = machine["bytes"].as_object().expect("bytes");
    bytes.iter().filter(|(class, _)| *class != "program").filter_map(|(_, n)| n.as_u64()).sum()
}

/// Compares a row of either table with a machine's counters, and with figures that are derived from them.
fn compare(row: &Row, machine: &Value, figures: &Value) {
    assert_eq!(int(row, "cycles"), machine["cycles"].as_u64(), "{row:?}");
    assert_eq!(int(row, "bytes"), Some(moved(machine)), "{row:?}");
    for name in ["useful_macs", "padded_macs", "once_only_bytes"] {
        if row.contains_key(name) {
            assert_eq!(int(row, name), figures[name].as_u64(), "{name} of {row:?}");
        }
    }
    for name in ["efficiency", "roofline_efficiency", "roofline_cycles", "traffic_ratio"] {
        if row.contains_key(name) {
            assert_close(row, name, figures[name].as_f64().expect("a number"));
        }
    }
}

fn compare_layer(row: &Row, line: &Value, machine: &Value) {
    compare(row, machine, line);
    for (column, name) in [("layer", "name"), ("spec", "layer"), ("strategy", "strategy")] {
        assert_eq!(row[column], line[name].as_str().unwrap_or_default(), "{column}");
    }
    assert_eq!(int(row, "count"), line["count"].as_u64().or(Some(1)));
    assert_eq!(int(row, "mac_busy_cycles"), machine["mac_busy_cycles"].as_u64());
    for (cause, cycles) in machine["stalls"].as_object().expect("stalls") {
        assert_eq!(int(row, &format!("idle_{cause}")), cycles.as_u64(), "{cause}");
    }
}

/// The rows of `layers.csv`, by point and network.
fn by_point(dir: &Path) -> HashMap<(String, String), Vec<Row>> {
    let mut found: HashMap<_, Vec<Row>> = HashMap::new();
    for row in table(&dir.join("layers.csv")) {
        found.entry((row["point"].clone(), row["network"].clone())).or_default().push(row);
    }
    found
}

#[test]
fn tables_are_as_the_model_says() {
    let dir = place(SMALL);
    ok(&["sweep", "spec.toml", "-o", "out"], dir.path());
    let out = dir.path().join("out");
    let (points, layers) = (table(&out.join("points.csv")), by_point(&out));
    assert_eq!((points.len(), layers.len()), (2 * 144, 2 * 144));
    // Later fields change faster, and the networks of a point follow each other.
    for (n, row) in points.iter().enumerate() {
        assert_eq!(int(row, "point"), Some(n as u64 / 2));
        assert_eq!(row["network"], ["one", "two"][n % 2]);
        assert_eq!(int(row, "clock_mhz"), Some([100, 200, 300][n / 2 % 3]));
        assert_eq!(int(row, "wbuf"), Some([2048, 4096, 8192][n / 12 % 3]));
        assert_eq!(int(row, "rows"), Some([2, 4][n / 144]));
    }
    for k in 0..25 {
        let row = &points[k * (points.len() - 1) / 24];
        let file = format!("{}.csv", row["network"]);
        let json = model(row, &["--table", &file], dir.path());
        assert_eq!(row["status"], "ok");
        compare(row, &json["total"], &json["total"]);
        let (cycles, mhz) = (json["total"]["cycles"].as_f64(), row["clock_mhz"].parse::<f64>());
        assert_close(row, "fps", mhz.expect("a clock") * 1e6 / cycles.expect("cycles"));
        assert_eq!(int(row, "macs"), Some(int(row, "rows").unwrap_or(0) * int(row, "cols").unwrap_or(0)));
        let buffers = ["ibuf", "wbuf", "obuf", "rbuf", "pbuf"].map(|name| int(row, name).expect("a size"));
        assert_eq!(int(row, "buffer_bytes"), Some(buffers.iter().sum()));
        let lines = json["layers"].as_array().expect("layers");
        let rows = &layers[&(row["point"].clone(), row["network"].clone())];
        assert_eq!(rows.len(), lines.len());
        for (n, (row, line)) in rows.iter().zip(lines).enumerate() {
            assert_eq!(int(row, "index"), Some(n as u64 + 1));
            compare_layer(row, line, line);
        }
    }
    front_is_what_nothing_beats(&points, &table(&out.join("pareto.csv")));
}

/// Compares `pareto.csv` with every pair of rows.
fn front_is_what_nothing_beats(points: &[Row], front: &[Row]) {
    let at = |row: &Row| ["cycles", "area", "bytes_per_cycle"].map(|name| int(row, name).expect("a number"));
    let mut wanted: Vec<&Row> = Vec::new();
    for (n, row) in points.iter().enumerate() {
        let beaten = points.iter().enumerate().any(|(m, other)| {
            let (a, b) = (at(other), at(row));
            let better = a.iter().zip(&b).all(|(a, b)| a <= b) && (a != b || m < n);
            m != n && other["network"] == row["network"] && better
        });
        if !beaten {
            wanted.push(row);
        }
    }
    wanted.sort_by_key(|row| (row["network"].clone(), at(row)[0], int(row, "point")));
    assert!(wanted.len() > 4 && wanted.len() < points.len());
    assert_eq!(front.iter().collect::<Vec<_>>(), wanted);
}

#[test]
fn networks_are_as_the_model_says() {
    let dir = place(
        "config = \"tiny\"\nnetworks = [\"one.csv\", \"digits.onnx\"]\nlayers = true\ncols = [4, 8]\n\
         ibuf = [\"4KiB\", \"16KiB\"]\nlatency = [10, 80]\nstall_percent = [0, 20]\nstall_seed = 7\n",
    );
    std::fs::copy(shared("digits-int8-qoperator.onnx"), dir.path().join("digits.onnx")).expect("a model");
    ok(&["sweep", "spec.toml", "-o", "out", "--threads", "2"], dir.path());
    let out = dir.path().join("out");
    let layers = by_point(&out);
    let points = table(&out.join("points.csv"));
    assert_eq!(points.len(), 2 * 16);
    for row in points.iter().filter(|row| row["network"] == "digits") {
        let json = model(row, &["--model", "digits.onnx"], dir.path());
        let lines = json["steps"].as_array().expect("steps");
        let total = &json["total"];
        compare(row, &total["model"], total);
        let rows = &layers[&(row["point"].clone(), row["network"].clone())];
        assert_eq!(rows.len(), lines.len());
        rows.iter().zip(lines).for_each(|(row, line)| compare_layer(row, line, &line["model"]));
    }
}

#[test]
fn impossible_points_are_rows() {
    let dir = place(
        "config = \"tiny\"\nnetworks = [\"one.csv\", \"big.csv\"]\ncols = [4, 16]\nlanes = [4, 8]\nbus_bits = [64, 128]\n\
         bytes_per_cycle = [8, 16]\n",
    );
    let big = "name,op,C_in,H_in,W_in,K,H_out,W_out,R,S,stride_h,stride_w,MACs\n\
               big,Conv,60000,2,3,4,2,3,1,1,1,1,1440000\n";
    std::fs::write(dir.path().join("big.csv"), big).expect("a file");
    ok(&["sweep", "spec.toml", "-o", "out"], dir.path());
    let rows = table(&dir.path().join("out/points.csv"));
    assert_eq!(rows.len(), 2 * 16);
    for (n, row) in rows.iter().enumerate() {
        let pick = |shift: usize, values: [u64; 2]| values[n >> shift & 1];
        let (cols, lanes, bus, bytes) =
            (pick(4, [4, 16]), pick(3, [4, 8]), pick(2, [64, 128]), pick(1, [8, 16]));
        let wanted = match () {
            () if lanes > cols => "lanes = 8: lanes must be",
            () if row["network"] == "big" => "conv cin=60000 ",
            () if bytes > bus / 8 => "bytes per cycle 16: must divide the bus width of 8 bytes",
            () => "ok",
        };
        assert!(row["status"].starts_with(wanted), "row {n}: {}", row["status"]);
        for name in ["cycles", "fps", "efficiency", "bytes", "useful_macs"] {
            assert_eq!(row[name].is_empty(), wanted != "ok", "{name} of row {n}");
        }
    }
    let front = table(&dir.path().join("out/pareto.csv"));
    assert!(!front.is_empty() && front.iter().all(|row| row["status"] == "ok"));
    assert_same_cells(&dir.path().join("out"), "points");
    assert!(!files(&dir.path().join("out")).contains_key("layers.csv"));
}

/// Compares each cell of a CSV with the Parquet file of the same name.
fn assert_same_cells(dir: &Path, name: &str) {
    let rows = table(&dir.join(name).with_extension("csv"));
    let file = std::fs::File::open(dir.join(name).with_extension("parquet")).expect("a file");
    let reader = SerializedFileReader::new(file).expect("Parquet");
    let records: Vec<_> = reader.get_row_iter(None).expect("rows").map(|row| row.expect("a row")).collect();
    assert_eq!(rows.len(), records.len());
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for (row, record) in rows.iter().zip(&records) {
        assert_eq!(row.len(), record.len());
        for (column, field) in record.get_column_iter() {
            let cell = &row[column];
            let (kind, same) = match field {
                Field::Null => ("empty", cell.is_empty()),
                Field::Long(n) => ("int", cell.parse() == Ok(*n)),
                Field::Double(x) => ("float", cell.parse() == Ok(*x)),
                Field::Str(text) => ("text", cell == text),
                _ => ("other", false),
            };
            assert!(same, "{name}, {column}: `{cell}` and {field:?}");
            *kinds.entry(kind).or_default() += 1;
        }
    }
    assert!(["int", "float", "text"].iter().all(|kind| kinds[kind] > 0));
}

#[test]
fn parquet_has_the_same_cells() {
    let dir = place(SMALL);
    ok(&["sweep", "spec.toml", "-o", "out"], dir.path());
    assert_same_cells(&dir.path().join("out"), "points");
    assert_same_cells(&dir.path().join("out"), "layers");
}

//! `koch sweep` and `koch merge` as a user meets them.

mod numbers;
mod refused;
mod resume;
mod workers;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A convolution, a depthwise one, one with stride, and a fully connected layer.
const ONE: &str = "\
name,op,C_in,H_in,W_in,K,H_out,W_out,R,S,stride_h,stride_w,group,MACs
first,Conv,3,9,9,8,9,9,3,3,1,1,1,17496
relu,Relu,8,9,9,8,9,9,,,,,,0
each,Conv,8,9,9,8,5,5,3,3,2,2,8,1800
point,Conv,8,5,5,12,5,5,1,1,1,1,1,2400
last,Gemm,300,,1,10,,1,,,,,,3000
";

/// A kernel without padding, the same layer twice, and a batch.
const TWO: &str = "\
name,op,N,C_in,H_in,W_in,K,H_out,W_out,R,S,stride_h,stride_w,pad_t,pad_l,pad_b,pad_r,dil,group,MACs
wide,Conv,1,4,6,20,5,5,18,2,3,1,1,0,0,0,0,1,1,10800
again,Conv,1,4,6,20,5,5,18,2,3,1,1,0,0,0,0,1,1,10800
batch,Gemm,4,24,,1,7,,1,,,,,,,,,,,672
";

/// What a finished sweep with layers leaves.
const FILES: [&str; 7] =
    ["layers.csv", "layers.parquet", "lock", "manifest.toml", "pareto.csv", "points.csv", "points.parquet"];

/// A directory with the two tables and `spec.toml`.
fn place(spec: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    for (name, text) in [("one.csv", ONE), ("two.csv", TWO), ("spec.toml", spec)] {
        std::fs::write(dir.path().join(name), text).expect("a file");
    }
    dir
}

fn koch(args: &[&str], dir: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_koch")).args(args).current_dir(dir).output().expect("koch runs")
}

/// Runs `koch`, which must succeed; gives what it writes to stdout.
fn ok(args: &[&str], dir: &Path) -> Vec<u8> {
    let output = koch(args, dir);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {}", text(&output.stderr));
    output.stdout
}

/// Runs `koch`, which must refuse; gives what it says.
fn refused(args: &[&str], dir: &Path) -> String {
    let output = koch(args, dir);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
    assert!(!said.contains("panicked") && !said.trim().is_empty(), "{args:?}: {said}");
    said
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn shared(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/models").join(file)
}

/// The files of a directory, with their bytes.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(dir).expect("a directory").map(|e| e.expect("an entry"));
    let file = |e: std::fs::DirEntry| {
        let name = e.file_name().into_string().expect("text");
        let bytes = std::fs::read(e.path()).unwrap_or_else(|e| panic!("{name}: {e}"));
        (name, bytes)
    };
    entries.map(file).collect()
}

/// The files of two finished sweeps, which must be the same.
fn assert_same(a: &Path, b: &Path) {
    let (a, b) = (files(a), files(b));
    assert_eq!(a.keys().collect::<Vec<_>>(), FILES.iter().collect::<Vec<_>>());
    assert_eq!(b.keys().collect::<Vec<_>>(), FILES.iter().collect::<Vec<_>>());
    for (name, bytes) in &a {
        assert!(!bytes.is_empty() || name == "lock", "{name} is empty");
        assert!(*bytes == b[name], "{name} differs");
    }
}

/// A row, by the names of its columns.
type Row = BTreeMap<String, String>;

fn table(path: &Path) -> Vec<Row> {
    let mut reader = csv::Reader::from_path(path).expect("a table");
    reader.deserialize().map(|row| row.expect("a row")).collect()
}

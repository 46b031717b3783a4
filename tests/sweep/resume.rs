//! Whatever stops a sweep, and however it is cut up: the same bytes.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::{FILES, assert_same, files, ok, place, refused};

/// Some thirty parts, a second or two of work.
pub const LARGE: &str = r#"
config = "tiny"
networks = ["one.csv", "two.csv"]
layers = true
rows = "1..8"
cols = "4..16 +4"
ibuf = "2KiB..32KiB *2"
wbuf = "2KiB..8KiB *2"
latency = "20..100 +20"
stall_percent = [0, 25]
clock_mhz = "100..700 +100"
"#;

fn start(dir: &Path, args: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_koch"))
        .args(args)
        .current_dir(dir)
        .stderr(Stdio::null())
        .spawn()
        .expect("koch runs")
}

/// How many parts of points are there.
fn parts(out: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(out.join("parts")) else { return 0 };
    let part = |name: &str| name.len() == "00000000.csv".len() && name.ends_with(".csv");
    entries.filter(|e| e.as_ref().is_ok_and(|e| part(&e.file_name().to_string_lossy()))).count()
}

#[test]
fn kills_leave_no_trace() {
    let dir = place(LARGE);
    let began = Instant::now();
    ok(&["sweep", "spec.toml", "-o", "whole", "--threads", "2"], dir.path());
    let whole = began.elapsed();
    let out = dir.path().join("out");
    let run = ["sweep", "spec.toml", "-o", "out", "--threads", "2"];
    let (mut state, mut in_the_middle) = (1, 0);
    for _ in 0..20 {
        let mut child = start(dir.path(), &run);
        std::thread::sleep(whole.mul_f64(spec::rng::unit(&mut state) / 7.0));
        child.kill().expect("a kill");
        let by_itself = child.wait().expect("an end").success();
        let some = parts(&out) > 0 && !out.join("points.csv").exists();
        in_the_middle += usize::from(some && !by_itself);
    }
    assert!(in_the_middle >= 5, "{in_the_middle} of 20 kills in the middle");
    ok(&run, dir.path());
    assert_same(&dir.path().join("whole"), &out);
    // A finished sweep stays as it is.
    let before = std::fs::metadata(out.join("points.csv")).and_then(|m| m.modified()).expect("a time");
    ok(&run, dir.path());
    assert_same(&dir.path().join("whole"), &out);
    assert_eq!(std::fs::metadata(out.join("points.csv")).and_then(|m| m.modified()).ok(), Some(before));
}

#[test]
fn shards_make_the_whole() {
    let dir = place(LARGE);
    ok(&["sweep", "spec.toml", "-o", "whole"], dir.path());
    for (shard, name) in [("1/3", "a"), ("2/3", "b"), ("3/3", "c")] {
        ok(&["sweep", "spec.toml", "-o", name, "--shard", shard], dir.path());
        assert!(!dir.path().join(name).join("points.csv").exists());
    }
    let counts = ["a", "b", "c"].map(|name| parts(&dir.path().join(name)));
    assert!(counts.iter().all(|&n| n > 3), "{counts:?}");

    let said = refused(&["merge", "a", "c", "-o", "out"], dir.path());
    assert!(said.contains(&format!("part {} of {}", counts[0], counts.iter().sum::<usize>())), "{said}");
    std::fs::write(dir.path().join("other.toml"), LARGE.replace("20..100", "20..80")).expect("a file");
    ok(&["sweep", "other.toml", "-o", "other", "--shard", "1/30"], dir.path());
    let said = refused(&["merge", "a", "b", "other", "-o", "out"], dir.path());
    assert!(said.contains("a and other are of different sweeps"), "{said}");
    let said = refused(&["merge", "a", "missing", "-o", "out"], dir.path());
    assert!(said.contains("missing/manifest.toml"), "{said}");
    assert!(!dir.path().join("out").exists());

    ok(&["merge", "c", "a", "b", "-o", "out"], dir.path());
    assert_same(&dir.path().join("whole"), &dir.path().join("out"));
    ok(&["merge", "a", "b", "c", "-o", "out"], dir.path());
    assert_same(&dir.path().join("whole"), &dir.path().join("out"));
    let said = refused(&["merge", "a", "b", "c", "-o", "other"], dir.path());
    assert!(said.contains("other: holds another sweep"), "{said}");
    // One directory can be all of them.
    for shard in ["1/2", "2/2"] {
        ok(&["sweep", "spec.toml", "-o", "both", "--shard", shard], dir.path());
    }
    ok(&["sweep", "spec.toml", "-o", "both"], dir.path());
    assert_same(&dir.path().join("whole"), &dir.path().join("both"));
}

#[test]
fn a_directory_is_of_one_sweep() {
    let dir = place("config = \"tiny\"\nnetworks = [\"one.csv\"]\nlayers = true\nlatency = [10, 20]\n");
    ok(&["sweep", "spec.toml", "-o", "out"], dir.path());
    let before = files(&dir.path().join("out"));
    assert_eq!(before.keys().collect::<Vec<_>>(), FILES.iter().collect::<Vec<_>>());
    let other = "config = \"tiny\"\nnetworks = [\"one.csv\"]\nlayers = true\nlatency = [10, 30]\n";
    std::fs::write(dir.path().join("other.toml"), other).expect("a file");
    let said = refused(&["sweep", "other.toml", "-o", "out"], dir.path());
    assert!(said.contains("out: holds another sweep"), "{said}");
    let table = std::fs::read_to_string(dir.path().join("one.csv")).expect("a table");
    std::fs::write(dir.path().join("one.csv"), table.replace("last,", "final,")).expect("a table");
    let said = refused(&["sweep", "spec.toml", "-o", "out"], dir.path());
    assert!(said.contains("of other networks"), "{said}");
    assert!(files(&dir.path().join("out")) == before, "a refusal changes nothing");
}

#[test]
fn two_at_once_are_refused() {
    let dir = place(LARGE);
    let mut child = start(dir.path(), &["sweep", "spec.toml", "-o", "out", "--threads", "1"]);
    let began = Instant::now();
    while !dir.path().join("out/manifest.toml").exists() {
        assert!(began.elapsed() < Duration::from_secs(60), "the sweep does not start");
        std::thread::sleep(Duration::from_millis(2));
    }
    let said = refused(&["sweep", "spec.toml", "-o", "out"], dir.path());
    assert!(said.contains("out: another sweep is writing to it"), "{said}");
    child.kill().expect("a kill");
    child.wait().expect("an end");
}

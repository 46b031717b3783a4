//! The examples for more than one machine.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::resume::LARGE;
use crate::{assert_same, ok, place, text};

fn root(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A server of HyperQueue with three workers of one core each; it ends when this is dropped.
struct Server(Child);

const SERVER: &str = "
import sys
from hyperqueue.cluster import LocalCluster, WorkerConfig
cluster = LocalCluster(server_dir=sys.argv[1])
for _ in range(3):
    cluster.start_worker(WorkerConfig(cores=1))
print('ready', flush=True)
sys.stdin.read()
";

impl Server {
    fn start(python: &Path, dir: &Path) -> Self {
        let child = Command::new(python)
            .args(["-c", SERVER])
            .arg(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{}: {e}: run `make setup`", python.display()));
        let mut server = Self(child);
        let stdout = server.0.stdout.take().expect("a pipe");
        let ready = BufReader::new(stdout).lines().any(|line| line.is_ok_and(|line| line == "ready"));
        assert!(ready, "no HyperQueue in {}: run `make setup`", python.display());
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn hyperqueue_workers() {
    let python = root(".tools/venv/bin/python");
    let dir = place(LARGE);
    let server_dir = dir.path().join("server");
    let _server = Server::start(&python, &server_dir);
    ok(&["sweep", "spec.toml", "-o", "whole"], dir.path());
    let mut script = Command::new(&python)
        .arg(root("examples/hyperqueue/sweep.py"))
        .args(["--shards", "5", "--koch", env!("CARGO_BIN_EXE_koch"), "--server-dir"])
        .arg(&server_dir)
        .args(["spec.toml", "out"])
        .current_dir(dir.path())
        .stderr(Stdio::null())
        .spawn()
        .expect("the script runs");
    let began = Instant::now();
    let status = loop {
        if let Some(status) = script.try_wait().expect("a status") {
            break status;
        }
        if began.elapsed() > Duration::from_secs(120) {
            let _ = script.kill();
            panic!("the script does not end");
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(status.code(), Some(0));
    assert_same(&dir.path().join("whole"), &dir.path().join("out"));
    for shard in 1..=5 {
        let said =
            std::fs::read_to_string(dir.path().join(format!("out.shards/{shard}.err"))).expect("a file");
        assert!(said.contains("0 were there before"), "{said}");
    }
}

#[test]
fn slurm_tasks() {
    let dir = place("config = \"tiny\"\nnetworks = [\"one.csv\"]\nlayers = true\nclock_mhz = \"1..5000\"\n");
    ok(&["sweep", "spec.toml", "-o", "whole"], dir.path());
    let task = |id: &str, args: &[&str]| {
        Command::new("bash")
            .arg(root("examples/slurm/sweep.sbatch"))
            .args(args)
            .current_dir(dir.path())
            .env("KOCH", env!("CARGO_BIN_EXE_koch"))
            .env("SLURM_ARRAY_TASK_ID", id)
            .env("SLURM_CPUS_PER_TASK", "1")
            .output()
            .expect("bash runs")
    };
    assert_eq!(task("1", &["spec.toml", "out"]).status.code(), Some(2));
    for id in ["1", "2"] {
        let output = task(id, &["spec.toml", "out", "2"]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    }
    ok(&["merge", "out.shards/1", "out.shards/2", "-o", "out"], dir.path());
    assert_same(&dir.path().join("whole"), &dir.path().join("out"));
}

//! `koch bench`.

use crate::args::NetworkArgs;
use crate::figures::Report;
use crate::job::Job;
use crate::network::{Images, NetworkJob};
use crate::{Failure, Outcome, generate, simulate};
use serde::Serialize;
use spec::layer::{Layer, LayerData};
use spec::{Config, MemorySpec};
use std::path::{Path, PathBuf};
use std::time::Instant;
use testbench::Rtl;

/// Layers with the least share of peak (or of the roofline, for the last) that each must reach.
const GOALS: &[(&str, f64)] = &[
    ("conv cin=64 h=56 w=56 cout=64 k=3 pad=1", 0.975),
    ("conv cin=3 h=224 w=224 cout=64 k=7 stride=2 pad=3", 0.97),
    ("conv cin=256 h=56 w=56 cout=64 k=1", 0.97),
    ("conv cin=512 h=7 w=7 cout=2048 k=1", 0.95),
    ("conv cin=192 h=13 w=13 cout=192 k=3 pad=1", 0.91),
    ("conv cin=256 h=14 w=14 cout=256 k=3 pad=1", 0.93),
    ("fc in=2048 out=1000", 0.97),
];
/// Least cycles per second of the Verilated RTL and of the model; most seconds to build the one and to generate.
const RTL_SPEED: f64 = 0.5e6;
const MODEL_SPEED: f64 = 1e9;
const BUILD_SECONDS: f64 = 60.0;
const GENERATE_SECONDS: f64 = 1.0;
/// Networks and the images that they are measured with, in the directories of `--models` and `--zoo`.
const NETWORKS: &[(Set, &str, &str)] = &[
    (Set::Models, "resnet56-cifar10-int8-qoperator", "cifar10-test-200-images"),
    (Set::Zoo, "resnet50-int8", "resnet50-input"),
];
/// Most seconds to compile a network, to predict it and to run it on the Verilated RTL.
/// Buffers from a quarter of `default`'s up, and memories, on whole networks.
const SWEEP: &str = r#"
networks = ["alexnet.csv", "googlenet.csv", "resnet50.csv", "vgg16.csv", "mobilenetv1.csv", "mobilenetv2.csv", "squeezenet.csv"]
ibuf = "64KiB..2MiB *2"
wbuf = "64KiB..2MiB *2"
obuf = "16KiB..256KiB *2"
pbuf = "4KiB..32KiB *2"
latency = [20, 40, 80, 160]
"#;
const SWEEP_SPEED: f64 = 100_000.0;
const NETWORK_SECONDS: [f64; 3] = [2.0, 0.02, 60.0];

enum Set {
    Models,
    Zoo,
}

#[derive(clap::Args)]
pub struct Args {
    /// One JSON object instead of tables.
    #[arg(long)]
    json: bool,
    /// Repetitions of each speed measurement; the median counts.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    repeat: u64,
    /// Directory with ResNet-56 and its images; without them it is not measured.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/models"), value_name = "DIR")]
    models: PathBuf,
    /// Directory with ResNet-50 as `scripts/make_zoo.py` makes it; without it, it is not measured.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/out/zoo"), value_name = "DIR")]
    zoo: PathBuf,
    /// Directory with the layer tables that are swept; without them, nothing is.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/networks"), value_name = "DIR")]
    tables: PathBuf,
}

#[derive(Serialize)]
struct Speeds {
    generate_seconds: f64,
    build_seconds: f64,
    rtl_cycles_per_second: f64,
    model_cycles_per_second: f64,
}

#[derive(Serialize)]
struct Results {
    layers: Vec<Report>,
    speeds: Speeds,
    networks: Vec<NetworkSpeeds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sweep: Option<SweepSpeed>,
}

#[derive(Serialize)]
struct SweepSpeed {
    rows: u64,
    seconds: f64,
    rows_per_minute: f64,
    /// Of the whole command.
    peak_memory: u64,
}

#[derive(Serialize)]
struct NetworkSpeeds {
    name: String,
    cycles: u64,
    compile_seconds: f64,
    model_seconds: f64,
    rtl_seconds: f64,
}

fn job(config: &Config, text: &str) -> Result<(Job, LayerData), Failure> {
    let layer: Layer = text.parse()?;
    let data = LayerData::random(&layer, config.operand_bits, 1)?;
    Ok((Job::new(config.clone(), MemorySpec::default(), text.to_owned(), layer, Some(&data))?, data))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

pub fn run(args: &Args) -> Outcome {
    let config = Config::named("default")?;
    let (mut rtl, _) = simulate::rtl(&config, None)?;
    let layers = GOALS
        .iter()
        .map(|(text, _)| {
            let (job, data) = job(&config, text)?;
            job.compare(&data, &rtl, 0.0)
        })
        .collect::<Result<Vec<Report>, Failure>>()?;
    let speeds = speeds(&config, &rtl, args.repeat)?;
    let mut networks = Vec::new();
    for (set, model, images) in NETWORKS {
        let directory = match set {
            Set::Models => &args.models,
            Set::Zoo => &args.zoo,
        };
        let (model, images) =
            (directory.join(format!("{model}.onnx")), directory.join(format!("{images}.npy")));
        if model.exists() {
            networks.push(network(&config, &mut rtl, (&model, &images), args.repeat)?);
        }
    }
    let sweep = if args.tables.join("resnet50.csv").exists() { Some(sweep(&args.tables)?) } else { None };
    let results = Results { layers, speeds, networks, sweep };
    if args.json {
        say!("{}", serde_json::to_string_pretty(&results)?);
    } else {
        print(&results);
    }
    results.layers.iter().try_for_each(Report::verdict)
}

/// Seconds of `work`, the median of `repeat` times.
fn seconds(repeat: u64, work: &mut dyn FnMut() -> Outcome) -> Result<f64, Failure> {
    let times = (0..repeat).map(|_| {
        let start = Instant::now();
        work().map(|()| start.elapsed().as_secs_f64())
    });
    Ok(median(times.collect::<Result<_, Failure>>()?))
}

fn speeds(config: &Config, rtl: &Rtl, repeat: u64) -> Result<Speeds, Failure> {
    let seconds = |work: &mut dyn FnMut() -> Outcome| seconds(repeat, work);
    let directory = tempfile::tempdir()?;
    let generate_seconds = seconds(&mut || generate::write(config, directory.path()).map(|_| ()))?;
    let (job, _) = job(config, GOALS[0].0)?;
    let cycles = job.model()?.0.counters.cycles as f64;
    let limit = 2 * cycles as u64;
    let rtl_seconds = seconds(&mut || {
        rtl.run(&job.program, &job.memory, limit).map(|_| ()).map_err(|e| Failure::Mismatch(e.to_string()))
    })?;
    // The model is over in a fraction of a millisecond: a hundred runs at a time.
    let model_seconds = seconds(&mut || (0..100).try_for_each(|_| job.model().map(|_| ())))? / 100.0;
    let cold = tempfile::tempdir()?;
    let start = Instant::now();
    testbench::bridge::build_in(cold.path(), config, false)?;
    Ok(Speeds {
        generate_seconds,
        build_seconds: start.elapsed().as_secs_f64(),
        rtl_cycles_per_second: cycles / rtl_seconds,
        model_cycles_per_second: cycles / model_seconds,
    })
}

/// Times one image of a network.
fn network(
    config: &Config,
    rtl: &mut Rtl,
    (model, images): (&Path, &Path),
    repeat: u64,
) -> Result<NetworkSpeeds, Failure> {
    let compile =
        || NetworkJob::new(config.clone(), MemorySpec::default(), model, &NetworkArgs::whole(false));
    let compile_seconds = seconds(repeat, &mut || compile().map(|_| ()))?;
    let job = compile()?;
    let images = Images::load(job.network(), images, 0, 1)?;
    let model_seconds = seconds(repeat, &mut || job.model().map(|_| ()))?;
    let report = job.compare(&images, rtl, 0.0)?;
    report.verdict()?;
    Ok(NetworkSpeeds {
        name: report.network.clone(),
        cycles: report.images.iter().map(|i| i.cycles).sum(),
        compile_seconds,
        model_seconds,
        rtl_seconds: report.seconds.run,
    })
}

/// Times the sweep of [`SWEEP`] into a directory of its own, on all cores.
fn sweep(tables: &Path) -> Result<SweepSpeed, Failure> {
    let spec = sweep::Spec::parse(SWEEP, tables)?;
    let evaluator = sweep::Evaluator::new(spec, Box::new(crate::sweep::Estimate::new()?))?;
    let directory = tempfile::tempdir()?;
    let start = Instant::now();
    sweep::Sweep::open(&evaluator, directory.path(), sweep::Shard::ALL)?.run(|_| ())?;
    let seconds = start.elapsed().as_secs_f64();
    let rows = evaluator.spec.rows();
    Ok(SweepSpeed {
        rows,
        seconds,
        rows_per_minute: rows as f64 / seconds * 60.0,
        peak_memory: peak_memory(),
    })
}

/// Bytes of memory that the process has had at most; 0 where the system does not tell.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    line.and_then(|l| l.trim().trim_end_matches("kB").trim().parse::<u64>().ok()).map_or(0, |k| k << 10)
}

fn print(results: &Results) {
    say!(
        "config `default`, latency 40, 16 B/cycle, cold start; useful MACs exclude products with zero padding\n"
    );
    say!("| layer | cycles | efficiency % | roofline % | traffic | goal % | RTL = model = reference |");
    say!("| --- | ---: | ---: | ---: | ---: | ---: | --- |");
    for (report, (text, goal)) in results.layers.iter().zip(GOALS) {
        let measured = if text.starts_with("fc") {
            report.figures.roofline_efficiency
        } else {
            report.figures.efficiency
        };
        say!(
            "| {} | {} | {:.2} | {:.2} | {:.3} | {:.1} {} | {} |",
            report.layer,
            report.model.cycles,
            100.0 * report.figures.efficiency,
            100.0 * report.figures.roofline_efficiency,
            report.figures.traffic_ratio,
            100.0 * goal,
            if measured >= *goal { "met" } else { "MISSED" },
            if report.equal.is_some_and(|e| e.all()) { "equal" } else { "DIFFERENT" },
        );
    }
    let s = &results.speeds;
    let word = |met: bool| if met { "met" } else { "MISSED" };
    say!("\n| speed | measured | goal |");
    say!("| --- | ---: | --- |");
    say!(
        "| generating `default` | {:.3} s | at most {GENERATE_SECONDS} s, {} |",
        s.generate_seconds,
        word(s.generate_seconds <= GENERATE_SECONDS)
    );
    say!(
        "| building it in Verilator, nothing cached | {:.1} s | at most {BUILD_SECONDS} s, {} |",
        s.build_seconds,
        word(s.build_seconds <= BUILD_SECONDS)
    );
    say!(
        "| Verilated RTL on the first layer, one core | {:.2} M cycles/s | at least {:.1}, {} |",
        s.rtl_cycles_per_second / 1e6,
        RTL_SPEED / 1e6,
        word(s.rtl_cycles_per_second >= RTL_SPEED)
    );
    say!(
        "| cycle model on the first layer, one core | {:.2} G cycles/s | at least {:.0}, {} |",
        s.model_cycles_per_second / 1e9,
        MODEL_SPEED / 1e9,
        word(s.model_cycles_per_second >= MODEL_SPEED)
    );
    if let Some(s) = &results.sweep {
        say!(
            "| sweep of {} rows (point, network), {:.1} s, at most {} MiB | {:.0} rows/min | at least {SWEEP_SPEED}, {} |",
            s.rows,
            s.seconds,
            s.peak_memory >> 20,
            s.rows_per_minute,
            word(s.rows_per_minute >= SWEEP_SPEED)
        );
    }
    for n in &results.networks {
        let (name, cycles) = (&n.name, n.cycles);
        let rows = [
            (format!("importing and compiling {name}"), n.compile_seconds),
            (format!("cycle model on {name}, {cycles} cycles"), n.model_seconds),
            (format!("Verilated RTL on {name}, one core"), n.rtl_seconds),
        ];
        for ((what, seconds), goal) in rows.into_iter().zip(NETWORK_SECONDS) {
            say!("| {what} | {seconds:.3} s | at most {goal} s, {} |", word(seconds <= goal));
        }
    }
}

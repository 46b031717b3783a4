//! `koch run`.

use crate::args::{BoardArgs, LayerArgs, NetworkArgs, OutputArgs};
use crate::figures::Seconds;
use crate::job::Job;
use crate::network::{Images, NetworkJob, bar};
use crate::out::Printed;
use crate::steps::NetworkReport;
use crate::{Failure, Outcome};
use bitstreams::board::{Board, Flow};
use bitstreams::driver::{self, Driver, DriverError, Port, Serial};
use spec::{Config, Program, Run};
use std::path::Path;
use std::time::{Duration, Instant};
use testbench::SimulatedBoard;

#[derive(clap::Args)]
pub struct Args {
    /// The board's serial port, or `sim` for the board in Verilator.
    #[arg(long, value_name = "PORT|sim")]
    port: String,
    #[command(flatten)]
    board: BoardArgs,
    #[command(flatten)]
    layer: LayerArgs,
    #[command(flatten)]
    network: NetworkArgs,
    /// Of a network: images to run, from --index on.
    #[arg(long, default_value_t = 1, value_name = "IMAGES", conflicts_with_all = ["layer", "node", "table"])]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,
    #[command(flatten)]
    output: OutputArgs,
}

/// A board at the end of a line, and how fast it runs.
struct Machine {
    driver: Driver<Box<dyn Port>>,
    hertz: f64,
    /// Seconds that its model took to build or find.
    build: f64,
}

impl Machine {
    fn connect(port: &str, board: &Board, config: &Config, seed: u64) -> Result<Self, Failure> {
        let start = Instant::now();
        let (port, hertz): (Box<dyn Port>, f64) = if port == "sim" {
            let bar = indicatif::ProgressBar::new_spinner();
            bar.set_message(format!("building {} with {} in Verilator", board.name, config.name));
            bar.enable_steady_tick(Duration::from_millis(100));
            let simulated = SimulatedBoard::new(board, config, seed as u32)?;
            bar.finish_and_clear();
            // The slowest that a simulation could be.
            (Box::new(simulated), 1e3)
        } else {
            (Box::new(Serial::open(Path::new(port), board.baud)?), board.clock_mhz * 1e6)
        };
        let build = start.elapsed().as_secs_f64();
        Ok(Self { driver: Driver::connect(port, config)?, hertz, build })
    }

    /// Loads and runs a program that the model takes so many cycles for.
    fn run(&mut self, program: &Program, cycles: u64) -> Result<Run, DriverError> {
        let bytes = program.code.len() + program.data.iter().map(|s| s.bytes.len()).sum::<usize>();
        let bar = bar(bytes as u64, "bytes");
        self.driver.load(program, |sent| bar.set_position(sent))?;
        bar.finish_and_clear();
        // A run that takes four times as long as predicted is cut off.
        let limit = Duration::from_secs_f64(4.0 * cycles as f64 / self.hertz + 2.0);
        self.driver.run(program, limit)
    }
}

pub fn run(args: &Args) -> Outcome {
    let (board, config) = args.board.resolve()?;
    if board.flow == Flow::Xc7 {
        return Err(Failure::Input(format!(
            "board {} has no bitstream to run: use one of `koch boards` that has a clock",
            board.name
        )));
    }
    if args.layer.table.is_some() {
        return Err(Failure::Input(
            "--table: a board runs a layer or a network; use --layer or --model, or `koch simulate`".into(),
        ));
    }
    let memory = board.memory_spec(&config);
    if let Some(model) = args.layer.network() {
        let job = NetworkJob::new(config, memory, model, &args.network)?;
        return network(args, &board, &job);
    }
    args.network.none()?;
    let (source, layer, data) = args.layer.numbers(&config)?;
    let job = Job::new(config, memory, source, layer, Some(&data))?;
    driver::fits(&job.program, board.memory)?;
    let (mut model, model_seconds) = job.model()?;
    // A host does not see when layers start.
    model.marks.clear();
    let mut machine = Machine::connect(&args.port, &board, &job.config, args.layer.seed)?;
    let start = Instant::now();
    let run = machine.run(&job.program, model.counters.cycles)?;
    let seconds = Seconds { build: machine.build, run: start.elapsed().as_secs_f64(), model: model_seconds };
    let report = job.judge(&data, &model, &run, seconds);
    report.print(&args.output)?;
    report.verdict()
}

fn network(args: &Args, board: &Board, job: &NetworkJob) -> Outcome {
    let Some(input) = &args.layer.input else {
        return Err(Failure::Input(format!(
            "no images are given to run {} on: use --input FILE.npy, or `koch model`, which needs none",
            job.network().name
        )));
    };
    let images = Images::load(job.network(), input, args.layer.index, args.count)?;
    driver::fits(&job.code, board.memory)?;
    let (mut model, model_seconds) = job.model()?;
    model.marks.clear();
    let mut machine = Machine::connect(&args.port, board, &job.config, args.layer.seed)?;
    let mut seconds = Seconds { build: machine.build, run: 0.0, model: model_seconds };
    let mut reports = Vec::new();
    let mut first = None;
    for index in images.indices.clone() {
        let values = job.network().run(job.network().quantise_input(&images.array, index)?)?;
        let start = Instant::now();
        let run = machine.run(&job.program(&values)?, model.counters.cycles)?;
        seconds.run += start.elapsed().as_secs_f64();
        reports.push(job.image(index, &values, &run, &model)?);
        first.get_or_insert(run);
    }
    let report = NetworkReport::new(job, &model, first.as_ref(), reports, seconds);
    report.print(&args.output)?;
    report.verdict()
}

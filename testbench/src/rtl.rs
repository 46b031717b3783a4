//! The Verilated RTL as a machine.

use crate::bridge::{self, BuildError, Control, Instance, Library};
use crate::memory::{Answers, Bytes, Memory, Requests};
use crate::touches::Touches;
use spec::regs::{COUNTERS_OFFSET, REGISTERS};
use spec::{Config, Counters, Mark, MemorySpec, Program, Run, Status, memory::MemoryError};
use std::path::PathBuf;

/// A config's RTL, ready to run programs.
pub struct Rtl {
    config: Config,
    library: Library,
    trace: Option<PathBuf>,
    watch: Option<Watch>,
    mutant: u32,
}

/// Told the cycle that a run has reached, every [`WATCH_EVERY`] cycles.
type Watch = Box<dyn Fn(u64) + Send + Sync>;

const WATCH_EVERY: u64 = 1 << 16;

/// Why a run has no result.
#[derive(Debug)]
pub enum RunError {
    /// The model could not be set up.
    Build(BuildError),
    /// The memory's behaviour is not a legal one.
    Memory(MemoryError),
    /// It was not over after so many cycles.
    Hang(u64),
    /// The RTL broke a rule of the bus.
    Protocol(String),
}

impl std::fmt::Display for RunError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Build(e) => e.fmt(f),
            Self::Memory(e) => e.fmt(f),
            Self::Hang(cycles) => write!(f, "the RTL was still busy after {cycles} cycles"),
            Self::Protocol(text) => write!(f, "the RTL broke a bus rule: {text}"),
        }
    }
}

impl std::error::Error for RunError {}

fn offset(name: &str) -> u32 {
    REGISTERS.iter().find(|r| r.name == name).map_or(0, |r| r.offset)
}

impl Rtl {
    /// Builds (or finds) the model of `config`. With `trace`, runs write a waveform there.
    pub fn new(config: &Config, trace: Option<PathBuf>) -> Result<Self, BuildError> {
        let library = Library::load(&bridge::build(config, trace.is_some())?)?;
        Ok(Self { config: config.clone(), library, trace, watch: None, mutant: 0 })
    }

    /// Builds (or finds) the model of a design of `config` that `yosys mutate -ctrl mutant` has changed.
    pub fn with_mutants(config: &Config, verilog: &str) -> Result<Self, BuildError> {
        let library = Library::load(&bridge::build_mutants(config, verilog)?)?;
        Ok(Self { config: config.clone(), library, trace: None, watch: None, mutant: 0 })
    }

    /// Runs are of this mutant from here on; 0 is none.
    pub fn select(&mut self, mutant: u32) {
        self.mutant = mutant;
    }

    /// Has `watch` told how far runs have got.
    pub fn watch(&mut self, watch: impl Fn(u64) + Send + Sync + 'static) {
        self.watch = Some(Box::new(watch));
    }

    /// Runs a program from reset to its interrupt; gives up after `limit` cycles.
    pub fn run(&self, program: &Program, memory: &MemorySpec, limit: u64) -> Result<Run, RunError> {
        let mut runs = self.run_in_turn(&[(program, memory)], limit)?;
        Ok(runs.pop().unwrap_or_default())
    }

    /// The same, with the memory's addresses watched.
    pub fn run_watched(
        &self,
        program: &Program,
        memory: &MemorySpec,
        limit: u64,
    ) -> Result<(Run, Touches), RunError> {
        let mut touches = Some(Touches::new(self.config.bus_bytes()));
        let run = self.run_one(&mut self.host(memory.stall_seed)?, program, memory, limit, &mut touches)?;
        Ok((run, touches.unwrap_or_else(|| Touches::new(self.config.bus_bytes()))))
    }

    /// Runs programs one after the other, with a reset before the first only.
    pub fn run_in_turn(
        &self,
        programs: &[(&Program, &MemorySpec)],
        limit: u64,
    ) -> Result<Vec<Run>, RunError> {
        let mut host = self.host(programs.first().map_or(0, |(_, memory)| memory.stall_seed))?;
        let run = |(program, memory): &(&Program, &MemorySpec)| {
            self.run_one(&mut host, program, memory, limit, &mut None)
        };
        programs.iter().map(run).collect()
    }

    /// The RTL after a reset, what has no reset filled by the seed.
    fn host(&self, seed: u64) -> Result<Host<'_>, RunError> {
        let seed = seed as u32 & 0x3fff_ffff | 1;
        let mut instance = Instance::new(&self.library, self.config.bus_bytes(), self.trace.as_deref(), seed)
            .map_err(RunError::Build)?;
        instance.select(self.mutant);
        let mut host = Host { instance };
        host.reset();
        Ok(host)
    }

    fn run_one(
        &self,
        host: &mut Host,
        program: &Program,
        memory: &MemorySpec,
        limit: u64,
        touches: &mut Option<Touches>,
    ) -> Result<Run, RunError> {
        let bus = self.config.bus_bytes();
        memory.check(bus).map_err(RunError::Memory)?;
        host.write(offset("program"), program.base);
        host.write(offset("instructions"), program.len());
        host.write(offset("interrupt"), 1);
        host.write(offset("control"), 1);
        let mut memory = Memory::new(memory, bus, Bytes::load(program));
        memory.touches = touches.take();
        let mut wdata = [0; 64];
        let mut rdata = [0; 64];
        let mut strobe = 0;
        let mut idle = Control { bready: 1, rst_n: 1, ..Control::default() };
        let mut t = 0;
        let mut marks = Vec::new();
        let mut layer = 0;
        loop {
            let (done, now) = host.instance.state();
            // The number that the run before left is still there in the first cycle.
            if now != layer && t > 0 {
                layer = now;
                marks.push(Mark::new(layer, host.instance.counters()));
            }
            if done {
                break;
            }
            if t >= limit {
                return Err(RunError::Hang(t));
            }
            let requests: Requests = host.instance.requests(&mut wdata, &mut strobe);
            let answers =
                memory.cycle(t, &requests, &wdata[..bus as usize], strobe, &mut rdata[..bus as usize]);
            // The control bus falls idle in the first cycle and stays so.
            host.instance.cycle(&answers, &rdata, if t == 0 { Some(&mut idle) } else { None });
            t += 1;
            if t.is_multiple_of(WATCH_EVERY)
                && let Some(watch) = &self.watch
            {
                watch(t);
            }
        }
        *touches = memory.touches;
        if let Some(text) = memory.violation {
            return Err(RunError::Protocol(text));
        }
        let status = host.read(offset("status"));
        let values: Vec<u64> = (0..Counters::ALL.len() as u32)
            .map(|k| {
                let at = COUNTERS_OFFSET + 8 * k;
                u64::from(host.read(at)) | u64::from(host.read(at + 4)) << 32
            })
            .collect();
        let mut output = vec![0; program.output.1 as usize];
        memory.bytes.read(program.output.0, &mut output);
        Ok(Run {
            status: Status::from_code(status >> 8 & 15).unwrap_or_default(),
            counters: Counters::from_values(&values),
            output: Some(output),
            marks,
        })
    }
}

/// The other side of the control bus.
struct Host<'a> {
    instance: Instance<'a>,
}

impl Host<'_> {
    fn cycle(&mut self, control: &mut Control) {
        control.rst_n = 1;
        self.instance.cycle(&Answers::default(), &[0; 64], Some(control));
    }

    fn reset(&mut self) {
        let mut control = Control::default();
        for _ in 0..3 {
            self.instance.cycle(&Answers::default(), &[0; 64], Some(&mut control));
        }
        self.cycle(&mut control);
    }

    /// Writes a register. The write takes effect with the first cycle; the response is taken in the next.
    fn write(&mut self, address: u32, data: u32) {
        let mut control =
            Control { awaddr: address, wdata: data, awvalid: 1, wvalid: 1, bready: 1, ..Control::default() };
        if address == offset("control") {
            // The run's first cycle is the next one.
            self.cycle(&mut control);
            return;
        }
        self.cycle(&mut control);
        control.awvalid = 0;
        control.wvalid = 0;
        self.cycle(&mut control);
    }

    fn read(&mut self, address: u32) -> u32 {
        let mut control = Control { araddr: address, arvalid: 1, rready: 1, bready: 1, ..Control::default() };
        self.cycle(&mut control);
        control.arvalid = 0;
        self.cycle(&mut control);
        control.rdata
    }
}

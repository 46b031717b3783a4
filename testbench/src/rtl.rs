//! The Verilated RTL as a machine.

use crate::bridge::{self, BuildError, Control, Instance, Library};
use crate::meddler::Meddler;
use crate::memory::{Answers, Bytes, Memory, Requests, Writable};
use crate::touches::Touches;
use spec::regs::{COUNTERS_OFFSET, REGISTERS};
use spec::{Config, Counters, Mark, MemorySpec, Program, Run, Status, memory::MemoryError, timing};
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
    /// It was not over after so many cycles, although its limit was reached long before.
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

/// Byte offset of a register.
pub(crate) fn offset(name: &str) -> u32 {
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

    /// Runs a program from reset to its end. If it has no limit of its own, it is stopped after `limit` cycles.
    pub fn run(&self, program: &Program, memory: &MemorySpec, limit: u64) -> Result<Run, RunError> {
        self.session(memory.stall_seed)?.run(program, memory, limit)
    }

    /// The same, with the memory's addresses watched.
    pub fn run_watched(
        &self,
        program: &Program,
        memory: &MemorySpec,
        limit: u64,
    ) -> Result<(Run, Touches), RunError> {
        let mut touches = Some(Touches::new(self.config.bus_bytes()));
        let mut session = self.session(memory.stall_seed)?;
        let run = session.run_until(program, memory, limit, None, &mut touches)?.unwrap_or_default();
        Ok((run, touches.unwrap_or_else(|| Touches::new(self.config.bus_bytes()))))
    }

    /// Runs programs one after the other, with a reset before the first only.
    pub fn run_in_turn(
        &self,
        programs: &[(&Program, &MemorySpec)],
        limit: u64,
    ) -> Result<Vec<Run>, RunError> {
        let mut session = self.session(programs.first().map_or(0, |(_, memory)| memory.stall_seed))?;
        programs.iter().map(|(program, memory)| session.run(program, memory, limit)).collect()
    }

    /// The RTL after a reset, what has no reset filled by the seed.
    pub fn session(&self, seed: u64) -> Result<Session<'_>, RunError> {
        let seed = seed as u32 & 0x3fff_ffff | 1;
        let mut instance = Instance::new(&self.library, self.config.bus_bytes(), self.trace.as_deref(), seed)
            .map_err(RunError::Build)?;
        instance.select(self.mutant);
        let mut session = Session { rtl: self, instance, audit: false, wrote_code: false };
        session.reset(3);
        Ok(session)
    }
}

/// Cycles after which a run is stopped that should take `cycles`: four times as long is a mismatch already.
pub fn limit(cycles: u64) -> u64 {
    4 * cycles + 100_000
}

/// Cycles in which a run that was stopped is over: what the contract grants, and the time that the memory may take for
/// the bursts that were begun, with room for long stalls.
fn drain_bound(config: &Config, memory: &MemorySpec) -> u64 {
    let bursts = u64::from(2 * config.outstanding + 3);
    let beat = (memory.beat_interval(config.bus_bytes()) + 1) * 100 / u64::from(100 - memory.stall_percent);
    let burst = u64::from(memory.latency) + 4 * beat * u64::from(config.burst_beats) + 100;
    u64::from(timing::FLUSH) + bursts * burst
}

/// What is done to a run under way.
pub enum Disturbance<'a> {
    /// A reset that starts in cycle `at` and lasts `cycles`.
    Reset {
        /// First cycle.
        at: u64,
        /// Duration.
        cycles: u32,
    },
    /// From cycle `from` on the memory answers nothing more.
    Silence {
        /// First cycle.
        from: u64,
    },
    /// Registers are written and read at random, as the rules of the bus allow it.
    Registers(&'a mut Meddler),
}

/// The RTL at work: a reset, then run after run.
pub struct Session<'a> {
    rtl: &'a Rtl,
    instance: Instance<'a>,
    /// Every written byte must be one that a store of the program names.
    pub audit: bool,
    /// With `audit`: the last run wrote over its own program.
    pub wrote_code: bool,
}

impl Session<'_> {
    /// Runs a program to its end; see [`Rtl::run`].
    pub fn run(&mut self, program: &Program, memory: &MemorySpec, limit: u64) -> Result<Run, RunError> {
        Ok(self.run_until(program, memory, limit, None, &mut None)?.unwrap_or_default())
    }

    /// The same with a disturbance. A run that is reset has no result; one whose memory is silent may still be busy when
    /// its status is read.
    pub fn run_disturbed(
        &mut self,
        program: &Program,
        memory: &MemorySpec,
        limit: u64,
        disturbance: Disturbance<'_>,
    ) -> Result<Option<Run>, RunError> {
        self.run_until(program, memory, limit, Some(disturbance), &mut None)
    }

    fn run_until(
        &mut self,
        program: &Program,
        spec: &MemorySpec,
        limit: u64,
        mut disturbance: Option<Disturbance<'_>>,
        touches: &mut Option<Touches>,
    ) -> Result<Option<Run>, RunError> {
        let config = &self.rtl.config;
        let bus = config.bus_bytes();
        spec.check(bus).map_err(RunError::Memory)?;
        // What does not fit the register is for the testbench alone.
        let own = u32::try_from(limit).unwrap_or(0);
        let own = if program.limit == 0 { own } else { program.limit };
        let limit = if own == 0 { limit } else { own.into() };
        let last = limit + drain_bound(config, spec);
        for (register, value) in
            [("program", program.base), ("instructions", program.len()), ("limit", own), ("interrupt", 1)]
        {
            self.write(offset(register), value);
        }
        self.write(offset("control"), 1);
        let mut memory = Memory::new(spec, bus, Bytes::load(program));
        memory.touches = touches.take();
        memory.writable = self.audit.then(|| Writable::by(program));
        if let Some(Disturbance::Silence { from }) = disturbance {
            memory.silent_from = from;
        }
        if let Some(Disturbance::Registers(meddler)) = &mut disturbance {
            let holds = [("program", program.base), ("instructions", program.len()), ("limit", own)];
            meddler.begin(holds.map(|(register, value)| (offset(register), value)));
        }
        let mut wdata = [0; 64];
        let mut rdata = [0; 64];
        let mut strobe = 0;
        let mut idle = Control { bready: 1, rst_n: 1, ..Control::default() };
        let mut t = 0;
        let mut marks = Vec::new();
        let mut layer = 0;
        loop {
            let (done, now) = self.instance.state();
            // The number that the run before left is still there in the first cycle.
            if now != layer && t > 0 {
                layer = now;
                marks.push(Mark::new(layer, self.instance.counters()));
            }
            if done {
                break;
            }
            if let Some(Disturbance::Reset { at, cycles }) = disturbance
                && t >= at
            {
                self.reset(cycles);
                return memory.violation.map_or(Ok(None), |text| Err(RunError::Protocol(text)));
            }
            if t >= last {
                if let Some(Disturbance::Silence { .. }) = disturbance {
                    break;
                }
                return Err(RunError::Hang(t));
            }
            let requests: Requests = self.instance.requests(&mut wdata, &mut strobe);
            let answers =
                memory.cycle(t, &requests, &wdata[..bus as usize], strobe, &mut rdata[..bus as usize]);
            let control = match &mut disturbance {
                Some(Disturbance::Registers(meddler)) => Some(meddler.control()),
                // The control bus falls idle in the first cycle and stays so.
                _ if t == 0 => Some(&mut idle),
                _ => None,
            };
            self.instance.cycle(&answers, &rdata, control);
            if let Some(Disturbance::Registers(meddler)) = &mut disturbance {
                meddler.answered();
            }
            t += 1;
            if t.is_multiple_of(WATCH_EVERY)
                && let Some(watch) = &self.rtl.watch
            {
                watch(t);
            }
        }
        if let Some(Disturbance::Registers(meddler)) = &mut disturbance {
            while let Some(control) = meddler.finish() {
                self.instance.cycle(&Answers::default(), &[0; 64], Some(control));
                meddler.answered();
            }
            if let Some(text) = meddler.violation.take() {
                return Err(RunError::Protocol(text));
            }
        }
        let status = self.read(offset("status"));
        if status & 2 != 0 {
            memory.over(&self.instance.requests(&mut wdata, &mut strobe));
        }
        *touches = memory.touches;
        self.wrote_code = memory.writable.is_some_and(|w| w.wrote_code);
        if let Some(text) = memory.violation {
            return Err(RunError::Protocol(text));
        }
        let values: Vec<u64> = (0..Counters::ALL.len() as u32)
            .map(|k| {
                let at = COUNTERS_OFFSET + 8 * k;
                u64::from(self.read(at)) | u64::from(self.read(at + 4)) << 32
            })
            .collect();
        let mut output = vec![0; program.output.1 as usize];
        memory.bytes.read(program.output.0, &mut output);
        let code = status >> 8 & 15;
        let Some(status) = Status::from_code(code) else {
            return Err(RunError::Protocol(format!("status code {code}, which is none")));
        };
        Ok(Some(Run { status, counters: Counters::from_values(&values), output: Some(output), marks }))
    }

    fn cycle(&mut self, control: &mut Control) {
        control.rst_n = 1;
        self.instance.cycle(&Answers::default(), &[0; 64], Some(control));
    }

    /// A reset, of the accelerator and of all that is behind its bus.
    pub fn reset(&mut self, cycles: u32) {
        let mut control = Control::default();
        for _ in 0..cycles {
            self.instance.cycle(&Answers::default(), &[0; 64], Some(&mut control));
        }
        self.cycle(&mut control);
    }

    /// Writes a register. The response is taken in the second cycle; a run that it starts begins in the next.
    pub fn write(&mut self, address: u32, data: u32) {
        let mut control =
            Control { awaddr: address, wdata: data, awvalid: 1, wvalid: 1, bready: 1, ..Control::default() };
        self.cycle(&mut control);
        control.awvalid = 0;
        control.wvalid = 0;
        self.cycle(&mut control);
    }

    /// Reads a register.
    pub fn read(&mut self, address: u32) -> u32 {
        let mut control = Control { araddr: address, arvalid: 1, rready: 1, bready: 1, ..Control::default() };
        self.cycle(&mut control);
        control.arvalid = 0;
        while control.rvalid == 0 {
            self.cycle(&mut control);
        }
        control.rdata
    }
}

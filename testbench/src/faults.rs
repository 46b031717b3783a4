//! Injected faults: a run that goes wrong, then one that must go right, on the same instance of the RTL.

use crate::cases::{Case, Draw, random_layer, random_memory};
use crate::meddler::Meddler;
use crate::rtl::{Disturbance, Rtl, RunError, Session};
use spec::isa::{FORMS, INSTRUCTION_BYTES, Instruction};
use spec::{Config, MemorySpec, Program, Run, Status};

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Beats at some addresses are answered with SLVERR or DECERR.
    Bus,
    /// A reset in any cycle.
    Reset,
    /// Instructions are damaged, replaced, moved, or cut off.
    Program,
    /// Registers are written and read while the run is busy.
    Registers,
    /// The limit is too low.
    Limit,
    /// The memory answers nothing more, from any cycle on.
    Silence,
}

impl Kind {
    /// Every kind with its name and what it is.
    pub const ALL: [(Kind, &str, &str); 6] = [
        (Kind::Bus, "bus", "SLVERR or DECERR on beats of the program, the data or the outputs"),
        (Kind::Reset, "reset", "reset in any cycle, for 1 to 20 cycles"),
        (Kind::Program, "program", "instructions damaged, replaced, moved, doubled, left out or cut off"),
        (Kind::Registers, "registers", "any register written and read while busy"),
        (Kind::Limit, "limit", "a limit below the cycles that the run takes"),
        (Kind::Silence, "silence", "a memory that answers nothing more, from any cycle on; then a reset"),
    ];
}

/// What was seen of a fault whose run, and the one after it, were as they should be.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// What went wrong.
    pub kind: Kind,
    /// How the run ended, if it was not reset.
    pub status: Option<Status>,
    /// Whether the model could say so before.
    pub predicted: bool,
    /// Cycles of both runs.
    pub cycles: u64,
}

/// What is wrong with a run, or with the one after it.
#[derive(Debug)]
pub struct Wrong {
    /// In words.
    pub text: String,
    /// The run has no result, because of this.
    pub run: Option<RunError>,
}

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.run {
            Some(e) => write!(f, "{e}; {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

impl std::error::Error for Wrong {}

impl From<String> for Wrong {
    fn from(text: String) -> Self {
        Self { text, run: None }
    }
}

impl From<RunError> for Wrong {
    fn from(e: RunError) -> Self {
        Self { text: String::new(), run: Some(e) }
    }
}

impl Wrong {
    fn with(self, text: String) -> Self {
        Self { text: self.text + &text, ..self }
    }
}

/// Most cycles that a good run of a campaign takes.
const LONGEST: u64 = 12_000;

/// A good case that is soon over.
fn small_case(d: &mut Draw, seed: u64, config: &Config) -> (Case, Run) {
    loop {
        let layer = random_layer(d, config);
        let memory = random_memory(d, config);
        if layer.padded_macs() > 100_000 {
            continue;
        }
        if let Ok(case) = Case::new(config.clone(), layer, memory, seed)
            && let Ok(model) = cyclemodel::run(config, &case.program, &case.memory)
            && model.counters.cycles <= LONGEST
        {
            return (case, model);
        }
    }
}

/// Fault `index` of a campaign on `config`.
pub fn run(rtl: &Rtl, config: &Config, seed: u64, index: u64) -> Result<Seen, Wrong> {
    let d = &mut Draw::new(seed ^ 0xfa17, index);
    let kind = Kind::ALL[d.between(0, Kind::ALL.len() as u32 - 1) as usize].0;
    let (case, good) = small_case(d, seed ^ index, config);
    let (next, next_model) = small_case(d, !(seed ^ index), config);
    let mut session = rtl.session(seed ^ index)?;
    session.audit = true;
    let seen = inject(d, &mut session, kind, &case, &good)
        .map_err(|e| e.with(format!("\n{kind:?}, {} with {:?}", case.layer, case.memory)))?;
    let after = |e: Wrong| e.with(format!("; {} with {:?} after {seen:?}", next.layer, next.memory));
    let run = session.run(&next.program, &next.memory, crate::limit(next_model.counters.cycles));
    let run = run.map_err(|e| after(e.into()))?;
    let cycles = seen.cycles + run.counters.cycles;
    match next.judge(run, next_model).difference() {
        None => Ok(Seen { cycles, ..seen }),
        Some(text) => Err(after(text.into())),
    }
}

fn inject(
    d: &mut Draw,
    session: &mut Session<'_>,
    kind: Kind,
    case: &Case,
    good: &Run,
) -> Result<Seen, Wrong> {
    let (config, cycles) = (&case.config, good.counters.cycles);
    let (mut program, mut memory) = (case.program.clone(), case.memory.clone());
    let within = |d: &mut Draw| u64::from(d.between(1, cycles as u32 - 1));
    let seen = |run: &Run, predicted| Seen {
        kind,
        status: Some(run.status),
        predicted,
        cycles: run.counters.cycles,
    };
    let limit = crate::limit(cycles);
    match kind {
        Kind::Bus => {
            memory.fault = Some(fault(d, &program));
            let run = session.run(&program, &memory, limit)?;
            compare(config, &program, &memory, &run)?;
            Ok(seen(&run, true))
        }
        Kind::Program => {
            damage(d, &mut program);
            program.limit = 2 * cycles as u32 + 1000;
            let run =
                session.run(&program, &memory, limit).map_err(|e| Wrong::from(e).with(said(&program)))?;
            // What a program becomes that writes over itself depends on when fetch reads it.
            let predicted = !session.wrote_code;
            if predicted {
                compare(config, &program, &memory, &run).map_err(|e| Wrong::from(e).with(said(&program)))?;
            }
            Ok(seen(&run, predicted))
        }
        Kind::Limit => {
            program.limit = within(d) as u32;
            let run = session.run(&program, &memory, limit)?;
            compare(config, &program, &memory, &run)?;
            Ok(seen(&run, true))
        }
        Kind::Reset => {
            let reset = Disturbance::Reset { at: within(d), cycles: d.between(1, 20) };
            match session.run_disturbed(&program, &memory, limit, reset)? {
                None => Ok(Seen { kind, status: None, predicted: true, cycles }),
                Some(run) => Err(format!("it ended with status {} before its time", run.status).into()),
            }
        }
        Kind::Registers => {
            let mut meddler = Meddler::new(Draw::new(u64::from(d.between(0, 1 << 30)), 0));
            let registers = Disturbance::Registers(&mut meddler);
            let run = session.run_disturbed(&program, &memory, limit, registers)?;
            let run = run.unwrap_or_default();
            match case.judge(run.clone(), good.clone()).difference() {
                Some(text) => Err(format!("{} writes of registers: {text}", meddler.writes).into()),
                None => Ok(seen(&run, true)),
            }
        }
        Kind::Silence => {
            let silence = Disturbance::Silence { from: within(d) };
            program.limit = cycles as u32 + d.between(1, 2000);
            let run = session.run_disturbed(&program, &memory, limit, silence)?;
            let run = run.unwrap_or_default();
            // What the memory still owes may be nothing.
            if ![Status::Timeout, Status::Ok].contains(&run.status) {
                return Err(format!("status {}", run.status).into());
            }
            session.reset(d.between(1, 20));
            Ok(seen(&run, false))
        }
    }
}

/// The damaged program.
fn said(program: &Program) -> String {
    let code = program.instructions().map(|i| i.map_or_else(|e| e.to_string(), |i| i.to_string()));
    format!(", limit {}:\n{}", program.limit, code.collect::<Vec<_>>().join("\n"))
}

/// The status, and after a good end all counters, are the model's.
fn compare(config: &Config, program: &Program, memory: &MemorySpec, run: &Run) -> Result<(), String> {
    let model = cyclemodel::run(config, program, memory).map_err(|e| e.to_string())?;
    if run.status != model.status {
        return Err(format!("status: RTL {}, model {}", run.status, model.status));
    }
    if run.status == Status::Deadlock && run.counters.cycles != model.counters.cycles {
        return Err(format!("deadlock: RTL {}, model {}", run.counters.cycles, model.counters.cycles));
    }
    if run.status == Status::Ok && (run.counters, &run.marks) != (model.counters, &model.marks) {
        return Err(format!("RTL {:?}, model {:?}", run.counters, model.counters));
    }
    Ok(())
}

/// A range of addresses that the program uses, most of them of a few bytes.
fn fault(d: &mut Draw, program: &Program) -> std::ops::Range<u64> {
    let mut places = vec![(program.base, program.code.len() as u32), program.output];
    places.extend(program.data.iter().map(|s| (s.address, s.bytes.len() as u32)));
    places.retain(|(_, bytes)| *bytes > 0);
    let (address, bytes) = d.of(&places);
    let start = u64::from(address) + u64::from(d.between(0, bytes - 1));
    start..start + u64::from(if d.chance(80) { d.between(1, 8) } else { d.between(1, bytes) })
}

/// Damages one to three of its instructions.
fn damage(d: &mut Draw, program: &mut Program) {
    let (chunks, _) = program.code.as_chunks::<INSTRUCTION_BYTES>();
    let mut code = chunks.to_vec();
    for _ in 0..d.between(1, 3) {
        if code.is_empty() {
            break;
        }
        let at = d.between(0, code.len() as u32 - 1) as usize;
        let other = d.between(0, code.len() as u32 - 1) as usize;
        match d.between(0, 9) {
            0 | 1 => {
                for _ in 0..d.between(1, 4) {
                    code[at][d.between(0, INSTRUCTION_BYTES as u32 - 1) as usize] ^= 1 << d.between(0, 7);
                }
            }
            2 => code[at].iter_mut().for_each(|byte| *byte = d.between(0, 255) as u8),
            3 => code[at] = random_instruction(d),
            4 => code.insert(at, random_instruction(d)),
            5 | 6 => code[at] = other_field(d, &code[at]),
            7 => code.swap(at, other),
            8 => {
                if d.chance(50) {
                    code.remove(at);
                } else {
                    code.insert(at, code[other]);
                }
            }
            _ => code.truncate(at),
        }
    }
    program.code = code.concat();
}

/// A value for a field of `width` bits: mostly small, sometimes any or an extreme one.
fn value(d: &mut Draw, width: u32) -> u64 {
    let any = (u64::from(d.between(0, 0xffff)) << 16) | u64::from(d.between(0, 0xffff));
    let mask = (1 << width) - 1;
    match d.between(0, 9) {
        0 => 0,
        1..6 => any & mask & 0xf,
        6 => mask,
        7 => mask >> 1,
        _ => any & mask,
    }
}

fn put(bytes: &mut [u8; INSTRUCTION_BYTES], lsb: u32, width: u32, value: u64) {
    for bit in 0..width {
        let at = (lsb + bit) as usize;
        let one = (value >> bit & 1) as u8;
        bytes[at / 8] = bytes[at / 8] & !(1 << (at % 8)) | one << (at % 8);
    }
}

/// A well-formed opcode with random fields.
fn random_instruction(d: &mut Draw) -> [u8; INSTRUCTION_BYTES] {
    let form = &FORMS[d.between(0, FORMS.len() as u32 - 1) as usize];
    let mut bytes = [0; INSTRUCTION_BYTES];
    put(&mut bytes, spec::isa::OPCODE.lsb, spec::isa::OPCODE.width, form.opcode.into());
    for field in form.fields {
        // A program that waits for many tokens tells little.
        let value = if field.name.starts_with("pop_") && d.chance(80) { 0 } else { value(d, field.width) };
        put(&mut bytes, field.lsb, field.width, value);
    }
    bytes
}

/// The instruction with another value in one field.
fn other_field(d: &mut Draw, bytes: &[u8; INSTRUCTION_BYTES]) -> [u8; INSTRUCTION_BYTES] {
    let mut bytes = *bytes;
    if let Ok(i) = Instruction::decode(&bytes)
        && !i.form().fields.is_empty()
    {
        let fields = i.form().fields;
        let field = fields[d.between(0, fields.len() as u32 - 1) as usize];
        let value = value(d, field.width);
        put(&mut bytes, field.lsb, field.width, value);
    }
    bytes
}

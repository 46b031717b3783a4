//! A monitor at the pins: how often a run reads each bus word of the memory, and writes each byte.

use spec::isa::Instruction;
use spec::{Program, isa::DecodeError};

const PAGE: usize = 4096;

/// Small counts by address, allocated where they are not zero. A count stays at its most.
#[derive(Clone)]
struct Counts {
    /// Bytes that share a count.
    unit: usize,
    pages: Vec<Option<Box<[u8]>>>,
}

impl Counts {
    fn new(unit: usize) -> Self {
        Self { unit, pages: vec![None; 1 << 20] }
    }

    fn add(&mut self, address: u32) {
        let (at, unit) = (address as usize, self.unit);
        let page = self.pages[at / PAGE].get_or_insert_with(|| vec![0; PAGE / unit].into());
        let count = &mut page[at % PAGE / unit];
        *count = count.saturating_add(1);
    }

    fn get(&self, address: u32) -> u8 {
        let at = address as usize;
        self.pages[at / PAGE].as_ref().map_or(0, |page| page[at % PAGE / self.unit])
    }

    /// The addresses that have counts, unit by unit.
    fn addresses(&self) -> impl Iterator<Item = u32> + '_ {
        let used = self.pages.iter().enumerate().filter_map(|(k, page)| page.as_ref().map(|p| (k, p)));
        used.flat_map(move |(k, page)| {
            let counted = page.iter().enumerate().filter(|(_, count)| **count > 0);
            counted.map(move |(i, _)| (k * PAGE + i * self.unit) as u32)
        })
    }
}

/// What a program's loads and stores ask for.
struct Asked {
    bytes: Counts,
    /// Bus words, once for each run of bytes that has a part of them.
    words: Counts,
    stored: Counts,
}

impl Asked {
    fn by(program: &Program, bus: u32) -> Result<Self, DecodeError> {
        let mut asked =
            Self { bytes: Counts::new(1), words: Counts::new(bus as usize), stored: Counts::new(1) };
        let runs = |address: u32, bytes: u32, runs: u32, pitch: u32| {
            let start = move |run: u32| address.wrapping_add(run.wrapping_mul(pitch));
            (0..runs).map(move |run| (start(run), start(run).wrapping_add(bytes)))
        };
        for instruction in program.instructions() {
            match instruction? {
                Instruction::Load(i) => {
                    for (from, to) in runs(i.src, i.run_bytes, i.runs, i.run_pitch) {
                        (from..to).for_each(|at| asked.bytes.add(at));
                        (from / bus..to.div_ceil(bus)).for_each(|word| asked.words.add(word * bus));
                    }
                }
                Instruction::Store(i) => {
                    for (from, to) in runs(i.dst, i.run_bytes, i.runs, i.run_pitch) {
                        (from..to).for_each(|at| asked.stored.add(at));
                    }
                }
                _ => {}
            }
        }
        Ok(asked)
    }
}

/// What a run touched.
#[derive(Clone)]
pub struct Touches {
    bus: u32,
    reads: Counts,
    writes: Counts,
}

/// What a run touched, beside what its program asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Bytes that load instructions ask for, each counted once.
    pub bytes_read: u64,
    /// Those of them that are asked for more often than their readers want.
    pub bytes_read_again: u64,
    /// Bus words that were read, instructions aside.
    pub words_read: u64,
    /// Those of them that were read more often than their readers want.
    pub words_read_again: u64,
    /// Those of the latter that loads share, although no byte of them is asked for again: where one run of bytes ends in
    /// the middle of a word, and the next one starts.
    pub words_shared: u64,
    /// Bytes that were written.
    pub bytes_written: u64,
    /// Those of them that were written more than once.
    pub bytes_written_again: u64,
    /// Words that were read more or less often than the program asks for, and bytes that were written more or less often.
    pub unexplained: u64,
}

impl Audit {
    /// Whether nothing was fetched or stored twice.
    pub fn is_once(&self) -> bool {
        self.bytes_read_again == 0
            && self.words_read_again == self.words_shared
            && self.bytes_written_again == 0
            && self.unexplained == 0
    }
}

impl Touches {
    /// Of a memory behind a bus of `bus` bytes.
    pub fn new(bus: u32) -> Self {
        Self { bus, reads: Counts::new(bus as usize), writes: Counts::new(1) }
    }

    /// A beat was read at `address`.
    pub fn read(&mut self, address: u32) {
        self.reads.add(address);
    }

    /// A beat was written at `address`.
    pub fn write(&mut self, address: u32, strobe: impl Fn(usize) -> bool) {
        for k in (0..self.bus).filter(|&k| strobe(k as usize)) {
            self.writes.add(address.wrapping_add(k));
        }
    }

    /// Compares with what the loads and stores of the program ask for. `layers` are the programs of its layers one by
    /// one: a byte has as many readers as there are layers that load it.
    pub fn audit(&self, program: &Program, layers: &[Program]) -> Result<Audit, DecodeError> {
        let Asked { bytes: wanted, words, stored } = Asked::by(program, self.bus)?;
        let mut layered = Counts::new(1);
        for layer in layers {
            let asked = Asked::by(layer, self.bus)?;
            asked.bytes.addresses().for_each(|at| layered.add(at));
        }
        let readers = |at: u32| layered.get(at);
        let mut audit = Audit::default();
        for at in wanted.addresses() {
            audit.bytes_read += 1;
            audit.bytes_read_again += u64::from(wanted.get(at) > readers(at));
        }
        let code = program.base..program.base + program.code.len() as u32;
        for at in self.reads.addresses().filter(|at| !code.contains(at)) {
            audit.words_read += 1;
            let bytes = at..at + self.bus;
            let most = bytes.clone().map(readers).max().unwrap_or(0);
            if self.reads.get(at) > most {
                audit.words_read_again += 1;
                audit.words_shared += u64::from(bytes.clone().all(|b| wanted.get(b) <= readers(b)));
            }
            audit.unexplained += u64::from(self.reads.get(at) != words.get(at));
        }
        audit.unexplained += words.addresses().filter(|&at| self.reads.get(at) == 0).count() as u64;
        for at in self.writes.addresses() {
            audit.bytes_written += 1;
            audit.bytes_written_again += u64::from(self.writes.get(at) > 1);
            audit.unexplained += u64::from(self.writes.get(at) != stored.get(at));
        }
        audit.unexplained += stored.addresses().filter(|&at| self.writes.get(at) == 0).count() as u64;
        Ok(audit)
    }
}

//! The host's side: requests over a line of bytes, and runs of programs through them. The protocol is in
//! docs/boards.md and in `rtl/koch_link.sv`.

use spec::regs::{COUNTERS_OFFSET, ID, REGISTERS};
use spec::{Config, Counters, Program, Run, Status};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// A line of bytes to a board.
pub trait Port {
    /// Sends all bytes.
    fn send(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Waits for bytes until the buffer is full or none has come for a while; how many there are.
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
    /// Is silent for longer than a board waits for the rest of a request, and forgets what has come in.
    fn settle(&mut self) -> io::Result<()>;
    /// Lets time pass while a program runs.
    fn pause(&mut self) -> io::Result<()>;
}

impl<P: Port + ?Sized> Port for Box<P> {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        (**self).send(bytes)
    }
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (**self).receive(buffer)
    }
    fn settle(&mut self) -> io::Result<()> {
        (**self).settle()
    }
    fn pause(&mut self) -> io::Result<()> {
        (**self).pause()
    }
}

/// A serial port.
pub struct Serial(serial2::SerialPort);

/// Silence that ends waiting for a reply: a board answers at once, a USB converter holds bytes back for 16 ms.
const PATIENCE: Duration = Duration::from_millis(300);
/// Longer than 2^timeout_bits cycles of any board, which are 20 to 42 ms.
const SETTLE: Duration = Duration::from_millis(60);

impl Serial {
    /// Opens a port at a baud rate.
    ///
    /// # Errors
    /// Names the port and what to do.
    pub fn open(path: &Path, baud: u32) -> Result<Self, DriverError> {
        let error = |e: io::Error| {
            DriverError(format!(
                "serial port {} at {baud} baud: {e}; give the board's port, as --port /dev/ttyUSB0, with the right to use it",
                path.display()
            ))
        };
        let mut port = serial2::SerialPort::open(path, baud).map_err(error)?;
        port.set_read_timeout(PATIENCE).map_err(error)?;
        Ok(Self(port))
    }
}

impl Port for Serial {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut have = 0;
        while have < buffer.len() {
            match self.0.read(&mut buffer[have..]) {
                Ok(0) => break,
                Ok(n) => have += n,
                Err(e) if e.kind() == io::ErrorKind::TimedOut => break,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(have)
    }

    fn settle(&mut self) -> io::Result<()> {
        std::thread::sleep(SETTLE);
        self.0.discard_input_buffer()
    }

    fn pause(&mut self) -> io::Result<()> {
        std::thread::sleep(Duration::from_millis(1));
        Ok(())
    }
}

/// Why a board did not do what it was asked to: the message names what was seen and the remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DriverError(String);

impl fmt::Display for DriverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for DriverError {}

impl From<io::Error> for DriverError {
    fn from(e: io::Error) -> Self {
        Self(format!("the line to the board: {e}; is it still plugged in?"))
    }
}

fn error<T>(text: String) -> Result<T, DriverError> {
    Err(DriverError(text))
}

const REQUEST: u8 = 0xa5;
const REPLY: u8 = 0x5a;
const MAGIC: u32 = 0x314b_4c4b;
/// Words of a request at most.
pub const MOST_WORDS: usize = 255;
const TRIES: u32 = 4;

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    ReadMemory = 2,
    WriteMemory = 3,
    ReadRegister = 4,
    WriteRegister = 5,
    Identify = 6,
}

/// CRC-16/CCITT from 0xffff.
fn crc(bytes: &[u8]) -> [u8; 2] {
    let crc = bytes.iter().fold(0xffffu16, |crc, &byte| {
        (0..8).fold(crc ^ u16::from(byte) << 8, |c, _| c << 1 ^ if c & 0x8000 == 0 { 0 } else { 0x1021 })
    });
    crc.to_be_bytes()
}

fn offset(name: &str) -> u32 {
    REGISTERS.iter().find(|r| r.name == name).map_or(0, |r| r.offset)
}

/// Why a request has no good reply.
enum Refusal {
    /// Worth another try: something on the line went wrong.
    Line(String),
    /// Not worth one.
    Board(String),
}

/// A board at the other end of a line.
pub struct Driver<P> {
    port: P,
    memory: u32,
}

impl<P: Port> Driver<P> {
    /// Finds out who is there, and whether it is a board with this config.
    ///
    /// # Errors
    /// Nobody answers, or another config is there.
    pub fn connect(port: P, config: &Config) -> Result<Self, DriverError> {
        let mut driver = Self { port, memory: 0 };
        driver.port.settle()?;
        let words = driver.request(Operation::Identify, 0, 2, &[])?;
        let [magic, memory] = words[..] else { return error("the board identifies as nothing".into()) };
        if magic != MAGIC {
            return error(format!(
                "the board identifies as {magic:#010x}, not as {MAGIC:#010x}: load a bitstream of this version of koch"
            ));
        }
        driver.memory = memory;
        let shape = driver.registers("id", 3)?;
        let wanted = u32::from_str_radix(&config.hash()[..8], 16).unwrap_or(0);
        if shape[0] != ID {
            return error(format!(
                "register id is {:#010x}, not {ID:#010x}: load a bitstream of koch",
                shape[0]
            ));
        }
        if shape[2] != wanted {
            return error(format!(
                "the board has config {:08x} ({} rows, {} columns, {} lanes), wanted is {} ({wanted:08x}): load its \
                 bitstream, or give --config as it was built",
                shape[2],
                shape[1] & 255,
                shape[1] >> 8 & 255,
                shape[1] >> 16 & 255,
                config.name
            ));
        }
        Ok(driver)
    }

    /// Bytes of the board's memory.
    pub fn memory(&self) -> u32 {
        self.memory
    }

    /// The line itself.
    pub fn port(&mut self) -> &mut P {
        &mut self.port
    }

    /// One request until it has a good reply, a few times at most.
    fn request(
        &mut self,
        operation: Operation,
        address: u32,
        count: u8,
        words: &[u8],
    ) -> Result<Vec<u32>, DriverError> {
        let mut last = String::new();
        for _ in 0..TRIES {
            match self.once(operation, address, count, words)? {
                Ok(words) => return Ok(words),
                Err(Refusal::Board(text)) => return error(text),
                Err(Refusal::Line(text)) => last = text,
            }
            self.port.settle()?;
        }
        error(format!(
            "{operation:?} at {address:#x}: {last}, {TRIES} times; check the port, the baud rate, and that the board's \
             bitstream is loaded"
        ))
    }

    fn once(
        &mut self,
        operation: Operation,
        address: u32,
        count: u8,
        words: &[u8],
    ) -> io::Result<Result<Vec<u32>, Refusal>> {
        let mut frame = vec![REQUEST, operation as u8];
        frame.extend(address.to_le_bytes());
        frame.push(count);
        frame.extend(crc(&frame[1..]));
        if !words.is_empty() {
            frame.extend(words);
            frame.extend(crc(words));
        }
        self.port.send(&frame)?;
        let line = |text: String| Ok(Err(Refusal::Line(text)));
        let mut head = [0; 2];
        let got = self.port.receive(&mut head)?;
        if got < 2 {
            return line(if got == 0 { "no reply".into() } else { "a reply of one byte".into() });
        }
        if head[0] != REPLY {
            return line(format!("a reply that starts with {:#04x}", head[0]));
        }
        let reads = words.is_empty() && head[1] == 0;
        let mut rest = vec![0; if reads { 4 * usize::from(count) } else { 0 } + 2];
        let got = self.port.receive(&mut rest)?;
        if got < rest.len() {
            return line(format!("a reply of {} bytes, {} are missing", got + 2, rest.len() - got));
        }
        let (body, check) = rest.split_at(rest.len() - 2);
        let checked: Vec<u8> = [&head[1..], body].concat();
        if crc(&checked) != check {
            return line("a reply with a wrong CRC".into());
        }
        let at = format!("{operation:?} of {count} words at {address:#x}");
        match head[1] {
            0 => {
                let (words, _) = body.as_chunks::<4>();
                Ok(Ok(words.iter().map(|w| u32::from_le_bytes(*w)).collect()))
            }
            1 => line("the board saw a wrong CRC".into()),
            2 => Ok(Err(Refusal::Board(format!(
                "{at}: the board refuses it: memory has {} bytes, registers 256; addresses are multiples of 4",
                self.memory
            )))),
            3 => line("the accelerator left the memory no cycle".into()),
            4 => Ok(Err(Refusal::Board(format!("{at}: the accelerator answered with an error")))),
            n => line(format!("a reply with status {n}")),
        }
    }

    /// `count` registers from the one of that name on.
    fn registers(&mut self, first: &str, count: u8) -> Result<Vec<u32>, DriverError> {
        self.request(Operation::ReadRegister, offset(first), count, &[])
    }

    fn write_register(&mut self, name: &str, value: u32) -> Result<(), DriverError> {
        self.request(Operation::WriteRegister, offset(name), 1, &value.to_le_bytes()).map(|_| ())
    }

    /// Writes words of memory.
    ///
    /// # Errors
    /// Of the line, or addresses beyond the memory.
    pub fn write(&mut self, address: u32, bytes: &[u8]) -> Result<(), DriverError> {
        let mut at = address;
        for part in bytes.chunks(4 * MOST_WORDS) {
            self.request(Operation::WriteMemory, at, (part.len() / 4) as u8, part)?;
            at += part.len() as u32;
        }
        Ok(())
    }

    /// Reads bytes of memory.
    ///
    /// # Errors
    /// Of the line, or addresses beyond the memory.
    pub fn read(&mut self, address: u32, length: u32) -> Result<Vec<u8>, DriverError> {
        let (first, end) = (address & !3, (address + length).next_multiple_of(4));
        let mut bytes = Vec::new();
        let mut at = first;
        while at < end {
            let count = ((end - at) / 4).min(MOST_WORDS as u32);
            let words = self.request(Operation::ReadMemory, at, count as u8, &[])?;
            bytes.extend(words.iter().flat_map(|w| w.to_le_bytes()));
            at += 4 * count;
        }
        let skip = (address - first) as usize;
        Ok(bytes[skip..skip + length as usize].to_vec())
    }

    /// Puts a program and its data into memory; what they leave of a word is zero. `sent` is told how many bytes are there.
    ///
    /// # Errors
    /// Of the line, or a program that the memory does not hold.
    pub fn load(&mut self, program: &Program, mut sent: impl FnMut(u64)) -> Result<(), DriverError> {
        fits(program, self.memory)?;
        let mut done = 0;
        for (address, bytes) in image(program) {
            for (k, part) in bytes.chunks(4 * MOST_WORDS).enumerate() {
                self.write(address + (4 * MOST_WORDS * k) as u32, part)?;
                done += part.len() as u64;
                sent(done);
            }
        }
        Ok(())
    }

    /// Runs a loaded program: what the registers and the memory say afterwards. A host does not see when layers start,
    /// so there are no marks.
    ///
    /// # Errors
    /// Of the line, or no end within `limit`.
    pub fn run(&mut self, program: &Program, limit: Duration) -> Result<Run, DriverError> {
        self.write_register("program", program.base)?;
        self.write_register("instructions", program.len())?;
        // Enabled, and the last run's done bit cleared: a set one is this run's.
        self.write_register("interrupt", 3)?;
        // Twice would be two runs, so a lost reply is no reason to ask again: the status says whether it started.
        let started = self.once(Operation::WriteRegister, offset("control"), 1, &1u32.to_le_bytes())?;
        if started.is_err() {
            self.port.settle()?;
            if self.registers("status", 1)?[0] & 3 == 0 {
                self.write_register("control", 1)?;
            }
        }
        let begin = Instant::now();
        let status = loop {
            let status = self.registers("status", 1)?[0];
            if status & 2 != 0 {
                break status;
            }
            if begin.elapsed() > limit {
                return error(format!(
                    "the accelerator was still busy after {:.1} s; the cycle model predicts less: please report the \
                     program and the config",
                    limit.as_secs_f64()
                ));
            }
            self.port.pause()?;
        };
        let words =
            self.request(Operation::ReadRegister, COUNTERS_OFFSET, (2 * Counters::ALL.len()) as u8, &[])?;
        let (pairs, _) = words.as_chunks::<2>();
        let values: Vec<u64> =
            pairs.iter().map(|[low, high]| u64::from(*low) | u64::from(*high) << 32).collect();
        let output = self.read(program.output.0, program.output.1)?;
        Ok(Run {
            status: Status::from_code(status >> 8 & 15).unwrap_or_default(),
            counters: Counters::from_values(&values),
            output: Some(output),
            marks: Vec::new(),
        })
    }
}

/// Checks that a memory of so many bytes holds a program, its data and its outputs.
///
/// # Errors
/// Names both sizes.
pub fn fits(program: &Program, memory: u32) -> Result<(), DriverError> {
    let end = |address: u32, length: usize| u64::from(address) + length as u64;
    let code = end(program.base, program.code.len());
    let output = end(program.output.0, program.output.1 as usize);
    let data = program.data.iter().map(|s| end(s.address, s.bytes.len())).max().unwrap_or(0);
    let need = code.max(output).max(data);
    if need > u64::from(memory) {
        return error(format!(
            "the program and its data take {need} bytes of memory, the board has {memory}: use a smaller layer or network, or \
             a board with more"
        ));
    }
    Ok(())
}

/// Runs of whole words that a program wants in memory.
fn image(program: &Program) -> Vec<(u32, Vec<u8>)> {
    let mut words: BTreeMap<u32, [u8; 4]> = BTreeMap::new();
    let mut put = |address: u32, bytes: &[u8]| {
        for (at, byte) in (address..).zip(bytes) {
            words.entry(at & !3).or_default()[(at & 3) as usize] = *byte;
        }
    };
    for segment in &program.data {
        put(segment.address, &segment.bytes);
    }
    put(program.base, &program.code);
    let mut runs: Vec<(u32, Vec<u8>)> = Vec::new();
    for (address, word) in words {
        match runs.last_mut() {
            Some((first, bytes)) if *first + bytes.len() as u32 == address => bytes.extend(word),
            _ => runs.push((address, word.to_vec())),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc_is_the_known_one() {
        // The check value of CRC-16/CCITT-FALSE.
        assert_eq!(crc(b"123456789"), [0x29, 0xb1]);
        let data = [1, 2, 3, 4, 5];
        assert_eq!(crc(&[&data[..], &crc(&data)].concat()), [0, 0]);
    }
}

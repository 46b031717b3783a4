//! Boards: a folder each, with `board.toml`, constraints and `top.sv`.

use crate::pll;
use serde::{Deserialize, Serialize};
use spec::{Config, ConfigSpec, MemorySpec, Size};
use std::fmt;
use std::path::Path;

/// RTL that all boards share.
const RTL: [(&str, &str); 6] = [
    ("koch_uart_rx.sv", include_str!("../rtl/koch_uart_rx.sv")),
    ("koch_uart_tx.sv", include_str!("../rtl/koch_uart_tx.sv")),
    ("koch_link.sv", include_str!("../rtl/koch_link.sv")),
    ("koch_memory.sv", include_str!("../rtl/koch_memory.sv")),
    ("koch_board.sv", include_str!("../rtl/koch_board.sv")),
    ("koch_reset.sv", include_str!("../rtl/koch_reset.sv")),
];
const STORE: [(&str, &str); 2] = [
    ("koch_store_lane.sv", include_str!("../rtl/block/koch_store_lane.sv")),
    ("koch_store.sv", include_str!("../rtl/block/koch_store.sv")),
];
const STORE_SPRAM: [(&str, &str); 1] = [("koch_store.sv", include_str!("../rtl/spram/koch_store.sv"))];

/// What belongs to a board that is part of this program.
struct Folder {
    name: &'static str,
    board: &'static str,
    top: &'static str,
    constraints: &'static str,
}

const FOLDERS: [Folder; 3] = [
    Folder {
        name: "icebreaker",
        board: include_str!("../boards/icebreaker/board.toml"),
        top: include_str!("../boards/icebreaker/top.sv"),
        constraints: include_str!("../boards/icebreaker/icebreaker.pcf"),
    },
    Folder {
        name: "ulx3s-85f",
        board: include_str!("../boards/ulx3s-85f/board.toml"),
        top: include_str!("../boards/ulx3s-85f/top.sv"),
        constraints: include_str!("../boards/ulx3s-85f/ulx3s-85f.lpf"),
    },
    Folder {
        name: "zynq7045",
        board: include_str!("../boards/zynq7045/board.toml"),
        top: "",
        constraints: "",
    },
];

/// A board that cannot be used: the message names value, limit and remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoardError(String);

impl fmt::Display for BoardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BoardError {}

fn error<T>(text: String) -> Result<T, BoardError> {
    Err(BoardError(text))
}

/// The tools that make a bitstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Flow {
    /// Yosys, nextpnr-ecp5, ecppack.
    Ecp5,
    /// Yosys, nextpnr-ice40, icepack.
    Ice40,
    /// Yosys alone, for what a Xilinx 7-series part would need: no open tool places these everywhere.
    Xc7,
}

/// `board.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BoardSpec {
    title: String,
    flow: Flow,
    device: String,
    #[serde(default)]
    package: String,
    speed: Option<u32>,
    #[serde(default)]
    oscillator_mhz: f64,
    #[serde(default)]
    clock_mhz: f64,
    #[serde(default)]
    baud: u32,
    memory: Option<Size>,
    #[serde(default)]
    latency: u32,
    #[serde(default)]
    outstanding: u32,
    config: ConfigSpec,
}

/// A board, checked.
#[derive(Clone, Debug, Serialize)]
pub struct Board {
    /// The folder's name.
    pub name: String,
    /// What it is.
    pub title: String,
    /// The tools.
    pub flow: Flow,
    /// The part as nextpnr calls it.
    pub device: String,
    /// Its package.
    pub package: String,
    /// Its speed grade, where nextpnr asks for one.
    pub speed: Option<u32>,
    /// The oscillator's frequency, MHz.
    pub oscillator_mhz: f64,
    /// The accelerator's clock, MHz.
    pub clock_mhz: f64,
    /// Bits a second on the UART.
    pub baud: u32,
    /// Bytes of memory on chip that stand for DRAM.
    pub memory: u32,
    /// Its latency in cycles, as in [`MemorySpec`].
    pub latency: u32,
    /// Bursts of each kind that it takes.
    pub outstanding: u32,
    /// The config that is built unless another is given.
    pub config: Config,
    #[serde(skip)]
    top: String,
    #[serde(skip)]
    constraints: String,
}

/// Cycles and bits of a UART in a design.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uart {
    /// Clock cycles of a bit.
    pub clocks_per_bit: u32,
    /// Silence of 2^this cycles within a request drops it.
    pub timeout_bits: u32,
}

impl Uart {
    /// The fastest that the receiver takes, for simulation.
    pub const FAST: Self = Self { clocks_per_bit: 4, timeout_bits: 10 };
}

impl Board {
    /// Names of the boards that are part of this program.
    pub fn names() -> Vec<&'static str> {
        FOLDERS.iter().map(|f| f.name).collect()
    }

    /// A board by its name, or from a folder: what has a `/` is one.
    pub fn find(name: &str) -> Result<Self, BoardError> {
        if name.contains('/') {
            return Self::load(Path::new(name));
        }
        match FOLDERS.iter().find(|f| f.name == name) {
            Some(f) => Self::new(f.name, f.board, f.top, f.constraints),
            None => error(format!(
                "no board is named `{name}`: use one of {}, or the path of a board's folder, as ./{name}",
                Self::names().join(", ")
            )),
        }
    }

    fn load(dir: &Path) -> Result<Self, BoardError> {
        let name = dir.file_name().and_then(|n| n.to_str()).unwrap_or("board").to_owned();
        let read = |file: &str| {
            let path = dir.join(file);
            std::fs::read_to_string(&path).map_err(|e| {
                BoardError(format!(
                    "{}: {e}; docs/boards.md says what a board's folder holds",
                    path.display()
                ))
            })
        };
        let board = read("board.toml")?;
        let flow = Self::new(&name, &board, "", "")?.flow;
        match flow {
            Flow::Ecp5 => Self::new(&name, &board, &read("top.sv")?, &read(&format!("{name}.lpf"))?),
            Flow::Ice40 => Self::new(&name, &board, &read("top.sv")?, &read(&format!("{name}.pcf"))?),
            Flow::Xc7 => Self::new(&name, &board, "", ""),
        }
    }

    fn new(name: &str, text: &str, top: &str, constraints: &str) -> Result<Self, BoardError> {
        let spec: BoardSpec = toml::from_str(text)
            .map_err(|e| BoardError(format!("board {name}: {}", e.to_string().trim_end())))?;
        let label = if name.len() <= 40 { name } else { "board" };
        let config = Config::new(label, spec.config).map_err(|e| BoardError(format!("board {name}: {e}")))?;
        let board = Self {
            name: name.to_owned(),
            title: spec.title,
            flow: spec.flow,
            device: spec.device,
            package: spec.package,
            speed: spec.speed,
            oscillator_mhz: spec.oscillator_mhz,
            clock_mhz: spec.clock_mhz,
            baud: spec.baud,
            memory: spec.memory.map_or(0, |m| u32::try_from(m.0).unwrap_or(u32::MAX)),
            latency: spec.latency,
            outstanding: spec.outstanding,
            config,
            top: top.to_owned(),
            constraints: constraints.to_owned(),
        };
        if board.flow != Flow::Xc7 {
            board.check()?;
        }
        Ok(board)
    }

    fn check(&self) -> Result<(), BoardError> {
        let at = |text: String| error(format!("board {}: {text}", self.name));
        let (least, most) = match self.flow {
            Flow::Ice40 => (128 << 10, 128 << 10),
            _ => (4 << 10, 1 << 20),
        };
        if !self.memory.is_power_of_two() || !(least..=most).contains(&self.memory) {
            return at(format!(
                "memory = {} bytes: must be a power of two in {least}..={most}; use one, as \"64KiB\"",
                self.memory
            ));
        }
        let least = if self.single_port() { 10 } else { 7 };
        if !(least..=64).contains(&self.latency) {
            return at(format!(
                "latency = {}: must be {least}..=64 cycles, what the memory on chip can keep; bring it into the range",
                self.latency
            ));
        }
        if !self.outstanding.is_power_of_two() || !(2..=16).contains(&self.outstanding) {
            return at(format!(
                "outstanding = {}: must be 2, 4, 8 or 16 bursts; use one of these",
                self.outstanding
            ));
        }
        if !(9_600..=12_000_000).contains(&self.baud) {
            return at(format!("baud = {}: must be 9600..=12000000; bring it into the range", self.baud));
        }
        self.clocked(self.clock_mhz).map(|_| ())
    }

    /// The board with another clock.
    pub fn clocked(&self, mhz: f64) -> Result<Self, BoardError> {
        let board = Self { clock_mhz: mhz, ..self.clone() };
        if board.flow == Flow::Xc7 {
            return Ok(board);
        }
        let made = board.pll()?.0;
        if (made - mhz).abs() > 0.01 * mhz {
            return error(format!(
                "clock of {mhz} MHz: the PLL of {} comes no closer from {} MHz than {made:.3} MHz; ask for that",
                self.name, self.oscillator_mhz
            ));
        }
        board.uart()?;
        Ok(Self { clock_mhz: made, ..board })
    }

    fn pll(&self) -> Result<(f64, String), BoardError> {
        let made = match self.flow {
            Flow::Ecp5 => pll::ecp5(self.oscillator_mhz, self.clock_mhz),
            Flow::Ice40 => pll::ice40(self.oscillator_mhz, self.clock_mhz),
            Flow::Xc7 => None,
        };
        made.ok_or_else(|| {
            BoardError(format!(
                "board {}: no PLL setting makes {} MHz of {} MHz; choose a clock of 20 to 250 MHz and the \
                 oscillator's frequency as it is",
                self.name, self.clock_mhz, self.oscillator_mhz
            ))
        })
    }

    /// The UART at the board's clock and baud rate.
    pub fn uart(&self) -> Result<Uart, BoardError> {
        let exact = self.clock_mhz * 1e6 / f64::from(self.baud);
        let clocks = exact.round();
        if clocks < 4.0 || (clocks / exact - 1.0).abs() > 0.02 {
            return error(format!(
                "{} baud at {:.3} MHz is {exact:.2} cycles a bit: must be at least 4 and within 2 % of a whole number; \
                 use a lower baud rate or another clock",
                self.baud, self.clock_mhz
            ));
        }
        // Longer than a USB serial converter holds bytes back: 16 ms.
        let timeout_bits = (self.clock_mhz * 1e6 * 0.02).log2().ceil() as u32;
        Ok(Uart { clocks_per_bit: clocks as u32, timeout_bits })
    }

    fn single_port(&self) -> bool {
        self.flow == Flow::Ice40
    }

    fn interval(&self) -> u32 {
        if self.single_port() { 2 } else { 1 }
    }

    /// How the memory behaves for a config, for the cycle model.
    pub fn memory_spec(&self, config: &Config) -> MemorySpec {
        MemorySpec {
            latency: self.latency,
            bytes_per_cycle: Some(config.bus_bytes() / self.interval()),
            outstanding: self.outstanding,
            fault: Some(u64::from(self.memory)..1 << 32),
            ..MemorySpec::default()
        }
    }

    /// Checks that a config can be built for this board at all.
    pub fn accepts(&self, config: &Config) -> Result<(), BoardError> {
        if self.flow == Flow::Ice40 && config.bus_bits != 32 {
            return error(format!(
                "bus_bits = {}: the memory of board {} has words of 32 bits; use bus_bits = 32",
                config.bus_bits, self.name
            ));
        }
        Ok(())
    }

    /// `koch_board` and what is in it but for the RAM blocks: names and texts of files.
    fn design(&self, config: &Config, uart: Uart) -> Vec<(String, String)> {
        let mut files = hdl::koch::design(config).files();
        let value = |key: &str| match key {
            "clocks_per_bit" => uart.clocks_per_bit,
            "timeout_bits" => uart.timeout_bits,
            "bytes" => config.bus_bytes(),
            "words" => self.memory / config.bus_bytes(),
            "latency" => self.latency,
            "outstanding" => self.outstanding,
            "interval" => self.interval(),
            _ => 0,
        };
        let names =
            ["clocks_per_bit", "timeout_bits", "bytes", "words", "latency", "outstanding", "interval"];
        for (name, text) in RTL {
            let mut text = text.to_owned();
            for key in names {
                text = text.replace(&format!("@{key}@"), &value(key).to_string());
            }
            text = text.replace("@single_port@", if self.single_port() { "1'b1" } else { "1'b0" });
            files.push((name.to_owned(), text));
        }
        files
    }

    /// `koch_board` for simulation: what the part's RAM blocks hold is in plain arrays.
    pub fn simulated(&self, config: &Config, uart: Uart) -> Vec<(String, String)> {
        let mut files = self.design(config, uart);
        files.extend(STORE.map(|(name, text)| (name.to_owned(), text.to_owned())));
        files
    }

    /// The whole: top, clock and constraints too.
    pub fn sources(&self, config: &Config) -> Result<Vec<(String, String)>, BoardError> {
        if self.flow == Flow::Xc7 {
            return Ok(hdl::koch::design(config).files());
        }
        let mut files = self.design(config, self.uart()?);
        let store: &[(&str, &str)] = if self.single_port() { &STORE_SPRAM } else { &STORE };
        files.extend(store.iter().map(|&(name, text)| (name.to_owned(), text.to_owned())));
        files.push(("koch_clock.sv".to_owned(), self.pll()?.1));
        files.push(("top.sv".to_owned(), self.top.clone()));
        Ok(files)
    }

    /// Where the pins are, as nextpnr reads it.
    pub fn constraints(&self) -> &str {
        &self.constraints
    }
}

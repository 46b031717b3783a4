//! A board in Verilator: everything but clock and pins, reached through its UART bit by bit.
#![allow(unsafe_code)]

use crate::bridge::{BuildError, Source, cache_dir};
use bitstreams::board::Uart;
use bitstreams::{Board, Port};
use spec::Config;
use std::ffi::c_void;
use std::io;

const BRIDGE: &str = include_str!("board.cpp");
/// Cycles without a byte that end waiting for a reply.
const PATIENCE: u64 = 1 << 14;
/// Cycles of a pause while a program runs: it ends with the run.
const PAUSE: u64 = 1 << 16;

type New = unsafe extern "C" fn(u32) -> *mut c_void;
type Free = unsafe extern "C" fn(*mut c_void);
type Send = unsafe extern "C" fn(*mut c_void, *const u8, usize);
type Receive = unsafe extern "C" fn(*mut c_void, *mut u8, usize, u64, i32) -> usize;

/// The line to a simulated board.
pub struct SimulatedBoard {
    state: *mut c_void,
    free: Free,
    send: Send,
    receive: Receive,
    silence: u64,
    _library: libloading::Library,
}

impl SimulatedBoard {
    /// Builds (or finds) the model of `config` on `board` and takes it through its reset; registers and memory that no
    /// reset reaches hold values drawn from `seed`.
    ///
    /// # Errors
    /// What the tools said.
    pub fn new(board: &Board, config: &Config, seed: u32) -> Result<Self, BuildError> {
        let name = format!("{}-{}", board.name, config.name);
        Self::of(&name, board.simulated(config, Uart::FAST), seed)
    }

    /// The same of any module `koch_board` with that UART, such as one that is mapped to cells.
    ///
    /// # Errors
    /// What the tools said.
    pub fn of(name: &str, files: Vec<(String, String)>, seed: u32) -> Result<Self, BuildError> {
        let uart = Uart::FAST;
        let source = Source {
            name,
            top: "koch_board",
            bridge: BRIDGE,
            defines: vec![format!("-DKOCH_CLOCKS_PER_BIT={}", uart.clocks_per_bit)],
            files,
            trace: false,
        };
        let path = source.build_in(&cache_dir())?;
        let failed = |e| BuildError::new(&path.display().to_string(), e);
        // SAFETY: the library was built from `board.cpp`, whose functions have exactly these types, and whose
        // initialisation only sets up Verilator's tables.
        unsafe {
            let library = libloading::Library::new(&path).map_err(failed)?;
            let new = *library.get::<New>(b"board_new").map_err(failed)?;
            Ok(Self {
                state: new(seed & 0x3fff_ffff | 1),
                free: *library.get::<Free>(b"board_free").map_err(failed)?,
                send: *library.get::<Send>(b"board_send").map_err(failed)?,
                receive: *library.get::<Receive>(b"board_receive").map_err(failed)?,
                silence: 2 << uart.timeout_bits,
                _library: library,
            })
        }
    }

    fn take(&mut self, buffer: &mut [u8], cycles: u64, done: bool) -> usize {
        // SAFETY: `state` is live, and `buffer` has room for so many bytes.
        unsafe { (self.receive)(self.state, buffer.as_mut_ptr(), buffer.len(), cycles, done.into()) }
    }
}

impl Port for SimulatedBoard {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        // SAFETY: `state` is live, and `bytes` has so many bytes.
        unsafe { (self.send)(self.state, bytes.as_ptr(), bytes.len()) };
        Ok(())
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut have = 0;
        while have < buffer.len() {
            let now = (buffer.len() - have).min(16);
            let got = self.take(&mut buffer[have..have + now], PATIENCE, false);
            if got == 0 {
                break;
            }
            have += got;
        }
        Ok(have)
    }

    fn settle(&mut self) -> io::Result<()> {
        let mut rest = [0; 1024];
        self.take(&mut rest, self.silence, false);
        Ok(())
    }

    fn pause(&mut self) -> io::Result<()> {
        self.take(&mut [0], PAUSE, true);
        Ok(())
    }
}

impl Drop for SimulatedBoard {
    fn drop(&mut self) {
        // SAFETY: `state` came from `board_new` and is freed once.
        unsafe { (self.free)(self.state) }
    }
}

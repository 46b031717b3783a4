//! Boards in Verilator: the memory on chip against `spec::memory`, and layers through the UART.
#![allow(unsafe_code)]

use bitstreams::{Board, Driver, Port, driver};
use spec::layer::{Layer, LayerData};
use spec::{Config, ConfigSpec, MemorySpec, Program, Status, rng::splitmix64};
use std::collections::VecDeque;
use std::ffi::c_void;
use std::io;
use std::time::Duration;
use testbench::SimulatedBoard;
use testbench::bridge::{Source, cache_dir};
use testbench::memory::{Answers, Bytes, Memory, Requests};

type New = unsafe extern "C" fn() -> *mut c_void;
type Free = unsafe extern "C" fn(*mut c_void);
type Cycle = unsafe extern "C" fn(*mut c_void, *const Requests, *const u8, u64, i32, *mut Answers, *mut u8);

const WORDS: u32 = 4096;

/// `koch_memory` with such parameters, and the same as `spec::memory` has it.
struct Case {
    bytes: u32,
    latency: u32,
    outstanding: u32,
    single_port: bool,
}

impl Case {
    fn spec(&self) -> MemorySpec {
        MemorySpec {
            latency: self.latency,
            bytes_per_cycle: Some(if self.single_port { self.bytes / 2 } else { self.bytes }),
            outstanding: self.outstanding,
            fault: Some(u64::from(WORDS * self.bytes)..1 << 32),
            ..MemorySpec::default()
        }
    }

    fn build(&self) -> libloading::Library {
        let board = Board::find("ulx3s-85f").expect("a board");
        let mut files = board.simulated(&board.config, bitstreams::board::Uart::FAST);
        let values = [
            ("Bytes       = 4", format!("Bytes = {}", self.bytes)),
            ("Words       = 4096", format!("Words = {WORDS}")),
            ("Latency     = 8", format!("Latency = {}", self.latency)),
            ("Outstanding = 4", format!("Outstanding = {}", self.outstanding)),
            ("Interval    = 1", format!("Interval = {}", if self.single_port { 2 } else { 1 })),
            ("SinglePort  = 1'b0", format!("SinglePort = 1'b{}", u8::from(self.single_port))),
        ];
        let memory = ["koch_memory.sv", "koch_store.sv", "koch_store_lane.sv", "koch_ram.sv"];
        files.retain(|(name, _)| memory.contains(&name.as_str()));
        for (name, text) in &mut files {
            // Several banks.
            *text = text.replace("Most  = 16384", "Most = 1024");
            for (from, to) in values.iter().filter(|_| name == "koch_memory.sv") {
                assert!(text.contains(from), "{from}");
                *text = text.replace(from, to);
            }
        }
        let source = Source {
            name: "memory",
            top: "koch_memory",
            bridge: include_str!("board/slave.cpp"),
            defines: vec![format!("-DKOCH_BYTES={}", self.bytes)],
            files,
            trace: false,
        };
        let path = source.build_in(&cache_dir()).expect("the model builds");
        // SAFETY: its initialisation only sets up Verilator's tables.
        unsafe { libloading::Library::new(path).expect("the model loads") }
    }

    /// Random traffic at both: every answer and every word read must be the same in every cycle.
    fn check(&self, seed: u64, cycles: u64) {
        let library = self.build();
        // SAFETY: the functions of `slave.cpp` have exactly these types.
        let (new, free, cycle) = unsafe {
            (
                *library.get::<New>(b"slave_new").expect("slave_new"),
                *library.get::<Free>(b"slave_free").expect("slave_free"),
                *library.get::<Cycle>(b"slave_cycle").expect("slave_cycle"),
            )
        };
        // SAFETY: freed below.
        let slave = unsafe { new() };
        let spec = self.spec();
        let mut memory = Memory::new(&spec, self.bytes, Bytes::default());
        let mut state = seed;
        let mut below = |n: u64| splitmix64(&mut state) % n;
        let mut requests = Requests::default();
        let (mut beats_to_send, mut sent): (VecDeque<u32>, u32) = (VecDeque::new(), 0);
        let (mut wdata, mut strobe) = ([0u8; 64], 0u64);
        let bus = self.bytes as usize;
        // Reads stay in what has been written and acknowledged: below, words are written in order.
        let (mut asked, mut acknowledged, mut ends) = (0u32, 0u32, VecDeque::new());
        let (mut reads, mut writes, mut faults) = (0u32, 0u32, 0u32);
        // How busy each channel is changes from time to time.
        let mut busy = [100; 5];
        for t in 0..cycles {
            if t % 512 == 0 {
                busy = std::array::from_fn(|_| [10, 50, 90, 100][below(4) as usize]);
            }
            let page = 4096 / self.bytes;
            if requests.arvalid == 0 && acknowledged > 0 && below(100) < busy[0] {
                let first = below(u64::from(acknowledged)) as u32;
                let most = (acknowledged - first).min(page - first % page).min(16);
                let beyond = below(30) == 0;
                requests.araddr = first * self.bytes + if beyond { WORDS * self.bytes } else { 0 };
                requests.arlen = below(u64::from(most)) as u8;
                requests.arvalid = 1;
            }
            if requests.awvalid == 0 && asked + 16 < WORDS && beats_to_send.len() < 8 && below(100) < busy[1]
            {
                let beats = 1 + below(u64::from((page - asked % page).min(16))) as u32;
                let beyond = below(30) == 0;
                requests.awaddr = asked * self.bytes + if beyond { WORDS * self.bytes } else { 0 };
                requests.awlen = beats as u8 - 1;
                requests.awvalid = 1;
                beats_to_send.push_back(beats);
                if !beyond {
                    asked += beats;
                }
                ends.push_back(asked);
            }
            if requests.wvalid == 0 && !beats_to_send.is_empty() && below(100) < busy[2] {
                for byte in &mut wdata[..bus] {
                    *byte = below(256) as u8;
                }
                // All bytes: what was never written is not the same in both.
                strobe = u64::MAX >> (64 - bus);
                requests.wvalid = 1;
                requests.wlast = u8::from(sent + 1 == beats_to_send[0]);
            }
            requests.rready = u8::from(below(100) < busy[3]);
            requests.bready = u8::from(below(100) < busy[4]);
            let (mut want, mut got) = ([0u8; 64], [0u8; 64]);
            let expected = memory.cycle(t, &requests, &wdata[..bus], strobe, &mut want[..bus]);
            let mut answers = Answers::default();
            let host = i32::from(below(2) == 0);
            // SAFETY: `slave` is live; the buffers have room for the widest bus.
            unsafe {
                cycle(slave, &requests, wdata.as_ptr(), strobe, host, &mut answers, got.as_mut_ptr());
            }
            // Which of the two errors it is, is the memory's to choose.
            let error = |response: u8| response >= 2;
            let ready = |a: &Answers| (a.arready, a.rvalid, a.awready, a.wready, a.bvalid);
            assert_eq!(
                ready(&answers),
                ready(&expected),
                "cycle {t}, seed {seed}: arready, rvalid, awready, wready, bvalid"
            );
            if expected.rvalid == 1 {
                assert_eq!(
                    (answers.rlast, error(answers.rresp)),
                    (expected.rlast, error(expected.rresp)),
                    "cycle {t}: rlast, rresp"
                );
                assert!(expected.rresp != 0 || got[..bus] == want[..bus], "cycle {t}: data");
                if requests.rready == 1 {
                    reads += 1;
                    faults += u32::from(expected.rresp != 0);
                }
            }
            if expected.bvalid == 1 {
                assert_eq!(error(answers.bresp), error(expected.bresp), "cycle {t}: bresp");
                if requests.bready == 1 {
                    faults += u32::from(expected.bresp != 0);
                    acknowledged = ends.pop_front().expect("a write");
                }
            }
            if requests.arvalid == 1 && expected.arready == 1 {
                requests.arvalid = 0;
            }
            if requests.awvalid == 1 && expected.awready == 1 {
                requests.awvalid = 0;
            }
            if requests.wvalid == 1 && expected.wready == 1 {
                requests.wvalid = 0;
                writes += 1;
                sent += 1;
                if sent == beats_to_send[0] {
                    beats_to_send.pop_front();
                    sent = 0;
                }
            }
        }
        // SAFETY: freed once.
        unsafe { free(slave) };
        assert!(
            reads > 1000 && writes > 1000 && faults > 20,
            "{reads} reads, {writes} writes, {faults} faults"
        );
    }
}

#[test]
fn memory_on_chip_keeps_the_times_of_the_specification() {
    let case = |bytes, latency, outstanding, single_port| Case { bytes, latency, outstanding, single_port };
    for (k, case) in [case(4, 7, 4, false), case(16, 10, 8, false), case(4, 10, 2, true)].iter().enumerate() {
        for seed in 0..6 {
            case.check(100 * k as u64 + seed, 40_000);
        }
    }
}

fn job(config: &Config, layer: &str, seed: u64) -> (Program, Layer, LayerData) {
    let layer: Layer = layer.parse().expect("a layer");
    let data = LayerData::random(&layer, config.operand_bits, seed).expect("numbers");
    let plan = compiler::plan(&layer, config).expect("a plan");
    let program = compiler::assemble(&plan, Some(&data)).expect("a program");
    (program, layer, data)
}

/// Runs a layer through a port and compares everything.
fn run_layer(port: impl Port, board: &Board, text: &str) {
    let config = &board.config;
    let (program, layer, data) = job(config, text, 7);
    let mut driver = Driver::connect(port, config).expect("the board answers");
    assert_eq!(driver.memory(), board.memory);
    driver.load(&program, |_| ()).expect("the program is loaded");
    // A second run starts from what the first has left.
    for _ in 0..2 {
        let run = driver.run(&program, Duration::from_secs(300)).expect("a run");
        let model = cyclemodel::run(config, &program, &board.memory_spec(config)).expect("the model");
        assert_eq!(run.status, Status::Ok);
        assert_eq!(run.counters, model.counters, "{text} on {}", board.name);
        let outputs = compiler::unpack_output(&data.quant, run.output.as_deref().unwrap_or_default());
        assert_eq!(outputs, reference::conv(&layer, &data), "{text} on {}", board.name);
    }
}

#[test]
fn layers_through_the_uart_are_exact() {
    for name in ["icebreaker", "ulx3s-85f"] {
        let board = Board::find(name).expect("a board");
        let port = SimulatedBoard::new(&board, &board.config, 3).expect("the model builds");
        run_layer(port, &board, "conv cin=3 h=5 w=7 cout=6 k=3 pad=1");
    }
}

/// A line that damages bytes now and then, both ways.
struct Noisy {
    port: SimulatedBoard,
    state: u64,
    damaged: u32,
}

impl Noisy {
    fn damage(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            if splitmix64(&mut self.state).is_multiple_of(3000) {
                *byte ^= 1 << (splitmix64(&mut self.state) % 8);
                self.damaged += 1;
            }
        }
    }
}

impl Port for &mut Noisy {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut bytes = bytes.to_vec();
        self.damage(&mut bytes);
        // Sometimes the last bytes are lost.
        let lost = if splitmix64(&mut self.state).is_multiple_of(20) { 3.min(bytes.len()) } else { 0 };
        self.damaged += u32::from(lost > 0);
        self.port.send(&bytes[..bytes.len() - lost])
    }
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.port.receive(buffer)?;
        self.damage(&mut buffer[..got]);
        Ok(got)
    }
    fn settle(&mut self) -> io::Result<()> {
        self.port.settle()
    }
    fn pause(&mut self) -> io::Result<()> {
        self.port.pause()
    }
}

#[test]
fn a_noisy_line_costs_time_only() {
    let board = Board::find("ulx3s-85f").expect("a board");
    let port = SimulatedBoard::new(&board, &board.config, 3).expect("the model builds");
    let mut noisy = Noisy { port, state: 5, damaged: 0 };
    run_layer(&mut noisy, &board, "conv cin=16 h=9 w=9 cout=16 k=3 pad=1");
    assert!(noisy.damaged > 5, "{} damaged", noisy.damaged);
}

#[test]
fn garbage_before_a_request_is_dropped() {
    let board = Board::find("ulx3s-85f").expect("a board");
    let mut port = SimulatedBoard::new(&board, &board.config, 3).expect("the model builds");
    let mut state = 1;
    for length in 0..60 {
        // With the byte that starts a request, so that the board waits for the rest of one.
        let mut garbage: Vec<u8> = (0..length).map(|_| splitmix64(&mut state) as u8).collect();
        garbage.push(0xa5);
        port.send(&garbage).expect("a line");
        port.settle().expect("a line");
    }
    Driver::connect(port, &board.config).expect("the board answers");
}

#[test]
fn what_a_board_cannot_do_is_refused() {
    let board = Board::find("ulx3s-85f").expect("a board");
    let port = || SimulatedBoard::new(&board, &board.config, 3).expect("the model builds");
    let mut driver = Driver::connect(port(), &board.config).expect("the board answers");
    let end = board.memory - 4;
    driver.write(end, &[1, 2, 3, 4]).expect("the last word is there");
    assert_eq!(driver.read(end + 1, 2).expect("bytes of a word"), [2, 3]);
    let text = driver.write(end, &[0; 8]).expect_err("beyond the memory").to_string();
    assert!(text.contains(&board.memory.to_string()), "{text}");
    driver.read(end, 8).expect_err("beyond the memory");
    assert_eq!(
        driver.read(end, 4).expect("the last word"),
        [1, 2, 3, 4],
        "a refused write leaves memory as it is"
    );
    let other =
        Config::new("other", ConfigSpec { lanes: Some(2), ..ConfigSpec::named("tiny").expect("tiny") });
    let text = Driver::connect(port(), &other.expect("a config")).err().expect("another config").to_string();
    let rows = format!("{} rows", board.config.rows);
    assert!(text.contains("other") && text.contains(&rows), "{text}");
    let (program, ..) = job(&board.config, "fc in=4096 out=64", 1);
    let text = driver::fits(&program, board.memory).expect_err("too large").to_string();
    assert!(text.contains("bytes of memory"), "{text}");
}

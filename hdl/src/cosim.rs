//! A leaf in rust-hdl's simulator against its printed Verilog in Verilator: the same stimuli, every output,
//! every cycle.
//!
//! ```no_run
//! # use hdl::cosim::Cosim;
//! # use hdl::requant::Requant;
//! Cosim::new("requant").cycles(20_000).run(Requant::default);
//! // With stimuli of one's own where random bits seldom hit the interesting cases:
//! Cosim::new("requant").cycles(20_000).run_with(Requant::default, |rng, port| match port {
//!     "valid_i" => Some(u64::from(rng.chance(90))),
//!     _ => None,
//! });
//! ```

use crate::leaf::{Leaf, Sim, SimPort, module};
use crate::tools::scratch;
use crate::verilog::Design;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

/// Random numbers: splitmix64.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Rng(seed)
    }
    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    /// Below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.bits() % n
    }
    /// True in `percent` of the calls.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
    /// `width` random bits, in limbs. One in eight is an extreme: all zeros, all ones, or one bit set or clear.
    pub fn value(&mut self, width: usize) -> Vec<u64> {
        let limbs = width.div_ceil(64).max(1);
        let mut v: Vec<u64> = match self.below(if width > 1 { 32 } else { 1 << 40 }) {
            0 => vec![0; limbs],
            1 => vec![u64::MAX; limbs],
            k @ (2 | 3) => {
                let bit = self.below(width as u64) as usize;
                let flip = if k == 3 { u64::MAX } else { 0 };
                (0..limbs).map(|l| flip ^ u64::from(l == bit / 64) << (bit % 64)).collect()
            }
            _ => (0..limbs).map(|_| self.bits()).collect(),
        };
        if !width.is_multiple_of(64) {
            v[limbs - 1] &= u64::MAX >> (64 - width % 64);
        }
        v
    }
}

/// A comparison of one leaf.
#[derive(Clone, Debug)]
pub struct Cosim {
    name: String,
    cycles: usize,
    seed: u64,
}

impl Cosim {
    /// Under a name of its own: the directory it builds in.
    pub fn new(name: impl Into<String>) -> Self {
        Cosim { name: name.into(), cycles: 10_000, seed: 1 }
    }
    /// How long.
    pub fn cycles(mut self, cycles: usize) -> Self {
        self.cycles = cycles;
        self
    }
    /// Which random numbers.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Runs with random inputs.
    ///
    /// # Panics
    /// If the outputs differ, or a tool is missing or complains.
    pub fn run<L: Leaf>(self, leaf: impl Fn() -> L) {
        self.run_with(leaf, |_, _| None);
    }

    /// Runs with inputs from `stimulus(rng, port)` (the Verilog port's name), random ones where it gives `None`.
    ///
    /// # Panics
    /// If the outputs differ, or a tool is missing or complains.
    pub fn run_with<L: Leaf>(
        self,
        leaf: impl Fn() -> L,
        mut stimulus: impl FnMut(&mut Rng, &str) -> Option<u64>,
    ) {
        self.run_wide(leaf, |rng, port| stimulus(rng, port).map(|v| vec![v]));
    }

    /// The same, with inputs of more than 64 bits: limbs, least significant first.
    ///
    /// # Panics
    /// If the outputs differ, or a tool is missing or complains.
    pub fn run_wide<L: Leaf>(
        self,
        leaf: impl Fn() -> L,
        mut stimulus: impl FnMut(&mut Rng, &str) -> Option<Vec<u64>>,
    ) {
        let mut sim = Sim::new(leaf());
        let ports = sim.ports();
        let (inputs, outputs): (Vec<_>, Vec<_>) = ports.iter().cloned().partition(|p| p.input);
        let design = Design::new([module(&sim.leaf)]);
        if let Err(errors) = design.check() {
            panic!("{errors:#?}");
        }
        let binary = build(&self.name, &design, &ports);
        let mut rng = Rng::new(self.seed);
        let clocked = sim.leaf.clock_mut().is_some();
        let (mut sent, mut expected) = (String::new(), vec![]);
        let mut history: Vec<String> = vec![];
        for _ in 0..self.cycles {
            let mut line = String::new();
            for p in &inputs {
                let mut v = stimulus(&mut rng, &p.name).unwrap_or_else(|| rng.value(p.width));
                v.resize(p.width.div_ceil(64), 0);
                sim.leaf.drive(&p.field, &v);
                words(&v, p.width).for_each(|w| write!(line, "{w:x} ").unwrap());
            }
            sim.settle();
            expected.push(sim.outputs());
            if clocked {
                sim.tick();
            }
            sent.push_str(&line);
            sent.push('\n');
            history.push(line);
        }
        let got = drive(&binary, sent);
        assert_eq!(got.len(), self.cycles, "{}: Verilator stopped early", self.name);
        for (cycle, (got, want)) in got.iter().zip(&expected).enumerate() {
            let mut words_got = got.split_whitespace();
            for (p, want) in outputs.iter().zip(want) {
                let mut want = want.clone();
                want.resize(p.width.div_ceil(64), 0);
                for w in words(&want, p.width) {
                    let g = words_got.next().and_then(|g| u32::from_str_radix(g, 16).ok());
                    if g != Some(w) {
                        let names: Vec<&str> = inputs.iter().map(|p| p.name.as_str()).collect();
                        let last = &history[cycle.saturating_sub(4)..=cycle];
                        panic!(
                            "{}: cycle {cycle}, {}: rust-hdl {w:x}, Verilator {g:x?}\nlast inputs, {names:?}:\n{}",
                            self.name,
                            p.name,
                            last.join("\n"),
                        );
                    }
                }
            }
        }
    }
}

/// 32-bit words, least significant first.
fn words(limbs: &[u64], width: usize) -> impl Iterator<Item = u32> {
    (0..width.div_ceil(32)).map(|k| (limbs[k / 2] >> (32 * (k % 2))) as u32)
}

/// The Verilator to use: `KOCH_VERILATOR`, else the repository's own, else whatever is in the path.
pub fn verilator() -> PathBuf {
    if let Some(v) = env::var_os("KOCH_VERILATOR") {
        return v.into();
    }
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/bin/verilator");
    if own.exists() { own } else { "verilator".into() }
}

fn build(name: &str, design: &Design, ports: &[SimPort]) -> PathBuf {
    let dir = scratch("cosim").join(name);
    fs::create_dir_all(&dir).expect("a directory to build in");
    let top = &design.modules[0].name;
    let clocked = design.modules[0].find_port("clk_i").is_some();
    let reset = design.modules[0].find_port("rst_ni").is_some();
    let main = harness(ports, clocked, reset);
    let binary = dir.join("obj").join("sim");
    let stamp = dir.join("built");
    let key = format!("{main}\n{}", design.modules.iter().map(ToString::to_string).collect::<String>());
    if binary.exists() && fs::read_to_string(&stamp).is_ok_and(|old| old == key) {
        return binary;
    }
    let _ = fs::remove_file(&stamp);
    let mut command = Command::new(verilator());
    command.current_dir(&dir).args(["-Wall", "--cc", "--exe", "--build", "--quiet", "-O3", "-Mdir", "obj"]);
    command.args([
        "-CFLAGS",
        "-O1",
        "-MAKEFLAGS",
        "OPT_SLOW=-O0 OPT_GLOBAL=-O0",
        "--prefix",
        "Vtop",
        "-o",
        "sim",
    ]);
    command.args(["--top-module", top, "main.cpp"]);
    fs::write(dir.join("main.cpp"), &main).expect("main.cpp is written");
    for (file, text) in design.files() {
        fs::write(dir.join(&file), text).expect("the module is written");
        command.arg(file);
    }
    let out = command.output().unwrap_or_else(|e| panic!("{}: {e}", verilator().display()));
    let said = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success() && !said.contains("%Warning"), "Verilator in {}:\n{said}", dir.display());
    fs::write(stamp, key).expect("the stamp is written");
    binary
}

/// A C++ main: a line of input words per cycle in, a line of output words out.
fn harness(ports: &[SimPort], clocked: bool, reset: bool) -> String {
    let mut set = String::new();
    let mut put = String::new();
    for p in ports {
        let n = p.width.div_ceil(32);
        let lvalue =
            |k: usize| if n > 2 { format!("top.{}[{k}]", p.name) } else { format!("top.{}", p.name) };
        if p.input && n == 2 {
            let _ = writeln!(
                set,
                "        {{ uint64_t lo = word(), hi = word(); {} = lo | hi << 32; }}",
                lvalue(0)
            );
        } else if p.input {
            (0..n).for_each(|k| writeln!(set, "        {} = word();", lvalue(k)).unwrap());
        } else {
            for k in 0..n {
                let shift = if n == 2 && k == 1 { " >> 32" } else { "" };
                let _ = writeln!(put, "        put(static_cast<uint32_t>({}{shift}));", lvalue(k));
            }
        }
    }
    let clock = if clocked { "        top.clk_i = 1; top.eval();\n        top.clk_i = 0;\n" } else { "" };
    // Registers without reset are zero when a simulation by Verilator begins.
    let reset = if reset {
        "    top.rst_ni = 0;\n    for (int i = 0; i < 2; ++i) {\n        top.clk_i = 0; top.eval();\n        \
             top.clk_i = 1; top.eval();\n    }\n    top.clk_i = 0; top.eval();\n    top.rst_ni = 1; top.eval();\n"
    } else if clocked {
        "    top.clk_i = 0; top.eval();\n"
    } else {
        ""
    };
    format!(
        r#"#include "Vtop.h"
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

double sc_time_stamp() {{ return 0; }}

static std::string in;
static const char* at;
static std::string out;

[[maybe_unused]] static uint32_t word() {{
    char* end;
    const uint32_t v = static_cast<uint32_t>(std::strtoul(at, &end, 16));
    at = end;
    return v;
}}
static void put(uint32_t v) {{
    char text[16];
    std::snprintf(text, sizeof text, "%x ", v);
    out += text;
}}

int main() {{
    char buffer[65536];
    size_t n;
    while ((n = std::fread(buffer, 1, sizeof buffer, stdin)) > 0) in.append(buffer, n);
    at = in.c_str();
    VerilatedContext context;
    Vtop top{{&context}};
{reset}    for (const char* end = in.c_str() + in.size(); at < end;) {{
        if (*at == '\n' || *at == '\r') {{ ++at; continue; }}
{set}        while (*at == ' ') ++at;
        top.eval();
{put}        out += '\n';
{clock}    }}
    top.final();
    std::fwrite(out.data(), 1, out.size(), stdout);
    return 0;
}}
"#
    )
}

fn drive(binary: &Path, stimuli: String) -> Vec<String> {
    let mut child = Command::new(binary)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{}: {e}", binary.display()));
    // The simulator reads everything before it writes.
    child.stdin.take().expect("a pipe").write_all(stimuli.as_bytes()).expect("the simulator reads");
    let out = child.wait_with_output().expect("the simulator ends");
    assert!(out.status.success(), "{} failed", binary.display());
    String::from_utf8_lossy(&out.stdout).lines().map(String::from).collect()
}

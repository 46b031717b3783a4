//! The five tools that must accept every module without a word.

use crate::cosim::verilator;
use crate::verilog::Design;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs};

/// Writes the files of a design; their paths.
///
/// # Errors
/// Of the file system.
pub fn write(design: &Design, dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    fs::create_dir_all(dir)?;
    let mut paths = vec![];
    for (name, text) in design.files() {
        let path = dir.join(name);
        fs::write(&path, text)?;
        paths.push(path);
    }
    Ok(paths)
}

/// Verilator and Icarus with `-Wall`, Yosys' `check`, slang and Verible on a design with that top module.
///
/// Yosys has the flattened design with its block RAMs as black boxes, and `koch_ram` by itself with the sizes that it has by
/// default: a RAM of 128 bytes with a write enable each takes it minutes.
///
/// # Errors
/// What they said, warnings included; also when one of them is missing.
pub fn lint(design: &Design, top: &str) -> Result<(), String> {
    design.check().map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
    let dir = fresh("lint", top);
    let files = write(design, &dir).map_err(|e| e.to_string())?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let (tools, rules) = (root.join(".tools/venv/bin"), root.join("testbench/lint"));
    let mut said = vec![];
    let mut verilate = Command::new(verilator());
    verilate.args(["--lint-only", "-Wall", "--quiet", "--top-module", top]).args(&files);
    said.push(run("Verilator", verilate));
    let mut icarus = Command::new("iverilog");
    icarus.args(["-g2012", "-Wall", "-s", top, "-o"]).arg(dir.join("icarus.out")).args(&files);
    said.push(run("Icarus", icarus));
    let (rams, rest): (Vec<&PathBuf>, Vec<&PathBuf>) = files.iter().partition(|f| f.ends_with("koch_ram.sv"));
    let names = |of: &[&PathBuf]| of.iter().map(|f| f.display().to_string()).collect::<Vec<_>>().join(" ");
    let mut script = String::new();
    if !rams.is_empty() {
        let rams = names(&rams);
        script += &format!("read_verilog -sv {rams}; hierarchy -check -top koch_ram; proc; check -assert; ");
        script += &format!("design -reset; read_verilog -sv -lib {rams}; ");
    }
    script += &format!("read_verilog -sv {}; hierarchy -check -top {top}; ", names(&rest));
    script += "proc; flatten; check -assert";
    let mut yosys = Command::new("yosys");
    yosys.args(["-q", "-p", &script]);
    said.push(run("Yosys", yosys));
    let mut slang = Command::new(tools.join("python"));
    slang.arg(rules.join("slang.py")).arg(top).args(&files);
    said.push(run("slang", slang));
    let mut verible = Command::new(tools.join("verible-verilog-lint"));
    verible.args(["--ruleset", "all", "--rules_config"]).arg(rules.join("verible.rules")).args(&files);
    said.push(run("Verible", verible));
    let said: String = said.into_iter().flatten().collect();
    if said.is_empty() {
        let _ = fs::remove_dir_all(&dir);
        Ok(())
    } else {
        Err(said)
    }
}

/// What Yosys makes of a design for an ECP5.
#[derive(Clone, Debug, Default)]
pub struct Ecp5 {
    /// Number of cells by type, as `stat` counts them.
    pub cells: BTreeMap<String, u64>,
    /// Hierarchical names of the block RAMs.
    pub block_rams: Vec<String>,
}

/// Synthesises a design with `synth_ecp5`.
///
/// # Errors
/// What Yosys said.
pub fn ecp5(design: &Design, top: &str) -> Result<Ecp5, String> {
    let dir = fresh("ecp5", top);
    let files = write(design, &dir).map_err(|e| e.to_string())?;
    let names: Vec<String> = files.iter().map(|f| f.display().to_string()).collect();
    let (stat, rams) = (dir.join("stat.txt"), dir.join("rams.txt"));
    let script = format!(
        "read_verilog -sv {}; synth_ecp5 -top {top}; tee -q -o {} stat; select -write {} t:DP16KD",
        names.join(" "),
        stat.display(),
        rams.display()
    );
    let mut yosys = Command::new("yosys");
    yosys.args(["-q", "-p", &script]);
    let out = yosys.output().map_err(|e| format!("yosys: {e}"))?;
    if !out.status.success() {
        return Err(String::from_utf8_lossy(&out.stderr).into_owned());
    }
    let mut found = Ecp5::default();
    for line in fs::read_to_string(&stat).map_err(|e| e.to_string())?.lines() {
        if let [cell, count] = line.split_whitespace().collect::<Vec<_>>()[..]
            && let Ok(count) = count.parse()
        {
            found.cells.insert(cell.to_string(), count);
        }
    }
    let list = fs::read_to_string(&rams).map_err(|e| e.to_string())?;
    found.block_rams = list.lines().map(|l| l.trim_start_matches(&format!("{top}/")).to_string()).collect();
    let _ = fs::remove_dir_all(&dir);
    Ok(found)
}

/// What a tool said, if anything.
fn run(name: &str, mut command: Command) -> Option<String> {
    match command.output() {
        Err(e) => Some(format!("{name}: {}: {e}\n", command.get_program().display())),
        Ok(out) => {
            let text =
                format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
            (!out.status.success() || !text.trim().is_empty()).then(|| format!("{name}:\n{text}"))
        }
    }
}

/// A directory of its own for each call, so that tests run side by side.
fn fresh(purpose: &str, top: &str) -> PathBuf {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let call = CALLS.fetch_add(1, Ordering::Relaxed);
    scratch(purpose).join(format!("{top}-{}-{call}", std::process::id()))
}

/// A directory beside the build's own files.
pub(crate) fn scratch(purpose: &str) -> PathBuf {
    let exe = env::current_exe().ok();
    // target/<profile>/deps/<test>
    let base = exe.as_deref().and_then(|e| e.ancestors().nth(2)).map(Path::to_path_buf);
    base.unwrap_or_else(|| env::temp_dir().join("koch")).join(purpose)
}

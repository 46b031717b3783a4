//! The three tools that must accept every module without a word.

use crate::cosim::verilator;
use crate::verilog::Design;
use std::path::{Path, PathBuf};
use std::process::Command;
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

/// Verilator `-Wall`, Icarus `-Wall` and Yosys on a design with that top module.
///
/// # Errors
/// What they said, warnings included; also when one of them is missing.
pub fn lint(design: &Design, top: &str) -> Result<(), String> {
    design.check().map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
    let dir = scratch("lint").join(top);
    let files = write(design, &dir).map_err(|e| e.to_string())?;
    let names: Vec<String> = files.iter().map(|f| f.display().to_string()).collect();
    let mut said = vec![];
    let mut verilate = Command::new(verilator());
    verilate.args(["--lint-only", "-Wall", "--quiet", "--top-module", top]).args(&names);
    said.push(run("Verilator", verilate));
    let mut icarus = Command::new("iverilog");
    icarus.args(["-g2012", "-Wall", "-s", top, "-o"]).arg(dir.join("icarus.out")).args(&names);
    said.push(run("Icarus", icarus));
    let script = format!(
        "read_verilog -sv {}; hierarchy -check -top {top}; proc; flatten; opt -fast; memory -nomap; check -assert",
        names.join(" ")
    );
    let mut yosys = Command::new("yosys");
    yosys.args(["-q", "-p", &script]);
    said.push(run("Yosys", yosys));
    let said: String = said.into_iter().flatten().collect();
    if said.is_empty() { Ok(()) } else { Err(said) }
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

/// A directory beside the build's own files.
pub(crate) fn scratch(purpose: &str) -> PathBuf {
    let exe = env::current_exe().ok();
    // target/<profile>/deps/<test>
    let base = exe.as_deref().and_then(|e| e.ancestors().nth(2)).map(Path::to_path_buf);
    base.unwrap_or_else(|| env::temp_dir().join("koch")).join(purpose)
}

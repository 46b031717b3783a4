//! Builds a Verilated model of a config as a shared library, once for each content, and calls it.
//!
//! The crate marlin would do this too, but wants a wrapper struct for each module at compile time and drives one
//! signal a call; a bridge of ten functions is smaller and costs one call a cycle.
#![allow(unsafe_code)]

use crate::memory::{Answers, Requests};
use sha2::Digest as _;
use spec::{Config, Counters};
use std::ffi::{CString, OsStr, c_char, c_void};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const BRIDGE: &str = include_str!("bridge.cpp");
const VERILATOR_FLAGS: &[&str] =
    &["--cc", "-O3", "--x-assign", "fast", "--x-initial", "unique", "--no-timing", "--quiet"];
const CXX_FLAGS: &[&str] = &["-std=gnu++17", "-O2", "-march=native", "-fPIC", "-w"];

/// Why a model could not be built: the tool's own words.
#[derive(Debug)]
pub struct BuildError(String);

impl std::fmt::Display for BuildError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BuildError {}

impl BuildError {
    pub(crate) fn new(what: &str, e: impl std::fmt::Display) -> Self {
        Self(format!("{what}: {e}"))
    }
}

fn failed(what: &str, e: impl std::fmt::Display) -> BuildError {
    BuildError::new(what, e)
}

/// Control signals of one cycle; see `bridge.cpp`.
#[derive(Clone, Copy, Default)]
#[repr(C)]
#[allow(missing_docs)]
pub struct Control {
    pub awaddr: u32,
    pub wdata: u32,
    pub araddr: u32,
    pub rdata: u32,
    pub awvalid: u8,
    pub wvalid: u8,
    pub bready: u8,
    pub arvalid: u8,
    pub rready: u8,
    pub awready: u8,
    pub wready: u8,
    pub bvalid: u8,
    pub arready: u8,
    pub rvalid: u8,
    pub irq: u8,
    pub rst_n: u8,
}

/// Where models are kept: `KOCH_CACHE`, else `koch` in the user's cache directory.
pub fn cache_dir() -> PathBuf {
    let of = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    of("KOCH_CACHE")
        .or_else(|| of("XDG_CACHE_HOME").map(|d| d.join("koch")))
        .or_else(|| of("HOME").map(|d| d.join(".cache/koch")))
        .unwrap_or_else(|| std::env::temp_dir().join("koch-cache"))
}

fn run(command: &mut Command) -> Result<String, BuildError> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output =
        command.output().map_err(|e| failed(&name, format!("{e}; install the tools with `make setup`")))?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].map(|s| String::from_utf8_lossy(&s).into_owned()).concat();
        return Err(failed(&name, said));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Compiles `sources` to objects, two at a time.
fn compile(sources: &[PathBuf], flags: &[String], dir: &Path) -> Result<Vec<PathBuf>, BuildError> {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(sources.len().max(1));
    let results: Vec<Result<(), BuildError>> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..workers)
            .map(|_| {
                scope.spawn(|| {
                    loop {
                        let k = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        let Some(source) = sources.get(k) else { return Ok(()) };
                        run(Command::new("g++")
                            .args(flags)
                            .arg("-c")
                            .arg(source)
                            .arg("-o")
                            .arg(object(source, dir)))?;
                    }
                })
            })
            .collect();
        handles
            .into_iter()
            .map(|h| h.join().unwrap_or_else(|_| Err(BuildError("compiler thread died".into()))))
            .collect()
    });
    results.into_iter().collect::<Result<(), _>>()?;
    Ok(sources.iter().map(|s| object(s, dir)).collect())
}

fn object(source: &Path, dir: &Path) -> PathBuf {
    dir.join(source.file_name().unwrap_or_default()).with_extension("o")
}

fn hash(parts: &[&str]) -> String {
    let mut hasher = sha2::Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().iter().take(12).map(|b| format!("{b:02x}")).collect()
}

/// Makes `target` by `make` in a temporary directory beside it, unless it is there.
fn cached(target: &Path, make: impl FnOnce(&Path) -> Result<(), BuildError>) -> Result<(), BuildError> {
    if target.exists() {
        return Ok(());
    }
    let parent = target.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(|e| failed(&parent.display().to_string(), e))?;
    let temporary = tempfile::Builder::new()
        .prefix("build-")
        .tempdir_in(parent)
        .map_err(|e| failed(&parent.display().to_string(), e))?;
    make(temporary.path())?;
    let made = temporary.keep();
    if fs::rename(&made, target).is_err() {
        // Somebody else was faster.
        let _ = fs::remove_dir_all(&made);
    }
    if target.exists() {
        Ok(())
    } else {
        Err(failed(&target.display().to_string(), "could not be put in place"))
    }
}

/// The shared library of `config`'s RTL, from the cache or built now.
pub fn build(config: &Config, trace: bool) -> Result<PathBuf, BuildError> {
    build_in(&cache_dir(), config, trace)
}

/// [`build`] with a cache of one's own.
pub fn build_in(cache: &Path, config: &Config, trace: bool) -> Result<PathBuf, BuildError> {
    let (defines, files) = (defines(config), hdl::koch::design(config).files());
    Source { name: &config.name, top: "koch", bridge: BRIDGE, defines, files, trace }.build_in(cache)
}

/// What the bridge is told of a config.
fn defines(config: &Config) -> Vec<String> {
    let counters: String = Counters::ALL.iter().map(|(name, _)| format!("KOCH_COUNTER({name})")).collect();
    vec![format!("-DKOCH_BUS_BYTES={}", config.bus_bytes()), format!("-DKOCH_COUNTERS={counters}")]
}

/// What a shared library is built of.
pub struct Source<'a> {
    /// Names its directory in the cache.
    pub name: &'a str,
    /// The top module.
    pub top: &'a str,
    /// The bridge, in C++.
    pub bridge: &'a str,
    /// Its macros, as arguments of the compiler.
    pub defines: Vec<String>,
    /// Names and texts of Verilog files.
    pub files: Vec<(String, String)>,
    /// Whether it can write waveforms.
    pub trace: bool,
}

impl Source<'_> {
    /// The library, from a cache or built now.
    pub fn build_in(&self, cache: &Path) -> Result<PathBuf, BuildError> {
        let Self { name, top, bridge: text, defines, files, trace } = self;
        let verilator = hdl::cosim::verilator();
        let version = run(Command::new(&verilator).arg("--version"))?;
        let mut parts = vec![version.as_str(), top, text, if *trace { "trace" } else { "" }];
        parts.extend(defines.iter().map(String::as_str));
        parts.extend(VERILATOR_FLAGS.iter().chain(CXX_FLAGS));
        parts.extend(files.iter().flat_map(|(name, text)| [name.as_str(), text.as_str()]));
        let root = run(Command::new(&verilator).arg("--getenv").arg("VERILATOR_ROOT"))?;
        let include = Path::new(root.trim()).join("include");
        let mut flags: Vec<String> = CXX_FLAGS.iter().map(|f| (*f).to_owned()).collect();
        flags.extend([
            format!("-I{}", include.display()),
            format!("-I{}", include.join("vltstd").display()),
            format!("-DVM_TRACE={}", u8::from(*trace)),
            format!("-DVM_TRACE_FST={}", u8::from(*trace)),
            "-DVM_COVERAGE=0".into(),
            "-DVM_SC=0".into(),
        ]);

        // Verilator's own runtime, shared by all models.
        let runtime = cache.join(format!("runtime-{}", hash(&[&version, &flags.join(" ")])));
        cached(&runtime, |dir| {
            let mut names = vec!["verilated.cpp", "verilated_threads.cpp"];
            if *trace {
                names.push("verilated_fst_c.cpp");
            }
            let sources: Vec<PathBuf> = names.iter().map(|n| include.join(n)).collect();
            compile(&sources, &flags, dir).map(|_| ())
        })?;
        let target = cache.join(format!("model-{name}-{}", hash(&parts)));
        cached(&target, |dir| {
            let source = dir.join("rtl");
            fs::create_dir_all(&source).map_err(|e| failed("model directory", e))?;
            let mut paths = Vec::new();
            for (name, text) in files {
                let path = source.join(name);
                fs::write(&path, text).map_err(|e| failed(&path.display().to_string(), e))?;
                paths.push(path);
            }
            let objects = dir.join("obj");
            let mut verilate = Command::new(&verilator);
            verilate
                .args(VERILATOR_FLAGS)
                .args(["--top-module", top, "--output-split", "15000", "-Mdir"])
                .arg(&objects);
            if *trace {
                verilate.args(["--trace-fst", "--trace-structs"]);
            }
            run(verilate.args(&paths))?;
            let bridge = objects.join("bridge.cpp");
            fs::write(&bridge, text).map_err(|e| failed("bridge.cpp", e))?;
            let mut sources = vec![bridge];
            for entry in fs::read_dir(&objects).map_err(|e| failed("model directory", e))? {
                let path = entry.map_err(|e| failed("model directory", e))?.path();
                let generated =
                    path.file_name().and_then(OsStr::to_str).is_some_and(|n| n.starts_with("Vkoch"));
                if generated && path.extension() == Some(OsStr::new("cpp")) {
                    sources.push(path);
                }
            }
            sources.sort();
            let mut flags = flags.clone();
            flags.extend(defines.iter().cloned());
            flags.push(format!("-I{}", objects.display()));
            let mut link = Command::new("g++");
            link.args(["-shared", "-o"]).arg(dir.join("libkoch.so")).args(compile(&sources, &flags, dir)?);
            for entry in fs::read_dir(&runtime).map_err(|e| failed("runtime directory", e))? {
                link.arg(entry.map_err(|e| failed("runtime directory", e))?.path());
            }
            if *trace {
                link.args(["-lz", "-llz4"]);
            }
            run(link.arg("-lpthread"))?;
            let _ = fs::remove_dir_all(&objects);
            Ok(())
        })?;
        Ok(target.join("libkoch.so"))
    }
}

/// The shared library of a design of `config` that `yosys mutate -ctrl mutant` has changed.
pub fn build_mutants(config: &Config, verilog: &str) -> Result<PathBuf, BuildError> {
    let mut defines = defines(config);
    defines.push("-DKOCH_MUTANTS".into());
    let files = vec![("koch.sv".to_owned(), verilog.to_owned())];
    Source { name: &config.name, top: "koch", bridge: BRIDGE, defines, files, trace: false }
        .build_in(&cache_dir())
}

type New = unsafe extern "C" fn(*const c_char, u32) -> *mut c_void;
type Free = unsafe extern "C" fn(*mut c_void);
type RequestsFn = unsafe extern "C" fn(*mut c_void, *mut Requests, *mut u8, *mut u64);
type CycleFn = unsafe extern "C" fn(*mut c_void, *const Answers, *const u8, *mut Control);
type StateFn = unsafe extern "C" fn(*mut c_void) -> u32;
type SelectFn = unsafe extern "C" fn(*mut c_void, u32);
type CountersFn = unsafe extern "C" fn(*mut c_void, *mut u64);

/// A loaded library.
pub struct Library {
    new: New,
    free: Free,
    requests: RequestsFn,
    cycle: CycleFn,
    state: StateFn,
    counters: CountersFn,
    /// Of a design with mutants only.
    select: Option<SelectFn>,
    _library: libloading::Library,
}

impl Library {
    /// Loads what [`build`] made.
    pub fn load(path: &Path) -> Result<Self, BuildError> {
        let error = |e| failed(&path.display().to_string(), e);
        // SAFETY: the library was built from `bridge.cpp`, whose functions have exactly these types, and whose
        // initialisation only sets up Verilator's tables.
        unsafe {
            let library = libloading::Library::new(path).map_err(error)?;
            Ok(Self {
                new: *library.get::<New>(b"koch_new").map_err(error)?,
                free: *library.get::<Free>(b"koch_free").map_err(error)?,
                requests: *library.get::<RequestsFn>(b"koch_requests").map_err(error)?,
                cycle: *library.get::<CycleFn>(b"koch_cycle").map_err(error)?,
                state: *library.get::<StateFn>(b"koch_state").map_err(error)?,
                counters: *library.get::<CountersFn>(b"koch_counters").map_err(error)?,
                select: library.get::<SelectFn>(b"koch_select").ok().map(|select| *select),
                _library: library,
            })
        }
    }
}

/// One simulated accelerator.
pub struct Instance<'a> {
    library: &'a Library,
    state: *mut c_void,
    bus: usize,
}

impl<'a> Instance<'a> {
    /// A new one; registers that no reset reaches hold values drawn from `seed`.
    pub fn new(library: &'a Library, bus: u32, trace: Option<&Path>, seed: u32) -> Result<Self, BuildError> {
        let path = match trace {
            Some(path) => Some(
                CString::new(path.as_os_str().as_encoded_bytes())
                    .map_err(|e| failed("trace file name", e))?,
            ),
            None => None,
        };
        // SAFETY: the path is a C string or null, and outlives the call.
        let state = unsafe { (library.new)(path.as_ref().map_or(std::ptr::null(), |p| p.as_ptr()), seed) };
        Ok(Self { library, state, bus: bus as usize })
    }

    /// Switches a mutant on; a design without mutants stays as it is.
    pub fn select(&mut self, mutant: u32) {
        if let Some(select) = self.library.select {
            // SAFETY: `state` is live.
            unsafe { select(self.state, mutant) }
        }
    }

    /// What the RTL drives on the memory bus; write data and strobes are filled in when `wvalid` is set.
    pub fn requests(&mut self, wdata: &mut [u8; 64], strobe: &mut u64) -> Requests {
        let mut requests = Requests::default();
        // SAFETY: `state` is live, and `wdata` has room for the widest bus.
        unsafe { (self.library.requests)(self.state, &mut requests, wdata.as_mut_ptr(), strobe) };
        requests
    }

    /// One clock cycle.
    pub fn cycle(&mut self, answers: &Answers, rdata: &[u8; 64], control: Option<&mut Control>) {
        debug_assert!(self.bus <= rdata.len());
        let control = control.map_or(std::ptr::null_mut(), |c| c as *mut Control);
        // SAFETY: `state` is live; the pointers are valid for the call; `control` may be null.
        unsafe { (self.library.cycle)(self.state, answers, rdata.as_ptr(), control) };
    }

    /// The interrupt line, and the number of the layer.
    pub fn state(&self) -> (bool, u32) {
        // SAFETY: `state` is live.
        let state = unsafe { (self.library.state)(self.state) };
        (state & 1 != 0, state >> 1)
    }

    /// All counters as they are now.
    pub fn counters(&self) -> Counters {
        let mut values = vec![0; Counters::ALL.len()];
        // SAFETY: `state` is live, and there is room for every counter.
        unsafe { (self.library.counters)(self.state, values.as_mut_ptr()) };
        Counters::from_values(&values)
    }
}

impl Drop for Instance<'_> {
    fn drop(&mut self) {
        // SAFETY: `state` came from `koch_new` and is freed once.
        unsafe { (self.library.free)(self.state) }
    }
}

//! What each network does at each point, exactly as `koch model` says, every different program simulated once.
//!
//! Points that share all that is not a buffer, the memory or the clock are a *family*. In a family a layer is planned
//! for each combination of buffers; plans with the same fingerprint are the same program, and a program is run for every
//! memory of the sweep when it is met first. Families follow each other, so only the last ones are kept.

use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use compiler::layer_table::LayerTable;
use compiler::network::Network;
use compiler::plan::Costs;
use compiler::program::compile;
use compiler::schedule::fingerprint;
use metrics::{Figures, Steps, Work};
use sha2::Digest as _;
use spec::layer::Layer;
use spec::{Config, Counters, MemorySpec, Program, Status};

use crate::row::{LayerRow, PointRow};
use crate::spec::{Field, Spec, SweepError, Values, error};

/// Families whose results are kept, at least: two for each thread if that is more.
const KEPT: usize = 4;

/// What is behind a file of `networks`.
pub enum Source {
    /// Layers on their own.
    Table(LayerTable),
    /// A network that is compiled as a whole.
    Network(Box<Network>),
}

struct Loaded {
    name: String,
    source: Source,
    /// The layers of a table by their numbers among all different ones.
    layers: Vec<usize>,
}

/// What runs of the layers of a network counted, for one memory.
#[derive(Clone)]
struct Totals {
    counters: Counters,
    work: Work,
    bound: f64,
    /// If asked for.
    layers: Vec<LayerRow>,
}

/// A program's counters for each memory.
type Runs = Result<Vec<Result<Counters, String>>, String>;
/// A network's totals for each memory.
type Networks = Result<Vec<Result<Totals, String>>, String>;

/// What a layer's program counts, and its strategy: worked out by whoever wants it first, outside of any lock.
type Timed = Arc<OnceLock<(Runs, &'static str)>>;

/// A layer in a family.
#[derive(Default)]
struct LayerCache {
    costs: Costs,
    by_buffers: HashMap<[u32; 4], Timed>,
    by_program: HashMap<Vec<i64>, Timed>,
}

/// The programs of a network in a family.
type NetworkCache = HashMap<[u8; 32], Arc<Networks>>;

struct Family {
    layers: Vec<Mutex<LayerCache>>,
    networks: Vec<Mutex<NetworkCache>>,
}

/// The transistors and FPGA resources of a config.
pub trait Area: Send + Sync {
    /// LUTs, flip-flops, multipliers, block RAMs and transistors.
    fn estimate(&self, config: &Config) -> [u64; 5];
}

/// A sweep ready to be evaluated.
pub struct Evaluator {
    /// The sweep.
    pub spec: Spec,
    networks: Vec<Loaded>,
    layers: Vec<Layer>,
    area: Box<dyn Area>,
    families: Mutex<VecDeque<(u64, Arc<Family>)>>,
    /// How many memories, clocks and combinations of buffers there are.
    memories: u64,
    clocks: u64,
    buffers: u64,
    /// SHA-256 of each network's file.
    digests: Vec<String>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Evaluator {
    /// Reads the networks.
    pub fn new(spec: Spec, area: Box<dyn Area>) -> Result<Self, SweepError> {
        let (mut networks, mut layers, mut digests) = (Vec::new(), Vec::new(), Vec::new());
        let mut numbers: HashMap<Layer, usize> = HashMap::new();
        for path in &spec.networks {
            let loaded = load(path, |layer| {
                *numbers.entry(layer).or_insert_with(|| {
                    layers.push(layer);
                    layers.len() - 1
                })
            })?;
            if networks.iter().any(|n: &Loaded| n.name == loaded.name) {
                return error(format!(
                    "networks: two files are named {}: rows would not tell which; rename one",
                    loaded.name
                ));
            }
            let bytes = std::fs::read(path).map_err(|e| SweepError(format!("{}: {e}", path.display())))?;
            digests.push(format!("{:x}", sha2::Sha256::digest(&bytes)));
            networks.push(loaded);
        }
        let count = |fields: std::ops::Range<usize>| {
            spec.axes[fields].iter().map(|axis| axis.len().max(1) as u64).product::<u64>()
        };
        Ok(Self {
            memories: count(Field::MEMORY..Field::CLOCK),
            clocks: count(Field::CLOCK..Field::CLOCK + 1),
            buffers: count(Field::BUFFERS..Field::MEMORY),
            spec,
            networks,
            layers,
            area,
            families: Mutex::default(),
            digests,
        })
    }

    /// What is behind a name in the column `network`.
    pub fn source(&self, name: &str) -> Option<&Source> {
        self.networks.iter().find(|n| n.name == name).map(|n| &n.source)
    }

    /// What the rows depend on: equal texts mean equal rows.
    pub fn canonical(&self) -> String {
        let mut text = format!("# koch {}\n{}", env!("CARGO_PKG_VERSION"), self.spec.canonical());
        text += &format!("# units = {}\n# rows = {}\n", self.units(), self.spec.rows());
        for (network, digest) in self.networks.iter().zip(&self.digests) {
            text += &format!("# network {} sha256 {digest}\n", network.name);
        }
        text
    }

    /// Groups of points with the same config, which are evaluated together.
    pub fn units(&self) -> u64 {
        self.spec.points() / self.unit_points()
    }

    /// Points of a unit.
    pub fn unit_points(&self) -> u64 {
        self.memories * self.clocks
    }

    /// The rows of a unit.
    pub fn unit(&self, unit: u64) -> (Vec<PointRow>, Vec<LayerRow>) {
        let first = unit * self.unit_points();
        let values = self.spec.values(first);
        let config = self.spec.config(&values);
        let results = config.as_ref().ok().map(|config| {
            let family = self.family(unit / self.buffers);
            (0..self.networks.len()).map(|n| self.network(&family, n, config, first)).collect::<Vec<_>>()
        });
        let area = config.as_ref().ok().map(|config| self.area.estimate(config));
        let (mut rows, mut layers) = (Vec::new(), Vec::new());
        for point in first..first + self.unit_points() {
            let values = self.spec.values(point);
            let memory = ((point - first) / self.clocks) as usize;
            for (n, network) in self.networks.iter().enumerate() {
                let mut row = PointRow {
                    point,
                    network: network.name.clone(),
                    clock_mhz: self.spec.clock_mhz(&values),
                    ..PointRow::default()
                };
                self.fill_design(&mut row, &values);
                let outcome = match (&config, &results, area) {
                    (Ok(config), Some(results), Some(area)) => {
                        self.fill_config(&mut row, config, &values, area);
                        match &*results[n] {
                            Ok(by_memory) => by_memory[memory].as_ref().map_err(Clone::clone),
                            Err(e) => Err(e.clone()),
                        }
                    }
                    (Err(e), ..) => Err(e.to_string()),
                    _ => Err("no result".to_owned()),
                };
                match (outcome, &config) {
                    (Ok(totals), Ok(config)) => {
                        self.fill(&mut row, totals, config, &values);
                        let of_point = |layer: &LayerRow| LayerRow { point, ..layer.clone() };
                        layers.extend(totals.layers.iter().map(of_point));
                    }
                    (Err(e), _) => row.status = e,
                    _ => {}
                }
                rows.push(row);
            }
        }
        (rows, layers)
    }

    /// The point as the sweep asks for it, legal or not.
    fn fill_design(&self, row: &mut PointRow, values: &Values) {
        let base = &self.spec.base;
        let memory = MemorySpec::default();
        let of = |field: Field, default: Option<u64>| values[field as usize].or(default);
        let n = |v: Option<u32>| v.map(u64::from);
        row.rows = of(Field::Rows, n(base.rows));
        row.cols = of(Field::Cols, n(base.cols));
        row.lanes = of(Field::Lanes, n(base.lanes));
        row.operand_bits = of(Field::OperandBits, n(base.operand_bits));
        row.ibuf = of(Field::Ibuf, base.ibuf.map(|s| s.0));
        row.wbuf = of(Field::Wbuf, base.wbuf.map(|s| s.0));
        row.obuf = of(Field::Obuf, base.obuf.map(|s| s.0));
        row.rbuf = of(Field::Rbuf, base.rbuf.map(|s| s.0));
        row.pbuf = of(Field::Pbuf, base.pbuf.map(|s| s.0));
        row.bus_bits = of(Field::BusBits, n(base.bus_bits));
        row.burst_beats = of(Field::BurstBeats, n(base.burst_beats));
        row.outstanding = of(Field::Outstanding, n(base.outstanding));
        row.latency = of(Field::Latency, Some(memory.latency.into()));
        row.bytes_per_cycle = of(Field::BytesPerCycle, n(memory.bytes_per_cycle));
        row.memory_outstanding = of(Field::MemoryOutstanding, Some(memory.outstanding.into()));
        row.stall_seed = of(Field::StallSeed, Some(memory.stall_seed));
        row.stall_percent = of(Field::StallPercent, Some(memory.stall_percent.into()));
    }

    /// What the config makes of it: defaults, sizes rounded to words, its cost.
    fn fill_config(&self, row: &mut PointRow, config: &Config, values: &Values, area: [u64; 5]) {
        let n = |v: u32| Some(u64::from(v));
        (row.rows, row.cols, row.lanes) = (n(config.rows), n(config.cols), n(config.lanes));
        row.operand_bits = n(config.operand_bits);
        let [ibuf, wbuf, obuf, rbuf, pbuf] = config.buffers();
        (row.ibuf, row.wbuf, row.obuf, row.rbuf, row.pbuf) = (n(ibuf), n(wbuf), n(obuf), n(rbuf), n(pbuf));
        (row.bus_bits, row.burst_beats) = (n(config.bus_bits), n(config.burst_beats));
        row.outstanding = n(config.outstanding);
        row.macs = Some(config.peak());
        row.buffer_bytes = Some(compiler::size::total(&config.buffers()));
        row.bytes_per_cycle = values[Field::BytesPerCycle as usize].or(n(config.bus_bytes()));
        let [luts, ffs, multipliers, block_rams, transistors] = area.map(Some);
        (row.luts, row.ffs, row.multipliers) = (luts, ffs, multipliers);
        (row.block_rams, row.area) = (block_rams, transistors);
    }

    fn fill(&self, row: &mut PointRow, totals: &Totals, config: &Config, values: &Values) {
        let Ok(memory) = self.spec.memory(values, config) else { return };
        let cycles = totals.counters.cycles;
        let figures = Figures::bounded(totals.work, totals.bound, Some(cycles), config, &memory);
        row.status = "ok".into();
        row.useful_macs = Some(totals.work.useful_macs);
        row.padded_macs = Some(totals.work.padded_macs);
        row.cycles = Some(cycles);
        row.fps = Some(row.clock_mhz as f64 * 1e6 / cycles as f64);
        row.efficiency = Some(figures.efficiency);
        row.roofline_efficiency = Some(figures.roofline_efficiency);
        row.bytes = Some(totals.work.moved_bytes);
        row.once_only_bytes = Some(totals.work.once_only_bytes);
        row.traffic_ratio = Some(figures.traffic_ratio);
    }

    fn family(&self, number: u64) -> Arc<Family> {
        let mut families = lock(&self.families);
        if let Some(at) = families.iter().position(|(n, _)| *n == number)
            && let Some(found) = families.remove(at)
        {
            families.push_back(found.clone());
            return found.1;
        }
        let family = Arc::new(Family {
            layers: self.layers.iter().map(|_| Mutex::default()).collect(),
            networks: self.networks.iter().map(|_| Mutex::default()).collect(),
        });
        families.push_back((number, family.clone()));
        if families.len() > KEPT.max(2 * rayon::current_num_threads()) {
            families.pop_front();
        }
        family
    }

    /// The memories of a unit.
    fn memories(&self, config: &Config, first: u64) -> Vec<Result<MemorySpec, String>> {
        let memory = |k: u64| {
            let values = self.spec.values(first + k * self.clocks);
            self.spec.memory(&values, config).map_err(|e| e.to_string())
        };
        (0..self.memories).map(memory).collect()
    }

    fn network(&self, family: &Family, number: usize, config: &Config, first: u64) -> Arc<Networks> {
        let Loaded { source, layers, .. } = &self.networks[number];
        match source {
            Source::Table(table) => Arc::new(self.table(family, table, layers, config, first)),
            Source::Network(network) => {
                let name = &self.networks[number].name;
                self.whole(&family.networks[number], name, network, config, first)
            }
        }
    }

    fn table(
        &self,
        family: &Family,
        table: &LayerTable,
        layers: &[usize],
        config: &Config,
        first: u64,
    ) -> Networks {
        let mut different: HashMap<usize, Timed> = HashMap::new();
        for &n in layers {
            different.entry(n).or_insert_with(|| self.layer(family, n, config, first));
        }
        // Another thread may still be at it: whoever asked first.
        let timed = |n: &usize| different[n].wait();
        if let Some((n, e)) = layers.iter().find_map(|n| Some((n, timed(n).0.as_ref().err()?))) {
            return Err(format!("{}: {e}", self.layers[*n]));
        }
        let mut totals = Vec::new();
        for (memory, spec) in self.memories(config, first).into_iter().enumerate() {
            let total = spec.and_then(|spec| {
                let mut total = Totals {
                    counters: Counters::default(),
                    work: Work::default(),
                    bound: 0.0,
                    layers: Vec::new(),
                };
                let mut sum = total.counters.values();
                for (index, (row, n)) in table.layers.iter().zip(layers).enumerate() {
                    let (runs, strategy) = timed(n);
                    let Ok(runs) = runs else { continue };
                    let counters = runs[memory].as_ref().map_err(Clone::clone)?;
                    let count = u64::from(row.count);
                    let work = Work::of_layer(&row.layer, config, counters);
                    sum.iter_mut().zip(counters.values()).for_each(|(sum, value)| *sum += count * value);
                    total.work += work.times(count);
                    total.bound += row.count as f64 * work.bound(config, &spec);
                    if self.spec.layers {
                        let bound = work.bound(config, &spec);
                        let figures = Figures::bounded(work, bound, Some(counters.cycles), config, &spec);
                        let known = LayerRow {
                            network: table.name.clone(),
                            index: index as u64 + 1,
                            layer: row.name.clone(),
                            count,
                            spec: row.layer.to_string(),
                            strategy: (*strategy).to_owned(),
                            ..LayerRow::default()
                        };
                        total.layers.push(layer_row(known, work, counters, figures));
                    }
                }
                total.counters = Counters::from_values(&sum);
                Ok(total)
            });
            totals.push(total);
        }
        Ok(totals)
    }

    fn layer(&self, family: &Family, number: usize, config: &Config, first: u64) -> Timed {
        let [ibuf, wbuf, obuf, _, pbuf] = config.buffers();
        let buffers = [ibuf, wbuf, obuf, pbuf];
        let layer = &self.layers[number];
        let mut cache = lock(&family.layers[number]);
        if let Some(found) = cache.by_buffers.get(&buffers) {
            return found.clone();
        }
        let (timed, plan) = match compiler::plan_with_costs(layer, config, &mut cache.costs) {
            Err(e) => (Arc::new(OnceLock::from((Err(e.to_string()), ""))), None),
            Ok(plan) => (cache.by_program.entry(fingerprint(&plan)).or_default().clone(), Some(plan)),
        };
        cache.by_buffers.insert(buffers, timed.clone());
        drop(cache);
        if let Some(plan) = plan {
            timed.get_or_init(|| {
                let program = compiler::assemble(&plan, None).map_err(|e| e.to_string());
                (program.map(|program| self.runs(&program, config, first)), plan.strategy())
            });
        }
        timed
    }

    /// The counters of a program for each memory.
    fn runs(&self, program: &Program, config: &Config, first: u64) -> Vec<Result<Counters, String>> {
        let run = |memory: Result<MemorySpec, String>| {
            let run = cyclemodel::run(config, program, &memory?).map_err(|e| e.to_string())?;
            match run.status {
                Status::Ok => Ok(run.counters),
                status => Err(format!("the cycle model ends with status {status}")),
            }
        };
        self.memories(config, first).into_iter().map(run).collect()
    }

    fn whole(
        &self,
        cache: &Mutex<NetworkCache>,
        name: &str,
        network: &Network,
        config: &Config,
        first: u64,
    ) -> Arc<Networks> {
        let compiled = compile(network, config, true).and_then(|compiled| {
            let all = 0..compiled.lowered.steps.len();
            let program = compiled.program(all.clone(), None)?;
            Ok((Steps::new(&compiled, all)?, compiled, program))
        });
        let (steps, compiled, program) = match compiled {
            Ok(parts) => parts,
            Err(e) => return Arc::new(Err(e.to_string())),
        };
        let key: [u8; 32] = sha2::Sha256::digest(&program.code).into();
        if let Some(found) = lock(cache).get(&key) {
            return found.clone();
        }
        let totals = |memory: Result<MemorySpec, String>| {
            let memory = memory?;
            let run = cyclemodel::run(config, &program, &memory).map_err(|e| e.to_string())?;
            if run.status != Status::Ok {
                return Err(format!("the cycle model ends with status {}", run.status));
            }
            let mut work = Work::default();
            let mut bound = 0.0;
            for index in steps.range.clone() {
                let step = steps.work(&compiled, index);
                bound += step.bound(config, &memory);
                work += step;
            }
            let mut layers = Vec::new();
            if self.spec.layers
                && let Some(by_step) = steps.by_step(&run)
            {
                for (index, counters) in steps.range.clone().zip(&by_step) {
                    let step = &compiled.lowered.steps[index];
                    let work = steps.work(&compiled, index);
                    let known = LayerRow {
                        network: name.to_owned(),
                        index: index as u64 + 1,
                        layer: compiled.lowered.name(step).to_owned(),
                        count: 1,
                        spec: step.layer.to_string(),
                        strategy: compiled.plans()[index].strategy().to_owned(),
                        ..LayerRow::default()
                    };
                    let figures = Figures::new(work, Some(counters.cycles), config, &memory);
                    layers.push(layer_row(known, work, counters, figures));
                }
            }
            Ok(Totals { counters: run.counters, work, bound, layers })
        };
        let found: Arc<Networks> =
            Arc::new(Ok(self.memories(config, first).into_iter().map(totals).collect()));
        lock(cache).insert(key, found.clone());
        found
    }
}

fn layer_row(known: LayerRow, work: Work, counters: &Counters, figures: Figures) -> LayerRow {
    LayerRow {
        useful_macs: work.useful_macs,
        once_only_bytes: work.once_only_bytes,
        bytes: work.moved_bytes,
        cycles: counters.cycles,
        roofline_cycles: Some(figures.roofline_cycles),
        mac_busy_cycles: counters.busy,
        idle_feed: counters.idle_feed,
        idle_drain: counters.idle_drain,
        idle_load: counters.idle_load,
        idle_store: counters.idle_store,
        idle_setup: counters.idle_setup,
        idle_fetch: counters.idle_fetch,
        idle_tail: counters.idle_tail,
        efficiency: Some(figures.efficiency),
        roofline_efficiency: Some(figures.roofline_efficiency),
        ..known
    }
}

fn load(path: &Path, mut number: impl FnMut(Layer) -> usize) -> Result<Loaded, SweepError> {
    let name = path.file_stem().and_then(|n| n.to_str()).unwrap_or("network").to_owned();
    let mut layers = Vec::new();
    let source = match path.extension().and_then(|e| e.to_str()) {
        Some("csv") => {
            let table = LayerTable::load(path).map_err(|e| SweepError(e.to_string()))?;
            layers = table.layers.iter().map(|row| number(row.layer)).collect();
            Source::Table(table)
        }
        Some("onnx") => {
            Source::Network(Box::new(Network::load(path).map_err(|e| SweepError(e.to_string()))?))
        }
        _ => {
            return error(format!(
                "networks: {} ends neither in .csv (a table of layers) nor in .onnx; give one of these",
                path.display()
            ));
        }
    };
    Ok(Loaded { name, source, layers })
}

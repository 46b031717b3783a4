//! Random cases, and the comparison of all machines on one.

use crate::rtl::{Rtl, RunError};
use compiler::Plan;
use spec::layer::{Layer, LayerData, LayerSpec};
use spec::rng::{in_range, splitmix64};
use spec::{Config, ConfigSpec, MemorySpec, Program, Run, Size, Status};

/// Draws from a seed.
pub struct Draw(u64);

impl Draw {
    /// A sequence of its own for each (seed, index).
    pub fn new(seed: u64, index: u64) -> Self {
        let mut state = seed;
        let base = splitmix64(&mut state);
        Self(base ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// Evenly from `lo..=hi`.
    pub fn between(&mut self, lo: u32, hi: u32) -> u32 {
        in_range(&mut self.0, lo as i32, hi as i32) as u32
    }

    /// True in `percent` of the draws.
    pub fn chance(&mut self, percent: u32) -> bool {
        self.between(1, 100) <= percent
    }

    /// One of these.
    pub fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.between(0, choices.len() as u32 - 1) as usize]
    }
}

/// A random legal config: rows 1–16, columns 4–64, bus 32–512, buffers from tiny to ample.
pub fn random_config(seed: u64, index: u64) -> Config {
    let mut d = Draw::new(seed ^ 0xc0f1, index);
    // The first configs walk the corners that matter most; the rest are drawn.
    let rows = match index {
        0 => 7,
        1 => 16,
        2 => 1,
        _ => d.between(1, 16),
    };
    let cols: u32 = match index {
        0 => 16,
        1 => 4,
        2 => 64,
        _ => d.of(&[4, 4, 8, 8, 12, 16, 16, 20, 24, 32, 36]),
    };
    let lanes = if d.chance(60) { None } else { Some(d.of(&[1, 2, 4]).min(1 << cols.trailing_zeros())) };
    let bus_bits = if index < 5 { 32 << index } else { d.of(&[32, 64, 128, 256, 512]) };
    let operand_bits = if d.chance(25) { 16 } else { 8 };
    let spec = ConfigSpec {
        rows: Some(rows),
        cols: Some(cols),
        lanes,
        operand_bits: Some(operand_bits),
        ibuf: Some(Size(u64::from(d.of(&[2u32, 3, 4, 8, 16, 64])) << 10)),
        wbuf: Some(Size(u64::from(d.of(&[2u32, 3, 8, 16, 64])) << 10)),
        obuf: Some(Size(u64::from(d.of(&[2u32, 3, 4, 8, 32])) << 10)),
        rbuf: Some(Size(u64::from(d.of(&[1u32, 4, 8])) << 10)),
        pbuf: Some(Size(u64::from(d.of(&[2 * cols * 8, 4 * cols * 8, 8192]).max(256)))),
        bus_bits: Some(bus_bits),
        burst_beats: Some(d.of(&[8, 16, 32, 64])),
        outstanding: Some(d.of(&[1, 2, 4, 8, 16])),
        by_channel: Some(d.chance(70)),
        post: Some(operand_bits == 8 && d.chance(70)),
    };
    match Config::new(&format!("random-{seed}-{index}"), spec) {
        Ok(config) => config,
        Err(e) => panic!("the generator of configs draws an illegal one: {e}"),
    }
}

/// A random layer of at most a few million MACs: kernels to 11, strides to 4, cin 1 and 3, maps smaller than a tile
/// and layers larger than the buffers among them.
pub fn random_layer(d: &mut Draw, config: &Config) -> Layer {
    loop {
        let fc = d.chance(12);
        let small =
            |d: &mut Draw| if d.chance(70) { d.of(&[1, 1, 2, 3, 3, 3, 4, 5]) } else { d.between(1, 11) };
        let kh = small(d);
        let kw = if d.chance(70) { kh } else { small(d) };
        let sh = if d.chance(50) { 1 } else { d.between(1, 4) };
        let sw = if d.chance(70) { sh } else { d.between(1, 4) };
        let (dh, dw) = if d.chance(80) { (1, 1) } else { (d.between(1, 3), d.between(1, 3)) };
        let groups = if d.chance(85) { 1 } else { d.of(&[2, 3, 4, 8]) };
        let channels = |d: &mut Draw| d.of(&[1, 1, 2, 3, 3, 4, 5, 7, 8, 13, 16, 17, 24, 32, 48, 64, 96]);
        let (depthwise, deep) = (d.chance(8), channels(d));
        let groups = if depthwise { deep } else { groups };
        let pad = |d: &mut Draw, reach: u32| if d.chance(40) { 0 } else { d.between(0, reach) };
        let spec = if fc {
            LayerSpec {
                cin: d.between(1, 700),
                cout: d.between(1, 150),
                batch: if d.chance(60) { 1 } else { d.between(2, 20) },
                relu: d.chance(30),
                ..LayerSpec::default()
            }
        } else {
            LayerSpec {
                cin: if depthwise { deep } else { channels(d) * groups },
                h: d.between(1, 30),
                w: d.between(1, 30),
                cout: match depthwise {
                    true => deep,
                    false if d.chance(20) => d.between(1, 3 * config.cols) * groups,
                    false => channels(d) * groups,
                },
                kh,
                kw,
                sh,
                sw,
                pt: pad(d, dh * (kh - 1)),
                pl: pad(d, dw * (kw - 1)),
                pb: pad(d, dh * (kh - 1)),
                pr: pad(d, dw * (kw - 1)),
                dh,
                dw,
                groups,
                batch: if d.chance(85) { 1 } else { d.between(2, 3) },
                relu: d.chance(30),
            }
        };
        if let Ok(layer) = Layer::new(spec)
            && layer.padded_macs() <= 3_000_000
        {
            return layer;
        }
    }
}

/// A random memory: half of them stall, up to half of the cycles, and some take write data before their address.
pub fn random_memory(d: &mut Draw, config: &Config) -> MemorySpec {
    let bus = config.bus_bytes();
    MemorySpec {
        latency: d.of(&[1, 2, 5, 20, 40, 40, 100, 300]),
        bytes_per_cycle: if d.chance(70) { None } else { Some((bus >> d.between(0, 3)).max(1)) },
        outstanding: d.of(&[1, 2, 4, 16]),
        stall_seed: u64::from(d.between(0, 1 << 30)),
        stall_percent: if d.chance(50) { 0 } else { d.between(1, 50) },
        early_data: d.chance(30),
        fault: None,
    }
}

/// A layer with numbers, compiled for a config, and a memory to run it on.
pub struct Case {
    /// The hardware.
    pub config: Config,
    /// The layer.
    pub layer: Layer,
    /// Its numbers.
    pub data: LayerData,
    /// How it is cut up.
    pub plan: Plan,
    /// The program with its data.
    pub program: Program,
    /// The memory.
    pub memory: MemorySpec,
}

/// What the machines did with a case.
pub struct Outcome {
    /// The RTL.
    pub rtl: Run,
    /// The cycle model.
    pub model: Run,
    /// First output that differs from the reference: index, wanted, got.
    pub wrong: Option<(usize, i32, i32)>,
}

impl Outcome {
    /// What differs, in words.
    pub fn difference(&self) -> Option<String> {
        if self.rtl.status != Status::Ok {
            return Some(format!("the RTL ended with status {}", self.rtl.status));
        }
        if let Some((at, want, got)) = self.wrong {
            return Some(format!("output {at} is {got}, the reference says {want}"));
        }
        if self.rtl.status != self.model.status {
            return Some(format!("status: RTL {}, model {}", self.rtl.status, self.model.status));
        }
        let (rtl, model) = (&self.rtl.marks, &self.model.marks);
        if let Some(at) = (0..rtl.len().max(model.len())).find(|&at| rtl.get(at) != model.get(at)) {
            return Some(format!("mark {at}: RTL {:?}, model {:?}", rtl.get(at), model.get(at)));
        }
        let (rtl, model) = (self.rtl.counters.values(), self.model.counters.values());
        let at = rtl.iter().zip(&model).position(|(a, b)| a != b)?;
        Some(format!("{}: RTL {}, model {}", spec::Counters::ALL[at].0, rtl[at], model[at]))
    }
}

impl Case {
    /// Compiles a layer with random numbers; the error is the compiler's.
    pub fn new(config: Config, layer: Layer, memory: MemorySpec, seed: u64) -> Result<Self, String> {
        let data = LayerData::random(&layer, config.operand_bits, seed).map_err(|e| e.to_string())?;
        let plan = compiler::plan(&layer, &config).map_err(|e| e.to_string())?;
        let program = compiler::assemble(&plan, Some(&data)).map_err(|e| e.to_string())?;
        Ok(Self { config, layer, data, plan, program, memory })
    }

    /// Case `index` of a campaign on `config`. A layer that the buffers cannot hold is drawn anew.
    pub fn random(seed: u64, index: u64, config: &Config) -> Self {
        let mut d = Draw::new(seed, index);
        loop {
            let layer = random_layer(&mut d, config);
            let memory = random_memory(&mut d, config);
            if let Ok(case) = Self::new(config.clone(), layer, memory, seed ^ index) {
                return case;
            }
        }
    }

    /// Runs every machine.
    pub fn run(&self, rtl: &Rtl) -> Result<Outcome, RunError> {
        let model = cyclemodel::run(&self.config, &self.program, &self.memory).map_err(RunError::Memory)?;
        let limit = crate::rtl::limit(model.counters.cycles);
        let run = rtl.run(&self.program, &self.memory, limit)?;
        Ok(self.judge(run, model))
    }

    /// Compares a run of the RTL with the model's and with the reference.
    pub fn judge(&self, run: Run, model: Run) -> Outcome {
        let want = reference::conv(&self.layer, &self.data);
        let got = compiler::unpack_output(&self.data.quant, run.output.as_deref().unwrap_or_default());
        let wrong = if want.len() == got.len() {
            want.iter().zip(&got).enumerate().find(|(_, (a, b))| a != b).map(|(at, (a, b))| (at, *a, *b))
        } else {
            Some((got.len().min(want.len()), want.len() as i32, got.len() as i32))
        };
        Outcome { rtl: run, model, wrong }
    }
}

//! What there is to do in a layer or a network, and how well it was done: work, efficiency, traffic.

mod steps;

pub use steps::Steps;

use serde::Serialize;
use spec::layer::Layer;
use spec::{Config, Counters, MemorySpec};

/// What there is to do: in a layer, a step of a network, or several.
#[derive(Clone, Copy, Debug, Default)]
pub struct Work {
    /// MACs, products with zero padding excluded.
    pub useful_macs: u64,
    /// MACs, products with zero padding included.
    pub padded_macs: u64,
    /// Bytes of inputs, weights, biases, scales and outputs.
    pub once_only_bytes: u64,
    /// Those of them that do not stay on chip.
    pub off_chip_bytes: u64,
    /// Bus bytes, program excluded.
    pub moved_bytes: u64,
}

impl Work {
    /// Of a layer on its own, of which these are the counters.
    pub fn of_layer(layer: &Layer, config: &Config, counters: &Counters) -> Self {
        let once_only_bytes = compiler::once_only_bytes(layer, config);
        Self {
            useful_macs: layer.useful_macs(),
            padded_macs: layer.padded_macs(),
            once_only_bytes,
            off_chip_bytes: once_only_bytes,
            moved_bytes: moved_bytes(counters),
        }
    }

    /// The same work so many times.
    pub fn times(self, count: u64) -> Self {
        Self {
            useful_macs: count * self.useful_macs,
            padded_macs: count * self.padded_macs,
            once_only_bytes: count * self.once_only_bytes,
            off_chip_bytes: count * self.off_chip_bytes,
            moved_bytes: count * self.moved_bytes,
        }
    }

    /// The roofline's bound in cycles: max(useful MACs / peak, bytes that have to cross the bus / memory bytes per cycle).
    pub fn bound(&self, config: &Config, memory: &MemorySpec) -> f64 {
        let compute = self.useful_macs as f64 / config.peak() as f64;
        compute.max(self.off_chip_bytes as f64 / bytes_per_cycle(config, memory))
    }
}

/// Bytes that the memory passes per cycle.
pub fn bytes_per_cycle(config: &Config, memory: &MemorySpec) -> f64 {
    f64::from(memory.bytes_per_cycle.unwrap_or(config.bus_bytes()))
}

impl std::ops::AddAssign for Work {
    fn add_assign(&mut self, other: Self) {
        self.useful_macs += other.useful_macs;
        self.padded_macs += other.padded_macs;
        self.once_only_bytes += other.once_only_bytes;
        self.off_chip_bytes += other.off_chip_bytes;
        self.moved_bytes += other.moved_bytes;
    }
}

/// How well it was done. Ratios to nothing are no numbers: null in JSON.
#[derive(Serialize, Clone, Copy, Debug)]
pub struct Figures {
    /// MACs, products with zero padding excluded.
    pub useful_macs: u64,
    /// MACs, products with zero padding included.
    pub padded_macs: u64,
    /// Useful MACs / (peak × cycles).
    pub efficiency: f64,
    /// Cycles of the roofline's bound / cycles.
    pub roofline_efficiency: f64,
    /// The bound: max(useful MACs / peak, once-only bytes of what is not on chip / memory bytes per cycle).
    pub roofline_cycles: f64,
    /// Bytes of inputs, weights, biases, scales and outputs, as if each step were a layer on its own.
    pub once_only_bytes: u64,
    /// Bus bytes, program excluded / once-only bytes.
    pub traffic_ratio: f64,
    /// Bus bytes, program excluded / (memory bytes per cycle × cycles).
    pub bus_utilisation: f64,
}

impl Figures {
    /// Of work that took so many cycles.
    pub fn new(work: Work, cycles: Option<u64>, config: &Config, memory: &MemorySpec) -> Self {
        Self::bounded(work, work.bound(config, memory), cycles, config, memory)
    }

    /// The same, with the bound in cycles: of a sum of layers, the sum of theirs.
    pub fn bounded(
        work: Work,
        roofline_cycles: f64,
        cycles: Option<u64>,
        config: &Config,
        memory: &MemorySpec,
    ) -> Self {
        let cycles = cycles.map_or(f64::NAN, |c| c as f64);
        let compute = work.useful_macs as f64 / config.peak() as f64;
        Self {
            useful_macs: work.useful_macs,
            padded_macs: work.padded_macs,
            efficiency: compute / cycles,
            roofline_efficiency: roofline_cycles / cycles,
            roofline_cycles,
            once_only_bytes: work.once_only_bytes,
            traffic_ratio: work.moved_bytes as f64 / work.once_only_bytes as f64,
            bus_utilisation: work.moved_bytes as f64 / (bytes_per_cycle(config, memory) * cycles),
        }
    }
}

/// Bus bytes, program excluded.
pub fn moved_bytes(counters: &Counters) -> u64 {
    counters.bytes_read() - counters.read_program + counters.written
}

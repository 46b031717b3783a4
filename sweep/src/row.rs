//! The columns of the output, declared once for CSV and Parquet.

use serde::{Deserialize, Serialize};

/// A cell, as Parquet knows types.
#[derive(Clone, Copy, Debug)]
pub enum Cell<'a> {
    /// A whole number.
    Int(Option<u64>),
    /// A number.
    Float(Option<f64>),
    /// Text.
    Text(&'a str),
}

/// What a column can hold.
trait Column {
    fn cell(&self) -> Cell<'_>;
}

impl Column for u64 {
    fn cell(&self) -> Cell<'_> {
        Cell::Int(Some(*self))
    }
}

impl Column for Option<u64> {
    fn cell(&self) -> Cell<'_> {
        Cell::Int(*self)
    }
}

impl Column for Option<f64> {
    fn cell(&self) -> Cell<'_> {
        Cell::Float(*self)
    }
}

impl Column for String {
    fn cell(&self) -> Cell<'_> {
        Cell::Text(self)
    }
}

/// A row of a table.
pub trait Row: Serialize + for<'de> Deserialize<'de> + Default {
    /// Names of its columns.
    const COLUMNS: &'static [&'static str];
    /// Its cells, in the order of the columns.
    fn cells(&self) -> Vec<Cell<'_>>;
}

macro_rules! row {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $ty:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        pub struct $name { $($(#[$field_doc])* pub $field: $ty,)* }

        impl Row for $name {
            const COLUMNS: &'static [&'static str] = &[$(stringify!($field)),*];

            fn cells(&self) -> Vec<Cell<'_>> {
                vec![$(self.$field.cell()),*]
            }
        }
    };
}

row! {
    /// A network at a point. What an error made impossible is empty.
    PointRow {
        /// Number of the point, from 0.
        point: u64,
        /// Name of the network: its file without the extension.
        network: String,
        /// Rows of the array.
        rows: Option<u64>,
        /// Columns of the array.
        cols: Option<u64>,
        /// Channels requantised per cycle.
        lanes: Option<u64>,
        /// Bits of an operand.
        operand_bits: Option<u64>,
        /// Input buffer, bytes.
        ibuf: Option<u64>,
        /// Weight buffer, bytes.
        wbuf: Option<u64>,
        /// Output buffer, bytes.
        obuf: Option<u64>,
        /// Residual buffer, bytes.
        rbuf: Option<u64>,
        /// Parameter buffer, bytes.
        pbuf: Option<u64>,
        /// Width of the bus.
        bus_bits: Option<u64>,
        /// Longest burst, beats.
        burst_beats: Option<u64>,
        /// Outstanding bursts of the accelerator.
        outstanding: Option<u64>,
        /// Latency of the memory, cycles.
        latency: Option<u64>,
        /// Bytes that the memory passes per cycle.
        bytes_per_cycle: Option<u64>,
        /// Outstanding bursts of the memory.
        memory_outstanding: Option<u64>,
        /// Seed of the stall pattern.
        stall_seed: Option<u64>,
        /// Share of stalled cycles.
        stall_percent: Option<u64>,
        /// Clock of `fps`.
        clock_mhz: u64,
        /// `ok`, or why there are no results.
        status: String,
        /// MACs per cycle: rows × columns.
        macs: Option<u64>,
        /// Bytes of all buffers.
        buffer_bytes: Option<u64>,
        /// MACs of the network, products with zero padding excluded.
        useful_macs: Option<u64>,
        /// MACs of the network, products with zero padding included.
        padded_macs: Option<u64>,
        /// Cycles of the network.
        cycles: Option<u64>,
        /// Images per second at `clock_mhz`.
        fps: Option<f64>,
        /// Useful MACs ÷ (MACs per cycle × cycles).
        efficiency: Option<f64>,
        /// Cycles of the layers' rooflines ÷ cycles.
        roofline_efficiency: Option<f64>,
        /// Bus bytes, program excluded.
        bytes: Option<u64>,
        /// Bytes of all tensors of all layers, each once.
        once_only_bytes: Option<u64>,
        /// `bytes` ÷ `once_only_bytes`.
        traffic_ratio: Option<f64>,
        /// LUT4 of an ECP5, by estimate.
        luts: Option<u64>,
        /// Flip-flops of an ECP5, by estimate.
        ffs: Option<u64>,
        /// Multipliers (18 × 18) of an ECP5, by estimate.
        multipliers: Option<u64>,
        /// Block RAMs (18 Kbit) of an ECP5, by estimate.
        block_rams: Option<u64>,
        /// Transistors, by estimate.
        area: Option<u64>,
    }
}

row! {
    /// A layer of a network at a point: one run of it, or a step of the compiled network.
    LayerRow {
        /// Number of the point.
        point: u64,
        /// Name of the network.
        network: String,
        /// Number of the layer, from 1.
        index: u64,
        /// Its name.
        layer: String,
        /// How many times it runs.
        count: u64,
        /// Its shape.
        spec: String,
        /// What the compiler chose.
        strategy: String,
        /// MACs of a run, products with zero padding excluded.
        useful_macs: u64,
        /// Bytes of its tensors.
        once_only_bytes: u64,
        /// Bus bytes, program excluded.
        bytes: u64,
        /// Cycles of a run.
        cycles: u64,
        /// Cycles of the roofline's bound.
        roofline_cycles: Option<f64>,
        /// Cycles in which the array was fed.
        mac_busy_cycles: u64,
        /// Idle cycles, by cause, as the hardware counts them.
        idle_feed: u64,
        /// See `docs/registers.md`.
        idle_drain: u64,
        /// See `docs/registers.md`.
        idle_load: u64,
        /// See `docs/registers.md`.
        idle_store: u64,
        /// See `docs/registers.md`.
        idle_setup: u64,
        /// See `docs/registers.md`.
        idle_fetch: u64,
        /// See `docs/registers.md`.
        idle_tail: u64,
        /// Useful MACs ÷ (MACs per cycle × cycles).
        efficiency: Option<f64>,
        /// Cycles of the roofline's bound ÷ cycles.
        roofline_efficiency: Option<f64>,
    }
}

#[cfg(test)]
mod tests {
    use super::{LayerRow, Row as _};

    #[test]
    fn idle_columns_are_the_counters() {
        let idle = |name: &&str| name.starts_with("idle_");
        let columns: Vec<&str> = LayerRow::COLUMNS.iter().copied().filter(idle).collect();
        let counters: Vec<&str> = spec::Counters::ALL.iter().map(|(name, _)| *name).filter(idle).collect();
        assert_eq!(columns, counters);
    }
}

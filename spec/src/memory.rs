//! How the memory behind the AXI bus behaves: the one definition that the RTL's testbench and the cycle model share.
//!
//! The memory has one data port of `bytes_per_cycle`, which serves one burst at a time, reads and writes alike:
//! * A read burst accepted (AR handshake) in cycle `a` is ready in cycle `a + latency`; a write burst (AW) is ready in
//!   cycle `a + 1`.
//! * In a cycle in which the port is free, it takes the ready burst that has been ready longest (a read before a
//!   write when they tie); reads among themselves and writes among themselves stay in order. Its first beat may pass
//!   in that same cycle. Beats pass at least one *interval*, `bus_bytes / bytes_per_cycle` cycles, apart; the
//!   port is free again one interval after the burst's last beat.
//! * A write's response is ready `latency` cycles after its last beat.
//! * AR and AW are accepted only while fewer than `outstanding` read (or write) bursts are unfinished: accepted in an
//!   earlier cycle, last read beat or write response not passed in an earlier cycle.
//! * With `early_data` the memory takes a beat of write data in every cycle in which W is not stalled, whether its address
//!   is there or not. Then a write burst is ready in the cycle after its address and all its data are accepted, and
//!   passes the port without waiting for W.
//! * In a cycle in which a channel is stalled ([`MemorySpec::stalled`]), the memory neither raises `ready` on AR, AW
//!   and W nor raises `valid` anew on R and B; a `valid` once raised stays until its beat has passed.

use crate::rng::splitmix64;

/// An AXI channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Channel {
    ReadAddress,
    ReadData,
    WriteAddress,
    WriteData,
    WriteResponse,
}

/// The behaviour of a memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemorySpec {
    /// Cycles from the acceptance of a read to its first beat, and from a write's last beat to its response; >= 1.
    pub latency: u32,
    /// Bytes that the data port passes per cycle; must divide the bus width. `None`: the bus width.
    pub bytes_per_cycle: Option<u32>,
    /// Bursts of each kind that the memory takes at once; >= 1.
    pub outstanding: u32,
    /// Seed of the stall pattern.
    pub stall_seed: u64,
    /// Write data may come before their address.
    pub early_data: bool,
    /// Share of cycles in which each channel is stalled, in per cent, 0..=90.
    pub stall_percent: u32,
    /// Reads or writes of a beat that overlaps this range of addresses are answered with an error ([`Self::error`]).
    pub fault: Option<std::ops::Range<u64>>,
}

impl Default for MemorySpec {
    fn default() -> Self {
        Self {
            latency: 40,
            bytes_per_cycle: None,
            outstanding: 16,
            stall_seed: 0,
            stall_percent: 0,
            early_data: false,
            fault: None,
        }
    }
}

/// A memory behaviour that cannot be: the message names value, limit and remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryError(String);

impl std::fmt::Display for MemoryError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for MemoryError {}

impl MemorySpec {
    /// Checks every field against its limits for a bus of `bus_bytes`.
    pub fn check(&self, bus_bytes: u32) -> Result<(), MemoryError> {
        let error = |text: String| Err(MemoryError(text));
        if !(1..=1_000_000).contains(&self.latency) {
            return error(format!(
                "latency {}: must be 1..=1000000 cycles; bring it into the range",
                self.latency
            ));
        }
        if self.outstanding == 0 {
            return error(
                "outstanding bursts 0: must be at least 1; use 1 for a memory that takes one at a time"
                    .into(),
            );
        }
        if self.stall_percent > 90 {
            return error(format!("stall per cent {}: must be 0..=90; lower it", self.stall_percent));
        }
        match self.bytes_per_cycle {
            Some(bytes) if bytes == 0 || !bus_bytes.is_multiple_of(bytes) => error(format!(
                "bytes per cycle {bytes}: must divide the bus width of {bus_bytes} bytes; use a power of two up to it"
            )),
            _ => Ok(()),
        }
    }

    /// Cycles between two beats of a burst.
    pub fn beat_interval(&self, bus_bytes: u32) -> u64 {
        self.bytes_per_cycle.map_or(1, |bytes| u64::from(bus_bytes / bytes))
    }

    /// Whether `channel` is stalled in `cycle` (counted from the start of the run).
    pub fn stalled(&self, channel: Channel, cycle: u64) -> bool {
        if self.stall_percent == 0 {
            return false;
        }
        let mut state = self.stall_seed ^ (cycle << 3 | channel as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        splitmix64(&mut state) % 100 < u64::from(self.stall_percent)
    }

    /// The first cycle at or after `cycle` in which `channel` is not stalled.
    #[inline]
    pub fn next_free(&self, channel: Channel, mut cycle: u64) -> u64 {
        if self.stall_percent == 0 {
            return cycle;
        }
        while self.stalled(channel, cycle) {
            cycle += 1;
        }
        cycle
    }

    /// With which error a beat at `address` is answered, if it is: SLVERR, in every other 4 KiB DECERR.
    pub fn error(&self, address: u64) -> u8 {
        if address >> 12 & 1 == 0 { 2 } else { 3 }
    }

    /// Whether a beat at `address` of `bytes` is answered with an error.
    #[inline]
    pub fn faulty(&self, address: u64, bytes: u32) -> bool {
        self.fault.as_ref().is_some_and(|f| address < f.end && f.start < address + u64::from(bytes))
    }
}

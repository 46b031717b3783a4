//! The store engine: gathers a burst's beats from the output buffer into one of two slots, then sends the slot.

use crate::load::Runs;
use crate::memory::WriteBurst;
use crate::{NEVER, Queue, Shared, Time};
use spec::{Config, MemorySpec, Status, config, isa, memory::Channel, timing};
use std::collections::VecDeque;

/// Burst slots.
const SLOTS: usize = 2;

pub(crate) struct Store<'a> {
    config: &'a Config,
    pub queue: Queue<isa::Store>,
    store: isa::Store,
    runs: Runs,
    seg_left: u32,
    seg_start: u32,
    address: u32,
    /// When the gatherer next looks at its queue, or can start its next burst.
    ready: Time,
    /// Bursts gathered.
    gathered: usize,
    /// Bursts gathered after each instruction.
    pub bursts: Vec<usize>,
    /// When the last beat of each burst was sent.
    sent: Vec<Time>,
    /// Gathered bursts whose address is yet to be sent, with the time from which it can be.
    pending: VecDeque<(Time, WriteBurst)>,
    /// From when the address channel is free.
    address_free: Time,
    /// From when the data channel is free, if the memory takes data as they come.
    data_free: Time,
}

impl<'a> Store<'a> {
    pub fn new(config: &'a Config) -> Self {
        Self {
            config,
            queue: Queue::new(config::QUEUE_DEPTH),
            store: isa::Store::default(),
            runs: Runs::default(),
            seg_left: 0,
            seg_start: 0,
            address: 0,
            ready: 0,
            gathered: 0,
            bursts: Vec::new(),
            sent: Vec::new(),
            pending: VecDeque::new(),
            address_free: 0,
            data_free: 0,
        }
    }

    pub fn pop_time(&self, shared: &Shared) -> Time {
        match self.queue.served() {
            Some((served, store)) if self.runs.runs == 0 => self
                .ready
                .max(served)
                .max(shared.compute_to_store.available(store.pop_prev).saturating_add(1)),
            _ => NEVER,
        }
    }

    pub fn pop(&mut self, t: Time, shared: &mut Shared) {
        let Some((_, &store)) = self.queue.head() else { return };
        self.queue.pop(t);
        shared.compute_to_store.pop(store.pop_prev);
        self.store = store;
        self.runs = Runs::new(store.dst, store.run_bytes, store.runs, store.run_pitch);
        self.seg_left = store.seg_bytes;
        self.seg_start = store.src;
        self.address = store.src;
        // One cycle to work out the first burst.
        self.ready = t + 2;
    }

    pub fn gather_time(&self) -> Time {
        if self.runs.runs == 0 {
            return NEVER;
        }
        match self.gathered.checked_sub(SLOTS) {
            None => self.ready,
            Some(k) => self.sent.get(k).map_or(NEVER, |t| self.ready.max(t + 1)),
        }
    }

    /// Gathers one burst, the first piece in cycle `t`.
    pub fn gather(&mut self, t: Time, memory: &MemorySpec, shared: &mut Shared) {
        let bus = self.config.bus_bytes();
        let stride = self.config.abuf_stride();
        let start = self.runs.lane(bus);
        let (address, beats, bytes) = self.runs.next(self.config);
        let (mut left, mut lane, mut pieces) = (bytes as u32, start, 0);
        let unit = bus.min(stride);
        if (start | self.address) & (unit - 1) == 0 && left < self.seg_left {
            // All of the burst is in one segment, and every piece is a whole word, the shorter one (but the last).
            pieces = Time::from(left.div_ceil(unit));
            self.seg_left -= left;
            self.address = self.address.wrapping_add(left) & 0xff_ffff;
            left = 0;
        }
        while left > 0 {
            let n = left.min(self.seg_left).min(bus - lane).min(stride - (self.address & (stride - 1)));
            left -= n;
            lane = (lane + n) & (bus - 1);
            self.seg_left -= n;
            self.address = self.address.wrapping_add(n) & 0xff_ffff;
            if self.seg_left == 0 {
                self.seg_left = self.store.seg_bytes;
                self.seg_start = self.seg_start.wrapping_add(self.store.seg_pitch) & 0xff_ffff;
                self.address = self.seg_start;
            }
            pieces += 1;
        }
        let last = t + pieces - 1;
        self.gathered += 1;
        let ready = last + Time::from(timing::GATHER_LATENCY);
        let mut data = None;
        if memory.early_data {
            let mut at = self.data_free.max(ready);
            for _ in 0..beats {
                at = memory.next_free(Channel::WriteData, at) + 1;
            }
            self.data_free = at;
            data = Some(at - 1);
        }
        let tells = self.runs.runs == 0 && self.store.push_next;
        self.pending.push_back((ready, WriteBurst { address, beats, data, tells }));
        if self.runs.runs == 0 {
            self.bursts.push(self.gathered);
            self.ready = last + 1;
            if self.store.push_prev {
                shared.store_to_compute.push(last);
                if shared.store_to_compute.overflow() {
                    shared.fault.raise(last + 1, Status::TokenOverflow);
                }
            }
        } else {
            self.ready = last + 2;
        }
    }

    /// From when the next burst's address is on the bus.
    pub fn address_time(&self) -> Time {
        self.pending.front().map_or(NEVER, |(t, _)| self.address_free.max(*t))
    }

    pub fn accept_address(&mut self, t: Time) -> Option<WriteBurst> {
        self.address_free = t + 1;
        let (_, burst) = self.pending.pop_front()?;
        // With its data sent before, the address frees the slot.
        if let Some(data) = burst.data {
            self.sent.push(t.max(data));
        }
        Some(burst)
    }

    /// The last beat of the oldest burst passed in cycle `t`.
    pub fn sent(&mut self, t: Time) {
        self.sent.push(t);
    }

    pub fn quiet_from(&self) -> Time {
        self.ready.max(self.queue.quiet_from())
    }
}

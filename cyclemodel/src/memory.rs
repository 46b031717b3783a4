//! The read arbiter's address slot and the memory behind the bus, as `spec::memory` defines it.

use crate::fetch::Fetch;
use crate::load::Writer;
use crate::store::Store;
use crate::{NEVER, Shared, Time};
use spec::{Config, MemorySpec, Status, memory::Channel};
use std::collections::VecDeque;

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Client {
    Fetch,
    Load,
}

/// A read burst; the address is aligned to the bus.
#[derive(Clone, Copy)]
pub(crate) struct Burst {
    pub client: Client,
    pub address: u64,
    pub beats: u32,
}

/// A write burst.
#[derive(Clone, Copy)]
pub(crate) struct WriteBurst {
    pub address: u64,
    pub beats: u32,
    /// When its last beat passes W, if the memory takes data as they come.
    pub data: Option<Time>,
    /// Its response is a token for the load engine.
    pub tells: bool,
}

/// Whose burst passed the data port.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Served {
    Fetch,
    Load,
    Store,
}

pub(crate) struct Memory<'a> {
    config: &'a Config,
    spec: &'a MemorySpec,
    interval: Time,
    /// A beat can pass in every cycle, none with an error: bursts need not be taken apart.
    steady: bool,
    /// The burst in the AR slot and since when it is valid.
    slot: Option<(Time, Burst)>,
    /// From when the slot can take the next burst.
    slot_free: Time,
    granted: usize,
    accepted: usize,
    /// When the last beat of each read burst passed.
    read_done: Vec<Time>,
    /// Accepted reads with the time from which they can be served.
    reads: VecDeque<(Time, Burst)>,
    writes: VecDeque<(Time, WriteBurst)>,
    writes_accepted: usize,
    /// When the response of each write passed.
    write_done: Vec<Time>,
    port_free: Time,
}

impl<'a> Memory<'a> {
    pub fn new(config: &'a Config, spec: &'a MemorySpec) -> Self {
        let interval = spec.beat_interval(config.bus_bytes());
        Self {
            config,
            spec,
            interval,
            steady: spec.stall_percent == 0 && interval == 1 && spec.fault.is_none(),
            slot: None,
            slot_free: 0,
            granted: 0,
            accepted: 0,
            read_done: Vec::new(),
            reads: VecDeque::new(),
            writes: VecDeque::new(),
            writes_accepted: 0,
            write_done: Vec::new(),
            port_free: 0,
        }
    }

    /// From when fewer than `limit` of the `issued` bursts are unfinished, `done` being when each one ended.
    fn below(done: &[Time], issued: usize, limit: u32) -> Time {
        match issued.checked_sub(limit as usize) {
            None => 0,
            Some(k) => done.get(k).map_or(NEVER, |t| t + 1),
        }
    }

    /// The first cycle in which the arbiter can grant a read.
    pub fn grant_time(&self) -> Time {
        if self.slot.is_some() {
            return NEVER;
        }
        self.slot_free.max(Self::below(&self.read_done, self.granted, self.config.outstanding))
    }

    pub fn grant(&mut self, t: Time, burst: Burst) {
        self.slot = Some((t + 1, burst));
        self.granted += 1;
    }

    pub fn accept_read_time(&self) -> Time {
        let Some((valid, _)) = self.slot else { return NEVER };
        let room = Self::below(&self.read_done, self.accepted, self.spec.outstanding);
        if room == NEVER {
            return NEVER;
        }
        self.spec.next_free(Channel::ReadAddress, valid.max(room))
    }

    pub fn accept_read(&mut self, t: Time) {
        if let Some((_, burst)) = self.slot.take() {
            self.slot_free = t;
            self.accepted += 1;
            self.reads.push_back((t + Time::from(self.spec.latency), burst));
        }
    }

    pub fn accept_write_time(&self, store: &Store) -> Time {
        let own = Self::below(&self.write_done, self.writes_accepted, self.config.outstanding);
        let room = Self::below(&self.write_done, self.writes_accepted, self.spec.outstanding);
        let t = store.address_time().max(own).max(room);
        if t == NEVER { NEVER } else { self.spec.next_free(Channel::WriteAddress, t) }
    }

    pub fn accept_write(&mut self, t: Time, store: &mut Store) {
        if let Some(burst) = store.accept_address(t) {
            self.writes_accepted += 1;
            self.writes.push_back((burst.data.map_or(t, |data| data.max(t)) + 1, burst));
        }
    }

    /// From when the first `count` writes are acknowledged, if they are.
    pub fn acknowledged(&self, count: usize) -> Option<Time> {
        self.write_done.get(count.checked_sub(1)?).map(|t| t + 1)
    }

    /// The first cycle in which the data port takes a burst.
    pub fn port_time(&self) -> Time {
        let read = self.reads.front().map_or(NEVER, |(t, _)| *t);
        let write = self.writes.front().map_or(NEVER, |(t, _)| *t);
        self.port_free.max(read.min(write))
    }

    /// The port takes a burst in cycle `t`: passes all its beats.
    pub fn serve(
        &mut self,
        t: Time,
        fetch: &mut Fetch,
        writer: &mut Writer,
        store: &mut Store,
        shared: &mut Shared,
    ) -> Served {
        let read = self.reads.front().map_or(NEVER, |(ready, _)| *ready);
        let write = self.writes.front().map_or(NEVER, |(ready, _)| *ready);
        let bus = self.config.bus_bytes();
        let mut at = t;
        let mut last = t;
        let served;
        if read <= write {
            let Some((_, burst)) = self.reads.pop_front() else { return Served::Store };
            let mut streamed = 0;
            if self.steady
                && burst.client == Client::Load
                && let Some((count, t)) = writer.stream(at, burst.beats, shared)
            {
                (streamed, last, at) = (count, t, t + 1);
            }
            for beat in streamed..burst.beats {
                let valid = self.spec.next_free(Channel::ReadData, at);
                last = match burst.client {
                    Client::Fetch => {
                        shared.counters.read_program += u64::from(bus);
                        fetch.beat(valid);
                        valid
                    }
                    Client::Load => writer.beat(valid, shared),
                };
                if self.spec.faulty(burst.address + u64::from(beat * bus), bus) {
                    shared.fault.raise(last, Status::ReadError);
                }
                at = last + self.interval;
            }
            self.read_done.push(last);
            served = match burst.client {
                Client::Fetch => Served::Fetch,
                Client::Load => Served::Load,
            };
        } else {
            let Some((_, burst)) = self.writes.pop_front() else { return Served::Store };
            let mut faulty = false;
            shared.counters.written += u64::from(burst.beats * bus);
            if self.steady {
                last = at + Time::from(burst.beats) - 1;
            } else {
                for beat in 0..burst.beats {
                    last =
                        if burst.data.is_some() { at } else { self.spec.next_free(Channel::WriteData, at) };
                    faulty |= self.spec.faulty(burst.address + u64::from(beat * bus), bus);
                    at = last + self.interval;
                }
            }
            if burst.data.is_none() {
                store.sent(last);
            }
            let after = self.write_done.last().map_or(0, |t| t + 1);
            let response = (last + Time::from(self.spec.latency)).max(after);
            let response = self.spec.next_free(Channel::WriteResponse, response);
            if faulty {
                shared.fault.raise(response, Status::WriteError);
            }
            if burst.tells {
                shared.store_to_load.push(response);
                if shared.store_to_load.overflow() {
                    shared.fault.raise(response + 1, Status::TokenOverflow);
                }
            }
            self.write_done.push(response);
            served = Served::Store;
        }
        self.port_free = last + self.interval;
        served
    }

    pub fn quiet_from(&self) -> Time {
        let last = |done: &[Time]| done.last().map_or(0, |t| t + 1);
        last(&self.read_done).max(last(&self.write_done))
    }
}

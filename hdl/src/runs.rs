//! `koch_runs`.

use crate::prelude::*;

leaf! {
    /// Cuts runs of bytes in memory into AXI bursts that cross neither a run's end nor a 4 KiB boundary.
    Runs = "koch_runs" (clock), latency "A burst is shown in the cycle after prepare.", for config;
    in {
        /// Take new runs.
        start: Bit,
        address: Bits<32>,
        run_bytes: Bits<24>,
        runs: Bits<16>,
        run_pitch: Bits<24>,
        /// Work out the next burst.
        prepare: Bit,
        /// The burst is done with.
        advance: Bit,
    }
    out {
        burst_address: Bits<32>,
        burst_beats: Bits<8>,
        burst_bytes: Bits<24>,
        /// Position of the burst's first byte in its bus word.
        burst_lane: Bits<6>,
        burst_last: Bit,
    }
    reg {
        at: Bits<32>,
        left: Bits<24>,
        begin: Bits<32>,
        size: Bits<24>,
        pitch: Bits<24>,
        count: Bits<16>,
        beats: Bits<32>,
        bytes: Bits<24>,
    }
    wire {
        lane: Bits<32>,
        wanted: Bits<32>,
        boundary: Bits<32>,
        chosen: Bits<32>,
        capacity: Bits<32>,
        next_run: Bits<32>,
    }
    const {
        bus_mask: Bits<32> = u64::from(config.bus_bytes() - 1),
        bus_shift: Bits<3> = u64::from(config.bus_bytes().trailing_zeros()),
        page: Bits<32> = 4096,
        longest: Bits<32> = u64::from(config.burst_beats),
    }
}

impl Logic for Runs {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, at, left, begin, size, pitch, count, beats, bytes);

        self.lane.next = self.at.q.val() & self.bus_mask.val();
        self.wanted.next = (self.lane.val() + bit_cast::<32, 24>(self.left.q.val()) + self.bus_mask.val())
            >> self.bus_shift.val();
        self.boundary.next =
            (self.page.val() - (self.at.q.val() & 0xfff) + self.lane.val()) >> self.bus_shift.val();
        self.chosen.next = self.longest.val();
        if self.wanted.val() < self.longest.val() {
            self.chosen.next = self.wanted.val();
        }
        if self.boundary.val() < self.chosen.val() {
            self.chosen.next = self.boundary.val();
        }
        self.capacity.next = (self.chosen.val() << self.bus_shift.val()) - self.lane.val();
        self.next_run.next = self.begin.q.val() + bit_cast::<32, 24>(self.pitch.q.val());

        if self.prepare.val() {
            self.beats.d.next = self.chosen.val();
            self.bytes.d.next = self.left.q.val();
            if self.capacity.val() < bit_cast::<32, 24>(self.left.q.val()) {
                self.bytes.d.next = bit_cast::<24, 32>(self.capacity.val());
            }
        }
        if self.advance.val() {
            if self.left.q.val() == self.bytes.q.val() {
                self.at.d.next = self.next_run.val();
                self.begin.d.next = self.next_run.val();
                self.left.d.next = self.size.q.val();
                self.count.d.next = self.count.q.val() - 1;
            } else {
                self.at.d.next = self.at.q.val() + bit_cast::<32, 24>(self.bytes.q.val());
                self.left.d.next = self.left.q.val() - self.bytes.q.val();
            }
        }
        if self.start.val() {
            self.at.d.next = self.address.val();
            self.begin.d.next = self.address.val();
            self.left.d.next = self.run_bytes.val();
            self.size.d.next = self.run_bytes.val();
            self.pitch.d.next = self.run_pitch.val();
            self.count.d.next = self.runs.val();
        }

        self.burst_address.next = self.at.q.val() - self.lane.val();
        self.burst_beats.next = bit_cast::<8, 32>(self.beats.q.val());
        self.burst_bytes.next = self.bytes.q.val();
        self.burst_lane.next = bit_cast::<6, 32>(self.lane.val());
        self.burst_last.next = (self.count.q.val() == 1) & (self.left.q.val() == self.bytes.q.val());
    }
}

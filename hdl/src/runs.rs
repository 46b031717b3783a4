//! `koch_runs`.

use crate::prelude::*;

leaf! {
    /// Cuts runs of bytes in memory into AXI bursts that cross neither a run's end nor a 4 KiB boundary.
    Runs = "koch_runs" (clock), latency "A burst is shown from the cycle after prepare on.", for config;
    in {
        /// Take new runs.
        start: Bit,
        address: Bits<32>,
        run_bytes: Bits<24>,
        runs: Bits<16>,
        run_pitch: Bits<24>,
        /// Work out the next burst; not twice in succession.
        prepare: Bit,
    }
    out {
        burst_address: Bits<32>,
        burst_beats: Bits<8>,
        burst_last: Bit,
    }
    reg {
        at: Bits<32>,
        left: Bits<24>,
        begin: Bits<32>,
        size: Bits<24>,
        pitch: Bits<24>,
        count: Bits<16>,
        /// The burst that is shown.
        shown: Bits<32>,
        beats: Bits<8>,
        last: Bit,
        bytes: Bits<13>,
        /// The burst is all that is left of the run.
        whole: Bit,
        /// A burst was worked out in the last cycle: the next one begins behind it.
        prepared: Bit,
    }
    wire {
        lane: Bits<13>,
        offset: Bits<13>,
        left_beats: Bits<13>,
        capacity_beats: Bits<13>,
        capacity: Bits<13>,
        fits: Bit,
        next_run: Bits<32>,
    }
    const {
        bus_mask: Bits<32> = u64::from(config.bus_bytes() - 1),
        bus_shift: Bits<3> = u64::from(config.bus_bytes().trailing_zeros()),
        page: Bits<13> = 4096,
        longest: Bits<13> = u64::from(config.burst_beats * config.bus_bytes()),
        // Where in a page the longest burst may start at the latest.
        last_start: Bits<13> = u64::from(4096 - config.burst_beats * config.bus_bytes()),
    }
}

impl Logic for Runs {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self, clock, at, left, begin, size, pitch, count, shown, beats, last, bytes, whole, prepared
        );

        // A burst ends with the run, or where its last possible beat or the page ends.
        self.lane.next = (self.at.q.val() & self.bus_mask.val()).get_bits::<13>(0);
        self.capacity.next = self.longest.val() - self.lane.val();
        self.offset.next = (self.at.q.val() & 0xfff).get_bits::<13>(0);
        // Compared by beats, that is without the lane.
        if (self.offset.val() & !self.bus_mask.val().get_bits::<13>(0)) > self.last_start.val() {
            self.capacity.next = self.page.val() - self.offset.val();
        }
        self.capacity_beats.next = (self.capacity.val() + self.lane.val()) >> self.bus_shift.val();
        self.left_beats.next =
            (self.left.q.val().get_bits::<13>(0) + self.lane.val() + self.bus_mask.val().get_bits::<13>(0))
                >> self.bus_shift.val();
        self.fits.next = self.left.q.val() <= bit_cast::<24, 13>(self.capacity.val());
        self.next_run.next = self.begin.q.val() + bit_cast::<32, 24>(self.pitch.q.val());

        self.prepared.d.next = self.prepare.val();
        if self.prepare.val() {
            self.shown.d.next = self.at.q.val() & !self.bus_mask.val();
            self.last.d.next = self.fits.val() & (self.count.q.val() == 1);
            self.whole.d.next = self.fits.val();
            self.bytes.d.next = self.capacity.val();
            self.beats.d.next = self.capacity_beats.val().get_bits::<8>(0);
            if self.fits.val() {
                self.bytes.d.next = self.left.q.val().get_bits::<13>(0);
                self.beats.d.next = self.left_beats.val().get_bits::<8>(0);
            }
        }
        if self.prepared.q.val() {
            if self.whole.q.val() {
                self.at.d.next = self.next_run.val();
                self.begin.d.next = self.next_run.val();
                self.left.d.next = self.size.q.val();
                self.count.d.next = self.count.q.val() - 1;
            } else {
                self.at.d.next = self.at.q.val() + bit_cast::<32, 13>(self.bytes.q.val());
                self.left.d.next = self.left.q.val() - bit_cast::<24, 13>(self.bytes.q.val());
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

        self.burst_address.next = self.shown.q.val();
        self.burst_beats.next = self.beats.q.val();
        self.burst_last.next = self.last.q.val();
    }
}

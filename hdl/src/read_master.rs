//! `koch_read_master`.

use crate::prelude::*;

leaf! {
    /// AXI4 read channels: shares them between fetch and load. Fetch goes first; data come back in order.
    ReadMaster = "koch_read_master" (clock), latency "One cycle from a granted request to arvalid; data pass in the same cycle.", for config;
    in {
        clear: Bit,
        /// After an error: grant nothing more, take and drop what still comes.
        halt: Bit,
        fetch_valid: Bit,
        fetch_address: Bits<32>,
        fetch_beats: Bits<8>,
        load_valid: Bit,
        load_address: Bits<32>,
        load_beats: Bits<8>,
        /// The load engine is done with the word on the bus.
        load_take: Bit,
        arready: Bit,
        rvalid: Bit,
        rlast: Bit,
        /// SLVERR or DECERR.
        rfail: Bit,
    }
    out {
        fetch_ready: Bit,
        load_ready: Bit,
        fetch_beat: Bit,
        /// A word for the load engine is on the bus.
        load_word: Bit,
        arvalid: Bit,
        araddr: Bits<32>,
        arlen: Bits<8>,
        rready: Bit,
        /// No burst is outstanding.
        idle: Bit,
        fail: Bit,
    }
    reg {
        valid: Bit,
        address: Bits<32>,
        length: Bits<8>,
        /// Bit k: whether the k-th oldest outstanding burst is fetch's.
        owners: Bits<17>,
        count: Bits<5>,
    }
    wire {
        can_grant: Bit,
        grant: Bit,
        ready: Bit,
        pop: Bit,
        queued: Bits<17>,
    }
    const {
        limit: Bits<5> = u64::from(config.outstanding),
    }
}

impl Logic for ReadMaster {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, valid, address, length, owners, count);

        self.can_grant.next = (!self.valid.q.val() | self.arready.val())
            & (self.count.q.val() < self.limit.val())
            & !self.halt.val();
        self.fetch_ready.next = self.can_grant.val();
        self.load_ready.next = self.can_grant.val() & !self.fetch_valid.val();
        self.grant.next = self.can_grant.val() & (self.fetch_valid.val() | self.load_valid.val());
        if self.arready.val() {
            self.valid.d.next = false;
        }
        if self.grant.val() {
            self.valid.d.next = true;
            self.address.d.next = self.load_address.val();
            self.length.d.next = self.load_beats.val() - 1;
            if self.fetch_valid.val() {
                self.address.d.next = self.fetch_address.val();
                self.length.d.next = self.fetch_beats.val() - 1;
            }
        }

        self.fetch_beat.next = self.rvalid.val() & self.owners.q.val().get_bit(0) & !self.halt.val();
        self.load_word.next = self.rvalid.val() & !self.owners.q.val().get_bit(0) & !self.halt.val();
        self.ready.next = self.halt.val() | self.owners.q.val().get_bit(0) | self.load_take.val();
        self.fail.next = self.rvalid.val() & self.ready.val() & self.rfail.val();
        self.pop.next = self.rvalid.val() & self.ready.val() & self.rlast.val();

        self.queued.next = self.owners.q.val();
        if self.grant.val() {
            self.queued.next =
                self.owners.q.val() | (bits_of_bool::<17>(self.fetch_valid.val()) << self.count.q.val());
        }
        self.owners.d.next = self.queued.val();
        if self.pop.val() {
            self.owners.d.next = self.queued.val() >> 1;
        }
        if self.grant.val() ^ self.pop.val() {
            self.count.d.next = self.count.q.val() + 1;
            if self.pop.val() {
                self.count.d.next = self.count.q.val() - 1;
            }
        }
        if self.clear.val() {
            self.valid.d.next = false;
            self.count.d.next = 0.into();
            self.owners.d.next = 0.into();
        }

        self.arvalid.next = self.valid.q.val();
        self.araddr.next = self.address.q.val();
        self.arlen.next = self.length.q.val();
        self.rready.next = self.ready.val();
        self.idle.next = !self.valid.q.val() & (self.count.q.val() == 0);
    }
}

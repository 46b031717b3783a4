//! `koch_store_sender`.

use crate::prelude::*;

leaf! {
    /// The second half of the store engine: AXI4 write channels. Sends the two burst slots in turn, address and data
    /// independently, and counts the responses.
    StoreSender = "koch_store_sender" (clock), latency "A burst's address is sent in the cycle after ready.", for config;
    in {
        clear: Bit,
        /// A slot is taken: its last piece is on its way.
        burst_done: Bit,
        burst_address: Bits<32>,
        burst_beats: Bits<8>,
        /// The pieces of the oldest unsent slot have arrived.
        ready: Bit,
        awready: Bit,
        wready: Bit,
        bvalid: Bit,
        /// SLVERR or DECERR.
        bfail: Bit,
    }
    out {
        awvalid: Bit,
        awaddr: Bits<32>,
        awlen: Bits<8>,
        wvalid: Bit,
        wlast: Bit,
        slot: Bit,
        beat: Bits<6>,
        /// A beat passes.
        sent: Bit,
        slots_full: Bit,
        idle: Bit,
        fail: Bit,
    }
    reg {
        used: Bits<2>,
        addresses: Bits<2>,
        data: Bits<2>,
        fill_slot: Bit,
        address_slot: Bit,
        data_slot: Bit,
        address0: Bits<32>,
        address1: Bits<32>,
        beats0: Bits<8>,
        beats1: Bits<8>,
        index: Bits<8>,
        outstanding: Bits<5>,
    }
    wire {
        send_address: Bit,
        address_done: Bit,
        send_data: Bit,
        data_done: Bit,
        last: Bit,
    }
    const {
        limit: Bits<5> = u64::from(config.outstanding),
    }
}

impl Logic for StoreSender {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            used,
            addresses,
            data,
            fill_slot,
            address_slot,
            data_slot,
            address0,
            address1,
            beats0,
            beats1,
            index,
            outstanding
        );
        self.send_address.next =
            (self.addresses.q.val() != 0) & (self.outstanding.q.val() < self.limit.val());
        self.address_done.next = self.send_address.val() & self.awready.val();
        self.send_data.next = self.data.q.val() != 0;
        self.last.next = (self.index.q.val() + 1) == self.beats0.q.val();
        if self.data_slot.q.val() {
            self.last.next = (self.index.q.val() + 1) == self.beats1.q.val();
        }
        self.data_done.next = self.send_data.val() & self.wready.val() & self.last.val();

        if self.burst_done.val() {
            self.fill_slot.d.next = !self.fill_slot.q.val();
            if self.fill_slot.q.val() {
                self.address1.d.next = self.burst_address.val();
                self.beats1.d.next = self.burst_beats.val();
            } else {
                self.address0.d.next = self.burst_address.val();
                self.beats0.d.next = self.burst_beats.val();
            }
        }
        if self.address_done.val() {
            self.address_slot.d.next = !self.address_slot.q.val();
        }
        if self.send_data.val() & self.wready.val() {
            self.index.d.next = self.index.q.val() + 1;
            if self.last.val() {
                self.index.d.next = 0.into();
                self.data_slot.d.next = !self.data_slot.q.val();
            }
        }

        // Slots taken, slots whose address and whose data are unsent, responses awaited.
        if self.burst_done.val() & !self.data_done.val() {
            self.used.d.next = self.used.q.val() + 1;
        }
        if !self.burst_done.val() & self.data_done.val() {
            self.used.d.next = self.used.q.val() - 1;
        }
        if self.ready.val() & !self.address_done.val() {
            self.addresses.d.next = self.addresses.q.val() + 1;
        }
        if !self.ready.val() & self.address_done.val() {
            self.addresses.d.next = self.addresses.q.val() - 1;
        }
        if self.ready.val() & !self.data_done.val() {
            self.data.d.next = self.data.q.val() + 1;
        }
        if !self.ready.val() & self.data_done.val() {
            self.data.d.next = self.data.q.val() - 1;
        }
        if self.address_done.val() & !self.bvalid.val() {
            self.outstanding.d.next = self.outstanding.q.val() + 1;
        }
        if !self.address_done.val() & self.bvalid.val() {
            self.outstanding.d.next = self.outstanding.q.val() - 1;
        }
        if self.clear.val() {
            self.used.d.next = 0.into();
            self.addresses.d.next = 0.into();
            self.data.d.next = 0.into();
            self.fill_slot.d.next = false;
            self.address_slot.d.next = false;
            self.data_slot.d.next = false;
            self.index.d.next = 0.into();
            self.outstanding.d.next = 0.into();
        }

        self.awvalid.next = self.send_address.val();
        self.awaddr.next = self.address0.q.val();
        self.awlen.next = self.beats0.q.val() - 1;
        if self.address_slot.q.val() {
            self.awaddr.next = self.address1.q.val();
            self.awlen.next = self.beats1.q.val() - 1;
        }
        self.wvalid.next = self.send_data.val();
        self.wlast.next = self.last.val();
        self.slot.next = self.data_slot.q.val();
        self.beat.next = bit_cast::<6, 8>(self.index.q.val());
        self.sent.next = self.send_data.val() & self.wready.val();
        self.slots_full.next = self.used.q.val() == 2;
        self.idle.next = (self.used.q.val() == 0) & (self.outstanding.q.val() == 0);
        self.fail.next = self.bvalid.val() & self.bfail.val();
    }
}

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
        /// Its response is a token for the load engine.
        burst_tells: Bit,
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
        /// The response that was awaited is there.
        push: Bit,
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
        /// Less one.
        beats0: Bits<8>,
        beats1: Bits<8>,
        index: Bits<8>,
        /// The beat at index is the last of its burst.
        last: Bit,
        outstanding: Bits<5>,
        /// The last cycle took a slot, and whether its response is a token: no response comes so soon.
        came: Bit,
        came_tells: Bit,
        /// Bursts before it without a response, and which of them tell the load engine, the oldest lowest.
        unanswered: Bits<5>,
        tells: Bits<32>,
    }
    wire {
        kept: Bits<32>,
        place: Bits<5>,
        send_address: Bit,
        address_done: Bit,
        send_data: Bit,
        data_done: Bit,
        left: Bits<8>,
        next_left: Bits<8>,
        freed: Bit,
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
            last,
            outstanding,
            came,
            came_tells,
            unanswered,
            tells
        );
        self.send_address.next =
            (self.addresses.q.val() != 0) & (self.outstanding.q.val() < self.limit.val());
        self.address_done.next = self.send_address.val() & self.awready.val();
        self.send_data.next = self.data.q.val() != 0;
        // A burst is known for some cycles before its first beat can be sent.
        self.left.next = self.beats0.q.val();
        self.next_left.next = self.beats1.q.val();
        if self.data_slot.q.val() {
            self.left.next = self.beats1.q.val();
            self.next_left.next = self.beats0.q.val();
        }
        self.last.d.next = self.index.q.val() == self.left.val();
        self.data_done.next = self.send_data.val() & self.wready.val() & self.last.q.val();

        if self.burst_done.val() {
            self.fill_slot.d.next = !self.fill_slot.q.val();
            if self.fill_slot.q.val() {
                self.address1.d.next = self.burst_address.val();
                self.beats1.d.next = self.burst_beats.val() - 1;
            } else {
                self.address0.d.next = self.burst_address.val();
                self.beats0.d.next = self.burst_beats.val() - 1;
            }
        }
        if self.address_done.val() {
            self.address_slot.d.next = !self.address_slot.q.val();
        }
        if self.send_data.val() & self.wready.val() {
            self.index.d.next = self.index.q.val() + 1;
            self.last.d.next = (self.index.q.val() + 1) == self.left.val();
            if self.last.q.val() {
                self.index.d.next = 0.into();
                self.last.d.next = self.next_left.val() == 0;
                self.data_slot.d.next = !self.data_slot.q.val();
            }
        }

        // Slots taken, slots whose address and whose data are unsent, responses awaited. Either may go first.
        self.freed.next = self.address_done.val() & self.data_done.val();
        if self.addresses.q.val() < self.data.q.val() {
            self.freed.next = self.data_done.val();
        } else if self.data.q.val() < self.addresses.q.val() {
            self.freed.next = self.address_done.val();
        }
        if self.burst_done.val() & !self.freed.val() {
            self.used.d.next = self.used.q.val() + 1;
        }
        if !self.burst_done.val() & self.freed.val() {
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
        self.came.d.next = self.burst_done.val();
        self.came_tells.d.next = self.burst_tells.val();
        self.kept.next = self.tells.q.val();
        self.place.next = self.unanswered.q.val();
        if self.bvalid.val() {
            self.kept.next = self.tells.q.val() >> 1;
            self.place.next = self.unanswered.q.val() - 1;
        }
        self.tells.d.next = self.kept.val();
        self.unanswered.d.next = self.place.val();
        if self.came.q.val() {
            self.tells.d.next =
                self.kept.val() | (bits_of_bool::<32>(self.came_tells.q.val()) << self.place.val());
            self.unanswered.d.next = self.place.val() + 1;
        }
        if self.clear.val() {
            self.came.d.next = false;
            self.unanswered.d.next = 0.into();
            self.tells.d.next = 0.into();
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
        self.awlen.next = self.beats0.q.val();
        if self.address_slot.q.val() {
            self.awaddr.next = self.address1.q.val();
            self.awlen.next = self.beats1.q.val();
        }
        self.wvalid.next = self.send_data.val();
        self.wlast.next = self.last.q.val();
        self.slot.next = self.data_slot.q.val();
        self.beat.next = bit_cast::<6, 8>(self.index.q.val());
        self.sent.next = self.send_data.val() & self.wready.val();
        self.slots_full.next = self.used.q.val() == 2;
        self.idle.next = (self.used.q.val() == 0) & (self.outstanding.q.val() == 0);
        self.fail.next = self.bvalid.val() & self.bfail.val();
        self.push.next = self.bvalid.val() & self.tells.q.val().get_bit(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leaf::Sim;

    /// Data may be taken long before the address, which then must still be there.
    #[test]
    fn data_may_overtake_addresses() {
        let mut sim = Sim::new(StoreSender::new(&spec::Config::named("tiny").unwrap()));
        let (mut filled, mut sent, mut arrived, mut addresses) = (0u64, 0, 0, Vec::new());
        sim.leaf.wready.next = true;
        for cycle in 0..200 {
            sim.leaf.burst_done.next = false;
            sim.leaf.ready.next = arrived < filled;
            arrived = filled;
            if filled < 6 && !sim.leaf.slots_full.val() && cycle % 3 == 0 {
                filled += 1;
                sim.leaf.burst_done.next = true;
                sim.leaf.burst_address.next = (0x100 * filled).into();
                sim.leaf.burst_beats.next = 2.into();
            }
            sim.leaf.awready.next = cycle % 20 == 19;
            sim.leaf.bvalid.next = cycle % 20 == 10 && addresses.len() > cycle / 20 - 1;
            sim.settle();
            sent += u64::from(sim.leaf.sent.val());
            if sim.leaf.awvalid.val() && cycle % 20 == 19 {
                addresses.push(sim.leaf.awaddr.val().to_u64());
            }
            sim.tick();
        }
        assert_eq!((addresses, sent), ((1..=6).map(|n| 0x100 * n).collect(), 12));
    }
}

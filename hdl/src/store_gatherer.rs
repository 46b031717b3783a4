//! `koch_store_gatherer`.

use crate::prelude::*;
use spec::isa::activation;

/// Where the gatherer is.
#[derive(Copy, Clone, PartialEq, Debug, LogicState)]
pub enum Gather {
    /// Waits for an instruction and its tokens.
    Idle,
    /// Works out the next burst.
    Prepare,
    /// Copies pieces into its beats.
    Copy,
}

leaf! {
    /// The first half of the store engine: copies segments of an activation buffer, a piece a cycle, into the beats of
    /// one burst. A piece crosses neither a word of the buffer nor a bus word: as in `koch_load_writer` it is the least
    /// of four, all differences of which are taken while the least is found.
    StoreGatherer = "koch_store_gatherer" (clock), latency "Two cycles from an instruction to its first piece.", for config;
    in {
        clear: Bit,
        halt: Bit,
        valid: Bit,
        pop_prev: Bits<8>,
        push_prev: Bit,
        push_next: Bit,
        src: Bits<24>,
        seg_bytes: Bits<20>,
        seg_pitch: Bits<20>,
        tokens: Bits<16>,
        burst_bytes: Bits<13>,
        burst_long: Bit,
        burst_lane: Bits<6>,
        burst_last: Bit,
        /// Both burst slots are taken.
        slots_full: Bit,
    }
    out {
        pop: Bit,
        prepare: Bit,
        advance: Bit,
        read: Bit,
        read_address: Bits<24>,
        read_bytes: Bits<7>,
        /// Position in the bus word of the piece's first byte.
        read_lane: Bits<6>,
        /// The piece starts a beat.
        beat_first: Bit,
        /// The piece completes a beat.
        beat_last: Bit,
        beat: Bits<6>,
        slot: Bit,
        /// The burst is complete with this piece.
        burst_done: Bit,
        /// It is the last of an instruction that tells the load engine.
        burst_tells: Bit,
        push: Bit,
        quiet: Bit,
    }
    reg {
        state: Gather,
        push_later: Bit,
        tell_later: Bit,
        fresh: Bit,
        start_beat: Bit,
        /// Word of the buffer, by the number of its first byte; what follows of it.
        at: Bits<24>,
        room: Bits<7>,
        next_segment: Bits<24>,
        /// What follows of the segment: its low 6 bits and how many 64s; bit 6 says that there are some.
        seg_left: Bits<7>,
        seg_high: Bits<14>,
        seg_size: Bits<7>,
        seg_size_high: Bits<14>,
        pitch: Bits<20>,
        left: Bits<7>,
        left_high: Bits<7>,
        bus_left: Bits<7>,
        index: Bits<6>,
        my_slot: Bit,
    }
    wire {
        enough: Bit,
        can_take: Bit,
        go: Bit,
        now_left: Bits<7>,
        now_high: Bits<7>,
        room_seg: Bits<8>,
        room_bus: Bits<8>,
        room_burst: Bits<8>,
        seg_room: Bits<8>,
        seg_bus: Bits<8>,
        seg_burst: Bits<8>,
        bus_room: Bits<8>,
        bus_seg: Bits<8>,
        bus_burst: Bits<8>,
        burst_room: Bits<8>,
        burst_seg: Bits<8>,
        burst_bus: Bits<8>,
        room_over: Bit,
        seg_over: Bit,
        burst_over: Bit,
        bus_over: Bit,
        word_over: Bit,
        room_after: Bits<7>,
        seg_after: Bits<7>,
        left_after: Bits<7>,
        bus_after: Bits<7>,
        piece: Bits<7>,
        new_segment: Bits<7>,
    }
    const {
        bus_bytes: Bits<7> = u64::from(config.bus_bytes()),
        bus_mask: Bits<7> = u64::from(config.bus_bytes() - 1),
        abuf_stride: Bits<7> = u64::from(config.abuf_stride()),
        abuf_mask: Bits<24> = u64::from(config.abuf_stride() - 1),
        offset_mask: Bits<24> = u64::from(activation(1, 0) - 1),
    }
}

impl Logic for StoreGatherer {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            state,
            push_later,
            tell_later,
            fresh,
            start_beat,
            at,
            room,
            next_segment,
            seg_left,
            seg_high,
            seg_size,
            seg_size_high,
            pitch,
            left,
            left_high,
            bus_left,
            index,
            my_slot
        );
        self.enough.next = self.tokens.val() >= bit_cast::<16, 8>(self.pop_prev.val());

        // The piece: up to the end of the burst, the segment, the bus word and the buffer's word.
        self.now_left.next = self.left.q.val();
        self.now_high.next = self.left_high.q.val();
        if self.fresh.q.val() {
            self.now_left.next =
                self.burst_bytes.val().get_bits::<7>(0).replace_bit(6, self.burst_long.val());
            self.now_high.next = self.burst_bytes.val().get_bits::<7>(6);
        }
        self.room_seg.next = bit_cast::<8, 7>(self.room.q.val()) - bit_cast::<8, 7>(self.seg_left.q.val());
        self.room_bus.next = bit_cast::<8, 7>(self.room.q.val()) - bit_cast::<8, 7>(self.bus_left.q.val());
        self.room_burst.next = bit_cast::<8, 7>(self.room.q.val()) - bit_cast::<8, 7>(self.now_left.val());
        self.seg_room.next = bit_cast::<8, 7>(self.seg_left.q.val()) - bit_cast::<8, 7>(self.room.q.val());
        self.seg_bus.next = bit_cast::<8, 7>(self.seg_left.q.val()) - bit_cast::<8, 7>(self.bus_left.q.val());
        self.seg_burst.next = bit_cast::<8, 7>(self.seg_left.q.val()) - bit_cast::<8, 7>(self.now_left.val());
        self.bus_room.next = bit_cast::<8, 7>(self.bus_left.q.val()) - bit_cast::<8, 7>(self.room.q.val());
        self.bus_seg.next = bit_cast::<8, 7>(self.bus_left.q.val()) - bit_cast::<8, 7>(self.seg_left.q.val());
        self.bus_burst.next = bit_cast::<8, 7>(self.bus_left.q.val()) - bit_cast::<8, 7>(self.now_left.val());
        self.burst_room.next = bit_cast::<8, 7>(self.now_left.val()) - bit_cast::<8, 7>(self.room.q.val());
        self.burst_seg.next = bit_cast::<8, 7>(self.now_left.val()) - bit_cast::<8, 7>(self.seg_left.q.val());
        self.burst_bus.next = bit_cast::<8, 7>(self.now_left.val()) - bit_cast::<8, 7>(self.bus_left.q.val());
        self.room_over.next = !self.seg_room.val().get_bit(7)
            & !self.bus_room.val().get_bit(7)
            & !self.burst_room.val().get_bit(7);
        self.seg_over.next = !self.room_seg.val().get_bit(7)
            & !self.bus_seg.val().get_bit(7)
            & !self.burst_seg.val().get_bit(7);
        self.bus_over.next = !self.room_bus.val().get_bit(7)
            & !self.seg_bus.val().get_bit(7)
            & !self.burst_bus.val().get_bit(7);
        self.burst_over.next = !self.room_burst.val().get_bit(7)
            & !self.seg_burst.val().get_bit(7)
            & !self.bus_burst.val().get_bit(7);
        self.word_over.next = self.burst_over.val() | self.bus_over.val();
        if self.room_over.val() {
            self.piece.next = self.room.q.val();
            self.seg_after.next = self.seg_room.val().get_bits::<7>(0);
            self.bus_after.next = self.bus_room.val().get_bits::<7>(0);
            self.left_after.next = self.burst_room.val().get_bits::<7>(0);
        } else if self.seg_over.val() {
            self.piece.next = self.seg_left.q.val();
            self.seg_after.next = 0.into();
            self.bus_after.next = self.bus_seg.val().get_bits::<7>(0);
            self.left_after.next = self.burst_seg.val().get_bits::<7>(0);
        } else if self.bus_over.val() {
            self.piece.next = self.bus_left.q.val();
            self.seg_after.next = self.seg_bus.val().get_bits::<7>(0);
            self.bus_after.next = 0.into();
            self.left_after.next = self.burst_bus.val().get_bits::<7>(0);
        } else {
            self.piece.next = self.now_left.val();
            self.seg_after.next = self.seg_burst.val().get_bits::<7>(0);
            self.bus_after.next = self.bus_burst.val().get_bits::<7>(0);
            self.left_after.next = 0.into();
        }
        if self.seg_over.val() {
            self.room_after.next = self.room_seg.val().get_bits::<7>(0);
        } else if self.bus_over.val() {
            self.room_after.next = self.room_bus.val().get_bits::<7>(0);
        } else {
            self.room_after.next = self.room_burst.val().get_bits::<7>(0);
        }
        self.new_segment.next =
            self.seg_bytes.val().get_bits::<7>(0).replace_bit(6, (self.seg_bytes.val() >> 6) != 0);

        self.can_take.next = self.valid.val() & self.enough.val() & !self.halt.val();
        self.pop.next = false;
        self.prepare.next = false;
        self.go.next = false;
        match self.state.q.val() {
            Gather::Idle => {
                self.pop.next = self.can_take.val();
                if self.can_take.val() {
                    self.state.d.next = Gather::Prepare;
                    self.push_later.d.next = self.push_prev.val();
                    self.tell_later.d.next = self.push_next.val();
                    self.at.d.next = self.src.val() & !self.abuf_mask.val();
                    self.room.d.next =
                        self.abuf_stride.val() - (self.src.val() & self.abuf_mask.val()).get_bits::<7>(0);
                    self.next_segment.d.next = (self.src.val() & !self.offset_mask.val())
                        | ((self.src.val() + bit_cast::<24, 20>(self.seg_pitch.val()))
                            & self.offset_mask.val());
                    self.seg_left.d.next = self.new_segment.val();
                    self.seg_high.d.next = self.seg_bytes.val().get_bits::<14>(6);
                    self.seg_size.d.next = self.new_segment.val();
                    self.seg_size_high.d.next = self.seg_bytes.val().get_bits::<14>(6);
                    self.pitch.d.next = self.seg_pitch.val();
                }
            }
            Gather::Prepare => {
                self.prepare.next = true;
                self.fresh.d.next = true;
                self.start_beat.d.next = true;
                self.index.d.next = 0.into();
                self.bus_left.d.next = self.bus_bytes.val() - bit_cast::<7, 6>(self.burst_lane.val());
                self.state.d.next = Gather::Copy;
            }
            Gather::Copy => {
                self.go.next = !self.slots_full.val() & !self.halt.val();
            }
            _ => {}
        }
        if self.go.val() {
            self.fresh.d.next = false;
            self.left.d.next = self.left_after.val();
            self.left_high.d.next = self.now_high.val();
            if self.now_left.val().get_bit(6) & !self.left_after.val().get_bit(6) {
                self.left.d.next = self.left_after.val().replace_bit(6, self.now_high.val() != 1);
                self.left_high.d.next = self.now_high.val() - 1;
            }
            self.bus_left.d.next = self.bus_after.val();
            if self.bus_over.val() {
                self.bus_left.d.next = self.bus_bytes.val();
            }
            self.start_beat.d.next = self.word_over.val();
            if self.word_over.val() {
                self.index.d.next = self.index.q.val() + 1;
            }
            // Sums stay in their buffer.
            self.room.d.next = self.room_after.val();
            if self.room_over.val() {
                self.room.d.next = self.abuf_stride.val();
                self.at.d.next = (self.at.q.val() & !self.offset_mask.val())
                    | (((self.at.q.val() | self.abuf_mask.val()) + 1) & self.offset_mask.val());
            }
            self.seg_left.d.next = self.seg_after.val();
            if self.seg_left.q.val().get_bit(6) & !self.seg_after.val().get_bit(6) {
                self.seg_left.d.next = self.seg_after.val().replace_bit(6, self.seg_high.q.val() != 1);
                self.seg_high.d.next = self.seg_high.q.val() - 1;
            }
            if self.seg_over.val() {
                self.at.d.next = self.next_segment.q.val() & !self.abuf_mask.val();
                self.room.d.next = self.abuf_stride.val()
                    - (self.next_segment.q.val() & self.abuf_mask.val()).get_bits::<7>(0);
                self.next_segment.d.next = (self.next_segment.q.val() & !self.offset_mask.val())
                    | ((self.next_segment.q.val() + bit_cast::<24, 20>(self.pitch.q.val()))
                        & self.offset_mask.val());
                self.seg_left.d.next = self.seg_size.q.val();
                self.seg_high.d.next = self.seg_size_high.q.val();
            }
            if self.burst_over.val() {
                self.my_slot.d.next = !self.my_slot.q.val();
                self.state.d.next = Gather::Prepare;
                if self.burst_last.val() {
                    self.state.d.next = Gather::Idle;
                }
            }
        }
        if self.clear.val() {
            self.state.d.next = Gather::Idle;
            self.my_slot.d.next = false;
        }

        self.advance.next = self.go.val() & self.burst_over.val();
        self.read.next = self.go.val();
        self.read_address.next =
            self.at.q.val() | (bit_cast::<24, 7>(bits::<7>(0) - self.room.q.val()) & self.abuf_mask.val());
        self.read_bytes.next = self.piece.val();
        self.read_lane.next =
            ((self.bus_bytes.val() - self.bus_left.q.val()) & self.bus_mask.val()).get_bits::<6>(0);
        self.beat_first.next = self.start_beat.q.val();
        self.beat_last.next = self.word_over.val();
        self.beat.next = self.index.q.val();
        self.slot.next = self.my_slot.q.val();
        self.burst_done.next = self.go.val() & self.burst_over.val();
        self.burst_tells.next = self.burst_last.val() & self.tell_later.q.val();
        self.push.next =
            self.go.val() & self.burst_over.val() & self.burst_last.val() & self.push_later.q.val();
        self.quiet.next = (self.state.q.val() == Gather::Idle) & (!self.valid.val() | !self.enough.val());
    }
}

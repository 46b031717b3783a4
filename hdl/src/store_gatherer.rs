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
    /// one burst. A piece crosses neither a word of the buffer nor a bus word.
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
        burst_bytes: Bits<24>,
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
        at: Bits<24>,
        segment: Bits<24>,
        seg_left: Bits<20>,
        seg_size: Bits<20>,
        pitch: Bits<20>,
        left: Bits<24>,
        lane: Bits<6>,
        index: Bits<6>,
        my_slot: Bit,
    }
    wire {
        enough: Bit,
        can_take: Bit,
        go: Bit,
        now_left: Bits<24>,
        now_lane: Bits<6>,
        room: Bits<24>,
        bus_left: Bits<24>,
        piece: Bits<24>,
        word_over: Bit,
        burst_over: Bit,
        seg_over: Bit,
        next_at: Bits<24>,
        next_segment: Bits<24>,
    }
    const {
        bus_bytes: Bits<24> = u64::from(config.bus_bytes()),
        bus_mask: Bits<6> = u64::from(config.bus_bytes() - 1),
        abuf_stride: Bits<24> = u64::from(config.abuf_stride()),
        offset_mask: Bits<24> = u64::from(activation(1, 0) - 1),
    }
}

impl Logic for StoreGatherer {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self, clock, state, push_later, tell_later, fresh, start_beat, at, segment, seg_left, seg_size,
            pitch, left, lane, index, my_slot
        );
        self.enough.next = self.tokens.val() >= bit_cast::<16, 8>(self.pop_prev.val());

        // The piece: up to the end of the burst, the segment, the bus word and the buffer's word.
        self.now_left.next = self.left.q.val();
        self.now_lane.next = self.lane.q.val();
        if self.fresh.q.val() {
            self.now_left.next = self.burst_bytes.val();
            self.now_lane.next = self.burst_lane.val();
        }
        self.room.next = self.abuf_stride.val() - (self.at.q.val() & (self.abuf_stride.val() - 1));
        self.bus_left.next = self.bus_bytes.val() - bit_cast::<24, 6>(self.now_lane.val());
        self.piece.next = self.now_left.val();
        if bit_cast::<24, 20>(self.seg_left.q.val()) < self.piece.val() {
            self.piece.next = bit_cast::<24, 20>(self.seg_left.q.val());
        }
        if self.bus_left.val() < self.piece.val() {
            self.piece.next = self.bus_left.val();
        }
        if self.room.val() < self.piece.val() {
            self.piece.next = self.room.val();
        }
        self.burst_over.next = self.piece.val() == self.now_left.val();
        self.word_over.next = self.burst_over.val() | (self.piece.val() == self.bus_left.val());
        self.seg_over.next = self.piece.val() == bit_cast::<24, 20>(self.seg_left.q.val());
        // Sums stay in their buffer.
        self.next_at.next = (self.at.q.val() & !self.offset_mask.val())
            | ((self.at.q.val() + self.piece.val()) & self.offset_mask.val());
        self.next_segment.next = (self.segment.q.val() & !self.offset_mask.val())
            | ((self.segment.q.val() + bit_cast::<24, 20>(self.pitch.q.val())) & self.offset_mask.val());

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
                    self.at.d.next = self.src.val();
                    self.segment.d.next = self.src.val();
                    self.seg_left.d.next = self.seg_bytes.val();
                    self.seg_size.d.next = self.seg_bytes.val();
                    self.pitch.d.next = self.seg_pitch.val();
                }
            }
            Gather::Prepare => {
                self.prepare.next = true;
                self.fresh.d.next = true;
                self.start_beat.d.next = true;
                self.index.d.next = 0.into();
                self.state.d.next = Gather::Copy;
            }
            Gather::Copy => {
                self.go.next = !self.slots_full.val() & !self.halt.val();
            }
            _ => {}
        }
        if self.go.val() {
            self.fresh.d.next = false;
            self.left.d.next = self.now_left.val() - self.piece.val();
            self.lane.d.next =
                (self.now_lane.val() + bit_cast::<6, 24>(self.piece.val())) & self.bus_mask.val();
            self.start_beat.d.next = self.word_over.val();
            if self.word_over.val() {
                self.index.d.next = self.index.q.val() + 1;
            }
            self.at.d.next = self.next_at.val();
            self.seg_left.d.next = self.seg_left.q.val() - bit_cast::<20, 24>(self.piece.val());
            if self.seg_over.val() {
                self.at.d.next = self.next_segment.val();
                self.segment.d.next = self.next_segment.val();
                self.seg_left.d.next = self.seg_size.q.val();
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
        self.read_address.next = self.at.q.val();
        self.read_bytes.next = bit_cast::<7, 24>(self.piece.val());
        self.read_lane.next = self.now_lane.val();
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

//! `koch_store_gatherer`.

use crate::prelude::*;

/// Where the gatherer is.
#[derive(Copy, Clone, PartialEq, Debug, LogicState)]
pub enum Gather {
    /// Waits for an instruction and its tokens.
    Idle,
    /// The next burst is worked out.
    Prepare,
    /// Copies pieces into its beats.
    Copy,
}

leaf! {
    /// The first half of the store engine: copies segments of an activation buffer, a piece of `koch_pieces` a cycle, into
    /// the beats of one burst.
    StoreGatherer = "koch_store_gatherer" (clock), latency "Two cycles from an instruction to its first piece.", for config;
    in {
        clear: Bit,
        halt: Bit,
        valid: Bit,
        pop_prev: Bits<8>,
        push_prev: Bit,
        push_next: Bit,
        tokens: Bits<16>,
        burst_beats: Bits<8>,
        burst_last: Bit,
        /// The piece completes a bus word.
        word_over: Bit,
        /// Both burst slots are taken.
        slots_full: Bit,
    }
    out {
        pop: Bit,
        prepare: Bit,
        read: Bit,
        /// The piece starts a beat.
        beat_first: Bit,
        beat: Bits<6>,
        slot: Bit,
        /// The burst is complete with this piece.
        burst_done: Bit,
        /// It is the last of an instruction that tells the load engine.
        burst_tells: Bit,
        push: Bit,
        idle: Bit,
        quiet: Bit,
    }
    reg {
        state: Gather,
        push_later: Bit,
        tell_later: Bit,
        start_beat: Bit,
        index: Bits<6>,
        next_index: Bits<8>,
        my_slot: Bit,
        /// The instruction at the head of the queue is the one of the last cycle, and its tokens were there.
        served: Bit,
    }
    wire {
        enough: Bit,
        can_take: Bit,
        go: Bit,
        burst_over: Bit,
    }
    const {}
}

impl Logic for StoreGatherer {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self, clock, state, push_later, tell_later, start_beat, index, next_index, my_slot, served
        );
        self.enough.next = self.tokens.val() >= bit_cast::<16, 8>(self.pop_prev.val());
        self.can_take.next = self.served.q.val() & !self.halt.val();
        self.served.d.next = self.valid.val() & self.enough.val();
        self.burst_over.next = self.word_over.val() & (self.next_index.q.val() == self.burst_beats.val());
        self.pop.next = false;
        self.prepare.next = false;
        self.go.next = false;
        match self.state.q.val() {
            Gather::Idle => {
                self.pop.next = self.can_take.val();
                if self.can_take.val() {
                    self.served.d.next = false;
                    self.state.d.next = Gather::Prepare;
                    self.push_later.d.next = self.push_prev.val();
                    self.tell_later.d.next = self.push_next.val();
                }
            }
            Gather::Prepare => {
                self.prepare.next = true;
                self.start_beat.d.next = true;
                self.index.d.next = 0.into();
                self.next_index.d.next = 1.into();
                self.state.d.next = Gather::Copy;
            }
            Gather::Copy => {
                self.go.next = !self.slots_full.val() & !self.halt.val();
            }
            _ => {}
        }
        if self.go.val() {
            self.start_beat.d.next = self.word_over.val();
            if self.word_over.val() {
                self.index.d.next = self.next_index.q.val().get_bits::<6>(0);
                self.next_index.d.next = self.next_index.q.val() + 1;
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
            self.served.d.next = false;
        }

        self.read.next = self.go.val();
        self.beat_first.next = self.start_beat.q.val();
        self.beat.next = self.index.q.val();
        self.slot.next = self.my_slot.q.val();
        self.burst_done.next = self.go.val() & self.burst_over.val();
        self.burst_tells.next = self.burst_last.val() & self.tell_later.q.val();
        self.push.next =
            self.go.val() & self.burst_over.val() & self.burst_last.val() & self.push_later.q.val();
        self.idle.next = self.state.q.val() == Gather::Idle;
        self.quiet.next = (self.state.q.val() == Gather::Idle) & (!self.valid.val() | !self.enough.val());
    }
}

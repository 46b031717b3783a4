//! `koch_tokens`.

use crate::prelude::*;

leaf! {
    /// Counts the dependence tokens of one direction between two engines.
    Tokens = "koch_tokens" (clock), latency "A push can be popped in the next cycle.", for config;
    in {
        clear: Bit,
        push: Bit,
        pop: Bit,
        pop_count: Bits<8>,
    }
    out {
        count: Bits<16>,
        /// In the last cycle was a push too many.
        overflow: Bit,
    }
    reg {
        held: Bits<16>,
        lost: Bit,
    }
    wire {}
    const {}
}

impl Logic for Tokens {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, held, lost);
        if self.pop.val() {
            self.held.d.next = self.held.q.val() - bit_cast::<16, 8>(self.pop_count.val());
            if self.push.val() {
                self.held.d.next = self.held.q.val() - (bit_cast::<16, 8>(self.pop_count.val()) - 1);
            }
        } else if self.push.val() {
            self.held.d.next = self.held.q.val() + 1;
        }
        self.lost.d.next =
            self.push.val() & self.held.q.val().all() & (!self.pop.val() | (self.pop_count.val() == 0));
        if self.clear.val() {
            self.held.d.next = 0.into();
            self.lost.d.next = false;
        }
        self.overflow.next = self.lost.q.val();
        self.count.next = self.held.q.val();
    }
}

//! `koch_tokens`.

use crate::prelude::*;

leaf! {
    /// Counts the dependence tokens of one direction between two engines.
    Tokens = "koch_tokens" (clock), latency "A push counts two cycles later.", for config;
    in {
        clear: Bit,
        push: Bit,
        pop: Bit,
        pop_count: Bits<8>,
    }
    out {
        count: Bits<16>,
        /// In the last cycle a token was too many.
        overflow: Bit,
        /// A push does not count yet.
        moving: Bit,
    }
    reg {
        /// A push of the last cycle: engines are far from each other.
        came: Bit,
        held: Bits<16>,
        lost: Bit,
    }
    wire {}
    const {}
}

impl Logic for Tokens {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, came, held, lost);
        self.came.d.next = self.push.val();
        if self.pop.val() {
            self.held.d.next = self.held.q.val() - bit_cast::<16, 8>(self.pop_count.val());
            if self.came.q.val() {
                self.held.d.next = self.held.q.val() - (bit_cast::<16, 8>(self.pop_count.val()) - 1);
            }
        } else if self.came.q.val() {
            self.held.d.next = self.held.q.val() + 1;
        }
        self.lost.d.next =
            self.came.q.val() & self.held.q.val().all() & (!self.pop.val() | (self.pop_count.val() == 0));
        if self.clear.val() {
            self.came.d.next = false;
            self.held.d.next = 0.into();
            self.lost.d.next = false;
        }
        self.overflow.next = self.lost.q.val();
        self.moving.next = self.came.q.val();
        self.count.next = self.held.q.val();
    }
}

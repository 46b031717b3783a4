//! `koch_load_writer`.

use crate::prelude::*;

leaf! {
    /// The second half of the load engine: what of an instruction `koch_pieces` needs not know, while the bytes that
    /// arrive are laid down in rows.
    LoadWriter = "koch_load_writer" (clock), latency "An instruction is taken in the cycle after the last one of the one before.", for config;
    in {
        valid: Bit,
        push_next: Bit,
        buffer: Bits<2>,
        fill: Bits<16>,
        /// The instruction before is over with this cycle; there is none.
        finish: Bit,
        none: Bit,
    }
    out {
        pop: Bit,
        write_buffer: Bits<2>,
        write_fill: Bits<16>,
        push: Bit,
    }
    reg {
        push_later: Bit,
        target: Bits<2>,
        filler: Bits<16>,
    }
    wire {}
    const {}
}

impl Logic for LoadWriter {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, push_later, target, filler);
        self.pop.next = self.valid.val() & self.none.val();
        if self.none.val() {
            self.push_later.d.next = self.push_next.val();
            self.target.d.next = self.buffer.val();
            self.filler.d.next = self.fill.val();
        }
        self.push.next = self.finish.val() & self.push_later.q.val();
        self.write_buffer.next = self.target.q.val();
        self.write_fill.next = self.filler.q.val();
    }
}

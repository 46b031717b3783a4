//! `koch_drain`.

use crate::prelude::*;
use spec::isa::activation;

leaf! {
    /// Shifts a tile's sums out of the array, a chunk of columns at a time and row by row within it, and says where
    /// in an activation buffer they go.
    Drain = "koch_drain" (clock), latency "A tile takes chunks x rows cycles, from the cycle of start on.", for config;
    in {
        clear: Bit,
        /// The sums of the oldest tile can be shifted out from this cycle on.
        start: Bit,
        tile_last: Bit,
        tile_rows: Bits<5>,
        tile_chunks: Bits<8>,
        tile_p_base: Bits<16>,
        tile_push_prev: Bit,
        tile_push_next: Bit,
        /// Activation address of the outputs of the pixel at row.
        pixel: Bits<24>,
        /// Activation address of its second operands.
        second: Bits<24>,
    }
    out {
        /// Shift the chunk, of which row 0 is the output.
        step: Bit,
        chunk: Bits<8>,
        row: Bits<4>,
        param_address: Bits<16>,
        write: Bit,
        write_address: Bits<24>,
        second_address: Bits<24>,
        /// The last step of the tile.
        complete: Bit,
        push_prev: Bit,
        push_next: Bit,
    }
    reg {
        running: Bit,
        at_chunk: Bits<8>,
        next_chunk: Bits<8>,
        last_chunk: Bit,
        at_row: Bits<4>,
        offset: Bits<24>,
    }
    wire {
        go: Bit,
        row_over: Bit,
        over: Bit,
    }
    const {
        last_row: Bits<4> = u64::from(config.rows - 1),
        offset_mask: Bits<24> = u64::from(activation(1, 0) - 1),
        chunk_bytes: Bits<24> = u64::from(config.chunk_bytes()),
    }
}

impl Logic for Drain {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, running, at_chunk, next_chunk, last_chunk, at_row, offset);
        self.go.next = self.start.val() | self.running.q.val();
        self.row_over.next = self.at_row.q.val() == self.last_row.val();
        // Known for all rows of a chunk but the first.
        self.last_chunk.d.next = self.next_chunk.q.val() == self.tile_chunks.val();
        self.over.next = self.go.val() & self.row_over.val() & self.last_chunk.q.val();
        if self.last_row.val() == 0 {
            self.over.next = self.go.val() & (self.next_chunk.q.val() == self.tile_chunks.val());
        }
        if self.go.val() {
            self.running.d.next = true;
            self.at_row.d.next = self.at_row.q.val() + 1;
            if self.row_over.val() {
                self.at_row.d.next = 0.into();
                self.at_chunk.d.next = self.next_chunk.q.val();
                self.next_chunk.d.next = self.next_chunk.q.val() + 1;
                self.offset.d.next = self.offset.q.val() + self.chunk_bytes.val();
            }
        }
        if self.over.val() | self.clear.val() {
            self.running.d.next = false;
            self.at_row.d.next = 0.into();
            self.at_chunk.d.next = 0.into();
            self.next_chunk.d.next = 1.into();
            self.offset.d.next = 0.into();
        }
        self.step.next = self.go.val();
        self.chunk.next = self.at_chunk.q.val();
        self.row.next = self.at_row.q.val();
        self.param_address.next = self.tile_p_base.val() + bit_cast::<16, 8>(self.at_chunk.q.val());
        self.write.next = self.go.val()
            & self.tile_last.val()
            & (bit_cast::<5, 4>(self.at_row.q.val()) < self.tile_rows.val());
        self.write_address.next = (self.pixel.val() & !self.offset_mask.val())
            | ((self.pixel.val() + self.offset.q.val()) & self.offset_mask.val());
        self.second_address.next = (self.second.val() & !self.offset_mask.val())
            | ((self.second.val() + self.offset.q.val()) & self.offset_mask.val());
        self.complete.next = self.over.val();
        self.push_prev.next = self.over.val() & self.tile_push_prev.val();
        self.push_next.next = self.over.val() & self.tile_push_next.val();
    }
}

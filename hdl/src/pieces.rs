//! `koch_pieces`.

use crate::prelude::*;
use spec::isa::activation;

/// What is being cut.
#[derive(Copy, Clone, PartialEq, Debug, LogicState)]
pub enum Part {
    /// Waits for a start.
    Idle,
    /// Makes the first piece of the next part.
    Begin,
    /// Padding before the data of a row.
    PadLeft,
    /// Data.
    Data,
    /// Padding after it.
    PadRight,
    /// There is no next part.
    Nothing,
}

leaf! {
    /// Cuts a stream of bytes between the bus and a buffer into pieces, one a cycle. On the bus it is runs of bytes, in the
    /// buffer rows, which may have padding before and behind. A piece crosses neither a bus word, a run, a word of the
    /// buffer nor a row. What is left of the buffer's word or of the row's part, whichever ends first, is one chunk; what
    /// is left of the bus word or of the run is another; the shorter of the two is the piece, and while it passes the
    /// chunk behind it is made ready. All lengths are less one: then a sign says which of two is the longer.
    Pieces = "koch_pieces" (clock), latency "The first piece can pass two cycles after a start.", for config;
    in {
        clear: Bit,
        /// When idle: take the stream that is described.
        start: Bit,
        /// In the buffer: which one it is, where the first row begins, how far rows are apart, and of what they are.
        buffer: Bits<2>,
        row: Bits<24>,
        row_pitch: Bits<20>,
        row_bytes: Bits<20>,
        pad_left: Bits<20>,
        pad_right: Bits<20>,
        /// Whether there is padding before rows and behind them, and whether there are runs.
        any_left: Bit,
        any_right: Bit,
        any_runs: Bit,
        /// On the bus. Without runs there is padding alone.
        run: Bits<32>,
        run_bytes: Bits<24>,
        runs: Bits<16>,
        run_pitch: Bits<24>,
        /// A piece of data can pass.
        ready: Bit,
    }
    out {
        /// A piece passes.
        pass: Bit,
        /// It is of padding.
        padding: Bit,
        /// In the buffer, the address of its first byte.
        address: Bits<24>,
        bytes: Bits<8>,
        /// The low bits of its last byte's address.
        last: Bits<8>,
        /// Position in the bus word of its first byte.
        lane: Bits<6>,
        /// With this piece of data a bus word, or a run, is over.
        word_over: Bit,
        /// The stream is over with this cycle.
        finish: Bit,
        idle: Bit,
    }
    reg {
        part: Part,
        /// The part after this one, its length, and whether it begins a row.
        next_part: Part,
        next_length: Bits<20>,
        next_new: Bit,
        has_left: Bit,
        has_data: Bit,
        has_right: Bit,
        left_size: Bits<20>,
        row_size: Bits<20>,
        right_size: Bits<20>,
        /// In the buffer: the chunk; what follows it of the part, if there is more; what follows it of its word, the
        /// next word if it fills this one.
        chunk: Bits<8>,
        more: Bit,
        rest: Bits<20>,
        room: Bits<8>,
        fills: Bit,
        at: Bits<24>,
        next_row: Bits<24>,
        pitch: Bits<20>,
        mask: Bits<8>,
        wraps: Bit,
        /// On the bus: the chunk, its place in the word, what follows it of the run, and where in a word runs begin.
        beat: Bits<6>,
        place: Bits<6>,
        run_more: Bit,
        run_rest: Bits<24>,
        run_size: Bits<24>,
        next_place: Bits<6>,
        step: Bits<6>,
        /// Runs that are not over, and whether it is one, or none.
        runs_left: Bits<16>,
        last_run: Bit,
        none_left: Bit,
    }
    wire {
        fresh: Bit,
        data: Bit,
        pads: Bit,
        moves: Bit,
        chunk_after: Bits<9>,
        beat_after: Bits<9>,
        chunk_over: Bit,
        beat_over: Bit,
        part_over: Bit,
        stream_over: Bit,
        over: Bit,
        cut: Bit,
        advance: Bit,
        advance_run: Bit,
        length: Bits<20>,
        space: Bits<8>,
        after_space: Bits<21>,
        spare: Bits<9>,
        run_length: Bits<24>,
        run_space: Bits<6>,
        run_after: Bits<25>,
        piece: Bits<8>,
        chunk_end: Bits<8>,
        beat_end: Bits<8>,
        next_word: Bits<24>,
        following: Bits<24>,
        cut_room: Bits<8>,
    }
    const {
        bus_mask: Bits<6> = u64::from(config.bus_bytes() - 1),
        abuf_mask: Bits<8> = u64::from(config.abuf_stride() - 1),
        wbuf_mask: Bits<8> = u64::from(config.wbuf_stride() - 1),
        pbuf_mask: Bits<8> = u64::from(config.pbuf_stride() - 1),
        offset_mask: Bits<24> = u64::from(activation(1, 0) - 1),
    }
}

impl Logic for Pieces {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            part,
            next_part,
            next_length,
            next_new,
            has_left,
            has_data,
            has_right,
            left_size,
            row_size,
            right_size,
            chunk,
            more,
            rest,
            room,
            fills,
            at,
            next_row,
            pitch,
            mask,
            wraps,
            beat,
            place,
            run_more,
            run_rest,
            run_size,
            next_place,
            step,
            runs_left,
            last_run,
            none_left
        );

        // The piece: the shorter of the two chunks.
        self.fresh.next = self.part.q.val() == Part::Begin;
        self.data.next = self.part.q.val() == Part::Data;
        self.pads.next = (self.part.q.val() == Part::PadLeft) | (self.part.q.val() == Part::PadRight);
        self.moves.next = (self.data.val() & self.ready.val()) | self.pads.val();
        // a - b - 1 as 2a - (2b + 1), a single subtraction.
        self.chunk_after.next = ((bit_cast::<10, 8>(self.chunk.q.val()) << 1)
            - ((bit_cast::<10, 6>(self.beat.q.val()) << 1) | 1))
            .get_bits::<9>(1);
        self.beat_after.next = ((bit_cast::<10, 6>(self.beat.q.val()) << 1)
            - ((bit_cast::<10, 8>(self.chunk.q.val()) << 1) | 1))
            .get_bits::<9>(1);
        self.chunk_over.next = !self.data.val() | self.chunk_after.val().get_bit(8);
        self.beat_over.next = self.beat_after.val().get_bit(8);
        self.piece.next = bit_cast::<8, 6>(self.beat.q.val());
        if self.chunk_over.val() {
            self.piece.next = self.chunk.q.val();
        }

        // The stream may end inside a row; then the row ends there.
        self.part_over.next = self.chunk_over.val() & !self.more.q.val();
        self.stream_over.next =
            self.data.val() & self.beat_over.val() & !self.run_more.q.val() & self.last_run.q.val();
        self.over.next = false;
        match self.part.q.val() {
            Part::Begin => {
                self.over.next = self.next_part.q.val() == Part::Nothing;
            }
            Part::PadLeft => {
                self.over.next = self.part_over.val() & (self.next_part.q.val() == Part::Nothing);
            }
            Part::Data => {
                self.over.next = self.ready.val() & self.stream_over.val() & !self.has_right.q.val();
            }
            Part::PadRight => {
                self.over.next = self.part_over.val() & self.none_left.q.val();
            }
            _ => {}
        }
        self.cut.next = self.ready.val() & self.stream_over.val() & !self.part_over.val();
        self.advance.next = self.fresh.val() | (self.moves.val() & self.chunk_over.val());
        self.advance_run.next =
            self.fresh.val() | (self.data.val() & self.ready.val() & self.beat_over.val());

        // The next chunk in the buffer: of this part, or the first of the next.
        self.length.next = self.next_length.q.val();
        self.space.next = self.room.q.val();
        if self.more.q.val() {
            self.length.next = self.rest.q.val();
        } else if self.next_new.q.val() {
            self.space.next = !self.next_row.q.val().get_bits::<8>(0) & self.mask.q.val();
        }
        self.after_space.next = ((bit_cast::<22, 20>(self.length.val()) << 1)
            - ((bit_cast::<22, 8>(self.space.val()) << 1) | 1))
            .get_bits::<21>(1);
        self.spare.next = ((bit_cast::<10, 8>(self.space.val()) << 1)
            - ((bit_cast::<10, 8>(self.length.val().get_bits::<8>(0)) << 1) | 1))
            .get_bits::<9>(1);
        // Sums of activation addresses stay in their buffer.
        self.next_word.next = (self.at.q.val() | bit_cast::<24, 8>(self.mask.q.val())) + 1;
        self.following.next = self.next_row.q.val() + bit_cast::<24, 20>(self.pitch.q.val());
        if self.wraps.q.val() {
            self.next_word.next = (self.at.q.val() & !self.offset_mask.val())
                | (((self.at.q.val() | bit_cast::<24, 8>(self.mask.q.val())) + 1) & self.offset_mask.val());
            self.following.next = (self.next_row.q.val() & !self.offset_mask.val())
                | ((self.next_row.q.val() + bit_cast::<24, 20>(self.pitch.q.val())) & self.offset_mask.val());
        }
        self.cut_room.next = self.chunk_after.val().get_bits::<8>(0);
        if !self.fills.q.val() {
            self.cut_room.next = self.chunk_after.val().get_bits::<8>(0) + self.room.q.val() + 1;
        }
        // Where the word goes on behind either chunk: a + b + 1, likewise.
        self.chunk_end.next = (((bit_cast::<9, 8>(self.at.q.val().get_bits::<8>(0)) << 1) | 1)
            + ((bit_cast::<9, 8>(self.chunk.q.val()) << 1) | 1))
            .get_bits::<8>(1);
        self.beat_end.next = (((bit_cast::<9, 8>(self.at.q.val().get_bits::<8>(0)) << 1) | 1)
            + ((bit_cast::<9, 6>(self.beat.q.val()) << 1) | 1))
            .get_bits::<8>(1);
        if self.moves.val() {
            self.chunk.d.next = self.chunk_after.val().get_bits::<8>(0);
            self.at.d.next = (self.at.q.val() & !bit_cast::<24, 8>(self.mask.q.val()))
                | bit_cast::<24, 8>(self.beat_end.val() & self.mask.q.val());
            if self.chunk_over.val() {
                self.at.d.next = (self.at.q.val() & !bit_cast::<24, 8>(self.mask.q.val()))
                    | bit_cast::<24, 8>(self.chunk_end.val() & self.mask.q.val());
                if self.fills.q.val() {
                    self.at.d.next = self.next_word.val();
                }
            }
        }
        if self.advance.val() {
            self.chunk.d.next = self.space.val();
            self.more.d.next = true;
            self.rest.d.next = self.after_space.val().get_bits::<20>(0);
            self.room.d.next = self.mask.q.val();
            self.fills.d.next = true;
            if self.after_space.val().get_bit(20) {
                self.chunk.d.next = self.length.val().get_bits::<8>(0);
                self.more.d.next = false;
                self.room.d.next = self.spare.val().get_bits::<8>(0) & self.mask.q.val();
                self.fills.d.next = self.spare.val().get_bit(8);
            }
        }
        if self.advance.val() & !self.more.q.val() {
            self.part.d.next = self.next_part.q.val();
            if self.next_new.q.val() {
                self.at.d.next = self.next_row.q.val();
                self.next_row.d.next = self.following.val();
            }
            // The part after the next one.
            self.next_new.d.next = false;
            self.next_part.d.next = Part::Nothing;
            self.next_length.d.next = self.right_size.q.val();
            if (self.next_part.q.val() == Part::PadLeft) & self.has_data.q.val() {
                self.next_part.d.next = Part::Data;
                self.next_length.d.next = self.row_size.q.val();
            } else if (self.next_part.q.val() != Part::PadRight) & self.has_right.q.val() {
                self.next_part.d.next = Part::PadRight;
            } else if self.has_data.q.val() {
                self.next_new.d.next = true;
                self.next_part.d.next = Part::Data;
                self.next_length.d.next = self.row_size.q.val();
                if self.has_left.q.val() {
                    self.next_part.d.next = Part::PadLeft;
                    self.next_length.d.next = self.left_size.q.val();
                }
            }
        }
        // The padding behind a row that was cut short begins where it was cut.
        if self.cut.val() {
            self.part.d.next = Part::Begin;
            self.more.d.next = false;
            self.room.d.next = self.mask.q.val();
            if !self.chunk_over.val() {
                self.room.d.next = self.cut_room.val();
            }
        }

        // The next chunk on the bus: of this run, or the first of the next.
        self.run_length.next = self.run_size.q.val();
        self.run_space.next = !self.next_place.q.val() & self.bus_mask.val();
        if self.run_more.q.val() {
            self.run_length.next = self.run_rest.q.val();
            self.run_space.next = self.bus_mask.val();
        }
        self.run_after.next = ((bit_cast::<26, 24>(self.run_length.val()) << 1)
            - ((bit_cast::<26, 6>(self.run_space.val()) << 1) | 1))
            .get_bits::<25>(1);
        if self.data.val() & self.ready.val() {
            self.beat.d.next = self.beat_after.val().get_bits::<6>(0);
            self.place.d.next = self.place.q.val() + self.piece.val().get_bits::<6>(0) + 1;
        }
        if self.advance_run.val() {
            self.beat.d.next = self.run_space.val();
            self.run_more.d.next = true;
            self.run_rest.d.next = self.run_after.val().get_bits::<24>(0);
            if self.run_after.val().get_bit(24) {
                self.beat.d.next = self.run_length.val().get_bits::<6>(0);
                self.run_more.d.next = false;
            }
            self.place.d.next = 0.into();
            if !self.run_more.q.val() {
                self.place.d.next = self.next_place.q.val();
                self.next_place.d.next = (self.next_place.q.val() + self.step.q.val()) & self.bus_mask.val();
            }
        }
        if self.data.val() & self.ready.val() & self.beat_over.val() & !self.run_more.q.val() {
            self.runs_left.d.next = self.runs_left.q.val() - 1;
            self.last_run.d.next = self.runs_left.q.val() == 2;
            self.none_left.d.next = self.last_run.q.val();
        }

        if self.over.val() {
            self.part.d.next = Part::Idle;
        }
        // What is described is looked at all the time, so that a start changes nothing but the part.
        if self.part.q.val() == Part::Idle {
            self.more.d.next = false;
            self.next_new.d.next = true;
            self.next_row.d.next = self.row.val();
            self.pitch.d.next = self.row_pitch.val();
            self.left_size.d.next = self.pad_left.val() - 1;
            self.row_size.d.next = self.row_bytes.val() - 1;
            self.right_size.d.next = self.pad_right.val() - 1;
            self.has_left.d.next = self.any_left.val();
            self.has_data.d.next = self.any_runs.val();
            self.has_right.d.next = self.any_right.val();
            self.next_part.d.next = Part::Nothing;
            self.next_length.d.next = self.pad_right.val() - 1;
            if self.any_left.val() {
                self.next_part.d.next = Part::PadLeft;
                self.next_length.d.next = self.pad_left.val() - 1;
            } else if self.any_runs.val() {
                self.next_part.d.next = Part::Data;
                self.next_length.d.next = self.row_bytes.val() - 1;
            } else if self.any_right.val() {
                self.next_part.d.next = Part::PadRight;
            }
            self.wraps.d.next = self.buffer.val() == 0;
            self.mask.d.next = self.pbuf_mask.val();
            if self.buffer.val() == 0 {
                self.mask.d.next = self.abuf_mask.val();
            } else if self.buffer.val() == 1 {
                self.mask.d.next = self.wbuf_mask.val();
            }
            self.run_more.d.next = false;
            self.run_size.d.next = self.run_bytes.val() - 1;
            self.next_place.d.next = self.run.val().get_bits::<6>(0) & self.bus_mask.val();
            self.step.d.next = self.run_pitch.val().get_bits::<6>(0) & self.bus_mask.val();
            self.runs_left.d.next = self.runs.val();
            self.last_run.d.next = self.runs.val() == 1;
            self.none_left.d.next = !self.any_runs.val();
        }
        if self.start.val() {
            self.part.d.next = Part::Begin;
        }
        if self.clear.val() {
            self.part.d.next = Part::Idle;
        }

        self.pass.next = self.moves.val();
        self.padding.next = self.pads.val();
        self.address.next = self.at.q.val();
        self.bytes.next = self.piece.val() + 1;
        self.last.next = self.at.q.val().get_bits::<8>(0) + bit_cast::<8, 6>(self.beat.q.val());
        if self.chunk_over.val() {
            self.last.next = self.at.q.val().get_bits::<8>(0) + self.chunk.q.val();
        }
        self.lane.next = self.place.q.val();
        self.word_over.next = self.data.val() & self.beat_over.val();
        self.finish.next = self.over.val();
        self.idle.next = self.part.q.val() == Part::Idle;
    }
}

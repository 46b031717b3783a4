//! `koch_load_writer`.

use crate::prelude::*;
use spec::isa::activation;

/// What is being written.
#[derive(Copy, Clone, PartialEq, Debug, LogicState)]
pub enum Part {
    /// Waits for an instruction.
    Idle,
    /// Padding before the data of a row.
    PadLeft,
    /// Data that has arrived.
    Data,
    /// Padding after it.
    PadRight,
    /// Ends the instruction.
    Nothing,
}

leaf! {
    /// The second half of the load engine: lays the bytes that arrive down in rows, with padding, a piece a cycle.
    /// A piece crosses neither a bus word nor a word of the destination: it is as long as the least of what is left of
    /// these, of the row and of the run. All differences of the four are taken while the least is found, so that the
    /// longest path is one subtraction and a choice.
    LoadWriter = "koch_load_writer" (clock), latency "A bus word's pieces are written in the cycles in which it is valid.", for config;
    in {
        clear: Bit,
        valid: Bit,
        push_next: Bit,
        buffer: Bits<2>,
        src: Bits<32>,
        run_bytes: Bits<24>,
        runs: Bits<16>,
        run_pitch: Bits<24>,
        dst: Bits<24>,
        dst_pitch: Bits<20>,
        row_bytes: Bits<20>,
        pad_left: Bits<20>,
        pad_right: Bits<20>,
        fill: Bits<16>,
        /// A bus word for this engine is there.
        word: Bit,
    }
    out {
        pop: Bit,
        /// The bus word is used up.
        take: Bit,
        write: Bit,
        write_buffer: Bits<2>,
        write_address: Bits<24>,
        write_bytes: Bits<8>,
        /// Position in the bus word of the piece's first byte.
        write_lane: Bits<6>,
        write_padding: Bit,
        write_fill: Bits<16>,
        push: Bit,
        idle: Bit,
    }
    reg {
        part: Part,
        push_later: Bit,
        target: Bits<2>,
        /// Word of the destination, by the number of its first byte; what follows of it.
        at: Bits<24>,
        room: Bits<9>,
        /// What follows of the row, or of the padding: its low byte and how many 256s; bit 8 says that there are some,
        /// so that it is not the least then.
        left: Bits<9>,
        left_high: Bits<12>,
        run_left: Bits<9>,
        run_high: Bits<16>,
        runs_left: Bits<16>,
        /// What follows of the bus word.
        bus_left: Bits<9>,
        /// What there is of the next run's first bus word, and where the next row begins.
        next_run: Bits<9>,
        next_row: Bits<24>,
        run_step: Bits<9>,
        size: Bits<9>,
        size_high: Bits<16>,
        pitch: Bits<20>,
        row_size: Bits<20>,
        left_size: Bits<20>,
        right_size: Bits<20>,
        filler: Bits<16>,
    }
    wire {
        data: Bit,
        room_row: Bits<10>,
        room_run: Bits<10>,
        room_bus: Bits<10>,
        row_room: Bits<10>,
        row_run: Bits<10>,
        row_bus: Bits<10>,
        run_room: Bits<10>,
        run_row: Bits<10>,
        run_bus: Bits<10>,
        bus_room: Bits<10>,
        bus_row: Bits<10>,
        bus_run: Bits<10>,
        room_over: Bit,
        row_over: Bit,
        run_over: Bit,
        bus_over: Bit,
        room_after: Bits<9>,
        row_after: Bits<9>,
        run_after: Bits<9>,
        bus_after: Bits<9>,
        piece: Bits<9>,
        mask: Bits<9>,
        new_mask: Bits<9>,
        new_run: Bits<9>,
        next_at: Bits<24>,
        stream_over: Bit,
        pads: Bit,
        again: Bit,
        moved: Bit,
        part_over: Bit,
        finish: Bit,
        new_row: Bit,
        follows: Bits<20>,
        done: Bit,
        first: Bits<20>,
    }
    const {
        bus_bytes: Bits<9> = u64::from(config.bus_bytes()),
        bus_mask: Bits<9> = u64::from(config.bus_bytes() - 1),
        abuf_mask: Bits<9> = u64::from(config.abuf_stride() - 1),
        wbuf_mask: Bits<9> = u64::from(config.wbuf_stride() - 1),
        pbuf_mask: Bits<9> = u64::from(config.pbuf_stride() - 1),
        offset_mask: Bits<24> = u64::from(activation(1, 0) - 1),
    }
}

impl Logic for LoadWriter {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self, clock, part, push_later, target, at, room, left, left_high, run_left, run_high, runs_left,
            bus_left, next_run, next_row, run_step, size, size_high, pitch, row_size, left_size, right_size,
            filler
        );

        // The piece: the least of the four.
        self.data.next = self.part.q.val() == Part::Data;
        self.room_row.next = bit_cast::<10, 9>(self.room.q.val()) - bit_cast::<10, 9>(self.left.q.val());
        self.room_run.next = bit_cast::<10, 9>(self.room.q.val()) - bit_cast::<10, 9>(self.run_left.q.val());
        self.room_bus.next = bit_cast::<10, 9>(self.room.q.val()) - bit_cast::<10, 9>(self.bus_left.q.val());
        self.row_room.next = bit_cast::<10, 9>(self.left.q.val()) - bit_cast::<10, 9>(self.room.q.val());
        self.row_run.next = bit_cast::<10, 9>(self.left.q.val()) - bit_cast::<10, 9>(self.run_left.q.val());
        self.row_bus.next = bit_cast::<10, 9>(self.left.q.val()) - bit_cast::<10, 9>(self.bus_left.q.val());
        self.run_room.next = bit_cast::<10, 9>(self.run_left.q.val()) - bit_cast::<10, 9>(self.room.q.val());
        self.run_row.next = bit_cast::<10, 9>(self.run_left.q.val()) - bit_cast::<10, 9>(self.left.q.val());
        self.run_bus.next =
            bit_cast::<10, 9>(self.run_left.q.val()) - bit_cast::<10, 9>(self.bus_left.q.val());
        self.bus_room.next = bit_cast::<10, 9>(self.bus_left.q.val()) - bit_cast::<10, 9>(self.room.q.val());
        self.bus_row.next = bit_cast::<10, 9>(self.bus_left.q.val()) - bit_cast::<10, 9>(self.left.q.val());
        self.bus_run.next =
            bit_cast::<10, 9>(self.bus_left.q.val()) - bit_cast::<10, 9>(self.run_left.q.val());
        self.room_over.next = !self.row_room.val().get_bit(9)
            & (!self.data.val() | (!self.run_room.val().get_bit(9) & !self.bus_room.val().get_bit(9)));
        self.row_over.next = !self.room_row.val().get_bit(9)
            & (!self.data.val() | (!self.run_row.val().get_bit(9) & !self.bus_row.val().get_bit(9)));
        self.run_over.next =
            !self.room_run.val().get_bit(9) & !self.row_run.val().get_bit(9) & !self.bus_run.val().get_bit(9);
        self.bus_over.next =
            !self.room_bus.val().get_bit(9) & !self.row_bus.val().get_bit(9) & !self.run_bus.val().get_bit(9);
        if self.room_over.val() {
            self.piece.next = self.room.q.val();
            self.row_after.next = self.row_room.val().get_bits::<9>(0);
            self.run_after.next = self.run_room.val().get_bits::<9>(0);
            self.bus_after.next = self.bus_room.val().get_bits::<9>(0);
        } else if self.row_over.val() {
            self.piece.next = self.left.q.val();
            self.row_after.next = 0.into();
            self.run_after.next = self.run_row.val().get_bits::<9>(0);
            self.bus_after.next = self.bus_row.val().get_bits::<9>(0);
        } else if self.run_over.val() {
            self.piece.next = self.run_left.q.val();
            self.row_after.next = self.row_run.val().get_bits::<9>(0);
            self.run_after.next = 0.into();
            self.bus_after.next = self.bus_run.val().get_bits::<9>(0);
        } else {
            self.piece.next = self.bus_left.q.val();
            self.row_after.next = self.row_bus.val().get_bits::<9>(0);
            self.run_after.next = self.run_bus.val().get_bits::<9>(0);
            self.bus_after.next = 0.into();
        }
        if self.row_over.val() {
            self.room_after.next = self.room_row.val().get_bits::<9>(0);
        } else if self.run_over.val() {
            self.room_after.next = self.room_run.val().get_bits::<9>(0);
        } else {
            self.room_after.next = self.room_bus.val().get_bits::<9>(0);
        }

        self.mask.next = self.pbuf_mask.val();
        if self.target.q.val() == 0 {
            self.mask.next = self.abuf_mask.val();
        } else if self.target.q.val() == 1 {
            self.mask.next = self.wbuf_mask.val();
        }
        // Sums of activation addresses stay in their buffer.
        self.next_at.next = (self.at.q.val() | bit_cast::<24, 9>(self.mask.val())) + 1;
        if self.target.q.val() == 0 {
            self.next_at.next = (self.at.q.val() & !self.offset_mask.val())
                | (((self.at.q.val() | bit_cast::<24, 9>(self.mask.val())) + 1) & self.offset_mask.val());
        }
        // The stream may end inside a row; then the row ends there.
        self.stream_over.next = self.run_over.val() & self.data.val() & (self.runs_left.q.val() == 1);
        self.pads.next = (self.part.q.val() == Part::PadLeft) | (self.part.q.val() == Part::PadRight);
        self.moved.next = (self.data.val() & self.word.val()) | self.pads.val();
        self.part_over.next = self.moved.val() & (self.row_over.val() | self.stream_over.val());
        if self.moved.val() {
            self.room.d.next = self.room_after.val();
            if self.room_over.val() {
                self.room.d.next = self.mask.val() + 1;
                self.at.d.next = self.next_at.val();
            }
            self.left.d.next = self.row_after.val();
            if self.left.q.val().get_bit(8) & !self.row_after.val().get_bit(8) {
                self.left.d.next = self.row_after.val().replace_bit(8, self.left_high.q.val() != 1);
                self.left_high.d.next = self.left_high.q.val() - 1;
            }
        }
        if self.moved.val() & self.data.val() {
            self.bus_left.d.next = self.bus_after.val();
            if self.bus_over.val() {
                self.bus_left.d.next = self.bus_bytes.val();
            }
            self.run_left.d.next = self.run_after.val();
            if self.run_left.q.val().get_bit(8) & !self.run_after.val().get_bit(8) {
                self.run_left.d.next = self.run_after.val().replace_bit(8, self.run_high.q.val() != 1);
                self.run_high.d.next = self.run_high.q.val() - 1;
            }
            if self.run_over.val() {
                self.runs_left.d.next = self.runs_left.q.val() - 1;
                self.run_left.d.next = self.size.q.val();
                self.run_high.d.next = self.size_high.q.val();
                self.bus_left.d.next = self.next_run.q.val();
                self.next_run.d.next =
                    ((self.next_run.q.val() - self.run_step.q.val() - 1) & self.bus_mask.val()) + 1;
            }
        }

        // What follows a part of a row.
        self.again.next = (self.data.val() & (self.right_size.q.val() == 0))
            | ((self.part.q.val() == Part::PadRight) & (self.runs_left.q.val() != 0));
        self.new_row.next = self.part_over.val() & self.again.val() & !self.stream_over.val();
        self.finish.next = self.part.q.val() == Part::Nothing;
        self.follows.next = self.row_size.q.val();
        if self.part.q.val() == Part::PadLeft {
            if self.runs_left.q.val() == 0 {
                self.follows.next = self.right_size.q.val();
            }
        } else if (self.part.q.val() == Part::Data) & (self.right_size.q.val() != 0) {
            self.follows.next = self.right_size.q.val();
        } else if self.left_size.q.val() != 0 {
            self.follows.next = self.left_size.q.val();
        }
        if self.part_over.val() {
            self.left.d.next =
                self.follows.val().get_bits::<9>(0).replace_bit(8, (self.follows.val() >> 8) != 0);
            self.left_high.d.next = self.follows.val().get_bits::<12>(8);
            match self.part.q.val() {
                Part::PadLeft => {
                    if self.runs_left.q.val() != 0 {
                        self.part.d.next = Part::Data;
                    } else if self.right_size.q.val() != 0 {
                        self.part.d.next = Part::PadRight;
                    } else {
                        self.finish.next = true;
                    }
                }
                Part::Data => {
                    if self.right_size.q.val() != 0 {
                        self.part.d.next = Part::PadRight;
                    } else if self.stream_over.val() {
                        self.finish.next = true;
                    }
                }
                Part::PadRight => {
                    self.finish.next = self.runs_left.q.val() == 0;
                }
                _ => {}
            }
        }
        if self.new_row.val() {
            self.at.d.next = self.next_row.q.val() & !bit_cast::<24, 9>(self.mask.val());
            self.room.d.next = (!self.next_row.q.val().get_bits::<9>(0) & self.mask.val()) + 1;
            self.next_row.d.next = self.next_row.q.val() + bit_cast::<24, 20>(self.pitch.q.val());
            if self.target.q.val() == 0 {
                self.next_row.d.next = (self.next_row.q.val() & !self.offset_mask.val())
                    | ((self.next_row.q.val() + bit_cast::<24, 20>(self.pitch.q.val()))
                        & self.offset_mask.val());
            }
            self.part.d.next = Part::Data;
            if self.left_size.q.val() != 0 {
                self.part.d.next = Part::PadLeft;
            }
        }
        if self.finish.val() {
            self.part.d.next = Part::Idle;
        }

        // The next instruction.
        self.done.next = self.part.q.val() == Part::Idle;
        self.pop.next = self.done.val() & self.valid.val();
        self.new_mask.next = self.pbuf_mask.val();
        if self.buffer.val() == 0 {
            self.new_mask.next = self.abuf_mask.val();
        } else if self.buffer.val() == 1 {
            self.new_mask.next = self.wbuf_mask.val();
        }
        self.new_run.next =
            self.run_bytes.val().get_bits::<9>(0).replace_bit(8, (self.run_bytes.val() >> 8) != 0);
        self.first.next = self.pad_right.val();
        if self.pad_left.val() != 0 {
            self.first.next = self.pad_left.val();
        } else if self.runs.val() != 0 {
            self.first.next = self.row_bytes.val();
        }
        if self.done.val() & self.valid.val() {
            self.push_later.d.next = self.push_next.val();
            self.target.d.next = self.buffer.val();
            self.at.d.next = self.dst.val() & !bit_cast::<24, 9>(self.new_mask.val());
            self.room.d.next = (!self.dst.val().get_bits::<9>(0) & self.new_mask.val()) + 1;
            self.next_row.d.next = self.dst.val() + bit_cast::<24, 20>(self.dst_pitch.val());
            if self.buffer.val() == 0 {
                self.next_row.d.next = (self.dst.val() & !self.offset_mask.val())
                    | ((self.dst.val() + bit_cast::<24, 20>(self.dst_pitch.val())) & self.offset_mask.val());
            }
            self.left.d.next = self.first.val().get_bits::<9>(0).replace_bit(8, (self.first.val() >> 8) != 0);
            self.left_high.d.next = self.first.val().get_bits::<12>(8);
            self.run_left.d.next = self.new_run.val();
            self.run_high.d.next = self.run_bytes.val().get_bits::<16>(8);
            self.size.d.next = self.new_run.val();
            self.size_high.d.next = self.run_bytes.val().get_bits::<16>(8);
            self.runs_left.d.next = self.runs.val();
            self.bus_left.d.next =
                self.bus_bytes.val() - (self.src.val().get_bits::<9>(0) & self.bus_mask.val());
            self.next_run.d.next = self.bus_bytes.val()
                - ((self.src.val().get_bits::<9>(0) + self.run_pitch.val().get_bits::<9>(0))
                    & self.bus_mask.val());
            self.run_step.d.next = self.run_pitch.val().get_bits::<9>(0) & self.bus_mask.val();
            self.pitch.d.next = self.dst_pitch.val();
            self.row_size.d.next = self.row_bytes.val();
            self.left_size.d.next = self.pad_left.val();
            self.right_size.d.next = self.pad_right.val();
            self.filler.d.next = self.fill.val();
            if self.pad_left.val() != 0 {
                self.part.d.next = Part::PadLeft;
            } else if self.runs.val() != 0 {
                self.part.d.next = Part::Data;
            } else if self.pad_right.val() != 0 {
                self.part.d.next = Part::PadRight;
            } else {
                self.part.d.next = Part::Nothing;
            }
        }
        if self.clear.val() {
            self.part.d.next = Part::Idle;
        }

        self.take.next = self.data.val() & (self.run_over.val() | self.bus_over.val());
        self.write.next = self.moved.val();
        self.write_buffer.next = self.target.q.val();
        self.write_address.next =
            self.at.q.val() | bit_cast::<24, 9>((bits::<9>(0) - self.room.q.val()) & self.mask.val());
        self.write_bytes.next = bit_cast::<8, 9>(self.piece.val());
        self.write_lane.next =
            ((self.bus_bytes.val() - self.bus_left.q.val()) & self.bus_mask.val()).get_bits::<6>(0);
        self.write_padding.next = !self.data.val();
        self.write_fill.next = self.filler.q.val();
        self.push.next = self.finish.val() & self.push_later.q.val();
        self.idle.next = self.done.val();
    }
}

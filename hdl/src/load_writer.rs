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
    /// A piece crosses neither a bus word nor a word of the destination.
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
        at: Bits<24>,
        row: Bits<24>,
        left: Bits<20>,
        run_left: Bits<24>,
        runs_left: Bits<16>,
        lane: Bits<6>,
        run_lane: Bits<6>,
        pitch_lane: Bits<6>,
        size: Bits<24>,
        pitch: Bits<20>,
        row_size: Bits<20>,
        left_size: Bits<20>,
        right_size: Bits<20>,
        filler: Bits<16>,
    }
    wire {
        stride: Bits<24>,
        room: Bits<24>,
        pad_piece: Bits<24>,
        bus_left: Bits<24>,
        data_piece: Bits<24>,
        piece: Bits<24>,
        next_lane: Bits<6>,
        next_at: Bits<24>,
        next_row: Bits<24>,
        run_over: Bit,
        word_over: Bit,
        part_over: Bit,
        runs_after: Bits<16>,
        moved: Bit,
        finish: Bit,
        new_row: Bit,
        done: Bit,
    }
    const {
        bus_bytes: Bits<24> = u64::from(config.bus_bytes()),
        bus_mask: Bits<6> = u64::from(config.bus_bytes() - 1),
        abuf_stride: Bits<24> = u64::from(config.abuf_stride()),
        wbuf_stride: Bits<24> = u64::from(config.wbuf_stride()),
        pbuf_stride: Bits<24> = u64::from(config.pbuf_stride()),
        offset_mask: Bits<24> = u64::from(activation(1, 0) - 1),
    }
}

impl Logic for LoadWriter {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self, clock, part, push_later, target, at, row, left, run_left, runs_left, lane, run_lane,
            pitch_lane, size, pitch, row_size, left_size, right_size, filler
        );

        // The piece: up to the end of the destination word, the row, the run and the bus word.
        self.stride.next = self.pbuf_stride.val();
        if self.target.q.val() == 0 {
            self.stride.next = self.abuf_stride.val();
        } else if self.target.q.val() == 1 {
            self.stride.next = self.wbuf_stride.val();
        }
        self.room.next = self.stride.val() - (self.at.q.val() & (self.stride.val() - 1));
        self.pad_piece.next = bit_cast::<24, 20>(self.left.q.val());
        if self.room.val() < bit_cast::<24, 20>(self.left.q.val()) {
            self.pad_piece.next = self.room.val();
        }
        self.bus_left.next = self.bus_bytes.val() - bit_cast::<24, 6>(self.lane.q.val());
        self.data_piece.next = self.pad_piece.val();
        if self.run_left.q.val() < self.pad_piece.val() {
            self.data_piece.next = self.run_left.q.val();
        }
        if self.bus_left.val() < self.data_piece.val() {
            self.data_piece.next = self.bus_left.val();
        }
        self.run_over.next = self.run_left.q.val() == self.data_piece.val();
        self.word_over.next = self.bus_left.val() == self.data_piece.val();
        self.next_lane.next =
            (self.lane.q.val() + bit_cast::<6, 24>(self.data_piece.val())) & self.bus_mask.val();
        // Sums of activation addresses stay in their buffer.
        self.next_row.next = self.row.q.val() + bit_cast::<24, 20>(self.pitch.q.val());
        if self.target.q.val() == 0 {
            self.next_row.next = (self.row.q.val() & !self.offset_mask.val())
                | ((self.row.q.val() + bit_cast::<24, 20>(self.pitch.q.val())) & self.offset_mask.val());
        }

        self.piece.next = self.pad_piece.val();
        self.runs_after.next = self.runs_left.q.val();
        self.moved.next = false;
        self.part_over.next = false;
        self.take.next = false;
        if self.part.q.val() == Part::Data {
            self.piece.next = self.data_piece.val();
            self.take.next = self.run_over.val() | self.word_over.val();
            if self.run_over.val() {
                self.runs_after.next = self.runs_left.q.val() - 1;
            }
            self.moved.next = self.word.val();
            // The stream may end inside a row; then the row ends there.
            self.part_over.next = self.word.val()
                & ((bit_cast::<24, 20>(self.left.q.val()) == self.data_piece.val())
                    | (self.runs_after.val() == 0));
            if self.word.val() {
                self.runs_left.d.next = self.runs_after.val();
                self.run_left.d.next = self.run_left.q.val() - self.data_piece.val();
                self.lane.d.next = self.next_lane.val();
                if self.run_over.val() {
                    self.run_left.d.next = self.size.q.val();
                    self.run_lane.d.next =
                        (self.run_lane.q.val() + self.pitch_lane.q.val()) & self.bus_mask.val();
                    self.lane.d.next =
                        (self.run_lane.q.val() + self.pitch_lane.q.val()) & self.bus_mask.val();
                }
            }
        } else if (self.part.q.val() == Part::PadLeft) | (self.part.q.val() == Part::PadRight) {
            self.moved.next = true;
            self.part_over.next = bit_cast::<24, 20>(self.left.q.val()) == self.pad_piece.val();
        }
        if self.moved.val() {
            self.next_at.next = self.at.q.val() + self.piece.val();
            if self.target.q.val() == 0 {
                self.next_at.next = (self.at.q.val() & !self.offset_mask.val())
                    | ((self.at.q.val() + self.piece.val()) & self.offset_mask.val());
            }
            self.at.d.next = self.next_at.val();
            self.left.d.next = self.left.q.val() - bit_cast::<20, 24>(self.piece.val());
        }

        // What follows a part of a row.
        self.finish.next = self.part.q.val() == Part::Nothing;
        self.new_row.next = false;
        if self.part_over.val() {
            match self.part.q.val() {
                Part::PadLeft => {
                    if self.runs_left.q.val() != 0 {
                        self.part.d.next = Part::Data;
                        self.left.d.next = self.row_size.q.val();
                    } else if self.right_size.q.val() != 0 {
                        self.part.d.next = Part::PadRight;
                        self.left.d.next = self.right_size.q.val();
                    } else {
                        self.finish.next = true;
                    }
                }
                Part::Data => {
                    if self.right_size.q.val() != 0 {
                        self.part.d.next = Part::PadRight;
                        self.left.d.next = self.right_size.q.val();
                    } else if self.runs_after.val() != 0 {
                        self.new_row.next = true;
                    } else {
                        self.finish.next = true;
                    }
                }
                Part::PadRight => {
                    if self.runs_left.q.val() != 0 {
                        self.new_row.next = true;
                    } else {
                        self.finish.next = true;
                    }
                }
                _ => {}
            }
        }
        if self.new_row.val() {
            self.row.d.next = self.next_row.val();
            self.at.d.next = self.next_row.val();
            self.part.d.next = Part::Data;
            self.left.d.next = self.row_size.q.val();
            if self.left_size.q.val() != 0 {
                self.part.d.next = Part::PadLeft;
                self.left.d.next = self.left_size.q.val();
            }
        }
        if self.finish.val() {
            self.part.d.next = Part::Idle;
        }

        // The next instruction.
        self.done.next = self.part.q.val() == Part::Idle;
        self.pop.next = self.done.val() & self.valid.val();
        if self.done.val() & self.valid.val() {
            self.push_later.d.next = self.push_next.val();
            self.target.d.next = self.buffer.val();
            self.at.d.next = self.dst.val();
            self.row.d.next = self.dst.val();
            self.run_left.d.next = self.run_bytes.val();
            self.runs_left.d.next = self.runs.val();
            self.lane.d.next = bit_cast::<6, 32>(self.src.val()) & self.bus_mask.val();
            self.run_lane.d.next = bit_cast::<6, 32>(self.src.val()) & self.bus_mask.val();
            self.pitch_lane.d.next = bit_cast::<6, 24>(self.run_pitch.val());
            self.size.d.next = self.run_bytes.val();
            self.pitch.d.next = self.dst_pitch.val();
            self.row_size.d.next = self.row_bytes.val();
            self.left_size.d.next = self.pad_left.val();
            self.right_size.d.next = self.pad_right.val();
            self.filler.d.next = self.fill.val();
            if self.pad_left.val() != 0 {
                self.part.d.next = Part::PadLeft;
                self.left.d.next = self.pad_left.val();
            } else if self.runs.val() != 0 {
                self.part.d.next = Part::Data;
                self.left.d.next = self.row_bytes.val();
            } else if self.pad_right.val() != 0 {
                self.part.d.next = Part::PadRight;
                self.left.d.next = self.pad_right.val();
            } else {
                self.part.d.next = Part::Nothing;
            }
        }
        if self.clear.val() {
            self.part.d.next = Part::Idle;
        }

        self.write.next = self.moved.val();
        self.write_buffer.next = self.target.q.val();
        self.write_address.next = self.at.q.val();
        self.write_bytes.next = bit_cast::<8, 24>(self.piece.val());
        self.write_lane.next = self.lane.q.val();
        self.write_padding.next = self.part.q.val() != Part::Data;
        self.write_fill.next = self.filler.q.val();
        self.push.next = self.finish.val() & self.push_later.q.val();
        self.idle.next = self.done.val();
    }
}

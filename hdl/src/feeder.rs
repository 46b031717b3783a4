//! `koch_feeder`.

use crate::prelude::*;
use spec::{isa::activation, timing};

leaf! {
    /// Streams the operands of one tile after the other into the array. In a word's turn it reads a word for each row
    /// of the array in successive cycles, so that row r is r cycles behind row 0, while row 0's operands go out one a
    /// cycle. By channel, a word holds a pixel's channels, and a turn reads the pixels that a phase's taps need, one a
    /// cycle, while a weight a tap goes out. The next tile follows without a gap; only its last turn waits until the
    /// sums before it are drained.
    Feeder = "koch_feeder" (clock), latency "A tile's first operand is issued in the cycle after it is taken; words are read two cycles after their issue.", for config;
    in {
        clear: Bit,
        ring: Bits<24>,
        /// Reduction by channel. Changes only while the array is idle.
        depth: Bit,
        tile_valid: Bit,
        tile_slot: Bits<2>,
        tile_rows: Bits<5>,
        tile_last: Bit,
        tile_n_ky: Bits<8>,
        tile_n_kx: Bits<8>,
        tile_ky_pitch: Bits<24>,
        tile_kx_pitch: Bits<20>,
        tile_words: Bits<12>,
        tile_word_len: Bits<8>,
        tile_longs: Bits<12>,
        tile_w_base: Bits<20>,
        tile_w_kx_skip: Bits<20>,
        tile_w_ky_skip: Bits<20>,
        tile_phase_pitch: Bits<20>,
        tile_stride: Bits<8>,
        tile_kx_step: Bits<8>,
        tile_width: Bits<16>,
        tile_in_x: Bits<20>,
        tile_column: Bits<26>,
        /// Activation address of the first tap of the pixel at slot and row.
        pixel: Bits<24>,
        /// The drain of a tile is complete.
        drained: Bit,
    }
    out {
        take: Bit,
        slot: Bits<2>,
        row: Bits<4>,
        /// Two cycles after its issue, the read of a word for the array's row.
        read: Bit,
        read_address: Bits<24>,
        read_row: Bits<4>,
        /// With a read, by channel: the pixel is in the map.
        inside: Bit,
        operand: Bit,
        /// With an operand: it completes the sums.
        op_last: Bit,
        /// With an operand: it is the last of its tile.
        op_end: Bit,
        /// No tile was taken since the clear: what is in the array is of no use.
        fresh: Bit,
        weight_address: Bits<20>,
        /// No operand this cycle, because the sums of the tile before are not drained.
        stalled: Bit,
        active: Bit,
        array_idle: Bit,
    }
    reg {
        running: Bit,
        unused: Bit,
        phase: Bits<9>,
        my_slot: Bits<2>,
        last: Bit,
        pixels: Bits<5>,
        n_ky: Bits<8>,
        n_kx: Bits<8>,
        ky_pitch: Bits<24>,
        kx_pitch: Bits<20>,
        words: Bits<12>,
        /// Long turns, and one.
        longs: Bits<12>,
        long: Bit,
        long_length: Bits<9>,
        long_period: Bits<9>,
        short_length: Bits<9>,
        short_period: Bits<9>,
        w_kx_skip: Bits<20>,
        w_ky_skip: Bits<20>,
        phase_pitch: Bits<20>,
        stride: Bits<8>,
        kx_step: Bits<8>,
        width: Bits<16>,
        in_x: Bits<20>,
        /// Word, column and row of the kernel, each plus two: how many there are if the next one is the last.
        word: Bits<12>,
        kx: Bits<8>,
        ky: Bits<8>,
        offset: Bits<24>,
        word_start: Bits<24>,
        kx_start: Bits<24>,
        ky_start: Bits<24>,
        column: Bits<26>,
        word_column: Bits<26>,
        kx_column: Bits<26>,
        ky_column: Bits<26>,
        weight: Bits<20>,
        /// This turn's word, column and row of the kernel are the last; this is the turn's last cycle.
        last_word: Bit,
        last_kx: Bit,
        last_ky: Bit,
        end: Bit,
        /// This is the first cycle of the last turn, and too early for it.
        hold: Bit,
        /// In this cycle of the turn an operand goes out; it is the turn's last.
        within: Bit,
        final_one: Bit,
        /// A long turn, a short one, is of one cycle; it is of one operand.
        long_one: Bit,
        short_one: Bit,
        long_single: Bit,
        short_single: Bit,
        /// Cycles until a tile may end; cycles by which the running tile's last turn would be too early, and if there are any.
        gap: Bits<12>,
        early: Bits<12>,
        late: Bit,
        /// Of the listed tile, which is there before it is complete: whether it has only long turns, and the lengths of turns.
        uniform: Bit,
        listed_period: Bits<9>,
        listed_short_period: Bits<9>,
        in_flight: Bits<4>,
        summed_read: Bit,
        summed_row: Bits<4>,
        summed_inside: Bit,
        summed_buffer: Bits<24>,
        summed: Bits<24>,
        placed_read: Bit,
        placed_row: Bits<4>,
        placed_inside: Bit,
        placed: Bits<24>,
    }
    wire {
        deep: Bit,
        length: Bits<9>,
        period: Bits<9>,
        last_turn: Bit,
        stall: Bit,
        go: Bit,
        feed: Bit,
        tile_end: Bit,
        turn_over: Bit,
        finish: Bit,
        start: Bit,
        still_late: Bit,
        first_late: Bit,
        tile_length: Bits<9>,
        tile_short: Bits<9>,
        new_period: Bits<9>,
        new_short_period: Bits<9>,
        tile_last_length: Bits<13>,
        early_after: Bits<13>,
        early_anew: Bits<13>,
        reload: Bits<12>,
        next_word: Bits<24>,
        next_kx: Bits<24>,
        next_ky: Bits<24>,
        next_word_column: Bits<26>,
        next_kx_column: Bits<26>,
        weight_fed: Bits<20>,
    }
    const {
        rows: Bits<9> = u64::from(config.rows),
        by_channel: Bit = config.by_channel,
        gap_reload: Bits<12> = u64::from(timing::tile_gap(config, false) - 1),
        depth_gap_reload: Bits<12> = u64::from(timing::tile_gap(config, true) - 1),
        offset_mask: Bits<24> = u64::from(activation(1, 0) - 1),
        operand_shift: Bits<1> = u64::from(config.operand_bytes() - 1),
    }
}

impl Logic for Feeder {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            running,
            unused,
            phase,
            my_slot,
            last,
            pixels,
            n_ky,
            n_kx,
            ky_pitch,
            kx_pitch,
            words,
            longs,
            long,
            long_length,
            long_period,
            short_length,
            short_period,
            w_kx_skip,
            w_ky_skip,
            phase_pitch,
            stride,
            kx_step,
            width,
            in_x,
            word,
            kx,
            ky,
            offset,
            word_start,
            kx_start,
            ky_start,
            column,
            word_column,
            kx_column,
            ky_column,
            weight,
            last_word,
            last_kx,
            last_ky,
            end,
            hold,
            within,
            final_one,
            long_one,
            short_one,
            long_single,
            short_single,
            gap,
            early,
            late,
            uniform,
            listed_period,
            listed_short_period,
            in_flight,
            summed_read,
            summed_row,
            summed_inside,
            summed_buffer,
            summed,
            placed_read,
            placed_row,
            placed_inside,
            placed
        );

        // The turn of one word: `period` cycles, in the first `rows` of which a row's word is read, and in the first
        // `length` of which an operand goes out. By channel, a pixel is read in each of them.
        self.deep.next = self.depth.val() & self.by_channel.val();
        self.length.next = self.short_length.q.val();
        self.period.next = self.short_period.q.val();
        if self.long.q.val() {
            self.length.next = self.long_length.q.val();
            self.period.next = self.long_period.q.val();
        }
        self.last_turn.next = self.last_word.q.val() & self.last_kx.q.val() & self.last_ky.q.val();
        self.stall.next = self.running.q.val() & self.hold.q.val();
        self.go.next = self.running.q.val() & !self.hold.q.val();
        self.feed.next = self.go.val() & self.within.q.val();
        self.tile_end.next = self.feed.val() & self.last_turn.val() & self.final_one.q.val();
        self.turn_over.next = self.go.val() & self.end.q.val();
        self.finish.next = self.turn_over.val() & self.last_turn.val();
        self.start.next = self.tile_valid.val()
            & (!self.running.q.val() | (!self.hold.q.val() & (self.end.q.val() & self.last_turn.val())));
        self.still_late.next = self.late.q.val() & (self.early.q.val() != 1);

        // The address, in two cycles: offsets are modulo their range, then within the ring.
        self.summed.d.next = (self.pixel.val() + self.offset.q.val()) & self.offset_mask.val();
        self.summed_buffer.d.next = self.pixel.val() & !self.offset_mask.val();
        self.placed.d.next = self.summed_buffer.q.val() | self.summed.q.val();
        if self.summed.q.val() >= self.ring.val() {
            self.placed.d.next = self.summed_buffer.q.val() | (self.summed.q.val() - self.ring.val());
        }
        self.next_word.next = self.word_start.q.val() + bit_cast::<24, 20>(self.phase_pitch.q.val());
        self.next_kx.next = self.kx_start.q.val() + bit_cast::<24, 20>(self.kx_pitch.q.val());
        self.next_ky.next = self.ky_start.q.val() + self.ky_pitch.q.val();
        self.weight_fed.next = self.weight.q.val();
        if self.within.q.val() {
            self.weight_fed.next = self.weight.q.val() + 1;
        }
        // Columns are modulo 2^26: before the map is beyond it.
        self.next_word_column.next = self.word_column.q.val() + 1;
        self.next_kx_column.next = self.kx_column.q.val() + bit_cast::<26, 8>(self.kx_step.q.val());
        if self.go.val() {
            self.phase.d.next = self.phase.q.val() + 1;
            self.end.d.next = (self.phase.q.val() + 2) == self.period.val();
            self.within.d.next = self.within.q.val() & !self.final_one.q.val();
            self.final_one.d.next = (self.phase.q.val() + 2) == self.length.val();
            self.weight.d.next = self.weight_fed.val();
        }
        if self.go.val() & self.deep.val() {
            self.offset.d.next = self.offset.q.val() + bit_cast::<24, 20>(self.in_x.q.val());
            self.column.d.next = self.column.q.val() + bit_cast::<26, 8>(self.stride.q.val());
        }
        self.hold.d.next = self.hold.q.val() & self.still_late.val();
        if self.turn_over.val() {
            self.phase.d.next = 0.into();
            self.hold.d.next = self.still_late.val()
                & (self.word.q.val() == self.words.q.val())
                & self.last_kx.q.val()
                & self.last_ky.q.val();
            self.word.d.next = self.word.q.val() + 1;
            self.last_word.d.next = self.word.q.val() == self.words.q.val();
            self.end.d.next = self.long_one.q.val();
            self.within.d.next = true;
            self.final_one.d.next = self.long_single.q.val();
            if !self.long.q.val() | (self.word.q.val() == self.longs.q.val()) {
                self.long.d.next = false;
                self.end.d.next = self.short_one.q.val();
                self.final_one.d.next = self.short_single.q.val();
            }
            self.offset.d.next =
                self.offset.q.val() + (bit_cast::<24, 9>(self.length.val()) << self.operand_shift.val());
            if self.deep.val() {
                self.offset.d.next = self.next_word.val();
            }
            self.word_start.d.next = self.next_word.val();
            self.column.d.next = self.next_word_column.val();
            self.word_column.d.next = self.next_word_column.val();
            if self.last_word.q.val() {
                self.hold.d.next = self.still_late.val()
                    & (self.words.q.val() == 1)
                    & (self.kx.q.val() == self.n_kx.q.val())
                    & self.last_ky.q.val();
                self.word.d.next = 2.into();
                self.last_word.d.next = self.words.q.val() == 1;
                self.last_kx.d.next = self.kx.q.val() == self.n_kx.q.val();
                self.long.d.next = true;
                self.end.d.next = self.long_one.q.val();
                self.final_one.d.next = self.long_single.q.val();
                self.kx.d.next = self.kx.q.val() + 1;
                self.offset.d.next = self.next_kx.val();
                self.word_start.d.next = self.next_kx.val();
                self.kx_start.d.next = self.next_kx.val();
                self.column.d.next = self.next_kx_column.val();
                self.word_column.d.next = self.next_kx_column.val();
                self.kx_column.d.next = self.next_kx_column.val();
                self.weight.d.next = self.weight_fed.val() + self.w_kx_skip.q.val();
                if self.last_kx.q.val() {
                    self.hold.d.next = self.still_late.val()
                        & (self.words.q.val() == 1)
                        & (self.n_kx.q.val() == 1)
                        & (self.ky.q.val() == self.n_ky.q.val());
                    self.kx.d.next = 2.into();
                    self.last_kx.d.next = self.n_kx.q.val() == 1;
                    self.last_ky.d.next = self.ky.q.val() == self.n_ky.q.val();
                    self.ky.d.next = self.ky.q.val() + 1;
                    self.offset.d.next = self.next_ky.val();
                    self.word_start.d.next = self.next_ky.val();
                    self.kx_start.d.next = self.next_ky.val();
                    self.ky_start.d.next = self.next_ky.val();
                    self.column.d.next = self.ky_column.q.val();
                    self.word_column.d.next = self.ky_column.q.val();
                    self.kx_column.d.next = self.ky_column.q.val();
                    self.weight.d.next = self.weight_fed.val() + self.w_ky_skip.q.val();
                }
            }
        }
        if self.finish.val() {
            self.running.d.next = false;
        }
        self.tile_length.next = bit_cast::<9, 8>(self.tile_word_len.val());
        self.tile_short.next = bit_cast::<9, 8>(self.tile_word_len.val()) - 1;
        self.listed_period.d.next = self.rows.val();
        self.listed_short_period.d.next = self.rows.val();
        if self.tile_length.val() > self.rows.val() {
            self.listed_period.d.next = self.tile_length.val();
        }
        if self.tile_short.val() > self.rows.val() {
            self.listed_short_period.d.next = self.tile_short.val();
        }
        self.uniform.d.next = self.tile_longs.val() == self.tile_words.val();
        self.new_period.next = self.listed_period.q.val();
        self.new_short_period.next = self.listed_short_period.q.val();
        if self.deep.val() {
            self.new_period.next = self.tile_short.val() + bit_cast::<9, 5>(self.tile_rows.val());
            self.new_short_period.next = self.tile_short.val() + bit_cast::<9, 5>(self.tile_rows.val()) - 1;
        }
        self.reload.next = self.gap_reload.val();
        if self.deep.val() {
            self.reload.next = self.depth_gap_reload.val();
        }
        self.tile_last_length.next = bit_cast::<13, 9>(self.tile_short.val());
        if self.uniform.q.val() {
            self.tile_last_length.next = bit_cast::<13, 9>(self.tile_length.val());
        }
        self.first_late.next = self.tile_last_length.val() < bit_cast::<13, 12>(self.gap.q.val());
        if self.tile_end.val() {
            self.first_late.next = self.tile_last_length.val() < (bit_cast::<13, 12>(self.reload.val()) + 1);
        }
        if self.start.val() {
            self.running.d.next = true;
            self.unused.d.next = false;
            self.phase.d.next = 0.into();
            self.hold.d.next = self.first_late.val()
                & (self.tile_words.val() == 1)
                & (self.tile_n_kx.val() == 1)
                & (self.tile_n_ky.val() == 1);
            self.last_word.d.next = self.tile_words.val() == 1;
            self.last_kx.d.next = self.tile_n_kx.val() == 1;
            self.last_ky.d.next = self.tile_n_ky.val() == 1;
            self.my_slot.d.next = self.tile_slot.val();
            self.last.d.next = self.tile_last.val();
            self.pixels.d.next = self.tile_rows.val();
            self.n_ky.d.next = self.tile_n_ky.val();
            self.n_kx.d.next = self.tile_n_kx.val();
            self.ky_pitch.d.next = self.tile_ky_pitch.val();
            self.kx_pitch.d.next = self.tile_kx_pitch.val();
            self.words.d.next = self.tile_words.val();
            self.longs.d.next = self.tile_longs.val() + 1;
            self.long.d.next = true;
            self.long_length.d.next = self.tile_length.val();
            self.short_length.d.next = self.tile_short.val();
            self.long_period.d.next = self.new_period.val();
            self.short_period.d.next = self.new_short_period.val();
            self.long_one.d.next = self.new_period.val() == 1;
            self.short_one.d.next = self.new_short_period.val() == 1;
            self.end.d.next = self.new_period.val() == 1;
            self.within.d.next = true;
            self.final_one.d.next = self.tile_length.val() == 1;
            self.long_single.d.next = self.tile_length.val() == 1;
            self.short_single.d.next = self.tile_short.val() == 1;
            self.w_kx_skip.d.next = self.tile_w_kx_skip.val();
            self.w_ky_skip.d.next = self.tile_w_ky_skip.val();
            self.phase_pitch.d.next = self.tile_phase_pitch.val();
            self.stride.d.next = self.tile_stride.val();
            self.kx_step.d.next = self.tile_kx_step.val();
            self.width.d.next = self.tile_width.val();
            self.in_x.d.next = self.tile_in_x.val();
            self.word.d.next = 2.into();
            self.kx.d.next = 2.into();
            self.ky.d.next = 2.into();
            self.offset.d.next = 0.into();
            self.word_start.d.next = 0.into();
            self.kx_start.d.next = 0.into();
            self.ky_start.d.next = 0.into();
            self.column.d.next = self.tile_column.val();
            self.word_column.d.next = self.tile_column.val();
            self.kx_column.d.next = self.tile_column.val();
            self.ky_column.d.next = self.tile_column.val();
            self.weight.d.next = self.tile_w_base.val();
        }

        // Spacing of the tiles' ends: the last turn begins when it ends after the gap. And tiles fed but not drained.
        if self.gap.q.val() != 0 {
            self.gap.d.next = self.gap.q.val() - 1;
        }
        if self.tile_end.val() {
            self.gap.d.next = self.reload.val();
        }
        self.early_after.next = bit_cast::<13, 12>(self.gap.q.val()) - self.tile_last_length.val();
        self.early_anew.next = bit_cast::<13, 12>(self.reload.val()) + 1 - self.tile_last_length.val();
        if self.late.q.val() {
            self.early.d.next = self.early.q.val() - 1;
            self.late.d.next = self.still_late.val();
        }
        if self.start.val() {
            self.early.d.next = self.early_after.val().get_bits::<12>(0);
            self.late.d.next = self.first_late.val();
            if self.tile_end.val() {
                self.early.d.next = self.early_anew.val().get_bits::<12>(0);
            }
        }
        if self.tile_end.val() & !self.drained.val() {
            self.in_flight.d.next = self.in_flight.q.val() + 1;
        }
        if !self.tile_end.val() & self.drained.val() {
            self.in_flight.d.next = self.in_flight.q.val() - 1;
        }
        if self.clear.val() {
            self.running.d.next = false;
            self.unused.d.next = true;
            self.gap.d.next = 0.into();
            self.late.d.next = false;
            self.hold.d.next = false;
            self.in_flight.d.next = 0.into();
        }

        self.take.next = self.start.val();
        self.slot.next = self.my_slot.q.val();
        self.row.next = bit_cast::<4, 9>(self.phase.q.val());
        self.summed_row.d.next = bit_cast::<4, 9>(self.phase.q.val());
        self.summed_read.d.next =
            self.go.val() & (self.phase.q.val() < bit_cast::<9, 5>(self.pixels.q.val()));
        if self.deep.val() {
            self.row.next = 0.into();
            self.summed_row.d.next = 0.into();
            self.summed_read.d.next = self.go.val();
        }
        self.summed_inside.d.next = self.column.q.val() < bit_cast::<26, 16>(self.width.q.val());
        self.placed_read.d.next = self.summed_read.q.val();
        self.placed_row.d.next = self.summed_row.q.val();
        self.placed_inside.d.next = self.summed_inside.q.val();
        self.read.next = self.placed_read.q.val();
        self.read_row.next = self.placed_row.q.val();
        self.inside.next = self.placed_inside.q.val();
        self.read_address.next = self.placed.q.val();
        self.operand.next = self.feed.val();
        self.op_last.next = self.tile_end.val() & self.last.q.val();
        self.fresh.next = self.unused.q.val();
        self.op_end.next = self.tile_end.val();
        self.weight_address.next = self.weight.q.val();
        self.stalled.next = self.stall.val();
        self.active.next = self.running.q.val();
        self.array_idle.next = !self.running.q.val() & (self.in_flight.q.val() == 0);
    }
}

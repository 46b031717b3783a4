//! `koch_feeder`.

use crate::prelude::*;
use spec::timing;

leaf! {
    /// Streams the operands of one tile after the other into the array. In a word's turn it reads a word for each row
    /// of the array in successive cycles, so that row r is r cycles behind row 0, while row 0's operands go out one a
    /// cycle. The next tile follows without a gap; only its last word waits until the sums before it are drained.
    Feeder = "koch_feeder" (clock), latency "A tile's first operand goes out in the cycle after it is taken.", for config;
    in {
        clear: Bit,
        ring: Bits<24>,
        tile_valid: Bit,
        tile_slot: Bits<2>,
        tile_first: Bit,
        tile_last: Bit,
        tile_n_ky: Bits<8>,
        tile_n_kx: Bits<8>,
        tile_ky_pitch: Bits<24>,
        tile_kx_pitch: Bits<20>,
        tile_words: Bits<12>,
        tile_word_len: Bits<5>,
        tile_longs: Bits<12>,
        tile_w_base: Bits<20>,
        tile_w_kx_skip: Bits<20>,
        tile_w_ky_skip: Bits<20>,
        /// Input buffer address of the first tap of the pixel at slot and row.
        pixel: Bits<24>,
        /// The drain of a tile is complete.
        drained: Bit,
    }
    out {
        take: Bit,
        slot: Bits<2>,
        row: Bits<4>,
        read: Bit,
        read_address: Bits<24>,
        operand: Bit,
        /// With an operand: it starts the sums.
        op_first: Bit,
        /// With an operand: it completes the sums.
        op_last: Bit,
        /// With an operand: it is the last of its tile.
        op_end: Bit,
        weight_address: Bits<20>,
        /// No operand this cycle, because the sums of the tile before are not drained.
        stalled: Bit,
        active: Bit,
        array_idle: Bit,
    }
    reg {
        running: Bit,
        fresh: Bit,
        phase: Bits<5>,
        my_slot: Bits<2>,
        first: Bit,
        last: Bit,
        n_ky: Bits<8>,
        n_kx: Bits<8>,
        ky_pitch: Bits<24>,
        kx_pitch: Bits<20>,
        words: Bits<12>,
        word_len: Bits<5>,
        longs: Bits<12>,
        w_kx_skip: Bits<20>,
        w_ky_skip: Bits<20>,
        word: Bits<12>,
        kx: Bits<8>,
        ky: Bits<8>,
        offset: Bits<24>,
        kx_start: Bits<24>,
        ky_start: Bits<24>,
        weight: Bits<20>,
        gap: Bits<12>,
        in_flight: Bits<3>,
    }
    wire {
        length: Bits<5>,
        period: Bits<5>,
        last_word: Bit,
        last_kx: Bit,
        last_ky: Bit,
        last_turn: Bit,
        stall: Bit,
        go: Bit,
        feed: Bit,
        tile_end: Bit,
        turn_over: Bit,
        finish: Bit,
        start: Bit,
        address: Bits<24>,
        next_kx: Bits<24>,
        next_ky: Bits<24>,
        weight_fed: Bits<20>,
    }
    const {
        rows: Bits<5> = u64::from(config.rows),
        gap_reload: Bits<12> = u64::from(timing::tile_gap(config) - 1),
        operand_shift: Bits<1> = u64::from(config.operand_bytes() - 1),
    }
}

impl Logic for Feeder {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self, clock, running, fresh, phase, my_slot, first, last, n_ky, n_kx, ky_pitch, kx_pitch, words,
            word_len, longs, w_kx_skip, w_ky_skip, word, kx, ky, offset, kx_start, ky_start, weight, gap,
            in_flight
        );

        // The turn of one word: `period` cycles, in the first `rows` of which a row's word is read, and in the first
        // `length` of which an operand goes out.
        self.length.next = self.word_len.q.val();
        if self.word.q.val() >= self.longs.q.val() {
            self.length.next = self.word_len.q.val() - 1;
        }
        self.period.next = self.rows.val();
        if self.length.val() > self.rows.val() {
            self.period.next = self.length.val();
        }
        self.last_word.next = (self.word.q.val() + 1) == self.words.q.val();
        self.last_kx.next = (self.kx.q.val() + 1) == self.n_kx.q.val();
        self.last_ky.next = (self.ky.q.val() + 1) == self.n_ky.q.val();
        self.last_turn.next = self.last_word.val() & self.last_kx.val() & self.last_ky.val();
        self.stall.next = self.running.q.val()
            & self.last_turn.val()
            & (self.phase.q.val() == 0)
            & (self.gap.q.val() >= bit_cast::<12, 5>(self.length.val()));
        self.go.next = self.running.q.val() & !self.stall.val();
        self.feed.next = self.go.val() & (self.phase.q.val() < self.length.val());
        self.tile_end.next =
            self.feed.val() & self.last_turn.val() & ((self.phase.q.val() + 1) == self.length.val());
        self.turn_over.next = self.go.val() & ((self.phase.q.val() + 1) == self.period.val());
        self.finish.next = self.turn_over.val() & self.last_turn.val();
        self.start.next = self.tile_valid.val() & (!self.running.q.val() | self.finish.val());

        self.address.next = self.pixel.val() + self.offset.q.val();
        self.read_address.next = self.address.val();
        if self.address.val() >= self.ring.val() {
            self.read_address.next = self.address.val() - self.ring.val();
        }
        self.next_kx.next = self.kx_start.q.val() + bit_cast::<24, 20>(self.kx_pitch.q.val());
        self.next_ky.next = self.ky_start.q.val() + self.ky_pitch.q.val();
        self.weight_fed.next = self.weight.q.val();
        if self.feed.val() {
            self.weight_fed.next = self.weight.q.val() + 1;
            self.fresh.d.next = false;
        }
        self.weight.d.next = self.weight_fed.val();
        if self.go.val() {
            self.phase.d.next = self.phase.q.val() + 1;
        }
        if self.turn_over.val() {
            self.phase.d.next = 0.into();
            self.word.d.next = self.word.q.val() + 1;
            self.offset.d.next =
                self.offset.q.val() + (bit_cast::<24, 5>(self.length.val()) << self.operand_shift.val());
            if self.last_word.val() {
                self.word.d.next = 0.into();
                self.kx.d.next = self.kx.q.val() + 1;
                self.offset.d.next = self.next_kx.val();
                self.kx_start.d.next = self.next_kx.val();
                self.weight.d.next = self.weight_fed.val() + self.w_kx_skip.q.val();
                if self.last_kx.val() {
                    self.kx.d.next = 0.into();
                    self.ky.d.next = self.ky.q.val() + 1;
                    self.offset.d.next = self.next_ky.val();
                    self.kx_start.d.next = self.next_ky.val();
                    self.ky_start.d.next = self.next_ky.val();
                    self.weight.d.next = self.weight_fed.val() + self.w_ky_skip.q.val();
                }
            }
        }
        if self.finish.val() {
            self.running.d.next = false;
        }
        if self.start.val() {
            self.running.d.next = true;
            self.fresh.d.next = true;
            self.phase.d.next = 0.into();
            self.my_slot.d.next = self.tile_slot.val();
            self.first.d.next = self.tile_first.val();
            self.last.d.next = self.tile_last.val();
            self.n_ky.d.next = self.tile_n_ky.val();
            self.n_kx.d.next = self.tile_n_kx.val();
            self.ky_pitch.d.next = self.tile_ky_pitch.val();
            self.kx_pitch.d.next = self.tile_kx_pitch.val();
            self.words.d.next = self.tile_words.val();
            self.word_len.d.next = self.tile_word_len.val();
            self.longs.d.next = self.tile_longs.val();
            self.w_kx_skip.d.next = self.tile_w_kx_skip.val();
            self.w_ky_skip.d.next = self.tile_w_ky_skip.val();
            self.word.d.next = 0.into();
            self.kx.d.next = 0.into();
            self.ky.d.next = 0.into();
            self.offset.d.next = 0.into();
            self.kx_start.d.next = 0.into();
            self.ky_start.d.next = 0.into();
            self.weight.d.next = self.tile_w_base.val();
        }

        // Spacing of the tiles' ends, and tiles fed but not drained.
        if self.gap.q.val() != 0 {
            self.gap.d.next = self.gap.q.val() - 1;
        }
        if self.tile_end.val() {
            self.gap.d.next = self.gap_reload.val();
        }
        if self.tile_end.val() & !self.drained.val() {
            self.in_flight.d.next = self.in_flight.q.val() + 1;
        }
        if !self.tile_end.val() & self.drained.val() {
            self.in_flight.d.next = self.in_flight.q.val() - 1;
        }
        if self.clear.val() {
            self.running.d.next = false;
            self.gap.d.next = 0.into();
            self.in_flight.d.next = 0.into();
        }

        self.take.next = self.start.val();
        self.slot.next = self.my_slot.q.val();
        self.row.next = bit_cast::<4, 5>(self.phase.q.val());
        self.read.next = self.go.val() & (self.phase.q.val() < self.rows.val());
        self.operand.next = self.feed.val();
        self.op_first.next = self.first.q.val() & self.fresh.q.val();
        self.op_last.next = self.tile_end.val() & self.last.q.val();
        self.op_end.next = self.tile_end.val();
        self.weight_address.next = self.weight.q.val();
        self.stalled.next = self.stall.val();
        self.active.next = self.running.q.val();
        self.array_idle.next = !self.running.q.val() & (self.in_flight.q.val() == 0);
    }
}

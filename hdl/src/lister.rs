//! `koch_lister`.

use crate::prelude::*;
use spec::isa::{activation, form};

leaf! {
    /// The front of the compute engine: reads instructions and lists the pixels of one tile after the other, a pixel
    /// a cycle, into the tile table. A listed tile waits until the feeder takes it. By channel, a tile is of one row.
    Lister = "koch_lister" (clock), latency "One cycle for an instruction, one for a pixel.", for config;
    in {
        clear: Bit,
        halt: Bit,
        valid: Bit,
        opcode: Bits<4>,
        pop_prev: Bits<8>,
        pop_next: Bits<8>,
        push_prev: Bit,
        push_next: Bit,
        x_signed: Bit,
        x_zero: Bits<17>,
        y_zero: Bits<17>,
        y_min: Bits<17>,
        y_max: Bits<17>,
        ring: Bits<24>,
        quant_depth: Bit,
        quant_op: Bits<2>,
        last: Bit,
        n_ky: Bits<8>,
        n_kx: Bits<8>,
        ky_pitch: Bits<24>,
        kx_pitch: Bits<20>,
        words: Bits<12>,
        word_len: Bits<5>,
        longs: Bits<12>,
        w_base: Bits<20>,
        w_kx_skip: Bits<20>,
        w_ky_skip: Bits<20>,
        p_base: Bits<16>,
        chunks: Bits<8>,
        depth_phases: Bits<8>,
        depth_taps: Bits<8>,
        depth_longs: Bits<8>,
        depth_phase_pitch: Bits<20>,
        depth_w_base: Bits<20>,
        depth_p_base: Bits<16>,
        depth_chunks: Bits<8>,
        depth_stride: Bits<8>,
        depth_kx_step: Bits<8>,
        depth_pad: Bits<8>,
        depth_width: Bits<16>,
        chain: Bit,
        in_base: Bits<24>,
        in_x: Bits<20>,
        in_y: Bits<24>,
        out_base: Bits<24>,
        out_x: Bits<20>,
        out_y: Bits<24>,
        nx: Bits<16>,
        ny: Bits<16>,
        res_base: Bits<24>,
        res_x: Bits<20>,
        res_y: Bits<20>,
        load_tokens: Bits<16>,
        store_tokens: Bits<16>,
        /// Neither feeder nor drain has work.
        array_idle: Bit,
        /// The feeder takes the listed tile.
        take: Bit,
    }
    out {
        pop: Bit,
        /// The popped instruction takes its tokens.
        pop_tokens: Bit,
        /// The popped instruction is one of these.
        quant: Bit,
        post: Bit,
        table: Bit,
        conf_x_signed: Bit,
        conf_x_zero: Bits<17>,
        conf_y_zero: Bits<17>,
        conf_y_min: Bits<17>,
        conf_y_max: Bits<17>,
        conf_ring: Bits<24>,
        conf_depth: Bit,
        /// By channel: activations without weights, and the largest of them.
        conf_ones: Bit,
        conf_largest: Bit,
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
        tile_p_base: Bits<16>,
        tile_chunks: Bits<8>,
        tile_phase_pitch: Bits<20>,
        tile_stride: Bits<8>,
        tile_kx_step: Bits<8>,
        tile_width: Bits<16>,
        tile_in_x: Bits<20>,
        /// Column of the map of the first pixel's first tap, modulo 2^26.
        tile_column: Bits<26>,
        /// A tile is listed.
        tile_valid: Bit,
        tile_slot: Bits<2>,
        tile_rows: Bits<5>,
        tile_push_prev: Bit,
        tile_push_next: Bit,
        pixel_write: Bit,
        pixel_row: Bits<4>,
        pixel_in: Bits<24>,
        pixel_out: Bits<24>,
        pixel_second: Bits<24>,
        /// No instruction is there.
        empty: Bit,
        wait_load: Bit,
        wait_store: Bit,
        quiet: Bit,
    }
    reg {
        listing: Bit,
        full: Bit,
        /// The instruction at the head of the queue is the one of the last cycle, and its tokens were there; else which were not.
        served: Bit,
        short_load: Bit,
        short_store: Bit,
        slot: Bits<2>,
        filled: Bits<5>,
        rows_listed: Bits<5>,
        push_load: Bit,
        push_store: Bit,
        c_x_signed: Bit,
        c_x_zero: Bits<17>,
        c_y_zero: Bits<17>,
        c_y_min: Bits<17>,
        c_y_max: Bits<17>,
        c_ring: Bits<24>,
        c_depth: Bit,
        c_ones: Bit,
        c_largest: Bit,
        t_last: Bit,
        t_n_ky: Bits<8>,
        t_n_kx: Bits<8>,
        t_ky_pitch: Bits<24>,
        t_kx_pitch: Bits<20>,
        t_words: Bits<12>,
        t_word_len: Bits<8>,
        t_longs: Bits<12>,
        t_w_base: Bits<20>,
        t_w_kx_skip: Bits<20>,
        t_w_ky_skip: Bits<20>,
        t_p_base: Bits<16>,
        t_chunks: Bits<8>,
        t_phase_pitch: Bits<20>,
        t_stride: Bits<8>,
        t_kx_step: Bits<8>,
        t_pad: Bits<8>,
        t_width: Bits<16>,
        column: Bits<26>,
        first_column: Bits<26>,
        r_chain: Bit,
        r_push_prev: Bit,
        r_push_next: Bit,
        r_in_x: Bits<20>,
        r_in_y: Bits<24>,
        r_out_x: Bits<20>,
        r_out_y: Bits<24>,
        r_res_x: Bits<20>,
        r_res_y: Bits<20>,
        r_nx: Bits<16>,
        in_row: Bits<24>,
        in_at: Bits<24>,
        out_row: Bits<24>,
        out_at: Bits<24>,
        res_row: Bits<24>,
        res_at: Bits<24>,
        x_left: Bits<16>,
        y_left: Bits<16>,
    }
    wire {
        is_quant: Bit,
        is_taps: Bit,
        is_depth: Bit,
        is_rect: Bit,
        is_post: Bit,
        is_table: Bit,
        ready: Bit,
        can_take: Bit,
        no_load: Bit,
        no_store: Bit,
        go: Bit,
        step: Bit,
        row_over: Bit,
        over: Bit,
        tile_over: Bit,
        margin: Bits<26>,
        in_next_x: Bits<24>,
        in_next_row: Bits<24>,
        buffer: Bits<24>,
        in_less_x: Bits<25>,
        in_less_row: Bits<25>,
        in_wrap_x: Bits<24>,
        in_wrap_row: Bits<24>,
        out_next_x: Bits<24>,
        out_next_row: Bits<24>,
        out_buffer: Bits<24>,
        res_next_x: Bits<24>,
        res_next_row: Bits<24>,
        res_buffer: Bits<24>,
    }
    const {
        offset_mask: Bits<24> = u64::from(activation(1, 0) - 1),
        by_channel: Bit = config.by_channel,
        last_row: Bits<5> = u64::from(config.rows - 1),
        op_quant: Bits<4> = u64::from(form("quant").opcode),
        op_taps: Bits<4> = u64::from(form("taps").opcode),
        op_depth: Bits<4> = u64::from(form("depth").opcode),
        op_rect: Bits<4> = u64::from(form("rect").opcode),
        op_post: Bits<4> = u64::from(form("post").opcode),
        op_table: Bits<4> = u64::from(form("table").opcode),
    }
}

impl Logic for Lister {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            listing,
            full,
            served,
            short_load,
            short_store,
            slot,
            filled,
            rows_listed,
            push_load,
            push_store,
            c_x_signed,
            c_x_zero,
            c_y_zero,
            c_y_min,
            c_y_max,
            c_ring,
            c_depth,
            c_ones,
            c_largest,
            t_last,
            t_n_ky,
            t_n_kx,
            t_ky_pitch,
            t_kx_pitch,
            t_words,
            t_word_len,
            t_longs,
            t_w_base,
            t_w_kx_skip,
            t_w_ky_skip,
            t_p_base,
            t_chunks,
            t_phase_pitch,
            t_stride,
            t_kx_step,
            t_pad,
            t_width,
            column,
            first_column,
            r_chain,
            r_push_prev,
            r_push_next,
            r_in_x,
            r_in_y,
            r_out_x,
            r_out_y,
            r_res_x,
            r_res_y,
            r_nx,
            in_row,
            in_at,
            out_row,
            out_at,
            res_row,
            res_at,
            x_left,
            y_left
        );

        // Instructions.
        self.is_quant.next = self.opcode.val() == self.op_quant.val();
        self.is_taps.next = self.opcode.val() == self.op_taps.val();
        self.is_depth.next = self.opcode.val() == self.op_depth.val();
        self.is_rect.next = self.opcode.val() == self.op_rect.val();
        self.is_post.next = self.opcode.val() == self.op_post.val();
        self.is_table.next = self.opcode.val() == self.op_table.val();
        self.no_load.next =
            self.is_rect.val() & (self.load_tokens.val() < bit_cast::<16, 8>(self.pop_prev.val()));
        self.no_store.next =
            self.is_rect.val() & (self.store_tokens.val() < bit_cast::<16, 8>(self.pop_next.val()));
        self.ready.next = !self.listing.q.val() & !self.full.q.val();
        self.can_take.next = self.ready.val() & self.valid.val() & !self.halt.val();
        self.go.next = self.can_take.val()
            & (self.served.q.val() | !self.is_rect.val())
            & (self.array_idle.val() | !(self.is_quant.val() | self.is_post.val() | self.is_table.val()));
        self.served.d.next = self.valid.val() & !self.no_load.val() & !self.no_store.val() & !self.go.val();
        self.pop.next = self.go.val();
        self.pop_tokens.next = self.go.val() & self.is_rect.val();
        self.quant.next = self.go.val() & self.is_quant.val();
        self.post.next = self.go.val() & self.is_post.val();
        self.table.next = self.go.val() & self.is_table.val();
        self.short_load.d.next = self.valid.val() & self.no_load.val() & !self.go.val();
        self.short_store.d.next =
            self.valid.val() & !self.no_load.val() & self.no_store.val() & !self.go.val();
        if self.can_take.val() & self.array_idle.val() & self.is_quant.val() {
            self.c_x_signed.d.next = self.x_signed.val();
            self.c_x_zero.d.next = self.x_zero.val();
            self.c_y_zero.d.next = self.y_zero.val();
            self.c_y_min.d.next = self.y_min.val();
            self.c_y_max.d.next = self.y_max.val();
            self.c_ring.d.next = self.ring.val();
            self.c_depth.d.next = self.by_channel.val() & self.quant_depth.val();
            self.c_ones.d.next = self.by_channel.val() & self.quant_depth.val() & (self.quant_op.val() != 0);
            self.c_largest.d.next =
                self.by_channel.val() & self.quant_depth.val() & (self.quant_op.val() == 2);
        }
        if self.can_take.val() & self.is_taps.val() {
            self.t_last.d.next = self.last.val();
            self.t_n_ky.d.next = self.n_ky.val();
            self.t_n_kx.d.next = self.n_kx.val();
            self.t_ky_pitch.d.next = self.ky_pitch.val();
            self.t_kx_pitch.d.next = self.kx_pitch.val();
            self.t_words.d.next = self.words.val();
            self.t_word_len.d.next = bit_cast::<8, 5>(self.word_len.val());
            self.t_longs.d.next = self.longs.val();
            self.t_w_base.d.next = self.w_base.val();
            self.t_w_kx_skip.d.next = self.w_kx_skip.val();
            self.t_w_ky_skip.d.next = self.w_ky_skip.val();
            self.t_p_base.d.next = self.p_base.val();
            self.t_chunks.d.next = self.chunks.val();
        }
        // Phases are what words are over channels.
        if self.can_take.val() & self.is_depth.val() & self.by_channel.val() {
            self.t_last.d.next = true;
            self.t_n_ky.d.next = self.n_ky.val();
            self.t_n_kx.d.next = self.n_kx.val();
            self.t_ky_pitch.d.next = self.ky_pitch.val();
            self.t_kx_pitch.d.next = self.kx_pitch.val();
            self.t_words.d.next = bit_cast::<12, 8>(self.depth_phases.val());
            self.t_word_len.d.next = self.depth_taps.val();
            self.t_longs.d.next = bit_cast::<12, 8>(self.depth_longs.val());
            self.t_phase_pitch.d.next = self.depth_phase_pitch.val();
            self.t_w_base.d.next = self.depth_w_base.val();
            self.t_w_kx_skip.d.next = 0.into();
            self.t_w_ky_skip.d.next = 0.into();
            self.t_p_base.d.next = self.depth_p_base.val();
            self.t_chunks.d.next = self.depth_chunks.val();
            self.t_stride.d.next = self.depth_stride.val();
            self.t_kx_step.d.next = self.depth_kx_step.val();
            self.t_pad.d.next = self.depth_pad.val();
            self.t_width.d.next = self.depth_width.val();
        }
        self.margin.next = bits::<26>(0) - bit_cast::<26, 8>(self.t_pad.q.val());
        if self.go.val() & self.is_rect.val() {
            self.listing.d.next = true;
        }
        // A rectangle's fields may be taken before it is.
        if self.ready.val() & self.is_rect.val() {
            self.column.d.next = self.margin.val();
            self.r_chain.d.next = self.chain.val();
            self.r_push_prev.d.next = self.push_prev.val();
            self.r_push_next.d.next = self.push_next.val();
            self.r_in_x.d.next = self.in_x.val();
            self.r_in_y.d.next = self.in_y.val();
            self.r_out_x.d.next = self.out_x.val();
            self.r_out_y.d.next = self.out_y.val();
            self.r_res_x.d.next = self.res_x.val();
            self.r_res_y.d.next = self.res_y.val();
            self.r_nx.d.next = self.nx.val();
            self.in_row.d.next = self.in_base.val();
            self.in_at.d.next = self.in_base.val();
            self.out_row.d.next = self.out_base.val();
            self.out_at.d.next = self.out_base.val();
            self.res_row.d.next = self.res_base.val();
            self.res_at.d.next = self.res_base.val();
            self.x_left.d.next = self.nx.val();
            self.y_left.d.next = self.ny.val();
        }

        // Pixels.
        self.buffer.next = self.in_row.q.val() & !self.offset_mask.val();
        self.in_next_x.next =
            (self.in_at.q.val() + bit_cast::<24, 20>(self.r_in_x.q.val())) & self.offset_mask.val();
        self.in_wrap_x.next = self.buffer.val() | self.in_next_x.val();
        self.in_less_x.next =
            bit_cast::<25, 24>(self.in_next_x.val()) - bit_cast::<25, 24>(self.c_ring.q.val());
        if !self.in_less_x.val().get_bit(24) {
            self.in_wrap_x.next = self.buffer.val() | self.in_less_x.val().get_bits::<24>(0);
        }
        self.in_next_row.next = (self.in_row.q.val() + self.r_in_y.q.val()) & self.offset_mask.val();
        self.in_wrap_row.next = self.buffer.val() | self.in_next_row.val();
        self.in_less_row.next =
            bit_cast::<25, 24>(self.in_next_row.val()) - bit_cast::<25, 24>(self.c_ring.q.val());
        if !self.in_less_row.val().get_bit(24) {
            self.in_wrap_row.next = self.buffer.val() | self.in_less_row.val().get_bits::<24>(0);
        }
        self.out_next_x.next = self.out_at.q.val() + bit_cast::<24, 20>(self.r_out_x.q.val());
        self.out_next_row.next = self.out_row.q.val() + self.r_out_y.q.val();
        self.res_next_x.next = self.res_at.q.val() + bit_cast::<24, 20>(self.r_res_x.q.val());
        self.res_next_row.next = self.res_row.q.val() + bit_cast::<24, 20>(self.r_res_y.q.val());
        self.out_buffer.next = self.out_row.q.val() & !self.offset_mask.val();
        self.res_buffer.next = self.res_row.q.val() & !self.offset_mask.val();
        self.step.next = self.listing.q.val() & !self.full.q.val() & !self.halt.val();
        self.row_over.next = self.x_left.q.val() == 1;
        self.over.next = self.row_over.val() & (self.y_left.q.val() == 1);
        self.tile_over.next = (self.filled.q.val() == self.last_row.val())
            | (self.over.val() & !self.r_chain.q.val())
            | (self.row_over.val() & self.c_depth.q.val());
        if self.step.val() {
            if self.filled.q.val() == 0 {
                self.first_column.d.next = self.column.q.val();
            }
            self.column.d.next = self.column.q.val() + bit_cast::<26, 8>(self.t_stride.q.val());
            self.filled.d.next = self.filled.q.val() + 1;
            self.x_left.d.next = self.x_left.q.val() - 1;
            self.in_at.d.next = self.in_wrap_x.val();
            self.out_at.d.next = self.out_buffer.val() | (self.out_next_x.val() & self.offset_mask.val());
            self.res_at.d.next = self.res_buffer.val() | (self.res_next_x.val() & self.offset_mask.val());
            if self.row_over.val() {
                self.column.d.next = self.margin.val();
                self.x_left.d.next = self.r_nx.q.val();
                self.y_left.d.next = self.y_left.q.val() - 1;
                self.in_row.d.next = self.in_wrap_row.val();
                self.in_at.d.next = self.in_wrap_row.val();
                self.out_row.d.next =
                    self.out_buffer.val() | (self.out_next_row.val() & self.offset_mask.val());
                self.out_at.d.next =
                    self.out_buffer.val() | (self.out_next_row.val() & self.offset_mask.val());
                self.res_row.d.next =
                    self.res_buffer.val() | (self.res_next_row.val() & self.offset_mask.val());
                self.res_at.d.next =
                    self.res_buffer.val() | (self.res_next_row.val() & self.offset_mask.val());
            }
            if self.over.val() {
                self.listing.d.next = false;
                self.push_load.d.next = self.push_load.q.val() | self.r_push_prev.q.val();
                self.push_store.d.next = self.push_store.q.val() | self.r_push_next.q.val();
            }
            if self.tile_over.val() {
                self.full.d.next = true;
                self.rows_listed.d.next = self.filled.q.val() + 1;
                self.filled.d.next = 0.into();
            }
        }
        if self.take.val() {
            self.full.d.next = false;
            self.slot.d.next = self.slot.q.val() + 1;
            self.push_load.d.next = false;
            self.push_store.d.next = false;
        }
        if self.clear.val() {
            self.listing.d.next = false;
            self.full.d.next = false;
            self.served.d.next = false;
            self.short_load.d.next = false;
            self.short_store.d.next = false;
            self.slot.d.next = 0.into();
            self.filled.d.next = 0.into();
            self.push_load.d.next = false;
            self.push_store.d.next = false;
        }

        self.conf_x_signed.next = self.c_x_signed.q.val();
        self.conf_x_zero.next = self.c_x_zero.q.val();
        self.conf_y_zero.next = self.c_y_zero.q.val();
        self.conf_y_min.next = self.c_y_min.q.val();
        self.conf_y_max.next = self.c_y_max.q.val();
        self.conf_ring.next = self.c_ring.q.val();
        self.conf_depth.next = self.c_depth.q.val();
        self.conf_ones.next = self.c_ones.q.val();
        self.conf_largest.next = self.c_largest.q.val();
        self.tile_last.next = self.t_last.q.val();
        self.tile_n_ky.next = self.t_n_ky.q.val();
        self.tile_n_kx.next = self.t_n_kx.q.val();
        self.tile_ky_pitch.next = self.t_ky_pitch.q.val();
        self.tile_kx_pitch.next = self.t_kx_pitch.q.val();
        self.tile_words.next = self.t_words.q.val();
        self.tile_word_len.next = self.t_word_len.q.val();
        self.tile_longs.next = self.t_longs.q.val();
        self.tile_w_base.next = self.t_w_base.q.val();
        self.tile_w_kx_skip.next = self.t_w_kx_skip.q.val();
        self.tile_w_ky_skip.next = self.t_w_ky_skip.q.val();
        self.tile_p_base.next = self.t_p_base.q.val();
        self.tile_chunks.next = self.t_chunks.q.val();
        self.tile_phase_pitch.next = self.t_phase_pitch.q.val();
        self.tile_stride.next = self.t_stride.q.val();
        self.tile_kx_step.next = self.t_kx_step.q.val();
        self.tile_width.next = self.t_width.q.val();
        self.tile_in_x.next = self.r_in_x.q.val();
        self.tile_column.next = self.first_column.q.val();
        self.tile_valid.next = self.full.q.val();
        self.tile_slot.next = self.slot.q.val();
        self.tile_rows.next = self.rows_listed.q.val();
        self.tile_push_prev.next = self.push_load.q.val();
        self.tile_push_next.next = self.push_store.q.val();
        self.pixel_write.next = self.step.val();
        self.pixel_row.next = bit_cast::<4, 5>(self.filled.q.val());
        self.pixel_in.next = self.in_at.q.val();
        self.pixel_out.next = self.out_at.q.val();
        self.pixel_second.next = self.res_at.q.val();
        self.empty.next = self.ready.val() & !self.valid.val();
        self.wait_load.next = self.ready.val() & self.short_load.q.val();
        self.wait_store.next = self.ready.val() & self.short_store.q.val();
        self.quiet.next = self.ready.val() & (!self.valid.val() | self.no_load.val() | self.no_store.val());
    }
}

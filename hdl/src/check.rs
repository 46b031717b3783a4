//! `koch_check`.

use crate::prelude::*;
use spec::isa::form;
use spec::{Status, config::WORD};

leaf! {
    /// Looks for fields that an instruction cannot have: counts of zero, addresses in no buffer, and addresses and
    /// lengths that are no multiple of the operand. Ports are named after the instruction and the field.
    Check = "koch_check" (), latency "Combinational.", for config;
    in {
        opcode: Bits<4>,
        load_buffer: Bits<2>,
        load_src: Bits<32>,
        load_run_bytes: Bits<24>,
        load_runs: Bits<16>,
        load_run_pitch: Bits<24>,
        load_dst: Bits<24>,
        load_row_bytes: Bits<20>,
        taps_n_ky: Bits<8>,
        taps_n_kx: Bits<8>,
        taps_words: Bits<12>,
        taps_word_len: Bits<5>,
        taps_longs: Bits<12>,
        taps_chunks: Bits<8>,
        quant_depth: Bit,
        quant_op: Bits<2>,
        depth_n_ky: Bits<8>,
        depth_n_kx: Bits<8>,
        depth_phases: Bits<8>,
        depth_taps: Bits<8>,
        depth_longs: Bits<8>,
        depth_chunks: Bits<8>,
        depth_stride: Bits<8>,
        depth_width: Bits<16>,
        post_op: Bits<2>,
        post_table: Bit,
        post_a_scale: Bits<32>,
        post_b_scale: Bits<32>,
        post_offset: Bits<32>,
        rect_push_prev: Bit,
        rect_push_next: Bit,
        rect_chain: Bit,
        rect_in_base: Bits<24>,
        rect_out_base: Bits<24>,
        rect_res_base: Bits<24>,
        rect_nx: Bits<16>,
        rect_ny: Bits<16>,
        store_src: Bits<24>,
        store_seg_bytes: Bits<20>,
        store_dst: Bits<32>,
        store_run_bytes: Bits<24>,
        store_runs: Bits<16>,
        store_run_pitch: Bits<24>,
    }
    out {
        fault: Bits<4>,
    }
    reg {}
    wire {
        bad: Bit,
        odd: Bits<32>,
        nowhere: Bit,
        a_exponent: Bits<9>,
        b_exponent: Bits<9>,
        offset_exponent: Bits<8>,
        bad_a_scale: Bit,
        bad_b_scale: Bit,
        bad_offset: Bit,
    }
    const {
        odd_mask: Bits<32> = u64::from(config.operand_bytes() - 1),
        chunks: Bits<8> = u64::from(config.chunks()),
        depth_chunks_most: Bits<8> = u64::from(config.depth_channels() / config.lanes),
        word: Bits<5> = u64::from(WORD),
        op_load: Bits<4> = u64::from(form("load").opcode),
        op_taps: Bits<4> = u64::from(form("taps").opcode),
        op_quant: Bits<4> = u64::from(form("quant").opcode),
        op_depth: Bits<4> = u64::from(form("depth").opcode),
        op_rect: Bits<4> = u64::from(form("rect").opcode),
        op_post: Bits<4> = u64::from(form("post").opcode),
        has_post: Bit = config.post,
        by_channel: Bit = config.by_channel,
        op_store: Bits<4> = u64::from(form("store").opcode),
        bad_field: Bits<4> = Status::BadField as u64,
        misaligned: Bits<4> = Status::Misaligned as u64,
    }
}

impl Logic for Check {
    #[hdl_gen]
    fn update(&mut self) {
        // Exponents of 2^-64 and 2^63.
        self.a_exponent.next = self.post_a_scale.val().get_bits::<9>(23);
        self.bad_a_scale.next = (self.a_exponent.val() < 63) | (self.a_exponent.val() > 190);
        self.b_exponent.next = self.post_b_scale.val().get_bits::<9>(23);
        self.bad_b_scale.next = (self.b_exponent.val() < 63) | (self.b_exponent.val() > 190);
        self.offset_exponent.next = self.post_offset.val().get_bits::<8>(23);
        self.bad_offset.next = self.post_offset.val().any()
            & ((self.offset_exponent.val() < 63) | (self.offset_exponent.val() > 190));
        self.bad.next = false;
        self.odd.next = 0.into();
        // The upper two bits of an activation address are a buffer's number, which is not 3.
        self.nowhere.next = false;
        if self.opcode.val() == self.op_load.val() {
            self.nowhere.next = (self.load_buffer.val() == 0) & self.load_dst.val().get_bits::<2>(22).all();
            self.bad.next = (self.load_buffer.val() == 3)
                | ((self.load_runs.val() != 0)
                    & ((self.load_run_bytes.val() == 0) | (self.load_row_bytes.val() == 0)));
            self.odd.next = self.load_src.val()
                | bit_cast::<32, 24>(self.load_run_bytes.val())
                | bit_cast::<32, 24>(self.load_run_pitch.val())
                | bit_cast::<32, 24>(self.load_dst.val())
                | bit_cast::<32, 20>(self.load_row_bytes.val());
        } else if self.opcode.val() == self.op_taps.val() {
            self.bad.next = (self.taps_n_ky.val() == 0)
                | (self.taps_n_kx.val() == 0)
                | (self.taps_words.val() == 0)
                | (self.taps_word_len.val() == 0)
                | (self.taps_word_len.val() > self.word.val())
                | (self.taps_longs.val() == 0)
                | (self.taps_longs.val() > self.taps_words.val())
                | ((self.taps_word_len.val() == 1) & (self.taps_longs.val() != self.taps_words.val()))
                | (self.taps_chunks.val() == 0)
                | (self.taps_chunks.val() > self.chunks.val());
        } else if self.opcode.val() == self.op_quant.val() {
            self.bad.next = (self.quant_op.val() == 3) | (self.quant_depth.val() & !self.by_channel.val());
        } else if self.opcode.val() == self.op_depth.val() {
            self.bad.next = (self.depth_n_ky.val() == 0)
                | (self.depth_n_kx.val() == 0)
                | (self.depth_phases.val() == 0)
                | (self.depth_taps.val() == 0)
                | (self.depth_longs.val() == 0)
                | (self.depth_longs.val() > self.depth_phases.val())
                | ((self.depth_taps.val() == 1) & (self.depth_longs.val() != self.depth_phases.val()))
                | (self.depth_chunks.val() == 0)
                | (self.depth_chunks.val() > self.depth_chunks_most.val())
                | (self.depth_stride.val() == 0)
                | (self.depth_width.val() == 0);
        } else if self.opcode.val() == self.op_post.val() {
            self.bad.next = (self.post_op.val() == 3)
                | (!self.has_post.val() & ((self.post_op.val() != 0) | self.post_table.val()))
                | ((self.post_op.val() != 0) & (self.bad_a_scale.val() | self.bad_offset.val()))
                | ((self.post_op.val() == 1) & self.bad_b_scale.val());
        } else if self.opcode.val() == self.op_rect.val() {
            self.nowhere.next = self.rect_in_base.val().get_bits::<2>(22).all()
                | self.rect_out_base.val().get_bits::<2>(22).all()
                | self.rect_res_base.val().get_bits::<2>(22).all();
            self.bad.next = (self.rect_nx.val() == 0)
                | (self.rect_ny.val() == 0)
                | (self.rect_chain.val() & (self.rect_push_prev.val() | self.rect_push_next.val()));
            self.odd.next = bit_cast::<32, 24>(self.rect_in_base.val() | self.rect_out_base.val());
        } else if self.opcode.val() == self.op_store.val() {
            self.nowhere.next = self.store_src.val().get_bits::<2>(22).all();
            self.bad.next = (self.store_seg_bytes.val() == 0)
                | (self.store_run_bytes.val() == 0)
                | (self.store_runs.val() == 0);
            self.odd.next = self.store_dst.val()
                | bit_cast::<32, 24>(self.store_src.val())
                | bit_cast::<32, 20>(self.store_seg_bytes.val())
                | bit_cast::<32, 24>(self.store_run_bytes.val())
                | bit_cast::<32, 24>(self.store_run_pitch.val());
        }
        self.fault.next = 0.into();
        if self.bad.val() | self.nowhere.val() {
            self.fault.next = self.bad_field.val();
        } else if (self.odd.val() & self.odd_mask.val()) != 0 {
            self.fault.next = self.misaligned.val();
        }
    }
}

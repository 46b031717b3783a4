//! `koch_fetch`.

use crate::prelude::*;
use spec::isa::{INSTRUCTION_BYTES, form};
use spec::{Status, timing};

/// Instructions that the fetch buffer holds.
pub const BUFFER: u32 = 16;

leaf! {
    /// Instruction fetch: reads the program in batches into a buffer and dispatches it, in order, to the queues.
    Fetch = "koch_fetch" (clock), latency "An instruction can be dispatched two cycles after its last byte arrives.", for config;
    in {
        clear: Bit,
        busy: Bit,
        halt: Bit,
        program: Bits<32>,
        instructions: Bits<32>,
        request_ready: Bit,
        /// A beat of the program passes.
        beat: Bit,
        opcode: Bits<4>,
        /// Of a `quant` at the head of the buffer.
        quant_depth: Bit,
        /// What is wrong with the instruction at the head of the buffer.
        fault: Bits<4>,
        load_full: Bit,
        compute_full: Bit,
        store_full: Bit,
    }
    out {
        request_valid: Bit,
        request_address: Bits<32>,
        request_beats: Bits<8>,
        /// Where in the buffer the next beat goes.
        write_index: Bits<8>,
        /// Take the next instruction out of the buffer, and where it is.
        read: Bit,
        read_index: Bits<4>,
        load_push: Bit,
        compute_push: Bit,
        store_push: Bit,
        /// The end of the program has been dispatched.
        ended: Bit,
        /// Nothing can happen here unless a queue is popped.
        quiet: Bit,
        /// In the last cycle the instruction at the head, or that there was none, was an error, and which.
        refused: Bit,
        status: Bits<4>,
    }
    reg {
        /// Of the last cycle: what check said of the instruction, and what else could be wrong.
        said: Bits<4>,
        faulty: Bit,
        went: Bit,
        wrong: Bit,
        was_unready: Bit,
        was_unknown: Bit,
        was_truncated: Bit,
        was_astray: Bit,
        /// What is to be asked for: from where, how many instructions, and whether there are any.
        next: Bits<32>,
        left: Bits<32>,
        more: Bit,
        /// It is one batch, or less.
        last: Bit,
        /// Instructions asked for and not dispatched.
        held: Bits<5>,
        /// Bytes that have arrived and instructions that were taken out, modulo twice the buffer.
        arrived: Bits<10>,
        place: Bits<5>,
        /// One is out and not dispatched.
        out: Bit,
        index: Bits<8>,
        end: Bit,
        /// What was dispatched: a `quant`, whether the last one says by channel, a reduction, whether the last one is.
        quant: Bit,
        depth: Bit,
        reduction: Bit,
        by_channel: Bit,
    }
    wire {
        count: Bits<8>,
        granted: Bit,
        active: Bit,
        head: Bit,
        truncated: Bit,
        is_load: Bit,
        is_compute: Bit,
        is_store: Bit,
        is_end: Bit,
        unready: Bit,
        unknown: Bit,
        astray: Bit,
        full: Bit,
        go: Bit,
    }
    const {
        bus_bytes: Bits<10> = u64::from(config.bus_bytes()),
        bus_mask: Bits<13> = u64::from(config.bus_bytes() - 1),
        bus_shift: Bits<3> = u64::from(config.bus_bytes().trailing_zeros()),
        index_mask: Bits<8> = u64::from(BUFFER * INSTRUCTION_BYTES as u32 / config.bus_bytes() - 1),
        batch: Bits<8> = u64::from(timing::fetch_batch(config)),
        room: Bits<5> = u64::from(BUFFER - timing::fetch_batch(config)),
        op_load: Bits<4> = u64::from(form("load").opcode),
        op_quant: Bits<4> = u64::from(form("quant").opcode),
        op_taps: Bits<4> = u64::from(form("taps").opcode),
        op_depth: Bits<4> = u64::from(form("depth").opcode),
        op_rect: Bits<4> = u64::from(form("rect").opcode),
        op_post: Bits<4> = u64::from(form("post").opcode),
        op_table: Bits<4> = u64::from(form("table").opcode),
        op_store: Bits<4> = u64::from(form("store").opcode),
        op_end: Bits<4> = u64::from(form("end").opcode),
        bad_field: Bits<4> = Status::BadField as u64,
        illegal: Bits<4> = Status::IllegalInstruction as u64,
        misaligned: Bits<4> = Status::Misaligned as u64,
        missing_end: Bits<4> = Status::Truncated as u64,
    }
}

impl Logic for Fetch {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            said,
            faulty,
            went,
            wrong,
            was_unready,
            was_unknown,
            was_truncated,
            was_astray,
            next,
            left,
            more,
            last,
            held,
            arrived,
            place,
            out,
            index,
            end,
            quant,
            depth,
            reduction,
            by_channel
        );

        self.active.next = self.busy.val() & !self.halt.val() & !self.end.q.val();

        // Requests: a batch at a time, when the buffer has room for it.
        self.count.next = self.batch.val();
        if self.last.q.val() {
            self.count.next = self.left.q.val().get_bits::<8>(0);
        }
        self.request_valid.next = self.active.val()
            & self.more.q.val()
            & (self.program.val().get_bits::<8>(0) == 0)
            & (self.held.q.val() <= self.room.val());
        self.request_address.next = self.next.q.val();
        self.request_beats.next = (((bit_cast::<13, 8>(self.count.val()) << 5) + self.bus_mask.val())
            >> self.bus_shift.val())
        .get_bits::<8>(0);
        self.granted.next = self.request_valid.val() & self.request_ready.val();
        if self.granted.val() {
            self.next.d.next = self.next.q.val() + (bit_cast::<32, 8>(self.batch.val()) << 5);
            self.left.d.next = self.left.q.val() - bit_cast::<32, 8>(self.batch.val());
            self.more.d.next = !self.last.q.val();
            self.last.d.next = self.left.q.val() <= (bit_cast::<32, 8>(self.batch.val()) << 1);
        }
        if self.beat.val() {
            self.arrived.d.next = self.arrived.q.val() + self.bus_bytes.val();
            self.index.d.next = (self.index.q.val() + 1) & self.index_mask.val();
        }

        // Dispatch.
        self.is_load.next = self.opcode.val() == self.op_load.val();
        self.is_compute.next = (self.opcode.val() == self.op_quant.val())
            | (self.opcode.val() == self.op_taps.val())
            | (self.opcode.val() == self.op_depth.val())
            | (self.opcode.val() == self.op_rect.val())
            | (self.opcode.val() == self.op_post.val())
            | (self.opcode.val() == self.op_table.val());
        self.is_store.next = self.opcode.val() == self.op_store.val();
        self.is_end.next = self.opcode.val() == self.op_end.val();
        self.full.next = (self.is_load.val() & self.load_full.val())
            | (self.is_compute.val() & self.compute_full.val())
            | (self.is_store.val() & self.store_full.val());
        self.truncated.next = self.active.val() & !self.more.q.val() & (self.held.q.val() == 0);
        self.head.next = self.active.val() & self.out.q.val();
        self.go.next = self.head.val() & !self.full.val();
        self.load_push.next = self.go.val() & self.is_load.val();
        self.compute_push.next = self.go.val() & self.is_compute.val();
        self.store_push.next = self.go.val() & self.is_store.val();
        if self.granted.val() {
            self.held.d.next = self.held.q.val() + self.count.val().get_bits::<5>(0);
        }
        self.read.next = (self.arrived.q.val().get_bits::<5>(5) != self.place.q.val())
            & (self.go.val() | !self.out.q.val());
        if self.go.val() {
            self.out.d.next = false;
        }
        if (self.arrived.q.val().get_bits::<5>(5) != self.place.q.val()) & (self.go.val() | !self.out.q.val())
        {
            self.out.d.next = true;
            self.place.d.next = self.place.q.val() + 1;
        }
        if self.go.val() {
            self.held.d.next = self.held.q.val() - 1;
            if self.granted.val() {
                self.held.d.next = self.held.q.val() + (self.count.val().get_bits::<5>(0) - 1);
            }
            if self.is_end.val() {
                self.end.d.next = true;
            }
            if self.opcode.val() == self.op_quant.val() {
                self.quant.d.next = true;
                self.depth.d.next = self.quant_depth.val();
            }
            if self.opcode.val() == self.op_taps.val() {
                self.reduction.d.next = true;
                self.by_channel.d.next = false;
            }
            if self.opcode.val() == self.op_depth.val() {
                self.reduction.d.next = true;
                self.by_channel.d.next = true;
            }
        }
        // A rectangle wants a format, and a reduction of the kind that it says.
        self.unready.next = (self.opcode.val() == self.op_rect.val())
            & (!self.quant.q.val()
                | !self.reduction.q.val()
                | (self.depth.q.val() != self.by_channel.q.val()));

        self.unknown.next =
            !(self.is_load.val() | self.is_compute.val() | self.is_store.val() | self.is_end.val());
        self.astray.next = self.active.val() & (self.program.val().get_bits::<8>(0) != 0);
        self.said.d.next = self.fault.val();
        self.faulty.d.next = self.fault.val() != 0;
        self.went.d.next = self.go.val();
        self.wrong.d.next = self.astray.val()
            | self.truncated.val()
            | (self.go.val() & (self.unknown.val() | self.unready.val()));
        self.was_unready.d.next = self.unready.val();
        self.was_unknown.d.next = self.unknown.val();
        self.was_truncated.d.next = self.truncated.val();
        self.was_astray.d.next = self.astray.val();
        self.refused.next = self.wrong.q.val() | (self.went.q.val() & self.faulty.q.val());
        self.status.next = self.said.q.val();
        if self.was_unready.q.val() {
            self.status.next = self.bad_field.val();
        }
        if self.was_unknown.q.val() {
            self.status.next = self.illegal.val();
        }
        if self.was_truncated.q.val() {
            self.status.next = self.missing_end.val();
        }
        if self.was_astray.q.val() {
            self.status.next = self.misaligned.val();
        }

        if self.clear.val() {
            self.next.d.next = self.program.val();
            self.left.d.next = self.instructions.val();
            self.more.d.next = self.instructions.val() != 0;
            self.last.d.next = self.instructions.val() <= bit_cast::<32, 8>(self.batch.val());
            self.held.d.next = 0.into();
            self.arrived.d.next = 0.into();
            self.place.d.next = 0.into();
            self.out.d.next = false;
            self.index.d.next = 0.into();
            self.end.d.next = false;
            self.quant.d.next = false;
            self.reduction.d.next = false;
        }
        self.write_index.next = self.index.q.val();
        self.read_index.next = self.place.q.val().get_bits::<4>(0);
        self.ended.next = self.end.q.val();
        // A request may be granted in this very cycle.
        self.quiet.next = self.end.q.val() | (self.head.val() & self.full.val() & !self.request_valid.val());
    }
}

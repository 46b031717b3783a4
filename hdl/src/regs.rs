//! `koch_regs`.

use crate::prelude::*;
use spec::regs::{COUNTERS_OFFSET, Counters, ID, LIMIT_RESET, REGISTERS};

/// Byte offset of a register.
fn offset(name: &str) -> u64 {
    REGISTERS.iter().find(|r| r.name == name).map_or(0, |r| u64::from(r.offset))
}

fn shape(config: &spec::Config) -> u64 {
    u64::from(config.rows | config.cols << 8 | config.lanes << 16 | config.operand_bits << 24)
}

fn hash(config: &spec::Config) -> u64 {
    u64::from_str_radix(&config.hash()[..8], 16).unwrap_or(0)
}

leaf! {
    /// AXI4-Lite slave: control, status, program, limit and the counters. A write needs address and data together; one
    /// read and one write at a time. What describes a run is not written while busy.
    Regs = "koch_regs" (clock), latency "A write is answered in the next cycle, a read three cycles later.", for config;
    in {
        awvalid: Bit,
        awaddr: Bits<8>,
        wvalid: Bit,
        wdata: Bits<32>,
        bready: Bit,
        arvalid: Bit,
        araddr: Bits<8>,
        rready: Bit,
        busy: Bit,
        done: Bit,
        status: Bits<4>,
        /// The counter of that index.
        counter: Bits<48>,
        layer: Bits<16>,
    }
    out {
        awready: Bit,
        wready: Bit,
        bvalid: Bit,
        arready: Bit,
        rvalid: Bit,
        rdata: Bits<32>,
        counter_index: Bits<4>,
        start: Bit,
        acknowledge: Bit,
        interrupt: Bit,
        program: Bits<32>,
        instructions: Bits<32>,
        limit: Bits<32>,
    }
    reg {
        written: Bit,
        /// The address of a read that is to be answered.
        asked: Bit,
        address: Bits<8>,
        answered: Bit,
        answer: Bits<32>,
        /// In the cycle after asking: whether it is for a counter, that counter's half, and what else it may be for.
        counts: Bit,
        half: Bits<32>,
        other: Bits<32>,
        looked: Bit,
        enable: Bit,
        base: Bits<32>,
        length: Bits<32>,
        /// The complement of the limit, whose reset value is not 0.
        unlimited: Bits<32>,
    }
    wire {
        write: Bit,
        read: Bit,
    }
    const {
        at_id: Bits<8> = offset("id"),
        at_shape: Bits<8> = offset("shape"),
        at_hash: Bits<8> = offset("config_hash"),
        at_control: Bits<8> = offset("control"),
        at_status: Bits<8> = offset("status"),
        at_interrupt: Bits<8> = offset("interrupt"),
        at_program: Bits<8> = offset("program"),
        at_instructions: Bits<8> = offset("instructions"),
        at_layer: Bits<8> = offset("layer"),
        at_limit: Bits<8> = offset("limit"),
        ones: Bits<32> = u64::from(LIMIT_RESET),
        at_counters: Bits<8> = u64::from(COUNTERS_OFFSET),
        after_counters: Bits<8> = u64::from(COUNTERS_OFFSET) + 8 * Counters::ALL.len() as u64,
        id: Bits<32> = u64::from(ID),
        shape: Bits<32> = shape(config),
        config_hash: Bits<32> = hash(config),
    }
}

impl Logic for Regs {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self, clock, written, asked, address, answered, answer, counts, half, other, looked, enable,
            base, length, unlimited
        );

        self.write.next = self.awvalid.val() & self.wvalid.val() & !self.written.q.val();
        self.awready.next = self.write.val();
        self.wready.next = self.write.val();
        self.start.next = false;
        self.acknowledge.next = false;
        if self.bready.val() {
            self.written.d.next = false;
        }
        if self.write.val() {
            self.written.d.next = true;
            if self.awaddr.val() == self.at_control.val() {
                self.start.next = self.wdata.val().get_bit(0);
            } else if self.awaddr.val() == self.at_interrupt.val() {
                self.enable.d.next = self.wdata.val().get_bit(0);
                self.acknowledge.next = self.wdata.val().get_bit(1);
            }
            if !self.busy.val() {
                if self.awaddr.val() == self.at_program.val() {
                    self.base.d.next = self.wdata.val();
                } else if self.awaddr.val() == self.at_instructions.val() {
                    self.length.d.next = self.wdata.val();
                } else if self.awaddr.val() == self.at_limit.val() {
                    self.unlimited.d.next = self.wdata.val() ^ self.ones.val();
                }
            }
        }

        self.read.next =
            self.arvalid.val() & !self.asked.q.val() & !self.looked.q.val() & !self.answered.q.val();
        self.arready.next = self.read.val();
        self.asked.d.next = self.read.val();
        if self.read.val() {
            self.address.d.next = self.araddr.val();
        }
        self.counter_index.next = bit_cast::<4, 8>((self.address.q.val() - self.at_counters.val()) >> 3);
        if self.rready.val() {
            self.answered.d.next = false;
        }
        self.looked.d.next = self.asked.q.val();
        self.counts.d.next = (self.address.q.val() >= self.at_counters.val())
            & (self.address.q.val() < self.after_counters.val());
        self.half.d.next = bit_cast::<32, 48>(self.counter.val());
        if self.address.q.val().get_bit(2) {
            self.half.d.next = bit_cast::<32, 48>(self.counter.val() >> 32);
        }
        self.other.d.next = 0.into();
        if self.address.q.val() == self.at_id.val() {
            self.other.d.next = self.id.val();
        } else if self.address.q.val() == self.at_shape.val() {
            self.other.d.next = self.shape.val();
        } else if self.address.q.val() == self.at_hash.val() {
            self.other.d.next = self.config_hash.val();
        } else if self.address.q.val() == self.at_status.val() {
            self.other.d.next = (bit_cast::<32, 4>(self.status.val()) << 8)
                | (bits_of_bool::<32>(self.done.val()) << 1)
                | bits_of_bool::<32>(self.busy.val());
        } else if self.address.q.val() == self.at_interrupt.val() {
            self.other.d.next = bits_of_bool::<32>(self.enable.q.val());
        } else if self.address.q.val() == self.at_program.val() {
            self.other.d.next = self.base.q.val();
        } else if self.address.q.val() == self.at_instructions.val() {
            self.other.d.next = self.length.q.val();
        } else if self.address.q.val() == self.at_layer.val() {
            self.other.d.next = bit_cast::<32, 16>(self.layer.val());
        } else if self.address.q.val() == self.at_limit.val() {
            self.other.d.next = self.unlimited.q.val() ^ self.ones.val();
        }
        if self.looked.q.val() {
            self.answered.d.next = true;
            self.answer.d.next = self.other.q.val();
            if self.counts.q.val() {
                self.answer.d.next = self.half.q.val();
            }
        }

        self.bvalid.next = self.written.q.val();
        self.rvalid.next = self.answered.q.val();
        self.rdata.next = self.answer.q.val();
        self.interrupt.next = self.enable.q.val() & self.done.val();
        self.program.next = self.base.q.val();
        self.instructions.next = self.length.q.val();
        self.limit.next = self.unlimited.q.val() ^ self.ones.val();
    }
}

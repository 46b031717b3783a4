//! `koch_post_setup`.

use crate::prelude::*;

leaf! {
    /// The setting of the post lanes. Without a second operand it lets an output pass: 1 x output + 0. To add, factor 1
    /// is b's, factor 2 a's, and the offset is the addend; to multiply, factor 1 is the product's and factor 2 the
    /// offset, times 1.
    PostSetup = "koch_post_setup" (clock), latency "The cycle after the instruction.", for config;
    in {
        clear: Bit,
        /// A `quant` instruction is executed.
        quant: Bit,
        /// A `post` instruction is executed, with these fields.
        post: Bit,
        post_op: Bits<2>,
        post_table: Bit,
        post_signed: Bit,
        post_swap: Bit,
        post_a_zero: Bits<17>,
        post_b_zero: Bits<17>,
        post_y_zero: Bits<17>,
        post_y_min: Bits<17>,
        post_y_max: Bits<17>,
        post_a_scale: Bits<32>,
        post_b_scale: Bits<32>,
        post_offset: Bits<32>,
    }
    out {
        conf_used: Bit,
        conf_multiply: Bit,
        conf_table: Bit,
        conf_signed: Bit,
        conf_swap: Bit,
        conf_a_zero: Bits<9>,
        conf_b_zero: Bits<9>,
        conf_y_zero: Bits<17>,
        conf_y_min: Bits<17>,
        conf_y_max: Bits<17>,
        conf_factor1: Bits<32>,
        conf_factor2: Bits<32>,
        conf_addend: Bits<32>,
    }
    reg {
        used: Bit,
        multiply: Bit,
        c_table: Bit,
        c_signed: Bit,
        c_swap: Bit,
        c_a_zero: Bits<9>,
        c_b_zero: Bits<9>,
        c_y_zero: Bits<17>,
        c_y_min: Bits<17>,
        c_y_max: Bits<17>,
        factor1: Bits<32>,
        factor2: Bits<32>,
        addend: Bits<32>,
    }
    wire {
        multiplies: Bit,
    }
    const {
        one: Bits<32> = 0x3f80_0000u64,
        least: Bits<17> = 0x1_ff00u64,
        greatest: Bits<17> = 0xffu64,
    }
}

impl Logic for PostSetup {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self, clock, used, multiply, c_table, c_signed, c_swap, c_a_zero, c_b_zero, c_y_zero, c_y_min,
            c_y_max, factor1, factor2, addend
        );
        self.multiplies.next = self.post_op.val() == 2;
        if self.post.val() {
            self.c_table.d.next = self.post_table.val();
            self.used.d.next = true;
            self.multiply.d.next = self.multiplies.val();
            self.c_signed.d.next = self.post_signed.val();
            self.c_swap.d.next = self.post_swap.val();
            self.c_a_zero.d.next = self.post_a_zero.val().get_bits::<9>(0);
            self.c_b_zero.d.next = self.post_b_zero.val().get_bits::<9>(0);
            self.c_y_zero.d.next = self.post_y_zero.val();
            self.c_y_min.d.next = self.post_y_min.val();
            self.c_y_max.d.next = self.post_y_max.val();
            self.factor1.d.next = self.post_b_scale.val();
            self.factor2.d.next = self.post_a_scale.val();
            self.addend.d.next = self.post_offset.val();
            if self.multiplies.val() {
                self.factor1.d.next = self.post_a_scale.val();
                self.factor2.d.next = self.post_offset.val();
                self.addend.d.next = 0.into();
            }
        }
        if self.quant.val() | self.clear.val() {
            self.c_table.d.next = false;
        }
        if self.quant.val() | self.clear.val() | (self.post.val() & (self.post_op.val() == 0)) {
            self.used.d.next = false;
            self.multiply.d.next = false;
            self.c_swap.d.next = false;
            self.c_a_zero.d.next = 0.into();
            self.c_b_zero.d.next = 0.into();
            self.c_y_zero.d.next = 0.into();
            self.c_y_min.d.next = self.least.val();
            self.c_y_max.d.next = self.greatest.val();
            self.factor1.d.next = self.one.val();
            self.factor2.d.next = self.one.val();
            self.addend.d.next = 0.into();
        }
        self.conf_used.next = self.used.q.val();
        self.conf_multiply.next = self.multiply.q.val();
        self.conf_table.next = self.c_table.q.val();
        self.conf_signed.next = self.c_signed.q.val();
        self.conf_swap.next = self.c_swap.q.val();
        self.conf_a_zero.next = self.c_a_zero.q.val();
        self.conf_b_zero.next = self.c_b_zero.q.val();
        self.conf_y_zero.next = self.c_y_zero.q.val();
        self.conf_y_min.next = self.c_y_min.q.val();
        self.conf_y_max.next = self.c_y_max.q.val();
        self.conf_factor1.next = self.factor1.q.val();
        self.conf_factor2.next = self.factor2.q.val();
        self.conf_addend.next = self.addend.q.val();
    }
}

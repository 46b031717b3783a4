//! `koch_post_operands`.

use crate::prelude::*;

/// Cycles from the inputs to the outputs.
pub const LATENCY: usize = 3;

leaf! {
    /// What a lane's two fused operations multiply: the operands' differences from their zero points, as sign and
    /// magnitude with the top bit set. The first operation multiplies b or, if operands are multiplied, a x b; the
    /// second one a or, if they are, 1.
    ///
    /// A place is the exponent of a product, biased as in an f32, as if the product had its top bit set; 0 for zero.
    PostOperands = "koch_post_operands" (clock), latency "Three cycles; places of factors and the setting are constant.",
        for config;
    in {
        /// The inputs count. A stage moves only when what comes into it counts.
        valid: Bit,
        /// A requantised output; its upper bits do not matter.
        requantised: Bits<9>,
        second: Bits<8>,
        /// There are second operands.
        used: Bit,
        signed: Bit,
        swap: Bit,
        multiply: Bit,
        a_zero: Bits<9>,
        b_zero: Bits<9>,
        /// Exponents of the two factors. That of the second is 0 if the factor is.
        factor1_place: Bits<8>,
        factor2_place: Bits<8>,
    }
    out {
        valid_next: Bit,
        negative1: Bit,
        n1: Bits<18>,
        place1: Bits<8>,
        negative2: Bit,
        n2: Bits<9>,
        place2: Bits<8>,
    }
    reg {
        valids: Bits<3>,
        a_negative: Bit,
        a_size: Bits<9>,
        b_negative: Bit,
        b_size: Bits<9>,
        a_negative2: Bit,
        a_norm: Bits<9>,
        a_zeros: Bits<4>,
        b_negative2: Bit,
        b_norm: Bits<9>,
        b_zeros: Bits<4>,
        r_negative1: Bit,
        r_n1: Bits<18>,
        r_place1: Bits<8>,
        r_negative2: Bit,
        r_n2: Bits<9>,
        r_place2: Bits<8>,
    }
    wire {
        wide: Bits<9>,
        a: Bits<9>,
        b: Bits<9>,
        a_up: Bits<4>,
        b_up: Bits<4>,
    }
    const {
    }
}

impl Logic for PostOperands {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            valids,
            a_negative,
            a_size,
            b_negative,
            b_size,
            a_negative2,
            a_norm,
            a_zeros,
            b_negative2,
            b_norm,
            b_zeros,
            r_negative1,
            r_n1,
            r_place1,
            r_negative2,
            r_n2,
            r_place2
        );
        self.valids.d.next = (bit_cast::<3, 2>(self.valids.q.val().get_bits::<2>(0)) << 1)
            | bits_of_bool::<3>(self.valid.val());
        self.valid_next.next = self.valids.q.val().get_bit(2);

        // 1: differences.
        if self.valid.val() {
            self.wide.next = 0.into();
            if self.used.val() {
                self.wide.next = bit_cast::<9, 8>(self.second.val())
                    | (bits_of_bool::<9>(self.signed.val() & self.second.val().get_bit(7)) << 8);
            }
            self.a.next = self.requantised.val() - self.a_zero.val();
            self.b.next = self.wide.val() - self.b_zero.val();
            if self.swap.val() {
                self.a.next = self.wide.val() - self.a_zero.val();
                self.b.next = self.requantised.val() - self.b_zero.val();
            }
            self.a_negative.d.next = self.a.val().get_bit(8);
            self.a_size.d.next = self.a.val();
            if self.a.val().get_bit(8) {
                self.a_size.d.next = 0 - self.a.val();
            }
            self.b_negative.d.next = self.b.val().get_bit(8);
            self.b_size.d.next = self.b.val();
            if self.b.val().get_bit(8) {
                self.b_size.d.next = 0 - self.b.val();
            }
        }

        // 2: leading zeros.
        if self.valids.q.val().get_bit(0) {
            self.a_up.next = 0.into();
            self.b_up.next = 0.into();
            for i in 0..9 {
                if self.a_size.q.val().get_bit(i) {
                    self.a_up.next = (8 - i).to_bits();
                }
                if self.b_size.q.val().get_bit(i) {
                    self.b_up.next = (8 - i).to_bits();
                }
            }
            self.a_negative2.d.next = self.a_negative.q.val();
            self.a_norm.d.next = self.a_size.q.val() << self.a_up.val();
            self.a_zeros.d.next = self.a_up.val();
            self.b_negative2.d.next = self.b_negative.q.val();
            self.b_norm.d.next = self.b_size.q.val() << self.b_up.val();
            self.b_zeros.d.next = self.b_up.val();
        }

        // 3: what is multiplied. A product of operands may have its top bit one place lower.
        if self.valids.q.val().get_bit(1) {
            self.r_negative1.d.next = self.b_negative2.q.val();
            self.r_n1.d.next = bit_cast::<18, 9>(self.b_norm.q.val()) << 9;
            self.r_place1.d.next = self.factor1_place.val() + 9 - bit_cast::<8, 4>(self.b_zeros.q.val());
            self.r_negative2.d.next = self.a_negative2.q.val();
            self.r_n2.d.next = self.a_norm.q.val();
            self.r_place2.d.next = self.factor2_place.val() + 9 - bit_cast::<8, 4>(self.a_zeros.q.val());
            if !self.b_norm.q.val().get_bit(8) {
                self.r_place1.d.next = 0.into();
            }
            if !self.a_norm.q.val().get_bit(8) {
                self.r_place2.d.next = 0.into();
            }
            if self.multiply.val() {
                self.r_negative1.d.next = self.a_negative2.q.val() ^ self.b_negative2.q.val();
                self.r_n1.d.next =
                    bit_cast::<18, 9>(self.a_norm.q.val()) * bit_cast::<18, 9>(self.b_norm.q.val());
                self.r_place1.d.next = self.factor1_place.val() + 18
                    - bit_cast::<8, 4>(self.a_zeros.q.val())
                    - bit_cast::<8, 4>(self.b_zeros.q.val());
                if !self.a_norm.q.val().get_bit(8) | !self.b_norm.q.val().get_bit(8) {
                    self.r_place1.d.next = 0.into();
                }
                self.r_negative2.d.next = false;
                self.r_n2.d.next = 0.into();
                self.r_place2.d.next = 0.into();
                if self.factor2_place.val().any() {
                    self.r_n2.d.next = 256.into();
                    self.r_place2.d.next = self.factor2_place.val() + 1;
                }
            }
        }
        self.negative1.next = self.r_negative1.q.val();
        self.n1.next = self.r_n1.q.val();
        self.place1.next = self.r_place1.q.val();
        self.negative2.next = self.r_negative2.q.val();
        self.n2.next = self.r_n2.q.val();
        self.place2.next = self.r_place2.q.val();
    }
}

//! `koch_post_result`.

use crate::prelude::*;

/// Cycles from the inputs to the output.
pub const LATENCY: usize = 2;

leaf! {
    /// An f32 as an operand: rounded to an integer, half to even, moved by the zero point and clipped. A magnitude of
    /// 2^18 or more counts as 2^18, outside of every clip range.
    PostResult = "koch_post_result" (clock), latency "Two cycles; the setting is constant.", for config;
    in {
        /// The inputs count. A stage moves only when what comes into it counts.
        valid: Bit,
        negative: Bit,
        /// Biased exponent.
        place: Bits<8>,
        significand: Bits<24>,
        y_zero: Signed<17>,
        y_min: Signed<17>,
        y_max: Signed<17>,
    }
    out {
        operand: Bits<8>,
    }
    reg {
        follows: Bit,
        sign: Bit,
        /// With 24 places.
        fixed: Bits<43>,
        y: Signed<17>,
    }
    wire {
        up: Bit,
        whole: Bits<21>,
        carry: Bit,
        moved: Signed<21>,
    }
    const {
        half: Bits<8> = 126u64,
        too_much: Bits<8> = 126u64 + 19,
        saturated: Bits<43> = 1u64 << 42,
    }
}

impl Logic for PostResult {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, follows, sign, fixed, y);
        self.follows.d.next = self.valid.val();

        // 1: below a half it is zero.
        if self.valid.val() {
            self.sign.d.next = self.negative.val();
            self.fixed.d.next =
                bit_cast::<43, 24>(self.significand.val()) << (self.place.val().get_bits::<5>(0) - 30);
            if self.place.val() < self.half.val() {
                self.fixed.d.next = 0.into();
            } else if self.place.val() >= self.too_much.val() {
                self.fixed.d.next = self.saturated.val();
            }
        }

        // 2: -(i + up) is !i + !up.
        if self.follows.q.val() {
            self.up.next = self.fixed.q.val().get_bit(23)
                & (self.fixed.q.val().get_bits::<23>(0).any() | self.fixed.q.val().get_bit(24));
            self.whole.next = bit_cast::<21, 19>(self.fixed.q.val().get_bits::<19>(24));
            self.carry.next = self.up.val();
            if self.sign.q.val() {
                self.whole.next = !bit_cast::<21, 19>(self.fixed.q.val().get_bits::<19>(24));
                self.carry.next = !self.up.val();
            }
            self.moved.next = signed_cast(
                unsigned_cast(bit_cast_signed::<21, 17>(self.y_zero.val()))
                    + self.whole.val()
                    + bits_of_bool::<21>(self.carry.val()),
            );
            self.y.d.next = bit_cast_signed::<17, 21>(self.moved.val());
            if self.moved.val() < bit_cast_signed::<21, 17>(self.y_min.val()) {
                self.y.d.next = self.y_min.val();
            } else if self.moved.val() > bit_cast_signed::<21, 17>(self.y_max.val()) {
                self.y.d.next = self.y_max.val();
            }
        }
        self.operand.next = bit_cast::<8, 17>(unsigned_cast(self.y.q.val()));
    }
}

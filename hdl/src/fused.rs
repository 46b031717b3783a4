//! `koch_fused`.

use crate::prelude::*;

/// Cycles from the inputs to the result.
pub const LATENCY: usize = 7;
/// Cycles from the inputs to the addend.
pub const LATE_ADDEND: usize = 2;

leaf! {
    /// n x factor + addend, rounded once as IEEE 754 does: a fused multiply-add of an integer and two f32.
    ///
    /// n has its top bit set, or up to two bits lower; its lower 9 bits are zero if anything is added. A place is the
    /// biased exponent of an f32, for the product as if its top bit were set, and 0 for zero, whose significand is 0 as
    /// well. Both summands stand in a window of 34 bits. The lower one is shifted down, and its lowest bit stands for
    /// all that fall out: then little or nothing cancels, and the rounding is far above.
    Fused = "koch_fused" (clock), latency "Seven cycles, one result per cycle; the addend is sampled two cycles after the \
        other inputs.", for config;
    in {
        /// The inputs count. A stage moves only when what comes into it counts.
        valid: Bit,
        negative: Bit,
        n: Bits<18>,
        place: Bits<8>,
        /// The factor's significand.
        factor: Bits<24>,
        addend_negative: Bit,
        addend_place: Bits<8>,
        addend: Bits<24>,
    }
    out {
        valid_next: Bit,
        sum_negative: Bit,
        sum_place: Bits<8>,
        sum: Bits<24>,
    }
    reg {
        valids: Bits<7>,
        negative1: Bit,
        place1: Bits<8>,
        high: Bits<30>,
        low: Bits<30>,
        negative2: Bit,
        place2: Bits<8>,
        product: Bits<34>,
        negative3: Bit,
        subtract3: Bit,
        place3: Bits<8>,
        large3: Bits<34>,
        small3: Bits<34>,
        distance3: Bits<6>,
        negative4: Bit,
        subtract4: Bit,
        place4: Bits<8>,
        large4: Bits<34>,
        small4: Bits<34>,
        negative5: Bit,
        place5: Bits<8>,
        sum5: Bits<35>,
        negative6: Bit,
        place6: Bits<8>,
        sum6: Bits<35>,
        negative7: Bit,
        place7: Bits<8>,
        sum7: Bits<24>,
    }
    wire {
        whole: Bits<42>,
        wide: Bits<34>,
        distance: Bits<8>,
        shifted: Bits<34>,
        lost: Bit,
        total: Bits<35>,
        opposite: Bits<35>,
        coarse: Bits<35>,
        coarse_up: Bits<8>,
        fine: Bits<35>,
        fine_up: Bits<8>,
        up: Bit,
        rounded: Bits<25>,
    }
    const {
        one: Bits<24> = 1u64 << 23,
    }
}

impl Logic for Fused {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self, clock, valids, negative1, place1, high, low, negative2, place2, product, negative3,
            subtract3, place3, large3, small3, distance3, negative4, subtract4, place4, large4, small4,
            negative5, place5, sum5, negative6, place6, sum6, negative7, place7, sum7
        );
        self.valids.d.next = (bit_cast::<7, 6>(self.valids.q.val().get_bits::<6>(0)) << 1)
            | bits_of_bool::<7>(self.valid.val());
        self.valid_next.next = self.valids.q.val().get_bit(6);

        // 1: two partial products.
        if self.valid.val() {
            self.high.d.next =
                bit_cast::<30, 18>(self.n.val()) * bit_cast::<30, 12>(self.factor.val().get_bits::<12>(12));
            self.low.d.next =
                bit_cast::<30, 18>(self.n.val()) * bit_cast::<30, 12>(self.factor.val().get_bits::<12>(0));
            self.negative1.d.next = self.negative.val();
            self.place1.d.next = self.place.val();
        }

        // 2: the product, of which 34 bits matter.
        if self.valids.q.val().get_bit(0) {
            self.whole.next =
                (bit_cast::<42, 30>(self.high.q.val()) << 12) + bit_cast::<42, 30>(self.low.q.val());
            self.product.d.next = self.whole.val().get_bits::<34>(8)
                | bits_of_bool::<34>(self.whole.val().get_bits::<8>(0).any());
            self.negative2.d.next = self.negative1.q.val();
            self.place2.d.next = self.place1.q.val();
        }

        // 3: which summand is the upper one, and by how much.
        if self.valids.q.val().get_bit(1) {
            self.wide.next = bit_cast::<34, 24>(self.addend.val()) << 10;
            self.distance.next = self.place2.q.val() - self.addend_place.val();
            if self.place2.q.val() < self.addend_place.val() {
                self.distance.next = self.addend_place.val() - self.place2.q.val();
            }
            self.subtract3.d.next = self.negative2.q.val() ^ self.addend_negative.val();
            self.negative3.d.next = self.negative2.q.val();
            self.place3.d.next = self.place2.q.val();
            self.large3.d.next = self.product.q.val();
            self.small3.d.next = self.wide.val();
            if self.place2.q.val() < self.addend_place.val() {
                self.negative3.d.next = self.addend_negative.val();
                self.place3.d.next = self.addend_place.val();
                self.large3.d.next = self.wide.val();
                self.small3.d.next = self.product.q.val();
            }
            self.distance3.d.next = self.distance.val().get_bits::<6>(0);
            if self.distance.val().get_bits::<2>(6).any() {
                self.distance3.d.next = 63.into();
            }
        }

        // 4: the lower one is shifted.
        if self.valids.q.val().get_bit(2) {
            self.shifted.next = self.small3.q.val();
            self.lost.next = false;
            if self.distance3.q.val().get_bit(5) {
                self.lost.next = self.shifted.val().get_bits::<32>(0).any();
                self.shifted.next = self.shifted.val() >> 32;
            }
            if self.distance3.q.val().get_bit(4) {
                self.lost.next = self.lost.val() | self.shifted.val().get_bits::<16>(0).any();
                self.shifted.next = self.shifted.val() >> 16;
            }
            if self.distance3.q.val().get_bit(3) {
                self.lost.next = self.lost.val() | self.shifted.val().get_bits::<8>(0).any();
                self.shifted.next = self.shifted.val() >> 8;
            }
            if self.distance3.q.val().get_bit(2) {
                self.lost.next = self.lost.val() | self.shifted.val().get_bits::<4>(0).any();
                self.shifted.next = self.shifted.val() >> 4;
            }
            if self.distance3.q.val().get_bit(1) {
                self.lost.next = self.lost.val() | self.shifted.val().get_bits::<2>(0).any();
                self.shifted.next = self.shifted.val() >> 2;
            }
            if self.distance3.q.val().get_bit(0) {
                self.lost.next = self.lost.val() | self.shifted.val().get_bit(0);
                self.shifted.next = self.shifted.val() >> 1;
            }
            self.small4.d.next = self.shifted.val() | bits_of_bool::<34>(self.lost.val());
            self.large4.d.next = self.large3.q.val();
            self.negative4.d.next = self.negative3.q.val();
            self.subtract4.d.next = self.subtract3.q.val();
            self.place4.d.next = self.place3.q.val();
        }

        // 5: the sum. A difference of equal places may be negative.
        if self.valids.q.val().get_bit(3) {
            self.total.next =
                bit_cast::<35, 34>(self.large4.q.val()) + bit_cast::<35, 34>(self.small4.q.val());
            if self.subtract4.q.val() {
                self.total.next =
                    bit_cast::<35, 34>(self.large4.q.val()) - bit_cast::<35, 34>(self.small4.q.val());
            }
            self.opposite.next =
                bit_cast::<35, 34>(self.small4.q.val()) - bit_cast::<35, 34>(self.large4.q.val());
            self.sum5.d.next = self.total.val();
            self.negative5.d.next = self.negative4.q.val();
            if self.subtract4.q.val() & self.total.val().get_bit(34) {
                self.sum5.d.next = self.opposite.val();
                self.negative5.d.next = !self.negative4.q.val();
            }
            self.place5.d.next = self.place4.q.val();
        }

        // 6: the sum's top bit goes up, by multiples of 8.
        if self.valids.q.val().get_bit(4) {
            self.coarse.next = self.sum5.q.val();
            self.coarse_up.next = 0.into();
            if !self.coarse.val().get_bits::<32>(3).any() {
                self.coarse.next = self.coarse.val() << 32;
                self.coarse_up.next = 32.into();
            }
            if !self.coarse.val().get_bits::<16>(19).any() {
                self.coarse.next = self.coarse.val() << 16;
                self.coarse_up.next = self.coarse_up.val() | 16;
            }
            if !self.coarse.val().get_bits::<8>(27).any() {
                self.coarse.next = self.coarse.val() << 8;
                self.coarse_up.next = self.coarse_up.val() | 8;
            }
            self.sum6.d.next = self.coarse.val();
            self.place6.d.next = self.place5.q.val() - self.coarse_up.val();
            self.negative6.d.next = self.negative5.q.val();
        }

        // 7: by the rest; rounded to 24 bits.
        if self.valids.q.val().get_bit(5) {
            self.fine.next = self.sum6.q.val();
            self.fine_up.next = 0.into();
            if !self.fine.val().get_bits::<4>(31).any() {
                self.fine.next = self.fine.val() << 4;
                self.fine_up.next = 4.into();
            }
            if !self.fine.val().get_bits::<2>(33).any() {
                self.fine.next = self.fine.val() << 2;
                self.fine_up.next = self.fine_up.val() | 2;
            }
            if !self.fine.val().get_bit(34) {
                self.fine.next = self.fine.val() << 1;
                self.fine_up.next = self.fine_up.val() | 1;
            }
            self.up.next = self.fine.val().get_bit(10)
                & (self.fine.val().get_bits::<10>(0).any() | self.fine.val().get_bit(11));
            self.rounded.next =
                bit_cast::<25, 24>(self.fine.val().get_bits::<24>(11)) + bits_of_bool::<25>(self.up.val());
            self.sum7.d.next = self.rounded.val().get_bits::<24>(0);
            self.place7.d.next = self.place6.q.val() + 1 - self.fine_up.val();
            if self.rounded.val().get_bit(24) {
                self.sum7.d.next = self.one.val();
                self.place7.d.next = self.place6.q.val() + 2 - self.fine_up.val();
            }
            if !self.fine.val().get_bit(34) {
                self.place7.d.next = 0.into();
            }
            self.negative7.d.next = self.negative6.q.val();
        }
        self.sum_negative.next = self.negative7.q.val();
        self.sum_place.next = self.place7.q.val();
        self.sum.next = self.sum7.q.val();
    }
}

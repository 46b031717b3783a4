//! `koch_requant`: from an accumulator to an output operand, as ONNX Runtime rounds.

use crate::prelude::*;

/// Cycles from the inputs to [`Requant::y_o`].
pub const LATENCY: usize = 13;
/// Cycles from the inputs to the edge that samples `zero_point_i`; the next one samples `lo_i` and `hi_i`.
///
/// They belong to a layer, not to a channel: the lanes share one delay of this length, or the layer changes only
/// when the lanes are empty.
pub const LATE_INPUTS: usize = LATENCY - 2;

/// `y = clip(round(f32(acc + bias) * multiplier) + zero_point, lo, hi)` in integers only: `f32` of a 32-bit number
/// and the product round to nearest even as IEEE 754 does, `round` goes to the even integer from halfway.
///
/// The multiplier is a positive normal `f32`. A product beyond 2^18 counts as 2^18, outside of every clip range.
#[derive(LogicBlock, Default)]
pub struct Requant {
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// The inputs count. A stage moves only when what comes into it counts.
    pub valid_i: Signal<In, Bit>,
    /// Accumulator, signed.
    pub acc_i: Signal<In, Bits<32>>,
    /// Bias, signed; the sum with the accumulator wraps.
    pub bias_i: Signal<In, Bits<32>>,
    /// Scale: the bits of an `f32`, positive and normal.
    pub multiplier_i: Signal<In, Bits<32>>,
    /// Zero point of the output, late by [`LATE_INPUTS`].
    pub zero_point_i: Signal<In, Signed<17>>,
    /// Least output, late by one more.
    pub lo_i: Signal<In, Signed<17>>,
    /// Greatest output, late by one more.
    pub hi_i: Signal<In, Signed<17>>,
    /// `y_o` counts.
    pub valid_o: Signal<Out, Bit>,
    /// The output.
    pub y_o: Signal<Out, Signed<17>>,

    valid: DFF<Bits<13>>,
    // 1: the sum.
    sum1: DFF<Bits<32>>,
    scale1: DFF<Bits<31>>,
    // 2: as sign and magnitude.
    sign2: DFF<Bit>,
    mag2: DFF<Bits<32>>,
    scale2: DFF<Bits<31>>,
    // 3: its leading zeros.
    half: Signal<Local, Bits<16>>,
    nibble: Signal<Local, Bits<4>>,
    zeros: Signal<Local, Bits<5>>,
    sign3: DFF<Bit>,
    mag3: DFF<Bits<32>>,
    zeros3: DFF<Bits<5>>,
    scale3: DFF<Bits<31>>,
    // 4: without them, and the exponent of the product.
    norm: Signal<Local, Bits<32>>,
    sign4: DFF<Bit>,
    norm4: DFF<Bits<32>>,
    place4: DFF<Bits<10>>,
    fraction4: DFF<Bits<23>>,
    // 5: 24 significant bits.
    up5: Signal<Local, Bit>,
    carry5: Signal<Local, Bit>,
    sign5: DFF<Bit>,
    sig5: DFF<Bits<24>>,
    place5: DFF<Bits<10>>,
    factor5: DFF<Bits<24>>,
    // 6: four partial products.
    high_high: DFF<Bits<24>>,
    high_low: DFF<Bits<24>>,
    low_high: DFF<Bits<24>>,
    low_low: DFF<Bits<24>>,
    sign6: DFF<Bit>,
    place6: DFF<Bits<10>>,
    // 7: the two in the middle as one.
    outer7: DFF<Bits<48>>,
    middle7: DFF<Bits<25>>,
    sign7: DFF<Bit>,
    place7: DFF<Bits<10>>,
    // 8: the product.
    product8: DFF<Bits<48>>,
    sign8: DFF<Bit>,
    place8: DFF<Bits<10>>,
    // 9: its upper 24 bits, and whether they are rounded up.
    odd: Signal<Local, Bit>,
    sign9: DFF<Bit>,
    top9: DFF<Bits<24>>,
    up9: DFF<Bit>,
    place9: DFF<Bits<10>>,
    // 10: rounded.
    carry10: Signal<Local, Bit>,
    sign10: DFF<Bit>,
    sig10: DFF<Bits<24>>,
    place10: DFF<Bits<10>>,
    // 11: as a fixed-point number with 24 places.
    sign11: DFF<Bit>,
    fixed11: DFF<Bits<43>>,
    // 12: rounded to an integer, moved.
    up12: Signal<Local, Bit>,
    whole: Signal<Local, Bits<21>>,
    carry: Signal<Local, Bit>,
    moved12: DFF<Bits<21>>,
    // 13: clipped.
    moved: Signal<Local, Signed<21>>,
    y: DFF<Signed<17>>,
}

/// The implicit leading one of a significand.
const ONE: u64 = 1 << 23;
/// Fixed-point numbers at or above this exponent are 2^18.
const MAX_PLACE: u64 = 18;

impl Logic for Requant {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self, clock, valid, sum1, scale1, sign2, mag2, scale2, sign3, mag3, zeros3, scale3, sign4, norm4,
            place4, fraction4, sign5, sig5, place5, factor5, high_high, high_low, low_high, low_low, sign6,
            place6, outer7, middle7, sign7, place7, product8, sign8, place8, sign9, top9, up9, place9,
            sign10, sig10, place10, sign11, fixed11, moved12, y
        );
        self.valid.d.next = (bit_cast::<13, 12>(self.valid.q.val().get_bits::<12>(0)) << 1)
            | bits_of_bool::<13>(self.valid_i.val());
        self.valid_o.next = self.valid.q.val().get_bit(12);

        // 1
        if self.valid_i.val() {
            self.sum1.d.next = self.acc_i.val() + self.bias_i.val();
            self.scale1.d.next = self.multiplier_i.val().get_bits::<31>(0);
        }

        // 2
        if self.valid.q.val().get_bit(0) {
            self.sign2.d.next = self.sum1.q.val().get_bit(31);
            self.mag2.d.next = self.sum1.q.val();
            if self.sum1.q.val().get_bit(31) {
                self.mag2.d.next = 0 - self.sum1.q.val();
            }
            self.scale2.d.next = self.scale1.q.val();
        }

        // 3
        if self.valid.q.val().get_bit(1) {
            self.half.next = self.mag2.q.val().get_bits::<16>(16);
            self.zeros.next = 0.into();
            if !self.mag2.q.val().get_bits::<16>(16).any() {
                self.half.next = self.mag2.q.val().get_bits::<16>(0);
                self.zeros.next = 16.into();
            }
            if self.half.val().get_bits::<4>(12).any() {
                self.nibble.next = self.half.val().get_bits::<4>(12);
            } else if self.half.val().get_bits::<4>(8).any() {
                self.nibble.next = self.half.val().get_bits::<4>(8);
                self.zeros.next = self.zeros.val() | 4;
            } else if self.half.val().get_bits::<4>(4).any() {
                self.nibble.next = self.half.val().get_bits::<4>(4);
                self.zeros.next = self.zeros.val() | 8;
            } else {
                self.nibble.next = self.half.val().get_bits::<4>(0);
                self.zeros.next = self.zeros.val() | 12;
            }
            if !self.nibble.val().get_bit(3) {
                if self.nibble.val().get_bit(2) {
                    self.zeros.next = self.zeros.val() | 1;
                } else if self.nibble.val().get_bit(1) {
                    self.zeros.next = self.zeros.val() | 2;
                } else {
                    self.zeros.next = self.zeros.val() | 3;
                }
            }
            self.zeros3.d.next = self.zeros.val();
            self.mag3.d.next = self.mag2.q.val();
            self.sign3.d.next = self.sign2.q.val();
            self.scale3.d.next = self.scale2.q.val();
        }

        // 4: value = sig5 * factor5 * 2^(place5 - 24 - 46) in the end; place is the exponent plus one.
        if self.valid.q.val().get_bit(2) {
            self.norm.next = self.mag3.q.val() << self.zeros3.q.val();
            self.norm4.d.next = self.norm.val();
            self.place4.d.next = bit_cast::<10, 8>(self.scale3.q.val().get_bits::<8>(23))
                + bit_cast::<10, 5>(!self.zeros3.q.val());
            self.fraction4.d.next = self.scale3.q.val().get_bits::<23>(0);
            self.sign4.d.next = self.sign3.q.val();
        }

        // 5
        if self.valid.q.val().get_bit(3) {
            // Rounding carries out of nothing but ones.
            self.carry5.next = self.norm4.q.val().get_bits::<25>(7).all();
            self.up5.next = self.norm4.q.val().get_bit(7)
                & (self.norm4.q.val().get_bits::<7>(0).any() | self.norm4.q.val().get_bit(8));
            self.sig5.d.next = self.norm4.q.val().get_bits::<24>(8) + bits_of_bool::<24>(self.up5.val());
            if self.carry5.val() {
                self.sig5.d.next = ONE.into();
            }
            self.place5.d.next = self.place4.q.val() + bits_of_bool::<10>(self.carry5.val());
            // Zero has no leading one: a place below everything.
            if !self.norm4.q.val().get_bit(31) {
                self.place5.d.next = 0.into();
            }
            self.factor5.d.next = bit_cast::<24, 23>(self.fraction4.q.val()) | ONE;
            self.sign5.d.next = self.sign4.q.val();
        }

        // 6
        if self.valid.q.val().get_bit(4) {
            self.high_high.d.next = bit_cast::<24, 12>(self.sig5.q.val().get_bits::<12>(12))
                * bit_cast::<24, 12>(self.factor5.q.val().get_bits::<12>(12));
            self.high_low.d.next = bit_cast::<24, 12>(self.sig5.q.val().get_bits::<12>(12))
                * bit_cast::<24, 12>(self.factor5.q.val().get_bits::<12>(0));
            self.low_high.d.next = bit_cast::<24, 12>(self.sig5.q.val().get_bits::<12>(0))
                * bit_cast::<24, 12>(self.factor5.q.val().get_bits::<12>(12));
            self.low_low.d.next = bit_cast::<24, 12>(self.sig5.q.val().get_bits::<12>(0))
                * bit_cast::<24, 12>(self.factor5.q.val().get_bits::<12>(0));
            self.sign6.d.next = self.sign5.q.val();
            self.place6.d.next = self.place5.q.val();
        }

        // 7
        if self.valid.q.val().get_bit(5) {
            self.outer7.d.next =
                (bit_cast::<48, 24>(self.high_high.q.val()) << 24) | bit_cast::<48, 24>(self.low_low.q.val());
            self.middle7.d.next =
                bit_cast::<25, 24>(self.high_low.q.val()) + bit_cast::<25, 24>(self.low_high.q.val());
            self.sign7.d.next = self.sign6.q.val();
            self.place7.d.next = self.place6.q.val();
        }

        // 8
        if self.valid.q.val().get_bit(6) {
            self.product8.d.next = self.outer7.q.val() + (bit_cast::<48, 25>(self.middle7.q.val()) << 12);
            self.sign8.d.next = self.sign7.q.val();
            self.place8.d.next = self.place7.q.val();
        }

        // 9
        if self.valid.q.val().get_bit(7) {
            if self.product8.q.val().get_bit(47) {
                self.top9.d.next = self.product8.q.val().get_bits::<24>(24);
                self.odd.next = self.product8.q.val().get_bit(23);
                self.up9.d.next = self.odd.val()
                    & (self.product8.q.val().get_bits::<23>(0).any() | self.product8.q.val().get_bit(24));
            } else {
                self.top9.d.next = self.product8.q.val().get_bits::<24>(23);
                self.odd.next = self.product8.q.val().get_bit(22);
                self.up9.d.next = self.odd.val()
                    & (self.product8.q.val().get_bits::<22>(0).any() | self.product8.q.val().get_bit(23));
            }
            self.place9.d.next = self.place8.q.val() + bits_of_bool::<10>(self.product8.q.val().get_bit(47));
            self.sign9.d.next = self.sign8.q.val();
        }

        // 10
        if self.valid.q.val().get_bit(8) {
            self.carry10.next = self.top9.q.val().all() & self.up9.q.val();
            self.sig10.d.next = self.top9.q.val() + bits_of_bool::<24>(self.up9.q.val());
            if self.carry10.val() {
                self.sig10.d.next = ONE.into();
            }
            self.place10.d.next = self.place9.q.val() + bits_of_bool::<10>(self.carry10.val());
            self.sign10.d.next = self.sign9.q.val();
        }

        // 11: the place is biased by 126; below it the number is less than a half, and so zero.
        if self.valid.q.val().get_bit(9) {
            if self.place10.q.val() < 126 {
                self.fixed11.d.next = 0.into();
            } else if self.place10.q.val() > BIASED_MAX {
                self.fixed11.d.next = bits::<43>(SATURATED);
            } else {
                self.fixed11.d.next =
                    bit_cast::<43, 24>(self.sig10.q.val()) << (self.place10.q.val().get_bits::<5>(0) - 30);
            }
            self.sign11.d.next = self.sign10.q.val();
        }

        // 12: -(i + up) is !i + !up.
        if self.valid.q.val().get_bit(10) {
            self.up12.next = self.fixed11.q.val().get_bit(23)
                & (self.fixed11.q.val().get_bits::<23>(0).any() | self.fixed11.q.val().get_bit(24));
            self.whole.next = bit_cast::<21, 19>(self.fixed11.q.val().get_bits::<19>(24));
            self.carry.next = self.up12.val();
            if self.sign11.q.val() {
                self.whole.next = !bit_cast::<21, 19>(self.fixed11.q.val().get_bits::<19>(24));
                self.carry.next = !self.up12.val();
            }
            self.moved12.d.next = unsigned_cast(bit_cast_signed::<21, 17>(self.zero_point_i.val()))
                + self.whole.val()
                + bits_of_bool::<21>(self.carry.val());
        }

        // 13
        if self.valid.q.val().get_bit(11) {
            self.moved.next = signed_cast(self.moved12.q.val());
            self.y.d.next = bit_cast_signed::<17, 21>(self.moved.val());
            if self.moved.val() < bit_cast_signed::<21, 17>(self.lo_i.val()) {
                self.y.d.next = self.lo_i.val();
            } else if self.moved.val() > bit_cast_signed::<21, 17>(self.hi_i.val()) {
                self.y.d.next = self.hi_i.val();
            }
        }
        self.y_o.next = self.y.q.val();
    }
}

/// The bias of a place.
const BIAS: u64 = 126;
const BIASED_MAX: u64 = BIAS + MAX_PLACE;
/// 2^18 with 24 places.
const SATURATED: u64 = 1 << 42;

impl Leaf for Requant {
    fn name(&self) -> String {
        "koch_requant".into()
    }
    fn doc(&self) -> LeafDoc {
        LeafDoc::new(
            "Requantisation lane: y = clip(round(f32(acc + bias) * multiplier) + zero_point), bit for bit as \
             IEEE 754 single precision computes it, in integers only. The multiplier is a positive normal f32.",
            format!(
                "{LATENCY} cycles, one result per cycle; zero_point_i is sampled {LATE_INPUTS} cycles after the \
                 other inputs, lo_i and hi_i a cycle later."
            ),
        )
    }
    fn consts(&self) -> Vec<(&'static str, u64)> {
        vec![("ONE", ONE), ("BIASED_MAX", BIASED_MAX), ("SATURATED", SATURATED)]
    }
    leaf_inputs!(clock; valid_i, acc_i, bias_i, multiplier_i, zero_point_i, lo_i, hi_i);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cosim::{Cosim, Rng};
    use crate::leaf::{Sim, module};
    use crate::verilog::Design;

    fn reference(acc: i32, bias: i32, m: f32, zero_point: i64, lo: i64, hi: i64) -> i64 {
        let r = (acc.wrapping_add(bias) as f32 * m).round_ties_even();
        (r as i64).saturating_add(zero_point).clamp(lo, hi)
    }

    /// Accumulators, and multipliers that bring results near the interesting places.
    fn stimulus(rng: &mut Rng) -> (i32, i32, f32) {
        let width = rng.below(33);
        let small = |rng: &mut Rng| (rng.bits() as i64 >> (63 - width.min(31))) as i32;
        let (mut acc, bias) = (small(rng), if rng.chance(50) { small(rng) } else { 0 });
        if rng.chance(20) {
            // One or two set bits, or just beside: roundings of the conversion.
            let power = 1i32.wrapping_shl(rng.below(32) as u32);
            acc =
                power.wrapping_add(rng.below(5) as i32 - 2).wrapping_mul(if rng.chance(50) { -1 } else { 1 });
        }
        let exponent = match rng.below(8) {
            0 => 1 + rng.below(254),
            // The product near one to 2^19.
            _ => (127 + rng.below(20) + 2).saturating_sub(width),
        };
        let fraction = match rng.below(4) {
            0 => 0,
            1 => rng.bits() & 0x7f_0000,
            _ => rng.bits() & 0x7f_ffff,
        };
        (acc, bias, f32::from_bits((exponent << 23 | fraction) as u32))
    }

    fn compare(count: usize, seed: u64) {
        let mut rng = Rng::new(seed);
        let mut sim = Sim::new(Requant::default());
        let (zero_point, lo, hi) = (-3, -65536, 65535);
        sim.leaf.zero_point_i.next = zero_point.into();
        sim.leaf.lo_i.next = lo.into();
        sim.leaf.hi_i.next = hi.into();
        let mut expected = std::collections::VecDeque::new();
        for _ in 0..count {
            let (acc, bias, m) = stimulus(&mut rng);
            sim.leaf.valid_i.next = true;
            sim.leaf.acc_i.next = u64::from(acc as u32).into();
            sim.leaf.bias_i.next = u64::from(bias as u32).into();
            sim.leaf.multiplier_i.next = u64::from(m.to_bits()).into();
            expected.push_back((acc, bias, m));
            sim.tick();
            if expected.len() == LATENCY {
                let (acc, bias, m) = expected.pop_front().unwrap();
                assert!(sim.leaf.valid_o.val());
                let want = reference(acc, bias, m, zero_point, lo, hi);
                let got = sim.leaf.y_o.val().to_i64();
                assert_eq!(got, want, "{acc} + {bias} times {m:e} ({:08x})", m.to_bits());
            } else {
                assert!(!sim.leaf.valid_o.val());
            }
        }
    }

    #[test]
    fn rounds_as_f32_does() {
        compare(200_000, 1);
    }

    #[test]
    #[ignore = "millions of values: half a minute"]
    fn rounds_as_f32_does_long() {
        compare(5_000_000, 2);
    }

    #[test]
    fn clips() {
        let mut sim = Sim::new(Requant::default());
        for (acc, m, zp, lo, hi) in [
            (1000, 1.0f32, 128, 0, 255),
            (-1000, 1.0, 128, 0, 255),
            (5, 0.5, 0, -128, 127),
            (7, 0.5, 0, -128, 127),
            (-5, 0.5, 10, -128, 127),
            (i32::MIN, f32::MAX, -65536, -65536, 65535),
            (i32::MAX, f32::MAX, 65535, -65536, 65535),
            (i32::MIN, f32::MIN_POSITIVE, 7, 0, 15),
            (0, 1.0, 7, 0, 15),
        ] {
            sim.leaf.valid_i.next = true;
            sim.leaf.acc_i.next = u64::from(acc as u32).into();
            sim.leaf.multiplier_i.next = u64::from(m.to_bits()).into();
            sim.leaf.zero_point_i.next = zp.into();
            sim.leaf.lo_i.next = lo.into();
            sim.leaf.hi_i.next = hi.into();
            (0..LATENCY).for_each(|_| sim.tick());
            assert_eq!(sim.leaf.y_o.val().to_i64(), reference(acc, 0, m, zp, lo, hi), "{acc} times {m:e}");
        }
    }

    #[test]
    fn equals_its_verilog() {
        let mut set = (0, 0, 1.0f32);
        Cosim::new("requant").cycles(40_000).run_with(Requant::default, move |rng, port| match port {
            "acc_i" => {
                set = stimulus(rng);
                Some(u64::from(set.0 as u32))
            }
            "bias_i" => Some(u64::from(set.1 as u32)),
            "multiplier_i" => Some(u64::from(set.2.to_bits())),
            _ => None,
        });
    }

    #[test]
    fn every_tool_accepts_it() {
        let design = Design::new([module(&Requant::default())]);
        assert_eq!(crate::tools::lint(&design, "koch_requant"), Ok(()));
    }
}

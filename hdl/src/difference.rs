//! `koch_difference`: an operand of a reduction by channel.

use crate::prelude::*;

macro_rules! difference {
    ($name:ident, $bits:tt, $out:tt) => {
        leaf! {
            /// An operand's difference from the zero point. Outside the map it is one that does not count.
            $name = "koch_difference" (clock), latency "One cycle.", for config;
            in {
                enable: Bit,
                raw: Bits<$bits>,
                /// The operand is in the map.
                inside: Bit,
                /// The largest operand counts, not the sum.
                largest: Bit,
                x_signed: Bit,
                x_zero: Bits<17>,
            }
            out {
                operand: Bits<$out>,
            }
            reg {
                difference: Bits<$out>,
            }
            wire {
                wide: Bits<$out>,
            }
            const {
                least: Bits<$out> = 1u64 << $bits,
            }
        }

        impl Logic for $name {
            #[hdl_gen]
            fn update(&mut self) {
                dff_setup!(self, clock, difference);
                self.wide.next = bit_cast::<$out, $bits>(self.raw.val());
                if self.x_signed.val() & self.raw.val().get_bit($bits - 1) {
                    self.wide.next = bit_cast::<$out, $bits>(self.raw.val()) | self.least.val();
                }
                if self.enable.val() {
                    self.difference.d.next = self.wide.val() - bit_cast::<$out, 17>(self.x_zero.val());
                    if !self.inside.val() {
                        self.difference.d.next = 0.into();
                        if self.largest.val() {
                            self.difference.d.next = self.least.val();
                        }
                    }
                }
                self.operand.next = self.difference.q.val();
            }
        }
    };
}

difference!(Difference8, 8, 9);
difference!(Difference16, 16, 17);

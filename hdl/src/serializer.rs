//! `koch_serializer`.

use crate::prelude::*;

macro_rules! serializer {
    ($name:ident, $bits:tt, $word:tt, $out:tt) => {
        leaf! {
            /// Shifts a word of operands out, one a cycle, as differences from the zero point.
            $name = "koch_serializer" (clock), latency "The first operand leaves two cycles after load.", for config;
            in {
                load: Bit,
                word: Bits<$word>,
                x_signed: Bit,
                x_zero: Bits<17>,
            }
            out {
                operand: Bits<$out>,
            }
            reg {
                held: Bits<$word>,
                difference: Bits<$out>,
            }
            wire {
                raw: Bits<$out>,
            }
            const {
                sign: Bits<$out> = 1u64 << $bits,
            }
        }

        impl Logic for $name {
            #[hdl_gen]
            fn update(&mut self) {
                dff_setup!(self, clock, held, difference);
                self.held.d.next = self.held.q.val() >> $bits;
                if self.load.val() {
                    self.held.d.next = self.word.val();
                }
                self.raw.next = bit_cast::<$out, $word>(self.held.q.val() & ((1 << $bits) - 1));
                if self.x_signed.val() & self.held.q.val().get_bit($bits - 1) {
                    self.raw.next =
                        bit_cast::<$out, $word>(self.held.q.val() & ((1 << $bits) - 1)) | self.sign.val();
                }
                self.difference.d.next = self.raw.val() - bit_cast::<$out, 17>(self.x_zero.val());
                self.operand.next = self.difference.q.val();
            }
        }
    };
}

serializer!(Serializer8, 8, 128, 9);
serializer!(Serializer16, 16, 256, 17);

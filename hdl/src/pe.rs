//! `koch_pe`: one multiplier and accumulator of the array.

use crate::prelude::*;

macro_rules! pe {
    ($name:ident, $act:tt, $weight:tt, $product:tt) => {
        leaf! {
            /// Processing element: multiplies in one cycle, adds in the next. A finished sum moves to a shadow
            /// register that drains along the column while the next sum grows. By channel, activations come from
            /// above, and weights pass at half their speed.
            $name = "koch_pe" (clock), latency "operands pass in one cycle, weights by channel in two; their product is in the sum after two.", for config;
            in {
                /// The product counts: a cycle after its operands.
                valid: Bit,
                /// It is the first of a sum.
                first: Bit,
                /// It counts and is the last of a sum, or, if `late`, did and was in the cycle before.
                take: Bit,
                /// A finished sum moves on a cycle later (a constant).
                late: Bit,
                /// Reduction by channel: the activation is the one from above. Changes only between sums.
                depth: Bit,
                /// The largest product in place of the sum, for products of `$act` bits. Changes only between sums.
                largest: Bit,
                /// Activation from the left less its zero point, signed.
                act: Bits<$act>,
                /// The same from above.
                above: Bits<$act>,
                /// Weight, signed.
                weight: Bits<$weight>,
                /// Moves the finished sums one place on.
                shift: Bit,
                /// The finished sum of the neighbour.
                chain: Bits<32>,
            }
            out {
                /// The activation, to the right and down.
                act_next: Bits<$act>,
                weight_next: Bits<$weight>,
                /// The finished sum.
                sum: Bits<32>,
            }
            reg {
                passed: Bits<$act>,
                down: Bits<$weight>,
                slow: Bits<$weight>,
                product: Bits<$product>,
                acc: Bits<32>,
                result: Bits<32>,
            }
            wire {
                operand: Bits<$act>,
                factor_a: Signed<$product>,
                factor_b: Signed<$product>,
                wide: Bits<32>,
                newer: Signed<$act>,
                older: Signed<$act>,
                larger: Bit,
                acc_next: Bits<32>,
            }
            const {}
        }

        impl Logic for $name {
            #[hdl_gen]
            fn update(&mut self) {
                dff_setup!(self, clock, passed, down, slow, product, acc, result);

                self.operand.next = self.act.val();
                self.down.d.next = self.weight.val();
                self.weight_next.next = self.down.q.val();
                if self.depth.val() {
                    self.operand.next = self.above.val();
                    self.slow.d.next = self.down.q.val();
                    self.weight_next.next = self.slow.q.val();
                }
                self.passed.d.next = self.operand.val();
                self.act_next.next = self.passed.q.val();

                // One cycle: the product.
                self.factor_a.next = bit_cast_signed::<$product, $act>(signed_cast(self.operand.val()));
                self.factor_b.next = bit_cast_signed::<$product, $weight>(signed_cast(self.weight.val()));
                self.product.d.next = unsigned_cast(self.factor_a.val() * self.factor_b.val());

                // The next: the sum, or the larger of the two, which need no more bits than an operand.
                self.wide.next = unsigned_cast(bit_cast_signed::<32, $product>(signed_cast(self.product.q.val())));
                self.newer.next = signed_cast(bit_cast::<$act, $product>(self.product.q.val()));
                self.older.next = signed_cast(bit_cast::<$act, 32>(self.acc.q.val()));
                self.larger.next = self.newer.val() > self.older.val();
                self.acc_next.next = self.acc.q.val() + self.wide.val();
                if self.first.val() {
                    self.acc_next.next = self.wide.val();
                } else if self.largest.val() {
                    self.acc_next.next = self.acc.q.val();
                    if self.larger.val() {
                        self.acc_next.next = self.wide.val();
                    }
                }
                if self.valid.val() {
                    self.acc.d.next = self.acc_next.val();
                }
                if self.shift.val() {
                    self.result.d.next = self.chain.val();
                }
                if self.take.val() {
                    self.result.d.next = self.acc_next.val();
                    if self.late.val() {
                        self.result.d.next = self.acc.q.val();
                    }
                }
                self.sum.next = self.result.q.val();
            }
        }
    };
}

pe!(Pe8, 9, 8, 17);
pe!(Pe16, 17, 16, 33);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leaf::{Sim, module};
    use crate::tools::lint;
    use crate::verilog::Design;

    fn tiny() -> spec::Config {
        spec::Config::named("tiny").expect("a named config")
    }

    #[test]
    fn equals_its_verilog() {
        crate::cosim::Cosim::new("pe16").cycles(20_000).run(|| Pe16::new(&tiny()));
        crate::cosim::Cosim::new("pe").cycles(20_000).run(|| Pe8::new(&tiny()));
    }

    #[test]
    fn every_tool_accepts_it() {
        let design = Design::new([module(&Pe8::new(&tiny()))]);
        assert_eq!(lint(&design, "koch_pe"), Ok(()));
    }

    #[test]
    fn sums_products_and_shifts_them_out() {
        let mut sim = Sim::new(Pe8::new(&tiny()));
        let terms = [(-255i64, 127i64), (255, -128), (3, 5)];
        for (n, (a, w)) in terms.iter().enumerate() {
            sim.leaf.valid.next = n > 0;
            sim.leaf.first.next = n == 1;
            sim.leaf.act.next = unsigned_cast((*a).into());
            sim.leaf.weight.next = unsigned_cast((*w).into());
            sim.tick();
        }
        sim.leaf.take.next = true;
        sim.tick();
        sim.leaf.valid.next = false;
        sim.leaf.take.next = false;
        let sum: i64 = terms.iter().map(|(a, w)| a * w).sum();
        assert_eq!(signed_cast(sim.leaf.sum.val()).to_i64(), sum);
        sim.leaf.shift.next = true;
        sim.leaf.chain.next = 77.into();
        sim.tick();
        assert_eq!(sim.leaf.sum.val(), 77);
    }
}

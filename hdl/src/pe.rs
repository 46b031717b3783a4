//! `koch_pe`: one multiplier and accumulator of the array.

use crate::prelude::*;

macro_rules! pe {
    ($name:ident, $act:tt, $weight:tt, $product:tt) => {
        leaf! {
            /// Processing element: multiplies in one cycle, adds in the next. A finished sum stays in a register while
            /// the next one grows from zero.
            $name = "koch_pe" (clock no_reset), latency "operands pass in one cycle; their product is in the sum after two.", for config;
            in {
                /// The product counts: a cycle after its operands.
                valid: Bit,
                /// It is the last of a sum. Without `valid`, clears the sum.
                take: Bit,
                /// Activation from the left less its zero point, signed.
                act: Bits<$act>,
                /// Weight, signed.
                weight: Bits<$weight>,
            }
            out {
                act_next: Bits<$act>,
                weight_next: Bits<$weight>,
                /// The finished sum.
                sum: Bits<32>,
            }
            reg {
                passed: Bits<$act>,
                down: Bits<$weight>,
                product: Bits<$product>,
                acc: Bits<32>,
                result: Bits<32>,
            }
            wire {
                factor_a: Signed<$product>,
                factor_b: Signed<$product>,
                acc_next: Bits<32>,
            }
            const {}
        }

        impl Logic for $name {
            #[hdl_gen]
            fn update(&mut self) {
                dff_setup!(self, clock, passed, down, product, acc, result);

                self.passed.d.next = self.act.val();
                self.act_next.next = self.passed.q.val();
                self.down.d.next = self.weight.val();
                self.weight_next.next = self.down.q.val();

                // One cycle: the product.
                self.factor_a.next = bit_cast_signed::<$product, $act>(signed_cast(self.act.val()));
                self.factor_b.next = bit_cast_signed::<$product, $weight>(signed_cast(self.weight.val()));
                self.product.d.next = unsigned_cast(self.factor_a.val() * self.factor_b.val());

                // The next: the sum.
                self.acc_next.next = self.acc.q.val()
                    + unsigned_cast(bit_cast_signed::<32, $product>(signed_cast(self.product.q.val())));
                if self.valid.val() {
                    self.acc.d.next = self.acc_next.val();
                }
                if self.take.val() {
                    self.acc.d.next = 0.into();
                    self.result.d.next = self.acc_next.val();
                }
                self.sum.next = self.result.q.val();
            }
        }
    };
}

macro_rules! depth_pe {
    ($name:ident, $act:tt, $weight:tt, $product:tt) => {
        leaf! {
            /// Processing element: multiplies in one cycle, adds in the next. A finished sum stays in a register while
            /// the next one grows from zero. By channel, activations come from above, and weights pass at half their
            /// speed.
            $name = "koch_pe" (clock no_reset), latency "operands pass in one cycle, weights by channel in two; their product is in the sum after two.", for config;
            in {
                /// The product counts: a cycle after its operands.
                valid: Bit,
                /// It is the last of a sum. Without `valid`, clears the sum.
                take: Bit,
                /// Reduction by channel: the activation is the one from above. Changes only between sums.
                depth: Bit,
                /// The sum is the largest activation, from the least that there is; weights are zero. Changes only
                /// between sums.
                largest: Bit,
                /// Activation from the left less its zero point, signed.
                act: Bits<$act>,
                /// The same from above.
                above: Bits<$act>,
                /// Weight, signed.
                weight: Bits<$weight>,
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
                newer: Bits<$act>,
                acc_next: Bits<32>,
            }
            const {
                sign: Bits<$act> = 1u64 << $weight,
            }
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

                // The next: the sum, to which products of zero add nothing, or the activation's distance from the least
                // one, if it is larger.
                self.newer.next = self.passed.q.val() ^ self.sign.val();
                self.acc_next.next = self.acc.q.val()
                    + unsigned_cast(bit_cast_signed::<32, $product>(signed_cast(self.product.q.val())));
                if self.largest.val() & (self.newer.val() > bit_cast::<$act, 32>(self.acc.q.val())) {
                    self.acc_next.next = bit_cast::<32, $act>(self.newer.val());
                }
                if self.valid.val() {
                    self.acc.d.next = self.acc_next.val();
                }
                if self.take.val() {
                    self.acc.d.next = 0.into();
                    self.result.d.next = self.acc_next.val();
                }
                self.sum.next = self.result.q.val();
            }
        }
    };
}

pe!(Pe8, 9, 8, 17);
pe!(Pe16, 17, 16, 33);
depth_pe!(DepthPe8, 9, 8, 17);
depth_pe!(DepthPe16, 17, 16, 33);

/// The element of `config`'s array.
pub fn module(config: &spec::Config) -> crate::verilog::Module {
    match (config.by_channel, config.operand_bits) {
        (false, 8) => crate::leaf::module(&Pe8::new(config)),
        (false, _) => crate::leaf::module(&Pe16::new(config)),
        (true, 8) => crate::leaf::module(&DepthPe8::new(config)),
        (true, _) => crate::leaf::module(&DepthPe16::new(config)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leaf::{self, Sim};
    use crate::tools::lint;
    use crate::verilog::Design;

    fn tiny() -> spec::Config {
        spec::Config::named("tiny").expect("a named config")
    }

    #[test]
    fn equals_its_verilog() {
        crate::cosim::Cosim::new("pe").cycles(20_000).run(|| Pe8::new(&tiny()));
        crate::cosim::Cosim::new("pe16").cycles(20_000).run(|| Pe16::new(&tiny()));
        crate::cosim::Cosim::new("depth_pe").cycles(20_000).run(|| DepthPe8::new(&tiny()));
        crate::cosim::Cosim::new("depth_pe16").cycles(20_000).run(|| DepthPe16::new(&tiny()));
    }

    #[test]
    fn every_tool_accepts_it() {
        for leaf in [leaf::module(&Pe8::new(&tiny())), leaf::module(&DepthPe8::new(&tiny()))] {
            assert_eq!(lint(&Design::new([leaf]), "koch_pe"), Ok(()));
        }
    }

    #[test]
    fn sums_products_and_keeps_them() {
        let mut sim = Sim::new(Pe8::new(&tiny()));
        let terms = [(-255i64, 127i64), (255, -128), (3, 5)];
        for (n, (a, w)) in terms.iter().enumerate() {
            sim.leaf.valid.next = n > 0;
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
        // The next sum grows without changing it.
        sim.leaf.valid.next = true;
        sim.tick();
        assert_eq!(signed_cast(sim.leaf.sum.val()).to_i64(), sum);
    }

    #[test]
    fn the_largest_activation_counts_from_the_least() {
        let mut sim = Sim::new(DepthPe8::new(&tiny()));
        sim.leaf.depth.next = true;
        sim.leaf.largest.next = true;
        // Two sums of two, the second of the least activations that there are.
        for (n, above) in [-3i64, 7, -256, -256, 0].into_iter().enumerate() {
            sim.leaf.valid.next = n > 0;
            sim.leaf.take.next = n == 2 || n == 4;
            sim.leaf.above.next = unsigned_cast(above.into());
            sim.tick();
            if n == 2 || n == 4 {
                assert_eq!(sim.leaf.sum.val(), if n == 2 { 7 + 256 } else { 0 });
            }
        }
    }
}

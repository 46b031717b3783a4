//! `koch_pe`: one multiplier and accumulator of the array.

use crate::prelude::*;

/// Multiplies in one cycle, adds in the next; a finished sum moves to a shadow register that drains down the
/// column while the next sum grows.
#[derive(LogicBlock, Default)]
pub struct Pe {
    /// The clock.
    pub clock: Signal<In, Clock>,
    /// The operands count.
    pub valid_i: Signal<In, Bit>,
    /// First product of a sum.
    pub first_i: Signal<In, Bit>,
    /// Last product of a sum.
    pub last_i: Signal<In, Bit>,
    /// Activation less its zero point, signed.
    pub act_i: Signal<In, Bits<9>>,
    /// Weight, signed.
    pub weight_i: Signal<In, Bits<8>>,
    /// Moves the finished sums one place on.
    pub shift_en_i: Signal<In, Bit>,
    /// The finished sum of the neighbour.
    pub chain_i: Signal<In, Bits<32>>,
    /// The activation, one cycle later.
    pub act_o: Signal<Out, Bits<9>>,
    /// The weight, one cycle later.
    pub weight_o: Signal<Out, Bits<8>>,
    /// The finished sum.
    pub sum_o: Signal<Out, Bits<32>>,

    act: DFF<Bits<9>>,
    weight: DFF<Bits<8>>,
    product: DFF<Bits<17>>,
    valid: DFF<Bit>,
    first: DFF<Bit>,
    last: DFF<Bit>,
    acc: DFF<Bits<32>>,
    result: DFF<Bits<32>>,

    factor_a: Signal<Local, Signed<17>>,
    factor_b: Signal<Local, Signed<17>>,
    wide: Signal<Local, Signed<32>>,
    addend: Signal<Local, Bits<32>>,
    acc_next: Signal<Local, Bits<32>>,
}

impl Logic for Pe {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, act, weight, product, valid, first, last, acc, result);

        self.act.d.next = self.act_i.val();
        self.weight.d.next = self.weight_i.val();
        self.act_o.next = self.act.q.val();
        self.weight_o.next = self.weight.q.val();

        // One cycle: the product.
        self.factor_a.next = bit_cast_signed::<17, 9>(signed_cast(self.act_i.val()));
        self.factor_b.next = bit_cast_signed::<17, 8>(signed_cast(self.weight_i.val()));
        self.product.d.next = unsigned_cast(self.factor_a.val() * self.factor_b.val());
        self.valid.d.next = self.valid_i.val();
        self.first.d.next = self.first_i.val();
        self.last.d.next = self.last_i.val();

        // The next: the sum.
        self.wide.next = bit_cast_signed::<32, 17>(signed_cast(self.product.q.val()));
        self.addend.next = self.acc.q.val();
        if self.first.q.val() {
            self.addend.next = 0.into();
        }
        self.acc_next.next = self.addend.val() + unsigned_cast(self.wide.val());
        if self.valid.q.val() {
            self.acc.d.next = self.acc_next.val();
        }
        if self.valid.q.val() & self.last.q.val() {
            self.result.d.next = self.acc_next.val();
        } else if self.shift_en_i.val() {
            self.result.d.next = self.chain_i.val();
        }
        self.sum_o.next = self.result.q.val();
    }
}

impl Leaf for Pe {
    fn name(&self) -> String {
        "koch_pe".into()
    }
    fn doc(&self) -> LeafDoc {
        LeafDoc::new(
            "Processing element: 9 x 8 bit signed multiplier, 32-bit accumulator, result shift register.",
            "operands pass in 1 cycle; a product is in the accumulator after 2.",
        )
    }
    leaf_inputs!(clock; valid_i, first_i, last_i, act_i, weight_i, shift_en_i, chain_i);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leaf::{Sim, module};
    use crate::tools::lint;
    use crate::verilog::Design;

    #[test]
    fn equals_its_verilog() {
        crate::cosim::Cosim::new("pe").cycles(20_000).run(Pe::default);
    }

    #[test]
    fn every_tool_accepts_it() {
        let design = Design::new([module(&Pe::default())]);
        assert_eq!(lint(&design, "koch_pe"), Ok(()));
    }

    #[test]
    fn sums_products_and_shifts_them_out() {
        let mut sim = Sim::new(Pe::default());
        let terms = [(-255i64, 127i64), (255, -128), (3, 5)];
        for (n, (a, w)) in terms.iter().enumerate() {
            sim.leaf.valid_i.next = true;
            sim.leaf.first_i.next = n == 0;
            sim.leaf.last_i.next = n + 1 == terms.len();
            sim.leaf.act_i.next = unsigned_cast((*a).into());
            sim.leaf.weight_i.next = unsigned_cast((*w).into());
            sim.tick();
        }
        sim.leaf.valid_i.next = false;
        sim.tick();
        let sum: i64 = terms.iter().map(|(a, w)| a * w).sum();
        assert_eq!(signed_cast(sim.leaf.sum_o.val()).to_i64(), sum);
        sim.leaf.shift_en_i.next = true;
        sim.leaf.chain_i.next = 77.into();
        sim.tick();
        assert_eq!(sim.leaf.sum_o.val(), 77);
    }
}

//! `koch_post`.

use crate::leaf;
use crate::verilog::*;
use crate::{
    fused, fused::Fused, post_operands, post_operands::PostOperands, post_result, post_result::PostResult,
};
use spec::Config;

/// Cycles from a requantised output and its second operand to the final output.
pub const LATENCY: usize =
    post_operands::LATENCY + 2 * fused::LATENCY - fused::LATE_ADDEND + post_result::LATENCY + 1;
/// Cycles from what the second fused operation multiplies to when it is wanted.
const WAIT: u32 = (fused::LATENCY - fused::LATE_ADDEND) as u32;

/// The setting, which the lanes share: nets of `koch_post_setup` by port.
pub const SETTING: [(&str, u32); 13] = [
    ("used", 1),
    ("multiply", 1),
    ("table", 1),
    ("signed", 1),
    ("swap", 1),
    ("a_zero", 9),
    ("b_zero", 9),
    ("y_zero", 17),
    ("y_min", 17),
    ("y_max", 17),
    ("factor1", 32),
    ("factor2", 32),
    ("addend", 32),
];

/// The lane, and the modules that it is made of.
pub fn modules(config: &Config) -> [Module; 4] {
    let (operands, fused, result) = (PostOperands::new(config), Fused::new(config), PostResult::new(config));
    [leaf::module(&operands), leaf::module(&fused), leaf::module(&result), lane()]
}

fn lane() -> Module {
    let mut m = Module::new(
        "koch_post",
        "Post lane: a requantised output and a second operand are added or multiplied as ONNX Runtime does, then \
         looked up in a table of 256 operands.",
    );
    m.note(format!("Latency: {LATENCY} cycles, one result per cycle. The setting is constant."));
    m.clocked();
    m.input("valid_i", 1).input("requantised_i", 17).input("second_i", 8);
    for (name, width) in SETTING {
        m.input(format!("{name}_i"), width);
    }
    m.input("table_write_i", 1).input("table_index_i", 4).input("table_data_i", 128).output("operand_o", 8);
    let float = |m: &mut Module, name: &str| {
        m.logic(format!("{name}_negative"), 1)
            .logic(format!("{name}_place"), 8)
            .logic(format!("{name}_significand"), 24);
    };
    m.comment("What the fused operations multiply.");
    for (name, width) in [("valid1", 1), ("negative1", 1), ("n1", 18), ("place1", 8)] {
        m.logic(name, width);
    }
    for (name, width) in [("negative2", 1), ("n2", 9), ("place2", 8)] {
        m.logic(name, width).logic(format!("{name}_late"), width);
    }
    m.logic("valid2", 1).logic("valid1_done", 1).logic("valid2_done", 1);
    m.comment("Results of the fused operations.");
    float(&mut m, "inner");
    float(&mut m, "outer");
    m.comment("The table, and the operand in front of it.");
    m.logic_array("entries", 128, 16);
    m.logic("result", 8).logic("row", 128);
    m.blank();

    let exponent = |word: &str| id(word).range(30, 23);
    // Of a normal number; zero has none.
    let significand = |word: &str| cat([exponent(word).any(), id(word).range(22, 0)]);
    let clocked = || [("clk_i", id("clk_i")), ("rst_ni", id("rst_ni"))];
    m.inst(
        "koch_post_operands",
        "u_operands",
        [],
        clocked().into_iter().chain([
            ("valid_i", id("valid_i")),
            ("requantised_i", id("requantised_i").range(8, 0)),
            ("second_i", id("second_i")),
            ("used_i", id("used_i")),
            ("signed_i", id("signed_i")),
            ("swap_i", id("swap_i")),
            ("multiply_i", id("multiply_i")),
            ("a_zero_i", id("a_zero_i")),
            ("b_zero_i", id("b_zero_i")),
            ("factor1_place_i", exponent("factor1_i")),
            ("factor2_place_i", exponent("factor2_i")),
            ("valid_next_o", id("valid1")),
            ("negative1_o", id("negative1")),
            ("n1_o", id("n1")),
            ("place1_o", id("place1")),
            ("negative2_o", id("negative2")),
            ("n2_o", id("n2")),
            ("place2_o", id("place2")),
        ]),
    );
    m.inst(
        "koch_fused",
        "u_inner",
        [],
        clocked().into_iter().chain([
            ("valid_i", id("valid1")),
            ("negative_i", id("negative1")),
            ("n_i", id("n1")),
            ("place_i", id("place1")),
            ("factor_i", significand("factor1_i")),
            ("addend_negative_i", id("addend_i").at(31)),
            ("addend_place_i", exponent("addend_i")),
            ("addend_i", significand("addend_i")),
            ("valid_next_o", id("valid1_done")),
            ("sum_negative_o", id("inner_negative")),
            ("sum_place_o", id("inner_place")),
            ("sum_o", id("inner_significand")),
        ]),
    );
    m.inst(
        "koch_delay",
        "u_late",
        [("Width", Expr::from(19)), ("Depth", Expr::from(WAIT))],
        clocked().into_iter().chain([
            ("data_i", cat(["valid1", "negative2", "n2", "place2"].map(id))),
            ("data_o", cat(["valid2", "negative2_late", "n2_late", "place2_late"].map(id))),
        ]),
    );
    m.inst(
        "koch_fused",
        "u_outer",
        [],
        clocked().into_iter().chain([
            ("valid_i", id("valid2")),
            ("negative_i", id("negative2_late") ^ id("factor2_i").at(31)),
            ("n_i", cat([id("n2_late"), lit(9, 0)])),
            ("place_i", id("place2_late")),
            ("factor_i", significand("factor2_i")),
            ("addend_negative_i", id("inner_negative")),
            ("addend_place_i", id("inner_place")),
            ("addend_i", id("inner_significand")),
            ("valid_next_o", id("valid2_done")),
            ("sum_negative_o", id("outer_negative")),
            ("sum_place_o", id("outer_place")),
            ("sum_o", id("outer_significand")),
        ]),
    );
    m.inst(
        "koch_post_result",
        "u_result",
        [],
        clocked().into_iter().chain([
            ("valid_i", id("valid2_done")),
            ("negative_i", id("outer_negative")),
            ("place_i", id("outer_place")),
            ("significand_i", id("outer_significand")),
            ("y_zero_i", id("y_zero_i")),
            ("y_min_i", id("y_min_i")),
            ("y_max_i", id("y_max_i")),
            ("operand_o", id("result")),
        ]),
    );
    m.assign("row", id("entries").at(id("result").range(7, 4)));
    m.ff_no_reset([
        when("table_write_i", [set_nb(id("entries").at("table_index_i"), "table_data_i")]),
        set_nb(
            "operand_o",
            mux("table_i", id("row").part(cat([id("result").range(3, 0), lit(3, 0)]), 8), "result"),
        ),
    ]);
    m.unused("sign", [id("requantised_i").range(16, 9), id("factor1_i").at(31), id("valid1_done")]);
    m
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cosim::{Cosim, Rng};
    use crate::leaf::{Leaf, Sim};
    use crate::post_setup::PostSetup;
    use spec::isa;
    use spec::post::Post;
    use std::collections::VecDeque;

    fn config() -> Config {
        Config::named("tiny").expect("a named config")
    }

    /// The lane in front of its table, on rust-hdl's simulator.
    struct Lane {
        operands: Sim<PostOperands>,
        inner: Sim<Fused>,
        outer: Sim<Fused>,
        result: Sim<PostResult>,
        late: VecDeque<(bool, bool, u64, u64)>,
    }

    impl Lane {
        fn new() -> Self {
            let config = config();
            Self {
                operands: Sim::new(PostOperands::new(&config)),
                inner: Sim::new(Fused::new(&config)),
                outer: Sim::new(Fused::new(&config)),
                result: Sim::new(PostResult::new(&config)),
                late: VecDeque::from([(false, false, 0, 0); WAIT as usize]),
            }
        }

        /// Sets what the instruction sets, when the lane is empty.
        fn set(&mut self, setup: &mut Sim<PostSetup>, i: &isa::Post) {
            let s = &mut setup.leaf;
            let zero = |x: i32| u64::from(x as u32 & 0x1_ffff).into();
            let word = |x: u32| u64::from(x).into();
            s.post.next = true;
            s.post_op.next = u64::from(i.op).into();
            (s.post_signed.next, s.post_swap.next) = (i.signed, i.swap);
            (s.post_a_zero.next, s.post_b_zero.next) = (zero(i.a_zero), zero(i.b_zero));
            (s.post_y_zero.next, s.post_y_min.next, s.post_y_max.next) =
                (zero(i.y_zero), zero(i.y_min), zero(i.y_max));
            (s.post_a_scale.next, s.post_b_scale.next, s.post_offset.next) =
                (word(i.a_scale), word(i.b_scale), word(i.offset));
            setup.tick();
            let s = &setup.leaf;
            let place = |x: u64| (x >> 23 & 0xff).into();
            let significand = |x: u64| (x & 0x7f_ffff | u64::from(x >> 23 & 0xff != 0) << 23).into();
            let o = &mut self.operands.leaf;
            (o.used.next, o.signed.next) = (s.conf_used.val(), s.conf_signed.val());
            (o.swap.next, o.multiply.next) = (s.conf_swap.val(), s.conf_multiply.val());
            (o.a_zero.next, o.b_zero.next) = (s.conf_a_zero.val(), s.conf_b_zero.val());
            let [factor1, factor2, addend] =
                [&s.conf_factor1, &s.conf_factor2, &s.conf_addend].map(|x| x.val().to_u64());
            (o.factor1_place.next, o.factor2_place.next) = (place(factor1), place(factor2));
            self.inner.leaf.factor.next = significand(factor1);
            self.inner.leaf.addend_negative.next = addend >> 31 != 0;
            self.inner.leaf.addend_place.next = place(addend);
            self.inner.leaf.addend.next = significand(addend);
            self.outer.leaf.factor.next = significand(factor2);
            self.outer.leaf.negative.next = factor2 >> 31 != 0;
            let r = &mut self.result.leaf;
            r.y_zero.next = crate::bits::signed_cast(s.conf_y_zero.val());
            r.y_min.next = crate::bits::signed_cast(s.conf_y_min.val());
            r.y_max.next = crate::bits::signed_cast(s.conf_y_max.val());
        }

        /// One cycle; the operand in front of the table.
        fn tick(&mut self, setup: &Sim<PostSetup>, pair: Option<(i32, i32)>) -> u8 {
            let (operands, inner) = (&mut self.operands.leaf, &mut self.inner.leaf);
            let (outer, result) = (&mut self.outer.leaf, &mut self.result.leaf);
            operands.valid.next = pair.is_some();
            let (output, second) = pair.unwrap_or_default();
            operands.requantised.next = u64::from(output as u32 & 0x1ff).into();
            operands.second.next = u64::from(second as u8).into();
            inner.valid.next = operands.valid_next.val();
            inner.negative.next = operands.negative1.val();
            (inner.n.next, inner.place.next) = (operands.n1.val(), operands.place1.val());
            self.late.push_back((
                operands.valid_next.val(),
                operands.negative2.val(),
                operands.n2.val().to_u64(),
                operands.place2.val().to_u64(),
            ));
            let (valid, negative, n, place) = self.late.pop_front().expect("pairs wait");
            outer.valid.next = valid;
            outer.negative.next = negative ^ (setup.leaf.conf_factor2.val().get_bit(31));
            (outer.n.next, outer.place.next) = ((n << 9).into(), place.into());
            outer.addend_negative.next = inner.sum_negative.val();
            (outer.addend_place.next, outer.addend.next) = (inner.sum_place.val(), inner.sum.val());
            result.valid.next = outer.valid_next.val();
            result.negative.next = outer.sum_negative.val();
            (result.place.next, result.significand.next) = (outer.sum_place.val(), outer.sum.val());
            self.operands.tick();
            self.inner.tick();
            self.outer.tick();
            self.result.tick();
            self.result.leaf.operand.val().to_u64() as u8
        }
    }

    /// A legal exponent, mostly near `near`, and a fraction of few or many bits, as an f32.
    fn float(rng: &mut Rng, near: i64) -> u32 {
        let exponent = match rng.below(8) {
            0 => rng.below(128) as i64 - 64,
            _ => near + rng.below(20) as i64 - 14,
        };
        let fraction = rng.bits() & [0, 0x70_0000, 0x7f_fff0, 0x7f_ffff][rng.below(4) as usize];
        (((exponent.clamp(-64, 63) + 127) as u64) << 23 | fraction) as u32
    }

    fn instruction(rng: &mut Rng) -> isa::Post {
        let near = rng.below(16) as i64 - 11;
        let zero = |rng: &mut Rng| rng.below(384) as i32 - 128;
        let offset = float(rng, near + 7) | (rng.below(2) << 31) as u32;
        isa::Post {
            op: [0, 1, 1, 1, 1, 2, 2, 2][rng.below(8) as usize],
            signed: rng.chance(50),
            swap: rng.chance(50),
            a_zero: zero(rng),
            b_zero: zero(rng),
            y_zero: zero(rng),
            y_min: if rng.chance(50) { -128 } else { 0 },
            y_max: if rng.chance(50) { 255 } else { 127 },
            a_scale: float(rng, near),
            b_scale: float(rng, near),
            offset: if rng.chance(20) { 0 } else { offset },
            ..isa::Post::default()
        }
    }

    /// Results of the lane equal the definition.
    fn compare(settings: usize, pairs: usize, seed: u64) {
        let mut rng = Rng::new(seed);
        let mut lane = Lane::new();
        let mut setup = Sim::new(PostSetup::new(&config()));
        for _ in 0..settings {
            let mut i = instruction(&mut rng);
            if i.op == 0 {
                i.table = true;
            }
            assert_eq!(isa::Instruction::Post(i).fault(&config(), &isa::Setup::default()), None, "{i:?}");
            let post = Post::from_instruction(&i);
            lane.set(&mut setup, &i);
            let mut expected = VecDeque::new();
            for k in 0..pairs + LATENCY {
                let output = rng.below(384) as i32 - 128;
                let second = rng.below(256) as i32 - if i.signed { 128 } else { 0 };
                let pair = (k < pairs).then_some((output, second));
                expected.push_back(pair);
                let got = lane.tick(&setup, pair);
                // The table takes another cycle.
                if expected.len() == LATENCY - 1
                    && let Some((output, second)) = expected.pop_front().flatten()
                {
                    let want = post.apply(output, second) as u8;
                    assert_eq!(got, want, "{output} {second} {i:?}");
                }
            }
        }
    }

    #[test]
    fn computes_as_defined() {
        compare(3_000, 64, 1);
    }

    #[test]
    #[ignore = "millions of values: minutes"]
    fn computes_as_defined_long() {
        compare(100_000, 64, 2);
    }

    #[test]
    fn leaves_equal_their_verilog() {
        fn cosim<L: Leaf>(name: &str, leaf: fn(&Config) -> L) {
            Cosim::new(name).cycles(20_000).run_with(
                || leaf(&config()),
                |rng, port| match port {
                    "valid_i" | "used_i" => Some(u64::from(rng.chance(90))),
                    "post_op_i" => Some(rng.below(3)),
                    "quant_i" | "post_i" | "clear_i" => Some(u64::from(rng.chance(10))),
                    // Places that are near each other, and near 1.
                    p if p.contains("place") => Some([0, 100 + rng.below(50)][usize::from(rng.chance(90))]),
                    _ => None,
                },
            );
        }
        cosim("post_operands", PostOperands::new);
        cosim("fused", Fused::new);
        cosim("post_result", PostResult::new);
        cosim("post_setup", PostSetup::new);
    }

    #[test]
    fn every_tool_accepts_it() {
        let mut design = Design::new(modules(&config()));
        design.add(crate::delay::module());
        assert_eq!(crate::tools::lint(&design, "koch_post"), Ok(()));
    }
}

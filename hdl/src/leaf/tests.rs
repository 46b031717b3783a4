//! What the translation must reject, and that the comparison sees a difference.

use super::try_module;
use crate::cosim::Cosim;
use crate::prelude::*;

const STEP: u64 = 3;

macro_rules! leaf_with {
    ($name:ident, $step:expr, $update:item) => {
        #[derive(LogicBlock, Default)]
        struct $name {
            clock: Signal<In, Clock>,
            a: Signal<In, Bits<8>>,
            s: Signal<In, Signed<8>>,
            y: Signal<Out, Bits<8>>,
            z: Signal<Out, Signed<16>>,
            t: Signal<Local, Bits<8>>,
            r: DFF<Bits<8>>,
        }
        impl Logic for $name {
            $update
        }
        impl Leaf for $name {
            fn name(&self) -> String {
                "leaf".into()
            }
            fn doc(&self) -> LeafDoc {
                LeafDoc::new("A test.", "one cycle.")
            }
            fn consts(&self) -> Vec<(&'static str, u64)> {
                vec![("STEP", $step)]
            }
            leaf_inputs!(clock; a, s);
        }
    };
}

macro_rules! rejects {
    ($test:ident, $want:literal, $update:item) => {
        #[test]
        fn $test() {
            leaf_with!(Rejected, STEP, $update);
            let messages = try_module(&Rejected::default()).expect_err("a mistake").messages;
            assert!(messages.iter().any(|m| m.contains($want)), "{messages:#?}");
        }
    };
}

rejects!(
    latch,
    "`y_o` is not assigned on every path",
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, r);
        self.z.next = bit_cast_signed::<16, 8>(self.s.val());
        self.t.next = self.a.val();
        if self.a.val() == 3 {
            self.y.next = self.a.val();
        }
    }
);

rejects!(
    read_where_not_assigned,
    "`t` is read before it is assigned",
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, r);
        self.z.next = bit_cast_signed::<16, 8>(self.s.val());
        self.y.next = self.a.val();
        if self.a.val() == 3 {
            self.t.next = self.a.val();
        }
        self.r.d.next = self.t.val();
    }
);

rejects!(
    early_read,
    "`t` is read before it is assigned",
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, r);
        self.z.next = bit_cast_signed::<16, 8>(self.s.val());
        self.y.next = self.t.val();
        self.t.next = self.a.val();
    }
);

rejects!(
    read_of_d,
    "`r_d` is read",
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, r);
        self.z.next = bit_cast_signed::<16, 8>(self.s.val());
        self.t.next = self.a.val();
        self.y.next = self.r.d.val();
    }
);

rejects!(
    register_without_clock,
    "register `r` is missing from dff_setup!",
    #[hdl_gen]
    fn update(&mut self) {
        self.r.d.next = self.a.val();
        self.z.next = bit_cast_signed::<16, 8>(self.s.val());
        self.t.next = self.a.val();
        self.y.next = self.r.q.val();
    }
);

rejects!(
    literal_too_large,
    "literal 256 does not fit 8 bits",
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, r);
        self.z.next = bit_cast_signed::<16, 8>(self.s.val());
        self.t.next = self.a.val() + 256;
        self.y.next = self.t.val();
    }
);

rejects!(
    constant_of_nobody,
    "neither a field nor listed in consts()",
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, r);
        self.z.next = bit_cast_signed::<16, 8>(self.s.val());
        self.t.next = self.a.val() + OTHER;
        self.y.next = self.t.val();
    }
);
const OTHER: u64 = 1;

rejects!(
    field_beyond_the_end,
    "bits 6 to 9 of 8",
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, r);
        self.z.next = bit_cast_signed::<16, 8>(self.s.val());
        self.t.next = bit_cast::<8, 4>(self.a.val().get_bits::<4>(6));
        self.y.next = self.t.val();
    }
);

macro_rules! good {
    ($name:ident, $step:expr) => {
        leaf_with!(
            $name,
            $step,
            #[hdl_gen]
            fn update(&mut self) {
                dff_setup!(self, clock, r);
                self.z.next = bit_cast_signed::<16, 8>(self.s.val()) * bit_cast_signed::<16, 8>(self.s.val());
                self.t.next = self.a.val() + STEP;
                self.r.d.next = self.t.val();
                self.y.next = self.r.q.val();
            }
        );
    };
}

#[test]
fn products_of_the_most_negative_number() {
    good!(Good, STEP);
    Cosim::new("leaf_good").cycles(2000).run_with(Good::default, |rng, port| match port {
        "s_i" if rng.chance(30) => Some(0x80),
        _ => None,
    });
}

#[test]
#[should_panic(expected = "rust-hdl")]
fn the_comparison_sees_a_difference() {
    good!(Wrong, STEP + 1);
    Cosim::new("leaf_wrong").cycles(100).run(Wrong::default);
}

//! A leaf that holds every construct leaves may use; the translation's regression test and a pattern to copy.

use crate::prelude::*;

#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
enum State {
    Idle,
    Run,
    Wait,
}

#[derive(Copy, Clone, Debug, PartialEq, Default, LogicStruct)]
struct Entry {
    tag: Bits<4>,
    last: Bit,
    address: Bits<20>,
}

/// A width through Rust's names.
const STEP: u64 = 3;

#[derive(LogicBlock)]
struct Idioms<const W: usize> {
    pub clock: Signal<In, Clock>,
    pub go_i: Signal<In, Bit>,
    pub a_i: Signal<In, Bits<W>>,
    pub b_i: Signal<In, Bits<W>>,
    pub amount_i: Signal<In, Bits<5>>,
    pub place_i: Signal<In, Bits<3>>,
    pub byte_i: Signal<In, Bits<8>>,
    pub instr_i: Signal<In, Bits<256>>,
    pub x_i: Signal<In, Signed<9>>,
    pub y_i: Signal<In, Signed<9>>,
    pub lane_i: Vec<Signal<In, Bits<8>>>,

    pub count_o: Signal<Out, Bits<16>>,
    pub busy_o: Signal<Out, Bit>,
    pub sum_o: Signal<Out, Bits<W>>,
    pub shifted_o: Signal<Out, Bits<W>>,
    pub joined_o: Signal<Out, Bits<24>>,
    pub bit_o: Signal<Out, Bit>,
    pub flags_o: Signal<Out, Bits<8>>,
    pub min_o: Signal<Out, Signed<9>>,
    pub product_o: Signal<Out, Signed<18>>,
    pub scaled_o: Signal<Out, Signed<18>>,
    pub fields_o: Signal<Out, Bits<32>>,
    pub zeros_o: Signal<Out, Bits<4>>,
    pub entry_o: Signal<Out, Bits<25>>,
    pub total_o: Signal<Out, Bits<12>>,
    pub wide_o: Signal<Out, Bits<256>>,

    state: DFF<State>,
    count: DFF<Bits<16>>,
    entry: DFF<Entry>,
    held: DFF<Bits<256>>,
    pipe: Vec<DFF<Bits<12>>>,
    seen: DFF<Bits<8>>,

    limit: Constant<Bits<16>>,
    bias: Constant<Signed<9>>,

    carry: Signal<Local, Bits<W>>,
    op: Signal<Local, Bits<8>>,
    wide_x: Signal<Local, Signed<18>>,
    wide_y: Signal<Local, Signed<18>>,
    product: Signal<Local, Signed<18>>,
    zeros: Signal<Local, Bits<4>>,

    _lanes: usize,
}

impl<const W: usize> Idioms<W> {
    /// `lanes` byte inputs; counts up to `limit`.
    fn new(lanes: usize, limit: u64) -> Self {
        Idioms {
            limit: Constant::new(limit.into()),
            bias: Constant::new((-5).into()),
            count: DFF::new(7.into()),
            lane_i: (0..lanes).map(|_| Default::default()).collect(),
            pipe: (0..lanes).map(|_| Default::default()).collect(),
            _lanes: lanes,
            clock: Default::default(),
            go_i: Default::default(),
            a_i: Default::default(),
            b_i: Default::default(),
            amount_i: Default::default(),
            place_i: Default::default(),
            byte_i: Default::default(),
            instr_i: Default::default(),
            x_i: Default::default(),
            y_i: Default::default(),
            count_o: Default::default(),
            busy_o: Default::default(),
            sum_o: Default::default(),
            shifted_o: Default::default(),
            joined_o: Default::default(),
            bit_o: Default::default(),
            flags_o: Default::default(),
            min_o: Default::default(),
            product_o: Default::default(),
            scaled_o: Default::default(),
            fields_o: Default::default(),
            zeros_o: Default::default(),
            entry_o: Default::default(),
            total_o: Default::default(),
            wide_o: Default::default(),
            state: Default::default(),
            entry: Default::default(),
            held: Default::default(),
            seen: Default::default(),
            carry: Default::default(),
            op: Default::default(),
            wide_x: Default::default(),
            wide_y: Default::default(),
            product: Default::default(),
            zeros: Default::default(),
        }
    }
}

impl<const W: usize> Logic for Idioms<W> {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, state, count, entry, held, seen);
        // Registers in a Vec.
        for i in 0..self._lanes {
            self.pipe[i].clock.next = self.clock.val();
        }

        // A state machine; constants from the constructor.
        self.busy_o.next = true;
        match self.state.q.val() {
            State::Idle => {
                self.busy_o.next = false;
                if self.go_i.val() {
                    self.state.d.next = State::Run;
                    self.count.d.next = 0.into();
                    self.held.d.next = self.instr_i.val();
                }
            }
            State::Run => {
                if self.count.q.val() == self.limit.val() {
                    self.state.d.next = State::Wait;
                } else if self.count.q.val().get_bit(3) && self.go_i.val() {
                    self.count.d.next = self.count.q.val() + STEP;
                } else {
                    self.count.d.next = self.count.q.val() + 1;
                }
            }
            _ => {
                if !self.go_i.val() {
                    self.state.d.next = State::Idle;
                }
            }
        }
        self.count_o.next = self.count.q.val();

        // Arithmetic of one width; a literal takes the width of its neighbour.
        self.carry.next = self.a_i.val() + self.b_i.val();
        self.sum_o.next = (self.carry.val() - 1) ^ (self.a_i.val() & self.b_i.val()) | 4;
        self.shifted_o.next = (self.a_i.val() << self.amount_i.val()) | (self.b_i.val() >> 2);

        // Bits of wide values, by constant and by variable place.
        self.op.next = self.instr_i.val().get_bits::<8>(248);
        self.joined_o.next = (bit_cast::<24, 8>(self.op.val()) << 16)
            | (bit_cast::<24, 4>(self.instr_i.val().get_bits::<4>(17)) << 10)
            | bit_cast::<24, 8>(self.byte_i.val());
        self.bit_o.next = self.byte_i.val().get_bit(self.place_i.val().index())
            ^ self.a_i.val().get_bit(self.amount_i.val().index())
            ^ self.instr_i.val().get_bit(200);
        self.fields_o.next = bit_cast::<32, 12>((self.held.q.val() >> self.amount_i.val()).get_bits::<12>(3))
            + bit_cast::<32, 8>(self.held.q.val().get_bits::<8>(self.place_i.val().index()));
        self.wide_o.next = (self.held.q.val() << 8) | bit_cast::<256, 8>(self.byte_i.val());

        // Single bits, set one by one or through a mask.
        self.flags_o.next = 0.into();
        self.flags_o.next = self.flags_o.val().replace_bit(0, self.a_i.val() < self.b_i.val());
        self.flags_o.next = self.flags_o.val().replace_bit(1, self.byte_i.val() >= 100);
        self.flags_o.next = self.flags_o.val().replace_bit(2, self.byte_i.val().any());
        self.flags_o.next = self.flags_o.val().replace_bit(3, self.byte_i.val().all());
        self.flags_o.next = self.flags_o.val().replace_bit(4, self.byte_i.val().xor());
        self.flags_o.next = self.flags_o.val().replace_bit(5, self.x_i.val() < self.y_i.val());
        self.flags_o.next = self.flags_o.val().replace_bit(6, (self.a_i.val() + self.b_i.val()).get_bit(2));
        self.seen.d.next = self.seen.q.val().replace_bit(self.place_i.val().index(), self.go_i.val());
        if self.seen.q.val() == 0xff {
            self.seen.d.next = bits::<8>(1) << self.place_i.val();
            self.flags_o.next = self.flags_o.val().replace_bit(7, true);
        }

        // Signed numbers: widen, multiply, shift, compare.
        self.min_o.next = self.y_i.val();
        if self.x_i.val() <= self.y_i.val() {
            self.min_o.next = self.x_i.val() + self.bias.val();
        }
        self.wide_x.next = bit_cast_signed::<18, 9>(self.x_i.val());
        self.wide_y.next = bit_cast_signed::<18, 9>(self.y_i.val());
        self.product.next = self.wide_x.val() * self.wide_y.val();
        self.product_o.next = -self.product.val();
        self.scaled_o.next = (self.product.val() >> self.amount_i.val())
            + bit_cast_signed::<18, 9>(signed_cast(bit_cast::<9, 18>(unsigned_cast(self.product.val()))));

        // A loop over bits: the number of leading zeros.
        self.zeros.next = 8.into();
        for i in 0..8 {
            if self.byte_i.val().get_bit(i) {
                self.zeros.next = (7 - i).to_bits();
            }
        }
        self.zeros_o.next = self.zeros.val();

        // A struct in a register.
        if self.go_i.val() {
            self.entry.d.next.tag = self.byte_i.val().get_bits::<4>(0);
            self.entry.d.next.last = self.byte_i.val().get_bit(7);
            self.entry.d.next.address = self.instr_i.val().get_bits::<20>(64);
        }
        self.entry_o.next = (bit_cast::<25, 20>(self.entry.q.val().address) << 5)
            | (bit_cast::<25, 1>(bits_of_bool::<1>(self.entry.q.val().last)) << 4)
            | bit_cast::<25, 4>(self.entry.q.val().tag);

        // A chain over Vecs.
        for i in 0..self._lanes {
            if i == 0 {
                self.pipe[i].d.next = self.lane_i[i].to_bits::<12>();
            } else {
                self.pipe[i].d.next = self.pipe[i - 1].q.val() + self.lane_i[i].to_bits::<12>();
            }
        }
        self.total_o.next = self.pipe[self._lanes - 1].q.val();
    }
}

impl<const W: usize> Leaf for Idioms<W> {
    fn name(&self) -> String {
        "idioms".into()
    }
    fn doc(&self) -> LeafDoc {
        LeafDoc::new("Every construct that leaves may use.", "one cycle.").note("Not part of any design.")
    }
    fn consts(&self) -> Vec<(&'static str, u64)> {
        vec![("STEP", STEP), ("_lanes", self._lanes as u64)]
    }
    leaf_inputs!(clock; go_i, a_i, b_i, amount_i, place_i, byte_i, instr_i, x_i, y_i, lane_i[]);
}

#[test]
fn equals_its_verilog() {
    crate::cosim::Cosim::new("idioms").cycles(20_000).run(|| Idioms::<13>::new(3, 21));
}

#[test]
fn every_tool_accepts_it() {
    let leaf = crate::leaf::module(&Idioms::<13>::new(3, 21));
    assert_eq!(crate::tools::lint(&crate::verilog::Design::new([leaf]), "idioms"), Ok(()));
}

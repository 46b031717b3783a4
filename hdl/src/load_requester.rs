//! `koch_load_requester`.

use crate::prelude::*;

/// Where the requester is.
#[derive(Copy, Clone, PartialEq, Debug, LogicState)]
pub enum Request {
    /// Waits for an instruction and its tokens.
    Idle,
    /// Works out the next burst.
    Prepare,
    /// Asks for it.
    Ask,
}

leaf! {
    /// The first half of the load engine: takes an instruction when its tokens are there, hands it to the writer,
    /// and asks for its bursts.
    LoadRequester = "koch_load_requester" (clock), latency "Two cycles from an instruction to its first request.", for config;
    in {
        clear: Bit,
        halt: Bit,
        /// An instruction is at the head of the queue.
        valid: Bit,
        pop_prev: Bits<8>,
        pop_next: Bits<8>,
        runs: Bits<16>,
        store_tokens: Bits<16>,
        compute_tokens: Bits<16>,
        window_full: Bit,
        request_ready: Bit,
        burst_last: Bit,
    }
    out {
        /// Takes the instruction: pops its tokens, starts the runs, hands it to the writer.
        pop: Bit,
        prepare: Bit,
        request_valid: Bit,
        idle: Bit,
        /// Nothing can happen here unless an instruction or a token comes.
        quiet: Bit,
    }
    reg {
        state: Request,
        /// The instruction at the head of the queue is the one of the last cycle, and its tokens were there.
        served: Bit,
    }
    wire {
        enough: Bit,
        can_take: Bit,
    }
    const {}
}

impl Logic for LoadRequester {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, state, served);
        self.enough.next = (self.store_tokens.val() >= bit_cast::<16, 8>(self.pop_prev.val()))
            & (self.compute_tokens.val() >= bit_cast::<16, 8>(self.pop_next.val()));
        self.can_take.next = self.served.q.val() & !self.window_full.val() & !self.halt.val();
        self.served.d.next = self.valid.val() & self.enough.val();
        self.pop.next = false;
        self.prepare.next = false;
        self.request_valid.next = false;
        match self.state.q.val() {
            Request::Idle => {
                self.pop.next = self.can_take.val();
                if self.can_take.val() {
                    self.served.d.next = false;
                }
                if self.can_take.val() & (self.runs.val() != 0) {
                    self.state.d.next = Request::Prepare;
                }
            }
            Request::Prepare => {
                self.prepare.next = true;
                self.state.d.next = Request::Ask;
            }
            Request::Ask => {
                self.request_valid.next = true;
                if self.request_ready.val() {
                    self.state.d.next = Request::Prepare;
                    if self.burst_last.val() {
                        self.state.d.next = Request::Idle;
                    }
                }
            }
            _ => {}
        }
        if self.clear.val() {
            self.state.d.next = Request::Idle;
            self.served.d.next = false;
        }
        self.idle.next = self.state.q.val() == Request::Idle;
        self.quiet.next = (self.state.q.val() == Request::Idle) & (!self.valid.val() | !self.enough.val());
    }
}

//! `koch_control`.

use crate::prelude::*;
use spec::Status;

leaf! {
    /// Starts and ends a run: busy from the cycle after start until everything is quiet, or until the bus and
    /// the array are idle after an error. The first error gives the status.
    Control = "koch_control" (clock), latency "Busy rises one cycle after start, falls one cycle after quiet.", for config;
    in {
        start: Bit,
        fetch_status: Bits<4>,
        read_fail: Bit,
        write_fail: Bit,
        token_overflow: Bit,
        /// Nothing can happen any more.
        quiet: Bit,
        /// The program has ended and every queue is empty.
        finished: Bit,
        /// No burst is outstanding, and no tile is on its way.
        drained: Bit,
        /// Clear the done bit.
        acknowledge: Bit,
    }
    out {
        clear: Bit,
        busy: Bit,
        done: Bit,
        halt: Bit,
        status: Bits<4>,
    }
    reg {
        running: Bit,
        halted: Bit,
        finish: Bit,
        code: Bits<4>,
    }
    wire {
        launch: Bit,
        error: Bits<4>,
    }
    const {
        read_error: Bits<4> = Status::ReadError as u64,
        write_error: Bits<4> = Status::WriteError as u64,
        overflow: Bits<4> = Status::TokenOverflow as u64,
        deadlock: Bits<4> = Status::Deadlock as u64,
    }
}

impl Logic for Control {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, running, halted, finish, code);
        self.launch.next = self.start.val() & !self.running.q.val();
        self.error.next = self.fetch_status.val();
        if self.read_fail.val() {
            self.error.next = self.read_error.val();
        } else if self.write_fail.val() {
            self.error.next = self.write_error.val();
        } else if self.token_overflow.val() {
            self.error.next = self.overflow.val();
        }
        if self.acknowledge.val() {
            self.finish.d.next = false;
        }
        if self.running.q.val() {
            if self.halted.q.val() {
                if self.drained.val() {
                    self.running.d.next = false;
                    self.finish.d.next = true;
                }
            } else if self.error.val() != 0 {
                self.halted.d.next = true;
                self.code.d.next = self.error.val();
            } else if self.quiet.val() {
                self.running.d.next = false;
                self.finish.d.next = true;
                if !self.finished.val() {
                    self.code.d.next = self.deadlock.val();
                }
            }
        }
        if self.launch.val() {
            self.running.d.next = true;
            self.halted.d.next = false;
            self.finish.d.next = false;
            self.code.d.next = 0.into();
        }
        self.clear.next = self.launch.val();
        self.busy.next = self.running.q.val();
        self.done.next = self.finish.q.val();
        self.halt.next = self.halted.q.val();
        self.status.next = self.code.q.val();
    }
}

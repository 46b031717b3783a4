//! `koch_control`.

use crate::prelude::*;
use spec::{Status, timing::FLUSH};

leaf! {
    /// Starts and ends a run: busy from the cycle after start until everything is quiet. The first error gives the
    /// status; after it, busy until the bus is idle, and for as long as all engines are held in their first state until
    /// nothing of the run is in any pipeline.
    Control = "koch_control" (clock), latency "Busy rises two cycles after start, falls one cycle after quiet.", for config;
    in {
        start: Bit,
        /// Fetch found an error in the last cycle, and which.
        fetch_refused: Bit,
        fetch_status: Bits<4>,
        read_fail: Bit,
        write_fail: Bit,
        token_overflow: Bit,
        /// Cycles of the run, and after how many of them it ends if it is not over; 0: none.
        cycles: Bits<32>,
        limit: Bits<32>,
        /// Nothing can happen any more.
        quiet: Bit,
        /// The program has ended and every queue is empty.
        finished: Bit,
        /// No burst is outstanding.
        drained: Bit,
        /// Clear the done bit.
        acknowledge: Bit,
    }
    out {
        /// A run starts.
        clear: Bit,
        /// So it does, or it was stopped: for the engines, but not for the bus.
        flush: Bit,
        busy: Bit,
        done: Bit,
        halt: Bit,
        status: Bits<4>,
    }
    reg {
        begin: Bit,
        /// The other errors of the last cycle; none of these: time is over.
        read_failed: Bit,
        write_failed: Bit,
        overflowed: Bit,
        running: Bit,
        /// In the last cycle nothing could happen any more.
        settled: Bit,
        halted: Bit,
        finish: Bit,
        code: Bits<4>,
        /// Cycles since the error, at most FLUSH - 1.
        held: Bits<8>,
    }
    wire {
        launch: Bit,
        stopped: Bit,
        expires: Bit,
        error: Bit,
    }
    const {
        read_error: Bits<4> = Status::ReadError as u64,
        write_error: Bits<4> = Status::WriteError as u64,
        overflow: Bits<4> = Status::TokenOverflow as u64,
        deadlock: Bits<4> = Status::Deadlock as u64,
        timeout: Bits<4> = Status::Timeout as u64,
        last: Bits<8> = u64::from(FLUSH - 1),
    }
}

impl Logic for Control {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            begin,
            read_failed,
            write_failed,
            overflowed,
            running,
            settled,
            halted,
            finish,
            code,
            held
        );
        // A start while busy is none, in the last cycle too.
        self.begin.d.next = self.start.val() & !self.running.q.val();
        self.launch.next = self.begin.q.val() & !self.running.q.val();
        // An error halts in the next cycle, in which it is told which it was.
        self.stopped.next = self.halted.q.val() | self.fetch_refused.val();
        self.expires.next = self.limit.val().any() & (self.cycles.val() == self.limit.val());
        self.error.next =
            self.read_fail.val() | self.write_fail.val() | self.token_overflow.val() | self.expires.val();
        self.read_failed.d.next = self.read_fail.val();
        self.write_failed.d.next = self.write_fail.val();
        self.overflowed.d.next = self.token_overflow.val();
        self.settled.d.next = self.quiet.val() & self.running.q.val();
        if self.acknowledge.val() {
            self.finish.d.next = false;
        }
        if self.running.q.val() {
            if self.stopped.val() {
                self.halted.d.next = true;
                if self.code.q.val() == 0 {
                    if self.read_failed.q.val() {
                        self.code.d.next = self.read_error.val();
                    } else if self.write_failed.q.val() {
                        self.code.d.next = self.write_error.val();
                    } else if self.overflowed.q.val() {
                        self.code.d.next = self.overflow.val();
                    } else if self.fetch_refused.val() {
                        self.code.d.next = self.fetch_status.val();
                    } else {
                        self.code.d.next = self.timeout.val();
                    }
                }
                if self.held.q.val() != self.last.val() {
                    self.held.d.next = self.held.q.val() + 1;
                } else if self.drained.val() {
                    self.running.d.next = false;
                    self.finish.d.next = true;
                }
            } else {
                if self.error.val() {
                    self.halted.d.next = true;
                }
                // Fetch that refuses, and a bus that fails, are not quiet in that cycle.
                if self.settled.q.val() & !self.token_overflow.val() & !self.expires.val() {
                    self.running.d.next = false;
                    self.finish.d.next = true;
                    if !self.finished.val() {
                        self.code.d.next = self.deadlock.val();
                    }
                }
            }
        }
        if self.launch.val() {
            self.running.d.next = true;
            self.halted.d.next = false;
            self.finish.d.next = false;
            self.code.d.next = 0.into();
            self.held.d.next = 0.into();
        }
        self.clear.next = self.launch.val();
        self.flush.next = self.launch.val() | self.stopped.val();
        self.busy.next = self.running.q.val();
        self.done.next = self.finish.q.val();
        self.halt.next = self.stopped.val();
        self.status.next = self.code.q.val();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leaf::Sim;

    #[test]
    fn a_start_in_the_last_busy_cycle_is_none() {
        let config = spec::Config::named("tiny").expect("a named config");
        let mut sim = Sim::new(Control::new(&config));
        for start in [true, false] {
            sim.leaf.start.next = start;
            sim.tick();
        }
        assert!(sim.leaf.busy.val());
        sim.leaf.quiet.next = true;
        sim.leaf.finished.next = true;
        sim.leaf.start.next = false;
        sim.tick();
        for start in [true, false, false] {
            sim.leaf.start.next = start;
            sim.tick();
            assert!(!sim.leaf.busy.val() & sim.leaf.done.val());
        }
    }
}

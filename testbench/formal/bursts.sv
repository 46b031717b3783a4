// The bursts that are asked for. These modules are an induction each: in the first cycle every register holds anything
// that the invariants allow, in the second the invariants must hold again. Registers inside are seen by their names.

// koch_runs: every burst is one that AXI4 allows, and bursts cover the runs byte for byte, in order.
module runs_check #(
  parameter int Bus = 32,
  parameter int Beats = 16
) (
  input logic        clk,
  input logic        start, prepare,
  input logic [31:0] address,
  input logic [23:0] run_bytes, run_pitch,
  input logic [15:0] runs
);
  localparam int Bytes = Bus / 8;
  logic second = 0;
  always @(posedge clk) second <= 1;

  logic [31:0] burst_address;
  logic [7:0] burst_beats;
  logic [12:0] bytes_q;
  logic burst_last, whole_q, prepared_q;
  logic [31:0] at_q, begin_q;
  logic [23:0] left_q, size_q, pitch_q;
  logic [15:0] count_q;
  koch_runs dut (
    .clk_i(clk), .rst_ni(1'b1), .start_i(start), .address_i(address), .run_bytes_i(run_bytes), .runs_i(runs),
    .run_pitch_i(run_pitch), .prepare_i(prepare), .burst_address_o(burst_address),
    .burst_beats_o(burst_beats), .burst_last_o(burst_last), .bytes_q(bytes_q), .whole_q(whole_q), .prepared_q(prepared_q),
    .at_q(at_q), .begin_q(begin_q), .left_q(left_q), .size_q(size_q), .pitch_q(pitch_q), .count_q(count_q)
  );

  // Runs have been given, and not all has been worked out. A burst that was worked out in the last cycle is checked in this
  // one, and is shown until the next.
  logic begun, stays;
  logic [31:0] shown_address;
  logic [7:0] shown_beats;
  logic shown_last;
  always @(posedge clk) begin
    stays <= !prepare;
    {shown_address, shown_beats, shown_last} <= {burst_address, burst_beats, burst_last};
  end
  // Where the next byte is, what is left of its run, where the run began; runs to go.
  logic [31:0] next, first;
  logic [23:0] left, size, pitch;
  logic [15:0] to_go;
  wire run_over = left == bytes_q;
  wire [31:0] lane = at_q & (Bytes - 1);
  always @(posedge clk)
    if (start) begin
      begun <= runs != 0 && run_bytes != 0;
      next <= address;
      first <= address;
      left <= run_bytes;
      size <= run_bytes;
      pitch <= run_pitch;
      to_go <= runs;
    end else if (prepared_q) begin
      begun <= begun && !burst_last;
      next <= run_over ? first + {8'd0, pitch} : next + {19'd0, bytes_q};
      first <= run_over ? first + {8'd0, pitch} : first;
      left <= run_over ? size : left - {11'd0, bytes_q};
      to_go <= to_go - 16'(run_over);
    end

  wire allowed = burst_beats != 0 && burst_beats <= Beats && (burst_address & (Bytes - 1)) == 0
    && {20'd0, burst_address[11:0]} + (32'(burst_beats) << $clog2(Bytes)) <= 4096;
  // All of the first beat and the last is wanted but what lies before the run's first byte and behind its last.
  wire fits = bytes_q != 0 && bytes_q <= left && burst_address + lane == next
    && lane + 32'(bytes_q) <= (32'(burst_beats) << $clog2(Bytes))
    && lane + 32'(bytes_q) + Bytes > (32'(burst_beats) << $clog2(Bytes))
    && whole_q == (left == bytes_q);
  wire last = burst_last == (to_go == 1 && left == bytes_q);
  wire same = at_q == next && begin_q == first && left_q == left && size_q == size && pitch_q == pitch && count_q == to_go;
  wire some = left != 0 && size != 0 && to_go != 0;
  always @* begin
    assume (!prepare || (begun && !prepared_q && !start));
    assume (second || !begun || (some && same && (!prepared_q || (allowed && fits && last))));
  end
  always @* if (second) begin
    burst_allowed: assert (!begun || !prepared_q || allowed);
    burst_fits: assert (!begun || !prepared_q || fits);
    covers_runs: assert (!begun || (some && same));
    last_is_last: assert (!begun || !prepared_q || last);
    burst_stays: assert (!stays
      || (burst_address == shown_address && burst_beats == shown_beats && burst_last == shown_last));
  end
endmodule

// koch_fetch: its requests are such bursts, and read the program once, in order.
module fetch_check #(
  parameter int Bus = 32,
  parameter int Beats = 16,
  parameter int Batch = 2
) (
  input logic        clk,
  input logic        clear, busy, halt, ready, beat, load_full, compute_full, store_full,
  input logic [3:0]  opcode, fault,
  input logic [31:0] new_program, new_instructions
);
  localparam int Bytes = Bus / 8;
  logic second = 0;
  always @(posedge clk) second <= 1;
  // As docs/registers.md has it, these are not written while busy.
  logic [31:0] held_program, held_instructions;
  always @(posedge clk) {held_program, held_instructions} <= {program, instructions};
  wire [31:0] program = clear ? new_program : held_program;
  wire [31:0] instructions = clear ? new_instructions : held_instructions;
  logic valid;
  logic [31:0] address, next_q, left_q;
  logic more_q, last_q;
  logic [7:0] beats;
  koch_fetch dut (
    .clk_i(clk), .rst_ni(1'b1), .clear_i(clear), .busy_i(busy), .halt_i(halt), .program_i(program),
    .instructions_i(instructions), .request_ready_i(ready), .beat_i(beat), .opcode_i(opcode), .fault_i(fault),
    .load_full_i(load_full), .compute_full_i(compute_full), .store_full_i(store_full),
    .request_valid_o(valid), .request_address_o(address), .request_beats_o(beats), .next_q(next_q),
    .left_q(left_q), .more_q(more_q), .last_q(last_q)
  );
  logic [31:0] asked;
  always @(posedge clk)
    if (clear) asked <= 0;
    else if (valid && ready) asked <= asked + ((32'(beats) << $clog2(Bytes)) >> 5);
  wire in_step = asked <= instructions && more_q == (asked < instructions)
    && (!more_q || last_q == (left_q <= Batch))
    && (!more_q || (next_q == program + (asked << 5) && left_q == instructions - asked && (asked & (Batch - 1)) == 0));
  wire allowed = beats != 0 && beats <= Beats && (address & (Bytes - 1)) == 0
    && {20'd0, address[11:0]} + (32'(beats) << $clog2(Bytes)) <= 4096;
  // Until the clear is over, what was given is taken.
  always @* assume (second || clear || in_step);
  always @* if (second && !clear) begin
    asks_in_step: assert (in_step);
    request_allowed: assert (!valid || allowed);
    request_next: assert (!valid || address == program + (asked << 5));
  end
endmodule

// koch_load_requester and koch_store_gatherer use koch_runs as runs_check assumes, and the gatherer the slots in turn. Runs are
// given in every cycle of `idle`, the last time with the pop.
module askers_check (
  input logic clk
);
  logic started = 0;
  always @(posedge clk) started <= 1;
  logic control_flush, requester_idle, requester_pop, requester_prepare, load_runs_burst_last;
  logic gatherer_idle, gatherer_pop, gatherer_prepare, store_runs_burst_last;
  logic gatherer_burst_done, gatherer_slot, sender_slots_full;
  logic requester_request_valid, reads_load_ready;
  logic [239:0] load_queue_data;
  koch dut (
    .clk_i(clk), .rst_ni(started), .control_flush(control_flush), .requester_idle(requester_idle), .requester_pop(requester_pop),
    .requester_prepare(requester_prepare), .load_runs_burst_last(load_runs_burst_last), .gatherer_idle(gatherer_idle),
    .gatherer_pop(gatherer_pop), .gatherer_prepare(gatherer_prepare),
    .store_runs_burst_last(store_runs_burst_last),
    .gatherer_burst_done(gatherer_burst_done), .gatherer_slot(gatherer_slot), .sender_slots_full(sender_slots_full),
    .requester_request_valid(requester_request_valid), .reads_load_ready(reads_load_ready),
    .load_queue_data(load_queue_data)
  );
  wire load_granted = requester_request_valid && reads_load_ready;
  logic load_begun = 0, load_prepared = 0, store_begun = 0, store_prepared = 0, turn = 0;
  always @(posedge clk) begin
    if (!started || control_flush) begin
      load_begun <= 0;
      load_prepared <= 0;
      store_begun <= 0;
      store_prepared <= 0;
      turn <= 0;
    end else begin
      if (requester_pop) {load_begun, load_prepared} <= {load_queue_data[95:80] != 0, 1'b0};
      else if (load_granted) {load_begun, load_prepared} <= {!load_runs_burst_last, 1'b0};
      else if (requester_prepare) load_prepared <= 1;
      if (gatherer_pop) {store_begun, store_prepared} <= 2'b10;
      else if (gatherer_burst_done) {store_begun, store_prepared} <= {!store_runs_burst_last, 1'b0};
      else if (gatherer_prepare) store_prepared <= 1;
      turn <= turn ^ gatherer_burst_done;
    end
  end
  always @* if (started) begin
    load_in_turn: assert ((!requester_idle || !load_begun) && (!requester_pop || requester_idle)
      && (!requester_prepare || (load_begun && !load_prepared)));
    load_asks_a_burst: assert (!requester_request_valid || (load_begun && load_prepared));
    store_in_turn: assert ((!gatherer_idle || !store_begun) && (!gatherer_pop || gatherer_idle)
      && (!gatherer_prepare || (store_begun && !store_prepared)) && (!gatherer_burst_done || (store_begun && store_prepared)));
    slots_in_turn: assert (!gatherer_burst_done || (!sender_slots_full && gatherer_slot == turn));
  end
endmodule

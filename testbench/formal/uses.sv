// How the design uses its queues, its token counters and its bus masters, with the data path and the words of queues cut
// away: they are free.
module uses_check (
  input logic clk
);
  logic started = 0;
  always @(posedge clk) started <= 1;

  logic fetch_load_push, fetch_compute_push, fetch_store_push;
  logic load_queue_full, compute_queue_full, store_queue_full, window_full;
  logic load_queue_valid, compute_queue_valid, store_queue_valid, window_valid;
  logic requester_pop, lister_pop, lister_pop_tokens, gatherer_pop, writer_pop;
  logic [15:0] load_compute_count, compute_load_count, compute_store_count, store_compute_count, store_load_count;
  logic [239:0] load_queue_data;
  logic [255:0] compute_queue_data;
  logic [183:0] store_queue_data;
  logic control_busy, control_halt, control_clear, token_overflow;
  logic [3:0] fetch_status, check_fault;
  koch dut (
    .clk_i(clk), .rst_ni(started),
    .fetch_load_push(fetch_load_push), .fetch_compute_push(fetch_compute_push), .fetch_store_push(fetch_store_push),
    .load_queue_full(load_queue_full), .compute_queue_full(compute_queue_full), .store_queue_full(store_queue_full),
    .window_full(window_full), .load_queue_valid(load_queue_valid), .compute_queue_valid(compute_queue_valid),
    .store_queue_valid(store_queue_valid), .window_valid(window_valid), .requester_pop(requester_pop),
    .lister_pop(lister_pop), .lister_pop_tokens(lister_pop_tokens), .gatherer_pop(gatherer_pop),
    .writer_pop(writer_pop), .load_compute_count(load_compute_count), .compute_load_count(compute_load_count),
    .compute_store_count(compute_store_count), .store_compute_count(store_compute_count),
    .store_load_count(store_load_count), .load_queue_data(load_queue_data),
    .compute_queue_data(compute_queue_data), .store_queue_data(store_queue_data), .control_busy(control_busy),
    .control_halt(control_halt), .control_clear(control_clear), .fetch_status(fetch_status), .check_fault(check_fault),
    .token_overflow(token_overflow)
  );
  logic faulty = 0;
  always @(posedge clk)
    faulty <= started && !control_clear && check_fault != 0 && (fetch_load_push || fetch_compute_push || fetch_store_push);

  // A queue's head stays until it is taken, as queues.sv proves.
  logic load_stays = 0, compute_stays = 0, store_stays = 0;
  logic [239:0] load_head;
  logic [255:0] compute_head;
  logic [183:0] store_head;
  always @(posedge clk) begin
    load_stays <= started && load_queue_valid && !requester_pop;
    compute_stays <= started && compute_queue_valid && !lister_pop;
    store_stays <= started && store_queue_valid && !gatherer_pop;
    load_head <= load_queue_data;
    compute_head <= compute_queue_data;
    store_head <= store_queue_data;
  end
  always @* begin
    assume (!load_stays || load_queue_data == load_head);
    assume (!compute_stays || compute_queue_data == compute_head);
    assume (!store_stays || store_queue_data == store_head);
  end

  always @* if (started) begin
    load_queue_used_well: assert ((!fetch_load_push || !load_queue_full) && (!requester_pop || load_queue_valid));
    compute_queue_used_well: assert ((!fetch_compute_push || !compute_queue_full) && (!lister_pop || compute_queue_valid));
    store_queue_used_well: assert ((!fetch_store_push || !store_queue_full) && (!gatherer_pop || store_queue_valid));
    window_used_well: assert ((!requester_pop || !window_full) && (!writer_pop || window_valid));
    // That tokens are there is seen a cycle before the pop. One too many may come between, which ends the run.
    load_pops_what_is_there: assert (!requester_pop || token_overflow
      || (load_queue_data[11:4] <= store_load_count && load_queue_data[19:12] <= compute_load_count));
    compute_pops_what_is_there: assert (!lister_pop_tokens || token_overflow
      || (compute_queue_data[11:4] <= load_compute_count && compute_queue_data[19:12] <= store_compute_count));
    store_pops_what_is_there: assert (!gatherer_pop || token_overflow
      || store_queue_data[11:4] <= compute_store_count);
    // A refused instruction enters its queue, but from the next cycle on nothing is taken out of one.
    faults_halt: assert (!faulty || control_halt);
    halt_takes_nothing: assert (!control_halt || (!requester_pop && !lister_pop && !gatherer_pop));
    starts_when_idle: assert (!control_clear || !control_busy);
  end
endmodule

// The end of a run: when busy falls, no burst is under way and no more is asked for. `reads_idle` and `sender_idle` mean
// what pins.sv proves of them. When all is quiet nobody pushes, so engines that wait go on
// waiting; and at reset queues are empty.
module ends_check (
  input logic clk
);
  logic started = 0;
  always @(posedge clk) started <= 1;

  logic control_busy, control_halt, control_clear, reads_idle, sender_idle, quiet;
  logic fetch_request_valid, requester_request_valid, reads_fetch_ready, reads_load_ready, gatherer_burst_done;
  logic requester_quiet, gatherer_quiet;
  koch dut (
    .clk_i(clk), .rst_ni(started), .control_busy(control_busy), .control_halt(control_halt),
    .control_clear(control_clear), .reads_idle(reads_idle), .sender_idle(sender_idle), .quiet(quiet),
    .fetch_request_valid(fetch_request_valid), .requester_request_valid(requester_request_valid),
    .reads_fetch_ready(reads_fetch_ready), .reads_load_ready(reads_load_ready),
    .gatherer_burst_done(gatherer_burst_done), .requester_quiet(requester_quiet),
    .gatherer_quiet(gatherer_quiet)
  );
  wire asks = (fetch_request_valid && reads_fetch_ready) || (requester_request_valid && reads_load_ready);
  // The masters stay idle unless they are asked, and grant nothing after an error.
  logic reads_rest = 0, sender_rests = 0, begun = 0, over = 1;
  always @(posedge clk) begin
    begun <= started;
    reads_rest <= started && reads_idle && !asks;
    sender_rests <= started && sender_idle && !gatherer_burst_done;
    over <= !started || quiet && control_busy && !control_halt || over && !control_clear;
  end
  always @* begin
    assume (!begun || !reads_rest || reads_idle);
    assume (!begun || !sender_rests || sender_idle);
    assume (begun || (reads_idle && sender_idle));
    assume (!over || (requester_quiet && gatherer_quiet));
    assume (!control_halt || (!reads_fetch_ready && !reads_load_ready));
  end
  always @* if (started) begin
    done_means_idle: assert (control_busy || (reads_idle && sender_idle));
    done_asks_nothing: assert (control_busy || (!asks && !gatherer_burst_done));
  end
endmodule

// The addresses that the array reads: the buffer of a rectangle's operands stays the one of its first.
module operands_check (
  input logic clk
);
  logic started = 0;
  always @(posedge clk) started <= 1;

  logic lister_pop, feeder_read;
  logic [255:0] compute_queue_data;
  logic [23:0] feeder_read_address;
  koch dut (
    .clk_i(clk), .rst_ni(started), .lister_pop(lister_pop), .compute_queue_data(compute_queue_data),
    .feeder_read(feeder_read), .feeder_read_address(feeder_read_address)
  );
  // A rectangle's `in_base` is in a buffer, as koch_check demands: nothing that it refuses is taken.
  always @* assume (!lister_pop || compute_queue_data[3:0] != 4'd4 || compute_queue_data[47:46] != 2'd3);
  always @* if (started) begin
    operand_in_a_buffer: assert (!feeder_read || feeder_read_address[23:22] != 2'd3);
  end
endmodule

// Queues, token counters and the fetch buffer: nothing is lost, duplicated, reordered or made up.

// koch_queue, used as its neighbours use it (see pins.sv): no push when full, no pop when empty.
module queue_check #(
  parameter int Width = 8,
  parameter int Depth = 8
) (
  input logic             clk,
  input logic             clear,
  input logic             push,
  input logic [Width-1:0] data,
  input logic             pop,
  input logic             mark
);
  localparam int Bits = $clog2(Depth) + 1;
  logic started = 0;
  always @(posedge clk) started <= 1;
  logic full, valid, moving;
  logic [Width-1:0] head;
  koch_queue #(.Width(Width), .Depth(Depth)) dut (
    .clk_i(clk), .rst_ni(started), .clear_i(clear), .push_i(push), .data_i(data), .pop_i(pop),
    .full_o(full), .valid_o(valid), .moving_o(moving), .data_o(head)
  );
  always @* begin
    assume (!push || !full);
    assume (!pop || valid);
  end

  // How many words are in it, and one word that is watched: how many are before it.
  logic [Bits-1:0] count = 0;
  logic watched = 0;
  logic [Bits-1:0] before = 0;
  logic [Width-1:0] word;
  // For how many cycles words have been in it without a head.
  logic [1:0] waited = 0;
  always @(posedge clk)
    if (!started || clear) begin
      count <= 0;
      watched <= 0;
      waited <= 0;
    end else begin
      waited <= moving ? waited + 1'b1 : 0;
      count <= count + Bits'(push) - Bits'(pop);
      if (watched && pop) begin
        before <= before - 1'b1;
        if (before == 0) watched <= 0;
      end
      if (!watched && push && mark) begin
        watched <= 1;
        before <= count - Bits'(pop);
        word <= data;
      end
    end
  always @* if (started) begin
    holds_depth: assert (count <= Depth);
    valid_means_some: assert (!valid || count != 0);
    moving_means_no_head: assert (moving == (count != 0 && !valid));
    head_in_time: assert (!moving || waited < 2);
    full_means_depth: assert (full == (count == Depth));
    first_in_first_out: assert (!watched || before != 0 || !valid || head == word);
  end
endmodule

// koch_tokens: pops only what is there (see uses.sv); then it counts pushes less pops and calls the one push that it cannot
// hold. An induction: in the first cycle it holds any number.
module tokens_check (
  input logic       clk,
  input logic       clear,
  input logic       push,
  input logic       pop,
  input logic [7:0] pop_count
);
  logic second = 0;
  always @(posedge clk) second <= 1;
  logic [15:0] count;
  logic overflow, moving;
  koch_tokens dut (
    .clk_i(clk), .rst_ni(1'b1), .clear_i(clear), .push_i(push), .pop_i(pop), .pop_count_i(pop_count),
    .count_o(count), .overflow_o(overflow), .moving_o(moving)
  );
  // A push counts a cycle after it came. An overflow is called in the next cycle; the run ends, and the next one clears.
  logic came, spoilt, due, sound;
  logic [17:0] held;
  wire [17:0] after = held + 18'(came) - (pop ? 18'(pop_count) : 18'd0);
  always @(posedge clk)
    if (clear) begin
      came <= 0;
      held <= 0;
      spoilt <= 0;
      due <= 0;
      sound <= 1;
    end else begin
      came <= push;
      held <= after;
      if (after == 18'h10000) spoilt <= 1;
      due <= after == 18'h10000;
      sound <= !spoilt;
    end
  always @* begin
    assume (!pop || pop_count <= count);
    assume (second || moving == came);
    assume (second || spoilt || {2'd0, count} == held);
  end
  always @* if (second) begin
    counts_tokens: assert (spoilt || {2'd0, count} == held);
    tells_what_moves: assert (moving == came);
    calls_overflow: assert (!sound || overflow == due);
  end
endmodule

// koch_tokens starts with none.
module tokens_start_check (
  input logic       clk,
  input logic       push,
  input logic       pop,
  input logic [7:0] pop_count
);
  logic started = 0, begun = 0;
  always @(posedge clk) begin
    started <= 1;
    begun <= started;
  end
  logic [15:0] count;
  koch_tokens dut (
    .clk_i(clk), .rst_ni(started), .clear_i(1'b0), .push_i(push), .pop_i(pop), .pop_count_i(pop_count),
    .count_o(count)
  );
  always @* if (started && !begun) starts_empty: assert (count == 0);
endmodule

// koch_fetch_buffer: the instruction that is taken out is the beats last written to its places. An induction: in the first
// cycle the beat at any one place is as it was written.
module fetch_buffer_check #(
  parameter int Bus = 32
) (
  input logic                        clk,
  input logic                        write,
  input logic [$clog2(4096/Bus)-1:0] index,
  input logic [Bus-1:0]              data,
  input logic [3:0]                  read
);
  localparam int Bits = $clog2(4096 / Bus);
  // Beats of an instruction are 2^Per.
  localparam int Per = $clog2(256 / Bus);
  logic second = 0;
  always @(posedge clk) second <= 1;
  logic [255:0] instruction, head, head_q;
  koch_fetch_buffer dut (
    .clk_i(clk), .write_i(write), .write_index_i(index), .write_data_i(data), .read_i(1'b1), .read_index_i(read),
    .instruction_o(instruction), .head(head)
  );
  always @(posedge clk) head_q <= head;
  (* anyconst *) logic [Bits-1:0] place;
  logic [Bus-1:0] beat;
  always @(posedge clk) if (write && index == place) beat <= data;
  wire as_written = Bus'(head >> {place[Per-1:0], {$clog2(Bus){1'b0}}}) == beat;
  always @* assume (second || (read == place[Bits-1:Per] && as_written));
  always @* if (second) holds_beats: assert ((read != place[Bits-1:Per] || as_written) && instruction == head_q);
endmodule

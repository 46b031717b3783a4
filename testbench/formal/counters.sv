// The counters, as an induction: whatever they hold, the next cycle they hold what they should.
module counters_check #(
  parameter int BusBytes = 16
) (
  input logic        clk,
  input logic        clear, quant,
  input logic [13:0] events,
  input logic [3:0]  index,
  input logic [15:0] quant_layer
);
  logic second = 0;
  always @(posedge clk) second <= 1;
  logic [47:0] count;
  logic [31:0] cycles;
  logic [15:0] layer, layer_q;
  logic [47:0] cycles_q, busy_q, idle_feed_q, idle_drain_q, idle_load_q, idle_store_q, idle_setup_q, idle_fetch_q,
    idle_tail_q, read_program_q, read_input_q, read_weight_q, read_param_q, written_q;
  koch_counters dut (
    .clk_i(clk), .rst_ni(1'b1), .clear_i(clear), .cycles_i(events[0]), .busy_i(events[1]), .idle_feed_i(events[2]),
    .idle_drain_i(events[3]), .idle_load_i(events[4]), .idle_store_i(events[5]), .idle_setup_i(events[6]),
    .idle_fetch_i(events[7]), .idle_tail_i(events[8]), .read_program_i(events[9]), .read_input_i(events[10]),
    .read_weight_i(events[11]), .read_param_i(events[12]), .written_i(events[13]), .index_i(index), .count_o(count),
    .quant_i(quant), .quant_layer_i(quant_layer), .layer_o(layer), .cycles_o(cycles),
    .cycles_q(cycles_q), .busy_q(busy_q), .idle_feed_q(idle_feed_q), .idle_drain_q(idle_drain_q),
    .idle_load_q(idle_load_q), .idle_store_q(idle_store_q), .idle_setup_q(idle_setup_q), .idle_fetch_q(idle_fetch_q),
    .idle_tail_q(idle_tail_q), .read_program_q(read_program_q), .read_input_q(read_input_q),
    .read_weight_q(read_weight_q), .read_param_q(read_param_q), .written_q(written_q), .layer_q(layer_q)
  );
  wire [14*48-1:0] now = {written_q, read_param_q, read_weight_q, read_input_q, read_program_q, idle_tail_q, idle_fetch_q,
    idle_setup_q, idle_store_q, idle_load_q, idle_drain_q, idle_feed_q, busy_q, cycles_q};
  logic [14*48-1:0] want;
  logic [15:0] want_layer;
  always @(posedge clk) begin
    for (int k = 0; k < 14; k++)
      want[48*k +: 48] <= clear ? 48'd0 : now[48*k +: 48] + (events[k] ? (k < 9 ? 48'd1 : 48'(BusBytes)) : 48'd0);
    want_layer <= clear ? 16'd0 : quant ? quant_layer : layer_q;
  end
  logic [47:0] asked;
  always @* begin
    asked = 48'd0;
    for (int k = 0; k < 14; k++) if (index == k) asked = now[48*k +: 48];
  end
  always @* if (second) begin
    counts_events: assert (now == want);
    keeps_the_layer: assert (layer_q == want_layer);
    tells_what_is_asked: assert (index >= 14 || count == asked);
    tells_cycles: assert (cycles == cycles_q[31:0] && layer == layer_q);
  end
endmodule

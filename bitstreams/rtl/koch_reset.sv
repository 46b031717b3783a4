// Reset of a board: begins at once, ends with the clock and lasts 2^5 cycles more.
// Latency: see above.

`default_nettype none

module koch_reset (
  input  logic clk_i,
  input  logic rst_ni,
  output logic rst_no
);

  logic [5:0] count_q;

  assign rst_no = count_q[5];

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      count_q <= 6'd0;
    end else if (!count_q[5]) begin
      count_q <= count_q + 6'd1;
    end
  end

endmodule

`default_nettype wire

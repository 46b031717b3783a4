// UART transmitter: 8 data bits, no parity, one stop bit.
// Latency: the start bit begins in the cycle after `valid_i` and `ready_o`.

`default_nettype none

module koch_uart_tx #(
  parameter int ClocksPerBit = 16
) (
  input  logic       clk_i,
  input  logic       rst_ni,
  input  logic       valid_i,
  input  logic [7:0] data_i,
  output logic       ready_o,
  output logic       tx_o
);

  localparam int Width = $clog2(ClocksPerBit);
  localparam logic [Width-1:0] Whole = Width'(ClocksPerBit - 1);

  logic [Width-1:0] wait_q;
  logic [3:0] bits_q;
  logic [8:0] line_q;

  assign ready_o = bits_q == 4'd0;
  assign tx_o = line_q[0];

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      wait_q <= '0;
      bits_q <= 4'd0;
      line_q <= '1;
    end else if (bits_q == 4'd0) begin
      if (valid_i) begin
        wait_q <= Whole;
        bits_q <= 4'd10;
        line_q <= {data_i, 1'b0};
      end
    end else if (wait_q != '0) begin
      wait_q <= wait_q - 1'b1;
    end else begin
      wait_q <= Whole;
      bits_q <= bits_q - 4'd1;
      line_q <= {1'b1, line_q[8:1]};
    end
  end

endmodule

`default_nettype wire

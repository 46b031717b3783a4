// UART receiver: 8 data bits, no parity, one stop bit.
// Latency: `valid_o` is high for one cycle in the middle of the stop bit, and two cycles more for the synchroniser.
// A byte without its stop bit is dropped.

`default_nettype none

module koch_uart_rx #(
  parameter int ClocksPerBit = 16
) (
  input  logic       clk_i,
  input  logic       rst_ni,
  input  logic       rx_i,
  output logic       valid_o,
  output logic [7:0] data_o
);

  localparam int Width = $clog2(ClocksPerBit);
  localparam logic [Width-1:0] Whole = Width'(ClocksPerBit - 1);
  localparam logic [Width-1:0] Half = Width'(ClocksPerBit / 2 - 1);

  logic [1:0] line_q;
  logic [Width-1:0] wait_q;
  logic [3:0] bits_q;
  logic [7:0] data_q;
  logic busy_q;
  logic valid_q;

  assign valid_o = valid_q;
  assign data_o = data_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      line_q <= 2'b11;
      wait_q <= '0;
      bits_q <= 4'd0;
      data_q <= 8'd0;
      busy_q <= 1'b0;
      valid_q <= 1'b0;
    end else begin
      line_q <= {line_q[0], rx_i};
      valid_q <= 1'b0;
      if (!busy_q) begin
        bits_q <= 4'd0;
        wait_q <= Half;
        busy_q <= !line_q[1];
      end else if (wait_q != '0) begin
        wait_q <= wait_q - 1'b1;
      end else begin
        wait_q <= Whole;
        bits_q <= bits_q + 4'd1;
        if (bits_q == 4'd0) begin
          // A start bit that is gone by its middle was none.
          busy_q <= !line_q[1];
        end else if (bits_q == 4'd9) begin
          valid_q <= line_q[1];
          busy_q <= 1'b0;
        end else begin
          data_q <= {line_q[1], data_q[7:1]};
        end
      end
    end
  end

endmodule

`default_nettype wire

// Pins of the iCEBreaker: oscillator, user button, USB serial port, green LED.
// Latency: none of its own.

`default_nettype none

module top (
  input  logic clk_i,
  input  logic button_ni,
  input  logic rx_i,
  output logic tx_o,
  output logic led_no
);

  logic clk;
  logic locked;
  logic rst_n;
  logic done;

  koch_clock u_clock (
    .clk_i    (clk_i),
    .clk_o    (clk),
    .locked_o (locked)
  );

  koch_reset u_reset (
    .clk_i  (clk),
    .rst_ni (locked && button_ni),
    .rst_no (rst_n)
  );

  koch_board u_board (
    .clk_i  (clk),
    .rst_ni (rst_n),
    .rx_i   (rx_i),
    .tx_o   (tx_o),
    .done_o (done)
  );

  assign led_no = !done;

endmodule

`default_nettype wire

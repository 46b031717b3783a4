// Pins of the ULX3S: oscillator, button PWR, USB serial port, first LED.
// Latency: none of its own.

`default_nettype none

module top (
  input  logic clk_i,
  input  logic button_ni,
  input  logic rx_i,
  output logic tx_o,
  output logic done_o,
  output logic wifi_gpio0_o
);

  logic clk;
  logic locked;
  logic rst_n;

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
    .done_o (done_o)
  );

  assign wifi_gpio0_o = 1'b1;

endmodule

`default_nettype wire

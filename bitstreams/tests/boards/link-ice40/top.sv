// A board without an accelerator: the link and the memory alone.
// Latency: none of its own.

`default_nettype none

module top (
  input  logic clk_i,
  input  logic rx_i,
  output logic tx_o
);

  logic clk;
  logic locked;
  logic rst_n;
  logic valid;
  logic write;
  logic [31:0] address;
  logic [31:0] wdata;
  logic ready;
  logic answered;
  logic [31:0] rdata;

  koch_clock u_clock (
    .clk_i    (clk_i),
    .clk_o    (clk),
    .locked_o (locked)
  );

  koch_reset u_reset (
    .clk_i  (clk),
    .rst_ni (locked),
    .rst_no (rst_n)
  );

  koch_link #(
    .ClocksPerBit (24),
    .TimeoutBits  (20),
    .MemoryBytes  (131072)
  ) u_link (
    .clk_i            (clk),
    .rst_ni           (rst_n),
    .rx_i             (rx_i),
    .tx_o             (tx_o),
    .memory_valid_o   (valid),
    .memory_write_o   (write),
    .memory_address_o (address),
    .memory_data_o    (wdata),
    .memory_ready_i   (ready),
    .memory_valid_i   (answered),
    .memory_data_i    (rdata),
    .m_axil_awready   (1'b0),
    .m_axil_wready    (1'b0),
    .m_axil_bresp     (2'b00),
    .m_axil_bvalid    (1'b0),
    .m_axil_arready   (1'b0),
    .m_axil_rdata     (32'd0),
    .m_axil_rresp     (2'b00),
    .m_axil_rvalid    (1'b0)
  );

  koch_memory #(
    .Bytes       (4),
    .Words       (32768),
    .Latency     (8),
    .Outstanding (2),
    .Interval    (2),
    .SinglePort  (1'b1)
  ) u_memory (
    .clk_i          (clk),
    .rst_ni         (rst_n),
    .araddr_i       (32'd0),
    .arlen_i        (8'd0),
    .arvalid_i      (1'b0),
    .rready_i       (1'b0),
    .awaddr_i       (32'd0),
    .awlen_i        (8'd0),
    .awvalid_i      (1'b0),
    .wdata_i        (32'd0),
    .wstrb_i        (4'd0),
    .wvalid_i       (1'b0),
    .bready_i       (1'b0),
    .host_valid_i   (valid),
    .host_write_i   (write),
    .host_address_i (address),
    .host_data_i    (wdata),
    .host_ready_o   (ready),
    .host_valid_o   (answered),
    .host_data_o    (rdata)
  );

endmodule

`default_nettype wire

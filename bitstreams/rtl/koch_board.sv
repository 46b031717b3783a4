// The accelerator, its memory on chip, and a UART for a host; a board's top adds clock, reset and pins.
// Latency: none of its own. Values between at-signs come from the board and the config.

`default_nettype none

module koch_board (
  input  logic clk_i,
  input  logic rst_ni,
  input  logic rx_i,
  output logic tx_o,
  output logic done_o
);

  localparam int ClocksPerBit = @clocks_per_bit@;
  localparam int TimeoutBits = @timeout_bits@;
  localparam int Bytes = @bytes@;
  localparam int Words = @words@;
  localparam int Latency = @latency@;
  localparam int Outstanding = @outstanding@;
  localparam int Interval = @interval@;
  localparam bit SinglePort = @single_port@;

  logic [31:0] araddr;
  logic [7:0] arlen;
  logic [2:0] arsize;
  logic [1:0] arburst;
  logic [3:0] arcache;
  logic [2:0] arprot;
  logic arvalid;
  logic arready;
  logic [Bytes*8-1:0] rdata;
  logic [1:0] rresp;
  logic rlast;
  logic rvalid;
  logic rready;
  logic [31:0] awaddr;
  logic [7:0] awlen;
  logic [2:0] awsize;
  logic [1:0] awburst;
  logic [3:0] awcache;
  logic [2:0] awprot;
  logic awvalid;
  logic awready;
  logic [Bytes*8-1:0] wdata;
  logic [Bytes-1:0] wstrb;
  logic wlast;
  logic wvalid;
  logic wready;
  logic [1:0] bresp;
  logic bvalid;
  logic bready;
  logic [7:0] control_awaddr;
  logic control_awvalid;
  logic control_awready;
  logic [31:0] control_wdata;
  logic control_wvalid;
  logic control_wready;
  logic [1:0] control_bresp;
  logic control_bvalid;
  logic control_bready;
  logic [7:0] control_araddr;
  logic control_arvalid;
  logic control_arready;
  logic [31:0] control_rdata;
  logic [1:0] control_rresp;
  logic control_rvalid;
  logic control_rready;
  logic host_valid;
  logic host_write;
  logic [31:0] host_address;
  logic [31:0] host_wdata;
  logic host_ready;
  logic host_answered;
  logic [31:0] host_rdata;

  koch u_koch (
    .clk_i          (clk_i),
    .rst_ni         (rst_ni),
    .m_axi_araddr   (araddr),
    .m_axi_arlen    (arlen),
    .m_axi_arsize   (arsize),
    .m_axi_arburst  (arburst),
    .m_axi_arcache  (arcache),
    .m_axi_arprot   (arprot),
    .m_axi_arvalid  (arvalid),
    .m_axi_arready  (arready),
    .m_axi_rdata    (rdata),
    .m_axi_rresp    (rresp),
    .m_axi_rlast    (rlast),
    .m_axi_rvalid   (rvalid),
    .m_axi_rready   (rready),
    .m_axi_awaddr   (awaddr),
    .m_axi_awlen    (awlen),
    .m_axi_awsize   (awsize),
    .m_axi_awburst  (awburst),
    .m_axi_awcache  (awcache),
    .m_axi_awprot   (awprot),
    .m_axi_awvalid  (awvalid),
    .m_axi_awready  (awready),
    .m_axi_wdata    (wdata),
    .m_axi_wstrb    (wstrb),
    .m_axi_wlast    (wlast),
    .m_axi_wvalid   (wvalid),
    .m_axi_wready   (wready),
    .m_axi_bresp    (bresp),
    .m_axi_bvalid   (bvalid),
    .m_axi_bready   (bready),
    .s_axil_awaddr  (control_awaddr),
    .s_axil_awprot  (3'd0),
    .s_axil_awvalid (control_awvalid),
    .s_axil_awready (control_awready),
    .s_axil_wdata   (control_wdata),
    .s_axil_wstrb   (4'd15),
    .s_axil_wvalid  (control_wvalid),
    .s_axil_wready  (control_wready),
    .s_axil_bresp   (control_bresp),
    .s_axil_bvalid  (control_bvalid),
    .s_axil_bready  (control_bready),
    .s_axil_araddr  (control_araddr),
    .s_axil_arprot  (3'd0),
    .s_axil_arvalid (control_arvalid),
    .s_axil_arready (control_arready),
    .s_axil_rdata   (control_rdata),
    .s_axil_rresp   (control_rresp),
    .s_axil_rvalid  (control_rvalid),
    .s_axil_rready  (control_rready),
    .irq_o          (done_o)
  );

  koch_memory #(
    .Bytes       (Bytes),
    .Words       (Words),
    .Latency     (Latency),
    .Outstanding (Outstanding),
    .Interval    (Interval),
    .SinglePort  (SinglePort)
  ) u_memory (
    .clk_i          (clk_i),
    .rst_ni         (rst_ni),
    .araddr_i       (araddr),
    .arlen_i        (arlen),
    .arvalid_i      (arvalid),
    .arready_o      (arready),
    .rdata_o        (rdata),
    .rresp_o        (rresp),
    .rlast_o        (rlast),
    .rvalid_o       (rvalid),
    .rready_i       (rready),
    .awaddr_i       (awaddr),
    .awlen_i        (awlen),
    .awvalid_i      (awvalid),
    .awready_o      (awready),
    .wdata_i        (wdata),
    .wstrb_i        (wstrb),
    .wvalid_i       (wvalid),
    .wready_o       (wready),
    .bresp_o        (bresp),
    .bvalid_o       (bvalid),
    .bready_i       (bready),
    .host_valid_i   (host_valid),
    .host_write_i   (host_write),
    .host_address_i (host_address),
    .host_data_i    (host_wdata),
    .host_ready_o   (host_ready),
    .host_valid_o   (host_answered),
    .host_data_o    (host_rdata)
  );

  koch_link #(
    .ClocksPerBit (ClocksPerBit),
    .TimeoutBits  (TimeoutBits),
    .MemoryBytes  (Words * Bytes)
  ) u_link (
    .clk_i            (clk_i),
    .rst_ni           (rst_ni),
    .rx_i             (rx_i),
    .tx_o             (tx_o),
    .memory_valid_o   (host_valid),
    .memory_write_o   (host_write),
    .memory_address_o (host_address),
    .memory_data_o    (host_wdata),
    .memory_ready_i   (host_ready),
    .memory_valid_i   (host_answered),
    .memory_data_i    (host_rdata),
    .m_axil_awaddr    (control_awaddr),
    .m_axil_awvalid   (control_awvalid),
    .m_axil_awready   (control_awready),
    .m_axil_wdata     (control_wdata),
    .m_axil_wvalid    (control_wvalid),
    .m_axil_wready    (control_wready),
    .m_axil_bresp     (control_bresp),
    .m_axil_bvalid    (control_bvalid),
    .m_axil_bready    (control_bready),
    .m_axil_araddr    (control_araddr),
    .m_axil_arvalid   (control_arvalid),
    .m_axil_arready   (control_arready),
    .m_axil_rdata     (control_rdata),
    .m_axil_rresp     (control_rresp),
    .m_axil_rvalid    (control_rvalid),
    .m_axil_rready    (control_rready)
  );

  // Bursts are INCR of whole words, and their length says which beat is the last.
  logic unused_axi;

  assign unused_axi = ^{arsize, arburst, arcache, arprot, awsize, awburst, awcache, awprot, wlast};

endmodule

`default_nettype wire

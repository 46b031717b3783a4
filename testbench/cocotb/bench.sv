// `koch` as a client of cocotbext-axi wants it: with the identifiers that it does not have, which are 0.
//
// What comes in is unknown while its `valid` is low, and what goes out must never be: `unknown` notes each kind of
// output that has been so at a clock edge since the last reset. In a simulator of two states unknown is random, and nothing is noted.

`timescale 1ns / 1ps
`default_nettype none

module bench #(
  parameter int BusBytes = 4
) (
  input logic m_axi_rid,
  input logic m_axi_bid
);

  logic clk_i, rst_ni, irq_o;

  logic [31:0] m_axi_araddr, m_axi_awaddr;
  logic [7:0] m_axi_arlen, m_axi_awlen;
  logic [2:0] m_axi_arsize, m_axi_awsize, m_axi_arprot, m_axi_awprot;
  logic [1:0] m_axi_arburst, m_axi_awburst;
  logic [3:0] m_axi_arcache, m_axi_awcache;
  logic m_axi_arvalid, m_axi_arready, m_axi_awvalid, m_axi_awready;
  logic [8*BusBytes-1:0] m_axi_rdata, m_axi_wdata;
  logic [BusBytes-1:0] m_axi_wstrb;
  logic [1:0] m_axi_rresp, m_axi_bresp;
  logic m_axi_rlast, m_axi_rvalid, m_axi_rready, m_axi_wlast, m_axi_wvalid, m_axi_wready;
  logic m_axi_bvalid, m_axi_bready;
  logic m_axi_arid = 1'b0, m_axi_awid = 1'b0;

  logic [7:0] s_axil_awaddr, s_axil_araddr;
  logic [2:0] s_axil_awprot, s_axil_arprot;
  logic [31:0] s_axil_wdata, s_axil_rdata;
  logic [3:0] s_axil_wstrb;
  logic [1:0] s_axil_bresp, s_axil_rresp;
  logic s_axil_awvalid, s_axil_awready, s_axil_wvalid, s_axil_wready, s_axil_bvalid, s_axil_bready;
  logic s_axil_arvalid, s_axil_arready, s_axil_rvalid, s_axil_rready;

  koch u_koch (
    .m_axi_rdata   (m_axi_rvalid ? m_axi_rdata : 'x),
    .m_axi_rresp   (m_axi_rvalid ? m_axi_rresp : 2'bx),
    .m_axi_rlast   (m_axi_rvalid ? m_axi_rlast : 1'bx),
    .m_axi_bresp   (m_axi_bvalid ? m_axi_bresp : 2'bx),
    .s_axil_awaddr (s_axil_awvalid ? s_axil_awaddr : 8'bx),
    .s_axil_awprot (s_axil_awvalid ? s_axil_awprot : 3'bx),
    .s_axil_wdata  (s_axil_wvalid ? s_axil_wdata : 32'bx),
    .s_axil_wstrb  (s_axil_wvalid ? s_axil_wstrb : 4'bx),
    .s_axil_araddr (s_axil_arvalid ? s_axil_araddr : 8'bx),
    .s_axil_arprot (s_axil_arvalid ? s_axil_arprot : 3'bx),
    .*
  );

  wire handshakes = ^{m_axi_arvalid, m_axi_rready, m_axi_awvalid, m_axi_wvalid, m_axi_bready, s_axil_awready,
                      s_axil_wready, s_axil_bvalid, s_axil_arready, s_axil_rvalid, irq_o};
  wire read_address = ^{m_axi_araddr, m_axi_arlen, m_axi_arsize, m_axi_arburst, m_axi_arcache, m_axi_arprot};
  wire write_address = ^{m_axi_awaddr, m_axi_awlen, m_axi_awsize, m_axi_awburst, m_axi_awcache, m_axi_awprot};
  wire write_data = m_axi_wvalid ? ^{m_axi_wdata, m_axi_wstrb, m_axi_wlast} : 1'b0;
  wire control = ^{s_axil_bresp, s_axil_rresp, s_axil_rdata};

  logic [4:0] unknown;

  always @(posedge clk_i) begin
    if (!rst_ni) begin
      unknown <= '0;
    end else begin
      unknown <= unknown | {control === 1'bx, write_data === 1'bx, write_address === 1'bx, read_address === 1'bx,
                            handshakes === 1'bx};
    end
  end

endmodule

`default_nettype wire

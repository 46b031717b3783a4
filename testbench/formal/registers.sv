// The AXI4-Lite slave: one response for each request, of a write in the next cycle, of a read three cycles later, held
// until it is taken.
module registers_check (
  input logic        clk,
  input logic        awvalid, wvalid, bready, arvalid, rready, busy, done,
  input logic [7:0]  awaddr, araddr,
  input logic [31:0] wdata,
  input logic [3:0]  status,
  input logic [47:0] counter,
  input logic [15:0] layer
);
  logic started = 0;
  always @(posedge clk) started <= 1;

  logic awready, wready, bvalid, arready, rvalid, start, acknowledge, interrupt;
  logic [31:0] rdata, program, instructions, limit;
  logic [3:0] index;
  koch_regs dut (
    .clk_i(clk), .rst_ni(started), .awvalid_i(awvalid), .awaddr_i(awaddr), .wvalid_i(wvalid), .wdata_i(wdata),
    .bready_i(bready), .arvalid_i(arvalid), .araddr_i(araddr), .rready_i(rready), .busy_i(busy), .done_i(done),
    .status_i(status), .counter_i(counter), .layer_i(layer), .awready_o(awready), .wready_o(wready),
    .bvalid_o(bvalid), .arready_o(arready), .rvalid_o(rvalid), .rdata_o(rdata), .counter_index_o(index),
    .start_o(start), .acknowledge_o(acknowledge), .interrupt_o(interrupt), .program_o(program),
    .instructions_o(instructions), .limit_o(limit)
  );

  wire aw = awvalid && awready, w = wvalid && wready, ar = arvalid && arready;
  // Requests without a response, of which there is one at most; wide enough to see more.
  logic [2:0] addresses = 0, data = 0, reads = 0;
  logic b_waits = 0, r_waits = 0, written = 0, asked = 0, looked = 0, due = 0;
  logic [7:0] address;
  logic [31:0] rdata_q, found, answer;
  // What the registers hold, as docs/registers.md has it.
  logic [31:0] base = 0, length = 0, most = 32'hffffffff;
  logic enable = 0;
  wire write = aw && w;
  always @(posedge clk) if (started) begin
    addresses <= addresses + 3'(aw) - 3'(bvalid && bready);
    data <= data + 3'(w) - 3'(bvalid && bready);
    reads <= reads + 3'(ar) - 3'(rvalid && rready);
    b_waits <= bvalid && !bready;
    r_waits <= rvalid && !rready;
    rdata_q <= rdata;
    written <= aw;
    asked <= ar;
    looked <= asked;
    due <= looked;
    answer <= found;
    if (ar) address <= araddr;
    if (write && awaddr == 8'h14) enable <= wdata[0];
    // Not while busy.
    if (write && !busy && awaddr == 8'h18) base <= wdata;
    if (write && !busy && awaddr == 8'h1c) length <= wdata;
    if (write && !busy && awaddr == 8'h24) most <= wdata;
    if (asked)
      case (address)
        8'h00: found <= 32'h4b4f4348;
        8'h10: found <= {20'd0, status, 6'd0, done, busy};
        8'h14: found <= {31'd0, enable};
        8'h18: found <= base;
        8'h1c: found <= length;
        8'h20: found <= {16'd0, layer};
        8'h24: found <= most;
        8'h0c: found <= 0;
        default:
          if (address >= 8'h40 && address < 8'hb0) found <= address[2] ? {16'd0, counter[47:32]} : counter[31:0];
          else found <= rdata;
      endcase
  end
  // The constants are the config's.
  logic constant = 0;
  always @(posedge clk)
    if (asked) constant <= address[7:2] == 1 || address[7:2] == 2 || (address[1:0] != 0 && address < 8'h40);

  always @* if (started) begin
    b_held: assert (!b_waits || bvalid);
    b_one_each: assert (bvalid == (addresses == 1) && addresses <= 1 && addresses == data);
    b_follows: assert (!written || bvalid);
    r_held: assert (!r_waits || (rvalid && rdata == rdata_q));
    r_one_each: assert (rvalid == (reads == 1 && !asked && !looked) && reads <= 1);
    r_follows: assert (!due || rvalid);
    r_data: assert (!due || constant || araddr_unmapped || rdata == answer);
    counter_asked: assert (!asked || address < 8'h40 || address >= 8'hb0 || index == address[6:3] - 4'd8);
    starts: assert (start == (write && awaddr == 8'h0c && wdata[0]));
    acknowledges: assert (acknowledge == (write && awaddr == 8'h14 && wdata[1]));
    drives: assert (program == base && instructions == length && limit == most && interrupt == (enable && done));
  end
  logic araddr_unmapped = 0;
  always @(posedge clk) if (asked) araddr_unmapped <= address >= 8'h28 && (address < 8'h40 || address >= 8'hb0);
endmodule

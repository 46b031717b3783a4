// The bytes of the memory in the single-port RAM of an iCE40 UltraPlus: 32768 words of 4 bytes.
// Latency: four cycles from address to data. A cycle that writes reads nothing.

`default_nettype none

module koch_store #(
  parameter int Bytes = 4,
  parameter int Words = 32768
) (
  input  logic                     clk_i,
  input  logic                     write_i,
  input  logic [Bytes-1:0]         write_enable_i,
  input  logic [$clog2(Words)-1:0] write_address_i,
  input  logic [Bytes*8-1:0]       write_data_i,
  input  logic [$clog2(Words)-1:0] read_address_i,
  output logic [Bytes*8-1:0]       read_data_o
);

  logic [14:0] address_q;
  logic write_q;
  logic [Bytes-1:0] enable_q;
  logic [Bytes*8-1:0] data_q;
  logic bank_q;
  logic [63:0] data;
  logic [63:0] read_q;
  logic bank_later_q;

  for (genvar b = 0; b < 2; b = b + 1) begin : gen_bank
    for (genvar h = 0; h < 2; h = h + 1) begin : gen_half
      SB_SPRAM256KA u_spram (
        .CLOCK      (clk_i),
        .ADDRESS    (address_q[13:0]),
        .DATAIN     (data_q[16*h +: 16]),
        .MASKWREN   ({{2{enable_q[2*h+1]}}, {2{enable_q[2*h]}}}),
        .WREN       (write_q && address_q[14] == 1'(b)),
        .CHIPSELECT (1'b1),
        .STANDBY    (1'b0),
        .SLEEP      (1'b0),
        .POWEROFF   (1'b1),
        .DATAOUT    (data[32*b+16*h +: 16])
      );
    end
  end

  always_ff @(posedge clk_i) begin
    address_q <= write_i ? write_address_i : read_address_i;
    write_q <= write_i;
    enable_q <= write_enable_i;
    data_q <= write_data_i;
    bank_q <= address_q[14];
    bank_later_q <= bank_q;
    read_q <= data;
    read_data_o <= bank_later_q ? read_q[63:32] : read_q[31:0];
  end

endmodule

`default_nettype wire

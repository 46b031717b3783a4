// The bytes of the memory: block RAM with a write port and a read port.
// Latency: four cycles from address to data.

`default_nettype none

module koch_store #(
  parameter int Bytes = 4,
  parameter int Words = 4096
) (
  input  logic                     clk_i,
  input  logic                     write_i,
  input  logic [Bytes-1:0]         write_enable_i,
  input  logic [$clog2(Words)-1:0] write_address_i,
  input  logic [Bytes*8-1:0]       write_data_i,
  input  logic [$clog2(Words)-1:0] read_address_i,
  output logic [Bytes*8-1:0]       read_data_o
);

  for (genvar b = 0; b < Bytes; b = b + 1) begin : gen_lane
    koch_store_lane #(
      .Words (Words)
    ) u_lane (
      .clk_i           (clk_i),
      .write_i         (write_i && write_enable_i[b]),
      .write_address_i (write_address_i),
      .write_data_i    (write_data_i[8*b +: 8]),
      .read_address_i  (read_address_i),
      .read_data_o     (read_data_o[8*b +: 8])
    );
  end

endmodule

`default_nettype wire

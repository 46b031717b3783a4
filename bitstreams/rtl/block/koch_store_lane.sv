// One byte of each word of the memory, with registers of its own: block RAM is spread over the part, and one register
// for all of it is nanoseconds away from most.
// Latency: three cycles from address to data.

`default_nettype none

module koch_store_lane #(
  parameter int Words = 4096
) (
  input  logic                     clk_i,
  input  logic                     write_i,
  input  logic [$clog2(Words)-1:0] write_address_i,
  input  logic [7:0]               write_data_i,
  input  logic [$clog2(Words)-1:0] read_address_i,
  output logic [7:0]               read_data_o
);

  logic write_q;
  logic [$clog2(Words)-1:0] write_address_q;
  logic [7:0] write_data_q;
  logic [$clog2(Words)-1:0] read_address_q;

  always_ff @(posedge clk_i) begin
    write_q <= write_i;
    write_address_q <= write_address_i;
    write_data_q <= write_data_i;
    read_address_q <= read_address_i;
  end

  koch_ram #(
    .Bytes (1),
    .Depth (Words)
  ) u_ram (
    .clk_i           (clk_i),
    .write_i         (write_q),
    .write_enable_i  (1'b1),
    .write_address_i (write_address_q),
    .write_data_i    (write_data_q),
    .read_address_i  (read_address_q),
    .read_data_o     (read_data_o)
  );

endmodule

`default_nettype wire

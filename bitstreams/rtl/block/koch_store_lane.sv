// One byte of each word of the memory, with registers of its own: block RAM is spread over the part, and one register
// for all of it is nanoseconds away from most. A bank has at most `Most` words, by default as many as a block RAM of an
// ECP5 has bits, so that a block RAM is read by registers alone.
// Latency: four cycles from address to data.

`default_nettype none

module koch_store_lane #(
  parameter int Words = 4096,
  parameter int Most  = 16384
) (
  input  logic                     clk_i,
  input  logic                     write_i,
  input  logic [$clog2(Words)-1:0] write_address_i,
  input  logic [7:0]               write_data_i,
  input  logic [$clog2(Words)-1:0] read_address_i,
  output logic [7:0]               read_data_o
);

  localparam int Depth = Words > Most ? Most : Words;
  localparam int Banks = Words / Depth;
  localparam int Width = $clog2(Depth);
  localparam int BankBits = Banks > 1 ? $clog2(Banks) : 1;

  logic write_q;
  logic [$clog2(Words)-1:0] write_address_q;
  logic [7:0] write_data_q;
  logic [$clog2(Words)-1:0] read_address_q;
  logic [BankBits-1:0] write_bank;
  logic [BankBits-1:0] read_bank;
  logic [BankBits-1:0] bank_q;
  logic [BankBits-1:0] bank_later_q;
  logic [7:0] data [Banks];

  if (Banks > 1) begin : gen_banks
    assign write_bank = write_address_q[$clog2(Words)-1:Width];
    assign read_bank = read_address_q[$clog2(Words)-1:Width];
  end else begin : gen_bank
    assign write_bank = '0;
    assign read_bank = '0;
  end

  for (genvar b = 0; b < Banks; b = b + 1) begin : gen_ram
    koch_ram #(
      .Bytes (1),
      .Depth (Depth)
    ) u_ram (
      .clk_i           (clk_i),
      .write_i         (write_q && write_bank == BankBits'(b)),
      .write_enable_i  (1'b1),
      .write_address_i (write_address_q[Width-1:0]),
      .write_data_i    (write_data_q),
      .read_address_i  (read_address_q[Width-1:0]),
      .read_data_o     (data[b])
    );
  end

  always_ff @(posedge clk_i) begin
    write_q <= write_i;
    write_address_q <= write_address_i;
    write_data_q <= write_data_i;
    read_address_q <= read_address_i;
    bank_q <= read_bank;
    bank_later_q <= bank_q;
    read_data_o <= data[bank_later_q];
  end

endmodule

`default_nettype wire

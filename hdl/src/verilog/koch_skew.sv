// Delays lane r by r cycles.
//
// Latency: r + 1 cycles for lane r.

`default_nettype none

module koch_skew #(
  parameter int Lanes = 3,
  parameter int Width = 8
) (
  input  logic                   clk_i,
  input  logic                   rst_ni,
  input  logic [1:0]             sel_i,
  input  logic [Lanes*Width-1:0] data_i,
  output logic [Lanes*Width-1:0] data_o,
  output logic [Width-1:0]       byte_o
);

  localparam int Words = Lanes + 1;

  (* no_rw_check, ram_style = "block" *)
  logic [Width-1:0] mem_q [Words];

  always_ff @(posedge clk_i) begin
    if (sel_i == 2'd1) begin
      mem_q[sel_i] <= data_i[0 +: Width];
    end
    byte_o <= mem_q[sel_i];
  end

  for (genvar r = 0; r < Lanes; r = r + 1) begin : gen_lane
    logic [(r+1)*Width-1:0] pipe_q;

    for (genvar s = 0; s < r + 1; s = s + 1) begin : gen_stage
      logic [Width-1:0] in;

      if (s == 0) begin : gen_first
        assign in = data_i[r*Width +: Width];
      end else begin : gen_next
        assign in = pipe_q[(s-1)*Width +: Width];
      end

      always_ff @(posedge clk_i) begin
        if (!rst_ni) begin
          pipe_q[s*Width +: Width] <= {Width{1'b0}};
        end else begin
          pipe_q[s*Width +: Width] <= in;
        end
      end
    end

    assign data_o[r*Width +: Width] = pipe_q[r*Width +: Width];
  end

endmodule

`default_nettype wire

// koch_requant against its definition in bit vectors, y = clip(rint(f32(acc + bias) * m) + zero point), in three parts that
// meet at registers. In each part every register holds anything in the first cycle and the inputs of the part come in it;
// other inputs are free throughout. The parts compose: the numbers at a seam are called alike on its two sides.
//
//   conversion  sum -> its binary32 significand (24 bits, or 0) and the product's exponent: sum = sig * 2^(n - 23)
//   product     p = sig * factor, as the sum of four products of halves: algebra makes that the whole product
//   result      p * 2^(place - 173) rounded to 24 bits, then to an integer, moved and clipped

module conversion_check (
  input logic        clk,
  input logic        valid,
  input logic [31:0] acc, bias, m
);
  logic [2:0] age = 0;
  always @(posedge clk) if (age != 7) age <= age + 3'd1;
  logic sign5_q;
  logic [23:0] sig5_q, factor5_q;
  logic [9:0] place5_q;
  koch_requant dut (
    .clk_i(clk), .rst_ni(1'b1), .valid_i(valid), .acc_i(acc), .bias_i(bias), .multiplier_i(m),
    .sign5_q(sign5_q), .sig5_q(sig5_q), .factor5_q(factor5_q), .place5_q(place5_q)
  );
  // Of the first cycle's inputs.
  wire [31:0] sum = acc + bias;
  wire [31:0] size = sum[31] ? -sum : sum;
  integer k;
  logic [4:0] top;
  logic [32:0] kept;
  always @* begin
    top = 0;
    for (k = 0; k < 32; k = k + 1) if (size[k]) top = k;
    kept = {1'b0, size};
    // To 24 bits, half to even: half a unit less one is added, and one more if the unit is odd.
    for (k = 24; k < 32; k = k + 1)
      if (top == k) kept = ({1'b0, size} + (33'd1 << (k - 24)) - 33'd1 + {32'd0, size[k-23]}) >> (k - 23);
    for (k = 0; k < 24; k = k + 1) if (top == k) kept = {1'b0, size} << (23 - k);
  end
  logic sign;
  logic [23:0] sig, factor;
  logic [9:0] place;
  always @(posedge clk)
    if (age == 0) begin
      sign <= sum[31];
      sig <= kept[24] ? 24'h800000 : kept[23:0];
      place <= size == 0 ? 10'd0 : 10'(top) + 10'(m[30:23]) + 10'(kept[24]);
      factor <= {1'b1, m[22:0]};
    end
  always @* assume (age != 0 || (valid && m[30:23] != 0 && m[30:23] != 255 && !m[31]));
  always @* if (age == 5) begin
    significand: assert (sig5_q == sig);
    exponent: assert (place5_q == place);
    multiplier: assert (factor5_q == factor);
    sum_sign: assert (sign5_q == sign || sig == 0);
  end
endmodule

module product_check (
  input logic clk
);
  logic [2:0] age = 0;
  always @(posedge clk) if (age != 7) age <= age + 3'd1;
  logic sign5_q, sign8_q;
  logic [23:0] sig5_q, factor5_q;
  logic [9:0] place5_q, place8_q;
  logic [47:0] product8_q;
  logic [12:0] valid_q;
  koch_requant dut (
    .clk_i(clk), .rst_ni(1'b1), .valid_q(valid_q),
    .sign5_q(sign5_q), .sig5_q(sig5_q), .factor5_q(factor5_q), .place5_q(place5_q),
    .product8_q(product8_q), .place8_q(place8_q), .sign8_q(sign8_q)
  );
  logic [23:0] hh, hl, lh, ll;
  logic [9:0] place;
  logic sign;
  always @(posedge clk)
    if (age == 0) begin
      hh <= {12'd0, sig5_q[23:12]} * {12'd0, factor5_q[23:12]};
      hl <= {12'd0, sig5_q[23:12]} * {12'd0, factor5_q[11:0]};
      lh <= {12'd0, sig5_q[11:0]} * {12'd0, factor5_q[23:12]};
      ll <= {12'd0, sig5_q[11:0]} * {12'd0, factor5_q[11:0]};
      place <= place5_q;
      sign <= sign5_q;
    end
  always @* assume (age != 0 || valid_q[4]);
  always @* if (age == 3) begin
    product: assert (product8_q == ({24'd0, hh} << 24) + ({24'd0, hl} << 12) + ({24'd0, lh} << 12) + {24'd0, ll});
    passed_on: assert (place8_q == place && sign8_q == sign);
  end
endmodule

module result_check (
  input logic               clk,
  input logic signed [16:0] zero_point, lo, hi
);
  logic [2:0] age = 0;
  always @(posedge clk) if (age != 7) age <= age + 3'd1;
  logic sign8_q, valid_o;
  logic [9:0] place8_q;
  logic [47:0] product8_q;
  logic [12:0] valid_q;
  logic signed [16:0] y;
  koch_requant dut (
    .clk_i(clk), .rst_ni(1'b1), .zero_point_i(zero_point), .lo_i(lo), .hi_i(hi), .valid_o(valid_o), .y_o(y),
    .valid_q(valid_q), .product8_q(product8_q), .place8_q(place8_q), .sign8_q(sign8_q)
  );
  // |result| = p * 2^(place - 173); to 24 bits: q * 2^e, q may be 2^24.
  wire [47:0] p = product8_q;
  wire [48:0] q48 = ({1'b0, p} + 49'h7fffff + {48'd0, p[24]}) >> 24;
  wire [48:0] q47 = ({1'b0, p} + 49'h3fffff + {48'd0, p[23]}) >> 23;
  wire [24:0] q = p[47] ? q48[24:0] : q47[24:0];
  wire signed [11:0] e = $signed({2'b0, place8_q}) - (p[47] ? 12'sd149 : 12'sd150);
  // To an integer: with 26 binary places, from which half to even; from 2^20 on it is 2^20.
  wire signed [11:0] up = e + 12'sd26;
  wire [71:0] fixed = up < 0 ? 72'd0 : {47'd0, q} << up[5:0];
  wire [71:0] even = (fixed + 72'h1ffffff + {71'd0, fixed[26]}) >> 26;
  wire big = e > 12'sd20 || even[45:20] != 0;
  wire signed [22:0] whole = big ? 23'sh100000 : {3'd0, even[19:0]};
  logic signed [22:0] rounded;
  logic signed [22:0] moved;
  logic signed [16:0] want;
  always @(posedge clk) begin
    if (age == 0) rounded <= sign8_q ? -whole : whole;
    if (age == 3) moved <= rounded + zero_point;
    if (age == 4) want <= moved < lo ? lo : moved > hi ? hi : 17'(moved);
  end
  always @* begin
    assume (age != 0 || valid_q[7]);
    // What the parts before can hand over: see conversion_check, and factors of 24 bits.
    assume (age != 0 || (p == 0 && place8_q == 0) || (p >= 48'h400000000000 && place8_q != 0 && place8_q <= 286));
    assume (lo <= hi);
  end
  always @* if (age == 5) begin
    result: assert (y == want);
    counts: assert (valid_o);
  end
endmodule

// koch_post_operands against its definition: what a lane's two fused operations multiply, of the operands that come in the
// first cycle, when every register holds anything. The setting is constant.
module post_operands_check (
  input logic       clk,
  input logic       valid,
  input logic [8:0] requantised,
  input logic [7:0] second
);
  logic [1:0] age = 0;
  always @(posedge clk) if (age != 3) age <= age + 2'd1;
  logic used, with_sign, swap, multiply;
  logic [8:0] a_zero, b_zero;
  logic [7:0] factor1, factor2;
  always @(posedge clk)
    {used, with_sign, swap, multiply, a_zero, b_zero, factor1, factor2}
      <= {used, with_sign, swap, multiply, a_zero, b_zero, factor1, factor2};

  logic done, negative1, negative2;
  logic [17:0] n1;
  logic [8:0] n2;
  logic [7:0] place1, place2;
  koch_post_operands dut (
    .clk_i(clk), .rst_ni(1'b1), .valid_i(valid), .requantised_i(requantised), .second_i(second), .used_i(used),
    .signed_i(with_sign), .swap_i(swap), .multiply_i(multiply), .a_zero_i(a_zero), .b_zero_i(b_zero),
    .factor1_place_i(factor1), .factor2_place_i(factor2), .valid_next_o(done), .negative1_o(negative1), .n1_o(n1),
    .place1_o(place1), .negative2_o(negative2), .n2_o(n2), .place2_o(place2)
  );

  wire [8:0] wide = used ? {with_sign && second[7], second} : 9'd0;
  wire [8:0] new_a = (swap ? wide : requantised) - a_zero, new_b = (swap ? requantised : wide) - b_zero;
  logic [8:0] a, b;
  always @(posedge clk) if (age == 0) {a, b} <= {new_a, new_b};
  wire [8:0] a_size = a[8] ? -a : a, b_size = b[8] ? -b : b;

  // Places above its top bit.
  function automatic logic [3:0] above(input logic [8:0] size);
    above = 4'd9;
    for (int at = 0; at < 9; at++) if (size[at]) above = 4'(8 - at);
  endfunction
  wire [3:0] a_up = above(a_size), b_up = above(b_size);
  wire [8:0] a_norm = a_size << a_up, b_norm = b_size << b_up;
  wire [17:0] product = {9'd0, a_norm} * {9'd0, b_norm};
  wire zero1 = b == 0 || (multiply && a == 0), zero2 = multiply ? factor2 == 0 : a == 0;

  always @* assume (age != 0 || valid);
  always @* if (age == 3) begin
    first: assert (done && place1 == (zero1 ? 8'd0 : factor1 + (multiply ? 8'd18 - 8'(a_up) : 8'd9) - 8'(b_up))
      && n1 == (zero1 ? 18'd0 : multiply ? product : {b_norm, 9'd0})
      && negative1 == (multiply ? a[8] ^ b[8] : b[8]));
    second_one: assert (place2 == (zero2 ? 8'd0 : factor2 + (multiply ? 8'd1 : 8'd9 - 8'(a_up)))
      && n2 == (zero2 ? 9'd0 : multiply ? 9'd256 : a_norm) && negative2 == (!multiply && a[8]));
  end
endmodule

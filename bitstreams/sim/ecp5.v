// Simulation models of two ECP5 cells for which Yosys ships none: the block RAM and the multiplier, in the modes in which
// Yosys uses them. Another mode ends the simulation.
// Latency: the RAM's output register is not used, of the multiplier's registers the one behind it.

`default_nettype none

module DP16KD #(
  parameter DATA_WIDTH_A = 18,
  parameter DATA_WIDTH_B = 18,
  parameter REGMODE_A = "NOREG",
  parameter REGMODE_B = "NOREG",
  parameter RESETMODE = "SYNC",
  parameter ASYNC_RESET_RELEASE = "SYNC",
  parameter CSDECODE_A = "0b000",
  parameter CSDECODE_B = "0b000",
  parameter WRITEMODE_A = "NORMAL",
  parameter WRITEMODE_B = "NORMAL",
  parameter CLKAMUX = "CLKA",
  parameter CLKBMUX = "CLKB",
  parameter INITVAL_00 = 320'd0,
  parameter INITVAL_01 = 320'd0,
  parameter INITVAL_02 = 320'd0,
  parameter INITVAL_03 = 320'd0,
  parameter INITVAL_04 = 320'd0,
  parameter INITVAL_05 = 320'd0,
  parameter INITVAL_06 = 320'd0,
  parameter INITVAL_07 = 320'd0,
  parameter INITVAL_08 = 320'd0,
  parameter INITVAL_09 = 320'd0,
  parameter INITVAL_0A = 320'd0,
  parameter INITVAL_0B = 320'd0,
  parameter INITVAL_0C = 320'd0,
  parameter INITVAL_0D = 320'd0,
  parameter INITVAL_0E = 320'd0,
  parameter INITVAL_0F = 320'd0,
  parameter INITVAL_10 = 320'd0,
  parameter INITVAL_11 = 320'd0,
  parameter INITVAL_12 = 320'd0,
  parameter INITVAL_13 = 320'd0,
  parameter INITVAL_14 = 320'd0,
  parameter INITVAL_15 = 320'd0,
  parameter INITVAL_16 = 320'd0,
  parameter INITVAL_17 = 320'd0,
  parameter INITVAL_18 = 320'd0,
  parameter INITVAL_19 = 320'd0,
  parameter INITVAL_1A = 320'd0,
  parameter INITVAL_1B = 320'd0,
  parameter INITVAL_1C = 320'd0,
  parameter INITVAL_1D = 320'd0,
  parameter INITVAL_1E = 320'd0,
  parameter INITVAL_1F = 320'd0,
  parameter INITVAL_20 = 320'd0,
  parameter INITVAL_21 = 320'd0,
  parameter INITVAL_22 = 320'd0,
  parameter INITVAL_23 = 320'd0,
  parameter INITVAL_24 = 320'd0,
  parameter INITVAL_25 = 320'd0,
  parameter INITVAL_26 = 320'd0,
  parameter INITVAL_27 = 320'd0,
  parameter INITVAL_28 = 320'd0,
  parameter INITVAL_29 = 320'd0,
  parameter INITVAL_2A = 320'd0,
  parameter INITVAL_2B = 320'd0,
  parameter INITVAL_2C = 320'd0,
  parameter INITVAL_2D = 320'd0,
  parameter INITVAL_2E = 320'd0,
  parameter INITVAL_2F = 320'd0,
  parameter INITVAL_30 = 320'd0,
  parameter INITVAL_31 = 320'd0,
  parameter INITVAL_32 = 320'd0,
  parameter INITVAL_33 = 320'd0,
  parameter INITVAL_34 = 320'd0,
  parameter INITVAL_35 = 320'd0,
  parameter INITVAL_36 = 320'd0,
  parameter INITVAL_37 = 320'd0,
  parameter INITVAL_38 = 320'd0,
  parameter INITVAL_39 = 320'd0,
  parameter INITVAL_3A = 320'd0,
  parameter INITVAL_3B = 320'd0,
  parameter INITVAL_3C = 320'd0,
  parameter INITVAL_3D = 320'd0,
  parameter INITVAL_3E = 320'd0,
  parameter INITVAL_3F = 320'd0,
  parameter GSR = "ENABLED"
) (
  input wire DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5, DIA4, DIA3, DIA2, DIA1, DIA0,
  input wire ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0,
  input wire CEA, OCEA, CLKA, WEA, RSTA, CSA2, CSA1, CSA0,
  input wire DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5, DIB4, DIB3, DIB2, DIB1, DIB0,
  input wire ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0,
  input wire CEB, OCEB, CLKB, WEB, RSTB, CSB2, CSB1, CSB0,
  output wire DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5, DOA4, DOA3, DOA2, DOA1, DOA0,
  output wire DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5, DOB4, DOB3, DOB2, DOB1, DOB0
);

  // The bits in the order of 9-bit bytes, so that every width sees the same ones.
  reg [17:0] words [0:1023];
  wire [17:0] di_a = {DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5, DIA4, DIA3, DIA2, DIA1, DIA0};
  wire [13:0] ad_a = {ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0};
  reg [35:0] out_a;
  wire [17:0] di_b = {DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5, DIB4, DIB3, DIB2, DIB1, DIB0};
  wire [13:0] ad_b = {ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0};
  reg [35:0] out_b;
  wire [35:0] di = {di_b, di_a};

  // Where a width's word lies in its word of 18 bits: widths below 9 leave out the ninth bit of each byte.
  function [17:0] narrow(input [17:0] word, input [3:0] at, input integer width);
    case (width)
      18: narrow = word;
      9: narrow = {9'd0, at[3] ? word[17:9] : word[8:0]};
      4: narrow = (word >> {at[3], 3'd0} >> at[3] >> {at[2], 2'd0}) & 18'd15;
      2: narrow = (word >> {at[3], 3'd0} >> at[3] >> {at[2:1], 1'd0}) & 18'd3;
      1: narrow = (word >> {at[3], 3'd0} >> at[3] >> at[2:0]) & 18'd1;
      default: narrow = 18'd0;
    endcase
  endfunction

  function known(input integer width);
    known = width == 1 || width == 2 || width == 4 || width == 9 || width == 18 || width == 36;
  endfunction

  localparam NarrowA = DATA_WIDTH_A < 9 ? DATA_WIDTH_A : 1;
  // Without the ninth bits.
  wire [3:0] at_a = ad_a[3:0] & (NarrowA == 4 ? 4'd12 : NarrowA == 2 ? 4'd14 : 4'd15);

  initial begin
    if (!known(DATA_WIDTH_A) || !known(DATA_WIDTH_B) || REGMODE_A != "NOREG"
        || REGMODE_B != "NOREG" || CLKAMUX != "CLKA" || CLKBMUX != "CLKB" || INITVAL_00 !== 320'd0) begin
      $display("DP16KD: a mode that this model does not have: widths %0d and %0d", DATA_WIDTH_A, DATA_WIDTH_B);
      $finish;
    end
  end

  // Port A writes; port B reads, and port A where it is a port of its own.
  always @(posedge CLKA) begin
    if (CEA) begin
      out_a <= {18'd0, narrow(words[ad_a[13:4]], ad_a[3:0], DATA_WIDTH_A)};
      if (WEA) begin
        if (DATA_WIDTH_A == 36) begin
          if (ad_a[0]) words[{ad_a[13:5], 1'b0}][8:0] <= di[8:0];
          if (ad_a[1]) words[{ad_a[13:5], 1'b0}][17:9] <= di[17:9];
          if (ad_a[2]) words[{ad_a[13:5], 1'b1}][8:0] <= di[26:18];
          if (ad_a[3]) words[{ad_a[13:5], 1'b1}][17:9] <= di[35:27];
        end else if (DATA_WIDTH_A == 18) begin
          if (ad_a[0]) words[ad_a[13:4]][8:0] <= di[8:0];
          if (ad_a[1]) words[ad_a[13:4]][17:9] <= di[17:9];
        end else if (DATA_WIDTH_A < 9) begin
          words[ad_a[13:4]][{1'b0, at_a} + {4'd0, ad_a[3]} +: NarrowA] <= di[NarrowA-1:0];
        end else if (ad_a[3]) begin
          words[ad_a[13:4]][17:9] <= di[8:0];
        end else begin
          words[ad_a[13:4]][8:0] <= di[8:0];
        end
      end
    end
  end

  always @(posedge CLKB) begin
    if (CEB) begin
      out_b <= DATA_WIDTH_B == 36 ? {words[{ad_b[13:5], 1'b1}], words[{ad_b[13:5], 1'b0}]}
        : {18'd0, narrow(words[ad_b[13:4]], ad_b[3:0], DATA_WIDTH_B)};
      if (WEB) begin
        $display("DP16KD: port B writes, which this model does not have");
        $finish;
      end
    end
  end

  assign {DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5, DOA4, DOA3, DOA2, DOA1, DOA0} = DATA_WIDTH_B == 36 ? out_b[17:0] : out_a[17:0];
  assign {DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5, DOB4, DOB3, DOB2, DOB1, DOB0} = DATA_WIDTH_B == 36 ? out_b[35:18] : out_b[17:0];

endmodule

module MULT18X18D #(
  parameter REG_INPUTA_CLK = "NONE",
  parameter REG_INPUTB_CLK = "NONE",
  parameter REG_INPUTC_CLK = "NONE",
  parameter REG_PIPELINE_CLK = "NONE",
  parameter REG_OUTPUT_CLK = "NONE",
  parameter REG_OUTPUT_CE = "CE0",
  parameter REG_OUTPUT_RST = "RST0",
  parameter RESETMODE = "SYNC",
  parameter GSR = "ENABLED"
) (
  input wire CLK0, CE0, RST0,
  input wire A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0,
  input wire B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0,
  input wire C17, C16, C15, C14, C13, C12, C11, C10, C9, C8, C7, C6, C5, C4, C3, C2, C1, C0,
  input wire SIGNEDA, SIGNEDB, SOURCEA, SOURCEB,
  output wire P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18, P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0
);

  wire [17:0] a = {A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0};
  wire [17:0] b = {B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0};
  wire signed [35:0] a_wide = {{18{SIGNEDA && a[17]}}, a};
  wire signed [35:0] b_wide = {{18{SIGNEDB && b[17]}}, b};

  wire [35:0] product = a_wide * b_wide;
  reg [35:0] product_q;

  initial begin
    if (REG_INPUTA_CLK != "NONE" || REG_INPUTB_CLK != "NONE" || REG_INPUTC_CLK != "NONE" || REG_PIPELINE_CLK != "NONE"
        || (REG_OUTPUT_CLK != "NONE" && REG_OUTPUT_CLK != "CLK0")) begin
      $display("MULT18X18D: a register that this model does not have");
      $finish;
    end
  end

  always @(posedge CLK0) begin
    if (RST0) product_q <= 36'd0;
    else if (CE0) product_q <= product;
  end

  assign {P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18, P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0} = REG_OUTPUT_CLK == "NONE" ? product : product_q;

endmodule

`default_nettype wire

// What a host on a UART can do: read and write memory words and the accelerator's registers. See docs/boards.md.
//
// A request is 0xa5, operation, address (4 bytes, low first), count of words, CRC; a write's words and their CRC follow.
// A reply is 0x5a, status, a read's words, CRC. CRCs are CRC-16/CCITT from 0xffff, high byte first. A request with a
// wrong first CRC gets no reply; silence of 2^TimeoutBits cycles within a request drops it.

`default_nettype none

module koch_link #(
  parameter int ClocksPerBit = 16,
  parameter int TimeoutBits  = 20,
  parameter int MemoryBytes  = 65536
) (
  input  logic        clk_i,
  input  logic        rst_ni,
  input  logic        rx_i,
  output logic        tx_o,
  output logic        memory_valid_o,
  output logic        memory_write_o,
  output logic [31:0] memory_address_o,
  output logic [31:0] memory_data_o,
  input  logic        memory_ready_i,
  input  logic        memory_valid_i,
  input  logic [31:0] memory_data_i,
  output logic [7:0]  m_axil_awaddr,
  output logic        m_axil_awvalid,
  input  logic        m_axil_awready,
  output logic [31:0] m_axil_wdata,
  output logic        m_axil_wvalid,
  input  logic        m_axil_wready,
  input  logic [1:0]  m_axil_bresp,
  input  logic        m_axil_bvalid,
  output logic        m_axil_bready,
  output logic [7:0]  m_axil_araddr,
  output logic        m_axil_arvalid,
  input  logic        m_axil_arready,
  input  logic [31:0] m_axil_rdata,
  input  logic [1:0]  m_axil_rresp,
  input  logic        m_axil_rvalid,
  output logic        m_axil_rready
);

  localparam logic [7:0] Request = 8'ha5;
  localparam logic [7:0] Reply = 8'h5a;
  // Bit 0 of an operation: a write. The rest: memory, registers, or the link's own two words.
  localparam logic [6:0] Memory = 7'd1;
  localparam logic [6:0] Registers = 7'd2;
  localparam logic [7:0] WriteRegister = 8'd5;
  localparam logic [7:0] Identify = 8'd6;
  localparam logic [31:0] Magic = 32'h314b4c4b;
  localparam logic [7:0] StatusOk = 8'd0;
  localparam logic [7:0] StatusCrc = 8'd1;
  localparam logic [7:0] StatusRequest = 8'd2;
  localparam logic [7:0] StatusBusy = 8'd3;
  localparam logic [7:0] StatusBus = 8'd4;

  localparam logic [3:0] AtSync = 4'd0;
  localparam logic [3:0] AtHead = 4'd1;
  localparam logic [3:0] AtHeadCrc = 4'd2;
  localparam logic [3:0] AtCheck = 4'd3;
  localparam logic [3:0] AtWords = 4'd4;
  localparam logic [3:0] AtWordsCrc = 4'd5;
  localparam logic [3:0] AtEnd = 4'd6;
  localparam logic [3:0] AtWrite = 4'd7;
  localparam logic [3:0] AtReply = 4'd8;
  localparam logic [3:0] AtStatus = 4'd9;
  localparam logic [3:0] AtFetch = 4'd10;
  localparam logic [3:0] AtSend = 4'd11;
  localparam logic [3:0] AtReplyCrc = 4'd12;

  function automatic logic [15:0] crc_of(input logic [15:0] crc, input logic [7:0] data);
    crc_of = crc ^ {data, 8'd0};
    for (int k = 0; k < 8; k = k + 1) begin
      crc_of = crc_of[15] ? {crc_of[14:0], 1'b0} ^ 16'h1021 : {crc_of[14:0], 1'b0};
    end
  endfunction

  logic received;
  logic [7:0] rx_data;
  logic tx_valid;
  logic [7:0] tx_data;
  logic tx_ready;
  logic sent;

  koch_uart_rx #(
    .ClocksPerBit (ClocksPerBit)
  ) u_rx (
    .clk_i   (clk_i),
    .rst_ni  (rst_ni),
    .rx_i    (rx_i),
    .valid_o (received),
    .data_o  (rx_data)
  );

  koch_uart_tx #(
    .ClocksPerBit (ClocksPerBit)
  ) u_tx (
    .clk_i   (clk_i),
    .rst_ni  (rst_ni),
    .valid_i (tx_valid),
    .data_i  (tx_data),
    .ready_o (tx_ready),
    .tx_o    (tx_o)
  );

  logic [3:0] state_q;
  // Operation, address, count: the first byte ends up lowest.
  logic [47:0] head_q;
  logic [2:0] byte_q;
  logic [7:0] left_q;
  logic [31:0] word_q;
  logic [15:0] crc_q;
  logic [7:0] status_q;
  logic [TimeoutBits-1:0] silence_q;
  logic store_q;
  logic asked_q;
  logic wrote_address_q;
  logic wrote_data_q;

  logic [7:0] operation;
  logic [31:0] address;
  logic [7:0] count;
  logic is_memory;
  logic is_register;
  logic listening;
  logic fetched;
  logic odd;
  logic [7:0] word_byte;
  logic [7:0] crc_byte;
  logic [31:0] fetched_word;
  logic legal;
  logic legal_q;
  logic [32:0] after;

  assign operation = head_q[7:0];
  assign address = head_q[39:8];
  assign count = head_q[47:40];
  assign is_memory = operation[7:1] == Memory;
  assign is_register = operation[7:1] == Registers;
  assign after = {1'b0, address} + {23'd0, count, 2'b00};
  assign legal = count != 8'd0 && address[1:0] == 2'b00 && (
    (is_memory && after <= 33'(MemoryBytes)) || (is_register && after <= 33'd256
      && (operation != WriteRegister || count == 8'd1)) || (operation == Identify && after <= 33'd8));

  assign odd = address[2];
  assign word_byte = word_q[7:0];
  assign crc_byte = crc_q[15:8];
  assign listening = state_q == AtHead || state_q == AtHeadCrc || state_q == AtWords || state_q == AtWordsCrc;

  // A word of memory is written while the next one comes in.
  assign memory_valid_o = store_q || (state_q == AtFetch && is_memory && !asked_q);
  assign memory_write_o = store_q;
  assign memory_address_o = address;
  assign memory_data_o = word_q;

  assign m_axil_awaddr = address[7:0];
  assign m_axil_wdata = word_q;
  assign m_axil_awvalid = state_q == AtWrite && !wrote_address_q;
  assign m_axil_wvalid = state_q == AtWrite && !wrote_data_q;
  assign m_axil_bready = 1'b1;
  assign m_axil_araddr = address[7:0];
  assign m_axil_arvalid = state_q == AtFetch && is_register && !asked_q;
  assign m_axil_rready = 1'b1;

  always_comb begin
    if (is_memory) begin
      fetched = memory_valid_i;
      fetched_word = memory_data_i;
    end else if (is_register) begin
      fetched = m_axil_rvalid;
      fetched_word = m_axil_rdata;
    end else begin
      fetched = 1'b1;
      fetched_word = odd ? 32'(MemoryBytes) : Magic;
    end
  end

  always_comb begin
    tx_valid = 1'b1;
    case (state_q)
      AtReply: tx_data = Reply;
      AtStatus: tx_data = status_q;
      AtSend: tx_data = word_byte;
      AtReplyCrc: tx_data = crc_byte;
      default: begin
        tx_valid = 1'b0;
        tx_data = 8'd0;
      end
    endcase
  end

  assign sent = tx_valid && tx_ready;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q <= AtSync;
      head_q <= 48'd0;
      byte_q <= 3'd0;
      left_q <= 8'd0;
      word_q <= 32'd0;
      crc_q <= '1;
      status_q <= StatusOk;
      silence_q <= '0;
      store_q <= 1'b0;
      asked_q <= 1'b0;
      wrote_address_q <= 1'b0;
      wrote_data_q <= 1'b0;
      legal_q <= 1'b0;
    end else begin
      // The head is complete two bytes before this matters.
      legal_q <= legal;
      silence_q <= received || !listening ? '0 : silence_q + 1'b1;
      if (received && listening) crc_q <= crc_of(crc_q, rx_data);
      if (sent && (state_q == AtStatus || state_q == AtSend)) crc_q <= crc_of(crc_q, tx_data);
      if (store_q && memory_ready_i) begin
        store_q <= 1'b0;
        head_q[39:8] <= address + 32'd4;
      end

      case (state_q)
        AtSync: begin
          crc_q <= '1;
          byte_q <= 3'd0;
          status_q <= StatusOk;
          if (received && rx_data == Request) state_q <= AtHead;
        end

        AtHead: if (received) begin
          head_q <= {rx_data, head_q[47:8]};
          byte_q <= byte_q + 3'd1;
          if (byte_q == 3'd5) begin
            byte_q <= 3'd0;
            state_q <= AtHeadCrc;
          end
        end

        AtHeadCrc: if (received) begin
          byte_q <= 3'd1;
          if (byte_q == 3'd1) state_q <= AtCheck;
        end

        AtCheck: begin
          crc_q <= '1;
          byte_q <= 3'd0;
          left_q <= count;
          if (!legal_q) status_q <= StatusRequest;
          if (crc_q != 16'd0) begin
            state_q <= AtSync;
          end else if (operation[0] && count != 8'd0) begin
            state_q <= AtWords;
          end else begin
            state_q <= AtReply;
          end
        end

        AtWords: if (received) begin
          byte_q <= byte_q + 3'd1;
          word_q <= {rx_data, word_q[31:8]};
          if (store_q && !memory_ready_i) status_q <= StatusBusy;
          if (byte_q == 3'd3) begin
            byte_q <= 3'd0;
            left_q <= left_q - 8'd1;
            store_q <= is_memory && status_q == StatusOk;
            if (left_q == 8'd1) state_q <= AtWordsCrc;
          end
        end

        AtWordsCrc: if (received) begin
          byte_q <= 3'd1;
          if (byte_q == 3'd1) state_q <= AtEnd;
        end

        AtEnd: begin
          crc_q <= '1;
          wrote_address_q <= 1'b0;
          wrote_data_q <= 1'b0;
          state_q <= AtReply;
          if (crc_q != 16'd0) begin
            status_q <= StatusCrc;
          end else if (store_q && !memory_ready_i) begin
            status_q <= StatusBusy;
          end else if (operation == WriteRegister && status_q == StatusOk) begin
            state_q <= AtWrite;
          end
        end

        AtWrite: begin
          if (m_axil_awready) wrote_address_q <= 1'b1;
          if (m_axil_wready) wrote_data_q <= 1'b1;
          if (m_axil_bvalid) begin
            if (m_axil_bresp != 2'b00) status_q <= StatusBus;
            state_q <= AtReply;
          end
        end

        AtReply: begin
          store_q <= 1'b0;
          asked_q <= 1'b0;
          byte_q <= 3'd0;
          if (sent) state_q <= AtStatus;
        end

        AtStatus: if (sent) begin
          state_q <= !operation[0] && status_q == StatusOk ? AtFetch : AtReplyCrc;
        end

        AtFetch: begin
          if (is_memory ? memory_ready_i : m_axil_arready) asked_q <= 1'b1;
          if (fetched) begin
            word_q <= fetched_word;
            asked_q <= 1'b0;
            head_q[39:8] <= address + 32'd4;
            left_q <= left_q - 8'd1;
            state_q <= AtSend;
          end
        end

        AtSend: if (sent) begin
          word_q <= {8'd0, word_q[31:8]};
          byte_q <= byte_q + 3'd1;
          if (byte_q == 3'd3) begin
            byte_q <= 3'd0;
            state_q <= left_q == 8'd0 ? AtReplyCrc : AtFetch;
          end
        end

        default: if (sent) begin
          crc_q <= {crc_q[7:0], 8'd0};
          byte_q <= 3'd1;
          if (byte_q == 3'd1) state_q <= AtSync;
        end
      endcase

      if (listening && silence_q == '1) state_q <= AtSync;
    end
  end

  logic unused_resp;

  assign unused_resp = ^m_axil_rresp;

endmodule

`default_nettype wire

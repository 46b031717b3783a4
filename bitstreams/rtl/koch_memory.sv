// AXI4 slave with memory on chip, for the accelerator's bursts (INCR, whole words) and for a host's words.
//
// Latency: what `spec::memory` says of a memory with this latency, `Outstanding` bursts of each kind, a beat every
// `Interval` cycles and no stalls, cycle by cycle: one data port that serves bursts in the order in which they become
// ready. The host gets cycles that the accelerator leaves, so it never changes when a beat passes. Bursts beyond the
// memory are answered with SLVERR. A read that is accepted before the response to a write of the same bytes may
// give what was there before. The least latency is 7 cycles with two ports, 10 with a single one.

`default_nettype none

module koch_memory #(
  parameter int Bytes       = 4,
  parameter int Words       = 4096,
  parameter int Latency     = 8,
  parameter int Outstanding = 4,
  parameter int Interval    = 1,
  parameter bit SinglePort  = 1'b0
) (
  input  logic               clk_i,
  input  logic               rst_ni,
  input  logic [31:0]        araddr_i,
  input  logic [7:0]         arlen_i,
  input  logic               arvalid_i,
  output logic               arready_o,
  output logic [Bytes*8-1:0] rdata_o,
  output logic [1:0]         rresp_o,
  output logic               rlast_o,
  output logic               rvalid_o,
  input  logic               rready_i,
  input  logic [31:0]        awaddr_i,
  input  logic [7:0]         awlen_i,
  input  logic               awvalid_i,
  output logic               awready_o,
  input  logic [Bytes*8-1:0] wdata_i,
  input  logic [Bytes-1:0]   wstrb_i,
  input  logic               wvalid_i,
  output logic               wready_o,
  output logic [1:0]         bresp_o,
  output logic               bvalid_o,
  input  logic               bready_i,
  input  logic               host_valid_i,
  input  logic               host_write_i,
  input  logic [31:0]        host_address_i,
  input  logic [31:0]        host_data_i,
  output logic               host_ready_o,
  output logic               host_valid_o,
  output logic [31:0]        host_data_o
);

  localparam int Byte = $clog2(Bytes);
  localparam int Width = $clog2(Words);
  localparam int Top = Byte + Width;
  localparam int Slot = $clog2(Outstanding);
  localparam int Ahead = 8;
  // Cycles from an address to its word, those of koch_store.
  localparam int StoreLatency = 4;
  localparam int Lanes = Bytes / 4;
  localparam int LaneBits = Lanes > 1 ? $clog2(Lanes) : 1;
  localparam logic [1:0] SlvErr = 2'b10;

  // Bursts accepted: beyond the memory, first word, beats less one.
  logic [Width+8:0] reads [Outstanding];
  logic [Width+8:0] writes [Outstanding];
  logic [Slot:0] read_in_q;
  logic [Slot:0] read_out_q;
  logic [Slot:0] write_in_q;
  logic [Slot:0] write_out_q;
  logic [Slot:0] unfinished_reads_q;
  logic [Slot:0] unfinished_writes_q;
  logic ar;
  logic aw;
  logic r;
  logic w;
  logic b;
  logic r_last;
  logic w_last;

  assign arready_o = unfinished_reads_q != (Slot+1)'(Outstanding);
  assign awready_o = unfinished_writes_q != (Slot+1)'(Outstanding);
  assign ar = arvalid_i && arready_o;
  assign aw = awvalid_i && awready_o;
  assign r = rvalid_o && rready_i;
  assign w = wvalid_i && wready_o;
  assign b = bvalid_o && bready_i;
  assign r_last = r && rlast_o;

  always_ff @(posedge clk_i) begin
    if (ar) reads[read_in_q[Slot-1:0]] <= {araddr_i[31:Top] != '0, araddr_i[Top-1:Byte], arlen_i};
    if (aw) writes[write_in_q[Slot-1:0]] <= {awaddr_i[31:Top] != '0, awaddr_i[Top-1:Byte], awlen_i};
  end

  // Bursts that are ready, the oldest in bit 0: is it a write?
  logic [Latency-2:0] read_ready_q;
  logic read_ready;
  logic [2*Outstanding-1:0] order_q;
  logic [2*Outstanding-1:0] order;
  logic [Slot+1:0] ready_q;
  logic [Slot+1:0] ready;
  logic last;

  assign read_ready = read_ready_q[Latency-2];
  assign last = r_last || w_last;

  // With those that become ready now; `last` takes the oldest away, but is known late.
  always_comb begin
    order = order_q;
    ready = ready_q + (Slot+2)'(read_ready);
    if (aw) begin
      order = order | ({{2*Outstanding-1{1'b0}}, 1'b1} << ready);
      ready = ready + 1'b1;
    end
  end

  // The data port. Whether it has a beat to read or takes one to write is known a cycle before.
  logic [$clog2(Interval+1)-1:0] wait_q;
  logic [7:0] beat_q;
  logic rvalid_q;
  logic wready_q;
  logic waits;
  logic write_beyond;
  logic [Width-1:0] write_first;
  logic [7:0] write_length;

  assign waits = (r || w) ? Interval > 1 : wait_q != '0 && wait_q != ($clog2(Interval+1))'(1);
  assign wready_o = wready_q;
  assign {write_beyond, write_first, write_length} = writes[write_out_q[Slot-1:0]];
  assign w_last = w && beat_q == write_length;

  // Responses: in how many cycles, then which is the oldest.
  logic [Latency-2:0] response_q;
  logic [Latency-2:0] response_beyond_q;
  logic response;
  logic response_beyond;
  logic [Outstanding-1:0] beyond_q;
  logic [Outstanding-1:0] beyond;
  logic [Slot:0] responses_q;
  logic [Slot:0] responses;

  assign response = response_q[Latency-2];
  assign response_beyond = response_beyond_q[Latency-2];
  assign bvalid_o = responses_q != '0;
  assign bresp_o = beyond_q[0] ? SlvErr : 2'b00;

  always_comb begin
    beyond = beyond_q;
    responses = responses_q;
    if (b) begin
      beyond = beyond >> 1;
      responses = responses - 1'b1;
    end
    if (response) begin
      beyond = beyond | ({{Outstanding-1{1'b0}}, response_beyond} << responses);
      responses = responses + 1'b1;
    end
  end

  // Read words are fetched ahead, as far as there is room for them.
  logic fetching_q;
  logic fetch_beyond_q;
  logic [Width-1:0] fetch_word_q;
  logic [7:0] fetch_left_q;
  logic [$clog2(Ahead+1)-1:0] room_q;
  logic fetch;
  logic next;
  logic [StoreLatency-1:0] fetched_q;
  logic [StoreLatency-1:0] fetched_last_q;
  logic [StoreLatency-1:0] fetched_beyond_q;
  logic [Bytes*8+1:0] ahead [Ahead];
  logic [$clog2(Ahead)-1:0] ahead_in_q;
  logic [$clog2(Ahead)-1:0] ahead_out_q;
  logic [$clog2(Ahead+1)-1:0] ahead_q;
  logic [$clog2(Ahead+1)-1:0] arrived;
  logic there;
  logic read_beyond;
  logic [Bytes*8-1:0] read_data;

  assign fetch = fetching_q && room_q != '0 && !(SinglePort && w);
  assign next = (!fetching_q || (fetch && fetch_left_q == 8'd0)) && read_in_q != read_out_q;
  assign rvalid_o = rvalid_q;
  assign {read_beyond, rlast_o, rdata_o} = ahead[ahead_out_q];
  assign arrived = ahead_q + ($clog2(Ahead+1))'(fetched_q[StoreLatency-1]);
  assign there = r ? arrived > ($clog2(Ahead+1))'(1) : arrived != '0;
  assign rresp_o = read_beyond ? SlvErr : 2'b00;

  always_ff @(posedge clk_i) begin
    if (fetched_q[StoreLatency-1]) begin
      ahead[ahead_in_q] <= {fetched_beyond_q[StoreLatency-1], fetched_last_q[StoreLatency-1], read_data};
    end
  end

  // The host.
  logic host_write;
  logic host_read;
  logic [StoreLatency-1:0] host_q;
  logic [LaneBits-1:0] host_lane;
  logic [Bytes-1:0] host_enable;

  assign host_write = host_valid_i && host_write_i && !w && !(SinglePort && fetch);
  assign host_read = host_valid_i && !host_write_i && !fetch && !(SinglePort && w);
  assign host_ready_o = host_write || host_read;
  assign host_valid_o = host_q[StoreLatency-1];

  if (Lanes > 1) begin : gen_lanes
    assign host_lane = host_address_i[2 +: LaneBits];
    assign host_enable = Bytes'(15) << {host_lane, 2'b00};
  end else begin : gen_lane
    assign host_lane = '0;
    assign host_enable = '1;
  end

  assign host_data_o = read_data[32*host_lane +: 32];

  koch_store #(
    .Bytes (Bytes),
    .Words (Words)
  ) u_store (
    .clk_i           (clk_i),
    .write_i         ((w && !write_beyond) || host_write),
    .write_enable_i  (w ? wstrb_i : host_enable),
    .write_address_i (w ? write_first + Width'(beat_q) : host_address_i[Top-1:Byte]),
    .write_data_i    (w ? wdata_i : {Lanes{host_data_i}}),
    .read_address_i  (fetch ? fetch_word_q : host_address_i[Top-1:Byte]),
    .read_data_o     (read_data)
  );

  logic unused_address;

  assign unused_address = ^{araddr_i[Byte-1:0], awaddr_i[Byte-1:0], host_address_i[31:Top], host_address_i[1:0]};

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      read_in_q <= '0;
      read_out_q <= '0;
      write_in_q <= '0;
      write_out_q <= '0;
      unfinished_reads_q <= '0;
      unfinished_writes_q <= '0;
      read_ready_q <= '0;
      order_q <= '0;
      ready_q <= '0;
      rvalid_q <= 1'b0;
      wready_q <= 1'b0;
      wait_q <= '0;
      beat_q <= 8'd0;
      response_q <= '0;
      response_beyond_q <= '0;
      beyond_q <= '0;
      responses_q <= '0;
      fetching_q <= 1'b0;
      fetch_beyond_q <= 1'b0;
      fetch_word_q <= '0;
      fetch_left_q <= 8'd0;
      room_q <= ($clog2(Ahead+1))'(Ahead);
      fetched_q <= '0;
      fetched_last_q <= '0;
      fetched_beyond_q <= '0;
      ahead_in_q <= '0;
      ahead_out_q <= '0;
      ahead_q <= '0;
      host_q <= '0;
    end else begin
      read_in_q <= read_in_q + (Slot+1)'(ar);
      write_in_q <= write_in_q + (Slot+1)'(aw);
      write_out_q <= write_out_q + (Slot+1)'(w_last);
      unfinished_reads_q <= unfinished_reads_q + (Slot+1)'(ar) - (Slot+1)'(r_last);
      unfinished_writes_q <= unfinished_writes_q + (Slot+1)'(aw) - (Slot+1)'(b);

      read_ready_q <= {read_ready_q[Latency-3:0], ar};
      order_q <= last ? order >> 1 : order;
      ready_q <= ready - (Slot+2)'(last);
      rvalid_q <= !waits && there && (last ? ready > (Slot+2)'(1) && !order[1] : ready != '0 && !order[0]);
      wready_q <= !waits && (last ? ready > (Slot+2)'(1) && order[1] : ready != '0 && order[0]);
      if (r || w) begin
        wait_q <= ($clog2(Interval+1))'(Interval - 1);
      end else if (wait_q != '0) begin
        wait_q <= wait_q - 1'b1;
      end
      if (w) beat_q <= w_last ? 8'd0 : beat_q + 8'd1;

      response_q <= {response_q[Latency-3:0], w_last};
      response_beyond_q <= {response_beyond_q[Latency-3:0], write_beyond};
      beyond_q <= beyond;
      responses_q <= responses;

      if (next) begin
        fetching_q <= 1'b1;
        {fetch_beyond_q, fetch_word_q, fetch_left_q} <= reads[read_out_q[Slot-1:0]];
        read_out_q <= read_out_q + 1'b1;
      end else if (fetch) begin
        fetching_q <= fetch_left_q != 8'd0;
        fetch_word_q <= fetch_word_q + 1'b1;
        fetch_left_q <= fetch_left_q - 8'd1;
      end
      room_q <= room_q - ($clog2(Ahead+1))'(fetch) + ($clog2(Ahead+1))'(r);
      fetched_q <= {fetched_q[StoreLatency-2:0], fetch};
      fetched_last_q <= {fetched_last_q[StoreLatency-2:0], fetch_left_q == 8'd0};
      fetched_beyond_q <= {fetched_beyond_q[StoreLatency-2:0], fetch_beyond_q};
      ahead_in_q <= ahead_in_q + ($clog2(Ahead))'(fetched_q[StoreLatency-1]);
      ahead_out_q <= ahead_out_q + ($clog2(Ahead))'(r);
      ahead_q <= arrived - ($clog2(Ahead+1))'(r);
      host_q <= {host_q[StoreLatency-2:0], host_read};
    end
  end

endmodule

`default_nettype wire

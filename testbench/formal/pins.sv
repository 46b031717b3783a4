// The memory bus of the whole design, reads and writes apart, with everything else left out: what it would say is free.
// What is assumed of the memory is AXI4's; of bursts asked for, what bursts.sv proves; of the start of a run, what
// uses.sv proves: nothing is under way.

module reads_check #(
  parameter int Bus = 32,
  parameter int Beats = 16,
  parameter int Limit = 4
) (
  input logic           clk,
  input logic           arready, rvalid, rlast,
  input logic [1:0]     rresp,
  input logic [Bus-1:0] rdata,
  input logic           mark
);
  localparam int Bytes = Bus / 8;
  logic started = 0;
  always @(posedge clk) started <= 1;

  logic arvalid, rready;
  logic [31:0] araddr;
  logic [7:0] arlen;
  logic [2:0] arsize;
  logic [1:0] arburst;
  logic control_clear, control_halt, reads_idle, word_taken, reads_fetch_beat;
  logic fetch_request_valid, reads_fetch_ready, requester_request_valid, reads_load_ready;
  logic [31:0] fetch_request_address, load_runs_burst_address;
  logic [7:0] fetch_request_beats, load_runs_burst_beats;
  koch dut (
    .clk_i(clk), .rst_ni(started),
    .m_axi_araddr(araddr), .m_axi_arlen(arlen), .m_axi_arsize(arsize), .m_axi_arburst(arburst),
    .m_axi_arvalid(arvalid), .m_axi_arready(arready),
    .m_axi_rdata(rdata), .m_axi_rresp(rresp), .m_axi_rlast(rlast), .m_axi_rvalid(rvalid), .m_axi_rready(rready),
    .control_clear(control_clear), .control_halt(control_halt), 
    .reads_idle(reads_idle), .word_taken(word_taken),
    .reads_fetch_beat(reads_fetch_beat), .fetch_request_valid(fetch_request_valid),
    .reads_fetch_ready(reads_fetch_ready), .requester_request_valid(requester_request_valid),
    .reads_load_ready(reads_load_ready), 
    .fetch_request_address(fetch_request_address),
    .load_runs_burst_address(load_runs_burst_address), .fetch_request_beats(fetch_request_beats),
    .load_runs_burst_beats(load_runs_burst_beats)
  );

  wire ar = arvalid && arready, r = rvalid && rready;
  wire by_fetch = fetch_request_valid && reads_fetch_ready;
  wire by_load = requester_request_valid && reads_load_ready;
  // Bursts granted and not ended, and those of them whose address has been accepted.
  logic [4:0] granted = 0, reads = 0;
  // A burst that is watched from its grant on.
  logic watched = 0, shown = 0, watched_fetch;
  logic [4:0] before = 0;
  logic [31:0] address;
  logic [7:0] beats;
  logic ar_waits = 0;
  logic [31:0] araddr_q;
  logic [7:0] arlen_q;
  always @(posedge clk) begin
    araddr_q <= araddr;
    arlen_q <= arlen;
    if (started) begin
      ar_waits <= arvalid && !arready;
      granted <= granted + 5'(by_fetch || by_load) - 5'(r && rlast);
      reads <= reads + 5'(ar) - 5'(r && rlast);
      if (ar) shown <= 0;
      if (watched && r && rlast) begin
        before <= before - 5'd1;
        if (before == 0) watched <= 0;
      end
      if (mark && !watched && (by_fetch || by_load)) begin
        watched <= 1;
        shown <= 1;
        watched_fetch <= by_fetch;
        before <= granted - 5'(r && rlast);
        address <= by_fetch ? fetch_request_address : load_runs_burst_address;
        beats <= by_fetch ? fetch_request_beats : load_runs_burst_beats;
      end
    end
  end

  always @* begin
    assume (!rvalid || reads != 0);
    assume (!by_fetch || (fetch_request_beats != 0 && fetch_request_beats <= Beats && (fetch_request_address & (Bytes - 1)) == 0
      && {20'd0, fetch_request_address[11:0]} + (32'(fetch_request_beats) << $clog2(Bytes)) <= 4096));
    assume (!by_load || (load_runs_burst_beats != 0 && load_runs_burst_beats <= Beats && (load_runs_burst_address & (Bytes - 1)) == 0
      && {20'd0, load_runs_burst_address[11:0]} + (32'(load_runs_burst_beats) << $clog2(Bytes)) <= 4096));
    assume (!control_clear || (reads_idle && !by_fetch && !by_load));
  end

  always @* if (started) begin
    ar_stable: assert (!ar_waits || (arvalid && araddr == araddr_q && arlen == arlen_q));
    ar_in_page: assert (!arvalid || {20'd0, araddr[11:0]} + ((32'(arlen) + 1) << $clog2(Bytes)) <= 4096);
    ar_length: assert (!arvalid || arlen < Beats);
    ar_aligned: assert (!arvalid || ((araddr & (Bytes - 1)) == 0 && arsize == $clog2(Bytes) && arburst == 1));
    ar_outstanding: assert (!arvalid || reads < Limit);
    ar_as_granted: assert (!shown || (arvalid && araddr == address && arlen == beats - 8'd1));
    one_grant: assert (!by_fetch || !by_load);
    // Every beat goes to who asked for it, once; after an error to nobody.
    r_to_its_owner: assert (!watched || before != 0 || !rvalid || control_halt
      || (reads_fetch_beat == watched_fetch && word_taken == (!watched_fetch && rready) && (!watched_fetch || rready)));
    r_drained: assert (!control_halt || (rready && !word_taken && !reads_fetch_beat && !by_fetch && !by_load));
    reads_idle_means_none: assert (reads_idle == (granted == 0));
  end
endmodule

module writes_check #(
  parameter int Bus = 32,
  parameter int Beats = 16,
  parameter int Limit = 4
) (
  input logic       clk,
  input logic       awready, wready, bvalid,
  input logic [1:0] bresp,
  input logic       mark
);
  localparam int Bytes = Bus / 8;
  logic started = 0;
  always @(posedge clk) started <= 1;

  logic awvalid, wvalid, wlast, bready;
  logic [31:0] awaddr;
  logic [7:0] awlen;
  logic [2:0] awsize;
  logic [1:0] awburst;
  logic control_clear, gatherer_burst_done, gatherer_slot;
  logic sender_slot, sender_slots_full, sender_idle;
  logic [7:0] store_runs_burst_beats;
  logic [31:0] store_runs_burst_address;
  logic [5:0] sender_beat;
  koch dut (
    .clk_i(clk), .rst_ni(started),
    .m_axi_awaddr(awaddr), .m_axi_awlen(awlen), .m_axi_awsize(awsize), .m_axi_awburst(awburst),
    .m_axi_awvalid(awvalid), .m_axi_awready(awready),
    .m_axi_wlast(wlast), .m_axi_wvalid(wvalid), .m_axi_wready(wready),
    .m_axi_bresp(bresp), .m_axi_bvalid(bvalid), .m_axi_bready(bready),
    .control_clear(control_clear), .gatherer_burst_done(gatherer_burst_done),
    .gatherer_slot(gatherer_slot), .sender_slot(sender_slot),
    .sender_idle(sender_idle), .sender_slots_full(sender_slots_full),
    .store_runs_burst_beats(store_runs_burst_beats), .store_runs_burst_address(store_runs_burst_address),
    .sender_beat(sender_beat)
  );

  wire aw = awvalid && awready, w = wvalid && wready, b = bvalid && bready;
  // Addresses accepted and bursts' last beats accepted that have no response.
  logic [4:0] addresses = 0, bursts = 0;
  // Bursts gathered whose address, whose data have not left, and beats of the burst under way.
  logic [1:0] unaddressed = 0, unsent = 0;
  logic [7:0] beat = 0;
  // A burst that is watched from the gatherer to the pins.
  logic address_watched = 0, data_watched = 0;
  logic [1:0] address_before = 0, data_before = 0;
  logic [7:0] length;
  logic [31:0] address;
  logic slot;
  // The slot that is the gatherer's turn.
  logic turn = 0;
  logic aw_waits = 0, w_waits = 0;
  logic [31:0] awaddr_q;
  logic [7:0] awlen_q;
  logic wlast_q, slot_q;
  logic [5:0] beat_q;
  always @(posedge clk) begin
    awaddr_q <= awaddr;
    awlen_q <= awlen;
    wlast_q <= wlast;
    slot_q <= sender_slot;
    beat_q <= sender_beat;
    if (started) begin
      aw_waits <= awvalid && !awready;
      w_waits <= wvalid && !wready;
      addresses <= addresses + 5'(aw) - 5'(b);
      bursts <= bursts + 5'(w && wlast) - 5'(b);
      turn <= !control_clear && (turn ^ gatherer_burst_done);
      unaddressed <= unaddressed + 2'(gatherer_burst_done) - 2'(aw);
      unsent <= unsent + 2'(gatherer_burst_done) - 2'(w && wlast);
      if (w) beat <= wlast ? 8'd0 : beat + 8'd1;
      if (address_watched && aw) begin
        address_before <= address_before - 2'd1;
        if (address_before == 0) address_watched <= 0;
      end
      if (data_watched && w && wlast) begin
        data_before <= data_before - 2'd1;
        if (data_before == 0) data_watched <= 0;
      end
      if (mark && gatherer_burst_done && !address_watched && !data_watched) begin
        address_watched <= 1;
        data_watched <= 1;
        address_before <= unaddressed - 2'(aw);
        data_before <= unsent - 2'(w && wlast);
        length <= store_runs_burst_beats;
        address <= store_runs_burst_address;
        slot <= gatherer_slot;
      end
    end
  end

  always @* begin
    assume (!bvalid || (addresses != 0 && bursts != 0));
    assume (!gatherer_burst_done || (!sender_slots_full && gatherer_slot == turn));
    assume (!gatherer_burst_done || (store_runs_burst_beats != 0 && store_runs_burst_beats <= Beats
      && (store_runs_burst_address & (Bytes - 1)) == 0
      && {20'd0, store_runs_burst_address[11:0]} + (32'(store_runs_burst_beats) << $clog2(Bytes)) <= 4096));
    assume (!control_clear || (sender_idle && !gatherer_burst_done));
  end

  always @* if (started) begin
    aw_stable: assert (!aw_waits || (awvalid && awaddr == awaddr_q && awlen == awlen_q));
    aw_in_page: assert (!awvalid || {20'd0, awaddr[11:0]} + ((32'(awlen) + 1) << $clog2(Bytes)) <= 4096);
    aw_length: assert (!awvalid || awlen < Beats);
    aw_aligned: assert (!awvalid || ((awaddr & (Bytes - 1)) == 0 && awsize == $clog2(Bytes) && awburst == 1));
    aw_outstanding: assert (!awvalid || addresses < Limit);
    aw_in_order: assert (!address_watched || address_before != 0 || !awvalid || (awaddr == address && awlen == length - 8'd1));
    aw_of_a_burst: assert (!awvalid || unaddressed != 0);
    // A burst has as many beats as its address says, out of its slot, the last one marked.
    w_stable: assert (!w_waits || (wvalid && wlast == wlast_q && sender_slot == slot_q && sender_beat == beat_q));
    w_last: assert (!data_watched || data_before != 0 || !wvalid || wlast == (beat == length - 8'd1));
    w_beat: assert (sender_beat == beat[5:0]);
    // Any burst may be the one that is watched, and between bursts the beat is 0.
    w_beat_of_a_burst: assert (!data_watched || data_before != 0 || sender_beat < length);
    // Said of any burst that is not yet sent, since that is what induction needs: of those before it, every other one is
    // in its slot.
    w_from_its_slot: assert (sender_slot == (turn ^ unsent[0])
      && (!data_watched || (data_before < unsent && slot == (sender_slot ^ data_before[0]))));
    w_of_a_burst: assert (!wvalid || unsent != 0);
    // A slot is not gathered into while it is being sent.
    slots_apart: assert (unsent < 2 || !gatherer_burst_done);
    b_taken: assert (bready);
  end
endmodule

// koch_store_sender: every burst has its response counted once, and the response of a burst that tells the load engine is
// a token. An induction, see bursts.sv.
module sender_check #(
  parameter int Limit = 2
) (
  input logic        clk,
  input logic        burst_done, burst_tells, ready, awready, wready, bvalid, mark,
  input logic [31:0] burst_address,
  input logic [7:0]  burst_beats
);
  logic second = 0;
  always @(posedge clk) second <= 1;
  logic awvalid, wvalid, wlast, slots_full, idle, push;
  logic [1:0] used_q, addresses_q, data_q;
  logic [4:0] outstanding_q, unanswered_q;
  logic [31:0] tells_q;
  logic came_q, came_tells_q;
  koch_store_sender dut (
    .clk_i(clk), .rst_ni(1'b1), .clear_i(1'b0), .burst_done_i(burst_done), .burst_tells_i(burst_tells),
    .burst_address_i(burst_address), .burst_beats_i(burst_beats), .ready_i(ready), .awready_i(awready),
    .wready_i(wready), .bvalid_i(bvalid), .bfail_i(1'b0), .awvalid_o(awvalid), .wvalid_o(wvalid), .wlast_o(wlast),
    .slots_full_o(slots_full), .idle_o(idle), .push_o(push), .used_q(used_q), .addresses_q(addresses_q),
    .data_q(data_q), .outstanding_q(outstanding_q), .unanswered_q(unanswered_q), .tells_q(tells_q),
    .came_q(came_q), .came_tells_q(came_tells_q)
  );
  wire aw = awvalid && awready, w = wvalid && wready && wlast;
  // Bursts gathered that are not ready, whose address, whose data have not left, that have no response; addresses and
  // last beats accepted without one.
  logic [1:0] pending, unaddressed, unsent;
  logic [4:0] unanswered, addresses, bursts;
  logic watched, tells;
  logic [4:0] before;
  always @(posedge clk) begin
    pending <= pending + 2'(burst_done) - 2'(ready);
    unaddressed <= unaddressed + 2'(burst_done) - 2'(aw);
    unsent <= unsent + 2'(burst_done) - 2'(w);
    unanswered <= unanswered + 5'(burst_done) - 5'(bvalid);
    addresses <= addresses + 5'(aw) - 5'(bvalid);
    bursts <= bursts + 5'(w) - 5'(bvalid);
    if (bvalid) begin
      before <= before - 5'd1;
      if (before == 0) watched <= 0;
    end
    if (mark && burst_done && (!watched || (bvalid && before == 0))) begin
      watched <= 1;
      before <= unanswered - 5'(bvalid);
      tells <= burst_tells;
    end
  end
  wire counted = pending <= unaddressed && pending <= unsent && addresses_q == unaddressed - pending
    && data_q == unsent - pending && used_q == (unaddressed > unsent ? unaddressed : unsent) && used_q <= 2
    && outstanding_q == addresses && addresses <= Limit && unanswered_q + 5'(came_q) == unanswered
    && (!came_q || pending != 0)
    && unanswered == {3'd0, unaddressed} + addresses && unanswered == {3'd0, unsent} + bursts && bursts <= unanswered;
  wire told = (tells_q >> unanswered_q) == 0 && (!watched || (before < unanswered
    && (before == unanswered_q ? came_tells_q : tells_q[before]) == tells));
  always @* begin
    assume (!bvalid || (addresses != 0 && bursts != 0));
    assume (!burst_done || !slots_full);
    assume (!ready || pending != 0);
    assume (second || (counted && told));
  end
  always @* if (second) begin
    b_counted: assert (counted);
    b_told: assert (told);
    b_tells: assert (!bvalid || !watched || before != 0 || push == tells);
    writes_idle_means_none: assert (idle == (unanswered == 0));
  end
endmodule

// The bridge to a Verilated `koch_memory`: one call a cycle.
#include <cstdint>
#include <cstring>

#include "Vkoch_memory.h"
#include "verilated.h"

namespace {
struct Instance {
  VerilatedContext context;
  Vkoch_memory top{&context};
};

void Clock(Instance* i) {
  i->top.clk_i = 1;
  i->top.eval();
  i->top.clk_i = 0;
  i->top.eval();
}
// The instance behind a handle, whose context becomes that of the thread: there may be several.
Instance* Of(void* instance) {
  auto* i = static_cast<Instance*>(instance);
  Verilated::threadContextp(&i->context);
  return i;
}
}  // namespace

extern "C" {

// Layouts of testbench::memory.
struct Answers {
  uint8_t arready, rvalid, rlast, rresp, awready, wready, bvalid, bresp;
};
struct Requests {
  uint32_t araddr, awaddr;
  uint8_t arlen, arvalid, rready, awlen, awvalid, wvalid, wlast, bready;
};

void* slave_new() {
  auto* i = new Instance;
  i->context.randReset(2);
  i->top.rst_ni = 1;
  i->top.eval();
  i->top.rst_ni = 0;
  Clock(i);
  i->top.rst_ni = 1;
  i->top.eval();
  return i;
}

void slave_free(void* instance) {
  auto* i = Of(instance);
  i->top.final();
  delete i;
}

// Drives a cycle, says what the slave answers in it, and passes it.
void slave_cycle(void* instance, const Requests* q, const uint8_t* wdata, uint64_t strobe, int host, Answers* a,
                 uint8_t* rdata) {
  auto* i = Of(instance);
  auto& t = i->top;
  t.araddr_i = q->araddr;
  t.arlen_i = q->arlen;
  t.arvalid_i = q->arvalid;
  t.rready_i = q->rready;
  t.awaddr_i = q->awaddr;
  t.awlen_i = q->awlen;
  t.awvalid_i = q->awvalid;
  t.wvalid_i = q->wvalid;
  t.wstrb_i = strobe;
  t.bready_i = q->bready;
  // A host that keeps reading must not be noticed.
  t.host_valid_i = host;
  t.host_write_i = 0;
  t.host_address_i = 64;
  std::memcpy(&t.wdata_i, wdata, KOCH_BYTES);
  t.eval();
  *a = {t.arready_o, t.rvalid_o, t.rlast_o, t.rresp_o, t.awready_o, t.wready_o, t.bvalid_o, t.bresp_o};
  std::memcpy(rdata, &t.rdata_o, KOCH_BYTES);
  Clock(i);
}
}

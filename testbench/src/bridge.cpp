// The bridge between the testbench and a Verilated `koch`: one call a cycle.
#include <cstdint>
#include <cstring>

#include "Vkoch.h"
#include "Vkoch___024root.h"
#include "verilated.h"
#if VM_TRACE
#include "verilated_fst_c.h"
#endif

namespace {
constexpr int kBusBytes = KOCH_BUS_BYTES;
struct Instance {
  VerilatedContext context;
  Vkoch top{&context};
#if VM_TRACE
  VerilatedFstC* trace = nullptr;
#endif
  uint64_t time = 0;
};

void Edge(Instance* i, int level) {
  i->top.clk_i = level;
  i->top.eval();
#if VM_TRACE
  if (i->trace != nullptr) {
    i->trace->dump(i->time);
  }
  ++i->time;
#endif
}
}  // namespace

extern "C" {

// Layouts shared with memory.rs and bridge.rs.
struct Answers {
  uint8_t arready, rvalid, rlast, rresp, awready, wready, bvalid, bresp;
};
struct Requests {
  uint32_t araddr, awaddr;
  uint8_t arlen, arvalid, rready, awlen, awvalid, wvalid, wlast, bready;
};
struct Control {
  uint32_t awaddr, wdata, araddr, rdata;
  uint8_t awvalid, wvalid, bready, arvalid, rready, awready, wready, bvalid, arready, rvalid, irq, rst_n;
};

void* koch_new(const char* trace, uint32_t seed) {
  auto* i = new Instance;
  i->context.randReset(2);
  i->context.randSeed(static_cast<int>(seed));
#if VM_TRACE
  if (trace != nullptr) {
    i->context.traceEverOn(true);
    i->trace = new VerilatedFstC;
    i->top.trace(i->trace, 99);
    i->trace->open(trace);
  }
#else
  (void)trace;
#endif
  i->top.rst_ni = 1;
  Edge(i, 0);
  return i;
}

#ifdef KOCH_MUTANTS
// Switches a mutant on, of a design that `yosys mutate -ctrl mutant` has changed; 0 is none.
void koch_select(void* instance, uint32_t mutant) {
  static_cast<Instance*>(instance)->top.mutant = mutant;
}
#endif

void koch_free(void* instance) {
  auto* i = static_cast<Instance*>(instance);
  i->top.final();
#if VM_TRACE
  if (i->trace != nullptr) {
    i->trace->close();
    delete i->trace;
  }
#endif
  delete i;
}

// What the master drives in this cycle.
void koch_requests(void* instance, Requests* q, uint8_t* wdata, uint64_t* strobe) {
  Vkoch& top = static_cast<Instance*>(instance)->top;
  q->araddr = top.m_axi_araddr;
  q->arlen = top.m_axi_arlen;
  q->arvalid = top.m_axi_arvalid;
  q->rready = top.m_axi_rready;
  q->awaddr = top.m_axi_awaddr;
  q->awlen = top.m_axi_awlen;
  q->awvalid = top.m_axi_awvalid;
  q->wvalid = top.m_axi_wvalid;
  q->wlast = top.m_axi_wlast;
  q->bready = top.m_axi_bready;
  if (top.m_axi_wvalid) {
    std::memcpy(wdata, &top.m_axi_wdata, kBusBytes);
    *strobe = 0;
    std::memcpy(strobe, &top.m_axi_wstrb, (kBusBytes + 7) / 8);
  }
}

// Passes one clock cycle with these answers on the bus. Control outputs are those of the cycle before the edge.
void koch_cycle(void* instance, const Answers* a, const uint8_t* rdata, Control* c) {
  auto* i = static_cast<Instance*>(instance);
  Vkoch& top = i->top;
  top.m_axi_arready = a->arready;
  top.m_axi_rvalid = a->rvalid;
  top.m_axi_rlast = a->rlast;
  top.m_axi_rresp = a->rresp;
  top.m_axi_awready = a->awready;
  top.m_axi_wready = a->wready;
  top.m_axi_bvalid = a->bvalid;
  top.m_axi_bresp = a->bresp;
  if (a->rvalid) {
    std::memcpy(&top.m_axi_rdata, rdata, kBusBytes);
  }
  if (c != nullptr) {
    top.rst_ni = c->rst_n;
    top.s_axil_awaddr = c->awaddr;
    top.s_axil_wdata = c->wdata;
    top.s_axil_wstrb = 15;
    top.s_axil_araddr = c->araddr;
    top.s_axil_awvalid = c->awvalid;
    top.s_axil_wvalid = c->wvalid;
    top.s_axil_bready = c->bready;
    top.s_axil_arvalid = c->arvalid;
    top.s_axil_rready = c->rready;
    top.eval();
    c->awready = top.s_axil_awready;
    c->wready = top.s_axil_wready;
    c->bvalid = top.s_axil_bvalid;
    c->arready = top.s_axil_arready;
    c->rvalid = top.s_axil_rvalid;
    c->rdata = top.s_axil_rdata;
  }
  Edge(i, 1);
  Edge(i, 0);
  if (c != nullptr) {
    c->irq = top.irq_o;
  }
}

// Bit 0: the interrupt line; above it the number of the layer.
uint32_t koch_state(void* instance) {
  Vkoch& top = static_cast<Instance*>(instance)->top;
  return top.irq_o | static_cast<uint32_t>(top.rootp->koch__DOT__u_counters__DOT__layer_q) << 1;
}

// All counters as they are now.
void koch_counters(void* instance, uint64_t* values) {
  const auto* root = static_cast<Instance*>(instance)->top.rootp;
#define KOCH_COUNTER(name) *values++ = root->koch__DOT__u_counters__DOT__##name##_q;
  KOCH_COUNTERS
#undef KOCH_COUNTER
}
}

// The bridge to a Verilated `koch_board`: its UART, bit by bit.
#include <cstddef>
#include <cstdint>
#include <deque>

#include "Vkoch_board.h"
#include "verilated.h"

namespace {
constexpr int kClocksPerBit = KOCH_CLOCKS_PER_BIT;

struct Instance {
  VerilatedContext context;
  Vkoch_board top{&context};
  std::deque<uint8_t> received;
  // Of the byte that is coming in: cycles since its start bit began (none: -1), and its bits.
  int since = -1;
  unsigned bits = 0;
};

void Cycle(Instance* i) {
  i->top.clk_i = 1;
  i->top.eval();
  i->top.clk_i = 0;
  i->top.eval();
  if (i->since < 0) {
    if (i->top.tx_o) return;
    i->since = 0;
    i->bits = 0;
  }
  const int at = i->since++;
  if (at % kClocksPerBit == kClocksPerBit / 2) {
    i->bits |= static_cast<unsigned>(i->top.tx_o) << (at / kClocksPerBit);
    if (at / kClocksPerBit == 9) {
      // A byte without its stop bit is one that should not be: it is handed on wrong.
      i->received.push_back(static_cast<uint8_t>((i->bits >> 1) ^ (i->bits >> 9 & 1 ? 0 : 0xff)));
      i->since = -1;
    }
  }
}
// The instance behind a handle, whose context becomes that of the thread: there may be several.
Instance* Of(void* instance) {
  auto* i = static_cast<Instance*>(instance);
  Verilated::threadContextp(&i->context);
  return i;
}
}  // namespace

extern "C" {

void* board_new(uint32_t seed) {
  auto* i = new Instance;
  i->context.randReset(2);
  i->context.randSeed(static_cast<int>(seed));
  i->top.rx_i = 1;
  i->top.clk_i = 0;
  i->top.rst_ni = 1;
  i->top.eval();
  i->top.rst_ni = 0;
  for (int k = 0; k < 4; ++k) {
    i->top.clk_i = 1;
    i->top.eval();
    i->top.clk_i = 0;
    i->top.eval();
  }
  i->top.rst_ni = 1;
  i->top.eval();
  i->since = -1;
  i->received.clear();
  return i;
}

void board_free(void* instance) {
  auto* i = Of(instance);
  i->top.final();
  delete i;
}

// Sends bytes.
void board_send(void* instance, const uint8_t* bytes, size_t count) {
  auto* i = Of(instance);
  for (size_t k = 0; k < count; ++k) {
    const unsigned frame = 0x200u | static_cast<unsigned>(bytes[k]) << 1;
    for (int bit = 0; bit < 10; ++bit) {
      i->top.rx_i = frame >> bit & 1;
      for (int c = 0; c < kClocksPerBit; ++c) Cycle(i);
    }
  }
}

// Passes cycles until `count` bytes have come in, `cycles` have passed, or the accelerator is done if `done` says so.
size_t board_receive(void* instance, uint8_t* bytes, size_t count, uint64_t cycles, int done) {
  auto* i = Of(instance);
  for (uint64_t c = 0; c < cycles && i->received.size() < count && !(done && i->top.done_o); ++c) Cycle(i);
  size_t have = 0;
  while (have < count && !i->received.empty()) {
    bytes[have++] = i->received.front();
    i->received.pop_front();
  }
  return have;
}
}

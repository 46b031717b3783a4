"""What a client does with the accelerator: cocotb runs this, run.py starts it.

Memory and host are cocotbext-axi's. `KOCH_CASES` names the file that `testbench::client` wrote, `KOCH_RESULTS` the file that
gets a line for each run: what was run, its status and all counters.
"""

import json
import os
import pathlib
import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge, with_timeout
from cocotbext.axi import AxiBus, AxiLiteBus, AxiLiteMaster, AxiSlave, SparseMemoryRegion

ALL = json.loads(pathlib.Path(os.environ["KOCH_CASES"]).read_text())
REGISTERS, COUNTERS = ALL["registers"], ALL["counters"]
IDLE = [name for name in COUNTERS if name.startswith("idle_")]
KINDS = ["handshakes", "read address", "write address", "write data", "control"]
# Of an output before the run: a byte that is not written shows.
STALE = 0xA5

class Memory(SparseMemoryRegion):
    """Bytes, and a range of addresses that answers with SLVERR."""

    refused = range(0)

    async def _read(self, address, length):
        self.refuse(address, length)
        return await super()._read(address, length)

    async def _write(self, address, data):
        self.refuse(address, len(data))
        await super()._write(address, data)

    def refuse(self, address, length):
        if address < self.refused.stop and self.refused.start < address + length:
            raise ValueError("refused")

class Bench:
    """The accelerator between a host and a memory."""

    def __init__(self, dut):
        self.dut = dut
        dut.rst_ni.value = 0
        cocotb.start_soon(Clock(dut.clk_i, 10, "ns").start())
        self.memory = Memory(2**32)
        self.slave = AxiSlave(
            AxiBus.from_prefix(dut, "m_axi"), dut.clk_i, dut.rst_ni, target=self.memory, reset_active_level=False
        )
        self.host = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk_i, dut.rst_ni, reset_active_level=False)

    async def reset(self):
        await ClockCycles(self.dut.clk_i, 4)
        self.dut.rst_ni.value = 1
        await ClockCycles(self.dut.clk_i, 2)

    def pause(self, seed):
        """Pauses at random on all ten channels, each with a share of its own."""
        reads, writes = (self.slave.read_if, self.host.read_if), (self.slave.write_if, self.host.write_if)
        channels = [c for i in reads for c in (i.ar_channel, i.r_channel)]
        channels += [c for i in writes for c in (i.aw_channel, i.w_channel, i.b_channel)]
        for k, channel in enumerate(channels):
            draw = random.Random(f"{seed} {k}")
            share = draw.choice([0.1, 0.3, 0.5, 0.8])
            channel.set_pause_generator(draw.random() < share for _ in iter(int, 1))

    async def write(self, register, value):
        await self.host.write_dword(REGISTERS[register], value)

    async def run(self, case):
        """A run of a case's program; its status and counters."""
        program, output = case["program"], case["output"]
        for segment in [program, *case["data"]]:
            self.memory.mem.write(segment["address"], bytes.fromhex(segment["bytes"]))
        self.memory.mem.write(output["address"], bytes([STALE]) * (len(output["bytes"]) // 2))
        await self.write("program", program["address"])
        await self.write("instructions", program["instructions"])
        await self.write("interrupt", 1)
        await self.write("control", 1)
        await with_timeout(RisingEdge(self.dut.irq_o), 1, "ms")
        status = await self.host.read_dword(REGISTERS["status"])
        counters = {}
        for name, offset in COUNTERS.items():
            counters[name] = await self.host.read_qword(offset)
        await self.write("interrupt", 3)
        assert status & 3 == 2, f"status {status:#x} after the interrupt"
        assert self.dut.irq_o.value == 0, "the interrupt stays after it was acknowledged"
        unknown = self.dut.unknown.value
        seen = [kind for k, kind in enumerate(KINDS) if not unknown[k] == 0]
        assert not seen, f"unknown since reset: {', '.join(seen)}"
        return ALL["statuses"][str(status >> 8 & 15)], counters

    def outputs(self, case):
        address, want = case["output"]["address"], bytes.fromhex(case["output"]["bytes"])
        got = bytes(self.memory.mem.read(address, len(want)))
        wrong = [k for k in range(len(want)) if got[k] != want[k]]
        assert not wrong, f"output byte {wrong[0]} is {got[wrong[0]]}, the reference says {want[wrong[0]]}"

def note(what, case, status, counters):
    with open(os.environ["KOCH_RESULTS"], "a", encoding="ascii") as file:
        print(json.dumps({"what": what, "layer": case["layer"], "status": status, "counters": counters}), file=file)

async def good(bench, what, case):
    """A run that must succeed: outputs by the reference, counters by the model where memory's timing does not change them."""
    status, counters = await bench.run(case)
    note(what, case, status, counters)
    assert status == "ok", f"{case['layer']}: {status}"
    bench.outputs(case)
    for name, want in case["counters"].items():
        assert counters[name] == want, f"{case['layer']}: {name} is {counters[name]}, the model says {want}"
    causes = counters["busy"] + sum(counters[name] for name in IDLE)
    assert counters["cycles"] == causes, f"{case['layer']}: {counters['cycles']} cycles, {causes} have a cause"

@cocotb.test()
async def ready(dut):
    """Nothing on any channel pauses."""
    bench = Bench(dut)
    await bench.reset()
    for case in ALL["cases"]:
        await good(bench, "ready", case)

@cocotb.test()
async def paused(dut):
    """Every channel pauses at random."""
    bench = Bench(dut)
    bench.pause(cocotb.RANDOM_SEED)
    await bench.reset()
    for case in ALL["cases"]:
        await good(bench, "paused", case)

@cocotb.test()
async def refused(dut):
    """Memory answers with SLVERR, to a read of data and to a write of outputs, or the limit is short; the next run is right."""
    bench = Bench(dut)
    bench.pause(cocotb.RANDOM_SEED + 1)
    await bench.reset()
    draw = random.Random(cocotb.RANDOM_SEED)
    for want in ("read_error", "write_error"):
        case, following = draw.choice(ALL["cases"]), draw.choice(ALL["cases"])
        segment = case["output"] if want == "write_error" else draw.choice(case["data"])
        at = segment["address"] + draw.randrange(len(segment["bytes"]) // 2)
        bench.memory.refused = range(at, at + 1)
        status, counters = await bench.run(case)
        note("refused", case, status, counters)
        assert status == want, f"{case['layer']}, {at:#x} refused: {status}, not {want}"
        bench.memory.refused = range(0)
        await good(bench, "after an error", following)
    case = draw.choice(ALL["cases"])
    await bench.write("limit", draw.randrange(1, case["counters"]["busy"]))
    status, counters = await bench.run(case)
    note("refused", case, status, counters)
    assert status == "timeout", f"{case['layer']}: {status}, not timeout"
    await bench.write("limit", 0)
    await good(bench, "after an error", case)


@cocotb.test()
async def registers(dut):
    """What can be read is as it was written, or as the config makes it."""
    bench = Bench(dut)
    bench.pause(cocotb.RANDOM_SEED + 2)
    await bench.reset()
    draw = random.Random(cocotb.RANDOM_SEED)
    for name in ("program", "instructions", "limit"):
        value = draw.getrandbits(32) & (0xFFFFFF00 if name == "program" else 0xFFFFFFFF)
        await bench.write(name, value)
        assert await bench.host.read_dword(REGISTERS[name]) == value, name
    for name, want in ALL["identity"].items():
        assert await bench.host.read_dword(REGISTERS[name]) == want, name

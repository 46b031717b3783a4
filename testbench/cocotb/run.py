#!/usr/bin/env python3
"""Has the client of client.py drive the generated RTL, in Icarus and in Verilator.

    testbench/cocotb/run.py cocotb DIRECTORY ... [--seeds N]
    testbench/cocotb/run.py unknown DIRECTORY ... [--seeds N] [--slice]
    testbench/cocotb/run.py coverage DIRECTORY ... [--seeds N]

The directories hold what `testbench::client` wrote; the simulations are built there. `cocotb` runs every seed in both simulators:
every check of client.py must hold, and status and all counters of every run must be equal in both. `unknown` starts from
registers and memories that are unknown (Icarus), and random (Verilator); every run must be as one from zeros is. Copies of the design
without a reset must be noticed; `--slice` takes one of them. `coverage` counts what Verilator notes of the same runs, by module;
points that none reached are named on stderr. A table goes to stdout as Markdown, everything else to stderr. Exit
code 1: something differs, or goes unnoticed.

The interpreter is the one of .tools/venv, which has cocotb.
"""

import argparse
import collections
import json
import os
import pathlib
import re
import sys

from cocotb_tools.check_results import get_results
from cocotb_tools.runner import get_runner

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
# Verilator's x-assign and x-initial make random what is unknown in the text, and what has no initial value. cocotb has
# every signal public, so that Verilator splits none, and takes words of one signal that follow from each other for a loop.
RANDOM = ["--x-assign", "unique", "--x-initial", "unique"]
BUILD = {"icarus": [], "verilator": [*RANDOM, "--no-timing", "-Wno-SPLITVAR", "-Wno-UNOPTFLAT"]}
# Runs are short, and the compiler is what takes time.
COVERAGE = ["--coverage-line", "--coverage-toggle"]
QUICK = "OPT_FAST=-O0 OPT_SLOW=-O0 OPT_GLOBAL=-O0"
ZEROS = ["+verilator+rand+reset+0"]

# Each takes away one reset: file, register, its value. Others, such as a queue's count, are not missed: the start of a run clears them.
SABOTAGES = [
    ("koch_control", "finish_q", "1'b0"),
    ("koch_control", "running_q", "1'b0"),
    ("koch_control", "halted_q", "1'b0"),
    ("koch_read_master", "valid_q", "1'b0"),
    ("koch_regs", "answered_q", "1'b0"),
]


class Wrong(Exception):
    """A check that does not hold."""


def random_start(seed):
    return ["+verilator+rand+reset+2", f"+verilator+seed+{seed}"]


class Simulation:
    """The design in one simulator."""

    def __init__(self, directory, simulator, sabotage=None, coverage=False):
        self.directory, self.simulator = directory.resolve(), simulator
        name = "coverage" if coverage else simulator
        self.build = self.directory / (name if sabotage is None else f"without-{sabotage[0]}-{sabotage[1]}")
        sources = self.build / "rtl"
        sources.mkdir(parents=True, exist_ok=True)
        stale = False
        for file in sorted((self.directory / "rtl").glob("*.sv")):
            text = file.read_text()
            if sabotage is not None and file.stem == sabotage[0]:
                _, register, value = sabotage
                line = f"      {register} <= {value};\n"
                if line not in text:
                    raise Wrong(f"{file.name} has no line {line.strip()!r}")
                text = text.replace(line, "", 1)
            if simulator == "icarus":
                # Icarus 11 wakes the always_comb blocks of a design together, again and again in one moment.
                text = text.replace("always_comb", "always @*")
            copy = sources / file.name
            if not copy.exists() or copy.read_text() != text:
                copy.write_text(text)
                stale = True
        self.runner = get_runner(simulator)
        if not stale:
            return
        cases = json.loads((self.directory / "cases.json").read_text())
        self.runner.build(
            sources=[HERE / "bench.sv", *sorted(sources.glob("*.sv"))], hdl_toplevel="bench", always=True,
            parameters={"BusBytes": cases["bus_bytes"]}, build_args=BUILD[simulator] + (COVERAGE if coverage else []),
            build_dir=self.build,
            log_file=self.build / "build.log",
        )

    def run(self, seed, start=()):
        """The runs of client.py with this seed: what, layer, status and counters of each."""
        results, log = self.build / "results.jsonl", self.build / "run.log"
        results.write_text("")
        said = self.runner.test(
            test_module="client", hdl_toplevel="bench", hdl_toplevel_lang="verilog", build_dir=self.build,
            seed=seed, plusargs=list(start), log_file=log, results_xml=str(self.build / "results.xml"),
            extra_env={"KOCH_CASES": str(self.directory / "cases.json"), "KOCH_RESULTS": str(results)},
        )
        tests, failed = get_results(said)
        if failed or not tests:
            errors = [line.strip() for line in log.read_text().splitlines() if "Error: " in line]
            raise Wrong(f"{self.directory.name} in {self.simulator}, seed {seed}: {'; '.join(errors) or log}")
        return [json.loads(line) for line in results.read_text().splitlines()]


def same(directory, seed, what, runs, others):
    if len(runs) != len(others):
        raise Wrong(f"{directory.name}, seed {seed}: {len(runs)} runs, {what} {len(others)}")
    for one, other in zip(runs, others, strict=True):
        if one != other:
            raise Wrong(f"{directory.name}, seed {seed}: {one}, {what} {other}")


def cocotb(directory, seeds):
    """A row of the table: every seed in both simulators."""
    icarus, verilator = Simulation(directory, "icarus"), Simulation(directory, "verilator")
    runs = []
    for seed in range(1, seeds + 1):
        here = icarus.run(seed)
        same(directory, seed, "in Verilator", here, verilator.run(seed, ZEROS))
        runs += here
    count = {what: sum(r["what"] == what for r in runs) for what in ("ready", "paused", "refused", "after an error")}
    cycles = sum(r["counters"]["cycles"] for r in runs)
    name = json.loads((directory / "cases.json").read_text())["config"]
    return f"| {name} | {seeds} | " + " | ".join(str(n) for n in count.values()) + f" | {cycles} |"


def unknown(directory, seeds, sabotages):
    """Rows of the table: from unknown values, from random ones, without a reset."""
    name = json.loads((directory / "cases.json").read_text())["config"]
    verilator = Simulation(directory, "verilator")
    zeros = verilator.run(1, ZEROS)
    same(directory, 1, "from unknown values", zeros, Simulation(directory, "icarus").run(1))
    yield f"| {name} | unknown | Icarus | {len(zeros)} | equal |"
    for seed in range(1, seeds + 1):
        same(directory, 1, f"from random values, seed {seed},", zeros, verilator.run(1, random_start(seed)))
    yield f"| {name} | random, {seeds} seeds | Verilator | {seeds * len(zeros)} | equal |"
    for sabotage in sabotages:
        what = f"`{sabotage[0]}.{sabotage[1]}` without a reset"
        try:
            Simulation(directory, "icarus", sabotage).run(1)
        except Wrong as wrong:
            print(f"noticed: {wrong}", file=sys.stderr)
            yield f"| {name} | unknown, {what} | Icarus |  | noticed |"
        else:
            raise Wrong(f"{directory.name}: {what} goes unnoticed")


def points(file):
    """Counts by (kind, module, place) of a file that Verilator's coverage wrote; instances of a module are one."""
    counts = collections.Counter()
    for line in file.read_text(errors="replace").splitlines():
        found = re.fullmatch(r"C '(.*)' (\d+)", line)
        if found is None:
            continue
        fields = dict(field.split("\x02", 1) for field in found[1].split("\x01") if field)
        kind, _, module = fields["page"].removeprefix("v_").partition("/")
        module = module.split("__")[0]
        if module.startswith("koch"):
            counts[kind, module, f"{fields['l']}: {fields['o']}"] += int(found[2])
    return counts


def coverage(directories, seeds):
    """The table by module, over all runs; what none reached goes to stderr."""
    counts = collections.Counter()
    for directory in directories:
        simulation = Simulation(directory, "verilator", coverage=True)
        for seed in range(1, seeds + 1):
            simulation.run(seed, random_start(seed))
            counts.update(points(simulation.build / "coverage.dat"))
    for kind, module, place in sorted(point for point, count in counts.items() if count == 0):
        print(f"not reached: {kind} {module} {place}", file=sys.stderr)
    yield "| module | line % | branch % | toggle % | not reached: lines, branches, toggles |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    for module in [*sorted({module for _, module, _ in counts}), "all"]:
        shares, missing = [], []
        for kind in ("line", "branch", "toggle"):
            here = [n for (k, m, _), n in counts.items() if k == kind and module in (m, "all")]
            missing.append(str(here.count(0)))
            shares.append(f"{100 * (1 - here.count(0) / len(here)):.1f}" if here else "")
        yield f"| {module} | {' | '.join(shares)} | {', '.join(missing)} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("check", choices=["cocotb", "unknown", "coverage"])
    parser.add_argument("directory", type=pathlib.Path, nargs="+")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--slice", action="store_true")
    arguments = parser.parse_args()
    os.environ["PATH"] = os.pathsep.join([str(ROOT / ".tools" / "bin"), os.environ["PATH"]])
    os.environ["MAKEFLAGS"] = QUICK
    sys.path.insert(0, str(HERE))
    rows = []
    try:
        if arguments.check == "coverage":
            print("\n".join(coverage(arguments.directory, arguments.seeds)))
            return
        for directory in arguments.directory:
            if arguments.check == "cocotb":
                rows.append(cocotb(directory, arguments.seeds))
            else:
                rows += unknown(directory, arguments.seeds, SABOTAGES[:1] if arguments.slice else SABOTAGES)
    except Wrong as wrong:
        sys.exit(f"{arguments.check}: {wrong}")
    if arguments.check == "cocotb":
        print("| config | seeds | runs without pauses | with pauses | refused | after an error | cycles, in each simulator |")
        print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    else:
        print("| config | registers and memories at the start | simulator | runs | against those from zeros |")
        print("| --- | --- | --- | ---: | --- |")
    print("\n".join(rows))


if __name__ == "__main__":
    main()

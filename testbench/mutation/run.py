#!/usr/bin/env python3
"""Mutates the RTL and counts which mutants the tests' programs notice.

    testbench/mutation/run.py [--count N] [--seed S] [--least PERCENT]

Yosys draws N mutants, evenly over modules and what their sources cover, and puts all of them into one netlist with an input that
switches one on; the example `mutants` of crate testbench runs programs on each. What survives is then compared with its
module as it was: ABC proves the two equal (the mutant is no mutant), or finds inputs that tell them apart. A table by module
goes to stdout as Markdown, everything else to stderr. Exit code 1: fewer than PERCENT noticed of those not proven equal.
"""

import argparse
import collections
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CONFIG = HERE / "small.toml"


def call(command, directory, limit=3600):
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=limit)
    if done.returncode != 0:
        sys.exit(f"mutation: {' '.join(map(str, command[:3]))}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def example(*arguments):
    return ["cargo", "run", "--release", "--quiet", "--package", "testbench", "--example", "mutants", "--", *arguments]


def short(module):
    """koch_x of a module's name in Yosys, whose parameters stand before it or behind."""
    return re.search(r"(koch\w*)", module.replace("$paramod", ""))[1]


def equal(line, directory):
    """Whether ABC proves the mutated module equal to itself before: with all registers equal at the start."""
    module = re.search(r"-module (\S+)", line)[1]
    one = re.sub(r"-ctrl mutant 16 \d+ ", "", line)
    script = [
        "read_rtlil base.il", f"hierarchy -top {module}", "flatten", "opt_clean", f"rename -top gold", "design -save gold",
        "design -reset", "read_rtlil base.il", one, f"hierarchy -top {module}", "flatten", "opt_clean", "rename -top gate",
        "design -copy-from gold -as gold gold",
        "miter -equiv -ignore_gold_x -make_assert -flatten gold gate whole", "hierarchy -top whole", "flatten",
        "setundef -undriven -zero", "setundef -zero", "setundef -init -zero",
        "memory -nomap", "memory_map", "async2sync", "dffunmap", "opt -keepdc", "techmap", "opt -keepdc", "dffunmap",
        "setundef -init -zero", "abc -g AND -fast", "opt_clean", "write_aiger -I -zinit pair.aig",
    ]
    (directory / "pair.ys").write_text("\n".join(script) + "\n")
    try:
        done = subprocess.run(["yosys", "-q", "-s", "pair.ys"], cwd=directory, capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            print(f"mutation: {one}: {done.stdout[-300:]}{done.stderr[-300:]}", file=sys.stderr)
            return None
        said = subprocess.run(
            ["berkeley-abc", "-q", "read_aiger pair.aig; fold; strash; scorr; dc2; strash; pdr -T 30"],
            cwd=directory, capture_output=True, text=True, timeout=300,
        ).stdout
    except subprocess.TimeoutExpired:
        return None
    if "was asserted in frame" in said:
        return False
    return True if "Property proved" in said or "UNSATISFIABLE" in said else None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--least", type=float, default=0)
    arguments = parser.parse_args()
    if not 1 <= arguments.count < 1 << 16:
        parser.error(f"--count {arguments.count}: 1 to 65535")
    with tempfile.TemporaryDirectory(prefix="koch-mutants-") as name:
        directory = pathlib.Path(name)
        call(example("rtl", str(CONFIG), str(directory / "rtl")), ROOT)
        files = " ".join(str(f) for f in sorted((directory / "rtl").glob("*.sv")))
        call(["yosys", "-q", "-p", f"read_verilog -sv {files}; hierarchy -check -top koch; proc; opt_clean; write_rtlil base.il; "
              f"mutate -list {arguments.count} -seed {arguments.seed} -none -o list.txt -ctrl mutant 16 0"], directory)
        lines = (directory / "list.txt").read_text().splitlines()
        (directory / "apply.ys").write_text("read_rtlil base.il\n" + "\n".join(lines) + "\nwrite_verilog -noattr mutants.v\n")
        call(["yosys", "-q", "-s", "apply.ys"], directory)
        text = (directory / "mutants.v").read_text()
        # Yosys drops what the sources tell Verilator of wide nets, without which each cycle is computed several times.
        wide = {name for f in (directory / "rtl").glob("*.sv") for name in re.findall(r"(\w+) /\*verilator split_var\*/", f.read_text())}
        text = re.sub(rf"^(  wire \[\d+:\d+\] (?:{'|'.join(sorted(wide))}));", r"\1 /*verilator split_var*/;", text, flags=re.M)
        # What Yosys prints is not written for Verilator's lint.
        quiet = "".join(f"/* verilator lint_off {w} */\n" for w in ("WIDTH", "UNOPTFLAT", "CASEOVERLAP", "CASEINCOMPLETE"))
        (directory / "mutants.v").write_text(quiet + text)
        said = call(example("run", str(CONFIG), str(directory / "mutants.v"), str(len(lines) - 1)), ROOT, 36000)
        noticed = dict(line.split("\t") for line in said.splitlines())
        table = collections.defaultdict(collections.Counter)
        survivors = []
        for number in range(1, len(lines)):
            module = short(re.search(r"-module (\S+)", lines[number])[1])
            table[module]["mutants"] += 1
            if noticed[str(number)] != "survives":
                table[module]["noticed"] += 1
                continue
            verdict = equal(lines[number], directory)
            print(f"{number} survives, {'equal' if verdict else 'differs' if verdict is False else 'undecided'}: {lines[number]}", file=sys.stderr)
            if verdict:
                table[module]["equal"] += 1
            else:
                table[module]["survive"] += 1
                source = re.findall(r"-src \S+?(\w+)\.sv:(\d+)", lines[number])
                survivors.append((module, re.search(r"-mode (\S+)", lines[number])[1], source, verdict))
    total = collections.Counter()
    print("| module | mutants | proven equal | noticed | survive |\n| --- | ---: | ---: | ---: | ---: |")
    for module, row in sorted(table.items()):
        total.update(row)
        print(f"| {module} | {row['mutants']} | {row['equal']} | {row['noticed']} | {row['survive']} |")
    share = 100 * total["noticed"] / max(1, total["mutants"] - total["equal"])
    print(f"| all | {total['mutants']} | {total['equal']} | {total['noticed']} | {total['survive']} |")
    print(f"\nNoticed of those not proven equal: {share:.2f} %.\n")
    for module, mode, source, verdict in survivors:
        places = ", ".join(f"{file}.sv:{line}" for file, line in source)
        print(f"- {module}, `{mode}` at {places}: {'tells apart in its module' if verdict is False else 'undecided'}")
    sys.exit(share < arguments.least)


if __name__ == "__main__":
    main()

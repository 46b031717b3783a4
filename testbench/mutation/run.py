#!/usr/bin/env python3
"""Mutates the RTL and counts which mutants the tests' programs notice.

    testbench/mutation/run.py [--count N] [--seed S] [--least PERCENT] [--slice]

Yosys draws N mutants, evenly over modules and what their sources cover, and puts all of them into one netlist with an input that
switches one on. Those that ABC proves equal at all pins of the design are no mutants (equal.py). On the others the example
`mutants` of crate testbench runs programs. What survives is looked at by ABC once more, with more time, and by the formal
properties of ../formal that are about its module. `--slice`: programs alone, and few of them.
A table by module goes to stdout as Markdown, everything else to stderr. Exit code 1: fewer than PERCENT noticed of those not proven equal.
"""

import argparse
import collections
import importlib.util
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib

import equal
import netlist

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CONFIG = HERE / "small.toml"
# Programs that are drawn for what the tests' own leave.
DRAWN = 400


class Failed(Exception):
    """A tool that fails."""


def call(command, directory, limit=3600):
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=limit)
    if done.returncode != 0:
        raise Failed(f"{' '.join(map(str, command[:3]))}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def example(*arguments):
    return ["cargo", "run", "--release", "--quiet", "--package", "testbench", "--example", "mutants", "--", *arguments]


def short(module):
    """koch_x of a module's name in Yosys, whose parameters stand before it or behind."""
    return re.search(r"(koch\w*)", module.replace("$paramod", ""))[1]


def grouped(text):
    """The Verilog with a memory's bits, which Yosys writes one by one, in loops: a hundred times faster in Verilator."""
    lines = text.split("\n")
    out, at = [], 0
    while at < len(lines):
        bits = []
        while at + 1 < len(lines):
            test = re.fullmatch(r"    if \((\w+)\[(\d+)\]\)", lines[at])
            to = re.fullmatch(r"      (\S+\[\w+\])\[(\d+):(\d+)\] <= (\w+)\[(\d+)\];", lines[at + 1])
            if not test or not to or {int(test[2]), int(to[2]), int(to[3]), int(to[5])} != {len(bits)}:
                break
            if bits and bits[0] != (test[1], to[1], to[4]):
                break
            bits.append((test[1], to[1], to[4]))
            at += 2
        if bits:
            enable, word, data = bits[0]
            out += [f"    if (|{enable}[{len(bits) - 1}:0])", f"      for (int of_word = 0; of_word < {len(bits)}; of_word++)",
                    f"        if ({enable}[of_word]) {word}[of_word] <= {data}[of_word];"]
        else:
            out.append(lines[at])
            at += 1
    return "\n".join(out)


def verilog(directory):
    """mutants.v for Verilator."""
    text = grouped((directory / "mutants.v").read_text())
    # Yosys drops what the sources tell Verilator of wide nets, without which each cycle is computed several times.
    wide = {name for f in (directory / "rtl").glob("*.sv") for name in re.findall(r"(\w+) /\*verilator split_var\*/", f.read_text())}
    text = re.sub(rf"^(  wire \[\d+:\d+\] (?:{'|'.join(sorted(wide))}));", r"\1 /*verilator split_var*/;", text, flags=re.M)
    # What Yosys prints is not written for Verilator's lint.
    quiet = "".join(f"/* verilator lint_off {w} */\n" for w in ("WIDTH", "UNOPTFLAT", "CASEOVERLAP", "CASEINCOMPLETE"))
    (directory / "mutants.v").write_text(quiet + text)


def design_of(directory):
    """The flat netlist without memories, as gates."""
    text, memories = netlist.cut((directory / "flat.il").read_text(), equal.TAPS)
    (directory / "cut.il").write_text(text)
    call(["yosys", "-q", "-p", "read_rtlil cut.il; setundef -undriven -anyseq; setundef -anyseq; async2sync; dffunmap; techmap; "
          "setundef -anyseq; dffunmap; opt_clean; aigmap; opt_clean; write_aiger -ascii -map gates.map gates.aag"], directory)
    burst_beats = tomllib.loads(CONFIG.read_text())["burst_beats"]
    return equal.Design((directory / "gates.aag").read_text(), (directory / "gates.map").read_text(), memories, burst_beats)


class Proofs:
    """The formal properties (../formal) on designs in which one module is a mutant."""

    def __init__(self, directory):
        spec = importlib.util.spec_from_file_location("formal", HERE.parent / "formal" / "run.py")
        self.formal = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.formal)
        self.proofs = tomllib.loads((self.formal.HERE / "proofs.toml").read_text())["proof"]
        self.directory, self.sound = directory, {}

    def false(self, proof, rtl):
        """The first property of the proof that fails: in so many cycles, or as an induction."""
        with tempfile.TemporaryDirectory(prefix="koch-formal-") as name:
            directory = pathlib.Path(name)
            try:
                order = self.formal.model(proof, rtl, directory)
                for label in self.formal.labels(proof):
                    engine = proof if proof.get("engine", "pdr") != "pdr" else {**proof, "engine": "bmc:40"}
                    if self.formal.decide(engine, order, label, directory, 5)[0] == "false":
                        return f"{proof['name']}: {label}"
            except (self.formal.Broken, subprocess.SubprocessError) as broken:
                print(f"mutation: {proof['name']}: {broken}", file=sys.stderr)
        return None

    def own_file(self, name, module, parameters, mutation=""):
        """RTL in which a module's file is what Yosys makes of it, a mutant or not."""
        rtl = self.directory / "mutant"
        shutil.rmtree(rtl, ignore_errors=True)
        shutil.copytree(self.directory / "rtl", rtl)
        # Without choices between constants, a word of a memory is written as one.
        call(["yosys", "-q", "-p", f"read_rtlil base.il; {mutation}; select -module {name}; simplemap t:$mux; opt_expr -mux_bool; "
              "opt_clean; write_verilog -noattr -selected one.v"], self.directory)
        # Parameters are numbers there, but a property may give them nevertheless.
        given = f"#(parameter {', '.join(f'{k} = {v}' for k, v in parameters.items())}) " if parameters else ""
        text = re.sub(r"^module \S+? ?\(", lambda _: f"module {module} {given}(", (self.directory / "one.v").read_text(), flags=re.M)
        (rtl / f"{module}.sv").write_text(text)
        return rtl

    def notice(self, line):
        """Which property a mutant breaks that the design keeps."""
        name = re.search(r"-module (\S+)", line)[1]
        module = short(name)
        header = re.search(rf"^module \\?{re.escape(name)}\n((?:  parameter .*\n)*)", (self.directory / "base.il").read_text(), flags=re.M)
        parameters = dict(re.findall(r"parameter \\(\w+) (\d+)", header[1]))
        # Where others of its kind have other parameters, it cannot be all of them.
        of = [p for p in self.proofs if module in p["modules"] and (not parameters or p["modules"] == [module])]
        for proof in of if module != "koch" else []:
            mine = {k: parameters.get(k, v) for k, v in proof.get("parameters", {}).items()}
            proof = {**proof, "parameters": mine}
            try:
                broken = self.false(proof, self.own_file(name, module, parameters, re.sub(r"-ctrl mutant 16 \d+ ", "", line)))
                # The proof must hold of the design itself, which is another config here than in `make formal`.
                key = proof["name"], str(mine)
                if broken and key not in self.sound:
                    self.sound[key] = not self.false(proof, self.own_file(name, module, parameters))
            except Failed as failed:
                print(f"mutation: {line}: {failed}", file=sys.stderr)
                return None
            if broken and self.sound[key]:
                return broken
        return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--least", type=float, default=0)
    parser.add_argument("--slice", action="store_true")
    arguments = parser.parse_args()
    if not 1 <= arguments.count < 1 << 16:
        parser.error(f"--count {arguments.count}: 1 to 65535")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="koch-mutants-") as name:
        directory = pathlib.Path(name)
        call(example("rtl", str(CONFIG), str(directory / "rtl")), ROOT)
        files = " ".join(str(f) for f in sorted((directory / "rtl").glob("*.sv")))
        call(["yosys", "-q", "-p", f"read_verilog -sv {files}; hierarchy -check -top koch; proc; opt_clean; write_rtlil base.il; "
              f"mutate -list {arguments.count} -seed {arguments.seed} -none -o list.txt -ctrl mutant 16 0"], directory)
        lines = (directory / "list.txt").read_text().splitlines()
        (directory / "apply.ys").write_text("\n".join(["read_rtlil base.il", *lines, "write_verilog -noattr mutants.v",
                                                        "flatten", "opt_clean", "write_rtlil flat.il"]) + "\n")
        call(["yosys", "-q", "-s", "apply.ys"], directory)
        verilog(directory)
        numbers = range(1, len(lines))
        same = set()
        if not arguments.slice:
            design = design_of(directory)
            same = {n for n in numbers if equal.decide(design, n, directory, equal.QUICK)}
            print(f"{len(same)} of {len(numbers)} mutants are equal to the design, {time.monotonic() - began:.0f} s", file=sys.stderr)
        rest = ",".join(str(n) for n in numbers if n not in same)
        draws = str(0 if arguments.slice else DRAWN)
        said = call(example("run", str(CONFIG), str(directory / "mutants.v"), draws, rest), ROOT, 36000) if rest else ""
        noticed = dict(line.split("\t") for line in said.splitlines())
        left = [n for n, by in noticed.items() if by == "survives"]
        print(f"programs have been run, {time.monotonic() - began:.0f} s; they leave {', '.join(left) or 'none'}", file=sys.stderr)
        proofs = Proofs(directory)
        table = collections.defaultdict(collections.Counter)
        survivors = []
        for number in numbers:
            module = short(re.search(r"-module (\S+)", lines[number])[1])
            table[module]["mutants"] += 1
            if number in same:
                table[module]["equal"] += 1
            elif noticed[str(number)] != "survives":
                table[module]["noticed"] += 1
            elif not arguments.slice and (broken := proofs.notice(lines[number])):
                table[module]["broken"] += 1
                print(f"{number} breaks {broken}", file=sys.stderr)
            elif not arguments.slice and any(equal.decide(design, number, directory, effort) for effort in (equal.NEAR, equal.FAR)):
                table[module]["equal"] += 1
            else:
                table[module]["survive"] += 1
                print(f"{number} survives: {lines[number]}", file=sys.stderr)
                source = re.findall(r"-src \S+?(\w+)\.sv:(\d+)", lines[number])
                survivors.append((module, re.search(r"-mode (\S+)", lines[number])[1], source))
    total = collections.Counter()
    print("| module | mutants | proven equal | noticed by programs | by properties | survive |\n| --- | ---: | ---: | ---: | ---: | ---: |")
    for module, row in sorted(table.items()):
        total.update(row)
        print(f"| {module} | {row['mutants']} | {row['equal']} | {row['noticed']} | {row['broken']} | {row['survive']} |")
    share = 100 * (total["noticed"] + total["broken"]) / max(1, total["mutants"] - total["equal"])
    print(f"| all | {total['mutants']} | {total['equal']} | {total['noticed']} | {total['broken']} | {total['survive']} |")
    print(f"\nNoticed of those not proven equal: {share:.2f} %.\n")
    for module, mode, source in survivors:
        places = ", ".join(f"{file}.sv:{line}" for file, line in dict.fromkeys(source))
        print(f"- {module}, `{mode}` at {places}")
    print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)
    sys.exit(share < arguments.least)


if __name__ == "__main__":
    try:
        main()
    except Failed as failed:
        sys.exit(f"mutation: {failed}")

#!/usr/bin/env python3
"""Proves the properties of proofs.toml on generated Verilog, and that each of them fails on a sabotaged copy.

    testbench/formal/run.py RTL [--only NAME ...] [--slice] [--jobs N] [--table]

RTL holds what `koch generate --config testbench/formal/least.toml` wrote. `--slice` leaves out what is marked `long`, and
all but one sabotage of each proof. The table goes to stdout as Markdown, everything else to stderr. Exit code 1: something that must hold
does not, or a sabotage goes unnoticed.

A proof is a property module of this directory around modules of the design. Yosys turns both into one AIGER file a
property; ABC proves it with `pdr` (IC3: unbounded) or checks it with `bmc3` up to a depth. Values that Verilog calls x, and registers without a
reset, are free: they may differ in every cycle, or at the start.
"""

import argparse
import concurrent.futures
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib

HERE = pathlib.Path(__file__).resolve().parent


class Broken(Exception):
    """A check that could not be made: a tool that fails, a sabotage whose text is gone."""


def run(command, directory, limit):
    """What the command prints. Its failure is Broken, its running out of time is None."""
    try:
        done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return None
    if done.returncode != 0:
        raise Broken(f"{command[0]}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def sabotaged(text, edit, name):
    """The text after a sabotage: `find` occurs exactly once, or `nth` (from 0) says which."""
    places = [m.start() for m in re.finditer(re.escape(edit["find"]), text)]
    nth = edit.get("nth")
    if not places or (nth is None and len(places) != 1) or (nth is not None and nth >= len(places)):
        raise Broken(f"{name}: {edit['file']} has {len(places)} places that read {edit['find']!r}")
    at = places[nth or 0]
    return text[:at] + edit["replace"] + text[at + len(edit["find"]) :]


def labels(proof):
    """The labels of the asserts of a property module, in its order."""
    text = (HERE / proof["file"]).read_text()
    module = re.search(rf"^module {proof['top']}\b.*?^endmodule", text, flags=re.S | re.M)
    found = re.findall(r"\b(\w+): assert\b", module[0])
    if len(found) != len(re.findall(r"\bassert\b\s*\(", module[0])) or len(found) != len(set(found)):
        raise Broken(f"{proof['file']}: every assert needs a label of its own")
    return found


def model(proof, rtl, directory, edit=None):
    """Writes all.aig into the directory; the properties in the order of its outputs."""
    if edit is not None:
        file = directory / "sabotaged.sv"
        file.write_text(sabotaged((rtl / edit["file"]).read_text(), edit, proof["name"]))
    sources = []
    for module in proof["modules"]:
        of = f"{module}.sv"
        sources.append("sabotaged.sv" if edit is not None and edit["file"] == of else str(rtl / of))
    script = [f"read_verilog -sv {' '.join(sources)}"]
    if "keep" in proof:
        rest = sorted(str(f) for f in rtl.glob("*.sv") if f.stem not in proof["modules"])
        keep = " ".join(f"koch/c:{instance} %d" for instance in proof["keep"])
        # What is not kept is cut away, and what it would drive is free.
        script += [f"read_verilog -sv -lib {' '.join(rest)}", "hierarchy -check -top koch"]
        script += [f"cutpoint koch/w:{net}" for net in proof.get("cut", [])]
        script += [f"cutpoint koch/t:koch_* koch/t:$paramod* %u {keep}"]
    for module, nets in proof.get("expose", {}).items():
        script += [f"hierarchy -check -top {module}", f"expose {' '.join(f'{module}/w:{net}' for net in nets)}"]
    parameters = " ".join(f"-chparam {k} {v}" for k, v in proof.get("parameters", {}).items())
    wanted = labels(proof)
    script += [
        f"read_verilog -sv -formal {HERE / proof['file']}",
        f"hierarchy -check -top {proof['top']} {parameters}",
        "proc -noopt",
        "setundef -undriven -anyseq",
        "setundef -anyseq",
        "flatten",
        "opt -keepdc -fast",
        "memory -nomap",
        "memory_map",
        "async2sync",
        "dffunmap",
        "opt -keepdc",
        "techmap",
        "opt -keepdc -fast",
        "dffunmap",
        "abc -g AND -fast",
        "opt_clean",
        "tee -q -o order.txt select -list t:$assert",
        "write_aiger -I -zinit all.aig",
    ]
    (directory / "model.ys").write_text("\n".join(script) + "\n")
    if run(["yosys", "-q", "-s", "model.ys"], directory, 900) is None:
        raise Broken(f"{proof['name']}: Yosys took more than 900 s")
    order = [line.rsplit("/", 1)[1] for line in (directory / "order.txt").read_text().split()]
    if sorted(order) != sorted(wanted):
        raise Broken(f"{proof['name']}: Yosys has the properties {order}, not {wanted}")
    return order


def decide(proof, order, label, directory, limit):
    """'proven', 'bounded', 'false' or 'unknown', and the seconds it took."""
    name, _, depth = proof.get("engine", "pdr").partition(":")
    depth = int(depth or 2)
    read = f"read_aiger all.aig; fold; cone -s -O {order.index(label)}"
    steps = {
        "pdr": f"{read}; scleanup; scorr; dc2; strash; pdr -T {limit}",
        "bmc": f"{read}; scleanup; bmc3 -F {depth} -T {limit}",
        "induction": f"{read}; scleanup; bmc3 -F {depth} -T {limit}",
    }[name]
    began = time.monotonic()
    said = run(["berkeley-abc", "-q", steps], directory, limit + 120) or ""
    took = time.monotonic() - began
    if "was asserted in frame" in said or "SATISFIABLE" in said.replace("UNSATISFIABLE", ""):
        return "false", took
    if name == "pdr" and ("Property proved" in said or "UNSATISFIABLE" in said or "Networks are equivalent" in said):
        return "proven", took
    clean = re.search(r"No output asserted in (\d+) frames", said)
    if name != "pdr" and clean and int(clean[1]) >= depth:
        return "proven" if name == "induction" else "bounded", took
    return "unknown", took


def check(proof, rtl, limit, sabotages):
    """Rows (label, verdict, seconds) of the design itself, and (sabotage, label, noticed)."""
    rows, noticed = [], []
    with tempfile.TemporaryDirectory(prefix="koch-formal-") as name:
        directory = pathlib.Path(name)
        order = model(proof, rtl, directory)
        for label in labels(proof):
            verdict, took = decide(proof, order, label, directory, limit)
            rows.append((label, verdict, took))
            print(f"{proof['name']}.{label}: {verdict}, {took:.1f} s", file=sys.stderr)
    for edit in sabotages:
        with tempfile.TemporaryDirectory(prefix="koch-formal-") as name:
            directory = pathlib.Path(name)
            order = model(proof, rtl, directory, edit)
            for label in edit["fails"].split():
                # What fails, fails soon; pdr may take long to find it.
                verdict, _ = decide({**proof, "engine": "bmc:64"}, order, label, directory, limit)
                if verdict != "false":
                    verdict, _ = decide(proof, order, label, directory, limit)
                noticed.append((edit["name"], label, verdict))
                print(f"{proof['name']}.{label}, sabotaged ({edit['name']}): {verdict}", file=sys.stderr)
    return rows, noticed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rtl", type=pathlib.Path)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--slice", action="store_true")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--limit", type=int, default=600, help="seconds a property may take")
    arguments = parser.parse_args()
    for tool in ("yosys", "berkeley-abc"):
        if shutil.which(tool) is None:
            sys.exit(f"{tool} is missing: make setup")
    rtl = arguments.rtl.resolve()
    proofs = tomllib.loads((HERE / "proofs.toml").read_text())["proof"]
    chosen = [p for p in proofs if arguments.only is None or p["name"] in arguments.only]
    if arguments.slice:
        chosen = [p for p in chosen if not p.get("long")]
    if not chosen:
        sys.exit(f"no such proof; there are: {', '.join(p['name'] for p in proofs)}")
    # A text that is gone is told before hours of proofs, and of all of them.
    gone = []
    for proof in proofs:
        for edit in proof.get("sabotage", []):
            try:
                sabotaged((rtl / edit["file"]).read_text(), edit, proof["name"])
            except Broken as broken:
                gone.append(f"formal: {broken}")
    if gone:
        sys.exit("\n".join(gone))
    wrong, results = [], {}
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        tasks = {}
        for proof in chosen:
            edits = proof.get("sabotage", [])
            missing = set(labels(proof)) - {label for e in edits for label in e["fails"].split()}
            if missing:
                wrong.append(f"{proof['name']}: no sabotage for {', '.join(sorted(missing))}")
            task = pool.submit(check, proof, rtl, arguments.limit, edits[:1] if arguments.slice else edits)
            tasks[task] = proof
        for task in concurrent.futures.as_completed(tasks):
            proof = tasks[task]
            try:
                rows, noticed = task.result()
            except Broken as broken:
                wrong.append(str(broken))
                continue
            results[proof["name"]] = (rows, noticed)
            for label, verdict, took in rows:
                if verdict not in ("proven", "bounded"):
                    wrong.append(f"{proof['name']}.{label}: {verdict}")
            for name, label, verdict in noticed:
                if verdict != "false":
                    wrong.append(f"{proof['name']}.{label} does not notice: {name}")
    print("| subject | property | engine | result | s | fails when |")
    print("| --- | --- | --- | --- | ---: | --- |")
    for proof in chosen:
        rows, noticed = results.get(proof["name"], ([], []))
        for label, verdict, took in rows:
            engine = proof.get("engine", "pdr")
            shown = verdict if verdict != "bounded" else f"holds for {engine.partition(':')[2]} cycles"
            edits = "; ".join(name for name, of, said in noticed if of == label and said == "false")
            print(f"| {proof['name']} | {label} | {engine.partition(':')[0]} | {shown} | {took:.1f} | {edits} |")
    print(f"{len(wrong)} wrong", file=sys.stderr)
    for line in wrong:
        print(f"formal: {line}", file=sys.stderr)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()

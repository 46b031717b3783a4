#!/usr/bin/env python3
"""Builds every pair of MATRIX and writes bitstreams/results.csv and the table in README.md between its markers.

    scripts/boards.py              build what is not in the cache, and the table of --modules
    scripts/boards.py --table      the table alone, from the file
    scripts/boards.py --modules    the table of what modules take of TOO_SMALL, in docs/boards.md, alone

$KOCH is the koch command, by default target/release/koch. A pair whose tools fail is named below the table, with what they said.
"""

import csv
import io
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

from area import run, stat, write, yosys

ROOT = pathlib.Path(__file__).resolve().parent.parent
TABLE = ROOT / "bitstreams" / "results.csv"
FAILED = ROOT / "bitstreams" / "failed.txt"
PAGE = ROOT / "README.md"
MODULES = ROOT / "docs" / "boards.md"
KOCH = os.environ.get("KOCH", ROOT / "target" / "release" / "koch")
# The board that nothing fits, and its part's logic cells (of a LUT and a flip-flop), block RAMs and multipliers.
TOO_SMALL = ("icebreaker", 5280, 30, 8)
# Board, config (the board's own if empty), further flags.
MATRIX = [
    ("ulx3s-85f", "", []),
    ("icebreaker", "", []),
    ("zynq7045", "default", []),
    ("zynq7045", "snowflake", []),
]


def build():
    rows, failed = [], []
    for board, config, flags in MATRIX:
        name = f"{config or 'its own config'} on {board}"
        command = [KOCH, "bitstream", "--board", board, "--csv", *flags]
        if config:
            command += ["--config", config]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        print(f"boards: {name}: exit code {done.returncode}", file=sys.stderr)
        if done.returncode == 0:
            rows += csv.DictReader(io.StringIO(done.stdout))
        else:
            failed.append(f"{name}: {done.stderr.strip().removeprefix('koch: ')}")
    out = io.StringIO()
    if rows:
        writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write(TABLE, out.getvalue())
    write(FAILED, "".join(f"{line}\n" for text in failed for line in text.splitlines()))


def table():
    head = "board | config | LUTs | FFs | multipliers | block RAMs | Fmax (MHz) | MACs | GOP/s | LUTs/MAC | build (s)".split(" | ")
    lines = ["| " + " | ".join(head) + " |", "| --- | --- |" + " ---: |" * (len(head) - 2)]
    for r in csv.DictReader(TABLE.open()):
        placed = float(r["fmax_mhz"]) > 0
        cells = [r["board"], r["config"], r["luts"], r["ffs"], r["multipliers"], r["block_rams"]]
        cells += [f"{float(r['fmax_mhz']):.1f}" if placed else "-", r["macs"], f"{float(r['gops']):.2f}" if placed else "-"]
        cells += [f"{int(r['luts']) / int(r['macs']):.0f}", r["seconds"]]
        lines.append("| " + " | ".join(cells) + " |")
    failed = FAILED.read_text().splitlines()
    lines += ["", *(f"- {line}" for line in failed)] if failed else []
    put(PAGE, "boards", lines)


def put(page, name, lines):
    """Replaces the lines between a page's markers."""
    text = page.read_text()
    old = re.search(rf"<!-- {name} -->\n(.*?)<!-- end of {name} -->", text, flags=re.S)
    if old is None:
        sys.exit(f"boards: {page} has no markers of {name}")
    write(page, text[: old.start(1)] + "\n".join(lines) + "\n" + text[old.end(1) :])


def modules():
    """What each module of a board's own config takes of an iCE40, each synthesised for itself."""
    board, cells, rams, multipliers = TOO_SMALL
    remedy = "`cargo build --release` makes it, $KOCH names another"
    with tempfile.TemporaryDirectory() as temporary:
        directory = pathlib.Path(temporary)
        config = next(b["config"] for b in json.loads(run([KOCH, "boards", "--json"], remedy)) if b["name"] == board)
        (directory / "board.toml").write_text("".join(f"{k} = {json.dumps(v)}\n" for k, v in config.items() if k != "name"))
        run([KOCH, "generate", "--config", "board.toml", "-o", "rtl"], remedy, cwd=directory)
        files = (directory / "rtl" / "koch.f").read_text().split()
        synth = "synth_ice40 -device u -dsp -noflatten -top koch; tee -q -o stat.txt stat"
        yosys(directory / "rtl", f"read_verilog -sv {' '.join(files)}; {synth}")
        found = stat(directory / "rtl" / "stat.txt")
    kinds = {}

    def count(module, times):
        kind = kinds.setdefault(re.search(r"koch\w*", module)[0], [0, 0, 0, 0, 0])
        kind[0] += times
        for cell, n in found[module].items():
            column = {"SB_LUT4": 1, "SB_RAM40_4K": 3, "SB_MAC16": 4}.get(cell, 2 if cell.startswith("SB_DFF") else None)
            if column:
                kind[column] += times * n
            if cell in found:
                count(cell, times * n)

    count("koch", 1)
    total = [sum(column) for column in zip(*kinds.values())]
    lines = ["| module | instances | LUTs | FFs | block RAMs | multipliers |", "| --- |" + " ---: |" * 5]
    row = lambda name, counts: lines.append(f"| {name} | " + " | ".join(f"{n:,}" for n in counts) + " |")
    large = {k: v for k, v in kinds.items() if max(v[1], v[2]) * 50 >= cells}
    for name, counts in sorted(large.items(), key=lambda kind: -max(kind[1][1], kind[1][2])):
        row(f"`{name}`", counts)
    rest = [v for k, v in kinds.items() if k not in large]
    row(f"{len(rest)} others", [sum(column) for column in zip(*rest)])
    row("**all**", total)
    lines.append(f"| the part | | {cells:,} | {cells:,} | {rams} | {multipliers} |")
    put(MODULES, "modules", lines)


if __name__ == "__main__":
    only = sys.argv[1:]
    if not only:
        build()
    if only != ["--modules"]:
        table()
    if only != ["--table"]:
        modules()

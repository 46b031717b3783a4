#!/usr/bin/env python3
"""Builds every pair of MATRIX and writes bitstreams/results.csv and the table in README.md between its markers.

    scripts/boards.py            build what is not in the cache
    scripts/boards.py --table    the table alone, from the file

$KOCH is the koch command, by default target/release/koch. A pair whose tools fail is named below the table, with what they said.
"""

import csv
import io
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
TABLE = ROOT / "bitstreams" / "results.csv"
FAILED = ROOT / "bitstreams" / "failed.txt"
PAGE = ROOT / "README.md"
# Board, config (the board's own if empty), further flags.
MATRIX = [
    ("ulx3s-85f", "", []),
    ("icebreaker", "", []),
    ("zynq7045", "default", []),
    ("zynq7045", "snowflake", []),
]


def write(path, text):
    unfinished = path.with_name(path.name + ".part")
    unfinished.write_text(text)
    unfinished.rename(path)


def build():
    koch = os.environ.get("KOCH", ROOT / "target" / "release" / "koch")
    rows, failed = [], []
    for board, config, flags in MATRIX:
        name = f"{config or 'its own config'} on {board}"
        command = [koch, "bitstream", "--board", board, "--csv", *flags]
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
    page = PAGE.read_text()
    old = re.search(r"<!-- boards -->\n(.*?)<!-- end of boards -->", page, flags=re.S)
    if old is None:
        sys.exit(f"boards: {PAGE} has no markers")
    write(PAGE, page[: old.start(1)] + "\n".join(lines) + "\n" + page[old.end(1) :])


if __name__ == "__main__":
    if "--table" not in sys.argv[1:]:
        build()
    table()

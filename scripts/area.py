#!/usr/bin/env python3
"""Synthesises design points with Yosys and writes area/yosys.csv, the data of the area estimate.

    scripts/area.py               every point of POINTS that is not in the file with the same Verilog
    scripts/area.py --row NAME    one point as a row to stdout, for tests
    scripts/area.py --flat NAME   one point flattened after synthesis, to see what hierarchy costs

The hierarchy is kept: a module is synthesised once for each set of parameters and counted as often as it is there.
What Yosys said of a module is kept in out/area/modules.json by its text, since most are alike in many points. What abc
makes of the same module differs by some tenths of a per cent with what else is synthesised in the same run. $KOCH is the koch command to generate with, by default
target/release/koch. docs/area.md says what is counted.
"""

import argparse
import csv
import hashlib
import io
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
TABLE = ROOT / "area" / "yosys.csv"
CACHE = ROOT / "out" / "area" / "modules.json"
FIELDS = "rows cols lanes operand_bits by_channel post ibuf wbuf obuf rbuf pbuf bus_bits burst_beats outstanding".split()
CELLS = {
    "lut4": "LUT4",
    "ccu2c": "CCU2C",
    "dpr16x4": "TRELLIS_DPR16X4",
    "ffs": "TRELLIS_FF",
    "multipliers": "MULT18X18D",
    "block_rams": "DP16KD",
}
COUNTS = [*CELLS, "memory_bits", "logic_transistors"]
# Transistors of the cells that `abc -g cmos` and dfflegalize leave, as in `stat -tech cmos`.
CMOS = {
    "$_NOT_": 2, "$_NAND_": 4, "$_NOR_": 4, "$_AOI3_": 6, "$_OAI3_": 6, "$_AOI4_": 8, "$_OAI4_": 8,
    "$_NMUX_": 10, "$_MUX_": 12, "$_XOR_": 12, "$_XNOR_": 12, "$_AND_": 6, "$_OR_": 6, "$_DFF_P_": 16,
}  # fmt: skip

# Without wide LUTs, which make a module larger by a third and the whole no faster. After a change, delete area/yosys.csv: its
# rows go by the Verilog alone.
RECIPE = """
proc
opt_expr
opt_clean
design -save start

synth_ecp5 -noflatten -nowidelut -abc9 -top koch
tee -q -o ecp5.txt stat

design -load start
synth -top koch -noabc -run coarse:fine
opt -fast -full
techmap
opt -fast
dfflegalize -cell $_DFF_P_ x
opt_clean
abc -g cmos
opt_clean
tee -q -o cmos.txt stat
"""

# Name, rows, cols, lanes, operand_bits, bus_bits, burst_beats, outstanding, buffers in KiB: ibuf, wbuf, obuf, rbuf, pbuf;
# what the config does not have: by_channel, post.
# After the named configs: no two numbers go together.
POINTS = """
tiny       2  4  4  8  32 16  4    4   4    1   1  0.5
default    7 32  8  8 128 16  8  448 320  160  96    8
snowflake  8 32  8  8 128 16  8  128 256  128  64    8
square    16 16  8  8 128 16  8  128 256  128  64    8
a1         1  4  1  8  32  8  1    1   1  0.5 0.5 0.25
a2        16  4  2  8  64 64 16   16  64   32   8    2
a3         1 64 16  8 256 32  2   64  32    8  32    8
a4         4 16  1  8 512  8 12    8 128   64  16    1
a5        12  8  8  8  32 64  3  256   8   16   4   16
a6         3 24  4  8  64 16  6   32  96    4  64    4
a7        16 64  4  8 128 32 16  512 512   64  32    8
a8         6 48 16  8 512 16  1   48  24   96   8   32
a9        10 40  2  8 256  8  9  192  48    2   2    2
b1         5 12  4 16 128 64  5   12  12   24  48    4
b2         1 32  2 16  64 32 10  128  16   16   2    1
b3         8  8  8 16  32  8 14   24 192    8   8    8
b4        14 20  1 16 256 16  7  384  80   48   4    2
b5         8 16  2 16 512 32 15   64  10   32  40    8
b6        15  8  1 16 256 64  6  100   6    5   5    5
b7        13 16 16  8  64 16 11   80  20   40  20   12
b8        16 16 16 16  64 32  1   28  40    7  14   24
b9        16 32  8 16 128 16 13   96 384    6  24    4
c1        11 60  1  8  32 32  8  160  60    1  12    6
c2         3 48  8 16 256  8  8   72  96   72   1   10
d1         2  4  1  8  32 16  4    4   4    1   1  0.5 by_channel post
d2         7 20  1  8  32 16  4   64  40   64   4    2 by_channel post
d3         8 16  4  8 128 16  8   64  64   32  16    4 post
d4         5 24  2  8  64 16  8   32  48   16   8    4 by_channel
d5         3 12  2  8  32  8  2    8  16    8   4    2 by_channel post
"""


def flags(point):
    """The flags of `koch generate` for a point."""
    names = "rows cols lanes operand-bits bus-bits burst-beats outstanding ibuf wbuf obuf rbuf pbuf".split()
    out = ["--config", "default"]
    for i, (name, value) in enumerate(zip(names, point)):
        out += [f"--{name}", value if i < 7 else f"{int(float(value) * 1024)}B"]
    for name in point[len(names) :]:
        out += [f"--{name.replace('_', '-')}", "false"]
    return out


def run(command, remedy, **options):
    """What a command prints; ends the script if it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    except OSError as e:
        sys.exit(f"{command[0]}: {e.strerror}; {remedy}")
    if done.returncode != 0:
        sys.exit(f"{command[0]}: {done.stderr.strip()}")
    return done.stdout


def yosys(directory, script):
    """Runs a script in a directory."""
    run(["yosys", "-q", "-p", script], "`make setup` installs it", cwd=directory)


def stat(path):
    """What `stat` wrote: for each module the counts by name of a cell, and its memories' bits."""
    modules, counts = {}, None
    for line in path.read_text().splitlines():
        if heading := re.match(r"=== (.*) ===$", line):
            counts = modules.setdefault(heading[1], {})
        elif bits := re.match(r" +Number of memory bits: +(\d+)$", line):
            counts["bits"] = int(bits[1])
        elif cell := re.match(r" +(\S+) +(\d+)$", line):
            counts[cell[1]] = int(cell[2])
    modules.pop("design hierarchy", None)
    return modules


def generate(directory, point):
    """Writes a point's Verilog. Gives its config, its text by file without comments, and the list of files."""
    koch = os.environ.get("KOCH", ROOT / "target" / "release" / "koch")
    remedy = "`cargo build --release` makes it, $KOCH names another"
    run([koch, "generate", *flags(point), "-o", directory], remedy)
    config = json.loads(run([koch, "config", "--json", "--config", directory / "config.toml"], remedy))
    files = (directory / "koch.f").read_text().split()
    text = {f: re.sub(r" *//.*", "", (directory / f).read_text()) for f in files}
    return config, text, files


def split_banks(text):
    """koch_ram's text with banks of more than 16 bytes made of several: Yosys takes minutes for a wide one."""
    bank = text.replace("module koch_ram ", "module koch_ram_part ")
    ports = re.findall(r"(?:input|output) .*?(\w+)$", re.sub(r",$", "", text, flags=re.M), flags=re.M)
    wide = {"write_enable_i": "[k*Part +: Part]"} | dict.fromkeys(["write_data_i", "read_data_o"], "[k*Part*8 +: Part*8]")
    pins = ", ".join(f".{p} ({p}{wide.get(p, '')})" for p in ports)
    head = text[text.index("module koch_ram ") : text.index(");") + 2]
    return f"""{bank}
{head}
  localparam int Part = Bytes > 16 ? 16 : Bytes;
  for (genvar k = 0; k < Bytes / Part; k = k + 1) begin : gen_part
    koch_ram_part #(.Bytes (Part), .Depth (Depth)) u_part ({pins});
  end
endmodule
"""


def digest(*texts):
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]


def synthesise(directory, files, known):
    """ECP5 cells and CMOS cells of every module that is not known."""
    drop = f"blackbox {' '.join(known)}" if known else ""
    yosys(directory, f"read_verilog -sv {' '.join(files)}\nhierarchy -check -top koch\n{drop}\n{RECIPE}")
    return stat(directory / "ecp5.txt"), stat(directory / "cmos.txt")


def row(name, point, cache, known_hash=None):
    """A point's row, or None if its Verilog has the known hash."""
    with tempfile.TemporaryDirectory() as temporary:
        directory = pathlib.Path(temporary)
        config, text, files = generate(directory, point)
        verilog = digest(*(text[f] for f in files))
        if verilog == known_hash:
            return None
        text["koch_ram.sv"] = split_banks(text["koch_ram.sv"])
        (directory / "koch_ram.sv").write_text(text["koch_ram.sv"])
        yosys(
            directory,
            f"read_verilog -sv {' '.join(files)}; hierarchy -check -top koch; tee -q -o found.txt stat",
        )
        found = stat(directory / "found.txt")
        # The name of a derived module holds that of its file and the parameters.
        source = lambda module: text[re.search(r"koch\w*?(?=_part|\W|$)", module)[0] + ".sv"]
        version = run(["yosys", "-V"], "`make setup` installs it")
        key = {}

        def name_contents(module):
            inner = sorted(m for m in found[module] if m in found)
            for m in inner:
                name_contents(m)
            key[module] = digest(module, source(module), RECIPE, version, *(key[m] for m in inner))

        name_contents("koch")
        # A module that is not known makes those around it unknown, up to the top.
        known = [m for m in found if key[m] in cache]
        unknown = [m for m in found if key[m] not in cache]
        if unknown:
            ecp5, cmos = synthesise(directory, files, known)
        for module in unknown:
            counts = {c: ecp5[module].get(cell, 0) for c, cell in CELLS.items()}
            counts["memory_bits"] = found[module]["bits"]
            gates = {c: n for c, n in cmos[module].items() if c.startswith("$_")}
            if strange := set(gates) - set(CMOS):
                sys.exit(f"area: {module} has {strange}, of which CMOS in {__file__} says nothing: add them")
            counts["logic_transistors"] = sum(CMOS[c] * n for c, n in gates.items())
            cache[key[module]] = counts
        total = dict.fromkeys(COUNTS, 0)

        def count(module, times):
            for name, n in cache[key[module]].items():
                total[name] += times * n
            for inner, n in found[module].items():
                if inner in found:
                    count(inner, times * n)

        count("koch", 1)
        return {"name": name, "verilog": verilog} | {f: str(config[f]).lower() for f in FIELDS} | total


def write(path, text):
    """Writes a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".part")
    unfinished.write_text(text)
    unfinished.rename(path)


def table(rows):
    out = io.StringIO()
    writer = csv.DictWriter(out, ["name", "verilog", *FIELDS, *COUNTS], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def main():
    points = {line.split()[0]: line.split()[1:] for line in POINTS.strip().splitlines()}
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--row", choices=points, metavar="NAME", help="one point from nothing, to stdout")
    parser.add_argument("--flat", choices=points, metavar="NAME", help="one point flattened, to stdout")
    args = parser.parse_args()
    cache = json.loads(CACHE.read_text()) if CACHE.exists() else {}
    if args.row:
        print(table([row(args.row, points[args.row], cache)]), end="")
        write(CACHE, json.dumps(cache))
        return
    if args.flat:
        with tempfile.TemporaryDirectory() as temporary:
            directory = pathlib.Path(temporary)
            _, _, files = generate(directory, points[args.flat])
            script = "synth_ecp5 -nowidelut -abc9 -noflatten -top koch -run begin:check; flatten; opt_clean; tee -q -o flat.txt stat"
            yosys(directory, f"read_verilog -sv {' '.join(files)}; {script}")
            counts = stat(directory / "flat.txt")["koch"]
        print(", ".join(f"{name} {counts.get(cell, 0)}" for name, cell in CELLS.items()))
        return
    rows = {}
    if TABLE.exists():
        rows = {r["name"]: r for r in csv.DictReader(TABLE.open())}
    for name, point in points.items():
        begin = time.monotonic()
        new = row(name, point, cache, rows.get(name, {}).get("verilog"))
        if new is None:
            continue
        rows[name] = new
        write(CACHE, json.dumps(cache))
        write(TABLE, table(rows[n] for n in points if n in rows))
        print(f"area: {name}: {time.monotonic() - begin:.0f} s", file=sys.stderr)
    write(TABLE, table(rows[n] for n in points if n in rows))


if __name__ == "__main__":
    main()

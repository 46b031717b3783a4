#!/usr/bin/env python3
"""Writes the tables of docs/book/bandwidth.md anew, from `koch model`.

    scripts/book_bandwidth.py [KOCH] [--networks DIR] [--zoo DIR] [--check]

KOCH is the command's path; without it, cargo builds and runs it. A table stands between <!-- name --> and
<!-- end of name -->. With --check the chapter stays as it is, and differences go to stderr. Tables of networks that are
not there (../shared/networks, and out/zoo as scripts/make_zoo.py fills it) are neither written nor compared. Exit code 1
if --check finds a difference, 2 if something cannot be run or read.
"""

import argparse
import functools
import pathlib
import sys
import typing

from book import ROOT, Koch, stop, table, write

CHAPTER = ROOT / "docs" / "book" / "bandwidth.md"
MHZ = 250  # Snowflake's clock: 256 MACs are 128 Gop/s

FC = "fc in=2048 out=1000"
CONV = "conv cin=192 h=13 w=13 cout=192 k=3 pad=1"
CONV_384 = "conv cin=192 h=13 w=13 cout=384 k=3 pad=1"
CONV_OPEN = "conv cin=192 h=15 w=15 cout=192 k=3"
# Snowflake's words have 16 bits; the buffers hold layer 4's inputs and two groups of its filters.
WORDS = "--config snowflake --operand-bits 16 --ibuf 256KiB --wbuf 512KiB --stall-percent 20"


class Theirs(typing.NamedTuple):
    """A convolution of AlexNet on Snowflake, as its authors print or draw it; the chapter names the sources."""

    layer: str
    mops: int
    ms: float
    efficiency: float
    weights: int  # KiB, read off their chart by pixel, as are the maps'
    maps: int
    gbs: float  # of the weights


ALEXNET = [
    Theirs("conv cin=3 h=224 w=224 cout=64 k=11 stride=4 pad=2", 139, 1.56, 69.87, 187, 705, 0.1),
    Theirs("conv cin=64 h=27 w=27 cout=192 k=5 pad=2", 409, 3.22, 99.07, 1805, 181, 0.5),
    Theirs(CONV_384, 202, 1.59, 99.37, 3891, 211, 3.2),
    Theirs("conv cin=384 h=13 w=13 cout=256 k=3 pad=1", 269, 2.16, 97.22, 5180, 252, 2.3),
    Theirs("conv cin=256 h=13 w=13 cout=256 k=3 pad=1", 179, 1.42, 98.59, 3457, 130, 1.4),
]

# Name; M-ops, ms, Gop/s, frames/s, efficiency % of the totals; M-ops and actual ms of the rows above them.
PRINTED = [
    ("AlexNet", 1198, 9.95, 120.3, 100.3, 94.07, [a.mops for a in ALEXNET], [a.ms for a in ALEXNET]),
    (
        "GoogLeNet",
        3224,
        27.75,
        116.2,
        36.3,
        91.6,
        [236, 756, 256, 609, 147, 176, 214, 237, 340, 112, 141],
        [2.50, 5.64, 2.59, 5.22, 1.45, 1.69, 1.87, 2.03, 2.84, 0.83, 1.09],
    ),
    ("ResNet-50", 6879, 56.25, 122.3, 17.7, 95.5, [232, 1165, 1857, 2388, 1235], [2.76, 9.37, 14.93, 20.55, 10.63]),
]
PLOT = {"AlexNet": 118, "GoogLeNet": 66, "ResNet-50": 162}  # ops/byte, read off the roofline plot
NETWORKS = [("alexnet", "AlexNet"), ("googlenet", "GoogLeNet"), ("resnet50", "ResNet-50")]


class Models(Koch):
    @functools.lru_cache(maxsize=None)
    def model(self, *args):
        return self.json("model", *args)

    def layer(self, text, flags=""):
        return Layer(self.model("--layer", text, *flags.split()))


class Layer:
    """A layer's report, with the ratios that the tables share."""

    def __init__(self, report):
        run, config = report["model"], report["config"]
        self.peak = config["rows"] * config["cols"]
        self.shape = f"{config['rows']} × {config['cols']}"
        self.cycles, self.busy, self.stalls = run["cycles"], run["mac_busy_cycles"], run["stalls"]
        self.macs, self.padded = report["useful_macs"], report["padded_macs"]
        self.bytes = sum(v for k, v in run["bytes"].items() if k != "program")
        self.once = report["once_only_bytes"]
        self.weights = run["bytes"]["weight"]
        self.efficiency, self.roofline = report["efficiency"], report["roofline_efficiency"]
        self.mapping = self.macs / (self.peak * self.busy)
        self.port = (run["bytes_read"] + run["bytes_written"]) / self.cycles


def percent(x):
    return f"{100 * x:.2f}"


def gbs(per_cycle):
    return per_cycle * MHZ / 1000


# Linear layers


def law(koch):
    rows = []
    for rate, flags in (
        (4, "--bytes-per-cycle 4"),
        (8, "--bytes-per-cycle 8"),
        (16, ""),
        (32, "--bus-bits 256"),
        (64, "--bus-bits 512"),
    ):
        run = koch.layer(FC, flags)
        rows.append(
            [
                rate,
                f"`{flags}`" if flags else "none",
                f"{run.cycles:,}",
                f"{run.macs / run.cycles:.2f}",
                percent(run.efficiency),
                percent(rate / 224),
                percent(min(rate, 32) / 224),
            ]
        )
    head = ["B/cycle", " flags", "cycles", "MACs/cycle", "efficiency %", "law, %", "law and 32 columns, %"]
    return table(head, rows)


def batch(koch):
    rows = []
    for count in (1, 2, 4, 7, 8, 14, 16, 21, 28, 56):
        run = koch.layer(f"{FC} batch={count}" if count > 1 else FC)
        compute, bus = run.macs / run.peak, run.once / 16
        tiles = -(-count // 7)
        rows.append(
            [
                count,
                f"{224 / count:.1f}",
                f"{compute:,.0f}",
                f"{bus:,.0f}",
                "bus" if bus > compute else "array",
                f"{tiles * 32 * 2048:,}",
                f"{run.cycles:,}",
                percent(min(1, count * 16 / 224)),
                percent(run.efficiency),
                percent(run.roofline),
            ]
        )
    head = [
        "B",
        "T ÷ B, B/cycle",
        "MACs ÷ 224",
        "bytes ÷ 16",
        " bound by",
        "tiles' cycles",
        "cycles",
        "law, efficiency %",
        "efficiency %",
        "roofline %",
    ]
    return table(head, rows)


def recurrent(koch):
    rows = []
    for text, flags in (
        ("fc in=800 out=2400", ""),
        ("fc in=800 out=2400 batch=7", ""),
        ("fc in=800 out=2400 batch=14", ""),
        ("fc in=400 out=1200", ""),
        ("fc in=800 out=2400", "--operand-bits 16"),
    ):
        run = koch.layer(text, flags)
        rows.append(
            [
                f"`{text}`" + (f" `{flags}`" if flags else ""),
                f"{run.macs / run.once:.2f}",
                f"{run.cycles:,}",
                percent(run.efficiency),
                percent(run.roofline),
            ]
        )
    return table([" layer", "MACs/byte", "cycles", "efficiency %", "roofline %"], rows)


# One convolution


def port(koch):
    percents = (0, 20, 30, 35)
    rates = [koch.layer("fc in=4096 out=4096", f"--stall-percent {p}").port for p in percents]
    return (
        f"--stall-percent {', '.join(map(str, percents))}: {', '.join(f'{r:.2f}' for r in rates)} B/cycle, "
        f"{', '.join(f'{gbs(r):.2f}' for r in rates)} GB/s.\n"
    ).replace("--stall-percent", "`--stall-percent`")


def conv(koch):
    free = koch.layer(CONV, "--config snowflake --bus-bits 512")
    rows = []
    for rate, flags in (
        (64, "--bus-bits 512"),
        (16, ""),
        (12.8, "--stall-percent 20"),
        (8, "--bytes-per-cycle 8"),
        (4, "--bytes-per-cycle 4"),
        (2, "--bytes-per-cycle 2"),
    ):
        run = koch.layer(CONV, f"--config snowflake {flags}")
        rest = sum(v for k, v in run.stalls.items() if k not in ("load", "tail"))
        rows.append(
            [
                f"{rate:g}",
                f"{gbs(rate):.1f}",
                f"`{flags}`" if flags else "none",
                f"{run.cycles:,}",
                percent(run.efficiency),
                percent(run.padded / run.peak / run.cycles),
                percent(run.busy / run.cycles),
                percent(run.stalls["load"] / run.cycles),
                percent(run.stalls["tail"] / run.cycles),
                percent(rest / run.cycles),
                f"{run.cycles / free.cycles:.4f}",
            ]
        )
    head = [
        "B/cycle",
        "GB/s",
        " flags",
        "cycles",
        "efficiency %",
        "padding counted %",
        "array busy %",
        "idle, load %",
        "idle, tail %",
        "idle, rest %",
        "÷ cycles at 64 B/cycle",
    ]
    at = koch.layer(CONV, "--config snowflake --stall-percent 20")
    need = at.once / (at.macs / at.peak)
    words = (
        f"\nAt 3.2 GB/s the array is busy in {percent(at.busy / at.cycles)} % of the cycles, and the layer takes "
        f"{percent(at.cycles / free.cycles - 1)} % more cycles\nthan with 16 GB/s. That is what bandwidth costs. "
        f"The mapping costs {percent(1 - at.mapping)} %: {at.busy:,} busy cycles\n"
        f"where {at.macs / at.peak:,.0f} would do. The product is the efficiency, {percent(at.efficiency)} %. "
        f"The roofline asks for {need:.2f} B/cycle, or {gbs(need):.2f} GB/s\n"
        f"({at.once:,} bytes in {at.macs / at.peak:,.0f} cycles): 3.2 GB/s is {12.8 / need:.1f} times as much.\n"
    )
    return table(head, rows) + words


def shapes(koch):
    rows = []
    for text, flags in (
        (CONV, ""),
        (CONV, "--rows 7 --stall-percent 30"),
        (CONV, "--rows 4 --cols 64"),
        (CONV, "--rows 16 --cols 16"),
        (CONV, "--rows 13 --cols 16 --stall-percent 35"),
        (CONV_384, ""),
        (CONV_384, "--rows 7 --stall-percent 30"),
        (CONV_OPEN, ""),
        (CONV_OPEN, "--rows 13 --cols 16 --stall-percent 35"),
    ):
        flags += "" if "stall" in flags else " --stall-percent 20"
        run = koch.layer(text, f"--config snowflake {flags}")
        rows.append(
            [
                {CONV: "A", CONV_384: "B", CONV_OPEN: "C"}[text],
                run.shape,
                f"`{flags.strip()}`",
                f"{run.cycles:,}",
                percent(run.mapping),
                percent(run.busy / run.cycles),
                percent(run.efficiency),
            ]
        )
    return table([" layer", " array", " flags", "cycles", "mapping %", "array busy %", "efficiency %"], rows)


def alexnet(koch):
    rows, macs, cycles = [], 0, 0
    for number, theirs in enumerate(ALEXNET, 1):
        run = koch.layer(theirs.layer, WORDS)
        macs, cycles = macs + run.macs, cycles + run.cycles
        rows.append(
            [
                number,
                f"`{theirs.layer}`",
                f"{2 * run.macs / 1e6:.1f}",
                f"{2 * run.padded / 1e6:.1f}",
                theirs.mops,
                f"{1000 * run.cycles / (MHZ * 1e6):.2f}",
                percent(run.efficiency),
                percent(run.busy / run.cycles),
                theirs.efficiency,
            ]
        )
    total = ["all", "", f"{2 * macs / 1e6:.1f}", "", 1198, f"{1000 * cycles / (MHZ * 1e6):.2f}"]
    rows.append([*total, percent(macs / 256 / cycles), "", 94.07])
    head = [
        "",
        " layer",
        "M-ops, useful",
        "with padding",
        "Snowflake's",
        f"ms at {MHZ} MHz",
        "efficiency %",
        "array busy %",
        "Snowflake's %",
    ]
    return table(head, rows)


def refetch(koch):
    rows = []
    for number, theirs in enumerate(ALEXNET, 1):
        run = koch.layer(theirs.layer, WORDS)
        rows.append(
            [
                number,
                f"{run.weights / 1024:,.0f}",
                f"{theirs.weights:,}",
                f"{1024 * theirs.weights / run.weights:.2f}",
                f"{1024 * theirs.weights / (theirs.ms * 1e6):.2f}",
                theirs.gbs,
                f"{gbs(run.bytes / run.cycles):.2f}",
            ]
        )
    moved = sum(koch.layer(a.layer, WORDS).bytes for a in ALEXNET)
    head = [
        "layer",
        "KiB of weights, koch",
        "Snowflake's",
        "times",
        "Snowflake's KiB ÷ ms, GB/s",
        "Snowflake prints",
        "koch, all bytes ÷ time, GB/s",
    ]
    words = (
        f"\nAll five layers, weights and maps: Koch {moved / 1e6:.1f} MB a frame, Snowflake {drawn() / 1e6:.1f} MB.\n"
    )
    return table(head, rows) + words


# Arithmetic intensity


def sums(report, convolutions=False):
    rows = [r for r in report["layers"] if not convolutions or r["layer"].startswith("conv")]
    return [sum(r["count"] * r[key] for r in rows) for key in ("useful_macs", "once_only_bytes")]


def intensity(koch, networks):
    rows = []
    add = lambda name, how, macs, once: rows.append(
        [name, how, f"{macs / 1e6:,.1f}", f"{once / 1e6:,.2f}", f"{macs / once:.2f}", f"{2 * macs / once:.1f}"]
    )
    for name, title in NETWORKS:
        report = koch.model("--table", str(networks / f"{name}.csv"))
        add(title, f"`--table ../shared/networks/{name}.csv`", *sums(report))
        add(f"{title}, convolutions", "the same, rows `conv`", *sums(report, True))
    run = koch.layer(FC)
    add("linear layer", f'`--layer "{FC}"`', run.macs, run.once)
    stack = koch.model("--table", str(networks / "ds2_gru800.csv"))
    add("GRU stack", "`--table ../shared/networks/ds2_gru800.csv`", *sums(stack))
    for part, title in ((".x", "inputs' products"), (".h", "recurrent products")):
        chosen = {"layers": [r for r in stack["layers"] if r["name"].endswith(part)]}
        add(f"GRU stack, {title}", f"the same, rows `{part}`", *sums(chosen))
    return table([" network", " command: `koch model …`", "MMAC", "once-only MB", "MACs/byte", "ops/byte"], rows)


def resident(koch, networks):
    stack = koch.model("--table", str(networks / "ds2_gru800.csv"))
    macs, once = sums(stack)
    recurrent = [r for r in stack["layers"] if r["name"].endswith(".h")]
    weights = recurrent[0]["bytes"]["weight"]
    # Two directions, one set of weights each; every other run of a layer finds them on chip.
    saved = sum((r["count"] - 2) * r["bytes"]["weight"] for r in recurrent)
    return (
        f"A recurrent step reads {weights / 1e6:.2f} MB of weights. With buffers for them, loaded once for each direction of "
        f"a layer,\nthe stack would move {(once - saved) / 1e6:,.0f} MB instead of {once / 1e6:,.0f}: "
        f"{macs / (once - saved):.0f} MACs/byte instead of {macs / once:.2f}.\n"
    )


def chip(koch, zoo):
    rows = []
    for name, title in NETWORKS:
        title = {"AlexNet": "AlexNet, one tower"}.get(title, title)
        cells = {}
        for chain in (True, False):
            flags = ["--model", str(zoo / f"{name}-int8.onnx"), *([] if chain else ["--no-chain"])]
            report = koch.model(*flags)
            convs = report["convolutions"]
            run = convs["model"]
            moved = sum(v for k, v in run["bytes"].items() if k != "program")
            cells[chain] = (convs["useful_macs"], moved, run["bytes"]["weight"] + run["bytes"]["param"])
        (macs, moved, floor), (_, stored, _) = cells[True], cells[False]
        rows.append(
            [
                title,
                f"{2 * macs / 1e6:,.0f}",
                *(f"{b / 1e6:.2f}" for b in (stored, moved, floor)),
                *(f"{2 * macs / b:.1f}" for b in (stored, moved, floor)),
            ]
        )
    head = [
        " convolutions of",
        "M-ops",
        "MB, `--no-chain`",
        "MB, on chip where it fits",
        "MB, weights alone",
        "ops/byte, `--no-chain`",
        "on chip where it fits",
        "weights alone",
    ]
    return table(head, rows)


def inside(koch, zoo):
    report = koch.model("--model", str(zoo / "alexnet-int8.onnx"), "--config", "snowflake", "--stall-percent", "20")
    rows = []
    for step in [*(s for s in report["steps"] if s["kind"] == "conv"), report["convolutions"]]:
        run = step["model"]
        moved = sum(v for k, v in run["bytes"].items() if k != "program")
        rows.append(
            [
                step["name"],
                f"{run['cycles']:,}",
                percent(step["efficiency"]),
                percent(run["mac_busy_cycles"] / run["cycles"]),
                f"{gbs(moved / run['cycles']):.2f}",
            ]
        )
    return table([" step", "cycles", "efficiency %", "array busy %", "GB/s used"], rows)


# What Snowflake prints


def drawn():
    return sum(1024 * (a.weights + a.maps) for a in ALEXNET)


def plot(koch, networks):
    rows = []
    for (name, title), (_, ops, *_) in zip(NETWORKS, PRINTED):
        if name == "alexnet":
            runs = [koch.layer(a.layer, WORDS) for a in ALEXNET]
            macs, once, weights = (sum(getattr(r, key) for r in runs) for key in ("macs", "once", "weights"))
        else:
            report = koch.model("--table", str(networks / f"{name}.csv"), "--operand-bits", "16")
            macs, once = sums(report, True)
            eight = koch.model("--table", str(networks / f"{name}.csv"))
            weights = 2 * sum(r["bytes"]["weight"] for r in eight["layers"] if r["layer"].startswith("conv"))
        rows.append(
            [
                title,
                f"{2 * macs / 1e6:,.0f}",
                f"{ops:,}",
                f"{once / 1e6:.1f}",
                f"{weights / 1e6:.1f}",
                f"{ops / PLOT[title]:.1f}",
                f"{2 * macs / once:.1f}",
                PLOT[title],
            ]
        )
    head = [
        " convolutions of",
        "M-ops, koch",
        "Snowflake's",
        "once-only MB, 16 bits",
        "of these weights",
        "Snowflake's M-ops ÷ plot, MB",
        "ops/byte, koch, 16 bits",
        "Snowflake's plot",
    ]
    return table(head, rows)


def frames(_):
    rows = []
    for title, ops, ms, rate, fps, efficiency, parts, times in PRINTED:
        over = sum(o / t > 128 for o, t in zip(parts, times))
        rows.append(
            [
                title,
                f"{ops:,}",
                f"{sum(parts):,}",
                ms,
                f"{sum(times):.2f}",
                rate,
                f"{fps * ops / 1000:.1f}",
                f"{ops / sum(times):.1f}",
                efficiency,
                percent(ops / 128 / ms),
                percent(ops / 128 / sum(times)),
                over,
            ]
        )
    head = [
        " network",
        "M-ops",
        "Σ rows",
        "ms",
        "Σ rows",
        "Gop/s",
        "fps × M-ops",
        "M-ops ÷ Σ ms",
        "efficiency %",
        "M-ops ÷ 128 ÷ ms",
        "M-ops ÷ 128 ÷ Σ ms",
        "rows above 128 Gop/s",
    ]
    return table(head, rows)


def five(_):
    moved = drawn() / 1e6
    rows = []
    for source, rate, band in (
        ("post on Snowflake, text: 120.3 Gop/s, 1.53 GB/s", 120.3, 1.53),
        (f"the same, chart of bytes: {moved:.1f} MB in 9.95 ms", 120.3, moved / 9.95),
        ("both posts, roofline plot", 120.3, 120.3 / PLOT["AlexNet"]),
        ("arXiv 1708.00117, abstract: 93.6 frames/s, 1.2 GB/s", 93.6 * 1.198, 1.2),
        ("LCTES 2018, abstract: 70 frames/s, 4.5 GB/s", 70 * 1.198, 4.5),
    ):
        rows.append([source, f"{rate:.1f}", f"{band:.2f}", f"{rate / band:.1f}"])
    return table([" source", "Gop/s", "GB/s", "ops/byte"], rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("koch", nargs="?", help="the koch command; without it, cargo runs it")
    parser.add_argument("--networks", type=pathlib.Path, default=ROOT.parent / "shared" / "networks", metavar="DIR")
    parser.add_argument("--zoo", type=pathlib.Path, default=ROOT / "out" / "zoo", metavar="DIR")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    args = parser.parse_args()
    koch = Models(args.koch)
    networks, zoo = args.networks.resolve(), args.zoo.resolve()

    tables = {f.__name__: (f, ()) for f in (law, batch, recurrent, port, conv, shapes, alexnet, refetch, frames, five)}
    tables |= {f.__name__: (f, (networks,)) for f in (intensity, resident, plot)}
    tables |= {f.__name__: (f, (zoo,)) for f in (chip, inside)}
    needs = {networks: [f"{n}.csv" for n in ("alexnet", "googlenet", "resnet50", "ds2_gru800")]}
    needs[zoo] = [f"{n}-int8.onnx" for n, _ in NETWORKS]

    present = {}
    for name, (make, extra) in tables.items():
        missing = [d / f for d in extra for f in needs[d] if not (d / f).exists()]
        if missing:
            print(f"book_bandwidth.py: no {missing[0]}, so table {name} stays as it is", file=sys.stderr)
        else:
            present[name] = make(koch, *extra)
    write(CHAPTER, present, args.check)


if __name__ == "__main__":
    main()

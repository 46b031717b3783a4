#!/usr/bin/env python3
"""Runs the zoo's networks on the Verilated RTL and writes README.md's table of them anew.

    scripts/networks.py [--only NAME]... [--stall-percent P] ZOO OUT

ZOO is a directory that scripts/make_zoo.py filled. Each network's report (`koch simulate --model --json`) goes to
OUT/NAME.json; one that is there already is not run again, so that an interrupted run goes on where it was. The README
changes only when every network ran without stalls. Exit code 1 if a run differs from model or reference.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
BEGIN, END = "<!-- make networks -->\n", "<!-- end of make networks -->\n"
# Name of the file, name of the network, least efficiency of its convolutions, what others print of theirs.
NETWORKS = [
    ("resnet50", "ResNet-50", 98, "Snowflake 95.5, Kraken 88.3"),
    ("vgg16", "VGG-16", 99, "VWA 99"),
    ("googlenet", "GoogLeNet", 95, "VWA 93.7, Snowflake 91.6"),
    ("alexnet", "AlexNet, one tower", 96, "Snowflake 94.07"),
    ("densenet121", "DenseNet-121", 97, ""),
    ("squeezenet", "SqueezeNet 1.1", 92, ""),
    ("mobilenetv1", "MobileNet v1", 91, "VWA 94"),
    ("mobilenetv2", "MobileNet v2", None, ""),
    ("shufflenet", "ShuffleNet v1", None, ""),
]


def run(name, zoo, out, stalls):
    report = out / f"{name}.json"
    if not report.exists():
        command = [os.environ.get("KOCH", ROOT / "target" / "release" / "koch"), "simulate", "--json"]
        command += ["--model", zoo / f"{name}-int8.onnx", "--input", zoo / f"{name}-input.npy"]
        command += ["--stall-percent", str(stalls), "--stall-seed", "1"]
        unfinished = report.with_suffix(".part")
        with unfinished.open("wb") as file:
            code = subprocess.run(command, stdout=file, check=False).returncode
        if code != 0:
            sys.exit(code)
        unfinished.rename(report)
    return json.loads(report.read_text())


def row(title, goal, others, report):
    conv, dense, total = report["convolutions"], report["fully_connected"], report["total"]
    percent = lambda x: "" if x is None else f"{100 * x:.2f}"
    goal = "" if goal is None else f"{goal}"
    equal = all(report["equal"].values())
    moved = (total["rtl"]["bytes_read"] + total["rtl"]["bytes_written"] - total["rtl"]["bytes"]["program"]) / 1e6
    cells = [
        title,
        f"{conv['rtl']['cycles']:,}",
        percent(conv["efficiency"]),
        goal,
        others,
        f"{conv['traffic_ratio']:.2f}",
        percent(dense["roofline_efficiency"]),
        f"{total['rtl']['cycles']:,}",
        f"{moved:.1f}",
        "equal" if equal else "DIFFERENT",
    ]
    return "| " + " | ".join(cells) + " |\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("zoo", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--only", action="append", choices=[n[0] for n in NETWORKS], metavar="NAME")
    parser.add_argument("--stall-percent", type=int, default=0, metavar="P")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    table = (
        "| network | conv cycles | conv efficiency % | goal | others print | conv traffic | fc, % of roofline | "
        "all cycles | all MB | RTL = model = reference |\n"
        "| --- | ---: | ---: | ---: | --- | ---: | ---: | ---: | ---: | --- |\n"
    )
    for name, title, goal, others in NETWORKS:
        if args.only and name not in args.only:
            continue
        report = run(name, args.zoo, args.out, args.stall_percent)
        line = row(title, goal, others, report)
        print(line, end="", file=sys.stderr)
        table += line
    if args.only or args.stall_percent:
        return
    before, rest = README.read_text().split(BEGIN)
    _, after = rest.split(END)
    unfinished = README.with_suffix(".part")
    unfinished.write_text(before + BEGIN + table + END + after)
    unfinished.rename(README)


if __name__ == "__main__":
    main()

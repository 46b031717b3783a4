#!/usr/bin/env python3
"""Runs the zoo's networks on the Verilated RTL and writes README.md's table of them anew.

    scripts/networks.py [--only NAME]... [--stall-percent P] ZOO OUT

ZOO is a directory that scripts/make_zoo.py filled. Each network's report (`koch simulate --model --json`) goes to
OUT/NAME.json; one that is there already is not run again, so that an interrupted run goes on where it was. The README
changes only when every network ran without stalls. Exit code 1 if a run differs from model or reference.
"""

import zoo_tables

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


HEAD = (
    "| network | conv cycles | conv efficiency % | goal | others print | conv traffic | fc, % of roofline | "
    "all cycles | all MB | RTL = model = reference |\n"
    "| --- | ---: | ---: | ---: | --- | ---: | ---: | ---: | ---: | --- |\n"
)


def main():
    parser = zoo_tables.arguments(__doc__.split("\n")[0], [n[0] for n in NETWORKS])
    parser.add_argument("--stall-percent", type=int, default=0, metavar="P")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)

    def line(name, title, goal, others):
        arguments = ["simulate", "--json", "--model", args.zoo / f"{name}-int8.onnx"]
        arguments += ["--input", args.zoo / f"{name}-input.npy"]
        arguments += ["--stall-percent", str(args.stall_percent), "--stall-seed", "1"]
        return row(title, goal, others, zoo_tables.report(args.out, name, arguments))

    lines = zoo_tables.table(NETWORKS, args.only, line)
    if not args.only and not args.stall_percent:
        zoo_tables.rewrite(zoo_tables.ROOT / "README.md", "make networks", HEAD + lines)


if __name__ == "__main__":
    main()

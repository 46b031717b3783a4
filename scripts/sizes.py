#!/usr/bin/env python3
"""Sizes the zoo's networks, proves the sizes on the Verilated RTL, and writes the table of docs/book/sizing.md anew.

    scripts/sizes.py [--only NAME]... ZOO OUT

ZOO is a directory that scripts/make_zoo.py filled. Each network's report (`koch size --model --rtl --json`) goes to
OUT/NAME.json; one that is there already is not made again, so that an interrupted run goes on where it was. The page
changes only when every network ran. Exit code 1 if the RTL proves a size wrong.
"""

import zoo_tables

# Name of the file, name of the network, KiB of its largest layer with weights or inputs resident and no other strategy.
NETWORKS = [
    ("alexnet", "AlexNet, one tower", 186),
    ("googlenet", "GoogLeNet", 170),
    ("resnet50", "ResNet-50", 424),
    ("vgg16", "VGG-16", 680),
    ("mobilenetv1", "MobileNet v1", None),
    ("mobilenetv2", "MobileNet v2", None),
    ("squeezenet", "SqueezeNet 1.1", None),
]


def row(title, reference, report):
    kib = lambda n: f"{n / 1024:.1f}"
    name, largest = max(
        ((l["name"], l["together"][0]["total"]) for l in report["layers"] if l["useful_macs"] > 0), key=lambda x: x[1]
    )
    one, chips, proof = report["once_only"], report["on_chip"], report["proof"]
    buffers = one["buffers"]
    active = sum(chips["buffers"][b] for b in ("ibuf", "obuf", "rbuf"))
    at = proof["at_size"][0]
    below = [
        f"{b['buffer']}: {b['run']['bytes_read_again']:,} B of {b['layer']}" if b.get("run") else
        f"{b['buffer']}: {b['layer']} does not run"
        for b in proof["below"]
    ]
    cells = [
        title,
        kib(largest),
        "" if reference is None else str(reference),
        kib(one["total"]),
        " / ".join(f"{buffers[b] / 1024:.1f}" for b in ("ibuf", "wbuf", "obuf", "rbuf", "pbuf")),
        kib(active),
        f"{at['cycles']:,}",
        f"{at['bytes_read_again']} / {at['words_read_again'] - at['words_shared']} / {at['bytes_written_again']}",
        "; ".join(below),
    ]
    return "| " + " | ".join(cells) + " |\n"


HEAD = (
    "| network | largest convolution or product, KiB | weights or inputs resident alone, KiB | one set for all layers, KiB | "
    "ibuf / wbuf / obuf / rbuf / pbuf, KiB | all activations on chip, KiB | RTL cycles with that set | "
    "bytes read / words read / bytes written again | one buffer a step smaller: read again |\n"
    "| --- | ---: | ---: | ---: | --- | ---: | ---: | --- | --- |\n"
)


def main():
    args = zoo_tables.arguments(__doc__.split("\n")[0], [n[0] for n in NETWORKS]).parse_args()
    args.out.mkdir(parents=True, exist_ok=True)

    def line(name, title, reference):
        arguments = ["size", "--rtl", "--json", "--model", args.zoo / f"{name}-int8.onnx"]
        return row(title, reference, zoo_tables.report(args.out, name, arguments))

    lines = zoo_tables.table(NETWORKS, args.only, line)
    if not args.only:
        zoo_tables.rewrite(zoo_tables.ROOT / "docs" / "book" / "sizing.md", "make sizes", HEAD + lines)


if __name__ == "__main__":
    main()

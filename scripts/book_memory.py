#!/usr/bin/env python3
"""Writes the tables of docs/book/memory.md anew, from `koch memory`.

    scripts/book_memory.py [KOCH] [--check] [--public] [--budgets]

KOCH is the command's path; without it, cargo builds and runs it. The networks are those of
footprint/tests/fixtures/topologies.zip. The table of public problems is written with --public only, those of budgets
and the picture with --budgets. With --check the chapter stays as it is, and differences go to stderr. Exit code 1
if --check finds a difference, 2 if something cannot be run or read.
"""

import argparse
import pathlib
import subprocess
import tempfile
import zipfile

from book import ROOT, Koch, stop, table, write

CHAPTER = ROOT / "docs" / "book" / "memory.md"
NETWORKS = {
    "alexnet": "AlexNet",
    "vgg16": "VGG-16",
    "vgg19": "VGG-19",
    "googlenet": "GoogLeNet",
    "resnet50-v1": "ResNet-50 v1",
    "resnet50": "ResNet-50 v1.5",
    "squeezenet": "SqueezeNet 1.1",
    "mobilenetv1": "MobileNet v1",
    "mobilenetv2": "MobileNet v2",
    "densenet121": "DenseNet-121",
    "unet": "U-Net",
}


def millions(amount):
    return f"{amount['elements'] / 1e6:.2f}"


def mega(n):
    return f"{n / 1e6:.2f}"


class Networks:
    def __init__(self, koch, directory):
        self.koch, self.directory = koch, directory

    def report(self, name, *flags):
        return self.koch.json("memory", "--model", str(self.directory / f"{name}.onnx"), *flags)

    def reports(self, *flags):
        return [(title, self.report(name, *flags)) for name, title in NETWORKS.items()]


def sizes(networks):
    rows = []
    for title, r in networks.reports():
        both = r["weights_and_activations"]
        cells = [millions(r[k]) for k in ("weights", "norms", "counted_activations", "all_activations")]
        rows.append([title, *cells, f"{both['bytes'] / 1e6:.1f}", f"{r['macs'] / 1e9:.3f}"])
    return table([" network", "weights, M", "norms, M", "activations, M", "all outputs, M", "MB in f32", "MACs, G"], rows)


def precisions(networks):
    rows = []
    for precision in ("f32", "f16", "int8"):
        for batch in (1, 32):
            r = networks.report("resnet50", "--precision", precision, "--batch", str(batch))
            rows.append([precision, batch, mega(r["weights"]["bytes"]), mega(r["counted_activations"]["bytes"]), mega(r["peak"])])
    return table([" precision", "batch", "weights, MB", "activations, MB", "peak of a run, MB"], rows)


def lowering(networks):
    rows = []
    for title, r in networks.reports():
        largest = max(r["layers"], key=lambda l: l["lowered_bytes"])
        ratio = r["lowered_largest"]["bytes"] / r["plans"]["planned"]
        rows.append([title, mega(r["lowered_largest"]["bytes"]), largest["name"], f"{ratio:.1f}", mega(r["plans"]["planned"])])
    return table([" network", "largest im2col, MB", " of layer", "times the plan", "plan of all activations, MB"], rows)


def vectors(networks):
    rows = []
    for batch in (1, 2, 8, 32):
        r = networks.report("resnet50", "--batch", str(batch), "--vector", "32")
        direct = networks.report("resnet50", "--batch", str(batch))
        a, b = (x["counted_activations"]["bytes"] for x in (direct, r))
        rows.append([batch, mega(a), mega(b), f"{b / a:.0f}"])
    return table(["batch", "activations, MB", "in 32 lanes, MB", "times"], rows)


def plans(networks):
    rows = []
    for title, r in networks.reports("--precision", "int8"):
        p = r["plans"]
        best = f"{p['naive'] / p['planned']:.1f}"
        numbers = [mega(p[k]) for k in ("naive", "lives", "in_place", "overlap", "heuristic", "planned", "bound")]
        rows.append([title, *numbers, best, "yes" if p["optimal"] else "no"])
    head = [" network", "naive", "lives", "in place", "overlap", "heuristic", "planned", "bound", "naive ÷ planned", " optimal"]
    return table(head, rows)


def training(networks):
    rows = []
    for title, r in networks.reports("--training", "--batch", "32", "--optimiser", "adam"):
        cells = [r[k]["bytes"] / 1e9 for k in ("kept", "weight_gradients", "optimiser_state")]
        p = r["plans"]
        rows.append([title, *(f"{c:.3f}" for c in cells), *(f"{p[k] / 1e9:.3f}" for k in ("naive", "planned", "bound")), f"{r['peak'] / 1e9:.3f}"])
    head = [" network", "kept, GB", "gradients, GB", "Adam, GB", "naive, GB", "planned, GB", "bound, GB", "peak, GB"]
    return table(head, rows)


def public():
    """Problems of others; with the seconds that each took, so that the table differs every time."""
    example = ["cargo", "run", "--release", "--quiet", "--package", "compiler", "--example", "offsets", "--"]
    problems = ROOT / "compiler" / "tests" / "fixtures" / "minimalloc.zip"
    run = subprocess.run([*example, str(problems), "seconds=60"], cwd=ROOT, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        stop(run.stderr.strip())
    return run.stdout


METHODS = ("keep-all", "recompute-all", "sqrt-segments", "greedy-segments", "spill-all", "farthest-use", "dtr", "dtr-ahead", "greedy-ratio", "polished", "lp-rounding", "milp")


def budgets(networks, methods, *flags):
    """Overhead in per cent by budget and method. What the solver finds in its time differs from machine to machine."""
    rows = []
    for name in ("vgg19", "resnet50", "unet"):
        r = networks.report(name, "--training", "--batch", "32", "--sweep-budget", "6", "--seconds", "10", *flags)
        for bound in reversed(r["bounds"]):
            of = {row["method"]: row for row in r["rows"] if row["budget"] == bound["budget"]}
            best = min(row["total"] for row in of.values() if row["feasible"])
            cells = []
            for method in methods:
                row = of[method]
                text = f"{row['overhead_percent']:.2f}" if row["feasible"] else "–"
                cells.append(f"**{text}**" if row["feasible"] and row["total"] == best else text)
            share = 100 * bound["budget"] / r["keep_all"]
            rows.append([NETWORKS[name], f"{bound['budget'] / 1e9:.2f}", f"{share:.0f}", *cells])
    return table([" network", "budget, GB", "%", *methods], rows)


def smallest(networks):
    rows = []
    for name in ("vgg19", "resnet50", "unet"):
        again, spill = (networks.report(name, "--training", "--batch", "32", "--sweep-budget", "2", "--seconds", "0", *flags) for flags in ((), ("--spill", "0.025")))
        cells = [again["keep_all"], again["smallest"], spill["smallest"], again["floor"]]
        rows.append([NETWORKS[name], again["steps"], *(f"{c / 1e9:.2f}" for c in cells)])
    return table([" network", "steps", "all kept, GB", "computed again, GB", "spilled too, GB", "largest step, GB"], rows)


def picture(networks):
    """GoogLeNet in two thirds of its memory."""
    to = CHAPTER.parent / "googlenet-budget.svg"
    networks.report("googlenet", "--training", "--batch", "32", "--budget", "500MiB", "--spill", "0.05", "--graph", str(to))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("koch", nargs="?", help="the koch command; without it, cargo runs it")
    parser.add_argument("--public", action="store_true", help="the table of public problems too: minutes")
    parser.add_argument("--budgets", action="store_true", help="the tables of budgets and the picture too: minutes")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        zipfile.ZipFile(ROOT / "footprint" / "tests" / "fixtures" / "topologies.zip").extractall(name)
        networks = Networks(Koch(args.koch), pathlib.Path(name))
        makers = (sizes, precisions, lowering, vectors, plans, training, smallest)
        tables = {f.__name__: f(networks) for f in makers}
        if args.budgets:
            known = [method for method in METHODS if method not in ("spill-all", "farthest-use")]
            tables["budgets"] = budgets(networks, known)
            if not args.check:
                picture(networks)
            tables["spills"] = budgets(networks, [method for method in METHODS if "segments" not in method], "--spill", "0.025")
        if args.public:
            tables["public"] = public()
        write(CHAPTER, tables, args.check)


if __name__ == "__main__":
    main()

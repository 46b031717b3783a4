"""What the scripts share that run the zoo's networks and write a table of them into a page."""

import argparse
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def report(out, name, arguments):
    """The JSON that `koch` prints, from OUT/NAME.json if it is there already."""
    path = out / f"{name}.json"
    if not path.exists():
        unfinished = path.with_suffix(".part")
        with unfinished.open("wb") as file:
            koch = os.environ.get("KOCH", ROOT / "target" / "release" / "koch")
            code = subprocess.run([koch, *arguments], stdout=file, check=False).returncode
        if code != 0:
            sys.exit(code)
        unfinished.rename(path)
    return json.loads(path.read_text())


def arguments(description, names):
    """A parser for ZOO, OUT and --only."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("zoo", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--only", action="append", choices=names, metavar="NAME")
    return parser


def table(networks, only, line):
    """A line for each network, shown as soon as it is there."""
    lines = ""
    for name, *facts in networks:
        if not only or name in only:
            lines += (text := line(name, *facts))
            print(text, end="", file=sys.stderr, flush=True)
    return lines


def rewrite(page, name, text):
    """Puts `text` between a page's markers."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
    before, rest = page.read_text().split(begin)
    _, after = rest.split(end)
    unfinished = page.with_suffix(".part")
    unfinished.write_text(before + begin + text + end + after)
    unfinished.rename(page)

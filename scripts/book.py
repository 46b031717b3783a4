"""What the scripts that write chapters of the book share: running koch, and tables between markers.

A table stands between <!-- name --> and <!-- end of name -->.
"""

import difflib
import json
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
CARGO = ["cargo", "run", "--release", "--quiet", "--bin", "koch", "--"]


def stop(message):
    print(f"{pathlib.Path(sys.argv[0]).name}: {message}", file=sys.stderr)
    sys.exit(2)


def table(head, rows):
    """A cell of the head that starts with a space is a column of text."""
    rule = ["---" if h.startswith(" ") else "---:" for h in head]
    lines = [[h.strip() for h in head], rule, *([str(c) for c in row] for row in rows)]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


class Koch:
    """The command at this path; without one, cargo builds and runs it."""

    def __init__(self, path=None):
        found = path and shutil.which(path)
        if path and not found:
            stop(f"{path}: no such command")
        self.command = [str(pathlib.Path(found).resolve())] if found else CARGO

    def json(self, *args):
        command = [*self.command, *args, "--json"]
        try:
            run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        except OSError as error:
            stop(f"{command[0]}: {error.strerror}")
        if run.returncode != 0:
            stop(f"{' '.join(command)}: {run.stderr.strip()}")
        return json.loads(run.stdout)


def block(name):
    return f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"


def write(chapter, tables, check):
    """Puts tables, text by name, into a chapter, all or nothing; with `check`, shows differences and ends with exit code 1."""
    old = text = chapter.read_text()
    for name, new in tables.items():
        begin, end = block(name)
        if text.count(begin) != 1 or text.count(end) != 1:
            stop(f"{chapter}: one {begin.strip()} and one {end.strip()} are needed")
        before, rest = text.split(begin)
        _, after = rest.split(end)
        text = before + begin + new + end + after
    if text == old:
        return
    if check:
        name = str(chapter.relative_to(ROOT))
        sys.stderr.writelines(difflib.unified_diff(old.splitlines(True), text.splitlines(True), name, "koch"))
        sys.exit(1)
    unfinished = chapter.with_suffix(".part")
    unfinished.write_text(text)
    unfinished.rename(chapter)

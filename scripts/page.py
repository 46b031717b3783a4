#!/usr/bin/env python3
"""Puts text between the markers of a part of docs/verification.md: `<!-- part: NAME -->` and `<!-- end -->`.

    scripts/page.py NAME < text
"""

import pathlib
import re
import sys

PAGE = pathlib.Path(__file__).resolve().parent.parent / "docs" / "verification.md"


def put(name, text):
    """Replaces what stands in the part called name, the whole file or nothing."""
    page = PAGE.read_text()
    old = re.search(rf"<!-- part: {re.escape(name)} -->\n(.*?)<!-- end -->", page, flags=re.S)
    if old is None:
        sys.exit(f"page: {PAGE} has no part {name}")
    unfinished = PAGE.with_name(PAGE.name + ".part")
    unfinished.write_text(page[: old.start(1)] + text.strip() + "\n" + page[old.end(1) :])
    unfinished.rename(PAGE)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    put(sys.argv[1], sys.stdin.read())

#!/usr/bin/env python3
"""slang's word on Verilog files, with every warning on but those named below.

    testbench/lint/slang.py TOP FILE ...

Prints nothing if there is none. The interpreter is the one of .tools/venv, which has pyslang.
"""

import shlex
import sys

from pyslang import driver

# Bits are without a sign in the generated text but where $signed stands, and widths are equal everywhere: what has a sign is cast to
# its width first, after which sums and comparisons for equality of either kind are the same.
SIGNS = ["arith-op-mismatch", "sign-compare", "sign-conversion"]
# A cast to a width of the config is one to the same width in some configs.
CASTS = ["useless-cast"]
# Bits that nobody reads are gathered in nets unused_*, as Verilator wants it, which finds all others.
UNUSED = ["unused-but-set-variable"]


def main():
    top, *files = sys.argv[1:]
    off = [f"-Wno-{name}" for name in SIGNS + CASTS + UNUSED]
    slang = driver.Driver()
    slang.addStandardArgs()
    line = shlex.join(["slang", "-Weverything", *off, "--top", top, *files])
    if not (slang.parseCommandLine(line) and slang.processOptions() and slang.parseAllSources()):
        sys.exit(1)
    compilation = slang.createCompilation()
    slang.reportCompilation(compilation, True)
    slang.runAnalysis(compilation)
    if not slang.reportDiagnostics(True):
        sys.exit(1)


if __name__ == "__main__":
    main()

"""The whole design as one graph of gates, with its memories cut out, and an input that switches a mutant on.

What a memory is given becomes outputs, what it reads becomes inputs: `cut`. Values that Verilog calls x become inputs too.
"""

import re


class Graph:
    """AND gates; equal ones are one. A literal is twice a node's number, plus 1 if inverted; node 0 is false."""

    def __init__(self):
        self.gates = [None]
        self.table = {}

    def leaf(self):
        self.gates.append(None)
        return 2 * (len(self.gates) - 1)

    def both(self, a, b):
        if a > b:
            a, b = b, a
        if a == 0 or a ^ b == 1:
            return 0
        if a == 1 or a == b:
            return b
        found = self.table.get((a, b))
        if found is None:
            self.gates.append((a, b))
            found = self.table[a, b] = 2 * (len(self.gates) - 1)
        return found

    def either(self, a, b):
        return self.both(a ^ 1, b ^ 1) ^ 1

    def differ(self, a, b):
        return self.either(self.both(a, b ^ 1), self.both(a ^ 1, b))

    def choose(self, which, a, b):
        return a if a == b else self.either(self.both(which, a), self.both(which ^ 1, b))

    def any_of(self, literals):
        literals = list(literals)
        while len(literals) > 1:
            literals = [self.either(*literals[k : k + 2]) if k + 1 < len(literals) else literals[k] for k in range(0, len(literals), 2)]
        return literals[0] if literals else 0

    def all_of(self, literals):
        return self.any_of(literal ^ 1 for literal in literals) ^ 1

    def at_most(self, bits, limit):
        """Whether a number, from its lowest bit on, is at most a constant."""
        holds = 1
        for at, bit in enumerate(bits):
            holds = (self.either if limit >> at & 1 else self.both)(bit ^ 1, holds)
        return holds


def cut(text, taps=()):
    """RTLIL of the flat design without its memories, and a list of these: name, reads, writes; ports are named after them.

    Nets that `taps` names become outputs too: tap_ and the name.
    """
    out, memories, block = [], {}, None
    ports = 100000
    def port(kind, width, name):
        nonlocal ports
        ports += 1
        return [f"  wire width {width} {kind} {ports} \\{name}"]
    for line in text.splitlines():
        found = re.match(r"  cell (\$mem\w+) (\S+)", line)
        if found and found[1].startswith(("$memrd", "$memwr")):
            block = [line]
        elif block is None:
            if not line.startswith("  memory "):
                out.append(line)
        elif line != "  end":
            block.append(line)
        else:
            of = re.search(r'parameter \\MEMID "(.*)"', "\n".join(block))[1]
            connect = dict(re.match(r"    connect \\(\w+) (.*)", b).groups() for b in block if b.startswith("    connect"))
            width = dict((n, int(w)) for n, w in (re.match(r"    parameter (?:signed )?\\(\w+) (-?\d+)$", b).groups()
                         for b in block if re.match(r"    parameter (?:signed )?\\(\w+) (-?\d+)$", b)))
            memory = memories.setdefault(of, {"reads": [], "writes": []})
            read = "$memrd" in block[0]
            number = len(memories) - 1 if of == list(memories)[-1] else list(memories).index(of)
            kind = "reads" if read else "writes"
            name = f"{kind[0]}_{number}_{len(memory[kind])}"
            memory[kind].append(name)
            out += port("output", width["ABITS"], f"{name}_address") + port("input" if read else "output", width["WIDTH"], f"{name}_data")
            out += [f"  connect \\{name}_address {connect['ADDR']}"]
            if read:
                out += [f"  connect {connect['DATA']} \\{name}_data"]
            else:
                out += port("output", width["WIDTH"], f"{name}_enable")
                out += [f"  connect \\{name}_data {connect['DATA']}", f"  connect \\{name}_enable {connect['EN']}"]
            block = None
    end = len(out) - 1 - out[::-1].index("end")
    for tap in taps:
        width = re.search(rf"^  wire (?:width (\d+) )?\\{tap}$", text, flags=re.M)[1] or 1
        out[end:end] = port("output", int(width), f"tap_{tap}") + [f"  connect \\tap_{tap} \\{tap}"]
    return "\n".join(out) + "\n", memories

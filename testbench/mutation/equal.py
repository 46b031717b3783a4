"""Whether a mutant differs from the design in anything that can be seen from outside: ABC on the pair of both."""

import collections
import heapq
import itertools
import math
import re
import subprocess

from netlist import Graph

# What a channel carries counts while its valid is high.
VALID = {f"{bus}_{channel}valid": f"{bus}_{channel}valid" for bus, channels in
         (("s_axil", ("b", "r")), ("m_axi", ("aw", "w", "ar"))) for channel in channels}
# Nets that `legal` is about.
TAPS = ("buffer_instruction", "check_fault", "requester_pop", "lister_pop", "gatherer_pop", "load_queue_data",
        "compute_queue_data", "store_queue_data", "feeder_read", "feeder_read_address", "sender_beat")


class Design:
    """The netlist with the mutants' switch, and what it is without one."""

    def __init__(self, aag, ports, memories, burst_beats):
        self.memories, self.burst_beats = memories, burst_beats
        lines = iter(aag.splitlines())
        top, inputs, latches, outputs, gates = map(int, next(lines).split()[1:6])
        self.inputs = [int(next(lines)) for _ in range(inputs)]
        self.latches = [tuple(map(int, next(lines).split()[:2])) for _ in range(latches)]
        self.outputs = [int(next(lines)) for _ in range(outputs)]
        ands = [tuple(map(int, next(lines).split())) for _ in range(gates)]
        assert all(a < g and b < g for g, a, b in ands)
        self.operands = {g >> 1: (a >> 1, a & 1, b >> 1, b & 1) for g, a, b in ands}
        # By name and bit.
        self.input_of, self.output_of, self.latch_names = {}, {}, {}
        for line in ports.splitlines():
            kind, index, bit, name = line.split(" ", 3)
            if kind == "input":
                self.input_of[name, int(bit)] = self.inputs[int(index)] >> 1
            elif kind == "output":
                self.output_of[name, int(bit)] = self.outputs[int(index)]
            elif kind == "latch":
                self.latch_names.setdefault(int(index), f"{name}[{bit}]")
        self.graph = Graph()
        self.switch = {self.input_of["mutant", bit]: bit for bit in range(16)}
        gold = [0] * (top + 1)
        for literal in self.inputs:
            gold[literal >> 1] = 0 if literal >> 1 in self.switch else self.graph.leaf()
        for literal, _ in self.latches:
            gold[literal >> 1] = self.graph.leaf()
        both = self.graph.both
        for g, (a, na, b, nb) in self.operands.items():
            gold[g] = both(gold[a] ^ na, gold[b] ^ nb)
        self.gold = gold
        words = {gold[self.latches[i][0] >> 1]: name.rpartition("[")[0] for i, name in self.latch_names.items()}
        widths = collections.Counter(words.values())
        # The width of the word that a register is a bit of, and the instance that it is in.
        self.width = {literal: widths[name] for literal, name in words.items()}
        self.home = {gold[self.latches[i][0] >> 1]: name.rpartition(".")[0] for i, name in self.latch_names.items()}
        self.reset = gold[self.input_of["rst_ni", 0]]
        # What each variable goes to: gates, registers, addresses of reads, and as data of a memory what reads them.
        self.fans = [[] for _ in range(top + 1)]
        for g, (a, _, b, _) in self.operands.items():
            self.fans[a].append(("gate", g))
            self.fans[b].append(("gate", g))
        for index, (_, following) in enumerate(self.latches):
            self.fans[following >> 1].append(("latch", index))
        for memory in memories.values():
            for read in memory["reads"]:
                for literal in self.bits(f"{read}_address", self.output_of):
                    self.fans[literal >> 1].append(("read", read))
            for write in memory["writes"]:
                for port in ("data", "enable"):
                    for bit, literal in enumerate(self.bits(f"{write}_{port}", self.output_of)):
                        self.fans[literal >> 1].extend((port, self.input_of[f"{read}_data", bit]) for read in memory["reads"])

    def of(self, values, literal):
        """The literal's value under a mutant."""
        return values.get(literal >> 1, self.gold[literal >> 1]) ^ (literal & 1)

    def plain(self, literal):
        return self.gold[literal >> 1] ^ (literal & 1)

    def bits(self, name, table):
        """The ports' bits, from the lowest."""
        found = []
        while (name, len(found)) in table:
            found.append(table[name, len(found)])
        return found

    def reach(self, number, most, loose, steps, widest):
        """Registers of words up to the widest, reads and bits in memories that a mutant can change in so many steps, given its own
        values of those that it changes; bits in memories by those ports that are `loose`. None: too many."""
        own, reads, columns, leaves, gold = {}, {}, {}, {}, self.gold
        while True:
            values = self.evaluate(number, leaves)
            registers, addresses, stored = set(), set(), set()
            for variable in values:
                for kind, to in self.fans[variable]:
                    if kind == "latch" and to not in own and steps and self.width.get(gold[self.latches[to][0] >> 1], 1) <= widest:
                        registers.add(to)
                    elif kind == "read" and to not in reads:
                        addresses.add(to)
                    elif kind in loose and to not in columns:
                        stored.add(to)
            if not registers and not addresses and not stored:
                return own, reads, columns
            steps -= bool(registers)
            for index in registers:
                own[index] = leaves[self.latches[index][0] >> 1] = self.graph.leaf()
            for read in addresses:
                reads[read] = [self.graph.leaf() for _ in self.bits(f"{read}_data", self.input_of)]
                leaves |= zip(self.bits(f"{read}_data", self.input_of), reads[read])
            for variable in stored:
                columns[variable] = leaves[variable] = self.graph.leaf()
            if len(own) > most or len(columns) > MOST_COLUMNS:
                return None

    def evaluate(self, number, leaves):
        """Values under a mutant where they are not the design's; `leaves` are of registers and reads of its own."""
        values = {v: number >> bit & 1 for v, bit in self.switch.items() if number >> bit & 1} | leaves
        heap = [to for v in values for kind, to in self.fans[v] if kind == "gate"]
        heapq.heapify(heap)
        gold, both, last = self.gold, self.graph.both, -1
        while heap:
            g = heapq.heappop(heap)
            if g == last:
                continue
            last = g
            a, na, b, nb = self.operands[g]
            new = both(values.get(a, gold[a]) ^ na, values.get(b, gold[b]) ^ nb)
            if new != gold[g]:
                values[g] = new
                for kind, to in self.fans[g]:
                    if kind == "gate":
                        heapq.heappush(heap, to)
        return values

    def pair(self, number, most, loose=(), steps=math.inf, widest=math.inf):
        """Where a mutant differs: a literal for its pins, one for what the pair takes for equal, that is registers further than
        `steps` or of words wider than `widest`, and memories; its own registers as (the design's, its own, what they become, what
        its own become), the modules that it is in, and `widest`."""
        graph = self.graph
        reached = self.reach(number, most, loose, steps, widest)
        if reached is None:
            return None
        own, other, columns = reached
        reads = list(other)
        leaves = {self.latches[index][0] >> 1: literal for index, literal in own.items()}
        # A memory that has been given the same so far reads the same at the same address, and anything at another.
        before, values = None, {}
        for _ in range(5):
            same = {}
            for read in reads:
                address = self.bits(f"{read}_address", self.output_of)
                same[read] = graph.any_of(graph.differ(self.of(values, b), self.plain(b)) for b in address) ^ 1
            if same == before:
                break
            before = same
            chosen = {}
            for read in reads:
                for bit, variable in enumerate(self.bits(f"{read}_data", self.input_of)):
                    chosen[variable] = graph.choose(same[read], self.gold[variable], other[read][bit])
            chosen = {v: l for v, l in chosen.items() if l != self.gold[v]} | columns
            values = self.evaluate(number, leaves | chosen)
        else:
            return None
        seen, shared = [], []
        differ = lambda literal: graph.differ(self.of(values, literal), self.plain(literal))
        any_differ = lambda name: graph.any_of(differ(b) for b in self.bits(name, self.output_of))
        for memory in self.memories.values():
            for write in memory["writes"]:
                enable = self.bits(f"{write}_enable", self.output_of)
                data = self.bits(f"{write}_data", self.output_of)
                # Bits that may differ in the memory are not compared: what is read of them is anything. When they are written is,
                # unless that is how they may differ.
                other_bits = {bit for bit in range(len(data)) if any(self.input_of[f"{r}_data", bit] in columns for r in memory["reads"])}
                alike = [(e, b) for bit, (e, b) in enumerate(zip(enable, data)) if bit not in other_bits]
                shared += [differ(e) for e in ([e for e, _ in alike] if "enable" in loose else enable)]
                shared += [graph.both(self.plain(e), differ(b)) for e, b in alike]
                shared += [graph.both(graph.any_of(map(self.plain, enable)), any_differ(f"{write}_address"))]
        for name in sorted({name for name, _ in self.output_of}):
            if re.match(r"[rw]_\d+_\d+_|tap_", name):
                continue
            valid = VALID.get(re.sub(r"^(s_axil|m_axi)_(aw|w|b|ar|r)(?!eady|valid).*", r"\1_\2valid", name))
            when = self.plain(self.output_of[valid, 0]) if valid and not name.endswith(("valid", "ready")) else 1
            seen += [graph.both(when, any_differ(name))]
        beyond = {to for v in values for kind, to in self.fans[v] if kind == "latch" and to not in own}
        shared += [differ(self.latches[i][1]) for i in sorted(beyond)]
        registers = [(self.gold[self.latches[i][0] >> 1], leaves[self.latches[i][0] >> 1],
                      self.plain(self.latches[i][1]), self.of(values, self.latches[i][1])) for i in own]
        homes = {self.home.get(self.gold[self.latches[i][0] >> 1]) for i in (*own, *beyond)} - {None}
        return graph.any_of(seen), graph.any_of(shared), registers, homes, widest

    def legal(self):
        """What the design lets each engine take out of its queue: nothing that koch_check refuses.

        That is proven: `faults_halt`, `halt_takes_nothing` and `first_in_first_out` of ../formal.
        """
        graph = self.graph
        tap = lambda name: [self.plain(b) for b in self.bits(f"tap_{name}", self.output_of)]
        instruction, fault = tap("buffer_instruction"), tap("check_fault")
        held = []
        for queue, pop in (("load", "requester_pop"), ("compute", "lister_pop"), ("store", "gatherer_pop")):
            image = {0: 0}
            for bit, literal in itertools.zip_longest(instruction, tap(f"{queue}_queue_data")):
                image[bit >> 1] = graph.leaf() if literal is None else literal ^ (bit & 1)
            refused = graph.any_of(copied(graph, graph, image, bit) for bit in fault)
            held.append(graph.both(tap(pop)[0], refused) ^ 1)
        return graph.all_of(held)

    def ranges(self):
        """What numbers of the design are never beyond: the array reads buffers that exist, a burst has no more beats than the
        config says. That is proven: `operand_in_a_buffer` and `w_beat_of_a_burst` of ../formal.
        """
        graph = self.graph
        tap = lambda name: [self.plain(b) for b in self.bits(f"tap_{name}", self.output_of)]
        nowhere = graph.all_of([*tap("feeder_read"), *tap("feeder_read_address")[22:24]])
        return graph.both(nowhere ^ 1, graph.at_most(tap("sender_beat"), self.burst_beats - 1))

    def never(self, refused):
        """What the design keeps to, by its properties; of refused instructions only if that is asked for."""
        return self.graph.both(self.ranges(), self.legal() if refused else 1)

    def next_of(self):
        """What the design's registers become, by their literal."""
        return {self.gold[literal >> 1]: self.plain(following) for literal, following in self.latches}


def aiger(design, seen, differs, registers, depth, homes, legal, widest):
    """The pair for ABC. Of the registers that both share those are free that others do not follow from in `depth` steps, but
    for those of modules `homes`, and all of words wider than `widest`; None: too many."""
    graph = design.graph
    following, twin_of = {}, {}
    for gold, own, gold_next, own_next in registers:
        following[gold], following[own] = gold_next, own_next
        twin_of[own] = gold
    shared = {literal: following for literal, following in design.next_of().items() if design.width.get(literal, 1) <= widest}
    def leaves_of(literals):
        found, seen, stack = set(), set(), [l >> 1 for l in literals]
        while stack:
            node = stack.pop()
            if node in seen:
                continue
            seen.add(node)
            fan = graph.gates[node]
            if fan is None:
                found.add(2 * node)
            else:
                stack += [f >> 1 for f in fan]
        return found
    # Registers of either copy that the difference depends on, and shared ones as far as `depth` goes.
    state, frontier, level = set(), {seen, differs, legal}, 0
    while True:
        leaves = leaves_of(frontier)
        frontier = set()
        for leaf in leaves - state:
            if leaf in following or (leaf in shared and design.home.get(leaf) in homes):
                state.add(leaf)
                frontier.add(following.get(leaf, shared.get(leaf)))
        if not frontier:
            if level == depth:
                break
            level += 1
            roots = {seen, differs, legal} | {following.get(s, shared.get(s)) for s in state}
            fresh = [leaf for leaf in leaves_of(roots) - state if leaf in shared]
            if not fresh:
                break
            state.update(fresh)
            frontier = {following.get(s, shared[s]) for s in fresh}
        if len(state) > MOST_STATE:
            return None, len(state)
    state = sorted(state)
    become = [following.get(s, shared.get(s)) for s in state]
    # The first cycle is the one after power-up and a reset: registers that it does not set hold anything, in both copies the
    # same. A mutant may leave something else there, but what that is nobody knows of the design either.
    out = Graph()
    begun, latch, image, first = out.leaf(), [out.leaf() for _ in state], {0: 0}, {}
    assert design.reset & 1 == 0
    at_reset = {0: 0, design.reset >> 1: 0}
    for held, s, literal in zip(latch, state, become):
        value = copied(graph, out, at_reset, literal)
        if value not in (0, 1):
            value = first.setdefault(twin_of.get(s, s), out.leaf())
        image[s >> 1] = out.choose(begun, held, value)
    copy = lambda literal: copied(graph, out, image, literal)
    nexts = [copy(literal) for literal in become]
    # Nothing counts once something illegal has happened.
    broken = out.leaf()
    illegal = out.either(broken, copy(legal) ^ 1)
    counts = out.both(out.either(copy(differs), copy(seen)), illegal ^ 1)
    return encode(out, [begun, broken, *latch], [1, illegal, *nexts], counts), len(state)


def copied(graph, out, image, literal):
    """The literal in another graph; `image` has what is there already, and what leaves are to be."""
    stack = [literal >> 1]
    while stack:
        node = stack[-1]
        if node in image:
            stack.pop()
            continue
        fan = graph.gates[node]
        if fan is None:
            image[node] = out.leaf()
        else:
            missing = [f >> 1 for f in fan if f >> 1 not in image]
            if missing:
                stack += missing
                continue
            image[node] = out.both(*(image[f >> 1] ^ (f & 1) for f in fan))
        stack.pop()
    return image[literal >> 1] ^ (literal & 1)


def encode(graph, latches, nexts, output):
    """A binary AIGER file."""
    gates = [n for n, fan in enumerate(graph.gates) if fan is not None]
    held = {l >> 1 for l in latches}
    inputs = [n for n, fan in enumerate(graph.gates) if fan is None and n and n not in held]
    number = {0: 0}
    for n in [*inputs, *(l >> 1 for l in latches), *gates]:
        number[n] = 2 * len(number)
    of = lambda literal: number[literal >> 1] ^ (literal & 1)
    top = len(number) - 1
    text = f"aig {top} {len(inputs)} {len(latches)} 1 {len(gates)}\n" + "".join(f"{of(n)}\n" for n in nexts) + f"{of(output)}\n"
    data = bytearray(text.encode())
    for n in gates:
        a, b = sorted(map(of, graph.gates[n]), reverse=True)
        for delta in (number[n] - a, a - b):
            while delta >= 128:
                data.append(delta & 127 | 128)
                delta >>= 7
            data.append(delta)
    return bytes(data)


# How many registers a mutant may reach, in which ways the pair is made, and what is tried on it, one after the other: how far from
# the design's registers the others follow, whether with all registers of the modules that a mutant is in, whether with what
# koch_check refuses, whether ABC makes the pair smaller first, and seconds for the proof.
SHORT = ((0, False, False, False, 2), (1, False, False, False, 2))
LONG = (*SHORT, (2, False, False, False, 5), (0, True, False, False, 5), (1, True, True, False, 10), (2, True, True, False, 30),
        (5, False, True, False, 30), (1, True, False, True, 30))
QUICK = (400, ({"steps": 1}, {"steps": 2}, {}), SHORT)
NEAR = (3000, ({"steps": 0}, {"steps": 1}, {"steps": 2}, {"steps": 4}, {"widest": 8}), LONG)
FAR = (3000, ({}, {"loose": ("data",), "steps": 4}, {"loose": ("data",), "steps": 7}, {"loose": ("data", "enable")}), LONG)
MOST_STATE = 6000
# Bits in memories that may differ.
MOST_COLUMNS = 64


def decide(design, number, directory, effort):
    """True: proven equal. None: it differs where registers hold what they like, or it is not known."""
    most, ways, levels = effort
    for way in ways:
        pair = design.pair(number, most, **way)
        if pair is not None and prove(design, number, directory, pair, levels):
            return True
    return None


def prove(design, number, directory, pair, levels):
    """Whether ABC proves a pair equal, at one of the levels."""
    seen, shared, registers, homes, widest = pair
    if seen == shared == 0:
        return True
    for depth, whole, legal, smaller, limit in levels:
        data, states = aiger(design, seen, shared, registers, depth, homes if whole else (), design.never(legal), widest)
        if data is None:
            continue
        (directory / f"pair{number}.aig").write_bytes(data)
        steps = f"read_aiger pair{number}.aig; strash; scleanup; {'scorr; dc2; strash; ' if smaller else ''}pdr -T {limit}"
        try:
            said = subprocess.run(["berkeley-abc", "-q", steps], cwd=directory, capture_output=True, text=True, timeout=limit + 60).stdout
        except subprocess.TimeoutExpired:
            continue
        if "Property proved" in said or "UNSATISFIABLE" in said:
            return True
    return None

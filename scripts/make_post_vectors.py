#!/usr/bin/env python3
"""Writes spec/fixtures/post.csv: sums and products of quantised operands, as ONNX Runtime computes them.

    scripts/setup.sh fixtures
    .tools/venv/bin/python scripts/make_post_vectors.py

Each row is one output of a QLinearAdd or QLinearMul over all pairs of operands, or with one operand broadcast from
[1, C, 1, 1]. Formulas serve only to look for hard cases, never to fill in y: half of the rows are such that a
neighbouring formula (one more or one less rounding) gives another y.

Columns: op, type, the eight hex digits of the f32 scales sa, sb and sy, the zero points za, zb and zy, a, b, y.
"""

import csv
import pathlib

import numpy as np
import onnxruntime as ort
from onnx import helper, numpy_helper

OUT = pathlib.Path(__file__).resolve().parent.parent / "spec" / "fixtures" / "post.csv"
F32, F64 = np.float32, np.float64
ROWS = 24


def run(op, a, b, sa, za, sb, zb, sy, zy):
    dtype = a.dtype.type
    element = helper.np_dtype_to_tensor_dtype(a.dtype)
    constants = {"sa": F32(sa), "za": dtype(za), "sb": F32(sb), "zb": dtype(zb), "sy": F32(sy), "zy": dtype(zy)}
    graph = helper.make_graph(
        [helper.make_node(op, ["a", "sa", "za", "b", "sb", "zb", "sy", "zy"], ["y"], domain="com.microsoft")],
        "post",
        [helper.make_tensor_value_info(n, element, x.shape) for n, x in (("a", a), ("b", b))],
        [helper.make_tensor_value_info("y", element, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["y"], {"a": a, "b": b})[0]


def fma(a, b, c):
    # The product of two f32 is exact in 64 bits of mantissa, and the sum nearly always.
    return (a.astype(np.longdouble) * np.longdouble(b) + c).astype(F32)


def formulas(op, a, b, sa, za, sb, zb, sy, zy):
    """The right one first."""
    if op == "QLinearAdd":
        ra, rb = F32(sa) / F32(sy), F32(sb) / F32(sy)
        offset = F32(zy) - fma(np.asarray(ra), F32(za), F32(rb * F32(zb)))
        a, b = a.astype(F32), b.astype(F32)
        inner = fma(b, rb, offset)
        return [np.rint(fma(a, ra, inner)), np.rint(a * ra + inner), np.rint(fma(a, ra, b * rb + offset))]
    r = F32(F32(sa) * F32(sb)) / F32(sy)
    ab = ((a.astype(F32) - F32(za)) * (b.astype(F32) - F32(zb))).astype(F32)
    return [np.rint(ab * r + F32(zy)), np.rint(ab * r) + zy, np.rint(fma(ab, r, F32(zy)))]


def main():
    rng = np.random.default_rng(21)
    rows, wrong, count = [], 0, 0
    for case in range(64):
        op = ("QLinearAdd", "QLinearMul")[case % 2]
        dtype = (np.uint8, np.int8)[case // 2 % 2]
        lo, hi = np.iinfo(dtype).min, np.iinfo(dtype).max
        za, zb, zy = (int(rng.integers(lo, hi + 1)) if case % 8 < 6 else 0 for _ in range(3))
        sa, sb = (F32(10 ** rng.uniform(-3, 0)) for _ in range(2))
        if case % 4 == 1:
            sb = sa
        size = sa + sb if op == "QLinearAdd" else 128 * sa * sb
        sy = F32(size * 10 ** rng.uniform(-0.3, 0.5))
        if case // 8 % 3 == 2:  # Powers of two: ties.
            sa, sb, sy = (F32(2.0 ** np.round(np.log2(s))) for s in (sa, sb, sy))
        every = np.arange(lo, hi + 1).astype(dtype)
        a, b = (x.reshape(1, 256, 16, 16) for x in np.meshgrid(every, every, indexing="ij"))
        if case // 4 % 3 == 1:
            b = rng.permutation(every).reshape(1, 256, 1, 1)
            a = rng.integers(lo, hi + 1, (1, 256, 5, 3)).astype(dtype)
        elif case // 4 % 3 == 2:
            a = rng.permutation(every).reshape(1, 256, 1, 1)
            b = rng.integers(lo, hi + 1, (1, 256, 7, 2)).astype(dtype)
        setting = (sa, za, sb, zb, sy, zy)
        y = run(op, a, b, *setting)
        a, b = (x.ravel() for x in np.broadcast_arrays(a, b))
        y = y.ravel()
        first, *others = (np.clip(f, lo, hi).astype(np.int64) for f in formulas(op, a, b, *setting))
        wrong, count = wrong + (first != y).sum(), count + len(y)
        inside = np.flatnonzero((y > lo) & (y < hi))
        hard = np.flatnonzero((others[0] != y) | (others[1] != y))
        chosen = [*rng.permutation(hard)[: ROWS // 2], *rng.permutation(inside)[: ROWS // 2]]
        chosen += [*rng.integers(0, len(y), ROWS - len(chosen))]
        bits = [f"{F32(s).view(np.uint32):08x}" for s in (sa, sb, sy)]
        for i in chosen:
            rows.append((op, np.dtype(dtype).name, *bits, za, zb, zy, int(a[i]), int(b[i]), int(y[i])))
    with open(OUT, "w", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(["op", "type", "sa", "sb", "sy", "za", "zb", "zy", "a", "b", "y"])
        lines.writerows(rows)
    print(f"{len(rows)} rows of {count} outputs, {wrong} unlike the formula, ONNX Runtime {ort.__version__}")


if __name__ == "__main__":
    main()

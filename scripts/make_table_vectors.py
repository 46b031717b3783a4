#!/usr/bin/env python3
"""Writes compiler/fixtures/table.csv: functions of one operand of 8 bits, as ONNX Runtime computes them.

    scripts/setup.sh fixtures
    .tools/venv/bin/python scripts/make_table_vectors.py

Each row is one operator on all 256 operands from the least to the greatest: its name and attributes, the types of input
and output, the eight hex digits of the f32 scales sx and sy, the zero points zx and zy, and the results' bits, two hex
digits each. `Quantize` is DequantizeLinear, then QuantizeLinear; other names without QLinear stand between these two.
"""

import csv
import pathlib

import numpy as np
import onnxruntime as ort
from onnx import helper, numpy_helper

OUT = pathlib.Path(__file__).resolve().parent.parent / "compiler" / "fixtures" / "table.csv"
F32 = np.float32
# Operator, attributes, or the limits of Clip.
FUNCTIONS = [
    ("QLinearSigmoid", {}),
    ("QLinearLeakyRelu", {"alpha": 0.125}),
    ("QLinearLeakyRelu", {"alpha": 0.1}),
    ("QLinearConcat", {}),
    ("Quantize", {}),
    ("Relu", {}),
    ("Clip", {"min": 0.0, "max": 6.0}),
    ("LeakyRelu", {"alpha": 0.1}),
    ("HardSigmoid", {"alpha": 0.2, "beta": 0.5}),
    ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
    ("HardSwish", {}),
    ("Sigmoid", {}),
    ("Tanh", {}),
]


def nodes(op, attributes, constants):
    if op == "QLinearConcat":
        return [helper.make_node(op, ["sy", "zy", "x", "sx", "zx"], ["y"], domain="com.microsoft", axis=0)]
    if op.startswith("QLinear"):
        inputs = ["x", "sx", "zx", "sy", "zy"]
        return [helper.make_node(op, inputs, ["y"], domain="com.microsoft", **attributes)]
    inputs = ["real"]
    if op == "Clip":
        constants |= {name: F32(value) for name, value in attributes.items()}
        inputs, attributes = ["real", *attributes], {}
    between = [] if op == "Quantize" else [helper.make_node(op, inputs, ["f"], **attributes)]
    return [
        helper.make_node("DequantizeLinear", ["x", "sx", "zx"], ["real"]),
        *between,
        helper.make_node("QuantizeLinear", ["f" if between else "real", "sy", "zy"], ["y"]),
    ]


def run(op, attributes, x, dtype, sx, zx, sy, zy):
    constants = {"sx": F32(sx), "zx": x.dtype.type(zx), "sy": F32(sy), "zy": dtype(zy)}
    graph = helper.make_graph(
        nodes(op, attributes, constants),
        "table",
        [helper.make_tensor_value_info("x", helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)],
        [helper.make_tensor_value_info("y", helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["y"], {"x": x})[0]


def main():
    rng = np.random.default_rng(22)
    rows = []
    for op, attributes in FUNCTIONS:
        for case in range(6):
            types = [(np.uint8, np.int8)[case % 2]] * 2
            if not op.startswith("QLinear") and case >= 4:
                types.reverse()
                types[0] = np.int8 if types[1] == np.uint8 else np.uint8
            (lo_x, hi_x), (lo_y, hi_y) = ((np.iinfo(t).min, np.iinfo(t).max) for t in types)
            zx, zy = int(rng.integers(lo_x, hi_x + 1)), int(rng.integers(lo_y, hi_y + 1))
            sx, sy = F32(10 ** rng.uniform(-2.5, -0.5)), F32(10 ** rng.uniform(-3, -1))
            if case >= 2 and case < 4:  # Ties.
                sx, sy = (F32(2.0 ** np.round(np.log2(s))) for s in (sx, sy))
            x = np.arange(lo_x, hi_x + 1).astype(types[0])
            y = run(op, attributes, x, types[1], sx, zx, sy, zy)
            name = " ".join([op, *(f"{k}={v!r}" for k, v in attributes.items())])
            bits = [f"{s.view(np.uint32):08x}" for s in (sx, sy)]
            rows.append((name, *(np.dtype(t).name for t in types), *bits, zx, zy, y.tobytes().hex()))
    OUT.parent.mkdir(parents=True, exist_ok=True)
    with open(OUT, "w", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(["function", "x_type", "y_type", "sx", "sy", "zx", "zy", "y"])
        lines.writerows(rows)
    print(f"{len(rows)} tables, ONNX Runtime {ort.__version__}")


if __name__ == "__main__":
    main()

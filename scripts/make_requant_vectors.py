#!/usr/bin/env python3
"""Writes spec/fixtures/requant.csv: requantised sums, as ONNX Runtime computes them.

    scripts/setup.sh fixtures
    .tools/venv/bin/python scripts/make_requant_vectors.py

Each row is one output of a 1x1 QLinearConv over random data: its bias is chosen so that the int32 sum becomes the
wanted one, and y is what ONNX Runtime answers. A formula serves only to look for hard cases, never to fill in y.

Columns: acc (int32, bias included), multiplier_bits (the eight hex digits of the f32 m = f32(f32(sx * sw) / sy)),
zero_point, lo and hi (the range of the output type), y.
"""

import csv
import pathlib

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

OUT = pathlib.Path(__file__).resolve().parent.parent / "spec" / "fixtures" / "requant.csv"
F32 = np.float32
INT_MIN, INT_MAX = -(2**31), 2**31 - 1
CHANNELS_IN = 8

# Output type, its zero point, input scale, output scale (0: random).
CONFIGS = [
    (np.uint8, 0, 1, 1),
    (np.uint8, 128, 0, 0),
    (np.uint8, 255, 2**-7, 2**-4),
    (np.uint8, 3, 0, 0),
    (np.int8, 0, 1, 1),
    (np.int8, -128, 0, 0),
    (np.int8, 127, 2**-7, 2**-4),
    (np.int8, 17, 0, 0),
]


def multiplier(sx, sw, sy):
    return (F32(sx) * sw).astype(F32) / F32(sy)


def pick(rng, rows, count):
    rows = list(dict.fromkeys(rows))
    return [rows[i] for i in rng.permutation(len(rows))[:count]]


def near_ties(rng, sx, sy, low, high, exponents):
    """Sums whose exact product lies within 1e-7, relative, of a half: (acc, weight scale, rounding of m decides)."""
    for m in 10 ** rng.uniform(*exponents, 3000):
        sw = F32(m * float(sy) / float(sx))
        # 64 bits of mantissa hold any int32 times any f32 exactly.
        m = np.longdouble(multiplier(sx, sw, sy))
        half = np.arange(low - 2, high + 2).astype(np.longdouble) + np.longdouble(0.5)
        acc = np.rint(half / m)
        exact = acc * m
        found = (np.abs(exact - half) < 1e-7 * np.abs(half)) & (acc >= INT_MIN) & (acc <= INT_MAX) & (exact != half)
        single = np.rint(acc.astype(F32) * F32(m))
        for i in np.flatnonzero(found):
            yield int(acc[i]), sw, bool(single[i] != np.rint(exact[i]))


def wanted_sums(rng, sx, sy, zero_point, lo, hi):
    """Pairs of a sum and a weight scale, of every kind."""
    low, high = lo - zero_point, hi - zero_point
    rows = []

    # Exact ties: a dyadic multiplier and a product that ends in a half.
    ties = []
    for odd in (1, 3, 5, 7):
        for shift in range(1, 23):
            m = odd * 2.0**-shift
            start = F32(m * float(sy) / float(sx))
            for sw in (start, np.nextafter(start, F32(0)), np.nextafter(start, F32(1))):
                if multiplier(sx, sw, sy) == F32(m):
                    # acc * odd / 2^shift = half integer: acc is an odd multiple of 2^(shift - 1).
                    for _ in range(2):
                        k = int(rng.integers(low * 2 - 6, high * 2 + 6)) // (2 * odd) * 2 + 1
                        ties.append((k << (shift - 1), sw))
                    break
    rows += pick(rng, [t for t in ties if INT_MIN <= t[0] <= INT_MAX], 80)

    # Almost ties: small sums; sums past 2^24, which f32 rounds; and those where f32 and exact arithmetic part.
    for exponents, near, parted in (((-5, -2), 80, 80), ((-7.5, -5.2), 60, 60)):
        found = list(near_ties(rng, sx, sy, low, high, exponents))
        rows += pick(rng, [(acc, sw) for acc, sw, parts in found if not parts], near)
        rows += pick(rng, [(acc, sw) for acc, sw, parts in found if parts], parted)

    def scale(exponent):
        return F32(10.0**exponent * float(sy) / float(sx))

    # Saturation: the ends of int32, any multiplier up to 100; sums just inside and outside the range.
    for acc in (INT_MIN, INT_MIN + 1, -(2**24) - 1, -1, 0, 1, 2**24 + 1, INT_MAX - 64, INT_MAX - 63, INT_MAX):
        rows += [(acc, scale(rng.uniform(*span))) for span in ((-10, -6), (-6, 0), (0, 2))]
    for limit in (low, high):
        for step in (-1.5, -1, -0.5, -0.25, 0, 0.25, 0.5, 1, 1.5):
            sw = scale(rng.uniform(-6, -1))
            rows.append((int(np.rint((limit + step) / float(multiplier(sx, sw, sy)))), sw))
    # Anything: sums of every size.
    for _ in range(60):
        size = 2.0 ** rng.uniform(4, 31)
        acc = int(np.clip(rng.uniform(-size, size), INT_MIN, INT_MAX))
        rows.append((acc, scale(np.log10(200 / size) + rng.uniform(-1, 0.5))))
    return rows


def run(rng, dtype, zero_point, sx, sy, rows):
    """The sums and the outputs of a 1x1 convolution with one channel per wanted sum and a second, random pixel."""
    x_zero = int(rng.integers(np.iinfo(dtype).min, np.iinfo(dtype).max + 1))
    x = rng.integers(np.iinfo(dtype).min, np.iinfo(dtype).max + 1, (1, CHANNELS_IN, 1, 2)).astype(dtype)
    # |w| <= 64, so that two products never saturate 16 bits on a CPU that adds them in pairs.
    w = rng.integers(-64, 64, (len(rows), CHANNELS_IN, 1, 1)).astype(np.int8)
    sw = np.array([scale for _, scale in rows], F32)
    centred = x[0, :, 0, :].astype(np.int64) - x_zero
    target = np.array([acc for acc, _ in rows], np.int64)
    bias = target - w[:, :, 0, 0].astype(np.int64) @ centred[:, 0]
    outside = (np.abs(target) >= 2**31 - 10**6) | (bias < INT_MIN) | (bias > INT_MAX)
    w[outside] = 0
    bias[outside] = target[outside]
    sums = w[:, :, 0, 0].astype(np.int64) @ centred + bias[:, None]
    assert (sums[:, 0] == target).all() and sums.min() >= INT_MIN and sums.max() <= INT_MAX

    element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    constants = {
        "sx": F32(sx), "zx": dtype(x_zero), "w": w, "sw": sw, "zw": np.zeros(len(rows), np.int8),
        "sy": F32(sy), "zy": dtype(zero_point), "b": bias.astype(np.int32),
    }  # fmt: skip
    graph = helper.make_graph(
        [helper.make_node("QLinearConv", ["x", *constants], ["y"])],
        "requant",
        [helper.make_tensor_value_info("x", element, x.shape)],
        [helper.make_tensor_value_info("y", element, [1, len(rows), 1, 2])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    y = session.run(["y"], {"x": x})[0][0, :, 0, :]
    return sums, multiplier(sx, sw, sy), y


def main():
    rng = np.random.default_rng(20)
    table = {}
    for dtype, zero_point, sx, sy in CONFIGS:
        sx, sy = (F32(s) if s else F32(10 ** rng.uniform(-3, 0)) for s in (sx, sy))
        lo, hi = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
        rows = wanted_sums(rng, sx, sy, zero_point, lo, hi)
        sums, m, y = run(rng, dtype, zero_point, sx, sy, rows)
        for channel, bits in enumerate(m.view(np.uint32)):
            # Of the random pixels one in ten is enough.
            for pixel in (0, 1) if channel % 10 == 0 else (0,):
                row = (int(sums[channel, pixel]), f"{bits:08x}", zero_point, lo, hi, int(y[channel, pixel]))
                table[row[:-1]] = row
    OUT.parent.mkdir(parents=True, exist_ok=True)
    with open(OUT, "w", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(["acc", "multiplier_bits", "zero_point", "lo", "hi", "y"])
        lines.writerows(table.values())
    print(f"{len(table)} rows, ONNX Runtime {ort.__version__}")


if __name__ == "__main__":
    main()

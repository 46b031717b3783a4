#!/usr/bin/env python3
"""Writes compiler/tests/fixtures/operators.zip: small networks, one for each operator and attribute that import
knows, with inputs and what ONNX Runtime makes of them; and the outputs of the QDQ form of ResNet-56.

    scripts/setup.sh fixtures
    .tools/venv/bin/python scripts/make_operator_vectors.py

`case.onnx` is a network of one input and one output, `case.x.npy` a few inputs of batch 1 (`[n, 1, …]`), `case.y.npy`
ONNX Runtime's outputs. Numbers are random, the seed fixed.
"""

import io
import pathlib
import zipfile

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUT = ROOT / "compiler" / "tests" / "fixtures" / "operators.zip"
MODELS = ROOT / ".." / "shared" / "models"
IMAGES = 3
F32 = np.float32
TYPES = {np.uint8: TensorProto.UINT8, np.int8: TensorProto.INT8, np.float32: TensorProto.FLOAT}


class Graph:
    """A graph under construction; every method that adds a node gives the name of its output."""

    def __init__(self, seed, shape, ty=np.uint8, opset=18):
        self.rng = np.random.default_rng(seed)
        self.nodes, self.constants, self.opset = [], [], opset
        self.shape, self.ty = shape, ty

    def const(self, value, ty=None):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, ty), name))
        return name

    def op(self, op, *inputs, outputs=1, **attributes):
        names = [f"t{len(self.nodes)}_{i}" for i in range(outputs)]
        domain = "com.microsoft" if op.startswith("QLinear") or op == "QGemm" else ""
        if op in ("QLinearConv", "QLinearMatMul"):
            domain = ""
        node = helper.make_node(op, list(inputs), names, name=f"n{len(self.nodes)}", domain=domain, **attributes)
        self.nodes.append(node)
        return names[0] if outputs == 1 else names

    def params(self, scale, zero, ty=np.uint8):
        return self.const(scale, F32), self.const(zero, ty)

    def weights(self, *shape, ty=np.int8, low=-127, high=127):
        return self.const(self.rng.integers(low, high + 1, shape), ty)

    def scales(self, n):
        return self.const(self.rng.uniform(0.002, 0.006, n), F32)

    def bias(self, n):
        return self.const(self.rng.integers(-4000, 4000, n), np.int32)

    def conv(self, x, cin, cout, k=3, xp=(0.02, 128), yp=(0.04, 120), ty=np.uint8, bias=True, groups=1, w=None, **attrs):
        kh, kw = (k, k) if isinstance(k, int) else k
        w = w or (self.weights(cout, cin // groups, kh, kw), self.scales(cout), self.const(np.zeros(cout), np.int8))
        rest = [self.bias(cout)] if bias else []
        if groups != 1:
            attrs["group"] = groups
        return self.op("QLinearConv", x, *self.params(*xp, ty), *w, *self.params(*yp, ty), *rest, kernel_shape=[kh, kw], **attrs)

    def dq(self, x, scale=0.02, zero=128, ty=np.uint8):
        return self.op("DequantizeLinear", x, *self.params(scale, zero, ty))

    def q(self, x, scale=0.02, zero=128, ty=np.uint8):
        return self.op("QuantizeLinear", x, *self.params(scale, zero, ty))

    def dq_weights(self, *shape, axis=0, ty=np.int8):
        n = shape[axis]
        scales = self.scales(n)
        self.weight_scales = numpy_helper.to_array(self.constants[-1])
        return self.op("DequantizeLinear", self.weights(*shape), scales, self.const(np.zeros(n), ty), axis=axis)

    def dq_bias(self, n, scale=0.02):
        """A bias for the weights of the last `dq_weights` and inputs of that scale."""
        return self.op("DequantizeLinear", self.bias(n), self.const(F32(scale) * self.weight_scales), axis=0)

    def model(self, output):
        x = helper.make_tensor_value_info("x", TYPES[self.ty], self.shape)
        y = helper.make_empty_tensor_value_info(output)
        graph = helper.make_graph(self.nodes, "g", [x], [y], self.constants)
        opsets = [helper.make_opsetid("", self.opset), helper.make_opsetid("com.microsoft", 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
        if not any(n.domain for n in self.nodes):
            model = onnx.shape_inference.infer_shapes(model)
            del model.graph.value_info[:]
        return model

    def inputs(self):
        shape = [IMAGES, *self.shape]
        if self.ty == np.float32:
            return self.rng.uniform(-1.2, 1.2, shape).astype(F32)
        info = np.iinfo(self.ty)
        return self.rng.integers(info.min, info.max + 1, shape).astype(self.ty)


CASES = {}


def case(shape=(1, 8, 9, 7), ty=np.uint8, opset=18):
    def add(build):
        CASES[build.__name__] = (build, shape, ty, opset)
        return build
    return add


def variants(prefix, shape, ty, build, **attributes):
    """A case for each keyword: its value is passed on."""
    for name, value in attributes.items():
        CASES[f"{prefix}_{name}"] = (lambda g, value=value: build(g, value), shape, ty, 18)


MAP = (1, 8, 9, 7)

variants(
    "conv", MAP, np.uint8, lambda g, a: g.conv("x", 8, 6, **a),
    plain={}, pads=dict(pads=[1, 0, 2, 1]), stride=dict(strides=[2, 3], pads=[1, 1, 1, 1]),
    dilation=dict(dilations=[2, 2], pads=[2, 2, 2, 2]), groups=dict(groups=2), no_bias=dict(bias=False),
    same_upper=dict(auto_pad="SAME_UPPER", strides=[2, 2]), same_lower=dict(auto_pad="SAME_LOWER", strides=[2, 2]),
    valid=dict(auto_pad="VALID"), kernel=dict(k=(1, 3)), pointwise=dict(k=1),
)


@case()
def depthwise(g):
    return g.conv("x", 8, 8, groups=8, pads=[1, 1, 1, 1])


@case()
def depthwise_5x5_stride_2(g):
    return g.conv("x", 8, 8, k=5, groups=8, strides=[2, 2], pads=[2, 2, 2, 2])


@case()
def depthwise_multiplier_2(g):
    return g.conv("x", 8, 16, groups=8)


@case()
def conv_unsigned_weights(g):
    w = g.weights(6, 8, 3, 3, ty=np.uint8, low=0, high=255), g.const(0.004, F32), g.const(128, np.uint8)
    return g.conv("x", 8, 6, w=w)


@case(ty=np.int8)
def conv_signed(g):
    w = g.weights(6, 8, 3, 3), g.const(0.004, F32), g.const(0, np.int8)
    return g.conv("x", 8, 6, xp=(0.02, 3), yp=(0.04, -5), ty=np.int8, w=w)


@case(shape=(1, 5, 12))
def matmul_rows(g):
    w = g.weights(12, 7), g.scales(7), g.const(np.zeros(7), np.int8)
    return g.op("QLinearMatMul", "x", *g.params(0.02, 100), *w, *g.params(0.03, 90))


@case(shape=(1, 24))
def matmul_vector(g):
    w = g.weights(24, 7), g.const(0.004, F32), g.const(0, np.int8)
    return g.op("QLinearMatMul", "x", *g.params(0.02, 100), *w, *g.params(0.03, 90))


@case(shape=(1, 3, 4, 5))
def gemm_after_flatten(g):
    x = g.op("Flatten", "x")
    w = g.weights(11, 60), g.scales(11), g.const(np.zeros(11), np.int8)
    return g.op("QGemm", x, *g.params(0.02, 100), *w, g.bias(11), *g.params(0.07, 90), transB=1, alpha=0.7)


@case(shape=(1, 30))
def gemm_not_turned(g):
    w = g.weights(30, 11), g.scales(11), g.const(np.zeros(11), np.int8)
    return g.op("QGemm", "x", *g.params(0.02, 100), *w, "", *g.params(0.07, 90))


def two(g, op, ty=np.uint8, xp=(0.02, 128), yp=(0.03, 110)):
    other = g.conv("x", 8, 8, k=1, xp=xp, yp=yp, ty=ty)
    return g.op(op, "x", *g.params(*xp, ty), other, *g.params(*yp, ty), *g.params(0.037, yp[1] - 7, ty))


def with_constant(g, op, shape, first):
    x = ["x", *g.params(0.02, 128)]
    c = [g.const(g.rng.integers(0, 256, shape), np.uint8), *g.params(0.013, 77)]
    x, c = (c, x) if first else (x, c)
    return g.op(op, *x, *c, *g.params(0.031, 101))


def squeezed(g, op, first):
    mean = g.op("QLinearGlobalAveragePool", "x", *g.params(0.02, 128), *g.params(0.004, 128))
    x, c = ["x", *g.params(0.02, 128)], [mean, *g.params(0.004, 128)]
    x, c = (c, x) if first else (x, c)
    return g.op(op, *x, *c, *g.params(0.031, 101))


for op in ("QLinearAdd", "QLinearMul"):
    short = op[7:].lower()
    CASES[f"{short}"] = (lambda g, op=op: two(g, op), (1, 8, 40, 40), np.uint8, 18)
    CASES[f"{short}_signed"] = (lambda g, op=op: two(g, op, np.int8, (0.02, -3), (0.03, 5)), MAP, np.int8, 18)
    for name, shape in dict(scalar=(), channels=(1, 8, 1, 1), map=(1, 8, 9, 7)).items():
        for first in (False, True):
            build = lambda g, op=op, shape=shape, first=first: with_constant(g, op, shape, first)
            CASES[f"{short}_{name}_{'first' if first else 'second'}"] = (build, MAP, np.uint8, 18)
    for first in (False, True):
        build = lambda g, op=op, first=first: squeezed(g, op, first)
        CASES[f"{short}_squeezed_{'first' if first else 'second'}"] = (build, MAP, np.uint8, 18)


# Powers of two and odd zero points: many results lie between two integers.

@case()
def ties_add(g):
    other = g.conv("x", 8, 8, k=1, yp=(0.5, 121))
    return g.op("QLinearAdd", "x", *g.params(0.5, 127), other, *g.params(0.5, 121), *g.params(1, 99))


@case()
def ties_mul(g):
    other = g.conv("x", 8, 8, k=1, yp=(0.5, 121))
    return g.op("QLinearMul", "x", *g.params(0.5, 127), other, *g.params(0.25, 121), *g.params(16, 99))


@case()
def ties_concat(g):
    return g.op("QLinearConcat", *g.params(1, 99), "x", *g.params(0.5, 127), "x", *g.params(0.25, 121), axis=1)


@case(shape=(1, 64, 2, 2))
def ties_global_average(g):
    return g.op("QLinearGlobalAveragePool", "x", *g.params(1, 127), *g.params(1, 99))


@case()
def ties_requantise(g):
    return g.q(g.dq("x", 0.5, 127), 1, 99)


@case()
def ties_leaky_relu(g):
    return g.op("QLinearLeakyRelu", "x", *g.params(1, 127), *g.params(2, 99), alpha=0.5)


@case()
def ties_conv(g):
    w = g.weights(6, 8, 1, 1, low=-2, high=2), g.const(0.25, F32), g.const(0, np.int8)
    return g.conv("x", 8, 6, k=1, xp=(1, 127), yp=(0.5, 99), bias=False, w=w)


@case()
def concat(g):
    other = g.conv("x", 8, 5, k=1)
    return g.op("QLinearConcat", *g.params(0.03, 110), "x", *g.params(0.02, 128), other, *g.params(0.04, 120), "x", *g.params(0.03, 110), axis=1)


@case()
def global_average(g):
    return g.op("QLinearGlobalAveragePool", "x", *g.params(0.02, 128), *g.params(0.003, 111))


@case(shape=(1, 9, 7, 8))
def global_average_channels_last(g):
    return g.op("QLinearGlobalAveragePool", "x", *g.params(0.02, 128), *g.params(0.003, 111), channels_last=1)


variants(
    "average", MAP, np.uint8,
    lambda g, a: g.op("QLinearAveragePool", "x", *g.params(0.02, 128), *g.params(0.017, 111), kernel_shape=[3, 3], **a),
    plain={}, pads=dict(pads=[1, 1, 0, 1], strides=[2, 2]), include=dict(pads=[1, 1, 0, 1], strides=[2, 2], count_include_pad=1),
    ceil=dict(strides=[2, 2], ceil_mode=1, pads=[1, 0, 1, 1]), ceil_include=dict(strides=[2, 2], ceil_mode=1, pads=[1, 0, 1, 1], count_include_pad=1),
)


variants(
    "average_ties", (1, 32, 8, 8), np.uint8,
    lambda g, a: g.op("QLinearAveragePool", "x", *g.params(0.1285703, 3), *g.params(0.1285703, 3), **a),
    quarter=dict(kernel_shape=[2, 2], strides=[2, 2]), half=dict(kernel_shape=[8, 2], strides=[1, 2]),
    whole=dict(kernel_shape=[8, 8]), whole_include=dict(kernel_shape=[8, 8], count_include_pad=1, strides=[8, 8]),
    whole_padded=dict(kernel_shape=[8, 8], pads=[1, 1, 1, 1], strides=[8, 8]), last=dict(kernel_shape=[2, 2], channels_last=1),
)


@case(shape=(1, 9, 7, 8))
def average_channels_last(g):
    return g.op("QLinearAveragePool", "x", *g.params(0.02, 128), *g.params(0.017, 111), kernel_shape=[3, 3], channels_last=1)


for ty, name, zero in ((np.uint8, "", 128), (np.int8, "_signed", -4)):
    variants(
        f"max{name}", MAP, ty, lambda g, a: g.op("MaxPool", "x", kernel_shape=[3, 3], **a),
        plain={}, pads=dict(pads=[1, 1, 0, 1], strides=[2, 2]), dilation=dict(dilations=[2, 2], pads=[1, 1, 1, 1]),
        ceil=dict(strides=[2, 2], ceil_mode=1), ceil_pads=dict(strides=[3, 3], ceil_mode=1, pads=[1, 1, 1, 1]),
        same=dict(auto_pad="SAME_UPPER", strides=[2, 2]),
    )
    CASES[f"sigmoid{name}"] = (lambda g, ty=ty, z=zero: g.op("QLinearSigmoid", "x", *g.params(0.05, z, ty), *g.params(1 / 256, z - 99, ty)), MAP, ty, 18)
    CASES[f"leaky_relu{name}"] = (lambda g, ty=ty, z=zero: g.op("QLinearLeakyRelu", "x", *g.params(0.05, z, ty), *g.params(0.03, z - 66, ty), alpha=0.13), MAP, ty, 18)
    CASES[f"clip{name}"] = (lambda g, ty=ty, z=zero: g.op("Clip", "x", g.const(z - 20, ty), g.const(z + 33, ty)), MAP, ty, 18)


@case(ty=np.int8)
def relu_of_integers(g):
    return g.op("Relu", "x")


@case()
def channel_shuffle(g):
    x = g.op("Reshape", "x", g.const([1, 2, 4, 9, 7], np.int64))
    x = g.op("Transpose", x, perm=[0, 2, 1, 3, 4])
    x = g.op("Reshape", x, g.const([0, -1, 9, 7], np.int64))
    return g.conv(x, 8, 6)


@case()
def channel_split(g):
    a, b = g.op("Split", "x", g.const([3, 5], np.int64), outputs=2, axis=1)
    return g.op("Concat", g.op("Identity", b), a, axis=1)


@case()
def channel_slice(g):
    x = g.op("Slice", "x", *(g.const([v], np.int64) for v in (1, 2**62, 1, 2)))
    return g.conv(x, 4, 6)


@case(shape=(1, 9, 7, 8))
def transposes_around(g):
    x = g.op("Transpose", "x", perm=[0, 3, 1, 2])
    return g.op("Transpose", g.conv(x, 8, 6), perm=[0, 2, 3, 1])


@case(shape=(1, 8, 3, 2))
def flatten_by_shapes(g):
    n = g.op("Gather", g.op("Shape", "x"), g.const(0, np.int64), axis=0)
    shape = g.op("Concat", g.op("Unsqueeze", n, g.const([0], np.int64)), g.const([-1], np.int64), axis=0)
    w = g.weights(48, 7), g.const(0.004, F32), g.const(0, np.int8)
    return g.op("QLinearMatMul", g.op("Reshape", "x", shape), *g.params(0.02, 100), *w, *g.params(0.03, 90))


# ---- between DequantizeLinear and QuantizeLinear ----


def qdq_conv(g, x, cin=8, cout=6, bias="dq", scale=0.02, zero=128, **attributes):
    weights = g.dq_weights(cout, cin // attributes.get("group", 1), 3, 3)
    bias = {"dq": lambda: [g.dq_bias(cout)], "float": lambda: [g.const(g.rng.uniform(-0.3, 0.3, cout), F32)], "": lambda: []}[bias]()
    return g.op("Conv", g.dq(x, scale, zero), weights, *bias, kernel_shape=[3, 3], **attributes)


variants(
    "qdq_conv", MAP, np.uint8, lambda g, a: g.q(qdq_conv(g, "x", **a), 0.04, 120),
    plain={}, no_bias=dict(bias=""), float_bias=dict(bias="float"), groups=dict(group=2, pads=[1, 1, 1, 1]),
    depthwise=dict(cout=8, group=8),
)


@case()
def qdq_conv_relu(g):
    return g.q(g.op("Relu", qdq_conv(g, "x")), 0.02, 0)


@case()
def qdq_conv_relu6(g):
    return g.q(g.op("Clip", qdq_conv(g, "x"), g.const(0, F32), g.const(6, F32)), 6 / 255, 0)


@case(opset=10)
def qdq_relu6_as_attributes(g):
    x = g.op("Clip", g.dq("x"), min=0.0, max=1.5)
    return g.q(x, 0.01, 20)


@case()
def qdq_add(g):
    other = g.conv("x", 8, 8, k=1)
    return g.q(g.op("Add", g.dq("x"), g.dq(other, 0.04, 120)), 0.05, 113)


@case()
def qdq_add_relu(g):
    other = g.conv("x", 8, 8, k=1)
    return g.q(g.op("Relu", g.op("Add", g.dq("x"), g.dq(other, 0.04, 120))), 0.03, 0)


@case()
def qdq_mul(g):
    other = g.conv("x", 8, 8, k=1)
    return g.q(g.op("Mul", g.dq("x"), g.dq(other, 0.04, 120)), 0.05, 113)


@case()
def qdq_add_channels(g):
    c = g.dq(g.const(g.rng.integers(0, 256, (8, 1, 1)), np.uint8), 0.013, 77)
    return g.q(g.op("Add", g.dq("x"), c), 0.05, 113)


@case()
def qdq_concat(g):
    other = g.conv("x", 8, 5, k=1)
    return g.q(g.op("Concat", g.dq("x"), g.dq(other, 0.04, 120), axis=1), 0.04, 120)


@case()
def qdq_global_average(g):
    return g.q(g.op("GlobalAveragePool", g.dq("x")), 0.003, 111)


@case()
def qdq_average(g):
    return g.q(g.op("AveragePool", g.dq("x"), kernel_shape=[3, 3], pads=[1, 1, 1, 1]), 0.017, 111)


@case(shape=(1, 3, 4, 5))
def qdq_gemm(g):
    x = g.dq(g.q(g.op("Flatten", g.dq("x")), 0.02, 128))
    return g.q(g.op("Gemm", x, g.dq_weights(11, 60), g.dq_bias(11), transB=1), 0.07, 90)


@case(shape=(1, 3, 4, 5))
def qdq_gemm_without_pair(g):
    x = g.op("Reshape", g.dq("x"), g.const([1, -1], np.int64))
    return g.q(g.op("Gemm", x, g.dq_weights(11, 60), g.dq_bias(11), transB=1), 0.07, 90)


@case(shape=(1, 5, 12))
def qdq_matmul(g):
    return g.q(g.op("MatMul", g.dq("x"), g.op("DequantizeLinear", g.weights(12, 7), *g.params(0.004, 0, np.int8))), 0.03, 90)


variants("qdq_relu", MAP, np.uint8, lambda g, p: g.q(g.op("Relu", g.dq("x")), *p), zero=(0.02, 0), other=(0.013, 30), same=(0.02, 128))


@case()
def qdq_leaky_relu(g):
    return g.q(g.op("LeakyRelu", g.dq("x"), alpha=0.2), 0.013, 50)


@case()
def qdq_sigmoid(g):
    return g.q(g.op("Sigmoid", g.dq("x", 0.06, 128)), 1 / 256, 0)


@case()
def qdq_hard_sigmoid(g):
    return g.q(g.op("HardSigmoid", g.dq("x", 0.06, 128), alpha=1 / 6, beta=0.5), 1 / 255, 0)


@case()
def qdq_hard_swish(g):
    return g.q(g.op("HardSwish", g.dq("x", 0.06, 128)), 0.04, 10)


@case()
def qdq_arithmetic(g):
    x = g.op("Clip", g.op("Add", g.dq("x", 0.06, 128), g.const(3, F32)), g.const(0, F32), g.const(6, F32))
    return g.q(g.op("Div", x, g.const(6, F32)), 1 / 255, 0)


@case()
def qdq_max(g):
    return g.q(g.op("MaxPool", g.dq("x"), kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]))


@case()
def qdq_requantise(g):
    return g.q(g.dq("x"), 0.017, 100)


@case()
def qdq_reduce_mean(g):
    return g.q(g.op("ReduceMean", g.dq("x"), g.const([2, 3], np.int64), keepdims=0), 0.003, 111)


@case(opset=13)
def qdq_reduce_mean_as_attributes(g):
    return g.q(g.op("ReduceMean", g.dq("x"), axes=[-1, -2], keepdims=1), 0.003, 111)


@case()
def qdq_clip_of_quantised_limits(g):
    limit = lambda v: g.dq(g.const(v, np.uint8), 0.02, 128)
    return g.q(g.op("Clip", g.dq("x"), limit(128), limit(200)), 0.02, 128)


@case()
def qdq_conv_max_without_pair(g):
    return g.q(g.op("MaxPool", qdq_conv(g, "x"), kernel_shape=[2, 2]), 0.04, 120)


@case()
def qdq_conv_with_other_bias_scale(g):
    x = g.op("Conv", g.dq("x"), g.dq_weights(8, 8, 1, 1), g.dq_bias(8, 0.03))
    return g.q(x, 0.04, 120)


@case()
def qdq_sum(g):
    other = g.conv("x", 8, 8, k=1)
    return g.q(g.op("Sum", g.dq("x"), g.dq(other, 0.04, 120)), 0.05, 113)


@case()
def qdq_pad_conv(g):
    x = g.op("Pad", g.dq("x"), g.const([0, 0, 1, 2, 0, 0, 0, 1], np.int64), g.const(0, F32))
    return g.q(qdq_conv(g, g.q(x)), 0.04, 120)


@case()
def qdq_squeeze_and_excite(g):
    x = g.op("GlobalAveragePool", g.dq("x"))
    x = g.op("Conv", g.dq(g.q(x, 0.004, 128), 0.004, 128), g.dq_weights(4, 8, 1, 1), g.dq_bias(4, 0.004))
    x = g.op("Relu", x)
    x = g.op("Conv", g.dq(g.q(x, 0.006, 0), 0.006, 0), g.dq_weights(8, 4, 1, 1), g.dq_bias(8, 0.006))
    x = g.op("Sigmoid", g.dq(g.q(x, 0.01, 130), 0.01, 130))
    x = g.op("Mul", g.dq("x"), g.dq(g.q(x, 1 / 256, 0), 1 / 256, 0))
    return g.q(x, 0.012, 128)


@case()
def resize_nearest(g):
    scales = g.const([1, 1, 2, 3], F32)
    return g.op("Resize", "x", "", scales, mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")


@case()
def resize_half_pixel(g):
    return g.op("Resize", "x", "", g.const([1, 1, 2, 2], F32), mode="nearest")


# ---- from and to float ----


@case(shape=(1, 3, 6, 6), ty=np.float32)
def float_in_and_out(g):
    x = g.conv(g.q("x", 0.0093, 127), 3, 5, xp=(0.0093, 127))
    return g.dq(x, 0.04, 120)


@case(shape=(1, 6, 6, 3), ty=np.float32)
def float_nhwc_in(g):
    x = g.op("Transpose", g.op("Div", "x", g.const(1.7, F32)), perm=[0, 3, 1, 2])
    return g.conv(g.q(x, 0.0093, 127), 3, 5, xp=(0.0093, 127))


@case(shape=(1, 30))
def arg_max(g):
    w = g.weights(30, 11), g.scales(11), g.const(np.zeros(11), np.int8)
    x = g.op("QGemm", "x", *g.params(0.02, 100), *w, "", *g.params(0.07, 90))
    return g.op("ArgMax", g.dq(x, 0.07, 90), axis=1)


# ---- transposed convolution, which ONNX Runtime computes in float: powers of two, so that nothing is rounded ----


def qdq_conv_transpose(g, cout=6, k=3, group=1, relu=False, **attributes):
    kh, kw = (k, k) if isinstance(k, int) else k
    scales = g.const(2.0 ** g.rng.integers(-9, -6, cout // group), F32)
    w = g.op("DequantizeLinear", g.weights(8, cout // group, kh, kw), scales, g.const(np.zeros(cout // group), np.int8), axis=1)
    bias = g.const(g.rng.integers(-1000, 1000, cout) / 2**13, F32)
    y = g.op("ConvTranspose", g.dq("x", 1 / 64), w, bias, group=group, **attributes)
    return g.q(g.op("Relu", y) if relu else y, 1 / 8, 0 if relu else 120)


variants(
    "qdq_conv_transpose", MAP, np.uint8, lambda g, a: qdq_conv_transpose(g, **a),
    plain={}, stride_2=dict(strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1]), kernel_2=dict(k=2, strides=[2, 2]),
    kernel_4=dict(k=4, strides=[2, 2], pads=[1, 1, 1, 1], relu=True), odd=dict(strides=[2, 3], pads=[0, 1, 1, 0]),
    narrow=dict(k=(1, 2), strides=[3, 1]), dilation=dict(strides=[2, 2], dilations=[3, 2], pads=[2, 1, 0, 3]),
    groups=dict(group=2, strides=[2, 2]), depthwise=dict(cout=8, group=8, k=4, strides=[2, 2], pads=[1, 1, 1, 1]),
    cropped=dict(strides=[2, 2], pads=[2, 2, 2, 2]), output_shape=dict(strides=[2, 2], output_shape=[17, 14]),
    same_upper=dict(strides=[2, 2], auto_pad="SAME_UPPER"), same_lower=dict(strides=[2, 2], auto_pad="SAME_LOWER"),
    cut_short=dict(strides=[2, 2], pads=[0, 0, 5, 6]),
)


@case()
def resize_and_concat(g):
    y = g.op("Resize", g.conv("x", 8, 8, strides=[2, 2], pads=[1, 1, 1, 2], yp=(0.02, 128)), "", g.const([1, 1, 2, 2], F32), mode="nearest")
    return g.op("QLinearConcat", *g.params(0.02, 128), y, *g.params(0.02, 128), y, *g.params(0.02, 128), axis=1)


variants(
    "softmax", (1, 30), np.uint8, lambda g, a: g.op("QLinearSoftmax", "x", *g.params(0.07, 90), *g.params(a, 0), axis=-1, opset=13),
    plain=1 / 256, other=0.0039,
)


@case(shape=(1, 30))
def qdq_softmax(g):
    return g.q(g.op("Softmax", g.dq("x", 0.05, 110), axis=1), 1 / 255, 0)


@case(shape=(1, 30), ty=np.int8)
def qdq_softmax_signed(g):
    return g.q(g.op("Softmax", g.dq("x", 0.05, -3, np.int8), axis=1), 1 / 256, -128, np.int8)


@case()
def qdq_concat_relu(g):
    return g.q(g.op("Relu", g.op("Concat", g.dq("x"), g.dq("x"), axis=1)))


@case()
def qdq_relu_pad(g):
    return g.q(g.op("Pad", g.op("Relu", g.dq("x")), g.const([0, 0, 1, 2, 0, 0, 0, 1], np.int64)))


@case(opset=11)
def softmax_of_opset_11(g):
    x = g.q(g.op("GlobalAveragePool", g.dq("x")), 0.01, 128)
    return g.q(g.op("Softmax", g.dq(x, 0.01, 128)), 1 / 256, 0)


def npy(array):
    data = io.BytesIO()
    np.save(data, array)
    return data.getvalue()


def put(archive, name, data):
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    archive.writestr(info, data, zipfile.ZIP_DEFLATED, 9)


def main():
    OUT.parent.mkdir(exist_ok=True)
    ort.set_default_logger_severity(3)
    with zipfile.ZipFile(OUT, "w") as archive:
        for seed, (name, (build, shape, ty, opset)) in enumerate(CASES.items()):
            graph = Graph(seed, list(shape), ty, opset)
            model = graph.model(build(graph)).SerializeToString()
            try:
                session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
            except Exception as e:
                print(name, e)
                continue
            x = graph.inputs()
            y = np.stack([session.run(None, {"x": image})[0] for image in x])
            if y.dtype == np.int64:
                y = y.astype(np.int32)
            put(archive, f"{name}.onnx", model)
            put(archive, f"{name}.x.npy", npy(x))
            put(archive, f"{name}.y.npy", npy(y))
        session = ort.InferenceSession(MODELS / "resnet56-cifar10-int8-qdq.onnx", providers=["CPUExecutionProvider"])
        images = np.load(MODELS / "cifar10-test-200-images.npy")
        x = images.transpose(0, 3, 1, 2).astype(F32) / F32(255)
        put(archive, "resnet56-qdq.y.npy", npy(np.stack([session.run(None, {"x": x[i : i + 1]})[0][0] for i in range(len(x))])))
    print(f"{len(CASES)} cases, {OUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Writes int8 networks of well-known topologies with seeded random weights: what an accelerator's user would compile.

    scripts/setup.sh fixtures
    .tools/venv/bin/python scripts/make_zoo.py [--only NAME]... [--tensors] [DIRECTORY]

Without a directory, into out/zoo. The files are big and never committed. For each network:

    NAME-float.onnx    before quantisation, batch normalisations as they are
    NAME-int8.onnx     QOperator form: u8 activations, s8 weights per channel, MinMax of one image
    NAME-input.npy     another image, float32 NCHW
    NAME-outputs.npz   what ONNX Runtime makes of it, key: name of the output; with --tensors every quantised tensor,
                       key: its name with every character other than letters, digits and `_` replaced by `_`

GoogLeNet, DenseNet-121 and ShuffleNet are the `light_*.onnx` graphs of the PyPI package `onnx`, the others follow
torchvision. LRN and Dropout are left out. A batch normalisation follows the statistics of the calibration image, as if
trained on it; quantisation folds it into the convolution before, or makes a depthwise 1 × 1 convolution of it. Inputs
of a concatenation share its scale, except what a ReLU gives where others may be negative: a ReLU is the saturation at
its output's zero point.

The same machine gives the same bytes each time. Other machines may sum floats in another order.
"""

import argparse
import csv
import logging
import os
import pathlib
import re
import tempfile
import zlib

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

ROOT = pathlib.Path(__file__).resolve().parent.parent
TABLES = ROOT.parent / "shared" / "networks"
LIGHT = pathlib.Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
OPSET = 17
IR = 8
QUANTISED = ["Add", "AveragePool", "Clip", "Concat", "Conv", "Flatten", "Gemm", "GlobalAveragePool", "MaxPool", "Relu",
             "Reshape", "Transpose"]


def model_of(name, nodes, inputs, outputs, initializers):
    graph = helper.make_graph(nodes, name, inputs, outputs, initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR, producer_name="koch")


def session(model):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


class Builder:
    """A float graph that computes the calibration image as it grows, so that weights can follow activations."""

    def __init__(self, name):
        self.name = name
        self.random = np.random.default_rng(zlib.crc32(name.encode()))
        self.nodes = []
        self.constants = {}
        self.values = {"image": self.image()}
        self.macs = 0
        self.counts = {}

    def image(self):
        return self.random.standard_normal((1, 3, 224, 224), dtype=np.float32)

    def constant(self, name, array):
        self.constants[name] = array
        return name

    def op(self, op, *inputs, **attributes):
        count = self.counts[op] = self.counts.get(op, 0) + 1
        name = f"{op.lower()}_{count}"
        node = helper.make_node(op, list(inputs), [name], name=f"{op}_{count}", **attributes)
        arrays = {i: self.values[i] for i in inputs if i in self.values}
        model = model_of(
            name,
            [node],
            [helper.make_tensor_value_info(i, TensorProto.FLOAT, a.shape) for i, a in arrays.items()],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None)],
            [numpy_helper.from_array(self.constants[i], i) for i in inputs if i in self.constants],
        )
        (self.values[name],) = session(model).run(None, arrays)
        self.nodes.append(node)
        return name

    def shape(self, x):
        return self.values[x].shape

    def weights(self, shape, gain):
        fan_in = int(np.prod(shape[1:]))
        return self.random.standard_normal(shape, dtype=np.float32) * np.float32(np.sqrt(gain / fan_in))

    # ---- layers ----

    def conv(self, x, cout, kernel, stride=1, pad=0, group=1, bias=True):
        count = self.counts.get("Conv", 0) + 1
        shape = (cout, self.shape(x)[1] // group, kernel, kernel)
        inputs = [x, self.constant(f"conv_{count}.weight", self.weights(shape, 2))]
        if bias:
            values = self.random.standard_normal(cout, dtype=np.float32) * np.float32(0.1)
            inputs.append(self.constant(f"conv_{count}.bias", values))
        y = self.op("Conv", *inputs, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pad] * 4, group=group)
        self.macs += int(np.prod(shape)) * int(np.prod(self.shape(y)[2:]))
        return y

    def bn(self, x):
        count = self.counts.get("BatchNormalization", 0) + 1
        c = self.shape(x)[1]
        parameters = {
            "scale": self.random.uniform(0.5, 1.5, c),
            "bias": self.random.standard_normal(c) * 0.3,
            "mean": self.values[x].mean(axis=(0, 2, 3), dtype=np.float64),
            "var": np.maximum(self.values[x].var(axis=(0, 2, 3), dtype=np.float64), 1e-2),
        }
        names = [self.constant(f"bn_{count}.{k}", v.astype(np.float32)) for k, v in parameters.items()]
        return self.op("BatchNormalization", x, *names, epsilon=1e-5)

    def relu(self, x):
        return self.op("Relu", x)

    def relu6(self, x):
        low = self.constant("zero", np.float32(0).reshape(()))
        return self.op("Clip", x, low, self.constant("six", np.float32(6).reshape(())))

    def conv_relu(self, *args, **kwargs):
        return self.relu(self.conv(*args, **kwargs))

    def conv_bn(self, *args, **kwargs):
        return self.bn(self.conv(*args, bias=False, **kwargs))

    def conv_bn_relu(self, *args, **kwargs):
        return self.relu(self.conv_bn(*args, **kwargs))

    def max_pool(self, x, kernel, stride, pad=0, ceil=0):
        return self.op("MaxPool", x, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pad] * 4, ceil_mode=ceil)

    def flatten(self, x):
        return self.op("Flatten", x, axis=1)

    def gemm(self, x, cout):
        count = self.counts.get("Gemm", 0) + 1
        shape = (cout, self.shape(x)[1])
        weights = self.constant(f"gemm_{count}.weight", self.weights(shape, 2))
        bias = self.random.standard_normal(cout, dtype=np.float32) * np.float32(0.1)
        self.macs += int(np.prod(shape))
        return self.op("Gemm", x, weights, self.constant(f"gemm_{count}.bias", bias), transB=1)

    # ---- results ----

    def model(self, output):
        infos = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, self.shape(name)) for name in ("image", output)
        ]
        constants = [numpy_helper.from_array(array, name) for name, array in self.constants.items()]
        return model_of(self.name, self.nodes, infos[:1], infos[1:], constants)


# ---- topologies ------------------------------------------------------------------------------------------------------


def alexnet(b):
    x = b.max_pool(b.conv_relu("image", 64, 11, 4, 2), 3, 2)
    x = b.max_pool(b.conv_relu(x, 192, 5, 1, 2), 3, 2)
    for cout in (384, 256, 256):
        x = b.conv_relu(x, cout, 3, 1, 1)
    x = b.flatten(b.max_pool(x, 3, 2))
    x = b.relu(b.gemm(x, 4096))
    x = b.relu(b.gemm(x, 4096))
    return b.gemm(x, 1000)


def vgg16(b):
    x = "image"
    for depth, cout in ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)):
        for _ in range(depth):
            x = b.conv_relu(x, cout, 3, 1, 1)
        x = b.max_pool(x, 2, 2)
    x = b.flatten(x)
    x = b.relu(b.gemm(x, 4096))
    x = b.relu(b.gemm(x, 4096))
    return b.gemm(x, 1000)


def squeezenet(b):
    """Version 1.1."""

    def fire(x, squeeze, expand):
        x = b.conv_relu(x, squeeze, 1)
        return b.op("Concat", b.conv_relu(x, expand, 1), b.conv_relu(x, expand, 3, 1, 1), axis=1)

    x = b.max_pool(b.conv_relu("image", 64, 3, 2), 3, 2, ceil=1)
    x = b.max_pool(fire(fire(x, 16, 64), 16, 64), 3, 2, ceil=1)
    x = b.max_pool(fire(fire(x, 32, 128), 32, 128), 3, 2, ceil=1)
    x = fire(fire(fire(fire(x, 48, 192), 48, 192), 64, 256), 64, 256)
    return b.flatten(b.op("GlobalAveragePool", b.conv_relu(x, 1000, 1)))


def resnet50(b):
    """Version 1.5: the 3 × 3 convolution has the stride."""
    x = b.max_pool(b.conv_bn_relu("image", 64, 7, 2, 3), 3, 2, 1)
    for depth, width, first_stride in ((3, 64, 1), (4, 128, 2), (6, 256, 2), (3, 512, 2)):
        for i in range(depth):
            stride = first_stride if i == 0 else 1
            y = b.conv_bn_relu(x, width, 1)
            y = b.conv_bn_relu(y, width, 3, stride, 1)
            y = b.conv_bn(y, 4 * width, 1)
            shortcut = b.conv_bn(x, 4 * width, 1, stride) if i == 0 else x
            x = b.relu(b.op("Add", y, shortcut))
    return b.gemm(b.flatten(b.op("GlobalAveragePool", x)), 1000)


def mobilenetv1(b):
    x = b.relu6(b.conv_bn("image", 32, 3, 2, 1))
    cin = 32
    for cout, stride in ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)):
        x = b.relu6(b.conv_bn(x, cin, 3, stride, 1, group=cin))
        x = b.relu6(b.conv_bn(x, cout, 1))
        cin = cout
    return b.gemm(b.flatten(b.op("GlobalAveragePool", x)), 1000)


def mobilenetv2(b):
    x = b.relu6(b.conv_bn("image", 32, 3, 2, 1))
    cin = 32
    for expand, cout, depth, first_stride in (
        (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)
    ):
        for i in range(depth):
            stride = first_stride if i == 0 else 1
            y, inner = x, expand * cin
            if expand != 1:
                y = b.relu6(b.conv_bn(y, inner, 1))
            y = b.relu6(b.conv_bn(y, inner, 3, stride, 1, group=inner))
            y = b.conv_bn(y, cout, 1)
            x = b.op("Add", x, y) if stride == 1 and cin == cout else y
            cin = cout
    x = b.relu6(b.conv_bn(x, 1280, 1))
    return b.gemm(b.flatten(b.op("GlobalAveragePool", x)), 1000)


def light(b, name):
    """A graph of the package `onnx`, whose weights are all the same."""
    graph = onnx.load(LIGHT / f"light_{name}.onnx").graph
    shapes = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    made = {n.output[0]: tuple(shapes[n.input[0]]) for n in graph.node if n.op_type == "ConstantOfShape"}
    names = {i.name: "image" for i in graph.input if i.name not in shapes}
    for node in graph.node:
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        x = names.get(node.input[0])
        match node.op_type:
            case "ConstantOfShape" | "Unsqueeze":
                continue
            case "Conv":
                (kernel, _), (stride, _) = attributes["kernel_shape"], attributes["strides"]
                pad, group = attributes.get("pads", [0])[0], attributes.get("group", 1)
                y = b.conv(x, made[node.input[1]][0], kernel, stride, pad, group, len(node.input) > 2)
            case "BatchNormalization":
                y = b.bn(x)
            case "Gemm":
                y = b.gemm(x, made[node.input[1]][0])
            case "Sum":
                y = b.op("Add", *(names[i] for i in node.input))
            case "Concat":
                y = b.op("Concat", *(names[i] for i in node.input), axis=1)
            case "Reshape" if x is None:
                made[node.output[0]] = tuple(shapes[node.input[1]])
                continue
            case "Reshape" if len(shapes[node.input[1]]) == 2:
                y = b.flatten(x)
            case "Reshape":
                count = b.counts.get("Reshape", 0) + 1
                y = b.op("Reshape", x, b.constant(f"reshape_{count}.shape", shapes[node.input[1]]))
            case "LRN" | "Dropout" | "Mul" | "Add":  # the last two scale channels after BatchNormalization
                y = x
            case _:
                y = b.op(node.op_type, x, **attributes)
        names[node.output[0]] = y
    return names[graph.output[0].name]


ZOO = {
    "alexnet": alexnet,
    "resnet50": resnet50,
    "googlenet": lambda b: light(b, "inception_v1"),
    "mobilenetv1": mobilenetv1,
    "vgg16": vgg16,
    "squeezenet": squeezenet,
    "mobilenetv2": mobilenetv2,
    "densenet121": lambda b: light(b, "densenet121"),
    "shufflenet": lambda b: light(b, "shufflenet"),
}


# ---- quantisation ----------------------------------------------------------------------------------------------------


def folded(builder, output):
    """The graph without batch normalisations."""
    makers = {node.output[0]: node for node in builder.nodes}
    readers = {}
    for node in builder.nodes:
        for name in node.input:
            readers[name] = readers.get(name, 0) + 1
    constants, nodes = dict(builder.constants), []
    for node in builder.nodes:
        if node.op_type != "BatchNormalization":
            nodes.append(onnx.NodeProto.FromString(node.SerializeToString()))
            continue
        x, *parameters = node.input
        scale, bias, mean, var = (constants.pop(p).astype(np.float64) for p in parameters)
        factor = scale / np.sqrt(var + 1e-5)
        offset = bias - mean * factor
        conv = makers.get(x)
        if conv is not None and conv.op_type == "Conv" and readers[x] == 1:
            (conv,) = (n for n in nodes if n.output[0] == x)
            if len(conv.input) > 2:
                offset += constants[conv.input[2]].astype(np.float64) * factor
            else:
                conv.input.append(conv.input[1].replace("weight", "bias"))
            weights = constants[conv.input[1]].astype(np.float64) * factor.reshape(-1, 1, 1, 1)
            constants[conv.input[1]] = weights.astype(np.float32)
            constants[conv.input[2]] = offset.astype(np.float32)
            conv.output[0] = node.output[0]
        else:
            weights, bias = f"{node.output[0]}.weight", f"{node.output[0]}.bias"
            constants[weights] = factor.astype(np.float32).reshape(-1, 1, 1, 1)
            constants[bias] = offset.astype(np.float32)
            nodes.append(
                helper.make_node("Conv", [x, weights, bias], list(node.output), name=node.name, kernel_shape=[1, 1],
                                 strides=[1, 1], pads=[0] * 4, group=len(factor))
            )
    result = builder.model(output)
    result.graph.ClearField("node")
    result.graph.node.extend(nodes)
    result.graph.ClearField("initializer")
    result.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in constants.items())
    onnx.checker.check_model(result, full_check=True)
    return result


def shared_ranges(model, values):
    """The common range of tensors that meet in a concatenation, for each of them."""
    moves = {"Flatten", "MaxPool", "Reshape", "Transpose"}
    makers = {node.output[0]: node for node in model.graph.node}
    readers = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)

    def saturates(name):
        """Whether the zero point must be the smallest element."""
        node = makers.get(name)
        if node is None:
            return False
        return node.op_type in {"Relu", "Clip"} or node.op_type in moves and saturates(node.input[0]) or (
            node.op_type == "Concat" and all(map(saturates, node.input))
        )

    parents = {}

    def find(name):
        while name in parents:
            name = parents[name]
        return name

    def unite(a, b):
        a, b = find(a), find(b)
        if a != b:
            parents[a] = b

    def cut(name):
        """Whether only a ReLU reads it: its range is the ReLU's."""
        return {n.op_type for n in readers.get(name, [])} <= {"Relu", "Clip"} and name in readers

    for node in model.graph.node:
        (y,) = node.output
        if node.op_type == "Concat":
            for x in node.input:
                if cut(y) or saturates(x) == saturates(y):
                    unite(x, y)
        elif node.op_type in moves or node.op_type in {"Relu", "Clip"} and cut(node.input[0]):
            unite(node.input[0], y)
    groups = {}
    for node in model.graph.node:
        groups.setdefault(find(node.output[0]), []).append(node)
    overrides = {}
    for nodes in groups.values():
        if not any(node.op_type == "Concat" for node in nodes):
            continue
        names = [node.output[0] for node in nodes]
        # In front of a ReLU only its outputs count.
        relus = [node.output[0] for node in nodes if node.op_type in {"Relu", "Clip"}]
        counted = relus or names
        low = min(0.0, *(float(values[n].min()) for n in counted))
        high = max(0.0, *(float(values[n].max()) for n in counted))
        for name in names:
            overrides[name] = [{"rmin": np.float32(low), "rmax": np.float32(high)}]
    return overrides


class OneImage(CalibrationDataReader):
    def __init__(self, image):
        self.left = [{"image": image}]

    def get_next(self):
        return self.left.pop() if self.left else None


def write(path, model):
    """All at once, or not."""
    new = path.with_suffix(".new")
    onnx.save(model, new)
    os.replace(new, path)


def table_macs(name):
    path = TABLES / f"{name}.csv"
    if not path.exists():
        return None
    with open(path) as file:
        return sum(int(row["MACs"] or 0) for row in csv.DictReader(file))


def make(name, out, all_tensors):
    builder = Builder(name)
    output = ZOO[name](builder)
    image = builder.image()
    float_model = folded(builder, output)
    with tempfile.TemporaryDirectory() as directory:
        source, result = f"{directory}/float.onnx", f"{directory}/int8.onnx"
        onnx.save(float_model, source)
        quantize_static(
            source,
            result,
            OneImage(builder.values["image"]),
            quant_format=QuantFormat.QOperator,
            op_types_to_quantize=QUANTISED,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            extra_options={"TensorQuantOverrides": shared_ranges(float_model, builder.values)},
        )
        model = onnx.load(result)
    float_output = session(float_model).run(None, {"image": image})[0]
    plain = onnx.ModelProto.FromString(model.SerializeToString())
    if all_tensors:
        scales = {t.name for t in model.graph.initializer}
        known = {o.name for o in model.graph.output}
        wanted = [n.output[0] for n in model.graph.node if n.op_type != "DequantizeLinear" and n.output[0] not in known]
        wanted = [w for w in wanted if w not in scales and w.endswith("_quantized")]
        model.graph.output.extend(helper.make_tensor_value_info(w, TensorProto.UINT8, None) for w in wanted)
    runner = session(model)
    names = [o.name for o in runner.get_outputs()]
    arrays = dict(zip(names, runner.run(names, {"image": image})))
    first = next(iter(arrays.values()))

    write(out / f"{name}-float.onnx", builder.model(output))
    write(out / f"{name}-int8.onnx", plain)
    np.save(out / f"{name}-input.npy", image)
    np.savez_compressed(out / f"{name}-outputs.npz", **{re.sub(r"[^A-Za-z0-9_]", "_", k): v for k, v in arrays.items()})

    macs, table = builder.macs, table_macs(name)
    compared = "no table" if table is None else "as the table" if table == macs else f"table: {table}"
    if builder.counts.get("Softmax"):
        first, float_output = (np.log(np.maximum(a, 1e-30)) for a in (first, float_output))
        first, float_output = first - first.mean(), float_output - float_output.mean()
    noise = np.linalg.norm(first - float_output) / np.linalg.norm(float_output)
    left = sorted({n.op_type for n in plain.graph.node} - {"QuantizeLinear", "DequantizeLinear"})
    print(f"{name}: {macs} MACs ({compared}), output {float_output.std():.3g} rms, int8 off by {noise:.1%}; "
          f"{' '.join(left)}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("directory", nargs="?", type=pathlib.Path, default=ROOT / "out" / "zoo")
    parser.add_argument("--only", action="append", choices=ZOO, metavar="NAME", help=", ".join(ZOO))
    parser.add_argument("--tensors", action="store_true", help="every quantised tensor, not only the outputs")
    args = parser.parse_args()
    logging.getLogger().setLevel(logging.ERROR)
    args.directory.mkdir(parents=True, exist_ok=True)
    for name in args.only or ZOO:
        make(name, args.directory, args.tensors)
    print(f"ONNX Runtime {ort.__version__}, {args.directory}")


if __name__ == "__main__":
    main()

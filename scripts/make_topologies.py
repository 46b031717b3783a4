#!/usr/bin/env python3
"""Writes networks of well-known topologies without numbers: each weight is a ConstantOfShape, so the files are small.

    scripts/setup.sh fixtures
    .tools/venv/bin/python scripts/make_topologies.py footprint/tests/fixtures/topologies.zip

GoogLeNet and DenseNet-121 are the `light_*.onnx` graphs of the PyPI package `onnx` (Apache-2.0) as they are; ResNet-50 in
version 1 has its strides in the first 1 × 1 convolution of a block (He et al., arXiv 1512.03385), version 1.5 in the 3 × 3
one; U-Net is that of Ronneberger et al. (arXiv 1505.04597), without padding; the others follow torchvision. The same bytes
each time.
"""

import pathlib
import sys
import zipfile

import onnx
from onnx import TensorProto, helper, numpy_helper

import make_zoo
import numpy as np


class Shapes(make_zoo.Builder):
    """A graph of sizes: nothing is computed."""

    def __init__(self, name, image):
        super().__init__(name)
        self.values = {}
        self.infos = {"image": image}
        self.makers = []
        self.initializers = []

    def constant(self, name, array):
        if name not in self.constants:
            self.constants[name] = array
            if isinstance(array, tuple):
                sizes = np.array(array, np.int64)
                self.initializers.append(numpy_helper.from_array(sizes, f"{name}.sizes"))
                self.makers.append(helper.make_node("ConstantOfShape", [f"{name}.sizes"], [name], name=name))
            else:
                self.initializers.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def weights(self, shape, gain):
        return tuple(shape)

    def shape(self, x):
        return self.infos[x]

    def op(self, op, *inputs, **attributes):
        count = self.counts[op] = self.counts.get(op, 0) + 1
        name = f"{op.lower()}_{count}"
        node = helper.make_node(op, list(inputs), [name], name=f"{op}_{count}", **attributes)
        known = {i: self.infos.get(i, self.constants.get(i)) for i in inputs}
        sizes = {i: s if isinstance(s, tuple) else np.shape(s) for i, s in known.items()}
        floats = [helper.make_tensor_value_info(i, TensorProto.FLOAT, s) for i, s in sizes.items()]
        output = helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        model = onnx.shape_inference.infer_shapes(make_zoo.model_of(name, [node], floats, [output], []), strict_mode=True)
        self.infos[name] = tuple(d.dim_value for d in model.graph.output[0].type.tensor_type.shape.dim)
        self.nodes.append(node)
        return name

    def conv(self, x, cout, kernel, stride=1, pad=0, group=1, bias=True):
        count = self.counts.get("Conv", 0) + 1
        shape = (cout, self.shape(x)[1] // group, kernel, kernel)
        inputs = [x, self.constant(f"conv_{count}.weight", shape)]
        inputs += [self.constant(f"conv_{count}.bias", (cout,))] if bias else []
        return self.op("Conv", *inputs, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pad] * 4, group=group)

    def bn(self, x):
        count = self.counts.get("BatchNormalization", 0) + 1
        names = ("scale", "bias", "mean", "var")
        return self.op("BatchNormalization", x, *(self.constant(f"bn_{count}.{k}", (self.shape(x)[1],)) for k in names))

    def gemm(self, x, cout):
        count = self.counts.get("Gemm", 0) + 1
        weights = self.constant(f"gemm_{count}.weight", (cout, self.shape(x)[1]))
        return self.op("Gemm", x, weights, self.constant(f"gemm_{count}.bias", (cout,)), transB=1)

    def model(self, output):
        infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, self.shape(n)) for n in ("image", output)]
        return make_zoo.model_of(self.name, self.makers + self.nodes, infos[:1], infos[1:], self.initializers)


def resnet50v1(b):
    x = b.max_pool(b.conv_bn_relu("image", 64, 7, 2, 3), 3, 2, 1)
    for depth, width, first_stride in ((3, 64, 1), (4, 128, 2), (6, 256, 2), (3, 512, 2)):
        for i in range(depth):
            stride = first_stride if i == 0 else 1
            y = b.conv_bn_relu(x, width, 1, stride)
            y = b.conv_bn_relu(y, width, 3, 1, 1)
            y = b.conv_bn(y, 4 * width, 1)
            x = b.relu(b.op("Add", y, b.conv_bn(x, 4 * width, 1, stride) if i == 0 else x))
    return b.gemm(b.flatten(b.op("GlobalAveragePool", x)), 1000)


def vgg19(b):
    x = "image"
    for depth, cout in ((2, 64), (2, 128), (4, 256), (4, 512), (4, 512)):
        for _ in range(depth):
            x = b.conv_relu(x, cout, 3, 1, 1)
        x = b.max_pool(x, 2, 2)
    x = b.flatten(x)
    for _ in range(2):
        x = b.relu(b.gemm(x, 4096))
    return b.gemm(x, 1000)


def unet(b):
    x, skips = "image", []
    for cout in (64, 128, 256, 512):
        x = b.conv_relu(b.conv_relu(x, cout, 3), cout, 3)
        skips.append(x)
        x = b.max_pool(x, 2, 2)
    x = b.conv_relu(b.conv_relu(x, 1024, 3), 1024, 3)
    for cout in (512, 256, 128, 64):
        count = b.counts.get("ConvTranspose", 0) + 1
        weights = b.constant(f"up_{count}.weight", (2 * cout, cout, 2, 2))
        x = b.op("ConvTranspose", x, weights, b.constant(f"up_{count}.bias", (cout,)), kernel_shape=[2, 2], strides=[2, 2])
        skip = skips.pop()
        size = b.shape(x)[2]
        start = (b.shape(skip)[2] - size) // 2
        bounds = [
            b.constant(f"crop_{count}.{name}", np.array(values, np.int64))
            for name, values in (("starts", [start] * 2), ("ends", [start + size] * 2), ("axes", [2, 3]))
        ]
        # Shape inference wants the bounds' values.
        node = helper.make_node("Slice", [skip, *bounds], [f"slice_{count}"], name=f"Slice_{count}")
        b.nodes.append(node)
        b.infos[f"slice_{count}"] = (*b.shape(skip)[:2], size, size)
        x = b.op("Concat", f"slice_{count}", x, axis=1)
        x = b.conv_relu(b.conv_relu(x, cout, 3), cout, 3)
    return b.conv(x, 2, 1)


IMAGE = (1, 3, 224, 224)
TOPOLOGIES = {
    "resnet50": (make_zoo.resnet50, IMAGE),
    "resnet50-v1": (resnet50v1, IMAGE),
    "vgg16": (make_zoo.vgg16, IMAGE),
    "vgg19": (vgg19, IMAGE),
    "mobilenetv1": (make_zoo.mobilenetv1, IMAGE),
    "mobilenetv2": (make_zoo.mobilenetv2, IMAGE),
    "squeezenet": (make_zoo.squeezenet, IMAGE),
    "alexnet": (make_zoo.alexnet, IMAGE),
    "unet": (unet, (1, 1, 572, 572)),
}
LIGHT = {"googlenet": "inception_v1", "densenet121": "densenet121"}


def main():
    path = pathlib.Path(sys.argv[1])
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:

        def write(name, data):
            archive.writestr(zipfile.ZipInfo(f"{name}.onnx"), data, zipfile.ZIP_DEFLATED, 9)

        for name, (topology, image) in TOPOLOGIES.items():
            builder = Shapes(name, image)
            write(name, builder.model(topology(builder)).SerializeToString(deterministic=True))
        for name, light in LIGHT.items():
            write(name, (make_zoo.LIGHT / f"light_{light}.onnx").read_bytes())


if __name__ == "__main__":
    main()

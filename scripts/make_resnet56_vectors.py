#!/usr/bin/env python3
"""Writes testbench/fixtures/resnet56: every quantised tensor of one inference, as ONNX Runtime computes it.

    scripts/setup.sh fixtures
    .tools/venv/bin/python scripts/make_resnet56_vectors.py [MODEL.onnx] [IMAGES.npy]

tensors.npz holds each distinct quantised tensor once, its key the ONNX tensor name with every character other than
letters, digits and `_` replaced by `_`. index.csv has a row per operator that reads and writes such tensors.
"""

import csv
import pathlib
import re
import sys

import numpy as np
import onnx
import onnxruntime as ort

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODELS = ROOT.parent / "shared" / "models"
OUT = ROOT / "testbench" / "fixtures" / "resnet56"
IMAGE = 0
OPERATORS = {"QLinearConv", "QLinearAdd", "QLinearAveragePool", "QGemm", "QLinearMatMul"}


def key(tensor):
    return re.sub(r"[^A-Za-z0-9_]", "_", tensor)


def shape(array):
    return "x".join(map(str, array.shape))


def activations(node):
    """The activation inputs of a quantised operator: inputs 0 and, for an addition, 3."""
    return [node.input[0], node.input[3]] if node.op_type == "QLinearAdd" else [node.input[0]]


def main():
    model_path = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else MODELS / "resnet56-cifar10-int8-qoperator.onnx"
    images_path = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else MODELS / "cifar10-test-200-images.npy"

    model = onnx.load(model_path)
    nodes = [node for node in model.graph.node if node.op_type in OPERATORS]
    wanted = list(dict.fromkeys(name for node in nodes for name in [*activations(node), node.output[0]]))
    assert len({key(name) for name in wanted}) == len(wanted), "two tensor names give one key"

    for name in wanted:
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.UINT8, None))
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    image = np.load(images_path)[IMAGE : IMAGE + 1]
    pixels = np.ascontiguousarray(image.astype(np.float32).transpose(0, 3, 1, 2) / np.float32(255))
    tensors = dict(zip(wanted, session.run(wanted, {model.graph.input[0].name: pixels})))

    OUT.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(OUT / "tensors.npz", **{key(name): tensors[name] for name in wanted})
    with open(OUT / "index.csv", "w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["node", "op", "input", "input2", "output", "input_shape", "output_shape"])
        for node in nodes:
            first, *second = activations(node)
            table.writerow(
                [node.name, node.op_type, key(first), *(key(name) for name in second or [""]), key(node.output[0]),
                 shape(tensors[first]), shape(tensors[node.output[0]])]
            )
    size = (OUT / "tensors.npz").stat().st_size
    print(f"{len(wanted)} tensors, {len(nodes)} operators, {size} bytes, ONNX Runtime {ort.__version__}")


if __name__ == "__main__":
    main()

"""A bundle whose network is a few sums: each statement's logit grows with the activity of one lead."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from model.bundle import Manifest, Output, Variant, file_sha256, write_manifest
from model.reading.findings import Calibration
from model.reading.statements import VOCABULARY
from model.signal.spec import SPEC

KEYS = ("NORM", "MI", "STTC", "CD", "HYP", "NSR", "AF", "LVH")


def write_toy_bundle(folder: Path, keys: tuple[str, ...] = KEYS) -> Path:
    """A bundle in `folder`: logit = a lead's mean absolute amplitude x 10 - 1, leads in turn."""
    folder.mkdir(parents=True)
    weights = np.zeros((len(SPEC.leads), len(keys)), dtype=np.float32)
    for column in range(len(keys)):
        weights[column % len(SPEC.leads), column] = 10.0
    nodes = [
        helper.make_node("Abs", ["ecg"], ["size"]),
        helper.make_node("ReduceMean", ["size", "time"], ["embedding"], keepdims=0),
        helper.make_node("MatMul", ["embedding", "weights"], ["sums"]),
        helper.make_node("Add", ["sums", "bias"], ["logits"]),
    ]
    initializers = [
        numpy_helper.from_array(np.array([2], dtype=np.int64), "time"),
        numpy_helper.from_array(weights, "weights"),
        numpy_helper.from_array(np.full(len(keys), -1.0, dtype=np.float32), "bias"),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "toy",
        [value("ecg", TensorProto.FLOAT, ["batch", len(SPEC.leads), SPEC.samples])],
        [
            value("logits", TensorProto.FLOAT, ["batch", len(keys)]),
            value("embedding", TensorProto.FLOAT, ["batch", len(SPEC.leads)]),
        ],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, folder / "toy.onnx")
    variant = Variant("toy.onnx", {"toy.onnx": file_sha256(folder / "toy.onnx")}, "fp32", "masked")
    manifest = Manifest(
        name="toy",
        version="0",
        spec=SPEC,
        spec_sha256=SPEC.sha256(),
        outputs=tuple(Output(VOCABULARY[key], Calibration()) for key in keys),
        thresholds_version="none",
        variants={"masked-fp32": variant},
    )
    write_manifest(folder, manifest)
    return folder

"""A bundle whose network is a few sums: each statement's logit grows with the activity of one lead."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from model.bundle import Manifest, Output, SelfTest, Variant, file_sha256, write_manifest
from model.reading.findings import Calibration
from model.reading.statements import VOCABULARY
from model.signal.spec import SPEC

KEYS = ("NORM", "MI", "STTC", "CD", "HYP", "NSR", "AF", "LVH")


def write_toy_bundle(folder: Path, keys: tuple[str, ...] = KEYS, *, off_by: float = 0.0) -> Path:
    """A bundle in `folder`: logit = a lead's mean absolute amplitude x 10 - 1, leads in turn.

    Args:
        folder: must not exist.
        keys: its statements.
        off_by: how far the answers of its self-test are from what its graph computes.
    """
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
        self_test=_write_self_test(folder, weights, off_by),
    )
    write_manifest(folder, manifest)
    return folder


def _write_self_test(folder: Path, weights: npt.NDArray[np.float32], off_by: float) -> SelfTest:
    windows = np.random.default_rng(5).normal(0, 0.5, (2, len(SPEC.leads), SPEC.samples)).astype(np.float16)
    embedding = np.abs(windows.astype(np.float32)).mean(axis=2)
    np.savez_compressed(folder / "self_test.npz", windows=windows, logits=embedding @ weights - 1 + off_by)
    return SelfTest("self_test.npz", file_sha256(folder / "self_test.npz"))

"""A graph in fewer bits: half precision for cards, whole-number weights for CPUs."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import onnx
import onnxruntime as ort
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.quant_utils import add_pre_process_metadata
from onnxruntime.transformers.float16 import convert_float_to_float16

RENAMING = ["ConvBNFusion", "ConvAddFusion", "ConvMulFusion", "MatmulBNFusion"]
"""Optimisers that make new weights of old ones; what stays keeps its name, and its place in the shared file."""


def to_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph in fp16; what goes in and comes out stays as it was."""
    half: onnx.ModelProto = convert_float_to_float16(_folded(model), keep_io_types=True)
    return half


def to_int8(model: onnx.ModelProto) -> onnx.ModelProto:
    """Every product with a constant matrix in int8, its weights scaled by column, its input by what comes.

    Products of attention have no constant matrix and stay. So do convolutions: quantised they ran at 0.44 of their
    speed. Weights keep to 7 bits, because without VNNI two products of 8 overflow the 16 bits that they are summed in.
    The scale of an input is that of its whole batch, so an ECG must be alone in it.
    """
    ready = _folded(model)
    ready.graph.ClearField("value_info")  # shapes from before the folding; newer quantisers refuse what has changed
    add_pre_process_metadata(ready)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "int8.onnx"
        quantize_dynamic(
            ready,
            path,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            reduce_range=True,
            weight_type=QuantType.QInt8,
            extra_options={"MatMulConstBOnly": True, "DefaultTensorType": onnx.TensorProto.FLOAT},
        )
        return onnx.load(path)


def _folded(model: onnx.ModelProto) -> onnx.ModelProto:
    """With what is constant worked out in fp32, such as a transposed weight, which the quantiser would not see."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(Path(folder) / "folded.onnx")
        ort.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"], disabled_optimizers=RENAMING
        )
        return onnx.load(options.optimized_model_filepath)


PRECISIONS: dict[str, Callable[[onnx.ModelProto], onnx.ModelProto]] = {
    "fp32": lambda model: model,
    "fp16": to_half,
    "int8": to_int8,
}
"""Name of a precision to what brings an fp32 graph there; the graph itself stays as it is."""

"""What a device needs of onnxruntime: its providers and their options, its libraries, and where buffers lie.

What only a card can run stands here and nowhere else.
"""

import io
import logging
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import onnxruntime as ort

_log = logging.getLogger(__name__)

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}


@dataclass(frozen=True)
class Card:
    """How an NVIDIA card is used, where there is one.

    Attributes:
        largest: most windows of one run.
        engines: folder where TensorRT keeps what it has compiled; None compiles anew at every start.
    """

    largest: int = 32
    engines: Path | None = None


def has_card() -> bool:
    """Whether this machine has an NVIDIA card; onnxruntime lists its provider even where there is none."""
    return PROVIDERS["cuda"] in ort.get_available_providers() and Path("/dev/nvidiactl").exists()


@cache
def load_libraries() -> None:
    """Load CUDA and cuDNN from where torch or NVIDIA's wheels put them, which no loader's path knows; once."""
    said = io.StringIO()
    with redirect_stdout(said):  # it prints what it does not find
        ort.preload_dlls()
    for line in said.getvalue().splitlines():
        _log.info("onnxruntime: %s", line)


Providers = list[tuple[str, dict[str, str]]]


def providers_of(device: str, card: Card, window: tuple[int, int], *, half: bool, recorded: bool) -> Providers:
    """Providers in order of preference, with their options.

    Args:
        device: `cpu`, `cuda` or `tensorrt`.
        card: how a card is used.
        window: (lead, sample) of a window.
        half: the graph computes in fp16.
        recorded: launch each bucket as one recorded CUDA graph instead of kernel by kernel.
    """
    if device == "cpu":
        return [(PROVIDERS["cpu"], {})]
    # TF32 has a mantissa of 10 bits: fp32 stays what it says, and who wants speed serves fp16.
    cuda = {"use_tf32": "0", "enable_cuda_graph": "1" if recorded else "0"}
    if device == "cuda":
        return [(PROVIDERS["cuda"], cuda)]
    return [(PROVIDERS["tensorrt"], _tensorrt(card, window, half=half)), (PROVIDERS["cuda"], cuda)]


def _tensorrt(card: Card, window: tuple[int, int], *, half: bool) -> dict[str, str]:
    """One engine for every bucket, in the precision of the graph, compiled once where there is a folder for it."""
    shape = "x".join(map(str, window))
    options = {
        "trt_fp16_enable": "1" if half else "0",
        "trt_profile_min_shapes": f"ecg:1x{shape}",
        "trt_profile_opt_shapes": f"ecg:{card.largest}x{shape}",
        "trt_profile_max_shapes": f"ecg:{card.largest}x{shape}",
    }
    if card.engines is None:
        return options
    kept = {"trt_engine_cache_enable": "1", "trt_engine_cache_path": str(card.engines)}
    timed = {"trt_timing_cache_enable": "1", "trt_timing_cache_path": str(card.engines)}
    return options | kept | timed


def memory_of(device: str) -> str:
    """Name of the memory that a device's buffers lie in."""
    return "cpu" if device == "cpu" else "cuda"

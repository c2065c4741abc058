"""Runs a bundle's network: the Engine protocol and its onnxruntime implementation."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from model.bundle import Bundle
from model.errors import EngineError

_log = logging.getLogger(__name__)

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}


@dataclass(frozen=True, eq=False)
class Outputs:
    """What the network says of a batch of windows, one row each.

    Attributes:
        logits: float32 (window, statement).
        embedding: float32 (window, width).
        waves: further outputs of the graph by name, one row a window; empty without a wave head.
    """

    logits: npt.NDArray[np.float32]
    embedding: npt.NDArray[np.float32]
    waves: dict[str, npt.NDArray[np.generic]]

    def __getitem__(self, rows: slice) -> "Outputs":
        """The outputs of some of the windows."""
        waves = {name: values[rows] for name, values in self.waves.items()}
        return Outputs(self.logits[rows], self.embedding[rows], waves)


class Engine(Protocol):
    """Something that runs windows; safe to call from several threads."""

    @property
    def variant(self) -> str:
        """Name of the graph that runs."""

    @property
    def device(self) -> str:
        """`cpu`, `cuda` or `tensorrt`."""

    def run(self, windows: npt.NDArray[np.float32]) -> Outputs:
        """Outputs for float32 (window, lead, sample)."""


class OnnxEngine:
    """A bundle's variant on onnxruntime.

    Args:
        bundle: a verified bundle.
        variant: one of its variants; None picks the fastest fp32 for the device.
        device: `auto`, `cpu`, `cuda` or `tensorrt`; what is asked for is given or refused.
        threads: intra-op threads of the session.

    Raises:
        EngineError: the device is not there, or the bundle has no such variant.
    """

    def __init__(self, bundle: Bundle, *, variant: str | None = None, device: str = "auto", threads: int = 1) -> None:
        if device != "auto" and device not in PROVIDERS:
            raise EngineError(f"unknown device {device}; one of auto, {', '.join(PROVIDERS)}")
        self._device, self._variant, self._session = _open(bundle, variant, device, threads)
        self._names = [output.name for output in self._session.get_outputs()]

    @property
    def variant(self) -> str:
        """Name of the graph that runs."""
        return self._variant

    @property
    def device(self) -> str:
        """`cpu`, `cuda` or `tensorrt`."""
        return self._device

    def run(self, windows: npt.NDArray[np.float32]) -> Outputs:
        """Outputs for float32 (window, lead, sample).

        Raises:
            EngineError: onnxruntime refused the batch.
        """
        try:
            values = dict(zip(self._names, self._session.run(self._names, {"ecg": windows}), strict=True))
        except Exception as error:
            raise EngineError(f"inference failed: {type(error).__name__}") from error
        return Outputs(values.pop("logits"), values.pop("embedding"), values)


Opened = tuple[str, str, ort.InferenceSession]


def _open(bundle: Bundle, variant: str | None, device: str, threads: int) -> Opened:
    """Device, variant and session; `auto` takes a card that works, else the CPU, and others are given or refused."""
    if device != "auto":
        return _open_on(bundle, variant, device, threads)
    if not _has_card():
        return _open_on(bundle, variant, "cpu", threads)
    try:
        return _open_on(bundle, variant, "cuda", threads)
    except EngineError as error:
        _log.warning("a card is there and cannot be used, the CPU serves: %s", error.detail)
        return _open_on(bundle, variant, "cpu", threads)


def _open_on(bundle: Bundle, variant: str | None, device: str, threads: int) -> Opened:
    name = variant or _default_variant(bundle, device)
    if name not in bundle.manifest.variants:
        raise EngineError(f"the bundle has no variant {name}")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    path = bundle.folder / bundle.manifest.variants[name].file
    try:
        session = ort.InferenceSession(path, options, providers=[PROVIDERS[device]])
    except Exception as error:
        raise EngineError(f"{name} cannot be loaded: {type(error).__name__}") from error
    # onnxruntime falls back to the CPU in silence when a provider's libraries are missing.
    if PROVIDERS[device] not in session.get_providers():
        raise EngineError(f"asked for {device} and onnxruntime gave {', '.join(session.get_providers())}")
    return device, name, session


def _has_card() -> bool:
    """Whether this machine has an NVIDIA card; onnxruntime lists its provider even where there is none."""
    return PROVIDERS["cuda"] in ort.get_available_providers() and Path("/dev/nvidiactl").exists()


def _default_variant(bundle: Bundle, device: str) -> str:
    preferred = ("masked-fp16", "masked-fp32") if device != "cpu" else ("factorised-fp32", "masked-fp32")
    return next(name for name in preferred if name in bundle.manifest.variants)

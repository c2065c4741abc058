"""onnxruntime alone: the network in a loop on windows that are ready, which no server can pass."""

import os
import time
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import numpy.typing as npt

from model.bundle import read_bundle
from model.engine import OnnxEngine
from model.signal.preprocess import preprocess
from tests.bench.bodies import recordings, service_request
from tests.bench.peers.work import Work

Cores = tuple[int, ...]
Array = npt.NDArray[np.float32]


def pin(cores: Cores) -> None:
    """Keep this process on some cores; where the system cannot, it runs where it likes."""
    if hasattr(os, "sched_setaffinity") and cores:
        os.sched_setaffinity(0, cores)


def pinned(cores: Cores) -> ProcessPoolExecutor:
    """A process of its own on some cores, for one call at a time."""
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=pin, initargs=(cores,))


def loop(bundle: str, variant: str, seconds: float) -> float:
    """Runs of the network a second, one window each."""
    engine, windows = _engine(bundle, variant)
    runs, began_s = 0, time.perf_counter()
    while (took_s := time.perf_counter() - began_s) < seconds:
        engine.run(windows[runs % len(windows)])
        runs += 1
    return runs / took_s


def library(bundle: str, variant: str, seconds: float) -> float:
    """Raw bodies to findings a second, by the same code without a server."""
    work, bodies = _work(bundle, variant)
    runs, began_s = 0, time.perf_counter()
    while (took_s := time.perf_counter() - began_s) < seconds:
        work.raw(bodies[runs % len(bodies)])
        runs += 1
    return runs / took_s


@cache
def _engine(bundle: str, variant: str) -> tuple[OnnxEngine, list[Array]]:
    read = read_bundle(Path(bundle))
    windows = [preprocess(ecg, read.manifest.spec).signal_mv for ecg in recordings()]
    return OnnxEngine(read, variant=variant, device="cpu", threads=1), windows


@cache
def _work(bundle: str, variant: str) -> tuple[Work, tuple[bytes, ...]]:
    return Work(bundle, variant), service_request("raw", "findings", recordings()).contents

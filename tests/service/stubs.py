"""A bundle without a network and an engine that answers by a signature in the signal."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
import uvicorn
from fastapi import FastAPI

from model.bundle import Bundle, Manifest, Output, Variant, read_bundle, write_manifest
from model.engine import Outputs
from model.reader import Prepared
from model.reading.findings import Calibration
from model.reading.statements import VOCABULARY
from model.reading.waves import Wave, Waves
from model.signal.spec import SPEC
from service.server import build_config
from service.settings import Settings
from service.telemetry import Telemetry

KEYS = ("NORM", "MI", "AF", "SB")


def write_bundle(folder: Path, *, name: str = "stub", version: str = "1") -> Bundle:
    """A bundle that verifies and that only a stub engine can run."""
    folder.mkdir(parents=True, exist_ok=True)
    graph = folder / "masked-fp32.onnx"
    graph.write_bytes(b"not a graph")
    sha256 = {graph.name: hashlib.sha256(graph.read_bytes()).hexdigest()}
    manifest = Manifest(
        name=name,
        version=version,
        spec=SPEC,
        spec_sha256=SPEC.sha256(),
        outputs=tuple(Output(VOCABULARY[key], Calibration()) for key in KEYS),
        thresholds_version="1",
        variants={"masked-fp32": Variant(graph.name, sha256, "fp32", "masked")},
        licences=("CC BY 4.0",),
        citations=("doi:10.13026/kfzx-aw45",),
    )
    write_manifest(folder, manifest)
    return read_bundle(folder)


def opened() -> threading.Event:
    """An event that has happened."""
    event = threading.Event()
    event.set()
    return event


@dataclass
class StubEngine:
    """Logits are the means of the lead rows, so an ECG's own levels show in its own answer."""

    seconds: float = 0.0
    fail_above: float = np.inf
    variant: str = "masked-fp32"
    device: str = "cpu"
    batches: list[int] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    gate: threading.Event = field(default_factory=opened)

    def run(self, windows: npt.NDArray[np.float32]) -> Outputs:
        with self.lock:
            self.batches.append(len(windows))
        self.gate.wait(60)
        if self.seconds:
            time.sleep(self.seconds)
        if float(np.abs(windows).max()) > self.fail_above:
            raise RuntimeError("SECRET-FROM-THE-ENGINE")
        return outputs_of(windows)


def outputs_of(windows: npt.NDArray[np.float32]) -> Outputs:
    """What the stub answers for windows."""
    spread = windows.std(axis=2)
    logits = np.tile(np.log(spread[:, :1] + 1e-3), (1, len(KEYS))) * np.arange(1, len(KEYS) + 1, dtype=np.float32)
    return Outputs(logits.astype(np.float32), spread.astype(np.float32), {})


def no_waves(prepared: Prepared, outputs: Outputs) -> Waves:
    """A delineator that costs nothing: one beat in each lead."""
    wave = Wave("QRS", 300.0, 340.0, 390.0, 0.9)
    return dict.fromkeys(prepared.recording.leads, (wave,))


@contextmanager
def listening(app: FastAPI, settings: Settings | None = None) -> Iterator[str]:
    """The address of a server on a free port of loopback, in a thread, until the block ends."""
    asked = (settings or Settings()).model_copy(update={"host": "127.0.0.1", "port": 0, "drain_s": 5.0})
    telemetry = app.state.serving.telemetry if hasattr(app.state, "serving") else Telemetry()
    config = build_config(app, asked, telemetry)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    try:
        scheme = "https" if asked.tls_cert else "http"
        yield f"{scheme}://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


PATIENCE_S = 60.0
"""Longest wait for an answer: a busy machine is slow, not wrong."""


def post(url: str, *, timeout: float = PATIENCE_S, **request: Any) -> httpx.Response:
    """One request on a connection of its own."""
    return httpx.post(url, timeout=timeout, **request)


def get(url: str) -> httpx.Response:
    """The same without a body."""
    return httpx.get(url, timeout=PATIENCE_S)


def metric(url: str, name: str) -> float:
    """The value of the first series that begins so; 0 where there is none."""
    lines = get(f"{url}/metrics").text.splitlines()
    return next((float(line.split()[-1]) for line in lines if line.startswith(name)), 0.0)


def until(true: Callable[[], bool]) -> None:
    """Wait for something, not for ever."""
    end_s = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end_s
        time.sleep(0.02)

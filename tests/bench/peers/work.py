"""What every peer does with an ECG: what the service does, by the same code, so that only the server differs."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from model.bundle import read_bundle
from model.engine import OnnxEngine
from model.files import decode_body
from model.reader import Part, Reader, delineate_by_network
from model.signal.recording import Recording
from service.schemas import answer_json, model_wire
from tests.bench.bodies import RAW_QUERY

BUNDLE, VARIANT, BODY, PORT = "BENCH_BUNDLE", "BENCH_VARIANT", "BENCH_BODY", "BENCH_PORT"
"""Environment of a peer: the bundle's folder, the variant, `raw` or `json`, and the port."""

WORKERS = "BENCH_WORKERS"
"""How many processes answer."""

SERVED = "/served"
"""Where MLServer says that its model is there: its handlers are added by name, and `served` comes after `raw`."""

FINDINGS: frozenset[Part] = frozenset({"findings"})


class Work:
    """Answers ECGs with the bundle that the environment names, one intra-op thread a session."""

    def __init__(self, bundle: str | None = None, variant: str | None = None) -> None:
        read = read_bundle(Path(bundle or os.environ[BUNDLE]))
        engine = OnnxEngine(read, variant=variant or os.environ[VARIANT], device="cpu", threads=1)
        self._reader = Reader(read, engine, delineate_by_network)
        self._model = model_wire(read, engine)

    def raw(self, body: bytes, parts: frozenset[Part] = FINDINGS) -> bytes:
        """The answer to the raw body."""
        return self._answer(decode_body("application/octet-stream", body, query=RAW_QUERY), parts)

    def json(self, body: Mapping[str, Any]) -> bytes:
        """The answer to a JSON body that the server has parsed: lists of mV by lead."""
        return self.leads(body["leads"], body["sampling_hz"])

    def leads(self, leads: Mapping[str, Sequence[float]], sampling_hz: float) -> bytes:
        """The answer to lists of mV by lead."""
        signal_mv = np.array(list(leads.values()), dtype=np.float32)
        return self.signal(signal_mv, tuple(leads), sampling_hz)

    def signal(self, signal_mv: np.ndarray[Any, np.dtype[np.float32]], leads: tuple[str, ...], hz: float) -> bytes:
        """The answer to float32 (lead, sample) in mV."""
        return self._answer(Recording(signal_mv, hz, leads), FINDINGS)

    def _answer(self, recording: Recording, parts: frozenset[Part]) -> bytes:
        answer = self._reader.read(recording, parts)
        return answer_json(answer, parts, request_id="", body_sha256="", model=self._model)

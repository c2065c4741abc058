"""The work behind BentoML: its own JSON route, and its own file input for raw samples."""

import os
from pathlib import Path
from typing import Annotated

import bentoml
from bentoml.validators import ContentType

from tests.bench.peers.work import WORKERS, Work

Answer = Annotated[str, ContentType("application/json")]
RawFile = Annotated[Path, ContentType("application/octet-stream")]


@bentoml.service(name="ecg", workers=int(os.environ[WORKERS]), threads=1, traffic={"timeout": 600})
class Ecg:
    """One model a worker, one thread each."""

    def __init__(self) -> None:
        self._work = Work()

    @bentoml.api  # type: ignore[untyped-decorator]
    def json(self, sampling_hz: float, unit: str, leads: dict[str, list[float]]) -> Answer:
        """The answer to lists of mV by lead."""
        return self._work.leads(leads, sampling_hz).decode()

    @bentoml.api  # type: ignore[untyped-decorator]
    def raw(self, body: RawFile, /) -> Answer:
        """The answer to raw samples."""
        return self._work.raw(body.read_bytes()).decode()

"""What an ECG needs besides the network: from a body to windows, and from outputs to the bytes of an answer."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Protocol

from model.engine import Outputs
from model.reader import NEED_WAVES, Answer, Part, Prepared, Reader
from model.reading.measurements import MEASUREMENTS, Measurement
from model.reading.waves import Waves
from model.signal.quality import Verdict
from model.signal.recording import Recording
from service.schemas import answer_json
from service.telemetry import Stage
from service.wave_pool import DelineationError

NOT_DELINEATED_WARNING = "The waves could not be delineated; nothing was measured."

Decode = Callable[[bytes], Recording]
"""Turns a body into a recording; can be pickled."""

Timing = Callable[[Stage], AbstractContextManager[None]]
"""Times a stage."""


@dataclass(frozen=True, eq=False)
class Asked:
    """An ECG that the network has seen.

    Attributes:
        prepared: what it saw.
        outputs: what it said.
        classical: waves of the second opinion; None where there is none.
        parts: what to answer.
        request_id: stands in the answer.
        body_sha256: of what was sent; stands in the answer.
    """

    prepared: Prepared
    outputs: Outputs
    classical: Waves | None
    parts: frozenset[Part]
    request_id: str
    body_sha256: str


@dataclass(frozen=True)
class Rendered:
    """An answer, and what the metrics count of it.

    Attributes:
        json: `service.schemas.AnswerBody`.
        verdict: of the quality.
        present: keys of the statements that were found present.
    """

    json: bytes
    verdict: Verdict
    present: tuple[str, ...]


class Reading(Protocol):
    """Does it, in whichever process; called from several threads."""

    reader: Reader
    """The bundle that answers, and its engine."""

    waits: bool
    """Whether it waits for other processes that do its work."""

    def prepare(self, decode: Decode, body: bytes) -> Prepared:
        """A body to windows; raises the EcgErrors of the decoder and of `Reader.prepare`."""

    def render(self, asked: Asked) -> Rendered:
        """Outputs to an answer; where the waves cannot be had, the rest of it, and the reason."""

    def close(self) -> None:
        """Let go of what it needs."""


class ReadingHere:
    """Does it in this process.

    Args:
        reader: the bundle.
        model: `service.schemas.ModelBody` of what answers.
        timing: is told how long each stage takes.
        waits: whether the reader's delineator waits for other processes.
    """

    def __init__(self, reader: Reader, model: dict[str, str], timing: Timing, *, waits: bool = False) -> None:
        self.reader = reader
        self.waits = waits
        self._model = model
        self._timing = timing

    def prepare(self, decode: Decode, body: bytes) -> Prepared:
        """As `Reading` says."""
        with self._timing("decode"):
            recording = decode(body)
        with self._timing("preprocess"):
            return self.reader.prepare(recording)

    def render(self, asked: Asked) -> Rendered:
        """As `Reading` says."""
        with self._timing("postprocess"):
            answer = self._answer(asked)
            json = answer_json(
                answer, asked.parts, request_id=asked.request_id, body_sha256=asked.body_sha256, model=self._model
            )
        present = tuple(finding.statement.key for finding in answer.findings if finding.present)
        return Rendered(json, answer.quality.verdict, present)

    def close(self) -> None:
        """There is nothing to let go of."""

    def _answer(self, asked: Asked) -> Answer:
        prepared, outputs, parts = asked.prepared, asked.outputs, asked.parts
        try:
            return self.reader.answer(prepared, outputs, parts, classical=asked.classical)
        except DelineationError:
            return _without_waves(self.reader.answer(prepared, outputs, parts - NEED_WAVES), parts)


def _without_waves(answer: Answer, parts: frozenset[Part]) -> Answer:
    absent = {name: Measurement(None, absent="not_delineated") for name in MEASUREMENTS}
    measured = "measurements" in parts
    return replace(
        answer,
        waves={} if "waves" in parts else None,
        measurements=absent if measured else None,
        lead_measurements={} if measured else None,
        warnings=(*answer.warnings, NOT_DELINEATED_WARNING),
    )

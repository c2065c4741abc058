"""A recording to its answer: quality, windows, network, findings, waves and measurements; no HTTP, no queue."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from model.bundle import Bundle
from model.engine import Engine, Outputs
from model.reading.findings import Finding, findings
from model.reading.measurements import LeadMeasurements, Measurement
from model.reading.waves import Waves
from model.signal.preprocess import Windows, preprocess
from model.signal.quality import Quality, check_quality
from model.signal.recording import Recording

@dataclass(frozen=True, eq=False)
class Prepared:
    """A recording that is ready for the network."""

    recording: Recording
    quality: Quality
    windows: Windows


Delineator = Callable[[Prepared, Outputs], Waves]
"""Finds the waves of a recording in every lead, from its signal or from what the network says of it."""

Part = Literal["findings", "measurements", "waves", "embedding", "plot"]
PARTS: frozenset[Part] = frozenset({"findings", "measurements", "waves"})


@dataclass(frozen=True, eq=False)
class Answer:
    """What is known of one recording.

    Attributes:
        recording: what was read.
        quality: issues and verdict.
        windows: how many windows the network saw.
        findings: one a statement; empty when the verdict is `unusable`.
        waves: lead to waves; None when not asked for.
        measurements: name to measurement, all of `MEASUREMENTS`; None when not asked for.
        lead_measurements: lead to its numbers; None when not asked for.
        embedding: float32 (width,), the mean over windows; None when not asked for.
        warnings: sentences for the reader of the answer.
    """

    recording: Recording
    quality: Quality
    windows: int
    findings: tuple[Finding, ...]
    waves: Waves | None
    measurements: dict[str, Measurement] | None
    lead_measurements: dict[str, LeadMeasurements] | None
    embedding: npt.NDArray[np.float32] | None
    warnings: tuple[str, ...]


class Reader:
    """Answers recordings with one bundle on one engine; the steps are separate so that a queue can sit between them.

    Args:
        bundle: a verified bundle.
        engine: runs the bundle.
        delineate: finds the waves.
    """

    def __init__(self, bundle: Bundle, engine: Engine, delineate: Delineator) -> None:
        self.bundle = bundle
        self.engine = engine
        self._delineate = delineate

    def prepare(self, recording: Recording) -> Prepared:
        """Quality and windows; raises MissingLeadError and TooShortError."""
        quality = check_quality(recording)
        windows = preprocess(recording, self.bundle.manifest.spec, dead_leads=quality.dead_leads)
        return Prepared(recording, quality, windows)

    def read(self, recording: Recording, parts: frozenset[Part] = PARTS) -> Answer:
        """The answer to one recording, in the caller's thread."""
        prepared = self.prepare(recording)
        return self.answer(prepared, self.engine.run(prepared.windows.signal_mv), parts)

    def answer(self, prepared: Prepared, outputs: Outputs, parts: frozenset[Part] = PARTS) -> Answer:
        """What the outputs of a recording's windows mean.

        Args:
            prepared: what `prepare` returned.
            outputs: one row a window of `prepared`, in order.
            parts: what to work out; the rest is None.
        """
        raise NotImplementedError

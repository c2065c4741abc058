"""A recording to its answer: quality, windows, network, findings, waves and measurements; no HTTP, no queue."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from model.bundle import Bundle
from model.engine import Engine, Outputs
from model.reading.cautions import caution, issue_caution
from model.reading.consistency import contradictions
from model.reading.delineation import WaveOutputs, delineate, twelve_leads
from model.reading.findings import Finding, findings
from model.reading.measurements import LeadMeasurements, Measurement
from model.reading.measuring import measure, rhythm_cautions
from model.reading.plot import plot_svg
from model.reading.second_opinion import delineate_classically, second_opinion_cautions
from model.reading.waves import Waves, behind_spikes
from model.signal.leads import STANDARD_LEADS
from model.signal.pacing import Times, find_pacing_ms
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


def delineate_by_network(prepared: Prepared, outputs: Outputs) -> Waves:
    """Waves of the twelve leads from the network's wave head; a `Delineator` for bundles with `wave_leads`."""
    windows = prepared.windows
    return delineate(
        WaveOutputs.of(outputs.waves),
        twelve_leads(windows.signal_mv, windows.dead_leads),
        STANDARD_LEADS,
        starts_s=windows.starts_s,
        sampling_hz=windows.sampling_hz,
        duration_s=prepared.recording.duration_s,
    )


Part = Literal["findings", "measurements", "waves", "embedding", "plot", "second_opinion"]
PARTS: frozenset[Part] = frozenset({"findings", "measurements", "waves"})
NEED_WAVES: frozenset[Part] = frozenset({"measurements", "waves", "plot", "second_opinion"})


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
        plot: SVG text; None when not asked for.
        warnings: sentences for the reader of the answer, each from `model.reading.cautions`.
    """

    recording: Recording
    quality: Quality
    windows: int
    findings: tuple[Finding, ...]
    waves: Waves | None
    measurements: dict[str, Measurement] | None
    lead_measurements: dict[str, LeadMeasurements] | None
    embedding: npt.NDArray[np.float32] | None
    plot: str | None
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
        outputs = self.engine.run(prepared.windows.signal_mv)
        classical = delineate_classically(prepared) if self.wants_second_opinion(prepared, parts) else None
        return self.answer(prepared, outputs, parts, classical=classical)

    def wants_second_opinion(self, prepared: Prepared, parts: frozenset[Part]) -> bool:
        """Whether classical waves of a recording would be looked at; where they are the only waves, they are not."""
        own = self._delineate is not delineate_classically
        return own and "second_opinion" in parts and prepared.quality.verdict != "unusable"

    def answer(
        self, prepared: Prepared, outputs: Outputs, parts: frozenset[Part] = PARTS, *, classical: Waves | None = None
    ) -> Answer:
        """What the outputs of a recording's windows mean.

        Args:
            prepared: what `prepare` returned.
            outputs: one row a window of `prepared`, in order.
            parts: what to work out; the rest is None. A second opinion is no field of the answer: it warns.
            classical: the waves of the second opinion; None where it could not be had.
        """
        spikes_ms = find_pacing_ms(prepared.recording) if parts & NEED_WAVES else np.empty(0)
        waves = self._waves(prepared, outputs, spikes_ms) if parts & NEED_WAVES else None
        needed = bool(parts & {"measurements", "second_opinion"})
        measured = measure(prepared.recording, waves or {}, prepared.quality) if needed else None
        shown = measured if "measurements" in parts else None
        found = self._findings(prepared, outputs) if "findings" in parts else ()
        return Answer(
            recording=prepared.recording,
            quality=prepared.quality,
            windows=len(prepared.windows.signal_mv),
            findings=found,
            waves=waves if "waves" in parts else None,
            measurements=shown[0] if shown else None,
            lead_measurements=shown[1] if shown else None,
            embedding=outputs.embedding.mean(axis=0) if "embedding" in parts else None,
            plot=plot_svg(prepared.recording, waves or {}) if "plot" in parts else None,
            warnings=(
                *self._cautions(prepared),
                *_rhythm(prepared, shown[0] if shown else None, found, spikes_ms),
                *contradictions(found, shown[0] if shown else None),
                *(_compared(prepared, measured[0], classical) if measured and "second_opinion" in parts else ()),
            ),
        )

    def _waves(self, prepared: Prepared, outputs: Outputs, spikes_ms: Times) -> Waves:
        """The waves; none in a poor lead, and none at all in an unusable recording."""
        if prepared.quality.verdict == "unusable":
            return dict.fromkeys(prepared.recording.leads, ())
        poor = prepared.quality.poor_leads
        found = behind_spikes(self._delineate(prepared, outputs), spikes_ms)
        return {lead: () if lead in poor else waves for lead, waves in found.items()}

    def _findings(self, prepared: Prepared, outputs: Outputs) -> tuple[Finding, ...]:
        """The findings; withheld for an unusable recording."""
        if prepared.quality.verdict == "unusable":
            return ()
        return findings(outputs.logits, self.bundle.statements, self.bundle.calibrations)

    def _cautions(self, prepared: Prepared) -> Iterator[str]:
        """What to say of quality, padding and masked leads, the gravest first."""
        quality, windows = prepared.quality, prepared.windows
        if quality.verdict == "unusable":
            yield caution("unusable")
        for code in dict.fromkeys(issue.code for issue in quality.issues):
            yield issue_caution(code, [issue.lead for issue in quality.issues if issue.code == code])
        if windows.padded_s > 0:
            window_s = self.bundle.manifest.spec.window_s
            yield caution("padded", window_s=window_s, padded_s=windows.padded_s)
        if windows.dead_leads:
            yield caution("dead_leads", leads=", ".join(windows.dead_leads))
        yield from map(caution, prepared.recording.notes)


def _rhythm(
    prepared: Prepared, measurements: dict[str, Measurement] | None, found: tuple[Finding, ...], spikes_ms: Times
) -> Iterator[str]:
    """What to say of the rhythm, from what was measured, from spikes and from the finding of pacing."""
    if measurements is None or prepared.quality.verdict == "unusable":
        return
    said = any(one.present and one.statement.key == "PACE" for one in found)
    yield from map(caution, rhythm_cautions(measurements, paced=said or len(spikes_ms) > 0))


def _compared(prepared: Prepared, ours: dict[str, Measurement], classical: Waves | None) -> Iterator[str]:
    """What to say of our intervals beside the classical ones."""
    if prepared.quality.verdict == "unusable":
        return
    if classical is None:
        yield caution("no_second_opinion")
        return
    theirs, _ = measure(prepared.recording, classical, prepared.quality)
    yield from second_opinion_cautions(ours, theirs)

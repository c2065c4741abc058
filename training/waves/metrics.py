"""How well waves are found: F1, bias and spread of every boundary, and errors of the global intervals of a record."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.reading.beats import match_beats
from model.reading.waves import Wave, WaveKind, Waves
from model.signal.leads import STANDARD_LEADS
from training.sources.ludb import KINDS, MarkedRecord, Marks

TOLERANCE_MS = 150.0
INTERVALS = ("P", "PR", "QRS", "QT", "HR")
EDGES = ("onset", "offset")
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class BoundaryFigures:
    """One boundary over all leads of all records.

    Attributes:
        f1: percent; a boundary is found when a wave of its kind has one within the tolerance.
        sensitivity: percent.
        precision: percent; waves outside the span that was looked at do not count.
        bias_ms: mean of found minus marked.
        sd_ms: its standard deviation.
    """

    f1: float
    sensitivity: float
    precision: float
    bias_ms: float
    sd_ms: float


@dataclass(frozen=True)
class IntervalFigures:
    """One interval over all records in which the cardiologists' marks give it.

    Attributes:
        mae: mean absolute error, ms or beats a minute.
        bias: mean error.
        sd: standard deviation of the error.
        missing: records in which it was not measured.
        records: in which it is known.
    """

    mae: float
    bias: float
    sd: float
    missing: int
    records: int


def boundary_figures(records: Sequence[MarkedRecord], found: Sequence[Waves]) -> dict[str, BoundaryFigures]:
    """Figures by boundary, such as `QRS onset`.

    Args:
        records: with their marks.
        found: the waves found in each.
    """
    figures = {}
    for kind in KINDS:
        for edge in EDGES:
            lead_scores = [
                _score_lead(marks.of(kind), [wave for wave in waves.get(lead, ()) if wave.wave == kind], edge)
                for record, waves in zip(records, found, strict=True)
                for lead, marks in zip(record.recording.leads, record.marks, strict=True)
            ]
            figures[f"{kind} {edge}"] = _summed(lead_scores)
    return figures


def interval_figures(records: Sequence[MarkedRecord], found: Sequence[Waves]) -> dict[str, IntervalFigures]:
    """Errors of record medians of global intervals; both sides are measured the same way over the marked stretch."""
    pairs = [
        (intervals(marked_waves(record)), intervals(_within(waves, record)))
        for record, waves in zip(records, found, strict=True)
    ]
    figures = {}
    for name in INTERVALS:
        errors = np.array([mine[name] - truth[name] for truth, mine in pairs if np.isfinite(truth[name])])
        seen = errors[np.isfinite(errors)]
        figures[name] = IntervalFigures(
            mae=float(np.abs(seen).mean()) if len(seen) else np.nan,
            bias=float(seen.mean()) if len(seen) else np.nan,
            sd=float(seen.std()) if len(seen) else np.nan,
            missing=len(errors) - len(seen),
            records=len(errors),
        )
    return figures


def global_gaps_ms(records: Sequence[MarkedRecord], found: Sequence[Waves]) -> dict[str, float]:
    """How much later than marked the global boundaries of beats are found, by boundary.

    Medians over a record's beats, then over records: by so much the margins of `model.reading.delineation` are wrong.

    Args:
        records: with their marks.
        found: the waves found in each, by heads that have not seen it.
    """
    gaps_ms: dict[str, list[float]] = {f"{kind} {edge}": [] for kind in KINDS for edge in EDGES}
    for record, waves in zip(records, found, strict=True):
        marked, mine = (match_beats(side, STANDARD_LEADS) for side in (marked_waves(record), _within(waves, record)))
        for kind in KINDS:
            for edge, of_marks, of_found in zip(
                EDGES, (marked.onset_ms, marked.offset_ms), (mine.onset_ms, mine.offset_ms), strict=True
            ):
                truth_ms, found_ms = (side[kind][np.isfinite(side[kind])] for side in (of_marks, of_found))
                truth, matched = match_times(truth_ms, found_ms)
                gaps_ms[f"{kind} {edge}"].append(_median(found_ms[matched] - truth_ms[truth]))
    return {name: _median(np.array(of_records)) for name, of_records in gaps_ms.items()}


def intervals(waves: Waves) -> dict[str, float]:
    """P, PR, QRS, QT (ms) and HR (bpm) of a record, medians over its beats; NaN where they cannot be measured."""
    beats = match_beats(waves, STANDARD_LEADS)
    if beats.count == 0:
        return dict.fromkeys(INTERVALS, np.nan)
    onset_ms, offset_ms = beats.onset_ms, beats.offset_ms
    beat_ms = np.nanmedian((beats.marks_ms["QRS"][0] + beats.marks_ms["QRS"][2]) / 2, axis=0)
    return {
        "P": _median(offset_ms["P"] - onset_ms["P"]),
        "PR": _median(onset_ms["QRS"] - onset_ms["P"]),
        "QRS": _median(offset_ms["QRS"] - onset_ms["QRS"]),
        "QT": _median(offset_ms["T"] - onset_ms["QRS"]),
        "HR": 60_000.0 / float(np.diff(beat_ms).mean()) if len(beat_ms) > 1 else np.nan,
    }


def false_p_waves(records: Sequence[MarkedRecord], found: Sequence[Waves]) -> list[float]:
    """P waves found in each record that has none: the median over its leads."""
    return [count_waves(waves, "P") for record, waves in zip(records, found, strict=True) if not shows_p(record)]


def shows_p(record: MarkedRecord) -> bool:
    """Whether cardiologists marked a P wave in any lead."""
    return any((marks.kind == KINDS.index("P")).any() for marks in record.marks)


def count_waves(waves: Waves, kind: WaveKind) -> float:
    """How many waves of a kind the median lead has."""
    return float(np.median([sum(wave.wave == kind for wave in lead) for lead in waves.values()]))


def marked_waves(record: MarkedRecord) -> Waves:
    """The cardiologists' waves that have both brackets."""
    return {lead: _complete(marks) for lead, marks in zip(record.recording.leads, record.marks, strict=True)}


def _complete(marks: Marks) -> tuple[Wave, ...]:
    columns = zip(marks.kind, marks.onset_s * 1000, marks.peak_s * 1000, marks.offset_s * 1000, strict=True)
    return tuple(
        Wave(KINDS[kind], float(onset_ms), float(peak_ms), float(offset_ms), 1.0)
        for kind, onset_ms, peak_ms, offset_ms in columns
        if np.isfinite(onset_ms) and np.isfinite(offset_ms)
    )


def _within(waves: Waves, record: MarkedRecord) -> Waves:
    """Waves of the stretch that was marked, to within the tolerance of a beat."""
    first_ms = 1000 * float(np.median([marks.span_s[0] for marks in record.marks])) - 100.0
    last_ms = 1000 * float(np.median([marks.span_s[1] for marks in record.marks])) + 100.0
    return {
        lead: tuple(wave for wave in waves.get(lead, ()) if wave.onset_ms >= first_ms and wave.offset_ms <= last_ms)
        for lead in STANDARD_LEADS
    }


@dataclass(frozen=True, eq=False)
class _Score:
    errors_ms: Floats
    missed: int
    invented: int


def _score_lead(marks: Marks, waves: Sequence[Wave], edge: str) -> _Score:
    """One boundary of one kind in one lead."""
    truth_ms = 1000 * (marks.onset_s if edge == "onset" else marks.offset_s)
    unbracketed_ms = 1000 * marks.peak_s[np.isnan(truth_ms)]
    truth_ms = truth_ms[np.isfinite(truth_ms)]
    found_ms = np.array([wave.onset_ms if edge == "onset" else wave.offset_ms for wave in waves])
    found_ms = found_ms[np.isfinite(found_ms)]
    truth, mine = match_times(truth_ms, found_ms)
    inside = (found_ms >= 1000 * marks.span_s[0]) & (found_ms <= 1000 * marks.span_s[1])
    excused = (np.abs(found_ms[:, None] - unbracketed_ms) < TOLERANCE_MS).any(axis=1)
    unmatched = np.ones(len(found_ms), dtype=bool)
    unmatched[mine] = False
    invented = int((unmatched & inside & ~excused).sum())
    return _Score(found_ms[mine] - truth_ms[truth], len(truth_ms) - len(truth), invented)


def match_times(
    truth_ms: Floats, found_ms: Floats, tolerance_ms: float = TOLERANCE_MS
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Indices of pairs within the tolerance, nearest first, each time used once."""
    gap_ms = np.abs(truth_ms[:, None] - found_ms[None])
    pairs = np.argwhere(gap_ms <= tolerance_ms)
    taken: tuple[set[int], set[int]] = (set(), set())
    matched = []
    for a, b in pairs[np.argsort(gap_ms[pairs[:, 0], pairs[:, 1]], kind="stable")].tolist():
        if a not in taken[0] and b not in taken[1]:
            taken[0].add(a)
            taken[1].add(b)
            matched.append((a, b))
    table = np.array(sorted(matched), dtype=np.int64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def _summed(scores: Sequence[_Score]) -> BoundaryFigures:
    errors_ms = np.concatenate([score.errors_ms for score in scores])
    hits, missed = len(errors_ms), sum(score.missed for score in scores)
    invented = sum(score.invented for score in scores)
    return BoundaryFigures(
        f1=100.0 * 2 * hits / max(2 * hits + missed + invented, 1),
        sensitivity=100.0 * hits / max(hits + missed, 1),
        precision=100.0 * hits / max(hits + invented, 1),
        bias_ms=float(errors_ms.mean()) if hits else np.nan,
        sd_ms=float(errors_ms.std()) if hits else np.nan,
    )


def _median(values_ms: Floats) -> float:
    seen = values_ms[np.isfinite(values_ms)]
    return float(np.median(seen)) if len(seen) else np.nan

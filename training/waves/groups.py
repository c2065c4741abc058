"""Where waves are found well and where not: the figures by heart rate and by rhythm."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from model.reading.waves import Waves
from model.signal.recording import Recording
from training.sources.ludb import RHYTHMS, MarkedRecord, Marks
from training.waves.metrics import (
    BoundaryFigures,
    IntervalFigures,
    boundary_figures,
    false_p_waves,
    interval_figures,
    intervals,
    marked_waves,
    shows_p,
)

BANDS_BPM = (0.0, 50.0, 60.0, 80.0, 100.0, 130.0, 300.0)
SPED_UP = 1.4  # LUDB holds one record above 100 /min; faster than this a QRS becomes narrower than any


@dataclass(frozen=True)
class GroupFigures:
    """Some records of a kind.

    Attributes:
        records: how many.
        boundaries: by boundary.
        intervals: by interval.
        p_waves: mean over records of P waves in the median lead; None where cardiologists marked some.
        below_one: share of records with fewer than one; None likewise.
    """

    records: int
    boundaries: dict[str, BoundaryFigures]
    intervals: dict[str, IntervalFigures]
    p_waves: float | None
    below_one: float | None


def group_figures(records: Sequence[MarkedRecord], found: Sequence[Waves]) -> dict[str, GroupFigures]:
    """Figures of every group that has a record: bands of the marked rate, then rhythms.

    Args:
        records: with their marks.
        found: the waves found in each.
    """
    groups: dict[str, list[int]] = {name: [] for name in _names()}
    for at, record in enumerate(records):
        for name in _groups_of(record):
            groups[name].append(at)
    return {
        name: _figures([records[at] for at in rows], [found[at] for at in rows])
        for name, rows in groups.items()
        if rows
    }


def sped_up(record: MarkedRecord, by: float = SPED_UP) -> MarkedRecord:
    """The record, marks and all, as if the heart beat so much faster."""
    recording = record.recording
    faster = Recording(recording.signal_mv, recording.sampling_hz * by, recording.leads)
    return replace(record, recording=faster, marks=tuple(_sooner(marks, by) for marks in record.marks))


def table_of_groups(figures: dict[str, GroupFigures]) -> str:
    """The groups as Markdown: F1 and spread of boundaries, errors of intervals, and P waves where there are none."""
    edges = ("P onset", "P offset", "QRS onset", "QRS offset", "T onset", "T offset")
    rows = [["", "records", *(f"{edge}: F1 %, ms" for edge in edges), "PR, QRS, QT: MAE, ms", "P in records without P"]]
    rows.append(["---"] * len(rows[0]))
    for name, one in figures.items():
        parts = [one.boundaries[edge] for edge in edges]
        without = "-" if one.p_waves is None else f"{one.p_waves:.1f}; {100 * (one.below_one or 0.0):.0f} % below one"
        rows.append(
            [
                name,
                str(one.records),
                *(f"{part.f1:.1f}, {part.bias_ms:+.1f} ± {part.sd_ms:.1f}" if part.f1 else "-" for part in parts),
                ", ".join(f"{one.intervals[interval].mae:.1f}" for interval in ("PR", "QRS", "QT")).replace("nan", "-"),
                without,
            ]
        )
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _names() -> list[str]:
    bands = [_band(low, high) for low, high in pairwise(BANDS_BPM)]
    return [*bands, *(f"{name}{without}" for name in ("sinus", *RHYTHMS) for without in ("", ", no P marked"))]


def _band(low_bpm: float, high_bpm: float) -> str:
    return f"{low_bpm:.0f} to {high_bpm:.0f} /min"


def _groups_of(record: MarkedRecord) -> list[str]:
    """A band, and every rhythm that is said of it; sinus rhythm where it is no other."""
    bpm = intervals(marked_waves(record))["HR"]
    without = "" if shows_p(record) else ", no P marked"
    names = [f"{name}{without}" for name in record.rhythm or ("sinus",)]
    at = int(np.searchsorted(BANDS_BPM, bpm, side="right"))
    return [_band(BANDS_BPM[at - 1], BANDS_BPM[at]), *names] if 0 < at < len(BANDS_BPM) else names


def _figures(records: list[MarkedRecord], found: list[Waves]) -> GroupFigures:
    none = false_p_waves(records, found)
    return GroupFigures(
        len(records),
        boundary_figures(records, found),
        interval_figures(records, found),
        float(np.mean(none)) if none else None,
        float(np.mean(np.array(none) < 1)) if none else None,
    )


def _sooner(marks: Marks, by: float) -> Marks:
    first_s, last_s = marks.span_s
    return Marks(marks.kind, marks.onset_s / by, marks.peak_s / by, marks.offset_s / by, (first_s / by, last_s / by))

"""P waves in records of known rhythm that nobody marked: one a QRS in sinus rhythm, none in fibrillation."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from model.bundle import MANIFEST
from model.nn.waves import TwelveLeadHead, folded
from model.reading.waves import Waves
from model.signal.leads import MODEL_LEADS
from model.signal.recording import Recording
from model.signal.spec import SPEC
from training.data.dataset import PreparedSet, read_prepared
from training.errors import TrainingError
from training.waves.bench import delineate_with, served
from training.waves.groups import BANDS_BPM
from training.waves.metrics import count_waves
from training.waves.rhythms import rhythm_records
from training.waves.train import HEAD, read_head

MOST = 400  # records of a rhythm; sinus rhythm is in most
_WITH_P = ("sinus rhythm", "sinus tachycardia")


@dataclass(frozen=True)
class PWaves:
    """Some records of one rhythm.

    Attributes:
        records: how many.
        per_record: mean P waves in the median lead of a record.
        per_qrs: the same over the QRS complexes there.
        below_one: share of records with fewer than one P wave.
    """

    records: int
    per_record: float
    per_qrs: float
    below_one: float


def run(data: Path, *, head: Path, split: str = "val") -> dict[str, Any]:
    """Print how many P waves are found by rhythm and rate.

    Args:
        data: prepared folder with rhythms.
        head: a bundle, or the folder of a run of `waves`.
        split: train is what the head learnt from.

    Raises:
        TrainingError: no such folder or head, or no record of a known rhythm in the split.
        BundleError, EngineError: the bundle cannot be read or run.
    """
    if (head / MANIFEST).is_file():
        method = served(head)
    else:
        method = partial(delineate_with, TwelveLeadHead(folded(read_head(head / HEAD))))
    figures = p_waves_by_rhythm(read_prepared(data), method, split)
    if not figures:
        raise TrainingError(f"{data} has no record of a known rhythm in its split {split}")
    sys.stdout.write(table_of_p_waves(figures))
    return {name: asdict(one) for name, one in figures.items()}


def p_waves_by_rhythm(
    prepared: PreparedSet, method: Callable[[Recording], Waves], split: str = "val"
) -> dict[str, PWaves]:
    """What a method finds in the records of a split, by rhythm, and in sinus rhythm by heart rate.

    Args:
        prepared: whose windows are read.
        method: finds the waves of a recording.
        split: train is what the head learnt from.
    """
    groups: dict[str, list[tuple[float, float]]] = {}
    for rhythm, rows in rhythm_records(prepared, split).items():
        for row in rows[np.linspace(0, len(rows) - 1, min(MOST, len(rows))).astype(int)]:
            waves = method(Recording(prepared.windows[row].astype(np.float32), SPEC.sampling_hz, MODEL_LEADS))
            for name in _names(rhythm, waves):
                groups.setdefault(name, []).append((count_waves(waves, "P"), count_waves(waves, "QRS")))
    return {name: _figures(np.array(groups[name])) for name in sorted(groups)}


def table_of_p_waves(figures: dict[str, PWaves]) -> str:
    """The groups as Markdown."""
    rows = [["P waves, unmarked records", "records", "a record", "a QRS", "records below one"], ["---"] * 5]
    for name, one in figures.items():
        shares = f"{one.per_record:.1f}", f"{one.per_qrs:.2f}", f"{100 * one.below_one:.0f} %"
        rows.append([name, str(one.records), *shares])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _names(rhythm: str, waves: Waves) -> Iterator[str]:
    """The groups of a record: its rhythm, and the band of its rate where each QRS should have its P."""
    if rhythm not in _WITH_P:
        yield rhythm
        return
    beats_ms = [[wave.peak_ms for wave in lead if wave.wave == "QRS"] for lead in waves.values()]
    rr_ms = [float(np.median(np.diff(lead))) for lead in beats_ms if len(lead) > 2]
    bpm = 60_000.0 / float(np.median(rr_ms)) if rr_ms else 0.0
    for low, high in pairwise(BANDS_BPM):
        if low <= bpm < high and bpm > 0:
            yield f"sinus, {low:3.0f} to {high:.0f} /min"


def _figures(counts: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> PWaves:
    p, qrs = counts.T
    return PWaves(len(p), float(p.mean()), float(p.sum() / max(qrs.sum(), 1.0)), float((p < 1).mean()))

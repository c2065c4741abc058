"""LUDB: twelve-lead records with the waves that cardiologists marked in every lead.

Kalyakulina et al., "LUDB: A New Open-Access Validation Tool for Electrocardiogram Delineation Algorithms", 2020,
https://doi.org/10.13026/eegm-h675.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import wfdb

from model.reading.waves import WaveKind
from model.signal.leads import STANDARD_LEADS
from model.signal.recording import Recording

KINDS: tuple[WaveKind, ...] = ("P", "QRS", "T")
_SYMBOLS = {"p": 0, "N": 1, "t": 2}
TABLE = "ludb.csv"
RHYTHMS = {
    "fibrillation": ("Rhythms", "fibrillation"),
    "flutter": ("Rhythms", "flutter"),
    "paced": ("Cardiac pacing", "pacing"),
    "ectopy": ("Extrasystolies", "extrasystole"),
}
"""Name to a column of the table and a word in it."""


@dataclass(frozen=True, eq=False)
class Marks:
    """The waves marked in one lead, one entry a wave, in order of time; a bracket that is missing is NaN.

    Attributes:
        kind: int, index into `KINDS`.
        onset_s: seconds from the first sample.
        peak_s: seconds from the first sample.
        offset_s: seconds from the first sample.
        span_s: first and last mark: outside, nothing was looked at.
    """

    kind: npt.NDArray[np.int64]
    onset_s: npt.NDArray[np.float64]
    peak_s: npt.NDArray[np.float64]
    offset_s: npt.NDArray[np.float64]
    span_s: tuple[float, float]

    def of(self, kind: WaveKind) -> "Marks":
        """The waves of one kind, with the whole span."""
        keep = self.kind == KINDS.index(kind)
        return Marks(self.kind[keep], self.onset_s[keep], self.peak_s[keep], self.offset_s[keep], self.span_s)


@dataclass(frozen=True, eq=False)
class MarkedRecord:
    """One record with its marks, lead by lead, in the order of the recording's leads.

    Attributes:
        name: its number.
        recording: what was recorded.
        marks: one a lead.
        rhythm: what the cardiologists say of it: of `RHYTHMS` those that hold.
    """

    name: str
    recording: Recording
    marks: tuple[Marks, ...]
    rhythm: frozenset[str] = frozenset()


def read_ludb(folder: Path) -> Iterator[MarkedRecord]:
    """Every record of a folder that holds LUDB's `data/`, by number.

    Args:
        folder: LUDB as published, whole or in part.

    Raises:
        FileNotFoundError: there is no record.
    """
    headers = sorted((folder / "data").glob("*.hea"), key=lambda path: (len(path.stem), path.stem))
    if not headers:
        raise FileNotFoundError("no record under data/; wanted a folder with LUDB")
    rhythms = _read_rhythms(folder / TABLE)
    for header in headers:
        yield read_record(header.with_suffix(""), rhythms.get(header.stem, frozenset()))


def _read_rhythms(path: Path) -> dict[str, frozenset[str]]:
    """What the table says of each record; nothing where there is no table."""
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    said = RHYTHMS.items()
    return {
        row["ID"].strip(): frozenset(name for name, (column, word) in said if word in (row[column] or "").lower())
        for row in rows
    }


def read_record(path: Path, rhythm: frozenset[str] = frozenset()) -> MarkedRecord:
    """One record, leads in standard order.

    The headers scale each lead on its own, which breaks Einthoven's law; the digital values keep it and are microvolts.
    """
    record = wfdb.rdrecord(str(path), physical=False)
    rows = {name.lower(): row for row, name in enumerate(record.sig_name)}
    signal_mv = np.stack([record.d_signal[:, rows[lead.lower()]] for lead in STANDARD_LEADS]) / 1000.0
    recording = Recording(signal_mv.astype(np.float32), float(record.fs), STANDARD_LEADS)
    marks = tuple(_read_marks(path, lead, recording.sampling_hz) for lead in STANDARD_LEADS)
    return MarkedRecord(path.name, recording, marks, rhythm)


def _read_marks(path: Path, lead: str, sampling_hz: float) -> Marks:
    annotation = wfdb.rdann(str(path), lead.lower())
    return marks_of(annotation.symbol, np.asarray(annotation.sample) / sampling_hz)


def marks_of(symbols: Sequence[str], times_s: npt.NDArray[np.float64]) -> Marks:
    """Marks from the annotator's row of `(`, `p`, `N`, `t` and `)`: a bracket belongs to the peak right beside it."""
    padded = ["", *symbols, ""]
    at = [place for place, symbol in enumerate(symbols) if symbol in _SYMBOLS]
    onset_s = [times_s[place - 1] if padded[place] == "(" else np.nan for place in at]
    offset_s = [times_s[place + 1] if padded[place + 2] == ")" else np.nan for place in at]
    span_s = (float(times_s[0]), float(times_s[-1])) if len(times_s) else (0.0, 0.0)
    return Marks(
        np.array([_SYMBOLS[symbols[place]] for place in at], dtype=np.int64),
        np.array(onset_s, dtype=np.float64),
        np.asarray(times_s, dtype=np.float64)[at],
        np.array(offset_s, dtype=np.float64),
        span_s,
    )

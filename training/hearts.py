"""The rule by which a lead holds a heart, fitted on real recordings and on simulated ones without any."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from model.bundle import read_bundle
from model.engine import LeadEngine
from model.errors import EcgError
from model.files import read_record
from model.lead_reader import LeadReader
from model.reading.heart import LOGIT, evidence
from model.reading.spans import Floats, Spans
from model.signal.recording import Recording
from model.signal.spec import InputSpec
from training.errors import TrainingError
from training.heartless import FAMILIES, heartless
from training.sources import open_source
from training.sources.catalogue import Entry

RATES_HZ = (100.0, 250.0, 360.0, 500.0, 1000.0)
RARE = ("AF", "AFL", "PACE", "STach", "SB", "SVPB", "PAC", "IAVB", "LBBB", "CRBBB", "LQRSV", "NSIVCB")
"""Statements that take turns in half of the records, so that the rule loses no rhythm for being seldom."""
_WORTH = 4.0  # times as much as all heartless leads weigh the real ones, which are to be kept


class _Watching(LeadReader):
    """A reader that keeps the evidence of every lead and window."""

    def __init__(self, engine: LeadEngine, spec: InputSpec) -> None:
        super().__init__(engine, spec, heart=self._watched)
        self.seen: list[Floats] = []

    def _watched(self, spans: Spans, rows_mv: npt.NDArray[np.float32], sampling_hz: float) -> Floats:
        told = evidence(spans, rows_mv, sampling_hz)
        self.seen.append(told[np.isfinite(told).all(axis=1)])
        return np.zeros(len(rows_mv))


def run(
    bundle: Path, data: Path, *, source: str | None = None, records: int = 600, simulated: int = 60
) -> dict[str, Any]:
    """Fit the rule, and count on other recordings how often the shipped one is wrong.

    Args:
        bundle: with a graph for any leads.
        data: a database, or a folder of WFDB records.
        source: what database it is, of which the train split alone is read; None for all of a plain folder.
        records: how many of them; each is read whole, and one of its leads alone.
        simulated: recordings of each heartless family to fit on, and as many to count on.

    Returns:
        `fitted` and `shipped` coefficients, and what the shipped rule says: `with_heart`, of records, and
        `without_heart`, of heartless recordings of one, two and twelve leads, are those with waves.

    Raises:
        TrainingError: no record.
    """
    opened = read_bundle(bundle)
    engine, spec = LeadEngine(opened), opened.manifest.spec
    real = list(_recordings(data, records, source))
    if not real:
        raise TrainingError(f"{data} holds no WFDB record that can be read")
    watching = [_Watching(engine, spec), _Watching(engine, spec)]
    for reader, recordings in zip(watching, (real, _simulated(0, simulated)), strict=True):
        for recording in recordings:
            reader.waves(recording)
    hearts, none = (np.concatenate(reader.seen) for reader in watching)
    shipped = LeadReader(engine, spec)
    others = list(_simulated(simulated, simulated))
    return {
        "fitted": _fitted(hearts, none),
        "shipped": list(LOGIT),
        "with_heart": float(np.mean([any(shipped.waves(one).values()) for one in real])),
        "without_heart": sum(any(shipped.waves(one).values()) for one in others),
        "simulated": len(others),
        "records": len(real),
    }


def _recordings(data: Path, records: int, source: str | None) -> Iterator[Recording]:
    """Some records of a folder, whole and by one of their leads under another name."""
    for place, path in enumerate(_chosen(data, records, source)):
        try:
            recording = read_record(path)
        except EcgError:
            continue
        yield recording
        row = place % len(recording.leads)
        yield Recording(recording.signal_mv[row : row + 1], recording.sampling_hz, ("lead",))


def _chosen(data: Path, records: int, source: str | None) -> list[Path]:
    """Headers of train records, half of them by `RARE`, the others evenly spread; all evenly without a source."""
    if source is None:
        return _spread(sorted(data.rglob("*.hea")), records)
    train = [entry for entry in open_source(source, data).entries if entry.split == "train"]
    rare = _in_turn(train, records // 2)
    others = [entry.path for entry in train if entry.path not in set(rare)]
    return rare + _spread(others, records - len(rare))


def _in_turn(entries: Sequence[Entry], count: int) -> list[Path]:
    """So many records at most, each statement of `RARE` giving its next one in turn."""
    pools = [[entry.path for entry in entries if key in entry.present] for key in RARE]
    longest = max(map(len, pools))
    turns = [pool[turn] for turn in range(longest) for pool in pools if turn < len(pool)]
    return list(dict.fromkeys(turns))[:count]


def _spread(paths: Sequence[Path], count: int) -> list[Path]:
    if not paths or count <= 0:
        return []
    places = np.unique(np.linspace(0, len(paths) - 1, min(count, len(paths))).astype(int))
    return [paths[place] for place in places.tolist()]


def _simulated(seed: int, count: int) -> Iterator[Recording]:
    """Heartless recordings of each family, of one lead mostly."""
    for family in FAMILIES:
        for number in range(seed, seed + count):
            hz, leads = RATES_HZ[number % len(RATES_HZ)], (12 if number % 16 == 0 else 2 if number % 4 == 0 else 1)
            signal_mv = heartless(family, number, leads=leads, sampling_hz=hz).astype(np.float32)
            yield Recording(signal_mv, hz, tuple(f"lead {row}" for row in range(leads)))


def _fitted(hearts: Floats, none: Floats) -> list[float]:
    """Intercept and weights; the leads without a heart weigh together a quarter of those with one."""
    model = LogisticRegression(C=10.0, max_iter=10_000)
    weights = np.concatenate([np.ones(len(hearts)), np.full(len(none), len(hearts) / len(none) / _WORTH)])
    labels = np.concatenate([np.ones(len(hearts)), np.zeros(len(none))])
    model.fit(np.concatenate([hearts, none]), labels, sample_weight=weights)
    return [round(float(value), 2) for value in (model.intercept_[0], *model.coef_[0])]

"""The rule by which a lead holds a heart, fitted on real recordings and on simulated ones without any."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from model.bundle import read_bundle
from model.engine import LeadEngine
from model.lead_reader import LeadReader
from model.nn.waves import limb_mix
from model.reading.heart import LOGIT, evidence
from model.reading.spans import Floats, Spans
from model.signal.leads import STANDARD_LEADS
from model.signal.recording import Recording
from model.signal.spec import SPEC, InputSpec
from training.data.dataset import PreparedSet, read_prepared
from training.errors import TrainingError
from training.rules.heartless import FAMILIES, RATES_HZ, heartless

RARE = ("AF", "AFL", "PACE", "STach", "SB", "SVPB", "PAC", "LBBB", "CRBBB", "LQRSV")
"""What makes the beats of a heart unlike, fast, slow or small: half of the records have one of these."""
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


def run(bundle: Path, data: Path, *, records: int = 600, simulated: int = 60) -> dict[str, Any]:
    """Fit the rule, and count on other recordings how often the shipped one is wrong.

    Args:
        bundle: with a graph for any leads.
        data: prepared folder; the rule is fitted on its train split and its mistakes are counted on val.
        records: how many of each split, half of them of rare rhythms and shapes where there are enough; each is read
            whole, and one of its leads alone.
        simulated: recordings of each heartless family to fit on, and as many to count on.

    Returns:
        `fitted` and `shipped` coefficients, and what the shipped rule says: `with_heart`, of records, `alone`, of their
        single leads, and `without_heart`, of heartless recordings of one, two and twelve leads, are those with waves.

    Raises:
        TrainingError: no record in either split.
    """
    opened = read_bundle(bundle)
    engine, spec = LeadEngine(opened), opened.manifest.spec
    prepared = read_prepared(data)
    learnt, others = (list(_recordings(prepared, split, records)) for split in ("train", "val"))
    if not (learnt and others):
        raise TrainingError(f"{data} has no record in its train or in its val split")
    watching = [_Watching(engine, spec), _Watching(engine, spec)]
    for reader, recordings in zip(watching, (learnt, _simulated(0, simulated)), strict=True):
        for recording in recordings:
            reader.waves(recording)
    hearts, none = (np.concatenate(reader.seen) for reader in watching)
    shipped = LeadReader(engine, spec)
    heartless_others = list(_simulated(simulated, simulated))
    whole, alone = ([any(shipped.waves(one).values()) for one in some] for some in (others[::2], others[1::2]))
    return {
        "fitted": _fitted(hearts, none),
        "shipped": list(LOGIT),
        "with_heart": float(np.mean(whole)),
        "alone": float(np.mean(alone)),
        "without_heart": sum(any(shipped.waves(one).values()) for one in heartless_others),
        "simulated": len(heartless_others),
        "records": len(whole),
    }


def _recordings(prepared: PreparedSet, split: str, records: int) -> Iterator[Recording]:
    """Some records of a split, each whole and then by one of its leads under another name."""
    rare = (prepared.labels_of(RARE) == 1).any(axis=1)[prepared.window_record]
    chosen = (prepared.splits == split)[prepared.window_record]
    of_either = [_spread(np.flatnonzero(chosen & kind), records // 2) for kind in (rare, ~rare)]
    for row in np.sort(np.concatenate(of_either)).tolist():
        signal_mv = limb_mix().numpy() @ prepared.windows[row].astype(np.float32)
        yield Recording(signal_mv, SPEC.sampling_hz, STANDARD_LEADS)
        lead = row % len(STANDARD_LEADS)
        yield Recording(signal_mv[lead : lead + 1], SPEC.sampling_hz, ("lead",))


def _spread(rows: npt.NDArray[np.intp], wanted: int) -> npt.NDArray[np.intp]:
    """So many of some rows, evenly from the first to the last."""
    if len(rows) == 0:
        return rows
    return np.unique(rows[np.linspace(0, len(rows) - 1, min(wanted, len(rows))).astype(int)])


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

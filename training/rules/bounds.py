"""The bounds of the quality verdict beyond which nothing beats like a heart, set on records that people have read."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from model.reading.spans import Floats
from model.signal.beat_shape import ALIKE, CHANGED, change, cut_beats, likeness, median_beat
from model.signal.lead_features import lead_features
from model.signal.leads import STANDARD_LEADS
from model.signal.quality import BEATING, COPIED, at_common_rate, check_quality, telling_leads
from model.signal.recording import Recording
from training.errors import TrainingError
from training.rules.heartless import FAMILIES, RATES_HZ, heartless
from training.sources import find_source, open_source
from training.sources.catalogue import Source, Split


class Bounds(NamedTuple):
    """What is bounded: the first and third from below, the others from above."""

    likeness: float
    change: float
    beating: float
    copied: float


LOST = Bounds(likeness=1e-3, change=5e-4, beating=1e-4, copied=0.0)
"""Shares of the train records beyond each bound: the more, the more heartless recordings it stops."""
COPY = 1.0
SHIPPED = Bounds(ALIKE, CHANGED, BEATING, COPIED)
_SIGN = np.array([1.0, -1.0, 1.0, -1.0])  # makes each of them bounded from below
_HUNDREDTHS = 100


def run(data: Path, *, source: str | None = None, simulated: int = 60) -> dict[str, Any]:
    """Set the bounds on the train split, and count what the shipped verdict refuses and lets pass.

    Args:
        data: a database as published, with splits of its own.
        source: which one it is; found by its files where None.
        simulated: heartless recordings of twelve leads, of each family.

    Returns:
        `fitted` and `shipped` bounds; `refused` of the `records` of either split; of `simulated` heartless recordings
        those `stopped` by each shipped bound, and those that `passed` the verdict, by family.

    Raises:
        TrainingError: no record in the train or in the val split.
    """
    opened = open_source(source or find_source(data), data)
    told = {split: _seen(_recordings(opened, split)) for split in ("train", "val")}
    if empty := [split for split, rows in told.items() if not len(rows)]:
        raise TrainingError(f"{data} has no record in its split {empty[0]}")
    none = {family: _seen(_simulated(family, simulated)) for family in FAMILIES}
    every = np.concatenate(list(none.values()))
    return {
        "fitted": fitted(told["train"][:, :-1])._asdict(),
        "shipped": SHIPPED._asdict(),
        "refused": {split: int(rows[:, -1].sum()) for split, rows in told.items()},
        "records": {split: len(rows) for split, rows in told.items()},
        "stopped": Bounds(*_beyond(every[:, :-1], SHIPPED).sum(axis=0).tolist())._asdict(),
        "passed": {family: passed for family, rows in none.items() if (passed := int((rows[:, -1] == 0).sum()))},
        "simulated": len(every),
    }


def fitted(told: Floats) -> Bounds:
    """Bounds in hundredths, from (recording, bound): those that lose their share or a little less.

    Copies are all alike, so their bound is halfway between them and the recording that comes nearest.
    """
    lost = np.array([np.nanquantile(column, share) for column, share in zip((told * _SIGN).T, LOST, strict=True)])
    lost[-1] = (lost[-1] - COPY) / 2
    return Bounds(*(np.floor(lost * _HUNDREDTHS) / _HUNDREDTHS * _SIGN).tolist())


def _beyond(told: Floats, bounds: Bounds) -> npt.NDArray[np.bool_]:
    """Which recordings are stopped by which bound, (recording, bound); too few beats are stopped by the first."""
    return np.asarray(~(told * _SIGN >= np.array(bounds) * _SIGN))


def _seen(recordings: Iterable[Recording]) -> Floats:
    """(recording, 5): what is bounded, and whether the verdict refuses the recording."""
    return np.array([(*_told(one), check_quality(one).verdict == "unusable") for one in recordings], dtype=np.float64)


def _told(recording: Recording) -> Bounds:
    """What the verdict compares with its bounds; NaN where there are too few beats."""
    names, common = at_common_rate(recording)
    features = lead_features(common)
    telling = telling_leads(names, check_quality(recording).poor_leads)
    beats = cut_beats(common[[names.index(name) for name in telling]])
    shape = (np.nan, np.nan)
    if beats is not None:
        shape = (likeness(beats, median_beat(beats)), change(beats))
    return Bounds(*shape, features.beating, features.copied)


def _recordings(source: Source, split: Split) -> Iterator[Recording]:
    return (source.read(entry) for entry in source.entries if entry.split == split)


def _simulated(family: str, count: int) -> Iterator[Recording]:
    """Heartless recordings of twelve leads."""
    for number in range(count):
        hz = RATES_HZ[number % len(RATES_HZ)]
        yield Recording(heartless(family, number, leads=12, sampling_hz=hz).astype(np.float32), hz, STANDARD_LEADS)

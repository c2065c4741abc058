"""Marked records with a pacemaker's spikes laid before their waves, so that a spike is learnt to be none of them.

Marked databases hold few paced hearts, and a network that saw three of them begins QRS at the spike and takes a spike
for P. The spike is a dipole, seen by every lead as it sees the heart's, at most 2 ms long before the recorder's own
filters; what it leaves on the electrode dies away over some ten ms. Paced beats are broad, so that every record with a
broad QRS gets spikes and of the others a part.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from model.reading.beats import match_beats
from model.reading.waves import WaveKind
from model.signal.recording import Recording
from training.sources.ludb import MarkedRecord
from training.sources.simulated.ecg import twelve_leads
from training.waves.metrics import intervals, marked_waves

Array = npt.NDArray[np.float64]

SHARE = 0.4  # of the records with a narrow QRS that get spikes
BROAD_MS = 110.0
_CHAMBERS: tuple[tuple[WaveKind, ...], ...] = (("QRS",), ("QRS",), ("QRS",), ("P", "QRS"), ("P",))
_BEFORE_MS: dict[WaveKind, tuple[float, float]] = {"P": (6.0, 30.0), "QRS": (4.0, 20.0)}
_JITTER_MS = 1.5
_SIZE_MV = (0.15, 8.0)  # bipolar to unipolar
_SIZE_SPREAD = 0.15  # from spike to spike, as a share: a recorder's samples meet it anywhere
_BLUR_MS = (0.0, 5.0)  # standard deviation; half of the spikes have none
_LEFT_SHARE = (-0.3, 0.3)
_LEFT_MS = (5.0, 40.0)
_LONGEST_MS = 200.0


@dataclass(frozen=True, eq=False)
class _Pacer:
    """What one electrode does in one record.

    Attributes:
        dipole_mv: of its spike, (3,).
        before_ms: from the spike to the wave that it sets off.
        blur_ms: what the recorder's filter makes of it.
        left: height of what stays on the electrode, as a share of the blurred spike.
        left_ms: how fast that dies away.
    """

    dipole_mv: Array
    before_ms: float
    blur_ms: float
    left: float
    left_ms: float

    def shape(self, times_ms: Array, step_ms: float) -> Array:
        """The spike at some times from its middle, for samples that far apart."""
        spike = np.clip(1.0 - np.abs(times_ms) / step_ms, 0.0, None)  # the two samples beside it share it
        if self.blur_ms > step_ms / 2:
            spike = np.exp(-0.5 * (times_ms / self.blur_ms) ** 2)
        left = np.exp(-times_ms.clip(min=0.0) / self.left_ms) * (times_ms > max(step_ms, 2 * self.blur_ms))
        return np.asarray(spike + self.left * left)


def paced(record: MarkedRecord, random: np.random.Generator) -> MarkedRecord | None:
    """The record with spikes before every QRS, every P or both, its marks as they were; None where it has no such wave.

    Args:
        record: with marks in the twelve standard leads.
        random: draws which, their size and direction, and how long before the wave they come.
    """
    onsets_ms = match_beats(marked_waves(record), record.recording.leads).onset_ms
    times_ms = np.arange(record.recording.signal_mv.shape[1]) * (1000.0 / record.recording.sampling_hz)
    dipole_mv = np.zeros((3, len(times_ms)))
    for kind in _CHAMBERS[int(random.integers(len(_CHAMBERS)))]:
        pacer = _pacer(kind, random)
        for onset_ms in onsets_ms[kind][np.isfinite(onsets_ms[kind])].tolist():
            after_ms = times_ms - (onset_ms - pacer.before_ms + _JITTER_MS * random.standard_normal())
            near = np.flatnonzero(np.abs(after_ms) < _LONGEST_MS)
            size = 1.0 + _SIZE_SPREAD * random.standard_normal()
            spike = size * pacer.shape(after_ms[near], 1000.0 / record.recording.sampling_hz)
            dipole_mv[:, near] += np.outer(pacer.dipole_mv, spike)
    if not dipole_mv.any():
        return None
    signal_mv = (record.recording.signal_mv + twelve_leads(dipole_mv)).astype(np.float32)
    recording = Recording(signal_mv, record.recording.sampling_hz, record.recording.leads)
    return replace(record, recording=recording)


def paced_records(records: Sequence[MarkedRecord], seed: int) -> Iterator[tuple[int, MarkedRecord]]:
    """The records with a broad QRS and about `SHARE` of the others, with spikes, and the place of each one's source.

    Paced records are left alone.

    Args:
        records: with marks.
        seed: of the draws.
    """
    for at, record in enumerate(records):
        random = np.random.default_rng((seed, at, 1))
        broad = intervals(marked_waves(record))["QRS"] >= BROAD_MS
        if "paced" in record.rhythm or not (broad or random.random() < SHARE):
            continue
        made = paced(record, random)
        if made is not None:
            yield at, made


def _pacer(kind: WaveKind, random: np.random.Generator) -> _Pacer:
    direction = random.standard_normal(3)
    size_mv = float(np.exp(random.uniform(*np.log(_SIZE_MV))))
    return _Pacer(
        dipole_mv=size_mv * direction / np.linalg.norm(direction),
        before_ms=float(random.uniform(*_BEFORE_MS[kind])),
        blur_ms=float(random.uniform(*_BLUR_MS) * (random.random() < 0.5)),
        left=float(random.uniform(*_LEFT_SHARE)),
        left_ms=float(random.uniform(*_LEFT_MS)),
    )

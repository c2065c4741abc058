"""Marked records with a pacemaker's spikes laid before their waves, so that a spike is learnt to be none of them.

Marked databases hold few paced hearts, and a network that saw three of them begins QRS at the spike and takes a spike
for P. The spike is a dipole, seen by every lead as it sees the heart's, 2 ms long at most, before the recorder's own
filters; what it leaves on the electrode dies away over some ten ms.
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
from training.waves.metrics import marked_waves

Array = npt.NDArray[np.float64]

SHARE = 0.5  # of the records that get spikes
_CHAMBERS: tuple[tuple[WaveKind, ...], ...] = (("QRS",), ("QRS",), ("QRS",), ("P", "QRS"), ("P",))
_BEFORE_MS: dict[WaveKind, tuple[float, float]] = {"P": (6.0, 30.0), "QRS": (4.0, 20.0)}
_JITTER_MS = 1.5
_SIZE_MV = (0.15, 8.0)  # bipolar to unipolar
_SIZE_SPREAD = 0.15  # from spike to spike, as a share: a recorder's samples meet it anywhere
_LEFT_SHARE = (0.02, 0.12)
_LEFT_MS = (8.0, 40.0)


@dataclass(frozen=True, eq=False)
class _Pacer:
    """What one electrode does in one record.

    Attributes:
        dipole_mv: of its spike, (3,).
        before_ms: from the spike to the wave that it sets off.
        left: share of the spike that stays on the electrode, the other way round.
        left_ms: how fast that dies away.
    """

    dipole_mv: Array
    before_ms: float
    left: float
    left_ms: float


def paced(record: MarkedRecord, random: np.random.Generator) -> MarkedRecord | None:
    """The record with spikes before every QRS, every P or both, its marks as they were; None where it has no such wave.

    Args:
        record: with marks in the twelve standard leads.
        random: draws which, their size and direction, and how long before the wave they come.
    """
    onsets_ms = match_beats(marked_waves(record), record.recording.leads).onset_ms
    dipole_mv = np.zeros((3, record.recording.signal_mv.shape[1]))
    for kind in _CHAMBERS[int(random.integers(len(_CHAMBERS)))]:
        pacer = _pacer(kind, random)
        for onset_ms in onsets_ms[kind][np.isfinite(onsets_ms[kind])].tolist():
            place_ms = onset_ms - pacer.before_ms + _JITTER_MS * random.standard_normal()
            size = 1.0 + _SIZE_SPREAD * random.standard_normal()
            _add_spike(dipole_mv, pacer, size, place_ms * record.recording.sampling_hz / 1000.0, record.recording)
    if not dipole_mv.any():
        return None
    signal_mv = (record.recording.signal_mv + twelve_leads(dipole_mv)).astype(np.float32)
    recording = Recording(signal_mv, record.recording.sampling_hz, record.recording.leads)
    return replace(record, recording=recording)


def paced_records(records: Sequence[MarkedRecord], seed: int) -> Iterator[tuple[int, MarkedRecord]]:
    """About a share `SHARE` of the records with spikes, and the place of each one's source; paced ones are left alone.

    Args:
        records: with marks.
        seed: of the draws.
    """
    for at, record in enumerate(records):
        random = np.random.default_rng((seed, at, 1))
        if "paced" in record.rhythm or random.random() >= SHARE:
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
        left=float(random.uniform(*_LEFT_SHARE)),
        left_ms=float(random.uniform(*_LEFT_MS)),
    )


def _add_spike(dipole_mv: Array, pacer: _Pacer, size: float, at: float, recording: Recording) -> None:
    """Lay one spike over (3, sample), `at` between two samples, which share it."""
    first, count = int(np.floor(at)), dipole_mv.shape[1]
    if not 0 <= first < count - 1:
        return
    dipole_mv[:, first : first + 2] += np.outer(size * pacer.dipole_mv, [first + 1 - at, at - first])
    after_ms = np.arange(1, min(count - first - 1, round(0.2 * recording.sampling_hz))) * 1000.0 / recording.sampling_hz
    tail = -pacer.left * np.exp(-after_ms / pacer.left_ms)
    dipole_mv[:, first + 2 : first + 2 + len(tail)] += np.outer(size * pacer.dipole_mv, tail)

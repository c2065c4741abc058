"""The beats of a recording cut out and laid over each other: their median, and whether they are a heart's.

What beats twice looks alike, and a QRS complex comes back to where it began. Bursts of muscle noise do not repeat
themselves, and the jump of an electrode does not come back.
"""

import numpy as np
import numpy.typing as npt
from scipy import signal as dsp

from model.signal.lead_features import mean, quantile

Array = npt.NDArray[np.float32]

RATE_HZ = 100.0  # of the signals that are looked at
BEFORE, AFTER = 30, 45  # samples of a beat to either side of its steepest point
BASELINE = slice(18, 24)  # between P and QRS
MIN_BEATS = 3
QRS = slice(22, 39)
BESIDE = (20, 40)  # 100 ms to either side
# As `python -m training bounds` sets them, on PTB-XL's train split.
ALIKE, UNLIKE = 0.66, 0.6  # correlation of a beat with the median, and the share of beats that need not reach it
CHANGED = 0.48  # of a QRS complex, by which the level may change over it
ENOUGH_LEADS = 1 / 3


def cut_beats(signal_mv: Array) -> Array | None:
    """Every whole beat, (lead, sample, beat), against the level between P and QRS; None with too few beats.

    Args:
        signal_mv: (lead, sample) at `RATE_HZ`.
    """
    slope = np.abs(signal_mv[:, 1:] - signal_mv[:, :-1])
    slope /= _partitioned(slope, 0.98)[:, None] + np.float32(1e-6)
    steep = np.convolve(np.minimum(slope, 2).sum(axis=0), np.full(8, 1 / 8, dtype=np.float32), "same")
    peaks, _ = dsp.find_peaks(steep, height=0.45 * _partitioned(steep, 0.985), distance=BEFORE)
    peaks = peaks[(peaks >= BEFORE) & (peaks < signal_mv.shape[1] - AFTER)]
    if len(peaks) < MIN_BEATS:
        return None
    beats = signal_mv[:, np.arange(-BEFORE, AFTER)[:, None] + peaks]  # sorted along the last axis, hence beats there
    beats -= mean(beats[:, BASELINE], axis=1)
    return beats


def median_beat(beats: Array) -> Array:
    """Median over (lead, sample, beat), (lead, sample)."""
    return np.asarray(quantile(np.sort(beats, axis=2), 0.5))


def beats_of_a_heart(beats: Array, median: Array) -> bool:
    """Whether enough beats look alike, and come back to their level in enough leads.

    Args:
        beats: (lead, sample, beat).
        median: of them, (lead, sample).
    """
    return likeness(beats, median) >= ALIKE and change(beats) <= CHANGED


def likeness(beats: Array, median: Array) -> float:
    """Correlation with the median, over all leads at once, that all but `UNLIKE` of the beats reach.

    A heart's beat that is alike in one lead is alike in the others; what jumps anew each time goes up in some leads and
    down in others.
    """
    shapes, shape = (part[:, QRS] - mean(part[:, QRS], axis=1) for part in (beats, median))
    product = np.einsum("lsb,ls->b", shapes, shape)
    size = np.sqrt(np.einsum("lsb,lsb->b", shapes, shapes) * np.einsum("ls,ls->", shape, shape))
    return float(quantile(np.sort(product / (size + np.float32(1e-9))), UNLIKE))


def change(beats: Array) -> float:
    """How much of its height a QRS complex changes the level by, the median over beats, in a third of the leads."""
    changed = np.abs(beats[:, BESIDE[1]] - beats[:, BESIDE[0]]) / (np.ptp(beats[:, QRS], axis=1) + np.float32(1e-6))
    needed = max(1, round(ENOUGH_LEADS * len(beats))) - 1
    return float(np.sort(quantile(np.sort(changed, axis=1), 0.5))[needed])


def _partitioned(values: Array, share: float) -> Array:
    """The value that this share of the last axis does not exceed."""
    at = int(share * (values.shape[-1] - 1))
    return np.asarray(np.partition(values, at, axis=-1)[..., at])

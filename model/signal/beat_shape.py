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
# Of 1,900 recordings that readers accept, in a third of the leads at least, the most alike six tenths of the beats
# correlate with their median by more than 0.80, and the level changes by less than half of the QRS, in all but 4.
ALIKE, MOST = 0.8, 0.6
CHANGED = 0.45
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
    """Whether the beats of enough leads look alike and come back to their level.

    Args:
        beats: (lead, sample, beat).
        median: of them, (lead, sample).
    """
    shapes, shape = (_normed(part[:, QRS]) for part in (beats, median[:, :, None]))
    alike = np.sort(np.einsum("lsb,ls->lb", shapes, shape[:, :, 0]), axis=1)
    changed = np.abs(beats[:, BESIDE[1]] - beats[:, BESIDE[0]]) / (np.ptp(beats[:, QRS], axis=1) + np.float32(1e-6))
    needed = max(1, round(ENOUGH_LEADS * len(beats))) - 1
    return bool(
        np.sort(quantile(alike, MOST))[::-1][needed] >= ALIKE
        and np.sort(quantile(np.sort(changed, axis=1), 0.5))[needed] <= CHANGED
    )


def _normed(beats: Array) -> Array:
    """Each (lead, sample, beat) without its mean and at length one, so that products are correlations."""
    centred = beats - mean(beats, axis=1)
    centred /= np.sqrt(np.einsum("lsb,lsb->lb", centred, centred))[:, None] + np.float32(1e-9)
    return np.asarray(centred)


def _partitioned(values: Array, share: float) -> Array:
    """The value that this share of the last axis does not exceed."""
    at = int(share * (values.shape[-1] - 1))
    return np.asarray(np.partition(values, at, axis=-1)[..., at])

"""Whether electrodes look swapped: limb leads that point the wrong way, chest leads out of order.

Einthoven's law holds for swapped limb electrodes too, so it cannot tell; what tells is the shape of the average beat.
V6 looks at the heart from the left, as I does, and from below, as II does: with the arms swapped I is its mirror image,
P wave and all, with the right arm and the left leg swapped II is. With the right arm and the right leg swapped II is
almost a line (Kors JA, van Herpen G. J Electrocardiol 2009;42:506). A swap of left arm and left leg is not told. Along
the chest each lead resembles its neighbours most; if another order of two electrodes makes neighbours resemble each
other more, they may be swapped. Measured on 1,400 records of PTB-XL, which hold right axes and infarctions: each rule
suspects fewer than 1 in 100 as they are; with the arms swapped 95 in 100, right arm and left leg 94, right arm and
right leg 98, two chest leads that are not neighbours 89 to 100 (V4 and V6: 52), neighbours 8 (V5 and V6) to 77.
"""

from itertools import combinations

import numpy as np
import numpy.typing as npt
from scipy import signal as dsp

from model.signal.leads import CHEST_LEADS

Array = npt.NDArray[np.float64]

RATE_HZ = 100.0  # of the signals that are looked at
BEFORE, AFTER = 30, 45  # samples of a beat to either side of its steepest point
SHAPE = slice(8, 72)  # P to T
P_WAVE = slice(8, 22)
BASELINE = slice(18, 24)  # between P and QRS
MIN_BEATS = 3
MIRRORED = -0.2  # correlation with V6
LINE = 0.12  # movement of II over that of I or III
BETTER_ORDER = 0.35  # gain in the sum of five correlations between neighbours

_ORDERS = np.array(
    [
        np.where(np.arange(6) == first, second, np.where(np.arange(6) == second, first, np.arange(6)))
        for first, second in combinations(range(6), 2)
    ]
)
"""Every order of the six chest leads that one swap makes, (15, 6)."""


def average_beat(signal_mv: Array) -> Array | None:
    """Median over the beats, (lead, sample), against the level between P and QRS; None with too few beats.

    Args:
        signal_mv: (lead, sample) at `RATE_HZ`.
    """
    slope = np.abs(np.diff(signal_mv, axis=1))
    steep = np.minimum(slope / (np.quantile(slope, 0.98, axis=1, keepdims=True) + 1e-6), 2.0).sum(axis=0)
    steep = np.convolve(steep, np.full(8, 1 / 8), "same")
    peaks, _ = dsp.find_peaks(steep, height=0.45 * np.quantile(steep, 0.985), distance=BEFORE)
    peaks = peaks[(peaks >= BEFORE) & (peaks < signal_mv.shape[1] - AFTER)]
    if len(peaks) < MIN_BEATS:
        return None
    beats = signal_mv[:, peaks[:, None] + np.arange(-BEFORE, AFTER)]
    beats = beats - beats[:, :, BASELINE].mean(axis=2, keepdims=True)
    return np.asarray(np.median(beats, axis=1))


def limbs_look_swapped(beat: Array, leads: tuple[str, ...]) -> bool:
    """Whether I or II is the mirror image of V6, or II almost a line; False where a lead is missing."""
    rows = dict(zip(leads, beat, strict=True))
    if not {"I", "II", "III", "V6"} <= rows.keys():
        return False
    moves = {name: float(np.ptp(rows[name])) for name in ("I", "II", "III")}
    line = moves["II"] < LINE * max(moves["I"], moves["III"])
    return line or any(_mirrored(rows[name], rows["V6"]) for name in ("I", "II"))


def chest_looks_swapped(beat: Array, leads: tuple[str, ...]) -> bool:
    """Whether swapping two chest leads would make neighbours resemble each other more; False where one is missing."""
    if not set(CHEST_LEADS) <= set(leads):
        return False
    alike = np.corrcoef((beat + _TILT)[[leads.index(name) for name in CHEST_LEADS], SHAPE])
    as_named = float(np.diagonal(alike, offset=1).sum())
    best = float(alike[_ORDERS[:, :-1], _ORDERS[:, 1:]].sum(axis=1).max())
    return best - as_named > BETTER_ORDER


_TILT = 1e-9 * np.arange(BEFORE + AFTER)
"""Too small to matter, and enough that a line has a correlation."""


def _mirrored(one: Array, other: Array) -> bool:
    """Whether a beat is upside down, and its P wave with it."""
    return _alike(one, other, SHAPE) < MIRRORED and _alike(one, other, P_WAVE) < 0


def _alike(one: Array, other: Array, stretch: slice) -> float:
    return float(np.corrcoef((one + _TILT)[stretch], (other + _TILT)[stretch])[0, 1])

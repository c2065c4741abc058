"""What tells a lead with a heart in it from one without, in numbers, all leads at once.

What speaks most is agreement: the leads of one heart show their QRS complexes at the same time, so the slope of a
usable lead rises and falls with that of the others, and noise, an electrode that is off or a torn cable do not. But
no two leads see the heart from the same side: leads that are copies of one another share an amplifier, not a patient.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

COMMON_HZ = 100.0  # every source can be brought here, so that the verdict does not hang on the rate
FLAT_MV = 0.02  # less movement than the smallest wave of IEC 60601-2-51
RAIL_MV = 5.0  # beyond the input range of a diagnostic cart's signal (IEC 60601-2-25: +-5 mV)
STEP = 5  # samples, 50 ms at the common rate; two are as long as a QRS complex
ENDS = 10  # samples at either end in which a resampled tone swings
STEADY = 0.01  # of its level: a slope that varies no more than this is a tone's and agrees with none
MANY_LEADS = 7  # the six limb leads see the heart from two sides alone
TINY = np.float32(1e-9)


@dataclass(frozen=True, eq=False)
class Features:
    """What is known of each lead, (lead,) each, in mV where it is an amplitude.

    Attributes:
        still: moves less than `FLAT_MV` in three seconds out of four, as in a long pause.
        flat: is still, also in those seconds in which half of the leads move.
        railed: is still far from zero, whatever it does at times, and counts as flat.
        disagreement: 1 minus the median correlation of its slope with that of the other leads; NaN if not recorded.
        burst_mv: largest movement within a second, the median over stretches of 10 s.
        usual_mv: median movement within a second.
        wander_mv: movement of the baseline.
        peakedness: kurtosis of the slope; a sine has 1.5, noise 3, a lead with QRS complexes 4 and far more.
        copied: how far all leads are one signal, 0 to 1, one number; 0 with fewer than seven leads that move.
    """

    still: npt.NDArray[np.bool_]
    flat: npt.NDArray[np.bool_]
    railed: npt.NDArray[np.bool_]
    disagreement: Array
    burst_mv: Array
    usual_mv: Array
    wander_mv: Array
    peakedness: Array
    copied: float

    @property
    def beating(self) -> float:
        """Median peakedness of the leads that move; 0 without any."""
        moving = np.sort(self.peakedness[~self.flat])
        return float(quantile(moving, 0.5)) if len(moving) else 0.0

    def row(self) -> npt.NDArray[np.float64]:
        """What the acceptability rests on, (5,): see the comments."""
        blank = self.flat & ~self.railed
        told = np.sort(self.disagreement[~blank])
        told = told if len(told) > 1 else np.ones(2, np.float32)
        burst = np.sort(np.where(blank, 0.0, self.burst_mv))[-min(4, len(blank))]
        return np.array(
            [
                told[-1],  # the lead that agrees least
                told[-2],  # the next
                quantile(told, 0.5),
                min(max(math.log(max(burst, 0.1)), -2.0), 3.0),  # a third of the leads move at least so much
                float(self.railed.any()),
            ]
        )


def lead_features(common: Array) -> Features:
    """What is known of each lead of (lead, sample) at `COMMON_HZ`, in mV."""
    seconds = _blocks(common, seconds=1.0)
    moves = seconds.max(axis=2) - seconds.min(axis=2)
    usual = np.sort(moves, axis=1)
    still = quantile(usual, 0.75) < FLAT_MV
    railed = still.copy()
    if still.any():
        railed[still] = np.abs(np.median(common[still], axis=1)) > RAIL_MV
    flat = railed | _flat(moves, still)
    baseline = _means(_blocks(common, seconds=0.5))
    slope = common[:, 1:] - common[:, :-1]
    slope = slope[:, ENDS:-ENDS] if slope.shape[1] > 4 * ENDS else slope
    peakedness, copied = _shape(slope, ~flat)
    return Features(
        still=still,
        flat=flat,
        railed=railed,
        disagreement=np.where(railed, np.float32(1), _disagreement(slope, flat)),
        burst_mv=_burst(moves),
        usual_mv=quantile(usual, 0.5),
        wander_mv=baseline.max(axis=1) - baseline.min(axis=1),
        peakedness=peakedness,
        copied=copied,
    )


def quantile(ordered: Array, share: float) -> Array:
    """Along the last axis, which is sorted: `numpy.quantile` in a tenth of its time."""
    at = share * (ordered.shape[-1] - 1)
    low = int(at)
    high = min(low + 1, ordered.shape[-1] - 1)
    return np.asarray(ordered[..., low] * (low + 1 - at) + ordered[..., high] * (at - low), dtype=np.float32)


def mean(values: Array, axis: int) -> Array:
    """Mean along an axis, which stays: `numpy.mean` to the bit, in two thirds of its time on arrays this small."""
    return np.asarray(values.sum(axis=axis, keepdims=True) / np.float32(values.shape[axis]))


def _means(values: Array) -> Array:
    """Along the last axis, by BLAS: `numpy.mean` in a quarter of its time."""
    share = np.full(values.shape[-1], 1 / values.shape[-1], dtype=np.float32)
    return np.asarray(values @ share)


def _flat(moves: Array, still: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Which still leads do not move with the others either, (lead,), from (lead, second)."""
    together = np.count_nonzero(moves >= FLAT_MV, axis=0) >= len(moves) / 2 if still.any() else still[:0]
    if not together.any():
        return still.copy()
    return np.asarray(still & (quantile(np.sort(moves[:, together], axis=1), 0.75) < FLAT_MV))


def _burst(moves: Array) -> Array:
    """Median over stretches of 10 s of the largest of (lead, second)."""
    tens = max(1, moves.shape[1] // 10)
    if tens == 1:
        return np.asarray(moves.max(axis=1))
    largest = np.stack([stretch.max(axis=1) for stretch in np.array_split(moves, tens, axis=1)], axis=1)
    return quantile(np.sort(largest, axis=1), 0.5)


def _blocks(signal_mv: Array, *, seconds: float) -> Array:
    """(lead, block, sample) of whole blocks, or one block of what there is."""
    width = min(round(seconds * COMMON_HZ), signal_mv.shape[1])
    whole = signal_mv.shape[1] // width
    return signal_mv[:, : whole * width].reshape(len(signal_mv), whole, width)


def _shape(slope: Array, alive: npt.NDArray[np.bool_]) -> tuple[Array, float]:
    """Kurtosis of each lead's slope, and how far the living leads are one signal up to its size and sign."""
    if slope.shape[1] == 0:
        return np.zeros(len(slope), np.float32), 0.0
    centred = slope - _means(slope)[:, None]
    squares = centred * centred
    energy = squares.sum(axis=1) + TINY
    peakedness = slope.shape[1] * np.einsum("ls,ls->l", squares, squares) / energy**2
    if alive.sum() < MANY_LEADS:
        return peakedness, 0.0
    alike = (centred @ centred.T) ** 2 / (energy * energy[:, None])
    return peakedness, float(np.sqrt((alike if alive.all() else alike[np.ix_(alive, alive)]).mean()))


def _disagreement(slope: Array, flat: npt.NDArray[np.bool_]) -> Array:
    """1 minus each lead's median correlation with the others that live, in how steep it is over 100 ms; NaN if flat."""
    told = np.full(len(slope), np.nan, dtype=np.float32)
    if flat.all() or slope.shape[1] < 4 * STEP:
        return told
    living = slope[~flat] if flat.any() else slope
    steps = (living.shape[1] - 1) // STEP
    climbed = _means(np.abs(living[:, 1 : 1 + steps * STEP]).reshape(len(living), steps, STEP))
    steep = climbed[:, 1:] + climbed[:, :-1]
    high = steep.shape[1] - max(1, steep.shape[1] // 20)
    usual = np.partition(steep, high, axis=1)[:, high]
    np.minimum(steep, 3 * usual[:, None], out=steep)  # an artefact is not everything
    level = mean(steep, axis=1)
    steep -= level
    size = np.sqrt((steep * steep).sum(axis=1, keepdims=True))
    steep /= size + STEADY * level * np.float32(steep.shape[1] ** 0.5) + TINY
    told[~flat] = 1 - np.clip(_median_others(steep @ steep.T), -1, 1)
    return told


def _median_others(alike: Array) -> Array:
    """Median of each row without its own column; a lead alone agrees with itself."""
    if len(alike) == 1:
        return np.ones(1, np.float32)
    np.fill_diagonal(alike, np.inf)
    return quantile(np.sort(alike, axis=1)[:, :-1], 0.5)

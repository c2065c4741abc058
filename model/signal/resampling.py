"""(lead, sample) at one rate to another: the polyphase resampling of scipy, as a product of matrices.

Each output of `scipy.signal.resample_poly` is a weighted sum of the inputs around it, and the weights repeat with every
period of the ratio. So a stretch of inputs times one matrix is a stretch of outputs, which BLAS does for all stretches
of all leads at once, eight times as fast as scipy filters them. A stretch overlaps its neighbours; cut into steps that
do not, it is a few rows of one matrix, one after the other, and nothing is copied.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import signal as dsp

Array = npt.NDArray[np.float32]

CROSSINGS = 10  # of zero on either side of the anti-alias filter, as many as scipy's
LARGEST_TERM = 2000  # of a ratio of rates: off by 0.1 ms in 5 minutes at most
LARGEST_MATRIX_TERM = 400  # every rate that carts use; beyond it the matrix is mostly zeros and scipy is faster
STRETCH = 24  # outputs, about


@dataclass(frozen=True, eq=False)
class _Stretch:
    """How one stretch of inputs becomes one of outputs.

    Attributes:
        step: inputs from one stretch to the next.
        reach: inputs that are needed before and after it.
        outputs: of a stretch.
        weights: (step or what is left, output) for each step of reach + step + reach inputs, in their order.
    """

    step: int
    reach: int
    outputs: int
    weights: tuple[Array, ...]


def resample(signal_mv: Array, from_hz: float, to_hz: float) -> Array:
    """Polyphase resampling of (lead, sample), anti-aliased and zero phase.

    Beyond its ends a lead is taken to go on along the line from its first to its last sample.
    """
    ratio = _ratio(from_hz, to_hz)
    if ratio == 1:
        return signal_mv
    if max(ratio.numerator, ratio.denominator) > LARGEST_MATRIX_TERM:
        return _resample_by_scipy(signal_mv, ratio)
    leads, samples = signal_mv.shape
    stretch, outputs = _stretch(ratio), -(-samples * ratio.numerator // ratio.denominator)
    steps = -(-outputs // stretch.outputs) + len(stretch.weights) - 1
    rows = _continued(signal_mv, stretch.reach, steps * stretch.step).reshape(-1, stretch.step)
    resampled = np.empty((len(rows), stretch.outputs), dtype=np.float32)
    whole = len(rows) - len(stretch.weights) + 1  # beyond it, as in each lead's last steps, a stretch is cut off
    np.matmul(rows[:whole], stretch.weights[0], out=resampled[:whole])
    for later, weights in enumerate(stretch.weights[1:], start=1):
        resampled[:whole] += rows[later : later + whole, : len(weights)] @ weights
    return np.asarray(resampled.reshape(leads, -1)[:, :outputs] + signal_mv[:, :1])


def _continued(signal_mv: Array, before: int, length: int) -> Array:
    """Each lead less its first sample, its line from first to last going on at either end, (lead, length)."""
    leads, samples = signal_mv.shape
    continued = np.empty((leads, length), dtype=np.float32)
    level = np.subtract(signal_mv, signal_mv[:, :1], out=continued[:, before : before + samples])
    slope = level[:, -1:] / np.float32(max(samples - 1, 1))
    np.multiply(slope, np.arange(-before, 0, dtype=np.float32), out=continued[:, :before])
    after = np.arange(samples, length - before, dtype=np.float32)
    np.multiply(slope, after, out=continued[:, before + samples :])
    return continued


@lru_cache(maxsize=64)
def _ratio(from_hz: float, to_hz: float) -> Fraction:
    return Fraction(to_hz / from_hz).limit_denominator(LARGEST_TERM)


@lru_cache(maxsize=32)
def _stretch(ratio: Fraction) -> _Stretch:
    """The weights of each input in each output, from where both lie on the grid that holds the samples of either."""
    up, down = ratio.numerator, ratio.denominator
    taps, half = up * _antialias(max(up, down)), CROSSINGS * max(up, down)
    periods, reach = max(1, STRETCH // up), -(-half // up)
    at_input = up * (np.arange(2 * reach + periods * down) - reach)
    at_output = down * np.arange(periods * up)
    apart = at_output - at_input[:, None]
    weights = np.where(np.abs(apart) <= half, taps[np.clip(apart + half, 0, 2 * half)], np.float32(0))
    step = periods * down
    parts = tuple(weights[row : row + step].copy() for row in range(0, len(weights), step))
    return _Stretch(step=step, reach=reach, outputs=periods * up, weights=parts)


@lru_cache(maxsize=32)
def _antialias(larger: int) -> Array:
    """The anti-alias filter of scipy itself for a ratio with this larger term; its design costs 0.5 ms a call."""
    taps = dsp.firwin(2 * CROSSINGS * larger + 1, 1 / larger, window=("kaiser", 5.0))
    return np.asarray(taps, dtype=np.float32)


def _resample_by_scipy(signal_mv: Array, ratio: Fraction) -> Array:
    up, down = ratio.numerator, ratio.denominator
    resampled = dsp.resample_poly(  # type: ignore[call-overload]  # the stubs know no window that is an array of taps
        signal_mv, up, down, axis=-1, window=_antialias(max(up, down)), padtype="line"
    )
    return np.asarray(resampled, dtype=np.float32)

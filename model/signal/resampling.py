"""(lead, sample) at one rate to another: the polyphase resampling of scipy, as a product of matrices.

Each output of `scipy.signal.resample_poly` is a weighted sum of the inputs around it, and the weights repeat with every
period of the ratio. So a stretch of inputs times one matrix is a stretch of outputs, which BLAS does for all stretches
of a lead at once, five times as fast as scipy filters them.
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
STRETCH = 32  # outputs, about


@dataclass(frozen=True, eq=False)
class _Stretch:
    """How one stretch of inputs becomes one of outputs.

    Attributes:
        step: inputs from one stretch to the next.
        reach: inputs that are needed before and after it.
        weights: (reach + step + reach, output).
    """

    step: int
    reach: int
    weights: Array


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
    width, wide = stretch.weights.shape
    first = signal_mv[:, :1]
    level = _continued(signal_mv - first, stretch.reach, (-(-outputs // wide) - 1) * stretch.step + width)
    stretches = np.lib.stride_tricks.sliding_window_view(level, width, axis=1)[:, :: stretch.step]
    resampled = np.ascontiguousarray(stretches).reshape(-1, width) @ stretch.weights
    return np.asarray(resampled.reshape(leads, -1)[:, :outputs] + first)


def _continued(signal_mv: Array, before: int, length: int) -> Array:
    """Each lead with its line from first to last sample going on at either end, (lead, length)."""
    leads, samples = signal_mv.shape
    slope = (signal_mv[:, -1:] - signal_mv[:, :1]) / np.float32(max(samples - 1, 1))
    continued = np.empty((leads, length), dtype=np.float32)
    continued[:, before : before + samples] = signal_mv
    continued[:, :before] = signal_mv[:, :1] + slope * np.arange(-before, 0, dtype=np.float32)
    after = np.arange(1, length - before - samples + 1, dtype=np.float32)
    continued[:, before + samples :] = signal_mv[:, -1:] + slope * after
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
    return _Stretch(step=periods * down, reach=reach, weights=weights)


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

"""Whether what the network takes for beats is a heart's, lead by lead.

Noise and tones now and then look like a beat to a network. Of a heart's beats the network is sure; they look like one
another, come back to the level where they began, and are followed by T waves. How likely a lead of ten seconds is to
hold a heart is a logistic rule over these five; leads and windows speak for each other.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from model.reading.spans import QRS, Floats, Ints, Spans, T, within

Signals = npt.NDArray[np.float32]

FEWEST_BEATS = 2  # in ten seconds, 12 a minute; with one there is none that it could look like
SHAPE_MS, SHIFT_MS = 60.0, 16.0  # to either side of the middle of a QRS; how far two may be shifted to match
LEVEL_MS = (8.0, 28.0)  # before the onset and after the offset
FEW, HALF = 0.25, 0.5  # of a beat's fellows
LOGIT = (-34.24, 14.54, 0.46, -7.46, 22.77, 5.14)
"""Intercept and weights of `evidence`, as `hearts --records 800` fitted them with the head of bundle 0.3.0: on train
records of PTB-XL, half of them chosen for their rhythm, whole and by one lead, and on simulated recordings without a
heart. A fit with the head of 0.4.0 loses more single leads of val."""
OWN, TOGETHER = 0.0, 3.0  # logits that a lead, and its window, must reach
BOUND = 6.0  # of what one lead can say
SPOKEN_BY = 1 / 3  # of the leads; the others may be poor
AROUND = 2  # windows to either side


class _Beats(NamedTuple):
    """The QRS complexes of some rows.

    Attributes:
        onset: (row, beat), first sample; beats that are not there repeat the last.
        offset: (row, beat), last sample.
        there: bool (row, beat).
    """

    onset: Ints
    offset: Ints
    there: npt.NDArray[np.bool_]


def heart_logits(spans: Spans, rows_mv: Signals, sampling_hz: float) -> Floats:
    """How likely each row holds a heart, (row,), as a logit; minus infinity with too few beats.

    Args:
        spans: what was found in the rows, by row and time.
        rows_mv: (row, sample).
        sampling_hz: of `rows_mv`.
    """
    told = evidence(spans, rows_mv, sampling_hz)
    logits = LOGIT[0] + told @ np.array(LOGIT[1:])
    return np.where(np.isnan(logits), -np.inf, logits)


def hold_heart(logits: Floats) -> npt.NDArray[np.bool_]:
    """Which leads hold a heart in which windows, (window, lead).

    The best third of the leads speaks for a window, and most of the windows around it may speak for it too; a window
    that stands alone among others is not believed.

    Args:
        logits: (window, lead), windows in order of time.
    """
    spoken = max(1, round(SPOKEN_BY * logits.shape[1]))
    best = np.sort(logits.clip(-BOUND, BOUND), axis=1)[:, -spoken:].sum(axis=1) / np.sqrt(spoken)
    if len(best) == 1:
        return np.asarray((logits >= OWN) & (best >= TOGETHER)[:, None])
    padded = np.pad(best, AROUND, constant_values=np.nan)
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * AROUND + 1)  # (window, place)
    supported = np.nanmax(np.delete(around, AROUND, axis=1), axis=1) >= OWN
    speaks = ((best >= TOGETHER) & supported) | (np.nanmedian(around, axis=1) >= TOGETHER)
    return np.asarray((logits >= OWN) & speaks[:, None])


def evidence(spans: Spans, rows_mv: Signals, sampling_hz: float) -> Floats:
    """What the rule rests on, (row, 5); NaN with fewer than `FEWEST_BEATS`. Arguments as those of `heart_logits`.

    Returns:
        Likeness of a beat to its nearest fellows and to half of them, change of level over a QRS in units of its
        height, confidence, medians over beats each, and T waves a QRS.
    """
    qrs = spans[spans.kind == QRS]
    count = np.bincount(qrs.row, minlength=len(rows_mv))
    rows = np.flatnonzero(count >= FEWEST_BEATS)
    told = np.full((len(rows_mv), 5), np.nan)
    if len(rows) == 0:
        return told
    place = np.arange(count.max())
    at = (np.cumsum(count) - count)[rows, None] + np.minimum(place, count[rows, None] - 1)
    step_ms = 1000.0 / sampling_hz
    onset, offset = (np.rint(times / step_ms).astype(np.int64) for times in (qrs.onset_ms[at], qrs.offset_ms[at]))
    beats = _Beats(onset, offset, place < count[rows, None])
    near, half, change = _shapes(beats, rows_mv[rows], step_ms)
    t_waves = np.bincount(spans.row[spans.kind == T], minlength=len(rows_mv))[rows]
    told[rows] = np.stack(
        [near, half, change, _middle(qrs.confidence[at], beats.there), np.minimum(t_waves / count[rows], 1.0)], axis=1
    )
    return told


def _shapes(beats: _Beats, rows_mv: Signals, step_ms: float) -> tuple[Floats, Floats, Floats]:
    """Likeness to the nearest fellows and to half of them, and change of level, (row,) each."""
    wide, shift = round(SHAPE_MS / step_ms), round(SHIFT_MS / step_ms)
    around = _values(rows_mv, (beats.onset + beats.offset) // 2, np.arange(-wide - shift, wide + shift + 1))
    alike = np.sort(_likeness(around, shift, beats.there), axis=2)
    fellows = beats.there.sum(axis=1) - 1
    near, half = (_middle(_nth_best(alike, fellows, share), beats.there) for share in (FEW, HALF))
    beside = np.arange(*(round(level_ms / step_ms) for level_ms in LEVEL_MS))
    before, after = (_values(rows_mv, beats.onset, -beside), _values(rows_mv, beats.offset, beside))
    height = np.ptp(around, axis=2) + np.float32(1e-9)
    return near, half, _middle(np.abs(after.mean(axis=2) - before.mean(axis=2)) / height, beats.there)


def _values(rows_mv: Signals, at: Ints, around: Ints) -> Signals:
    """Samples around some places, (row, beat, sample), those beyond the ends at the ends."""
    places = within(at[:, :, None] + around, 0, rows_mv.shape[1] - 1)
    return np.asarray(rows_mv[np.arange(len(rows_mv))[:, None, None], places])


def _likeness(around: Signals, shift: int, there: npt.NDArray[np.bool_]) -> Signals:
    """How alike every beat is to every other at the best of some shifts, (row, beat, beat); -inf with itself.

    Twice the product over the sum of the squares: a correlation that also falls where two are not of one size.
    """
    rows, count, samples = around.shape
    shifted = np.lib.stride_tricks.sliding_window_view(around, samples - 2 * shift, axis=2)[:, :, ::2]
    shifted = shifted - shifted.mean(axis=3, keepdims=True)  # (row, beat, shift, sample)
    size, middle = np.einsum("rbsw,rbsw->rbs", shifted, shifted), shifted.shape[2] // 2
    product = shifted.reshape(rows, -1, shifted.shape[3]) @ shifted[:, :, middle].transpose(0, 2, 1)
    sizes = size[..., None] + size[:, None, None, :, middle] + np.float32(1e-12)
    alike = (2 * product.reshape(sizes.shape) / sizes).max(axis=2)
    alike = np.minimum(alike, alike.transpose(0, 2, 1))
    alike[:, np.arange(count), np.arange(count)] = -np.inf
    return np.where(there[:, None], alike, np.float32(-np.inf))


def _nth_best(ordered: Signals, fellows: Ints, share: float) -> Floats:
    """How alike each beat is to this share of its fellows at least, (row, beat), from (row, beat, beat) in order."""
    nth = np.maximum(1, (fellows * share).astype(np.int64))
    return ordered[np.arange(len(ordered)), :, -nth].astype(np.float64)


def _middle(values: npt.NDArray[np.floating], there: npt.NDArray[np.bool_]) -> Floats:
    """Median over the beats that are there, (row,)."""
    ordered = np.sort(np.where(there, values, np.inf), axis=1)
    count = there.sum(axis=1)
    rows = np.arange(len(values))
    return np.asarray((ordered[rows, (count - 1) // 2] + ordered[rows, count // 2]) / 2, dtype=np.float64)

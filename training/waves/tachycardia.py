"""Marked records whose hearts beat faster, put together from their own beats, so that P comes close to T and upon it.

Marked databases hold few tachycardias, and a network that never saw a P on the end of a T takes it for a part of T.
In tachycardia it is the pause between T and P that goes first, then ST and T shorten, PR a little, and QRS not at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from model.reading.beats import Beats, match_beats
from model.signal.recording import Recording
from training.sources.ludb import KINDS, MarkedRecord, Marks
from training.waves.metrics import marked_waves

Array = npt.NDArray[np.float64]

FEWEST_BEATS = 3
AFTER_T_PEAK_MS = 40.0  # an earlier P could not be told from T
_PAUSE_MS = 80.0  # of the pause to either side of a beat that is kept: there the beats blend
_UNEVEN = 0.02  # spread of the intervals between beats, as a share of them
_LEVEL_MS = 12.0
_QT_POWER, _PR_POWER = 0.4, 0.2  # of the ratio of intervals between beats; QT by Fridericia has 1/3
_SHORTEST = 0.7  # share of its length to which a stretch shrinks at most


@dataclass(frozen=True, eq=False)
class _Beat:
    """One beat on its own, times from the onset of its QRS.

    Attributes:
        signal_mv: (L, sample), without the line between its ends.
        start_ms: of the first sample.
        marks_ms: (3 kinds, 3 of onset, peak and offset, L), NaN where a lead does not show the wave.
    """

    signal_mv: Array
    start_ms: float
    marks_ms: Array

    @property
    def lead_in_ms(self) -> float:
        """From the first P onset of any lead to the QRS."""
        return float(-np.nanmin(self.marks_ms[0, 0]))

    @property
    def t_peak_ms(self) -> float:
        """When T is highest in the median lead."""
        return float(np.nanmedian(self.marks_ms[2, 1]))


def hurried(record: MarkedRecord, bpm: float, random: np.random.Generator) -> MarkedRecord | None:
    """The record as if its heart beat at another rate, in sinus rhythm; None where too few of its beats have P and T.

    Args:
        record: with marks.
        bpm: the rate that is wanted; it stays lower where P would come before the peak of T.
        random: draws the order of the beats and their unevenness.

    Returns:
        A record of the same length whose waves are marked wherever they are known.
    """
    beats = match_beats(marked_waves(record), record.recording.leads)
    usable = _usable(beats)
    if len(usable) < FEWEST_BEATS:
        return None
    rr_ms = float(np.median(np.diff(beats.onset_ms["QRS"])))
    shorter = 60_000.0 / bpm / rr_ms
    alone = [_alone(record.recording, beats, at, shorter) for at in usable]
    order = [alone[at] for at in random.integers(len(alone), size=int(record.recording.duration_s * bpm / 60) + 2)]
    places_ms = _places_ms(order, 60_000.0 / bpm, random)
    return replace(
        record,
        recording=_joined(record.recording, order, places_ms),
        marks=tuple(_marks(order, places_ms, row, record) for row in range(len(record.marks))),
    )


def hurried_records(
    records: Sequence[MarkedRecord], rates_bpm: Sequence[tuple[float, float]], seed: int
) -> list[tuple[int, MarkedRecord]]:
    """Records at a rate from each of some ranges, with the place of the record that each was made from.

    Args:
        records: those that have too few beats with P are passed over.
        rates_bpm: lowest and highest of each range.
        seed: of the draws.
    """
    made = []
    for at, record in enumerate(records):
        random = np.random.default_rng((seed, at))
        for low, high in rates_bpm:
            faster = hurried(record, float(random.uniform(low, high)), random)
            if faster is not None:
                made.append((at, faster))
    return made


def _usable(beats: Beats) -> list[int]:
    """Beats with P, QRS and T in enough leads, none of which reaches into the next."""
    starts_ms, ends_ms = beats.onset_ms["P"], beats.offset_ms["T"]
    whole = np.isfinite(starts_ms) & np.isfinite(ends_ms) & np.isfinite(beats.onset_ms["QRS"])
    first_ms, last_ms = _reach(beats)
    clear = np.append(last_ms[:-1] <= first_ms[1:], False) & np.append(False, last_ms[:-1] <= first_ms[1:])
    return np.flatnonzero(whole & clear).tolist()


def _reach(beats: Beats) -> tuple[Array, Array]:
    """First onset and last offset of each beat in any lead, (beat,)."""
    onsets_ms = np.concatenate([marks[0] for marks in beats.marks_ms.values()])
    offsets_ms = np.concatenate([marks[2] for marks in beats.marks_ms.values()])
    return (
        np.where(np.isfinite(onsets_ms), onsets_ms, np.inf).min(axis=0, initial=np.inf),
        np.where(np.isfinite(offsets_ms), offsets_ms, -np.inf).max(axis=0, initial=-np.inf),
    )


def _alone(recording: Recording, beats: Beats, at: int, shorter: float) -> _Beat:
    """A beat between the pauses around it, its PR and its ST and T as short as a faster rate makes them."""
    first_ms, last_ms = _reach(beats)
    pauses_ms = [min((first_ms[one + 1] - last_ms[one]) / 2, _PAUSE_MS) for one in (at - 1, at)]
    qrs_ms = np.array([np.nanmin(beats.marks_ms["QRS"][0, :, at]), np.nanmax(beats.marks_ms["QRS"][2, :, at])])
    ends_ms = np.array([first_ms[at] - pauses_ms[0], last_ms[at] + pauses_ms[1]])
    before, after = (float(np.clip(shorter**power, _SHORTEST, 1.0)) for power in (_PR_POWER, _QT_POWER))
    was_ms = np.array([ends_ms[0], *qrs_ms, ends_ms[1]])
    is_ms = np.cumsum([(ends_ms[0] - qrs_ms[0]) * before, *(np.diff(was_ms) * (before, 1.0, after))])
    step_ms = 1000.0 / recording.sampling_hz
    grid_ms = np.arange(np.ceil(is_ms[0] / step_ms), np.floor(is_ms[-1] / step_ms) + 1) * step_ms
    source = np.interp(grid_ms, is_ms, was_ms) / step_ms
    samples = np.arange(recording.signal_mv.shape[1])
    signal_mv = np.stack([np.interp(source, samples, lead) for lead in recording.signal_mv.astype(np.float64)])
    marks_ms = np.stack([np.interp(beats.marks_ms[kind][:, :, at], was_ms, is_ms) for kind in KINDS])
    return _Beat(_levelled(signal_mv, round(_LEVEL_MS / step_ms)), float(grid_ms[0]), marks_ms)


def _levelled(signal_mv: Array, count: int) -> Array:
    """Without the line from the mean of the first samples to that of the last, (L, sample)."""
    first, last = signal_mv[:, :count].mean(axis=1), signal_mv[:, -count:].mean(axis=1)
    return np.asarray(signal_mv - np.linspace(first, last, signal_mv.shape[1], axis=1))


def _places_ms(order: Sequence[_Beat], rr_ms: float, random: np.random.Generator) -> Array:
    """When the QRS of each beat begins, (beat,), no P before the peak of the T that it follows."""
    steps_ms = rr_ms * (1.0 + _UNEVEN * random.standard_normal(len(order)))
    least_ms = [one.t_peak_ms + AFTER_T_PEAK_MS + other.lead_in_ms for one, other in pairwise(order)]
    steps_ms[1:] = np.maximum(steps_ms[1:], least_ms)
    steps_ms[0] = random.uniform(-rr_ms, 0.0)
    return np.cumsum(steps_ms)


def _joined(recording: Recording, order: Sequence[_Beat], places_ms: Array) -> Recording:
    """The beats laid over one another where they meet."""
    step_ms = 1000.0 / recording.sampling_hz
    length = recording.signal_mv.shape[1]
    sum_mv = np.zeros(recording.signal_mv.shape)
    for beat, place_ms in zip(order, places_ms.tolist(), strict=True):
        at = round((place_ms + beat.start_ms) / step_ms) + np.arange(beat.signal_mv.shape[1])
        inside = (at >= 0) & (at < length)
        sum_mv[:, at[inside]] += beat.signal_mv[:, inside]
    return Recording(sum_mv.astype(np.float32), recording.sampling_hz, recording.leads)


def _marks(order: Sequence[_Beat], places_ms: Array, row: int, record: MarkedRecord) -> Marks:
    """The waves of one lead; T ends where the next P begins, unknown where that is before T's peak."""
    step_ms = 1000.0 / record.recording.sampling_hz
    placed_ms = [
        beat.marks_ms[:, :, row] + round((place_ms + beat.start_ms) / step_ms) * step_ms - beat.start_ms
        for beat, place_ms in zip(order, places_ms.tolist(), strict=True)
    ]
    waves_s = np.concatenate(placed_ms) / 1000.0  # (kinds of every beat, 3)
    kinds = np.tile(np.arange(len(KINDS)), len(order))
    for t, p in zip(waves_s[2::3], waves_s[3::3], strict=False):
        if p[0] < t[2]:
            t[2] = p[0] = p[0] if p[0] > t[1] else np.nan
    shown = np.isfinite(waves_s[:, 1]) & (np.nan_to_num(waves_s, nan=0.0) >= 0.0).all(axis=1)
    shown &= (np.nan_to_num(waves_s, nan=0.0) < record.recording.duration_s).all(axis=1)
    kept = waves_s[shown]
    span_s = (float(np.nanmin(kept)), float(np.nanmax(kept))) if len(kept) else (0.0, 0.0)
    return Marks(kinds[shown], kept[:, 0], kept[:, 1], kept[:, 2], span_s)

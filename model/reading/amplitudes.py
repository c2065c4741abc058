"""How high, how deep and how large the waves are, read off the recording itself.

Levels are taken against the end of the PR segment, the last 20 ms before the QRS onset, in each beat on its own, so
that a wandering baseline does not move them. Waves under 20 uV are not waves (IEC 60601-2-51:2003, 50.101.3).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.reading.beats import Array, Beats
from model.reading.waves import WaveKind
from model.signal.resampling import resample

MIN_WAVE_MV = 0.02
SEEN_MV = 0.05  # half a millimetre of paper: an R before a larger one, as in bundle branch block
BASELINE_MS = 20.0  # one period of 50 Hz mains, so that hum averages out
ST_HALF_MS = 4.0
J_PLUS_MS = 60.0
MIN_RATE_HZ = 250.0
RESAMPLED_HZ = 500.0
AXIS_LEADS = ("I", "aVF")
LONGEST_MS: dict[WaveKind, float] = {"P": 250.0, "QRS": 300.0, "T": 500.0}


@dataclass(frozen=True, eq=False)
class Amplitudes:
    """Amplitudes in mV, float64 (lead, beat), and areas in mV ms; NaN where the beat has no such wave.

    Attributes:
        leads: names of the rows.
        r_mv: largest positive deflection of the QRS.
        s_mv: depth of the largest negative deflection after the first R, or of the whole QRS where there is no R.
        st_j_mv: level at the end of the QRS.
        st_j60_mv: level 60 ms later.
        area: net area of each kind of wave in the leads of the frontal axis, (2, beat); empty without them.
    """

    leads: tuple[str, ...]
    r_mv: Array
    s_mv: Array
    st_j_mv: Array
    st_j60_mv: Array
    area: dict[WaveKind, Array]


@dataclass(frozen=True, eq=False)
class _Signal:
    """Samples that are asked for by time."""

    signal_mv: npt.NDArray[np.float32]
    sampling_hz: float

    def spans(self, onset_ms: Array, offset_ms: Array, longest_ms: float) -> tuple[Array, npt.NDArray[np.bool_]]:
        """(lead, beat, sample) from each onset on, and which of them (beat, sample) lie before the offset."""
        first = np.where(np.isnan(onset_ms), -1, np.rint(onset_ms * self.sampling_hz / 1000)).astype(np.int64)
        last = np.where(np.isnan(offset_ms), -2, np.rint(offset_ms * self.sampling_hz / 1000)).astype(np.int64)
        width = int(min(max((last - first).max(initial=0), 0), longest_ms * self.sampling_hz / 1000)) + 1
        index = first[:, None] + np.arange(width)
        samples = self.signal_mv.shape[1]
        inside = (index <= last[:, None]) & (index >= 0) & (index < samples)
        return self.signal_mv.take(index, axis=1, mode="clip").astype(np.float64), inside

    def level_mv(self, from_ms: Array, to_ms: Array) -> Array:
        """Mean over each span, (lead, beat); NaN where nothing of the span was recorded."""
        values, inside = self.spans(from_ms, to_ms, 100.0)
        count = inside.sum(axis=1)
        total = np.where(inside, values, 0.0).sum(axis=2)
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def measure_amplitudes(
    signal_mv: npt.NDArray[np.float32], sampling_hz: float, beats: Beats, leads: tuple[str, ...]
) -> Amplitudes:
    """Amplitudes of every beat in every lead that is asked for.

    Args:
        signal_mv: (lead, sample), unfiltered.
        sampling_hz: of the signal.
        beats: where the waves are; their global bounds serve all leads.
        leads: names of the rows.
    """
    source = _source(signal_mv, sampling_hz)
    onset, offset = beats.onset_ms["QRS"], beats.offset_ms["QRS"]
    base = source.level_mv(onset - BASELINE_MS, onset)
    r_mv, s_mv = _deflections(source, onset, offset, base)
    return Amplitudes(
        leads=leads,
        r_mv=r_mv,
        s_mv=s_mv,
        st_j_mv=source.level_mv(offset - ST_HALF_MS, offset + ST_HALF_MS) - base,
        st_j60_mv=source.level_mv(offset + J_PLUS_MS - ST_HALF_MS, offset + J_PLUS_MS + ST_HALF_MS) - base,
        area=_frontal_areas(source, beats, base, leads),
    )


def _source(signal_mv: npt.NDArray[np.float32], sampling_hz: float) -> _Signal:
    """The signal at a rate that does not miss the tip of an R wave."""
    if sampling_hz >= MIN_RATE_HZ:
        return _Signal(signal_mv, sampling_hz)
    return _Signal(resample(signal_mv, sampling_hz, RESAMPLED_HZ), RESAMPLED_HZ)


def _deflections(source: _Signal, onset_ms: Array, offset_ms: Array, base: Array) -> tuple[Array, Array]:
    """R and S of each beat, (lead, beat) each, positive; zero where the QRS has none, NaN where there is no QRS."""
    values, inside = source.spans(onset_ms, offset_ms, LONGEST_MS["QRS"])
    known = inside.any(axis=1)
    above = np.where(inside, values - base[..., None], -np.inf)
    r_mv = above.max(axis=2, initial=-np.inf)
    r_mv = np.where(r_mv >= MIN_WAVE_MV, r_mv, 0.0)
    first_r = (above >= np.minimum(r_mv, SEEN_MV)[..., None]).argmax(axis=2)
    after_r = np.arange(values.shape[2]) >= np.where(r_mv > 0, first_r, 0)[..., None]
    depth = np.where(inside & after_r, base[..., None] - values, -np.inf).max(axis=2, initial=-np.inf)
    s_mv = np.where(depth >= MIN_WAVE_MV, depth, 0.0)
    return np.where(known, r_mv, np.nan), np.where(known, s_mv, np.nan)


def _frontal_areas(source: _Signal, beats: Beats, base: Array, leads: tuple[str, ...]) -> dict[WaveKind, Array]:
    """Net areas of I and aVF, (2, beat) for each kind of wave; empty where one of the leads is missing."""
    if not set(AXIS_LEADS) <= set(leads):
        return {}
    rows = [leads.index(lead) for lead in AXIS_LEADS]
    frontal = _Signal(source.signal_mv[rows], source.sampling_hz)
    return {kind: _area(frontal, beats, kind, base[rows]) for kind in LONGEST_MS}


def _area(source: _Signal, beats: Beats, kind: WaveKind, base: Array) -> Array:
    """Net area of a wave against the baseline, (lead, beat), mV ms."""
    values, inside = source.spans(beats.onset_ms[kind], beats.offset_ms[kind], LONGEST_MS[kind])
    total = np.where(inside, values - base[..., None], 0.0).sum(axis=2) * 1000 / source.sampling_hz
    return np.where(inside.any(axis=1), total, np.nan)

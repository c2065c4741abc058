"""The waves of a recording of any leads, under any names, of any length, by the bundle's graph for any leads."""

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import numpy.typing as npt

from model.reading.delineation import Delineation, HeartLogits, WaveOutputs
from model.reading.heart import heart_logits
from model.reading.waves import Waves, behind_spikes, recorded_waves
from model.signal.pacing import find_pacing_ms
from model.signal.preprocess import band_limit
from model.signal.recording import Recording
from model.signal.spec import InputSpec

STRIDE_S = 7.0  # leaves three seconds in which two windows of ten both look
WINDOWS_AT_ONCE = 8
_SETTLE_S = 4.0  # of signal to either side, in which the filters come to rest
_UNCALIBRATED = frozenset({"unit_by_format", "gain_by_format"})
_PLAUSIBLE_MV = (0.03, 1.0)  # root mean square of an ECG
_TYPICAL_MV = 0.2
_AT_ENDS, _END = 0.1, 0.002  # so much of the time so near both ends of its range is a lead that is clipped, or no ECG


class LeadNetwork(Protocol):
    """What `model.engine.LeadEngine` does."""

    def run(self, windows: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.generic]]:
        """The wave outputs by name for float32 (window, lead, sample) in mV."""


class LeadReader:
    """Delineates recordings of any leads; memory does not grow with their length beyond their own size.

    Args:
        engine: runs the graph.
        spec: how windows are made; its leads and shortest duration do not matter here.
        heart: how likely a lead holds a heart, without which it has no waves.
    """

    def __init__(self, engine: LeadNetwork, spec: InputSpec, heart: HeartLogits = heart_logits) -> None:
        self._engine = engine
        self._spec = spec
        self._heart = heart

    def waves(self, recording: Recording) -> Waves:
        """Every lead's waves in order of time; none where the network is not sure of a heart, none across a gap."""
        delineation = Delineation(recording.leads, self._spec.sampling_hz, self._heart)
        for starts_s, windows_mv in _windows(recording, self._spec):
            delineation.add(WaveOutputs.of(self._engine.run(windows_mv)), windows_mv, starts_s)
        waves = behind_spikes(delineation.waves(recording.duration_s), find_pacing_ms(recording))
        return recorded_waves(waves, recording)


def _windows(recording: Recording, spec: InputSpec) -> Iterator[tuple[list[float], npt.NDArray[np.float32]]]:
    """Some windows at a time, each with its start; the last one ends with the recording, or is padded with zeros."""
    last_s = max(recording.duration_s - spec.window_s, 0.0)
    starts_s = [*np.arange(0.0, last_s, STRIDE_S).tolist(), last_s]
    for first in range(0, len(starts_s), WINDOWS_AT_ONCE):
        group_s = starts_s[first : first + WINDOWS_AT_ONCE]
        from_sample = max(round((group_s[0] - _SETTLE_S) * recording.sampling_hz), 0)
        to_sample = round((group_s[-1] + spec.window_s + _SETTLE_S) * recording.sampling_hz)
        piece_mv = _scaled(
            band_limit(recording.signal_mv[:, from_sample:to_sample], recording.sampling_hz, spec), recording
        )
        begins_s = from_sample / recording.sampling_hz
        frames = [round((start_s - begins_s) * spec.sampling_hz) for start_s in group_s]
        short = frames[-1] + spec.samples - piece_mv.shape[1]
        padded_mv = np.pad(piece_mv, ((0, 0), (0, max(short, 0))))
        windows_mv = np.stack([padded_mv[:, frame : frame + spec.samples] for frame in frames])
        begin_s = [begins_s + frame / spec.sampling_hz for frame in frames]
        for window_mv, start_s in zip(windows_mv, begin_s, strict=True):
            window_mv[_clipped(recording, start_s, start_s + spec.window_s)] = 0.0
        yield begin_s, windows_mv


def _clipped(recording: Recording, from_s: float, to_s: float) -> npt.NDArray[np.bool_]:
    """Which leads are at both ends of their range for long, (lead,)."""
    raw_mv = recording.signal_mv[:, round(from_s * recording.sampling_hz) : round(to_s * recording.sampling_hz)]
    low, high = raw_mv.min(axis=1, keepdims=True), raw_mv.max(axis=1, keepdims=True)
    near = _END * (high - low)
    ends = np.minimum((raw_mv >= high - near).mean(axis=1), (raw_mv <= low + near).mean(axis=1))
    return np.asarray(ends >= _AT_ENDS)


def _scaled(signal_mv: npt.NDArray[np.float32], recording: Recording) -> npt.NDArray[np.float32]:
    """The signal; a lead whose scale the file does not give, and that no ECG could have, at a typical one."""
    if not _UNCALIBRATED & set(recording.notes):
        return signal_mv
    size_mv = np.sqrt(np.mean(np.square(signal_mv), axis=1, keepdims=True))
    odd = (size_mv > 0) & ((size_mv < _PLAUSIBLE_MV[0]) | (size_mv > _PLAUSIBLE_MV[1]))
    return np.asarray(np.where(odd, signal_mv * (_TYPICAL_MV / np.maximum(size_mv, 1e-9)), signal_mv), np.float32)

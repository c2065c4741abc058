"""The P, QRS and T waves of a recording, lead by lead."""

from bisect import bisect_right
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from model.signal.recording import Recording

WaveKind = Literal["P", "QRS", "T"]

SMEAR_MS = 30.0  # before a spike: what a low-pass at 40 Hz makes of it begins no sooner
SPIKE_END_MS = 8.0  # after its middle: the spike, and the recorder's own filter


@dataclass(frozen=True)
class Wave:
    """One wave in one lead; times count from the first sample of the recording.

    Attributes:
        wave: P, QRS or T.
        onset_ms: where it begins.
        peak_ms: its largest deflection.
        offset_ms: where it ends.
        confidence: 0 to 1.
    """

    wave: WaveKind
    onset_ms: float
    peak_ms: float
    offset_ms: float
    confidence: float


Waves = dict[str, tuple[Wave, ...]]
"""Lead name to its waves in order of time; a lead without waves has an empty tuple."""


def recorded_waves(waves: Waves, recording: Recording) -> Waves:
    """The waves of a recording that touch none of its gaps."""
    if recording.missing is None:
        return waves
    gone_before = np.pad(np.cumsum(recording.missing, axis=1), ((0, 0), (1, 0)))  # (lead, sample + 1)
    last = recording.missing.shape[1] - 1

    def whole(row: int, wave: Wave) -> bool:
        first, end = (round(ms * recording.sampling_hz / 1000.0) for ms in (wave.onset_ms, wave.offset_ms))
        return bool(gone_before[row, max(first, 0)] == gone_before[row, min(end, last) + 1])

    return {lead: tuple(wave for wave in waves[lead] if whole(row, wave)) for row, lead in enumerate(recording.leads)}


def behind_spikes(waves: Waves, spikes_ms: npt.NDArray[np.float64]) -> Waves:
    """The waves, a QRS that begins in the smear of a pacemaker's spike moved behind the spike.

    The network sees the spike below 40 Hz, as a small wave that reaches to either side of it, and cannot always tell
    it from the beginning of the QRS that it sets off; before the spike that QRS cannot have begun.

    Args:
        waves: of a recording.
        spikes_ms: the middle of each spike of it, in order of time.
    """
    if len(spikes_ms) == 0:
        return waves
    places_ms = spikes_ms.tolist()

    def behind(wave: Wave) -> Wave:
        if wave.wave != "QRS":
            return wave
        before = bisect_right(places_ms, wave.onset_ms + SMEAR_MS) - 1  # the last spike that may have smeared it
        end_ms = places_ms[before] + SPIKE_END_MS if before >= 0 else -1.0
        return replace(wave, onset_ms=end_ms) if wave.onset_ms < end_ms < wave.peak_ms else wave

    return {lead: tuple(map(behind, found)) for lead, found in waves.items()}

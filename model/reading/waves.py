"""The P, QRS and T waves of a recording, lead by lead."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from model.signal.recording import Recording

WaveKind = Literal["P", "QRS", "T"]


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

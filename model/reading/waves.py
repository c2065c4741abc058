"""The P, QRS and T waves of a recording, lead by lead."""

from dataclasses import dataclass
from typing import Literal

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

"""Waves as columns, so that all leads of all windows are worked on at once."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.reading.waves import WaveKind

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

KINDS: tuple[WaveKind, ...] = ("P", "QRS", "T")
P, QRS, T = 1, 2, 3  # labels of the network; 0 is none


@dataclass(frozen=True, eq=False)
class Spans:
    """Waves by row (window and lead) and time.

    Attributes:
        row: of each wave.
        kind: `P`, `QRS` or `T`.
        onset_ms: from the start of the row, as all times.
        offset_ms: where it ends.
        confidence: 0 to 1.
        peak_ms: its largest deflection.
    """

    row: Ints
    kind: Ints
    onset_ms: Floats
    offset_ms: Floats
    confidence: Floats
    peak_ms: Floats

    def __getitem__(self, chosen: npt.NDArray[np.bool_] | Ints) -> "Spans":
        times = (self.onset_ms[chosen], self.offset_ms[chosen], self.confidence[chosen], self.peak_ms[chosen])
        return Spans(self.row[chosen], self.kind[chosen], *times)


def within(places: Ints, low: int | Ints, high: int) -> Ints:
    """Places no lower and no higher; `numpy.clip` takes six times as long over whole numbers, asking what they hold."""
    return np.minimum(np.maximum(places, low), high)

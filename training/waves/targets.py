"""Marks as what the wave head learns: a class and two distances for every frame, unknown where nobody looked."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.nn.waves import limb_mix
from model.signal.preprocess import preprocess
from model.signal.spec import SPEC
from training.sources.ludb import MarkedRecord, Marks

UNKNOWN = 255
RASTER_HZ = 500  # fine enough to move and stretch
FAR_S = 9.0  # the distance to a boundary that is not there


@dataclass(frozen=True, eq=False)
class WaveSet:
    """Marked records, ready to be cut and changed; R records, L = 12 leads.

    Attributes:
        ecg: float32 (R, L, sample), mV, as the network sees it.
        label: uint8 (R, L, raster), 0 none, 1 P, 2 QRS, 3 T, `UNKNOWN`.
        distance_s: float32 (R, L, 2, raster), to the nearest onset and offset; `FAR_S` where there is none.
    """

    ecg: npt.NDArray[np.float32]
    label: npt.NDArray[np.uint8]
    distance_s: npt.NDArray[np.float32]


def build_wave_set(records: Sequence[MarkedRecord]) -> WaveSet:
    """The first ten seconds of each record in the twelve standard leads."""
    mix = limb_mix().numpy()
    rasters = [[rasterise(marks) for marks in record.marks] for record in records]
    return WaveSet(
        np.stack([mix @ preprocess(record.recording, SPEC).signal_mv[0] for record in records]),
        np.array([[label for label, _ in leads] for leads in rasters]),
        np.array([[distance for _, distance in leads] for leads in rasters]),
    )


def rasterise(marks: Marks) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """Class (raster,) and distances (2, raster) of one lead.

    Outside the span, and between a peak whose bracket is missing and the boundary before or after, nothing is known.
    """
    times_s = np.arange(round(SPEC.window_s * RASTER_HZ)) / RASTER_HZ
    label = np.zeros(len(times_s), dtype=np.uint8)
    ends_s = np.sort(np.concatenate([marks.onset_s, marks.offset_s, marks.span_s]))
    ends_s = ends_s[np.isfinite(ends_s)]
    for kind, onset_s, peak_s, offset_s in zip(marks.kind, marks.onset_s, marks.peak_s, marks.offset_s, strict=True):
        before_s, after_s = ends_s[ends_s <= peak_s].max(), ends_s[ends_s >= peak_s].min()
        first_s, last_s = (peak_s if np.isnan(end) else end for end in (onset_s, offset_s))
        label[(times_s >= before_s) & (times_s < after_s)] = UNKNOWN
        label[(times_s >= first_s - 1e-6) & (times_s < last_s - 1e-6)] = kind + 1
    label[(times_s < marks.span_s[0]) | (times_s >= marks.span_s[1])] = UNKNOWN
    return label, np.stack([_nearest(times_s, marks.onset_s), _nearest(times_s, marks.offset_s)])


def _nearest(times_s: npt.NDArray[np.float64], ends_s: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """From each time to the nearest of some boundaries, s."""
    padded = np.concatenate([[-np.inf], np.sort(ends_s[np.isfinite(ends_s)]), [np.inf]])
    after = np.searchsorted(padded, times_s)
    back, ahead = padded[after - 1] - times_s, padded[after] - times_s
    return np.clip(np.where(-back < ahead, back, ahead), -FAR_S, FAR_S).astype(np.float32)

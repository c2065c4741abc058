"""A recording: leads in millivolts at one sampling rate, checked once, at construction."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from model.errors import DuplicateLeadError, NotFiniteError, RateError, ShapeError
from model.signal.leads import canonical_lead

MIN_SAMPLING_HZ = 100.0
MAX_SAMPLING_HZ = 2000.0

Note = Literal["checksum_mismatch", "signals_left_out", "skew_cut", "unit_by_format", "gain_by_format", "gaps_bridged"]
"""What a decoder saw and a reader of the answer should know; the recording stands as it is."""


@dataclass(frozen=True, eq=False)
class Recording:
    """One ECG as it was recorded.

    Attributes:
        signal_mv: float32 (lead, sample), millivolts, finite.
        sampling_hz: 100 to 2000.
        leads: a name a row, standard names in their standard spelling, others as they came.
        notes: what the file said beside the signal.
        missing: bool (lead, sample), where nothing was recorded and a line lies in place of the signal; None where all
            of it was. Only who looks at times is ever given a recording with gaps.

    Raises:
        ShapeError: not two-dimensional, empty, another number of rows than of names, or gaps of another shape.
        RateError: a rate outside 100-2000 Hz.
        DuplicateLeadError: a name twice.
        NotFiniteError: NaN or infinity anywhere; nothing is filled in.
    """

    signal_mv: npt.NDArray[np.float32]
    sampling_hz: float
    leads: tuple[str, ...]
    notes: tuple[Note, ...] = ()
    missing: npt.NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        signal_mv = np.ascontiguousarray(self.signal_mv, dtype=np.float32)
        leads = tuple(canonical_lead(name) for name in self.leads)
        object.__setattr__(self, "signal_mv", signal_mv)
        object.__setattr__(self, "sampling_hz", float(self.sampling_hz))
        object.__setattr__(self, "leads", leads)
        _require_shape(signal_mv, leads)
        require_rate(self.sampling_hz)
        _require_distinct(leads)
        _require_finite(signal_mv, leads)
        if self.missing is not None and self.missing.shape != signal_mv.shape:
            raise ShapeError(f"got gaps of shape {self.missing.shape} in samples of shape {signal_mv.shape}")

    @property
    def duration_s(self) -> float:
        """Seconds from the first sample to one sample past the last."""
        return int(self.signal_mv.shape[1]) / self.sampling_hz


def _require_shape(signal_mv: npt.NDArray[np.float32], leads: tuple[str, ...]) -> None:
    if signal_mv.ndim != 2 or signal_mv.size == 0:
        raise ShapeError(f"got samples of shape {signal_mv.shape}, wanted (lead, sample) with at least one of each")
    if len(leads) != signal_mv.shape[0]:
        raise ShapeError(f"got {len(leads)} lead names for {signal_mv.shape[0]} leads")


def require_rate(sampling_hz: float) -> None:
    """Raise RateError for a rate outside 100-2000 Hz, NaN included."""
    if not MIN_SAMPLING_HZ <= sampling_hz <= MAX_SAMPLING_HZ:
        raise RateError(f"got {sampling_hz:g} Hz, wanted {MIN_SAMPLING_HZ:g} to {MAX_SAMPLING_HZ:g} Hz")


def _require_distinct(leads: tuple[str, ...]) -> None:
    if len(set(leads)) != len(leads):
        twice = sorted({name for name in leads if leads.count(name) > 1})
        raise DuplicateLeadError(f"{len(twice)} lead name(s) given more than once")


def _require_finite(signal_mv: npt.NDArray[np.float32], leads: tuple[str, ...]) -> None:
    if np.isfinite(signal_mv).all():
        return
    rows = np.flatnonzero(~np.isfinite(signal_mv).all(axis=1))
    raise NotFiniteError(f"NaN or infinity in {len(rows)} of {len(leads)} leads; gaps are not filled in")

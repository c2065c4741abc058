"""The classical measurement: neurokit2's delineation, imported only when it is called."""

import warnings
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from model.reading.waves import Wave, WaveKind, Waves
from model.signal.leads import STANDARD_LEADS, derive_limb_leads
from model.signal.preprocess import resample
from model.signal.recording import Recording

RATE_HZ = 500
Method = Literal["prominence", "dwt"]


class _HasRecording(Protocol):
    """What `model.reader.Prepared` has."""

    @property
    def recording(self) -> Recording:
        """The recording."""


def delineate_classically(prepared: _HasRecording, outputs: object = None) -> Waves:
    """Waves of a prepared recording without the network; a `model.reader.Delineator` that can be pickled."""
    del outputs
    return delineate(prepared.recording)


def delineate(recording: Recording, method: Method = "prominence", *, whole: bool = True) -> Waves:
    """Waves in every standard lead that is there or derivable.

    Args:
        recording: what was recorded.
        method: of neurokit2; `prominence` is its best, `dwt` its default.
        whole: leave out waves of which neurokit2 misses a part; else the missing times are NaN.
    """
    leads = dict(zip(recording.leads, recording.signal_mv, strict=True))
    leads |= derive_limb_leads(recording.signal_mv, recording.leads)
    return {
        name: _delineate_lead(resample(leads[name][None], recording.sampling_hz, RATE_HZ)[0], method, whole=whole)
        for name in STANDARD_LEADS
        if name in leads
    }


def _delineate_lead(lead_mv: npt.NDArray[np.float32], method: Method, *, whole: bool) -> tuple[Wave, ...]:
    """Waves of one lead at `RATE_HZ`; none where neurokit2 fails."""
    import neurokit2 as nk

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            clean = nk.ecg_clean(lead_mv, sampling_rate=RATE_HZ)
            _, peaks = nk.ecg_peaks(clean, sampling_rate=RATE_HZ)
            _, marks = nk.ecg_delineate(clean, peaks["ECG_R_Peaks"], sampling_rate=RATE_HZ, method=method)
    except Exception:  # noqa: BLE001 - neurokit2 fails in many ways on a lead without beats
        return ()
    marks["ECG_R_Peaks"] = list(peaks["ECG_R_Peaks"])
    kinds: tuple[tuple[WaveKind, str], ...] = (("P", "P"), ("QRS", "R"), ("T", "T"))
    found = [wave for kind, letter in kinds for wave in _triplets(kind, marks, letter, whole=whole)]
    return tuple(sorted(found, key=lambda wave: wave.onset_ms))


def _triplets(kind: WaveKind, marks: dict[str, list[float]], letter: str, *, whole: bool) -> list[Wave]:
    columns = [marks[f"ECG_{letter}_{edge}"] for edge in ("Onsets", "Peaks", "Offsets")]
    if len({len(column) for column in columns}) != 1:
        return []
    times = np.array(columns, dtype=float).T * 1000 / RATE_HZ
    return [
        Wave(kind, float(onset), float(peak), float(offset), 0.5)
        for onset, peak, offset in times
        if onset < peak < offset or not whole
    ]

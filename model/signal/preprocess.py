"""A recording to the windows that the network takes; training and service both call this and nothing else.

Zero-phase Butterworth filters: a baseline high-pass (AHA 2007 allows 0.67 Hz when the phase is linear) and a low-pass
under 50 Hz, since databases published at 100 Hz hold nothing above it.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache

import numpy as np
import numpy.typing as npt
from scipy import signal as dsp

from model.errors import MissingLeadError, TooShortError
from model.signal.leads import derive_limb_leads
from model.signal.recording import Recording
from model.signal.spec import InputSpec

FLAT_MV = 0.005  # a lead that moves less than this over a whole recording carries no heart


@dataclass(frozen=True, eq=False)
class Windows:
    """What the network sees of one recording.

    Attributes:
        signal_mv: float32 (window, lead, sample), filtered, dead leads zero.
        starts_s: where each window begins, seconds from the first sample.
        padded_s: seconds of zeros after the end of a recording shorter than one window.
        dead_leads: leads of the model that are flat and were masked.
        sampling_hz: of the windows.
    """

    signal_mv: npt.NDArray[np.float32]
    starts_s: tuple[float, ...]
    padded_s: float
    dead_leads: tuple[str, ...]
    sampling_hz: int


def preprocess(recording: Recording, spec: InputSpec, *, dead_leads: tuple[str, ...] = ()) -> Windows:
    """Windows of a recording: model leads, band limited, resampled, cut, dead leads masked.

    Args:
        recording: at least the leads of the spec, or limb leads from which they follow.
        spec: what the network takes.
        dead_leads: leads that are known to carry no heart, masked besides those found flat.

    Raises:
        MissingLeadError: a lead of the spec is neither present nor derivable.
        TooShortError: under `spec.min_duration_s`.
    """
    require_duration(recording, spec)
    filtered = band_limit(select_leads(recording, spec.leads), recording.sampling_hz, spec)
    dead = tuple(name for row, name in enumerate(spec.leads) if name in dead_leads or np.ptp(filtered[row]) < FLAT_MV)
    filtered[[spec.leads.index(name) for name in dead]] = 0.0
    missing = spec.samples - filtered.shape[1]
    if missing > 0:
        filtered = np.pad(filtered, ((0, 0), (0, missing)))
    starts = _window_starts(filtered.shape[1], spec)
    return Windows(
        signal_mv=np.stack([filtered[:, start : start + spec.samples] for start in starts]),
        starts_s=tuple(start / spec.sampling_hz for start in starts),
        padded_s=max(missing, 0) / spec.sampling_hz,
        dead_leads=dead,
        sampling_hz=spec.sampling_hz,
    )


def require_duration(recording: Recording, spec: InputSpec) -> None:
    """Raise TooShortError for a recording under the shortest that is padded."""
    if recording.duration_s < spec.min_duration_s:
        raise TooShortError(f"got {recording.duration_s:.2f} s, wanted at least {spec.min_duration_s:g} s")


def select_leads(recording: Recording, leads: tuple[str, ...]) -> npt.NDArray[np.float32]:
    """Rows of the recording in the asked order, (lead, sample) in mV, limb leads derived where they are missing.

    Raises:
        MissingLeadError: naming every lead that is neither there nor derivable.
    """
    known = dict(zip(recording.leads, recording.signal_mv, strict=True))
    if not set(leads) <= known.keys():
        known |= derive_limb_leads(recording.signal_mv, recording.leads)
    if missing := [name for name in leads if name not in known]:
        raise MissingLeadError(f"missing {', '.join(missing)}; wanted {', '.join(leads)}")
    return np.stack([known[name] for name in leads])


def band_limit(signal_mv: npt.NDArray[np.float32], sampling_hz: float, spec: InputSpec) -> npt.NDArray[np.float32]:
    """Resample (lead, sample) to the rate of the spec, remove the baseline, limit the band, clip artefacts."""
    resampled = resample(signal_mv, sampling_hz, spec.sampling_hz)
    sections = _band_sections(spec.highpass_hz, spec.lowpass_hz, spec.sampling_hz)
    edge = min(2 * spec.sampling_hz, resampled.shape[1] - 1)
    filtered = dsp.sosfiltfilt(sections, resampled, axis=-1, padlen=edge)
    return np.clip(filtered, -spec.clip_mv, spec.clip_mv).astype(np.float32)


def resample(signal_mv: npt.NDArray[np.float32], from_hz: float, to_hz: float) -> npt.NDArray[np.float32]:
    """Polyphase resampling of (lead, sample), anti-aliased, zero phase, ends extended by their own trend."""
    ratio = Fraction(to_hz / from_hz).limit_denominator(2000)
    if ratio == 1:
        return signal_mv
    taps = _antialias(max(ratio.numerator, ratio.denominator))
    resampled = dsp.resample_poly(  # type: ignore[call-overload]  # the stubs know no window that is an array of taps
        signal_mv, ratio.numerator, ratio.denominator, axis=-1, window=taps, padtype="line"
    )
    return np.asarray(resampled, dtype=np.float32)


def _window_starts(samples: int, spec: InputSpec) -> list[int]:
    """Every stride from the start, and one last window flush with the end."""
    last = samples - spec.samples
    stride = round(spec.stride_s * spec.sampling_hz)
    starts = list(range(0, last + 1, stride))
    return starts if starts[-1] == last else [*starts, last]


@lru_cache(maxsize=16)
def _antialias(larger: int) -> npt.NDArray[np.float32]:
    """The anti-alias filter of scipy itself for a ratio with this larger term; its design costs 0.5 ms a call."""
    return np.asarray(dsp.firwin(20 * larger + 1, 1 / larger, window=("kaiser", 5.0)), dtype=np.float32)


@cache
def _band_sections(highpass_hz: float, lowpass_hz: float, sampling_hz: int) -> npt.NDArray[np.float64]:
    """Second-order sections; run forward and back, each edge is at -6 dB."""
    high = dsp.butter(2, highpass_hz, "highpass", fs=sampling_hz, output="sos")
    low = dsp.butter(4, lowpass_hz, "lowpass", fs=sampling_hz, output="sos")
    return np.vstack([high, low])

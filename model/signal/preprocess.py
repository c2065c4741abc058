"""A recording to the windows that the network takes; training and service both call this and nothing else.

Zero-phase Butterworth filters: a baseline high-pass (AHA 2007 allows 0.67 Hz when the phase is linear) and a low-pass
under 50 Hz, since databases published at 100 Hz hold nothing above it. They are applied to the spectrum, which takes a
quarter of the time of two passes of a recursive filter and treats both ends alike.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import fft
from scipy import signal as dsp

from model.errors import MissingLeadError, TooShortError
from model.signal.leads import derive_limb_leads
from model.signal.recording import Recording
from model.signal.resampling import resample
from model.signal.spec import InputSpec

EDGE_S = 2.0  # four times what the high-pass remembers
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
    flat = np.ptp(filtered, axis=1) < FLAT_MV
    dead = tuple(name for name, still in zip(spec.leads, flat, strict=True) if still or name in dead_leads)
    filtered[[spec.leads.index(name) for name in dead]] = 0.0
    missing = spec.samples - filtered.shape[1]
    if missing > 0:
        filtered = np.pad(filtered, ((0, 0), (0, missing)))
    starts = _window_starts(filtered.shape[1], spec)
    return Windows(
        signal_mv=_cut(filtered, starts, spec.samples),
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
    """Resample (lead, sample) to the rate of the spec, remove the baseline, limit the band, clip artefacts.

    Both ends are continued by their mirror image through the end point, as `scipy.signal.sosfiltfilt` does it.
    """
    resampled = resample(signal_mv, sampling_hz, spec.sampling_hz)
    leads, samples = resampled.shape
    edge = min(round(EDGE_S * spec.sampling_hz), samples - 1)
    wide = samples + 2 * edge
    length = fft.next_fast_len(wide + edge // 2, real=True)
    padded = np.zeros((leads, length), dtype=np.float32)
    continued = padded[:, :wide]
    continued[:, edge : edge + samples] = resampled
    np.subtract(2 * resampled[:, :1], resampled[:, edge:0:-1], out=continued[:, :edge])
    np.subtract(2 * resampled[:, -1:], resampled[:, -2 : -edge - 2 : -1], out=continued[:, edge + samples :])
    first, last = continued[:, :1].copy(), continued[:, -1:]
    continued -= first + (last - first) * _ramp(wide)  # so that the ends meet
    spectrum = fft.rfft(padded, axis=1, overwrite_x=True)
    spectrum *= _band_response(spec.highpass_hz, spec.lowpass_hz, spec.sampling_hz, length)
    filtered = fft.irfft(spectrum, length, axis=1, overwrite_x=True)[:, edge : edge + samples]
    return np.minimum(np.maximum(filtered, np.float32(-spec.clip_mv)), np.float32(spec.clip_mv))


def _window_starts(samples: int, spec: InputSpec) -> list[int]:
    """Every stride from the start, and one last window flush with the end."""
    last = samples - spec.samples
    stride = round(spec.stride_s * spec.sampling_hz)
    starts = list(range(0, last + 1, stride))
    return starts if starts[-1] == last else [*starts, last]


def _cut(filtered: npt.NDArray[np.float32], starts: list[int], samples: int) -> npt.NDArray[np.float32]:
    """(window, lead, sample); the one window of a recording as long as itself is not copied."""
    if filtered.shape[1] == samples:
        return filtered[None]
    return np.stack([filtered[:, start : start + samples] for start in starts])


@lru_cache(maxsize=16)
def _ramp(samples: int) -> npt.NDArray[np.float32]:
    """From 0 to 1 in so many samples."""
    return np.arange(samples, dtype=np.float32) / np.float32(max(samples - 1, 1))


@lru_cache(maxsize=16)
def _band_response(highpass_hz: float, lowpass_hz: float, sampling_hz: int, length: int) -> npt.NDArray[np.float32]:
    """What a pass forward and one back leave of each frequency of a real spectrum; each edge is at -6 dB."""
    high = dsp.butter(2, highpass_hz, "highpass", fs=sampling_hz, output="sos")
    low = dsp.butter(4, lowpass_hz, "lowpass", fs=sampling_hz, output="sos")
    _, once = dsp.freqz_sos(np.vstack([high, low]), fft.rfftfreq(length, 1 / sampling_hz), fs=sampling_hz)
    return np.asarray(np.abs(once) ** 2, dtype=np.float32)

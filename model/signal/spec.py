"""What the model takes in: leads, rate, length, patch and filter band, hashed into every bundle."""

import hashlib
import json
from dataclasses import asdict, dataclass

from model.signal.leads import MODEL_LEADS


@dataclass(frozen=True)
class InputSpec:
    """The input of a network; two bundles with the same hash take the same windows.

    Attributes:
        leads: rows of a window, in order.
        sampling_hz: rate of a window.
        window_s: seconds of a window.
        stride_s: seconds between the windows of a longer recording.
        min_duration_s: shorter recordings are refused; between this and `window_s` they are padded with zeros.
        patch_samples: samples of one token.
        highpass_hz: -6 dB point of the zero-phase baseline filter.
        lowpass_hz: -6 dB point of the zero-phase low-pass; below every database's own limit.
        clip_mv: larger amplitudes are artefacts and are cut.
    """

    leads: tuple[str, ...] = MODEL_LEADS
    sampling_hz: int = 250
    window_s: float = 10.0
    stride_s: float = 5.0
    min_duration_s: float = 5.0
    patch_samples: int = 50
    highpass_hz: float = 0.5
    lowpass_hz: float = 40.0
    clip_mv: float = 10.0

    @property
    def samples(self) -> int:
        """Samples of a window."""
        return round(self.window_s * self.sampling_hz)

    @property
    def patches(self) -> int:
        """Time patches of a window."""
        return self.samples // self.patch_samples

    def sha256(self) -> str:
        """Hash of every field; what a bundle was trained on must be what is served."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


SPEC = InputSpec()

"""Small synthetic ECGs with known waves, for the tests of what is measured."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model.reading.waves import Wave, WaveKind, Waves
from model.signal.leads import CHEST_LEADS, LIMB_ALGEBRA, STANDARD_LEADS
from model.signal.recording import Recording

# Amplitudes in mV of P, Q, R, S and T in the eight independent leads.
SHAPES: dict[str, tuple[float, float, float, float, float]] = {
    "I": (0.10, -0.05, 0.80, -0.15, 0.25),
    "II": (0.15, -0.08, 1.10, -0.20, 0.30),
    "V1": (0.06, 0.0, 0.25, -1.00, -0.05),
    "V2": (0.08, 0.0, 0.45, -1.30, 0.40),
    "V3": (0.08, 0.0, 0.80, -0.90, 0.45),
    "V4": (0.08, -0.05, 1.30, -0.50, 0.40),
    "V5": (0.08, -0.08, 1.40, -0.25, 0.35),
    "V6": (0.08, -0.08, 1.10, -0.10, 0.25),
}
# Centre after the R peak and half width at the base, ms, of P, Q, R, S and T: half a period of a raised cosine.
TIMES_MS = ((-160.0, 50.0), (-30.0, 15.0), (0.0, 25.0), (30.0, 20.0), (280.0, 80.0))
P_MS, QRS_MS, T_MS = (-210.0, -110.0), (-45.0, 50.0), (200.0, 360.0)


@dataclass(frozen=True)
class Truth:
    """What was drawn: PR 165 ms, P 100 ms, QRS 95 ms, QT 405 ms."""

    p_ms: float = P_MS[1] - P_MS[0]
    pr_ms: float = QRS_MS[0] - P_MS[0]
    qrs_ms: float = QRS_MS[1] - QRS_MS[0]
    qt_ms: float = T_MS[1] - QRS_MS[0]


def r_peaks_ms(duration_s: float = 10.0, rr_ms: float = 800.0) -> npt.NDArray[np.float64]:
    """Regular beats that lie whole inside the recording."""
    return np.arange(400.0, duration_s * 1000 - 400.0, rr_ms)


def beats(
    *,
    duration_s: float = 10.0,
    sampling_hz: float = 500.0,
    peaks_ms: npt.NDArray[np.float64] | None = None,
    noise_mv: float = 0.004,
) -> Recording:
    """Twelve leads of sinus beats with a little noise, the same each time."""
    peaks = r_peaks_ms(duration_s) if peaks_ms is None else peaks_ms
    times_ms = np.arange(round(duration_s * sampling_hz)) * 1000 / sampling_hz
    bumps = np.stack([_bumps(times_ms, peaks + centre, half) for centre, half in TIMES_MS])
    drawn = {name: np.array(shape) @ bumps for name, shape in SHAPES.items()}
    limbs = {name: a * drawn["I"] + b * drawn["II"] for name, (a, b) in LIMB_ALGEBRA.items()}
    clean = np.stack([(limbs | drawn)[name] for name in STANDARD_LEADS])
    noise = np.random.default_rng(1).normal(0, noise_mv, (8, len(times_ms)))
    return Recording((clean + _einthoven(noise)).astype(np.float32), sampling_hz, STANDARD_LEADS)


def beat_waves(peaks_ms: npt.NDArray[np.float64], kinds: tuple[WaveKind, ...] = ("P", "QRS", "T")) -> Waves:
    """The waves that `beats` draws, the same in every lead."""
    spans: dict[WaveKind, tuple[float, float, float]] = {
        "P": (P_MS[0], -160.0, P_MS[1]),
        "QRS": (QRS_MS[0], 0.0, QRS_MS[1]),
        "T": (T_MS[0], 280.0, T_MS[1]),
    }
    one = tuple(
        Wave(kind, peak + spans[kind][0], peak + spans[kind][1], peak + spans[kind][2], 1.0)
        for peak in peaks_ms.tolist()
        for kind in kinds
    )
    return dict.fromkeys(STANDARD_LEADS, one)


def _bumps(
    times_ms: npt.NDArray[np.float64], centres_ms: npt.NDArray[np.float64], half_ms: float
) -> npt.NDArray[np.float64]:
    distance = np.abs(times_ms[None] - centres_ms[:, None]) / half_ms
    return np.asarray(np.where(distance < 1, 0.5 + 0.5 * np.cos(np.pi * np.minimum(distance, 1)), 0).sum(axis=0))


def _einthoven(independent: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    limbs = [a * independent[0] + b * independent[1] for a, b in LIMB_ALGEBRA.values()]
    return np.stack([*limbs, *independent[2 : 2 + len(CHEST_LEADS)]])

"""Seeded 12-lead ECGs whose waves and diagnoses are known, at any rate.

The heart is a dipole: every wave is a few asymmetric Gaussians of a vector in space (x left, y down, z back), as in
McSharry et al., "A dynamical model for generating synthetic electrocardiogram signals", IEEE TBME 2003, drawn into
three dimensions; Dower's coefficients ("On deriving the electrocardiogram from vectorcardiographic leads", Clin Cardiol
1980) turn the vector into I, II and V1-V6, and the limb leads follow from I and II. Everything is drawn in continuous
time from the seed, so that one seed at two rates is one heart.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from model.reading.waves import Wave, WaveKind, Waves
from model.signal.leads import LIMB_ALGEBRA, LIMB_LEADS, MODEL_LEADS, STANDARD_LEADS
from model.signal.recording import Recording

Kind = Literal[
    "normal",
    "tachycardia",
    "bradycardia",
    "fibrillation",
    "av_block",
    "left_bundle",
    "right_bundle",
    "hypertrophy",
    "inferior_infarction",
    "anterior_infarction",
    "inverted_t",
    "ventricular_beats",
]
KINDS: tuple[Kind, ...] = get_args(Kind)

LABELS: dict[Kind, tuple[str, ...]] = {
    "normal": ("NORM", "NSR"),
    "tachycardia": ("NORM", "STach"),
    "bradycardia": ("NORM", "SB"),
    "fibrillation": ("AF",),
    "av_block": ("CD", "IAVB", "NSR"),
    "left_bundle": ("CD", "CLBBB", "LBBB", "NSR"),
    "right_bundle": ("CD", "CRBBB", "RBBB", "NSR"),
    "hypertrophy": ("HYP", "STTC", "LVH", "TAb", "NSR"),
    "inferior_infarction": ("MI", "IMI", "QAb", "NSR"),
    "anterior_infarction": ("MI", "AMI", "QAb", "NSR"),
    "inverted_t": ("STTC", "TAb", "TInv", "NSR"),
    "ventricular_beats": ("PVC", "VPB", "NSR"),
}
"""Kind to the keys of `model.reading.statements` that hold, superclasses first."""

Vector = tuple[float, float, float]
Mv = npt.NDArray[np.float64]

_DOWER = np.array(
    [
        [0.632, -0.235, 0.059],
        [0.235, 1.066, -0.132],
        [-0.515, 0.157, -0.917],
        [0.044, 0.164, -1.387],
        [0.882, 0.098, -1.277],
        [1.213, 0.127, -0.601],
        [1.125, 0.127, -0.086],
        [0.831, 0.076, 0.230],
    ]
)  # rows as MODEL_LEADS
_LIMBS = np.array([LIMB_ALGEBRA[name] for name in LIMB_LEADS])
_FINE_MS = 1.0  # grid of the noise and of the truth
_REACH = 5.0  # standard deviations to which a Gaussian is drawn
_EDGE_SHARE, _EDGE_MV = 0.04, 0.006  # a wave begins and ends at this share of its peak, and not below this
_VISIBLE_MV = 0.02  # what stays under this in a lead is no wave there
_SHORTEST_RR_MS = 330.0


@dataclass(frozen=True)
class Bump:
    """One Gaussian of a beat.

    Attributes:
        wave: the wave that it belongs to; None for a raised ST segment, which is part of none.
        centre_ms: after the middle of QRS.
        rise_ms: standard deviation before the centre.
        fall_ms: standard deviation after it.
        vector_mv: of the dipole.
    """

    wave: WaveKind | None
    centre_ms: float
    rise_ms: float
    fall_ms: float
    vector_mv: Vector


Beat = tuple[Bump, ...]

_P: Beat = (
    Bump("P", -165, 17, 17, (0.03, 0.085, -0.05)),
    Bump("P", -135, 17, 18, (0.07, 0.06, 0.045)),
)
_QRS: Beat = (
    Bump("QRS", -26, 9.5, 8, (-0.14, -0.06, -0.24)),
    Bump("QRS", 0, 10, 10, (1.0, 0.75, 0.18)),
    Bump("QRS", 20, 9, 10.5, (0.10, -0.16, 0.55)),
)
_T: Beat = (Bump("T", 265, 55, 34, (0.24, 0.17, -0.14)),)
_LEFT_BUNDLE: Beat = (
    Bump("QRS", -34, 14, 14, (0.35, 0.30, 0.40)),
    Bump("QRS", -2, 18, 18, (0.80, 0.30, 0.95)),
    Bump("QRS", 42, 18, 15, (0.75, -0.05, 0.65)),
    Bump(None, 150, 50, 70, (-0.10, -0.03, -0.16)),
    Bump("T", 300, 52, 36, (-0.30, -0.10, -0.38)),
)
_RIGHT_BUNDLE: Beat = (
    *_QRS[:2],
    Bump("QRS", 22, 9, 10, (0.05, -0.10, 0.30)),
    Bump("QRS", 56, 15, 15, (-0.55, 0.02, -0.62)),
    Bump("T", 285, 52, 34, (0.26, 0.14, 0.10)),
)
_VENTRICULAR: Beat = (
    Bump("QRS", -20, 22, 24, (0.55, -0.75, 0.95)),
    Bump("QRS", 34, 24, 22, (0.70, -0.95, 0.85)),
    Bump(None, 130, 45, 60, (-0.10, 0.14, -0.18)),
    Bump("T", 300, 62, 42, (-0.42, 0.50, -0.55)),
)


def _delayed(beat: Beat, late_ms: float) -> Beat:
    return tuple(replace(bump, centre_ms=bump.centre_ms + late_ms) for bump in beat)


@dataclass(frozen=True)
class _Rhythm:
    """Range of the mean RR interval, its irregularity, and whether ventricular beats come early between."""

    rr_ms: tuple[float, float]
    irregular: float = 0.02
    ventricular: bool = False


_SINUS = _Rhythm((680.0, 960.0))
_RHYTHMS: dict[Kind, _Rhythm] = {
    "tachycardia": _Rhythm((460.0, 590.0), irregular=0.012),
    "bradycardia": _Rhythm((1080.0, 1380.0)),
    "fibrillation": _Rhythm((520.0, 820.0), irregular=0.2),
    "ventricular_beats": _Rhythm((720.0, 900.0), ventricular=True),
}
_BEATS: dict[Kind, Beat] = {
    "fibrillation": _QRS + _T,
    "av_block": _delayed(_P, -105) + _QRS + _T,
    "left_bundle": _delayed(_P, -20) + _LEFT_BUNDLE,
    "right_bundle": _P + _RIGHT_BUNDLE,
    "hypertrophy": (
        *_P,
        _QRS[0],
        Bump("QRS", 2, 11, 11, (2.2, 0.6, 1.1)),
        Bump("QRS", 22, 9, 10.5, (0.2, -0.3, 1.0)),
        Bump(None, 120, 40, 70, (-0.12, -0.03, -0.10)),
        Bump("T", 265, 60, 32, (-0.26, -0.05, -0.28)),
    ),
    "inferior_infarction": (
        *_P,
        Bump("QRS", -24, 10, 9, (-0.02, -0.48, -0.16)),
        Bump("QRS", 2, 9, 9, (0.95, 0.50, 0.18)),
        _QRS[2],
        Bump(None, 130, 55, 75, (-0.06, 0.20, 0.03)),
        Bump("T", 262, 50, 36, (0.08, 0.30, -0.02)),
    ),
    "anterior_infarction": (
        *_P,
        Bump("QRS", -24, 9, 9, (-0.10, -0.04, 0.34)),
        Bump("QRS", 2, 9, 9, (0.70, 0.70, 0.42)),
        _QRS[2],
        Bump(None, 130, 55, 75, (0.03, 0.0, -0.20)),
        Bump("T", 262, 52, 36, (0.16, 0.08, -0.34)),
    ),
    "inverted_t": (*_P, *_QRS, Bump("T", 268, 46, 40, (-0.24, -0.10, 0.14))),
}
_SINUS_BEAT = _P + _QRS + _T


@dataclass(frozen=True, eq=False)
class SimulatedEcg:
    """An ECG and all that is true of it.

    Attributes:
        recording: twelve leads, I, II, III, aVR, aVL, aVF, V1-V6.
        waves: lead to the waves that show in it and lie whole inside the recording.
        labels: keys of statements, superclasses first.
        age: years, drawn.
        sex: drawn.
    """

    recording: Recording
    waves: Waves
    labels: tuple[str, ...]
    age: int
    sex: Literal["female", "male"]


@dataclass(frozen=True, eq=False)
class _Heart:
    """What is a person's own: how the heart lies, how large it is, and how fast its parts conduct."""

    rotation: Mv
    size: float
    qrs_width: float
    qt_length: float
    pr_late_ms: float


@dataclass(frozen=True)
class _Placed:
    """A beat in time: its middle of QRS, the interval that its repolarisation adapts to, its strength."""

    at_ms: float
    rr_ms: float
    strength: float
    beat: Beat


def simulate(
    seed: int, kind: Kind = "normal", *, sampling_hz: float = 500.0, duration_s: float = 10.0, noise_mv: float = 0.008
) -> SimulatedEcg:
    """One ECG.

    Args:
        seed: decides the heart, its rhythm and its noise; the same at every rate.
        kind: what it shows.
        sampling_hz: 100 to 2000.
        duration_s: of the recording.
        noise_mv: standard deviation of the muscle noise; the baseline wanders six times as far. 0: neither.
    """
    people, rhythm, atria, noise = np.random.default_rng([seed, KINDS.index(kind)]).spawn(4)
    age, female = int(people.integers(20, 90)), bool(people.random() < 0.5)
    heart = _drawn_heart(people)
    beats = [_adapted(heart, placed) for placed in _placed_beats(kind, rhythm, duration_s * 1000)]
    times_ms = np.arange(round(duration_s * sampling_hz), dtype=np.float64) * (1000.0 / sampling_hz)
    dipole_mv = np.zeros((3, times_ms.size))
    for beat in beats:
        _draw(dipole_mv, beat, sampling_hz)
    if kind == "fibrillation":
        dipole_mv += _fibrillation(times_ms, atria)
    signal_mv = _DOWER @ dipole_mv + noise_mv * _noise(times_ms, noise)
    recording = Recording(_twelve(signal_mv).astype(np.float32), sampling_hz, STANDARD_LEADS)
    waves = _true_waves(beats, duration_s * 1000)
    return SimulatedEcg(recording, waves, LABELS[kind], age, "female" if female else "male")


def _drawn_heart(rng: np.random.Generator) -> _Heart:
    frontal, horizontal = rng.normal(0, np.deg2rad([9.0, 7.0]))
    cf, sf, ch, sh = np.cos(frontal), np.sin(frontal), np.cos(horizontal), np.sin(horizontal)
    in_frontal = np.array([[cf, -sf, 0], [sf, cf, 0], [0, 0, 1]])
    in_horizontal = np.array([[ch, 0, -sh], [0, 1, 0], [sh, 0, ch]])
    return _Heart(
        rotation=in_frontal @ in_horizontal,
        size=float(np.exp(rng.normal(0, 0.13))),
        qrs_width=float(rng.uniform(0.93, 1.07)),
        qt_length=float(rng.uniform(0.95, 1.07)),
        pr_late_ms=float(rng.uniform(-15, 15)),
    )


def _placed_beats(kind: Kind, rng: np.random.Generator, duration_ms: float) -> list[_Placed]:
    """Beats from before the first sample to after the last; the breath moves their distance and their strength."""
    rhythm, beat = _RHYTHMS.get(kind, _SINUS), _BEATS.get(kind, _SINUS_BEAT)
    mean_ms, breath_hz = rng.uniform(*rhythm.rr_ms), rng.uniform(0.18, 0.3)
    at_ms = -mean_ms * rng.uniform(0.2, 1.2)
    every, placed = int(rng.integers(4, 7)), list[_Placed]()
    while at_ms < duration_ms + mean_ms:
        breath = float(np.sin(2 * np.pi * breath_hz * at_ms / 1000))
        step_ms = max(mean_ms * (1 + 0.02 * breath + rhythm.irregular * rng.standard_normal()), _SHORTEST_RR_MS)
        placed.append(_Placed(at_ms, min(mean_ms, 1.1 * step_ms), 1 + 0.03 * breath, beat))
        if rhythm.ventricular and len(placed) % every == 3:
            placed.append(_Placed(at_ms + 0.6 * step_ms, mean_ms, 1.0, _VENTRICULAR))
            step_ms *= 2  # the pause compensates
        at_ms += step_ms
    return placed


def _adapted(heart: _Heart, placed: _Placed) -> Beat:
    """A beat in absolute time as this heart makes it: QT follows the cube root of RR (Fridericia 1920)."""
    fridericia = heart.qt_length * (placed.rr_ms / 1000) ** (1 / 3)
    quick = min(1.0, placed.rr_ms / 700)
    return tuple(_adapted_bump(heart, placed, bump, fridericia=fridericia, quick=quick) for bump in placed.beat)


def _adapted_bump(heart: _Heart, placed: _Placed, bump: Bump, *, fridericia: float, quick: float) -> Bump:
    stretch = {"P": 1.0, "QRS": heart.qrs_width, "T": fridericia, None: fridericia}[bump.wave]
    centre_ms = bump.centre_ms * (quick if bump.wave == "P" else stretch)
    if bump.wave == "P":
        centre_ms -= heart.pr_late_ms * quick
    x, y, z = heart.rotation @ bump.vector_mv * heart.size * placed.strength
    return Bump(
        bump.wave,
        placed.at_ms + centre_ms,
        bump.rise_ms * stretch,
        bump.fall_ms * stretch,
        (float(x), float(y), float(z)),
    )


def _draw(dipole_mv: Mv, beat: Sequence[Bump], sampling_hz: float) -> None:
    """Add a beat to (axis, sample)."""
    for bump in beat:
        first = max(int((bump.centre_ms - _REACH * bump.rise_ms) * sampling_hz / 1000), 0)
        last = min(int((bump.centre_ms + _REACH * bump.fall_ms) * sampling_hz / 1000) + 1, dipole_mv.shape[1])
        if first < last:
            after_ms = np.arange(first, last) * 1000.0 / sampling_hz - bump.centre_ms
            width_ms = np.where(after_ms < 0, bump.rise_ms, bump.fall_ms)
            dipole_mv[:, first:last] += np.outer(bump.vector_mv, np.exp(-0.5 * (after_ms / width_ms) ** 2))


def _fibrillation(times_ms: Mv, rng: np.random.Generator) -> Mv:
    """The atria's fine waves, 5 to 8 a second, largest in V1: (axis, sample)."""
    seconds = times_ms / 1000
    wander = sum(
        rng.uniform(0.5, 1.5) * np.sin(2 * np.pi * (rng.uniform(0.1, 0.9) * seconds + rng.random())) for _ in "abc"
    )
    phase = 2 * np.pi * rng.uniform(5.0, 7.5) * seconds + wander
    strength = 1 + 0.35 * np.sin(2 * np.pi * rng.uniform(0.15, 0.4) * seconds + rng.uniform(0, 6))
    wave = strength * (np.sin(phase) + 0.35 * np.sin(2 * phase + 0.8))
    return np.outer(rng.uniform(0.7, 1.3) * np.array([-0.012, 0.035, -0.055]), wave)


def _noise(times_ms: Mv, rng: np.random.Generator) -> Mv:
    """Muscle noise of unit deviation and a slow baseline, independent in I, II and V1-V6: (lead, sample)."""
    fine_ms = np.arange(int(times_ms[-1] / _FINE_MS) + 2, dtype=np.float64) * _FINE_MS
    leads = len(MODEL_LEADS)
    muscle = rng.standard_normal((leads, fine_ms.size))
    noise = np.stack([np.interp(times_ms, fine_ms, row) for row in muscle])
    for hz in (0.07, 0.15, 0.27):
        phases, sizes = rng.uniform(0, 2 * np.pi, leads), rng.normal(0, 4.5, leads)
        pace = hz * rng.uniform(0.8, 1.2) * 2 * np.pi / 1000
        noise += sizes[:, None] * np.sin(pace * times_ms + phases[:, None])
    return noise


def twelve_leads(dipole_mv: Mv) -> Mv:
    """What the twelve standard leads show of a dipole (3 of x left, y down, z back, sample), (lead, sample)."""
    return _twelve(_DOWER @ dipole_mv)


def _twelve(signal_mv: Mv) -> Mv:
    """I, II, V1-V6 to all twelve leads, (lead, sample)."""
    return np.concatenate([_LIMBS @ signal_mv[:2], signal_mv[2:]])


def _true_waves(beats: Sequence[Beat], duration_ms: float) -> Waves:
    """Every wave of every lead that lies whole inside the recording, in order of time."""
    found: dict[str, list[Wave]] = {name: [] for name in STANDARD_LEADS}
    for beat in beats:
        for kind in get_args(WaveKind):
            for name, wave in _edges(kind, [bump for bump in beat if bump.wave == kind]):
                if wave.onset_ms >= 0 and wave.offset_ms <= duration_ms:
                    found[name].append(wave)
    return {name: tuple(sorted(waves, key=lambda wave: wave.onset_ms)) for name, waves in found.items()}


def _edges(kind: WaveKind, bumps: Sequence[Bump]) -> list[tuple[str, Wave]]:
    """One wave of one beat in each lead where it shows."""
    if not bumps:
        return []
    start_ms = min(bump.centre_ms - _REACH * bump.rise_ms for bump in bumps)
    end_ms = max(bump.centre_ms + _REACH * bump.fall_ms for bump in bumps)
    alone = np.zeros((3, int((end_ms - start_ms) / _FINE_MS) + 1))
    _draw(alone, [replace(bump, centre_ms=bump.centre_ms - start_ms) for bump in bumps], 1000 / _FINE_MS)
    height_mv = np.abs(twelve_leads(alone))
    peaks = height_mv.argmax(axis=1)
    tops_mv = height_mv.max(axis=1)
    above = height_mv >= np.maximum(_EDGE_SHARE * tops_mv, _EDGE_MV)[:, None]
    onsets = above.argmax(axis=1)
    offsets = above.shape[1] - 1 - above[:, ::-1].argmax(axis=1)
    times_ms = start_ms + _FINE_MS * np.stack([onsets, peaks, offsets], axis=1)
    return [
        (name, Wave(kind, float(times[0]), float(times[1]), float(times[2]), confidence=1.0))
        for name, times, top_mv in zip(STANDARD_LEADS, times_ms, tops_mv, strict=True)
        if top_mv >= _VISIBLE_MV
    ]

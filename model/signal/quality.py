"""Whether a recording can be read: issues by lead, and a verdict.

What speaks most is agreement: the leads of one heart show their QRS complexes at the same time, so the slope of a
usable lead rises and falls with that of the others, and noise, an electrode that is off or a torn cable do not.
The acceptability of a recording is a logistic rule over five such numbers; its coefficients come from
`training.quality`, fitted on the labelled records of the PhysioNet/Computing in Cardiology Challenge 2011
(Silva, Moody, Celi, CinC 2011;38:273).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from model.signal.leads import STANDARD_LEADS, known_leads
from model.signal.placement import average_beat, chest_looks_swapped, limbs_look_swapped
from model.signal.recording import Recording
from model.signal.resampling import resample

Verdict = Literal["good", "limited", "unusable"]
Code = Literal[
    "flat",  # a line: not recorded, or blanked
    "disconnected_electrode",  # at an amplifier's rail, where no heart can drive it
    "saturated",  # cut off at the top or the bottom
    "noise",  # moves, and not with the heart
    "mains_hum",
    "baseline_wander",
    "artefact",
    "short",
    "missing_lead",
    "limb_reversal_suspected",
    "precordial_order_suspected",
]
POOR: frozenset[Code] = frozenset({"flat", "disconnected_electrode", "saturated", "noise"})
"""Issues that make a lead useless for measuring."""

COMMON_HZ = 100.0  # every source can be brought here, so that the verdict does not hang on the rate
FLAT_MV = 0.02  # less movement than the smallest wave of IEC 60601-2-51
RAIL_MV = 5.0  # beyond the input range of a diagnostic cart's signal (IEC 60601-2-25: +-5 mV)
CUT_FRACTION = 0.03  # of samples at one extreme value
CUT_MV = 0.1  # of movement, below which steps of the converter look like cutting
STRANGER = 0.6  # disagreement with the other leads; 1 in 1000 leads of PTB-XL exceeds 0.45
HUM_MV = 0.05
WANDER_MV = 1.5
PEAKEDNESS, RECORDING_PEAKEDNESS = 3.5, 4.5  # below it a lead, or half of the leads, beat no more than noise does
BURST_MV, BURST_RATIO = 3.0, 4.0
ENVELOPE_SAMPLES = 10  # 100 ms at the common rate: a QRS complex
SHORT_S = 10.0  # the length of a standard ECG
MAINS_HZ = (50.0, 60.0)

ACCEPTABLE_FROM = 0.5
ACCEPTABILITY = (4.18, -3.41, -2.11, -1.13, -0.72, -1.5)
"""Intercept and weights of `Features.row`, from `training.quality`: right in 92 of 100 records it was not fitted on; of
1,500 records of PTB-XL, every one read by a cardiologist, 2 are refused."""


@dataclass(frozen=True)
class Issue:
    """One thing wrong, in one lead or (lead None) in the whole recording."""

    code: Code
    lead: str | None = None


@dataclass(frozen=True)
class Quality:
    """What was found, and what follows.

    Attributes:
        verdict: `good`, `limited` (findings are given) or `unusable` (they are withheld).
        issues: by lead, or of the whole recording.
        dead_leads: leads without any signal, masked for the network.
    """

    verdict: Verdict
    issues: tuple[Issue, ...] = ()
    dead_leads: tuple[str, ...] = ()

    @property
    def poor_leads(self) -> frozenset[str]:
        """Leads in which no wave can be trusted."""
        named = {issue.lead for issue in self.issues if issue.lead is not None and issue.code in POOR}
        return frozenset(named | set(self.dead_leads))


@dataclass(frozen=True, eq=False)
class Features:
    """What is known of each lead, (lead,) each, in mV where it is an amplitude.

    Attributes:
        flat: moves less than `FLAT_MV` in three seconds out of four.
        railed: is flat far from zero.
        disagreement: 1 minus the median correlation of its slope with that of the other leads; NaN if not recorded.
        burst_mv: largest movement within a second, the median over stretches of 10 s.
        usual_mv: median movement within a second.
        wander_mv: movement of the baseline.
        peakedness: kurtosis of the slope; a sine has 1.5, noise 3, a lead with QRS complexes 4 and far more.
    """

    flat: npt.NDArray[np.bool_]
    railed: npt.NDArray[np.bool_]
    disagreement: npt.NDArray[np.float64]
    burst_mv: npt.NDArray[np.float64]
    usual_mv: npt.NDArray[np.float64]
    wander_mv: npt.NDArray[np.float64]
    peakedness: npt.NDArray[np.float64]

    def row(self) -> npt.NDArray[np.float64]:
        """What the acceptability rests on, (5,): see the comments."""
        blank = self.flat & ~self.railed
        told = np.sort(self.disagreement[~blank])
        told = told if len(told) > 1 else np.ones(2)
        burst = np.sort(np.where(blank, 0.0, self.burst_mv))[-min(4, len(blank))]
        return np.array(
            [
                told[-1],  # the lead that agrees least
                told[-2],  # the next
                np.median(told),
                np.clip(np.log(max(burst, 0.1)), -2.0, 3.0),  # a third of the leads move at least so much
                float(self.railed.any()),
            ]
        )


def check_quality(recording: Recording) -> Quality:
    """Issues of a recording, lead by lead, and what follows from them."""
    names, signal_mv = _assessed(recording)
    common = _at_common_rate(signal_mv, recording.sampling_hz)
    features = quality_features(common)
    issues = [*_recording_issues(recording, names), *_lead_issues(names, signal_mv, recording.sampling_hz, features)]
    dead = tuple(name for name, flat in zip(names, features.flat, strict=True) if flat)
    found = Quality("limited" if issues else "good", tuple(issues), dead)
    if not (enough_leads(features) and shows_beats(features) and acceptability(features) >= ACCEPTABLE_FROM):
        return replace(found, verdict="unusable")
    if suspected := tuple(_placement_issues(names, common, found.poor_leads)):
        return Quality("limited", (*found.issues, *suspected), dead)
    return found


def acceptability(features: Features) -> float:
    """How likely a recording is one that readers accept, 0 to 1."""
    intercept, *weights = ACCEPTABILITY
    return float(1 / (1 + np.exp(-(intercept + features.row() @ np.array(weights)))))


def enough_leads(features: Features) -> bool:
    """Whether at least half of the leads are no mere lines."""
    return bool(features.flat.sum() <= len(features.flat) / 2)


def shows_beats(features: Features) -> bool:
    """Whether the leads rise steeply now and then, as QRS complexes do; noise that all leads share does not."""
    alive = features.peakedness[~features.flat]
    return len(alive) > 0 and float(np.median(alive)) >= RECORDING_PEAKEDNESS


def recording_features(recording: Recording) -> Features:
    """What is known of each lead that is assessed; training and serving both call this."""
    return quality_features(_at_common_rate(_assessed(recording)[1], recording.sampling_hz))


def quality_features(common: npt.NDArray[np.float64]) -> Features:
    """What is known of each lead of (lead, sample) at `COMMON_HZ`."""
    moves = np.ptp(_blocks(common, seconds=1.0), axis=2)
    flat = np.quantile(moves, 0.75, axis=1) < FLAT_MV
    railed = flat & (np.abs(np.median(common, axis=1)) > RAIL_MV)
    baseline = _blocks(common, seconds=0.5).mean(axis=2)
    tens = max(1, moves.shape[1] // 10)
    burst = np.stack([stretch.max(axis=1) for stretch in np.array_split(moves, tens, axis=1)])
    return Features(
        flat=flat,
        railed=railed,
        disagreement=np.where(railed, 1.0, _disagreement(common, flat)),
        burst_mv=np.median(burst, axis=0),
        usual_mv=np.median(moves, axis=1),
        wander_mv=np.ptp(baseline, axis=1),
        peakedness=_kurtosis(np.diff(common, axis=1)),
    )


def _assessed(recording: Recording) -> tuple[tuple[str, ...], npt.NDArray[np.float32]]:
    """The standard leads that are there or follow from others; all leads where none is standard."""
    known = known_leads(recording.signal_mv, recording.leads)
    names = tuple(name for name in STANDARD_LEADS if name in known) or recording.leads
    return names, np.stack([known[name] for name in names])


def _at_common_rate(signal_mv: npt.NDArray[np.float32], sampling_hz: float) -> npt.NDArray[np.float64]:
    return resample(signal_mv, sampling_hz, COMMON_HZ).astype(np.float64)


def _placement_issues(names: tuple[str, ...], common: npt.NDArray[np.float64], poor: frozenset[str]) -> Iterator[Issue]:
    """Whether electrodes look swapped, judged on the leads that can be trusted."""
    trusted = tuple(name for name in names if name not in poor)
    beat = average_beat(common[[names.index(name) for name in trusted]]) if trusted else None
    if beat is not None and limbs_look_swapped(beat, trusted):
        yield Issue("limb_reversal_suspected")
    if beat is not None and chest_looks_swapped(beat, trusted):
        yield Issue("precordial_order_suspected")


def _blocks(signal_mv: npt.NDArray[np.float64], *, seconds: float) -> npt.NDArray[np.float64]:
    """(lead, block, sample) of whole blocks, or one block of what there is."""
    width = min(round(seconds * COMMON_HZ), signal_mv.shape[1])
    whole = signal_mv.shape[1] // width
    return signal_mv[:, : whole * width].reshape(len(signal_mv), whole, width)


def _disagreement(signal_mv: npt.NDArray[np.float64], flat: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """1 minus each lead's median correlation with the others that live, in how steep it is over 100 ms; NaN if flat."""
    told = np.full(len(signal_mv), np.nan)
    alive = np.flatnonzero(~flat)
    if len(alive) == 0 or signal_mv.shape[1] < 2 * ENVELOPE_SAMPLES:
        return told
    climbed = np.cumsum(np.abs(np.diff(signal_mv[alive], axis=1)), axis=1)
    steep = climbed[:, ENVELOPE_SAMPLES:] - climbed[:, :-ENVELOPE_SAMPLES]
    steep = np.minimum(steep, 3 * np.quantile(steep, 0.95, axis=1, keepdims=True))  # an artefact is not everything
    steep -= steep.mean(axis=1, keepdims=True)
    steep /= np.linalg.norm(steep, axis=1, keepdims=True) + 1e-9
    alike = steep @ steep.T
    alike[np.diag_indices_from(alike)] = np.nan
    told[alive] = 1 - np.clip(_median_others(alike), -1, 1)
    return told


def _kurtosis(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Fourth moment over the squared second of each row; zero for a row that does not move."""
    if values.shape[1] == 0:
        return np.zeros(len(values))
    squares = (values - values.mean(axis=1, keepdims=True)) ** 2
    return np.asarray((squares**2).mean(axis=1) / np.maximum(squares.mean(axis=1), 1e-12) ** 2)


def _median_others(alike: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Median of each row without its own column; a lead alone agrees with itself."""
    if len(alike) == 1:
        return np.ones(1)
    others = np.sort(alike, axis=1)[:, :-1]  # NaN, the lead itself, sorts last
    return np.asarray(np.median(others, axis=1))


def _lead_issues(
    names: tuple[str, ...], signal_mv: npt.NDArray[np.float32], sampling_hz: float, features: Features
) -> Iterator[Issue]:
    """Issues of each kind, lead by lead; a lead that is a line has no other."""
    line, strange = features.flat, np.nan_to_num(features.disagreement)
    kinds: tuple[tuple[Code, npt.NDArray[np.bool_]], ...] = (
        ("disconnected_electrode", features.railed),
        ("flat", line & ~features.railed),
        ("saturated", _cut(signal_mv) & ~line),
        ("noise", ((strange > STRANGER) | (features.peakedness < PEAKEDNESS)) & ~line),
        ("mains_hum", (_hum_mv(signal_mv, sampling_hz) > HUM_MV) & ~line),
        ("baseline_wander", (features.wander_mv > WANDER_MV) & ~line),
        ("artefact", (features.burst_mv > np.maximum(BURST_MV, BURST_RATIO * features.usual_mv)) & ~line),
    )
    for code, found in kinds:
        yield from (Issue(code, names[row]) for row in np.flatnonzero(found))


def _recording_issues(recording: Recording, names: tuple[str, ...]) -> Iterator[Issue]:
    """Issues of the recording as a whole."""
    if recording.duration_s < SHORT_S:
        yield Issue("short")
    yield from (Issue("missing_lead", name) for name in STANDARD_LEADS if name not in names)


def _cut(signal_mv: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Which leads spend too long at their highest or lowest value, (lead,)."""
    top, bottom = signal_mv.max(axis=1, keepdims=True), signal_mv.min(axis=1, keepdims=True)
    longest = np.maximum((signal_mv == top).mean(axis=1), (signal_mv == bottom).mean(axis=1))
    return np.asarray((longest > CUT_FRACTION) & ((top - bottom)[:, 0] > CUT_MV))


def _hum_mv(signal_mv: npt.NDArray[np.float32], sampling_hz: float) -> npt.NDArray[np.float64]:
    """Amplitude of the stronger mains frequency, (lead,); zero where the rate does not reach it."""
    strongest = np.zeros(len(signal_mv))
    for mains_hz in MAINS_HZ:
        if mains_hz < 0.4 * sampling_hz:
            parts = signal_mv @ _mains_wave(mains_hz, sampling_hz, signal_mv.shape[1])
            strongest = np.maximum(strongest, np.hypot(parts[:, 0], parts[:, 1]))
    return strongest


@lru_cache(maxsize=8)
def _mains_wave(mains_hz: float, sampling_hz: float, samples: int) -> npt.NDArray[np.float32]:
    """Cosine and sine at a mains frequency under a Hann window, (sample, 2), scaled so that they tell an amplitude."""
    turns = 2 * np.pi * mains_hz * np.arange(samples) / sampling_hz
    window = np.hanning(samples + 2)[1:-1]  # without its zeros
    waves = np.stack([np.cos(turns), np.sin(turns)], axis=1) * window[:, None] * 2 / window.sum()
    return np.asarray(waves, dtype=np.float32)

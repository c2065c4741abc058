"""Whether a recording can be read: issues by lead, and a verdict.

The acceptability of a recording is a logistic rule over five numbers; its coefficients come from
`training.rules.quality`, fitted on the labelled records of the PhysioNet/Computing in Cardiology Challenge 2011 (Silva,
Moody, Celi, CinC 2011;38:273).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from model.signal.beat_shape import beats_of_a_heart, cut_beats, median_beat
from model.signal.einthoven import contradicting_leads
from model.signal.lead_features import COMMON_HZ, Features, lead_features
from model.signal.leads import STANDARD_LEADS, known_leads
from model.signal.placement import chest_looks_swapped, limbs_look_swapped, second_is_a_line
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
    "contradicts_limb_leads",  # misnamed, or scaled on its own
    "limb_reversal_suspected",
    "precordial_order_suspected",
]
POOR: frozenset[Code] = frozenset({"flat", "disconnected_electrode", "saturated", "noise"})
"""Issues that make a lead useless for measuring."""

CUT_FRACTION = 0.03  # of samples at one extreme value
CUT_MV = 0.1  # of movement, below which steps of the converter look like cutting
STRANGER = 0.6  # disagreement with the other leads; 6 in 10,000 leads of PTB-XL's train split exceed it
HUM_MV = 0.05
WANDER_MV = 1.5
PEAKEDNESS = 3.5  # below it a lead beats no more than noise does
BURST_MV, BURST_RATIO = 3.0, 4.0
# As `python -m training bounds` sets them, on PTB-XL's train split.
BEATING = 4.7  # of `Features.beating`, below it the leads beat no more than noise does
COPIED = 0.97  # above it they are copies of one signal
AUGMENTED = frozenset({"aVR", "aVL", "aVF"})  # tell nothing that I, II and III do not
SHORT_S = 10.0  # the length of a standard ECG
MAINS_HZ = (50.0, 60.0)

ACCEPTABLE_FROM = 0.5
ACCEPTABILITY = (4.28, -3.41, -2.13, -1.15, -0.74, -1.54)
"""Intercept and weights of `Features.row`, from `training.rules.quality`: right in 92 of 100 records it was not fitted
on; of 17,418 train records of PTB-XL, every one read by a cardiologist, it refuses 25."""


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

    @property
    def contradicting_leads(self) -> frozenset[str]:
        """Leads whose name or scale cannot be believed, so that their amplitudes mean nothing."""
        named = (issue.lead for issue in self.issues if issue.code == "contradicts_limb_leads")
        return frozenset(lead for lead in named if lead is not None)


def check_quality(recording: Recording, *, acceptable_from: float = ACCEPTABLE_FROM) -> Quality:
    """Issues of a recording, lead by lead, and what follows from them.

    Args:
        recording: of any leads and rate.
        acceptable_from: the acceptability that is asked for; 0 leaves the verdict to the other rules.
    """
    names, signal_mv = _assessed(recording)
    common = resample(signal_mv, recording.sampling_hz, COMMON_HZ)
    features = lead_features(common)
    issues = [*_recording_issues(recording, names), *_lead_issues(names, signal_mv, recording.sampling_hz, features)]
    dead = tuple(name for name, flat in zip(names, features.flat, strict=True) if flat)
    found = Quality("limited" if issues else "good", tuple(issues), dead)
    poor = found.poor_leads
    sound = max(len(poor), features.still.sum()) <= len(names) / 2
    if not (sound and shows_beats(features) and acceptability(features) >= acceptable_from):
        return replace(found, verdict="unusable")
    found = _with(found, _contradictions(recording, names, common, poor))
    told = telling_leads(names, poor)
    beats = cut_beats(common[[names.index(name) for name in told]])
    median = None if beats is None else median_beat(beats)
    if beats is None or median is None:
        return found if recording.duration_s < SHORT_S else replace(found, verdict="unusable")
    if not beats_of_a_heart(beats, median):
        return replace(found, verdict="unusable")
    moves = zip(names, features.usual_mv.tolist(), strict=True)
    moves_mv = {name: move for name, move in moves if name in told or name == "II"}
    return _with(found, _placement_issues(median, told, moves_mv))


def acceptability(features: Features) -> float:
    """How likely a recording is one that readers accept, 0 to 1."""
    intercept, *weights = ACCEPTABILITY
    return 1 / (1 + math.exp(-(intercept + float(features.row() @ np.array(weights)))))


def shows_beats(features: Features) -> bool:
    """Whether the leads rise steeply now and then, as QRS complexes do, and each in its own way."""
    return features.beating >= BEATING and features.copied <= COPIED


def at_common_rate(recording: Recording) -> tuple[tuple[str, ...], npt.NDArray[np.float32]]:
    """The leads that are assessed and their signal, (lead, sample) at `COMMON_HZ`; training calls it too."""
    names, signal_mv = _assessed(recording)
    return names, resample(signal_mv, recording.sampling_hz, COMMON_HZ)


def telling_leads(names: tuple[str, ...], poor: frozenset[str]) -> tuple[str, ...]:
    """The leads that the beats are looked for in: those that are not poor and say what no other does."""
    return tuple(name for name in names if name not in poor and name not in AUGMENTED) or names


def _assessed(recording: Recording) -> tuple[tuple[str, ...], npt.NDArray[np.float32]]:
    """The standard leads that are there or follow from others; all leads where none is standard."""
    if recording.leads == STANDARD_LEADS:
        return recording.leads, recording.signal_mv
    known = known_leads(recording.signal_mv, recording.leads)
    names = tuple(name for name in STANDARD_LEADS if name in known) or recording.leads
    return names, np.stack([known[name] for name in names])


def _with(quality: Quality, issues: Iterator[Issue]) -> Quality:
    """The quality with more issues, if there are any."""
    further = tuple(issues)
    return Quality("limited", (*quality.issues, *further), quality.dead_leads) if further else quality


def _contradictions(
    recording: Recording, names: tuple[str, ...], common: npt.NDArray[np.float32], poor: frozenset[str]
) -> Iterator[Issue]:
    """Recorded limb leads that do not follow from the others."""
    asked = [name for name in recording.leads if name in names and name not in poor]
    rows = common[[names.index(name) for name in asked]]
    yield from (Issue("contradicts_limb_leads", lead) for lead in contradicting_leads(rows, asked))


def _placement_issues(
    median: npt.NDArray[np.float32], leads: tuple[str, ...], moves_mv: dict[str, float]
) -> Iterator[Issue]:
    """Whether electrodes look swapped, judged on the median beat and movement of the leads that can be trusted."""
    if limbs_look_swapped(median, leads) or second_is_a_line(moves_mv):
        yield Issue("limb_reversal_suspected")
    if chest_looks_swapped(median, leads):
        yield Issue("precordial_order_suspected")


def _lead_issues(
    names: tuple[str, ...], signal_mv: npt.NDArray[np.float32], sampling_hz: float, features: Features
) -> Iterator[Issue]:
    """Issues of each kind, lead by lead; a lead that is a line has no other."""
    line = features.flat
    kinds: tuple[tuple[Code, npt.NDArray[np.bool_]], ...] = (
        ("disconnected_electrode", features.railed),
        ("flat", line & ~features.railed),
        ("saturated", _cut(signal_mv) & ~line),
        ("noise", ((features.disagreement > STRANGER) | (features.peakedness < PEAKEDNESS)) & ~line),
        ("mains_hum", (_hum_mv(signal_mv, sampling_hz) > HUM_MV) & ~line),
        ("baseline_wander", (features.wander_mv > WANDER_MV) & ~line),
        ("artefact", (features.burst_mv > np.maximum(BURST_MV, BURST_RATIO * features.usual_mv)) & ~line),
    )
    for code, found in kinds:
        yield from (Issue(code, names[row]) for row in found.nonzero()[0])


def _recording_issues(recording: Recording, names: tuple[str, ...]) -> Iterator[Issue]:
    """Issues of the recording as a whole."""
    if recording.duration_s < SHORT_S:
        yield Issue("short")
    yield from (Issue("missing_lead", name) for name in STANDARD_LEADS if name not in names)


def _cut(signal_mv: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Which leads spend too long at their highest or lowest value, (lead,)."""
    top, bottom = signal_mv.max(axis=1, keepdims=True), signal_mv.min(axis=1, keepdims=True)
    most = CUT_FRACTION * signal_mv.shape[1]
    cut = _many(signal_mv == top, most) | _many(signal_mv == bottom, most)
    return np.asarray(cut & ((top - bottom)[:, 0] > CUT_MV))


def _many(where: npt.NDArray[np.bool_], most: float) -> npt.NDArray[np.bool_]:
    """Which rows are true more often than that; counted apart only where all of them together are."""
    if np.count_nonzero(where) <= most:
        return np.zeros(len(where), dtype=np.bool_)
    return np.asarray(np.count_nonzero(where, axis=1) > most)


def _hum_mv(signal_mv: npt.NDArray[np.float32], sampling_hz: float) -> npt.NDArray[np.float64]:
    """Amplitude of the stronger mains frequency, (lead,); zero where the rate does not reach it."""
    parts = signal_mv @ _mains_waves(sampling_hz, signal_mv.shape[1])
    return np.asarray(np.hypot(parts[:, ::2], parts[:, 1::2]).max(axis=1, initial=0.0))


@lru_cache(maxsize=8)
def _mains_waves(sampling_hz: float, samples: int) -> npt.NDArray[np.float32]:
    """Cosine and sine of each mains frequency under a Hann window, (sample, 2 or 4), scaled to tell an amplitude."""
    window = np.hanning(samples + 2)[1:-1]  # without its zeros
    reached = [mains_hz for mains_hz in MAINS_HZ if mains_hz < 0.4 * sampling_hz]
    turns = [2 * np.pi * mains_hz * np.arange(samples) / sampling_hz for mains_hz in reached]
    waves = [wave(turn) * window * 2 / window.sum() for turn in turns for wave in (np.cos, np.sin)]
    return np.asarray(waves, dtype=np.float32).reshape(-1, samples).T.copy()

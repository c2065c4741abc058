"""The classical second opinion: neurokit2's delineation, imported only when it is called.

neurokit2 marks noise as readily as an ECG, and fails on a flat line in ways of its own; so its marks are believed only
where the beats of a lead look like each other and fall where the other leads have theirs.
Prominence: Emrich J et al., "Physiology-informed ECG delineation based on peak prominence", EUSIPCO 2024.
Wavelets (`dwt`): Martinez JP et al., IEEE Trans Biomed Eng 2004;51:570.
"""

import warnings
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
from scipy import signal as dsp

from model.reading.beats import BEAT_GAP_MS, leads_needed
from model.reading.cautions import caution
from model.reading.measurements import Measurement
from model.reading.waves import Wave, WaveKind, Waves
from model.signal.leads import known_leads
from model.signal.quality import check_quality
from model.signal.recording import Recording
from model.signal.resampling import resample

Method = Literal["prominence", "dwt"]

RATE_HZ = 500
SHORTEST = 50  # samples, under which the filters have no room and no beat fits
LETTERS: dict[WaveKind, str] = {"P": "P", "QRS": "R", "T": "T"}
DURATION_MS: dict[WaveKind, tuple[float, float]] = {"P": (30.0, 220.0), "QRS": (30.0, 260.0), "T": (50.0, 500.0)}
ALIKE = 0.6  # median correlation of a lead's beats with its median beat
ALIKE_MS = 150.0  # to either side of the R peak
AGREES = 0.7  # of a lead's beats must be beats of the other leads, and the other way round
P_WITHIN_MS, P_STEADY = 40.0, 0.6  # so many P waves must lie so close to their median distance from the R peak
QRS_APART_MS, QT_APART_MS = 20.0, 40.0

Times = npt.NDArray[np.float64]


class _HasRecording(Protocol):
    """What `model.reader.Prepared` has."""

    @property
    def recording(self) -> Recording:
        """The recording."""


def delineate_classically(prepared: _HasRecording, outputs: object = None) -> Waves:
    """Waves of a prepared recording without the network; a `model.reader.Delineator` that can be pickled."""
    del outputs
    return delineate(prepared.recording)


def delineate(recording: Recording, *, method: Method = "prominence", whole: bool = True) -> Waves:
    """Waves in every lead that is there, by any name, and in the limb leads that follow from two others.

    Args:
        recording: any leads, any length.
        method: of neurokit2.
        whole: only whole, plausible waves of trustworthy leads. False gives neurokit2's marks as they are, with NaN
            where it marks no bound, for comparisons.
    """
    known = known_leads(recording.signal_mv, recording.leads)
    clean_mv = _clean(resample(np.stack(list(known.values())), recording.sampling_hz, RATE_HZ))
    poor = check_quality(recording).poor_leads if whole else frozenset()
    found = {
        name: _Lead(()) if name in poor else _delineate_lead(lead_mv, method)
        for name, lead_mv in zip(known, clean_mv, strict=True)
    }
    if not whole:
        return {name: lead.waves for name, lead in found.items()}
    trusted = _trusted(found)
    return {name: tuple(_believable(lead)) if name in trusted else () for name, lead in found.items()}


def second_opinion_cautions(ours: dict[str, Measurement], classical: dict[str, Measurement]) -> Iterator[str]:
    """A sentence for QRS and QT where the classical measurement differs by more than 20 and 40 ms, or is not there."""
    for name, words, limit_ms in (("qrs_ms", "QRS", QRS_APART_MS), ("qt_ms", "QT", QT_APART_MS)):
        one, other = ours[name].value, classical[name].value
        if one is not None and other is None:
            yield caution("second_opinion_absent", name=words)
        elif one is not None and other is not None and abs(one - other) > limit_ms:
            yield caution("second_opinion", name=words, ours_ms=one, classical_ms=other)


class _Lead:
    """What neurokit2 says of one lead.

    Attributes:
        waves: its marks, in order of time.
        peaks_ms: R peaks.
        alike: correlation of each beat with the lead's median beat.
    """

    def __init__(self, waves: tuple[Wave, ...], peaks_ms: Times | None = None, alike: Times | None = None) -> None:
        self.waves = waves
        self.peaks_ms = np.empty(0) if peaks_ms is None else peaks_ms
        self.alike = np.empty(0) if alike is None else alike


def _clean(signal_mv: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """What `neurokit2.ecg_clean` does, of all leads at once: high-pass at 0.5 Hz, mean over one period of 50 Hz."""
    if signal_mv.shape[1] <= SHORTEST:
        return signal_mv.astype(np.float64)
    drift_free = dsp.sosfiltfilt(_highpass(), signal_mv, axis=-1)
    period = np.full(RATE_HZ // 50, 50 / RATE_HZ)
    return np.asarray(dsp.filtfilt(period, [1.0], drift_free, axis=-1))


@cache
def _highpass() -> npt.NDArray[np.float64]:
    return np.asarray(dsp.butter(5, 0.5, "highpass", fs=RATE_HZ, output="sos"))


def _delineate_lead(clean: npt.NDArray[np.float64], method: Method) -> _Lead:
    """Marks of one filtered lead at `RATE_HZ`; none where neurokit2 fails."""
    import neurokit2 as nk

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            clean = np.insert(clean, 0, clean[0])  # neurokit2 drops marks at sample 0, and with them the order
            peaks = np.asarray(nk.ecg_findpeaks(clean, sampling_rate=RATE_HZ)["ECG_R_Peaks"], dtype=np.int64)
            _, marks = nk.ecg_delineate(clean, peaks, sampling_rate=RATE_HZ, method=method)
    except Exception:  # noqa: BLE001 - neurokit2 fails in many ways on a lead without beats
        return _Lead(())
    marks["ECG_R_Peaks"] = peaks.tolist()
    alike = _alikeness(clean, peaks)
    waves = [wave for kind in LETTERS for wave in _waves_of(kind, marks, alike)]
    return _Lead(tuple(sorted(waves, key=lambda wave: wave.peak_ms)), _milliseconds(peaks), alike)


def _milliseconds(samples: npt.NDArray[np.generic]) -> Times:
    """Times from the first sample of the recording; one sample was put before it."""
    return (samples.astype(np.float64) - 1) * 1000 / RATE_HZ


def _waves_of(kind: WaveKind, marks: dict[str, list[float]], alike: Times) -> Iterator[Wave]:
    """One wave a beat where at least its peak is marked; a beat's likeness to the others is its confidence."""
    columns = [marks[f"ECG_{LETTERS[kind]}_{edge}"] for edge in ("Onsets", "Peaks", "Offsets")]
    if {len(column) for column in columns} != {len(alike)}:
        return
    times = _milliseconds(np.array(columns, dtype=np.float64)).T.tolist()
    for (onset, peak, offset), confidence in zip(times, alike.tolist(), strict=True):
        if np.isfinite(peak):
            yield Wave(kind, onset, peak, offset, min(max(confidence, 0.0), 1.0))


def _alikeness(clean: npt.NDArray[np.float64], peaks: npt.NDArray[np.int64]) -> Times:
    """Correlation of the stretch around each R peak with the median of all, (beat,)."""
    reach = np.arange(-round(ALIKE_MS * RATE_HZ / 1000), round(ALIKE_MS * RATE_HZ / 1000) + 1)
    stretches = clean[np.clip(peaks[:, None] + reach, 0, len(clean) - 1)]
    stretches = stretches - stretches.mean(axis=1, keepdims=True)
    middle = np.median(stretches, axis=0)
    middle = middle - middle.mean()
    size = np.linalg.norm(stretches, axis=1) * np.linalg.norm(middle)
    return np.asarray(stretches @ middle / np.maximum(size, 1e-9))


def _trusted(found: dict[str, _Lead]) -> frozenset[str]:
    """Leads whose beats look alike, and fall where most of such leads have theirs."""
    steady = {name: lead for name, lead in found.items() if len(lead.alike) > 1 and np.median(lead.alike) >= ALIKE}
    if not steady or len(steady) < leads_needed(len(found)) / 2:
        return frozenset()
    beats = _common_beats([lead.peaks_ms for lead in steady.values()])
    return frozenset(name for name, lead in steady.items() if _agree(lead.peaks_ms, beats))


def _common_beats(peaks_ms: list[Times]) -> Times:
    """Beats that enough of the leads have, at the median of their R peaks."""
    times = np.concatenate(peaks_ms)
    owner = np.repeat(np.arange(len(peaks_ms)), [len(one) for one in peaks_ms])
    order = np.argsort(times)
    cuts = np.flatnonzero(np.diff(times[order]) > BEAT_GAP_MS) + 1
    groups = np.split(order, cuts)
    needed = leads_needed(len(peaks_ms))
    return np.array([np.median(times[group]) for group in groups if len(set(owner[group].tolist())) >= needed])


def _agree(peaks_ms: Times, beats_ms: Times) -> bool:
    """Whether most peaks are beats and most beats are peaks."""
    if len(beats_ms) == 0:
        return False
    near = np.abs(peaks_ms[:, None] - beats_ms[None]) <= BEAT_GAP_MS
    return bool(near.any(axis=1).mean() >= AGREES and near.any(axis=0).mean() >= AGREES)


def _believable(lead: _Lead) -> Iterator[Wave]:
    """Whole waves of plausible duration in a heart's order; no P where it does not keep its distance from R."""
    whole = [wave for wave in lead.waves if _plausible(wave)]
    steady_p = _p_is_steady([wave for wave in whole if wave.wave == "P"], lead.peaks_ms)
    before = -np.inf
    for wave, after in zip(whole, [*whole[1:], None], strict=True):
        if wave.wave == "P" and not steady_p:
            continue
        fitted = _fitted(wave, before, after)
        if fitted is not None:
            before = fitted.offset_ms
            yield fitted


def _plausible(wave: Wave) -> bool:
    shortest, longest = DURATION_MS[wave.wave]
    ordered = 0 <= wave.onset_ms < wave.peak_ms < wave.offset_ms  # NaN is never ordered
    return ordered and shortest <= wave.offset_ms - wave.onset_ms <= longest


def _fitted(wave: Wave, before_ms: float, after: Wave | None) -> Wave | None:
    """The wave without what overlaps its neighbours; a QRS keeps its bounds, and P and T give way."""
    if wave.wave == "QRS":
        return wave if wave.onset_ms >= before_ms else None
    end = after.onset_ms if after is not None and after.wave == "QRS" else np.inf
    fitted = replace(wave, onset_ms=max(wave.onset_ms, before_ms), offset_ms=min(wave.offset_ms, float(end)))
    return fitted if _plausible(fitted) else None


def _p_is_steady(p_waves: list[Wave], peaks_ms: Times) -> bool:
    """Whether the P waves of a lead keep their distance from the R peak, as those of fibrillation do not."""
    if len(p_waves) < 2:
        return False
    at = np.array([wave.peak_ms for wave in p_waves])
    beat = np.minimum(np.searchsorted(peaks_ms, at), len(peaks_ms) - 1)
    distance = peaks_ms[beat] - at
    steady = np.abs(distance - np.median(distance)) <= P_WITHIN_MS
    return bool(steady.sum() >= P_STEADY * max(len(at), len(peaks_ms) / 2))

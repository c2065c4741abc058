"""Intervals, rates, axes and voltages of a recording from its waves."""

from collections.abc import Callable
from math import isfinite
from statistics import median

import numpy as np

from model.reading.amplitudes import AXIS_LEADS, MIN_WAVE_MV, Amplitudes, measure_amplitudes
from model.reading.beats import Array, Beats, match_beats
from model.reading.measurements import MEASUREMENTS, Absent, LeadMeasurements, Measurement
from model.reading.waves import WaveKind, Waves
from model.signal.leads import LIMB_LEADS, known_leads
from model.signal.quality import Quality
from model.signal.recording import Recording

MIN_RATE_BPM, MAX_RATE_BPM = 20.0, 300.0
MIN_BEATS_WITH_WAVE = 1 / 3  # of all beats; less is a stray mark, not a P wave
IRREGULAR = 0.1  # rMSSD over mean RR
SOKOLOW_LEADS, CORNELL_LEADS = ("V1", "V5", "V6"), ("aVL", "V3")

QTC: dict[str, Callable[[Array, float], Array]] = {
    # Bazett HC. An analysis of the time-relations of electrocardiograms. Heart 1920;7:353.
    "qtc_bazett_ms": lambda qt_ms, rr_ms: qt_ms / (rr_ms / 1000) ** (1 / 2),
    # Fridericia LS. Die Systolendauer im Elektrokardiogramm. Acta Med Scand 1920;53:469. The default.
    "qtc_fridericia_ms": lambda qt_ms, rr_ms: qt_ms / (rr_ms / 1000) ** (1 / 3),
    # Sagie A et al. An improved method for adjusting the QT interval (Framingham). Am J Cardiol 1992;70:797.
    "qtc_framingham_ms": lambda qt_ms, rr_ms: qt_ms + 154 * (1 - rr_ms / 1000),
    # Hodges M et al. Bazett's QT correction reviewed: evidence for a linear correction. JACC 1983;1:694.
    "qtc_hodges_ms": lambda qt_ms, rr_ms: qt_ms + 1.75 * (60_000 / rr_ms - 60),
}
"""QT corrected for the mean RR of the recording."""


def measure(
    recording: Recording, waves: Waves, quality: Quality
) -> tuple[dict[str, Measurement], dict[str, LeadMeasurements]]:
    """Global and per-lead measurements of a recording from its waves.

    Args:
        recording: where amplitudes are read.
        waves: lead to waves, for leads that the recording has or that follow from its limb leads.
        quality: poor leads are left out, of those that contradict the others amplitudes; an unusable recording is not
            measured.

    Returns:
        All of `MEASUREMENTS`, and the numbers of every lead of `waves`.
    """
    if quality.verdict == "unusable":
        return _absent("unusable_recording"), {lead: LeadMeasurements() for lead in waves}
    leads = _usable(recording, waves, quality)
    beats = match_beats(waves, leads)
    if beats.count == 0:
        return _absent("too_few_beats" if leads else "no_usable_leads"), {lead: LeadMeasurements() for lead in waves}
    amplitudes = _amplitudes(recording, beats, quality)
    measured = _rates(beats) | _intervals(beats) | _axes(beats, amplitudes) | _voltages(beats, amplitudes)
    measured |= _corrected(beats, measured)
    by_lead = _by_lead(beats, amplitudes)
    return {name: measured[name] for name in MEASUREMENTS}, {
        lead: by_lead.get(lead, LeadMeasurements()) for lead in waves
    }


def rhythm_cautions(measurements: dict[str, Measurement], *, paced: bool) -> tuple[str, ...]:
    """Keys of `CAUTIONS` that the rhythm calls for."""
    rr, rmssd = measurements["rr_ms"], measurements["rmssd_ms"].value
    irregular = rr.value is not None and rmssd is not None and rmssd > IRREGULAR * rr.value
    nothing = measurements["qrs_ms"].absent in {"too_few_beats", "no_usable_leads"}
    said = {"no_waves": nothing, "irregular_rhythm": irregular, "paced_rhythm": paced}
    return tuple(key for key, holds in said.items() if holds)


def _absent(reason: Absent) -> dict[str, Measurement]:
    return {name: Measurement(None, absent=reason) for name in MEASUREMENTS}


def _usable(recording: Recording, waves: Waves, quality: Quality) -> tuple[str, ...]:
    """Known leads with waves that are not poor and were not computed from a poor limb lead."""
    poor = quality.poor_leads
    derived = set(LIMB_LEADS) - set(recording.leads) if poor & set(LIMB_LEADS) else set()
    known = known_leads(recording.signal_mv, recording.leads)
    return tuple(lead for lead, found in waves.items() if found and lead in known and lead not in poor | derived)


def _amplitudes(recording: Recording, beats: Beats, quality: Quality) -> Amplitudes:
    """Amplitudes of the leads of `beats`; one that contradicts the others is derived from those, or left out."""
    if not quality.contradicting_leads and beats.leads == recording.leads:
        return measure_amplitudes(recording.signal_mv, recording.sampling_hz, beats, beats.leads)
    rows = [row for row, lead in enumerate(recording.leads) if lead not in quality.contradicting_leads]
    signals = known_leads(recording.signal_mv[rows], [recording.leads[row] for row in rows])
    leads = tuple(lead for lead in beats.leads if lead in signals)
    signal_mv = np.stack([signals[lead] for lead in leads]) if leads else recording.signal_mv[:0]
    return measure_amplitudes(signal_mv, recording.sampling_hz, beats, leads)


def _over_beats(values: Array, leads: int, reason: Absent) -> Measurement:
    """Median and median absolute deviation over the beats that have a value."""
    finite = [value for value in values.tolist() if isfinite(value)]
    if not finite or len(finite) < MIN_BEATS_WITH_WAVE * len(values):
        return Measurement(None, absent=reason)
    middle = median(finite)
    return Measurement(middle, _deviation(finite, middle), leads)


def _deviation(values: list[float], middle: float) -> float | None:
    """Median absolute deviation from the middle; None for a single value."""
    return median([abs(value - middle) for value in values]) if len(values) > 1 else None


def _rates(beats: Beats) -> dict[str, Measurement]:
    """Heart rate, RR and its short-term variability; an RR is the median over leads of R peak to R peak."""
    names = ("heart_rate_bpm", "rr_ms", "rmssd_ms", "sdnn_ms")
    rr_ms = _median_columns(np.diff(beats.marks_ms["QRS"][1], axis=1))
    rr_ms = rr_ms[np.isfinite(rr_ms)]
    if len(rr_ms) < 2:
        return dict.fromkeys(names, Measurement(None, absent="too_few_beats"))
    mean = float(rr_ms.mean())
    if not MIN_RATE_BPM <= 60_000 / mean <= MAX_RATE_BPM:
        return dict.fromkeys(names, Measurement(None, absent="rate_out_of_range"))
    leads = len(beats.leads)
    listed = rr_ms.tolist()
    spread = _deviation(listed, median(listed)) or 0.0
    return {
        "heart_rate_bpm": Measurement(60_000 / mean, spread * 60_000 / mean**2, leads),
        "rr_ms": Measurement(mean, spread, leads),
        "rmssd_ms": Measurement(float(np.sqrt(np.mean(np.diff(rr_ms) ** 2))), None, leads),
        "sdnn_ms": Measurement(float(rr_ms.std(ddof=1)), None, leads),
    }


def _intervals(beats: Beats) -> dict[str, Measurement]:
    """Global intervals of each beat from its global bounds, medians over beats."""
    onset, offset = beats.onset_ms, beats.offset_ms
    p_leads, qrs_leads = beats.leads_shown("P"), beats.leads_shown("QRS")
    return {
        "p_duration_ms": _over_beats(offset["P"] - onset["P"], p_leads, "no_p_wave"),
        "pr_ms": _over_beats(onset["QRS"] - onset["P"], p_leads, "no_p_wave"),
        "qrs_ms": _over_beats(offset["QRS"] - onset["QRS"], qrs_leads, "too_few_beats"),
        "qt_ms": _over_beats(offset["T"] - onset["QRS"], beats.leads_shown("T"), "no_t_wave"),
    }


def _corrected(beats: Beats, measured: dict[str, Measurement]) -> dict[str, Measurement]:
    """Every QTc, or the reason that QT or RR has for being absent."""
    qt, rr = measured["qt_ms"], measured["rr_ms"]
    if qt.value is None or rr.value is None:
        return dict.fromkeys(QTC, qt if qt.value is None else rr)
    qt_ms, rr_ms = beats.offset_ms["T"] - beats.onset_ms["QRS"], rr.value
    return {name: _over_beats(formula(qt_ms, rr_ms), qt.leads, "no_t_wave") for name, formula in QTC.items()}


def _axes(beats: Beats, amplitudes: Amplitudes) -> dict[str, Measurement]:
    """Frontal axes from net areas: atan2(2 / sqrt(3) * aVF, I), degrees.

    Source: Surawicz et al., AHA/ACCF/HRS recommendations part III, 2009. aVF is an augmented lead; 2 / sqrt(3) puts
    it on the scale of lead I.
    """
    kinds: tuple[tuple[str, WaveKind, Absent], ...] = (
        ("p_axis_deg", "P", "no_p_wave"),
        ("qrs_axis_deg", "QRS", "too_few_beats"),
        ("t_axis_deg", "T", "no_t_wave"),
    )
    if not amplitudes.area:
        return {name: _without(AXIS_LEADS, beats) for name, _, _ in kinds}
    return {name: _axis(amplitudes.area[kind], reason) for name, kind, reason in kinds}


def _axis(areas: Array, reason: Absent) -> Measurement:
    """Axis of the median vector of (2, beat) areas of I and aVF; beats that scatter more than it is long have none."""
    known = areas[:, np.isfinite(areas).all(axis=0)]
    if known.shape[1] == 0 or known.shape[1] < MIN_BEATS_WITH_WAVE * areas.shape[1]:
        return Measurement(None, absent=reason)
    x, y = known[0], known[1] * 2 / np.sqrt(3)
    middle_x, middle_y = median(x.tolist()), median(y.tolist())
    if np.hypot(middle_x, middle_y) <= median(np.hypot(x - middle_x, y - middle_y).tolist()):
        return Measurement(None, absent="indeterminate_axis")
    axis = float(np.degrees(np.arctan2(middle_y, middle_x)))
    turned = (np.degrees(np.arctan2(y, x)) - axis + 180) % 360 - 180
    return Measurement(axis, _deviation(turned.tolist(), 0.0), 2)


def _voltages(beats: Beats, amplitudes: Amplitudes) -> dict[str, Measurement]:
    """Hypertrophy voltages; the cut-offs are the reader's."""
    r_mv = dict(zip(amplitudes.leads, amplitudes.r_mv, strict=True))
    s_mv = dict(zip(amplitudes.leads, amplitudes.s_mv, strict=True))
    voltages = {"sokolow_lyon_mv": _without(SOKOLOW_LEADS, beats), "cornell_mv": _without(CORNELL_LEADS, beats)}
    if r_mv.keys() >= set(SOKOLOW_LEADS):
        # Sokolow M, Lyon TP. Am Heart J 1949;37:161: S in V1 plus the larger R of V5 and V6.
        sokolow = s_mv["V1"] + np.maximum(r_mv["V5"], r_mv["V6"])
        voltages["sokolow_lyon_mv"] = _over_beats(sokolow, 3, "too_few_beats")
    if r_mv.keys() >= set(CORNELL_LEADS):
        # Casale PN et al. (Cornell). J Am Coll Cardiol 1985;6:572: R in aVL plus S in V3.
        voltages["cornell_mv"] = _over_beats(r_mv["aVL"] + s_mv["V3"], 2, "too_few_beats")
    return voltages


def _without(leads: tuple[str, ...], beats: Beats) -> Measurement:
    """What stands for a number whose leads have no amplitudes: they are not there, or contradict the others."""
    return Measurement(None, absent="contradicting_leads" if set(leads) <= set(beats.leads) else "missing_leads")


def _by_lead(beats: Beats, amplitudes: Amplitudes) -> dict[str, LeadMeasurements]:
    """The numbers of each lead from its own marks and amplitudes."""
    p, qrs, t = (beats.marks_ms[kind] for kind in ("P", "QRS", "T"))
    spans = (p[2] - p[0], qrs[0] - p[0], qrs[2] - qrs[0], t[2] - qrs[0])
    levels = np.full((4, *qrs[0].shape), np.nan)
    rows = [beats.leads.index(lead) for lead in amplitudes.leads]
    levels[:, rows] = amplitudes.r_mv, amplitudes.s_mv, amplitudes.st_j_mv, amplitudes.st_j60_mv
    per_beat = np.stack([*spans, *levels])
    table = _median_columns(per_beat.reshape(-1, beats.count).T).reshape(len(per_beat), -1)
    deflections = table[len(spans) : len(spans) + 2]  # R and S
    deflections[deflections < MIN_WAVE_MV] = np.nan
    return {
        lead: LeadMeasurements(*(value if isfinite(value) else None for value in column))
        for lead, column in zip(beats.leads, table.T.tolist(), strict=True)
    }


def _median_columns(values: Array) -> Array:
    """Median of each column without its NaN; several times faster than numpy's nanmedian on arrays this small."""
    if values.size == 0:
        return np.full(values.shape[1], np.nan)
    ordered = np.sort(values, axis=0)  # NaN sorts last
    count = np.isfinite(ordered).sum(axis=0)
    columns = np.arange(values.shape[1])
    low, high = np.maximum(count - 1, 0) // 2, np.minimum(count // 2, len(values) - 1)
    return np.asarray((ordered[low, columns] + ordered[high, columns]) / 2)

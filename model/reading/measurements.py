"""What is measured of a recording: every number by name, with its spread or the reason it is absent."""

from dataclasses import dataclass
from typing import Literal, get_args

Absent = Literal[
    "unusable_recording",  # the verdict on the whole recording
    "no_usable_leads",  # every lead is poor, or has no waves
    "too_few_beats",  # fewer than the number rests on
    "rate_out_of_range",  # not between 20 and 300 /min
    "no_p_wave",  # too few beats have one: fibrillation, flutter, pacing, a hidden P
    "no_t_wave",  # too few beats have a measurable end of T
    "missing_leads",  # the formula's leads are not there or poor
    "contradicting_leads",  # one of them has a name or scale that the other limb leads contradict
    "indeterminate_axis",  # positive and negative areas cancel
    "not_delineated",  # the delineator failed; whoever called it says so
]
ABSENT: tuple[Absent, ...] = get_args(Absent)


@dataclass(frozen=True)
class Measurement:
    """One number, or why there is none.

    Attributes:
        value: in the unit of its name; None when it could not be measured.
        spread: median absolute deviation over beats, in the same unit; None for a single value.
        leads: how many leads it rests on.
        absent: when `value` is None, one of `ABSENT`.
    """

    value: float | None
    spread: float | None = None
    leads: int = 0
    absent: Absent | None = None


@dataclass(frozen=True)
class LeadMeasurements:
    """Medians over the beats of one lead; None where a wave is missing or the lead is poor.

    Attributes:
        p_ms: duration of P.
        pr_ms: onset of P to onset of QRS.
        qrs_ms: duration of QRS.
        qt_ms: onset of QRS to offset of T.
        r_mv: height of R above the PR segment.
        s_mv: depth of S after the first R (of QS where there is none) below it, as a positive number.
        st_j_mv: level at the end of the QRS.
        st_j60_mv: level 60 ms later.
    """

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
"""Every global measurement; an answer holds them all, measured or absent. rMSSD and SDNN are short-term values: they
describe the stretch that was recorded, not the 5 minutes or 24 hours of the Task Force (Circulation 1996;93:1043)."""

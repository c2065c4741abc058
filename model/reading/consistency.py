"""Where an answer contradicts itself: findings that exclude each other, or a number that is measured otherwise.

The network and the measurements look at the same recording apart. Where they differ by more than either may err, one of
them is wrong, and who reads the answer is told so; nothing is taken back.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf

from model.reading.cautions import caution
from model.reading.findings import Finding
from model.reading.measurements import Measurement


@dataclass(frozen=True)
class _Number:
    """A measurement that statements are defined by.

    Attributes:
        words: what it is called in a sentence.
        unit: of its value.
        may_err: by so much it may lie outside a definition.
    """

    words: str
    unit: str
    may_err: float


# What intervals may be off by: IEC 60601-2-25. Axes: readers call them deviated some way before the definition.
NUMBERS = {
    "heart_rate_bpm": _Number("the heart rate", "/min", 5.0),
    "pr_ms": _Number("PR", "ms", 10.0),
    "qrs_ms": _Number("QRS", "ms", 10.0),
    "qtc_fridericia_ms": _Number("QTc (Fridericia)", "ms", 25.0),
    "qrs_axis_deg": _Number("the QRS axis", "degrees", 30.0),
}
# Surawicz et al. and Rautaharju et al., AHA/ACCF/HRS recommendations parts III and IV, 2009.
DEFINED: dict[str, tuple[str, float, float]] = {
    "SB": ("heart_rate_bpm", 0.0, 60.0),
    "STach": ("heart_rate_bpm", 100.0, inf),
    "IAVB": ("pr_ms", 200.0, inf),
    "LPR": ("pr_ms", 200.0, inf),
    "CLBBB": ("qrs_ms", 120.0, inf),
    "CRBBB": ("qrs_ms", 120.0, inf),
    "LAD": ("qrs_axis_deg", -90.0, -30.0),
    "RAD": ("qrs_axis_deg", 90.0, 180.0),
    "LQT": ("qtc_fridericia_ms", 450.0, inf),
}
"""Key of a statement to what it is defined by, from and to."""
# A normal ECG with a conduction disturbance is what readers of PTB-XL call an incomplete block in a healthy heart.
EXCLUDED_BY_NORMAL = frozenset({"MI", "STTC", "HYP", "AF", "AFL", "PACE"})
WITHOUT_P, WITH_P = ("AF", "AFL"), ("IAVB", "LPR")
LONG_QTC_MS = 500.0  # Drew BJ et al., prevention of torsade de pointes, Circulation 2010;121:1047


def contradictions(found: Sequence[Finding], measurements: dict[str, Measurement] | None) -> Iterator[str]:
    """A sentence for each contradiction within an answer.

    Args:
        found: every finding, present or not; none where they were not asked for or are withheld.
        measurements: all of them; None where they were not asked for.
    """
    names = {one.statement.key: one.statement.name for one in found if one.present}
    excluded = ", ".join(name for key, name in names.items() if key in EXCLUDED_BY_NORMAL)
    if "NORM" in names and excluded:
        yield caution("findings_exclude", name=_begun(names["NORM"]), others=excluded)
    if measurements is None:
        return
    for key, (number, low, high) in DEFINED.items():
        value = measurements[number].value
        if key in names and value is not None and _outside(number, value, low, high):
            yield _measured(names[key], number, value)
    yield from _without_p(names, measurements)
    qtc_ms = measurements["qtc_fridericia_ms"].value
    if (
        qtc_ms is not None
        and qtc_ms >= LONG_QTC_MS
        and any(one.statement.key == "LQT" for one in found if not one.present)
    ):
        yield caution("long_qtc", value=qtc_ms)


def _without_p(names: dict[str, str], measurements: dict[str, Measurement]) -> Iterator[str]:
    """P waves where there can be none, and none where there must be some."""
    pr = measurements["pr_ms"]
    for key in WITHOUT_P:
        if key in names and pr.value is not None:
            yield caution("p_waves", name=_begun(names[key]))
    long = [names[key] for key in WITH_P if key in names]
    if long and pr.absent == "no_p_wave":
        yield caution("no_p_waves", name=_begun(long[0]))


def _outside(number: str, value: float, low: float, high: float) -> bool:
    """Whether a value lies outside a definition by more than it may err."""
    short = max(low - value, value - high)
    if number == "qrs_axis_deg":  # round the circle
        middle, half = (low + high) / 2, (high - low) / 2
        short = abs((value - middle + 180.0) % 360.0 - 180.0) - half
    return short > NUMBERS[number].may_err


def _measured(name: str, number: str, value: float) -> str:
    what = NUMBERS[number]
    return caution("measured_otherwise", name=_begun(name), words=what.words, value=value, unit=what.unit)


def _begun(name: str) -> str:
    """A name at the beginning of a sentence."""
    return name[:1].upper() + name[1:]

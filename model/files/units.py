"""Spellings of amplitude units, and what each is in millivolts."""

from model.errors import MalformedError, MissingUnitError, UnknownUnitError

_MILLIVOLTS = {
    **dict.fromkeys(("mv", "millivolt", "millivolts"), 1.0),
    **dict.fromkeys(("uv", "microvolt", "microvolts"), 1e-3),
    **dict.fromkeys(("v", "volt", "volts"), 1e3),
}
MIN_GAIN, MAX_GAIN = 1e-9, 1e9  # counts per unit
_MICRO = str.maketrans({"\u00b5": "u", "\u03bc": "u"})  # micro sign, Greek mu


def millivolts_per(unit: str | None) -> float:
    """Millivolts in one `unit`: mV, uV, µV or V in any case.

    Raises:
        MissingUnitError: None or blank; none is assumed.
        UnknownUnitError: anything else.
    """
    if unit is None or not unit.strip():
        raise MissingUnitError("no amplitude unit was given, wanted mV, uV or V")
    factor = _MILLIVOLTS.get(unit.strip().translate(_MICRO).lower())
    if factor is None:
        raise UnknownUnitError("got an amplitude unit that is none of mV, uV and V")
    return factor


def require_gain(gain: float, refusal: type[MalformedError] = MalformedError) -> float:
    """The gain, in counts per unit, if one could have it; raises `refusal` otherwise, NaN included."""
    if not MIN_GAIN <= gain <= MAX_GAIN:
        raise refusal(f"got a gain of {gain:g} counts per unit, wanted {MIN_GAIN:g} to {MAX_GAIN:g}")
    return gain


def is_voltage(unit: str | None) -> bool:
    """Whether `millivolts_per` knows the unit."""
    return unit is not None and unit.strip().translate(_MICRO).lower() in _MILLIVOLTS

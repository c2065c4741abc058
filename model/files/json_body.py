"""A JSON object to a recording: rate, unit, and leads as lists of numbers or as base64 of little-endian int16.

What else the object holds is ignored and forgotten: systems send patients' names beside the signal.
"""

import base64
import binascii
import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic_core import from_json

from model.errors import (
    DuplicateLeadError,
    MalformedJsonError,
    MissingGainError,
    MissingRateError,
    NotFiniteError,
    ShapeError,
)
from model.files.limits import SERVICE_LIMITS, Limits
from model.files.units import millivolts_per
from model.signal.recording import Recording, require_rate

MAX_NAME = 32  # characters of a lead's name


def decode_json(body: bytes, limits: Limits = SERVICE_LIMITS) -> Recording:
    """The recording in `{"sampling_hz", "unit", "leads": {name: [numbers]}}`.

    Leads may be strings instead, base64 of little-endian int16 counts; then `"gain"`, counts per unit, is required.
    With lists a gain is refused: it would leave open whether the numbers are counts.

    Raises:
        MalformedJsonError: not JSON, not of this form, or a key twice.
        MissingRateError, MissingUnitError, MissingGainError, UnknownUnitError, RateError: as they say.
        DuplicateLeadError: a lead twice, in any spelling.
        ShapeError: no leads, empty ones, or leads of different lengths.
        NotFiniteError: NaN, infinity, null, or a number beyond float32.
        TooLargeError: over the limits.
    """
    limits.require_body(len(body))
    fields = _parsed(body)
    sampling_hz = _sampling_hz(fields)
    leads = _leads(fields, limits)
    _require_keys_once(body, fields)
    encoded = isinstance(next(iter(leads.values())), str)
    scale = millivolts_per(_unit(fields)) / _gain(fields, encoded=encoded)
    samples = _stacked([_decoded(lead) if isinstance(lead, str) else _listed(lead) for lead in leads.values()])
    if not encoded and (b"true" in body or b"false" in body):
        _require_no_booleans(leads.values())
    limits.require_duration(samples.shape[1], sampling_hz)
    with np.errstate(over="ignore", invalid="ignore"):
        signal_mv = (samples * scale).astype(np.float32)
    return Recording(signal_mv, sampling_hz, tuple(leads))


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        fields = from_json(body, allow_inf_nan=True)
    except ValueError as error:
        raise MalformedJsonError("the body is not JSON") from error
    if not isinstance(fields, dict):
        raise MalformedJsonError("the body is not a JSON object")
    return fields


def _sampling_hz(fields: Mapping[str, Any]) -> float:
    if fields.get("sampling_hz") is None:
        raise MissingRateError("no sampling_hz was given; none is assumed")
    sampling_hz = _number(fields["sampling_hz"], "sampling_hz")
    require_rate(sampling_hz)
    return sampling_hz


def _unit(fields: Mapping[str, Any]) -> str | None:
    unit = fields.get("unit")
    if unit is None or isinstance(unit, str):
        return unit
    raise MalformedJsonError("unit is not a string")


def _gain(fields: Mapping[str, Any], *, encoded: bool) -> float:
    """Counts per unit of base64 leads; 1 for lists."""
    gain = fields.get("gain")
    if not encoded:
        if gain is not None:
            raise MalformedJsonError("a gain goes with base64 leads; lists are read in the unit given")
        return 1.0
    if gain is None:
        raise MissingGainError("base64 leads need a gain, in counts per unit")
    return _positive_gain(_number(gain, "gain"))


def _positive_gain(gain: float) -> float:
    if not 1e-9 <= gain <= 1e9:
        raise MalformedJsonError(f"got a gain of {gain:g}, wanted more than 0")
    return gain


def _number(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise MalformedJsonError(f"{name} is not a number")
    try:
        return float(value)
    except OverflowError as error:
        raise MalformedJsonError(f"{name} is beyond all bounds") from error


def _leads(fields: Mapping[str, Any], limits: Limits) -> dict[str, list[Any] | str]:
    """Leads by name as they came, all lists or all strings."""
    leads = fields.get("leads")
    if not isinstance(leads, dict):
        raise MalformedJsonError("leads is not an object of names and samples")
    if not leads:
        raise ShapeError("got no leads")
    limits.require_leads(len(leads))
    if any(len(name) > MAX_NAME for name in leads):
        raise MalformedJsonError(f"a lead's name has more than {MAX_NAME} characters")
    kinds = {type(samples) for samples in leads.values()}
    if kinds not in ({list}, {str}):
        raise MalformedJsonError("leads are neither all lists of numbers nor all base64 strings")
    return leads


def _listed(lead: Sequence[Any]) -> npt.NDArray[np.float64]:
    """A list as an array; `struct` takes numbers alone and is three times as fast as numpy."""
    try:
        return np.frombuffer(struct.pack(f"{len(lead)}d", *lead))
    except (struct.error, OverflowError) as error:
        if all(sample is None or isinstance(sample, int | float) for sample in lead):
            raise NotFiniteError("a lead holds null, or a number beyond all bounds; gaps are not filled in") from error
        raise MalformedJsonError("a lead holds something else than numbers") from error


def _decoded(lead: str) -> npt.NDArray[np.int16]:
    try:
        data = base64.b64decode(lead, validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedJsonError("a lead is not base64") from error
    if len(data) % 2:
        raise MalformedJsonError("a lead is not base64 of whole int16 samples")
    return np.frombuffer(data, "<i2")


def _require_no_booleans(leads: Iterable[Sequence[Any]]) -> None:
    """`struct` takes true for 1."""
    if any(isinstance(sample, bool) for lead in leads for sample in lead):
        raise MalformedJsonError("a lead holds something else than numbers")


def _stacked(rows: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    lengths = {row.size for row in rows}
    if len(lengths) > 1 or 0 in lengths:
        raise ShapeError(f"got leads of {min(lengths)} to {max(lengths)} samples, wanted one length for all")
    return np.stack(rows)


def _require_keys_once(body: bytes, fields: Mapping[str, Any]) -> None:
    """Raise where a key came twice: parsers keep the last one and say nothing.

    Without escapes, the strings that were kept account for every quote of the body.
    """
    if b"\\" not in body and body.count(b'"') == 2 * _strings(fields):
        return
    pairs = json.loads(body, object_pairs_hook=_Pairs)
    if any(name == "leads" and _repeats(value) for name, value in pairs):
        raise DuplicateLeadError("a lead is given twice")
    if _repeats_anywhere(pairs):
        raise MalformedJsonError("a key is given twice")


class _Pairs(list[tuple[str, Any]]):
    """The members of an object, repeated ones included."""


def _repeats(value: object) -> bool:
    return isinstance(value, _Pairs) and len({name for name, _ in value}) < len(value)


def _repeats_anywhere(value: object) -> bool:
    if isinstance(value, _Pairs):
        return _repeats(value) or any(_repeats_anywhere(inner) for _, inner in value)
    return isinstance(value, list) and any(_repeats_anywhere(inner) for inner in value)


def _strings(value: object) -> int:
    """Strings in a parsed value, keys included."""
    if isinstance(value, dict):
        return sum(1 + _strings(inner) for inner in value.values())
    if isinstance(value, list):
        return sum(map(_strings, value)) if value and not isinstance(value[0], float | int) else 0
    return int(isinstance(value, str))

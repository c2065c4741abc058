"""A JSON object to a recording: rate, unit, and leads as lists of numbers or as base64 of little-endian int16.

What else the object holds is ignored and forgotten: systems send patients' names beside the signal.
"""

import base64
import binascii
import re
import struct
from collections import Counter
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
    TooLargeError,
)
from model.files.limits import SERVICE_LIMITS, Limits
from model.files.units import millivolts_per, require_gain
from model.signal.recording import Recording, require_rate

MAX_NAME = 32  # characters of a lead's name
MAX_PARTS = 20_000  # strings, lists and objects of a body
MAX_NUMBERS = 1_000_000  # of 32 bytes each while they are lists: 12 leads of 2.7 minutes at 500 Hz
MAX_JSON_BYTES = 20 * 2**20  # 12 leads of 5 minutes at 2000 Hz as base64
_STRING = re.compile(rb'"([^"\\]*(?:\\.[^"\\]*)*)"(\s*:)?')  # and the colon that makes it a key


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
        TooLargeError: over the limits, or of more parts than a recording has.
    """
    limits.require_body(len(body))
    _require_little(body)
    booleans = _says(body, b"true") or _says(body, b"false")  # before the lists are there, for it takes memory too
    fields = _parsed(body)
    sampling_hz = _sampling_hz(fields)
    leads = _leads(fields, limits)
    encoded = isinstance(next(iter(leads.values())), str)
    scale = millivolts_per(_unit(fields)) / _gain(fields, encoded=encoded)
    if booleans and not encoded:
        _require_no_booleans(leads.values())
    _require_keys_once(body, fields)
    names = tuple(leads)
    signal_mv = _stacked([_row(leads.pop(name), scale) for name in names])  # each list is let go once it is a row
    limits.require_duration(signal_mv.shape[1], sampling_hz)
    return Recording(signal_mv, sampling_hz, names)


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
    return require_gain(_number(gain, "gain"), MalformedJsonError)


def _number(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise MalformedJsonError(f"{name} is not a number")
    try:
        return float(value)
    except OverflowError as error:
        raise MalformedJsonError(f"{name} is too large a number") from error


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


def _row(lead: Sequence[Any] | str, scale: float) -> npt.NDArray[np.float32]:
    """A lead in mV."""
    with np.errstate(over="ignore", invalid="ignore"):
        return ((_decoded(lead) if isinstance(lead, str) else _listed(lead)) * scale).astype(np.float32)


def _listed(lead: Sequence[Any]) -> npt.NDArray[np.float64]:
    """A list as an array; `struct` takes numbers alone and is three times as fast as numpy."""
    try:
        return np.frombuffer(struct.pack(f"{len(lead)}d", *lead))
    except (struct.error, OverflowError) as error:
        if all(sample is None or isinstance(sample, int | float) for sample in lead):
            raise NotFiniteError(
                "a lead holds null, or a number too large to be a sample; gaps are not filled in"
            ) from error
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


def _require_little(body: bytes) -> None:
    """Raise for more bytes, strings, lists, objects or numbers than fit in 64 MB, before they are built."""
    if len(body) > MAX_JSON_BYTES:
        raise TooLargeError(f"got {len(body)} bytes of JSON, wanted at most {MAX_JSON_BYTES}")
    parts = _count(body, b'"') // 2 + _count(body, b"[") + _count(body, b"{")
    if parts > MAX_PARTS:
        raise TooLargeError(f"got {parts} strings, lists and objects in one body, wanted at most {MAX_PARTS}")
    numbers = _count(body, b",") + 1
    if numbers > MAX_NUMBERS:
        raise TooLargeError(f"got {numbers} numbers in one body, wanted at most {MAX_NUMBERS}; base64 leads hold more")


def _at(body: bytes, byte: bytes) -> npt.NDArray[np.bool_]:
    """Where a byte stands; for one that comes often numpy takes a tenth of the time of `bytes.count`."""
    # By name: under `==` the fuzzer's tracing of comparisons keeps every array.
    return np.asarray(np.equal(np.frombuffer(body, np.uint8), ord(byte)))


def _count(body: bytes, byte: bytes) -> int:
    return int(np.count_nonzero(_at(body, byte)))


def _says(body: bytes, word: bytes) -> bool:
    """Whether a word comes in a body that seldom has its first two letters; `in` alone takes twice the time."""
    begun = _at(body, word[:1])[:-1]
    begun &= _at(body, word[1:2])[1:]
    return bool(begun.any()) and word in body


def _require_keys_once(body: bytes, fields: Mapping[str, Any]) -> None:
    """Raise where a key came twice: parsers keep the last one and say nothing.

    The strings that were kept must account for every quote of the body that is not an escaped one.
    """
    quotes = body.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in body else body
    leads = {name: lead if isinstance(lead, str) else 0 for name, lead in fields["leads"].items()}  # lists hold none
    if _count(quotes, b'"') == 2 * _strings({**fields, "leads": leads}):
        return
    lists = [lead for lead in fields["leads"].values() if isinstance(lead, list)]
    if any(isinstance(sample, str | list | dict) for samples in lists for sample in samples):
        raise MalformedJsonError("a lead holds something else than numbers")
    keys = Counter(text for text, colon in _STRING.findall(body) if colon)
    if any(keys[name.encode()] > 1 for name in fields["leads"]):
        raise DuplicateLeadError("a lead is given twice")
    raise MalformedJsonError("a key is given twice")


def _strings(value: object) -> int:
    """Strings in a parsed value, keys included."""
    if isinstance(value, dict):
        return sum(1 + _strings(inner) for inner in value.values())
    if isinstance(value, list):
        return sum(map(_strings, value))
    return int(isinstance(value, str))

"""Samples without a container to a recording; what they are is said beside them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from model.errors import MalformedError, MissingGainError, MissingRateError, ShapeError
from model.files.limits import SERVICE_LIMITS, Limits
from model.files.units import millivolts_per, require_gain
from model.signal.recording import Recording, require_rate

SampleType = Literal["int16", "float32"]
Order = Literal["lead-major", "sample-major"]
_DTYPES: dict[str, tuple[SampleType, str]] = {"int16": ("int16", "<i2"), "float32": ("float32", "<f4")}
_ORDERS: dict[str, Order] = {"lead-major": "lead-major", "sample-major": "sample-major"}


@dataclass(frozen=True)
class Layout:
    """What the bytes are.

    Attributes:
        sampling_hz: 100 to 2000.
        leads: a name a lead, in the order of the samples.
        unit: mV, uV or V.
        dtype: little-endian int16 counts or float32 units.
        order: all samples of one lead and then the next, or all leads of one sample and then the next.
        gain: counts per unit; needed for int16, refused for float32.
    """

    sampling_hz: float
    leads: tuple[str, ...]
    unit: str
    dtype: SampleType
    order: Order
    gain: float | None = None


def decode_raw(body: bytes, layout: Layout, limits: Limits = SERVICE_LIMITS) -> Recording:
    """The recording that `layout` says the bytes are.

    Raises:
        ShapeError: bytes that are not whole samples of every lead.
        NotFiniteError: NaN or infinity.
        DuplicateLeadError: a lead twice.
        RateError, MissingUnitError, UnknownUnitError, MissingGainError, TooLargeError: as they say.
        MalformedError: a gain that is not positive, or with float32.
    """
    limits.require_body(len(body))
    limits.require_leads(len(layout.leads))
    require_rate(layout.sampling_hz)
    scale = millivolts_per(layout.unit) / _gain(layout)
    dtype = np.dtype(_DTYPES[layout.dtype][1])
    samples, rest = divmod(len(body), len(layout.leads) * dtype.itemsize)
    if rest or not samples:
        raise ShapeError(
            f"got {len(body)} bytes, wanted {dtype.itemsize}-byte samples, as many in each of {len(layout.leads)} leads"
        )
    limits.require_duration(samples, layout.sampling_hz)
    flat = np.frombuffer(body, dtype)
    counts = flat.reshape(len(layout.leads), -1) if layout.order == "lead-major" else flat.reshape(samples, -1).T
    with np.errstate(over="ignore", invalid="ignore"):
        signal_mv = counts.astype(np.float32)
        signal_mv *= np.float32(scale)
    return Recording(signal_mv, layout.sampling_hz, layout.leads)


def parse_layout(query: Mapping[str, str]) -> Layout:
    """The layout in a query: sampling_hz, leads (comma list), unit, dtype, order, gain (for int16).

    Raises:
        MissingRateError, MissingUnitError: not given, and not assumed.
        MalformedError: anything else that is absent or not of the allowed form.
    """
    if not query.get("sampling_hz", "").strip():
        raise MissingRateError("no sampling_hz was given; none is assumed")
    leads = tuple(name.strip() for name in query.get("leads", "").split(","))
    if not all(leads):
        raise MalformedError("leads is not a comma list of names")
    dtype, order = _DTYPES.get(query.get("dtype", "")), _ORDERS.get(query.get("order", ""))
    if dtype is None or order is None:
        raise MalformedError(f"wanted a dtype of {', '.join(_DTYPES)} and an order of {', '.join(_ORDERS)}")
    unit = query.get("unit", "")
    millivolts_per(unit)
    return Layout(
        sampling_hz=_number(query["sampling_hz"], "sampling_hz"),
        leads=leads,
        unit=unit,
        dtype=dtype[0],
        order=order,
        gain=_number(query["gain"], "gain") if "gain" in query else None,
    )


def _number(text: str, name: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise MalformedError(f"{name} is not a number") from error


def _gain(layout: Layout) -> float:
    """Counts per unit; 1 for float32."""
    if layout.dtype == "float32":
        if layout.gain is not None:
            raise MalformedError("a gain goes with int16; float32 is read in the unit given")
        return 1.0
    if layout.gain is None:
        raise MissingGainError("int16 needs a gain, in counts per unit")
    return require_gain(layout.gain)

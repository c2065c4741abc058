"""Raw samples: every layout, and every refusal with its code."""

import numpy as np
import pytest

from model.errors import EcgError
from model.files import Limits, decode_body
from model.files.raw_body import parse_layout
from model.signal.leads import STANDARD_LEADS
from training.sources.simulated import simulate
from training.sources.simulated.files import counts

ECG = simulate(1, duration_s=5).recording
INT16 = counts(ECG).astype("<i2").tobytes()
QUERY = {
    "sampling_hz": "500",
    "dtype": "int16",
    "order": "lead-major",
    "leads": ",".join(STANDARD_LEADS),
    "unit": "mV",
    "gain": "1000",
}


def without(name: str, **changes: str) -> dict[str, str]:
    return {key: value for key, value in (QUERY | changes).items() if key != name}


@pytest.mark.parametrize(
    ("data", "query"),
    [
        (INT16, QUERY),
        (counts(ECG).T.astype("<i2").tobytes(), QUERY | {"order": "sample-major"}),
        (ECG.signal_mv.astype("<f4").tobytes(), without("gain", dtype="float32")),
        ((ECG.signal_mv * 1000).T.tobytes(), without("gain", dtype="float32", order="sample-major", unit="µV")),
        (INT16, QUERY | {"gain": "1", "unit": "uv", "leads": " i, ii,III,AVR,avl,aVF,v1,v2,v3,v4,v5,v6"}),
    ],
)  # fmt: skip
def test_every_layout(data: bytes, query: dict[str, str]) -> None:
    got = decode_body("application/octet-stream", data, query=query)
    assert (got.leads, got.sampling_hz) == (STANDARD_LEADS, 500)
    np.testing.assert_allclose(got.signal_mv, ECG.signal_mv, atol=0.00051)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        (without("sampling_hz"), "missing_rate"),
        (QUERY | {"sampling_hz": " "}, "missing_rate"),
        (QUERY | {"sampling_hz": "fast"}, "malformed"),
        (QUERY | {"sampling_hz": "50"}, "rate_out_of_range"),
        (QUERY | {"sampling_hz": "nan"}, "rate_out_of_range"),
        (without("unit"), "missing_unit"),
        (QUERY | {"unit": "l"}, "unknown_unit"),
        (without("dtype"), "malformed"),
        (QUERY | {"dtype": "float64"}, "malformed"),
        (without("order"), "malformed"),
        (QUERY | {"order": "C"}, "malformed"),
        (without("leads"), "malformed"),
        (QUERY | {"leads": "I,,II"}, "malformed"),
        (QUERY | {"leads": "I,i"}, "duplicate_lead"),
        (QUERY | {"leads": "I,II,V1,V2,V3,V4,V5"}, "bad_shape"),
        (QUERY | {"leads": ",".join(f"L{n}" for n in range(17))}, "too_large"),
        (without("gain"), "missing_gain"),
        (QUERY | {"gain": "0"}, "malformed"),
        (QUERY | {"gain": "nan"}, "malformed"),
        (QUERY | {"gain": "much"}, "malformed"),
        (QUERY | {"dtype": "float32"}, "malformed"),
    ],
)
def test_refusals(query: dict[str, str], code: str) -> None:
    with pytest.raises(EcgError) as caught:
        decode_body("application/octet-stream", INT16, query=query)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "bad_shape"),
        (INT16[:-1], "bad_shape"),
        (INT16[:-2], "bad_shape"),
        (INT16 * 61, "too_large"),
        (bytes(2**25 + 2), "too_large"),
    ],
)
def test_refused_bytes(data: bytes, code: str) -> None:
    with pytest.raises(EcgError) as caught:
        decode_body("application/octet-stream", data, Limits(duration_s=300), query=QUERY)
    assert caught.value.code == code


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(value: float) -> None:
    signal_mv = ECG.signal_mv.copy()
    signal_mv[3, 7] = value
    with pytest.raises(EcgError) as caught:
        decode_body("application/octet-stream", signal_mv.tobytes(), query=without("gain", dtype="float32"))
    assert caught.value.code == "not_finite"


def test_a_layout_holds_what_the_query_said() -> None:
    layout = parse_layout(QUERY)
    assert (layout.sampling_hz, layout.gain, layout.leads) == (500.0, 1000.0, STANDARD_LEADS)

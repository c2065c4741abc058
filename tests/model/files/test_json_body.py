"""JSON bodies: lists and base64, and every refusal with its code."""

import base64
import json
from typing import Any

import numpy as np
import pytest

from model.errors import EcgError, MalformedJsonError
from model.files import Limits
from model.files.json_body import decode_json
from training.sources.simulated import simulate
from training.sources.simulated.files import as_base64_json, as_json

ECG = simulate(1, duration_s=5).recording
FIELDS: dict[str, Any] = {"sampling_hz": 500, "unit": "mV", "leads": {"I": [0.1, -0.2, 3], "II": [1, 2, -3.5e-1]}}
COUNTS = base64.b64encode(np.array([100, -200, 3000], "<i2").tobytes()).decode()
ENCODED: dict[str, Any] = {"sampling_hz": 500, "unit": "mV", "gain": 1000, "leads": {"I": COUNTS, "II": COUNTS}}


def body(fields: dict[str, Any] = FIELDS, /, **changes: Any) -> bytes:
    changed = {name: value for name, value in {**fields, **changes}.items() if value is not ...}
    return json.dumps(changed).encode()


def lead(samples: object) -> bytes:
    return body(leads={"I": samples})


def code_of(data: bytes, limits: Limits | None = None) -> str:
    with pytest.raises(EcgError) as caught:
        decode_json(data, limits or Limits())
    return caught.value.code


@pytest.mark.parametrize("data", [as_json(ECG), as_base64_json(ECG)], ids=["lists", "base64"])
def test_a_recording_is_read_as_it_was_written(data: bytes) -> None:
    got = decode_json(data)
    assert (got.leads, got.sampling_hz) == (ECG.leads, ECG.sampling_hz)
    np.testing.assert_allclose(got.signal_mv, ECG.signal_mv, atol=0.00051)


def test_units() -> None:
    for unit, factor in {"mV": 1, "mv": 1, "uV": 1e-3, "µV": 1e-3, "V": 1e3, " MV ": 1}.items():
        np.testing.assert_allclose(decode_json(body(unit=unit)).signal_mv[0], np.array([0.1, -0.2, 3]) * factor, 1e-6)
    np.testing.assert_allclose(decode_json(body(ENCODED)).signal_mv[1], [0.1, -0.2, 3])
    np.testing.assert_allclose(decode_json(body(ENCODED, unit="uV", gain=0.5)).signal_mv[1], [0.2, -0.4, 6])


def test_what_else_the_object_holds_is_ignored() -> None:
    extras = {"patient": {"name": "x", "flags": [True, None, "y"]}, "note": 'a "quoted" \\ word', "gain": None}
    assert decode_json(body(**extras)).leads == ("I", "II")
    assert decode_json(body(note=True)).leads == ("I", "II")


def test_escapes_hide_no_second_lead() -> None:
    quoted = body(note='a \\" b \\\\" c "I": [1]', other="\\")
    assert decode_json(quoted).leads == ("I", "II")
    assert code_of(quoted.replace(b'"II"', b'"I"')) == "duplicate_lead"


def test_escaped_slashes_in_base64() -> None:
    counts = base64.b64encode(np.full(30, -1, "<i2").tobytes()).decode()
    escaped = body(ENCODED, leads={"I": counts}).replace(b"/", b"\\/")
    assert escaped.count(b"\\/") > 10
    assert decode_json(escaped).signal_mv.shape == (1, 30)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "malformed_json"),
        (b"\xff\xfe{", "malformed_json"),
        (b"{", "malformed_json"),
        (body() + b"x", "malformed_json"),
        (b"[]", "malformed_json"),
        (b"null", "malformed_json"),
        (b"[" * 100_000, "too_large"),
        (b'{"leads":' * 1000, "malformed_json"),
        (b'{"leads":' * 11_000, "too_large"),
        (body(extra=[[]] * 20_000), "too_large"),
        (b'{"sampling_hz": ' + b"9" * 100_000 + b"}", "malformed_json"),
        (body(sampling_hz=...), "missing_rate"),
        (body(sampling_hz=None), "missing_rate"),
        (body(sampling_hz="500"), "malformed_json"),
        (body(sampling_hz=True), "malformed_json"),
        (body(sampling_hz=[500]), "malformed_json"),
        (body(sampling_hz=10**400), "malformed_json"),
        (body(sampling_hz=99.9), "rate_out_of_range"),
        (body(sampling_hz=2001), "rate_out_of_range"),
        (body(sampling_hz=-500), "rate_out_of_range"),
        (body(sampling_hz=float("nan")), "rate_out_of_range"),
        (body(sampling_hz=float("inf")), "rate_out_of_range"),
        (body(unit=...), "missing_unit"),
        (body(unit=None), "missing_unit"),
        (body(unit="  "), "missing_unit"),
        (body(unit="mmHg"), "unknown_unit"),
        (body(unit=1), "malformed_json"),
        (body(leads=...), "malformed_json"),
        (body(leads=[[1, 2]]), "malformed_json"),
        (body(leads={}), "bad_shape"),
        (lead([]), "bad_shape"),
        (body(leads={"I": [1, 2], "II": [1]}), "bad_shape"),
        (body(leads={"I": [1], "i": [1]}), "duplicate_lead"),
        (body(leads={"I": [1], "Lead I": [1]}), "duplicate_lead"),
        (body().replace(b'"II"', b'"I"'), "duplicate_lead"),
        (body().replace(b'"II"', b'"\\u0049"'), "malformed_json"),
        (body().replace(b'"unit"', b'"sampling_hz": 250, "unit"'), "malformed_json"),
        (body().replace(b'{"sam', b'{"leads": {"I": [1]}, "sam'), "duplicate_lead"),
        (body(extra={"a": 1, "b": 2}).replace(b'"b"', b'"a"'), "malformed_json"),
        (body(leads={"I" * 33: [1]}), "malformed_json"),
        (lead([1, "2"]), "malformed_json"),
        (lead(["2"]), "malformed_json"),
        (lead([1, True]), "malformed_json"),
        (lead([False, 1.5]), "malformed_json"),
        (lead([[1]]), "malformed_json"),
        (lead([1, {}]), "malformed_json"),
        (lead(5), "malformed_json"),
        (lead(None), "malformed_json"),
        (lead([1, None]), "not_finite"),
        (lead([1, float("nan")]), "not_finite"),
        (lead([1, float("inf")]), "not_finite"),
        (lead([1, -float("inf")]), "not_finite"),
        (lead([1, 1e39]), "not_finite"),
        (lead([1, 10**400]), "not_finite"),
        (lead([1, 2]).replace(b"2]", b"1e999]"), "not_finite"),
        (body(gain=1000), "malformed_json"),
        (body(ENCODED, gain=...), "missing_gain"),
        (body(ENCODED, gain=0), "malformed_json"),
        (body(ENCODED, gain=-1), "malformed_json"),
        (body(ENCODED, gain="1"), "malformed_json"),
        (body(ENCODED, gain=float("nan")), "malformed_json"),
        (body(ENCODED, leads={"I": ""}), "bad_shape"),
        (body(ENCODED, leads={"I": COUNTS, "II": "AAA="}), "bad_shape"),
        (body(ENCODED, leads={"I": "AA=="}), "malformed_json"),
        (body(ENCODED, leads={"I": "!!!!"}), "malformed_json"),
        (body(ENCODED, leads={"I": "µµµµ"}), "malformed_json"),
        (body(ENCODED, leads={"I": COUNTS, "II": [1, 2, 3]}), "malformed_json"),
    ],
)
def test_refusals(data: bytes, code: str) -> None:
    assert code_of(data) == code


def test_more_than_fits_in_little_memory_is_refused_before_it_is_parsed() -> None:
    assert code_of(lead([0]).replace(b"[0]", b"[" + b"0," * 1_000_000 + b"0]")) == "too_large"
    assert code_of(body(note="x" * 20 * 2**20)) == "too_large"


def test_limits() -> None:
    assert code_of(body(), Limits(body_bytes=10)) == "too_large"
    assert code_of(body(leads={f"L{number}": [1] for number in range(17)})) == "too_large"
    assert code_of(lead([0] * 501), Limits(duration_s=1)) == "too_large"
    assert decode_json(lead([0] * 500), Limits(duration_s=1)).duration_s == 1


@pytest.mark.parametrize("sample", ["1", ["1"], {"1": 1}])
def test_what_is_no_number_among_samples_is_not_called_a_second_key(sample: object) -> None:
    with pytest.raises(MalformedJsonError, match="something else than numbers"):
        decode_json(lead([0, sample]))


def test_errors_hold_nothing_of_the_body() -> None:
    bodies = (
        body(unit="Mustermann"),
        body(leads={"Mustermann": ["Mustermann"]}),
        body(leads={"Mustermann": [float("nan")]}),
        b'{"Mustermann": Mustermann}',
        body(leads={"Mustermann": [1], "mustermann": [1, 2]}),
    )
    for data in bodies:
        with pytest.raises(EcgError) as caught:
            decode_json(data)
        assert "ustermann" not in caught.value.detail

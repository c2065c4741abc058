"""Whatever comes in, a decoder answers with a recording or an EcgError: quickly, and in little memory."""

import base64
import json
import time
import tracemalloc
from collections.abc import Callable

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model.errors import EcgError
from model.files import decode_body, decode_files
from model.files.wfdb_samples import INVALID
from model.signal.recording import Recording
from training.sources.simulated import simulate, wfdb_record
from training.sources.simulated.files import as_base64_json, as_json, zipped

ECG = simulate(1, duration_s=1, sampling_hz=100).recording
RECORD = wfdb_record("r", ECG)
MAT = wfdb_record("r", ECG, mat=True)
BODIES = {
    "application/json": (as_json(ECG), as_base64_json(ECG)),
    "application/zip": (zipped(RECORD), zipped(MAT)),
}
MAX_BYTES = 64 * 2**20

hostile = settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
WORDS = "0 1 -1 12 500 1e308 nan inf / .. ~ - 16+24 212 r.dat r/2"
VALUES = "500 int16 float32 lead-major sample-major I,II mV 1000 nan -1"

words = st.one_of(
    st.sampled_from(WORDS.split()),
    st.integers(-(10**20), 10**20).map(str),
    st.floats().map(str),
    st.builds(
        lambda storage, frame, skew, offset: f"{storage}x{frame}:{skew}+{offset}",
        st.sampled_from([*INVALID, 0, 999]),
        st.integers(0, 70),
        st.integers(0, 10**9),
        st.integers(0, 10**9),
    ),
    st.text(st.characters(exclude_characters="\n"), max_size=20),
)


def survives(decode: Callable[[], Recording]) -> None:
    try:
        recording = decode()
    except EcgError:
        return
    assert np.isfinite(recording.signal_mv).all()
    assert 100 <= recording.sampling_hz <= 2000


@hostile
@given(st.data())
def test_a_header_with_words_exchanged(data: st.DataObject) -> None:
    record = data.draw(st.sampled_from([RECORD, MAT]))
    lines = [line.split(" ") for line in record["r.hea"].decode().splitlines()]
    for _ in range(data.draw(st.integers(1, 4))):
        line = data.draw(st.sampled_from(lines))
        line[data.draw(st.integers(0, len(line) - 1))] = data.draw(words)
    header = "\n".join(map(" ".join, lines)).encode("utf-8", "surrogatepass")
    survives(lambda: decode_files(record | {"r.hea": header}))


@hostile
@given(st.lists(st.lists(words, max_size=10), max_size=20), st.binary(max_size=200))
def test_a_header_of_random_words(lines: list[list[str]], samples: bytes) -> None:
    header = "\n".join(map(" ".join, lines)).encode("utf-8", "surrogatepass")
    survives(lambda: decode_files({"r.hea": header, "r.dat": samples}))


@hostile
@given(st.sampled_from(sorted(INVALID)), st.integers(0, 40), st.integers(1, 5), st.binary(max_size=400))
def test_any_bytes_in_any_format(storage: int, frames: int, leads: int, samples: bytes) -> None:
    lines = "".join(f"r.dat {storage} 200/mV 16 0 0 0 0 L{lead}\n" for lead in range(leads))
    survives(lambda: decode_files({"r.hea": f"r {leads} 500 {frames}\n{lines}".encode(), "r.dat": samples}))


@hostile
@given(st.data())
def test_bodies_with_bytes_exchanged(data: st.DataObject) -> None:
    media_type = data.draw(st.sampled_from(sorted(BODIES)))
    body = bytearray(data.draw(st.sampled_from(BODIES[media_type])))
    for _ in range(data.draw(st.integers(1, 5))):
        place = data.draw(st.integers(0, len(body) - 1))
        body[place : place + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=8))
    survives(lambda: decode_body(media_type, bytes(body)))


@hostile
@given(st.data())
def test_the_ends_of_an_archive_with_bytes_exchanged(data: st.DataObject) -> None:
    body = bytearray(zipped(RECORD))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.one_of(st.integers(0, 40), st.integers(len(body) - 150, len(body) - 1)))
        body[place] = data.draw(st.integers(0, 255))
    survives(lambda: decode_body("application/zip", bytes(body)))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=20,
)


@hostile
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "sampling_hz": json_values | st.just(500),
            "unit": json_values | st.just("mV"),
            "gain": json_values,
            "leads": json_values | st.dictionaries(st.sampled_from(["I", "i", "II"]), json_values, max_size=3),
            "more": json_values,
        },
    )
)
def test_any_json(fields: dict[str, object]) -> None:
    survives(lambda: decode_body("application/json", json.dumps(fields).encode()))


@hostile
@given(
    st.binary(max_size=300),
    st.dictionaries(
        st.sampled_from(["sampling_hz", "dtype", "order", "leads", "unit", "gain"]),
        st.sampled_from(VALUES.split()) | st.text(max_size=5),
    ),
)
def test_any_raw_body(body: bytes, query: dict[str, str]) -> None:
    survives(lambda: decode_body("application/octet-stream", body, query=query))


def lines(count: int, line: str) -> bytes:
    return f"r {count} 500 150000\n".encode() + f"{line}\n".encode() * count


LARGE: dict[str, Callable[[], Recording]] = {
    "a header of slashes": lambda: decode_files({"r.hea": b"/" * 65000}),
    "a header of digits": lambda: decode_files({"r.hea": b"r 1 500\nr.dat " + b"9" * 65000}),
    "a header of spaces": lambda: decode_files({"r.hea": b"r" + b" " * 65000 + b"1"}),
    "a header of signals": lambda: decode_files({"r.hea": lines(3000, "r.dat 16 1/mV"), "r.dat": b""}),
    "a file that is said to be long": lambda: decode_files({"r.hea": lines(16, "r.dat 524 1/mV"), "r.dat": b"fLaC"}),
    "brackets": lambda: decode_body("application/json", b"[" * 2_000_000),
    "braces": lambda: decode_body("application/json", b'{"a":' * 400_000),
    "digits": lambda: decode_body("application/json", b'{"sampling_hz":' + b"9" * 2_000_000 + b"}"),
    "keys": lambda: decode_body("application/json", b"{" + b'"a":1,' * 200_000 + b'"a":1}'),
    "quotes in a string": lambda: decode_body(
        "application/json",
        b'{"sampling_hz":500,"sampling_hz":500,"unit":"mV","leads":{"I":[1]},"a":"'
        + b'\\"' * 19_000
        + b"x" * 2**22
        + b'"}',
    ),
    "escaped keys": lambda: decode_body("application/json", b"{" + b'"\\u0061":1,' * 50_000 + b'"a":1}'),
    "leads": lambda: decode_body(
        "application/json",
        json.dumps({"sampling_hz": 500, "unit": "mV", "leads": {str(n): [1] for n in range(50_000)}}).encode(),
    ),
    "base64": lambda: decode_body(
        "application/json",
        json.dumps(
            {"sampling_hz": 500, "unit": "mV", "gain": 1, "leads": {"I": base64.b64encode(bytes(2**21)).decode()}}
        ).encode(),
    ),
    "zeros in an archive": lambda: decode_body("application/zip", zipped(RECORD | {"z.dat": bytes(2**26)})),
    "entries in an archive": lambda: decode_body("application/zip", b"PK\x01\x02" * 500_000),
}


def test_large_and_hostile_inputs_are_refused_quickly_and_in_little_memory() -> None:
    for name, decode in LARGE.items():
        tracemalloc.start()
        began = time.process_time()
        survives(decode)
        spent_s, peak = time.process_time() - began, tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < MAX_BYTES * 3, name  # the input is made inside
        assert spent_s < 2.5, name  # tracing slows it; see the bound of the untraced ones in the benchmark

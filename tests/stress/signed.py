"""ECGs that can be told apart: each carries its number in the amplitudes of its leads, in every accepted format."""

import base64
import io
import json
import zipfile
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from service import examples
from tests.stress.client import request_bytes

Array = npt.NDArray[np.float64]

ECGS, BATCH = "/v1/ecgs", "/v1/ecgs/batch"
LEADS = tuple(examples.simulated_mv())
_BASE_MV = np.stack(list(examples.simulated_mv().values()))
_QUERY = {name: value for name, value in examples.raw_query().items() if name not in {"dtype", "gain"}}


def levels(number: int) -> Array:
    """The amplitude of each lead, one decimal digit of the number in each: neighbours differ by 7 % or more."""
    digits = [int(digit) for digit in f"{number:0{len(LEADS)}d}"]
    return 0.5 + np.array(digits) / 10


def signal_mv(number: int, scale: float = 1.0) -> Array:
    """(lead, sample) of an ECG."""
    return scale * levels(number)[:, None] * _BASE_MV


def raw_float32(number: int, scale: float = 1.0, **query: str) -> bytes:
    samples = signal_mv(number, scale).astype("<f4").tobytes()
    return request_bytes(ECGS, samples, "application/octet-stream", dtype="float32", **_QUERY, **query)


def raw_int16(number: int, **query: str) -> bytes:
    described = {**_QUERY, "dtype": "int16", "gain": str(examples.GAIN)}
    return request_bytes(ECGS, _counts(number).tobytes(), "application/octet-stream", **described, **query)


def json_line(number: int) -> bytes:
    """The JSON body with base64."""
    leads = {lead: base64.b64encode(row.tobytes()).decode() for lead, row in zip(LEADS, _counts(number), strict=True)}
    body = {"sampling_hz": examples.SAMPLING_HZ, "unit": "mV", "gain": examples.GAIN, "leads": leads}
    return json.dumps(body).encode()


def json_base64(number: int, **query: str) -> bytes:
    return request_bytes(ECGS, json_line(number), "application/json", **query)


def json_lists(number: int, **query: str) -> bytes:
    leads = dict(zip(LEADS, np.round(signal_mv(number), 4).tolist(), strict=True))
    body = {"sampling_hz": examples.SAMPLING_HZ, "unit": "mV", "leads": leads}
    return request_bytes(ECGS, json.dumps(body).encode(), "application/json", **query)


def wfdb_parts(number: int, **query: str) -> bytes:
    parts = b"".join(
        b'--b\r\nContent-Disposition: form-data; name="files"; filename="%s"\r\n\r\n%s\r\n' % (name.encode(), content)
        for name, content in _wfdb(number).items()
    )
    return request_bytes(ECGS, parts + b"--b--\r\n", "multipart/form-data; boundary=b", **query)


def wfdb_zip(number: int, **query: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in _wfdb(number).items():
            archive.writestr(name, content)
    return request_bytes(ECGS, packed.getvalue(), "application/zip", **query)


def lines(numbers: range, *, skip: int) -> bytes:
    """A batch of ECGs, a line each; an empty object in the place of those that `skip` divides."""
    body = b"\n".join(b"{}" if one % skip == 0 else json_line(one) for one in numbers)
    return request_bytes(BATCH, body, "application/x-ndjson", include="embedding")


def archive(numbers: range, *, skip: int) -> bytes:
    """The same as a .zip of WFDB records and JSON files, each record in a folder of its own."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for one in numbers:
            files = _wfdb(one) if one % 2 else {"signed.json": json_line(one)}
            for name, content in ({"signed.json": b"{}"} if one % skip == 0 else files).items():
                archive.writestr(f"{one}/{name}", content)
    return request_bytes(BATCH, packed.getvalue(), "application/zip", include="embedding")


def keyed(request: bytes, number: int) -> bytes:
    """A request that may be sent again."""
    head, end, body = request.partition(b"\r\n\r\n")
    return head + b"\r\nidempotency-key: ecg-%d" % number + end + body


FORMATS: tuple[Callable[..., bytes], ...] = (raw_float32, raw_int16, json_base64, json_lists, wfdb_parts, wfdb_zip)


def _counts(number: int) -> npt.NDArray[np.int16]:
    return np.asarray(np.round(signal_mv(number) * examples.GAIN), dtype="<i2")


def _wfdb(number: int) -> dict[str, bytes]:
    samples = _counts(number).T
    lines = [f"signed {len(LEADS)} {examples.SAMPLING_HZ} {len(samples)}"]
    for row, lead in enumerate(LEADS):
        checksum = samples[:, row].sum(dtype=np.int16)
        lines.append(f"signed.dat 16 {examples.GAIN}/mV 16 0 {samples[0, row]} {checksum} 0 {lead}")
    return {"signed.hea": "\n".join(lines).encode() + b"\n", "signed.dat": samples.astype("<i2").tobytes()}

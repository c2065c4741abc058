"""The requests that are sent: seeded simulated ECGs in every format, for the service and as each peer takes them."""

import json
from dataclasses import dataclass
from typing import Final, Literal

from model.signal.leads import STANDARD_LEADS
from model.signal.recording import Recording

Body = Literal["raw", "json", "wfdb"]
Parts = Literal["findings", "whole"]

SEEDS: Final = range(8)
SAMPLING_HZ: Final = 500
RAW_QUERY: Final = {
    "sampling_hz": str(SAMPLING_HZ),
    "dtype": "int16",
    "order": "lead-major",
    "unit": "mV",
    "gain": "1000",
    "leads": ",".join(STANDARD_LEADS),
}
INCLUDE: Final = {"findings": "findings", "whole": "findings,measurements,waves"}


@dataclass(frozen=True)
class Request:
    """What is posted, one body after the other.

    Attributes:
        path: with its query.
        content_type: header.
        contents: bodies, taken in turn.
    """

    path: str
    content_type: str
    contents: tuple[bytes, ...]


def recordings() -> tuple[Recording, ...]:
    """Ten seconds of twelve leads at 500 Hz, a few people, the same each time."""
    from training.sources.simulated.ecg import simulate

    return tuple(simulate(seed, sampling_hz=SAMPLING_HZ).recording for seed in SEEDS)


def service_request(body: Body, parts: Parts, ecgs: tuple[Recording, ...]) -> Request:
    """Requests of `POST /v1/ecgs`."""
    from training.sources.simulated.files import as_json, wfdb_record

    include = INCLUDE[parts]
    if body == "raw":
        query = "&".join(f"{name}={value}" for name, value in {**RAW_QUERY, "include": include}.items())
        return Request(f"/v1/ecgs?{query}", "application/octet-stream", _raw(ecgs))
    path = f"/v1/ecgs?include={include}"
    if body == "json":
        return Request(path, "application/json", tuple(as_json(ecg) for ecg in ecgs))
    return _multipart(path, [wfdb_record("example", ecg) for ecg in ecgs])


def peer_request(peer: str, body: Body, ecgs: tuple[Recording, ...]) -> Request:
    """Requests as a peer takes them: the bytes of the service's raw and JSON bodies; MLServer's JSON is of its own."""
    from training.sources.simulated.files import as_json

    path = {"LitServe": "/ecg", "MLServer": "/raw", "BentoML": f"/{body}"}[peer]
    if body == "raw":
        return Request(path, "application/octet-stream", _raw(ecgs))
    if peer == "MLServer":
        return Request("/v2/models/ecg/infer", "application/json", tuple(_v2(as_json(ecg)) for ecg in ecgs))
    return Request(path, "application/json", tuple(as_json(ecg) for ecg in ecgs))


def _raw(ecgs: tuple[Recording, ...]) -> tuple[bytes, ...]:
    from training.sources.simulated.files import counts

    return tuple(counts(ecg).astype("<i2").tobytes() for ecg in ecgs)


def _v2(body: bytes) -> bytes:
    """The same numbers in the Open Inference Protocol."""
    given = json.loads(body)
    leads = given["leads"]
    samples = len(next(iter(leads.values())))
    flat = [value for values in leads.values() for value in values]
    inputs = [
        {"name": "ecg", "shape": [len(leads), samples], "datatype": "FP32", "data": flat},
        {"name": "leads", "shape": [len(leads)], "datatype": "BYTES", "data": list(leads)},
        {"name": "sampling_hz", "shape": [1], "datatype": "FP32", "data": [given["sampling_hz"]]},
    ]
    return json.dumps({"inputs": inputs}, separators=(",", ":")).encode()


def _multipart(path: str, records: list[dict[str, bytes]]) -> Request:
    boundary = "----------------7a1c4e2f9b305d68"
    return Request(path, f"multipart/form-data; boundary={boundary}", tuple(_form(one, boundary) for one in records))


def _form(files: dict[str, bytes], boundary: str) -> bytes:
    head = '--{}\r\ncontent-disposition: form-data; name="files"; filename="{}"\r\n\r\n'
    parts = [head.format(boundary, name).encode() + content + b"\r\n" for name, content in files.items()]
    return b"".join(parts) + f"--{boundary}--\r\n".encode()

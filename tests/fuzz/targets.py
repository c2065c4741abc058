"""What is fuzzed: one target a decoder, bodies to start from, and what no body may do."""

import resource
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

import numpy as np

from model.errors import EcgError
from model.files import decode_body, decode_files
from model.files.wfdb_samples import INVALID
from model.signal.recording import Recording
from training.sources.simulated import simulate, wfdb_record
from training.sources.simulated.files import as_base64_json, as_json, zipped

MAX_S, MAX_BYTES = 0.25, 64 * 2**20
CUT = b"\n#cut\n"  # between the parts of a body that is several
MAXRSS_BYTES = 1 if sys.platform == "darwin" else 1024

_ECG = simulate(1, duration_s=1, sampling_hz=100).recording
_RECORD, _MAT = wfdb_record("r", _ECG), wfdb_record("r", _ECG, mat=True)
_QUERY = b"sampling_hz=100&unit=mV&leads=I,II&order=sample-major&dtype="


@dataclass(frozen=True)
class Target:
    """A decoder, and bodies that it reads."""

    decode: Callable[[bytes], Recording]
    bodies: tuple[bytes, ...]


def _record(body: bytes) -> Recording:
    """A header, and every signal file that it could name."""
    header, _, samples = body.partition(CUT)
    return decode_files({"r.hea": header, "r.dat": samples, "r.mat": samples})


def _raw(body: bytes) -> Recording:
    query, _, samples = body.partition(CUT)
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    return decode_body("application/octet-stream", samples, query=dict(pairs))


def _in_format(storage: int) -> bytes:
    lines = "".join(f"r.dat {storage}x2:1 200(1)/mV 16 0 0 0 0 L{lead}\n" for lead in range(3))
    return f"r 3 500 30\n{lines}".encode() + CUT + bytes(range(256)) * 3


TARGETS: Mapping[str, Target] = {
    "wfdb": Target(
        _record,
        (
            _RECORD["r.hea"] + CUT + _RECORD["r.dat"],
            _MAT["r.hea"] + CUT + _MAT["r.mat"],
            *(_in_format(storage) for storage in INVALID),
        ),
    ),
    "zip": Target(lambda body: decode_body("application/zip", body), (zipped(_RECORD), zipped(_MAT))),
    "json": Target(lambda body: decode_body("application/json", body), (as_json(_ECG), as_base64_json(_ECG))),
    "raw": Target(_raw, (_QUERY + b"int16&gain=1000" + CUT + bytes(800), _QUERY + b"float32" + CUT + bytes(800))),
}


def hold(target: Target, body: bytes) -> None:
    """Decode one body; raises AssertionError unless a recording or an EcgError comes, in time and in little memory."""
    before, began = _peak_bytes(), time.process_time()
    try:
        recording = target.decode(body)
    except EcgError:
        pass
    else:
        assert np.isfinite(recording.signal_mv).all()
        assert 100 <= recording.sampling_hz <= 2000
    assert time.process_time() - began < MAX_S, "a body took too long"
    assert _peak_bytes() - before < MAX_BYTES, "a body took too much memory"


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_BYTES

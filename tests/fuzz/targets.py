"""What is fuzzed: one target a decoder, and bodies to start from."""

import io
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from urllib.parse import parse_qsl

import numpy as np
import numpy.typing as npt
import soundfile  # type: ignore[import-untyped]

from model.errors import EcgError
from model.files import SERVICE_LIMITS, decode_body, decode_files
from model.files.wfdb_samples import FLAC_BITS, INVALID, smallest_size
from model.signal.recording import Recording
from service.batches import NDJSON, ZIP, Batch
from service.pipeline import Job
from service.turns import Claim
from service.uploads import decoder
from tests.fuzz.bounds import Ecgs
from training.sources.simulated import simulate, wfdb_record
from training.sources.simulated.files import as_base64_json, as_json, zipped

CUT = b"\n#cut\n"  # between the parts of a body that is several
FILES = b"files"  # begins a batch whose .zip is made of what follows, so that mutations reach behind its checksums

_ECG = simulate(1, duration_s=1, sampling_hz=100).recording
_RECORD, _MAT = wfdb_record("r", _ECG), wfdb_record("r", _ECG, mat=True)
_JSON, _BASE64 = as_json(_ECG), as_base64_json(_ECG)
_QUERY = b"sampling_hz=100&unit=mV&leads=I,II&order=sample-major&dtype="


@dataclass(frozen=True)
class Target:
    """A decoder, and bodies that it reads."""

    ecgs: Ecgs
    bodies: tuple[bytes, ...]


def _single(decode: Callable[[bytes], Recording]) -> Ecgs:
    """The one ECG of a body."""

    def ecgs(body: bytes) -> Iterator[Recording | None]:
        with suppress(EcgError):
            yield decode(body)

    return ecgs


def _record(body: bytes) -> Recording:
    """A header, and every signal file that it names; others would be refused before a sample is read."""
    header, _, samples = body.partition(CUT)
    return decode_files({"r.hea": header} | {name: samples for name in ("r.dat", "r.mat") if name.encode() in header})


def _raw(body: bytes) -> Recording:
    query, _, samples = body.partition(CUT)
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    return decode_body("application/octet-stream", samples, query=dict(pairs))


def _upload(body: bytes) -> Recording:
    """A content type, and what is said to be of it."""
    content_type, _, sent = body.partition(CUT)
    return decoder(content_type.decode("latin-1"), {}, SERVICE_LIMITS)(sent)


def _batch(body: bytes) -> Iterator[Recording | None]:
    """A content type, or FILES, and what is said to be of it."""
    kind, _, sent = body.partition(CUT)
    if kind == FILES:
        kind, sent = ZIP.encode(), _packed(sent)
    job = partial(Job, parts=frozenset(), request_id="", claim=Claim("batch"))
    with suppress(EcgError):
        batch = Batch(sent, kind.decode("latin-1"), SERVICE_LIMITS, job)
        while (item := batch.next()) is not None:
            yield from _single(item.decode)(item.body) if isinstance(item, Job) else (None,)


def _packed(files: bytes) -> bytes:
    """A .zip of files, each a name, a line break and its content."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive, warnings.catch_warnings(action="ignore"):  # names may come twice
        for file in files.split(CUT):
            name, _, content = file.partition(b"\n")
            archive.writestr(zipfile.ZipInfo(name.decode("latin-1")), content)
    return packed.getvalue()


def _of_files(files: Mapping[str, bytes]) -> bytes:
    return CUT.join([FILES, *(name.encode() + b"\n" + content for name, content in files.items())])


def _multipart(files: Mapping[str, bytes]) -> bytes:
    parts = b"".join(
        b'--b\r\nContent-Disposition: form-data; name="files"; filename="%s"\r\n\r\n%s\r\n' % (name.encode(), content)
        for name, content in files.items()
    )
    return b"multipart/form-data; boundary=b" + CUT + parts + b"--b--\r\n"


def _in_format(storage: int) -> bytes:
    """A record of three leads in a storage format, one of them skewed; uncompressed ones have two samples a frame."""
    per_frame, frames = 1 if storage in FLAC_BITS else 2, 30
    lines = "".join(
        f"r.dat {storage}x{per_frame}:{lead == 0:d} 200(1)/mV 16 0 0 0 0 {name}\n"
        for lead, name in enumerate(("I", "II", "V1"))
    )
    if storage in FLAC_BITS:
        samples = _flac(FLAC_BITS[storage], np.arange(3 * frames, dtype=np.int32).reshape(frames, 3))
    else:
        samples = (bytes(range(1, 256)) * 3)[: smallest_size(storage, 3 * frames * per_frame)]
    return f"r 3 500 {frames}\n{lines}".encode() + CUT + samples


def _flac(bits: int, values: npt.NDArray[np.int32]) -> bytes:
    stream = io.BytesIO()
    subtype = "PCM_S8" if bits == 8 else f"PCM_{bits}"
    soundfile.write(stream, values << (32 - bits), 500, format="FLAC", subtype=subtype)
    return stream.getvalue()


_MANY = {"README": b"", "a/r.hea": _RECORD["r.hea"], "a/r.dat": _RECORD["r.dat"], "b.json": _BASE64, "c.dat": b"00"}
_MATS = {f"m/{name}": content for name, content in _MAT.items()} | {"r.hea": b"r 1 100\n", "r.pdf": b"", "x.scp": b""}

TARGETS: Mapping[str, Target] = {
    "wfdb": Target(
        _single(_record),
        (
            _RECORD["r.hea"] + CUT + _RECORD["r.dat"],
            _MAT["r.hea"] + CUT + _MAT["r.mat"],
            *(_in_format(storage) for storage in INVALID),
        ),
    ),
    "zip": Target(_single(partial(decode_body, "application/zip")), (zipped(_RECORD), zipped(_MAT))),
    "json": Target(_single(partial(decode_body, "application/json")), (_JSON, _BASE64)),
    "raw": Target(
        _single(_raw), (_QUERY + b"int16&gain=1000" + CUT + bytes(800), _QUERY + b"float32" + CUT + bytes(800))
    ),
    "upload": Target(_single(_upload), (_multipart(_RECORD), _multipart(_MAT), _multipart({"r.zip": zipped(_RECORD)}))),
    "batch": Target(
        _batch,
        (
            NDJSON.encode() + CUT + b"\n".join([_JSON, b"{}", b"", _BASE64]),
            ZIP.encode() + CUT + zipped(_MANY),
            _of_files(_MANY),
            _of_files(_MATS),
        ),
    ),
}

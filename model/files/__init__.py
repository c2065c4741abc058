"""Bytes and files to recordings: which decoder reads what."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from model.errors import UnknownFormatError
from model.files.archive import decode_archive, unpack_archive
from model.files.json_body import decode_json
from model.files.limits import SERVICE_LIMITS, UNLIMITED, Limits
from model.files.raw_body import decode_raw, parse_layout
from model.files.wfdb_files import HEADER_SUFFIX, decode_record, read_record
from model.signal.recording import Recording

__all__ = [
    "BODY_DECODERS",
    "SERVICE_LIMITS",
    "UNLIMITED",
    "Limits",
    "decode_body",
    "decode_files",
    "read_path",
    "read_record",
]

Decoder = Callable[[bytes, Mapping[str, str], Limits], Recording]
_ZIP_MAGIC: Final = b"PK\x03\x04"

BODY_DECODERS: Final[Mapping[str, Decoder]] = {
    "application/json": lambda body, _, limits: decode_json(body, limits),
    "application/zip": lambda body, _, limits: decode_archive(body, limits),
    "application/x-zip-compressed": lambda body, _, limits: decode_archive(body, limits),
    "application/octet-stream": lambda body, query, limits: decode_raw(body, parse_layout(query), limits),
}
"""Media type to what decodes a body of it; multipart bodies are taken apart first and go to `decode_files`."""


def decode_body(
    media_type: str, body: bytes, limits: Limits = SERVICE_LIMITS, *, query: Mapping[str, str] | None = None
) -> Recording:
    """The recording in one body.

    Args:
        media_type: as in a Content-Type header, parameters and all.
        body: JSON, a .zip of one WFDB record, or raw samples.
        limits: caps.
        query: says what raw samples are, as `model.files.raw_body.parse_layout` reads it.

    Raises:
        UnknownFormatError: a media type that is not in `BODY_DECODERS`.
        EcgError: as the decoder says.
    """
    decoder = BODY_DECODERS.get(media_type.partition(";")[0].strip().lower())
    if decoder is None:
        raise UnknownFormatError(f"got an unknown content type, wanted one of {', '.join(BODY_DECODERS)}")
    return decoder(body, query or {}, limits)


def decode_files(files: Mapping[str, bytes], limits: Limits = SERVICE_LIMITS) -> Recording:
    """The recording in the files of one WFDB record, or in one .zip of them; bare name to content.

    Raises:
        EcgError: as `model.files.wfdb_files.decode_record` and `model.files.archive.decode_archive`.
    """
    if len(files) == 1:
        (body,) = files.values()
        if body.startswith(_ZIP_MAGIC):
            return decode_archive(body, limits)
    return decode_record(files, limits)


def read_path(path: Path, limits: Limits = UNLIMITED, *, uncalibrated: bool = False) -> Recording:
    """The recording in a file: a WFDB header (with or without its suffix), a .zip of one record, or JSON.

    Args:
        path: of the file.
        limits: caps; by default none on size and length.
        uncalibrated: as in `model.files.wfdb_files.decode_record`; for WFDB alone.

    Raises:
        FileNotFoundError: nothing is there.
        UnknownFormatError: another kind of file.
        EcgError: as the decoder says.
    """
    suffix = path.suffix.lower()
    if suffix == HEADER_SUFFIX or path.with_name(path.name + HEADER_SUFFIX).is_file():
        return read_record(path, limits, uncalibrated=uncalibrated)
    if suffix == ".zip":
        return decode_record(unpack_archive(path.read_bytes(), limits), limits, uncalibrated=uncalibrated)
    if suffix == ".json":
        return decode_json(path.read_bytes(), limits)
    path.stat()
    raise UnknownFormatError(f"got another kind of file, wanted {HEADER_SUFFIX}, .zip or .json")

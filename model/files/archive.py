"""A .zip of one record, unpacked in memory within bounds."""

import io
import zipfile
import zlib
from pathlib import PurePosixPath

from model.errors import MalformedArchiveError, TooLargeError
from model.files.limits import SERVICE_LIMITS, Limits
from model.files.wfdb_files import decode_record
from model.signal.recording import Recording

MAX_RATIO = 200  # unpacked to packed; flat leads pack as tightly, so small archives are let off
RATIO_FROM_BYTES = 2**20
_ENTRY = b"PK\x01\x02"  # begins each entry of the central directory
_ENCRYPTED = 0x1
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_CLUTTER = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})
_NESTED = (".zip", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".tar")


def decode_archive(body: bytes, limits: Limits = SERVICE_LIMITS) -> Recording:
    """The recording in a .zip of one WFDB record.

    Raises:
        MalformedArchiveError: not a .zip, damaged, encrypted, nested, or with names that are not of one folder.
        TooLargeError: over the limits, packed or unpacked, or packed more tightly than an ECG can be.
        EcgError: as `decode_record`.
    """
    return decode_record(unpack_archive(body, limits), limits)


def unpack_archive(body: bytes, limits: Limits = SERVICE_LIMITS) -> dict[str, bytes]:
    """Bare name to content of every member, what macOS and Windows add left out; raises as `decode_archive`."""
    limits.require_body(len(body))
    limits.require_members(body.count(_ENTRY))  # before a directory of a million entries is read
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            members = _members(archive, limits)
            return {name: archive.read(member) for name, member in members.items()}
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError, OverflowError) as error:
        raise MalformedArchiveError("the archive cannot be unpacked") from error


def _members(archive: zipfile.ZipFile, limits: Limits) -> dict[str, zipfile.ZipInfo]:
    """The files of the archive by bare name, checked before any is unpacked."""
    files = [one for one in archive.infolist() if not is_clutter(one.filename)]
    for one in files:
        _require_plain(one)
    if len({PurePosixPath(one.filename).parent for one in files}) > 1:
        raise MalformedArchiveError("the files of the archive lie in more than one folder")
    by_name = {PurePosixPath(one.filename).name: one for one in files}
    if len(by_name) < len(files):
        raise MalformedArchiveError("two files of the archive have the same name")
    _require_bounds(files, limits)
    return by_name


def is_clutter(name: str) -> bool:
    """Folders' own entries, and what macOS and Windows put beside the files."""
    path = PurePosixPath(name)
    return name.endswith("/") or "__MACOSX" in path.parts or path.name in _CLUTTER or path.name.startswith("._")


def _require_plain(member: zipfile.ZipInfo) -> None:
    name = member.filename
    if not name or name.startswith("/") or "\\" in name or ":" in name or ".." in PurePosixPath(name).parts:
        raise MalformedArchiveError("a file name in the archive is not a plain path inside it")
    if member.flag_bits & _ENCRYPTED:
        raise MalformedArchiveError("the archive is encrypted")
    if member.compress_type not in _METHODS:
        raise MalformedArchiveError("the archive uses a compression other than deflate")
    if name.lower().endswith(_NESTED):
        raise MalformedArchiveError("the archive holds another archive")


def _require_bounds(files: list[zipfile.ZipInfo], limits: Limits) -> None:
    unpacked = sum(one.file_size for one in files)
    packed = sum(one.compress_size for one in files)
    if unpacked > limits.unpacked_bytes:
        raise TooLargeError(f"the archive unpacks to {unpacked} bytes, wanted at most {limits.unpacked_bytes:.0f}")
    if unpacked > max(RATIO_FROM_BYTES, MAX_RATIO * packed):
        raise TooLargeError(f"the archive unpacks to more than {MAX_RATIO} times its size, and no ECG does")

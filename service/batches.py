"""Many ECGs in one body: a line of JSON each, or the records of a .zip; what is wrong with one is said of that one."""

import io
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from pathlib import PurePosixPath

from model.errors import (
    EcgError,
    MalformedArchiveError,
    MalformedError,
    MalformedRecordError,
    TooLargeError,
    UnknownFormatError,
)
from model.files import Limits, decode_body, decode_files
from model.files.archive import is_clutter
from model.files.wfdb_files import HEADER_SUFFIX, is_signal_file
from model.files.wfdb_header import MAX_HEADER_BYTES, parse_header
from model.signal.recording import Recording
from service.pipeline import Job
from service.reading import Decode

NDJSON = "application/x-ndjson"
ZIP = "application/zip"
MAX_MEMBERS = 50_000
"""Files of an archive, and lines: each leaves a line in the answer and in the audit, however little was sent for it."""

MAX_RATIO = 20
"""Unpacked to packed, of a whole archive; signals pack to a third or so."""

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENTRY = b"PK\x01\x02"
_JSON = "application/json"
_JSON_SUFFIX = ".json"
_ABOUT = re.compile(
    r"(README|LICEN[CS]E|CHANGES|CHANGELOG|RECORDS|ANNOTATORS|(MD5|SHA256)SUMS)([._-].*)?", re.IGNORECASE
)
"""What archives of records say about themselves, as PhysioNet's do."""

_Members = dict[PurePosixPath, zipfile.ZipInfo]


class Batch:
    """The ECGs of one body, one after another.

    Args:
        body: NDJSON, or a .zip of WFDB records and JSON files in any folders.
        media_type: which of the two.
        limits: of each ECG.
        job: makes one of an ECG's body and its decoder.

    Raises:
        UnknownFormatError: neither.
        MalformedError: there is no ECG in it.
        MalformedArchiveError: not a .zip, a file without a name, or two with the same.
        TooLargeError: more members or lines, or more bytes when unpacked, than are accepted.
    """

    def __init__(self, body: bytes, media_type: str, limits: Limits, job: Callable[[bytes, Decode], Job]) -> None:
        self._limits = limits
        self._job = job
        kind = media_type.partition(";")[0].strip().lower()
        if kind == NDJSON:
            if body.count(b"\n") > MAX_MEMBERS:
                raise TooLargeError(f"got more than {MAX_MEMBERS} lines")
            jobs = self._of_lines(body)
        elif kind == ZIP:
            jobs = self._of_archive(*_opened(body))
        else:
            raise UnknownFormatError(f"got a content type that is not read, wanted {NDJSON} or {ZIP}")
        first = next(jobs, None)
        if first is None:  # an answer without a line would look like one that was lost
            raise MalformedError("there is no ECG in this batch")
        self._jobs = chain((first,), jobs)

    def next(self) -> Job | EcgError | None:
        """The next ECG, or why there is none in its place, or None at the end; not to be called from two threads."""
        return next(self._jobs, None)

    def _of_lines(self, body: bytes) -> Iterator[Job | EcgError]:
        start = 0
        while start < len(body):
            end = body.find(b"\n", start)
            end = len(body) if end < 0 else end
            line = body[start:end].strip()
            start = end + 1
            if line:
                yield self._job(line, partial(decode_body, _JSON, limits=self._limits))

    def _of_archive(self, archive: zipfile.ZipFile, members: _Members) -> Iterator[Job | EcgError]:
        """In the order of the headers and JSON files in the archive's directory; then why each other was not read."""
        heads = [path for path in members if path.suffix.lower() in {HEADER_SUFFIX, _JSON_SUFFIX}]
        named: dict[PurePosixPath, list[PurePosixPath]] = {}
        for path in heads:
            try:
                yield self._of_member(archive, members, path, named)
            except EcgError as error:
                yield error
            except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError):
                yield MalformedArchiveError("a file of the archive cannot be unpacked")
        if heads:
            yield from _left_over(members, heads, named)

    def _of_member(
        self,
        archive: zipfile.ZipFile,
        members: _Members,
        path: PurePosixPath,
        all_named: dict[PurePosixPath, list[PurePosixPath]],
    ) -> Job:
        """The ECG of a header, whose signal files are noted, or of a JSON file."""
        content = self._unpacked(archive, members[path])
        if path.suffix.lower() == _JSON_SUFFIX:
            return self._job(content, partial(decode_body, _JSON, limits=self._limits))
        header = parse_header(content[: MAX_HEADER_BYTES + 1])
        named = [path.with_name(name) for name in header.files]
        all_named[path.with_suffix("")] = named
        self._limits.require_members(len(named))
        if not all(one in members for one in named):
            raise MalformedRecordError("a signal file that the header names is not there")
        self._require_room(sum(members[one].file_size for one in (path, *named)), "a record")
        files = {path.name: content} | {one.name: self._unpacked(archive, members[one]) for one in named}
        return self._job(b"".join(files.values()), partial(_decode_files, files=files, limits=self._limits))

    def _unpacked(self, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
        self._require_room(member.file_size, "a file")
        if member.compress_type not in _METHODS:
            raise MalformedArchiveError("a file of the archive uses a compression other than deflate")
        return archive.read(member)

    def _require_room(self, size: int, what: str) -> None:
        if size > self._limits.unpacked_bytes:
            raise TooLargeError(f"{what} unpacks to {size} bytes, wanted at most {self._limits.unpacked_bytes:.0f}")


def _decode_files(_: bytes, *, files: dict[str, bytes], limits: Limits) -> Recording:
    """The recording in unpacked files; a decoder of their joined bytes, which are for the hash alone."""
    return decode_files(files, limits)


def _left_over(
    members: _Members, heads: list[PurePosixPath], named: dict[PurePosixPath, list[PurePosixPath]]
) -> Iterator[EcgError]:
    """Why each file that belongs to nothing was not read: it may be an ECG, and none is passed over in silence.

    What bears the name of a header goes along with it, as annotations do; signal files only where the header, which may
    have named them, could not be read.

    Args:
        members: every file.
        heads: headers and JSON files.
        named: signal files by the name of the header, of those that could be read.
    """
    read = {*heads, *chain.from_iterable(named.values())}
    headed = {path.with_suffix("") for path in heads if path.suffix.lower() == HEADER_SUFFIX}
    for path in (one for one in members if one not in read):
        name, signal = path.with_suffix(""), is_signal_file(path.name)
        if _ABOUT.fullmatch(path.name) or (name in headed and not (signal and name in named)):
            continue
        if signal:
            yield MalformedRecordError("a signal file that no header names")
        else:
            yield UnknownFormatError(f"a file of the archive is none of {HEADER_SUFFIX}, .dat, .mat and {_JSON_SUFFIX}")


def _opened(body: bytes) -> tuple[zipfile.ZipFile, _Members]:
    """The archive and its files by path, its directory read and found within bounds."""
    if body.count(_ENTRY) > MAX_MEMBERS:
        raise TooLargeError(f"the archive holds more than {MAX_MEMBERS} files")
    try:
        archive = zipfile.ZipFile(io.BytesIO(body))
    except (zipfile.BadZipFile, EOFError, OSError, RuntimeError, ValueError, OverflowError) as error:
        raise MalformedArchiveError("the archive cannot be unpacked") from error
    if sum(one.file_size for one in archive.infolist()) > MAX_RATIO * len(body):
        raise TooLargeError(f"the archive unpacks to more than {MAX_RATIO} times its size")
    files = [one for one in archive.infolist() if not is_clutter(one.filename)]
    members = {PurePosixPath(one.filename): one for one in files}
    if not all(path.name for path in members):
        raise MalformedArchiveError("a file of the archive has no name")
    if len(members) < len(files):
        raise MalformedArchiveError("two files of the archive have the same name")
    return archive, members

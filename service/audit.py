"""Who was answered what by which model: a line for each answer, chained by hashes, without patient data."""

import errno
import json
import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any, ClassVar

from model.errors import EcgError
from service.errors import AuditUnavailableError, SettingsError
from service.telemetry import LOGGER

FIRST = "0" * 64
"""What the first line of a file is chained to."""

TEND_S = 1.0
"""How often what was written is put on the disk, and a log that could not be written is tried again."""

_TAIL_BYTES = 64 * 1024
_encode = json.JSONEncoder(sort_keys=True).encode
_HEAD = b'{"before": "'
_log = logging.getLogger(LOGGER)


class AuditError(EcgError):
    """A line that does not follow from the one before it."""

    code: ClassVar[str] = "audit_broken"


@dataclass(frozen=True)
class Entry:
    """One answer or refusal.

    Attributes:
        caller: id of the API key, token or certificate, or `anyone`; `service` for the log's own lines.
        request_id: as in the answer and the log.
        route: which.
        outcome: `answered`, or the code of the problem, or `client_gone` or `client_stalled`; `begun` before the first
            line of an answer of many, whose end has a line of its own; `resumed` where the log could not be written
            before.
        body_sha256: of the body as received; None where none was read.
        model_sha256: of the bundle; None where it was not asked.
    """

    caller: str
    request_id: str
    route: str
    outcome: str
    body_sha256: str | None = None
    model_sha256: str | None = None


RESUMED = Entry("service", "", "audit", "resumed")


class AuditLog:
    """A file that is only ever appended to, by one service; each line holds the hash of the line before.

    No line, no answer: a line that cannot be written raises, and so does every further one until one can be written
    again, which is tried each second. A disk that took lines and then failed to keep them (fsync) is not trusted again
    before a restart. Lines are on the disk after a second. A file that was moved away or removed is followed by a new
    one that continues the chain; a line that a power cut left unfinished is cut off at the next start. That lines were
    cut off its end is not to be seen in the file itself: the hash of the last one stands in the service's log at every
    start and stop.

    Args:
        path: of the file, made where it is missing.

    Raises:
        SettingsError: it cannot be written, or its last line is broken; a broken log is not continued.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self._ended = Event()
        self._failed = self._lost = self._unsynced = self._torn = False
        try:
            self._last = _continue(path)
            self._open()
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise SettingsError(f"ECG_AUDIT: the file cannot be continued: {type(error).__name__}") from None
        self._say()
        self._tending = Thread(target=self._tend_until_ended, name="audit", daemon=True)
        self._tending.start()

    @property
    def broken(self) -> bool:
        """Whether lines cannot be written at present."""
        return self._failed or self._lost

    def require(self) -> None:
        """Raise AuditUnavailableError where a line could not be written, before any work is done in vain."""
        if self.broken:
            raise AuditUnavailableError("the audit log cannot be written")

    def write(self, entry: Entry) -> None:
        """Append an entry; safe from several threads, written before it returns.

        Raises:
            AuditUnavailableError: it could not be written; nothing of it stands in the file.
        """
        with self._lock:
            self.require()
            self._append(entry)

    def close(self) -> None:
        """Put everything on the disk; who writes from here on is refused."""
        self._ended.set()
        self._tending.join()
        self._tend()
        with self._lock:
            self._lost = True
            self._say()
            os.close(self._file)

    def _append(self, entry: Entry) -> None:
        text = _encode(
            {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "before": self._last} | vars(entry)
        )
        digest = sha256(text.encode()).hexdigest()
        try:
            self._follow()
            self._put(f'{text[:-1]}, "hash": "{digest}"}}\n'.encode())
        except OSError as error:
            self._fail(error)
            raise AuditUnavailableError("the audit log cannot be written") from None
        self._last, self._failed, self._unsynced = digest, False, True

    def _put(self, line: bytes) -> None:
        """Write the whole line, or leave nothing of it."""
        written = os.write(self._file, line)
        if written < len(line):
            self._torn = True
            self._mend()
            raise OSError(errno.ENOSPC, "the disk is full")
        self._size += written

    def _mend(self) -> None:
        """Take back what was written of a line that did not fit."""
        os.ftruncate(self._file, self._size)
        self._torn = False

    def _open(self) -> None:
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        opened = os.fstat(self._file)
        self._place, self._size = (opened.st_dev, opened.st_ino), opened.st_size

    def _follow(self) -> None:
        """See to it that the file is still where it was; a new one takes the place of one that was moved away."""
        try:
            there = os.stat(self._path)  # noqa: PTH116 - at every line, and in half the time
        except FileNotFoundError:
            there = None
        if there and (there.st_dev, there.st_ino) == self._place:
            if self._torn:
                self._mend()
            elif there.st_size != self._size:
                _log.error("somebody else wrote to the audit log", extra={"fields": {"last": self._last}})
                self._size = there.st_size
            return
        if there and there.st_size:
            raise OSError("another file stands in the log's place")
        before, self._torn = self._file, False
        self._open()
        self._sync(before)
        os.close(before)
        _log.warning("the audit log was moved away; a new file continues it", extra={"fields": {"last": self._last}})

    def _tend_until_ended(self) -> None:
        while not self._ended.wait(TEND_S):
            self._tend()

    def _tend(self) -> None:
        """Put what was written on the disk; where writing failed, try again."""
        with self._lock:
            if self._failed and not self._lost:
                with suppress(AuditUnavailableError):
                    self._append(RESUMED)
            if not self._unsynced:
                return
            try:
                file = os.dup(self._file)
            except OSError:  # of descriptors there are none left for now; what was written waits for the next second
                return
            self._unsynced = False
        self._sync(file)
        os.close(file)

    def _sync(self, file: int) -> None:
        try:
            os.fsync(file)
        except OSError as error:
            self._lost = True
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        if not self._failed:
            fields = {"reason": type(error).__name__, "errno": error.errno, "last": self._last}
            _log.error("the audit log cannot be written; requests are refused", extra={"fields": fields})
        self._failed = True

    def _say(self) -> None:
        _log.info("audit", extra={"fields": {"last": self._last}})


@dataclass(frozen=True)
class Verified:
    """What a log was found to be.

    Attributes:
        lines: how many, each following from the one before.
        last: hash of the last one, to be held against the one in the service's log: what was cut off the end shows so.
    """

    lines: int
    last: str


def verify(*paths: Path, after: str = FIRST) -> Verified:
    """Whether each line follows from the one before, from the first file through the last.

    Args:
        paths: of the log's files, oldest first.
        after: hash of the line before the first.

    Raises:
        AuditError: a line was changed, taken out or put in; it says which of which file.
        OSError: a file cannot be read.
    """
    count, last = 0, after
    for path in paths:
        for number, fields in enumerate(_lines(path), start=1):
            last = _require_following(fields, last, f"line {number} of {path.name}")
            count += 1
    return Verified(count, last)


def _require_following(fields: dict[str, Any], last: str, line: str) -> str:
    """The hash of a line, which must follow from the one before."""
    hashed = {name: value for name, value in fields.items() if name != "hash"}
    digest = sha256(_encode(hashed).encode()).hexdigest()
    if fields.get("before") != last or fields.get("hash") != digest:
        raise AuditError(f"{line} does not follow from the one before")
    return digest


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                fields = json.loads(line)
            except ValueError:
                fields = None
            if not isinstance(fields, dict) or not line.endswith(b"\n"):
                raise AuditError(f"line {number} of {path.name} is none of this log")
            yield fields


def _continue(path: Path) -> str:
    """The hash of the last whole line, FIRST where there is none; what a power cut left of a line is cut off."""
    if not path.exists() or not path.stat().st_size:
        return FIRST
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        begin = file.seek(max(0, size - _TAIL_BYTES))
        whole, newline, torn = file.read().rpartition(b"\n")
        if torn[: len(_HEAD)] != _HEAD[: len(torn)] or (begin and not newline):
            raise ValueError("this is no audit log")
        last: str = json.loads(whole.splitlines()[-1])["hash"] if newline else FIRST
        if torn:
            file.truncate(size - len(torn))
            _log.warning("an unfinished line was cut off the audit log", extra={"fields": {"bytes": len(torn)}})
    return last

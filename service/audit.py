"""Who was answered what by which model: a line for each answer, chained by hashes, without patient data."""

import json
import logging
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar

from model.errors import EcgError
from service.errors import SettingsError
from service.telemetry import LOGGER

FIRST = "0" * 64
"""What the first line of a file is chained to."""

_TAIL_BYTES = 64 * 1024
_log = logging.getLogger(LOGGER)


class AuditError(EcgError):
    """A line that does not follow from the one before it."""

    code: ClassVar[str] = "audit_broken"


@dataclass(frozen=True)
class Entry:
    """One answer or refusal.

    Attributes:
        caller: id of the API key, or `anyone`.
        request_id: as in the answer and the log.
        route: which.
        outcome: `answered`, or the code of the problem.
        body_sha256: of the body as received; None where none was read.
        model_sha256: of the bundle; None where it was not asked.
    """

    caller: str
    request_id: str
    route: str
    outcome: str
    body_sha256: str | None = None
    model_sha256: str | None = None


class AuditLog:
    """A file that is only ever appended to, by one service; each line holds the hash of the line before.

    That lines were cut off its end is not to be seen in the file itself: the hash of the last one stands in the
    service's log at every start and stop.

    Args:
        path: of the file, made where it is missing.

    Raises:
        SettingsError: it cannot be written, or its last line is broken; a broken log is not continued.
    """

    def __init__(self, path: Path) -> None:
        self._lock = Lock()
        try:
            self._last = _last_hash(path)
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise SettingsError(f"ECG_AUDIT: the file cannot be continued: {type(error).__name__}") from None

        self._say()

    def write(self, entry: Entry) -> None:
        """Append an entry; safe from several threads, done before it returns."""
        fields = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **asdict(entry)}
        with self._lock:
            line = _chained(fields, self._last)
            os.write(self._file, (json.dumps(line) + "\n").encode())
            self._last = line["hash"]

    def close(self) -> None:
        """Put everything on the disk."""
        self._say()
        os.fsync(self._file)
        os.close(self._file)

    def _say(self) -> None:
        _log.info("audit", extra={"fields": {"last": self._last}})


def verify(path: Path) -> int:
    """How many lines there are, each following from the one before.

    Raises:
        AuditError: a line was changed, taken out or put in; it says which.
        OSError: the file cannot be read.
    """
    last, count = FIRST, 0
    for count, fields in enumerate(_lines(path), start=1):
        wanted = _chained({name: value for name, value in fields.items() if name not in {"before", "hash"}}, last)
        if fields != wanted:
            raise AuditError(f"line {count} does not follow from the one before")
        last = wanted["hash"]
    return count


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                fields = json.loads(line)
            except ValueError:
                fields = None
            if not isinstance(fields, dict):
                raise AuditError(f"line {number} is none of this log")
            yield fields


def _chained(fields: dict[str, Any], before: str) -> dict[str, Any]:
    """The fields, the hash of the line before, and the hash of all of these."""
    chained = fields | {"before": before}
    return chained | {"hash": sha256(json.dumps(chained, sort_keys=True).encode()).hexdigest()}


def _last_hash(path: Path) -> str:
    """The hash of the last line; FIRST where there is none."""
    if not path.exists() or not path.stat().st_size:
        return FIRST
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        last: str = json.loads(file.read().splitlines()[-1])["hash"]
        return last

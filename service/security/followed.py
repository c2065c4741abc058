"""Files that are read anew when they change, and what was read from them when they were whole last."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Generic, TypeVar

from service.errors import SettingsError
from service.telemetry import LOGGER

LOOK_EVERY_S = 1.0
"""How often the files are looked at, so that what is taken out of them is let in no longer than this."""

Content = TypeVar("Content")

_log = logging.getLogger(LOGGER)


class Followed(Generic[Content]):
    """What files hold, as they are now.

    Files that are removed or damaged while the service runs change nothing: what was read before stays, the log says
    so, and so does a metric until they are mended.

    Args:
        name: under which the log knows them.
        paths: of the files.
        read: reads all of them, and raises SettingsError where they are not whole.

    Attributes:
        content: what was read last.
        stale: whether that is of files that are not there or not whole any more.

    Raises:
        SettingsError: at the start the files must be whole.
    """

    def __init__(self, name: str, paths: Sequence[Path], read: Callable[[], Content]) -> None:
        self.stale = False
        self._name = name
        self._paths = tuple(paths)
        self._read = read
        self._looking = Lock()  # one look at a time, or a slow one would bring back what a later one took out
        self._seen = self._state()
        self.content = read()
        self._looked_s = monotonic()

    @property
    def due(self) -> bool:
        """Whether the files should be looked at again."""
        return monotonic() - self._looked_s >= LOOK_EVERY_S

    def look(self) -> None:
        """Read the files where they have changed, or could not be read; touches the disk."""
        with self._looking:
            self._look()

    def _look(self) -> None:
        self._looked_s = monotonic()
        state = self._state()
        if state == self._seen and not self.stale:
            return
        try:
            self.content = self._read()
        except SettingsError as error:
            if state != self._seen:
                fields = {"files": self._name, "reason": error.detail}
                _log.error("files cannot be used; what was read before stays", extra={"fields": fields})
            self._seen, self.stale = state, True
            return
        self._seen, self.stale = state, False
        _log.info("files were read anew", extra={"fields": {"files": self._name}})

    def _state(self) -> list[tuple[int, int, int] | None]:
        return [_state(path) for path in self._paths]


def _state(path: Path) -> tuple[int, int, int] | None:
    """What changes when the file does; None where it is gone. A mounted secret is a link, so it is followed."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns

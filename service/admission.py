"""How much work is in the service: a permit for each ECG before its body is read, or a refusal."""

import math
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from service.errors import NotReadyError, Overloaded

RATE_OVER = 32
"""Finished ECGs from which the drain rate is taken."""


class Admission:
    """Counts the ECGs and bytes that are being answered.

    Args:
        ecgs: most ECGs at once.
        body_bytes: most bytes of their bodies at once.
    """

    def __init__(self, *, ecgs: int, body_bytes: int) -> None:
        self._most_ecgs = ecgs
        self._most_bytes = body_bytes
        self._ecgs = 0
        self._bytes = 0
        self._finished_s: deque[float] = deque(maxlen=RATE_OVER)
        self._closed = False

    @property
    def ecgs(self) -> int:
        """ECGs that hold a permit."""
        return self._ecgs

    def close(self) -> None:
        """Refuse everything from now on."""
        self._closed = True

    @contextmanager
    def permit(self, body_bytes: int) -> Iterator[None]:
        """Hold room for one ECG whose body is at most `body_bytes` long.

        Raises:
            Overloaded: there is no room.
            NotReadyError: the service is stopping.
        """
        self._require_room(body_bytes)
        self._ecgs += 1
        self._bytes += body_bytes
        try:
            yield
        finally:
            self._ecgs -= 1
            self._bytes -= body_bytes
            self._finished_s.append(time.monotonic())

    def _require_room(self, body_bytes: int) -> None:
        if self._closed:
            raise NotReadyError("the service is stopping")
        if self._ecgs >= self._most_ecgs:
            raise Overloaded(f"{self._ecgs} ECGs are being answered", self._retry_after_s())
        if self._ecgs and self._bytes + body_bytes > self._most_bytes:
            raise Overloaded("too many bytes are being answered", self._retry_after_s())

    def _retry_after_s(self) -> int:
        """Seconds until what is in the service has been answered, at the rate of the last answers."""
        if len(self._finished_s) < 2:
            return 1
        span_s = time.monotonic() - self._finished_s[0]
        return max(1, math.ceil(self._ecgs * span_s / (len(self._finished_s) - 1)))

"""How long a connection waits for its client: for the head of a request, and for what was answered to be taken."""

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from fcntl import ioctl
from functools import partial
from termios import TIOCOUTQ
from typing import Any

from starlette.types import Scope

from service.security.certificates import CertifiedProtocol
from service.settings import Settings

STATE = "taking"
"""Under which name a connection's `Taking` stands in the state of its every request."""

LOOKS = 4
"""How often it is looked, in the time that a client has, whether it took anything."""


@dataclass
class Taking:
    """Whether a client takes what it is sent.

    Attributes:
        stalled: it took nothing for so long that its connection was cut off.
    """

    stalled: bool = False


class TimedProtocol(CertifiedProtocol):
    """HTTP/1.1 that waits for nobody without a bound.

    The server below waits for ever for the head of a request, and for a client to take an answer that it keeps ready;
    and a connection that it closes stays open until everything was taken.

    Args:
        settings: `body_timeout_s` is what a head may take, `answer_timeout_s` how long nothing of an answer is taken.
        given: of the server below.
    """

    def __init__(self, *, settings: Settings, **given: Any) -> None:
        super().__init__(**given)
        self._head_s = settings.body_timeout_s
        self._answer_s = settings.answer_timeout_s
        self._taking = Taking()
        self._head: asyncio.TimerHandle | None = None
        self._look: asyncio.TimerHandle | None = None
        self._left_bytes = 0
        self._moved_s = 0.0
        self._in_body = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first head."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, STATE: self._taking}
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        """Wait for the rest of a head; a body is waited for by whoever reads it, and may end after its refusal."""
        super().data_received(data)
        if not self._in_body and (self.cycle is None or self.cycle.response_complete):
            self._expect_head()

    def on_headers_complete(self) -> None:
        """The head has come."""
        self._stop_expecting()
        self._in_body = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The body has come."""
        self._in_body = False
        super().on_message_complete()

    def pause_writing(self) -> None:
        """More is ready than the client takes: look from now on whether it takes anything."""
        super().pause_writing()
        self._left_bytes, self._moved_s = _untaken_bytes(self.transport), self.loop.time()
        self._look_later()

    def resume_writing(self) -> None:
        """It took what was ready."""
        self._stop_looking()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._stop_expecting()
        self._stop_looking()
        super().connection_lost(exc)

    def _expect_head(self) -> None:
        if self._head is None and not self.transport.is_closing():
            self._head = self.loop.call_later(self._head_s, self.transport.abort)

    def _stop_expecting(self) -> None:
        if self._head:
            self._head.cancel()
            self._head = None

    def _stop_looking(self) -> None:
        if self._look:
            self._look.cancel()
            self._look = None

    def _look_later(self) -> None:
        self._look = self.loop.call_later(self._answer_s / LOOKS, self._require_taking)

    def _require_taking(self) -> None:
        """Cut the connection off where nothing was taken for too long; closing it would wait for the client again."""
        left_bytes = _untaken_bytes(self.transport)
        if left_bytes != self._left_bytes:
            self._left_bytes, self._moved_s = left_bytes, self.loop.time()
        if self.loop.time() - self._moved_s < self._answer_s:
            self._look_later()
            return
        self._taking.stalled = True
        self.transport.abort()


def _untaken_bytes(transport: asyncio.Transport) -> int:
    """What the client has not taken, here and in the system, which keeps megabytes and asks for more in bursts."""
    kept = bytearray(4)
    with suppress(OSError):  # a system that does not tell
        ioctl(transport.get_extra_info("socket").fileno(), TIOCOUTQ, kept)
    return transport.get_write_buffer_size() + int.from_bytes(kept, sys.byteorder)


def taking_of(scope: Scope) -> Taking:
    """What is known of the connection that a request came by."""
    taking: Taking = scope.get("state", {}).get(STATE) or Taking()
    return taking


def timed(settings: Settings) -> Callable[..., asyncio.Protocol]:
    """What makes the protocol of each connection."""
    return partial(TimedProtocol, settings=settings)

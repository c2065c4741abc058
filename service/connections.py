"""How long a connection waits for its client: for heads, bodies, and answers to be taken; and who makes room."""

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from fcntl import ioctl
from functools import partial
from termios import FIONREAD, TIOCOUTQ
from typing import Any

from starlette.types import Scope

from service.crowd import Crowd
from service.handshakes import Handshake
from service.security.certificates import Tls
from service.security.followed import Followed
from service.settings import Settings
from service.telemetry import Telemetry
from service.wire import PlainProtocol

STATE = "taking"
"""Under which name a connection's `Taking` stands in the state of its every request."""

CROWDED = "crowded"
"""Under which name it stands there that there is no room for the connection."""

LOOKS = 4
"""How often it is looked, in the time that a client has, whether it took anything."""


@dataclass
class Taking:
    """Whether a client takes what it is sent.

    Attributes:
        stalled: it took nothing for so long that its connection was cut off.
    """

    stalled: bool = False


class TimedProtocol(PlainProtocol):
    """HTTP/1.1 that waits for nobody without a bound.

    The server below waits for ever for the head of a request, for the rest of a body that was refused, and for a client
    to take an answer that it keeps ready; and a connection that it closes stays open until everything was taken.

    Args:
        settings: `body_timeout_s` is what a head may take, `batch_timeout_s` what is left of a body that was refused,
            `answer_timeout_s` how long nothing of an answer is taken.
        crowd: all connections.
        arrived: is called when the connection is there, before it counts.
        given: of the server below.
    """

    def __init__(
        self, *, settings: Settings, crowd: Crowd, arrived: Callable[[], None] | None = None, **given: Any
    ) -> None:
        super().__init__(**given)
        self._settings = settings
        self._crowd = crowd
        self._arrived = arrived
        self._crowded = False
        self._taking = Taking()
        self._patience: asyncio.TimerHandle | None = None
        self._look: asyncio.TimerHandle | None = None
        self._left_bytes = 0
        self._moved_s = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first head."""
        super().connection_made(transport)
        if self._arrived:
            self._arrived()
        self._crowded = not self._crowd.enter(self)
        self.app_state = {**self.app_state, STATE: self._taking, CROWDED: self._crowded}
        self._wait(self._settings.body_timeout_s)

    def is_asking(self) -> bool:
        """Whether the system has something from the client that was not read yet: a head, as a rule."""
        return not self.transport.is_closing() and _kept_bytes(self.transport, FIONREAD) > 0

    def let_go(self) -> None:
        """End the connection, at once."""
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Wait for the rest of a head; a body is waited for by whoever reads it."""
        super().data_received(data)
        if not self._in_body and (self.cycle is None or self.cycle.response_complete):
            self._wait(self._settings.body_timeout_s)

    def on_headers_complete(self) -> None:
        """The head has come."""
        self._stop_waiting()
        self._crowd.await_answer(self)
        super().on_headers_complete()
        if self._crowded:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        """The body has come."""
        self._stop_waiting()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """All of the answer is on its way; what is left of a refused body is waited for as long as of the largest."""
        super().on_response_complete()
        if self.transport.get_write_buffer_size():
            self._look_on()
        if self.cycle.response_complete:  # or another request has come behind the one that was answered
            self._crowd.was_answered(self)
            if self._in_body:
                self._wait(self._settings.batch_timeout_s)

    def pause_writing(self) -> None:
        """More is ready than the client takes."""
        super().pause_writing()
        self._look_on()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._crowd.leave(self)
        self._stop_waiting()
        if self._look:
            self._look.cancel()
        super().connection_lost(exc)

    def _wait(self, timeout_s: float) -> None:
        """For what is to come next, unless something is waited for already."""
        if self._patience is None and not self.transport.is_closing():
            self._patience = self.loop.call_later(timeout_s, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._patience:
            self._patience.cancel()
            self._patience = None

    def _look_on(self) -> None:
        """Look from now on whether the client takes anything."""
        if self._look is None:
            self._left_bytes, self._moved_s = _untaken_bytes(self.transport), self.loop.time()
            self._look_later()

    def _look_later(self) -> None:
        self._look = self.loop.call_later(self._settings.answer_timeout_s / LOOKS, self._require_taking)

    def _require_taking(self) -> None:
        """Cut the connection off where nothing was taken for too long; closing it would wait for the client again."""
        self._look = None
        if not self.transport.get_write_buffer_size():
            return
        left_bytes = _untaken_bytes(self.transport)
        if left_bytes != self._left_bytes:
            self._left_bytes, self._moved_s = left_bytes, self.loop.time()
        if self.loop.time() - self._moved_s < self._settings.answer_timeout_s:
            self._look_later()
            return
        self._taking.stalled = True
        self.transport.abort()


def _untaken_bytes(transport: asyncio.Transport) -> int:
    """What the client has not taken, here and in the system, which keeps megabytes and asks for more in bursts."""
    return transport.get_write_buffer_size() + _kept_bytes(transport, TIOCOUTQ)


def _kept_bytes(transport: asyncio.Transport, which: int) -> int:
    """What the system keeps for a connection, to be read (FIONREAD) or taken (TIOCOUTQ)."""
    kept = bytearray(4)
    with suppress(OSError):  # a system that does not tell
        ioctl(transport.get_extra_info("socket").fileno(), which, kept)
    return int.from_bytes(kept, sys.byteorder)


def taking_of(scope: Scope) -> Taking:
    """What is known of the connection that a request came by."""
    taking: Taking = scope.get("state", {}).get(STATE) or Taking()
    return taking


def is_crowded(scope: Scope) -> bool:
    """Whether there was no room for the connection that a request came by."""
    return bool(scope.get("state", {}).get(CROWDED))


def timed(
    settings: Settings, telemetry: Telemetry, tls: Followed[Tls] | None = None
) -> Callable[..., asyncio.Protocol]:
    """What makes the protocol of each connection, which begins with a handshake where TLS is spoken."""
    crowd, arriving = Crowd(settings.most_connections), Crowd(settings.most_connections)
    telemetry.watch_connections(lambda: len(crowd) + len(arriving))
    build = partial(TimedProtocol, settings=settings, crowd=crowd, telemetry=telemetry)
    if tls is None:
        return build
    return lambda **given: Handshake(partial(build, **given), tls=tls, crowd=arriving)

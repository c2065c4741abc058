"""Connections before their TLS stands: counted, bounded in number and time, and begun with the newest certificate."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from socket import socket

from service.crowd import Crowd
from service.security.certificates import Tls
from service.security.followed import Followed

HANDSHAKE_S = 10.0
"""Longest handshake: two round trips and a few kilobytes, on the slowest line that carries ECGs."""


class Handshake(asyncio.Protocol):
    """A connection that was accepted and has not proved yet that it speaks TLS.

    The server below would wait for a minute, count none of these connections and end none for another's sake. Nor does
    it tell when it accepts one whose TLS it sees to; so it is left to accept plain ones, and TLS begins here.

    Args:
        build: makes the protocol of the connection; it gets `arrived`, to be called when the handshake is over.
        tls: what the connection is opened with.
        crowd: of those that are under way. They make room for each other alone: a rush of clients would push each other
            out of the other connections before they could ask, and be told nothing.
    """

    def __init__(self, build: Callable[..., asyncio.Protocol], *, tls: Followed[Tls], crowd: Crowd) -> None:
        self._build = build
        self._tls = tls
        self._crowd = crowd
        self._opening: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the socket over before a byte is read from it, and begin."""
        try:
            accepted = transport.get_extra_info("socket").dup()
        except OSError:  # no file descriptor is left
            return
        finally:
            transport.close()
        loop = asyncio.get_running_loop()
        if self._tls.due:
            loop.run_in_executor(None, self._tls.look)  # for those to come
        self._opening = loop.create_task(self._open(accepted))
        self._opening.add_done_callback(partial(self._end, accepted))
        self._crowd.enter(self)

    def is_asking(self) -> bool:
        """Never: what comes is TLS's own."""
        return False

    def let_go(self) -> None:
        """End it, at once."""
        if self._opening:
            self._opening.cancel()

    async def _open(self, accepted: socket) -> None:
        with suppress(OSError):  # it left, took too long, or what it said was no TLS
            await asyncio.get_running_loop().connect_accepted_socket(
                self._begin, accepted, ssl=self._tls.content.context, ssl_handshake_timeout=HANDSHAKE_S
            )

    def _end(self, accepted: socket, opening: asyncio.Task[None]) -> None:
        self._crowd.leave(self)
        if opening.cancelled():
            accepted.close()

    def _begin(self) -> asyncio.Protocol:
        return self._build(arrived=lambda: self._crowd.leave(self))

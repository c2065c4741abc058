"""An HTTP client that costs little enough to send ten times what a service can answer, from the same machine."""

import asyncio
import time
from collections import deque
from dataclasses import dataclass
from types import TracebackType
from typing import Self, cast
from urllib.parse import urlencode, urlsplit

from httptools import HttpResponseParser


@dataclass(frozen=True)
class Reply:
    """What came back.

    Attributes:
        status: 0 where the connection broke instead.
        headers: names in lower case.
        body: the whole of it.
        seconds: from the moment the request was due.
        lost: why there is no reply, where the status is 0.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float
    lost: str = ""


def request_bytes(path: str, body: bytes, content_type: str, **query: str) -> bytes:
    """A whole POST, ready for the wire."""
    target = f"{path}?{urlencode(query)}" if query else path
    head = f"POST {target} HTTP/1.1\r\nhost: ecg\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


class _Connection(asyncio.Protocol):
    """One keep-alive connection with one request at a time."""

    def __init__(self) -> None:
        self.broken = False
        self._transport: asyncio.Transport | None = None
        self._parser = HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._reply: asyncio.Future[tuple[int, dict[str, str], bytes]] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode().lower()] = value.decode("latin-1")

    def on_body(self, data: bytes) -> None:
        self._body.append(data)

    def on_message_complete(self) -> None:
        if self._reply and not self._reply.done():
            self._reply.set_result((self._parser.get_status_code(), self._headers, b"".join(self._body)))
        self._headers, self._body = {}, []

    def connection_lost(self, exc: Exception | None) -> None:
        self.broken = True
        if self._reply and not self._reply.done():
            self._reply.set_result((0, {}, b""))

    async def send(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        self._reply = asyncio.get_running_loop().create_future()
        if self._transport is None or self.broken:
            return 0, {}, b""
        self._transport.write(request)
        return await self._reply

    def close(self) -> None:
        self.broken = True
        if self._transport:
            self._transport.abort()


class Client:
    """Sends requests over as many connections as are needed at once.

    Args:
        url: of the service.
        reuse: keep connections for the next request.
    """

    def __init__(self, url: str, *, reuse: bool = True) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._reuse = reuse
        self._idle: deque[_Connection] = deque()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for connection in self._idle:
            connection.close()

    async def send(self, request: bytes, *, timeout_s: float = 60.0) -> Reply:
        """The reply; status 0 where the connection broke or the whole of it did not come in time."""
        began_s = time.perf_counter()
        connection, lost = None, ""
        try:
            async with asyncio.timeout(timeout_s):
                connection = await self._connection()
                status, headers, body = await connection.send(request)
            lost = "" if status else "the connection closed before the end of the reply"
        except TimeoutError:
            status, headers, body, lost = 0, {}, b"", f"this client waited no longer than {timeout_s:g} s"
        except OSError as error:
            status, headers, body, lost = 0, {}, b"", type(error).__name__
        except asyncio.CancelledError:
            if connection:
                connection.close()
            raise
        if connection:
            self._give_back(connection, keep=self._reuse and status != 0 and headers.get("connection") != "close")
        return Reply(status, headers, body, time.perf_counter() - began_s, lost)

    async def _connection(self) -> _Connection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.broken:
                return connection
        _, connection = await asyncio.get_running_loop().create_connection(_Connection, self._host, self._port)
        return connection

    def _give_back(self, connection: _Connection, *, keep: bool) -> None:
        if keep and not connection.broken:
            self._idle.append(connection)
        else:
            connection.close()

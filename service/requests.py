"""What a route asks of a request: its service, its body within bounds, and whether its client is still there."""

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

from fastapi import Request
from starlette.types import Receive

from model.errors import TooLargeError, UnknownFormatError
from service.errors import BodyTimeoutError
from service.serving import Serving
from service.watch import ClientGoneError

T = TypeVar("T")


def serving_of(request: Request) -> Serving:
    """The state of the service that got the request."""
    serving: Serving = request.app.state.serving
    return serving


def request_id_of(request: Request) -> str:
    """The id that stands in the answer, the log and the headers."""
    request_id: str = request.state.request_id
    return request_id


def announced_bytes(request: Request, most: int) -> int:
    """The length that the headers announce, or the most that is read where they announce none.

    Raises:
        TooLargeError: more than `most`.
        UnknownFormatError: a compressed body.
    """
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnknownFormatError("got a content encoding, wanted an uncompressed body")
    announced = request.headers.get("content-length", "")
    if not announced.isascii() or not announced.isdigit():
        return most
    if int(announced) > most:
        raise TooLargeError(f"got {int(announced)} bytes, wanted at most {most}")
    return int(announced)


async def read_body(request: Request, most: int, timeout_s: float) -> bytes:
    """The whole body.

    Raises:
        TooLargeError: as soon as more than `most` bytes have come, announced or not.
        BodyTimeoutError: it was not complete in time.
        ClientGoneError: the client left.
    """
    try:
        async with asyncio.timeout(timeout_s):
            return await _all_chunks(request.receive, most)
    except TimeoutError:
        raise BodyTimeoutError(f"the body was not complete after {timeout_s:g} s") from None


async def unless_gone(receive: Receive, work: Coroutine[object, object, T]) -> T:
    """The result of the work, which is cancelled when the client leaves.

    Raises:
        ClientGoneError: it left.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_until_gone(receive))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientGoneError
        return working.result()
    finally:
        working.cancel()
        leaving.cancel()


async def _all_chunks(receive: Receive, most: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > most:
            raise TooLargeError(f"got more than {most} bytes, wanted at most {most}")
        chunks.append(chunk)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass

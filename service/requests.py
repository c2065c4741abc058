"""What a route asks of a request: its service, its body within bounds, and whether its client is still there."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import TypeVar, TypeVarTuple, Unpack

from fastapi import Request
from starlette.datastructures import QueryParams
from starlette.types import Receive

from model.errors import TooLargeError, UnknownFormatError
from model.reader import Part
from service.errors import BodyTimeoutError, NotFoundError, ParameterError
from service.idempotency import Resend
from service.parts import parse_parts
from service.security import ANYONE, Caller, Scope
from service.serving import Serving
from service.turns import Claim
from service.uploads import what_was_sent
from service.watch import ClientGoneError, Trace

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

LARGE_BYTES = 1024 * 1024
"""More is joined and hashed by a thread: 32 MiB take tens of milliseconds, in which nobody else would be answered."""


def serving_of(request: Request) -> Serving:
    """The state of the service that got the request."""
    serving: Serving = request.app.state.serving
    return serving


def trace_of(request: Request) -> Trace:
    """What is known of the request so far."""
    trace: Trace = request.scope["state"]["trace"]
    return trace


@dataclass(frozen=True)
class Query:
    """What a query says.

    Attributes:
        given: every parameter.
        parts: what is to be answered.
    """

    given: QueryParams
    parts: frozenset[Part]


def query_of(request: Request, names: frozenset[str]) -> Query:
    """What the query says.

    Args:
        request: whose.
        names: of the parameters that there are.

    Raises:
        ParameterError: it says something else, or anything but `include` twice.
    """
    return _read_query(request.scope["query_string"], names)


@lru_cache(maxsize=64)
def _read_query(query: bytes, names: frozenset[str]) -> Query:
    """As `query_of`; those who send ECGs ask in the same words again and again."""
    given = QueryParams(query)
    said = [name for name, _ in given.multi_items() if name != "include"]
    if not names.issuperset(said):
        raise ParameterError(f"the query says what is not known here; it may say {', '.join(sorted(names))}")
    if len(set(said)) < len(said):
        raise ParameterError("a parameter is given twice")
    return Query(given, parse_parts(given.getlist("include"), given.getlist("second_opinion")))


async def admit_caller(request: Request, scope: Scope) -> Caller:
    """Who is calling, noted for the log and the audit.

    Raises:
        UnauthenticatedError, IssuerUnavailableError: as `service.security.Guard.identify` says.
        ForbiddenError: the caller lacks the scope.
        AuditUnavailableError: what would be answered could not be written down.
    """
    serving = serving_of(request)
    caller = await serving.guard.identify(request.headers, getattr(request.state, "certificate", None))
    trace_of(request).caller = caller.name
    caller.require(scope)
    if serving.audit and scope != "metrics":
        serving.audit.require()
    return caller


@dataclass(frozen=True)
class Admitted:
    """A request that was let in with ECGs.

    Attributes:
        caller: who brings them.
        claim: their place in the order.
    """

    caller: Caller
    claim: Claim


def admitted_of(request: Request) -> Admitted:
    """What `service.door.Door` found out about the request.

    Raises:
        NotFoundError: it did not come through the door, for its path only resembles that of the route.
    """
    admitted: Admitted | None = request.scope["state"].get("admitted")
    if admitted is None:  # a route's pattern lets a path end with a line break
        raise NotFoundError("there is nothing at this path")
    return admitted


def claim_of(request: Request, caller: Caller) -> Claim:
    """The place of a single ECG in the order, by its caller and `priority`; raises ParameterError."""
    if b"priority" not in request.scope["query_string"]:
        return Claim("routine", _name(request, caller))
    priority = request.query_params.get("priority", "routine")
    if priority not in {"stat", "routine"}:
        raise ParameterError("priority takes stat or routine")
    return Claim("stat" if priority == "stat" else "routine", _name(request, caller))


def batch_claim_of(request: Request, caller: Caller) -> Claim:
    """The place of the ECGs of a batch, behind single ones."""
    return Claim("batch", _name(request, caller))


def _name(request: Request, caller: Caller) -> str:
    """Who shares with others: callers without a name are told apart by address."""
    return request.client.host if caller.name == ANYONE and request.client else caller.name


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


async def resend_of(request: Request, body: bytes, line: int | None = None) -> Resend | None:
    """The request's Idempotency-Key with what its answer depends on; None without the header.

    Args:
        request: which bears the key.
        body: of one ECG.
        line: its place, where it is one of many.

    Raises:
        ParameterError: a key that is none.
        MalformedError, TooLargeError: as `service.uploads.what_was_sent` says.
    """
    key = request.headers.get("idempotency-key")
    return None if key is None else Resend(key, await beside(len(body), _fingerprint, request, body), line)


def _fingerprint(request: Request, body: bytes) -> str:
    digest = sha256(f"{request.url.query}\n".encode())
    for part in what_was_sent(request.headers.get("content-type", ""), body, serving_of(request).limits):
        digest.update(part)
    return digest.hexdigest()


async def beside(size: int, work: Callable[[Unpack[Ts]], T], *args: *Ts) -> T:
    """The result of work on so many bytes, by a thread where they are many: the event loop answers others meanwhile."""
    return await asyncio.to_thread(work, *args) if size > LARGE_BYTES else work(*args)


async def unless_gone(receive: Receive, work: Coroutine[object, object, T]) -> T:
    """The result of the work, which is cancelled when the client leaves.

    Raises:
        ClientGoneError: it left.
    """
    working, over, gone = asyncio.current_task(), False, False

    def leave(leaving: asyncio.Task[None]) -> None:
        nonlocal gone
        if working and not over and not leaving.cancelled():
            gone = working.cancel()

    leaving = asyncio.create_task(_until_gone(receive))
    leaving.add_done_callback(leave)
    try:
        return await work
    except asyncio.CancelledError:
        if working and gone and not working.uncancel():
            raise ClientGoneError from None
        raise
    finally:
        over = True
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
            return chunks[0] if len(chunks) == 1 else await beside(size, b"".join, chunks)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass

"""The outermost layer of every request: its id, its metrics and log line, and a problem for whatever went wrong."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from time import monotonic
from uuid import uuid4

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from model.errors import EcgError
from service.audit import AuditLog, Entry
from service.connections import taking_of
from service.errors import (
    PROBLEM_JSON,
    AuditUnavailableError,
    InternalError,
    NotReadyError,
    problem_headers,
    problem_json,
    status_of,
)
from service.telemetry import LOGGER, Telemetry
from service.tracing import RequestSpan

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
QUIET = frozenset({"/health/live", "/health/ready", "/metrics"})
GONE = 499
"""What the log and the metrics call a request whose client left; nobody is sent it."""

CLIENT_GONE, CLIENT_STALLED = "client_gone", "client_stalled"
ANSWERED, BEGUN = "answered", "begun"

_log = logging.getLogger(LOGGER)


@dataclass
class Trace:
    """What is known of a request while it is answered: for the answer, the log and the audit."""

    request_id: str
    caller: str | None = None
    body_sha256: str | None = None
    model_sha256: str | None = None
    audited: bool = False
    span: RequestSpan | None = None
    route: str | None = None


class ClientGoneError(Exception):
    """The client closed its connection before the end of its answer, or took nothing of it for too long."""


class CutOffError(Exception):
    """An answer that has begun and cannot be ended; raised to the server below, which then closes the connection."""


class Watch:
    """Pure ASGI: a middleware of Starlette's own kind would hide the client's leaving from the routes.

    Args:
        app: what answers.
        telemetry: is told of every request.
        audit: is told of every request that had a caller.
        leaving: whether the service is about to stop; then every answer asks its client to connect anew elsewhere.
    """

    def __init__(
        self,
        app: ASGIApp,
        telemetry: Telemetry,
        audit: AuditLog | None = None,
        leaving: Callable[[], bool] = lambda: False,
    ) -> None:
        self._app = app
        self._telemetry = telemetry
        self._audit = audit
        self._leaving = leaving

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; no exception leaves."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began_s = monotonic()
        trace = Trace(str(uuid4()))
        if self._telemetry.tracing:
            trace.span = self._telemetry.tracing.begin(scope["headers"], trace.request_id)
        reply = _Reply(send, trace.request_id, partial(self._audit_once, scope, trace), self._leaving)
        taking = taking_of(scope)
        scope.setdefault("state", {})["trace"] = trace
        try:
            await self._app(scope, receive, reply.send)
        except ClientGoneError:
            reply.leave(CLIENT_STALLED if taking.stalled else CLIENT_GONE)
        except asyncio.CancelledError:  # the server does that when the time to drain is over
            await reply.refuse(NotReadyError("the service stopped before this request was answered"))
        except EcgError as error:
            await reply.refuse(error)
        except Exception:  # noqa: BLE001 - whatever it is, its text stays here
            _log.exception("internal error", extra={"fields": {"request_id": reply.request_id}})
            await reply.refuse(InternalError())
        finally:
            self._tell(scope, reply, trace, seconds=monotonic() - began_s)

    def _tell(self, scope: Scope, reply: "_Reply", trace: Trace, *, seconds: float) -> None:
        """Count the request, log and audit it; every label is ours, never the caller's."""
        route = _route(scope, trace)
        method = scope["method"] if scope["method"] in METHODS else "other"
        self._telemetry.requests.labels(route, method, str(reply.status)).inc()
        self._telemetry.request_seconds.labels(route).observe(seconds)
        if reply.cut:
            self._telemetry.cut.labels(reply.cut).inc()
        elif reply.code:
            self._telemetry.refusals.labels(reply.code).inc()
        fields = {
            "request_id": trace.request_id,
            "method": method,
            "route": route,
            "status": reply.status,
            "code": reply.code,
            "cut": reply.cut,
            "caller": trace.caller,
            "ms": round(seconds * 1000, 2),
        }
        said = {name: value for name, value in fields.items() if value is not None}
        level = logging.DEBUG if route in QUIET else logging.INFO
        # The record is made here: logging would look for the line that asks, which is a third of its cost.
        if _log.isEnabledFor(level):
            _log.handle(_log.makeRecord(LOGGER, level, "", 0, "request", (), None, extra={"fields": said}))
        if trace.span:
            trace.span.end(method=method, route=route, status=reply.status, code=reply.code)
        with suppress(AuditUnavailableError):  # nothing was given away: the client had left, or was refused
            self._audit_once(scope, trace, reply.outcome)

    def _audit_once(self, scope: Scope, trace: Trace, outcome: str) -> None:
        """Write down what is about to be answered; raises AuditUnavailableError, and then nothing is."""
        route = _route(scope, trace)
        if self._audit is None or trace.caller is None or trace.audited or route in QUIET:
            return
        trace.audited = outcome != BEGUN
        self._audit.write(Entry(trace.caller, trace.request_id, route, outcome, trace.body_sha256, trace.model_sha256))


def _route(scope: Scope, trace: Trace) -> str:
    """The route's own path, never the caller's."""
    return trace.route or str(getattr(scope.get("route"), "path", "other"))


class _Reply:
    """What goes back: carries the request id, and remembers how it went.

    Attributes:
        status: that was sent; of an answer that was cut off, the one that says why.
        code: of the problem, where there was one.
        cut: why an answer that had begun was cut off.
        outcome: what the audit calls it.
    """

    def __init__(self, send: Send, request_id: str, audit: Callable[[str], None], leaving: Callable[[], bool]) -> None:
        self.request_id = request_id
        self.status = 500
        self.code: str | None = None
        self.cut: str | None = None
        self.outcome = ANSWERED
        self._send = send
        self._audit = audit
        self._leaving = leaving
        self._begun = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            streamed = not any(name == b"content-length" for name, _ in message["headers"])
            self._audit(BEGUN if streamed else self.outcome)
            self._begun = True
            self.status = message["status"]
            message["headers"] = [*message["headers"], (b"x-request-id", self.request_id.encode())]
            if self._leaving():  # a connection that is closed while a request is on its way loses the request
                message["headers"].append((b"connection", b"close"))
        await self._send(message)

    def leave(self, outcome: str) -> None:
        """The client left, of itself or because it took nothing."""
        self.outcome, self.status = outcome, GONE
        self.cut = outcome if self._begun else None

    async def refuse(self, error: EcgError) -> None:
        """Answer with a problem; an answer that has begun can only be cut off, by the server below."""
        self.code = self.outcome = error.code
        if self._begun:
            self.cut, self.status = error.code, int(status_of(error))
            raise CutOffError
        with suppress(AuditUnavailableError):  # a refusal gives nothing away
            self._audit(error.code)
        body = problem_json(error, self.request_id)
        headers = {"content-type": PROBLEM_JSON, "content-length": str(len(body)), **problem_headers(error)}
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        await self.send({"type": "http.response.start", "status": int(status_of(error)), "headers": raw})
        await self.send({"type": "http.response.body", "body": body})

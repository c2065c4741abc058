"""Answers one line each, in order, as they come; many ECGs at once, and never more than the service has room for."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, suppress
from dataclasses import dataclass

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from model.errors import EcgError
from service.audit import AuditLog, Entry
from service.batches import NDJSON, Batch
from service.errors import AuditUnavailableError, InternalError, problem_json
from service.idempotency import Work
from service.pipeline import Answered, Job, Pipeline
from service.requests import unless_gone
from service.telemetry import LOGGER, Telemetry
from service.watch import Trace

Lease = Callable[[], AbstractContextManager[Pipeline]]
"""Holds the pipeline that answers now; each ECG takes its own, so that a long batch does not hold up a reload."""

Turn = Callable[[], AbstractAsyncContextManager[None]]
"""Waits for a place among the ECGs of all batches, and holds it."""

Once = Callable[[bytes, int, Work], Awaitable[Answered]]
"""Does the work for the ECG with this body at this place, unless that was done for an earlier sending."""

NOT_STORED = {"cache-control": "no-store"}
"""Of every answer: it is a patient's, and no proxy or browser on its way is to keep it."""

ROUTE = "/v1/ecgs/batch#line"
"""What the audit calls one ECG of a batch."""

_log = logging.getLogger(LOGGER)


class LineStream(Response):
    """Sends lines as they come; the client's leaving ends the work.

    Args:
        lines: admits the request, reads its body and makes the lines; what it raises before the first is the answer.
    """

    media_type = NDJSON

    def __init__(self, lines: Callable[[], AbstractAsyncContextManager[AsyncIterator[bytes]]]) -> None:
        super().__init__(headers=NOT_STORED)
        del self.headers["content-length"]
        self._lines = lines

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send everything."""
        del scope
        async with self._lines() as lines:
            await unless_gone(receive, self._send_all(lines, send))

    async def _send_all(self, lines: AsyncIterator[bytes], send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for line in lines:
            await send({"type": "http.response.body", "body": line, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


@dataclass(frozen=True)
class LineWriter:
    """Answers a batch line by line.

    Attributes:
        lease: holds what answers.
        turn: waits until an ECG may be worked on.
        once: keeps answers for a resend.
        telemetry: is told of every problem.
        trace: who asks, and the id that stands in every problem.
        audit: is told of every ECG.
    """

    lease: Lease
    turn: Turn
    once: Once
    telemetry: Telemetry
    trace: Trace
    audit: AuditLog | None

    async def lines(self, batch: Batch, *, at_once: int) -> AsyncGenerator[bytes]:
        """A line for each ECG: its place and its answer or problem; at most `at_once` are worked on at a time.

        Raises:
            InternalError: the body cannot be read to its end, after a last line that says so: whoever sends the lines
                must cut them off rather than end them, or the ECGs that are left would be taken for not sent.
        """
        running: deque[asyncio.Task[bytes]] = deque()
        index, whole = 0, True
        try:
            while whole and (item := await asyncio.to_thread(self._next, batch)) is not None:
                whole = not isinstance(item, InternalError)
                running.append(asyncio.create_task(self._line(item, index)))
                index += 1
                if len(running) >= at_once:
                    yield await running.popleft()
            while running:
                yield await running.popleft()
        finally:
            for task in running:
                task.cancel()
        if not whole:
            raise InternalError

    def _next(self, batch: Batch) -> Job | EcgError | None:
        """The next ECG; InternalError where it cannot be told what is still to come."""
        try:
            return batch.next()
        except Exception:  # noqa: BLE001 - whatever it is, the ECGs before it are answered
            _log.exception("internal error", extra={"fields": {"request_id": self.trace.request_id}})
            return InternalError()

    async def _line(self, item: Job | EcgError, index: int) -> bytes:
        try:
            answered = await self._answer(item, index)
        except EcgError as error:
            return self._refused(error, index)
        except Exception:  # noqa: BLE001 - one ECG's fault is not the others'
            _log.exception("internal error", extra={"fields": {"request_id": self.trace.request_id}})
            return self._refused(InternalError(), index)
        try:
            self._tell("answered", answered)
        except AuditUnavailableError as error:
            return self._refused(error, index)
        return b'{"index":%d,"answer":%s}\n' % (index, answered.json)

    def _refused(self, error: EcgError, index: int) -> bytes:
        self.telemetry.refusals.labels(error.code).inc()
        with suppress(AuditUnavailableError):  # a refusal gives nothing away, and the log says that it is not audited
            self._tell(error.code)
        return b'{"index":%d,"problem":%s}\n' % (index, problem_json(error, self.trace.request_id))

    def _tell(self, outcome: str, answered: Answered | None = None) -> None:
        if self.audit and self.trace.caller:
            hashes = (answered.body_sha256, answered.model_sha256) if answered else ()
            self.audit.write(Entry(self.trace.caller, self.trace.request_id, ROUTE, outcome, *hashes))

    async def _answer(self, item: Job | EcgError, index: int) -> Answered:
        if isinstance(item, EcgError):
            raise item

        async def work() -> Answered:
            async with self.turn():
                with self.lease() as pipeline:
                    return await pipeline.answer(item)

        return await self.once(item.body, index, work)

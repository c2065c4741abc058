"""`POST /v1/ecgs`: one ECG in, its answer out; `POST /v1/ecgs/batch`: many, a line each."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from functools import partial

from fastapi import APIRouter, Request, Response

from service.batches import Batch
from service.documentation import ANSWERS, BATCH_BODY, ECG_BODY, LINES, query_names
from service.idempotency import Work
from service.lines import NOT_STORED, LineStream, LineWriter
from service.pipeline import Answered, Job
from service.requests import admitted_of, query_of, read_body, resend_of, serving_of, trace_of, unless_gone
from service.uploads import decoder

router = APIRouter(tags=["ecg"])

ECG_QUERY, BATCH_QUERY = query_names(ECG_BODY), query_names(BATCH_BODY)


@router.post("/v1/ecgs", summary="Read one ECG", responses=ANSWERS, openapi_extra=ECG_BODY)
async def read_ecg(request: Request) -> Response:
    """Read one 12-lead ECG: findings, measurements and waves.

    Send a WFDB record, JSON or raw samples; sampling rate, unit and lead names are never guessed. At least I, II and
    V1-V6 are needed, or limb leads from which they follow, and at least 5 s. Times in the answer count from the first
    sample sent. `?include=` picks parts from findings, measurements, waves, embedding and plot; `?priority=stat` is
    answered before what is routine. `?second_opinion=true` warns where a classical method measures QRS or QT otherwise.
    """
    serving = serving_of(request)
    admitted = admitted_of(request)
    query = query_of(request, ECG_QUERY)
    decode = decoder(request.headers.get("content-type", ""), query.given, serving.limits)
    body = await read_body(request, serving.settings.body_bytes, serving.settings.body_timeout_s)
    job = Job(body, decode, query.parts, trace_of(request).request_id, admitted.claim)

    async def work() -> Answered:
        with serving.lease() as pipeline:
            return await unless_gone(request.receive, pipeline.answer(job))

    resend = await resend_of(request, body)
    answered, again = await serving.answers.answer(admitted.caller.name, resend, work)
    trace_of(request).body_sha256 = answered.body_sha256
    trace_of(request).model_sha256 = answered.model_sha256
    headers = NOT_STORED | ({"idempotency-replayed": "true"} if again else {})
    return Response(answered.json, media_type="application/json", headers=headers)


@router.post(
    "/v1/ecgs/batch",
    summary="Read many ECGs",
    status_code=200,
    response_class=LineStream,
    responses=LINES,
    openapi_extra=BATCH_BODY,
)
async def read_batch(request: Request) -> LineStream:
    """Read many ECGs: a JSON body a line, or a .zip of WFDB records and JSON files.

    The answer has a line for each, in the order of the lines, or of the headers and JSON files in the archive:
    `{"index", "answer"}`, or `{"index", "problem"}` for one that cannot be read; the others do not suffer. Files of the
    archive that belong to no record, such as a .dat without its header, have a problem each after these. A batch that
    is sent again under its Idempotency-Key gets the lines that were answered before as they were.
    """
    serving = serving_of(request)
    settings = serving.settings
    caller, claim = admitted_of(request).caller, admitted_of(request).claim
    parts = query_of(request, BATCH_QUERY).parts
    trace = trace_of(request)
    await resend_of(request, b"", 0)  # a key that is none is refused before the body is read

    async def once(body: bytes, line: int, work: Work) -> Answered:
        answered, _ = await serving.answers.answer(caller.name, await resend_of(request, body, line), work)
        return answered

    turn = partial(serving.batch_turn, claim)
    writer = LineWriter(serving.lease, turn, once, serving.telemetry, trace, serving.audit)

    @asynccontextmanager
    async def lines() -> AsyncIterator[AsyncIterator[bytes]]:
        body = await read_body(request, settings.batch_bytes, settings.batch_timeout_s)
        kind = request.headers.get("content-type", "")
        job = partial(Job, parts=parts, request_id=trace.request_id, claim=claim)
        batch = await asyncio.to_thread(Batch, body, kind, serving.limits, job)
        async with aclosing(writer.lines(batch, at_once=serving.at_once)) as answers:
            yield answers

    return LineStream(lines)

"""`POST /v1/ecgs`: one ECG in, its answer out."""

from fastapi import APIRouter, Request, Response

from service.documentation import ANSWERS, ECG_BODY
from service.parts import parse_parts
from service.pipeline import Job
from service.requests import announced_bytes, read_body, request_id_of, serving_of, unless_gone
from service.uploads import decoder

router = APIRouter(tags=["ecg"])


@router.post("/v1/ecgs", summary="Read one ECG", responses=ANSWERS, openapi_extra=ECG_BODY)
async def read_ecg(request: Request) -> Response:
    """Read one 12-lead ECG: findings, measurements and waves.

    Send a WFDB record, JSON or raw samples; sampling rate, unit and lead names are never guessed. At least I, II and
    V1-V6 are needed, or limb leads from which they follow, and at least 5 s. Times in the answer count from the first
    sample sent. `?include=` picks parts from findings, measurements, waves, embedding and plot.
    """
    serving = serving_of(request)
    settings = serving.settings
    serving.guard.require(request.headers, "read")
    pipeline = serving.pipeline
    parts = parse_parts(request.query_params.getlist("include"))
    decode = decoder(request.headers.get("content-type", ""), request.query_params, serving.limits)
    announced = announced_bytes(request, settings.body_bytes)
    with serving.admission.permit(announced):
        body = await read_body(request, settings.body_bytes, settings.body_timeout_s)
        job = Job(body, decode, parts, request_id_of(request))
        answer = await unless_gone(request.receive, pipeline.answer(job))
    return Response(answer, media_type="application/json")

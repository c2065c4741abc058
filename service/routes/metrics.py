"""`GET /metrics`, for Prometheus."""

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from service.documentation import TEXT, problems
from service.requests import admit_caller, serving_of

router = APIRouter(tags=["health"])


@router.get(
    "/metrics", summary="Metrics for Prometheus", response_class=Response, responses=TEXT | problems(401, 403, 503)
)
async def metrics(request: Request) -> Response:
    """Counters, gauges and histograms; no label holds anything that a caller sent."""
    serving = serving_of(request)
    await admit_caller(request, "metrics")
    return Response(generate_latest(serving.telemetry.registry), media_type=CONTENT_TYPE_LATEST)

"""Whether the process lives, and whether ECGs should be sent to it."""

from fastapi import APIRouter, Request

from model.errors import EngineError
from service.documentation import OPEN, problems
from service.errors import NotReadyError
from service.requests import serving_of

router = APIRouter(prefix="/health", tags=["health"])


@router.head("/live", include_in_schema=False)
@router.get("/live", summary="The process lives", responses=problems(503), openapi_extra=OPEN)
async def live(request: Request) -> dict[str, str]:
    """200 while the process answers at all; 503 where its model has hung for so long that it should be restarted."""
    if serving_of(request).lost:
        raise EngineError("the model has not answered for long; only a restart will help")
    return {"status": "live"}


@router.head("/ready", include_in_schema=False)
@router.get("/ready", summary="ECGs may be sent", responses=problems(503), openapi_extra=OPEN)
async def ready(request: Request) -> dict[str, str]:
    """200 once the bundle is verified and warm; 503 before that and from the stop signal on."""
    if not serving_of(request).ready:
        raise NotReadyError("the service is starting or stopping")
    return {"status": "ready"}

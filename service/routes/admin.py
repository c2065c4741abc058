"""`POST /v1/admin/reload`: another bundle in the place of the one that answers, without a request that fails."""

from fastapi import APIRouter, Request

from service.documentation import problems
from service.requests import admit_caller, serving_of, trace_of
from service.schemas import ModelBody, model_wire

router = APIRouter(prefix="/v1/admin", tags=["admin"])


@router.post("/reload", summary="Read the bundle anew", responses=problems(401, 403, 503))
async def reload(request: Request) -> ModelBody:
    """Read the bundle's folder anew, verify its hashes, prove it on its engine, and answer by it from now on.

    When anything is wrong the answer is a problem and the bundle before goes on answering. The folder is the one the
    service was started with; which bundle stands there is decided on the machine, not by a request.
    """
    serving = serving_of(request)
    await admit_caller(request, "admin")
    reader = (await serving.reload()).reader
    trace_of(request).model_sha256 = reader.bundle.sha256
    return ModelBody.model_validate(model_wire(reader.bundle, reader.engine))

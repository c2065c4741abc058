"""`GET /v1/model`: what answers, how good it is, and whose data it learned from."""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request

from service.documentation import problems
from service.requests import admit_caller, serving_of
from service.schemas import InputBody, ModelCardBody, OutputBody, VariantBody, model_wire

router = APIRouter(prefix="/v1", tags=["model"])


@router.get("/model", summary="The model that answers", responses=problems(401, 403, 503))
async def model(request: Request) -> ModelCardBody:
    """Name, hashes, input, statements with thresholds, figures with intervals, data, licences and citations."""
    serving = serving_of(request)
    await admit_caller(request, "read")
    reader = serving.pipeline.reader
    manifest = reader.bundle.manifest
    variants: dict[str, Any] = {name: asdict(one) for name, one in manifest.variants.items()}
    return ModelCardBody(
        **model_wire(reader.bundle, reader.engine),
        input=InputBody(**asdict(manifest.spec), sha256=manifest.spec_sha256),
        statements=[OutputBody(**asdict(one.statement), **asdict(one.calibration)) for one in manifest.outputs],
        variants={name: VariantBody.model_validate(one) for name, one in variants.items()},
        metrics=manifest.metrics,
        data=manifest.data,
        training=manifest.training,
        code_commit=manifest.code_commit,
        licences=list(manifest.licences),
        citations=list(manifest.citations),
    )

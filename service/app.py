"""The application: routes, what answers a stray request, and a life that begins warm and ends drained."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import NoReturn

from fastapi import FastAPI, Request
from fastapi.telemetry import TelemetryConfig
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException

from model.engine import Engine
from model.reader import Delineator
from service.documentation import DESCRIPTION, TITLE, completed
from service.door import Door
from service.errors import MethodError, NotFoundError
from service.routes import admin, ecgs, health, metrics, model
from service.serving import Serving
from service.settings import Settings
from service.watch import Watch

NO_TELEMETRY: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
"""FastAPI's own would send paths, queries and the texts of exceptions to whatever provider it finds in the process."""


def create_app(settings: Settings, engine: Engine | None = None, delineate: Delineator | None = None) -> FastAPI:
    """The service as an ASGI application.

    Args:
        settings: how to serve.
        engine: runs the bundle in place of onnxruntime.
        delineate: finds the waves in place of the classical processes.

    Raises:
        SettingsError: the file of API keys is wrong.
    """
    serving = Serving(settings, engine, delineate)

    @asynccontextmanager
    async def live(_: FastAPI) -> AsyncIterator[None]:
        try:
            await serving.start()
            yield
        finally:
            await serving.stop()

    # The documentation is served from the package: a hospital's closed network reaches no CDN.
    app: FastAPI = FastAPIOffline(
        redoc_url=None,
        redirect_slashes=False,  # it would send callers, and their keys, to whatever the header Host names
        telemetry=NO_TELEMETRY,
        title=TITLE,
        description=DESCRIPTION,
        version=_version(),
        lifespan=live,
        static_url="/docs-assets",
    )
    app.state.serving = serving
    for routes in (ecgs, model, admin, health, metrics):
        app.include_router(routes.router)
    described = app.openapi
    app.openapi = lambda: completed(described())  # type: ignore[method-assign]
    app.add_exception_handler(HTTPException, _translate)
    app.add_exception_handler(Exception, _pass_on)
    # Around the layers that FastAPI has for its routes: what goes no further than the door does not pay for them.
    door = Door(app.build_middleware_stack(), serving, ecgs.read_ecg)
    app.middleware_stack = Watch(door, serving.telemetry, serving.audit, leaving=lambda: serving.draining)
    return app


async def _translate(_: Request, error: Exception) -> NoReturn:
    """Starlette's own refusals as ours; `Watch` answers them."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status == 405:
        allowed = (error.headers or {}).get("Allow", "") if isinstance(error, HTTPException) else ""
        raise MethodError("this path does not have that method", allowed)
    if status == 404:
        raise NotFoundError("there is nothing at this path")
    raise error


async def _pass_on(_: Request, error: Exception) -> NoReturn:
    """Leave what went wrong to `Watch`; Starlette would answer it in plain text."""
    raise error


def _version() -> str:
    try:
        return version("ecg-jepa-service")
    except PackageNotFoundError:
        return "0+checkout"

"""Before the routes: who brings an ECG, and whether there is room for it; a refusal here costs next to nothing."""

from collections.abc import Awaitable, Callable

from fastapi import Request, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from service.connections import is_crowded
from service.errors import Overloaded
from service.requests import Admitted, admit_caller, announced_bytes, batch_claim_of, claim_of, trace_of
from service.serving import Serving
from service.turns import Claim

ECGS = "/v1/ecgs"
BATCH = "/v1/ecgs/batch"


class Door:
    """Gives every request that brings ECGs a permit, or refuses it before its body is read and its route is looked for.

    Pure ASGI, because ten times as many requests as can be answered must be refused in a tenth of the time.

    Args:
        app: the routes.
        serving: who is let in, and how many.
        read_ecg: answers single ECGs; routing to it would be a quarter of what a request costs besides its work.
    """

    def __init__(self, app: ASGIApp, serving: Serving, read_ecg: Callable[[Request], Awaitable[Response]]) -> None:
        self._app = app
        self._serving = serving
        self._read_ecg = read_ecg
        self._most_bytes = {ECGS: serving.settings.body_bytes, BATCH: serving.settings.batch_bytes}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through.

        Raises:
            EcgError: of the guard and of the admission, for `service.watch.Watch` to answer.
        """
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] not in self._most_bytes:
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        claim = await self._claim(request)
        with self._serving.admission.permit(announced_bytes(request, self._most_bytes[scope["path"]]), claim):
            if scope["path"] != ECGS:
                await self._app(scope, receive, send)
                return
            answer = await self._read_ecg(request)
        # A ready answer holds no place, however slowly it is read.
        await answer(scope, receive, send)

    async def _claim(self, request: Request) -> Claim:
        """The place of a request that may come in, noted for its route."""
        path = request.scope["path"]
        trace_of(request).route = path
        caller = await admit_caller(request, "read")
        claim = (claim_of if path == ECGS else batch_claim_of)(request, caller)
        if is_crowded(request.scope):
            raise Overloaded("there are too many connections")
        self._serving.pipeline.batcher.require(claim)  # nothing is read that would be refused when it is decoded
        request.scope["state"]["admitted"] = Admitted(caller, claim)
        return claim

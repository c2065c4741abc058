"""What a request costs the event loop, which all requests share: admission, queue, log and metrics stay small."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from fastapi import FastAPI

from service import examples
from service.app import create_app
from service.settings import Settings
from tests.service.stubs import StubEngine, no_waves, write_bundle

REQUESTS, TRIES = 40, 5
HANDOVERS = 80
"""A request may cost as much as so many times handing something to a thread and back: over twice what it costs."""


async def ask(app: FastAPI) -> int:
    """One raw body through the application, without a socket; its status."""
    body = examples.raw_int16()
    query = "&".join(f"{name}={value}" for name, value in {**examples.raw_query(), "include": "findings"}.items())
    headers = [(b"content-type", b"application/octet-stream"), (b"content-length", str(len(body)).encode())]
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/ecgs",
        "raw_path": b"/v1/ecgs",
        "query_string": query.encode(),
        "headers": headers,
        "client": ("127.0.0.1", 1),
    }
    received, statuses = asyncio.Event(), list[int]()

    async def receive() -> dict[str, object]:
        if received.is_set():
            await asyncio.Event().wait()
        received.set()
        return {"type": "http.request", "body": body}

    async def send(message: dict[str, object]) -> None:
        if message["type"] == "http.response.start":
            statuses.append(int(str(message["status"])))

    await app(scope, receive, send)  # type: ignore[arg-type]
    return statuses[0]


async def cpu_s(work: Callable[[], Awaitable[object]]) -> float:
    """Least CPU seconds of the event loop's own thread for one call; what other threads do is not counted."""
    least = float("inf")
    for _ in range(TRIES):
        began_s = time.thread_time()
        for _ in range(REQUESTS):
            await work()
        least = min(least, (time.thread_time() - began_s) / REQUESTS)
    return least


async def measured(folder: Path) -> tuple[float, float]:
    """CPU seconds of the event loop for a request, and for handing nothing to a thread and back."""
    write_bundle(folder)
    app = create_app(Settings(bundle=folder, workers=1), StubEngine(), no_waves)
    async with app.router.lifespan_context(app):
        assert await ask(app) == 200
        loop = asyncio.get_running_loop()
        return await cpu_s(lambda: ask(app)), await cpu_s(lambda: loop.run_in_executor(None, int))


def test_the_event_loop_does_little_for_a_request(tmp_path: Path) -> None:
    request_s, handover_s = asyncio.run(measured(tmp_path / "bundle"))
    assert request_s < HANDOVERS * handover_s

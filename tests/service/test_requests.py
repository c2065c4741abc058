"""Large bodies are joined and hashed beside the event loop, which answers others meanwhile."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from starlette.requests import Request

from service import requests
from service.requests import LARGE_BYTES, beside, read_body
from tests.service import bodies
from tests.service.stubs import until

GIVE_UP_S = 20.0


def test_only_work_on_many_bytes_goes_to_a_thread() -> None:
    async def both() -> None:
        loop_went_on = threading.Event()
        asyncio.get_running_loop().call_soon(loop_went_on.set)
        assert await beside(LARGE_BYTES + 1, loop_went_on.wait, GIVE_UP_S)
        assert await beside(LARGE_BYTES, threading.get_ident) == threading.get_ident()

    asyncio.run(both())


def test_others_are_answered_while_a_large_body_is_hashed(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashing, others_answered = threading.Event(), threading.Event()
    in_time: list[bool] = []

    def parts(content_type: str, body: bytes, limits: object) -> Iterator[bytes]:
        del content_type, limits
        hashing.set()
        in_time.append(others_answered.wait(GIVE_UP_S))
        yield body

    monkeypatch.setattr(requests, "what_was_sent", parts)
    large = bodies.json_with()
    large |= {"content": large["content"] + " " * LARGE_BYTES, "headers": large["headers"] | {"idempotency-key": "k"}}
    with ThreadPoolExecutor(1) as asking:
        asked = asking.submit(client.post, "/v1/ecgs", **large)
        until(hashing.is_set)
        assert client.get("/health/live").status_code == 200
        others_answered.set()
        assert asked.result().status_code == 200
    assert in_time == [True]


@pytest.mark.parametrize("size", [1, LARGE_BYTES])
def test_a_body_is_what_was_sent_however_large(size: int) -> None:
    chunks = [bytes([place]) * size for place in range(3)]
    coming = iter(chunks)

    async def receive() -> dict[str, Any]:
        chunk = next(coming)
        return {"type": "http.request", "body": chunk, "more_body": chunk is not chunks[-1]}

    body = asyncio.run(read_body(Request({"type": "http"}, receive), 3 * size, GIVE_UP_S))
    assert body == b"".join(chunks)

"""No wrong patient: thousands of ECGs at once, each with its own signature, and everything that can go wrong between.

`STRESS_ECGS` sets how many; `make stress` takes tens of thousands.
"""

import asyncio
import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from fastapi import FastAPI

from service.app import create_app
from service.settings import Settings, default_bundle
from tests.service.stubs import StubEngine, listening, no_waves, write_bundle
from tests.stress import signed
from tests.stress.client import Client, Reply, request_bytes
from tests.training.toy_bundle import write_toy_bundle

Array = npt.NDArray[np.float64]

ECGS = int(os.environ.get("STRESS_ECGS", "1000"))
AT_ONCE = 300
IN_A_BATCH = 20
PATIENCE_S = 600.0
"""Longest wait for an answer; what is slow on a crowded machine is not lost."""

POISON_MV = 5.0
"""Above this the stub engine fails, and with it whatever batch the ECG is in."""

BAD: tuple[tuple[bytes, int, str], ...] = (
    (request_bytes(signed.ECGS, b"{", "application/json"), 400, "malformed_json"),
    (request_bytes(signed.ECGS, b"PK", "application/zip"), 400, "malformed_archive"),
    (request_bytes(signed.ECGS, b"x", "text/plain"), 415, "unknown_format"),
    (request_bytes(signed.ECGS, b"{}", "application/json"), 422, "missing_rate"),
    (signed.raw_float32(1)[:-4].replace(b"content-length: 16000", b"content-length: 15996"), 422, "bad_shape"),
)


@contextmanager
def service(bundle: Path, engine: StubEngine | None, **settings: Any) -> Iterator[tuple[str, FastAPI]]:
    room = {"queue_ecgs": 4 * AT_ONCE, "queue_age_s": PATIENCE_S, "body_timeout_s": 5.0, "workers": 2} | settings
    app = create_app(Settings(bundle=bundle, **room), engine, no_waves)
    with listening(app) as url:
        yield url, app


def embedding(answer: dict[str, Any]) -> Array:
    return np.array(answer["embedding"])


def query_of(number: int) -> dict[str, str]:
    return {"include": "embedding"} | ({"priority": "stat"} if number % 3 == 0 else {})


class Storm:
    """Sends numbered ECGs and holds every answer against the number."""

    def __init__(self, client: Client, alone: Array) -> None:
        self.client = client
        self.alone = alone
        self.came: Counter[str] = Counter()

    def require_own(self, answer: dict[str, Any], number: int) -> None:
        np.testing.assert_allclose(embedding(answer) / self.alone, signed.levels(number), rtol=0.01)

    async def one(self, number: int) -> None:
        """What happens to an ECG is decided by its number."""
        kind = {3: self.bad, 5: self.leaver, 7: self.stalled, 9: self.poison, 11: self.batch}.get(
            number % 16, self.good
        )
        await kind(number)
        self.came[kind.__name__] += 1

    async def good(self, number: int) -> None:
        make = signed.FORMATS[number // 16 % len(signed.FORMATS)]
        reply = await self.client.send(make(number, **query_of(number)), timeout_s=PATIENCE_S)
        assert reply.status == 200, reply.lost or reply.body
        self.require_own(json.loads(reply.body), number)

    async def bad(self, number: int) -> None:
        request, status, code = BAD[number // 16 % len(BAD)]
        self.require_problem(await self.client.send(request, timeout_s=PATIENCE_S), status, code)

    async def leaver(self, number: int) -> None:
        asking = asyncio.ensure_future(self.client.send(signed.raw_int16(number, **query_of(number))))
        await asyncio.sleep(number % 97 / 200)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        if not asking.cancelled():
            self.require_own(json.loads(asking.result().body), number)

    async def stalled(self, number: int) -> None:
        """A body that never ends: of every tenth the refusal is waited for, the others give up first."""
        request = signed.raw_int16(number, **query_of(number))[:-1]
        patient = number // 16 % 10 == 0
        reply = await self.client.send(request, timeout_s=60 if patient else 0.2)
        assert reply.status == (408 if patient else 0), reply.lost

    async def poison(self, number: int) -> None:
        request = signed.raw_float32(number, 100.0, **query_of(number))
        self.require_problem(await self.client.send(request, timeout_s=PATIENCE_S), 503, "engine_failed")

    async def batch(self, number: int) -> None:
        numbers = range(number, number + IN_A_BATCH)
        body = b"\n".join(b"{}" if one % 7 == 0 else signed.json_line(one) for one in numbers)
        request = request_bytes("/v1/ecgs/batch", body, "application/x-ndjson", include="embedding")
        reply = await self.client.send(request, timeout_s=PATIENCE_S)
        assert reply.status == 200, reply.lost or reply.body
        lines = [json.loads(line) for line in reply.body.splitlines()]
        assert [line["index"] for line in lines] == list(range(IN_A_BATCH))
        for one, line in zip(numbers, lines, strict=True):
            if one % 7 == 0:
                assert line["problem"]["code"] == "missing_rate"
            else:
                self.require_own(line["answer"], one)

    def require_problem(self, reply: Reply, status: int, code: str) -> None:
        assert reply.status == status, reply.lost or reply.body
        assert json.loads(reply.body)["code"] == code


async def all_of(storm: Storm, numbers: range) -> None:
    """Every number once, so many at a time."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        async with room:
            await storm.one(number)

    await asyncio.gather(*(one(number) for number in numbers))


@pytest.mark.parametrize("batch_windows", [1, 8])
def test_thousands_at_once_get_their_own_answer_and_nothing_is_lost(tmp_path: Path, batch_windows: int) -> None:
    engine = StubEngine(fail_above=POISON_MV)
    bundle = write_bundle(tmp_path / "bundle").folder

    async def run(url: str) -> Counter[str]:
        async with Client(url) as client:
            reply = await client.send(signed.raw_float32(55555555, include="embedding"))
            storm = Storm(client, embedding(json.loads(reply.body)))
            await all_of(storm, range(1, ECGS // 2 + 1))
            return storm.came

    with service(bundle, engine, batch_windows=batch_windows) as (url, app):
        came = asyncio.run(run(url))
        assert came.total() == ECGS // 2
        assert len(came) == 6
        require_empty(app)


def require_empty(app: FastAPI) -> None:
    """Nobody waits, and nobody holds a place."""
    serving = app.state.serving
    assert serving.admission.ecgs == 0
    assert len(serving.pipeline.batcher) == 0
    assert serving.ready


@pytest.mark.parametrize(("batch_windows", "shipped"), [(1, False), (2, False), (4, True), (8, False)])
def test_hundreds_on_the_network_get_what_each_gets_alone(tmp_path: Path, batch_windows: int, shipped: bool) -> None:
    count = max(30, ECGS // 100)
    bundle = default_bundle() if shipped else write_toy_bundle(tmp_path / "toy")

    def request(number: int) -> bytes:
        make = signed.FORMATS[number % len(signed.FORMATS)]
        return make(number * 1_234_567 % 10**8, **(query_of(number) | {"include": "findings,embedding"}))

    requests = [request(number) for number in range(1, count + 1)]

    async def run(url: str) -> None:
        async with Client(url) as client:
            together = await asyncio.gather(*(client.send(one, timeout_s=PATIENCE_S) for one in requests))
            for one, reply in zip(requests, together, strict=True):
                require_same(reply, await client.send(one))

    with service(bundle, None, batch_windows=batch_windows) as (url, app):
        asyncio.run(run(url))
        require_empty(app)


def require_same(reply: Reply, alone: Reply) -> None:
    assert (reply.status, alone.status) == (200, 200), (reply.lost or reply.body, alone.lost)
    answers = [json.loads(one.body) for one in (reply, alone)]
    assert len({answer["recording"]["sha256"] for answer in answers}) == 1
    np.testing.assert_allclose(embedding(answers[0]), embedding(answers[1]), atol=1e-4)
    together, apart = ([one["probability"] for one in answer["findings"]] for answer in answers)
    np.testing.assert_allclose(together, apart, atol=1e-4)


def test_a_client_that_gives_up_is_not_taken_for_an_empty_answer(tmp_path: Path) -> None:
    engine = StubEngine()
    line = signed.json_line(1)
    batch = request_bytes("/v1/ecgs/batch", line, "application/x-ndjson", include="embedding")

    async def run(url: str) -> tuple[Reply, Reply]:
        async with Client(url) as client:
            engine.gate.clear()
            hasty = await client.send(batch, timeout_s=0.2)
            asyncio.get_running_loop().call_later(0.2, engine.gate.set)
            return hasty, await client.send(batch, timeout_s=PATIENCE_S)

    with service(write_bundle(tmp_path / "bundle").folder, engine) as (url, _):
        hasty, patient = asyncio.run(run(url))
    assert (hasty.status, hasty.lost) == (0, "this client waited no longer than 0.2 s")
    assert (patient.status, patient.lost, len(patient.body.splitlines())) == (200, "", 1)

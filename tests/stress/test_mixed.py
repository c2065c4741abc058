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
import pytest
from fastapi import FastAPI

from service.app import create_app
from service.settings import Settings, default_bundle
from tests.service.stubs import StubEngine, listening, no_waves, write_bundle
from tests.stress import signed
from tests.stress.client import Client, Reply, request_bytes
from tests.stress.storm import AT_ONCE, PATIENCE_S, POISON_MV, Storm, embedding, query_of
from tests.training.toy_bundle import write_toy_bundle

ECGS = int(os.environ.get("STRESS_ECGS", "1000"))


@contextmanager
def service(bundle: Path, engine: StubEngine | None, **settings: Any) -> Iterator[tuple[str, FastAPI]]:
    room = {"queue_ecgs": 4 * AT_ONCE, "queue_age_s": PATIENCE_S, "body_timeout_s": 5.0, "workers": 2} | settings
    delineate = None if settings.get("readers") else no_waves  # which stays in the service's own process
    app = create_app(Settings(bundle=bundle, **room), engine, delineate)
    with listening(app) as url:
        yield url, app


@pytest.mark.parametrize(("device", "batch_windows"), [("cpu", 1), ("cpu", 8), ("cuda", 8)])
def test_thousands_at_once_get_their_own_answer_and_nothing_is_lost(
    tmp_path: Path, device: str, batch_windows: int
) -> None:
    engine = StubEngine(fail_above=POISON_MV, device=device)
    bundle = write_bundle(tmp_path / "bundle").folder

    async def run(url: str) -> Counter[str]:
        async with Client(url) as client:
            reply = await client.send(signed.raw_float32(55555555, include="embedding"))
            storm = Storm(client, embedding(json.loads(reply.body)))
            await storm.all_of(range(1, ECGS // 3 + 1))
            return storm.came

    with service(bundle, engine, batch_windows=batch_windows) as (url, app):
        came = asyncio.run(run(url))
        assert came.total() == ECGS // 3
        assert len(came) == 7
        require_empty(app)


def require_empty(app: FastAPI) -> None:
    """Nobody waits, and nobody holds a place."""
    serving = app.state.serving
    assert serving.admission.ecgs == 0
    assert len(serving.pipeline.batcher) == 0
    assert serving.ready


@pytest.mark.parametrize(("batch_windows", "readers"), [(1, None), (2, None), (4, 0), (8, None), (1, 2)])
def test_hundreds_on_the_network_get_what_each_gets_alone(
    tmp_path: Path, batch_windows: int, readers: int | None
) -> None:
    """On the network that ships where a number of processes that read is given, else on a smaller one without waves."""
    count = max(30, ECGS // 100)
    bundle = write_toy_bundle(tmp_path / "toy") if readers is None else default_bundle()

    def request(number: int) -> bytes:
        make = signed.FORMATS[number % len(signed.FORMATS)]
        query = query_of(number) | {"include": "findings,embedding,plot" if number % 5 == 0 else "findings,embedding"}
        if readers is not None and number % 10 == 1:
            query["second_opinion"] = "true"
        return make(number * 1_234_567 % 10**8, **query)

    requests = [request(number) for number in range(1, count + 1)]

    async def run(url: str) -> None:
        async with Client(url) as client:
            together = await asyncio.gather(*(client.send(one, timeout_s=PATIENCE_S) for one in requests))
            for one, reply in zip(requests, together, strict=True):
                require_same(reply, await client.send(one))

    with service(bundle, None, batch_windows=batch_windows, readers=readers or 0, wave_timeout_s=PATIENCE_S) as (
        url,
        app,
    ):
        asyncio.run(run(url))
        require_empty(app)


def require_same(reply: Reply, alone: Reply) -> None:
    assert (reply.status, alone.status) == (200, 200), (reply.lost or reply.body, alone.lost)
    answers = [json.loads(one.body) for one in (reply, alone)]
    assert len({answer["recording"]["sha256"] for answer in answers}) == 1
    np.testing.assert_allclose(embedding(answers[0]), embedding(answers[1]), atol=1e-4)
    together, apart = ([one["probability"] for one in answer["findings"]] for answer in answers)
    np.testing.assert_allclose(together, apart, atol=1e-4)
    assert answers[0].get("plot") == answers[1].get("plot")
    assert answers[0]["warnings"] == answers[1]["warnings"]


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

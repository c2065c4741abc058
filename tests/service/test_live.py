"""The service under load, with callers that leave, and at its end, over real connections."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from model.engine import Outputs
from model.reader import Prepared
from model.reading.waves import Waves
from service import examples
from service.app import create_app
from service.settings import Settings
from service.wave_pool import DelineationError
from tests.service import bodies
from tests.service.stubs import PATIENCE_S, StubEngine, get, listening, metric, no_waves, post, until
from tests.training.toy_bundle import write_toy_bundle


@contextmanager
def serving(bundle: Path, engine: StubEngine | None, **settings: Any) -> Iterator[str]:
    with listening(create_app(Settings(bundle=bundle, workers=2, **settings), engine, no_waves)) as url:
        yield url


def scaled(number: int) -> bodies.Request:
    """The example, its amplitudes scaled by its number."""
    counts = np.frombuffer(examples.raw_int16(), "<i2").astype(np.float32)
    content = (counts * (0.5 + number / 200)).astype("<f4").tobytes()
    query = {**examples.raw_query(), "dtype": "float32", "unit": "uV", "include": "embedding"}
    del query["gain"]
    return bodies.raw() | {"content": content, "params": query}


@pytest.mark.parametrize("network", ["stub", "stub of a card", "onnx"])
def test_hundreds_at_once_with_bad_ones_and_leavers_between_get_their_own_answer(
    bundle_folder: Path, tmp_path: Path, network: str
) -> None:
    async def ask(client: httpx.AsyncClient, number: int) -> float | None:
        if number % 7 == 0:
            bad = await client.post("/v1/ecgs", content=b"{", headers={"content-type": "application/json"})
            assert bad.status_code == 400
            return None
        asking = asyncio.ensure_future(client.post("/v1/ecgs", **scaled(number)))
        if number % 5 == 0:
            await asyncio.sleep(number / 5000)
            asking.cancel()
        try:
            answer = await asking
        except asyncio.CancelledError:
            return None
        assert answer.status_code == 200
        level: float = answer.json()["embedding"][1]
        return level

    async def everybody(url: str) -> list[float | None]:
        limits = httpx.Limits(max_connections=50)
        async with httpx.AsyncClient(base_url=url, limits=limits, timeout=PATIENCE_S) as client:
            return list(await asyncio.gather(*(ask(client, number) for number in range(1, 301))))

    engine = None if network == "onnx" else StubEngine(device="cpu" if network == "stub" else "cuda")
    folder = bundle_folder if engine else write_toy_bundle(tmp_path / "toy")
    with serving(folder, engine, queue_ecgs=1000, queue_age_s=1000, batch_windows=4) as url:
        levels = asyncio.run(everybody(url))
        assert post(f"{url}/v1/ecgs", **bodies.raw()).status_code == 200
    one = next(level / (0.5 + number / 200) for number, level in enumerate(levels, start=1) if level)
    for number, level in enumerate(levels, start=1):
        if number % 7 and number % 5:
            assert level == pytest.approx(one * (0.5 + number / 200), rel=1e-3)


def test_a_full_service_refuses_at_once_and_recovers(bundle_folder: Path) -> None:
    engine = StubEngine()
    with serving(bundle_folder, engine, queue_ecgs=2) as url:
        engine.gate.clear()
        threads = [threading.Thread(target=post, args=(f"{url}/v1/ecgs",), kwargs=bodies.raw()) for _ in "ab"]
        for thread in threads:
            thread.start()
        until(lambda: metric(url, 'ecg_stage_seconds_count{stage="preprocess"}') == 2)
        refused = post(f"{url}/v1/ecgs", **bodies.wfdb())
        assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
        assert int(refused.headers["retry-after"]) >= 1
        assert metric(url, 'ecg_refusals_total{code="overloaded"}') == 1
        engine.gate.set()
        for thread in threads:
            thread.join()
        assert post(f"{url}/v1/ecgs", **bodies.wfdb()).status_code == 200


def test_a_caller_who_left_is_not_computed_for_and_frees_the_place(bundle_folder: Path) -> None:
    engine = StubEngine()
    with serving(bundle_folder, engine, queue_ecgs=3) as url:
        engine.gate.clear()
        engine.batches.clear()
        for _ in range(3):
            with pytest.raises(httpx.ReadTimeout):
                post(f"{url}/v1/ecgs", **bodies.raw(), timeout=0.5)
        until(lambda: metric(url, 'ecg_requests_total{method="POST",route="/v1/ecgs",status="499"}') == 3)
        engine.gate.set()
        assert post(f"{url}/v1/ecgs", **bodies.raw()).status_code == 200
        assert len(engine.batches) <= 3


def test_an_engine_that_fails_fails_one_ecg_and_keeps_its_words(bundle_folder: Path) -> None:
    with serving(bundle_folder, StubEngine(fail_above=5.0)) as url:
        leads = {name: (values * 20).tolist() for name, values in examples.simulated_mv().items()}
        failed = post(f"{url}/v1/ecgs", **bodies.json_with(leads=leads))
        assert (failed.status_code, failed.json()["code"]) == (503, "engine_failed")
        assert "SECRET" not in failed.text
        assert post(f"{url}/v1/ecgs", **bodies.raw()).status_code == 200


def test_a_delineator_that_fails_costs_the_waves_and_not_the_findings(bundle_folder: Path) -> None:
    def broken(prepared: Prepared, outputs: Outputs) -> Waves:
        raise DelineationError("the process for delineation failed")

    with listening(create_app(Settings(bundle=bundle_folder), StubEngine(), broken)) as url:
        answer = post(f"{url}/v1/ecgs", **bodies.raw())
        assert answer.status_code == 200
        read = answer.json()
        assert read["findings"]
        assert read["waves"] == {}
        assert {one["absent"] for one in read["measurements"].values()} == {"not_delineated"}
        assert any("waves could not be delineated" in warning for warning in read["warnings"])


def test_an_unexpected_fault_is_a_500_without_its_words(bundle_folder: Path) -> None:
    def faulty(prepared: Prepared, outputs: Outputs) -> Waves:
        raise RuntimeError("SECRET")

    with listening(create_app(Settings(bundle=bundle_folder), StubEngine(), faulty)) as url:
        answer = post(f"{url}/v1/ecgs", **bodies.raw())
        assert (answer.status_code, answer.json()["code"]) == (500, "internal")
        assert "SECRET" not in answer.text


def test_who_asks_by_another_method_is_told_which_there_are(bundle_folder: Path) -> None:
    with serving(bundle_folder, StubEngine()) as url:
        refused = get(f"{url}/v1/ecgs")
        assert (refused.status_code, refused.json()["code"]) == (405, "method_not_allowed")
        assert refused.headers["allow"] == "POST"


def test_a_body_that_does_not_come_is_given_up(bundle_folder: Path) -> None:
    with serving(bundle_folder, StubEngine(), body_timeout_s=0.2) as url:
        port = int(url.rsplit(":", 1)[1])
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            head = "POST /v1/ecgs HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n"
            connection.sendall(head.encode() + b"{")
            reply = connection.recv(9999)
            assert reply.startswith(b"HTTP/1.1 408")
            assert b"connection: close" in reply.lower()


def test_a_stop_answers_what_was_accepted(bundle_folder: Path) -> None:
    engine = StubEngine()
    answers: list[int] = []

    def ask(url: str) -> None:
        answers.append(post(f"{url}/v1/ecgs", **bodies.raw()).status_code)

    with serving(bundle_folder, engine) as url:
        engine.gate.clear()
        threads = [threading.Thread(target=ask, args=(url,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        until(lambda: metric(url, 'ecg_queue_depth{priority="routine"}') == 2)  # and a lane has each of the others
        threading.Timer(0.3, engine.gate.set).start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 4

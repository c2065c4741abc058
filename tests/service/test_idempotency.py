"""A request that comes again gets the same answer, and never another's."""

import asyncio
import json
import threading
from pathlib import Path

import httpx
import numpy as np
import pytest

from service import examples
from service.app import create_app
from service.errors import IdempotencyError, ParameterError
from service.idempotency import Answers, Resend
from service.pipeline import Answered
from service.settings import Settings
from tests.service import bodies
from tests.service.stubs import StubEngine, listening, no_waves, post


class Work:
    """Counts how often it is done."""

    def __init__(self, size: int = 10) -> None:
        self.done = 0
        self._size = size

    async def __call__(self) -> Answered:
        self.done += 1
        await asyncio.sleep(0.01)
        return Answered(b"%d" % self.done + b" " * self._size, "", "")


def test_a_resend_is_answered_as_before_and_worked_on_once() -> None:
    async def resend() -> None:
        answers, work = Answers(1000), Work()
        together = await asyncio.gather(*(answers.answer("ward", Resend("k", "f"), work) for _ in range(5)))
        after = await answers.answer("ward", Resend("k", "f"), work)
        assert work.done == 1
        assert [again for _, again in together] == [False, True, True, True, True]
        assert {answered.json for answered, _ in [*together, after]} == {together[0][0].json}

    asyncio.run(resend())


def test_a_key_is_its_callers_and_its_requests_own() -> None:
    async def meet() -> None:
        answers, work = Answers(1000), Work()
        await answers.answer("ward", Resend("k", "f"), work)
        assert (await answers.answer("gate", Resend("k", "g"), work))[1] is False
        with pytest.raises(IdempotencyError):
            await answers.answer("ward", Resend("k", "g"), work)
        assert (await answers.answer("ward", None, work))[1] is False
        assert work.done == 3

    asyncio.run(meet())


def test_a_failure_is_not_kept_and_one_who_waited_is_worked_for() -> None:
    async def fail() -> Answered:
        await asyncio.sleep(0.01)
        raise ValueError("failed")

    async def then_well() -> None:
        answers, work = Answers(1000), Work()
        first = asyncio.ensure_future(answers.answer("ward", Resend("k", "f"), fail))
        await asyncio.sleep(0)
        second = await answers.answer("ward", Resend("k", "f"), work)
        assert second[1] is False
        with pytest.raises(ValueError, match="failed"):
            await first

    asyncio.run(then_well())


def test_memory_is_bounded_and_the_oldest_go_first() -> None:
    async def fill() -> None:
        answers, work = Answers(300), Work(size=100)
        for key in "abcd":
            await answers.answer("ward", Resend(key, "f"), work)
        assert (await answers.answer("ward", Resend("d", "f"), work))[1] is True
        assert (await answers.answer("ward", Resend("a", "f"), work))[1] is False

    asyncio.run(fill())


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "é"])
def test_a_key_is_printable_and_short(key: str) -> None:
    with pytest.raises(ParameterError):
        Resend(key, "f")


def test_over_http_a_resend_says_that_it_is_one(client: httpx.Client) -> None:
    headers = {"idempotency-key": "order-1", "content-type": "application/json"}
    body = bodies.json_with()["content"]
    first = client.post("/v1/ecgs", content=body, headers=headers)
    again = client.post("/v1/ecgs", content=body, headers=headers)
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert again.content == first.content
    other = client.post("/v1/ecgs", content=body + " ", headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
    parts = client.post("/v1/ecgs?include=findings", content=body, headers=headers)
    assert parts.json()["code"] == "idempotency_mismatch"
    refused = client.post("/v1/ecgs", content=body, headers=headers | {"idempotency-key": "a b"})
    assert (refused.status_code, refused.json()["code"]) == (422, "bad_parameter")


def test_over_http_the_same_files_are_the_same_though_each_client_draws_a_boundary(client: httpx.Client) -> None:
    headers = {"idempotency-key": "order-2"}
    first, again = (client.post("/v1/ecgs", **bodies.wfdb(), headers=headers) for _ in "ab")
    assert first.request.headers["content-type"] != again.request.headers["content-type"]
    assert again.headers["idempotency-replayed"] == "true"
    assert again.content == first.content
    record = examples.wfdb_record()
    record["example.dat"] = record["example.dat"][::-1]
    other = client.post("/v1/ecgs", files=[("files", item) for item in record.items()], headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")


def lines_of(url: str, lines: list[str], key: str = "k") -> list[str]:
    headers = {"content-type": "application/x-ndjson", "idempotency-key": key}
    return post(f"{url}/v1/ecgs/batch", content="\n".join(lines), headers=headers).text.splitlines()


def codes(lines: list[str]) -> list[str]:
    return [json.loads(line).get("problem", {}).get("code", "") for line in lines]


def test_a_batch_that_is_sent_again_is_worked_on_where_it_was_not_answered(bundle_folder: Path) -> None:
    engine = StubEngine(fail_above=5.0)
    loud = {name: (values * 20).tolist() for name, values in examples.simulated_mv().items()}
    lines = [json.dumps(examples.json_lists()), str(bodies.json_with(leads=loud)["content"]), "{}"]
    with listening(create_app(Settings(bundle=bundle_folder), engine, no_waves)) as url:
        first = lines_of(url, lines)
        assert codes(first) == ["", "engine_failed", "missing_rate"]
        engine.fail_above, runs = np.inf, len(engine.batches)
        again = lines_of(url, lines)
        assert codes(again) == ["", "", "missing_rate"]
        assert again[0] == first[0]
        assert len(engine.batches) == runs + 1
        assert codes(lines_of(url, lines[1:])) == ["idempotency_mismatch"] * 2
        assert codes(lines_of(url, lines[:1], key="other")) == [""]
        single = bodies.lists() | {"headers": {"idempotency-key": "k"}}
        assert "idempotency-replayed" not in post(f"{url}/v1/ecgs", **single).headers
        assert json.loads(lines_of(url, lines, key="a b")[0])["code"] == "bad_parameter"


def test_a_resend_after_the_first_caller_left_is_worked_for(bundle_folder: Path) -> None:
    engine = StubEngine()
    with listening(create_app(Settings(bundle=bundle_folder), engine, no_waves)) as url:
        engine.gate.clear()
        request = bodies.lists() | {"headers": {"idempotency-key": "k"}}
        with pytest.raises(httpx.ReadTimeout):
            post(f"{url}/v1/ecgs", **request, timeout=0.5)
        threading.Timer(0.2, engine.gate.set).start()
        assert post(f"{url}/v1/ecgs", **request).status_code == 200

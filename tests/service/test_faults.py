"""Engines and threads that fail in every way: nobody waits for ever, and afterwards all is well again."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import httpx
import numpy as np
import numpy.typing as npt
import pytest
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st

from model.engine import Outputs
from model.errors import EcgError, EngineError, MalformedError
from service import examples
from service.app import create_app
from service.batching import Batcher, BatchLimits
from service.errors import NotReadyError, Overloaded
from service.settings import Settings
from service.threads import Pool, Threads
from service.turns import PRIORITIES, Claim, Priority
from tests.service import bodies
from tests.service.stubs import StubEngine, get, listening, no_waves, outputs_of, post, until

Array = npt.NDArray[np.float32]
Fate = Literal["well", "raises", "short", "long", "nan", "infinite", "no memory", "unreadable", "unwritable"]
FATES: tuple[Fate, ...] = get_args(Fate)


@dataclass(frozen=True)
class Asked:
    """One ECG: the engine reads from its signal what to do with it."""

    number: int
    fate: Fate
    windows: int
    claim: Claim
    leaves: bool

    @property
    def source(self) -> Array | Callable[[], Array]:
        """Its windows, or what reads them."""
        return self.signal if self.number % 2 and self.fate != "unreadable" else self.read

    def read(self) -> Array:
        if self.fate == "unreadable":
            raise MalformedError("not an ECG")
        return self.signal

    def write(self, outputs: Outputs) -> None:
        require_right(outputs, self)
        if self.fate == "unwritable":
            raise ZeroDivisionError

    @property
    def signal(self) -> Array:
        wave = np.resize(np.array([-1, 1], np.float32), 40)
        levels = self.number + np.arange(self.windows, dtype=np.float32) / 100
        signal = np.asarray(levels[:, None, None] * np.broadcast_to(wave, (self.windows, 8, 40)), dtype=np.float32)
        signal[:, 7, 0] = 1000 * FATES.index(self.fate)
        return signal


class FaultyEngine(StubEngine):
    """Does to a batch what the ECGs in it say."""

    def run(self, windows: Array) -> Outputs:
        fates = {FATES[round(float(code) / 1000)] for code in windows[:, 7, 0]}
        outputs = super().run(windows)
        if "raises" in fates:
            raise RuntimeError("SECRET-FROM-THE-ENGINE")
        if "no memory" in fates:
            raise MemoryError
        if "short" in fates:
            return outputs[:-1]
        if "long" in fates:
            return outputs_of(np.concatenate([windows, windows[:1]]))
        outputs.logits[windows[:, 7, 0] == 1000 * FATES.index("nan"), -1] = np.nan
        outputs.embedding[windows[:, 7, 0] == 1000 * FATES.index("infinite"), 0] = np.inf
        return outputs


@asynccontextmanager
async def queue(engine: StubEngine, limits: BatchLimits) -> AsyncIterator[Batcher]:
    with closing(Threads(limits.lanes, "engine")) as threads:
        batcher = Batcher(engine, threads, limits)
        batcher.start()
        yield batcher
        await batcher.close()


ECGS = st.lists(
    st.tuples(
        st.sampled_from([*FATES, *(["well"] * 8)]),
        st.sampled_from([1, 1, 1, 2, 5]),
        st.sampled_from(PRIORITIES),
        st.sampled_from("abc"),
        st.booleans(),
    ),
    max_size=30,
)
LIMITS = st.builds(
    BatchLimits,
    lanes=st.integers(1, 3),
    windows=st.integers(1, 6),
    wait_s=st.sampled_from([0.0, 0.001]),
    queue_ecgs=st.integers(1, 30),
    queue_age_s=st.just(60.0),
)


@settings(max_examples=60, deadline=None)
@given(ECGS, LIMITS, st.booleans())
def test_each_ecg_gets_its_own_answer_or_one_refusal(
    drawn: list[tuple[Fate, int, Priority, str, bool]], limits: BatchLimits, closes: bool
) -> None:
    asked = [
        Asked(number, fate, windows, Claim(priority, caller), leaves)
        for number, (fate, windows, priority, caller, leaves) in enumerate(drawn, start=1)
    ]

    async def ask(batcher: Batcher, one: Asked) -> None:
        asking = asyncio.ensure_future(batcher.run(one.source, one.claim, one.write))
        await asyncio.sleep(0)
        require_bounds(batcher, limits)
        if one.leaves:
            await asyncio.sleep(one.number % 3 / 1000)
            asking.cancel()
        told = (await asyncio.gather(asking, return_exceptions=True))[0]
        require_right(told, one)

    async def everybody() -> None:
        async with queue(FaultyEngine(), limits) as batcher:
            asking = [asyncio.ensure_future(ask(batcher, one)) for one in asked]
            if closes:
                await asyncio.sleep(0.001)
                await batcher.close()
            await asyncio.wait_for(asyncio.gather(*asking), 60)
            assert len(batcher) == 0
            assert not batcher.hung
            if not closes:
                well = Asked(99, "well", 1, Claim(), leaves=False)
                require_right(await batcher.run(well.signal), well)

    asyncio.run(everybody())


def require_bounds(batcher: Batcher, limits: BatchLimits) -> None:
    assert batcher.depth("stat") + batcher.depth("routine") <= limits.queue_ecgs
    assert batcher.depth("batch") <= limits.queue_ecgs


def require_right(told: object, one: Asked) -> None:
    if isinstance(told, Outputs):
        assert one.fate in {"well", "unwritable"}
        np.testing.assert_array_equal(told.embedding, outputs_of(one.signal).embedding)
        np.testing.assert_array_equal(told.logits, outputs_of(one.signal).logits)
    elif isinstance(told, EngineError):
        assert one.fate not in {"well", "unreadable", "unwritable"}
        assert "SECRET" not in told.detail
    elif isinstance(told, MalformedError | ZeroDivisionError):
        assert one.fate == ("unreadable" if isinstance(told, MalformedError) else "unwritable")
    else:
        assert isinstance(told, Overloaded | NotReadyError) or one.leaves


@contextmanager
def serving(bundle: Path, engine: StubEngine, **given: Any) -> Iterator[tuple[str, FastAPI]]:
    app = create_app(Settings(bundle=bundle, **given), engine, no_waves)
    with listening(app) as url:
        yield url, app


def until_ready(url: str) -> None:
    until(lambda: get(f"{url}/health/ready").status_code == 200)


def test_an_engine_that_hangs_is_given_up_and_the_service_says_so_until_it_comes_back(bundle_folder: Path) -> None:
    engine = StubEngine()
    with serving(bundle_folder, engine, workers=1, engine_timeout_s=1.0) as (url, _):
        assert get(f"{url}/health/ready").status_code == 200
        engine.gate.clear()
        given_up = post(f"{url}/v1/ecgs", **bodies.raw())
        assert (given_up.status_code, given_up.json()["code"]) == (503, "engine_failed")
        assert given_up.headers["retry-after"] == "5"
        assert get(f"{url}/health/ready").status_code == 503
        assert get(f"{url}/health/live").status_code == 200
        refused = post(f"{url}/v1/ecgs", **bodies.raw())
        assert (refused.status_code, refused.json()["code"]) == (503, "engine_failed")
        assert refused.headers["retry-after"] == "5"
        engine.gate.set()
        until_ready(url)
        assert post(f"{url}/v1/ecgs", **bodies.raw()).status_code == 200


def test_a_process_whose_engine_hangs_for_good_asks_to_be_restarted_and_lives_on_if_it_comes_back(
    bundle_folder: Path,
) -> None:
    engine = StubEngine()
    with serving(bundle_folder, engine, workers=2, engine_timeout_s=0.1) as (url, _), ThreadPoolExecutor(2) as callers:
        engine.gate.clear()
        asked = [callers.submit(post, f"{url}/v1/ecgs", **bodies.raw()) for _ in range(2)]
        until(lambda: get(f"{url}/health/live").status_code == 503)
        assert get(f"{url}/health/live").json()["code"] == "engine_failed"
        assert get(f"{url}/health/ready").status_code == 503
        assert [one.result().status_code for one in asked] == [503, 503]
        engine.gate.set()
        until(lambda: get(f"{url}/health/live").status_code == 200)
        until_ready(url)


def test_nothing_is_read_for_a_network_that_hangs_and_no_batch_waits_for_it(bundle_folder: Path) -> None:
    engine = StubEngine()
    decoded = 'ecg_stage_seconds_count{stage="decode"} '
    batch: bodies.Request = {"content": b"\n".join([LINE] * 4), "headers": {"content-type": "application/x-ndjson"}}
    with serving(bundle_folder, engine, workers=1, engine_timeout_s=0.5) as (url, _):
        engine.gate.clear()
        lines = post(f"{url}/v1/ecgs/batch", **batch).text.splitlines()
        assert [json.loads(line)["problem"]["code"] for line in lines] == ["engine_failed"] * 4
        before = get(f"{url}/metrics").text.partition(decoded)[2].split()[0]
        for path, request in (("/v1/ecgs", bodies.raw()), ("/v1/ecgs/batch", batch)):
            refused = post(f"{url}{path}", **request)
            assert (refused.status_code, refused.json()["code"]) == (503, "engine_failed")
        assert get(f"{url}/metrics").text.partition(decoded)[2].split()[0] == before
        engine.gate.set()
        until_ready(url)


LINE = json.dumps(examples.json_base64()).encode()


def test_what_outlasts_the_time_to_drain_is_refused_or_cut_off_and_never_ends_as_if_it_were_whole(
    bundle_folder: Path,
) -> None:
    engine = StubEngine()
    headers = {"content-type": "application/x-ndjson"}
    with ThreadPoolExecutor(2) as callers:
        with serving(bundle_folder, engine, workers=1, drain_s=1.0) as (url, app):
            engine.gate.clear()
            runs = len(engine.batches)
            single = callers.submit(post, f"{url}/v1/ecgs", **bodies.raw())
            until(lambda: len(engine.batches) > runs)
            batch = callers.submit(post, f"{url}/v1/ecgs/batch", content=LINE, headers=headers)
            until(lambda: app.state.serving.pipeline.batcher.depth("batch") == 1)
        engine.gate.set()
        assert (single.result().status_code, single.result().json()["code"]) == (503, "not_ready")
        assert single.result().headers["retry-after"] == "1"
        assert isinstance(batch.exception(), httpx.RemoteProtocolError)


def test_a_lane_that_hangs_leaves_the_others_and_readiness(bundle_folder: Path) -> None:
    engine = FirstHangs()
    with serving(bundle_folder, engine, workers=2, engine_timeout_s=0.3) as (url, _):
        engine.armed.set()
        assert post(f"{url}/v1/ecgs", **bodies.raw()).json()["code"] == "engine_failed"
        assert get(f"{url}/health/ready").status_code == 200
        assert [post(f"{url}/v1/ecgs", **bodies.raw()).status_code for _ in range(3)] == [200] * 3
        engine.gate.set()


class FirstHangs(StubEngine):
    """The first run after it is armed waits at the gate."""

    def __init__(self) -> None:
        super().__init__(gate=threading.Event())
        self.armed = threading.Event()

    def run(self, windows: Array) -> Outputs:
        if self.armed.is_set():
            self.armed.clear()
            self.gate.wait(60)
        return outputs_of(windows)


@pytest.mark.parametrize("fault", ["nan", "columns", "raises"])
def test_what_an_engine_gets_wrong_is_a_stable_refusal_and_never_a_finding(bundle_folder: Path, fault: str) -> None:
    engine = Lately(fault)
    with serving(bundle_folder, engine) as (url, _):
        engine.well = False
        wrong = post(f"{url}/v1/ecgs", **bodies.raw())
        assert wrong.status_code in {500, 503}
        assert wrong.json()["code"] in {"engine_failed", "internal"}
        assert "findings" not in wrong.json()
        engine.well = True
        assert post(f"{url}/v1/ecgs", **bodies.raw()).status_code == 200


class Lately(StubEngine):
    """An engine that was sound when the service started."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault = fault
        self.well = True

    def run(self, windows: Array) -> Outputs:
        outputs = outputs_of(windows)
        if self.well:
            return outputs
        if self.fault == "raises":
            raise SystemError
        if self.fault == "columns":
            return Outputs(outputs.logits[:, :-1], outputs.embedding, {})
        outputs.logits[:, 0] = np.nan
        return outputs


def test_threads_that_have_ended_refuse_and_keep_no_place() -> None:
    async def ask() -> None:
        pool = Pool(1, "test")
        assert await pool.run(Claim(), int, "7") == 7
        pool.close()
        for _ in range(3):
            with pytest.raises(NotReadyError):
                await asyncio.wait_for(pool.run(Claim(), int, "7"), 1)

    asyncio.run(ask())


def test_a_thread_that_is_left_keeps_its_place_until_it_has_finished() -> None:
    gate = threading.Event()
    began: list[str] = []

    def work(name: str) -> str:
        began.append(name)
        gate.wait(60)
        return name

    async def ask() -> None:
        pool = Pool(1, "test")
        first = asyncio.ensure_future(pool.run(Claim(), work, "first"))
        routine = asyncio.ensure_future(pool.run(Claim(), work, "routine"))
        urgent = asyncio.ensure_future(pool.run(Claim("stat"), work, "urgent"))
        await asyncio.to_thread(until, lambda: bool(began))
        first.cancel()
        await asyncio.sleep(0.01)
        assert began == ["first"]
        gate.set()
        assert list(await asyncio.gather(routine, urgent)) == ["routine", "urgent"]
        assert began == ["first", "urgent", "routine"]
        pool.close()

    asyncio.run(ask())


def test_an_error_of_work_that_was_left_is_not_heard_of() -> None:
    def fail() -> None:
        raise EcgError("nobody waits for this")

    async def ask() -> None:
        pool = Pool(1, "test")
        left = asyncio.ensure_future(pool.run(Claim(), fail))
        await asyncio.sleep(0)
        left.cancel()
        await asyncio.gather(left, return_exceptions=True)
        with pytest.raises(EcgError):
            await pool.run(Claim(), fail)
        pool.close()

    asyncio.run(ask())

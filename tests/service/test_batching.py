"""The queue: bounded, fair, and no answer but one's own."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, closing
from contextvars import ContextVar

import numpy as np
import numpy.typing as npt
import pytest

from model.engine import Outputs
from model.errors import EngineError, MalformedError
from service.batching import ANYBODY, Batcher, BatchLimits
from service.errors import NotReadyError, Overloaded
from service.lane import BatchRun
from service.threads import Threads
from service.turns import Claim
from tests.service.stubs import StubEngine, outputs_of

Array = npt.NDArray[np.float32]


def signed(number: int, windows: int = 1) -> Array:
    """Windows whose spread is their own number and place."""
    wave = np.resize(np.array([-1, 1], np.float32), 40)
    levels = number + np.arange(windows, dtype=np.float32) / 100
    return np.asarray(levels[:, None, None] * np.broadcast_to(wave, (windows, 8, 40)), dtype=np.float32)


@asynccontextmanager
async def queue(engine: StubEngine, limits: BatchLimits | None = None) -> AsyncIterator[Batcher]:
    limits = limits or BatchLimits()
    with closing(Threads(limits.lanes, "engine")) as threads:
        batcher = Batcher(engine, threads, limits)
        batcher.start()
        yield batcher
        await batcher.close()


def require_own(outputs: Outputs, windows: Array) -> None:
    alone = outputs_of(windows)
    np.testing.assert_array_equal(outputs.embedding, alone.embedding)
    np.testing.assert_array_equal(outputs.logits, alone.logits)


@pytest.mark.parametrize("limits", [BatchLimits(1, 1, 0.0, 9000, 1e9), BatchLimits(3, 8, 0.001, 9000, 1e9)])
def test_thousands_at_once_get_their_own_answer_or_none(limits: BatchLimits) -> None:
    """Each ECG carries its number in its signal; every fifth caller leaves, at a moment of its own."""
    chance = np.random.default_rng(1)

    async def ask(batcher: Batcher, number: int) -> bool:
        windows = signed(number, int(chance.choice([1, 1, 1, 2, 13])))
        asking = asyncio.ensure_future(batcher.run((lambda: windows) if number % 2 else windows))
        if number % 5 == 0:
            await asyncio.sleep(chance.random() / 10)
            asking.cancel()
        try:
            require_own(await asking, windows)
        except asyncio.CancelledError:
            assert number % 5 == 0
            return False
        return True

    async def all_at_once() -> list[bool]:
        async with queue(StubEngine(), limits) as batcher:
            answered = await asyncio.gather(*(ask(batcher, number) for number in range(1, 2001)))
            assert len(batcher) == 0
        return answered

    answered = asyncio.run(all_at_once())
    assert sum(answered) >= 1600


def test_a_long_ecg_does_not_hold_up_a_short_one() -> None:
    engine = StubEngine(seconds=0.002)
    finished: list[str] = []

    async def ask(batcher: Batcher, name: str, windows: int) -> None:
        await batcher.run(signed(1, windows))
        finished.append(name)

    async def both() -> None:
        async with queue(engine) as batcher:
            long = asyncio.ensure_future(ask(batcher, "long", 60))
            await asyncio.sleep(0)
            await ask(batcher, "short", 1)
            await long

    asyncio.run(both())
    assert finished == ["short", "long"]
    assert engine.batches == [1] * 61


@pytest.mark.parametrize("is_read", [True, False])
def test_the_windows_of_a_long_ecg_run_beside_each_other_on_lanes_that_have_nothing_to_do(is_read: bool) -> None:
    meeting = threading.Barrier(3)

    class MeetingEngine(StubEngine):
        def run(self, windows: Array) -> Outputs:
            meeting.wait(30)
            return super().run(windows)

    async def ask() -> None:
        async with queue(MeetingEngine(), BatchLimits(lanes=3, windows=1)) as batcher:
            await asyncio.sleep(0)  # every lane waits
            windows = signed(1, windows=3)
            require_own(await batcher.run(windows if is_read else lambda: windows), windows)

    asyncio.run(ask())


def test_what_waits_together_runs_together_up_to_the_largest_batch() -> None:
    gate = threading.Event()
    engine = StubEngine(gate=gate)
    seen: list[BatchRun] = []

    async def eleven() -> None:
        with closing(Threads(1, "engine")) as threads:
            batcher = Batcher(engine, threads, BatchLimits(windows=4), seen.append)
            batcher.start()
            asked = [asyncio.ensure_future(batcher.run(signed(number))) for number in range(1, 12)]
            while len(batcher) > 7:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            gate.set()
            await asyncio.gather(*asked)
            await batcher.close()

    asyncio.run(eleven())
    assert [run.windows for run in seen] == [4, 4, 3]
    assert sum(len(run.waits_s) for run in seen) == 11


def test_a_full_queue_refuses_and_says_when_to_come_back() -> None:
    gate = threading.Event()

    async def fill() -> None:
        async with queue(StubEngine(gate=gate), BatchLimits(queue_ecgs=3)) as batcher:
            asked = [asyncio.ensure_future(batcher.run(signed(number))) for number in range(1, 4)]
            await asyncio.sleep(0.05)
            asked.append(asyncio.ensure_future(batcher.run(signed(4))))
            await asyncio.sleep(0)
            with pytest.raises(Overloaded) as refused:
                await batcher.run(signed(5))
            assert refused.value.retry_after_s >= 1
            gate.set()
            for number, outputs in enumerate(await asyncio.gather(*asked), start=1):
                require_own(outputs, signed(number))

    asyncio.run(fill())


def test_a_wait_beyond_the_longest_is_refused() -> None:
    async def fill() -> None:
        async with queue(StubEngine(seconds=0.05), BatchLimits(queue_age_s=0.2)) as batcher:
            await batcher.run(signed(1))
            asked = [asyncio.ensure_future(batcher.run(signed(number))) for number in range(2, 12)]
            await asyncio.sleep(0)
            with pytest.raises(Overloaded, match=r"longer than 0\.2 s") as refused:
                await batcher.run(signed(20))
            assert refused.value.retry_after_s >= 1
            await asyncio.gather(*asked, return_exceptions=True)

    asyncio.run(fill())


def test_long_ecgs_shut_out_other_long_ones_and_no_short_one() -> None:
    ann, bob = Claim(caller="ann"), Claim(caller="bob")

    async def fill() -> None:
        async with queue(StubEngine(seconds=0.02), BatchLimits(queue_age_s=0.5)) as batcher:
            await batcher.run(signed(1))
            long = asyncio.ensure_future(batcher.run(signed(2, 60), ann))
            await asyncio.sleep(0)
            for number, claim in enumerate([bob, ann, bob, ann], start=3):
                require_own(await batcher.run(signed(number), claim), signed(number))
            for windows in (signed(9, 60), lambda: signed(9, 60)):
                with pytest.raises(Overloaded, match=r"longer than 0\.5 s") as refused:
                    await batcher.run(windows, ann)
                assert refused.value.retry_after_s >= 1
            require_own(await long, signed(2, 60))

    asyncio.run(fill())


def test_an_ecg_is_read_run_and_gone_on_with_in_one_thread_for_the_request_that_brought_it() -> None:
    request = ContextVar("request", default="")
    done: list[tuple[str, str]] = []

    def note(_: object = None) -> None:
        done.append((threading.current_thread().name, request.get()))

    class NotingEngine(StubEngine):
        def run(self, windows: Array) -> Outputs:
            done.append((threading.current_thread().name, "network"))
            return super().run(windows)

    async def ask(batcher: Batcher, number: int, windows: int) -> None:
        def read() -> Array:
            note()
            return signed(number, windows)

        request.set(f"request {number}")
        require_own(await batcher.run(read, ANYBODY, note), signed(number, windows))

    async def two() -> None:
        async with queue(NotingEngine()) as batcher:
            await asyncio.gather(ask(batcher, 1, 1), ask(batcher, 2, 2))

    asyncio.run(two())
    said = [what for _, what in done]
    assert said == ["request 1", "network", "request 1", "request 2", "network", "network"]  # the long one is not whole
    assert {thread for thread, _ in done} == {"engine_0"}


def test_what_is_wrong_with_one_ecg_is_its_own_and_costs_no_other_its_batch() -> None:
    engine = StubEngine(gate=threading.Event())

    def unreadable() -> Array:
        raise MalformedError("not an ECG")

    def unwritable(_: Outputs) -> None:
        raise ZeroDivisionError

    async def four() -> None:
        async with queue(engine, BatchLimits(windows=4)) as batcher:
            first = asyncio.ensure_future(batcher.run(signed(9)))
            await asyncio.sleep(0.05)
            told = asyncio.gather(
                batcher.run(lambda: signed(1)),
                batcher.run(unreadable),
                batcher.run(signed(2), ANYBODY, unwritable),
                batcher.run(lambda: signed(3, 3)),
                return_exceptions=True,
            )
            await asyncio.sleep(0)
            engine.gate.set()
            good, unread, unwritten, long = await told
            assert isinstance(unread, MalformedError)
            assert isinstance(unwritten, ZeroDivisionError)
            assert isinstance(good, Outputs)
            assert isinstance(long, Outputs)
            require_own(good, signed(1))
            require_own(long, signed(3, 3))
            await first

    asyncio.run(four())
    assert engine.batches == [1, 3, 2]


def test_an_ecg_whose_caller_left_while_it_was_read_does_not_come_to_the_network() -> None:
    engine = StubEngine()
    reading, left = threading.Event(), threading.Event()

    def read() -> Array:
        reading.set()
        assert left.wait(30)
        return signed(1, 3)

    async def leave() -> None:
        async with queue(engine) as batcher:
            asking = asyncio.ensure_future(batcher.run(read))
            await asyncio.to_thread(reading.wait, 30)
            asking.cancel()
            await asyncio.sleep(0)
            left.set()
            require_own(await batcher.run(signed(2)), signed(2))
            assert len(batcher) == 0

    asyncio.run(leave())
    assert engine.batches == [1]


def test_an_ecg_whose_caller_left_is_not_computed() -> None:
    gate = threading.Event()
    engine = StubEngine(gate=gate)

    async def leave() -> None:
        async with queue(engine) as batcher:
            first = asyncio.ensure_future(batcher.run(signed(1)))
            await asyncio.sleep(0.05)
            second = asyncio.ensure_future(batcher.run(signed(2, 30)))
            await asyncio.sleep(0)
            second.cancel()
            await asyncio.sleep(0)
            assert len(batcher) == 0
            gate.set()
            await first

    asyncio.run(leave())
    assert engine.batches == [1]


def test_a_batch_that_fails_fails_alone_and_without_the_engines_words() -> None:
    async def three() -> None:
        async with queue(StubEngine(fail_above=50.0)) as batcher:
            asked: list[Awaitable[Outputs]] = [batcher.run(signed(number)) for number in (1, 99, 2)]
            good, bad, better = await asyncio.gather(*asked, return_exceptions=True)
            assert isinstance(good, Outputs)
            assert isinstance(better, Outputs)
            assert isinstance(bad, EngineError)
            assert "SECRET" not in bad.detail
            require_own(better, signed(2))

    asyncio.run(three())


def test_outputs_with_another_number_of_rows_fail_the_batch() -> None:
    class Short(StubEngine):
        def run(self, windows: Array) -> Outputs:
            return super().run(windows)[:-1]

    async def ask() -> None:
        async with queue(Short()) as batcher:
            with pytest.raises(EngineError):
                await batcher.run(signed(1, 3))

    asyncio.run(ask())


def test_closing_answers_what_was_accepted_and_refuses_the_rest() -> None:
    async def close() -> None:
        with closing(Threads(1, "engine")) as threads:
            batcher = Batcher(StubEngine(seconds=0.01), threads, BatchLimits())
            with pytest.raises(NotReadyError):
                await batcher.run(signed(1))
            batcher.start()
            asked = [asyncio.ensure_future(batcher.run(signed(number))) for number in range(1, 6)]
            await asyncio.sleep(0)
            ending = asyncio.ensure_future(batcher.close())
            await asyncio.sleep(0)
            with pytest.raises(NotReadyError):
                await batcher.run(signed(9))
            for number, outputs in enumerate(await asyncio.gather(*asked), start=1):
                require_own(outputs, signed(number))
            await ending

    asyncio.run(close())


def test_what_is_not_answered_in_time_at_the_close_is_told_so() -> None:
    async def close() -> None:
        gate = threading.Event()
        with closing(Threads(1, "engine")) as threads:
            batcher = Batcher(StubEngine(gate=gate), threads, BatchLimits())
            batcher.start()
            asked = [asyncio.ensure_future(batcher.run(signed(number))) for number in (1, 2)]
            await asyncio.sleep(0.05)
            await batcher.close(0.05)
            gate.set()
            told = await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 5)
            assert [type(one) for one in told] == [NotReadyError, NotReadyError]

    asyncio.run(close())

"""Asks a server as many callers would: one after the other on a few connections, or at random times at a given rate."""

import asyncio
import itertools
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import aiohttp

from tests.bench.bodies import Request

PATIENCE_S = 10.0
"""A caller of an overloaded server has gone after this long; what comes later helps nobody."""

RECOVERY_S = 30.0
USUAL, IN_A_ROW = 3.0, 3
"""A server is itself again when so many answers in a row take less than so many times the time of one ECG."""


@dataclass(frozen=True)
class Target:
    """Where requests go, and what is in them."""

    url: str
    request: Request


OK = 200
GAVE_UP = 0
"""In the place of a status: nothing came in time, or the connection broke."""


@dataclass(frozen=True)
class Sample:
    """One request.

    Attributes:
        due_s: when it was to be sent, from the start; waiting to be sent counts as waiting.
        seconds: from then to the last byte of the answer.
        status: of HTTP.
        retry_after: whether a refusal said when to come again.
    """

    due_s: float
    seconds: float
    status: int
    retry_after: bool = False


@dataclass
class Outcome:
    """What came of a run.

    Attributes:
        seconds: that it was measured for.
        samples: of every request.
    """

    seconds: float
    samples: list[Sample] = field(default_factory=list)

    def answered(self) -> list[float]:
        """Seconds of each answer, sorted."""
        return sorted(one.seconds for one in self.samples if one.status == OK)

    def refused(self) -> list[float]:
        """Seconds of each refusal, sorted."""
        return sorted(one.seconds for one in self.samples if one.status not in {OK, GAVE_UP})

    @property
    def goodput(self) -> float:
        """Answers a second that came before the end of the run."""
        in_time = [one for one in self.samples if one.status == OK and one.due_s + one.seconds <= self.seconds]
        return len(in_time) / self.seconds

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.answered()) / self.seconds


def saturate(target: Target, connections: int, seconds: float) -> Outcome:
    """Send on a few connections, each its next request when the answer has come; the first of each is not counted."""
    return asyncio.run(_saturate(target, connections, seconds))


def arrive(target: Target, rate: float, seconds: float, *, seed: int = 0) -> Outcome:
    """Send at random times (Poisson) at `rate` a second, whether answers come or not."""
    return asyncio.run(_arrive(target, rate, seconds, seed))


def flood(target: Target, rate: float, seconds: float, *, usual_s: float) -> tuple[Outcome, float | None]:
    """Arrivals as `arrive`, and how many seconds after the last one the server was as fast as usual again.

    Returns:
        The arrivals, and the seconds; None where it took longer than `RECOVERY_S`.
    """
    return asyncio.run(_flood(target, rate, seconds, usual_s))


def ask(target: Target) -> bytes:
    """One answer.

    Raises:
        aiohttp.ClientError: there is none.
    """

    async def once() -> bytes:
        async with _session() as session, _post(session, target, target.request.contents[0]) as reply:
            reply.raise_for_status()
            return await reply.read()

    return asyncio.run(once())


async def _saturate(target: Target, connections: int, seconds: float) -> Outcome:
    samples: list[Sample] = []
    contents = itertools.cycle(target.request.contents)
    end_s = time.perf_counter() + seconds

    async def caller(session: aiohttp.ClientSession) -> None:
        while (due_s := time.perf_counter()) < end_s:
            samples.append(await _sample(session, target, next(contents), due_s))
            if samples[-1].status != OK:
                await asyncio.sleep(0.01)

    async with _session() as session:
        await asyncio.gather(*(caller(session) for _ in range(connections)))
    return _between_answers([one for one in samples if one.due_s + one.seconds <= end_s], connections)


def _between_answers(samples: list[Sample], skipped: int) -> Outcome:
    """From one answer to another, so that no piece of an answer at either end is counted or lost."""
    ends_s = [one.due_s + one.seconds for one in samples]
    if len(samples) <= skipped + 1:
        return Outcome(1.0)
    return Outcome(ends_s[-1] - ends_s[skipped], samples[skipped + 1 :])


async def _arrive(target: Target, rate: float, seconds: float, seed: int) -> Outcome:
    outcome = Outcome(seconds)
    contents = itertools.cycle(target.request.contents)
    began_s = time.perf_counter()

    async def caller(session: aiohttp.ClientSession, due_s: float) -> None:
        sample = await _sample(session, target, next(contents), began_s + due_s)
        outcome.samples.append(Sample(due_s, sample.seconds, sample.status, sample.retry_after))

    async with _session() as session, asyncio.TaskGroup() as callers:
        for due_s in _times(rate, seconds, seed):
            await asyncio.sleep(max(0.0, began_s + due_s - time.perf_counter()))
            callers.create_task(caller(session, due_s))
    return outcome


async def _flood(target: Target, rate: float, seconds: float, usual_s: float) -> tuple[Outcome, float | None]:
    arrivals = asyncio.create_task(_arrive(target, rate, seconds, 0))
    await asyncio.sleep(seconds)
    recovered_s = await _recovery(target, usual_s)
    return await arrivals, recovered_s


async def _recovery(target: Target, usual_s: float) -> float | None:
    """Seconds until three answers in a row come about as fast as from an idle server."""
    began_s, row = time.perf_counter(), 0
    async with _session() as session:
        while (now_s := time.perf_counter()) - began_s < RECOVERY_S:
            sample = await _sample(session, target, target.request.contents[0], now_s)
            row = row + 1 if sample.status == OK and sample.seconds < USUAL * usual_s else 0
            if row == IN_A_ROW:
                return time.perf_counter() - began_s
            if sample.status != OK:
                await asyncio.sleep(0.05)
    return None


def _times(rate: float, seconds: float, seed: int) -> Iterator[float]:
    draw = random.Random(seed)  # noqa: S311 - arrivals, not secrets
    due_s = draw.expovariate(rate)
    while due_s < seconds:
        yield due_s
        due_s += draw.expovariate(rate)


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=PATIENCE_S)
    )


def _post(session: aiohttp.ClientSession, target: Target, content: bytes) -> aiohttp.client._RequestContextManager:
    request = target.request
    return session.post(target.url + request.path, data=content, headers={"content-type": request.content_type})


async def _sample(session: aiohttp.ClientSession, target: Target, content: bytes, due_s: float) -> Sample:
    try:
        async with _post(session, target, content) as reply:
            await reply.read()
            return Sample(due_s, time.perf_counter() - due_s, reply.status, "retry-after" in reply.headers)
    except (aiohttp.ClientError, TimeoutError, OSError):
        return Sample(due_s, time.perf_counter() - due_s, GAVE_UP)

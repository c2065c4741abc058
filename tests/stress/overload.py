"""Ten times what a service can answer, by the clock: what it still answers, how it refuses, and what it costs.

`python -m tests.stress.overload` starts the bundled model as a process, finds its peak by a closed loop, sends a
multiple of that for a minute without waiting for answers, and ends with 1 where a bound is not kept.
"""

import argparse
import asyncio
import json
import os
import random
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from service import examples
from tests.stress.client import Client, Reply, request_bytes

REFUSALS = (429, 503)
CLOSED_LOOP = 16
"""ECGs that the closed loop keeps in the service: enough to saturate it, few enough that none is refused."""

BOUNDS: dict[str, tuple[str, float]] = {
    "goodput_share": (">=", 0.9),
    "refusal_median_ms": ("<", 10.0),
    "refusal_p99_ms": ("<", 50.0),
    "memory_growth_mib": ("<", 200.0),
    "normal_after_s": ("<=", 2.0),
    "broken": ("<=", 0.0),
    "other": ("<=", 0.0),
    "without_retry_after": ("<=", 0.0),
}


@dataclass
class Tally:
    """What was sent and what came of it."""

    replies: list[tuple[int, float]] = field(default_factory=list)
    without_retry_after: int = 0
    answered_in_time: int = 0
    """Answers that came while requests were still being sent: what is left in the queue at the end is no goodput."""

    def add(self, reply: Reply) -> None:
        self.replies.append((reply.status, reply.seconds))
        if reply.status in REFUSALS and "retry-after" not in reply.headers:
            self.without_retry_after += 1

    def count(self, *statuses: int) -> int:
        return sum(status in statuses for status, _ in self.replies)

    def seconds(self, *statuses: int) -> list[float]:
        return sorted(seconds for status, seconds in self.replies if status in statuses)


def raw_ecg(include: str) -> bytes:
    """The example as raw samples."""
    query = {**examples.raw_query(), "include": include}
    return request_bytes("/v1/ecgs", examples.raw_int16(), "application/octet-stream", **query)


async def closed_loop(client: Client, request: bytes, seconds: float, at_once: int = CLOSED_LOOP) -> float:
    """Answers a second where each caller waits for its answer."""
    tally = Tally()
    end_s = time.perf_counter() + seconds

    async def caller() -> None:
        while time.perf_counter() < end_s:
            tally.add(await client.send(request))

    began_s = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(at_once)))
    return tally.count(200) / (time.perf_counter() - began_s)


async def open_loop(client: Client, request: bytes, rate: float, seconds: float) -> Tally:
    """Arrivals by the clock at a mean rate, whatever comes back; all replies are waited for."""
    tally = Tally()
    chance = random.Random(1)  # noqa: S311 - arrivals are no secret
    asked: set[asyncio.Task[None]] = set()

    async def ask() -> None:
        reply = await client.send(request)
        tally.add(reply)
        tally.answered_in_time += reply.status == 200 and time.perf_counter() < began_s + seconds

    now_s = began_s = time.perf_counter()
    while now_s < began_s + seconds:
        now_s += chance.expovariate(rate)
        if (early_s := now_s - time.perf_counter()) > 0:
            await asyncio.sleep(early_s)
        asking = asyncio.create_task(ask())
        asked.add(asking)
        asking.add_done_callback(asked.discard)
    while asked:
        await asyncio.wait(tuple(asked))
    return tally


async def seconds_until_normal(client: Client, request: bytes, usual_s: float) -> float:
    """How long until three answers in a row take no more than twice what they usually do."""
    began_s = time.perf_counter()
    good = 0
    while good < 3:
        reply = await client.send(request)
        good = good + 1 if reply.status == 200 and reply.seconds <= 2 * usual_s else 0
        if time.perf_counter() - began_s > 60:
            break
    return time.perf_counter() - began_s


async def measured(url: str, pid: int, options: argparse.Namespace) -> dict[str, float]:
    """Everything that the bounds speak of."""
    request = raw_ecg(options.include)
    async with Client(url, reuse=not options.connect) as client:
        await closed_loop(client, request, options.warm_s)
        usual_s = statistics.median([(await client.send(request)).seconds for _ in range(20)])
        peak = await closed_loop(client, request, options.peak_s)
        before_mib = resident_mib(pid)
        sampling = asyncio.create_task(highest_mib(pid))
        rate = peak * options.times
        tally = await open_loop(client, request, rate, options.seconds)
        normal_s = await seconds_until_normal(client, request, usual_s)
        sampling.cancel()
        after_mib = await sampling
    refused = tally.seconds(*REFUSALS)
    return {
        "usual_ms": 1000 * usual_s,
        "peak_per_s": peak,
        "sent_per_s": len(tally.replies) / options.seconds,
        "goodput_per_s": tally.answered_in_time / options.seconds,
        "goodput_share": tally.answered_in_time / options.seconds / peak,
        "refused": len(refused),
        "refusal_median_ms": 1000 * percentile(refused, 50),
        "refusal_p99_ms": 1000 * percentile(refused, 99),
        "answer_p99_ms": 1000 * percentile(tally.seconds(200), 99),
        "memory_growth_mib": after_mib - before_mib,
        "normal_after_s": normal_s,
        "broken": tally.count(0),
        "other": len(tally.replies) - tally.count(0, 200, *REFUSALS),
        "without_retry_after": tally.without_retry_after,
    }


def percentile(values: list[float], share: float) -> float:
    """Of sorted values; 0 of none."""
    return values[min(len(values) - 1, int(len(values) * share / 100))] if values else 0.0


def resident_mib(pid: int) -> float:
    """Memory of a process, its children included."""
    total = 0
    for one in (pid, *children(pid)):
        found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{one}/status").read_text())
        total += int(found.group(1)) if found else 0
    return total / 1024


def children(pid: int) -> list[int]:
    """Processes that a process started."""
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def highest_mib(pid: int) -> float:
    """The most memory that the process held until this is cancelled."""
    highest = 0.0
    try:
        while True:
            highest = max(highest, resident_mib(pid))
            await asyncio.sleep(0.5)
    except asyncio.CancelledError:
        return highest


@contextmanager
def service_process(**environment: str) -> Iterator[tuple[str, int]]:
    """The address and the process of the bundled model, on a free port."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ECG_")}
    given = {"ECG_PORT": "0", "ECG_LOG_FORMAT": "text", **environment}
    command = [sys.executable, "-m", "service"]
    with subprocess.Popen(
        command, env=kept | given, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as running:
        try:
            said = running.stdout.readline() if running.stdout else ""
            found = re.search(r"http://\S+:\d+", said)
            if not found:
                raise RuntimeError("the service did not start")
            yield found.group(), running.pid
        finally:
            running.terminate()
            running.wait(60)


def broken_bounds(figures: dict[str, float]) -> list[str]:
    """The bounds that figures do not keep."""
    kept = {">=": float.__ge__, "<": float.__lt__, "<=": float.__le__}
    return [
        f"{name} is {figures[name]:.3g}, wanted {sign} {bound:g}"
        for name, (sign, bound) in BOUNDS.items()
        if not kept[sign](float(figures[name]), bound)
    ]


def main() -> int:
    """Measure, print a table and what is not kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="of overload")
    parser.add_argument("--times", type=float, default=10.0, help="the peak")
    parser.add_argument("--peak-s", type=float, default=15.0, help="seconds of the closed loop")
    parser.add_argument("--warm-s", type=float, default=3.0, help="seconds before it")
    parser.add_argument("--include", default="findings,measurements,waves", help="parts of the answer")
    parser.add_argument("--connect", action="store_true", help="a new connection for every request")
    options = parser.parse_args()
    with service_process() as (url, pid):
        figures = uvloop.run(measured(url, pid, options))
    for name, value in figures.items():
        print(f"{name:22} {value:12.3f}")  # noqa: T201 - a command
    failed = broken_bounds(figures)
    print(json.dumps({"figures": figures, "failed": failed}))  # noqa: T201 - a command
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

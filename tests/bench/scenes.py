"""What is done to the servers: saturation in alternating rounds, half load, and ten times what they can."""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain

from tests.bench import load
from tests.bench.bodies import Body, Parts, Request
from tests.bench.servers import Server

Rate = Callable[[float], float]
"""Something measured for so many seconds, as ECGs a second."""

TIMES_CAPACITY = 10.0
SETTLE_S = 0.2


@dataclass(frozen=True)
class Row:
    """One line of the saturation table.

    Attributes:
        name: of the server, or of what runs without one.
        body: that is sent.
        parts: that are answered.
        measure: asks it for as much as it can.
    """

    name: str
    body: Body
    parts: Parts
    measure: Rate


@dataclass
class Saturated:
    """What came of a row over the rounds: ECGs a second, and as shares of the bare loop of the same round."""

    row: Row
    rates: list[float] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)

    @property
    def share(self) -> float:
        """The median."""
        return statistics.median(self.shares)

    @property
    def rate(self) -> float:
        """The median."""
        return statistics.median(self.rates)

    @property
    def beside_ms(self) -> float:
        """What one ECG costs beside the network on a busy core: its time less a bare run's, the median over rounds."""
        pairs = zip(self.rates, self.shares, strict=True)
        return statistics.median(1000 * (1 - share) / rate if rate else float("inf") for rate, share in pairs)


@dataclass(frozen=True)
class Latency:
    """At one rate.

    Attributes:
        name: of the server.
        rate: arrivals a second.
        rounds: seconds of each answer, sorted, round by round.
        asked: requests in all of them.
    """

    name: str
    rate: float
    rounds: list[list[float]]
    asked: int

    @property
    def answered(self) -> float:
        """The share of requests that were answered."""
        return sum(map(len, self.rounds)) / max(1, self.asked)

    def of_all_ms(self, share: float) -> float:
        """What such a share of the answers of all rounds does not pass, in ms: of one round, p99 is two or three."""
        return 1000 * quantile(sorted(chain.from_iterable(self.rounds)), share)

    def of_each_ms(self, share: float) -> list[float]:
        """The same of each round alone."""
        return [1000 * quantile(one, share) for one in self.rounds]


@dataclass(frozen=True)
class Flooded:
    """At ten times capacity: what was answered, refused and given up, what it cost, and when it was over."""

    name: str
    network: str
    asked: float
    goodput: float
    of_peak: float
    refused: list[float]
    retry_after: float
    gave_up: float
    growth_mib: float
    recovered_s: float | None


@dataclass(frozen=True)
class Instant:
    """What the service answers when the network costs nothing: ECGs a second, by processes that read and by parts."""

    readers: int
    parts: Parts
    rate: float


@dataclass(frozen=True)
class Overload:
    """How much more than it can a server is asked.

    Attributes:
        network: that the server runs.
        capacity: of the bare loop, ECGs a second; ten times as many are asked for.
        peak: what the server can, measured for so many seconds.
        peak_seconds: how long, each time.
        seconds: of overload.
    """

    network: str
    capacity: float
    peak: Rate
    peak_seconds: float
    seconds: float


def alternate(rows: Sequence[Row], bare: Rate, *, rounds: int, seconds: float) -> tuple[list[Saturated], list[float]]:
    """Every row once a round, the order turned round each time, between two runs of the bare loop.

    Returns:
        The rows, and the bare loop's rate in each round.
    """
    results = [Saturated(row) for row in rows]
    alone = []
    for number in range(rounds):
        before = bare(seconds)
        rates = [(one, one.row.measure(seconds)) for one in (results if number % 2 else results[::-1])]
        alone.append((before + bare(seconds)) / 2)
        for one, rate in rates:
            one.rates.append(rate)
            one.shares.append(rate / alone[-1])
    return results, alone


def saturation(server: Server, request: Request, callers: ProcessPoolExecutor, connections: int) -> Rate:
    """The rate of a server that rests while others are measured."""

    def measure(seconds: float) -> float:
        with awake(server):
            return callers.submit(load.saturate, load.Target(server.url, request), connections, seconds).result().rate

    return measure


def half_load(
    servers: Sequence[tuple[Server, Request]], callers: ProcessPoolExecutor, rate: float, *, rounds: int, seconds: float
) -> list[Latency]:
    """Latency of each server at the same rate: every one once a round, with random arrivals, the same for each.

    The order is turned round each time, so that a busy minute strikes now one, now another.
    """
    seen: dict[str, list[load.Outcome]] = {server.plan.name: [] for server, _ in servers}
    for number in range(rounds):
        for server, request in servers if number % 2 else servers[::-1]:
            with awake(server):
                run = callers.submit(load.arrive, load.Target(server.url, request), rate, seconds, seed=number)
                seen[server.plan.name].append(run.result())
    return [_latency(name, rate, outcomes) for name, outcomes in seen.items()]


def flood(server: Server, request: Request, callers: ProcessPoolExecutor, overload: Overload) -> Flooded:
    """Ten times capacity for a while, then until the server answers as if nothing had been.

    Its peak is measured right before, and right after where it has come to itself, so that a busier minute of the
    machine is not held against it.
    """
    target = load.Target(server.url, request)
    peaks = [overload.peak(overload.peak_seconds)]
    with awake(server):
        before = server.memory_mib()
        rate, usual_s = TIMES_CAPACITY * overload.capacity, 1 / overload.capacity
        run = callers.submit(load.flood, target, rate, overload.seconds, usual_s=usual_s)
        most = _watched(server, run)
        outcome, recovered_s = run.result()
    if recovered_s is not None:
        peaks.append(overload.peak(overload.peak_seconds))
    peak = statistics.mean(peaks)
    refused = [one for one in outcome.samples if one.status not in {load.OK, load.GAVE_UP}]
    gave_up = sum(one.status == load.GAVE_UP for one in outcome.samples)
    return Flooded(
        name=server.plan.name,
        network=overload.network,
        asked=len(outcome.samples) / overload.seconds,
        goodput=outcome.goodput,
        of_peak=outcome.goodput / peak if peak else float("nan"),
        refused=outcome.refused(),
        retry_after=sum(one.retry_after for one in refused) / max(1, len(refused)),
        gave_up=gave_up / max(1, len(outcome.samples)),
        growth_mib=most - before,
        recovered_s=recovered_s,
    )


@contextmanager
def awake(server: Server) -> Iterator[None]:
    """Let a server run for a while."""
    server.wake()
    time.sleep(SETTLE_S)
    try:
        yield
    finally:
        server.rest()


def _watched(server: Server, run: Future[tuple[load.Outcome, float | None]]) -> float:
    """The most memory until the run has ended, MiB."""
    most = 0.0
    while not run.done():
        most = max(most, server.memory_mib())
        time.sleep(1.0)
    return most


def _latency(name: str, rate: float, outcomes: list[load.Outcome]) -> Latency:
    asked = sum(len(one.samples) for one in outcomes)
    return Latency(name, rate, [one.answered() for one in outcomes], asked)


def quantile(values: Sequence[float], share: float) -> float:
    """Of sorted values, the one that such a share does not pass; not a number where there is none."""
    return values[min(len(values) - 1, int(share * len(values)))] if values else float("nan")

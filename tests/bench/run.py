"""One run: which servers meet in which scene, on which cores and for how long."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import numpy as np
from aiohttp import ClientError

from model.signal.recording import Recording
from tests.bench import bare, load
from tests.bench.bare import Cores
from tests.bench.bodies import Body, Parts, Request, peer_request, service_request
from tests.bench.scenes import Flooded, Instant, Latency, Overload, Rate, Row, alternate, flood, half_load, saturation
from tests.bench.servers import OURS, Plan, Server, ServerError, running
from tests.bench.tables import Saturation

Task = Callable[[str, str, float], float]
"""A loop of `tests.bench.bare`."""

LIBRARY = "library"
INSTANT = "tests.bench.instant"
CONNECTIONS = 4
"""For each core of the servers: enough that none waits for the callers."""

WARM_S = 0.2
SAME = 1e-4
"""Largest difference of a probability between two servers that do the same work."""

OURS_ANSWERS: tuple[tuple[Body, Parts], ...] = (
    *(("raw", "findings"), ("json", "findings"), ("wfdb", "findings")),
    *(("raw", "whole"), ("json", "whole"), ("wfdb", "whole")),
)
PEER_BODIES: tuple[Body, ...] = ("raw", "json")


@dataclass(frozen=True)
class Effort:
    """How long to measure: rounds and seconds of saturation, of half load, and seconds of peaks and of overload."""

    rounds: int = 5
    seconds: float = 3.0
    half_rounds: int = 6
    half_seconds: float = 20.0
    peak_seconds: float = 10.0
    flood_seconds: float = 60.0
    peer_flood_seconds: float = 15.0


@dataclass
class Run:
    """Where and for how long, and what did not start.

    Attributes:
        server_cores: of the servers and of the bare loop, one worker each.
        caller_cores: of the load.
        effort: how long.
        peers: that are there.
        ecgs: that are sent.
        missing: what could not be run, and why.
    """

    server_cores: Cores
    caller_cores: Cores
    effort: Effort
    peers: tuple[str, ...]
    ecgs: tuple[Recording, ...]
    missing: dict[str, str] = field(default_factory=dict)
    ports: Iterator[int] = field(default_factory=lambda: count(18400, 2))

    def request(self, server: Server, parts: Parts = "findings", body: Body | None = None) -> Request:
        """What a server is sent."""
        plan = server.plan
        if plan.name == OURS:
            return service_request(body or plan.body, parts, self.ecgs)
        return peer_request(plan.name, plan.body, self.ecgs)

    @contextmanager
    def fleet(self, scene: "Scene") -> Iterator[list[Server]]:
        """The service and its peers, ready and at rest, all giving the same answer; what does not start is missing."""
        wanted: list[tuple[str, Body]] = [(OURS, "raw")]
        wanted += [(name, body) for name in self.peers for body in scene.peer_bodies]
        plans = [Plan(name, body, scene.bundle, scene.variant, self.server_cores) for name, body in wanted]
        with ExitStack() as stack:
            servers: list[Server] = []
            for plan in plans:
                try:
                    server = stack.enter_context(running(plan, next(self.ports)))
                    self._require_same(server, servers)
                except (ServerError, ClientError) as error:
                    self.missing[f"{plan.name}, {plan.body}, on {len(plan.cores)} cores"] = str(error)
                    continue
                server.rest()
                servers.append(server)
            yield servers

    def _require_same(self, server: Server, others: list[Server]) -> None:
        """Raise ServerError where a server finds something else in the first ECG than the service does."""
        got = probabilities(load.ask(load.Target(server.url, self.request(server))))
        if not others:
            return
        others[0].wake()
        wanted = probabilities(load.ask(load.Target(others[0].url, self.request(others[0]))))
        others[0].rest()
        if not np.allclose(got, wanted, rtol=0, atol=SAME):
            raise ServerError(f"{server.plan.name} answers otherwise than the service")


def probabilities(answer: bytes) -> list[float]:
    """Of the findings of an answer, in the envelope of whichever server."""
    read = json.loads(answer)
    if "outputs" in read:
        read = json.loads(read["outputs"][0]["data"][0])
    return [finding["probability"] for finding in read["findings"]]


@contextmanager
def alone_on(cores: Cores, bundle: Path, variant: str) -> Iterator[Callable[[Task], Rate]]:
    """Runs a loop of `tests.bench.bare` in a process on each core; a rate is their sum."""
    with ExitStack() as stack:
        pools = [stack.enter_context(bare.pinned((core,))) for core in cores] or [stack.enter_context(bare.pinned(()))]

        def rate_of(task: Task) -> Rate:
            def rate(seconds: float) -> float:
                runs = [pool.submit(task, str(bundle), variant, seconds) for pool in pools]
                return sum(one.result() for one in runs)

            return rate

        for task in (bare.loop, bare.library):
            rate_of(task)(WARM_S)
        yield rate_of


@dataclass(frozen=True)
class Scene:
    """What is measured of one bundle.

    Attributes:
        title: of its table.
        network: that runs, in short.
        bundle: folder.
        variant: of the bundle.
        ours: bodies and parts that the service is asked for.
        peer_bodies: bodies that the peers are asked for.
        loaded: whether half load and ten times capacity are measured too.
        flooded: whether ten times capacity is measured of the service alone.
        slower: how many times as long a round is as of the others.
    """

    title: str
    network: str
    bundle: Path
    variant: str
    ours: tuple[tuple[Body, Parts], ...] = OURS_ANSWERS
    peer_bodies: tuple[Body, ...] = PEER_BODIES
    loaded: bool = False
    flooded: bool = False
    slower: float = 1.0


@dataclass(frozen=True)
class Measured:
    """What came of a scene."""

    saturation: Saturation
    latencies: list[Latency]
    floods: list[Flooded]


def measure(run: Run, scene: Scene) -> Measured:
    """Saturation of everything; then, where asked, half load and ten times capacity of whatever reads raw bodies."""
    with (
        run.fleet(scene) as servers,
        bare.pinned(run.caller_cores) as callers,
        alone_on(run.server_cores, scene.bundle, scene.variant) as alone,
    ):
        rows = list(_rows(run, scene, servers, callers))
        rows.append(Row(LIBRARY, "raw", "findings", alone(bare.library)))
        seconds = scene.slower * run.effort.seconds
        results, rates = alternate(rows, alone(bare.loop), rounds=run.effort.rounds, seconds=seconds)
        memory = {f"{one.plan.name} {one.plan.body}": one.memory_mib() for one in servers}
        table = Saturation(scene.title, rates, results, memory, max(1, len(run.server_cores)))
        raw = [server for server in servers if server.plan.body == "raw"]
        latencies = _half_load(run, raw, callers, table) if scene.loaded else []
        return Measured(table, latencies, _floods(run, scene, raw, callers, capacity=table.capacity))


def _rows(run: Run, scene: Scene, servers: list[Server], callers: ProcessPoolExecutor) -> Iterator[Row]:
    connections = CONNECTIONS * max(1, len(run.server_cores))
    for server in servers:
        name = server.plan.name
        for body, parts in scene.ours if name == OURS else ((server.plan.body, "findings"),):
            rate = saturation(server, run.request(server, parts, body), callers, connections)
            yield Row(name, body, parts, rate)


def _half_load(run: Run, raw: list[Server], callers: ProcessPoolExecutor, table: Saturation) -> list[Latency]:
    effort = run.effort
    pairs = [(server, run.request(server)) for server in raw]
    rate = table.capacity / 2
    return half_load(pairs, callers, rate, rounds=effort.half_rounds, seconds=effort.half_seconds)


def _floods(
    run: Run, scene: Scene, raw: list[Server], callers: ProcessPoolExecutor, *, capacity: float
) -> list[Flooded]:
    """Of everything where the scene is loaded, or of the service alone."""
    effort, floods = run.effort, []
    for server in raw:
        ours = server.plan.name == OURS
        if scene.loaded or (scene.flooded and ours):
            request = run.request(server)
            peak = saturation(server, request, callers, CONNECTIONS)
            seconds = effort.flood_seconds if ours else effort.peer_flood_seconds
            overload = Overload(scene.network, capacity, peak, effort.peak_seconds, seconds)
            floods.append(flood(server, request, callers, overload))
    return floods


def instants(run: Run, bundle: Path, variant: str) -> list[Instant]:
    """What the service answers with and without processes that read, when the network costs nothing."""
    found = []
    with bare.pinned(run.caller_cores) as callers:
        for readers in (0, len(run.server_cores)):
            plan = Plan(OURS, "raw", bundle, variant, run.server_cores, INSTANT, readers)
            with running(plan, next(run.ports)) as server:
                for parts in ("findings", "whole"):
                    rate = saturation(server, run.request(server, parts), callers, CONNECTIONS * len(run.server_cores))
                    rate(WARM_S)
                    found.append(Instant(readers, parts, rate(run.effort.peak_seconds)))
    return found

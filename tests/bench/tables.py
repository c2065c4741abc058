"""What was measured, as the Markdown of BENCHMARKS.md."""

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests.bench.scenes import Flooded, Instant, Latency, Saturated, quantile

ANSWERS = {"findings": "findings", "whole": "whole"}


@dataclass(frozen=True)
class Saturation:
    """One saturation table.

    Attributes:
        title: what was served, on what.
        alone: the bare loop's rate in each round.
        rows: everything else.
        memory_mib: by server and body, after the rounds.
        cores: of each server.
    """

    title: str
    alone: list[float]
    rows: list[Saturated]
    memory_mib: dict[str, float] = field(default_factory=dict)
    cores: int = 1

    @property
    def capacity(self) -> float:
        """The bare loop's rate."""
        return statistics.median(self.alone)


@dataclass(frozen=True)
class Report:
    """Everything of one run.

    Attributes:
        date: of the run.
        machine: one line.
        versions: of each server.
        how: what was run, one line.
        saturations: tables.
        latencies: at half load.
        floods: at ten times capacity.
        missing: what could not be run, and why.
        instants: with a network that costs nothing.
    """

    date: str
    machine: str
    versions: dict[str, str]
    how: str
    saturations: list[Saturation]
    latencies: list[Latency]
    floods: list[Flooded]
    missing: dict[str, str]
    instants: list[Instant] = field(default_factory=list)


def markdown(report: Report) -> str:
    """The whole page."""
    return "\n".join(_page(report)) + "\n"


def _page(report: Report) -> Iterator[str]:
    yield "# Benchmarks"
    yield ""
    yield INTRODUCTION
    yield ""
    yield f"- {report.date}, {report.machine}"
    yield f"- {report.how}"
    yield from (f"- {name}: {said}" for name, said in report.versions.items())
    yield from (f"- Not run: {name}: {why}" for name, why in report.missing.items())
    for one in report.saturations:
        yield from _saturation(one)
    if report.latencies:
        yield from _half_load(report.latencies)
    if report.floods:
        yield from _floods(report.floods)
    if report.instants:
        yield from _instants(report.instants)


def _saturation(table: Saturation) -> Iterator[str]:
    yield from ("", f"## {table.title}", "")
    yield "| Server | Body | Answer | ECG/s | of onnxruntime alone | lowest to highest | ms beside it | MiB |"
    yield "|---|---|---|---:|---:|---:|---:|---:|"
    spread = _between([one / table.capacity for one in table.alone])
    yield f"| onnxruntime alone | | | {table.capacity:.1f} | 1.00 | {spread} | | |"
    for one in table.rows:
        row = one.row
        memory = table.memory_mib.get(f"{row.name} {row.body}")
        cells = (
            *(row.name, row.body, ANSWERS[row.parts], f"{one.rate:.1f}", f"{one.share:.2f}", _between(one.shares)),
            f"{table.cores * one.beside_ms:.1f}",
            f"{memory:.0f}" if memory else "",
        )
        yield f"| {' | '.join(cells)} |"
    yield from _comparison(table.rows)


def _comparison(rows: Sequence[Saturated]) -> Iterator[str]:
    """Ours beside the fastest peer, for each body that both read, and what there is to win: the network alone."""
    for body in ("raw", "json"):
        here = [one for one in rows if one.row.body == body and one.row.parts == "findings"]
        ours = next((one for one in here if one.row.name == "ours"), None)
        peers = [one for one in here if one.row.name not in {"ours", "library"}]
        if ours and peers:
            best = max(peers, key=lambda one: one.share)
            ratios = [mine / theirs for mine, theirs in zip(ours.shares, best.shares, strict=True)]
            median = statistics.median(ratios)
            said = f"{body}: ours answers {median:.2f} ({_between(ratios)}) times as many as {best.row.name}"
            yield from ("", f"{said}; onnxruntime alone would {1 / best.share:.2f} times.")


def _half_load(rows: Sequence[Latency]) -> Iterator[str]:
    yield from ("", "## At half load", "")
    yield f"Raw bodies, findings, {rows[0].rate:.1f} random arrivals a second: half of what onnxruntime alone can do."
    yield "p50 and p99 are of the answers of all rounds together; beside each stands that of the best and worst round."
    yield ""
    yield "| Server | answers | p50, ms | by round | p99, ms | by round | answered |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for one in rows:
        quantiles = (f"{one.of_all_ms(share):.0f} | {_between(one.of_each_ms(share), 0)}" for share in (0.5, 0.99))
        answers = sum(map(len, one.rounds))
        yield f"| {one.name} | {answers} | {' | '.join(quantiles)} | {one.answered:.0%} |"


def _floods(rows: Sequence[Flooded]) -> Iterator[str]:
    yield from ("", "## At ten times capacity", "")
    yield "Raw bodies, findings, random arrivals. A caller gives up after 10 s; goodput is what was answered meanwhile,"
    yield "and a server's peak is what it answers right before and, where it has come to itself, right after."
    yield ""
    yield (
        "| Server | Network | asked/s | goodput/s | of its peak | refused | p50, ms | p99, ms | with Retry-After "
        "| gave up | memory, MiB | as before after, s |"
    )
    yield "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
    for one in rows:
        recovered = f"{one.recovered_s:.1f}" if one.recovered_s is not None else "more than 30"
        cells = (
            *(
                one.name,
                one.network,
                f"{one.asked:.0f}",
                f"{one.goodput:.1f}",
                f"{one.of_peak:.2f}",
                f"{len(one.refused)}",
            ),
            *(_ms(quantile(one.refused, 0.5)), _ms(quantile(one.refused, 0.99))),
            f"{one.retry_after:.0%}" if one.refused else "",
            *(f"{one.gave_up:.0%}", f"{one.growth_mib:+.0f}", recovered),
        )
        yield f"| {' | '.join(cells)} |"


def _instants(rows: Sequence[Instant]) -> Iterator[str]:
    yield from ("", "## With a network that costs nothing", "")
    yield "Raw bodies, on all cores, which the callers share: what the service's own processes can do."
    yield from ("", "| Processes that read | Answer | ECG/s |", "|---:|---|---:|")
    for one in rows:
        yield f"| {one.readers} | {ANSWERS[one.parts]} | {one.rate:.0f} |"


def _ms(seconds: float) -> str:
    return "" if math.isnan(seconds) else f"{seconds * 1000:.1f}"


def _between(values: Sequence[float], digits: int = 2) -> str:
    return f"{min(values):.{digits}f} to {max(values):.{digits}f}"


INTRODUCTION = """\
Written by `make bench`: the service beside LitServe, MLServer and BentoML and beside onnxruntime alone, on one machine,
in one run, with the same graph, the same session options and the same simulated ECGs (12 leads, 500 Hz, 10 s). The
peers' adapters ([tests/bench/peers](tests/bench/peers)) decode, check, preprocess and answer by this repository's own
`model` package, so what differs is the server. Servers are pinned to one core and the callers to another where there
are two; every server stands still while another is measured; each round measures everything once between two runs of
the bare loop, and a share is the median over rounds of its rate over the bare loop's of the same round. What an ECG
costs a core beside the network is the time between two answers less that between two runs of the loop.

JSON is the same numbers, read by each server as its own users have it read: by LitServe into a dict, by MLServer as a
tensor of its V2 protocol, by BentoML as lists that its signature types and pydantic checks, and by the service with the
decoder of its own. No peer is lent that decoder.

`make` gives all of them the Python that is named below. Much of what a server does beside the network is Python's own
work, and an interpreter built with profile-guided optimisation does it faster than one compiled plainly. Python's
official images, that of the service among them, are configured with `--enable-optimizations` for it; Debian's packages
are built so too, but without that option.

`tiny` stands for a larger network. Its encoder has random weights, which cost what trained ones do, and it finds
nothing; its wave head is that of the bundle above, weights and all, which needs no encoder, so that waves and
measurements and what they cost are those of a trained network. The head is part of what onnxruntime alone runs."""

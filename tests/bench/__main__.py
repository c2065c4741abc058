"""`make bench`: measures everything, prints the tables and writes BENCHMARKS.md."""

import argparse
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from model.bundle import read_bundle
from service.settings import default_bundle
from tests.bench.bare import Cores
from tests.bench.bodies import Body, Parts, recordings
from tests.bench.machine import machine, versions
from tests.bench.run import PEER_BODIES, Effort, Measured, Run, Scene, instants, measure
from tests.bench.servers import OURS, PEERS, ROOT, why_not
from tests.bench.tables import Report, markdown
from tests.bench.untrained import INT8, VARIANT, write_untrained

QUICK = Effort(2, 1.5, 1, 6.0, 3.0, 8.0, 5.0)
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")

FINDINGS: tuple[tuple[Body, Parts], ...] = (("raw", "findings"), ("json", "findings"))
FEW: tuple[tuple[Body, Parts], ...] = (*FINDINGS, ("raw", "whole"))
EACH: tuple[tuple[Body, Parts], ...] = (*FEW, ("json", "whole"))
ONE_CORE = "At saturation, one core"
SLOWER = 2.5
"""Times as long as of the shipped network is measured, for a round to hold as many ECGs of a larger one."""


def main() -> int:
    """Measure, print and write."""
    asked = _parser().parse_args()
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))
    began = datetime.now(UTC)
    cores = tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else ()
    effort = QUICK if asked.quick else Effort()
    missing = {name: reason for name in asked.peers if (reason := why_not(name))}
    peers = tuple(name for name in asked.peers if name not in missing)
    run = Run(cores[-1:], cores[:1], effort, peers, recordings(), missing)
    measured: list[Measured] = []
    with TemporaryDirectory() as folder:
        for scene in _scenes(run, asked, Path(folder), cores):
            measured.append(measure(run, scene))
            asked.out.write_text(markdown(_report(run, measured, began)))  # whatever becomes of the rest
    page = markdown(
        replace(_report(run, measured, began), instants=instants(run, asked.bundle, _fastest(asked.bundle)))
    )
    asked.out.write_text(page)
    sys.stdout.write(page)
    return 0


def _scenes(run: Run, asked: argparse.Namespace, folder: Path, cores: Cores) -> Iterator[Scene]:
    """The bundle on one core, its int8 variant and an untrained network where there are any, and all cores."""
    variants = read_bundle(asked.bundle).manifest.variants
    fastest = _fastest(asked.bundle)
    name = read_bundle(asked.bundle).manifest.name
    network = f"{name}, {fastest}"
    yield Scene(f"{ONE_CORE}: {network}", network, asked.bundle, fastest, loaded=True)
    for int8 in (one for one in variants if variants[one].precision == "int8"):
        yield Scene(f"{ONE_CORE}: {name}, {int8}", f"{name}, {int8}", asked.bundle, int8, FEW, ("raw",))
    if not asked.quick:
        yield from _untrained(run, folder, asked.bundle)
    if len(cores) > 1:
        run.server_cores, run.caller_cores = cores, cores
        yield Scene(f"At saturation, {len(cores)} cores", network, asked.bundle, fastest, FEW, ("raw",))


def _untrained(run: Run, folder: Path, bundle: Path) -> Iterator[Scene]:
    """A larger network with random weights and the bundle's wave head, in fp32 and int8, where torch is installed."""
    try:
        untrained = write_untrained(folder / "tiny", waves=bundle)
    except ImportError as error:
        run.missing["tiny, untrained"] = f"{error.name} is not installed"
        return
    answers = EACH if read_bundle(untrained).manifest.wave_leads else FINDINGS
    for variant, peer_bodies in ((VARIANT, PEER_BODIES), (INT8, ())):
        title = f"{ONE_CORE}: tiny with random weights, {variant}"
        network, flooded = f"tiny, {variant}", variant == VARIANT
        yield Scene(title, network, untrained, variant, answers, peer_bodies, flooded=flooded, slower=SLOWER)


def _fastest(bundle: Path) -> str:
    """What the service takes on a CPU when it is not told."""
    return next(one for one in ("factorised-fp32", "masked-fp32") if one in read_bundle(bundle).manifest.variants)


def _report(run: Run, measured: list[Measured], began: datetime) -> Report:
    effort = run.effort
    return Report(
        date=f"{began:%Y-%m-%d %H:%M} UTC",
        machine=machine(),
        versions={name: versions(name) for name in (OURS, *run.peers)},
        how=f"{effort.rounds} rounds of {effort.seconds:g} s; at half load {effort.half_rounds} of "
        f"{effort.half_seconds:g} s; ten times capacity for {effort.flood_seconds:g} s, the peers for "
        f"{effort.peer_flood_seconds:g} s",
        saturations=[one.saturation for one in measured],
        latencies=[latency for one in measured for latency in one.latencies],
        floods=[flooded for one in measured for flooded in one.floods],
        missing=run.missing,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few minutes, to see that everything runs")
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS), help="which; all of them without it")
    parser.add_argument("--bundle", type=Path, default=default_bundle(), help="folder; the one that ships without it")
    parser.add_argument("--out", type=Path, default=ROOT / "BENCHMARKS.md", help="where the tables go")
    return parser


if __name__ == "__main__":
    sys.exit(main())

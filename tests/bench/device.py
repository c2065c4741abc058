"""The engine alone on a device: ECG/s by bucket, as a share of the device's matrix peak, and torch compiled beside it.

`make bench-gpu` runs it on a card. Every ECG counts from the host's memory and back, as the service sees it.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.flop_counter import FlopCounterMode

from model.bundle import read_bundle
from model.engine import Card, OnnxEngine, buckets_of
from model.nn.network import ServedNetwork
from model.nn.waves import TwelveLeadHead
from model.signal.spec import SPEC
from tests.bench.machine import machine
from tests.bench.untrained import write_untrained
from training.running.state import read_trained, read_wave_net

PEAK_SIZE = {"cuda": 8192, "cpu": 1024}
"""Rows and columns of the matrices whose product is taken for the peak."""

Array = npt.NDArray[np.float32]
Run = Callable[[Array], object]


@dataclass(frozen=True)
class Row:
    """One bucket: ECGs a second by the engine, and by torch where it compiled."""

    windows: int
    engine: float
    compiled: float | None


def best_s(work: Callable[[], object], seconds: float) -> float:
    """The shortest of as many runs as fit, three at least, after two that do not count."""
    work()
    work()
    times: list[float] = []
    end_s = time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end_s:
        began_s = time.perf_counter()
        work()
        times.append(time.perf_counter() - began_s)
    return min(times)


def matrix_peak(device: str, dtype: torch.dtype, seconds: float) -> float:
    """Floating-point operations a second of a large square product."""
    size = PEAK_SIZE[device]
    left, right = (torch.randn(size, size, dtype=dtype, device=device) for _ in range(2))

    def multiply() -> None:
        torch.mm(left, right)
        _finish(device)

    return 2 * size**3 / best_s(multiply, seconds)


def served_network(bundle: Path, variant: str) -> ServedNetwork:
    """What a variant's graph computes, in torch."""
    net = read_wave_net(bundle)
    network = read_trained(bundle).network(factorised=variant.startswith("factorised"))
    return ServedNetwork(network, TwelveLeadHead(net) if net else None).eval()


@torch.no_grad()
def operations(network: ServedNetwork) -> int:
    """Floating-point operations for one window, products and convolutions."""
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, len(SPEC.leads), SPEC.samples))
    return int(counter.get_total_flops())


def compiled(network: ServedNetwork, device: str, dtype: torch.dtype) -> Run:
    """Torch's own fastest form of the network, from the host's memory and back."""
    fast = torch.compile(network.to(device, dtype), mode="reduce-overhead" if device == "cuda" else "default")

    def run(windows: Array) -> object:
        with torch.no_grad():
            ecg = torch.from_numpy(windows)
            ecg = ecg.pin_memory().to(device, non_blocking=True) if device == "cuda" else ecg
            return [one.cpu().numpy() for one in fast(ecg.to(dtype))]

    return run


def why_not(run: Run) -> str:
    """Why a compiled network cannot run on this machine; empty where it can."""
    try:
        run(np.zeros((1, len(SPEC.leads), SPEC.samples), np.float32))
    except Exception as error:  # noqa: BLE001 - a compiler, a driver or a cache: the engine is measured all the same
        return type(error).__name__
    return ""


def rows(run: Run, torch_run: Run | None, *, largest: int, seconds: float) -> Iterator[Row]:
    """Every bucket up to the largest."""
    for count in buckets_of(largest):
        windows = np.random.default_rng(count).normal(0, 0.3, (count, len(SPEC.leads), SPEC.samples)).astype(np.float32)
        engine_s = best_s(partial(run, windows), seconds)
        torch_s = best_s(partial(torch_run, windows), seconds) if torch_run else None
        yield Row(count, count / engine_s, count / torch_s if torch_s else None)


def table(measured: list[Row], flops: int, peak: float) -> Iterator[str]:
    """The rows in Markdown."""
    yield "| Windows | ECG/s | of the matrix peak | torch compiled, ECG/s | engine over torch |"
    yield "|---:|---:|---:|---:|---:|"
    for row in measured:
        beside = (f"{row.compiled:.1f}", f"{row.engine / row.compiled:.2f}") if row.compiled else ("", "")
        cells = (str(row.windows), f"{row.engine:.1f}", f"{row.engine * flops / peak:.1%}", *beside)
        yield f"| {' | '.join(cells)} |"


def _finish(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def _measured(bundle: Path, options: argparse.Namespace) -> Iterator[str]:
    engine = OnnxEngine(
        read_bundle(bundle), variant=options.variant, device=options.device, card=Card(largest=options.largest)
    )
    on = "cpu" if engine.device == "cpu" else "cuda"
    dtype = torch.float16 if engine.variant.endswith("fp16") else torch.float32
    network = served_network(bundle, engine.variant)
    flops, peak = operations(network), matrix_peak(on, dtype, options.seconds)
    name = torch.cuda.get_device_name() if on == "cuda" else machine()
    yield f"{name}; {bundle.name}, {engine.variant} on {engine.device}; {flops / 1e9:.2f} GFLOP an ECG"
    yield f"matrix peak {peak / 1e12:.2f} TFLOP/s in {str(dtype).removeprefix('torch.')}; torch {torch.__version__}"
    torch_run = compiled(network, on, dtype) if options.compile else None
    if torch_run and (reason := why_not(torch_run)):
        yield f"torch does not compile here: {reason}"
        torch_run = None
    measured = rows(engine.run, torch_run, largest=options.largest, seconds=options.seconds)
    yield from ("", *table(list(measured), flops, peak))


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, help="a bundle; else an untrained one of --size")
    parser.add_argument("--size", default="base", help="nano, tiny, small or base")
    parser.add_argument("--device", default="cuda", help="cuda, tensorrt or cpu")
    parser.add_argument("--variant", help="graph of the bundle")
    parser.add_argument("--largest", type=int, default=256, help="most windows of a batch")
    parser.add_argument("--seconds", type=float, default=3.0, help="for each figure")
    parser.add_argument("--no-compile", dest="compile", action="store_false", help="without torch")
    options = parser.parse_args()
    if options.device == "cpu":
        torch.set_num_threads(1)
    with TemporaryDirectory() as beside:
        variants = ("masked-fp32", options.variant or ("factorised-fp32" if options.device == "cpu" else "masked-fp16"))
        bundle = options.bundle or write_untrained(Path(beside) / options.size, options.size, variants)
        for line in _measured(bundle, options):
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())

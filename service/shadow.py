"""A second bundle that is scored beside the one that answers, to be compared with it; it never answers.

It lives in a process of its own, on the CPU and behind every other in line for it: whatever it does, crashes included,
no answer waits for it.
"""

import logging
import multiprocessing
import os
import queue
import random
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from model.bundle import Bundle, read_bundle
from model.engine import OnnxEngine, Outputs
from model.errors import BundleError, EcgError
from model.reader import Prepared
from model.reading.findings import Finding, findings
from service.soundness import require_numerics

WAITING = 4
"""Most ECGs that wait for the shadow; further ones are dropped."""

START_S = 120.0
"""Longest that the process may take to load and prove the bundle."""

SCORE_S = 60.0
"""Longest that it may take for one ECG before it is given up."""

DIFFERENCES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
LEAST_NICE = 19
PRESENT = {(True, True): "both", (True, False): "live", (False, True): "shadow", (False, False): "neither"}

Array = npt.NDArray[np.float32]

_log = logging.getLogger(__name__)


class ShadowMetrics:
    """How well the shadow agrees; every label is of a closed set."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.ecgs = Counter(
            "ecg_shadow_ecgs",
            "ECGs drawn for the shadow bundle, by what came of them.",
            ("outcome",),
            registry=registry,
        )
        self.findings = Counter(
            "ecg_shadow_findings",
            "Statements by which of the two bundles found them present.",
            ("key", "present"),
            registry=registry,
        )
        self.difference = Histogram(
            "ecg_shadow_probability_difference",
            "Difference of the probabilities that live and shadow bundle give one statement.",
            buckets=DIFFERENCES,
            registry=registry,
        )
        self.info = Gauge(
            "ecg_shadow_info", "The bundle in the shadow.", ("name", "version", "sha256", "variant"), registry=registry
        )

    def show(self, bundle: Bundle, variant: str) -> None:
        """Name the bundle in the shadow from now on."""
        self.info.clear()
        self.info.labels(bundle.manifest.name, bundle.manifest.version, bundle.sha256, variant).set(1)
        for outcome in ("scored", "dropped", "failed"):
            self.ecgs.labels(outcome)


@dataclass(frozen=True)
class Sampling:
    """Which ECGs the shadow sees.

    Attributes:
        share: chance of each.
        busy: whether ECGs wait for the bundle that answers; then the shadow's are dropped.
    """

    share: float
    busy: Callable[[], bool]


def open_shadow(live: Bundle, folder: Path | None, sampling: Sampling, metrics: ShadowMetrics) -> "Shadow | None":
    """The bundle in the shadow, where one is wanted; one that is not sound is told of, and harms nobody."""
    metrics.info.clear()
    if folder is None:
        return None
    try:
        return Shadow(live, folder, sampling, metrics)
    except EcgError as error:
        _log.error("no bundle is compared with the one that answers: %s", error.detail)
        return None


class Shadow:
    """Compares a share of the ECGs once they are answered, and only while nobody waits.

    Args:
        live: the bundle that answers.
        folder: of the bundle that is compared with it.
        sampling: which ECGs.
        metrics: is told how well the two agree.

    Raises:
        BundleError: it cannot be compared: it is not sound, or takes another input.
    """

    def __init__(self, live: Bundle, folder: Path, sampling: Sampling, metrics: ShadowMetrics) -> None:
        self._live = live
        self._bundle = read_bundle(folder)
        if self._bundle.manifest.spec_sha256 != live.manifest.spec_sha256:
            raise BundleError("the shadow bundle takes another input than the one that answers")
        self._sampling = sampling
        self._metrics = metrics
        self._waiting: queue.Queue[tuple[Array, Outputs]] = queue.Queue(WAITING)
        self._pipe, self._process = _spawned(folder)
        metrics.show(self._bundle, self._begun())
        threading.Thread(target=self._work, daemon=True, name="shadow").start()

    def offer(self, prepared: Prepared, outputs: Outputs) -> None:
        """Perhaps compare an ECG that has been answered; returns at once, and raises nothing."""
        if prepared.quality.verdict == "unusable" or random.random() >= self._sampling.share:  # noqa: S311 - a sample
            return
        with suppress(queue.Full):
            if not self._sampling.busy():
                self._waiting.put_nowait((prepared.windows.signal_mv, outputs))
                return
        self._metrics.ecgs.labels("dropped").inc()

    @property
    def lost(self) -> bool:
        """Whether the process has ended; the next reload makes a new one."""
        return not self._process.is_alive()

    def close(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.join()
        self._pipe.close()

    def _begun(self) -> str:
        """The variant that runs, once the process has proved it."""
        try:
            if not self._pipe.poll(START_S):
                raise TimeoutError
            began = self._pipe.recv()
        except (OSError, EOFError) as error:
            self.close()
            raise BundleError(f"the process of the shadow bundle failed: {type(error).__name__}") from None
        if isinstance(began, EcgError):
            self.close()
            raise began
        return str(began)

    def _work(self) -> None:
        """The life of the thread that feeds the process, until the process ends."""
        while not self.lost:
            with suppress(queue.Empty):
                self._take(*self._waiting.get(timeout=1.0))

    def _take(self, windows: Array, outputs: Outputs) -> None:
        try:
            self._compare(windows, outputs)
        except Exception as error:  # noqa: BLE001 - whatever it is, the next ECG must be compared
            self._metrics.ecgs.labels("failed").inc()
            _log.warning("an ECG could not be compared with the shadow bundle: %s", type(error).__name__)
            if isinstance(error, TimeoutError):
                self._process.kill()

    def _compare(self, windows: Array, outputs: Outputs) -> None:
        if self._sampling.busy():
            self._metrics.ecgs.labels("dropped").inc()
            return
        self._pipe.send(windows)
        if not self._pipe.poll(SCORE_S):
            raise TimeoutError
        logits = self._pipe.recv()
        if isinstance(logits, EcgError):
            raise logits
        ours, theirs = _findings(self._live, outputs.logits), _findings(self._bundle, logits)
        for key in ours.keys() & theirs.keys():
            self._tell(ours[key], theirs[key])
        self._metrics.ecgs.labels("scored").inc()

    def _tell(self, ours: Finding, theirs: Finding) -> None:
        self._metrics.findings.labels(ours.statement.key, PRESENT[ours.present, theirs.present]).inc()
        self._metrics.difference.observe(abs(ours.probability - theirs.probability))


def _findings(bundle: Bundle, logits: Array) -> dict[str, Finding]:
    return {one.statement.key: one for one in findings(logits, bundle.statements, bundle.calibrations)}


def _spawned(folder: Path) -> tuple["Connection[Any, Any]", multiprocessing.process.BaseProcess]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, folder), daemon=True, name="ecg-shadow")
    process.start()
    theirs.close()
    return ours, process


def _serve(pipe: "Connection[Any, Any]", folder: Path) -> None:
    """The life of the process: a variant's name, then logits for windows, or an error, until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(LEAST_NICE)
    with suppress(EOFError, OSError):
        try:
            bundle = read_bundle(folder)
            engine = OnnxEngine(bundle, device="cpu")
            require_numerics(engine, bundle)
        except EcgError as error:
            pipe.send(error)
            return
        pipe.send(engine.variant)
        while True:
            windows = pipe.recv()
            try:
                pipe.send(np.concatenate([engine.run(window[None]).logits for window in windows]))
            except EcgError as error:
                pipe.send(error)

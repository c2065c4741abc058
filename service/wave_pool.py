"""The classical delineator in processes of its own: bounded, warmed, each replaced when it crashes or hangs.

neurokit2 holds the interpreter for tens of milliseconds an ECG and brings 200 MB of imports; neither belongs in the
process that answers requests.
"""

import logging
import multiprocessing
import queue
import signal
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import ClassVar

import numpy as np

from model.engine import Outputs
from model.errors import EcgError
from model.reader import Prepared
from model.reading.second_opinion import delineate
from model.reading.waves import Waves
from model.signal.recording import Recording

WARM_UP_S = 120.0
"""Longest that a new process may take to import and to delineate for the first time."""

_log = logging.getLogger(__name__)


class DelineationError(EcgError):
    """The waves of an ECG could not be found: its process crashed, hung, or none was free in time."""

    code: ClassVar[str] = "delineation_failed"


class WavePool:
    """Processes that delineate; `delineate` is a `model.reader.Delineator` and may be called from many threads.

    Args:
        processes: how many.
        timeout_s: longest wait for a process, and longest delineation.

    Raises:
        DelineationError: the system has no room for so many; none is left behind.
    """

    def __init__(self, *, processes: int, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._free: queue.Queue[_Worker] = queue.Queue()
        self._workers: list[_Worker] = []
        try:
            for _ in range(processes):
                self._workers.append(_Worker())
                self._free.put(self._workers[-1])
        except OSError as error:
            self.close()
            raise DelineationError(f"no process for delineation could be started: {type(error).__name__}") from None

    @property
    def processes(self) -> tuple[int, ...]:
        """Their ids."""
        return tuple(worker.pid for worker in self._workers)

    def warm(self) -> None:
        """Wait until every process has delineated once; raises DelineationError when one cannot."""
        for worker in self._workers:
            worker.ask(_heartless(), self._timeout_s)

    def delineate(self, prepared: Prepared, outputs: Outputs) -> Waves:
        """Waves of a prepared recording; raises DelineationError."""
        del outputs
        return self.classical(prepared.recording)

    def classical(self, recording: Recording) -> Waves:
        """Waves of a recording; raises DelineationError."""
        try:
            worker = self._free.get(timeout=self._timeout_s)
        except queue.Empty:
            raise DelineationError("no process for delineation was free in time") from None
        try:
            return worker.ask(recording, self._timeout_s)
        finally:
            self._free.put(worker)

    def close(self) -> None:
        """End every process."""
        for worker in self._workers:
            worker.end()


class _Worker:
    """One process and the pipe to it; used by one thread at a time."""

    def __init__(self) -> None:
        self._pipe, self._process = _spawned()
        self._warm = False
        self._ended = False

    @property
    def pid(self) -> int:
        return self._process.pid or 0

    def ask(self, recording: Recording, timeout_s: float) -> Waves:
        try:
            self._pipe.send(recording)
            if not self._pipe.poll(timeout_s if self._warm else max(timeout_s, WARM_UP_S)):
                raise TimeoutError
            answer: Waves | str = self._pipe.recv()
        except (OSError, EOFError) as error:
            self._replace(type(error).__name__)
            raise DelineationError("the process for delineation failed") from None
        self._warm = True
        if isinstance(answer, str):
            raise DelineationError(f"delineation failed: {answer}")
        return answer

    def end(self) -> None:
        """Kill the process for good; whoever waits for it is told so."""
        self._ended = True
        self._kill()

    def _replace(self, reason: str) -> None:
        if self._ended:
            return
        self._kill()
        self._warm = False
        try:
            self._pipe, self._process = _spawned()
        except OSError as error:  # the next ECG tries again
            reason = f"{reason}; no other could be started: {type(error).__name__}"
        _log.warning("a process for delineation was replaced: %s", reason)

    def _kill(self) -> None:
        self._process.kill()
        self._process.join()
        self._pipe.close()


def _spawned() -> tuple["Connection[Recording, Waves | str]", multiprocessing.process.BaseProcess]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs,), daemon=True, name="ecg-waves")
    process.start()
    theirs.close()
    return ours, process


def _serve(pipe: "Connection[Waves | str, Recording]") -> None:
    """The life of one process: recordings in, waves or the name of an exception out, until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(EOFError, OSError):
        while True:
            recording = pipe.recv()
            try:
                pipe.send(delineate(recording))
            except Exception as error:  # noqa: BLE001 - whatever it is, the next recording must be served
                pipe.send(type(error).__name__)


def _heartless() -> Recording:
    """Ten seconds of seeded noise: enough to import and run everything once."""
    noise = np.random.default_rng(0).normal(0, 0.1, (1, 5000))
    return Recording(noise.astype(np.float32), 500.0, ("II",))

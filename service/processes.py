"""Processes that each do one kind of work, one call at a time; one that crashes or hangs is replaced.

The interpreter runs one thread at a time, so what takes milliseconds of it belongs elsewhere when there are many cores.
"""

import logging
import multiprocessing
import queue
import signal
import socket
import struct
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Generic, TypeVar

Asked = TypeVar("Asked")
Said = TypeVar("Said")

Work = Callable[[Asked], Said]

STILL_S = 30
"""Longest that a pipe may stand still while something is on its way through it: its other end has been stopped."""

WARM_UP_S = 120.0
"""Longest that a new process may take to import, and to work for the first time."""

_log = logging.getLogger(__name__)


class ProcessError(Exception):
    """There is no result; the text says why and holds nothing of what was asked."""


class UnstartedError(ProcessError):
    """The system has no room for a process."""


class BusyError(ProcessError):
    """No process was free in time."""


class LostError(ProcessError):
    """The process ended, and another has taken its place."""


class HungError(LostError):
    """It did not end by itself: what was asked took too long."""


class FaultError(ProcessError):
    """The work raised something; type and place are known, and its text stays where it was."""


@dataclass(frozen=True)
class _Fault:
    said: str


class Processes(Generic[Asked, Said]):
    """So many processes; may be asked from many threads.

    Args:
        make: called once in each process, gives what does its work; can be pickled, as all that is asked and said.
        processes: how many.
        timeout_s: longest wait for a process, and longest work.
        name: of the processes.

    Raises:
        UnstartedError: the system has no room for so many; none is left behind.
    """

    def __init__(self, make: Callable[[], Work[Asked, Said]], *, processes: int, timeout_s: float, name: str) -> None:
        self._timeout_s = timeout_s
        self._free: queue.Queue[_Worker] = queue.Queue()
        self._workers: list[_Worker] = []
        try:
            for _ in range(processes):
                self._workers.append(_Worker(make, name))
                self._free.put(self._workers[-1])
        except OSError as error:
            self.close()
            raise UnstartedError(f"no process could be started: {type(error).__name__}") from None

    @property
    def pids(self) -> tuple[int, ...]:
        """Their ids."""
        return tuple(worker.pid for worker in self._workers)

    def warm(self, asked: Asked) -> None:
        """Have every process work once, before others ask; raises ProcessError where one cannot."""
        for worker in self._workers:
            worker.ask(asked, self._timeout_s)

    def ask(self, asked: Asked) -> Said:
        """What a process that is free says.

        Raises:
            BusyError, LostError, HungError, FaultError: as they say.
        """
        try:
            worker = self._free.get(timeout=self._timeout_s)
        except queue.Empty:
            raise BusyError("no process was free in time") from None
        try:
            said: Said = worker.ask(asked, self._timeout_s)
        finally:
            self._free.put(worker)
        return said

    def close(self) -> None:
        """End every process."""
        for worker in self._workers:
            worker.end()


class _Worker:
    """One process and the pipe to it; used by one thread at a time."""

    def __init__(self, make: Callable[[], Work[Any, Any]], name: str) -> None:
        self._make = make
        self._name = name
        self._pipe, self._process = self._spawned()
        self._warm = False
        self._ended = False

    @property
    def pid(self) -> int:
        return self._process.pid or 0

    def ask(self, asked: object, timeout_s: float) -> Any:
        try:
            said = self._exchanged(asked, timeout_s if self._warm else max(timeout_s, WARM_UP_S))
        except HungError:
            self._replace("it took too long")
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, what is left in the pipe is not the next one's answer
            self._replace(type(error).__name__)
            raise LostError("the process was lost") from None
        self._warm = True
        if isinstance(said, _Fault):
            raise FaultError(said.said)
        return said

    def _exchanged(self, asked: object, timeout_s: float) -> object:
        self._pipe.send(asked)
        if not self._pipe.poll(timeout_s):
            raise HungError("the work took too long")
        return self._pipe.recv()

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
            self._pipe, self._process = self._spawned()
        except OSError as error:  # who asks next tries again
            reason = f"{reason}; no other could be started: {type(error).__name__}"
        _log.warning("a process %s was replaced: %s", self._name, reason)

    def _kill(self) -> None:
        self._process.kill()
        self._process.join()
        self._pipe.close()

    def _spawned(self) -> tuple["Connection[Any, Any]", multiprocessing.process.BaseProcess]:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        _bound(ours)
        process = context.Process(target=_serve, args=(theirs, self._make), daemon=True, name=self._name)
        process.start()
        theirs.close()
        return ours, process


def _bound(pipe: "Connection[Any, Any]") -> None:
    """Let no thread wait for ever in the middle of sending or receiving; pipes of this module know of no time."""
    with socket.fromfd(pipe.fileno(), socket.AF_UNIX, socket.SOCK_STREAM) as same:
        for way in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
            same.setsockopt(socket.SOL_SOCKET, way, struct.pack("ll", STILL_S, 0))


def _serve(pipe: "Connection[Any, Any]", make: Callable[[], Work[Any, Any]]) -> None:
    """The life of one process, until the pipe closes: a signal to the whole service is for the one that drains."""
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, signal.SIG_IGN)
    logging.disable()  # what went wrong is said by the result; parsers' own words hold bytes of what was asked
    work = make()
    with suppress(EOFError, OSError):
        while True:
            asked = pipe.recv()
            try:
                pipe.send(work(asked))
            except Exception as error:  # noqa: BLE001 - whatever it is, the next who asks must be served
                pipe.send(_Fault(_place(error)))


def _place(error: Exception) -> str:
    """Type and innermost place, such as `ValueError at model/reader.py:81`."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} at {frames[-1].filename}:{frames[-1].lineno}" if frames else type(error).__name__

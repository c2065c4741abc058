"""Many ECGs through one source, so many at a time: each with its answer or why there is none, in the order given."""

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from model.errors import EcgError, EngineError
from model.reader import Part
from service.settings import Settings, usable_cores
from service.sources import Here, Server, Source

AHEAD = 4
"""ECGs for each job that may be ahead of the one that is to be said next."""

SERVER_JOBS = 4
"""Asked of a server at a time, where nobody says how many."""


@dataclass(frozen=True)
class Where:
    """Where answers come from.

    Attributes:
        url: of a server; None answers here.
        key: API key for the server.
        patience_s: how long an ECG is offered anew to a server that is busy.
        bundle: folder to answer here; None takes the one of the settings, or the one that ships.
        settings: say which device and variant.
    """

    url: str | None
    key: str | None
    patience_s: float
    bundle: Path | None
    settings: Settings

    def open(self) -> Source:
        """The source; raises BundleError, EngineError and SettingsError where there is none that runs."""
        return Server(self.url, self.key, self.patience_s) if self.url else Here(self.bundle, self.settings)


@dataclass(frozen=True)
class Problem:
    """Why an ECG has no answer.

    Attributes:
        code: stable.
        detail: in words.
    """

    code: str
    detail: str


Answer = bytes | Problem
"""JSON as `service.schemas.AnswerBody` describes it, or why there is none."""

Ask = Callable[[Path], Answer]


def answers(where: Where, paths: Iterable[Path], parts: frozenset[Part], jobs: int) -> Iterator[tuple[Path, Answer]]:
    """Every path with its answer, in order.

    Args:
        where: answers come from.
        paths: of ECGs.
        parts: of the answer.
        jobs: ECGs at a time: requests to a server, or processes here; 0 takes `SERVER_JOBS`, or one a usable core.

    Raises:
        BundleError, EngineError, SettingsError: nothing can be answered at all.
    """
    jobs = jobs or (SERVER_JOBS if where.url else usable_cores())
    with _asking(where, parts, jobs) as (executor, ask):
        waiting: deque[tuple[Path, Future[Answer]]] = deque()
        for path in paths:
            waiting.append((path, executor.submit(ask, path)))
            if len(waiting) >= AHEAD * jobs:
                yield _settled(*waiting.popleft())
        while waiting:
            yield _settled(*waiting.popleft())


def _settled(path: Path, answer: Future[Answer]) -> tuple[Path, Answer]:
    try:
        return path, answer.result()
    except BrokenProcessPool:
        raise EngineError("a process that answers has ended") from None


@contextmanager
def _asking(where: Where, parts: frozenset[Part], jobs: int) -> Iterator[tuple[Executor, Ask]]:
    """Workers, and what they are to do: threads around one source, or processes with a source each."""
    if where.url or jobs == 1:
        with closing(where.open()) as source, _ended(ThreadPoolExecutor(jobs)) as threads:
            yield threads, partial(_answer, source, parts)
        return
    where.open().close()  # what is wrong with the bundle is said once, and not by every process
    context = multiprocessing.get_context("spawn")
    with _ended(ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin, initargs=(where,))) as processes:
        yield processes, partial(_answer_here, parts)


@contextmanager
def _ended(executor: Executor) -> Iterator[Executor]:
    """Drops what has not begun, whatever happens."""
    try:
        yield executor
    finally:
        executor.shutdown(cancel_futures=True)


def _answer(source: Source, parts: frozenset[Part], path: Path) -> Answer:
    try:
        return source.answer(path, parts)
    except EcgError as error:
        return Problem(getattr(error, "reason", error.code), error.detail)
    except OSError as error:
        return Problem("unreadable_file", f"the file cannot be read: {error.strerror or type(error).__name__}")


_here: list[Source] = []
"""The source of a process that answers; filled once, when it starts."""


def _begin(where: Where) -> None:
    _here.append(where.open())


def _answer_here(parts: frozenset[Part], path: Path) -> Answer:
    return _answer(_here[0], parts, path)

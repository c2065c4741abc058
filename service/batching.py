"""A bounded queue and micro-batches in front of the engine; a full queue raises Overloaded.

All state belongs to the event loop, so nothing here needs a lock; only `engine.run` leaves it, into a worker thread.
A recording's windows keep their own place in the outputs: what comes back is cut by the rows that were put in, and a
batch whose outputs have another number of rows fails whole.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from model.engine import Engine, Outputs
from model.errors import EngineError
from service.errors import NotReadyError, Overloaded

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class BatchLimits:
    """What the queue holds and how batches are cut.

    Attributes:
        lanes: batches that run at once.
        windows: most windows in one batch.
        wait_s: how long an incomplete batch waits for company.
        queue_ecgs: most ECGs that wait.
        queue_age_s: an ECG that would wait longer is refused.
    """

    lanes: int = 1
    windows: int = 1
    wait_s: float = 0.0
    queue_ecgs: int = 64
    queue_age_s: float = 10.0


@dataclass(frozen=True)
class BatchRun:
    """What one batch took, for the metrics: its windows, seconds on the engine, and how long each new ECG waited."""

    windows: int
    seconds: float
    waits_s: tuple[float, ...]


@dataclass(eq=False)
class _Entry:
    """One ECG in the queue: `taken` windows are on the engine or done, `outputs` holds each piece by its first row."""

    windows: Array
    answer: asyncio.Future[Outputs]
    since_s: float
    taken: int = 0
    outputs: dict[int, Outputs] = field(default_factory=dict)

    @property
    def left(self) -> int:
        return len(self.windows) - self.taken


@dataclass(frozen=True)
class _Piece:
    """Consecutive windows of one ECG in one batch."""

    entry: _Entry
    first: int
    last: int


class Batcher:
    """Puts the windows of many callers on one engine.

    Args:
        engine: runs a batch; called from `limits.lanes` threads at once.
        executor: the threads; at least one a lane.
        limits: bounds.
        observe: told of every batch that ran.
    """

    def __init__(
        self,
        engine: Engine,
        executor: Executor,
        limits: BatchLimits,
        observe: Callable[[BatchRun], None] = lambda _: None,
    ) -> None:
        self._engine = engine
        self._executor = executor
        self._limits = limits
        self._observe = observe
        self._waiting: deque[_Entry] = deque()
        self._unanswered: set[_Entry] = set()
        self._arrived = asyncio.Condition()
        self._window_s = 0.0
        self._closing = False
        self._lanes: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to run batches, on the running event loop."""
        self._lanes = [asyncio.create_task(self._serve(), name=f"lane-{lane}") for lane in range(self._limits.lanes)]

    async def close(self, timeout_s: float | None = None) -> None:
        """Accept nothing more and answer what was accepted; what is left after `timeout_s` gets NotReadyError."""
        self._closing = True
        async with self._arrived:
            self._arrived.notify_all()
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*self._lanes), timeout_s)
        for entry in tuple(self._unanswered):
            self._refuse(entry, NotReadyError("the service stopped before this ECG's turn"))

    @property
    def depth(self) -> int:
        """ECGs that wait for the engine."""
        return len(self._waiting)

    @property
    def age_s(self) -> float:
        """How long the oldest of them has waited."""
        return max((time.monotonic() - one.since_s for one in self._waiting), default=0.0)

    @property
    def wait_s(self) -> float:
        """How long an ECG that arrives now will wait, from the rate at which windows drain."""
        return self._windows_waiting() * self._window_s / self._limits.lanes

    async def run(self, windows: Array) -> Outputs:
        """Outputs of one ECG's windows, one row each, in order.

        Cancelling the caller takes its ECG out of the queue.

        Raises:
            Overloaded: the queue is full, or its wait is too long.
            NotReadyError: the queue is closing.
            EngineError: the batch failed.
        """
        self._admit()
        entry = _Entry(windows, asyncio.get_running_loop().create_future(), time.monotonic())
        self._waiting.append(entry)
        self._unanswered.add(entry)
        try:
            async with self._arrived:
                self._arrived.notify()
            return await entry.answer
        finally:
            self._drop(entry)

    def _admit(self) -> None:
        if self._closing or not self._lanes:
            raise NotReadyError("the queue is not open")
        wait_s = self.wait_s
        retry_after_s = max(1, math.ceil(wait_s))
        if self.depth >= self._limits.queue_ecgs:
            raise Overloaded(f"{self._limits.queue_ecgs} ECGs are waiting", retry_after_s)
        if max(wait_s, self.age_s) > self._limits.queue_age_s:
            raise Overloaded(f"the wait is longer than {self._limits.queue_age_s:g} s", retry_after_s)

    async def _serve(self) -> None:
        while await self._work_or_end():
            if self._limits.wait_s and self._windows_waiting() < self._limits.windows:
                await asyncio.sleep(self._limits.wait_s)
            if batch := self._take():
                await self._run(batch)

    async def _work_or_end(self) -> bool:
        """Wait for windows; False when the queue is closing and empty."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: self._waiting or self._closing)
            return bool(self._waiting)

    def _windows_waiting(self) -> int:
        return sum(one.left for one in self._waiting)

    def _take(self) -> list[_Piece]:
        """Windows for one batch, oldest ECG first; one that needs further batches goes to the back, for fairness."""
        batch: list[_Piece] = []
        room = self._limits.windows
        while room and self._waiting:
            entry = self._waiting.popleft()
            count = min(room, entry.left)
            batch.append(_Piece(entry, entry.taken, entry.taken + count))
            entry.taken += count
            room -= count
            if entry.left:
                self._waiting.append(entry)
                break
        return batch

    async def _run(self, batch: list[_Piece]) -> None:
        loop = asyncio.get_running_loop()
        began_s = time.monotonic()
        windows = _joined(batch)
        try:
            outputs = await loop.run_in_executor(self._executor, self._engine.run, windows)
            _require_rows(outputs, len(windows))
        except Exception as error:  # noqa: BLE001 - whatever an engine raises belongs to this batch's callers alone
            self._fail(batch, error)
            return
        seconds = time.monotonic() - began_s
        self._window_s += (seconds / len(windows) - self._window_s) * (0.1 if self._window_s else 1.0)
        _deliver(batch, outputs)
        waits_s = tuple(began_s - piece.entry.since_s for piece in batch if piece.first == 0)
        self._observe(BatchRun(len(windows), seconds, waits_s))

    def _fail(self, batch: list[_Piece], error: Exception) -> None:
        told = error if isinstance(error, EngineError) else EngineError(f"inference failed: {type(error).__name__}")
        for piece in batch:
            self._refuse(piece.entry, told)

    def _refuse(self, entry: _Entry, error: Exception) -> None:
        self._drop(entry)
        if not entry.answer.done():
            entry.answer.set_exception(error)

    def _drop(self, entry: _Entry) -> None:
        self._unanswered.discard(entry)
        # Not `remove` and its ValueError, whose text would hold the whole signal and cost a millisecond to write.
        if entry in self._waiting:
            self._waiting.remove(entry)


def _joined(batch: list[_Piece]) -> Array:
    pieces = [piece.entry.windows[piece.first : piece.last] for piece in batch]
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


def _require_rows(outputs: Outputs, rows: int) -> None:
    arrays = [outputs.logits, outputs.embedding, *outputs.waves.values()]
    if any(len(values) != rows for values in arrays):
        raise EngineError(f"the network answered {len(outputs.logits)} windows of {rows}")


def _deliver(batch: list[_Piece], outputs: Outputs) -> None:
    row = 0
    for piece in batch:
        count = piece.last - piece.first
        piece.entry.outputs[piece.first] = outputs[row : row + count]
        row += count
        _finish(piece.entry)


def _finish(entry: _Entry) -> None:
    """Answer an ECG whose windows have all come back."""
    got = sum(len(piece.logits) for piece in entry.outputs.values())
    if got < len(entry.windows) or entry.answer.done():
        return
    pieces = [entry.outputs[first] for first in sorted(entry.outputs)]
    entry.answer.set_result(pieces[0] if len(pieces) == 1 else _stacked(pieces))


def _stacked(pieces: list[Outputs]) -> Outputs:
    return Outputs(
        np.concatenate([one.logits for one in pieces]),
        np.concatenate([one.embedding for one in pieces]),
        {name: np.concatenate([one.waves[name] for one in pieces]) for name in pieces[0].waves},
    )

"""A bounded queue and micro-batches in front of the engine; a full queue raises Overloaded.

All state belongs to the event loop, so nothing here needs a lock; only what a lane does with a batch leaves it, into a
worker thread (`service/lane.py`). A recording's windows keep their own place in the outputs: what comes back is cut by
the rows that were put in, and outputs with another number of rows are nobody's. A batch that fails is run again ECG by
ECG, so that none fails by its neighbours.
"""

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from model.engine import Engine, Outputs
from model.errors import EngineError
from service.errors import NotReadyError, Overloaded
from service.lane import BatchRun, Lane
from service.pieces import Array, Entry, Outcome, Piece, Read, Then, nothing
from service.telemetry import LOGGER
from service.threads import Threads
from service.turns import PRIORITIES, Claim, Line, Priority, room_for

ANYBODY = Claim()

LOST_AFTER = 5
"""Times the longest run that every lane may be stuck before nobody believes any more that one will come back."""

_log = logging.getLogger(LOGGER)


@dataclass(frozen=True)
class BatchLimits:
    """What the queue holds and how batches are cut.

    Attributes:
        lanes: batches that run at once.
        windows: most windows in one batch.
        wait_s: how long the oldest ECG of an incomplete batch waits for company; an urgent one does not wait.
        queue_ecgs: most single ECGs that wait, and most of batches.
        queue_age_s: a single ECG that would wait longer is refused, and so is one that has.
        run_timeout_s: a batch that runs longer is given up.
    """

    lanes: int = 1
    windows: int = 1
    wait_s: float = 0.0
    queue_ecgs: int = 64
    queue_age_s: float = 10.0
    run_timeout_s: float = 60.0


class Batcher:
    """Puts the windows of many callers on one engine.

    Args:
        engine: runs a batch; called from `limits.lanes` threads at once.
        threads: of the lanes; at least one each.
        limits: bounds.
        observe: told of every batch that ran, in the thread of its lane.
    """

    def __init__(
        self,
        engine: Engine,
        threads: Threads,
        limits: BatchLimits,
        observe: Callable[[BatchRun], None] = lambda _: None,
    ) -> None:
        self._lane = Lane(engine, observe)
        self._threads = threads
        self._limits = limits
        self._line: Line[Entry] = Line(overdue_s=limits.queue_age_s / 2)
        self._windows: dict[Priority, int] = dict.fromkeys(PRIORITIES, 0)
        self._unanswered: set[Entry] = set()
        self._idle_lanes: deque[asyncio.Future[None]] = deque()
        self._window_s = 0.0
        self._given_up: set[asyncio.Future[list[Outcome]]] = set()
        self._hung_since_s = 0.0
        self._closing = False
        self._lanes: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to run batches, on the running event loop."""
        self._lanes = [asyncio.create_task(self._serve(), name=f"lane-{lane}") for lane in range(self._limits.lanes)]

    async def close(self, timeout_s: float | None = None) -> None:
        """Accept nothing more and answer what was accepted; what is left after `timeout_s` gets NotReadyError."""
        self._closing = True
        for _ in range(len(self._idle_lanes)):
            self._wake()
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*self._lanes), timeout_s)
        for entry in tuple(self._unanswered):
            self._refuse(entry, NotReadyError("the service stopped before this ECG's turn"))

    @property
    def hung(self) -> bool:
        """Whether every lane waits for a batch that was given up, so that nothing can be answered."""
        return len(self._given_up) >= self._limits.lanes

    @property
    def lost(self) -> bool:
        """Whether it has hung for so long that only a new process will help."""
        return self.hung and time.monotonic() - self._hung_since_s > LOST_AFTER * self._limits.run_timeout_s

    def __len__(self) -> int:
        return len(self._line)

    def depth(self, priority: Priority) -> int:
        """ECGs of a priority that wait for the engine."""
        return self._line.depth(priority)

    def age_s(self, priority: Priority) -> float:
        """How long the oldest of them has waited."""
        return self._line.age_s(priority)

    async def run(self, windows: Array | Read, claim: Claim = ANYBODY, then: Then = nothing) -> Outputs:
        """Outputs of one ECG's windows, one row each, in order.

        Cancelling the caller takes its ECG out of the queue.

        Args:
            windows: float32 (window, lead, sample), or what reads them in the thread of a lane when its turn has come.
            claim: its place in the order.
            then: goes on with the ECG in the thread that ran its windows, unless several runs had them.

        Raises:
            Overloaded: the queue is full, or its wait is or became too long.
            NotReadyError: the queue is closing.
            EngineError: the batch failed, or took too long, or what it answered is not finite.
            Exception: of what reads the windows, and of `then`.
        """
        self.require(claim)
        loop = asyncio.get_running_loop()
        entry = Entry(windows, claim, then, loop.create_future(), time.monotonic())
        if entry.left > 1:
            self._require_soon(claim, entry.left)
        self._join(entry)
        self._unanswered.add(entry)
        expiry = None if claim.priority == "batch" else loop.call_later(self._limits.queue_age_s, self._expire, entry)
        try:
            return await entry.answer
        finally:
            self._drop(entry)
            if expiry:
                expiry.cancel()

    def require(self, claim: Claim) -> None:
        """Refuse as `run` would, before anything is done for an ECG.

        Raises:
            Overloaded, NotReadyError, EngineError: as `run` says.
        """
        if self._closing or not self._lanes:
            raise NotReadyError("the service is starting or stopping")
        if self.hung:
            raise EngineError("the model does not answer")
        many = claim.priority == "batch"
        alike = self.depth("batch") if many else self.depth("stat") + self.depth("routine")
        if alike >= room_for(claim.priority, self._limits.queue_ecgs):
            wait_s = self._lanes_need_s(self._windows_waiting(claim.priority))
            raise Overloaded("too many ECGs wait for the model", max(1, math.ceil(wait_s)))
        self._require_soon(claim)

    def _require_soon(self, claim: Claim, rest: int = 0) -> None:
        """Refuse an ECG that comes now, or has so many windows left, where it would wait too long; a batch's waits."""
        longest_s = self._limits.queue_age_s
        if claim.priority == "batch" or self._lanes_need_s(self._windows_waiting(claim.priority)) <= longest_s:
            return
        wait_s = self._lanes_need_s(self._windows_before(claim, rest))
        if wait_s > longest_s:
            raise Overloaded(f"the wait for the model is longer than {longest_s:g} s", max(1, math.ceil(wait_s)))

    def _lanes_need_s(self, windows: int) -> float:
        """How long the lanes are busy with so many, from the rate at which windows drain."""
        return windows * self._window_s / self._limits.lanes

    def _windows_before(self, claim: Claim, rest: int) -> int:
        """Windows that go before the next of an ECG, or before its last.

        All of what is more urgent, and of each caller as many as there are turns to wait for: callers take turns, and
        so do the ECGs of one, so that a short one waits for one window of each long one and not for all.
        """
        callers = self._line.callers(claim.priority)
        own = callers.get(claim.caller, ())
        turns = rest + sum(one.left for one in own) if rest else 1 + len(own)
        more_urgent = self._windows_waiting(claim.priority) - self._windows[claim.priority]
        return more_urgent + sum(min(turns, sum(one.left for one in each)) for each in callers.values())

    def _windows_waiting(self, priority: Priority = "batch") -> int:
        """Windows that wait with at least a priority."""
        waiting = 0
        for one in PRIORITIES:
            waiting += self._windows[one]
            if one == priority:
                break
        return waiting

    def _expire(self, entry: Entry) -> None:
        if not entry.taken:
            self._refuse(
                entry, Overloaded(f"the model was not free for this ECG within {self._limits.queue_age_s:g} s")
            )

    async def _serve(self) -> None:
        while await self._work_or_end():
            await self._wait_for_company()
            if batch := self._take():
                await self._run(batch)

    async def _work_or_end(self) -> bool:
        """Wait for windows; False when the queue is closing and empty."""
        while not self._line and not self._closing:
            await self._news()
        return bool(self._line)

    async def _wait_for_company(self) -> None:
        """Let an incomplete batch fill up, until its deadline."""
        while self._line and self._windows_waiting() < self._limits.windows:
            left_s = self._line.oldest_s() + self._limits.wait_s - time.monotonic()
            if left_s <= 0 or self._closing or self.depth("stat"):
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await self._news()

    async def _news(self) -> None:
        """Wait until an ECG arrives or the queue closes."""
        news: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._idle_lanes.append(news)
        await news

    def _wake(self) -> None:
        """Tell one lane that waits, if any does."""
        while self._idle_lanes:
            news = self._idle_lanes.popleft()
            if not news.done():
                news.set_result(None)
                return

    def _take(self) -> list[Piece]:
        """Windows for one batch; an ECG that needs further batches waits for another turn, for fairness."""
        batch: list[Piece] = []
        room = self._limits.windows
        while room and (entry := self._line.take()) is not None:
            self._windows[entry.claim.priority] -= entry.left
            if entry.answer.done():
                continue
            batch.append(entry.cut(room))
            room -= batch[-1].last - batch[-1].first
            if entry.left:
                self._join(entry)
                break
        return batch

    async def _run(self, batch: list[Piece]) -> None:
        began_s = time.monotonic()
        loop = asyncio.get_running_loop()

        def tell_more(entry: Entry) -> None:
            loop.call_soon_threadsafe(self._join_rest, entry)

        try:
            outcomes = await self._until(self._threads.hand(partial(self._lane.work, batch, tell_more)), batch)
        except Exception as error:  # noqa: BLE001 - whatever an engine raises belongs to this batch's callers alone
            await self._run_apart(batch, error)
            return
        self._learn(began_s, batch, outcomes)
        for piece, outcome in zip(batch, outcomes, strict=True):
            piece.settle(outcome)

    async def _run_apart(self, batch: list[Piece], error: Exception) -> None:
        """Run the ECGs of a batch that failed one by one, so that none fails by its neighbours."""
        if len(batch) == 1:
            self._fail(batch, error)
            return
        for piece in batch:
            if not piece.entry.answer.done():
                await self._run([piece])

    async def _until(self, running: asyncio.Future[list[Outcome]], batch: list[Piece]) -> list[Outcome]:
        """Wait for a batch; one that takes too long is given up, and its lane goes on when its thread comes back."""
        late = asyncio.get_running_loop().call_later(self._limits.run_timeout_s, self._give_up, running, batch)
        try:
            return await running
        finally:
            late.cancel()
            self._given_up.discard(running)

    def _give_up(self, running: asyncio.Future[list[Outcome]], batch: list[Piece]) -> None:
        self._given_up.add(running)
        self._fail(batch, EngineError(f"the model did not answer within {self._limits.run_timeout_s:g} s"))
        if self.hung:  # nobody waits for a network that may never come back
            self._hung_since_s = time.monotonic()
            for entry in tuple(self._unanswered):
                self._refuse(entry, EngineError("the model does not answer"))

    def _learn(self, began_s: float, batch: list[Piece], outcomes: list[Outcome]) -> None:
        """How long a window keeps a lane, from a batch that ran."""
        windows = sum(len(piece) for piece, told in zip(batch, outcomes, strict=True) if isinstance(told, Outputs))
        if windows:
            seconds = (time.monotonic() - began_s) / windows
            self._window_s += (seconds - self._window_s) * (0.1 if self._window_s else 1.0)

    def _fail(self, batch: list[Piece], error: Exception) -> None:
        told = error if isinstance(error, EngineError) else EngineError(f"inference failed: {type(error).__name__}")
        _log.error("a batch failed", exc_info=error, extra={"fields": {"reason": told.detail}})
        for piece in batch:
            self._refuse(piece.entry, told)

    def _refuse(self, entry: Entry, error: Exception) -> None:
        self._drop(entry)
        entry.refuse(error)

    def _join_rest(self, entry: Entry) -> None:
        """Put an ECG that turned out to be long back in line for the rest of its windows, or refuse it."""
        if entry.answer.done():
            return
        try:
            self._require_soon(entry.claim, entry.left)
        except Overloaded as error:
            self._refuse(entry, error)
        else:
            self._join(entry)

    def _join(self, entry: Entry) -> None:
        self._line.join(entry, entry.claim)
        self._windows[entry.claim.priority] += entry.left
        self._wake()

    def _drop(self, entry: Entry) -> None:
        self._unanswered.discard(entry)
        if entry in self._line:
            self._windows[entry.claim.priority] -= entry.left
            self._line.leave(entry)

"""Threads that take their work by turns, so that nothing urgent waits in a thread pool's own queue."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any, Generic, TypeVar, TypeVarTuple, Unpack

from service.errors import NotReadyError
from service.turns import Claim, Turns

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

OVERDUE_S = 1.0
"""What a thread does takes milliseconds; who has waited this long for it gets every other turn."""


@dataclass(frozen=True, eq=False)
class _Handed(Generic[T]):
    """Work for a thread, and who is told on which event loop."""

    work: Callable[[], T]
    done: "asyncio.Future[T]"
    loop: asyncio.AbstractEventLoop
    finished: Callable[[], None]

    def do(self) -> None:
        try:
            result = self.work()
        except BaseException as error:  # noqa: BLE001 - whatever it is, it belongs to whoever waits
            self.tell(self.done.set_exception, error)
        else:
            self.tell(self.done.set_result, result)

    def tell(self, settle: Callable[[Any], None], outcome: object) -> None:
        with suppress(RuntimeError):  # the event loop has ended, and nobody waits
            self.loop.call_soon_threadsafe(self._settle, settle, outcome)

    def _settle(self, settle: Callable[[Any], None], outcome: object) -> None:
        self.finished()
        if not self.done.done():
            settle(outcome)

    def drop(self) -> None:
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self.done.cancel)


class Threads:
    """So many threads that do what an event loop hands them, in the order in which it comes.

    Without the futures of `concurrent.futures`, which have a lock and a condition each and are chained to those of
    asyncio: they are half of what it costs to hand a millisecond's work to a thread.

    Args:
        threads: how many.
        name: of the threads.
    """

    def __init__(self, threads: int, name: str) -> None:
        self._handed: SimpleQueue[_Handed[Any] | None] = SimpleQueue()
        self._handing = Lock()
        self._closed = False
        self._threads = [Thread(target=self._work, name=f"{name}_{one}", daemon=True) for one in range(threads)]
        for thread in self._threads:
            thread.start()

    def hand(self, work: Callable[[], T], finished: Callable[[], None] = lambda: None) -> "asyncio.Future[T]":
        """The result of the work to come; cancelling it stops no thread.

        Args:
            work: called in a thread.
            finished: called on the event loop once the thread is free again, whether anybody waits or not.

        Raises:
            NotReadyError: the threads have ended.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        with self._handing:
            if self._closed:
                raise NotReadyError("the service is stopping")
            self._handed.put(_Handed(work, done, loop, finished))
        return done

    def close(self, *, wait: bool = True) -> None:
        """Let what runs end, waiting for it or not, and drop what has not begun."""
        with self._handing:
            self._closed = True
            with suppress(Empty):
                while handed := self._handed.get_nowait():
                    handed.drop()
            for _ in self._threads:
                self._handed.put(None)
        for thread in self._threads if wait else ():
            thread.join()

    def _work(self) -> None:
        while handed := self._handed.get():
            handed.do()
            del handed  # or it would be held until the next comes


class Pool:
    """So many threads; what waits for one is in line, and who leaves is taken out of it.

    Args:
        threads: how many.
        name: of the threads.
    """

    def __init__(self, threads: int, name: str) -> None:
        self._threads = Threads(threads, name)
        self._turns = Turns(threads, OVERDUE_S)

    async def run(self, claim: Claim, work: Callable[[Unpack[Ts]], T], *args: *Ts) -> T:
        """The result of the work, done in a thread when its turn comes.

        Raises:
            NotReadyError: the threads have ended.
        """
        await self._turns.take(claim)
        noted = partial(copy_context().run, work, *args)  # so that what is noted in the thread is noted for the request
        try:
            running = self._threads.hand(noted, finished=self._turns.give_back)
        except NotReadyError:
            self._turns.give_back()
            raise
        return await running  # a thread cannot be stopped, and its place is free only when it has finished

    def close(self) -> None:
        """Let what runs end, and drop what has not begun."""
        self._threads.close()

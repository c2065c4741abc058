"""Threads that take their work by turns, so that nothing urgent waits in a thread pool's own queue."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import ParamSpec, TypeVar

from service.errors import NotReadyError
from service.turns import Claim, Turns

P = ParamSpec("P")
T = TypeVar("T")

OVERDUE_S = 1.0
"""What a thread does takes milliseconds; who has waited this long for it gets every other turn."""


class Pool:
    """So many threads; what waits for one is in line, and who leaves is taken out of it.

    Args:
        threads: how many.
        name: of the threads.
    """

    def __init__(self, threads: int, name: str) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._turns = Turns(threads, OVERDUE_S)

    async def run(self, claim: Claim, work: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
        """The result of the work, done in a thread when its turn comes.

        Raises:
            NotReadyError: the threads have ended.
        """
        await self._turns.take(claim)
        context = copy_context()  # so that what is noted in the thread is noted for the request
        try:
            running = asyncio.wrap_future(self._executor.submit(lambda: context.run(work, *args, **named)))
        except RuntimeError:
            self._turns.give_back()
            raise NotReadyError("the service is stopping") from None
        running.add_done_callback(self._finished)
        # Shielded: a thread cannot be stopped, and its place is free only when it has finished.
        return await asyncio.shield(running)

    def close(self) -> None:
        """Let what runs end, and drop what has not begun."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _finished(self, running: "asyncio.Future[T]") -> None:
        self._turns.give_back()
        if not running.cancelled():
            running.exception()  # looked at, or asyncio would log that of somebody who left

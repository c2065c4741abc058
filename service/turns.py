"""Whose turn it is: urgent before routine, callers in rotation, and nobody left waiting for ever."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar, get_args

T = TypeVar("T")

Priority = Literal["stat", "routine", "batch"]
PRIORITIES: tuple[Priority, ...] = get_args(Priority)
"""Most urgent first; the ECGs of a batch stand behind single ones."""

STAT_RESERVE = 8
"""One place in so many is kept for urgent ECGs."""


@dataclass(frozen=True)
class Claim:
    """What an ECG's turn depends on.

    Attributes:
        priority: how urgent it is.
        caller: whose it is; callers of one priority take turns.
    """

    priority: Priority = "routine"
    caller: str = ""


def room_for(priority: Priority, places: int) -> int:
    """Places of so many that a priority may fill: the reserve is for stat alone."""
    return places if priority == "stat" else places - places // STAT_RESERVE


@dataclass(frozen=True)
class _Place:
    claim: Claim
    since_s: float


class Line(Generic[T]):
    """What waits, in the order of its turns; by identity, so whatever stands in it must be hashable.

    The most urgent priority goes first, and within it each caller in rotation, each caller's own in order of arrival.
    Who has waited longer than `overdue_s` is overdue: every other turn goes to the oldest of those, whatever its
    priority, so that urgent ECGs keep at least half of the turns and no other waits for ever.

    Args:
        overdue_s: longest wait before that.
        clock: seconds that only grow.
    """

    def __init__(self, overdue_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._overdue_s = overdue_s
        self._clock = clock
        self._places: dict[T, _Place] = {}
        self._waiting: dict[Priority, OrderedDict[str, dict[T, None]]] = {name: OrderedDict() for name in PRIORITIES}
        self._depths: dict[Priority, int] = dict.fromkeys(PRIORITIES, 0)
        self._favoured = False

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, one: T) -> bool:
        return one in self._places

    def depth(self, priority: Priority) -> int:
        """How many of a priority wait."""
        return self._depths[priority]

    def callers(self, priority: Priority) -> Mapping[str, Collection[T]]:
        """What waits of a priority, by caller."""
        return self._waiting[priority]

    def age_s(self, priority: Priority) -> float:
        """How long the oldest of a priority has waited."""
        since = (place.since_s for place in self._places.values() if place.claim.priority == priority)
        first = next(since, None)
        return 0.0 if first is None else self._clock() - first

    def oldest_s(self) -> float:
        """Since when the oldest has waited; only where something waits."""
        return next(iter(self._places.values())).since_s

    def join(self, one: T, claim: Claim) -> None:
        """Stand at the end of the caller's own."""
        self._places[one] = _Place(claim, self._clock())
        self._waiting[claim.priority].setdefault(claim.caller, {})[one] = None
        self._depths[claim.priority] += 1

    def leave(self, one: T) -> None:
        """Give up the place; nothing where there is none."""
        place = self._places.pop(one, None)
        if place is None:
            return
        self._depths[place.claim.priority] -= 1
        callers = self._waiting[place.claim.priority]
        own = callers[place.claim.caller]
        del own[one]
        if not own:
            del callers[place.claim.caller]

    def take(self) -> T | None:
        """Whose turn it is, taken out; None where nobody waits."""
        if not self._places:
            return None
        overdue = None if self._favoured else self._oldest_overdue()
        self._favoured = overdue is not None
        one = self._most_urgent() if overdue is None else overdue
        claim = self._places[one].claim
        self.leave(one)
        if claim.caller in self._waiting[claim.priority]:
            self._waiting[claim.priority].move_to_end(claim.caller)
        return one

    def _oldest_overdue(self) -> T | None:
        one, place = next(iter(self._places.items()))
        return one if self._clock() - place.since_s > self._overdue_s else None

    def _most_urgent(self) -> T:
        callers = next(callers for callers in self._waiting.values() if callers)
        return next(iter(next(iter(callers.values()))))


class Turns:
    """So many places at once, given in the order of a Line.

    Args:
        places: how many.
        overdue_s: as of the Line.
    """

    def __init__(self, places: int, overdue_s: float) -> None:
        self._free = places
        self._line: Line[asyncio.Future[None]] = Line(overdue_s)

    @asynccontextmanager
    async def turn(self, claim: Claim) -> AsyncIterator[None]:
        """Wait for a place and hold it."""
        await self.take(claim)
        try:
            yield
        finally:
            self.give_back()

    async def take(self, claim: Claim) -> None:
        """Wait for a place; who is cancelled meanwhile holds none."""
        if self._free:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.join(turn, claim)
        try:
            await turn
        except asyncio.CancelledError:
            self._line.leave(turn)
            if not turn.cancelled():
                self.give_back()
            raise

    def give_back(self) -> None:
        """Pass a place on to whose turn it is."""
        while (turn := self._line.take()) is not None:
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

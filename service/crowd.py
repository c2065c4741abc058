"""How many connections there are, and who gives way to the next when there are too many."""

from itertools import islice
from typing import Protocol

RESERVE = 32
"""Connections beyond the most, taken while all others are owed an answer: for probes and metrics, not for ECGs."""


LOOKS = 16
"""How many are looked at for one that has sent nothing new, when another comes; a burst brings thousands at once."""


class Guest(Protocol):
    """A connection."""

    def is_asking(self) -> bool:
        """Whether something came from it that nobody has read yet."""

    def let_go(self) -> None:
        """End it, at once."""


class Crowd:
    """The connections of one service, those that are owed nothing in the order since when.

    Owed nothing is who has not sent a whole head, or has been answered; whose request has come and was not read yet is
    left alone, so that nothing is lost that was asked for.

    Args:
        most: connections at once.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._all: set[Guest] = set()
        self._idle: dict[Guest, None] = {}

    def __len__(self) -> int:
        return len(self._all)

    def enter(self, guest: Guest) -> bool:
        """Let a connection in, and another go where there are too many.

        Returns:
            Whether there is room for it; where there is none it may ask how the service does, and no more.
        """
        self._all.add(guest)
        if len(self._all) > self._most and (silent := self._silent()):
            self._end(silent)
        self._idle[guest] = None
        if len(self._all) > self._most + RESERVE:
            self._end(guest)
        return len(self._all) <= self._most

    def await_answer(self, guest: Guest) -> None:
        """It has asked for something."""
        self._idle.pop(guest, None)

    def was_answered(self, guest: Guest) -> None:
        """It is owed nothing any more."""
        if guest in self._all:
            self._idle[guest] = None

    def leave(self, guest: Guest) -> None:
        """It has ended."""
        self._all.discard(guest)
        self._idle.pop(guest, None)

    def _silent(self) -> Guest | None:
        """Who has been owed nothing for longest and is not asking; who is goes behind the others."""
        for guest in tuple(islice(self._idle, LOOKS)):
            if not guest.is_asking():
                return guest
            self._idle[guest] = self._idle.pop(guest)
        return None

    def _end(self, guest: Guest) -> None:
        self.leave(guest)
        guest.let_go()

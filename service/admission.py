"""How much work is in the service, and whose: a permit for each ECG before its body is read, or a refusal."""

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from service.allowance import Allowance
from service.errors import NotReadyError, Overloaded, TooManyRequestsError
from service.turns import Claim, room_for

RATE_OVER = 32
"""Finished ECGs from which the drain rate is taken."""

SHARE = 4
"""A caller may hold up to so many times the room that is left, of ECGs and of bytes: alone four fifths of it all, and
of n callers each 4 / (4 n + 1), so that there is room for the next one (dynamic thresholds: Choudhury and Hahne 1998,
doi:10.1109/90.664262)."""

BATCH_RESERVE = 8
"""One byte in so many is kept from batches, which hold theirs for minutes: for single ECGs, whoever sends them."""

LONGEST_RETRY_S = 120


class Admission:
    """Counts the ECGs and bytes that are being answered, and what each caller has of them.

    Args:
        ecgs: most ECGs at once; an eighth of them, and of the bytes, is kept for urgent ones.
        body_bytes: most bytes of their bodies at once, of which batches leave another eighth to single ECGs.
        caller_ecgs: most ECGs of one caller at once; 0 for as many as the share allows.
        caller_rate: most ECGs of one caller a minute; 0 for any number.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        *,
        ecgs: int,
        body_bytes: int,
        caller_ecgs: int = 0,
        caller_rate: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most_ecgs = ecgs
        self._most_bytes = body_bytes
        self._caller_ecgs = caller_ecgs
        self._allowance = Allowance(caller_rate, clock) if caller_rate else None
        self._clock = clock
        self._bytes = 0
        self._held: Counter[str] = Counter()
        self._held_bytes: Counter[tuple[str, bool]] = Counter()
        self._drain = _DrainRate(clock)
        self._closed = False

    @property
    def ecgs(self) -> int:
        """ECGs that hold a permit."""
        return self._held.total()

    def close(self) -> None:
        """Refuse everything from now on."""
        self._closed = True

    @contextmanager
    def permit(self, body_bytes: int, claim: Claim) -> Iterator[None]:
        """Hold room for one ECG whose body is at most `body_bytes` long.

        Raises:
            Overloaded: there is no room, or what is left of it is for other callers.
            TooManyRequestsError: the caller has or had as many ECGs as one may.
            NotReadyError: the service is stopping.
        """
        self.require(body_bytes, claim)
        if self._allowance:
            self._allowance.spend(claim.caller)
        if not self._held:
            self._drain.begin()
        self._held[claim.caller] += 1
        self._held_bytes[_kind(claim)] += body_bytes
        self._bytes += body_bytes
        try:
            yield
        finally:
            self._held[claim.caller] -= 1
            if not self._held[claim.caller]:
                del self._held[claim.caller]
            self._held_bytes[_kind(claim)] -= body_bytes
            if not self._held_bytes[_kind(claim)]:
                del self._held_bytes[_kind(claim)]
            self._bytes -= body_bytes
            self._drain.finish()

    def pace_s(self, caller: str) -> float:
        """Spend the caller's allowance of one ECG; how long to wait before it is worked on."""
        return self._allowance.spend(caller) if self._allowance else 0.0

    def require(self, body_bytes: int, claim: Claim) -> None:
        """Refuse as `permit` would."""
        if self._closed:
            raise NotReadyError("the service is stopping")
        self._require_room(body_bytes, claim)
        held = self._held[claim.caller]
        if self._caller_ecgs and held >= self._caller_ecgs:
            raise TooManyRequestsError(
                f"{held} ECGs of this caller are being answered, its most at once", self._drain.seconds(held)
            )
        wait_s = self._allowance.wait_s(claim.caller) if self._allowance else 0.0
        if wait_s > 0:
            raise TooManyRequestsError("this caller has sent as many ECGs as it may in a minute", math.ceil(wait_s))

    def _require_room(self, body_bytes: int, claim: Claim) -> None:
        room = room_for(claim.priority, self._most_ecgs) - self.ecgs
        if room <= 0:
            raise Overloaded(
                f"{self.ecgs} ECGs are being answered, and there is room for no more", self._drain.seconds(self.ecgs)
            )
        held = self._held[claim.caller]
        if held >= SHARE * room:
            raise Overloaded(
                f"{held} ECGs of this caller are being answered; the room left is for others", self._drain.seconds(held)
            )
        reserve = self._most_bytes // BATCH_RESERVE if claim.priority == "batch" else 0
        room = room_for(claim.priority, self._most_bytes) - reserve - self._bytes
        if self.ecgs and body_bytes > room:
            raise Overloaded(
                "the ECGs that are being answered leave no room for so many bytes", self._drain.seconds(self.ecgs)
            )
        if self._held_bytes[_kind(claim)] > SHARE * room:
            raise Overloaded("the room that this caller's bytes leave is for others", self._drain.seconds(held))


def _kind(claim: Claim) -> tuple[str, bool]:
    """Whose bytes, and whether of batches: those do not shut out single ECGs of the same caller."""
    return claim.caller, claim.priority == "batch"


class _DrainRate:
    """How fast ECGs are answered while there are any: seconds between two answers, over the last ones."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._marked_s = clock()
        self._gaps_s: deque[float] = deque(maxlen=RATE_OVER)

    def begin(self) -> None:
        """The service has something to do again; the time without does not count."""
        self._marked_s = self._clock()

    def finish(self) -> None:
        """An ECG has been answered."""
        now_s = self._clock()
        self._gaps_s.append(now_s - self._marked_s)
        self._marked_s = now_s

    def seconds(self, ecgs: int) -> int:
        """Whole seconds, at least one, until so many have been answered."""
        gap_s = sum(self._gaps_s) / len(self._gaps_s) if self._gaps_s else 0.0
        return min(LONGEST_RETRY_S, max(1, math.ceil(ecgs * gap_s)))

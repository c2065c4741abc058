"""How many ECGs a minute each caller may send: an allowance of a minute's worth that refills evenly."""

import time
from collections import OrderedDict
from collections.abc import Callable

MINUTE_S = 60.0
MOST_CALLERS = 10_000
"""Callers that are remembered; beyond it the one is forgotten who has sent nothing for longest."""


class Allowance:
    """The generic cell rate algorithm: for each caller the moment at which the allowance is whole again, no more.

    Args:
        per_minute: ECGs a minute.
        clock: seconds that only grow.
    """

    def __init__(self, per_minute: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._gap_s = MINUTE_S / per_minute
        self._burst_s = max(0.0, MINUTE_S - self._gap_s)
        self._clock = clock
        self._whole_s: OrderedDict[str, float] = OrderedDict()

    def wait_s(self, caller: str) -> float:
        """Seconds until the caller may send another; 0 for at once."""
        return max(0.0, self._whole_s.get(caller, 0.0) - self._burst_s - self._clock())

    def spend(self, caller: str) -> float:
        """Take one ECG from the allowance; seconds until it may be worked on."""
        wait_s = self.wait_s(caller)
        self._whole_s[caller] = max(self._clock(), self._whole_s.get(caller, 0.0)) + self._gap_s
        self._whole_s.move_to_end(caller)
        if len(self._whole_s) > MOST_CALLERS:
            self._whole_s.popitem(last=False)
        return wait_s

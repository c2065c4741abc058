"""What no body may do to a decoder, measured body by body."""

import resource
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from model.signal.recording import Recording

MAX_S, MAX_BYTES = 0.25, 64 * 2**20
MAXRSS_BYTES = 1 if sys.platform == "darwin" else 1024
_CLEAR = Path("/proc/self/clear_refs")

Ecgs = Callable[[bytes], Iterator[Recording | None]]
"""A decoder: the ECGs of a body one after another, None for each that an EcgError refused."""


@dataclass(frozen=True)
class Cost:
    """What a body took.

    Attributes:
        seconds: of CPU, for the ECG that took longest; a batch is read ECG by ECG, and each is an answer of its own.
        held_bytes: by which the process grew at its height.
    """

    seconds: float
    held_bytes: int


def hold(ecgs: Ecgs, body: bytes) -> Cost:
    """Decode one body; raises AssertionError unless recordings or EcgErrors come, in time and in little memory."""
    _forget_peak()
    before, longest_s, began_s = _peak_bytes(), 0.0, time.process_time()
    for recording in chain(ecgs(body), (None,)):  # so that the end is timed too
        longest_s = max(longest_s, time.process_time() - began_s)
        if recording is not None:
            assert np.isfinite(recording.signal_mv).all()
            assert 100 <= recording.sampling_hz <= 2000
        began_s = time.process_time()
    cost = Cost(longest_s, _peak_bytes() - before)
    assert cost.seconds < MAX_S, "a body took too long"
    assert cost.held_bytes < MAX_BYTES, "a body took too much memory"
    return cost


def _forget_peak() -> None:
    """Or the peak of one body would hide the next, up to the same height; only Linux can forget it."""
    if _CLEAR.exists():
        _CLEAR.write_bytes(b"5")


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_BYTES

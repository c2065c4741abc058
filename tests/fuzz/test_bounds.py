"""A decoder that does what none may is found out, whatever bodies came before."""

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from model.errors import EcgError, MalformedError
from model.signal.recording import Recording
from tests.fuzz.bounds import MAX_BYTES, MAX_S, Ecgs, hold
from tests.fuzz.targets import TARGETS

only_linux = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux forgets a peak")


def holding(size: int) -> Ecgs:
    """Fills so much memory for each body."""

    def ecgs(_: bytes) -> Iterator[Recording | None]:
        bytearray(b"\1") * size
        yield None

    return ecgs


def working(seconds: float, *, then: Exception | None = None, ecgs: int = 1) -> Ecgs:
    """Works so long for each ECG."""

    def slow(_: bytes) -> Iterator[Recording | None]:
        for _ecg in range(ecgs):
            end_s = time.process_time() + seconds
            while time.process_time() < end_s:
                pass
            if then:
                with suppress(EcgError):
                    raise then
            yield None

    return slow


@only_linux
def test_too_much_memory_is_seen_behind_a_body_that_took_almost_as_much() -> None:
    almost = hold(holding(MAX_BYTES * 3 // 4), b"")
    assert MAX_BYTES / 2 < almost.held_bytes < MAX_BYTES
    with pytest.raises(AssertionError, match="memory"):
        hold(holding(MAX_BYTES * 5 // 4), b"")


@pytest.mark.parametrize("then", [None, MalformedError("no")])
def test_too_much_time_is_seen_whether_it_ends_in_an_answer_or_a_refusal(then: Exception | None) -> None:
    with pytest.raises(AssertionError, match="long"):
        hold(working(MAX_S * 1.2, then=then), b"")


def test_the_ecgs_of_a_batch_take_their_time_each() -> None:
    cost = hold(working(MAX_S * 0.4, ecgs=4), b"")
    assert MAX_S * 0.4 <= cost.seconds < MAX_S


@pytest.mark.parametrize("error", [ValueError("what was sent"), KeyError("x"), MemoryError()])
def test_other_errors_than_ours_are_let_through(error: Exception) -> None:
    with pytest.raises(type(error)):
        hold(working(0.0, then=error), b"")


@pytest.mark.parametrize("name", TARGETS)
def test_bodies_to_start_from_are_read(name: str) -> None:
    target = TARGETS[name]
    read = [sum(one is not None for one in target.ecgs(body)) for body in target.bodies]
    assert read == ([2, 2, 2, 1] if name == "batch" else [1] * len(target.bodies))

"""Permits before work: bounded, shared between callers, and with a time to come back that can be believed."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.admission import LONGEST_RETRY_S, Admission
from service.errors import NotReadyError, Overloaded, TooManyRequestsError
from service.turns import PRIORITIES, Claim, Priority, room_for

ANN = Claim(caller="ann")
BOB = Claim(caller="bob")


class Clock:
    """Time that is told when to pass."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@contextmanager
def holding(admission: Admission, claim: Claim, ecgs: int) -> Iterator[None]:
    with ExitStack() as held:
        for _ in range(ecgs):
            held.enter_context(admission.permit(0, claim))
        yield


def as_many_as_fit(admission: Admission, claim: Claim, held: ExitStack) -> int:
    """How many permits a caller gets until it is refused."""
    count = 0
    while True:
        try:
            held.enter_context(admission.permit(0, claim))
        except Overloaded:
            return count
        count += 1


def test_no_more_ecgs_than_there_is_room_for() -> None:
    admission = Admission(ecgs=2, body_bytes=100)
    with admission.permit(10, ANN), admission.permit(10, ANN):
        with pytest.raises(Overloaded) as refused, admission.permit(10, BOB):
            pass
        assert refused.value.retry_after_s == 1
        assert admission.ecgs == 2
    with admission.permit(10, ANN):
        assert admission.ecgs == 1


def test_no_more_bytes_than_there_is_room_for_but_one_body_always() -> None:
    admission = Admission(ecgs=9, body_bytes=800)
    with admission.permit(5000, ANN), pytest.raises(Overloaded), admission.permit(1, ANN):
        pass
    with admission.permit(500, ANN), admission.permit(200, ANN):
        with pytest.raises(Overloaded), admission.permit(100, BOB):
            pass
        with admission.permit(100, Claim("stat", "bob")):
            pass


def test_batches_that_fill_their_room_leave_some_to_single_ecgs_of_anybody() -> None:
    admission = Admission(ecgs=64, body_bytes=800)
    batch = Claim("batch", "ann")
    with admission.permit(300, batch), admission.permit(300, batch):
        with pytest.raises(Overloaded), admission.permit(1, Claim("batch", "bob")):
            pass
        with admission.permit(50, ANN), admission.permit(50, BOB), pytest.raises(Overloaded), admission.permit(1, BOB):
            pass
    with admission.permit(5000, batch):
        assert admission.ecgs == 1, "one body is always taken"


def test_large_bodies_of_one_caller_leave_room_for_those_of_the_next() -> None:
    admission = Admission(ecgs=64, body_bytes=800)
    with ExitStack() as held:
        for _ in range(6):
            held.enter_context(admission.permit(100, ANN))
        with pytest.raises(Overloaded), admission.permit(100, ANN):
            pass
        with admission.permit(100, BOB):
            assert admission.ecgs == 7
    with admission.permit(800, ANN):
        assert admission.ecgs == 1


def test_a_full_service_still_takes_urgent_ones() -> None:
    admission = Admission(ecgs=16, body_bytes=100)
    with ExitStack() as held:
        for caller in "abcdefgh":
            as_many_as_fit(admission, Claim("routine", caller), held)
        assert admission.ecgs == 14
        with pytest.raises(Overloaded), admission.permit(0, Claim("batch", "new")):
            pass
        with admission.permit(0, Claim("stat", "new")):
            assert admission.ecgs == 15


def test_one_caller_alone_leaves_room_for_the_next_and_they_for_a_third() -> None:
    admission = Admission(ecgs=64, body_bytes=100)
    with ExitStack() as held:
        assert [as_many_as_fit(admission, Claim("routine", caller), held) for caller in "abc"] == [45, 9, 2]


def test_callers_who_come_and_go_get_equal_shares_in_the_end() -> None:
    """Each asks again whenever one of its own is answered; the shares settle whoever came first."""
    admission = Admission(ecgs=64, body_bytes=100)
    held: dict[str, list[ExitStack]] = {name: [] for name in "ab"}

    def ask(name: str) -> None:
        stack = ExitStack()
        try:
            stack.enter_context(admission.permit(0, Claim("routine", name)))
        except Overloaded:
            return
        held[name].append(stack)

    for _ in range(100):
        ask("a")
    for _ in range(300):
        longest = max(held.values(), key=len)
        longest.pop(0).close()
        ask("a")
        ask("b")
    assert abs(len(held["a"]) - len(held["b"])) <= 2
    for stack in [*held["a"], *held["b"]]:
        stack.close()


def test_a_callers_own_bound_is_a_429() -> None:
    admission = Admission(ecgs=64, body_bytes=100, caller_ecgs=3)
    with holding(admission, ANN, 3):
        with pytest.raises(TooManyRequestsError) as refused, admission.permit(0, ANN):
            pass
        assert refused.value.retry_after_s >= 1
        with admission.permit(0, BOB):
            pass
    with admission.permit(0, ANN):
        pass


def test_a_callers_rate_is_a_minutes_worth_that_refills_evenly() -> None:
    clock = Clock()
    admission = Admission(ecgs=64, body_bytes=100, caller_rate=30, clock=clock)
    for _ in range(30):
        with admission.permit(0, ANN):
            pass
    with pytest.raises(TooManyRequestsError) as refused, admission.permit(0, ANN):
        pass
    assert refused.value.retry_after_s == 2
    with admission.permit(0, BOB):
        pass
    clock.now_s += 2
    with admission.permit(0, ANN):
        pass
    with pytest.raises(TooManyRequestsError), admission.permit(0, ANN):
        pass


def test_the_ecgs_of_a_batch_are_paced_and_not_refused() -> None:
    admission = Admission(ecgs=64, body_bytes=100, caller_rate=30, clock=Clock())
    assert [admission.pace_s("ann") for _ in range(33)] == [0] * 30 + [2, 4, 6]
    assert Admission(ecgs=64, body_bytes=100).pace_s("ann") == 0


def test_the_time_to_retry_follows_the_drain_rate_and_not_the_time_of_rest() -> None:
    clock = Clock()
    admission = Admission(ecgs=30, body_bytes=100, clock=clock)
    for _ in range(3):
        clock.now_s += 3600
        with admission.permit(0, ANN):
            clock.now_s += 0.1
    with ExitStack() as held:
        for caller in "abcdefghijkl":
            as_many_as_fit(admission, Claim("routine", caller), held)
        assert admission.ecgs == 27
        with pytest.raises(Overloaded) as refused, admission.permit(0, ANN):
            pass
    assert refused.value.retry_after_s == 3


def test_the_time_to_retry_is_never_longer_than_anybody_would_wait() -> None:
    clock = Clock()
    admission = Admission(ecgs=1, body_bytes=100, clock=clock)
    with admission.permit(0, ANN):
        clock.now_s += 9999
    with admission.permit(0, ANN), pytest.raises(Overloaded) as refused, admission.permit(0, BOB):
        pass
    assert refused.value.retry_after_s == LONGEST_RETRY_S


def test_a_permit_comes_back_when_the_work_fails() -> None:
    admission = Admission(ecgs=1, body_bytes=100)
    with pytest.raises(ValueError, match="work"), admission.permit(0, ANN):
        raise ValueError("work")
    assert admission.ecgs == 0


def test_a_closed_service_admits_nothing() -> None:
    admission = Admission(ecgs=1, body_bytes=100)
    admission.close()
    with pytest.raises(NotReadyError), admission.permit(0, ANN):
        pass


ASKED = st.tuples(st.sampled_from(PRIORITIES), st.sampled_from("abcd"), st.integers(0, 60), st.integers(0, 3))


@given(st.integers(1, 40), st.lists(ASKED, max_size=120))
def test_no_bound_is_ever_exceeded_and_every_permit_comes_back(
    ecgs: int, asked: list[tuple[Priority, str, int, int]]
) -> None:
    admission = Admission(ecgs=ecgs, body_bytes=200, caller_ecgs=7)
    held: list[tuple[ExitStack, str, int]] = []
    for priority, caller, size, finished in asked:
        for stack, _, _ in held[:finished]:
            stack.close()
        del held[:finished]
        stack = ExitStack()
        try:
            stack.enter_context(admission.permit(size, Claim(priority, caller)))
        except (Overloaded, TooManyRequestsError):
            continue
        assert len(held) < room_for(priority, ecgs)
        held.append((stack, caller, size))
        assert admission.ecgs == len(held) <= ecgs
        assert len(held) == 1 or sum(size for _, _, size in held) <= 200
        assert sum(other == caller for _, other, _ in held) <= 7
    for stack, _, _ in held:
        stack.close()
    assert admission.ecgs == 0
    with admission.permit(200, ANN):
        assert admission.ecgs == 1

"""The order of turns: urgent first, callers in rotation, nobody for ever, and nothing lost or twice."""

import asyncio
from collections import Counter

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from service.turns import PRIORITIES, Claim, Line, Priority, Turns, room_for

OVERDUE_S = 10.0


class Clock:
    """Time that is told when to pass."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def everything(line: Line[str]) -> list[str]:
    taken = []
    while (one := line.take()) is not None:
        taken.append(one)
    return taken


def test_urgent_before_routine_before_batches() -> None:
    line: Line[str] = Line(OVERDUE_S)
    for number, priority in enumerate(("batch", "routine", "stat", "batch", "routine", "stat")):
        line.join(f"{priority} {number}", Claim(priority))  # type: ignore[arg-type]
    assert everything(line) == ["stat 2", "stat 5", "routine 1", "routine 4", "batch 0", "batch 3"]


def test_a_thousand_of_one_caller_do_not_delay_anothers_one() -> None:
    line: Line[str] = Line(OVERDUE_S)
    for number in range(1000):
        line.join(f"many {number}", Claim(caller="many"))
    line.join("one", Claim(caller="one"))
    line.join("two", Claim(caller="two"))
    assert [line.take() for _ in range(4)] == ["many 0", "one", "two", "many 1"]
    assert line.depth("routine") == 998


def test_urgent_ones_keep_half_of_the_turns_and_the_overdue_get_the_other() -> None:
    clock = Clock()
    line: Line[str] = Line(OVERDUE_S, clock)
    for number in range(3):
        line.join(f"batch {number}", Claim("batch"))
    clock.now_s = 2 * OVERDUE_S
    for number in range(6):
        line.join(f"stat {number}", Claim("stat"))
    assert everything(line)[:6] == ["batch 0", "stat 0", "batch 1", "stat 1", "batch 2", "stat 2"]


def test_an_eighth_is_kept_for_urgent_ones() -> None:
    assert [room_for(priority, 64) for priority in PRIORITIES] == [64, 56, 56]
    assert [room_for(priority, 2) for priority in PRIORITIES] == [2, 2, 2]


class Queueing(RuleBasedStateMachine):
    """A Line against a list: whoever takes, gets the one that the rules name."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.line: Line[int] = Line(OVERDUE_S, self.clock)
        self.waiting: dict[int, tuple[Claim, float]] = {}
        self.passed: dict[Claim, Counter[str]] = {}
        self.favoured = False  # whether the last turn went to who was overdue; the next one does not
        self.count = 0

    @rule(priority=st.sampled_from(PRIORITIES), caller=st.sampled_from("abc"))
    def join(self, priority: Priority, caller: str) -> None:
        self.count += 1
        self.waiting[self.count] = (Claim(priority, caller), self.clock.now_s)
        self.line.join(self.count, Claim(priority, caller))

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(sorted(self.waiting)))
        self.line.leave(one)
        self.line.leave(one)
        claim, _ = self.waiting.pop(one)
        if all(other != claim for other, _ in self.waiting.values()):
            self.passed.pop(claim, None)

    @rule(seconds=st.floats(0, OVERDUE_S))
    def wait(self, seconds: float) -> None:
        self.clock.now_s += seconds

    @rule()
    def take(self) -> None:
        one = self.line.take()
        if one is None:
            assert not self.waiting
            return
        claim, _ = self.waiting[one]
        oldest = min(self.waiting)
        self.favoured = not self.favoured and self.clock.now_s - self.waiting[oldest][1] > OVERDUE_S
        if self.favoured:
            assert one == oldest
        else:
            assert PRIORITIES.index(claim.priority) == min(
                PRIORITIES.index(other.priority) for other, _ in self.waiting.values()
            )
            assert one == min(number for number, (other, _) in self.waiting.items() if other == claim)
            self.require_rotation(claim)
        del self.waiting[one]
        self.passed.pop(claim, None)

    def require_rotation(self, claim: Claim) -> None:
        """Nobody of the same priority is passed twice by the same one, but by who was overdue."""
        for other in {other for other, _ in self.waiting.values()}:
            if other.priority == claim.priority and other.caller != claim.caller:
                passed = self.passed.setdefault(other, Counter())
                passed[claim.caller] += 1
                assert passed[claim.caller] == 1

    @invariant()
    def nothing_is_lost(self) -> None:
        assert len(self.line) == len(self.waiting)
        assert all(one in self.line for one in self.waiting)
        for priority in PRIORITIES:
            own = [since_s for claim, since_s in self.waiting.values() if claim.priority == priority]
            assert self.line.depth(priority) == len(own)
            assert self.line.age_s(priority) == pytest.approx(self.clock.now_s - min(own, default=self.clock.now_s))


TestQueueing = Queueing.TestCase
TestQueueing.settings = hypothesis_settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_no_more_places_than_there_are_and_none_lost_to_those_who_leave() -> None:
    """Callers leave while they wait, while they hold, and in the very moment that a place is passed to them."""
    inside = 0
    most = 0

    async def visit(turns: Turns, number: int) -> None:
        nonlocal inside, most
        async with turns.turn(Claim(PRIORITIES[number % 3], str(number % 5))):
            inside += 1
            most = max(most, inside)
            try:
                await asyncio.sleep(0.0001 * (number % 4))
            finally:
                inside -= 1

    async def everybody() -> None:
        turns = Turns(3, OVERDUE_S)
        visits = [asyncio.ensure_future(visit(turns, number)) for number in range(600)]
        for number, one in enumerate(visits):
            if number % 7 == 0:
                await asyncio.sleep(0)
                one.cancel()
        told = await asyncio.gather(*visits, return_exceptions=True)
        assert all(one is None or isinstance(one, asyncio.CancelledError) for one in told)
        for _ in range(3):
            await asyncio.wait_for(turns.take(Claim()), 1)

    asyncio.run(everybody())
    assert (inside, most) == (0, 3)


def test_a_place_passed_to_one_who_leaves_in_that_moment_goes_on_to_the_next() -> None:
    async def leave() -> None:
        turns = Turns(1, OVERDUE_S)
        await turns.take(Claim())
        leaver = asyncio.ensure_future(turns.take(Claim("stat")))
        stayer = asyncio.ensure_future(turns.take(Claim()))
        await asyncio.sleep(0)
        turns.give_back()
        leaver.cancel()
        await asyncio.wait_for(stayer, 1)
        assert leaver.cancelled()

    asyncio.run(leave())

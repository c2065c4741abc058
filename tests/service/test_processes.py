"""Processes that work: each answers whoever asked, and is replaced when it dies or hangs."""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from service.processes import BusyError, FaultError, HungError, LostError, Processes, Work
from service.settings import PROCESS_DESCRIPTORS

Asked = tuple[str, float]


class Unreadable(float):
    """A number that cannot be unpacked by whoever gets it."""

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return unpack, ()


def unpack() -> None:
    raise MemoryError


def work(asked: Asked) -> float:
    """What the processes of these tests do."""
    name, value = asked
    if name == "unreadable":
        return Unreadable(value)
    if name == "sleep":
        time.sleep(value)
    if name == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "log":
        logging.getLogger("parser").error("SECRET")
    if name == "raise":
        raise ValueError("SECRET")
    return os.getpid() if name == "pid" else value


def make() -> Work[Asked, float]:
    return work


@pytest.fixture
def one() -> Iterator[Processes[Asked, float]]:
    processes: Processes[Asked, float] = Processes(make, processes=1, timeout_s=20, name="test")
    yield processes
    processes.close()


def test_each_who_asks_gets_what_was_asked(one: Processes[Asked, float]) -> None:
    said: dict[int, float] = {}
    threads = [
        threading.Thread(target=lambda value=value: said.update({value: one.ask(("echo", value))}))
        for value in range(50)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert said == {value: value for value in range(50)}


def test_what_was_lost_is_said_and_replaced(one: Processes[Asked, float]) -> None:
    before = one.pids
    with pytest.raises(LostError):
        one.ask(("die", 0))
    assert one.ask(("pid", 0)) == one.pids[0] != before[0]


def test_a_pipe_that_broke_in_the_middle_of_an_answer_is_not_used_again(one: Processes[Asked, float]) -> None:
    before = one.pids
    with pytest.raises(LostError):
        one.ask(("unreadable", 1.0))
    assert one.ask(("echo", 2.0)) == 2.0
    assert one.pids != before


def test_a_fault_tells_its_place_and_not_its_text(one: Processes[Asked, float]) -> None:
    with pytest.raises(FaultError) as caught:
        one.ask(("raise", 0))
    assert "ValueError at" in str(caught.value)
    assert "SECRET" not in str(caught.value)
    assert one.ask(("echo", 3)) == 3


def test_what_a_parser_says_of_what_was_asked_is_written_nowhere(capfd: pytest.CaptureFixture[str]) -> None:
    processes: Processes[Asked, float] = Processes(make, processes=1, timeout_s=20, name="test")
    try:
        assert processes.ask(("log", 4)) == 4
    finally:
        processes.close()
    assert capfd.readouterr().err == ""


def test_a_signal_to_all_of_the_service_leaves_the_processes_to_the_one_that_drains(
    one: Processes[Asked, float],
) -> None:
    one.warm(("echo", 0))
    for sent in (signal.SIGTERM, signal.SIGINT):
        os.kill(one.pids[0], sent)
    assert one.ask(("pid", 0)) == one.pids[0]


def test_work_that_takes_too_long_is_given_up_with_its_process() -> None:
    processes: Processes[Asked, float] = Processes(make, processes=1, timeout_s=1, name="test")
    try:
        processes.warm(("echo", 0))
        before = processes.pids
        with pytest.raises(HungError):
            processes.ask(("sleep", 60))
        assert processes.pids != before
    finally:
        processes.close()


def test_a_process_that_takes_nothing_of_what_is_sent_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.processes.STILL_S", 1)
    processes: Processes[tuple[str, Any], Any] = Processes(make, processes=1, timeout_s=20, name="test")
    try:
        processes.warm(("echo", 0))
        os.kill(processes.pids[0], signal.SIGSTOP)
        with pytest.raises(LostError):
            processes.ask(("echo", bytes(2**22)))
        assert processes.ask(("echo", bytes(2**22))) == bytes(2**22)
    finally:
        processes.close()


def test_who_finds_no_process_free_does_not_wait_for_ever() -> None:
    none = Processes[Asked, float](make, processes=0, timeout_s=0.05, name="test")
    with pytest.raises(BusyError):
        none.ask(("echo", 0))


def test_each_takes_as_many_file_descriptors_as_the_settings_reckon_with(one: Processes[Asked, float]) -> None:
    one.warm(("echo", 0))  # with the first comes what all share
    before = descriptors()
    three: Processes[Asked, float] = Processes(make, processes=3, timeout_s=20, name="test")
    try:
        three.warm(("echo", 0))
        with pytest.raises(LostError):
            three.ask(("die", 0))
        assert descriptors() == before + 3 * PROCESS_DESCRIPTORS
    finally:
        three.close()


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))

"""Too many connections: who is owed nothing makes room, who is owed an answer gets it, and probes are answered."""

import socket
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from service.app import create_app
from service.crowd import RESERVE, Crowd
from service.errors import SettingsError
from service.server import run
from service.settings import Settings
from tests.service import bodies
from tests.service.stubs import StubEngine, get, listening, metric, no_waves, post, until


@dataclass(eq=False)
class Guest:
    """One that says who it was that was let go."""

    name: str
    gone: list[str] = field(default_factory=list)
    asking: bool = False

    def is_asking(self) -> bool:
        return self.asking

    def let_go(self) -> None:
        self.gone.append(self.name)


def guests(count: int) -> tuple[list[Guest], list[str]]:
    gone: list[str] = []
    return [Guest(str(number), gone) for number in range(count)], gone


def test_who_is_owed_nothing_for_longest_makes_room() -> None:
    crowd = Crowd(3)
    (first, second, third, *more), gone = guests(6)
    assert all(crowd.enter(one) for one in (first, second, third))
    crowd.await_answer(first)
    crowd.await_answer(second)
    crowd.was_answered(first)
    assert crowd.enter(more[0])
    assert crowd.enter(more[1])
    assert gone == ["2", "0"]
    assert crowd.enter(more[2])
    assert gone == ["2", "0", "3"]
    assert len(crowd) == 3


def test_who_is_asking_is_passed_over_and_not_for_ever() -> None:
    crowd = Crowd(2)
    (first, second, *more), gone = guests(5)
    first.asking = True
    assert all(crowd.enter(one) for one in (first, second, more[0]))
    assert gone == ["1"]
    more[0].asking = True
    assert not crowd.enter(more[1])
    first.asking = more[0].asking = False
    assert crowd.enter(more[2]) is False
    assert gone == ["1", "0"]


def test_where_all_are_owed_an_answer_there_is_no_room_but_for_probes() -> None:
    crowd = Crowd(2)
    (first, second, *more), gone = guests(3 + RESERVE)
    for one in (first, second):
        assert crowd.enter(one)
        crowd.await_answer(one)
    for probe in more[:RESERVE]:
        assert not crowd.enter(probe)
        crowd.await_answer(probe)
    assert gone == []
    crowd.enter(more[RESERVE])
    assert gone == [more[RESERVE].name]
    assert len(crowd) == 2 + RESERVE


def test_who_has_left_is_not_let_go_and_comes_back_as_nobody() -> None:
    crowd = Crowd(1)
    (first, second), gone = guests(2)
    crowd.enter(first)
    crowd.await_answer(first)
    crowd.leave(first)
    crowd.was_answered(first)
    assert crowd.enter(second)
    assert gone == []


def test_idle_connections_are_no_hindrance(bundle_folder: Path) -> None:
    settings = Settings(bundle=bundle_folder, connections=4)
    with listening(create_app(settings, StubEngine(), no_waves), settings) as url, ExitStack() as held:
        address = urlsplit(url).hostname, urlsplit(url).port
        silent = [held.enter_context(closing(socket.create_connection(address, timeout=60))) for _ in range(40)]
        assert [post(f"{url}/v1/ecgs", **bodies.raw()).status_code for _ in range(8)] == [200] * 8
        assert get(f"{url}/health/ready").status_code == 200
        until(lambda: metric(url, "ecg_connections ") <= 4)
        for one in silent[:30]:
            with suppress(ConnectionResetError):
                assert one.recv(1) == b""


def test_where_all_are_answered_an_ecg_is_refused_and_a_probe_is_not(bundle_folder: Path) -> None:
    settings = Settings(bundle=bundle_folder, connections=2, queue_ecgs=50, workers=1)
    engine = StubEngine()
    with listening(create_app(settings, engine, no_waves), settings) as url, ExitStack() as held:
        engine.gate.clear()
        runs = len(engine.batches)
        address = urlsplit(url).hostname, urlsplit(url).port
        request = b"POST /v1/ecgs HTTP/1.1\r\nhost: x\r\ncontent-type: application/zip\r\ncontent-length: 9\r\n\r\n"
        for _ in range(2):
            waiting = held.enter_context(closing(socket.create_connection(address, timeout=60)))
            waiting.sendall(request)
        until(lambda: metric(url, "ecg_connections ") == 3)
        refused = post(f"{url}/v1/ecgs", **bodies.raw())
        assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.headers["connection"] == "close"
        assert get(f"{url}/health/ready").status_code == 200
        assert len(engine.batches) == runs
        held.close()
        engine.gate.set()
        until(lambda: metric(url, "ecg_connections ") == 1)
        assert post(f"{url}/v1/ecgs", **bodies.raw()).status_code == 200


def test_more_connections_than_the_system_allows_are_refused_at_the_start(bundle_folder: Path) -> None:
    with pytest.raises(SettingsError, match=r"ECG_CONNECTIONS needs .* file descriptors"):
        run(Settings(bundle=bundle_folder, connections=2**40))

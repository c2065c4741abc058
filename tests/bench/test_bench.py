"""The benchmark counts what it says it counts, and every row of its page has its numbers."""

import json
import platform
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from model.signal.recording import Recording
from service.app import create_app
from service.settings import Settings
from tests.bench import bare, load
from tests.bench.bodies import Body, Request, peer_request, recordings, service_request
from tests.bench.load import Outcome, Sample, Target
from tests.bench.machine import python
from tests.bench.run import probabilities
from tests.bench.scenes import Flooded, Instant, Latency, Row, alternate, half_load, quantile
from tests.bench.servers import Plan, Server
from tests.bench.tables import Report, Saturation, markdown
from tests.service.stubs import StubEngine, listening, no_waves, write_bundle

ROOT = Path(__file__).parents[2]


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    folder = write_bundle(tmp_path / "bundle").folder
    with listening(create_app(Settings(bundle=folder), StubEngine(), no_waves)) as address:
        yield address


@pytest.mark.parametrize("body", ["raw", "json", "wfdb"])
def test_every_body_is_answered(url: str, body: Body) -> None:
    request = service_request(body, "findings", recordings()[:1])
    assert len(probabilities(load.ask(Target(url, request)))) == 4


def test_saturation_counts_answers_between_answers(url: str) -> None:
    outcome = load.saturate(Target(url, service_request("raw", "findings", recordings())), 2, 0.5)
    assert outcome.rate == pytest.approx(len(outcome.samples) / outcome.seconds)
    assert {one.status for one in outcome.samples} == {load.OK}


def test_arrivals_are_random_seeded_and_as_many_as_asked(url: str) -> None:
    target = Target(url, service_request("raw", "findings", recordings()))
    first, again = (load.arrive(target, 40.0, 0.5, seed=3) for _ in "ab")
    assert sorted(one.due_s for one in first.samples) == sorted(one.due_s for one in again.samples)
    assert 8 < len(first.samples) < 35


def test_a_server_that_is_not_there_answers_nothing() -> None:
    target = Target("http://127.0.0.1:9", service_request("raw", "findings", recordings()[:1]))
    outcome = load.arrive(target, 20.0, 0.2)
    assert outcome.rate == 0
    assert {one.status for one in outcome.samples} == {load.GAVE_UP}


def test_goodput_is_what_came_before_the_end() -> None:
    samples = [Sample(0.1, 0.5, 200), Sample(0.9, 0.5, 200), Sample(0.2, 0.01, 503, retry_after=True)]
    outcome = Outcome(1.0, samples)
    assert outcome.goodput == 1
    assert outcome.refused() == [0.01]


def test_mlserver_is_sent_the_same_numbers() -> None:
    ecgs = recordings()[:1]
    ours, theirs = (json.loads(request.contents[0]) for request in _json_requests(ecgs))
    flat = [value for values in ours["leads"].values() for value in values]
    assert theirs["inputs"][0]["data"] == flat


def _json_requests(ecgs: tuple[Recording, ...]) -> tuple[Request, Request]:
    return service_request("json", "findings", ecgs), peer_request("MLServer", "json", ecgs)


def test_peers_share_the_pins_of_the_service() -> None:
    pins = (ROOT / "tests/bench/peers/shared.txt").read_text().splitlines()[1:]
    assert set(pins) <= set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"])


class _Watched(Server):
    """Somebody else's server, which neither rests nor ends."""

    def __init__(self, name: str, url: str, woken: list[str]) -> None:
        self.plan = Plan(name, "raw", Path(), "", ())
        self.url = url
        self._woken = woken

    def wake(self) -> None:
        self._woken.append(self.plan.name)

    def rest(self) -> None:
        """Nothing: it answers for others too."""


def test_half_load_asks_each_once_a_round_and_turns_the_order_round(url: str) -> None:
    woken: list[str] = []
    request = service_request("raw", "findings", recordings())
    servers = [(_Watched(name, url, woken), request) for name in ("ours", "LitServe")]
    with bare.pinned(()) as callers:
        found = half_load(servers, callers, 40.0, rounds=2, seconds=0.5)
    assert woken == ["LitServe", "ours", "ours", "LitServe"]
    assert [one.name for one in found] == ["ours", "LitServe"]
    assert [len(one.rounds) for one in found] == [2, 2]
    assert found[0].asked == found[1].asked
    assert [one.answered for one in found] == [1.0, 1.0]


def test_a_quantile_of_all_rounds_is_not_one_of_their_quantiles() -> None:
    calm, busy = [0.01] * 98 + [0.05, 0.06], [0.01] * 90 + [0.5] * 10
    found = Latency("ours", 5.0, [calm, busy], 200)
    assert found.of_each_ms(0.99) == pytest.approx([60, 500])
    assert found.of_all_ms(0.93) == pytest.approx(10)
    assert found.of_all_ms(0.99) == pytest.approx(500)


def test_the_interpreter_is_said_to_be_configured_as_it_was() -> None:
    assert python("'--enable-shared' '--enable-optimizations'").endswith("configured with `--enable-optimizations`")
    assert python("'--enable-shared'").endswith("configured without `--enable-optimizations`")
    assert python(None) == f"Python {platform.python_version()}"


def test_the_page_has_every_table() -> None:
    rows = [Row("ours", "raw", "findings", lambda _: 9.5), Row("LitServe", "raw", "findings", lambda _: 8.0)]
    results, alone = alternate(rows, lambda _: 10.0, rounds=2, seconds=0.1)
    page = markdown(
        Report(
            date="2026-11-22",
            machine="a machine",
            versions={"ours": "uvicorn 1"},
            how="briefly",
            saturations=[Saturation("At saturation", alone, results, {"ours raw": 100.0})],
            latencies=[Latency("ours", 5.0, [[0.01, 0.02, 0.03], [0.02, 0.02, 0.4], [0.02]], 8)],
            floods=[Flooded("ours", "tiny", 100.0, 9.0, 0.95, [0.001], 1.0, 0.0, 3.0, None)],
            missing={"BentoML": "it is not there"},
            instants=[Instant(2, "whole", 132.4)],
        )
    )
    assert "| ours | raw | findings | 9.5 | 0.95 | 0.95 to 0.95 | 5.3 | 100 |" in page
    assert (
        "raw: ours answers 1.19 (1.19 to 1.19) times as many as LitServe; onnxruntime alone would 1.25 times." in page
    )
    assert "| ours | 7 | 20 | 20 to 20 | 400 | 20 to 400 | 88% |" in page
    assert "BentoML: it is not there" in page
    assert "more than 30" in page
    assert "| 2 | whole | 132 |" in page
    assert page.count("\n## ") == 4


def test_a_quantile_of_nothing_is_no_number() -> None:
    assert quantile([1.0, 2.0, 3.0, 4.0], 0.5) == 3.0
    assert quantile([], 0.5) != quantile([], 0.5)

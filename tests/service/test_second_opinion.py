"""A second opinion is bounded, and its failure is no failure of the answer."""

import asyncio
import time

import numpy as np
import pytest

from model.reader import Prepared
from model.reading.waves import Wave, Waves
from model.signal.preprocess import Windows
from model.signal.quality import Quality
from model.signal.recording import Recording
from service.app import create_app
from service.second_opinion import SecondOpinion
from service.settings import Settings
from service.wave_pool import DelineationError, WavePool
from tests.service import bodies
from tests.service.stubs import listening, post


def prepared() -> Prepared:
    recording = Recording(np.zeros((1, 5000), np.float32), 500.0, ("II",))
    return Prepared(recording, Quality("good"), Windows(np.zeros((1, 8, 2500), np.float32), (0.0,), 0.0, (), 250))


def asked(timeout_s: float) -> tuple[Waves | None, float]:
    second = SecondOpinion(processes=1, timeout_s=timeout_s)
    try:
        began_s = time.monotonic()
        return asyncio.run(second.waves(prepared())), time.monotonic() - began_s
    finally:
        second.close()


def test_a_process_that_cannot_delineate_gives_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: WavePool, recording: Recording) -> Waves:
        raise DelineationError("crashed")

    monkeypatch.setattr(WavePool, "classical", fails)
    assert asked(20.0)[0] is None


def test_nobody_waits_longer_than_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(_: WavePool, recording: Recording) -> Waves:
        time.sleep(3.0)
        return {}

    monkeypatch.setattr(WavePool, "classical", slow)
    waves, took_s = asked(0.1)
    assert waves is None
    assert took_s < 2.5


def test_nothing_is_started_before_somebody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.second_opinion.WavePool", None)
    SecondOpinion(processes=1, timeout_s=1.0).close()


@pytest.mark.slow
def test_the_waves_come_from_a_process() -> None:
    waves, _ = asked(120.0)
    assert waves == {"II": ()}


@pytest.mark.slow
def test_the_service_warns_where_the_classical_method_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    def wide(_: WavePool, recording: Recording) -> Waves:
        beats = range(300, int(1000 * recording.duration_s) - 900, 800)
        waves = [
            (Wave("QRS", at, at + 90.0, at + 180.0, 1.0), Wave("T", at + 260, at + 400, at + 560, 1.0)) for at in beats
        ]
        return dict.fromkeys(recording.leads, tuple(wave for beat in waves for wave in beat))

    monkeypatch.setattr(WavePool, "classical", wide)
    with listening(create_app(Settings(workers=1))) as url:
        request = bodies.raw()
        request["params"] = request["params"] | {"second_opinion": "true"}
        answer = post(f"{url}/v1/ecgs", **request)
    assert answer.status_code == 200
    assert any("by the classical method" in warning for warning in answer.json()["warnings"])

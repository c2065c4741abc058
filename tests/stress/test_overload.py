"""Ten times what a stub engine can answer: it goes on at its peak, and refuses the rest at once and politely."""

import statistics
from pathlib import Path

import pytest
import uvloop

from service.app import create_app
from service.settings import Settings
from tests.service.stubs import StubEngine, listening, no_waves, write_bundle
from tests.stress.client import Client
from tests.stress.overload import REFUSALS, Tally, closed_loop, open_loop, raw_ecg, seconds_until_normal

ENGINE_S = 1.0
LANES = 4
PEAK = LANES / ENGINE_S


@pytest.mark.slow
def test_the_service_goes_on_at_its_peak_and_refuses_the_rest_at_once(tmp_path: Path) -> None:
    settings = Settings(bundle=write_bundle(tmp_path / "bundle").folder, workers=LANES, queue_ecgs=16)
    request = raw_ecg("findings")

    async def run(url: str) -> tuple[float, Tally, float]:
        async with Client(url, reuse=False) as client:
            peak = await closed_loop(client, request, 3.0, at_once=2 * LANES)
            tally = await open_loop(client, request, 10 * PEAK, 3.0)
            return peak, tally, await seconds_until_normal(client, request, ENGINE_S)

    with listening(create_app(settings, StubEngine(seconds=ENGINE_S), no_waves)) as url:
        peak, tally, normal_s = uvloop.run(run(url))
    assert tally.count(200, *REFUSALS) == len(tally.replies) > 80
    assert tally.without_retry_after == 0
    assert tally.count(200) / 3.0 >= 0.8 * min(peak, PEAK)
    assert statistics.median(tally.seconds(*REFUSALS)) < statistics.median(tally.seconds(200))
    assert normal_s < 60

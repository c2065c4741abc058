"""One ECG has one answer, at whatever rate it was sampled."""

from pathlib import Path

import numpy as np
import pytest

import model
from model.bundle import read_bundle
from model.engine import OnnxEngine
from model.reader import Answer, Reader, delineate_by_network
from tests.model.synthetic import beats

BUNDLE = Path(model.__file__).parent / "bundles" / "ecg-jepa-nano"


@pytest.fixture(scope="module")
def answers() -> dict[float, Answer]:
    bundle = read_bundle(BUNDLE)
    reader = Reader(bundle, OnnxEngine(bundle, device="cpu", threads=1), delineate_by_network)
    return {hz: reader.read(beats(sampling_hz=hz)) for hz in (100.0, 250.0, 500.0, 1000.0)}


@pytest.mark.parametrize("sampling_hz", [100.0, 250.0, 1000.0])
def test_waves_and_intervals_are_those_of_500_hz(answers: dict[float, Answer], sampling_hz: float) -> None:
    ours, those = answers[sampling_hz], answers[500.0]
    assert ours.waves is not None
    assert those.waves is not None
    apart_ms = []
    for lead, waves in those.waves.items():
        assert [wave.wave for wave in ours.waves[lead]] == [wave.wave for wave in waves]
        for mine, other in zip(ours.waves[lead], waves, strict=True):
            apart_ms += [mine.onset_ms - other.onset_ms, mine.offset_ms - other.offset_ms]
    assert np.median(np.abs(apart_ms)) <= 4.0
    assert ours.measurements is not None
    assert those.measurements is not None
    for name in ("pr_ms", "qrs_ms", "qt_ms"):
        assert ours.measurements[name].value == pytest.approx(those.measurements[name].value, abs=4.0)

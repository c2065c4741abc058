"""A network with random weights, lent the shipped wave head, measures hearts as the shipped bundle does."""

from collections.abc import Callable
from pathlib import Path

import pytest

from model.bundle import read_bundle
from model.engine import OnnxEngine
from model.reader import Answer, Reader, delineate_by_network
from model.signal.recording import Recording
from service.settings import default_bundle
from tests.bench.bodies import recordings
from tests.bench.untrained import write_untrained

VARIANTS = ("masked-fp32", "masked-int8")
"""One form of attention, so that torch exports once."""


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_untrained(tmp_path_factory.mktemp("bench") / "micro", "micro", VARIANTS, waves=default_bundle())


@pytest.fixture(scope="module")
def shipped() -> list[Answer]:
    read = _reading(default_bundle(), "masked-fp32")
    return [read(ecg) for ecg in recordings()[:2]]


def _reading(folder: Path, variant: str) -> Callable[[Recording], Answer]:
    bundle = read_bundle(folder)
    return Reader(bundle, OnnxEngine(bundle, variant=variant, device="cpu", threads=1), delineate_by_network).read


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_waves_and_measurements_are_those_of_the_bundle_that_lends_its_head(
    untrained: Path, shipped: list[Answer], variant: str
) -> None:
    read = _reading(untrained, variant)
    for ecg, wanted in zip(recordings(), shipped, strict=False):
        got = read(ecg)
        assert got.waves
        assert got.waves == wanted.waves
        assert got.measurements == wanted.measurements
        assert got.measurements
        assert 80 < (got.measurements["qrs_ms"].value or 0) < 120


@pytest.mark.slow
def test_what_knows_nothing_finds_nothing(untrained: Path) -> None:
    answer = _reading(untrained, "masked-fp32")(recordings()[0])
    assert len(answer.findings) > 40
    assert not any(finding.present for finding in answer.findings)
    assert answer.warnings == ()

"""Bundles and processes changed under load, in short; `tests.stress` has the long form, on the bundled model."""

import shutil
from pathlib import Path

import pytest

from service.app import create_app
from service.settings import Settings
from tests.service.stubs import listening, no_waves
from tests.stress import reloads, restarts
from tests.training.toy_bundle import write_toy_bundle


def test_twenty_reloads_five_of_them_spoilt_and_every_request_answered(tmp_path: Path) -> None:
    sound, folder = write_toy_bundle(tmp_path / "sound"), tmp_path / "served"
    shutil.copytree(sound, folder)
    with listening(create_app(Settings(bundle=folder, workers=2), None, no_waves)) as url:
        report = reloads.swap(url, sound, folder)
    assert reloads.failures(report) == []
    assert (report.reloaded, report.kept) == (15, 5)
    assert report.outcomes["answered"] > 15


@pytest.mark.slow
def test_a_restart_behind_a_balancer_loses_nobody(tmp_path: Path) -> None:
    bundle = write_toy_bundle(tmp_path / "bundle")
    report = restarts.restart(1, 0.5, ECG_BUNDLE=str(bundle), ECG_WAVE_WORKERS="1", ECG_UNREADY_S="1")
    assert restarts.failures(report) == []
    assert report.outcomes["answered"] > 2

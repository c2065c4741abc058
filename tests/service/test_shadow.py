"""A second bundle is compared with the one that answers, and nothing that it does is felt."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from model.bundle import MANIFEST
from service.app import create_app
from service.settings import Settings
from tests.service import bodies
from tests.service.stubs import get, listening, metric, no_waves, post, until
from tests.training.toy_bundle import KEYS, write_toy_bundle


@pytest.fixture
def live(tmp_path: Path) -> Path:
    return write_toy_bundle(tmp_path / "live")


@contextmanager
def serving(live: Path, shadow: Path) -> Iterator[str]:
    settings = Settings(bundle=live, shadow_bundle=shadow, shadow_share=1.0, workers=2)
    with listening(create_app(settings, None, no_waves)) as url:
        yield url


def ask(url: str) -> list[str]:
    answer = post(f"{url}/v1/ecgs", params={"include": "findings"}, **bodies.lists())
    assert answer.status_code == 200
    return [finding["key"] for finding in answer.json()["findings"]]


def test_the_two_are_compared_by_statement_and_only_the_live_one_answers(live: Path, tmp_path: Path) -> None:
    shadow = write_toy_bundle(tmp_path / "shadow", ("AF", "NORM", "SB"))
    with serving(live, shadow) as url:
        assert ask(url) == list(KEYS)
        until(lambda: metric(url, 'ecg_shadow_ecgs_total{outcome="scored"}') == 1)
        text = get(f"{url}/metrics").text
        assert 'ecg_shadow_findings_total{key="NORM"' in text
        assert 'ecg_shadow_findings_total{key="SB"' not in text
        assert metric(url, "ecg_shadow_probability_difference_count") == 2  # what both know: AF and NORM
        assert metric(url, 'ecg_degraded{part="shadow"}') == 0
        put = write_toy_bundle(tmp_path / "again", ("AF",))
        for path in sorted(put.iterdir(), key=lambda one: one.name == MANIFEST):
            path.replace(shadow / path.name)
        before = metric(url, "ecg_shadow_info")
        assert post(f"{url}/v1/admin/reload").status_code == 200
        assert before == metric(url, "ecg_shadow_info") == 1
        ask(url)
        until(lambda: metric(url, "ecg_shadow_probability_difference_count") == 3)


@pytest.mark.parametrize("harm", ["nothing there", "numbers of another machine"])
def test_a_shadow_that_is_not_sound_harms_nobody_and_is_told(live: Path, tmp_path: Path, harm: str) -> None:
    shadow = tmp_path / "shadow"
    if harm != "nothing there":
        write_toy_bundle(shadow, off_by=0.5)
    with serving(live, shadow) as url:
        assert ask(url) == list(KEYS)
        assert metric(url, 'ecg_degraded{part="shadow"}') == 1
        assert "ecg_shadow_info{" not in get(f"{url}/metrics").text


def test_a_shadow_that_crashes_harms_nobody_and_a_reload_brings_it_back(live: Path, tmp_path: Path) -> None:
    app = create_app(
        Settings(bundle=live, shadow_bundle=write_toy_bundle(tmp_path / "shadow"), shadow_share=1.0), None, no_waves
    )
    with listening(app) as url:
        os.kill(app.state.serving._shadow._process.pid, signal.SIGKILL)
        until(lambda: metric(url, 'ecg_degraded{part="shadow"}') == 1)
        for _ in range(3):
            assert ask(url) == list(KEYS)
        assert post(f"{url}/v1/admin/reload").status_code == 200
        assert metric(url, 'ecg_degraded{part="shadow"}') == 0
        ask(url)
        until(lambda: metric(url, 'ecg_shadow_ecgs_total{outcome="scored"}') == 1)

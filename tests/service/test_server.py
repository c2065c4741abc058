"""`python -m service` as a process: greets, serves, and stops in order."""

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from service.security import new_key
from tests.service import bodies
from tests.service.stubs import get, post
from tests.training.toy_bundle import write_toy_bundle

ROOT = Path(__file__).parents[2]


@contextmanager
def process(bundle: Path, **environment: str) -> Iterator["subprocess.Popen[str]"]:
    """The server on a free port."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ECG_")}
    given = {"ECG_PORT": "0", "ECG_WAVE_WORKERS": "1", "ECG_BUNDLE": str(bundle), **environment}
    command = [sys.executable, "-m", "service"]
    with subprocess.Popen(
        command, env=kept | given, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def greeting(running: "subprocess.Popen[str]") -> tuple[str, str]:
    """Where it listens, and the line to try."""
    assert running.stdout
    first = running.stdout.readline()
    running.stdout.readline()
    url = re.search(r"http://\S+:\d+", first)
    assert url
    return url.group(), running.stdout.readline().strip()


@pytest.mark.slow
def test_it_says_where_it_listens_serves_and_ends_well(tmp_path: Path) -> None:
    with process(write_toy_bundle(tmp_path / "bundle"), ECG_UNREADY_S="3", ECG_WAVE_TIMEOUT_S="120") as running:
        url, curl = greeting(running)
        assert curl.startswith("curl -sS -F files=@tests/data/")
        assert curl.endswith(f"{url}/v1/ecgs")
        answer = post(f"{url}/v1/ecgs", **bodies.wfdb())
        assert answer.status_code == 200
        assert sum(wave["wave"] == "QRS" for wave in answer.json()["waves"]["II"]) >= 4
        assert answer.json()["measurements"]["heart_rate_bpm"]["value"] == pytest.approx(75, abs=2)
        running.send_signal(signal.SIGTERM)
        unready = Thread(target=until_unready, args=(url,))
        unready.start()
        unready.join(30)
        assert not unready.is_alive()
        last = post(f"{url}/v1/ecgs?include=findings", **bodies.wfdb())
        assert (last.status_code, last.headers["connection"]) == (200, "close")
        assert running.wait(60) == 0


@pytest.mark.slow
def test_the_line_to_try_bears_a_key_where_one_is_asked_for(tmp_path: Path) -> None:
    secret, line = new_key("ward", frozenset({"read"}))
    (tmp_path / "keys").write_text(line)
    with process(write_toy_bundle(tmp_path / "bundle"), ECG_API_KEYS=str(tmp_path / "keys")) as running:
        _, curl = greeting(running)
        words = shlex.split(curl.replace("KEY", secret))
        tried = subprocess.run([*words, "-m", "60"], cwd=ROOT, capture_output=True, check=True)
        assert b'"findings":[{' in tried.stdout


def until_unready(url: str) -> None:
    while get(f"{url}/health/ready").status_code == 200:
        pass


@pytest.mark.slow
@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"ECG_BUNDLE": "/nowhere"}, "no manifest.json"),
        ({"ECG_HOST": "0.0.0.0"}, "ECG_API_KEYS"),  # noqa: S104
        ({"ECG_VARIANT": "quantum"}, "no variant quantum"),
        ({"ECG_DEVICE": "tensorrt"}, ""),
    ],
)
def test_what_cannot_be_served_is_said_in_one_line(tmp_path: Path, environment: dict[str, str], said: str) -> None:
    with process(write_toy_bundle(tmp_path / "bundle"), **environment) as running:
        _, errors = running.communicate(timeout=120)
        assert running.returncode == 2
        lines = [line for line in errors.splitlines() if line.startswith("ecg: ")]
        assert len(lines) == 1
        assert said in lines[0]
        assert "Traceback" not in errors


@pytest.mark.parametrize(("words", "status"), [(["--help"], 0), (["--port", "80"], 2)])
def test_words_that_it_does_not_know_start_nothing(words: list[str], status: int) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "service", *words], cwd=ROOT, capture_output=True, timeout=60, check=False
    )
    assert ended.returncode == status

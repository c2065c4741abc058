"""Another bundle in the place of the one that answers: whole, proved, and without a request that fails."""

import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from model.bundle import MANIFEST
from service.app import create_app
from service.settings import Settings
from tests.service import bodies
from tests.service.stubs import get, listening, no_waves, post
from tests.training.toy_bundle import write_toy_bundle


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_toy_bundle(tmp_path / "bundle")


@pytest.fixture
def url(folder: Path) -> Iterator[str]:
    with listening(create_app(Settings(bundle=folder, workers=2), None, no_waves)) as url:
        yield url


def put(folder: Path, keys: tuple[str, ...]) -> None:
    """Another bundle in the same place."""
    fresh = write_toy_bundle(Path(tempfile.mkdtemp(dir=folder.parent)) / "bundle", keys)
    for path in sorted(fresh.iterdir(), key=lambda one: one.name == MANIFEST):
        path.replace(folder / path.name)


def answers(url: str) -> list[str]:
    answer = post(f"{url}/v1/ecgs", params={"include": "findings"}, **bodies.lists())
    assert answer.status_code == 200
    return [finding["key"] for finding in answer.json()["findings"]]


def test_the_new_bundle_answers_after_a_reload(url: str, folder: Path) -> None:
    before = get(f"{url}/v1/model").json()
    put(folder, ("AF", "SB"))
    assert len(answers(url)) == 8
    reloaded = post(f"{url}/v1/admin/reload")
    assert reloaded.status_code == 200
    assert reloaded.json()["sha256"] != before["sha256"]
    assert answers(url) == ["AF", "SB"]
    assert reloaded.json()["sha256"] in get(f"{url}/metrics").text
    assert before["sha256"] not in get(f"{url}/metrics").text


@pytest.mark.parametrize("harm", ["a damaged graph", "a damaged manifest", "no manifest", "fewer outputs"])
def test_a_bundle_that_is_not_sound_leaves_the_old_one(url: str, folder: Path, harm: str) -> None:
    manifest = folder / MANIFEST
    if harm == "a damaged graph":
        (folder / "toy.onnx").write_bytes(b"x")
    elif harm == "a damaged manifest":
        manifest.write_text(manifest.read_text()[:-20])
    elif harm == "no manifest":
        manifest.unlink()
    else:
        whole = (folder / "toy.onnx").read_bytes()
        put(folder, ("AF", "SB"))
        (folder / "toy.onnx").write_bytes(whole)
    refused = post(f"{url}/v1/admin/reload")
    assert (refused.status_code, refused.json()["code"]) == (503, "bad_bundle")
    assert len(answers(url)) == 8
    assert get(f"{url}/health/ready").status_code == 200


def test_no_request_fails_while_bundles_change(url: str, folder: Path) -> None:
    stop = threading.Event()
    lengths: list[int] = []

    def ask() -> None:
        while not stop.is_set():
            lengths.append(len(answers(url)))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for number in range(6):
            put(folder, ("AF", "SB", "MI")[: 1 + number % 3])
            assert post(f"{url}/v1/admin/reload").status_code == 200
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert set(lengths) <= {8, 1, 2, 3}

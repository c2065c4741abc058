"""A disk that fails under a running service: a bundle that is gone, and room for nothing at all."""

import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from service.app import create_app
from service.settings import Settings
from tests.service import bodies
from tests.service.stubs import PATIENCE_S, StubEngine, listening, no_waves
from tests.training.toy_bundle import write_toy_bundle


@contextmanager
def no_room() -> Iterator[None]:
    """Every write to a file fails, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("how", ["removed", "emptied", "a file in its place"])
def test_a_bundle_that_vanishes_goes_on_answering_and_is_not_reloaded(tmp_path: Path, how: str) -> None:
    folder = write_toy_bundle(tmp_path / "bundle")
    app = create_app(Settings(bundle=folder, workers=1), None, no_waves)
    with listening(app) as url, httpx.Client(base_url=url, timeout=PATIENCE_S) as client:
        before = client.post("/v1/ecgs", params={"include": "findings"}, **bodies.lists())
        shutil.rmtree(folder)
        if how == "emptied":
            folder.mkdir()
        if how == "a file in its place":
            folder.touch()
        refused = client.post("/v1/admin/reload")
        assert (refused.status_code, refused.json()["code"]) == (503, "bad_bundle")
        assert str(tmp_path) not in refused.text
        after = client.post("/v1/ecgs", params={"include": "findings"}, **bodies.lists())
        assert after.json()["findings"] == before.json()["findings"]
        assert after.json()["model"] == before.json()["model"]
        assert client.get("/v1/model").status_code == 200
        assert client.get("/health/ready").status_code == 200


def test_answers_and_resends_need_no_disk(bundle_folder: Path) -> None:
    app = create_app(Settings(bundle=bundle_folder), StubEngine(), no_waves)
    with listening(app) as url, httpx.Client(base_url=url, timeout=PATIENCE_S) as client:
        for number, request in enumerate((bodies.raw(), bodies.wfdb(), bodies.zip_body())):
            sent = request | {"headers": request.get("headers", {}) | {"idempotency-key": f"order-{number}"}}
            content = client.build_request("POST", "/v1/ecgs", **sent)
            body, headers = content.read(), content.headers
            with no_room():
                first = client.post(content.url, content=body, headers=headers)
                again = client.post(content.url, content=body, headers=headers)
            assert first.status_code == 200
            assert again.headers["idempotency-replayed"] == "true"
            assert again.content == first.content

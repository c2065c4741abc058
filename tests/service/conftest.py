"""A service on a stub engine behind a real socket."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from service.app import create_app
from service.settings import Settings
from tests.service.stubs import PATIENCE_S, StubEngine, listening, no_waves, write_bundle


@pytest.fixture(scope="session")
def bundle_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("bundle")).folder


@pytest.fixture(scope="session")
def settings(bundle_folder: Path) -> Settings:
    return Settings(bundle=bundle_folder, workers=2)


@pytest.fixture(scope="module")
def client(settings: Settings) -> Iterator[httpx.Client]:
    with (
        listening(create_app(settings, StubEngine(), no_waves)) as url,
        httpx.Client(base_url=url, timeout=PATIENCE_S) as client,
    ):
        yield client

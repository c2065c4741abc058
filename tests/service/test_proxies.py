"""Whose word is taken for where a caller without a key comes from: that of proxies which the settings name."""

from pathlib import Path
from typing import Any

import pytest

from service.app import create_app
from service.settings import Settings
from tests.service import bodies
from tests.service.stubs import StubEngine, listening, no_waves, post


def statuses(bundle: Path, *forwarded: str, **changes: Any) -> list[int]:
    """Of an ECG for each header, where a caller may send one a minute."""
    settings = Settings(bundle=bundle, caller_rate=1, **changes)
    with listening(create_app(settings, StubEngine(), no_waves), settings) as url:
        sent = [bodies.raw() for _ in forwarded]
        for request, header in zip(sent, forwarded, strict=True):
            request["headers"] = request.get("headers", {}) | {"x-forwarded-for": header}
        return [post(f"{url}/v1/ecgs", **request).status_code for request in sent]


@pytest.mark.parametrize("environment", [{}, {"FORWARDED_ALLOW_IPS": "*"}], ids=["bare", "of_the_server_below"])
def test_a_local_process_is_one_caller_whatever_it_says(
    bundle_folder: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert statuses(bundle_folder, "10.0.0.1", "10.0.0.2") == [200, 429]


def test_a_proxy_that_is_not_named_is_not_believed(bundle_folder: Path) -> None:
    assert statuses(bundle_folder, "10.0.0.1", "10.0.0.2", trusted_proxies="192.0.2.0/24") == [200, 429]


def test_a_proxy_that_is_named_tells_its_callers_apart(bundle_folder: Path) -> None:
    named = "192.0.2.1, 127.0.0.0/8"
    assert statuses(bundle_folder, "10.0.0.1", "10.0.0.2", "10.0.0.1", trusted_proxies=named) == [200, 200, 429]


def test_what_a_caller_wrote_itself_before_the_proxy_did_is_not_believed(bundle_folder: Path) -> None:
    chains = ("1.1.1.1, 10.0.0.1", "2.2.2.2, 10.0.0.1")
    assert statuses(bundle_folder, *chains, trusted_proxies="127.0.0.1") == [200, 429]

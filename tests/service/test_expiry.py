"""When keys and certificates end: the first that does, followed when their files change, and nothing without an end."""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from prometheus_client import generate_latest

from service.app import create_app
from service.security import build_guard, followed, new_key
from service.server import build_config
from service.settings import Settings
from service.telemetry import Telemetry
from tests.service.identity import AUDIENCE, Provider, providing
from tests.service.stubs import StubEngine, no_waves

NOW = datetime.now(UTC).replace(microsecond=0)


def in_days(days: float) -> datetime:
    return NOW + timedelta(days=days)


def ends(telemetry: Telemetry) -> dict[str, float]:
    """Each part's end, as Prometheus reads it."""
    lines = generate_latest(telemetry.registry).decode().splitlines()
    series = (line.split() for line in lines if line.startswith("ecg_expiry_timestamp_seconds{"))
    return {name.split('"')[1]: float(value) for name, value in series}


def write_keys(path: Path, *days: float | None) -> str:
    """A file of keys with an end each, or none; and the first key."""
    made = [new_key(f"k{place}", frozenset({"read"}), in_days(end) if end else None) for place, end in enumerate(days)]
    path.write_text("\n".join(line for _, line in made))
    return made[0][0]


@pytest.fixture
def provider() -> Iterator[Provider]:
    with providing() as provider:
        yield provider


@pytest.mark.parametrize(
    ("days", "first"), [((20, 5, None), 5), ((-3, 9, -1), 9), ((None,), None), ((-1,), None)], ids=str
)
def test_the_first_key_that_is_still_good(
    tmp_path: Path, bundle_folder: Path, days: tuple[float | None, ...], first: float | None
) -> None:
    write_keys(tmp_path / "keys", *days)
    app = create_app(Settings(bundle=bundle_folder, api_keys=tmp_path / "keys"), StubEngine(), no_waves)
    expected = {} if first is None else {"api_keys": in_days(first).timestamp()}
    assert ends(app.state.serving.telemetry) == expected


def test_without_keys_and_tls_nothing_ends(bundle_folder: Path) -> None:
    app = create_app(Settings(bundle=bundle_folder), StubEngine(), no_waves)
    build_config(app, Settings(), app.state.serving.telemetry)
    assert ends(app.state.serving.telemetry) == {}


@pytest.mark.parametrize("by", ["key", "token"])
def test_a_file_of_keys_that_changes_is_followed_whoever_asks(
    tmp_path: Path, provider: Provider, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    monkeypatch.setattr(followed, "LOOK_EVERY_S", 0.0)
    path = tmp_path / "keys"
    key = write_keys(path, None, 5)
    guard = build_guard(Settings(api_keys=path, oidc_issuer=provider.url, oidc_audience=AUDIENCE))
    assert guard.keys_end == in_days(5)
    renewed = [json.loads(line) for line in path.read_text().splitlines()]
    renewed[1]["expires"] = in_days(50).isoformat()
    path.write_text("\n".join(json.dumps(line) for line in renewed))
    asyncio.run(guard.identify({"authorization": f"Bearer {key if by == 'key' else provider.token()}"}))
    assert guard.keys_end == in_days(50)


def test_the_first_certificate_of_each_file(tmp_path: Path, bundle_folder: Path) -> None:
    authority, other = trustme.CA(), trustme.CA()
    leaf = authority.issue_cert("localhost", not_after=in_days(12))
    late = other.issue_cert("localhost", not_after=in_days(40))
    cert, key, clients = (tmp_path / name for name in ("cert", "key", "clients"))
    cert.write_bytes(leaf.cert_chain_pems[0].bytes() + late.cert_chain_pems[0].bytes())
    leaf.private_key_pem.write_to_path(key)
    authority.cert_pem.write_to_path(clients)
    telemetry = Telemetry()
    settings = Settings(bundle=bundle_folder, tls_cert=cert, tls_key=key, tls_client_ca=clients)
    build_config(create_app(settings, StubEngine(), no_waves), settings, telemetry)
    found = ends(telemetry)
    assert found.keys() == {"tls_cert", "tls_client_ca"}
    assert found["tls_cert"] == in_days(12).timestamp()
    assert found["tls_client_ca"] > in_days(300).timestamp()

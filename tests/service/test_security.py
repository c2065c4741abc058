"""Keys: known ones let in, what they may do, and nothing of them at rest."""

import asyncio
import errno
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from service.app import create_app
from service.errors import ForbiddenError, SettingsError, UnauthenticatedError
from service.security import ANYONE, Caller, Guard, KeyRing, Scope, followed, new_key, read_keys
from service.settings import Settings
from tests.service import bodies
from tests.service.stubs import PATIENCE_S, StubEngine, listening, no_waves


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def take_out_ward(path: Path) -> None:
    """Leave a key out of the file."""
    path.write_text("\n".join(line for line in path.read_text().splitlines() if '"ward"' not in line))


def let_in(guard: Guard, headers: dict[str, str], scope: Scope = "read") -> Caller:
    caller = asyncio.run(guard.identify(headers))
    caller.require(scope)
    return caller


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A file of three keys, and the keys themselves."""
    made = {name: new_key(name, frozenset({"read"})) for name in ("ward", "former")}
    made["monitor"] = new_key("monitor", frozenset({"metrics"}))
    ended = json.loads(made["former"][1]) | {"expires": (datetime.now(UTC) - timedelta(days=1)).isoformat()}
    path = tmp_path / "keys.jsonl"
    path.write_text("\n".join(["# of the test", made["ward"][1], made["monitor"][1], json.dumps(ended)]))
    return path, {name: secret for name, (secret, _) in made.items()}


def test_a_known_key_lets_in_by_either_header(keys: tuple[Path, dict[str, str]]) -> None:
    guard, secret = Guard(KeyRing(keys[0])), keys[1]["ward"]
    assert let_in(guard, bearer(secret)).name == "ward"
    assert let_in(guard, {"x-api-key": secret}, "read").name == "ward"


@pytest.mark.parametrize(
    "headers", [{}, bearer(""), bearer("guess"), {"authorization": "Basic eDp5"}, {"x-api-key": "é"}]
)
def test_anything_else_does_not(keys: tuple[Path, dict[str, str]], headers: dict[str, str]) -> None:
    with pytest.raises(UnauthenticatedError):
        let_in(Guard(KeyRing(keys[0])), headers)


def test_an_expired_key_does_not_and_a_scope_is_kept_to(keys: tuple[Path, dict[str, str]]) -> None:
    guard = Guard(KeyRing(keys[0]))
    with pytest.raises(UnauthenticatedError):
        let_in(guard, bearer(keys[1]["former"]), "read")
    with pytest.raises(ForbiddenError):
        let_in(guard, bearer(keys[1]["monitor"]), "read")
    with pytest.raises(ForbiddenError):
        let_in(guard, bearer(keys[1]["ward"]), "metrics")


def test_a_key_that_comes_twice_is_refused(keys: tuple[Path, dict[str, str]]) -> None:
    """Two lines may give it two ends and two sets of scopes."""
    path = keys[0]
    ended = json.loads(path.read_text().splitlines()[1]) | {"expires": "2020-01-01T00:00:00Z"}
    path.write_text(path.read_text() + "\n" + json.dumps(ended))
    with pytest.raises(SettingsError, match="key 4 is that of an earlier line"):
        read_keys(path)


def test_no_key_stands_in_the_file(keys: tuple[Path, dict[str, str]]) -> None:
    assert not any(secret in keys[0].read_text() for secret in keys[1].values())


def test_without_keys_everybody_is_let_in() -> None:
    assert let_in(Guard(None), {}, "admin").name == ANYONE


@pytest.mark.parametrize(
    "content", ["", "{", "{}", '{"id":"a","sha256":"short"}', '{"id":"a","sha256":"' + "0" * 64 + '","scope":[]}']
)
def test_a_wrong_file_of_keys_stops_the_service(tmp_path: Path, content: str) -> None:
    path = tmp_path / "keys"
    path.write_text(content)
    with pytest.raises(SettingsError, match="ECG_API_KEYS"):
        read_keys(path)
    with pytest.raises(SettingsError, match="ECG_API_KEYS"):
        read_keys(tmp_path / "absent")


def test_every_route_but_health_asks_for_its_scope(keys: tuple[Path, dict[str, str]], bundle_folder: Path) -> None:
    path, secrets = keys
    app = create_app(Settings(bundle=bundle_folder, api_keys=path), StubEngine(), no_waves)
    with listening(app) as url, httpx.Client(base_url=url, timeout=PATIENCE_S) as client:
        refused = client.post("/v1/ecgs", **bodies.lists())
        assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")
        assert refused.headers["www-authenticate"].startswith("Bearer")
        assert client.post("/v1/ecgs", **bodies.lists(), headers=bearer(secrets["ward"])).status_code == 200
        forbidden = client.post("/v1/ecgs", **bodies.lists(), headers=bearer(secrets["monitor"]))
        assert (forbidden.status_code, forbidden.json()["code"]) == (403, "forbidden")
        assert client.get("/v1/model").status_code == 401
        assert client.get("/metrics").status_code == 401
        assert client.get("/metrics", headers=bearer(secrets["monitor"])).status_code == 200
        assert client.get("/health/ready").status_code == 200


def test_a_key_that_is_taken_out_is_let_in_no_longer(
    keys: tuple[Path, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(followed, "LOOK_EVERY_S", 0.0)
    path, secrets = keys
    guard = Guard(KeyRing(path))
    assert let_in(guard, bearer(secrets["ward"])).name == "ward"
    take_out_ward(path)
    with pytest.raises(UnauthenticatedError):
        let_in(guard, bearer(secrets["ward"]))
    assert not guard.keys_lost


@pytest.mark.parametrize("harm", ["removed", "damaged", "emptied", "unreadable"])
def test_a_file_that_is_lost_leaves_the_keys_of_before(
    keys: tuple[Path, dict[str, str]], monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    monkeypatch.setattr(followed, "LOOK_EVERY_S", 0.0)
    path, secrets = keys
    guard, whole = Guard(KeyRing(path)), path.read_text()
    path.unlink()
    if harm == "unreadable":
        path.mkdir()
    elif harm != "removed":
        path.write_text(whole[:-40] if harm == "damaged" else "")
    for _ in range(2):
        assert let_in(guard, bearer(secrets["ward"])).name == "ward"
        assert guard.keys_lost
    if harm == "unreadable":
        path.rmdir()
    path.write_text(whole)
    assert let_in(guard, bearer(secrets["ward"])).name == "ward"
    assert not guard.keys_lost


def test_a_file_that_could_not_be_read_is_read_again_though_it_has_not_changed(
    keys: tuple[Path, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(followed, "LOOK_EVERY_S", 0.0)
    path, secrets = keys
    guard = Guard(KeyRing(path))
    take_out_ward(path)
    with monkeypatch.context() as out_of_descriptors:
        out_of_descriptors.setattr(Path, "read_text", failing)
        assert let_in(guard, bearer(secrets["ward"])).name == "ward"
        assert guard.keys_lost
    with pytest.raises(UnauthenticatedError):
        let_in(guard, bearer(secrets["ward"]))
    assert not guard.keys_lost


def failing(*_: object) -> str:
    raise OSError(errno.EMFILE, "too many open files")

"""`make keys`: what it writes lets in whom it should, and nobody else."""

import asyncio
import importlib.util
import stat
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from model.errors import EcgError
from service.security import Caller, Guard, KeyRing, Scope

ROOT = Path(__file__).parents[2]


def let_in(guard: Guard, headers: dict[str, str], scope: Scope) -> Caller:
    caller = asyncio.run(guard.identify(headers))
    caller.require(scope)
    return caller


@pytest.fixture
def keys() -> ModuleType:
    spec = importlib.util.spec_from_file_location("keys", ROOT / "docker" / "keys.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_caller_may_read_and_prometheus_may_watch(keys: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    caller = keys.make_keys(folder)
    prometheus = (folder / "metrics_key").read_text()
    guard = Guard(KeyRing(folder / "api_keys.jsonl"))
    assert let_in(guard, {"authorization": f"Bearer {caller}"}, "read").name == "first-caller"
    assert let_in(guard, {"authorization": f"Bearer {prometheus}"}, "metrics").name == "prometheus"
    outside: list[tuple[str, Scope]] = [(caller, "admin"), (prometheus, "read"), ("", "read")]
    for key, scope in outside:
        with pytest.raises(EcgError):
            let_in(guard, {"authorization": f"Bearer {key}"}, scope)


def test_the_callers_key_is_stored_nowhere(keys: ModuleType, tmp_path: Path) -> None:
    caller = keys.make_keys(tmp_path / "secrets")
    assert not any(caller in path.read_text() for path in (tmp_path / "secrets").iterdir())


def test_everything_that_compose_mounts_is_made_and_its_folder_is_private(keys: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    keys.make_keys(folder)
    mounted = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["secrets"].values()
    assert {path.name for path in folder.iterdir()} == {Path(secret["file"]).name for secret in mounted}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_keys_are_not_overwritten(keys: ModuleType, tmp_path: Path) -> None:
    keys.make_keys(tmp_path / "secrets")
    with pytest.raises(FileExistsError):
        keys.make_keys(tmp_path / "secrets")

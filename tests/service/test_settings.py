"""Settings: known names only, safe where they must be."""

import contextlib
from pathlib import Path

import pytest

from service.errors import SettingsError
from service.settings import IN_PLAIN_WORDS, Settings, default_bundle, read_settings, usable_cores

EVERYWHERE = "::"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ECG_BUNDLE", "ECG_PORT", "ECG_HOST"):
        monkeypatch.delenv(name, raising=False)


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECG_PORT", "9000")
    monkeypatch.setenv("ECG_BUNDLE", "/some/where")
    monkeypatch.setenv("ECG_DATA", "/records")
    monkeypatch.setenv("ECG_VARIANT", "")
    settings = read_settings()
    assert settings.port == 9000
    assert settings.bundle == Path("/some/where")
    assert settings.variant is None
    assert settings.host == "127.0.0.1"


@pytest.mark.parametrize("name", ["ECG_BUNDEL", "ECG_batch", "ecg_bundel"])
def test_a_misspelt_name_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(SettingsError, match=name) as refused:
        read_settings({name: "x"})
    assert "\n" not in refused.value.detail
    assert "ECG_BUNDLE" in refused.value.detail


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ECG_PORT", "many"),
        ("ECG_PORT", "70000"),
        ("ECG_DEVICE", "abacus"),
        ("ECG_BODY_MIB", "0"),
        ("ECG_WORKERS", "-1"),
        ("ECG_QUEUE_AGE_S", "nan"),
        ("ECG_TRUSTED_PROXIES", "*"),
        ("ECG_TRUSTED_PROXIES", "10.0.0.1/8"),
        ("ECG_TRUSTED_PROXIES", "127.0.0.1, proxy"),
    ],
)
def test_a_wrong_value_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=f"{name}: ") as refused:
        read_settings()
    assert "\n" not in refused.value.detail


def test_beyond_loopback_authentication_is_needed_or_plain_words(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="ECG_API_KEYS"):
        Settings(host=EVERYWHERE)
    with pytest.raises(ValueError, match="ECG_API_KEYS"):
        Settings(host=EVERYWHERE, insecure="yes")
    assert Settings(host=EVERYWHERE, insecure=IN_PLAIN_WORDS).host == EVERYWHERE
    assert Settings(host=EVERYWHERE, api_keys=tmp_path / "keys").host == EVERYWHERE


def test_every_setting_says_what_it_is() -> None:
    assert all(field.description for field in Settings.model_fields.values())


def test_the_shipped_bundle_is_found_or_its_absence_said() -> None:
    with contextlib.suppress(SettingsError):
        assert (default_bundle() / "manifest.json").exists()


def test_there_is_at_least_one_core() -> None:
    assert usable_cores() >= 1


def test_the_queue_grows_with_the_cores_that_drain_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.settings.usable_cores", lambda: 1)
    one = Settings().most_ecgs
    monkeypatch.setattr("service.settings.usable_cores", lambda: 4)
    assert Settings().most_ecgs == 4 * one
    assert Settings(queue_ecgs=7).most_ecgs == 7


def test_connections_are_as_many_as_the_file_descriptors_allow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tls = {"tls_cert": tmp_path / "cert", "tls_key": tmp_path / "key"}
    alone = Settings(readers=0, wave_workers=1)
    for allowed, plain, secured in ((1134, 1000, 500), (65536, 2000, 2000), (-1, 2000, 2000), (100, 1, 1)):
        monkeypatch.setattr("resource.getrlimit", lambda _, allowed=allowed: (allowed, allowed))
        assert alone.most_connections == plain
        assert alone.model_copy(update=tls).most_connections == secured
    assert alone.model_copy(update={"connections": 9} | tls).most_connections == 9


def test_processes_take_their_file_descriptors_from_the_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (1024, 1024))
    monkeypatch.setattr("service.settings.usable_cores", lambda: 16)
    few, many = Settings(readers=1, wave_workers=1), Settings(readers=9, wave_workers=5)
    assert few.most_connections - many.most_connections == 12 * 3 * 2  # three each, and twice as many in a reload
    assert Settings().own_descriptors == Settings(readers=16, wave_workers=16).own_descriptors

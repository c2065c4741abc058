"""TLS of the service's own, behind a real socket: who gets in with which certificate, and as whom."""

import hashlib
import shutil
import ssl
import subprocess
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from service.app import create_app
from service.errors import SettingsError
from service.health import is_ready
from service.security import new_key
from service.security.certificates import follow_tls
from service.settings import Settings
from tests.service.pki import Pki, secured, send
from tests.service.stubs import PATIENCE_S, StubEngine, listening, no_waves


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


def test_the_bearer_of_a_certificate_is_let_in_and_known_without_a_name(
    pki: Pki, bundle_folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "audit.jsonl"
    with secured(pki.settings(bundle_folder, audit=path)) as url:
        assert send(url, pki.as_client(pki.client)).status_code == 200
        with httpx.Client(base_url=url, verify=pki.as_client(pki.client), timeout=PATIENCE_S) as client:
            assert client.get("/metrics").json()["code"] == "forbidden"
    written = path.read_text()
    assert f'"caller": "{named_by_openssl(pki, tmp_path)}"' in written
    assert "Jane" not in written


def named_by_openssl(pki: Pki, folder: Path) -> str:
    """The id as an auditor finds it with openssl alone."""
    content = folder / "client.pem"
    pki.client.cert_chain_pems[0].write_to_path(content)
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    command = ["openssl", "x509", "-noout", "-subject", "-nameopt", "RFC2253", "-in", str(content)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return "certificate-" + hashlib.sha256(said.strip().removeprefix("subject=").encode()).hexdigest()[:32]


@pytest.mark.parametrize("who", ["nobody", "stranger"])
def test_without_a_certificate_of_our_authority_there_is_no_connection(pki: Pki, bundle_folder: Path, who: str) -> None:
    context = pki.as_client(pki.stranger if who == "stranger" else None)
    with secured(pki.settings(bundle_folder)) as url, pytest.raises(httpx.TransportError):
        send(url, context)


def test_old_tls_and_plain_http_are_not_spoken(pki: Pki, bundle_folder: Path) -> None:
    old = pki.as_client(pki.client)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with secured(pki.settings(bundle_folder)) as url:
        assert send(url, old).status_code == 200
        with pytest.raises(httpx.TransportError):
            httpx.get(url.replace("https", "http"), timeout=PATIENCE_S)
    tls = follow_tls(pki.settings(bundle_folder))
    assert tls
    assert tls.content.context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_where_there_are_keys_they_are_asked_for_besides(pki: Pki, bundle_folder: Path, tmp_path: Path) -> None:
    secret, line = new_key("ward", frozenset({"read"}))
    (tmp_path / "keys").write_text(line)
    context = pki.as_client(pki.client)
    with secured(pki.settings(bundle_folder, api_keys=tmp_path / "keys")) as url:
        assert send(url, context).status_code == 401
        assert send(url, context, headers={"x-api-key": secret}).status_code == 200


def test_scopes_of_certificates_are_the_settings(pki: Pki, bundle_folder: Path) -> None:
    with (
        secured(pki.settings(bundle_folder, tls_client_scopes="metrics")) as url,
        httpx.Client(base_url=url, verify=pki.as_client(pki.client), timeout=PATIENCE_S) as client,
    ):
        assert client.get("/metrics").status_code == 200
        assert client.get("/v1/model").status_code == 403
        assert client.get("/health/ready").status_code == 200


def test_tls_alone_asks_for_no_certificate(pki: Pki, bundle_folder: Path) -> None:
    with secured(pki.settings(bundle_folder, tls_client_ca=None)) as url:
        assert send(url, pki.as_client(None)).status_code == 200


@pytest.mark.parametrize("client_ca", [True, False])
def test_the_health_check_speaks_the_services_tls(pki: Pki, bundle_folder: Path, client_ca: bool) -> None:
    settings = pki.settings(bundle_folder, **({} if client_ca else {"tls_client_ca": None}))
    with secured(settings) as url:
        port = int(url.rsplit(":", 1)[1])
        assert is_ready(settings.model_copy(update={"port": port}))
    assert not is_ready(settings.model_copy(update={"port": port}))


def test_the_health_check_without_tls(bundle_folder: Path) -> None:
    app = create_app(Settings(bundle=bundle_folder), StubEngine(), no_waves)
    with listening(app) as url:
        settings = Settings(port=int(url.rsplit(":", 1)[1]))
        assert is_ready(settings)
        app.state.serving.draining = True
        assert not is_ready(settings)


def test_half_of_it_is_refused(pki: Pki, bundle_folder: Path, tmp_path: Path) -> None:
    for given in (
        {"tls_key": None},
        {"tls_cert": None},
        {"tls_cert": None, "tls_key": None},
        {"tls_client_scopes": "read,write"},
    ):
        with pytest.raises(ValueError, match="ECG_TLS"):
            pki.settings(bundle_folder, **given)
    assert pki.settings(bundle_folder, host="::").host == "::"
    with pytest.raises(ValueError, match="ECG_TLS_CLIENT_CA"):
        pki.settings(bundle_folder, host="::", tls_client_ca=None)
    (tmp_path / "empty").touch()
    for name in ("tls_cert", "tls_key", "tls_client_ca"):
        for path in (tmp_path / "empty", tmp_path / "absent", tmp_path):
            with pytest.raises(SettingsError, match="ECG_TLS_") as refused:
                follow_tls(pki.settings(bundle_folder, **{name: path}))
            assert "\n" not in refused.value.detail


def test_a_key_with_a_password_is_refused_rather_than_asked_for(pki: Pki, bundle_folder: Path, tmp_path: Path) -> None:
    key = load_pem_private_key(pki.key.read_bytes(), None)
    locked = tmp_path / "locked.pem"
    locked.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password")))
    with pytest.raises(SettingsError, match="ECG_TLS_KEY"):
        follow_tls(pki.settings(bundle_folder, tls_key=locked))

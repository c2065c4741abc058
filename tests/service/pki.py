"""Authorities, certificates of theirs, and a service that speaks TLS with one."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import trustme

from service.app import create_app
from service.settings import Settings
from tests.service import bodies
from tests.service.stubs import PATIENCE_S, StubEngine, listening, no_waves


class Pki:
    """Two authorities, the service's certificate, and clients' of both."""

    def __init__(self, folder: Path) -> None:
        self.ours, self.others = trustme.CA(), trustme.CA()
        self.client = self.ours.issue_cert(common_name="Jane Doe", organization_name="Ward 7")
        self.stranger = self.others.issue_cert(common_name="Jane Doe", organization_name="Ward 7")
        server = self.ours.issue_cert("127.0.0.1", "localhost")
        self.ca, self.cert, self.key = folder / "ca.pem", folder / "cert.pem", folder / "key.pem"
        self.ours.cert_pem.write_to_path(self.ca)
        server.private_key_pem.write_to_path(self.key)
        for pem in server.cert_chain_pems:
            pem.write_to_path(self.cert, append=True)

    def settings(self, bundle: Path, **changes: Any) -> Settings:
        asked = {"bundle": bundle, "tls_cert": self.cert, "tls_key": self.key, "tls_client_ca": self.ca}
        return Settings(**(asked | changes))

    def as_client(self, certificate: trustme.LeafCert | None) -> ssl.SSLContext:
        context = ssl.create_default_context()
        self.ours.configure_trust(context)
        if certificate:
            certificate.configure_cert(context)
        return context


@contextmanager
def secured(settings: Settings) -> Iterator[str]:
    """The https address of a service."""
    with listening(create_app(settings, StubEngine(), no_waves), settings) as url:
        yield url


def send(url: str, context: ssl.SSLContext, **request: Any) -> httpx.Response:
    with httpx.Client(base_url=url, verify=context, timeout=PATIENCE_S) as client:
        return client.post("/v1/ecgs?include=findings", **bodies.lists(), **request)

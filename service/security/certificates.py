"""TLS of the service's own: what is spoken, and under which id the bearer of a client certificate is known."""

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from cryptography import x509
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.errors import SettingsError
from service.expiry import Expiring
from service.security.callers import hashed_name
from service.security.followed import Followed
from service.settings import Settings

STATE = "certificate"
"""Under which name the id stands in the state of every request of a connection."""


class CertifiedProtocol(HttpToolsProtocol):
    """HTTP/1.1 that tells the application whose client certificate the connection was opened with."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Name the bearer once; the handshake has proved that the certificate is theirs and that the CA signed it."""
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        content = tls.getpeercert(binary_form=True) if tls else None
        if content:
            self.app_state = {**self.app_state, STATE: certificate_name(content)}


def certificate_name(content: bytes) -> str:
    """The id of a certificate (DER), hashed from its subject, which outlives renewals; from all of it if it is empty.

    The subject is hashed as RFC 4514 writes it: `openssl x509 -noout -subject -nameopt RFC2253`.
    """
    subject = x509.load_der_x509_certificate(content).subject.rfc4514_string()
    return hashed_name("certificate", subject or content.hex())


@dataclass(frozen=True)
class Tls:
    """What connections are opened with.

    Attributes:
        context: for the handshakes.
        ends: when the first certificate of each file ends.
    """

    context: ssl.SSLContext
    ends: Mapping[Expiring, datetime]


def follow_tls(settings: Settings) -> Followed[Tls] | None:
    """TLS as the settings' files have it now, renewed certificates included; None without a certificate.

    A new context is made of files that changed, rather than the old one told: of one half that is new it would forget
    the other half.

    Raises:
        SettingsError: a file cannot be read or used.
    """
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    certificate, key, authority = settings.tls_cert, settings.tls_key, settings.tls_client_ca
    paths = [certificate, key, *([authority] if authority else [])]
    return Followed("tls", paths, partial(build_tls, certificate, key, authority))


def build_tls(certificate: Path, key: Path, authority: Path | None) -> Tls:
    """TLS 1.2 and later with a certificate, a client's demanded where there is a CA for them.

    Raises:
        SettingsError: a file cannot be read or used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, key, password="")
    except OSError as error:  # ssl.SSLError is one
        raise _unusable("ECG_TLS_CERT, ECG_TLS_KEY", error) from None
    if authority:
        _demand_certificate(context, authority)
    return Tls(context, _ends({"tls_cert": certificate, "tls_client_ca": authority}))


def _ends(files: Mapping[Expiring, Path | None]) -> dict[Expiring, datetime]:
    """When the first certificate of each PEM file ends; of what OpenSSL took and this library does not, nothing."""
    found: dict[Expiring, datetime] = {}
    for part, path in files.items():
        with suppress(OSError, ValueError):
            if path:
                read = x509.load_pem_x509_certificates(path.read_bytes())
                found[part] = min(one.not_valid_after_utc for one in read)
    return found


def _demand_certificate(context: ssl.SSLContext, authority: Path) -> None:
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        context.load_verify_locations(authority)
    except OSError as error:
        raise _unusable("ECG_TLS_CLIENT_CA", error) from None


def _unusable(names: str, error: OSError) -> SettingsError:
    reason = getattr(error, "reason", None) or type(error).__name__
    return SettingsError(f"{names}: the files cannot be used: {reason}")

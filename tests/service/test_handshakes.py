"""TLS that never comes about is counted, ends soon and hinders nobody; renewed certificates serve without a restart."""

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import trustme

from service import handshakes
from service.security import followed
from tests.service import bodies
from tests.service.pki import Pki, secured, send
from tests.service.stubs import PATIENCE_S, until

HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
"""The first bytes of a handshake, which announce more."""

CONNECTIONS = "ecg_connections "

BEGINNINGS = {"silent": b"", "half_a_hello": HELLO, "a_byte": b"\x16"}


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path)


def connected(url: str) -> socket.socket:
    return socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), timeout=PATIENCE_S)


def is_ended(connection: socket.socket) -> bool:
    """Whether the service ends it."""
    try:
        return connection.recv(1000) == b""
    except ConnectionResetError:
        return True


@contextmanager
def watching(url: str, context: ssl.SSLContext) -> Iterator[Callable[[str], float]]:
    """Reads a metric over one connection that stays."""
    with httpx.Client(base_url=url, verify=context, timeout=PATIENCE_S) as client:

        def read(name: str) -> float:
            lines = client.get("/metrics").text.splitlines()
            return next((float(line.split()[-1]) for line in lines if line.startswith(name)), 0.0)

        yield read


@pytest.mark.parametrize("beginning", BEGINNINGS.values(), ids=BEGINNINGS.keys())
def test_a_handshake_that_does_not_come_about_is_counted_and_ended(
    pki: Pki, bundle_folder: Path, monkeypatch: pytest.MonkeyPatch, beginning: bytes
) -> None:
    monkeypatch.setattr(handshakes, "HANDSHAKE_S", 1.5)
    with secured(pki.settings(bundle_folder, tls_client_ca=None)) as url, ExitStack() as held:
        metric = held.enter_context(watching(url, pki.as_client(None)))
        assert metric(CONNECTIONS) == 1
        waiting = [held.enter_context(closing(connected(url))) for _ in range(5)]
        for one in waiting:
            one.sendall(beginning)
        until(lambda: metric(CONNECTIONS) == 6)
        assert all(is_ended(one) for one in waiting)
        until(lambda: metric(CONNECTIONS) == 1)
        assert send(url, pki.as_client(None)).status_code == 200


def test_what_is_no_tls_and_who_leaves_are_not_counted_any_more(pki: Pki, bundle_folder: Path) -> None:
    with (
        secured(pki.settings(bundle_folder, tls_client_ca=None)) as url,
        watching(url, pki.as_client(None)) as metric,
    ):
        with closing(connected(url)) as plain:
            plain.sendall(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n")
            assert b"HTTP" not in plain.recv(1000)
            assert is_ended(plain)
        with closing(connected(url)) as gone:
            gone.sendall(HELLO)
        until(lambda: metric(CONNECTIONS) == 1)


def test_handshakes_make_room_for_each_other_and_push_out_nobody_else(pki: Pki, bundle_folder: Path) -> None:
    context, settings = pki.as_client(None), pki.settings(bundle_folder, tls_client_ca=None, connections=4)
    with secured(settings) as url, ExitStack() as held:
        standing = held.enter_context(context.wrap_socket(connected(url), server_hostname="localhost"))
        silent = [held.enter_context(closing(connected(url))) for _ in range(40)]
        assert all(is_ended(one) for one in silent[:30])
        assert [send(url, context).status_code for _ in range(3)] == [200] * 3
        standing.sendall(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n")
        assert standing.recv(1000).startswith(b"HTTP/1.1 200")
        metric = held.enter_context(watching(url, context))
        until(lambda: metric(CONNECTIONS) <= 4 + 2)


def test_a_stop_waits_for_no_handshake(pki: Pki, bundle_folder: Path) -> None:
    with ExitStack() as held:
        with secured(pki.settings(bundle_folder, tls_client_ca=None)) as url:
            held.enter_context(closing(connected(url)))
            assert send(url, pki.as_client(None)).status_code == 200
            began_s = time.monotonic()
        assert time.monotonic() - began_s < handshakes.HANDSHAKE_S / 2


def test_a_request_right_behind_a_slow_handshake_is_answered(pki: Pki, bundle_folder: Path) -> None:
    """Byte by byte, and the request in the same packet as the end of the handshake."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = pki.as_client(None).wrap_bio(incoming, outgoing, server_hostname="localhost")
    with secured(pki.settings(bundle_folder, tls_client_ca=None)) as url, closing(connected(url)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(ssl.SSLWantReadError):
            tls.do_handshake()
        for byte in outgoing.read():
            connection.sendall(bytes([byte]))
        for _ in range(50):
            incoming.write(connection.recv(65536))
            with suppress(ssl.SSLWantReadError):
                tls.do_handshake()
                break
        tls.write(b"GET /health/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        connection.sendall(outgoing.read())
        while received := connection.recv(65536):
            incoming.write(received)
        assert tls.read(1000).startswith(b"HTTP/1.1 200")


def serial_of(url: str, context: ssl.SSLContext) -> Any:
    """Of the certificate that the service shows."""
    with context.wrap_socket(connected(url), server_hostname="localhost") as shown:
        return (shown.getpeercert() or {})["serialNumber"]


def put(path: Path, content: bytes) -> None:
    """Put in place, as those who renew certificates do."""
    aside = path.with_suffix(".new")
    aside.write_bytes(content)
    aside.replace(path)


def test_a_renewed_certificate_serves_without_a_restart_and_half_of_one_does_not(
    pki: Pki, bundle_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(followed, "LOOK_EVERY_S", 0.0)
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(days=90)
    renewed = pki.ours.issue_cert("127.0.0.1", "localhost", not_after=end)
    context = pki.as_client(None)
    with secured(pki.settings(bundle_folder, tls_client_ca=None)) as url, watching(url, context) as metric:
        before = serial_of(url, context)
        put(pki.cert, renewed.cert_chain_pems[0].bytes())
        until(lambda: serial_of(url, context) == before and metric('ecg_degraded{part="tls"}') == 1)
        put(pki.key, renewed.private_key_pem.bytes())
        until(lambda: serial_of(url, context) != before)
        assert metric('ecg_degraded{part="tls"}') == 0
        assert metric('ecg_expiry_timestamp_seconds{part="tls_cert"}') == end.timestamp()


def test_another_authority_for_clients_is_followed(
    pki: Pki, bundle_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(followed, "LOOK_EVERY_S", 0.0)
    with secured(pki.settings(bundle_folder)) as url:
        assert send(url, pki.as_client(pki.client)).status_code == 200
        put(pki.ca, pki.others.cert_pem.bytes())
        until(lambda: is_let_in(url, pki, pki.stranger))
        assert not is_let_in(url, pki, pki.client)


def is_let_in(url: str, pki: Pki, who: trustme.LeafCert) -> bool:
    try:
        return httpx.post(f"{url}/v1/ecgs", verify=pki.as_client(who), timeout=60, **bodies.lists()).status_code == 200
    except httpx.TransportError:
        return False

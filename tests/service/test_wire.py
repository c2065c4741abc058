"""What comes over a socket and is no ordinary request: refused in the service's own form, or understood."""

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import urlsplit

import httpx
import pytest

from service.app import create_app
from service.settings import Settings
from service.wire import MOST_HEAD_BYTES
from tests.service import bodies
from tests.service.stubs import StubEngine, get, listening, metric, no_waves

HEAD = b"POST /v1/ecgs HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"
LIVE = b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n"
AT_ONCE = 256 * 1024
"""Received at a time by the server below."""


@pytest.fixture(scope="module")
def url(settings: Settings) -> Iterator[str]:
    with listening(create_app(settings, StubEngine(), no_waves)) as url:
        yield url


def connected(url: str) -> socket.socket:
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname, parts.port), timeout=60)


def read_reply(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of one reply with a length."""
    stream = connection.makefile("rb")
    status = int(stream.readline().split()[1])
    headers = {}
    while line := stream.readline().strip():
        name, _, value = line.decode().partition(": ")
        headers[name.lower()] = value
    return status, headers, stream.read(int(headers["content-length"]))


NO_HTTP = {
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "http2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "proxy": b"CONNECT /v1/ecgs HTTP/1.1\r\nhost: x\r\n\r\n",
    "proxied": b"CONNECT elsewhere:443 HTTP/1.1\r\nhost: x\r\n\r\n",
    "not_ascii": b"GET /M\xfcller HTTP/1.1\r\nhost: x\r\n\r\n",
    "no_path": b"GET http://elsewhere HTTP/1.1\r\nhost: x\r\n\r\n",
    "two_lengths": HEAD + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}",
    "length_and_chunks": HEAD + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "long_length": HEAD + b"content-length: 99999999999999999999\r\n\r\n",
    "other_encoding": HEAD + b"transfer-encoding: gzip\r\n\r\n{}",
    "broken_chunk": CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n",
    "length_in_trailer": CHUNKED + b"2\r\n{}\r\n0\r\ncontent-length: 3\r\n\r\n",
}


@pytest.mark.parametrize("sent", NO_HTTP.values(), ids=NO_HTTP.keys())
def test_what_is_no_http_is_a_problem_that_quotes_nothing(url: str, sent: bytes) -> None:
    before = metric(url, 'ecg_refusals_total{code="malformed_http"}')
    with closing(connected(url)) as connection:
        connection.sendall(sent)
        status, headers, body = read_reply(connection)
    problem = json.loads(body)
    assert (status, problem["code"], problem["status"]) == (400, "malformed_http", 400)
    assert headers["content-type"] == "application/problem+json"
    assert headers["x-request-id"] == problem["request_id"]
    assert headers["connection"] == "close"
    assert "ller" not in body.decode()
    assert metric(url, 'ecg_refusals_total{code="malformed_http"}') == before + 1


ENDLESS = {
    "path": b"GET /",
    "query": b"GET /health/live?",
    "name": b"GET /health/live HTTP/1.1\r\n",
    "value": b"GET /health/live HTTP/1.1\r\ncookie: ",
    "trailer": CHUNKED + b"2\r\n{}\r\n0\r\nx: ",
    "chunk_extension": CHUNKED + b"2;x=",
}


@pytest.mark.parametrize("sent", ENDLESS.values(), ids=ENDLESS.keys())
def test_a_head_without_end_is_refused_and_not_kept(url: str, sent: bytes) -> None:
    with closing(connected(url)) as connection:
        connection.sendall(sent)
        sent_bytes = 0
        try:
            while sent_bytes < 64 * MOST_HEAD_BYTES:
                connection.sendall(b"x" * 4096)
                sent_bytes += 4096
        except (ConnectionResetError, BrokenPipeError):
            pass
    # What the systems on both sides keep for a connection comes on top.
    assert sent_bytes < 64 * MOST_HEAD_BYTES


def test_a_head_that_is_too_large_is_told_so(url: str) -> None:
    with closing(connected(url)) as connection:
        connection.sendall(b"GET /health/live HTTP/1.1\r\ncookie: " + b"x" * (MOST_HEAD_BYTES + 1))
        status, _, body = read_reply(connection)
    assert (status, json.loads(body)["code"]) == (431, "head_too_large")


def test_many_small_trailers_are_not_kept(url: str) -> None:
    with closing(connected(url)) as connection:
        connection.sendall(CHUNKED + b"2\r\n{}\r\n0\r\n" + b"a: b\r\n" * (2 * AT_ONCE // 6) + b"\r\n")
        status, _, body = read_reply(connection)
    assert (status, json.loads(body)["code"]) == (431, "head_too_large")


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket"])
@pytest.mark.parametrize("apart", [False, True], ids=["at_once", "apart"])
def test_who_offers_another_protocol_is_answered_in_this_one(url: str, protocol: bytes, *, apart: bool) -> None:
    offer = b"connection: Upgrade, HTTP2-Settings\r\nupgrade: " + protocol + b"\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n"
    body = json.dumps(bodies.lists()["json"]).encode()
    head = HEAD + offer + f"content-length: {len(body)}\r\n\r\n".encode()
    with closing(connected(url)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in (head, body[:100], body[100:]) if apart else (head + body,):
            connection.sendall(piece)
        assert read_reply(connection)[0] == 200
        connection.sendall(LIVE)
        assert read_reply(connection)[0] == 200


def test_requests_that_come_together_are_answered_in_order(url: str) -> None:
    missing = b"GET /v1/nothing HTTP/1.1\r\nhost: x\r\n\r\n"
    with closing(connected(url)) as connection:
        connection.sendall(LIVE + missing + LIVE)
        stream = connection.makefile("rb")
        said = []
        for _ in range(3):
            said.append(int(stream.readline().split()[1]))
            length = 0
            while line := stream.readline().strip():
                name, _, value = line.partition(b": ")
                length = int(value) if name.lower() == b"content-length" else length
            stream.read(length)
    assert said == [200, 404, 200]


@pytest.mark.parametrize("path", ["/v1/ecgs%0A", "/v1/ecgs/batch%0A", "/v1/ecgs/", "/v1/ecgs/batch/", "//v1/ecgs"])
def test_a_path_that_only_resembles_a_route_leads_nowhere(url: str, path: str) -> None:
    reply = httpx.post(f"{url}{path}", headers={"host": "elsewhere.example"}, timeout=60, **bodies.lists())
    assert (reply.status_code, reply.json()["code"]) == (404, "not_found")
    assert "location" not in reply.headers


def test_who_has_been_refused_is_not_refused_again(url: str) -> None:
    refused = HEAD + b"content-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n"
    with closing(connected(url)) as connection:
        connection.sendall(refused)
        assert read_reply(connection)[0] == 415
        connection.sendall(b"zz\r\n")
        assert connection.recv(9999) == b""


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
def test_a_probe_may_ask_for_the_head_alone(url: str, path: str) -> None:
    reply = httpx.head(f"{url}{path}", timeout=60)
    assert (reply.status_code, reply.content) == (200, b"")


def test_an_answer_is_not_to_be_stored_on_its_way(url: str) -> None:
    line = json.dumps(bodies.lists()["json"]).encode()
    batch = {"content": line, "headers": {"content-type": "application/x-ndjson"}}
    for path, request in (("/v1/ecgs", bodies.raw()), ("/v1/ecgs/batch", batch)):
        reply = httpx.post(f"{url}{path}", timeout=60, **request)
        assert (reply.status_code, reply.headers["cache-control"]) == (200, "no-store")


def test_the_service_lives_on(url: str) -> None:
    assert get(f"{url}/health/ready").status_code == 200

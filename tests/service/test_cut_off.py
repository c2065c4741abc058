"""Clients that stop: they are cut off, hold nothing any more, and are told apart from those that were answered."""

import asyncio
import json
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import uvicorn
from fastapi import FastAPI
from uvicorn.server import ServerState

from service import examples
from service.app import create_app
from service.connections import timed
from service.settings import Settings
from service.telemetry import Telemetry
from tests.service.stubs import StubEngine, get, listening, metric, no_waves, until

LINES = 150
BIG = "include=findings,waves,measurements,embedding,plot"
"""Parts that make a line long: all lines together are more than a system keeps for a connection."""


@contextmanager
def serving(
    bundle: Path, audit: Path, engine: StubEngine | None = None, **given: float
) -> Iterator[tuple[str, FastAPI]]:
    settings = Settings.model_validate({"bundle": bundle, "audit": audit, "workers": 1, **given})
    app = create_app(settings, engine or StubEngine(), no_waves)
    with listening(app, settings) as url:
        yield url, app


def connected(url: str) -> socket.socket:
    """A connection whose system takes little that its program does not read."""
    connection = socket.socket()
    connection.settimeout(60)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    parts = urlsplit(url)
    connection.connect((parts.hostname, parts.port))
    return connection


def ask_for_many(connection: socket.socket, lines: int = LINES) -> None:
    body = b"\n".join([json.dumps(examples.json_base64()).encode()] * lines)
    head = f"POST /v1/ecgs/batch?{BIG} HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-ndjson\r\n"
    connection.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)


def answer_on(connection: socket.socket) -> bytes:
    """Head and body of an answer in JSON, which come in pieces."""
    came = bytearray()
    while not came.endswith(b"}") and (got := connection.recv(1 << 20)):
        came += got
    return bytes(came)


def rest_of(connection: socket.socket) -> bytes:
    """What comes until the connection is closed; reset is closed."""
    came = bytearray()
    try:
        while got := connection.recv(1 << 20):
            came += got
            if came.endswith(b"\r\n0\r\n\r\n"):
                break
    except ConnectionResetError:
        pass
    return bytes(came)


def outcomes(audit: Path) -> list[str]:
    """Of the batch itself."""
    lines = [json.loads(line) for line in audit.read_text().splitlines()]
    return [line["outcome"] for line in lines if line["route"] == "/v1/ecgs/batch"]


def cut_lines(url: str, reason: str, status: int) -> tuple[float, float]:
    cut = metric(url, f'ecg_cut_answers_total{{reason="{reason}"}}')
    counted = metric(url, f'ecg_requests_total{{method="POST",route="/v1/ecgs/batch",status="{status}"}}')
    return cut, counted


def test_who_stops_reading_is_cut_off_and_holds_no_room(bundle_folder: Path, tmp_path: Path) -> None:
    audit = tmp_path / "audit.jsonl"
    with (
        serving(bundle_folder, audit, answer_timeout_s=0.5, queue_ecgs=8) as (url, app),
        closing(connected(url)) as connection,
    ):
        ask_for_many(connection)
        until(lambda: app.state.serving.admission.ecgs == 1)
        until(lambda: app.state.serving.admission.ecgs == 0)
        until(lambda: cut_lines(url, "client_stalled", 499) == (1.0, 1.0))
        assert not rest_of(connection).endswith(b"\r\n0\r\n\r\n")
        assert metric(url, 'ecg_requests_total{method="POST",route="/v1/ecgs/batch",status="200"}') == 0
    assert outcomes(audit) == ["begun", "client_stalled"]


def test_who_reads_slowly_gets_every_line(bundle_folder: Path, tmp_path: Path) -> None:
    audit = tmp_path / "audit.jsonl"
    with (
        serving(bundle_folder, audit, answer_timeout_s=1.0) as (url, _),
        closing(connected(url)) as connection,
    ):
        ask_for_many(connection)
        began_s = time.monotonic()
        came = bytearray()
        while time.monotonic() - began_s < 3.0:  # far less than the system asks for at once
            came += connection.recv(1 << 10)
            time.sleep(0.05)
        came += rest_of(connection)
        assert came.endswith(b"\r\n0\r\n\r\n")
        assert came.count(b'{"index":') == LINES
        until(lambda: metric(url, 'ecg_requests_total{method="POST",route="/v1/ecgs/batch",status="200"}') == 1)
        assert cut_lines(url, "client_stalled", 499) == (0.0, 0.0)
    assert outcomes(audit) == ["begun", "answered"]


def test_who_leaves_in_the_middle_was_not_answered(bundle_folder: Path, tmp_path: Path) -> None:
    audit = tmp_path / "audit.jsonl"
    with serving(bundle_folder, audit, StubEngine(seconds=0.05)) as (url, _):
        with closing(connected(url)) as connection:
            ask_for_many(connection)
            assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        until(lambda: cut_lines(url, "client_gone", 499) == (1.0, 1.0))
    assert outcomes(audit) == ["begun", "client_gone"]


def test_a_batch_that_the_stop_cut_was_not_answered(bundle_folder: Path, tmp_path: Path) -> None:
    audit = tmp_path / "audit.jsonl"
    engine = StubEngine()
    with ExitStack() as held:
        with serving(bundle_folder, audit, engine, drain_s=1.0) as (url, app):
            connection = held.enter_context(closing(connected(url)))
            engine.gate.clear()
            ask_for_many(connection, 1)
            until(lambda: len(audit.read_text().splitlines()) == 1)
        engine.gate.set()
        came = rest_of(connection)
    assert came.startswith(b"HTTP/1.1 200")
    assert not came.endswith(b"\r\n0\r\n\r\n")
    registry = app.state.serving.telemetry.registry
    assert registry.get_sample_value("ecg_cut_answers_total", {"reason": "not_ready"}) == 1
    assert outcomes(audit) == ["begun", "not_ready"]


@pytest.mark.parametrize("sent", [b"", b"POST /v1/ecgs HTTP/1.1\r\nhost: x", b"\r\n"])
def test_a_head_that_does_not_come_is_not_waited_for(bundle_folder: Path, tmp_path: Path, sent: bytes) -> None:
    with (
        serving(bundle_folder, tmp_path / "audit.jsonl", body_timeout_s=0.3) as (url, _),
        closing(connected(url)) as connection,
    ):
        connection.sendall(sent)
        assert rest_of(connection) == b""


def test_who_is_refused_may_send_the_rest_of_the_body_however_slowly(bundle_folder: Path, tmp_path: Path) -> None:
    with (
        serving(bundle_folder, tmp_path / "audit.jsonl", body_timeout_s=0.5, body_mib=1) as (url, _),
        closing(connected(url)) as connection,
    ):
        size = 2 << 20
        head = f"POST /v1/ecgs HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {size}\r\n\r\n"
        connection.sendall(head.encode())
        for _ in range(8):
            time.sleep(0.25)
            connection.sendall(bytes(size // 8))
        assert answer_on(connection).startswith(b"HTTP/1.1 413")
        assert rest_of(connection) == b""  # and then no further head comes


def test_who_is_refused_has_the_time_of_the_largest_body_for_the_rest_and_no_more(
    bundle_folder: Path, tmp_path: Path
) -> None:
    audit = tmp_path / "audit.jsonl"
    with (
        serving(bundle_folder, audit, body_timeout_s=0.2, body_mib=1, batch_mib=2) as (url, _),
        closing(connected(url)) as connection,
    ):
        head = "POST /v1/ecgs HTTP/1.1\r\nhost: x\r\ncontent-encoding: gzip\r\ncontent-length: 1000\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(9999).startswith(b"HTTP/1.1 415")
        began_s = time.monotonic()
        sent = 0
        with suppress(ConnectionResetError, BrokenPipeError):
            while time.monotonic() - began_s < 30:
                connection.sendall(b"x")
                sent += 1
                time.sleep(0.05)
        assert sent < 500


class Deaf(asyncio.Transport):
    """A connection whose client takes nothing, so that what is written stays, however little it is."""

    def __init__(self, socket: socket.socket) -> None:
        super().__init__({"socket": socket})
        self.left = bytearray()
        self.closing = False
        self.aborted = asyncio.Event()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.left += data

    def get_write_buffer_size(self) -> int:
        return len(self.left)

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.aborted.set()


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_a_little_of_an_answer_that_is_not_taken_holds_no_connection(bundle_folder: Path, version: bytes) -> None:
    async def answer(scope: object, receive: object, send: Callable[[dict[str, object]], Awaitable[None]]) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
        await send({"type": "http.response.body", "body": b"taken"})

    async def ask(ours: socket.socket) -> None:
        transport = Deaf(ours)
        settings = Settings(bundle=bundle_folder, answer_timeout_s=0.2)
        config = uvicorn.Config(answer, log_config=None)
        made = timed(settings, Telemetry())(config=config, server_state=ServerState(), app_state={})
        made.connection_made(transport)
        made.data_received(b"GET / HTTP/%b\r\nhost: x\r\n\r\n" % version)
        await asyncio.wait_for(transport.aborted.wait(), 60)
        assert transport.left.endswith(b"taken")
        made.connection_lost(None)

    ours, theirs = socket.socketpair()
    with ours, theirs:
        asyncio.run(ask(ours))


def test_a_second_head_is_waited_for_like_the_first(bundle_folder: Path, tmp_path: Path) -> None:
    request = b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n"
    with (
        serving(bundle_folder, tmp_path / "audit.jsonl", body_timeout_s=2.0) as (url, _),
        closing(connected(url)) as connection,
    ):
        for _ in range(2):
            connection.sendall(request)
            assert answer_on(connection).startswith(b"HTTP/1.1 200")
            time.sleep(2.5)  # idle between two requests is no fault
        connection.sendall(request[:-4])
        assert rest_of(connection) == b""
        assert get(f"{url}/health/live").status_code == 200

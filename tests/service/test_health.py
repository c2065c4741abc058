"""A container's health check ends in a status and a line, whatever it finds."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from service.health import is_ready, main
from service.settings import Settings


@contextmanager
def saying(words: bytes, listener: socket.socket) -> Iterator[None]:
    """Something that says the same to whoever asks first, whatever it is asked."""

    def answer() -> None:
        caller, _ = listener.accept()
        with caller:
            caller.recv(1000)
            caller.sendall(words)

    listener.settimeout(60)
    answering = threading.Thread(target=answer)
    answering.start()
    yield
    answering.join()


def test_settings_that_are_refused_are_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ECG_PROT", "8000")
    assert main() == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "ECG_PROT" in said


@pytest.mark.parametrize(("host", "asked"), [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("::1", "::1")])  # noqa: S104
def test_a_service_is_asked_where_it_listens(host: str, asked: str) -> None:
    if ":" in asked and not socket.has_dualstack_ipv6():
        pytest.skip("this machine speaks no IPv6")
    family = socket.AF_INET6 if ":" in asked else socket.AF_INET
    well = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
    with socket.create_server((asked, 0), family=family) as listener, saying(well, listener):
        insecure = "i-accept-unauthenticated-access"
        assert is_ready(Settings(host=host, port=listener.getsockname()[1], insecure=insecure))


def test_what_speaks_no_http_is_not_ready() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, saying(b"hello\r\n\r\n", listener):
        assert not is_ready(Settings(port=listener.getsockname()[1]))

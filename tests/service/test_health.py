"""A container's health check ends in a status and a line, whatever it finds."""

import socket
import threading

import pytest

from service.health import is_ready, main
from service.settings import Settings


def test_settings_that_are_refused_are_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ECG_PROT", "8000")
    assert main() == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "ECG_PROT" in said


def test_what_speaks_no_http_is_not_ready() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def babble() -> None:
            caller, _ = listener.accept()
            with caller:
                caller.recv(1000)
                caller.sendall(b"hello\r\n\r\n")

        speaking = threading.Thread(target=babble)
        speaking.start()
        assert not is_ready(Settings(port=listener.getsockname()[1]))
        speaking.join()

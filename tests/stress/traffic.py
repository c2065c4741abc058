"""Callers that keep asking while a service is changed under them, and what became of every request."""

import http.client
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import urlencode, urlsplit

from service import examples

PATIENCE_S = 60.0
PAUSE_S = 0.01


class Traffic:
    """Callers on keep-alive connections of their own.

    Every request ends as one of: `answered`; `refused`, with a status that says so; `unconnected`, where nobody
    listened; `lost`, where a request was taken and no answer came.

    Args:
        open_to: whether callers may send now; a balancer that watches readiness, or everybody at any time.
    """

    def __init__(self, open_to: Callable[[], bool] = lambda: True) -> None:
        self.outcomes: Counter[str] = Counter()
        self.answers: list[dict[str, Any]] = []
        self._open_to = open_to
        self._lock = threading.Lock()
        self._stop = threading.Event()

    @contextmanager
    def flowing(self, address: Callable[[], str], callers: int) -> Iterator[None]:
        """Keep asking whoever is at the address until the block ends; what was asked is waited for."""
        threads = [threading.Thread(target=self._call, args=(address,)) for _ in range(callers)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def _call(self, address: Callable[[], str]) -> None:
        while not self._stop.is_set():
            with closing(http.client.HTTPConnection(urlsplit(url := address()).netloc, timeout=PATIENCE_S)) as to:
                while not self._stop.is_set() and url == address() and self._ask(to):
                    pass
            self._stop.wait(PAUSE_S)

    def _ask(self, connection: http.client.HTTPConnection) -> bool:
        """One request; whether the connection can be used again."""
        if not self._open_to():
            return False
        outcome, answer = _asked(connection)
        with self._lock:
            self.outcomes[outcome] += 1
            if answer:
                self.answers.append(answer)
        return outcome in ("answered", "refused")


def _asked(connection: http.client.HTTPConnection) -> tuple[str, dict[str, Any] | None]:
    """What became of one request, and its answer."""
    target = "/v1/ecgs?" + urlencode({**examples.raw_query(), "include": "findings"})
    try:
        if connection.sock is None:
            connection.connect()
    except OSError:
        return "unconnected", None
    try:
        connection.request("POST", target, examples.raw_int16(), {"content-type": "application/octet-stream"})
        reply = connection.getresponse()
        body = reply.read()
    except (OSError, http.client.HTTPException):
        return "lost", None
    return ("answered", json.loads(body)) if reply.status == 200 else ("refused", None)

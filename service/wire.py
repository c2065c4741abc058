"""HTTP/1.1 as it is spoken here: heads within bounds, no other protocol, and what is no HTTP refused like all else."""

import logging
from typing import Any
from uuid import uuid4

import httptools

from model.errors import EcgError
from service.errors import PROBLEM_JSON, HeadTooLargeError, MalformedHttpError, problem_json, status_of
from service.security.certificates import CertifiedProtocol
from service.telemetry import LOGGER, Telemetry

MOST_HEAD_BYTES = 64 * 1024
"""Of a request line and its headers, of the trailers of a body, and of whatever else comes that is neither head nor
body; what comes at once may be more by as much as is received at a time (256 KiB)."""

_log = logging.getLogger(LOGGER)


class PlainProtocol(CertifiedProtocol):
    """HTTP/1.1 and nothing else.

    The server below keeps heads and trailers of any length, answers what is no HTTP in plain text, and loses the body
    of a request that offers to go on in another protocol, as Java's client does with each of its first requests.

    Args:
        telemetry: is told of every refusal.
        given: of the server below.
    """

    def __init__(self, *, telemetry: Telemetry, **given: Any) -> None:
        super().__init__(**given)
        self._telemetry = telemetry
        self._unread_bytes = 0
        self._in_body = False

    def data_received(self, data: bytes) -> None:
        """Read on, within bounds."""
        self._unset_keepalive_if_required()
        self._unread_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self._decline(data[offer.args[0] :])
        except httptools.HttpParserError:
            self._refuse(MalformedHttpError("this is no request in HTTP/1.1"))
        else:
            if self._unread_bytes > MOST_HEAD_BYTES:
                self._refuse(HeadTooLargeError(f"got more than {MOST_HEAD_BYTES} bytes of headers"))

    def on_headers_complete(self) -> None:
        """The head has come; what offers another protocol is begun anew without the offer."""
        self._unread_bytes = 0
        self._in_body = True
        if not self.parser.should_upgrade():
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of a body has come."""
        self._unread_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The body has come."""
        self._in_body = False
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def _decline(self, rest: bytes) -> None:
        """Go on in HTTP/1.1, as a server may that is offered another protocol (RFC 9110, section 7.8)."""
        method = self.parser.get_method()
        if method == b"CONNECT":
            self._refuse(MalformedHttpError("this is no proxy"))
            return
        kept = [b"%b: %b\r\n" % (name, value) for name, value in self.headers if name != b"upgrade"]
        head = b"%b %b HTTP/1.1\r\n%b\r\n" % (method, self.url, b"".join(kept))
        self.parser = httptools.HttpRequestParser(self)
        self.data_received(head + rest)

    def _refuse(self, error: EcgError) -> None:
        """Say why, unless what it is part of has its answer, and close: nobody knows what comes next."""
        if self.transport.is_closing():
            return
        cycle = self.cycle
        if cycle is None or not cycle.response_started or (cycle.response_complete and not self._in_body):
            self.transport.write(self._refusal(error))
        self.transport.close()

    def _refusal(self, error: EcgError) -> bytes:
        request_id, status = str(uuid4()), status_of(error)
        self._telemetry.refusals.labels(error.code).inc()
        fields = {"request_id": request_id, "status": int(status), "code": error.code}
        _log.info("request", extra={"fields": fields})
        body = problem_json(error, request_id)
        headers = {
            "content-type": PROBLEM_JSON,
            "content-length": str(len(body)),
            "x-request-id": request_id,
            "connection": "close",
        }
        lines = [f"HTTP/1.1 {int(status)} {status.phrase}", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode() + body

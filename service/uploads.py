"""How a body is to be read: from its content type and its query to the decoder that turns bytes into a recording."""

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from model.errors import MalformedError, TooLargeError, UnknownFormatError
from model.files import BODY_DECODERS, Limits, decode_body, decode_files
from model.signal.recording import Recording
from service.reading import Decode

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

FIELD = "files"
MULTIPART = "multipart/form-data"
MAX_BOUNDARY_BYTES = 70  # RFC 2046, section 5.1.1


def decoder(content_type: str, query: Mapping[str, str], limits: Limits) -> Decode:
    """What decodes a body.

    Args:
        content_type: the header, parameters included.
        query: describes the samples of an octet-stream.
        limits: caps.

    Raises:
        UnknownFormatError: none of the content types that are read.
        MalformedError: multipart without a boundary.
    """
    kind, options = _parsed(content_type)
    if kind == MULTIPART:
        return partial(_decode_multipart, boundary=_boundary(options), limits=limits)
    if kind not in BODY_DECODERS:
        raise UnknownFormatError(f"got a content type that is not read, wanted {MULTIPART}, {', '.join(BODY_DECODERS)}")
    return partial(decode_body, kind, limits=limits, query=query)


def _parsed(content_type: str) -> tuple[str, dict[bytes, bytes]]:
    kind, options = parse_options_header(content_type)
    return kind.decode("latin-1"), options


def _boundary(options: Mapping[bytes, bytes]) -> bytes:
    boundary = options.get(b"boundary", b"")
    if not 0 < len(boundary) <= MAX_BOUNDARY_BYTES:
        raise MalformedError("multipart/form-data without a boundary of 1 to 70 characters")
    return boundary


def _decode_multipart(body: bytes, *, boundary: bytes, limits: Limits) -> Recording:
    files = split_multipart(body, boundary, most=limits.members)
    if not files:
        raise MalformedError(f"no file in the field {FIELD} of the multipart body")
    return decode_files(files, limits)


def what_was_sent(content_type: str, body: bytes, limits: Limits) -> Iterator[bytes]:
    """What an answer depends on, alike whenever the same is sent: a multipart body has another boundary each time.

    Raises:
        MalformedError, TooLargeError: as `split_multipart` says.
    """
    kind, options = _parsed(content_type)
    if kind != MULTIPART:
        yield from (content_type.encode(), b"\n", body)
        return
    for name, content in split_multipart(body, _boundary(options), most=limits.members).items():
        yield from (f"{len(content)} {name}\n".encode(), content)


def split_multipart(body: bytes, boundary: bytes, *, most: int) -> dict[str, bytes]:
    """The files in the field `files` of a multipart body, bare name to content; other fields are passed over.

    Raises:
        MalformedError: not multipart, a part without a file name, a name twice, or more parts than `most`.
    """
    parts = _Parts(most)
    try:
        parser = MultipartParser(boundary, parts.callbacks())
        parser.write(body)
        parser.finalize()
    except FormParserError:
        raise MalformedError("the body is not the multipart/form-data that its content type announces") from None
    if not parts.ended:
        raise MalformedError("the multipart body ends before its closing boundary")
    return parts.files


class _Parts:
    """Collects the parts that a MultipartParser reports; outlives each callback, hence a class."""

    def __init__(self, most: int) -> None:
        self.files: dict[str, bytes] = {}
        self.ended = False
        self._most = most
        self._count = 0
        self._name = bytearray()
        self._value = bytearray()
        self._disposition = b""
        self._content: list[bytes] = []

    def callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._on_name,
            "on_header_value": self._on_value,
            "on_header_end": self._end_header,
            "on_part_data": self._on_data,
            "on_part_end": self._end,
            "on_end": self._end_body,
        }

    def _begin(self) -> None:
        self._count += 1
        if self._count > self._most:
            raise TooLargeError(f"got more than {self._most} parts, wanted at most {self._most}")
        self._disposition = b""
        self._content.clear()

    def _on_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._name.clear()
        self._value.clear()

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        self._content.append(data[start:end])

    def _end(self) -> None:
        _, options = parse_options_header(self._disposition)
        if options.get(b"name") != FIELD.encode():
            return
        name = re.split(r"[/\\]", options.get(b"filename", b"").decode("utf-8", "replace"))[-1]
        if not name:
            raise MalformedError(f"a part of the field {FIELD} has no file name")
        if name in self.files:
            raise MalformedError("two files have the same name")
        self.files[name] = b"".join(self._content)

    def _end_body(self) -> None:
        self.ended = True

"""Multipart bodies: what httpx writes is read, what anybody else writes is read or refused."""

import contextlib

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.errors import EcgError, MalformedError, TooLargeError, UnknownFormatError
from model.files import SERVICE_LIMITS
from service import examples
from service.uploads import decoder, split_multipart

NAMES = st.text(st.characters(codec="utf-8", exclude_characters='/\\"', exclude_categories=("Cc", "Cs")), min_size=1)


def encoded(parts: list[tuple[str, tuple[str, bytes]]]) -> tuple[bytes, bytes]:
    """Body and boundary as httpx writes them."""
    request = httpx.Request("POST", "http://x", files=parts)
    return request.read(), request.headers["content-type"].split("boundary=")[1].encode()


@given(st.dictionaries(NAMES, st.binary(max_size=300), min_size=1, max_size=5))
def test_what_a_client_writes_is_read(files: dict[str, bytes]) -> None:
    body, boundary = encoded([("files", item) for item in files.items()] + [("other", ("x", b"y"))])
    assert split_multipart(body, boundary, most=6) == files


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    for body in (content, b"--b\r\n" + content, b'--b\r\nContent-Disposition: form-data; name="files"' + content):
        with contextlib.suppress(MalformedError, TooLargeError):
            split_multipart(body, b"b", most=3)


@given(st.data())
def test_a_damaged_body_is_read_or_refused(data: st.DataObject) -> None:
    body, boundary = encoded([("files", item) for item in examples.wfdb_record().items()])
    damaged = bytearray(body)
    for _ in range(data.draw(st.integers(1, 5))):
        damaged[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    decode = decoder(f"multipart/form-data; boundary={boundary.decode()}", {}, SERVICE_LIMITS)
    with contextlib.suppress(EcgError):
        decode(bytes(damaged))


def test_a_path_in_a_name_is_left_off() -> None:
    body, boundary = encoded([("files", ("ward/7\\b.hea", b"x"))])
    assert split_multipart(body, boundary, most=2) == {"b.hea": b"x"}


def test_names_are_given_once() -> None:
    body, boundary = encoded([("files", ("a", b"x")), ("files", ("b/a", b"y"))])
    with pytest.raises(MalformedError):
        split_multipart(body, boundary, most=2)


def test_more_parts_than_a_record_has_are_refused() -> None:
    body, boundary = encoded([("other", (str(number), b"x")) for number in range(5)])
    with pytest.raises(TooLargeError):
        split_multipart(body, boundary, most=4)


@pytest.mark.parametrize("kind", ["", "text/plain", "application", "application/json2", "\x00", "multipart/mixed"])
def test_other_content_types_are_refused(kind: str) -> None:
    with pytest.raises(UnknownFormatError):
        decoder(kind, {}, SERVICE_LIMITS)


@pytest.mark.parametrize("kind", ["APPLICATION/JSON", "application/json; charset=utf-8", " application/json "])
def test_content_types_are_read_in_any_spelling(kind: str) -> None:
    decoder(kind, {}, SERVICE_LIMITS)

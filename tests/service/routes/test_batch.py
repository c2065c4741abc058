"""Many ECGs in, a line each out, in order; a bad one costs its own line."""

import io
import json
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from model.errors import EcgError, MalformedArchiveError, MalformedError, TooLargeError
from model.files import SERVICE_LIMITS
from service import examples
from service.app import create_app
from service.batches import MAX_MEMBERS, Batch
from service.pipeline import Job
from service.reading import Decode
from service.schemas import AnswerBody
from service.settings import Settings
from service.turns import Claim
from tests.service import bodies
from tests.service.stubs import StubEngine, listening, no_waves, post

NDJSON = {"content-type": "application/x-ndjson"}


def scaled(factor: float) -> dict[str, Any]:
    body = examples.json_lists()
    leads: dict[str, list[float]] = body["leads"]  # type: ignore[assignment]
    return body | {"leads": {name: [factor * value for value in values] for name, values in leads.items()}}


def read(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


def many_lines(count: int) -> bytes:
    lines = [json.dumps(scaled(1 + index / 100)) for index in range(count)]
    lines[3] = "{}"
    lines[5] = "not JSON"
    return "\n\n".join(lines).encode()


def test_lines_come_back_in_order_and_a_bad_one_costs_its_own(client: httpx.Client) -> None:
    lines = read(client.post("/v1/ecgs/batch?include=embedding", content=many_lines(40), headers=NDJSON))
    assert [line["index"] for line in lines] == list(range(40))
    assert lines[3]["problem"]["code"] == "missing_rate"
    assert lines[5]["problem"]["code"] == "malformed_json"
    good = [line for line in lines if "answer" in line]
    assert len(good) == 38
    alone = client.post("/v1/ecgs?include=embedding", json=scaled(1.0)).json()["embedding"][1]
    for line in good:
        AnswerBody.model_validate(line["answer"])
        assert line["answer"]["embedding"][1] == pytest.approx(alone * (1 + line["index"] / 100), rel=1e-3)


def archive() -> bytes:
    """Two records in folders of their own, one without samples, a JSON file, and what belongs to these."""
    record = examples.wfdb_record()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as files:
        files.writestr("a/example.hea", record["example.hea"])
        files.writestr("a/example.dat", record["example.dat"])
        files.writestr("b/example.hea", record["example.hea"])
        files.writestr("README.txt", "nothing")
        files.writestr("a/example.atr", "nothing")
        files.writestr("c/other.json", json.dumps(examples.json_base64()))
        files.writestr("__MACOSX/a/example.hea", "nothing")
        files.writestr("d/example.dat", record["example.dat"])
        files.writestr("d/example.hea", record["example.hea"])
    return packed.getvalue()


def test_an_archive_of_records_is_read_in_the_order_of_its_headers(client: httpx.Client) -> None:
    headers = {"content-type": "application/zip"}
    lines = read(client.post("/v1/ecgs/batch?include=findings", content=archive(), headers=headers))
    assert ["answer" in line for line in lines] == [True, False, True, True]
    assert lines[1]["problem"]["code"] == "malformed_record"
    single = client.post("/v1/ecgs?include=findings", **bodies.wfdb()).json()
    assert lines[0]["answer"]["findings"] == single["findings"] == lines[3]["answer"]["findings"]


def test_a_file_that_belongs_to_nothing_has_a_line_of_its_own_after_the_ecgs(client: httpx.Client) -> None:
    record = examples.wfdb_record()
    body = packed(
        lost_dat=record["example.dat"],
        example_hea=record["example.hea"],
        example_dat=record["example.dat"],
        example_mat=record["example.dat"],
        bad_hea=b"no header",
        bad_dat=record["example.dat"],
        print_pdf=b"nothing",
    )
    lines = read(client.post("/v1/ecgs/batch", content=body, headers={"content-type": "application/zip"}))
    assert [line["index"] for line in lines] == list(range(5))
    assert "answer" in lines[0]
    codes = [line["problem"]["code"] for line in lines[1:]]
    # The header that cannot be read; then lost.dat, example.mat, which its header does not name, and print.pdf.
    assert codes == ["malformed_record", "malformed_record", "malformed_record", "unknown_format"]
    assert "lost" not in json.dumps(lines[1:])


def packed(method: int = zipfile.ZIP_STORED, **names: bytes) -> bytes:
    """A .zip of files by name, in which `_` stands for a dot."""
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", method) as files:
        for name, content in names.items():
            files.writestr(name.replace("_", "."), content)
    return body.getvalue()


def twice() -> bytes:
    """A .zip that holds two files of one name."""
    return packed(a_json=b"{}", b_json=b"{}").replace(b"b.json", b"a.json")


@pytest.mark.parametrize(
    ("kind", "content"),
    [("x-ndjson", b"\n\n"), ("x-ndjson", b""), ("zip", packed(a_txt=b"x")), ("zip", packed(a_dat=b"x"))],
)
def test_a_batch_without_an_ecg_is_refused_so_that_no_answer_is_empty(
    client: httpx.Client, kind: str, content: bytes
) -> None:
    refused = client.post("/v1/ecgs/batch", content=content, headers={"content-type": f"application/{kind}"})
    assert (refused.status_code, refused.json()["code"]) == (400, "malformed")


def test_a_batch_has_no_priority(client: httpx.Client) -> None:
    lines: Any = {"content": json.dumps(scaled(1.0)).encode(), "headers": {"content-type": "application/x-ndjson"}}
    refused = client.post("/v1/ecgs/batch?priority=stat", **lines)
    assert (refused.status_code, refused.json()["code"]) == (422, "bad_parameter")
    assert client.post("/v1/ecgs/batch?include=findings", **lines).status_code == 200


def test_a_file_that_cannot_be_unpacked_costs_its_own_line_whatever_packed_it(client: httpx.Client) -> None:
    spoilt = bytearray(packed(zipfile.ZIP_LZMA, a_json=json.dumps(examples.json_base64()).encode(), b_json=b"{}"))
    spoilt[60:90] = bytes(30)
    answer = client.post("/v1/ecgs/batch", content=bytes(spoilt), headers={"content-type": "application/zip"})
    assert [line["problem"]["code"] for line in read(answer)] == ["malformed_archive", "malformed_archive"]


def test_a_body_that_cannot_be_read_to_its_end_is_cut_off_after_a_line_that_says_so(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def two(batch: Batch, body: bytes) -> Iterator[Job | EcgError]:
        yield from (MalformedError("one"), MalformedError("two"))
        raise SystemError("SECRET")

    monkeypatch.setattr(Batch, "_of_lines", two)
    lines: list[str] = []
    with (
        client.stream("POST", "/v1/ecgs/batch", content=b"{}", headers=NDJSON) as answer,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        lines.extend(answer.iter_lines())
    assert [json.loads(line)["problem"]["code"] for line in lines] == ["malformed", "malformed", "internal"]
    assert "SECRET" not in "".join(lines)


CLOSED: list[tuple[str, bytes, int, str]] = [
    ("application/json", b"{}", 415, "unknown_format"),
    ("application/zip", b"PK", 400, "malformed_archive"),
    ("application/zip", twice(), 400, "malformed_archive"),
    ("application/x-ndjson", b" " * (3 * 2**20), 413, "too_large"),
]


def test_a_batch_that_cannot_be_opened_is_refused_whole(bundle_folder: Path) -> None:
    app = create_app(Settings(bundle=bundle_folder, batch_mib=2), StubEngine(), no_waves)
    with listening(app) as url:
        for kind, content, status, code in CLOSED:
            refused = post(f"{url}/v1/ecgs/batch", content=content, headers={"content-type": kind})
            assert (refused.status_code, refused.json()["code"]) == (status, code)


def damaged(number: int) -> bytes:
    """The archive with a few bytes changed, most of them in its directory."""
    body, random = bytearray(archive()), np.random.default_rng(number)
    begin = body.find(b"PK\x01\x02")
    for _ in range(random.integers(1, 5)):
        place = random.integers(begin if random.random() < 0.7 else 0, len(body))
        body[place] = (0, 1, 127, 255, random.integers(256))[random.integers(5)]
    return bytes(body)


def test_a_damaged_archive_is_read_as_far_as_it_goes_or_refused() -> None:
    for number in range(1500):
        try:
            batch = Batch(damaged(number), "application/zip", SERVICE_LIMITS, job)
            for _ in range(20):
                if batch.next() is None:
                    break
            else:
                pytest.fail("an archive without end")
        except EcgError:
            pass


def job(body: bytes, decode: Decode) -> Job:
    return Job(body, decode, frozenset(), "request", Claim("batch", "ward"))


@pytest.mark.parametrize("name", ["", "."])
def test_a_file_without_a_name_is_refused(name: str) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as made:
        made.writestr("one.json", json.dumps(examples.json_lists()))
        made.writestr(zipfile.ZipInfo("x"), b"x")
        made.filelist[-1].filename = name
    with pytest.raises(MalformedArchiveError):
        Batch(packed.getvalue(), "application/zip", SERVICE_LIMITS, job)


def test_lines_are_counted_before_they_are_read() -> None:
    Batch(b"{}\n" * MAX_MEMBERS, "application/x-ndjson", SERVICE_LIMITS, job)
    with pytest.raises(TooLargeError):
        Batch(b"{}\n" * (MAX_MEMBERS + 1), "application/x-ndjson", SERVICE_LIMITS, job)


def test_a_batch_waits_where_single_ecgs_would_be_refused_and_leaves_room_for_them(bundle_folder: Path) -> None:
    app = create_app(Settings(bundle=bundle_folder, queue_ecgs=4, workers=1), StubEngine(seconds=0.02), no_waves)
    lines: list[dict[str, Any]] = []

    def send(url: str) -> None:
        answer = post(f"{url}/v1/ecgs/batch?include=findings", content=many_lines(30), headers=NDJSON, timeout=120)
        lines.extend(read(answer))

    with listening(app) as url:
        batch = threading.Thread(target=send, args=(url,))
        batch.start()
        singles = [post(f"{url}/v1/ecgs", **bodies.raw()).status_code for _ in range(3)]
        batch.join()
    assert singles == [200] * 3
    assert sum("answer" in line for line in lines) == 28


def test_a_fault_in_one_ecg_leaves_the_others(bundle_folder: Path) -> None:
    with listening(create_app(Settings(bundle=bundle_folder), StubEngine(fail_above=5.0), no_waves)) as url:
        content = "\n".join(json.dumps(scaled(factor)) for factor in (1, 20, 1)).encode()
        lines = read(post(f"{url}/v1/ecgs/batch", content=content, headers=NDJSON))
    assert ["answer" in line for line in lines] == [True, False, True]
    assert lines[1]["problem"]["code"] == "engine_failed"
    assert "SECRET" not in json.dumps(lines)

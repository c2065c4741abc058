"""One ECG in, its answer or a refusal out, in every format."""

import hashlib
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest

from model.reading.cautions import caution
from service import examples
from service.errors import PROBLEM_JSON
from service.schemas import AnswerBody
from tests.service import bodies
from tests.service.stubs import KEYS


def post(client: httpx.Client, request: bodies.Request, include: str | None = None) -> httpx.Response:
    params = request.get("params", {}) | ({} if include is None else {"include": include})
    return client.post("/v1/ecgs", **(request | {"params": params}))


def probabilities(answer: httpx.Response) -> list[float]:
    return [finding["probability"] for finding in answer.json()["findings"]]


@pytest.mark.parametrize("kind", bodies.EVERY_KIND)
def test_every_format_gets_the_whole_answer(client: httpx.Client, kind: str) -> None:
    answer = post(client, bodies.EVERY_KIND[kind]())
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    read = AnswerBody.model_validate_json(answer.content, strict=True)
    assert read.request_id == answer.headers["x-request-id"]
    assert read.recording.sampling_hz == 100
    assert read.recording.duration_s == 5
    assert read.recording.leads == ["I", "II", "V1", "V2", "V3", "V4", "V5", "V6"]
    assert read.recording.windows == 1
    assert read.recording.sha256 == hashlib.sha256(answer.request.read()).hexdigest()
    assert [finding.key for finding in read.findings] == list(KEYS)
    assert set(read.waves) == set(read.recording.leads)
    assert read.measurements["qrs_ms"].value == pytest.approx(90)
    assert all((one.value is None) == (one.absent is not None) for one in read.measurements.values())
    assert read.notice == "decision support, to be read by a clinician"


def test_the_same_ecg_gets_the_same_answer_in_every_format(client: httpx.Client) -> None:
    answers = np.array([probabilities(post(client, make())) for make in bodies.EVERY_KIND.values()])
    assert np.ptp(answers, axis=0).max() < 1e-3


def test_include_picks_parts(client: httpx.Client) -> None:
    always = {"request_id", "recording", "quality", "model", "warnings", "notice"}
    for include, parts in {
        "findings": {"findings"},
        "waves,embedding": {"waves", "embedding"},
        "measurements": {"measurements", "lead_measurements"},
        "plot": {"plot"},
    }.items():
        assert set(post(client, bodies.raw(), include).json()) == always | parts
    everything = post(client, bodies.raw(), "findings,measurements,waves,embedding,plot").json()
    assert len(everything["embedding"]) == 8
    assert everything["plot"].startswith("<svg")


def test_a_flat_recording_is_unusable_with_a_reason_and_without_findings(client: httpx.Client) -> None:
    leads = {name: [0.0] * 1000 for name in examples.simulated_mv()}
    answer = post(client, bodies.json_with(leads=leads))
    assert answer.status_code == 200
    assert answer.json()["quality"]["verdict"] == "unusable"
    assert answer.json()["findings"] == []
    assert answer.json()["warnings"]


def changed_leads(**changes: Any) -> dict[str, Any]:
    leads: dict[str, Any] = dict(examples.json_lists()["leads"])  # type: ignore[call-overload]
    leads.update(changes)
    return {name: values for name, values in leads.items() if values is not None}


def record(**changes: bytes) -> bodies.Request:
    files = examples.wfdb_record()
    named = {"hea": "example.hea", "dat": "example.dat"}
    files.update({named[name]: content for name, content in changes.items()})
    return {"files": [("files", item) for item in files.items()]}


def raw_with(**changes: str | None) -> bodies.Request:
    query = {name: value for name, value in (examples.raw_query() | changes).items() if value is not None}
    return bodies.raw() | {"params": query}


def typed(kind: str, content: bytes = b"x") -> bodies.Request:
    return {"content": content, "headers": {"content-type": kind}}


HEADER = examples.wfdb_record()["example.hea"]
SAMPLES = examples.wfdb_record()["example.dat"]
BOUNDARY = "multipart/form-data; boundary=b"

REFUSALS: dict[str, tuple[bodies.Request, int, str]] = {
    "two leads": (bodies.json_with(leads={"I": [0.0] * 500, "II": [0.1] * 500}), 422, "missing_lead"),
    "a short one": (bodies.json_with(leads={"I": [0.0] * 50}), 422, "too_short"),
    "no unit": (bodies.json_with(unit=None), 422, "missing_unit"),
    "another unit": (bodies.json_with(unit="furlong"), 422, "unknown_unit"),
    "no rate": (bodies.json_with(sampling_hz=None), 422, "missing_rate"),
    "a rate of 50": (bodies.json_with(sampling_hz=50), 422, "rate_out_of_range"),
    "a ragged one": (bodies.json_with(leads=changed_leads(I=[0.0])), 422, "bad_shape"),
    "NaN": (typed("application/json", b'{"sampling_hz":100,"unit":"mV","leads":{"I":[NaN]}}'), 422, "not_finite"),
    "a lead twice": (bodies.json_with(leads=changed_leads(ii=[0.0] * 500)), 422, "duplicate_lead"),
    "no JSON": (typed("application/json", b"{"), 400, "malformed_json"),
    "an empty body": (typed("application/json", b""), 400, "malformed_json"),
    "a truncated .dat": (record(dat=SAMPLES[:-100]), 400, "malformed_record"),
    "a header that lies": (record(hea=HEADER.replace(b"example 8", b"example 9")), 400, "malformed_record"),
    "a header of nothing": (record(hea=b""), 400, "malformed_record"),
    "no .zip": (typed("application/zip", b"PK no zip"), 400, "malformed_archive"),
    "multipart without a file": ({"files": [("other", ("a", b"x"))]}, 400, "malformed"),
    "multipart without a boundary": (typed("multipart/form-data", b"x"), 400, "malformed"),
    "multipart that is none": (typed(BOUNDARY, b"x"), 400, "malformed"),
    "multipart that breaks off": (typed(BOUNDARY, b"--b\r\nContent-Disposition: form-data"), 400, "malformed"),
    "raw without a rate": (raw_with(sampling_hz=None), 422, "missing_rate"),
    "raw without a gain": (raw_with(gain=None), 422, "missing_gain"),
    "raw of another order": (raw_with(order="upside-down"), 400, "malformed"),
    "raw with half a sample": (bodies.raw() | {"content": examples.raw_int16()[:-1]}, 422, "bad_shape"),
    "raw with unknown leads": (raw_with(leads="A,B,C,D,E,F,G,H"), 422, "missing_lead"),
    "an unknown type": (typed("text/plain"), 415, "unknown_format"),
    "no type": ({"content": b"x"}, 415, "unknown_format"),
    "a compressed body": (typed("application/json") | {"headers": {"content-encoding": "gzip"}}, 415, "unknown_format"),
}


def require_problem(answer: httpx.Response, status: int, code: str) -> None:
    assert answer.status_code == status
    assert answer.headers["content-type"] == PROBLEM_JSON
    problem = answer.json()
    assert set(problem) == {"type", "title", "status", "detail", "instance", "code", "request_id"}
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert problem["detail"]


@pytest.mark.parametrize("case", REFUSALS)
def test_what_cannot_be_read_is_refused_and_its_neighbour_is_answered(client: httpx.Client, case: str) -> None:
    request, status, code = REFUSALS[case]
    require_problem(post(client, request), status, code)
    assert post(client, bodies.wfdb()).status_code == 200


@pytest.mark.parametrize("twice", ["sampling_hz=250", "unit=uV", "leads=I", "priority=stat&priority=routine"])
def test_what_is_said_twice_is_refused_and_not_guessed(client: httpx.Client, twice: str) -> None:
    request = bodies.raw()
    query = f"{httpx.QueryParams(request.pop('params'))}&{twice}"
    require_problem(client.post(f"/v1/ecgs?{query}", **request), 422, "bad_parameter")


@pytest.mark.parametrize("said", ["Priority=stat", "prio=stat", "ANNA-MUELLER=1", "=stat"])
def test_a_parameter_that_there_is_not_is_refused_and_not_quoted(client: httpx.Client, said: str) -> None:
    request = bodies.raw()
    problem = client.post(f"/v1/ecgs?{httpx.QueryParams(request.pop('params'))}&{said}", **request)
    require_problem(problem, 422, "bad_parameter")
    assert "priority" in problem.json()["detail"]
    assert "ANNA" not in problem.text


@pytest.mark.parametrize("include", ["", "findings,", "everything"])
def test_an_unknown_part_is_refused(client: httpx.Client, include: str) -> None:
    require_problem(post(client, bodies.raw(), include), 422, "bad_parameter")


def test_other_paths_and_methods_are_refused_in_the_same_form(client: httpx.Client) -> None:
    require_problem(client.get("/v1/ecgs"), 405, "method_not_allowed")
    require_problem(client.get("/v2/ecgs"), 404, "not_found")


def test_an_announced_body_over_the_cap_is_refused(client: httpx.Client) -> None:
    require_problem(client.post("/v1/ecgs", content=bytes(33 * 2**20), headers=RAW), 413, "too_large")


def test_an_unannounced_body_over_the_cap_is_refused(client: httpx.Client) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(33):
            yield bytes(2**20)

    require_problem(client.post("/v1/ecgs", content=chunks(), headers=RAW), 413, "too_large")


def test_a_chunked_body_is_read(client: httpx.Client) -> None:
    content = examples.raw_int16()
    chunks = (content[start : start + 1000] for start in range(0, len(content), 1000))
    assert client.post("/v1/ecgs", **(bodies.raw() | {"content": chunks})).status_code == 200


def test_a_recording_over_the_longest_is_refused(client: httpx.Client) -> None:
    content = bytes(2 * 8 * 100 * 301)
    require_problem(post(client, bodies.raw() | {"content": content}), 413, "too_large")


RAW = {"content-type": "application/octet-stream"}


def test_a_second_opinion_that_cannot_be_had_is_said_and_costs_nothing_else(client: httpx.Client) -> None:
    request = bodies.raw()
    plain = client.post("/v1/ecgs", **request)
    asked = client.post("/v1/ecgs", **(request | {"params": request["params"] | {"second_opinion": "true"}}))
    assert asked.status_code == 200
    assert [one for one in asked.json()["warnings"] if one not in plain.json()["warnings"]] == [
        caution("no_second_opinion")
    ]
    assert asked.json()["measurements"] == plain.json()["measurements"]
    for wrong in ("yes", "1", ""):
        refused = client.post("/v1/ecgs", **(request | {"params": request["params"] | {"second_opinion": wrong}}))
        assert (refused.status_code, refused.json()["code"]) == (422, "bad_parameter")

"""A patient's data, planted wherever a system could put it, is found nowhere but in the answer's lead names."""

import io
import json
import logging
import os
import signal
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from service import examples
from service.app import create_app
from service.settings import Settings
from service.telemetry import JsonFormatter, TextFormatter
from tests.service import bodies
from tests.service.collector import Collector, collecting
from tests.service.identity import AUDIENCE, Provider, forged, providing
from tests.service.stubs import PATIENCE_S, StubEngine, listening, no_waves

CANARY = "Jane-Doe-1970-01-01"

EITHER_WAY = pytest.mark.parametrize("readers", [0, 2])
"""Processes that read: none, beside an engine that is a stub, or two, beside the network that ships."""


@pytest.fixture
def log(capfd: pytest.CaptureFixture[str]) -> Iterator[io.StringIO]:
    """Everything that any logger but the client's says, in both forms; what processes say must be clean as well."""
    said = io.StringIO()
    root = logging.getLogger()
    handlers = [logging.StreamHandler(said), logging.StreamHandler(said)]
    handlers[0].setFormatter(JsonFormatter())
    handlers[1].setFormatter(TextFormatter())
    before = root.level
    root.setLevel(logging.DEBUG)
    for handler in handlers:
        handler.addFilter(lambda record: not record.name.startswith(("httpx", "httpcore")))
        root.addHandler(handler)
    yield said
    for handler in handlers:
        root.removeHandler(handler)
    root.setLevel(before)
    assert CANARY not in "".join(capfd.readouterr())


def renamed_record() -> dict[str, bytes]:
    """The record under the patient's name, with a comment and a lead that carry it too."""
    files = examples.wfdb_record()
    header = files["example.hea"].replace(b"example", CANARY.encode())
    extra = f"{CANARY}.dat 16 1000/mV 16 0 0 0 0 {CANARY}\n# Name: {CANARY}\n#Dx: {CANARY}\n"
    return {f"{CANARY}.hea": header + extra.encode(), f"{CANARY}.dat": files["example.dat"]}


def zip_of(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.comment = CANARY.encode()
        for name, content in files.items():
            archive.writestr(f"{CANARY}/{name}", content)
    return packed.getvalue()


def requests() -> list[bodies.Request]:
    """Good and bad requests that carry the canary."""
    body = examples.json_lists()
    leads = dict(body["leads"])  # type: ignore[call-overload]
    commented = {**examples.wfdb_record()}
    commented["example.hea"] += f"# {CANARY}\n".encode()
    headers = {"content-type": "application/json", "x-request-id": CANARY, "user-agent": CANARY, "x-patient": CANARY}
    texts = [
        body | {"patient": CANARY, CANARY: {"name": CANARY}},
        body | {"unit": CANARY},
        body | {"sampling_hz": CANARY},
        body | {"leads": leads | {CANARY: [0.0] * 500}},
        body | {"leads": leads | {CANARY: [0.0] * 3}},
        body | {"leads": {CANARY: [0.0] * 500}},
        body | {"leads": leads | {CANARY: [CANARY]}},
        CANARY,
    ]
    return [
        *({"content": json.dumps(text), "headers": headers} for text in texts),
        {"content": f"{{{CANARY}", "headers": headers},
        {"content": CANARY, "headers": {"content-type": f"text/{CANARY}"}},
        {"content": CANARY, "headers": {"content-type": f"multipart/form-data; boundary={CANARY}"}},
        {"files": [("files", item) for item in commented.items()]},
        {"files": [("files", item) for item in renamed_record().items()]},
        {"files": [(CANARY, (CANARY, CANARY.encode()))]},
        {"files": [("files", (f"{CANARY}.hea", CANARY.encode()))]},
        {"files": [("files", (f"{CANARY}.zip", zip_of(examples.wfdb_record())))]},
        {"content": zip_of(renamed_record()), "headers": {"content-type": "application/zip"}},
        bodies.raw() | {"params": examples.raw_query() | {"leads": CANARY}},
        bodies.raw() | {"params": examples.raw_query() | {"unit": CANARY}},
        bodies.raw() | {"params": examples.raw_query() | {"order": CANARY, CANARY: CANARY}},
        bodies.raw() | {"params": examples.raw_query() | {"sampling_hz": CANARY}},
        bodies.raw() | {"params": {"include": CANARY}},
        bodies.raw() | {"params": examples.raw_query() | {"priority": CANARY}},
        bodies.raw() | {"params": examples.raw_query() | {"second_opinion": CANARY}},
        bodies.lists() | {"params": {CANARY: CANARY, "priority": "stat"}},
        bodies.lists() | {"headers": {"idempotency-key": CANARY}},
        bodies.lists() | {"headers": {"idempotency-key": f"{CANARY} {CANARY}"}},
        bodies.lists() | {"headers": {"authorization": f"Bearer {CANARY}", "x-api-key": CANARY, "cookie": CANARY}},
        bodies.lists() | {"headers": {"traceparent": CANARY, "tracestate": f"a={CANARY}", "baggage": f"a={CANARY}"}},
        bodies.lists() | {"headers": {"content-encoding": CANARY}},
        bodies.lists() | {"headers": {"content-type": f"application/json; name={CANARY}"}},
    ]


@dataclass
class Everything:
    """A service with everything switched on that writes something down."""

    client: httpx.Client
    provider: Provider
    collector: Collector


def build(settings: Settings, readers: int) -> FastAPI:
    if not readers:
        return create_app(settings, StubEngine(), no_waves)
    return create_app(settings.model_copy(update={"bundle": None, "device": "cpu", "readers": readers}))


@pytest.fixture
def app(settings: Settings, readers: int, log: io.StringIO) -> FastAPI:
    """A service whose processes are started when what they say is listened to."""
    del log
    return build(settings, readers)


@pytest.fixture
def client(app: FastAPI) -> Iterator[httpx.Client]:
    with listening(app) as url, httpx.Client(base_url=url, timeout=PATIENCE_S) as client:
        yield client


@contextmanager
def everything(bundle: Path, audit: Path, readers: int) -> Iterator[Everything]:
    with providing() as provider, collecting() as collector, pytest.MonkeyPatch.context() as environment:
        environment.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        asked = Settings(bundle=bundle, audit=audit, oidc_issuer=provider.url, oidc_audience=AUDIENCE)
        with listening(build(asked, readers)) as url, httpx.Client(base_url=url, timeout=PATIENCE_S) as client:
            yield Everything(client, provider, collector)


@EITHER_WAY
def test_a_patients_data_are_found_nowhere(client: httpx.Client, log: io.StringIO) -> None:
    statuses = set()
    for request in requests():
        answer = client.post("/v1/ecgs", **request)
        statuses.add(answer.status_code)
        if answer.status_code != 200:
            assert CANARY not in answer.text
        assert CANARY not in str(answer.headers)
    assert CANARY not in client.get(f"/{CANARY}?q={CANARY}").text
    assert CANARY not in client.request("PATIENT", "/v1/ecgs").text
    assert {200, 400, 415, 422} <= statuses
    assert 500 not in statuses
    assert CANARY not in client.get("/metrics").text
    assert '"route":"/v1/ecgs"' in log.getvalue()
    assert CANARY not in log.getvalue()


@pytest.mark.parametrize("readers", [2])
def test_nor_where_a_process_is_lost_over_them(
    app: FastAPI, client: httpx.Client, log: io.StringIO, readers: int
) -> None:
    named = bodies.json_with(patient=CANARY)
    lost, other = app.state.serving.pipeline.reading.pids
    for pid in (lost, other):
        os.kill(pid, signal.SIGSTOP)
    with ThreadPoolExecutor(readers) as asking:
        asked = [asking.submit(client.post, "/v1/ecgs", **named) for _ in range(readers)]
        time.sleep(0.5)
        os.kill(lost, signal.SIGKILL)
        os.kill(other, signal.SIGCONT)
    assert all(one.result().status_code == 200 for one in asked)
    for _ in range(readers):
        assert client.post("/v1/ecgs", **named).status_code == 200
    assert lost not in app.state.serving.pipeline.reading.pids
    assert "was replaced" in log.getvalue()
    assert CANARY not in log.getvalue()
    assert CANARY not in client.get("/metrics").text


def send_everything(it: Everything) -> None:
    """Every request by a bearer whose token carries the canary, many at once, and tokens that are refused."""
    claims: dict[str, Any] = {"sub": CANARY, "name": CANARY, "email": CANARY, "patient": CANARY, CANARY: CANARY}
    bearer = {"authorization": f"Bearer {it.provider.token(**claims)}"}
    for request in requests():
        answer = it.client.post("/v1/ecgs", **(request | {"headers": request.get("headers", {}) | bearer}))
        assert answer.status_code == 200 or CANARY not in answer.text
        assert answer.status_code not in {401, 403, 500}
        assert CANARY not in str(answer.headers)
    line = json.dumps(bodies.lists()["json"] | {"patient": CANARY})
    ndjson = bearer | {"content-type": "application/x-ndjson"}
    it.client.post("/v1/ecgs/batch", content=f"{line}\n{CANARY}\n", headers=ndjson)
    packed = bearer | {"content-type": "application/zip"}
    it.client.post("/v1/ecgs/batch", content=zip_of(renamed_record()), headers=packed)
    for token in (forged({"alg": "RS256", "kid": CANARY}, claims), forged({"alg": CANARY}, claims), f"{CANARY}.x"):
        answer = it.client.post("/v1/ecgs", **bodies.lists(), headers={"authorization": f"Bearer {token}"})
        assert answer.status_code == 401
        assert CANARY not in answer.text
    it.client.get(f"/{CANARY}?{CANARY}={CANARY}", headers=bearer)


@EITHER_WAY
def test_nor_in_audit_and_traces_where_everything_is_on(
    bundle_folder: Path, tmp_path: Path, log: io.StringIO, readers: int
) -> None:
    audit = tmp_path / "audit.jsonl"
    with everything(bundle_folder, audit, readers) as it:
        send_everything(it)
    assert '"caller": "token-' in audit.read_text()
    assert CANARY not in audit.read_text()
    assert any(span.name == "POST /v1/ecgs" for span in it.collector.spans())
    assert not any(CANARY.encode() in body for body in it.collector.bodies)
    assert '"trace_id"' in log.getvalue()
    assert CANARY not in log.getvalue()

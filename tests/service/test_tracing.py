"""Traces: a span for each request and stage, the caller's context continued, nothing of the caller's in any of them."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from service.app import create_app
from service.errors import SettingsError
from service.settings import Settings
from service.telemetry import LOGGER, JsonFormatter
from service.tracing import open_tracing
from tests.service import bodies
from tests.service.collector import Collector, collecting
from tests.service.stubs import PATIENCE_S, StubEngine, listening, no_waves

STAGES = {"decode", "preprocess", "queue", "inference", "postprocess"}
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        yield collector


def said_of(span: Span) -> dict[str, str]:
    return {one.key: one.value.string_value or str(one.value.int_value) for one in span.attributes}


def test_a_request_has_a_span_and_each_of_its_stages_one_below(collector: Collector, bundle_folder: Path) -> None:
    said = io.StringIO()
    handler = logging.StreamHandler(said)
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger(LOGGER)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    app = create_app(Settings(bundle=bundle_folder), StubEngine(seconds=0.01), no_waves)
    with listening(app) as url, httpx.Client(base_url=url, timeout=PATIENCE_S) as client:
        headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
        answer = client.post("/v1/ecgs", **bodies.lists(), headers=headers)
        client.post("/v1/ecgs", **bodies.lists())
    logger.removeHandler(handler)
    spans = [span for span in collector.spans() if span.trace_id.hex() == TRACE]
    request = next(span for span in spans if span.parent_span_id.hex() == PARENT)
    assert request.name == "POST /v1/ecgs"
    assert said_of(request) == {
        "http.request.method": "POST",
        "http.route": "/v1/ecgs",
        "http.response.status_code": "200",
        "ecg.request_id": answer.json()["request_id"],
    }
    stages = {span.name: span for span in spans if span.parent_span_id == request.span_id}
    assert set(stages) == STAGES
    for span in stages.values():
        assert not span.attributes
        assert request.start_time_unix_nano - 2e6 <= span.start_time_unix_nano <= span.end_time_unix_nano
        assert span.end_time_unix_nano <= request.end_time_unix_nano + 2e6
    inference = stages["inference"]
    assert inference.end_time_unix_nano - inference.start_time_unix_nano >= 0.9e7
    assert len(spans) == 1 + len(STAGES)
    assert len(collector.spans()) == 2 * len(spans)
    lines = [json.loads(line) for line in said.getvalue().splitlines()]
    logged = next(line for line in lines if line.get("request_id") == answer.json()["request_id"])
    assert logged["trace_id"] == TRACE


def test_every_ecg_of_a_batch_has_its_stages_under_the_batch(collector: Collector, bundle_folder: Path) -> None:
    app = create_app(Settings(bundle=bundle_folder), StubEngine(), no_waves)
    line = json.dumps(bodies.lists()["json"])
    with listening(app) as url, httpx.Client(base_url=url, timeout=PATIENCE_S) as client:
        headers = {"content-type": "application/x-ndjson"}
        client.post("/v1/ecgs/batch", content=f"{line}\n{line}\n", headers=headers)
    spans = collector.spans()
    request = next(span for span in spans if span.name == "POST /v1/ecgs/batch")
    below = [span.name for span in spans if span.parent_span_id == request.span_id]
    assert sorted(below) == sorted([*STAGES, *STAGES])


@pytest.mark.parametrize(
    "headers",
    [
        {"traceparent": "canary"},
        {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "canary=canary", "baggage": "patient=canary"},
        {"traceparent": "00-" + "0" * 32 + "-" + "0" * 16 + "-01"},
        {"traceparent": "é" * 300},
    ],
)
def test_what_a_caller_says_beside_its_context_is_not_passed_on(
    collector: Collector, bundle_folder: Path, headers: dict[str, str]
) -> None:
    engine = StubEngine()
    app = create_app(Settings(bundle=bundle_folder), engine, no_waves)
    sent = [(name.encode(), value.encode()) for name, value in headers.items()]
    with listening(app) as url, httpx.Client(base_url=url, timeout=PATIENCE_S) as client:
        engine.fail_above = 0.0
        assert client.post("/v1/ecgs", **bodies.lists(), headers=sent).status_code == 503
        assert client.get("/canary?canary=canary", headers=sent).status_code == 404
    assert collector.bodies
    assert not any(b"canary" in body or b"SECRET" in body for body in collector.bodies)
    failed = next(span for span in collector.spans() if said_of(span).get("ecg.code") == "engine_failed")
    assert not failed.events
    assert {span.name for span in collector.spans() if not span.parent_span_id or span.name[0].isupper()} <= {
        "POST /v1/ecgs",
        "GET other",
    }


def test_a_collector_that_fails_costs_no_answer(
    collector: Collector, bundle_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    collector.status = 400
    app = create_app(Settings(bundle=bundle_folder), StubEngine(), no_waves)
    with listening(app) as url:
        assert httpx.post(f"{url}/v1/ecgs", **bodies.lists(), timeout=PATIENCE_S).status_code == 200


def test_without_the_extra_the_service_works_and_says_so_where_it_was_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert open_tracing("auto") is None
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    assert open_tracing("off") is None
    for name in [name for name in sys.modules if name.startswith("opentelemetry")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    assert open_tracing("auto") is None
    with pytest.raises(SettingsError, match="otel"):
        open_tracing("on")


def test_no_other_tracer_in_the_process_is_told_of_requests(
    bundle_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as one that an operator's instrumentation sets: the framework would give it paths and queries."""
    seen = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(seen))
    monkeypatch.setattr("opentelemetry.trace.get_tracer_provider", lambda: provider)
    with listening(create_app(Settings(bundle=bundle_folder), StubEngine(), no_waves)) as url:
        assert httpx.get(f"{url}/canary?canary=canary", timeout=PATIENCE_S).status_code == 404
    assert seen.get_finished_spans() == ()

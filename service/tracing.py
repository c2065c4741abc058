"""Traces, where somebody collects them: a span for each request and each of its stages, and no patient in any of them.

The caller's `traceparent` (W3C Trace Context) is continued; `tracestate` and `baggage` are not, for they hold whatever
a caller likes. Names and attributes are the service's own, and exceptions are not recorded.
"""

import os
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from importlib.util import find_spec
from time import time_ns
from typing import TYPE_CHECKING, Literal

from service.errors import SettingsError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span, Tracer

NAME = "ecg-jepa-service"
ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
NAMED_BY = ("OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES")


@dataclass(frozen=True)
class RequestSpan:
    """The span of one request, which the spans of its stages stand under."""

    tracer: "Tracer"
    span: "Span"

    @property
    def trace_id(self) -> str:
        """As W3C writes it: 32 hexadecimal digits."""
        return f"{self.span.get_span_context().trace_id:032x}"

    def end(self, *, method: str, route: str, status: int, code: str | None) -> None:
        """Say what came of the request, by names of ours alone."""
        self.span.update_name(f"{method} {route}")
        self.span.set_attribute("http.request.method", method)
        self.span.set_attribute("http.route", route)
        self.span.set_attribute("http.response.status_code", status)
        if code:
            self.span.set_attribute("ecg.code", code)
        self.span.end()


_OPEN: ContextVar[RequestSpan | None] = ContextVar("ecg_request_span", default=None)


class Tracing:
    """Sends spans to a collector, from a queue that drops what does not fit; nothing waits for it.

    Args:
        provider: of OpenTelemetry's SDK.
    """

    def __init__(self, provider: "TracerProvider") -> None:
        self._provider = provider
        self._tracer = provider.get_tracer(NAME)

    def begin(self, headers: Iterable[tuple[bytes, bytes]], request_id: str) -> RequestSpan:
        """The span of a request; stages that are noted from here on stand under it."""
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        parents = [value.decode("latin-1") for name, value in headers if name == b"traceparent"]
        parent = TraceContextTextMapPropagator().extract({"traceparent": parents[0]} if len(parents) == 1 else {})
        attributes = {"ecg.request_id": request_id}
        span = self._tracer.start_span("request", parent, SpanKind.SERVER, attributes=attributes)
        opened = RequestSpan(self._tracer, span)
        _OPEN.set(opened)
        return opened

    def close(self) -> None:
        """Send what is left; blocks for as long as the collector takes, within its own bound."""
        self._provider.shutdown()


def note_stage(name: str, seconds: float, *, ended_s_ago: float = 0.0) -> None:
    """A span for a stage that has ended, under the request that this runs for, if that is traced."""
    opened = _OPEN.get()
    if opened is None:
        return
    from opentelemetry.trace import set_span_in_context

    end_ns = time_ns() - round(ended_s_ago * 1e9)
    begin_ns = end_ns - round(seconds * 1e9)
    span = opened.tracer.start_span(name, set_span_in_context(opened.span), start_time=begin_ns)
    span.end(end_ns)


def current_trace_id() -> str | None:
    """Of the request that this runs for, if that is traced."""
    opened = _OPEN.get()
    return opened.trace_id if opened else None


def open_tracing(wanted: Literal["auto", "on", "off"]) -> Tracing | None:
    """Tracing to the collector that the standard `OTEL_` variables name; None where none is wanted.

    Raises:
        SettingsError: it is wanted, and the extra `otel` is not installed.
    """
    if wanted == "off" or (wanted == "auto" and not any(map(os.environ.get, ENDPOINTS))):
        return None
    if not _is_installed():
        if wanted == "auto":
            return None
        raise SettingsError("ECG_TRACES: spans need the extra otel: pip install 'ecg-jepa-service[otel]'")
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    named = any(map(os.environ.get, NAMED_BY))
    provider = TracerProvider(resource=Resource.create({} if named else {"service.name": NAME}), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracing(provider)


def _is_installed() -> bool:
    try:
        return find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:
        return False

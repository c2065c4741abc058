"""What can be seen from outside without seeing a patient: metrics in a registry of their own, and structured logs."""

import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from functools import partial
from time import monotonic
from typing import Literal, get_args

import pydantic_core
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

from model.bundle import Bundle
from model.signal.quality import Verdict
from service.expiry import Expiry
from service.memory import card_bytes, process_bytes, processes_bytes
from service.tracing import Tracing, current_trace_id, note_stage
from service.turns import PRIORITIES, Priority

Stage = Literal["decode", "preprocess", "queue", "inference", "postprocess"]
Part = Literal["api_keys", "audit", "issuer", "shadow", "tls"]

SECONDS = (
    *(0.001, 0.0025, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0),
)
"""Edges on the objectives."""

WINDOWS = (1, 2, 4, 8, 16, 32, 64, 128)

LOGGER = "ecg"


class Telemetry:
    """The metrics of one service. Labels come from closed sets: routes, codes, verdicts and our own vocabulary.

    Args:
        tracing: gets a span of every request and stage.
    """

    def __init__(self, tracing: Tracing | None = None) -> None:
        self.tracing = tracing
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a third of all series, which nothing reads
        registry = CollectorRegistry()
        self.registry = registry
        self.requests = Counter("ecg_requests", "Requests answered.", ("route", "method", "status"), registry=registry)
        self.request_seconds = Histogram(
            "ecg_request_seconds",
            "From a request's head to its answer.",
            ("route",),
            buckets=SECONDS,
            registry=registry,
        )
        stages = Histogram(
            "ecg_stage_seconds", "Time in one stage of an answer.", ("stage",), buckets=SECONDS, registry=registry
        )
        self._stages: dict[Stage, Histogram] = {name: stages.labels(name) for name in get_args(Stage)}
        self.queue_depth = Gauge("ecg_queue_depth", "ECGs that wait for the model.", ("priority",), registry=registry)
        self.queue_age_seconds = Gauge(
            "ecg_queue_age_seconds", "Age of the oldest of them.", ("priority",), registry=registry
        )
        self.batch_size = Histogram("ecg_batch_size", "Windows in a batch.", buckets=WINDOWS, registry=registry)
        self.refusals = Counter("ecg_refusals", "Requests refused, by problem code.", ("code",), registry=registry)
        self.cut = Counter(
            "ecg_cut_answers",
            "Answers of many lines cut off before their end, by reason.",
            ("reason",),
            registry=registry,
        )
        self.findings = Counter("ecg_findings", "Findings present, by statement.", ("key",), registry=registry)
        self.quality = Counter("ecg_quality", "Answers by quality verdict.", ("verdict",), registry=registry)
        self.model_info = Gauge(
            "ecg_model_info",
            "The model that answers.",
            ("name", "version", "sha256", "variant", "device"),
            registry=registry,
        )
        self.ready = Gauge("ecg_ready", "1 while the service takes ECGs.", registry=registry)
        self.degraded = Gauge(
            "ecg_degraded",
            "1 while a part goes on with what it had before, or cannot write.",
            ("part",),
            registry=registry,
        )
        self.memory_bytes = Gauge(
            "ecg_memory_bytes",
            "Memory that the process holds, that those hold which read beside it, and that is in use on its card.",
            ("where",),
            registry=registry,
        )
        self.memory_bytes.labels("process").set_function(process_bytes)
        self.connections = Gauge("ecg_connections", "Connections of clients.", registry=registry)
        self.expiry = Expiry()
        registry.register(self.expiry)
        self._begin_at_zero()

    def _begin_at_zero(self) -> None:
        """Series that exist before the first event, so that a dashboard shows 0 and not nothing."""
        for verdict in get_args(Verdict):
            self.quality.labels(verdict)
        self.refusals.labels("overloaded")
        self.refusals.labels("too_many_requests")
        for reason in ("client_gone", "client_stalled", "not_ready", "internal"):
            self.cut.labels(reason)

    def stage(self, name: Stage) -> AbstractContextManager[None]:
        """Time a stage, whether it ends well or not."""
        return timed(self.note, name)

    def note(self, name: Stage, seconds: float) -> None:
        """Count a stage that has ended, and trace it."""
        self.count_stage(name, seconds)
        note_stage(name, seconds)

    def count_stage(self, name: Stage, seconds: float) -> None:
        """Count a stage that has ended."""
        self._stages[name].observe(seconds)

    def count_answer(self, verdict: Verdict, present: Iterable[str]) -> None:
        """Count an answer's verdict and the keys of the findings that are present."""
        self.quality.labels(verdict).inc()
        for key in present:
            self.findings.labels(key).inc()

    def watch_queue(self, depth: Callable[[Priority], float], age_s: Callable[[Priority], float]) -> None:
        """Ask the queue whenever the metrics are read."""
        for priority in PRIORITIES:
            self.queue_depth.labels(priority).set_function(partial(depth, priority))
            self.queue_age_seconds.labels(priority).set_function(partial(age_s, priority))

    def watch_ready(self, ready: Callable[[], bool]) -> None:
        """Ask the service whenever the metrics are read."""
        self.ready.set_function(lambda: float(ready()))

    def watch_connections(self, count: Callable[[], float]) -> None:
        """Ask the server below whenever the metrics are read."""
        self.connections.set_function(count)

    def watch_readers(self, pids: Callable[[], Iterable[int]]) -> None:
        """Weigh the processes that read whenever the metrics are read."""
        self.memory_bytes.labels("readers").set_function(lambda: processes_bytes(pids()))

    def watch_part(self, part: Part, degraded: Callable[[], bool]) -> None:
        """Ask a part whenever the metrics are read."""
        self.degraded.labels(part).set_function(lambda: float(degraded()))

    def show_model(self, bundle: Bundle, *, variant: str, device: str) -> None:
        """Name the model that answers from now on."""
        manifest = bundle.manifest
        self.model_info.clear()
        self.model_info.labels(manifest.name, manifest.version, bundle.sha256, variant, device).set(1)
        if device != "cpu":
            self.memory_bytes.labels("device").set_function(card_bytes)
        for statement in bundle.statements:
            self.findings.labels(statement.key)


@contextmanager
def timed(note: Callable[[Stage, float], None], name: Stage) -> Iterator[None]:
    """Tell how many seconds a stage took, whether it ends well or not."""
    began_s = monotonic()
    try:
        yield
    finally:
        note(name, monotonic() - began_s)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message and the fields given as `extra={"fields": {...}}`."""

    def format(self, record: logging.LogRecord) -> str:
        """The line; an exception is told by its type and place, never by its text, which may quote a body."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if trace_id := current_trace_id():
            line["trace_id"] = trace_id
        if record.exc_info and record.exc_info[0]:
            line["exception"] = _place(record)
        return pydantic_core.to_json(line).decode()


class TextFormatter(logging.Formatter):
    """The same for people."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        fields = " ".join(f"{name}={value}" for name, value in getattr(record, "fields", {}).items())
        clock = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S")
        where = f" {_place(record)}" if record.exc_info and record.exc_info[0] else ""
        return f"{clock} {record.levelname.lower():7} {record.getMessage()} {fields}".rstrip() + where


def set_up_logs(level: str, form: Literal["json", "text"]) -> None:
    """Send every logger of this process to stderr in one form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # it warns of a body's bytes, one by one
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # No line says which thread, process or task wrote it, so nobody need find out.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers = []
        logging.getLogger(name).propagate = name != "uvicorn.access"


def _place(record: logging.LogRecord) -> str:
    """Type and innermost place of the exception, such as `ValueError at model/reader.py:81`."""
    kind, _, trace = record.exc_info or (None, None, None)
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    name = kind.__name__ if kind else "exception"
    return f"{name} at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else name

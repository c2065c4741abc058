"""Metrics and logs: edges on the objectives, series from the start, memory, and lines without secrets."""

import io
import json
import logging
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import generate_latest

from service import memory
from service.memory import card_bytes, process_bytes
from service.telemetry import JsonFormatter, Telemetry, TextFormatter, set_up_logs
from tests.service.stubs import write_bundle

OBJECTIVES_S = (0.001, 0.0025, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10)


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, put back as it was."""
    root = logging.getLogger()
    before, level = root.handlers, root.level
    yield root
    root.handlers = before
    root.setLevel(level)


def said(telemetry: Telemetry) -> str:
    return generate_latest(telemetry.registry).decode()


@pytest.mark.parametrize("name", ["ecg_request_seconds", "ecg_stage_seconds"])
def test_histograms_have_their_edges_on_the_objectives(name: str) -> None:
    telemetry = Telemetry()
    telemetry.request_seconds.labels("/v1/ecgs").observe(0.012)
    family = next(one for one in telemetry.registry.collect() if one.name == name)
    edges = {float(one.labels["le"]) for one in family.samples if one.name.endswith("_bucket")}
    assert edges == {*OBJECTIVES_S, math.inf}


def test_every_stage_and_verdict_is_there_before_the_first_answer() -> None:
    text = said(Telemetry())
    for stage in ("decode", "preprocess", "queue", "inference", "postprocess"):
        assert f'ecg_stage_seconds_count{{stage="{stage}"}} 0.0' in text
    for verdict in ("good", "limited", "unusable"):
        assert f'ecg_quality_total{{verdict="{verdict}"}} 0.0' in text


def test_a_stage_that_fails_is_timed_too() -> None:
    telemetry = Telemetry()
    with pytest.raises(ValueError, match="x"), telemetry.stage("decode"):
        raise ValueError("x")
    assert 'ecg_stage_seconds_count{stage="decode"} 1.0' in said(telemetry)


def test_the_model_and_its_findings_are_named_and_the_one_before_is_not(tmp_path: Path) -> None:
    telemetry = Telemetry()
    for version in ("1", "2"):
        telemetry.show_model(write_bundle(tmp_path / version, version=version), variant="masked-fp32", device="cpu")
    text = said(telemetry)
    assert 'ecg_findings_total{key="MI"} 0.0' in text
    assert 'version="2"' in text
    assert 'version="1"' not in text


def test_memory_of_the_process_is_told_and_of_a_card_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert 1e7 < process_bytes() < 1e12
    telemetry = Telemetry()
    assert 'ecg_memory_bytes{where="process"}' in said(telemetry)
    assert "device" not in said(telemetry).split("ecg_memory_bytes", 1)[1].splitlines()[-1]
    monkeypatch.setitem(sys.modules, "pynvml", nvml(used=5e9))
    telemetry.show_model(write_bundle(tmp_path / "bundle"), variant="masked-fp16", device="cuda")
    assert 'ecg_memory_bytes{where="device"} 5e+09' in said(telemetry)
    monkeypatch.setattr(memory, "_PAGES", tmp_path / "nowhere")
    assert process_bytes() > 1e7


def nvml(used: float) -> Any:
    """NVIDIA's library with two cards; only the second is in use."""
    by_name = {"GPU-2": used, 1: used, 0: 0.0}
    return SimpleNamespace(
        __spec__=object(),
        NVMLError=RuntimeError,
        nvmlInit=lambda: None,
        nvmlShutdown=lambda: None,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetHandleByUUID=lambda name: name,
        nvmlDeviceGetMemoryInfo=lambda card: SimpleNamespace(used=by_name[card] or used),
    )


def test_the_card_is_the_one_that_cuda_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    library = nvml(used=7.0)
    library.nvmlDeviceGetMemoryInfo = lambda card: SimpleNamespace(used={0: 1.0, 1: 2.0, "GPU-2": 3.0}[card])
    monkeypatch.setitem(sys.modules, "pynvml", library)
    for shown, used in (("1,0", 2.0), ("GPU-2", 3.0), ("0", 1.0)):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)
        assert card_bytes() == used

    def fail() -> None:
        raise RuntimeError

    library.nvmlInit = fail
    assert math.isnan(card_bytes())


@pytest.mark.parametrize("form", ["json", "text"])
def test_an_exception_is_told_by_type_and_place_alone(root: logging.Logger, form: str) -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    root.handlers = [handler]
    try:
        int("SECRET")
    except ValueError:
        logging.getLogger("ecg").exception("failed", extra={"fields": {"request_id": "r-1"}})
    assert "ValueError at " in stream.getvalue()
    assert "r-1" in stream.getvalue()
    assert "SECRET" not in stream.getvalue()
    if form == "json":
        assert json.loads(stream.getvalue())["request_id"] == "r-1"


def test_logs_are_one_json_object_a_line(root: logging.Logger, capfd: pytest.CaptureFixture[str]) -> None:
    set_up_logs("info", "json")
    logging.getLogger("ecg").info("request", extra={"fields": {"status": 200}})
    logging.getLogger("httpx").info("GET https://issuer.example/keys")
    logging.getLogger("python_multipart").warning("a byte of a body")
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert [line["message"] for line in lines] == ["request"]
    assert lines[0]["status"] == 200
    assert lines[0]["level"] == "info"

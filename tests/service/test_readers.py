"""Processes that read answer to the byte as the service alone does, and a lost one takes no ECG along."""

import io
import json
import logging
import os
import signal
import zipfile
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest

from model.bundle import read_bundle
from model.engine import OnnxEngine
from model.errors import MissingRateError
from model.reader import Part, Prepared, Reader, delineate_by_network
from model.signal.recording import Recording
from service import examples, serving
from service.app import create_app
from service.errors import InternalError
from service.processes import HungError, Processes
from service.readers import Readers
from service.reading import Asked, ReadingHere
from service.schemas import model_wire
from service.serving import readers
from service.settings import Settings, default_bundle
from service.telemetry import Stage, Telemetry
from tests.service import bodies
from tests.service.stubs import PATIENCE_S, listening, metric, post, until


def decode(_: bytes) -> Recording:
    """A simulated ECG, whatever the body."""
    leads = examples.simulated_mv()
    return Recording(np.stack(list(leads.values())).astype(np.float32), examples.SAMPLING_HZ, tuple(leads))


def die(_: bytes) -> Recording:
    """The end of the process."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def die_once(body: bytes, *, path: str) -> Recording:
    """The end of the process, the first time."""
    if os.path.exists(path):  # noqa: PTH110 - what a process is sent is plain
        return decode(body)
    with open(path, "wb"):  # noqa: PTH123
        return die(body)


def refuse(_: bytes) -> Recording:
    raise MissingRateError("no sampling_hz was given; none is assumed")


def fail(_: bytes) -> Recording:
    raise ValueError("SECRET")


@pytest.fixture(scope="module")
def reader() -> Reader:
    bundle = read_bundle(default_bundle())
    return Reader(bundle, OnnxEngine(bundle, device="cpu", threads=1), delineate_by_network)


@pytest.fixture(scope="module")
def noted() -> list[tuple[Stage, float]]:
    return []


@pytest.fixture(scope="module")
def processes(reader: Reader, noted: list[tuple[Stage, float]]) -> Iterator[Readers]:
    def note(stage: Stage, seconds: float) -> None:
        noted.append((stage, seconds))

    made = Readers(reader, model_wire(reader.bundle, reader.engine), note, processes=1)
    made.warm()
    assert not noted  # what warms them is nobody's ECG
    yield made
    made.close()


def asked(reader: Reader, prepared: Prepared, *parts: Part) -> Asked:
    outputs = reader.engine.run(prepared.windows.signal_mv)
    return Asked(prepared, outputs, None, frozenset(parts), "an id", "a hash")


def test_an_answer_is_the_same_to_the_byte(
    reader: Reader, processes: Readers, noted: list[tuple[Stage, float]]
) -> None:
    here = ReadingHere(reader, model_wire(reader.bundle, reader.engine), Telemetry().stage)
    noted.clear()
    prepared = processes.prepare(decode, b"")
    np.testing.assert_array_equal(prepared.windows.signal_mv, here.prepare(decode, b"").windows.signal_mv)
    every: tuple[Part, ...] = ("findings", "measurements", "waves", "embedding", "plot")
    assert processes.render(asked(reader, prepared, *every)) == here.render(asked(reader, prepared, *every))
    assert [stage for stage, _ in noted] == ["decode", "preprocess", "postprocess"]
    assert all(0 <= seconds < PATIENCE_S for _, seconds in noted)


def test_what_is_wrong_with_an_ecg_is_said_as_it_is_here(processes: Readers) -> None:
    with pytest.raises(MissingRateError, match="none is assumed"):
        processes.prepare(refuse, b"")


def test_a_lost_process_takes_no_ecg_along(processes: Readers, tmp_path: Any) -> None:
    before = processes.pids
    assert processes.prepare(partial(die_once, path=str(tmp_path / "died")), b"").quality.verdict
    assert processes.pids != before


def test_an_ecg_that_ends_every_process_fails_alone(processes: Readers) -> None:
    with pytest.raises(InternalError):
        processes.prepare(die, b"")
    assert processes.prepare(decode, b"").quality.verdict


def test_an_ecg_that_hangs_is_not_tried_on_another_process(processes: Readers, monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[object] = []

    def hung(_: object, call: object) -> object:
        tries.append(call)
        raise HungError("it took too long")

    monkeypatch.setattr(Processes, "ask", hung)
    with pytest.raises(InternalError):
        processes.prepare(decode, b"")
    assert len(tries) == 1


def test_a_fault_is_logged_by_its_place_and_never_by_its_text(
    processes: Readers, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR), pytest.raises(InternalError):
        processes.prepare(fail, b"")
    assert "ValueError at" in caplog.text
    assert "SECRET" not in caplog.text


@pytest.mark.parametrize(
    ("cores", "device", "wanted"), [(2, "cpu", 0), (4, "cpu", 1), (16, "cpu", 4), (16, "cuda", 14)]
)
def test_there_are_as_many_as_the_cores_need(
    monkeypatch: pytest.MonkeyPatch, cores: int, device: str, wanted: int
) -> None:
    monkeypatch.setattr(serving, "usable_cores", lambda: cores)
    assert readers(Settings(), device) == wanted
    assert readers(Settings(readers=3), device) == 3
    assert readers(Settings(readers=0), device) == 0


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with listening(create_app(Settings(readers=2, device="cpu"))) as url:
        yield url


@pytest.fixture(scope="module")
def alone() -> Iterator[str]:
    with listening(create_app(Settings(device="cpu", readers=0))) as url:
        yield url


QUERY = {"include": "findings,measurements,waves,embedding,plot", "second_opinion": "true"}


def answer(url: str, request: bodies.Request) -> dict[str, Any]:
    reply = post(f"{url}/v1/ecgs", **{**request, "params": {**request.get("params", {}), **QUERY}})
    assert reply.status_code == 200, reply.text
    return {name: value for name, value in reply.json().items() if name != "request_id"}


@pytest.mark.parametrize("kind", bodies.EVERY_KIND)
def test_every_body_gets_the_answer_of_a_service_without(url: str, alone: str, kind: str) -> None:
    request = bodies.EVERY_KIND[kind]()
    mine, its = (answer(one, request) for one in (url, alone))
    if "files" in request:  # another boundary, and so another hash, each time
        assert mine["recording"].pop("sha256") != its["recording"].pop("sha256")
    assert mine == its


def test_a_batch_of_records_and_lines_is_read(url: str) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("one.json", json.dumps(examples.json_lists()))
        for name, content in examples.wfdb_record().items():
            archive.writestr(name, content)
        archive.writestr("wrong.json", "{}")
    reply = post(f"{url}/v1/ecgs/batch", content=packed.getvalue(), headers={"content-type": "application/zip"})
    lines = [json.loads(line) for line in reply.text.splitlines()]
    assert ["answer" in line for line in lines] == [True, True, False]
    assert lines[2]["problem"]["code"] == "missing_rate"


def test_refusals_stages_and_memory_are_counted(url: str) -> None:
    before = metric(url, 'ecg_stage_seconds_count{stage="postprocess"}')
    assert post(f"{url}/v1/ecgs", **bodies.json_with(sampling_hz=None)).json()["code"] == "missing_rate"
    assert post(f"{url}/v1/ecgs", **bodies.lists()).status_code == 200
    assert metric(url, 'ecg_stage_seconds_count{stage="postprocess"}') == before + 1
    assert metric(url, 'ecg_memory_bytes{where="readers"}') > 2 * 30e6
    assert metric(url, 'ecg_quality_total{verdict="limited"}') + metric(url, 'ecg_quality_total{verdict="good"}') > 0


def test_a_reload_brings_its_own_and_ends_those_before() -> None:
    app = create_app(Settings(readers=1, device="cpu"))
    with listening(app) as url:
        (before,) = app.state.serving.pipeline.reading.pids
        assert post(f"{url}/v1/admin/reload").status_code == 200
        (after,) = app.state.serving.pipeline.reading.pids
        assert after != before
        until(lambda: not _lives(before))
        assert post(f"{url}/v1/ecgs", **bodies.raw()).status_code == 200
    until(lambda: not _lives(after))


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True

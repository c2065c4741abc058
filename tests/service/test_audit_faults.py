"""The audit log on a disk that fails: no line, no answer; and it mends itself where that can be trusted."""

import errno
import json
import os
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import httpx
import pytest

from service import audit
from service.app import create_app
from service.audit import AuditError, AuditLog, Entry, verify
from service.cli import main
from service.errors import AuditUnavailableError
from service.settings import Settings
from tests.service import bodies
from tests.service.stubs import PATIENCE_S, StubEngine, listening, no_waves, until

ENTRY = Entry("ward", "request", "/v1/ecgs", "answered", "a" * 64, "b" * 64)


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AuditLog]:
    """A log with one line, tended often."""
    monkeypatch.setattr(audit, "TEND_S", 0.02)
    log = AuditLog(tmp_path / "audit.jsonl")
    log.write(ENTRY)
    yield log
    log.close()


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """What a full disk does, by the kernel itself: the write that crosses the line is cut short."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def failing(number: int) -> Callable[..., int]:
    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    return fail


def outcomes(path: Path) -> list[str]:
    return [json.loads(line)["outcome"] for line in path.read_text().splitlines()]


@pytest.mark.parametrize("room", [0, 20])
def test_a_full_disk_refuses_leaves_no_half_line_and_is_resumed(log: AuditLog, tmp_path: Path, room: int) -> None:
    path = tmp_path / "audit.jsonl"
    size = path.stat().st_size
    with no_file_larger_than(size + room):
        for _ in range(3):
            with pytest.raises(AuditUnavailableError):
                log.write(ENTRY)
        assert log.broken
        assert path.stat().st_size == size
    until(lambda: not log.broken)
    log.write(ENTRY)
    assert outcomes(path) == ["answered", "resumed", "answered"]
    assert verify(path).lines == 3


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_a_disk_that_takes_nothing_refuses_until_it_does(
    log: AuditLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(os, "write", failing(number))
        with pytest.raises(AuditUnavailableError):
            log.write(ENTRY)
    until(lambda: not log.broken)
    assert verify(tmp_path / "audit.jsonl").lines == 2


def test_a_half_line_that_cannot_be_taken_back_at_once_is_taken_back_later(
    log: AuditLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "audit.jsonl"
    with monkeypatch.context() as broken:
        broken.setattr(os, "ftruncate", failing(errno.EIO))
        with no_file_larger_than(path.stat().st_size + 20), pytest.raises(AuditUnavailableError):
            log.write(ENTRY)
        time.sleep(0.1)
        assert log.broken
    until(lambda: not log.broken)
    assert verify(path).lines == 2


def test_a_disk_that_does_not_keep_what_it_took_is_not_trusted_again(
    log: AuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", failing(errno.EIO))
    log.write(ENTRY)
    until(lambda: log.broken)
    monkeypatch.undo()
    time.sleep(0.1)
    with pytest.raises(AuditUnavailableError):
        log.write(ENTRY)


@pytest.mark.parametrize("how", ["rotated", "rotated and made anew", "removed"])
def test_a_file_that_is_moved_away_is_continued_by_a_new_one(log: AuditLog, tmp_path: Path, how: str) -> None:
    path, old = tmp_path / "audit.jsonl", tmp_path / "audit.jsonl.1"
    first = json.loads(path.read_text())["hash"]
    path.rename(old)
    if how == "rotated and made anew":
        path.touch()
    if how == "removed":
        old.unlink()
    log.write(ENTRY)
    log.write(ENTRY)
    with pytest.raises(AuditError, match="line 1"):
        verify(path)
    assert verify(path, after=first).lines == 2
    assert main(["audit", str(path)]) == 1
    assert main(["audit", str(path), "--after", first]) == 0
    if how != "removed":
        assert verify(old, path).lines == 3
        assert main(["audit", str(old), str(path)]) == 0


def test_another_file_in_its_place_is_not_written_to(log: AuditLog, tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    path.unlink()
    path.write_text("somebody's notes\n")
    with pytest.raises(AuditUnavailableError):
        log.write(ENTRY)
    path.unlink()
    until(lambda: not log.broken)
    assert outcomes(path) == ["resumed"]


def test_a_folder_that_vanishes_refuses_until_it_is_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "TEND_S", 0.02)
    folder = tmp_path / "mount"
    folder.mkdir()
    log = AuditLog(folder / "audit.jsonl")
    folder.rename(tmp_path / "elsewhere")
    with pytest.raises(AuditUnavailableError):
        log.write(ENTRY)
    folder.mkdir()
    until(lambda: not log.broken)
    log.close()


def test_what_a_power_cut_left_of_a_line_is_cut_off(log: AuditLog, tmp_path: Path) -> None:
    log.write(ENTRY)
    whole = (tmp_path / "audit.jsonl").read_bytes()
    path = tmp_path / "after.jsonl"
    first = whole.index(b"\n") + 1
    for cut in (1, 5, 40, len(whole) - first - 1, len(whole) - 5):
        path.write_bytes(whole[:-cut])
        again = AuditLog(path)
        again.write(ENTRY)
        again.close()
        assert verify(path).lines == (2 if cut < len(whole) - first else 1)


def test_a_process_without_descriptors_left_keeps_its_lines_and_tends_them_later(
    log: AuditLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[int] = []
    with monkeypatch.context() as out_of_descriptors:
        out_of_descriptors.setattr(os, "dup", failing(errno.EMFILE))
        log.write(ENTRY)
        time.sleep(0.2)
        assert not log.broken
    monkeypatch.setattr(os, "fsync", kept.append)
    log.write(ENTRY)
    until(lambda: bool(kept))
    assert verify(tmp_path / "audit.jsonl").lines == 3


def test_a_log_that_was_closed_takes_no_line(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.jsonl")
    log.close()
    with (tmp_path / "other").open("wb"), pytest.raises(AuditUnavailableError):
        log.write(ENTRY)
    assert (tmp_path / "other").read_bytes() == b""


def test_lines_of_many_threads_follow_one_another(log: AuditLog, tmp_path: Path) -> None:
    def write() -> None:
        for _ in range(50):
            log.write(ENTRY)

    writers = [Thread(target=write) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert verify(tmp_path / "audit.jsonl").lines == 201


def test_without_a_line_there_is_no_answer(
    bundle_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "TEND_S", 0.02)
    engine, path = StubEngine(), tmp_path / "audit.jsonl"
    app = create_app(Settings(bundle=bundle_folder, audit=path), engine, no_waves)
    with listening(app) as url, httpx.Client(base_url=url, timeout=PATIENCE_S) as client:
        assert client.post("/v1/ecgs", **bodies.raw()).status_code == 200
        path.rename(tmp_path / "old")
        path.mkdir()
        computed = client.post("/v1/ecgs", **bodies.raw())
        runs = len(engine.batches)
        assert client.get("/nowhere").status_code == 404
        refused = client.post("/v1/ecgs", **bodies.raw())
        batch = client.post(
            "/v1/ecgs/batch", json=bodies.lists()["json"], headers={"content-type": "application/x-ndjson"}
        )
        for answer in (computed, refused, batch, client.get("/v1/model")):
            assert (answer.status_code, answer.json()["code"]) == (503, "audit_unavailable")
            assert int(answer.headers["retry-after"]) >= 1
        assert len(engine.batches) == runs
        assert client.get("/health/ready").status_code == 503
        assert client.get("/health/live").status_code == 200
        assert 'ecg_degraded{part="audit"} 1.0' in client.get("/metrics").text
        path.rmdir()
        until(lambda: client.get("/health/ready").status_code == 200)
        assert client.post("/v1/ecgs", **bodies.raw()).status_code == 200
    assert outcomes(path) == ["resumed", "answered"]
    assert verify(tmp_path / "old", path).lines == 3


def test_a_log_that_fails_amid_a_batch_withholds_the_lines_that_follow(
    bundle_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "TEND_S", PATIENCE_S)
    engine, path = StubEngine(), tmp_path / "audit.jsonl"
    app = create_app(Settings(bundle=bundle_folder, audit=path), engine, no_waves)
    line = json.dumps(bodies.lists()["json"])
    with listening(app) as url, httpx.Client(base_url=url, timeout=PATIENCE_S) as client:
        engine.gate.clear()
        headers = {"content-type": "application/x-ndjson"}
        with client.stream("POST", "/v1/ecgs/batch", content=f"{line}\n{line}", headers=headers) as answer:
            path.unlink()
            path.mkdir()
            engine.gate.set()
            codes = [json.loads(one)["problem"]["code"] for one in answer.iter_lines()]
        assert codes == ["audit_unavailable"] * 2
        path.rmdir()


def test_a_refusal_goes_out_though_its_line_cannot_be_written(
    bundle_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "TEND_S", PATIENCE_S)
    path = tmp_path / "audit.jsonl"
    app = create_app(Settings(bundle=bundle_folder, audit=path), StubEngine(), no_waves)
    with listening(app) as url, httpx.Client(base_url=url, timeout=PATIENCE_S) as client:
        path.unlink()
        path.mkdir()
        refused = client.post("/v1/ecgs", **bodies.json_with(unit=None))
        assert (refused.status_code, refused.json()["code"]) == (422, "missing_unit")
        assert client.post("/v1/ecgs", **bodies.json_with(unit=None)).json()["code"] == "audit_unavailable"
        path.rmdir()

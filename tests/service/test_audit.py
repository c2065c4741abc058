"""The audit log: a line for each answer, chained, without patient data."""

import json
from pathlib import Path

import httpx
import pytest

from service.app import create_app
from service.audit import AuditError, AuditLog, Entry, verify
from service.cli import main
from service.errors import SettingsError
from service.security import new_key
from service.settings import Settings
from tests.service import bodies
from tests.service.stubs import PATIENCE_S, StubEngine, listening, no_waves


def entry(number: int) -> Entry:
    return Entry("ward", f"request-{number}", "/v1/ecgs", "answered", "a" * 64, "b" * 64)


def written(path: Path, count: int = 3) -> list[str]:
    log = AuditLog(path)
    for number in range(count):
        log.write(entry(number))
    log.close()
    return path.read_text().splitlines()


def test_a_log_is_continued_and_verified(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "audit.jsonl"
    written(path)
    written(path, 2)
    assert verify(path).lines == 5
    assert main(["audit", str(path)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("5 lines")
    assert said.strip().endswith(json.loads(path.read_text().splitlines()[-1])["hash"])
    assert path.stat().st_mode & 0o777 == 0o600


def test_an_empty_log_is_whole(tmp_path: Path) -> None:
    assert written(tmp_path / "audit.jsonl", 0) == []
    assert verify(tmp_path / "audit.jsonl").lines == 0


@pytest.mark.parametrize("harm", ["changed", "taken out", "put in", "swapped", "cut"])
def test_a_log_that_was_tampered_with_is_found_out(tmp_path: Path, harm: str) -> None:
    path = tmp_path / "audit.jsonl"
    lines = written(path, 4)
    harmed = {
        "changed": [lines[0], lines[1].replace("ward", "gate"), *lines[2:]],
        "taken out": [lines[0], *lines[2:]],
        "put in": [lines[0], lines[0], *lines[1:]],
        "swapped": [lines[1], lines[0], *lines[2:]],
        "cut": [*lines[:3], lines[3][:50]],
    }[harm]
    path.write_text("\n".join(harmed) + "\n")
    second = tmp_path / "second.jsonl"
    path.rename(second)
    with pytest.raises(AuditError, match=r"line \d of second\.jsonl"):
        verify(second)
    assert main(["audit", str(second)]) == 1


def test_what_is_cut_off_the_end_shows_in_the_last_hash(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    lines = written(path)
    whole = verify(path)
    path.write_text("\n".join(lines[:-1]) + "\n")
    assert (verify(path).lines, whole.lines) == (2, 3)
    assert verify(path).last != whole.last


def test_who_lacks_a_scope_is_in_it_and_who_is_unknown_is_not(bundle_folder: Path, tmp_path: Path) -> None:
    secret, line = new_key("ward", frozenset({"read"}))
    (tmp_path / "keys").write_text(line)
    path = tmp_path / "audit.jsonl"
    app = create_app(Settings(bundle=bundle_folder, audit=path, api_keys=tmp_path / "keys"), StubEngine(), no_waves)
    with listening(app) as url, httpx.Client(base_url=url, timeout=PATIENCE_S) as client:
        assert client.post("/v1/admin/reload", headers={"x-api-key": secret}).status_code == 403
        assert client.post("/v1/admin/reload", headers={"x-api-key": "guess"}).status_code == 401
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["caller"], line["outcome"]) for line in lines] == [("ward", "forbidden")]


def test_a_broken_log_is_not_continued(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    written(path)
    path.write_text(path.read_text()[:-20] + "\n")
    with pytest.raises(SettingsError, match="ECG_AUDIT"):
        AuditLog(path)
    notes = tmp_path / "notes.txt"
    for content in ("somebody's notes", "two lines\nof them", "x" * 100_000):
        notes.write_text(content)
        with pytest.raises(SettingsError, match="ECG_AUDIT"):
            AuditLog(notes)
        assert notes.read_text() == content
    with pytest.raises(SettingsError, match="ECG_AUDIT"):
        AuditLog(tmp_path)


def test_every_answer_and_refusal_is_in_it_once(bundle_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    app = create_app(Settings(bundle=bundle_folder, audit=path), StubEngine(), no_waves)
    with listening(app) as url, httpx.Client(base_url=url, timeout=PATIENCE_S) as client:
        answer = client.post("/v1/ecgs", **bodies.raw())
        refused = client.post("/v1/ecgs", **bodies.json_with(unit="canary"))
        content = "\n".join([json.dumps(bodies.lists()["json"]), "{}"])
        client.post("/v1/ecgs/batch", content=content, headers={"content-type": "application/x-ndjson"})
        client.get("/health/live")
        client.get("/metrics")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert verify(path).lines == len(lines) == 6
    outcomes = [line["outcome"] for line in lines]
    assert outcomes[:3] == ["answered", "unknown_unit", "begun"]
    assert [line["route"] for line in lines[2:]] == ["/v1/ecgs/batch", *["/v1/ecgs/batch#line"] * 2, "/v1/ecgs/batch"]
    assert sorted(outcomes[3:5]) == ["answered", "missing_rate"]
    assert outcomes[5] == "answered"
    assert [line["caller"] for line in lines] == ["anyone"] * 6
    assert lines[0]["request_id"] == answer.json()["request_id"]
    assert lines[0]["body_sha256"] == answer.json()["recording"]["sha256"]
    assert lines[0]["model_sha256"] == answer.json()["model"]["sha256"]
    assert lines[1]["request_id"] == refused.json()["request_id"]
    assert "canary" not in path.read_text()

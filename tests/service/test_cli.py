"""The command `ecg`: reads here and by a server, delineates anything, and fails in one line."""

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from fastapi import FastAPI, Request, Response

from service import examples
from service.app import create_app
from service.cli import main
from service.schemas import AnswerBody
from service.security import read_keys
from service.settings import Settings
from tests.service.stubs import StubEngine, listening, no_waves
from tests.training.toy_bundle import write_toy_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_bundle(tmp_path_factory.mktemp("toy") / "bundle")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two good ECGs and a bad one."""
    (tmp_path / "ward").mkdir()
    for name, content in examples.wfdb_record().items():
        (tmp_path / "ward" / name).write_bytes(content)
    (tmp_path / "ward" / "other.json").write_text(json.dumps(examples.json_lists()))
    (tmp_path / "ward" / "zz.json").write_text("{}")
    return tmp_path / "ward"


@pytest.fixture(scope="module")
def server(bundle_folder: Path) -> Iterator[str]:
    with listening(create_app(Settings(bundle=bundle_folder), StubEngine(), no_waves)) as url:
        yield url


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ECG_BUNDLE", "ECG_URL", "ECG_API_KEY", "ECG_PORT"):
        monkeypatch.delenv(name, raising=False)


Capture = pytest.CaptureFixture[str]


def test_an_answer_here_is_the_services_answer(folder: Path, bundle: Path, capsys: Capture) -> None:
    path = str(folder / "example.hea")
    assert main(["read", path, "--json", "--include", "findings", "--bundle", str(bundle)]) == 0
    answer = AnswerBody.model_validate_json(capsys.readouterr().out, strict=True)
    assert answer.model.name == "toy"
    assert len(answer.findings) == 8
    assert answer.recording.duration_s == 5


def test_a_record_is_found_with_and_without_its_suffix(folder: Path, bundle: Path, capsys: Capture) -> None:
    said = []
    for name in ("example", "example.hea"):
        assert main(["read", str(folder / name), "--json", "--include", "findings", "--bundle", str(bundle)]) == 0
        said.append(json.loads(capsys.readouterr().out))
    assert said[0]["findings"] == said[1]["findings"]
    assert said[0]["recording"] == said[1]["recording"]


def test_the_table_names_findings_and_quality(folder: Path, server: str, capsys: Capture) -> None:
    assert main(["read", str(folder / "example.hea"), "--url", server]) == 0
    table = capsys.readouterr().out
    assert "8 leads, 100 Hz, 5 s, quality limited" in table
    assert "atrial fibrillation" in table
    assert "90 ms" in table
    assert "no t wave" in table
    assert "read by a clinician" in table


def test_a_folder_is_read_whole_though_one_ecg_fails(folder: Path, server: str, capsys: Capture) -> None:
    assert main(["read", str(folder), "--json", "--include", "findings", "--url", server]) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["path"] for line in lines] == ["example.hea", "other.json", "zz.json"]
    assert ["findings" in line for line in lines] == [True, True, False]
    assert lines[2]["code"] == "missing_rate"
    assert main(["read", str(folder), "--include", "findings", "--url", server]) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("ecg: zz.json: ")


def test_a_signal_file_without_its_header_is_not_passed_over(
    folder: Path, bundle: Path, server: str, capsys: Capture
) -> None:
    (folder / "lost.dat").write_bytes((folder / "example.dat").read_bytes())
    header = (folder / "example.hea").read_text()
    (folder / "other_name.dat").write_bytes((folder / "example.dat").read_bytes())
    (folder / "third.hea").write_text(header.replace("example.dat", "other_name.dat"))
    for where in (["--bundle", str(bundle)], ["--url", server]):
        assert main(["read", str(folder), "--json", "--include", "findings", "--jobs", "1", *where]) == 1
        lines = {line["path"]: line for line in map(json.loads, capsys.readouterr().out.splitlines())}
        assert list(lines) == ["example.hea", "lost.dat", "other.json", "third.hea", "zz.json"]
        assert lines["lost.dat"]["code"] == "unknown_format"
        assert "findings" in lines["third.hea"]


def test_a_folder_becomes_a_row_each(folder: Path, server: str, capsys: Capture) -> None:
    assert main(["read", str(folder), "--csv", "--include", "findings", "--url", server, "--jobs", "2"]) == 1
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [row["path"] for row in rows] == ["example.hea", "other.json", "zz.json"]
    assert [row["problem"] for row in rows] == ["", "", "missing_rate"]
    assert 0 <= float(rows[0]["AF"]) <= 1
    assert rows[0]["quality"] == "limited"
    assert rows[0]["heart_rate_bpm"] == rows[2]["AF"] == ""


def test_processes_of_ones_own_answer_alike_and_in_order(folder: Path, bundle: Path, capsys: Capture) -> None:
    for number in range(6):
        (folder / f"more{number}.json").write_text((folder / "other.json").read_text())
    said = []
    for jobs in ("1", "2"):
        assert (
            main(["read", str(folder), "--json", "--include", "findings", "--bundle", str(bundle), "--jobs", jobs]) == 1
        )
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        said.append([(line["path"], line.get("findings"), line.get("code")) for line in lines])
    assert said[0] == said[1]
    assert [path for path, _, _ in said[0]] == sorted(path for path, _, _ in said[0])


def test_files_and_stdin_are_read_together(
    folder: Path, server: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    stdin = io.TextIOWrapper(io.BytesIO((folder / "other.json").read_bytes()))
    monkeypatch.setattr("sys.stdin", stdin)
    asked = ["read", str(folder / "example.hea"), "-", "--json", "--include", "findings", "--url", server]
    assert main(asked) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["path"] for line in lines] == ["example.hea", "stdin"]


@contextmanager
def busy(refusals: int, after: str | None = "0") -> Iterator[tuple[str, list[str]]]:
    """A server that refuses so often before it answers, and the keys under which it was asked."""
    app, keys = FastAPI(), list[str]()

    @app.post("/v1/ecgs")
    def answer(request: Request) -> Response:
        keys.append(request.headers["idempotency-key"])
        if len(keys) > refusals:
            return Response(b"{}", media_type="application/json")
        return Response(status_code=503, headers={"retry-after": after} if after else {})

    with listening(app) as url:
        yield url, keys


def test_a_busy_server_is_asked_again_for_the_same_answer(folder: Path, capsys: Capture) -> None:
    with busy(2) as (url, keys):
        assert main(["read", str(folder / "other.json"), "--json", "--url", url]) == 0
    assert capsys.readouterr().out == "{}\n"
    assert len(keys) == 3
    assert len(set(keys)) == 1


@pytest.mark.parametrize(("after", "patience"), [("30", "1"), (None, "60")])
def test_a_server_that_stays_busy_or_is_broken_is_given_up(
    folder: Path, capsys: Capture, after: str | None, patience: str
) -> None:
    with busy(99, after) as (url, keys):
        assert main(["read", str(folder / "other.json"), "--url", url, "--patience", patience]) == 1
    assert capsys.readouterr().err == "ecg: the server answered 503\n"
    assert len(keys) == 1


@pytest.mark.parametrize(
    "case",
    [
        (["read", "nowhere.hea"], 1),
        (["read", "example.json", "--include", "everything"], 2),
        (["read", "zz.json"], 1),
        (["waves", "nowhere.hea", "--json"], 1),
    ],
)
def test_what_fails_says_so_in_one_line(
    folder: Path, bundle: Path, capsys: Capture, case: tuple[list[str], int]
) -> None:
    (command, name, *rest), status = case
    here = ["--bundle", str(bundle)] if command == "read" else []
    assert main([command, str(folder / name), *rest, *here]) == status
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    assert said.err.startswith("ecg: ")


def test_a_bundle_or_server_that_is_not_there_says_so(folder: Path, capsys: Capture) -> None:
    path = str(folder / "example.hea")
    assert main(["read", path, "--bundle", str(folder)]) == 2
    assert main(["read", path, "--url", "http://127.0.0.1:9"]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_a_misspelt_setting_stops_the_server_in_one_line(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setenv("ECG_BUNDEL", "x")
    assert main(["serve"]) == 2
    assert capsys.readouterr().err.startswith("ecg: unknown setting ECG_BUNDEL; did you mean ECG_BUNDLE?; known are")


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("command", [("key", "ward"), ("read", "other.json", "--csv", "--url", "http://127.0.0.1:9")])
def test_a_reader_that_leaves_ends_the_command_without_a_word(
    folder: Path, command: tuple[str, ...], unbuffered: str
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    code = "import sys; from service.cli import main; sys.exit(main(sys.argv[1:]))"
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered, "PYTHONPATH": str(Path(__file__).parents[2])}
    ended = subprocess.run(
        [sys.executable, "-c", code, *command],
        stdout=writing,
        stderr=subprocess.PIPE,
        env=environment,
        cwd=folder,
        check=False,
    )
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (141, b"")


def test_a_key_is_made_with_its_line(capsys: Capture) -> None:
    assert main(["key", "ward", "--scopes", "read", "metrics"]) == 0
    said = capsys.readouterr().out
    line = json.loads(next(one for one in said.splitlines() if "sha256" in one))
    assert line["id"] == "ward"
    assert line["scopes"] == ["metrics", "read"]
    assert "expires" not in line


def test_a_key_may_have_an_end(capsys: Capture, tmp_path: Path) -> None:
    assert main(["key", "ward", "--expires", "2027-01-31"]) == 0
    (tmp_path / "keys").write_text(capsys.readouterr().out.splitlines()[-1])
    assert read_keys(tmp_path / "keys")[0].expires == datetime(2027, 1, 31, tzinfo=UTC)
    with pytest.raises(SystemExit):
        main(["key", "ward", "--expires", "soon"])
    capsys.readouterr()
    assert main(["key", "Ward 7"]) == 2
    assert capsys.readouterr().err.startswith("ecg: a key's name takes")


@pytest.mark.slow
def test_waves_of_one_lead_of_any_name_and_length(tmp_path: Path, capsys: Capture) -> None:
    lead = np.tile(examples.simulated_mv()["II"], 5)
    samples = np.round(lead * 1000).astype("<i2")
    (tmp_path / "holter.dat").write_bytes(samples.tobytes())
    (tmp_path / "holter.hea").write_text(f"holter 1 100 {len(samples)}\nholter.dat 16 1000/mV 16 0 0 0 0 CH-3\n")
    assert main(["waves", str(tmp_path / "holter.hea"), "--json"]) == 0
    waves = json.loads(capsys.readouterr().out)["waves"]
    assert set(waves) == {"CH-3"}
    beats = [wave for wave in waves["CH-3"] if wave["wave"] == "QRS"]
    assert 25 <= len(beats) <= 32
    assert all(wave["onset_ms"] < wave["peak_ms"] < wave["offset_ms"] <= 25_000 for wave in waves["CH-3"])
    assert main(["waves", str(tmp_path / "holter.hea")]) == 0
    assert "QRS" in capsys.readouterr().out

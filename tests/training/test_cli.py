import errno
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.training.ecg_folders import write_shared_ptbxl
from training.cli import MODULES, main
from training.data import prepare


def complaint(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a failed run ends in."""
    lines = capsys.readouterr().err.strip().splitlines()
    return lines[-1]


def test_every_stage_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    for stage in MODULES:
        with pytest.raises(SystemExit) as ended:
            main([stage, "--help"])
        assert ended.value.code == 0
    assert "--data" in capsys.readouterr().out


def test_what_a_stage_returns_is_the_last_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    database = write_shared_ptbxl(tmp_path / "db", [(1, "train", "NORM", "NSR", 56.0, "female")])
    arguments = ["prepare", "--source", "ptbxl", "--data", str(database), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--processes", "1"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith('{"source": "ptbxl", "records": 1')


def test_of_several_processes_the_first_speaks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def answer(**_: Any) -> dict[str, int]:
        return {"records": 1}

    monkeypatch.setattr(prepare, "run", answer)
    for rank, said in (("1", ""), ("0", '{"records": 1}\n')):
        monkeypatch.setenv("RANK", rank)
        assert main(["prepare", "--source", "ptbxl", "--data", ".", "--out", "x"]) == 0
        assert capsys.readouterr().out == said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["prepare", "--source", "ptbxl", "--data", "/nowhere", "--out", "x"], "error: /nowhere is not a folder"),
        (["prepare", "--source", "ptb", "--data", ".", "--out", "x"], "error: unknown source 'ptb'; one of ptbxl,"),
        (["pretrain", "--config", "huge", "--data", ".", "--out", "x"], "error: no configuration huge;"),
        (
            ["pretrain", "--config", "nano", "-s", "pretrain.epocs=1", "--data", ".", "--out", "x"],
            "error: unknown key in [pretrain]: 'epocs'; did you mean 'epochs'?",
        ),
        (["evaluate", "--bundle", "/nowhere", "--data", ".", "--out", "x"], "error: no manifest.json"),
    ],
)
def test_what_is_wrong_ends_in_one_line_and_status_2(
    arguments: list[str],
    said: str,
    *,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert complaint(capsys).startswith(said)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "windows.npy"), "error: the disk is full (windows.npy)"),
        (OSError("200000 requested and 3968 written"), "error: the disk is full; finished checkpoints are kept"),
        (PermissionError(errno.EACCES, "Permission denied", "/out"), "error: Permission denied (/out)"),
        (KeyboardInterrupt(), "error: interrupted"),
    ],
)
def test_the_disk_and_the_user_can_end_a_run(
    error: BaseException, said: str, *, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: Any) -> None:
        raise error

    monkeypatch.setattr(prepare, "run", fail)
    assert main(["prepare", "--source", "ptbxl", "--data", ".", "--out", "x"]) == 2
    assert complaint(capsys).startswith(said)


def test_a_mistake_of_the_program_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(prepare, "run", fail)
    with pytest.raises(ZeroDivisionError):
        main(["prepare", "--source", "ptbxl", "--data", ".", "--out", "x"])


def test_asking_for_help_does_not_wait_for_torch() -> None:
    code = "import sys, training.cli; sys.exit('torch' in sys.modules or 'matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[2]).returncode == 0

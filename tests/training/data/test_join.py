"""Several databases are learned from as one, and each record stays what it was."""

from pathlib import Path

import numpy as np
import pytest

from tests.training.ecg_folders import noise, write_record, write_shared_ptbxl
from training.cli import main
from training.data import prepare
from training.data.dataset import read_prepared
from training.data.join import run
from training.errors import TrainingError

TABLE = [
    (1, "train", "NORM", "NSR", "60", "male"),
    (2, "val", "MI", "AF", "", ""),
    (3, "test", "NORM", "", "71", "female"),
]


@pytest.fixture
def parts(tmp_path: Path) -> list[Path]:
    """PTB-XL with superclasses, and records of the challenge whose databases know of none."""
    write_shared_ptbxl(tmp_path / "db", TABLE)
    for number in range(12):
        write_record(tmp_path / "cpsc", f"A{number:04d}", noise(20 + number), comments="#Dx: 164889003\n")
    for source, folder in (("ptbxl", "db"), ("challenge", "cpsc")):
        prepare.run(source, tmp_path / folder, tmp_path / source, processes=1)
    return [tmp_path / "ptbxl", tmp_path / "challenge"]


def test_records_keep_windows_splits_and_labels_and_what_a_database_does_not_know_is_unknown(
    parts: list[Path], tmp_path: Path
) -> None:
    answer = run(parts, tmp_path / "both")
    both, (first, second) = read_prepared(tmp_path / "both"), map(read_prepared, parts)
    assert answer["records"] == 15
    assert both.sources == ("ptbxl", "challenge")
    np.testing.assert_array_equal(both.windows, np.concatenate([first.windows, second.windows]))
    assert both.splits.tolist() == [*first.splits, *second.splits]
    assert both.records[:4] == ("ptbxl/1", "ptbxl/2", "ptbxl/3", "challenge/A0000")
    np.testing.assert_array_equal(both.labels_of(first.keys)[:3], first.labels)
    np.testing.assert_array_equal(both.labels_of(second.keys)[3:], second.labels)
    assert (both.labels_of(("NORM", "MI"))[3:] == -1).all()
    assert both.hashes == first.hashes + second.hashes
    assert both.window_record.tolist() == list(range(15))


def test_a_joined_folder_can_be_joined_again(parts: list[Path], tmp_path: Path) -> None:
    run(parts, tmp_path / "both")
    (tmp_path / "own").mkdir()
    write_record(tmp_path / "own", "r1", noise(50))
    (tmp_path / "own/labels.csv").write_text("record,superclasses,statements,patient\nr1,CD,SB,p1\n")
    prepare.run("wfdb-folder", tmp_path / "own", tmp_path / "ours", processes=1)
    run([tmp_path / "both", tmp_path / "ours"], tmp_path / "all")
    whole = read_prepared(tmp_path / "all")
    assert whole.sources == ("ptbxl", "challenge", "wfdb-folder")
    assert (whole.records[0], whole.records[-1], whole.patients[-1]) == ("ptbxl/1", "wfdb-folder/r1", "wfdb-folder/p1")


def test_what_would_count_a_record_twice_is_refused(parts: list[Path], tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="give two prepared folders or more"):
        run(parts[:1], tmp_path / "out")
    with pytest.raises(TrainingError, match="both hold the database challenge"):
        run([parts[1], _copied(parts[1], tmp_path)], tmp_path / "out")
    write_record(tmp_path / "renamed", "HR00001", noise(90), comments="#Dx: 164889003\n")
    prepare.run("challenge", tmp_path / "renamed", tmp_path / "hr", processes=1)
    with pytest.raises(TrainingError, match="HR00001 and 0 more are PTB-XL's own records"):
        run([parts[0], tmp_path / "hr"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_record_under_another_name_is_found(parts: list[Path], tmp_path: Path) -> None:
    write_record(tmp_path / "again", "A9999", noise(1), comments="#Dx: 164889003\n")  # the samples of ptbxl/1
    prepare.run("challenge", tmp_path / "again", tmp_path / "same", processes=1)
    with pytest.raises(TrainingError, match="both hold a record with the same samples"):
        run([parts[0], tmp_path / "same"], tmp_path / "out")


def test_the_command_says_what_is_wrong_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["join", str(tmp_path), str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def _copied(folder: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    return copy

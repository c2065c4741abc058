from pathlib import Path

import pytest

from tests.training.ecg_folders import noise, write_record, write_table
from training.errors import TrainingError
from training.sources import open_source
from training.sources.catalogue import label_matrix

COLUMNS = ("record", "superclasses", "statements", "patient")


def hospital(folder: Path, *rows: tuple[str, ...]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    write_table(folder / "labels.csv", [COLUMNS, *rows])
    return folder


def test_an_empty_cell_is_unknown_and_none_is_absent(tmp_path: Path) -> None:
    folder = hospital(tmp_path, ("a", "NORM", "NSR", "1"), ("b", "", "none", "2"), ("c", "MI", "", "3"))
    source = open_source("wfdb-folder", folder)
    assert label_matrix(source.entries, ("NORM", "NSR")).tolist() == [[1, 1], [-1, 0], [0, -1]]


def test_a_statement_nobody_looked_for_is_unknown_unless_it_is_listed(tmp_path: Path) -> None:
    folder = hospital(tmp_path, ("a", "NORM", "NSR", "1"))
    assert label_matrix(open_source("wfdb-folder", folder).entries, ("AF",)).tolist() == [[-1]]
    write_table(folder / "statements.csv", [("key",), ("AF",)])
    assert label_matrix(open_source("wfdb-folder", folder).entries, ("AF",)).tolist() == [[0]]


def test_without_splits_a_patient_stays_in_one_and_for_ever(tmp_path: Path) -> None:
    rows = [(f"r{number}", "NORM", "NSR", f"p{number // 2}") for number in range(400)]
    entries = open_source("wfdb-folder", hospital(tmp_path, *rows)).entries
    splits = [entry.split for entry in entries]
    assert splits[::2] == splits[1::2]
    assert 250 < splits.count("train") < 370
    assert min(splits.count("val"), splits.count("test")) > 10
    assert [entry.split for entry in entries[:6:2]] == ["test", "train", "train"]


def test_records_are_read_from_below_the_folder_only(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="not below the folder"):
        open_source("wfdb-folder", hospital(tmp_path, ("../a", "NORM", "NSR", "1")))


@pytest.mark.parametrize("name", ["x/one", "x/one.hea"])
def test_a_record_is_named_with_or_without_its_suffix(tmp_path: Path, name: str) -> None:
    write_record(tmp_path / "x", "one", noise(1, sampling_hz=500.0), mat=True)
    source = open_source("wfdb-folder", hospital(tmp_path, (name, "NORM", "NSR", "1")))
    assert source.read(source.entries[0]).sampling_hz == 500.0
    assert source.entries[0].signal_file == tmp_path / "x/one.mat"


def test_an_unknown_statement_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="unknown statement 'AFIB'"):
        open_source("wfdb-folder", hospital(tmp_path, ("a", "NORM", "AFIB", "1")))


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    write_table(tmp_path / "labels.csv", [("record", "acceptable"), ("a", 1)])
    with pytest.raises(TrainingError, match="no column 'superclasses'"):
        open_source("wfdb-folder", tmp_path)


def write_labels(folder: Path, *lines: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "labels.csv").write_text("\n".join(("record,superclasses,statements,split,patient,sex", *lines)) + "\n")
    return folder


def test_blank_and_missing_cells_are_unknown_too(tmp_path: Path) -> None:
    source = open_source("wfdb-folder", write_labels(tmp_path, "a,NORM,NSR,train,1,", "b, , ,train,2,", "c,MI"))
    assert label_matrix(source.entries, ("NORM", "NSR")).tolist() == [[1, 1], [-1, -1], [0, -1]]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("b,MI,AF,test,1,", "patient of record 'b' is also in the split train"),
        ("b,MI,AF,,p0,", "patient of record 'b' is also in the split val"),
        ("a.hea,MI,AF,train,1,", "record 'a.hea' stands twice"),
        ("b,AF,,train,1,", "'AF' is no superclass"),
        ("b,,MI,train,1,", "'MI' is a superclass"),
        ("b,MI,AF,train,1,F", "unknown sex 'F'"),
        ("b,MI,AF,train,1,,male", "line 4 has more cells than the first"),
    ],
)
def test_a_row_that_would_teach_something_false_is_refused(tmp_path: Path, line: str, said: str) -> None:
    folder = write_labels(tmp_path, "a,NORM,NSR,train,1,female", "z,NORM,NSR,val,p0,", line)
    with pytest.raises(TrainingError, match=said):
        open_source("wfdb-folder", folder)

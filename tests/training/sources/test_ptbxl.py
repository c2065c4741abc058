from pathlib import Path

import pytest

from tests.training.ecg_folders import PUBLISHED_COLUMNS, SCP_STATEMENTS, write_shared_ptbxl, write_table
from training.errors import TrainingError
from training.sources import find_source, open_source
from training.sources.catalogue import Entry, label_matrix

ROWS = [
    (1, "train", "NORM", "NSR", 56.0, "female"),
    (2, "val", "", "AF|LAD", 300, "male"),
    (3, "test", "MI|HYP", "", "", ""),
]


def published(number: int, codes: str, fold: int, axis: str = "MID") -> tuple[object, ...]:
    name = f"00000/{number:05d}"
    return (
        *(number, f"{9000 + number}.0", 70.0, 1, codes, axis, fold),
        *(f"records100/{name}_lr", f"records500/{name}_hr"),
    )


def write_published(folder: Path, rows: list[tuple[object, ...]]) -> Path:
    (folder / "records100").mkdir(parents=True)
    write_table(folder / "ptbxl_database.csv", [PUBLISHED_COLUMNS, *rows])
    write_table(folder / "scp_statements.csv", SCP_STATEMENTS)
    return folder


def entries(folder: Path) -> dict[str, Entry]:
    return {entry.record: entry for entry in open_source("ptbxl", folder).entries}


def test_the_shared_table_gives_splits_labels_and_people(tmp_path: Path) -> None:
    found = entries(write_shared_ptbxl(tmp_path / "db", ROWS))
    assert [entry.split for entry in found.values()] == ["train", "val", "test"]
    assert found["1"].present == {"NORM", "NSR"}
    assert (found["1"].age, found["1"].sex) == (56.0, "female")
    assert found["2"].age == 90.0  # PTB-XL's 300 means over 89
    assert found["3"].age is None


def test_what_a_record_does_not_say_is_unknown_and_not_absent(tmp_path: Path) -> None:
    source = open_source("ptbxl", write_shared_ptbxl(tmp_path / "db", ROWS))
    labels = label_matrix(source.entries, ("NORM", "MI", "AF", "NSR", "PVC"))
    assert labels.tolist() == [[1, 0, 0, 1, -1], [-1, -1, 1, 0, -1], [0, 1, -1, -1, -1]]


def test_the_partial_table_adds_statements_and_patients_to_its_rows_alone(tmp_path: Path) -> None:
    folder = write_shared_ptbxl(tmp_path / "db", ROWS)
    row = published(1, "{'NORM': 100.0, 'PVC': 0.0, 'ASMI': 15.0}", 3)
    write_table(folder / "ptbxl_database_partial.csv", [PUBLISHED_COLUMNS, row])
    source = open_source("ptbxl", folder)
    labels = label_matrix(source.entries, ("PVC", "AMI", "LVH"))
    assert labels.tolist() == [[1, 1, 0], [-1, -1, -1], [-1, -1, -1]]
    assert [entry.patient for entry in source.entries] == ["9001", "", ""]


def test_the_published_table_gives_the_same_keys(tmp_path: Path) -> None:
    rows = [
        published(1, "{'NORM': 100.0}", 8, "LAD"),
        published(2, "{'IMI': 0.0, 'LVH': 50.0, 'PVC': 0.0}", 9),
        published(3, "{'SR': 0.0}", 10),
    ]
    found = entries(write_published(tmp_path / "db", rows))
    assert found["1"].present == {"NORM", "NSR", "LAD"}  # a normal ECG has sinus rhythm
    assert found["2"].present == {"MI", "HYP", "IMI", "LVH", "PVC"}  # at any likelihood, as in the benchmark
    assert "NORM" not in found["3"].known
    assert [entry.split for entry in found.values()] == ["train", "val", "test"]
    assert found["2"].path == tmp_path / "db/records100/00000/00002_lr.hea"


def test_the_500_hz_records_are_read_wherever_they_lie(tmp_path: Path) -> None:
    folder = write_published(tmp_path / "db", [published(1, "{'NORM': 100.0}", 1)])
    (folder / "records500").mkdir()
    assert entries(folder)["1"].path == folder / "records500/00000/00001_hr.hea"
    (folder / "records100").rmdir()
    assert entries(folder)["1"].path == folder / "records500/00000/00001_hr.hea"
    (folder / "records500").rmdir()
    with pytest.raises(TrainingError, match="neither records500 nor records100"):
        entries(folder)


@pytest.mark.parametrize(
    ("group", "keys", "labels"),
    [
        ("super", ("NORM", "MI", "HYP", "STTC"), [[0, 1, 1, 0], [0, 0, 0, 1], [-1, -1, -1, -1]]),
        ("sub", ("sub/IMI", "sub/LVH"), [[1, 1], [0, 0], [-1, -1]]),
        ("form", ("form/NDT", "form/PVC"), [[0, 1], [1, 0], [-1, -1]]),
        ("rhythm", ("rhythm/SR",), [[-1], [-1], [1]]),
        ("all", ("all/IMI", "all/ILMI", "all/SR"), [[0, 1, 0], [0, 0, 0], [0, 0, 1]]),
    ],
)
def test_the_label_groups_of_the_benchmark(
    tmp_path: Path, group: str, keys: tuple[str, ...], labels: list[list[int]]
) -> None:
    rows = [
        published(1, "{'ILMI': 0.0, 'LVH': 50.0, 'PVC': 0.0}", 1),
        published(2, "{'NDT': 100.0}", 1),
        published(3, "{'SR': 0.0}", 1),
    ]
    source = open_source("ptbxl", write_published(tmp_path / "db", rows), group)
    assert set(keys) <= set(source.keys)
    assert label_matrix(source.entries, keys).tolist() == labels


def test_label_groups_need_the_published_table_and_a_known_name(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="unknown label group 'subs'"):
        open_source("ptbxl", write_published(tmp_path / "a", []), "subs")
    shared = write_shared_ptbxl(tmp_path / "b", ROWS)
    with pytest.raises(TrainingError, match="does not exist"):
        open_source("ptbxl", shared, "sub")
    with pytest.raises(TrainingError, match="for ptbxl, not for wfdb-folder"):
        open_source("wfdb-folder", shared, "sub")


@pytest.mark.parametrize(
    ("row", "named"),
    [
        ((1, "train", "NORM", "NSR|XYZ", 56.0, "female"), "unknown statement 'XYZ'"),
        ((1, "holdout", "NORM", "NSR", 56.0, "female"), "unknown split 'holdout'"),
    ],
)
def test_a_label_or_split_that_is_not_known_is_named(tmp_path: Path, row: tuple[object, ...], named: str) -> None:
    folder = write_shared_ptbxl(tmp_path / "db", [row])
    with pytest.raises(TrainingError, match=named):
        open_source("ptbxl", folder)


@pytest.mark.parametrize(
    ("row", "named"),
    [
        (published(7, "NORM", 1), "record 7: scp_codes"),
        (published(7, "{'NORM': 100.0}", 11), "strat_fold is '11'"),
    ],
)
def test_a_published_row_that_cannot_be_read_is_named(tmp_path: Path, row: tuple[object, ...], named: str) -> None:
    folder = write_published(tmp_path / "db", [row])
    with pytest.raises(TrainingError, match=named):
        open_source("ptbxl", folder)


def test_a_record_of_the_shared_table_has_a_number(tmp_path: Path) -> None:
    folder = write_shared_ptbxl(tmp_path / "db", ROWS)
    table = folder / "labels.csv"
    table.write_text(table.read_text() + "x7,train,NORM,NSR,50,female\n")
    with pytest.raises(TrainingError, match=r"labels\.csv: ecg_id is 'x7', wanted a whole number"):
        open_source("ptbxl", folder)


def test_a_folder_without_a_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="neither"):
        open_source("ptbxl", tmp_path)


def test_the_layouts_are_recognised_by_their_files(tmp_path: Path) -> None:
    assert find_source(write_published(tmp_path / "a", [published(1, "{'NORM': 100.0}", 1)])) == "ptbxl"
    shared = write_shared_ptbxl(tmp_path / "b", ROWS)
    assert open_source(find_source(shared), shared).name == "ptbxl"

import csv
import errno
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.signal.preprocess import preprocess
from model.signal.recording import Recording
from model.signal.spec import SPEC
from tests.training.ecg_folders import noise, write_record, write_shared_ptbxl, write_table
from training.data.dataset import read_prepared
from training.data.prepare import run
from training.errors import TrainingError

ROWS = [
    (1, "train", "NORM", "NSR", 56.0, "female"),
    (2, "train", "MI", "AF", 60.0, "male"),
    (3, "val", "", "AF", 300, "male"),
    (4, "test", "MI", "", "", ""),
]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return write_shared_ptbxl(tmp_path / "db", ROWS)


def prepare(database: Path) -> Path:
    out = database.parent / "prepared"
    run("ptbxl", database, out, processes=1)
    return out


def header(database: Path, number: int) -> Path:
    return database / f"records100/00000/{number:05d}_lr.hea"


def replace_record(database: Path, number: int, recording: Recording) -> None:
    write_record(header(database, number).parent, header(database, number).stem, recording)


def dropped(folder: Path) -> list[dict[str, str]]:
    with (folder / "dropped.csv").open() as file:
        return list(csv.DictReader(file))


def test_windows_are_those_of_the_service(database: Path) -> None:
    prepared = read_prepared(prepare(database))
    assert prepared.windows.shape == (4, 8, 2500)
    served = preprocess(noise(2), SPEC).signal_mv
    np.testing.assert_allclose(prepared.windows[1], served[0], atol=2e-3)  # half precision, and counts of 1 uV


def test_labels_keys_splits_and_people_are_kept(database: Path) -> None:
    prepared = read_prepared(prepare(database))
    assert prepared.keys == ("NORM", "MI", "AF", "NSR")  # what holds at least once, in the vocabulary's order
    assert prepared.labels.tolist() == [[1, 0, 0, 1], [0, 1, 1, 0], [-1, -1, 1, 0], [0, 1, -1, -1]]
    assert prepared.rows("test").tolist() == [3]
    assert prepared.sexes.tolist() == ["female", "male", "male", ""]
    assert np.isnan(prepared.ages[3])


def test_labels_in_another_order_are_unknown_where_the_set_knows_nothing(database: Path) -> None:
    prepared = read_prepared(prepare(database))
    assert prepared.labels_of(("AF", "PVC"))[:2].tolist() == [[0, -1], [1, -1]]
    assert prepared.trainable_keys(minimum=1) == ("NORM", "MI", "AF", "NSR")
    assert prepared.trainable_keys(minimum=2) == ()


def test_a_long_record_gives_several_windows(database: Path) -> None:
    replace_record(database, 1, noise(1, duration_s=21.0))
    prepared = read_prepared(prepare(database))
    assert prepared.window_record.tolist() == [0, 0, 0, 0, 1, 2, 3]
    assert prepared.window_rows("val").tolist() == [5]


def test_the_index_says_how_each_record_was_recorded(database: Path) -> None:
    folder = prepare(database)
    with (folder / "index.csv").open() as file:
        first = next(csv.DictReader(file))
    assert (first["sampling_hz"], first["leads"].split("|")[3], first["windows"]) == ("100.0", "aVR", "1")
    assert len(first["sha256"]) == 64


def test_a_dead_lead_is_named(database: Path) -> None:
    recording = noise(1)
    recording.signal_mv[7] = 0.0
    replace_record(database, 1, recording)
    with (prepare(database) / "index.csv").open() as file:
        assert next(csv.DictReader(file))["dead_leads"] == "V2"


def test_hashes_change_with_data_and_splits(database: Path) -> None:
    first = json.loads((prepare(database) / "meta.json").read_text())
    assert first["splits"] == {"train": 2, "val": 1, "test": 1}
    assert first["spec_sha256"] == SPEC.sha256()
    assert first["sampling_hz"] == {"100": 4}, "records by the rate that they were read at"
    replace_record(database, 1, noise(5))
    answer = run("ptbxl", database, database.parent / "again", processes=1)
    assert answer["sampling_hz"] == first["sampling_hz"]
    second = json.loads((database.parent / "again/meta.json").read_text())
    assert first["data_sha256"] != second["data_sha256"]
    assert first["split_sha256"] == second["split_sha256"]


def broken(kind: str) -> Recording:
    recording = noise(1)
    if kind == "impossible_amplitude":
        recording.signal_mv[1, 500] = 12.0
    else:
        recording.signal_mv[:, :110] = 0.2
    return recording


@pytest.mark.parametrize("kind", ["impossible_amplitude", "flat_start"])
@pytest.mark.parametrize(("number", "kept"), [(1, False), (3, True), (4, True)])
def test_rules_hold_for_training_records_alone(database: Path, kind: str, number: int, kept: bool) -> None:
    replace_record(database, number, broken(kind))
    folder = prepare(database)
    assert (str(number) in read_prepared(folder).records) == kept
    assert dropped(folder) == ([] if kept else [{"record": "1", "split": "train", "reason": kind}])


def test_a_truncated_record_is_reported_and_dropped(database: Path) -> None:
    samples = header(database, 2).with_suffix(".dat")
    samples.write_bytes(samples.read_bytes()[:100])
    folder = prepare(database)
    assert dropped(folder) == [{"record": "2", "split": "train", "reason": "malformed_record"}]
    assert read_prepared(folder).records == ("1", "3", "4")


def test_a_missing_record_is_reported_and_dropped(database: Path) -> None:
    header(database, 3).unlink()
    assert dropped(prepare(database))[0]["reason"] == "unreadable: FileNotFoundError"


def test_a_test_record_that_cannot_be_read_ends_the_run_and_leaves_nothing(database: Path) -> None:
    header(database, 4).unlink()
    with pytest.raises(TrainingError, match="test record 4 cannot be used"):
        prepare(database)
    assert [path.name for path in database.parent.iterdir()] == ["db"]


def test_an_existing_folder_is_not_written_over(database: Path) -> None:
    prepare(database)
    with pytest.raises(TrainingError, match="exists already"):
        prepare(database)


def test_a_full_disk_leaves_nothing_behind(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(OSError, match="No space"):
        prepare(database)
    assert [path.name for path in database.parent.iterdir()] == ["db"]


def test_two_processes_cut_what_one_does(database: Path) -> None:
    alone = read_prepared(prepare(database))
    run("ptbxl", database, database.parent / "both", processes=2)
    both = read_prepared(database.parent / "both")
    np.testing.assert_array_equal(alone.windows, both.windows)
    assert alone.meta == both.meta


def test_what_is_no_prepared_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="not a prepared folder"):
        read_prepared(tmp_path)


def test_files_that_do_not_belong_together_are_refused(database: Path) -> None:
    folder = prepare(database)
    np.save(folder / "labels.npy", np.zeros((3, 4), dtype=np.int8))
    with pytest.raises(TrainingError, match="do not belong together"):
        read_prepared(folder)


def test_no_usable_record_is_an_error(tmp_path: Path) -> None:
    folder = tmp_path / "db"
    folder.mkdir()
    write_table(
        folder / "labels.csv", [("record", "superclasses", "statements", "split"), ("a", "NORM", "NSR", "train")]
    )
    with pytest.raises(TrainingError, match="none of 1 records"):
        run("wfdb-folder", folder, tmp_path / "out", processes=1)

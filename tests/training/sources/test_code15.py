from pathlib import Path

import h5py
import numpy as np
import pytest

from model.errors import ShapeError
from tests.training.ecg_folders import write_table
from training.sources import find_source, open_source
from training.sources.code15 import cut_padding

COLUMNS = ("exam_id", "age", "is_male", "1dAVb", "RBBB", "LBBB", "SB", "ST", "AF", "patient_id", "trace_file")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tracings = np.zeros((3, 4096, 12), dtype=np.float32)
    tracings[0, 48:4048] = np.random.default_rng(0).normal(0.0, 0.3, (4000, 12))
    tracings[1, 648:3448] = np.random.default_rng(1).normal(0.0, 0.3, (2800, 12))
    with h5py.File(tmp_path / "exams_part0.hdf5", "w") as file:
        file["exam_id"] = np.array([11, 12, 13])
        file["tracings"] = tracings
    rows = [
        (11, 38, True, False, False, False, False, False, True, 5, "exams_part0.hdf5"),
        (12, 70, False, True, False, False, True, False, False, 6, "exams_part0.hdf5"),
        (13, 71, False, False, False, False, False, False, False, 6, "exams_part0.hdf5"),
        (14, 72, False, False, False, False, False, False, False, 7, "exams_part9.hdf5"),
    ]
    write_table(tmp_path / "exams.csv", [COLUMNS, *rows])
    return tmp_path


def test_the_padding_is_cut_and_the_rate_kept(folder: Path) -> None:
    source = open_source(find_source(folder), folder)
    ten_s, seven_s = (source.read(entry) for entry in source.entries[:2])
    assert (ten_s.sampling_hz, ten_s.duration_s, seven_s.duration_s) == (400.0, 10.0, 7.0)


def test_a_silence_inside_is_no_padding() -> None:
    signal_mv = np.array([[0, 0, 1, 0, 0, 2, 0]], dtype=np.float32)
    assert cut_padding(signal_mv).tolist() == [[1, 0, 0, 2]]


def test_an_exam_of_padding_alone_is_refused(folder: Path) -> None:
    source = open_source("code15", folder)
    with pytest.raises(ShapeError):
        source.read(source.entries[2])


def test_diagnoses_and_people_are_read_and_exams_of_absent_parts_left_out(folder: Path) -> None:
    first, second, third = open_source("code15", folder).entries
    assert first.present == {"AF"}
    assert (first.sex, first.age) == ("male", 38.0)
    assert second.present == {"IAVB", "SB"}
    assert second.split == third.split  # one patient

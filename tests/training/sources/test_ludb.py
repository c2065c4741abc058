"""LUDB on disk: units that keep Einthoven's law, leads by name, marks of every lead."""

import os
from pathlib import Path

import numpy as np
import pytest
import wfdb

from model.signal.leads import STANDARD_LEADS
from training.sources.ludb import read_ludb

NAMES = ["i", "ii", "v1", "iii", "avr", "avl", "avf", "v2", "v3", "v4", "v5", "v6"]


def write_record(folder: Path, name: str) -> None:
    """One record whose row k holds the value 100 k, each lead scaled on its own in the header, as published."""
    folder.mkdir(parents=True, exist_ok=True)
    counts = np.tile(100 * np.arange(12), (5000, 1))
    wfdb.wrsamp(
        *(name, 500, ["mV"] * 12, NAMES),
        d_signal=counts,
        fmt=["16"] * 12,
        adc_gain=[700.0 + row for row in range(12)],
        baseline=list(range(12)),
        write_dir=str(folder),
    )
    for lead in NAMES:  # the library writes extensions of letters only
        wfdb.wrann(name, "marks", np.array([650, 670, 690]), symbol=["(", "N", ")"], write_dir=str(folder))
        (folder / f"{name}.marks").rename(folder / f"{name}.{lead}")


def test_counts_are_microvolts_and_leads_go_by_name(tmp_path: Path) -> None:
    write_record(tmp_path / "data", "7")
    (record,) = read_ludb(tmp_path)
    assert record.recording.leads == STANDARD_LEADS
    found = dict(zip(STANDARD_LEADS, record.recording.signal_mv[:, 0].tolist(), strict=True))
    assert found["V1"] == pytest.approx(0.2)
    assert found["aVF"] == pytest.approx(0.6)
    assert record.marks[0].onset_s.tolist() == [1.3]
    assert record.marks[0].span_s == (1.3, 1.38)


def test_records_come_by_number(tmp_path: Path) -> None:
    for name in ("10", "9"):
        write_record(tmp_path / "data", name)
    assert [record.name for record in read_ludb(tmp_path)] == ["9", "10"]


def test_the_rhythm_is_read_from_the_table(tmp_path: Path) -> None:
    write_record(tmp_path / "data", "7")
    (tmp_path / "ludb.csv").write_text(
        'ID,Rhythms,Extrasystolies,Cardiac pacing\n7,"Atrial fibrillation\n","Ventricular extrasystole: couplet",\n'
    )
    (record,) = read_ludb(tmp_path)
    assert record.rhythm == {"fibrillation", "ectopy"}


def test_an_empty_folder_is_named_as_such(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no record"):
        list(read_ludb(tmp_path))


@pytest.mark.real
@pytest.mark.skipif("ECG_DATA" not in os.environ, reason="ECG_DATA names no folder")
def test_einthoven_holds_in_every_record() -> None:
    for record in read_ludb(Path(os.environ["ECG_DATA"]) / "ludb"):
        lead = dict(zip(record.recording.leads, record.recording.signal_mv, strict=True))
        assert np.median(np.abs(lead["I"] + lead["III"] - lead["II"])) < 0.01
        assert any(len(marks.kind) for marks in record.marks)

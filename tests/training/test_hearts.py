"""Heartless recordings are what they are said to be, and the stage that fits the rule runs."""

from pathlib import Path

import numpy as np
import pytest

import model
from tests.model.synthetic import beats
from training.errors import TrainingError
from training.heartless import FAMILIES, heartless
from training.hearts import run
from training.sources.simulated import wfdb_record

BUNDLE = Path(model.__file__).parent / "bundles" / "ecg-jepa-nano"


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_finite_and_the_same_for_a_seed(family: str) -> None:
    for sampling_hz in (100.0, 1000.0):
        drawn = [heartless(family, 3, leads=2, sampling_hz=sampling_hz, duration_s=4.0) for _ in range(2)]
        assert drawn[0].shape == (2, round(4 * sampling_hz))
        assert np.isfinite(drawn[0]).all()
        np.testing.assert_array_equal(drawn[0], drawn[1])


def test_the_rule_is_fitted_and_its_mistakes_counted(tmp_path: Path) -> None:
    for name, content in wfdb_record("r", beats()).items():
        (tmp_path / name).write_bytes(content)
    figures = run(BUNDLE, tmp_path, simulated=6)
    assert len(figures["fitted"]) == len(figures["shipped"])
    assert figures["with_heart"] == 1.0
    assert figures["without_heart"] <= 0.02 * figures["simulated"]


def test_a_folder_without_records_is_said(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no WFDB record"):
        run(BUNDLE, tmp_path)


def test_of_a_database_the_train_split_alone_is_read_with_rare_rhythms_in_it(tmp_path: Path) -> None:
    rows = [
        ("a", "NSR", "train"),
        ("b", "AFL", "train"),
        ("c", "AFL", "test"),
        ("d", "NSR", "val"),
        ("e", "NSR", "train"),
    ]
    table = ["record,superclasses,statements,split", *(f"{name},,{key},{split}" for name, key, split in rows)]
    (tmp_path / "labels.csv").write_text("\n".join(table) + "\n")
    for name, _, _ in rows:
        for file, content in wfdb_record(name, beats()).items():
            (tmp_path / file).write_bytes(content)
    assert run(BUNDLE, tmp_path, source="wfdb-folder", records=9, simulated=1)["records"] == 2 * 3
    assert run(BUNDLE, tmp_path, source="wfdb-folder", records=2, simulated=1)["records"] == 2 * 2

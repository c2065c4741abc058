"""The bounds of the verdict are set on train records, and what the shipped ones stop is counted."""

from pathlib import Path

import numpy as np
import pytest

from training.errors import TrainingError
from training.rules.bounds import LOST, fitted, run
from training.rules.heartless import FAMILIES
from training.sources.simulated import run as simulate


def database(folder: Path, *, val: int) -> Path:
    """Ten simulated records, so many of them in val and the others in train."""
    simulate(out=folder, records=10)
    table = folder / "labels.csv"
    table.write_text(table.read_text().replace(",train,", ",val,", val))
    return folder


def test_bounds_are_set_where_they_lose_few_train_records(tmp_path: Path) -> None:
    figures = run(database(tmp_path, val=3), simulated=2)
    assert figures["fitted"].keys() == figures["shipped"].keys()
    assert figures["fitted"]["likeness"] > figures["shipped"]["likeness"]
    assert figures["fitted"]["change"] < figures["shipped"]["change"]
    assert figures["refused"] == {"train": 0, "val": 0}
    assert figures["records"] == {"train": 7, "val": 3}
    assert figures["simulated"] == 2 * len(FAMILIES)
    assert sum(figures["passed"].values()) <= 2


def test_a_bound_loses_its_share_and_no_more() -> None:
    told = np.random.default_rng(0).uniform(0, 1, (20_000, 4)) * [1000, 1000, 1000, 0.9]
    bounds = np.array(fitted(told))
    beyond = np.stack([told[:, 0] < bounds[0], told[:, 1] > bounds[1], told[:, 2] < bounds[2], told[:, 3] > bounds[3]])
    np.testing.assert_allclose(beyond.mean(axis=1), LOST, atol=1e-4)
    assert bounds[3] == pytest.approx(0.95)


def test_records_without_beats_set_no_bound_of_beats() -> None:
    told = np.random.default_rng(0).uniform(0, 1, (2000, 4))
    lacking = np.where(np.arange(4000)[:, None] % 2, np.nan, np.repeat(told, 2, axis=0))
    lacking[:, 2:] = np.repeat(told[:, 2:], 2, axis=0)
    assert fitted(lacking) == fitted(told)


def test_a_database_without_a_val_split_is_said(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no record in its split val"):
        run(database(tmp_path, val=0), simulated=1)

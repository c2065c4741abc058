"""The quality stage scores the shipped verdict on judged records and fits it anew."""

from pathlib import Path

import numpy as np
import pytest

from model.signal.leads import STANDARD_LEADS
from model.signal.recording import Recording
from tests.model.synthetic import beats
from training.errors import TrainingError
from training.rules.quality import run
from training.sources.simulated import wfdb_record


def judged(folder: Path, count: int) -> Path:
    """Records of beats, acceptable, and as many of noise, unacceptable."""
    rng = np.random.default_rng(0)
    rows = ["record,acceptable"]
    for number in range(2 * count):
        noise = rng.normal(0, 0.2, (12, 5000)).astype(np.float32)
        good = number < count
        recording = Recording(noise if not good else beats().signal_mv + 0.05 * noise, 500, STANDARD_LEADS)
        for name, content in wfdb_record(f"r{number}", recording).items():
            (folder / name).write_bytes(content)
        rows.append(f"r{number},{int(good)}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_beats_are_told_from_noise_by_the_shipped_and_by_fitted_coefficients(tmp_path: Path) -> None:
    figures = run(judged(tmp_path, 10))
    assert figures["n"] == 20
    assert (figures["accuracy"], figures["sensitivity"], figures["specificity"]) == (1.0, 1.0, 1.0)
    assert figures["cross_validated"] == {"accuracy": 1.0, "sensitivity": 1.0, "specificity": 1.0, "spread": 0.0}
    assert len(figures["fitted"]) == len(figures["shipped"])


def test_a_folder_without_labels_is_said(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"labels\.csv"):
        run(tmp_path)


@pytest.mark.real
def test_the_shipped_coefficients_are_those_of_the_records_they_name(ecg_data: Path) -> None:
    figures = run(ecg_data / "cinc2011-quality")
    np.testing.assert_allclose(figures["fitted"], figures["shipped"], atol=0.02)
    assert figures["cross_validated"]["accuracy"] >= 0.90

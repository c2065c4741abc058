from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from model.bundle import Output, read_bundle
from model.reading.findings import Calibration, calibrated
from model.reading.statements import VOCABULARY
from tests.training.ecg_folders import write_shared_ptbxl
from tests.training.toy_bundle import write_toy_bundle
from training.config import CalibrateConfig, Config
from training.data import prepare
from training.evaluation.calibrate import best_f1_threshold, bounds, fit, platt, run
from training.evaluation.metrics import ece
from training.evaluation.scoring import Labelled, Scored

SETTINGS = CalibrateConfig()


def drawn(count: int, *, slope: float, intercept: float) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels that are true with probability sigmoid(slope * logit + intercept)."""
    random = np.random.default_rng(0)
    logits = random.normal(0.0, 3.0, count)
    probabilities = 1 / (1 + np.exp(-(slope * logits + intercept)))
    return logits, (random.random(count) < probabilities).astype(np.int8)


def test_the_true_slope_and_intercept_are_found() -> None:
    logits, labels = drawn(20000, slope=0.5, intercept=-1.0)
    found = fit(logits, labels, SETTINGS)
    assert found.slope == pytest.approx(0.5, abs=0.03)
    assert found.intercept == pytest.approx(-1.0, abs=0.06)


def test_many_records_are_fitted_as_by_scikit_learn() -> None:
    logits, labels = drawn(5000, slope=0.7, intercept=-2.0)
    model = LogisticRegression(C=np.inf).fit(logits[:, None], labels)
    slope, intercept = platt(logits, labels == 1)
    assert slope == pytest.approx(model.coef_[0, 0], rel=0.01)
    assert intercept == pytest.approx(model.intercept_[0], rel=0.01)


def test_calibration_mends_overconfidence() -> None:
    logits, labels = drawn(5000, slope=0.3, intercept=0.0)
    once = np.ones((1, len(labels)))
    before = ece(1 / (1 + np.exp(-logits)), labels, once)[0]
    after = ece(calibrated(logits[:, None], [fit(logits, labels, SETTINGS)])[:, 0], labels, once)[0]
    assert after < 0.03 < before


def test_unknown_labels_do_not_count() -> None:
    logits, labels = drawn(500, slope=0.5, intercept=0.0)
    more = np.r_[labels, np.full(500, -1, dtype=np.int8)]
    assert fit(np.r_[logits, np.full(500, 9.0)], more, SETTINGS) == fit(logits, labels, SETTINGS)


def test_with_few_positives_the_slope_and_the_threshold_stay() -> None:
    logits = np.linspace(-3, 3, 200)
    labels = (np.arange(200) >= 195).astype(np.int8)
    found = fit(logits, labels, SETTINGS)
    assert (found.slope, found.threshold) == (1.0, 0.5)
    mean = calibrated(logits[:, None], [found]).mean()
    assert mean == pytest.approx(5 / 200, abs=0.01)


def test_what_a_hospital_has_too_little_of_keeps_its_calibration() -> None:
    before = Calibration(slope=0.6, intercept=-0.8, threshold=0.2)
    logits = np.linspace(-3, 3, 200)
    assert fit(logits, np.zeros(200, np.int8), SETTINGS, before=before) == before
    few = fit(logits, (np.arange(200) >= 195).astype(np.int8), SETTINGS, before=before)
    assert (few.slope, few.threshold) == (0.6, 0.2)
    assert calibrated(logits[:, None], [few]).mean() == pytest.approx(5 / 200, abs=0.01)
    many = fit(*drawn(20000, slope=0.5, intercept=-1.0), SETTINGS, before=before)
    assert many.slope == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("label", [0, 1, -1])
def test_with_one_kind_of_label_the_logit_is_left_alone(label: int) -> None:
    found = fit(np.linspace(-3, 3, 50), np.full(50, label, dtype=np.int8), SETTINGS)
    assert (found.slope, found.intercept, found.threshold) == (1.0, 0.0, 0.5)


def test_a_model_that_is_wrong_on_these_records_is_not_turned_round() -> None:
    logits, labels = drawn(500, slope=-1.0, intercept=0.0)
    assert fit(logits, labels, SETTINGS).slope == 1.0


def test_separable_records_give_finite_numbers() -> None:
    logits = np.r_[np.full(50, -2.0), np.full(50, 2.0)]
    found = fit(logits, (logits > 0).astype(np.int8), SETTINGS)
    assert np.isfinite([found.slope, found.intercept]).all()
    assert 0.05 <= found.threshold <= 0.95


def test_the_threshold_is_the_best_and_parts_no_equal_probabilities() -> None:
    probabilities = np.array([0.9, 0.8, 0.8, 0.8, 0.2, 0.1])
    positive = np.array([True, True, True, False, False, False])
    assert best_f1_threshold(probabilities, positive) == pytest.approx(0.5)
    assert best_f1_threshold(np.full(4, 0.3), np.array([True, False, False, False])) == pytest.approx(0.3)


def test_thresholds_stay_within_their_bounds() -> None:
    logits, labels = drawn(3000, slope=1.0, intercept=-7.0)
    assert fit(logits, labels, SETTINGS).threshold >= SETTINGS.min_threshold


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hospital")
    rows = [(number, "val", "NORM" if number % 2 else "MI", "NSR", 50.0, "male") for number in range(1, 41)]
    prepare.run("ptbxl", write_shared_ptbxl(folder / "db", rows), folder / "prepared", processes=1)
    return folder


def test_a_hospital_fits_a_bundle_to_its_own_records(hospital: Path, tmp_path: Path) -> None:
    bundle = write_toy_bundle(tmp_path / "bundle")
    result = run(Config(), bundle, hospital / "prepared", split="val", source=None, thresholds_version=None)
    manifest = read_bundle(bundle).manifest
    assert manifest.thresholds_version == result["thresholds"]
    assert manifest.thresholds_version.startswith("val-")
    assert manifest.metrics["calibration"]["records"] == 40
    note = manifest.metrics["calibration"]
    assert note["conformal_90"].keys() == {"NSR"}  # 20 positives of the others promise nothing
    assert note["conformal_confidence"] == 0.95
    by_key = {one.statement.key: one.calibration for one in manifest.outputs}
    assert by_key["NORM"].intercept != 0.0
    assert by_key["AF"].intercept == 0.0  # nothing is known of it there
    again = run(Config(), bundle, hospital / "prepared", split="val", source=None, thresholds_version="mine")
    assert again["thresholds"] == "mine"


def test_a_superclass_promises_more_than_a_statement_alone() -> None:
    random = np.random.default_rng(0)
    logits = np.repeat(random.normal(size=(300, 1)), 3, axis=1)
    labels = np.repeat((logits[:, :1] > 0).astype(np.int8), 3, axis=1)
    outputs = tuple(Output(VOCABULARY[key], Calibration()) for key in ("NORM", "MI", "AF"))
    nobody = np.empty(0, dtype=np.str_)
    labelled = Labelled("x", "val", (), (), labels, patients=nobody, ages=np.empty(0, dtype=np.float32), sexes=nobody)
    found = bounds(Scored(labelled, logits, ""), outputs, 0.95)
    floors, ceilings = found["conformal_90"], found["conformal_90_absent"]
    assert floors["NORM"] == floors["MI"] < floors["AF"]
    assert ceilings["NORM"] == ceilings["MI"] > ceilings["AF"]


def test_the_same_records_give_the_same_version(hospital: Path, tmp_path: Path) -> None:
    versions = [
        run(
            Config(), write_toy_bundle(tmp_path / name), hospital / "prepared", split="val", source=None,
            thresholds_version=None,
        )["thresholds"]
        for name in ("one", "two")
    ]  # fmt: skip
    assert versions[0] == versions[1]

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from training.data.dataset import cluster_numbers
from training.evaluation.metrics import (
    Floats,
    Labels,
    auprc,
    auroc,
    auroc_of_pairs,
    ece,
    f1,
    figure,
    macro,
    reliability,
    resample,
    sensitivity,
    specificity,
)

ONCE = np.ones((1, 300))


@pytest.fixture
def labels() -> Labels:
    return np.asarray(np.random.default_rng(0).random(300) < 0.2, dtype=np.int8)


@pytest.fixture
def scores(labels: Labels) -> Floats:
    return np.asarray(np.round(np.random.default_rng(1).normal(size=300) + labels, 1))  # rounded: many are equal


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), decimals=st.integers(0, 3))
def test_areas_agree_with_scikit_learn_for_any_weights_and_ties(seed: int, decimals: int) -> None:
    random = np.random.default_rng(seed)
    truth = np.r_[0, 1, random.integers(0, 2, 48)].astype(np.int8)
    score = np.round(random.normal(size=50), decimals)
    weights = random.integers(0, 4, (3, 50)).astype(np.float64)
    weights[:, :2] = 1
    np.testing.assert_allclose(
        auroc(score, truth, weights), [roc_auc_score(truth, score, sample_weight=row) for row in weights]
    )
    np.testing.assert_allclose(
        auprc(score, truth, weights), [average_precision_score(truth, score, sample_weight=row) for row in weights]
    )


def test_yes_and_no_figures_agree_with_scikit_learn(scores: Floats, labels: Labels) -> None:
    present = scores > 1
    assert f1(present, labels, ONCE)[0] == pytest.approx(f1_score(labels, present))
    assert sensitivity(present, labels, ONCE)[0] == pytest.approx(present[labels == 1].mean())
    assert specificity(present, labels, ONCE)[0] == pytest.approx((~present[labels == 0]).mean())


def test_a_figure_without_positives_or_records_is_not_defined() -> None:
    for count in (0, 4):
        truth, weights = np.zeros(count, dtype=np.int8), np.ones((2, count))
        assert np.isnan(auroc(np.arange(count, dtype=float), truth, weights)).all()
        assert np.isnan(auprc(np.arange(count, dtype=float), truth, weights)).all()
    assert figure(np.array([np.nan, 0.5])).value is None


def test_calibration_error_is_the_gap_between_said_and_seen() -> None:
    said = np.r_[np.full(100, 0.9), np.full(100, 0.1)]
    truth = np.r_[np.ones(70), np.zeros(30), np.zeros(100)].astype(np.int8)
    assert ece(said, truth, np.ones((1, 200)))[0] == pytest.approx((0.2 + 0.1) / 2)
    mean_said, seen, count = reliability(said, truth)
    np.testing.assert_allclose(mean_said, [0.1, 0.9])
    np.testing.assert_allclose(seen, [0.0, 0.7])
    assert count.tolist() == [100, 100]


def test_a_probability_of_one_is_in_the_last_bin() -> None:
    assert ece(np.array([1.0]), np.array([1], dtype=np.int8), np.ones((1, 1)))[0] == 0.0


def test_the_first_value_is_the_figure_and_the_interval_holds_it(scores: Floats, labels: Labels) -> None:
    values = resample(lambda weights: auroc(scores, labels, weights), np.arange(300), draws=400, seed=0)
    found = figure(values)
    assert len(values) == 401
    assert found.value is not None
    assert found.value == pytest.approx(roc_auc_score(labels, scores))
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.value < found.high
    assert 0.05 < found.high - found.low < 0.25


def test_draws_are_the_same_for_the_same_seed(scores: Floats, labels: Labels) -> None:
    first, second = (
        resample(lambda weights: auroc(scores, labels, weights), np.arange(300), draws=20, seed=3) for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)


def test_a_patient_is_drawn_with_all_records() -> None:
    clusters = cluster_numbers(["a", "", "a", "", "b"])
    assert clusters[0] == clusters[2]
    assert len(set(clusters.tolist())) == 4
    seen = resample(lambda weights: weights, clusters, draws=50, seed=0)
    np.testing.assert_array_equal(seen[:, 0], seen[:, 2])
    assert (seen[1:, 1] != seen[1:, 3]).any()


def test_a_mean_skips_what_is_not_defined() -> None:
    np.testing.assert_array_equal(macro(np.array([[0.5, np.nan, 1.0], [np.nan, np.nan, np.nan]])), [0.75, np.nan])


def test_pairs_of_classes_agree_with_scikit_learn_and_draws_count_as_often_as_they_are_drawn() -> None:
    random = np.random.default_rng(0)
    classes = np.r_[np.arange(4), random.integers(0, 4, 80)].astype(np.intp)
    said = random.random((84, 4)) + np.eye(4)[classes]
    said /= said.sum(axis=1, keepdims=True)
    times = np.stack([np.ones(84, dtype=np.intp), np.r_[np.ones(4, dtype=np.intp), random.integers(0, 3, 80)]])
    areas = auroc_of_pairs(said, classes, times.astype(np.float64))
    for area, often in zip(areas, times, strict=True):
        drawn = np.repeat(np.arange(84), often)
        wanted = roc_auc_score(classes[drawn], said[drawn], average="macro", multi_class="ovo")
        assert area == pytest.approx(wanted, abs=1e-12)


def test_a_class_without_a_record_is_left_out_of_its_pairs() -> None:
    classes = np.array([0, 0, 1, 1])
    said = np.array([[0.9, 0.1, 0.0], [0.8, 0.2, 0.0], [0.1, 0.9, 0.0], [0.2, 0.8, 0.0]])
    assert auroc_of_pairs(said, classes, np.ones((1, 4))).tolist() == [1.0]

"""Prediction sets cover what they promise, as often as they promise it."""

import numpy as np
import pytest

from training.evaluation.conformal import conformal_ceiling, conformal_floor, coverage, set_size


def _floors(count: int, confidence: float) -> np.ndarray:
    """Floors from many draws of uniform scores; the true coverage of a floor is one minus itself."""
    random = np.random.default_rng(0)
    everyone = np.ones(count, dtype=bool)
    return np.array([conformal_floor(random.random(count), everyone, confidence=confidence) for _ in range(2000)])


@pytest.mark.parametrize("count", [30, 268, 1000])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_the_promise_holds_with_the_confidence_asked_for(count: int, confidence: float) -> None:
    kept = (1 - _floors(count, confidence) >= 0.9).mean()
    assert kept >= confidence - 0.02


def test_more_records_ask_for_smaller_sets() -> None:
    few, many = (float(np.mean(1 - _floors(count, 0.95))) for count in (100, 2000))
    assert 0.9 < many < few


def test_too_few_members_give_no_bound() -> None:
    scores = np.linspace(0, 1, 29)
    assert conformal_floor(scores, np.ones(29, dtype=bool), confidence=0.95) == 0.0
    assert conformal_floor(scores, np.arange(29) > 0, confidence=0.95) is None
    assert conformal_floor(scores, np.zeros(29, dtype=bool), confidence=0.95) is None


def test_the_ceiling_is_the_floor_of_the_others() -> None:
    random = np.random.default_rng(0)
    scores, positive = random.random(400), random.random(400) < 0.3
    ceiling = conformal_ceiling(scores, ~positive, confidence=0.95)
    assert ceiling is not None
    assert (scores[~positive] <= ceiling).mean() > 0.9
    assert coverage(-scores, ~positive, np.ones((1, 400)), floor=-ceiling)[0] == (scores[~positive] <= ceiling).mean()


def test_coverage_is_of_the_members_alone() -> None:
    scores, members = np.array([0.1, 0.5, 0.9, 0.0]), np.array([True, True, True, False])
    assert coverage(scores, members, np.ones((2, 4)), floor=0.4).tolist() == pytest.approx([2 / 3, 2 / 3])
    assert np.isnan(coverage(scores, members & False, np.ones((1, 4)), floor=0.4)).all()
    assert np.isnan(coverage(scores, members, np.ones((1, 4)), floor=np.nan)).all()


def test_the_size_counts_what_is_undecided_twice() -> None:
    scores = np.array([0.1, 0.5, 0.9])
    assert set_size(scores, np.ones((1, 3)), floor=0.4, ceiling=0.6)[0] == pytest.approx(4 / 3)
    assert set_size(scores, np.ones((1, 3)), floor=0.6, ceiling=0.4)[0] == pytest.approx(2 / 3)
    assert np.isnan(set_size(scores, np.ones((1, 3)), floor=0.4, ceiling=np.nan)).all()

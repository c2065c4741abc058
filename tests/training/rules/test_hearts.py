"""Heartless recordings are what they are said to be, and the stage that fits the rule runs."""

from pathlib import Path

import numpy as np
import pytest

import model
from model.signal.preprocess import preprocess
from model.signal.spec import SPEC
from tests.model.synthetic import beats
from training.data.dataset import PreparedSet
from training.errors import TrainingError
from training.rules.heartless import FAMILIES, heartless
from training.rules.hearts import run

BUNDLE = Path(model.__file__).parent / "bundles" / "ecg-jepa-nano"


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_finite_and_the_same_for_a_seed(family: str) -> None:
    for sampling_hz in (100.0, 1000.0):
        drawn = [heartless(family, 3, leads=2, sampling_hz=sampling_hz, duration_s=4.0) for _ in range(2)]
        assert drawn[0].shape == (2, round(4 * sampling_hz))
        assert np.isfinite(drawn[0]).all()
        np.testing.assert_array_equal(drawn[0], drawn[1])


def prepared(split: str = "val") -> PreparedSet:
    """Two simulated hearts in train and two in another split."""
    heart = preprocess(beats(), SPEC).signal_mv[0]
    windows = np.stack([heart, 0.6 * heart, heart, 0.6 * heart]).astype(np.float16)
    nothing = np.full(4, "")
    return PreparedSet(
        folder=Path("simulated"),
        windows=windows,
        window_record=np.arange(4, dtype=np.int32),
        labels=np.array([[1], [0], [1], [0]], dtype=np.int8),
        keys=("AF",),
        records=tuple("abcd"),
        hashes=tuple("abcd"),
        splits=np.array(["train", "train", split, split]),
        patients=nothing,
        ages=np.zeros(4, dtype=np.float32),
        sexes=nothing,
        meta={},
    )


def test_the_rule_is_fitted_and_its_mistakes_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.rules.hearts.read_prepared", lambda _: prepared())
    figures = run(BUNDLE, Path("simulated"), simulated=6)
    assert len(figures["fitted"]) == len(figures["shipped"])
    assert (figures["records"], figures["with_heart"], figures["alone"]) == (2, 1.0, 1.0)
    assert figures["without_heart"] <= 0.02 * figures["simulated"]


def test_a_rule_is_not_judged_on_what_it_was_fitted_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.rules.hearts.read_prepared", lambda _: prepared("test"))
    with pytest.raises(TrainingError, match="no record in its train or in its val"):
        run(BUNDLE, Path("simulated"))

"""Logits become calibrated probabilities, and probabilities findings."""

import numpy as np
import pytest

from model.reading.findings import Calibration, calibrated, findings
from model.reading.statements import SUPERCLASSES, VOCABULARY

TWO = (VOCABULARY["NORM"], VOCABULARY["AF"])


def test_platt_scaling_is_a_sigmoid_of_a_line() -> None:
    probability = calibrated(np.array([0.0, 2.0]), [Calibration(), Calibration(slope=0.5, intercept=-1.0)])
    np.testing.assert_allclose(probability, [0.5, 0.5])


def test_windows_are_averaged_before_they_are_calibrated() -> None:
    logits = np.array([[4.0, -1.0], [-4.0, -1.0]], np.float32)
    found = findings(logits, TWO, [Calibration(), Calibration()])
    assert found[0].probability == pytest.approx(0.5)
    assert found[1].probability == pytest.approx(1 / (1 + np.e))


def test_a_finding_is_present_from_its_threshold_on() -> None:
    logits = np.zeros((1, 2), np.float32)
    found = findings(logits, TWO, [Calibration(threshold=0.5), Calibration(threshold=0.51)])
    assert [one.present for one in found] == [True, False]
    assert [one.threshold for one in found] == [0.5, 0.51]


def test_extreme_logits_give_probabilities_without_warnings() -> None:
    logits = np.array([[1e4, -1e4]], np.float32)
    found = findings(logits, TWO, [Calibration(), Calibration()])
    assert [one.probability for one in found] == pytest.approx([1.0, 0.0])


def test_another_number_of_calibrations_than_of_statements_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"broadcast|argument"):
        findings(np.zeros((1, 2), np.float32), TWO, [Calibration(), Calibration(), Calibration()])


def test_keys_are_distinct_and_statements_carry_snomed_codes() -> None:
    assert all(key == one.key for key, one in VOCABULARY.items())
    assert {one.key for one in SUPERCLASSES} == {"NORM", "MI", "STTC", "CD", "HYP"}
    for one in VOCABULARY.values():
        assert (one.group == "superclass") == (one in SUPERCLASSES)
        assert one.snomed_ct is None or (one.snomed_ct.isdigit() and one.group == "statement")

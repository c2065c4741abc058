"""Logits to findings: calibrated probability, threshold, present or not."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from model.reading.statements import Statement


@dataclass(frozen=True)
class Calibration:
    """Platt scaling and decision threshold of one statement, fitted on validation records.

    Attributes:
        slope: multiplies the logit.
        intercept: is added to it.
        threshold: on the calibrated probability.
    """

    slope: float = 1.0
    intercept: float = 0.0
    threshold: float = 0.5


@dataclass(frozen=True)
class Finding:
    """One statement about one recording."""

    statement: Statement
    probability: float
    threshold: float
    present: bool


def calibrated(logits: npt.NDArray[np.floating], calibrations: Sequence[Calibration]) -> npt.NDArray[np.float64]:
    """Probabilities of (..., statement) logits: sigmoid(slope * logit + intercept), Platt 1999."""
    slopes = np.array([one.slope for one in calibrations])
    intercepts = np.array([one.intercept for one in calibrations])
    return np.asarray(expit(slopes * logits + intercepts))


def findings(
    logits: npt.NDArray[np.float32], statements: Sequence[Statement], calibrations: Sequence[Calibration]
) -> tuple[Finding, ...]:
    """Findings of one recording, in output order.

    Args:
        logits: (window, statement); windows are averaged before calibration.
        statements: one an output.
        calibrations: one an output.
    """
    probabilities = calibrated(logits.mean(axis=0), calibrations)
    return tuple(
        Finding(statement, float(probability), one.threshold, bool(probability >= one.threshold))
        for statement, probability, one in zip(statements, probabilities, calibrations, strict=True)
    )

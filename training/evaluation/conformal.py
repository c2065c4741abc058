"""Prediction sets that keep a promise: from which probability on a statement may hold, and up to which it may not.

Each statement has a set of its own, {present, absent} or one of the two. `present` is in it from a floor on and
`absent` up to a ceiling, each chosen on calibration records of that label alone, so that those who have the statement
are covered like those who have not (class-conditional, Vovk, "Conditional validity of inductive conformal predictors",
2012). The plain quantile covers 90 % only on the mean over draws of calibration records: with 268 positives every fifth
draw falls short by more than a point. Here the quantile is the one that covers at least 90 % with a stated confidence
over that draw (the same paper, section 4; Park et al., "PAC confidence sets for deep neural networks via calibrated
prediction", 2020). Larger sets are the price.
"""

import numpy as np
import numpy.typing as npt
from scipy.stats import binom

from training.evaluation.metrics import ratio

Floats = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]

COVERAGE = 0.9


def conformal_floor(scores: Floats, members: Booleans, *, confidence: float) -> float | None:
    """The score from which on a label is in the set, so that at least 90 % of its members are covered.

    The k-th lowest of n members leaves out a share whose distribution over draws is Beta(k, n + 1 - k); k is the
    largest at which that share is at most 10 % with the confidence asked for.

    Args:
        scores: (R,) of calibration records.
        members: (R,) whether the label holds.
        confidence: over the draw of calibration records.

    Returns:
        The floor; None where there are too few members for any (fewer than 29 at a confidence of 0.95).
    """
    ascending = np.sort(scores[members])
    holds = binom.sf(np.arange(len(ascending)), len(ascending), 1 - COVERAGE) >= confidence
    below = int(holds.sum())
    return float(ascending[below - 1]) if below else None


def conformal_ceiling(scores: Floats, members: Booleans, *, confidence: float) -> float | None:
    """The score up to which `absent` is in the set; `members` are the records without the statement."""
    floor = conformal_floor(-scores, members, confidence=confidence)
    return None if floor is None else -floor


def coverage(scores: Floats, members: Booleans, weights: Floats, *, floor: float) -> Floats:
    """Share of the members whose label is in their set, (draw,); NaN without a floor or members."""
    if not np.isfinite(floor):
        return np.full(len(weights), np.nan)
    return ratio(weights @ (members & (scores >= floor)), weights @ members)


def set_size(scores: Floats, weights: Floats, *, floor: float, ceiling: float) -> Floats:
    """Mean number of labels in a set, (draw,): 1 is always decided, 2 never; NaN without both bounds."""
    if not (np.isfinite(floor) and np.isfinite(ceiling)):
        return np.full(len(weights), np.nan)
    labels = (scores >= floor).astype(np.float64) + (scores <= ceiling)
    return ratio(weights @ labels, weights.sum(axis=1))
